"""A folder of recordings fitted again: damage and changes that no size or time tells of are noticed."""

from __future__ import annotations

import os
from collections.abc import Generator, Sequence
from pathlib import Path

import pytest
import torch

import learnable_smplify as ls
from learnable_smplify.formats.keypoints.keypoints_npz import write_keypoints_npz
from learnable_smplify.jobs import folder as folder_module
from learnable_smplify.jobs.folder import fit_folder
from learnable_smplify.jobs.task import FileResult, FitTask, fit_file
from toy_recording import standing_person


@pytest.fixture
def fitted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    names: list[str] = []

    def run(tasks: Sequence[FitTask], jobs: int) -> Generator[FileResult, None, None]:
        for task in tasks:
            names.append(task.name)
            yield fit_file(task)

    monkeypatch.setattr(folder_module, "run_in_processes", run)
    return names


def test_a_damaged_motion_is_fitted_again_and_a_recording_changed_unseen_is_found_by_check(
    tmp_path: Path, fitted: list[str]
) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    recording = source / "a.npz"
    write_keypoints_npz(ls.Keypoints(torch.as_tensor(standing_person()), "body25", 30.0, up_axis="y"), recording)
    fit_folder(source, out)
    whole = (out / "a.npz").read_bytes()
    fit_folder(source, out)
    assert fitted == ["a.npz"]

    (out / "a.npz").write_bytes(bytes([whole[0] ^ 1]) + whole[1:])
    fit_folder(source, out)
    assert fitted == ["a.npz"] * 2
    assert (out / "a.npz").read_bytes() == whole

    times = recording.stat()
    data = bytearray(recording.read_bytes())
    data[-1] ^= 1  # the archive's comment length: no size and no time tells
    recording.write_bytes(data)
    os.utime(recording, ns=(times.st_atime_ns, times.st_mtime_ns))
    fit_folder(source, out)
    assert len(fitted) == 2
    fit_folder(source, out, check=True)
    assert len(fitted) == 3
