"""The report of a motion from markers on the skin, which stand elsewhere on everybody."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import roma
import torch

from learnable_smplify.body import load_body
from learnable_smplify.body.carried import hanging_joint
from learnable_smplify.keypoints import Keypoints
from learnable_smplify.motion import Motion
from learnable_smplify.report.measures import FitMeasures, measure_fit
from learnable_smplify.report.stand_off import stand_off
from learnable_smplify.report.verdicts import judge
from toy_motion import drifting_transl, swinging_poses

_FRAMES = 40
_LAYOUT = "plug_in_gait"


def _motion() -> Motion:
    return Motion(swinging_poses(_FRAMES), drifting_transl(_FRAMES, 30.0), torch.zeros(10), 30.0, up_axis="y")


def _standing_off(motion: Motion, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Markers (T, K, 3) 7 cm beside the body's points, fixed to their bones, and the way from those points to them."""
    body = load_body()
    folded = body.folded(_LAYOUT)
    world = folded.shaped(motion.betas[None]).pose(roma.rotvec_to_rotmat(motion.pose)).world_rotmat
    aside = torch.randn(folded.weight.shape[0], 3, generator=torch.Generator().manual_seed(seed))
    aside = 0.07 * torch.nn.functional.normalize(aside, dim=-1)
    beside = torch.einsum("tkyx,kx->tky", world[:, hanging_joint(folded)], aside)
    return body.keypoints(motion.pose, motion.betas, motion.transl, layout=_LAYOUT) + beside, beside


def _verdicts(motion: Motion, fit: FitMeasures) -> dict[str, tuple[str, str]]:
    found = judge(motion, fit, np.full(_FRAMES, 1.0), 1.7)
    return {verdict.title: (verdict.level, verdict.sentence) for verdict in found}


def test_where_markers_stand_is_found_whatever_is_missing():
    motion = _motion()
    beside = _standing_off(motion)[1].double().numpy()
    holes = beside.copy()
    holes[::3, ::2] = np.nan
    body = load_body()
    layout = measure_fit(body, motion, Keypoints(_standing_off(motion)[0], layout=_LAYOUT, fps=30.0)).layout
    np.testing.assert_allclose(stand_off(body, motion, layout, holes), beside, atol=1e-6)
    holes[:, 3] = np.nan
    assert np.isnan(stand_off(body, motion, layout, holes)[:, 3]).all()


def test_markers_that_keep_to_the_body_are_trusted_however_far_they_stand_off():
    motion = _motion()
    positions, _ = _standing_off(motion)
    fit = measure_fit(load_body(), motion, Keypoints(positions, layout=_LAYOUT, fps=30.0))
    assert fit.stand_off_mm == pytest.approx(70, abs=0.1)
    assert np.nanmax(fit.error_mm) < 0.1
    verdicts = _verdicts(motion, fit)
    assert {level for level, _ in verdicts.values()} == {"good"}
    assert "stand 70 mm on average" in verdicts["Distance from the keypoints"][1]


def test_markers_of_another_motion_are_still_too_far():
    motion = _motion()
    other = replace(motion, pose=motion.pose.flip(0), transl=motion.transl.flip(0) * 3)
    fit = measure_fit(load_body(), motion, Keypoints(_standing_off(other)[0], layout=_LAYOUT, fps=30.0))
    assert _verdicts(motion, fit)["Distance from the keypoints"][0] == "poor"


def test_a_picture_or_two_cannot_tell_where_markers_stand():
    motion = _motion()[:2]
    fit = measure_fit(load_body(), motion, Keypoints(_standing_off(motion)[0], layout=_LAYOUT, fps=30.0))
    assert fit.stand_off_mm is None
    assert np.nanmean(fit.error_mm) == pytest.approx(70, abs=0.1)
