"""`lsmplify fit FOLDER`: the bar and the closing table of a fit of many recordings."""

from __future__ import annotations

import os
import time
from collections import Counter
from pathlib import Path

from rich.console import Console
from rich.table import Table

from learnable_smplify.cli.progress import files_progress
from learnable_smplify.errors import InputError
from learnable_smplify.formats.motion.motion_file import WRITERS
from learnable_smplify.jobs.folder import Engine, fit_folder
from learnable_smplify.jobs.inputs import REPORT_NAME, find_recordings
from learnable_smplify.jobs.report import FolderReport
from learnable_smplify.jobs.settings import FitSettings
from learnable_smplify.jobs.task import FileResult, FittedMotion

# A longer table would push itself off the screen.
_MOST_ROWS = 60
_WORST_ROWS = 20
_MOST_NOTES = 8


def fit_folder_command(
    source: Path,
    out: Path,
    settings: FitSettings,
    jobs: int | None,
    engine: Engine,
    only: str,
    check: bool,
    console: Console,
) -> None:
    """Fit every recording below `source`, and tell how it went.

    Raises:
        InputError: as `fit_folder`; and, after everything else was written, if a recording could not be fitted.
        MissingExtraError: as `fit_folder`.
    """
    if out.suffix.lower() in WRITERS and not out.is_dir():
        find_recordings(source, out, only)  # nothing in it is worse than a file's name for a folder
        raise InputError(
            f"{source} holds several recordings, and this is the name of one file",
            path=out,
            expected="a folder for the motions",
            hint=f"lsmplify fit {source} -o {out.with_suffix('')}",
        )
    if out.exists() and not out.is_dir():
        raise InputError("this is a file", path=out, expected="a folder for the motions")
    began = time.perf_counter()
    with files_progress(console, "fitting") as show:

        def advance(result: FileResult | None, done: int, total: int) -> None:
            show(done, total, "" if result is None else _shown(result.name))
            if result is not None and result.status == "failed":
                console.print(f"failed: {_shown(result.message)}", style="red", markup=False, highlight=False)

        report = fit_folder(source, out, settings, jobs=jobs, engine=engine, only=only, check=check, advance=advance)
    print_folder_summary(report, time.perf_counter() - began, console)
    failed = [result for result in report.results if result.status == "failed"]
    if failed:
        raise InputError(
            f"{len(failed)} of {len(report.results)} recordings could not be fitted, all others were",
            path=source,
            hint=f"see 'failed' above or in {out / REPORT_NAME}; the same command tries only these again",
        )


def print_folder_summary(report: FolderReport, seconds: float, console: Console) -> None:
    """A row a motion; of many, the failed and the worst."""
    rows = [(result, motion) for result in report.results for motion in result.motions or (None,)]
    shown = rows
    if len(rows) > _MOST_ROWS:
        fitted = sorted((row for row in rows if row[1]), key=lambda row: -row[1].mean_error_mm if row[1] else 0)
        chosen = {id(row) for row in (*fitted[:_WORST_ROWS], *(row for row in rows if row[1] is None))}
        shown = [row for row in rows if id(row) in chosen]
    table = Table(title="fit", title_justify="left", title_style="bold", box=None)
    table.add_column("file", overflow="fold")
    for heading in ("frames", "fps", "error [mm]", "flagged", "seconds"):
        table.add_column(heading, justify="right")
    table.add_column("status")
    for result, motion in shown:
        table.add_row(*_row(result, motion))
    console.print(table)
    if len(shown) < len(rows):
        console.print(f"shown: the failed and those that fit worst; all {len(rows)} are in {REPORT_NAME}")
    _print_notes(report, console)
    motions = [motion for _, motion in rows if motion is not None]
    frames = sum(motion.frames for motion in motions)
    error = sum(motion.mean_error_mm * motion.frames for motion in motions) / max(1, frames)
    counts = ", ".join(f"{report.count(status)} {status}" for status in ("fitted", "kept", "failed"))
    for line in (
        f"{len(report.results)} recordings: {counts}; {frames} frames, mean keypoint error {error:.1f} mm, "
        f"{sum(motion.flagged for motion in motions)} frames flagged, {seconds:.1f} s",
        f"motions: {report.out}",
    ):
        console.print(line, style="bold", markup=False, highlight=False, soft_wrap=True)


def _row(result: FileResult, motion: FittedMotion | None) -> tuple[str, ...]:
    status = result.status
    if motion is None:
        return _shown(result.name), "", "", "", "", f"{result.seconds:.1f}", status
    name = _shown(result.name)
    if len(result.motions) > 1:
        name += f" ({_shown(Path(motion.output).stem)})"
    numbers = (str(motion.frames), f"{motion.fps:g}", f"{motion.mean_error_mm:.1f}", str(motion.flagged))
    return name, *numbers, f"{result.seconds:.1f}", status


def _print_notes(report: FolderReport, console: Console) -> None:
    """What was assumed or converted: each note once, with how many motions it is about."""
    counts = Counter(note for result in report.results for motion in result.motions for note in motion.notes)
    for note, count in counts.most_common(_MOST_NOTES):
        text = f"note ({count} of {sum(len(result.motions) for result in report.results)}): {note}"
        console.print(_shown(text), style="yellow", markup=False, highlight=False, soft_wrap=True)
    if len(counts) > _MOST_NOTES:
        console.print(f"note: {len(counts) - _MOST_NOTES} more are in {REPORT_NAME}", style="yellow", highlight=False)


def _shown(text: str) -> str:
    """File names need not be Unicode, terminals expect it."""
    return os.fsencode(text).decode("utf-8", "replace")
