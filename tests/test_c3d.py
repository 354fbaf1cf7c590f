from __future__ import annotations

import io
import sys
import warnings
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from learnable_smplify.errors import InputError, MissingExtraError
from learnable_smplify.formats.keypoints.keypoint_file import read_keypoints, read_people
from toy_recording import BODY25, standing_person

Z_UP = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])


def write_c3d(path: Path, labels: list[str], points: np.ndarray, units: str | None = "mm", rate: float = 120) -> Path:
    """Points (T, K, 3); NaN is written as an occluded point."""
    c3d = pytest.importorskip("c3d")
    writer = c3d.Writer(point_rate=rate)
    writer.set_point_labels(labels)
    if units:
        writer.point_group.add_str("UNITS", "", units, len(units))
    for frame in points:
        row = np.c_[np.nan_to_num(frame), np.where(np.isnan(frame).any(axis=1), -1, 0), np.zeros(len(frame))]
        writer.add_frames([(row.astype(np.float32), np.array([[]]))])
    stream = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        writer.write(stream)
    path.write_bytes(stream.getvalue())
    return path


def test_points_units_rate_and_occlusion_are_read(tmp_path: Path):
    points = standing_person(6) @ Z_UP.T * 1000
    points[2, 4] = np.nan
    labels = [*BODY25, "C7_study"]
    path = write_c3d(tmp_path / "a.c3d", labels, np.concatenate([points, np.ones((6, 1, 3))], axis=1))
    keypoints = read_keypoints(path)
    np.testing.assert_allclose(keypoints.positions, np.nan_to_num(points) / 1000, atol=1e-4)
    assert (keypoints.layout.name, keypoints.fps, keypoints.up_axis) == ("body25", 120, "z")
    assert (keypoints.confidence[2, 4], keypoints.confidence[2, 5]) == (0, 1)
    assert any("C7_study" in note for note in keypoints.notes)
    assert any("is in mm" in note for note in keypoints.notes)


def test_labels_with_a_prefix_are_people(tmp_path: Path):
    points = standing_person(3)
    labels = [f"{name}:{label}" for name in ("ann", "bob") for label in BODY25]
    path = write_c3d(
        tmp_path / "a.c3d", labels, np.concatenate([points, points + np.array([1, 0, 0])], axis=1), units="m"
    )
    ann, bob = read_people(path)
    assert (ann.person_id, bob.person_id) == ("ann", "bob")
    np.testing.assert_allclose(bob.positions - ann.positions, np.broadcast_to([1, 0, 0], (3, 25, 3)), atol=1e-4)
    assert read_keypoints(path, person="bob").person_id == "bob"


def test_surface_markers_and_cut_files_are_refused(tmp_path: Path):
    points = standing_person(8)
    with pytest.raises(InputError, match="cannot be told from these names"):
        read_keypoints(write_c3d(tmp_path / "a.c3d", [f"M{i:02d}" for i in range(25)], points))
    path = write_c3d(tmp_path / "a.c3d", list(BODY25), points)
    path.write_bytes(path.read_bytes()[:1800])
    with pytest.raises(InputError, match=r"C3D|promises"):
        read_keypoints(path)


def test_a_file_that_breaks_off_is_read_as_far_as_it_goes(tmp_path: Path):
    points = standing_person(60)
    path = write_c3d(tmp_path / "a.c3d", list(BODY25), points, units="m")
    path.write_bytes(path.read_bytes()[: -40 * 25 * 16])
    keypoints = read_keypoints(path)
    assert 5 < len(keypoints) < 60
    np.testing.assert_allclose(keypoints.positions, points[: len(keypoints)], atol=1e-4)
    assert any("promises 60 frames" in note for note in keypoints.notes)


def test_poses_of_segments_without_points_are_called_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    c3d = pytest.importorskip("c3d")
    path = write_c3d(tmp_path / "a.c3d", list(BODY25), standing_person(3))
    for rotation, message in ((None, "there are no points"), (object(), r"Theia3D.*import-motion")):
        reader = SimpleNamespace(point_used=0, first_frame=1, last_frame=3, get=lambda name, found=rotation: found)
        monkeypatch.setattr(c3d, "Reader", lambda stream, reader=reader: reader)
        with pytest.raises(InputError, match=message):
            read_keypoints(path)


def test_a_missing_package_is_named_with_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "a.c3d").write_bytes(b"x")
    monkeypatch.setattr(sys, "path", [])
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"learnable-smplify\[c3d\]"):
        read_keypoints(tmp_path / "a.c3d")
