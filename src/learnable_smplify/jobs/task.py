"""`fit_file`: one recording in, its motions out, whichever engine calls it."""

from __future__ import annotations

import time
import traceback
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Literal

from learnable_smplify.body import Body, body_of_motion
from learnable_smplify.errors import InputError, LsmplifyError
from learnable_smplify.fit_summary import summarise_fit
from learnable_smplify.jobs.fingerprint import Fingerprint, file_hash, fingerprint
from learnable_smplify.jobs.settings import FitSettings, named_output
from learnable_smplify.keypoints import Keypoints
from learnable_smplify.motion import Motion
from learnable_smplify.solver.solver import Solver
from learnable_smplify.threads import one_thread_per_operation

Status = Literal["fitted", "kept", "failed"]


@dataclass(frozen=True)
class FitTask:
    """One recording to fit.

    Args:
        source: folder of the inputs, absolute.
        name: the recording below `source`.
        out: folder of the motions, absolute.
        output: the motion below `out`; with several people or parts, `_NAME` is put before its suffix.
        reserved: names in the output's folder that belong to other recordings.
        settings: how (settled).
        key: of the settings.
    """

    source: Path
    name: str
    out: Path
    output: str
    reserved: tuple[str, ...]
    settings: FitSettings
    key: str


@dataclass(frozen=True)
class FittedMotion:
    """One written motion, and how well it explains its keypoints.

    Args:
        output: the file below the output folder, and its size [bytes].
        person: the person's id in the recording, None where it has none.
        notes: for the user, of the reader and the writer.
        sha256: of the file's bytes, in hex.
    """

    output: str
    size: int
    person: str | None
    frames: int
    fps: float
    mean_error_mm: float
    flagged: int
    notes: tuple[str, ...] = ()
    sha256: str = ""


@dataclass(frozen=True)
class FileResult:
    """What became of one recording.

    Args:
        name: the recording below the source folder.
        output: as in the task.
        key: of the settings it was fitted with.
        status: "fitted", "kept" (an earlier run did it) or "failed".
        message: why it failed.
        seconds: that reading, fitting and writing took.
        fingerprint: of the input; None where it could not be read.
    """

    name: str
    output: str
    key: str
    status: Status
    message: str = ""
    seconds: float = 0.0
    fingerprint: Fingerprint | None = None
    motions: tuple[FittedMotion, ...] = ()


def fit_file(task: FitTask) -> FileResult:
    """Read, fit and write one recording. Never raises an `Exception`: what goes wrong is in the result.

    A process that calls this again with the same settings uses the same solver again. Nothing is written before all
    people of the recording are fitted.
    """
    began = time.perf_counter()
    try:
        source = task.source / task.name
        known = fingerprint(source)
        with one_thread_per_operation():
            motions = _fit(task, source, solver_of(task.settings))
        return FileResult(
            task.name, task.output, task.key, "fitted", "", round(time.perf_counter() - began, 3), known, motions
        )
    except LsmplifyError as error:
        message = str(error)
    except OSError as error:
        message = f"{error.filename}: {error.strerror}." if error.filename else str(error)
    except MemoryError:
        message = "There is too little memory for it."
    except Exception as error:  # a fault of ours in one recording must not cost the others
        place = traceback.extract_tb(error.__traceback__)[-1]
        message = f"Internal error, please report it: {type(error).__name__}: {error} ({place.filename}:{place.lineno})"
    return replace(failure(task, message), seconds=round(time.perf_counter() - began, 3))


def failure(task: FitTask, message: str) -> FileResult:
    """The result of a task that came to nothing."""
    return FileResult(task.name, task.output, task.key, "failed", message)


@lru_cache(maxsize=1)
def solver_of(settings: FitSettings) -> Solver:
    """The solver of these settings, opened once in a process.

    Raises:
        InputError: as `FitSettings.open_solver`.
    """
    return settings.open_solver()


def _fit(task: FitTask, source: Path, solver: Solver) -> tuple[FittedMotion, ...]:
    fitted = [one for output, person in _people(task, source) for one in _fit_person(task, output, person, solver)]
    written: list[FittedMotion] = []
    try:
        for piece in fitted:
            written.append(_write(task, piece, solver.body))
    except BaseException:
        for done in written:
            (task.out / done.output).unlink(missing_ok=True)
        raise
    return tuple(written)


@dataclass(frozen=True, eq=False)
class _Piece:
    output: str
    keypoints: Keypoints
    motion: Motion
    notes: tuple[str, ...]


def _people(task: FitTask, source: Path) -> list[tuple[str, Keypoints]]:
    """Everybody, with the name of their output."""
    people = task.settings.read(source)
    if len(people) == 1:
        return [(task.output, people[0])]
    outputs: dict[str, Keypoints] = {}
    for person in people:
        output = named_output(Path(task.output), person.person_id or "unnamed")
        if output.name.casefold() in task.reserved or output.as_posix() in outputs:
            raise InputError(
                f"person '{person.person_id}' would be written to {output.name}, which belongs to another",
                path=source,
                hint="rename the recording, or --person",
            )
        outputs[output.as_posix()] = person
    return list(outputs.items())


def _fit_person(task: FitTask, output: str, person: Keypoints, solver: Solver) -> list[_Piece]:
    settings = task.settings
    parts, notes = settings.pieces(person)
    pieces: list[_Piece] = []
    for number, part in enumerate(parts, start=1):
        name = output if len(parts) == 1 else named_output(Path(output), f"part{number}").as_posix()
        if name != output and Path(name).name.casefold() in task.reserved:
            raise InputError(f"part {number} would be written to {name}, which belongs to another recording")
        own = settings.solver_for(solver, part)
        part = own.prepared(part)
        motion = own.fit(part, settings.known_betas())
        pieces.append(_Piece(name, part, motion, notes))
    return pieces


def _write(task: FitTask, piece: _Piece, body: Body) -> FittedMotion:
    body = body_of_motion(piece.motion.body, body)
    summary = summarise_fit(body, piece.motion, piece.keypoints)
    path = task.out / piece.output
    notes = task.settings.write(piece.motion, path, body)
    return FittedMotion(
        output=piece.output,
        size=path.stat().st_size,
        sha256=file_hash(path),
        person=piece.keypoints.person_id,
        frames=summary.frames,
        fps=piece.motion.fps,
        mean_error_mm=round(summary.mean_error_mm, 3),
        flagged=summary.flagged,
        notes=(*piece.motion.notes, *piece.notes, *notes),
    )
