"""`fit_report.json`: what a run did, for the user, and for the next run to go on from."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from learnable_smplify.jobs.fingerprint import Fingerprint
from learnable_smplify.jobs.inputs import REPORT_NAME
from learnable_smplify.jobs.settings import FitSettings
from learnable_smplify.jobs.task import FileResult, FittedMotion
from learnable_smplify.safe_files.atomic import atomic_output


@dataclass(frozen=True)
class FolderReport:
    """What became of every recording of a folder, in order of name.

    Args:
        source: folder of the recordings.
        out: folder of the motions.
        settings: how they were fitted.
        results: one a recording.
    """

    source: Path
    out: Path
    settings: FitSettings
    results: tuple[FileResult, ...]

    def count(self, status: str) -> int:
        """Recordings of this status."""
        return sum(result.status == status for result in self.results)


def read_results(out: Path) -> dict[str, FileResult]:
    """What earlier runs finished, by the name of the recording; empty without a report that can be used."""
    try:
        content = json.loads((out / REPORT_NAME).read_text(encoding="utf-8"))
        results = [_result(entry) for entry in content["files"]]
    except (OSError, ValueError, TypeError, KeyError):
        return {}  # none, or one somebody has edited: everything is fitted again
    return {result.name: result for result in results}


def write_report(report: FolderReport, others: Iterable[FileResult] = ()) -> None:
    """Write OUT/fit_report.json, whole or not at all.

    Args:
        report: the run.
        others: results of earlier runs over other recordings, to be remembered.

    Raises:
        InputError: the folder cannot be written to.
    """
    content = {
        "source": str(report.source),
        "settings": asdict(report.settings),
        **{status: report.count(status) for status in ("fitted", "kept", "failed")},
        "files": [asdict(result) for result in sorted((*report.results, *others), key=lambda result: result.name)],
    }
    with atomic_output(report.out / REPORT_NAME) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def _result(entry: dict[str, Any]) -> FileResult:
    known = entry["fingerprint"]
    motions = tuple(FittedMotion(**{**motion, "notes": tuple(motion["notes"])}) for motion in entry["motions"])
    result = FileResult(**{**entry, "motions": motions, "fingerprint": None if known is None else Fingerprint(**known)})
    texts = (result.name, result.output, result.key, *(motion.output for motion in motions))
    # Files by these names are removed when they are out of date, so they must lie in the folder.
    if any(PurePosixPath(text).is_absolute() or ".." in PurePosixPath(text).parts for text in texts):
        raise ValueError("a name leads out of the folder")
    return result
