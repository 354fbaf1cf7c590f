"""What users give as numbers: any form of them gives the same answer, and what is none is refused in our own words."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import learnable_smplify as ls
from learnable_smplify.arrays import as_number, as_tensor
from learnable_smplify.refine import RefineOptions
from learnable_smplify.solver.frame.numeric import PairOptions

NUMBERS = np.arange(12, dtype=np.float64).reshape(4, 3) / 7


def read_only(values: np.ndarray) -> np.ndarray:
    values = values.astype(np.float32)
    values.setflags(write=False)
    return values


FORMS: dict[str, Callable[[np.ndarray], Any]] = {
    "lists": lambda values: values.tolist(),
    "a list of arrays": list,
    "a list of tensors": lambda values: [torch.tensor(row) for row in values],
    "float32": lambda values: values.astype(np.float32),
    "big-endian": lambda values: values.astype(">f4"),
    "backwards in memory": lambda values: values[::-1].copy()[::-1],
    "read-only": read_only,
    "objects": lambda values: values.astype(object),
    "needs gradients": lambda values: torch.tensor(values, requires_grad=True),
}


@pytest.mark.parametrize("form", FORMS)
def test_numbers_in_any_form_are_the_same(form: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = as_tensor(FORMS[form](NUMBERS), "numbers")
    assert torch.allclose(found.detach().double(), torch.tensor(NUMBERS), atol=1e-6)


def test_what_a_mask_hides_is_missing() -> None:
    masked = np.ma.masked_array(NUMBERS, mask=NUMBERS > 1)
    assert bool((as_tensor(masked, "numbers").isnan().numpy() == (NUMBERS > 1)).all())


NONE = (
    None,
    "text",
    b"text",
    {},
    print,
    [[1.0, 2.0], [3.0]],
    np.array(["a"]),
    np.array([1 + 2j]),
    [torch.zeros(2), torch.zeros(3)],
    torch.zeros(2, dtype=torch.complex64),
    torch.zeros(2).to_sparse(),
)


@pytest.mark.parametrize("value", NONE, ids=str)
def test_what_is_no_numbers_is_refused_wherever_it_is_given(value: Any) -> None:
    body = ls.load_body()
    solver, pose, betas = ls.Solver(body, "gauss_newton"), torch.zeros(2, 24, 3), torch.zeros(10)
    keypoints = body.keypoints(pose, betas)
    calls: list[Callable[[], Any]] = [
        lambda: as_tensor(value, "numbers"),
        lambda: solver.solve_pairs(value, keypoints, betas),
        lambda: solver.solve_pairs(pose, value, betas),
        lambda: solver.solve_pairs(pose, keypoints, value),
        lambda: solver.solve_frames(value, betas),
        lambda: solver.fit(keypoints, layout="body25", start=(value, torch.zeros(3))),
        lambda: solver.stream().push(value),
        lambda: body.vertices(value, betas),
        lambda: body.joints(pose, value),
        lambda: ls.Keypoints(value, "body25"),
        lambda: ls.Motion(value, torch.zeros(2, 3), betas),
        lambda: ls.Motion(pose, value, betas),
        lambda: ls.metrics.pve(value, pose),
    ]
    for call in calls:
        with pytest.raises(ls.InputError):
            call()


@pytest.mark.parametrize("value", [None, "30", [1.0, 2.0], print], ids=str)
def test_what_is_no_number_is_refused(value: Any) -> None:
    with pytest.raises(ls.InputError, match="is not one number"):
        as_number(value, "the frame rate")
    assert as_number(np.float32(0.5), "seconds") == as_number(torch.tensor(0.5), "seconds") == 0.5


def test_values_do_not_share_memory_with_what_they_were_made_of() -> None:
    body, betas = ls.load_body(), np.zeros(10, np.float32)
    pose, transl, flagged = np.zeros((4, 24, 3), np.float32), np.zeros((4, 3), np.float32), np.zeros(4, bool)
    motion = ls.Motion(pose, transl, betas, flagged=flagged)
    keypoints = body.keypoints(pose, betas).numpy()
    fitted = ls.Solver(body).fit(keypoints, betas, layout="body25")
    stream = ls.Solver(body).stream(betas=betas)
    first = stream.push(keypoints[0])
    for given in (pose, transl, betas, flagged, first.betas):
        given[...] = 1
    for value in (motion.pose, motion.transl, motion.betas, motion.flagged, fitted.betas):
        assert not bool(value.any())
    assert not bool(stream.push(keypoints[1]).betas.any())


def test_a_network_is_the_caller_s_own() -> None:
    mine = ls.load_network()
    before = ls.Solver().solve_frames(ls.load_body().keypoints(np.zeros((1, 24, 3)), np.zeros(10)), np.zeros(10))
    with torch.no_grad():
        for weight in mine.parameters():
            weight.zero_()
    assert any(bool(weight.any()) for weight in ls.load_network().parameters())
    mine.to("meta")  # as to another device: in place
    again = ls.Solver().solve_frames(ls.load_body().keypoints(np.zeros((1, 24, 3)), np.zeros(10)), np.zeros(10))
    assert torch.equal(before.pose, again.pose)


WRONG: list[dict[str, Any]] = [
    {"body": "SMPL_NEUTRAL.pkl"},
    {"device": None},
    {"device": "meta"},
    {"refine_steps": 1.5},
    {"refine_steps": None},
    {"passes": "1"},
    {"pair_options": {"keypoint_sigma": 0.01}},
    {"clip_options": 3},
    {"recording_options": {}},
]


@pytest.mark.parametrize("wrong", WRONG, ids=str)
def test_a_solver_of_wrong_parts_is_refused_when_it_is_made(wrong: dict[str, Any]) -> None:
    with pytest.raises(ls.InputError):
        ls.Solver(**wrong)


@pytest.mark.parametrize("seconds", ["1", [0.1, 0.2], float("nan"), 0])
def test_a_time_that_is_none_is_refused(seconds: Any) -> None:
    pose = torch.zeros(1, 24, 3)
    with pytest.raises(ls.InputError):
        ls.Solver(method="gauss_newton").solve_pairs(pose, torch.zeros(1, 25, 3), torch.zeros(10), seconds=seconds)


@pytest.mark.parametrize("fps", [None, "30", [30.0], 0, -1.0, float("nan")], ids=str)
@pytest.mark.parametrize("repaired", [True, False])
def test_a_frame_rate_that_is_none_is_refused(fps: Any, repaired: bool) -> None:
    options = ls.RecordingOptions() if repaired else ls.RecordingOptions(repair=None)
    solver = ls.Solver(method="gauss_newton", recording_options=options)
    pose = torch.zeros(2, 24, 3)
    calls: list[Callable[[], Any]] = [
        lambda: solver.stream(fps=fps),
        lambda: ls.Keypoints(torch.zeros(2, 25, 3), "body25", fps=fps),
        lambda: ls.Keypoints2D(torch.zeros(2, 25, 2), "body25", fps=fps),
        lambda: ls.Motion(pose, torch.zeros(2, 3), torch.zeros(10), fps=fps),
    ]
    for call in calls:
        with pytest.raises(ls.InputError, match="frame rate"):
            call()


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), "1"], ids=str)
def test_options_that_cannot_be_are_refused(value: Any) -> None:
    for options in (ls.ClipOptions, PairOptions, RefineOptions):
        with pytest.raises(ls.InputError, match="keypoint_sigma"):
            options(keypoint_sigma=value)


def test_what_is_refined_is_a_motion_by_keypoints() -> None:
    solver, motion = (
        ls.Solver(method="gauss_newton"),
        ls.Motion(torch.zeros(2, 24, 3), torch.zeros(2, 3), torch.zeros(10)),
    )
    keypoints = ls.Keypoints(motion.joints(), "smpl24")
    wrong: list[tuple[Any, ...]] = [(motion.pose, keypoints), (motion, keypoints.positions), (motion, keypoints, 3)]
    for given in wrong:
        with pytest.raises(ls.InputError, match="is given"):
            ls.refine_motion(solver, *given)
    with pytest.raises(ls.InputError, match="start_s"):
        ls.refine_motion(solver, motion, keypoints, start_s=float("nan"))


def test_hands_of_a_stream_are_hands() -> None:
    with pytest.raises(ls.InputError, match="HandKeypoints"):
        ls.Solver(method="gauss_newton").stream().push(torch.zeros(25, 3), hands=torch.zeros(1, 2, 21, 3))


@pytest.mark.parametrize("start", [3, (1,), (None, None), (torch.zeros(24, 3), torch.full((3,), torch.inf))], ids=str)
def test_a_start_that_is_none_is_refused(start: Any) -> None:
    keypoints = ls.load_body().keypoints(torch.zeros(2, 24, 3), torch.zeros(10))
    with pytest.raises(ls.InputError):
        ls.Solver(method="gauss_newton").fit(keypoints, layout="body25", start=start)


@pytest.mark.parametrize("call", ["calibrate", "prepared"])
def test_arrays_without_a_layout_are_refused_by_name(call: str) -> None:
    with pytest.raises(ls.InputError, match="a layout"):
        getattr(ls.Solver(method="gauss_newton"), call)(np.zeros((2, 25, 3)))
