"""`lsmplify import-motion`: a folder of motion capture becomes AMASS-style npz on SMPL's skeleton."""

from __future__ import annotations

import functools
import json
import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console
from rich.table import Table

from learnable_smplify.cli.console import open_console
from learnable_smplify.cli.progress import files_progress
from learnable_smplify.errors import InputError, LsmplifyError
from learnable_smplify.formats.estimates.any_motion import read_any_motion
from learnable_smplify.formats.motion.amass import PoseLayout
from learnable_smplify.formats.motion.motion_file import read_motion, write_motion
from learnable_smplify.formats.other_kinds import other_kind
from learnable_smplify.jobs.inputs import output_names
from learnable_smplify.jobs.processes import begin_work
from learnable_smplify.mocap.asf_amc import CMU_FPS, read_amc
from learnable_smplify.mocap.bone_map import find_bone_map
from learnable_smplify.mocap.bone_map_file import read_bone_map
from learnable_smplify.mocap.bvh import read_bvh
from learnable_smplify.mocap.glb_motion import read_glb
from learnable_smplify.mocap.half_turn import undo_half_turns
from learnable_smplify.mocap.plausible import check_plausible
from learnable_smplify.mocap.source import SourceMotion, drop_leading_rest_pose
from learnable_smplify.mocap.target import RetargetTarget, target_from_body
from learnable_smplify.mocap.transfer import retarget
from learnable_smplify.motion import Motion
from learnable_smplify.options import shown
from learnable_smplify.resample import resample_motion
from learnable_smplify.safe_files.atomic import atomic_output
from learnable_smplify.timeline import check_rate

REPORT_NAME = "import_report.json"
_SUFFIXES = (".amc", ".bvh", ".glb", ".npz", ".pkl")


@dataclass(frozen=True)
class ImportMotionArgs:
    """Turn motion capture (ASF/AMC, BVH, GLB, AMASS, AIST++) into SMPL motions at one frame rate.

    Reads ASF/AMC (the .asf beside the .amc), BVH, skinned GLB, AMASS .npz and AIST++ .pkl below a folder, or one such
    file, and writes OUT/<same path>.npz; clips that differ only in their suffix keep it: walk.bvh.npz, walk.glb.npz. A
    clip that cannot be used is passed over with a reason; the reasons are listed at the end and in
    OUT/import_report.json. Started again, it goes on where it stopped.
    """

    source: tyro.conf.Positional[Annotated[Path, tyro.conf.arg(metavar="FOLDER|FILE")]]
    """Folder with motion capture, or one file."""
    out: Annotated[Path, tyro.conf.arg(aliases=["-o"], metavar="OUT")]
    """Folder for the motions."""
    fps: Annotated[float, tyro.conf.arg(metavar="RATE")] = 30.0
    """Frames a second of what is written."""
    asf_fps: Annotated[float, tyro.conf.arg(metavar="RATE")] = CMU_FPS
    """Frames a second of ASF/AMC clips, which state none."""
    bvh_fps: Annotated[float | None, shown("RATE", "what the file says")] = None
    """True frames a second of BVH clips whose header is wrong."""
    bone_map: Annotated[Path | None, shown("FILE", "by the names of the joints")] = None
    """TOML file that says which bones move which SMPL joints, where their names do not; see docs/formats.md."""
    animation: Annotated[str | None, shown("NAME", "the first")] = None
    """Which of the animations of a .glb."""
    keep_rest_pose: bool = False
    """Keep the rest pose (T-pose) that some captures and converters put in front of a clip."""
    pose_layout: PoseLayout = "smplh"
    """Columns of `poses` in the output: smpl 72, smplh 156, smplx 165."""
    overwrite: bool = False
    """Import again what is there already."""
    jobs: Annotated[int, tyro.conf.arg(metavar="N")] = 2
    """Clips imported side by side, each by a process of its own."""


@dataclass(frozen=True)
class ClipResult:
    """What became of one clip: "imported", "kept" (there already) or "skipped" (see `reason`)."""

    source: str
    status: str
    reason: str = ""
    output: str = ""
    frames: int = 0
    seconds: float = 0.0
    flagged_frames: int = 0
    notes: list[str] = field(default_factory=list)


