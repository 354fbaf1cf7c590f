"""The import command: what it makes, what it passes over and says, and how it goes on after a stop."""

from __future__ import annotations

import dataclasses
import io
import json
import os
from pathlib import Path

import pytest
import torch
from rich.console import Console

from learnable_smplify.cli import import_motion as command
from learnable_smplify.cli.import_motion import ClipResult, ImportMotionArgs, import_motion
from learnable_smplify.errors import InputError
from learnable_smplify.formats.motion.motion_file import read_motion, write_motion
from learnable_smplify.motion import Motion
from toy_skeleton import bvh_text, on_smpl, walking_poses

_LIMB = [
    ("{}femur", "root", "{s}0.3 -0.9 0", 7.2, "0 0 {s}20", "rx ry rz"),
    ("{}tibia", "{}femur", "{s}0.3 -0.9 0", 7.4, "0 0 {s}20", "rx"),
    ("{}foot", "{}tibia", "0 -0.2 1", 2.4, "0 0 0", "rx rz"),
    ("{}toes", "{}foot", "0 0 1", 1.2, "0 0 0", "rx"),
    ("{}clavicle", "thorax", "{s}0.9 0.4 0", 3.4, "0 0 0", ""),
    ("{}humerus", "{}clavicle", "{s}1 0 0", 5, "0 0 0", "rx ry rz"),
    ("{}radius", "{}humerus", "{s}1 0 0", 3.4, "0 0 0", "ry"),
    ("{}wrist", "{}radius", "{s}1 0 0", 1.7, "0 0 0", ""),
    ("{}hand", "{}wrist", "{s}1 0 0", 0.7, "0 0 0", ""),
]
_TRUNK = ["lowerback", "upperback", "thorax", "lowerneck", "upperneck", "head"]


def asf_text() -> str:
    bones = [(name, parent, "0 1 0", 2, "0 0 0", "") for parent, name in zip(["root", *_TRUNK], _TRUNK, strict=False)]
    for letter, sign in (("l", ""), ("r", "-")):
        for row in _LIMB:
            name, parent, direction, length, axis, dof = row
            bones.append(
                (
                    name.format(letter),
                    parent.format(letter),
                    direction.format(s=sign),
                    length,
                    axis.format(s=sign),
                    dof,
                )
            )
    text = ":units\n length 0.45\n angle deg\n:root\n order TX TY TZ RX RY RZ\n axis XYZ\n:bonedata\n"
    for name, _, direction, length, axis, dof in bones:
        text += f"begin\n name {name}\n direction {direction}\n length {length}\n axis {axis} XYZ\n"
        text += (f" dof {dof}\n" if dof else "") + "end\n"
    return text + ":hierarchy\nbegin\n" + "".join(f"{parent} {name}\n" for name, parent, *_ in bones) + "end\n"


def amc_text(frames: int = 25, swing_deg: float = 30.0) -> str:
    lines = [":FULLY-SPECIFIED", ":DEGREES"]
    for frame in range(frames):
        bend = swing_deg * frame / frames
        lines += [str(frame + 1), f"root {0.1 * frame} 17 0 0 0 0"]
        for letter, sign in (("l", -1), ("r", 1)):
            lines += [
                f"{letter}femur {-bend} 0 {20 * sign}",
                f"{letter}tibia {bend}",
                f"{letter}foot 0 0",
                f"{letter}toes 0",
                f"{letter}humerus 0 0 {60 * sign}",
                f"{letter}radius {bend * sign}",
            ]
    return "\n".join(lines) + "\n"


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    """Two good clips and one cut off, of two subjects, and an AMASS file."""
    source = tmp_path / "capture"
    for subject in ("07", "09"):
        (source / subject).mkdir(parents=True)
        (source / subject / f"{subject}.asf").write_text(asf_text())
        (source / subject / f"{subject}_01.amc").write_text(amc_text())
    (source / "07" / "07_12.amc").write_text(amc_text().removesuffix("rhumerus 0 0 60\nrradius 28.8\n"))
    motion = Motion(pose=torch.zeros(9, 24, 3), transl=torch.zeros(9, 3), betas=torch.zeros(10), fps=60.0, up_axis="z")
    write_motion(motion, source / "amass" / "still_poses.npz")
    return source


def quiet() -> Console:
    return Console(file=io.StringIO())


def run(source: Path, out: Path, **options: object) -> dict[str, ClipResult]:
    args = dataclasses.replace(ImportMotionArgs(source=source, out=out, jobs=1), **options)  # type: ignore[arg-type]
    return {result.source: result for result in import_motion(args, quiet())}


