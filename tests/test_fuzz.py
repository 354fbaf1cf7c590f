"""Files that are nearly right, by the thousand: numbers or a clear refusal, in two seconds and half a gigabyte."""

from __future__ import annotations

from pathlib import Path

import pytest

from fuzz import fuzz


def test_some_files_that_are_nearly_right_are_read_or_refused(tmp_path: Path) -> None:
    counts, failures = fuzz(1_000, seed=1, folder=tmp_path)
    assert not failures, "\n".join(failures)
    assert counts["read"] > 50


@pytest.mark.slow
def test_many_files_that_are_nearly_right_are_read_or_refused(tmp_path: Path) -> None:
    counts, failures = fuzz(20_000, seed=2, folder=tmp_path)
    print(counts)
    assert not failures, "\n".join(failures)