def import_motion(args: ImportMotionArgs, console: Console | None = None) -> list[ClipResult]:
    """Run the command. What it made is in the folder, in OUT/import_report.json and in the list it returns.

    Raises:
        InputError: nothing to import is found, nothing could be imported, or an option has no meaning.
    """
    console = console or open_console(stderr=True)
    _check(args)
    clips = find_clips(args.source, args.out)
    if not clips:
        raise InputError(
            "nothing to import here",
            path=args.source,
            expected=".amc with an .asf beside it, .bvh, .glb, AMASS .npz or AIST++ .pkl",
        )
    settings, earlier = _read_report(args.out / REPORT_NAME)
    redo = args.overwrite or _settings(args) != settings
    results: dict[Path, ClipResult] = {}
    waiting: list[tuple[Path, Path]] = []
    for clip, output in _outputs(args, clips):
        if not redo and _is_current(clip, output):
            shown = _shown(clip, args)
            # A run cut short did not live to report a clip that is there.
            known = earlier.get(shown) or _result(shown, read_motion(output), output, args)
            results[clip] = replace(known, status="kept")
        else:
            waiting.append((clip, output))
    # The settings are on record before the first clip, so that a run cut short is continued only by one that agrees.
    _write_report(args, list(results.values()))
    try:
        with files_progress(console, "importing") as show:
            show(0, len(waiting), "")
            for done, (clip, result) in enumerate(_import_all(args, waiting), start=1):
                results[clip] = result
                show(done, len(waiting), clip.name)
    finally:
        ordered = [results[clip] for clip in clips if clip in results]
        _write_report(args, ordered)
        if not (args.source.is_file() and any(result.status == "skipped" for result in ordered)):
            _print_summary(args, ordered, console)
    if args.source.is_file() and ordered[0].status == "skipped":
        raise InputError(ordered[0].reason.rstrip("."))
    if all(result.status == "skipped" for result in ordered):
        raise InputError(
            f"nothing could be imported; the first reason: {ordered[0].reason.rstrip('.')}", path=args.source
        )
    return ordered


def import_clip(clip: Path, output: Path, args: ImportMotionArgs) -> Motion:
    """Read one clip, put it on the open body, write it to `output` and return what was written.

    Raises:
        InputError: the clip cannot be read, or no body could move like that.
    """
    suffix = clip.suffix.lower()
    if suffix == ".npz":
        motion = read_motion(clip)
    elif suffix == ".pkl":
        motion = read_any_motion(clip, None, level=True)[0]
    elif suffix == ".glb":
        motion = _on_body(read_glb(clip, animation=args.animation), args)
    elif suffix == ".bvh":
        motion = _on_body(read_bvh(clip, fps=args.bvh_fps), args)
    else:
        motion = _on_body(read_amc(clip, asf_beside(clip), fps=args.asf_fps), args)
    motion = resample_motion(check_plausible(motion), args.fps)
    write_motion(motion, output, args.pose_layout)
    return motion


def _on_body(source: SourceMotion, args: ImportMotionArgs) -> Motion:
    given = None if args.bone_map is None else read_bone_map(args.bone_map)
    bone_map = find_bone_map(source.names, source.parents, given)
    source = source if args.keep_rest_pose else drop_leading_rest_pose(source)
    return undo_half_turns(retarget(source, _open_target(), bone_map))


def find_clips(source: Path, out: Path) -> list[Path]:
    """Every motion file below `source` in order of path, without what this command wrote itself.

    Raises:
        InputError: `source` is not there, or is a file of another kind.
    """
    if source.is_file():
        if source.suffix.lower() not in _SUFFIXES:
            what, hint = other_kind(source) or ("of an unknown kind", None)
            told = f"is no motion file: this is {what}"
            raise InputError(told, path=source, expected=" or ".join(_SUFFIXES), hint=hint)
        return [source]
    if not source.is_dir():
        raise InputError("no such file or folder", path=source, hint=f"ls {source.parent}")
    own = out.resolve()
    return sorted(
        path
        for path in source.rglob("*")
        if path.suffix.lower() in _SUFFIXES
        and path.is_file()
        and not path.name.startswith(".")
        and own not in path.resolve().parents
    )


def asf_beside(clip: Path) -> Path:
    """The skeleton of an AMC clip: in its folder, of its own name, else of its subject's, else the only one.

    Raises:
        InputError: there is none, or several and none of them is named like the clip.
    """
    found = {path.stem.lower(): path for path in sorted(clip.parent.iterdir()) if path.suffix.lower() == ".asf"}
    for name in (clip.stem.lower(), clip.stem.lower().split("_")[0]):
        if name in found:
            return found[name]
    if len(found) == 1:
        return next(iter(found.values()))
    problem = "several .asf skeletons beside it" if found else "no .asf skeleton beside it"
    raise InputError(problem, path=clip, expected=f"{clip.stem.split('_')[0]}.asf in the same folder")


def _check(args: ImportMotionArgs) -> None:
    for name, value in (("--fps", args.fps), ("--asf-fps", args.asf_fps), ("--bvh-fps", args.bvh_fps)):
        check_rate(value, name)
    if args.jobs < 1:
        raise InputError(f"--jobs is {args.jobs}", expected="1 or more")
    if args.out.exists() and not args.out.is_dir():
        raise InputError("is a file", path=args.out, expected="a folder for the motions")


