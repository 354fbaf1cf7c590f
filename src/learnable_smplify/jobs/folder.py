"""`fit_folder`: every recording below a folder, as many at a time as there are cores, going on where a run stopped."""

from __future__ import annotations

import re
import time
from collections import defaultdict
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Literal

from learnable_smplify.errors import InputError
from learnable_smplify.jobs.fingerprint import file_hash, is_same
from learnable_smplify.jobs.inputs import REPORT_NAME, plan_tasks
from learnable_smplify.jobs.processes import core_count, run_in_processes
from learnable_smplify.jobs.ray_cluster import require_ray, run_on_ray
from learnable_smplify.jobs.report import FolderReport, read_results, write_report
from learnable_smplify.jobs.settings import FitSettings
from learnable_smplify.jobs.task import FileResult, FitTask, FittedMotion, solver_of

Engine = Literal["processes", "ray"]
ENGINES: tuple[Engine, ...] = ("processes", "ray")
# Of the time of a run, writing the report as it goes on may take a fiftieth.
_REPORT_SHARE = 50
# Names that `atomic_output` gives to a file under way.
_LEFTOVER = re.compile(r"\.(.+)\.[a-z0-9_]{8}\.(?:npz|json)")


def fit_folder(
    source: Path,
    out: Path,
    settings: FitSettings | None = None,
    *,
    jobs: int | None = None,
    engine: Engine = "processes",
    only: str = "*",
    check: bool = False,
    advance: Callable[[FileResult | None, int, int], None] | None = None,
) -> FolderReport:
    """Fit every recording below `source` and write `out`/<same path>.npz and `out`/fit_report.json.

    A motion that an earlier run wrote is kept if its recording and the settings are the same. Stopped at any moment,
    a run leaves whole files only, and the next one comes to the same bytes as one that was not stopped. One run at a
    time may write to a folder.

    Args:
        source: folder of keypoint files (see `find_recordings`).
        out: folder of the motions.
        settings: how to fit.
        jobs: recordings at a time; None: as many as there are cores (on "cuda": 1).
        engine: "processes" on this machine, or "ray" (see `run_on_ray`).
        only: pattern that the recordings' names must match.
        check: read all of every recording, to notice one that changed without another size or time.
        advance: called with a result (None at the beginning), how many recordings are done, and how many there are.

    Returns:
        What became of each; a recording that failed does not stop the others.

    Raises:
        InputError: nothing to fit, an option without meaning, or a folder that cannot be written to.
        MissingExtraError: `engine="ray"` without Ray.
        LsmplifyError: no process could be started, or no cluster reached.
    """
    settings = (settings or FitSettings()).settled()
    _check(settings, jobs, engine)
    source, out = source.absolute(), out.absolute()
    tasks = plan_tasks(source, out, settings, only)
    earlier = read_results(out)
    results = {
        task.name: replace(earlier[task.name], status="kept") for task in tasks if _is_done(task, earlier, check)
    }
    waiting = [task for task in tasks if task.name not in results]
    if waiting:
        solver_of(settings)  # refused here, once, rather than once for every recording
    _remove_leftovers(tasks, out)
    remembered = {name for name in earlier if (source / name).exists()}
    owners = {task.output: task.name for task in tasks}
    owners |= {motion.output: name for name, result in results.items() for motion in result.motions}

    def report() -> FolderReport:
        return FolderReport(source, out, settings, tuple(results[name] for name in sorted(results)))

    def save() -> None:
        write_report(report(), [earlier[name] for name in remembered if name not in results])

    def tell(result: FileResult | None) -> None:
        if advance is not None:
            advance(result, len(results), len(tasks))

    tell(None)
    next_save_s = 0.0
    try:
        with closing(_run(waiting, jobs, engine)) as finished:
            for result in finished:
                results[result.name] = result
                owners |= {motion.output: result.name for motion in result.motions}
                _remove_stale(result, earlier.get(result.name), owners, out)
                began = time.monotonic()
                if began >= next_save_s:
                    save()
                    next_save_s = began + _REPORT_SHARE * (time.monotonic() - began)
                tell(result)
    finally:
        save()
    return report()


def _check(settings: FitSettings, jobs: int | None, engine: Engine) -> None:
    if jobs is not None and jobs < 1:
        raise InputError(f"--jobs is {jobs}", expected="1 or more", hint=f"--jobs {core_count()}")
    if engine not in ENGINES:
        raise InputError(f"unknown engine '{engine}'", expected=" or ".join(ENGINES))
    if engine == "ray":
        require_ray()
        if settings.device != "cpu":
            raise InputError(f"--engine ray computes on CPUs, not on '{settings.device}'", hint="--engine processes")


def _run(tasks: Sequence[FitTask], jobs: int | None, engine: Engine) -> Generator[FileResult, None, None]:
    if not tasks:
        return
    if engine == "ray":
        yield from run_on_ray(tasks, jobs)
    else:
        yield from run_in_processes(tasks, jobs or (core_count() if tasks[0].settings.device == "cpu" else 1))


def _is_done(task: FitTask, earlier: dict[str, FileResult], check: bool) -> bool:
    known = earlier.get(task.name)
    return (
        known is not None
        and known.status != "failed"
        and (known.output, known.key) == (task.output, task.key)
        and known.fingerprint is not None
        and all(_is_whole(task.out / motion.output, motion) for motion in known.motions)
        and is_same(task.source / task.name, known.fingerprint, check)
    )


def _is_whole(path: Path, motion: FittedMotion) -> bool:
    """Whether a motion is there as it was written, to the last byte."""
    return path.is_file() and path.stat().st_size == motion.size and file_hash(path) == motion.sha256


def _remove_leftovers(tasks: Sequence[FitTask], out: Path) -> None:
    """What a run that was killed was about to write: temporary files of `atomic_output`."""
    stems: dict[Path, set[str]] = defaultdict(set)
    stems[out].add(Path(REPORT_NAME).stem)
    for task in tasks:
        output = out / task.output
        stems[output.parent].add(output.stem)
    for folder, known in stems.items():
        for path in folder.glob(".*"):
            found = _LEFTOVER.fullmatch(path.name)
            if found and any(found[1] == stem or found[1].startswith(f"{stem}_") for stem in known):
                path.unlink(missing_ok=True)


def _remove_stale(result: FileResult, earlier: FileResult | None, owners: dict[str, str], out: Path) -> None:
    """Motions of an earlier run that this one did not write again would pass for its own."""
    written = {motion.output for motion in result.motions}
    for motion in () if earlier is None else earlier.motions:
        if motion.output not in written and owners.get(motion.output, result.name) == result.name:
            (out / motion.output).unlink(missing_ok=True)
