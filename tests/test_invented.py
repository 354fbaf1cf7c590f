"""Halves of a body that are never seen rest, stand upright and keep still; a note says that they are invented."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from learnable_smplify.formats.keypoints.keypoint_file import read_keypoints
from learnable_smplify.keypoints import Keypoints
from learnable_smplify.layouts.layout import load_layout
from learnable_smplify.motion import Motion
from learnable_smplify.solver import Solver
from learnable_smplify.solver.invented import with_invented
from toy_recording import standing_person

CASES = Path(__file__).parents[2] / "shared" / "cases" / "bugs"
GROUPS = np.array(load_layout("body25").groups)
LEGS = np.isin(GROUPS, ("legs", "feet"))
HIPS = np.array(["Hip" in name for name in load_layout("body25").keypoint_names])


def part(seen: np.ndarray, height: float = 0.0, up_axis: str | None = "y") -> Keypoints:
    points = standing_person(40)
    points[..., 0] += 0.04 * np.sin(np.linspace(0, 6, 40))[:, None]
    points[..., 1] += height
    return Keypoints(
        torch.tensor(points), layout="body25", fps=30, confidence=torch.tensor(seen).float(), up_axis=up_axis
    )


def joints_of(motion: Motion, solver: Solver) -> np.ndarray:
    return solver.body.joints(motion.pose, motion.betas, motion.transl).numpy()


def tilt_deg(motion: Motion) -> np.ndarray:
    import roma

    return np.degrees(np.arccos(roma.rotvec_to_rotmat(motion.pose[:, 0])[:, 1, 1].clamp(-1, 1).numpy()))


@pytest.mark.parametrize("method", ["neural", "gauss_newton"])
def test_a_bust_stands_upright_on_feet_that_keep_still(method: str):
    solver = Solver(method=method)
    motion = solver.fit(part(~(LEGS | HIPS)))
    joints = joints_of(motion, solver)
    assert float(tilt_deg(motion).mean()) < 20
    assert np.ptp(joints[:, [7, 8]], axis=0).max() < 0.12
    assert np.linalg.norm(np.diff(joints[:, [4, 5, 7, 8]], axis=0), axis=-1).max() < 0.04
    assert joints[:, [7, 8], 1].mean() < joints[:, 0, 1].mean() - 0.65
    assert "hips and legs are not seen: they are invented, as of somebody who stands" in motion.notes


@pytest.mark.parametrize(("height", "way"), [(-0.3, "sits"), (0.0, "stands")])
def test_legs_below_seen_hips_sit_or_stand_by_the_hips_height(height: float, way: str):
    solver = Solver(method="gauss_newton")
    motion = solver.fit(part(~LEGS | HIPS, height))
    joints = joints_of(motion, solver)
    assert f"the legs are not seen: they are invented, as of somebody who {way}" in motion.notes
    thigh = joints[:, 1, 1] - joints[:, 4, 1]
    assert (thigh.max() < 0.15) if way == "sits" else (thigh.min() > 0.3)


def test_legs_alone_carry_an_upright_trunk():
    solver = Solver(method="gauss_newton")
    motion = solver.fit(part(LEGS | HIPS))
    joints = joints_of(motion, solver)
    trunk = joints[:, 12] - joints[:, 0]
    assert float(np.degrees(np.arccos(trunk[:, 1] / np.linalg.norm(trunk, axis=-1))).mean()) < 20
    assert "trunk, head and arms are not seen" in " ".join(motion.notes)


def test_whole_bodies_are_left_alone_and_without_up_axis_nothing_is_invented():
    whole = part(np.ones(25, dtype=bool))
    assert with_invented(whole) is whole
    bust = part(~(LEGS | HIPS), up_axis=None)
    after = with_invented(bust)
    torch.testing.assert_close(after.confidence, bust.confidence)
    assert "--up" in after.notes[-1]


def test_the_shared_busts_rest():
    if not (CASES / "01-upper-body-only").is_dir():
        pytest.skip("the shared cases are not here")
    solver = Solver()
    bust = read_keypoints(CASES / "01-upper-body-only" / "01.npy", layout="body25", fps=30)
    assert bust.up_axis == "y"
    motion = solver.fit(bust)
    joints = joints_of(motion, solver)
    assert float(tilt_deg(motion).mean()) < 20
    assert np.ptp(joints[:, [7, 8]][..., [0, 2]], axis=0).max() < 0.2
    seated = solver.fit(read_keypoints(CASES / "22-upper-body-with-hips-seated" / "02.npy", layout="body25", fps=30))
    assert "the legs are not seen: they are invented, as of somebody who sits" in seated.notes