def _outputs(args: ImportMotionArgs, clips: list[Path]) -> Iterator[tuple[Path, Path]]:
    """Each clip with its output file."""
    names = [_shown(clip, args) for clip in clips]
    outputs = output_names({name: str(Path(name).with_suffix("")) for name in names}, args.source)
    for clip, name in zip(clips, names, strict=True):
        output = args.out / outputs[name]
        if output.resolve() == clip.resolve():
            raise InputError("would be overwritten by its own import", path=clip, hint="another folder after -o")
        yield clip, output


def _import_all(args: ImportMotionArgs, waiting: list[tuple[Path, Path]]) -> Iterator[tuple[Path, ClipResult]]:
    jobs = min(args.jobs, len(waiting))
    if jobs <= 1:
        for clip, output in waiting:
            yield clip, _import_one(clip, output, args)
        return
    # Spawned, not forked: torch's threads do not survive a fork.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(jobs, mp_context=context, initializer=begin_work)
    try:
        futures = {pool.submit(_import_one, clip, output, args): clip for clip, output in waiting}
        for future in as_completed(futures):
            yield futures[future], future.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _import_one(clip: Path, output: Path, args: ImportMotionArgs) -> ClipResult:
    shown = _shown(clip, args)
    try:
        motion = import_clip(clip, output, args)
    except LsmplifyError as error:
        # What an earlier run with other options made of the clip would pass for the result of this one.
        output.unlink(missing_ok=True)
        return ClipResult(shown, "skipped", str(error))
    return _result(shown, motion, output, args)


def _result(shown: str, motion: Motion, output: Path, args: ImportMotionArgs) -> ClipResult:
    return ClipResult(
        shown,
        "imported",
        output=str(output.relative_to(args.out)),
        frames=len(motion),
        seconds=round(len(motion) / motion.fps, 3),
        flagged_frames=int(motion.flagged.sum()),
        notes=list(motion.notes),
    )


@functools.cache
def _open_target() -> RetargetTarget:
    from learnable_smplify.body.open_body import read_open_body

    return target_from_body(read_open_body())


def _shown(clip: Path, args: ImportMotionArgs) -> str:
    return clip.name if args.source.is_file() else str(clip.relative_to(args.source))


def _is_current(clip: Path, output: Path) -> bool:
    if not output.is_file():
        return False
    inputs = [clip]
    if clip.suffix.lower() == ".amc":
        inputs += [path for path in clip.parent.iterdir() if path.suffix.lower() == ".asf"]
    return output.stat().st_mtime >= max(path.stat().st_mtime for path in inputs)


def _settings(args: ImportMotionArgs) -> dict[str, object]:
    """What decides the contents of the files: a run with other options, or another version, imports anew."""
    from learnable_smplify import __version__

    kept = ("fps", "asf_fps", "bvh_fps", "animation", "keep_rest_pose", "pose_layout")
    settings = {"version": __version__} | {key: value for key, value in asdict(args).items() if key in kept}
    if args.bone_map is not None:
        # As JSON gives it back, to be compared with an earlier report's.
        settings["bone_map"] = json.loads(json.dumps(asdict(read_bone_map(args.bone_map))))
    return settings


def _read_report(path: Path) -> tuple[object, dict[str, ClipResult]]:
    """What an earlier run put on record: its settings, and the clips that it brought in."""
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
        clips = [ClipResult(**clip) for clip in report["clips"]]
        return report["settings"], {clip.source: clip for clip in clips if clip.status != "skipped"}
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        # No report, or one somebody has edited: everything is imported again.
        return None, {}


def _counts(results: list[ClipResult]) -> dict[str, int]:
    return {status: sum(result.status == status for result in results) for status in ("imported", "kept", "skipped")}


def _write_report(args: ImportMotionArgs, results: list[ClipResult]) -> None:
    report = {
        "source": str(args.source),
        "settings": _settings(args),
        **_counts(results),
        "seconds": round(sum(result.seconds for result in results), 3),
        "clips": [asdict(result) for result in results],
    }
    with atomic_output(args.out / REPORT_NAME) as temporary:
        temporary.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _print_summary(args: ImportMotionArgs, results: list[ClipResult], console: Console) -> None:
    folders: dict[str, list[ClipResult]] = {}
    for result in results:
        folders.setdefault(str(Path(result.source).parent), []).append(result)
    table = Table("folder", "imported", "kept", "skipped", "minutes", "flagged frames", box=None)
    for name, inside in [*folders.items(), ("all", results)]:
        counts = map(str, _counts(inside).values())
        minutes = f"{sum(r.seconds for r in inside) / 60:.1f}"
        table.add_row(name, *counts, minutes, str(sum(r.flagged_frames for r in inside)))
    console.print(table)
    skipped = [result for result in results if result.status == "skipped"]
    if skipped:
        console.print("Skipped:")
    for result in skipped:
        console.print(f"  {result.source}: {result.reason}", markup=False, highlight=False, soft_wrap=True)
    console.print(f"Report: {args.out / REPORT_NAME}", markup=False, highlight=False, soft_wrap=True)