def test_good_clips_are_imported_and_a_bad_one_is_skipped_with_file_and_line(capture: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    results = run(capture, out)
    assert {name: result.status for name, result in results.items()} == {
        "07/07_01.amc": "imported",
        "07/07_12.amc": "skipped",
        "09/09_01.amc": "imported",
        "amass/still_poses.npz": "imported",
    }
    assert "07_12.amc, line" in results["07/07_12.amc"].reason
    assert "lacks" in results["07/07_12.amc"].reason
    assert not (out / "07" / "07_12.npz").exists()
    motion = read_motion(out / "07" / "07_01.npz")
    assert (motion.fps, len(motion), motion.up_axis, motion.body) == (30.0, 7, "y", "open")
    assert read_motion(out / "amass" / "still_poses.npz").up_axis == "z"


def test_the_report_says_what_became_of_every_clip(capture: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    results = run(capture, out)
    report = json.loads((out / "import_report.json").read_text())
    assert (report["imported"], report["kept"], report["skipped"]) == (3, 0, 1)
    assert report["settings"]["fps"] == 30.0
    assert [ClipResult(**clip) for clip in report["clips"]] == list(results.values())


def test_the_summary_names_the_skipped_clip_and_the_report(capture: Path, tmp_path: Path) -> None:
    console = Console(record=True, width=200, file=io.StringIO())
    import_motion(ImportMotionArgs(source=capture, out=tmp_path / "out", jobs=1), console)
    text = console.export_text()
    assert "07/07_12.amc: " in text
    assert "import_report.json" in text


def test_a_second_run_keeps_what_is_there_and_a_changed_clip_is_imported_again(capture: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = run(capture, out)
    before = (out / "07" / "07_01.npz").stat().st_mtime_ns
    second = run(capture, out)
    assert second["07/07_01.amc"] == dataclasses.replace(first["07/07_01.amc"], status="kept")
    assert second["07/07_12.amc"].status == "skipped"
    assert (out / "07" / "07_01.npz").stat().st_mtime_ns == before

    changed = capture / "09" / "09_01.amc"
    later = (out / "09" / "09_01.npz").stat().st_mtime + 10
    os.utime(changed, (later, later))
    third = run(capture, out)
    assert third["09/09_01.amc"].status == "imported"
    assert third["07/07_01.amc"].status == "kept"


def test_other_options_or_overwrite_import_everything_again(capture: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(capture, out)
    assert run(capture, out, overwrite=True)["07/07_01.amc"].status == "imported"
    assert run(capture, out, fps=60.0)["07/07_01.amc"].status == "imported"
    assert read_motion(out / "07" / "07_01.npz").fps == 60.0
    (out / "import_report.json").write_text("{}")
    assert run(capture, out, fps=60.0)["07/07_01.amc"].status == "imported"


def test_a_run_that_was_interrupted_goes_on_where_it_stopped(
    capture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    real = command.import_clip

    def interrupted(clip: Path, *rest: object) -> Motion:
        if clip.name == "09_01.amc":
            raise KeyboardInterrupt
        return real(clip, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(command, "import_clip", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(capture, out)
    assert (out / "07" / "07_01.npz").is_file()
    assert json.loads((out / "import_report.json").read_text())["imported"] == 1
    monkeypatch.setattr(command, "import_clip", real)
    results = run(capture, out)
    assert results["07/07_01.amc"].status == "kept"
    assert results["09/09_01.amc"].status == "imported"
    assert not [path for path in out.rglob("*") if path.name.startswith(".")]


def test_what_a_killed_run_left_unreported_is_kept_and_counted(capture: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = run(capture, out)
    report = json.loads((out / "import_report.json").read_text())
    (out / "import_report.json").write_text(json.dumps(report | {"clips": []}))
    second = run(capture, out)
    assert second["07/07_01.amc"].status == "kept"
    assert second["07/07_01.amc"].frames == first["07/07_01.amc"].frames


def test_a_clip_that_is_skipped_leaves_no_file_of_an_earlier_run(capture: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(capture, out)
    (capture / "07" / "07_01.amc").write_text("1\nroot 0 0\n")
    assert run(capture, out, overwrite=True)["07/07_01.amc"].status == "skipped"
    assert not (out / "07" / "07_01.npz").exists()


def test_a_file_is_never_written_over_itself(capture: Path) -> None:
    clip = capture / "amass" / "still_poses.npz"
    before = clip.read_bytes()
    with pytest.raises(InputError, match="another folder"):
        run(clip, clip.parent)
    assert clip.read_bytes() == before


def test_one_file_is_enough(capture: Path, tmp_path: Path) -> None:
    results = run(capture / "07" / "07_01.amc", tmp_path / "out")
    assert list(results) == ["07_01.amc"]
    assert (tmp_path / "out" / "07_01.npz").is_file()


def test_clips_written_into_the_source_folder_are_not_imported_again(capture: Path) -> None:
    run(capture, capture / "out")
    assert set(run(capture, capture / "out")) == {
        "07/07_01.amc",
        "07/07_12.amc",
        "09/09_01.amc",
        "amass/still_poses.npz",
    }


def test_clips_that_differ_only_in_their_suffix_or_their_folder_are_all_imported(tmp_path: Path) -> None:
    source = tmp_path / "rig"
    for name, frames in (("a/walk.bvh", 20), ("b/walk.bvh", 40)):
        (source / name).parent.mkdir(parents=True)
        (source / name).write_text(bvh_text(on_smpl(walking_poses(frames))))
    motion = Motion(pose=torch.zeros(9, 24, 3), transl=torch.zeros(9, 3), betas=torch.zeros(10), fps=30.0, up_axis="z")
    write_motion(motion, source / "b" / "walk.npz")
    results = run(source, tmp_path / "out")
    assert {name: result.output for name, result in results.items()} == {
        "a/walk.bvh": "a/walk.npz",
        "b/walk.bvh": "b/walk.bvh.npz",
        "b/walk.npz": "b/walk.npz.npz",
    }
    assert all(len(read_motion(tmp_path / "out" / r.output)) == r.frames for r in results.values())
    assert len({result.frames for result in results.values()}) == 3
    (source / "b" / "WALK.bvh").write_text("HIERARCHY")
    with pytest.raises(InputError, match=r"would both become b/walk\.bvh\.npz.*rename one"):
        run(source, tmp_path / "out")


def test_a_clip_without_its_skeleton_is_skipped(capture: Path, tmp_path: Path) -> None:
    (capture / "09" / "09.asf").unlink()
    assert "no .asf skeleton" in run(capture, tmp_path / "out")["09/09_01.amc"].reason


def test_nothing_to_import_and_nothing_imported_are_errors(capture: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file or folder"):
        run(tmp_path / "none", tmp_path / "out")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="nothing to import"):
        run(tmp_path / "empty", tmp_path / "out")
    with pytest.raises(InputError, match=r"07_12\.amc, line"):
        run(capture / "07" / "07_12.amc", tmp_path / "out")
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "01_01.amc").write_text(amc_text())
    with pytest.raises(InputError, match="nothing could be imported"):
        run(tmp_path / "bad", tmp_path / "out")
    with pytest.raises(InputError, match="no motion file"):
        run(capture / "07" / "07.asf", tmp_path / "out")


@pytest.mark.parametrize("options", [{"fps": 0.0}, {"bvh_fps": -1.0}, {"asf_fps": float("nan")}, {"jobs": 0}])
def test_options_without_meaning_are_refused(capture: Path, tmp_path: Path, options: dict[str, object]) -> None:
    with pytest.raises(InputError, match="--"):
        run(capture, tmp_path / "out", **options)


def test_a_bone_map_names_the_bones_that_names_do_not_and_a_changed_one_imports_again(tmp_path: Path) -> None:
    strange = {"left_knee": "Ossis", "right_knee": "Unknown", "pelvis": "Middle"}
    plain = on_smpl(walking_poses(20))
    rig = tmp_path / "rig"
    rig.mkdir()
    (rig / "clip.bvh").write_text(bvh_text(plain, rename=lambda name: strange.get(name, name)))
    with pytest.raises(InputError, match=r"no bone found for left_knee, right_knee.*--bone-map FILE\.toml"):
        run(rig, tmp_path / "out")
    table = tmp_path / "rig.toml"
    table.write_text('[bones]\nleft_knee = "Ossis"\nright_knee = "Unknown"\n')
    results = run(rig, tmp_path / "out", bone_map=table)
    assert results["clip.bvh"].status == "imported"
    assert run(rig, tmp_path / "out", bone_map=table)["clip.bvh"].status == "kept"
    table.write_text('[bones]\nleft_knee = "Ossis"\nright_knee = "Unknown"\nneck = []\n')
    assert run(rig, tmp_path / "out", bone_map=table)["clip.bvh"].status == "imported"
    table.write_text("[bones]\nleft_knee = 1\n")
    with pytest.raises(InputError, match=r"rig\.toml"):
        run(rig, tmp_path / "out", bone_map=table)


@pytest.mark.slow
def test_two_processes_make_the_same_files_as_one(capture: Path, tmp_path: Path) -> None:
    one, two = run(capture, tmp_path / "one"), run(capture, tmp_path / "two", jobs=2)
    assert one == two
    for name in ("07/07_01.npz", "09/09_01.npz"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


@pytest.mark.slow
def test_real_clips_are_imported(tmp_path: Path) -> None:
    real = Path.home() / "motion" / "cmu" / "07"
    if not real.is_dir():
        pytest.skip("the CMU clips are not unpacked")
    results = run(real, tmp_path / "out")
    assert {name for name, result in results.items() if result.status == "skipped"} == {"07_12.amc"}
    assert "line 7324" in results["07_12.amc"].reason
