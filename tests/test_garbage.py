"""Recordings that are no person in space are named: flagged with the reason, or refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from learnable_smplify.body import load_body
from learnable_smplify.errors import InputError
from learnable_smplify.formats.keypoints.keypoint_file import read_keypoints
from learnable_smplify.keypoints import Keypoints
from learnable_smplify.repair.garbage import examine
from learnable_smplify.solver import Solver
from toy_recording import squatting_person, standing_person


def recording(points: np.ndarray) -> Keypoints:
    return Keypoints(torch.tensor(points), layout="body25", fps=30)


def garbage() -> dict[str, tuple[np.ndarray, str]]:
    chance = np.random.default_rng(2)
    points = standing_person(30)
    scores = points * [400, -400, 0] + [600, 500, 0]
    scores[..., 2] = chance.random(points.shape[:2])
    return {
        "flat": (points * [1, 1, 0], "lie in a plane (z says nothing)"),
        "flat but for noise": (
            points * [1, 1, 0] + [0, 0, 0.02] * chance.normal(size=points.shape),
            "(z says nothing)",
        ),
        "depth in another unit": (points * [1, 1, 0.1], "lie in a plane (z says nothing)"),
        "pixels and scores": (scores, "lie in a plane (z says nothing)"),
        "a tilted plane": (points * [1, 1, 0] @ np.linalg.qr(chance.normal(size=(3, 3)))[0], "lie in a plane"),
        "a line": (points * [0, 1, 0], "on a line"),
        "one point": (np.full_like(points, 1.5), "in one point"),
        "a tenth": (points * 0.1, "the limbs are"),
        "three times": (points * 3, "--scale-to-body"),
        "noise": (0.3 * chance.normal(size=points.shape), "change their length"),
        "leaps": (points + 5 * (np.arange(30) % 2)[:, None, None], "leaps faster than 20 m/s"),
    }


@pytest.mark.parametrize("kind", garbage())
def test_what_is_no_person_is_flagged_with_the_reason(kind: str):
    points, reason = garbage()[kind]
    doubt = examine(recording(points))
    assert reason in " ".join(doubt.reasons)
    assert float(doubt.frames.float().mean()) > 0.9


def test_people_are_not_doubted():
    for points in (standing_person(30), 0.45 * standing_person(30), standing_person(1), standing_person(30)[:, :8]):
        whole = np.full((len(points), 25, 3), np.nan)
        whole[:, : points.shape[1]] = points
        assert examine(recording(whole)).reasons == ()


@pytest.mark.parametrize("layout", ["body25", "coco17", "h36m17", "smpl24", "mocap20"])
def test_somebody_in_a_t_pose_is_no_plane(layout: str):
    points = load_body().keypoints(torch.zeros(1, 24, 3), torch.zeros(1, 10), layout=layout)
    for turn in (points, points[..., [0, 2, 1]], points[..., [2, 1, 0]]):
        assert examine(Keypoints(turn, layout=layout, fps=30)).reasons == ()


def test_one_frame_repeated_is_named():
    doubt = examine(recording(standing_person(1).repeat(30, axis=0)))
    assert doubt.reasons == ("all 30 frames are one and the same: there is one pose, and no motion",)


def test_keypoints_in_the_order_of_another_layout_are_named():
    body, (pose, transl) = load_body(), squatting_person(30)
    points = body.keypoints(pose, torch.zeros(10), transl, layout="body25b")
    motion = Solver(method="gauss_newton").fit(Keypoints(points, "body25", up_axis="y"))
    said = "in another order than that of body25 (--layout body25b or ntu25), or not of one person"
    assert motion.flagged.all()
    assert any(note.startswith("no body fits in most frames") and note.endswith(said) for note in motion.notes)


def test_keypoints_in_no_layout_s_order_are_no_matter_of_units():
    mixed = standing_person(40)[:, np.random.default_rng(0).permutation(25)]
    (reason,) = examine(recording(mixed)).reasons
    assert "another order than the layout's (--layout)" in reason
    assert "--units" not in reason
    (reason,) = examine(recording(standing_person(40) * 0.1)).reasons
    assert "--units" in reason


def test_takes_joined_together_are_named_where_they_meet():
    body, (pose, transl) = load_body(), squatting_person()
    points = body.keypoints(pose, torch.zeros(10), transl, layout="body25").numpy()
    away = points.copy()
    away[40:] += (0.5, 0, 0.3)
    astray = points.copy()
    astray[20] += (0, 0, 5)
    for joined, frames in ((away, "40"), (astray, "20")):
        doubt = examine(recording(joined))
        assert [int(frame) for frame in frames.split(", ")] == doubt.frames.nonzero()[:, 0].tolist()
        assert f"elsewhere from one frame to the next (at frame {frames})" in doubt.reasons[-1]
    for every in (1, 2, 4):  # a squat a second, at 30, 15 and 7.5 frames a second
        fast = replace(recording(points[::every]), fps=30 / every)
        assert not examine(fast).reasons


def test_inches_and_the_centimetres_of_a_small_child_are_told_apart_and_feet_are_asked_for(tmp_path: Path):
    small, rest = torch.zeros(10), torch.zeros(1, 24, 3)
    small[0] = -2.0
    infant = load_body("open-child").keypoints(rest, small, layout="coco17").numpy()
    adult = load_body().keypoints(rest, torch.zeros(10), layout="coco17").numpy()
    for points, metres, factor, said in (
        (adult, 0.0254, 1.0, "looked like inches"),
        (infant, 0.01, 1.0, "looked like centimetres of a small child"),
        (adult, 0.3048, 1 / 0.3048, "times as long as an adult's, as in feet: check the units"),
    ):
        np.save(tmp_path / "a.npy", points / metres)
        keypoints = read_keypoints(tmp_path / "a.npy", layout="coco17", fps=30)
        np.testing.assert_allclose(keypoints.positions, factor * points, atol=1e-4)
        assert said in keypoints.notes[0]


def test_a_size_says_nothing_where_it_will_be_changed():
    assert examine(recording(standing_person(30) * 7), any_size=True).reasons == ()
    assert examine(recording(standing_person(30) * [7, 7, 0]), any_size=True).reasons


def test_numbers_beyond_the_earth_are_missing_or_refused():
    points = standing_person(20)
    points[4, 3] = 1e30
    doubt = examine(recording(points))
    assert doubt.frames.nonzero()[:, 0].tolist() == [4]
    assert (doubt.keypoints.confidence == 0).sum() == 1
    with pytest.raises(InputError, match="every position lies beyond 1000 km"):
        examine(recording(points * 1e30))


def test_a_fit_says_why_it_is_not_to_be_trusted():
    motion = Solver(method="gauss_newton").fit(recording(garbage()["flat"][0][:4]))
    assert bool(motion.flagged.all())
    assert "no frame is trusted" in motion.notes[-1]


@pytest.mark.parametrize("place", [0.0, 1.5, 40.0])
@pytest.mark.parametrize("method", ["neural", "gauss_newton"])
def test_all_keypoints_in_one_point_are_named_and_never_a_traceback(place: float, method: str):
    motion = Solver(method=method).fit(recording(np.full((60, 25, 3), place) + np.array([0, 0.5, 1])))
    assert bool(motion.flagged.all())
    assert "all keypoints are in one point: no frame is trusted" in motion.notes
    assert bool(torch.isfinite(motion.pose).all())


def pictured(frames: int = 10) -> np.ndarray:
    """(T, 33, 4) MediaPipe's `pose_landmarks` of somebody who stands in the middle of the picture."""
    points = np.zeros((frames, 33, 4))
    points[..., 0], points[..., 1] = 0.5 + 0.06 * (-1.0) ** np.arange(33), np.linspace(0.15, 0.9, 33)
    points[:, 23:25, 1] = 0.55
    points[..., 2] = 0.1 * np.sin(np.arange(33))
    points[:, 23:25, 2] = [0.01, -0.01]
    points[..., 3] = 0.9
    return points + 0.002 * np.random.default_rng(0).normal(size=points.shape)


def test_picture_coordinates_are_recognised_in_arrays_and_in_json(tmp_path: Path):
    np.save(tmp_path / "picture.npy", pictured())
    keys = ("x", "y", "z", "visibility")
    frames = [[dict(zip(keys, row, strict=True)) for row in frame] for frame in pictured().tolist()]
    (tmp_path / "picture.json").write_text(json.dumps(frames))
    for name in ("picture.npy", "picture.json"):
        with pytest.raises(InputError, match=r"look like picture coordinates.*pose_world_landmarks.*--units m"):
            read_keypoints(tmp_path / name)
        assert len(read_keypoints(tmp_path / name, units="m")) == 10
    world = pictured()
    world[..., :3] -= world[:, 23:25, :3].mean(axis=1, keepdims=True)
    np.save(tmp_path / "world.npy", world)
    assert len(read_keypoints(tmp_path / "world.npy")) == 10
