"""What every way into the solver takes, refuses and promises, and what it leaves behind."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_info, threadpool_limits

import learnable_smplify as ls
from learnable_smplify.betas import people_betas, person_betas
from learnable_smplify.camera import Camera
from learnable_smplify.keypoints2d import Keypoints2D
from learnable_smplify.solver.recording import RecordingOptions
from learnable_smplify.solver.smplify.smplify import SmplifyOptions
from learnable_smplify.threads import one_blas_thread, one_thread_per_operation
from toy_motion import swinging_poses


@pytest.fixture(scope="module")
def body() -> ls.Body:
    return ls.load_body()


@pytest.fixture(scope="module")
def solver(body: ls.Body) -> ls.Solver:
    return ls.Solver(body)


def scene(body: ls.Body, frames: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    pose = swinging_poses(frames)
    return pose, body.keypoints(pose, torch.zeros(10))


def test_threads_that_solve_at_once_leave_torch_its_threads(body: ls.Body, solver: ls.Solver) -> None:
    """Whoever came second took the first one's single thread for what was there before."""
    pose, keypoints = scene(body, 600)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        workers = [
            threading.Thread(target=lambda: solver.solve_pairs(pose, keypoints, torch.zeros(10))) for _ in range(3)
        ]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        seen: list[int] = []
        fresh = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
        fresh.start()
        fresh.join()
        assert torch.get_num_threads() == 2
        assert seen == [2]
    finally:
        torch.set_num_threads(before)


def test_a_block_inside_another_leaves_the_outer_one_its_single_thread() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with one_thread_per_operation() as outer:
            with one_thread_per_operation() as inner:
                pass
            assert (outer, inner, torch.get_num_threads()) == (2, 2, 1)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_whoever_leaves_first_leaves_the_others_their_single_blas_thread() -> None:
    def threads() -> set[int]:
        return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}

    with threadpool_limits(2, user_api="blas"):
        first, second = one_blas_thread(), one_blas_thread()
        first.__enter__()
        second.__enter__()
        first.__exit__(None, None, None)
        assert threads() == {1}
        second.__exit__(None, None, None)
        assert threads() == {2}


@pytest.mark.parametrize("options", [{"smooth": True}, {"hold_feet": True}, {"scale_to_body": True}])
def test_smplify_says_which_recording_options_it_lacks(body: ls.Body, options: dict[str, bool]) -> None:
    with pytest.raises(ls.InputError, match="recording_options"):
        ls.Solver(body, "smplify", recording_options=RecordingOptions(**options))


@pytest.mark.slow
def test_smplify_repairs_recordings_as_the_others_do(body: ls.Body) -> None:
    _, keypoints = scene(body, 8)
    keypoints[4, 4] += 3.0  # a wrist that is elsewhere
    for repaired, options in ((True, RecordingOptions()), (False, RecordingOptions(repair=None))):
        motion = ls.Solver(body, "smplify", recording_options=options).fit(ls.Keypoints(keypoints, "body25"))
        assert bool(motion.flagged[4]) >= repaired


def test_confidence_above_one_is_one_everywhere(body: ls.Body, solver: ls.Solver) -> None:
    pose, keypoints = scene(body)
    keypoints = keypoints + 0.01 * torch.randn(keypoints.shape, generator=torch.Generator().manual_seed(0))
    loud = torch.ones(4, 25)
    loud[:, 3] = 100.0
    assert float(ls.Keypoints(keypoints, "body25", confidence=loud).confidence.max()) == 1.0
    assert any("cut at 1" in note for note in ls.Keypoints(keypoints, "body25", confidence=loud).notes)
    flat = Keypoints2D(keypoints[..., :2], "body25", confidence=loud)
    assert float(flat.confidence.max()) == 1.0
    assert any("cut at 1" in note for note in flat.notes)
    plain = solver.solve_pairs(pose, keypoints, torch.zeros(10))
    assert torch.equal(solver.solve_pairs(pose, keypoints, torch.zeros(10), confidence=loud)[0], plain[0])
    frames = [
        solver.stream(betas=torch.zeros(10)).push(keypoints[0], trust).pose for trust in (loud[0], torch.ones(25))
    ]
    assert torch.equal(*frames)


@pytest.mark.parametrize("suffix", [".npz", ".npy"])
def test_a_note_tells_of_confidence_above_one_in_a_file(body: ls.Body, tmp_path: Path, suffix: str) -> None:
    _, keypoints = scene(body)
    path = tmp_path / f"clip{suffix}"
    table = torch.cat((keypoints, torch.full((4, 25, 1), 100.0)), dim=-1).numpy()
    np.save(path, table) if suffix == ".npy" else np.savez(path, keypoints=table, layout="body25", fps=30.0)
    read = ls.read_keypoints(path, layout="body25")
    assert float(read.confidence.max()) == 1.0
    assert "confidence goes up to 100; it is cut at 1" in read.notes


def test_a_note_on_confidence_is_not_repeated(body: ls.Body) -> None:
    _, keypoints = scene(body)
    once = ls.Keypoints(keypoints, "body25", confidence=torch.full((4, 25), 2.0))
    assert once.with_note("something else").notes == (*once.notes, "something else")


def test_fewer_betas_are_padded_wherever_they_are_given(body: ls.Body, solver: ls.Solver) -> None:
    pose, keypoints = scene(body)
    few, padded = torch.ones(5), torch.cat((torch.ones(5), torch.zeros(5)))
    assert torch.equal(ls.Motion(pose, torch.zeros(4, 3), few).betas, padded)
    assert torch.equal(solver.fit(ls.Keypoints(keypoints, "body25"), few).betas, padded)
    assert torch.equal(*(solver.solve_pairs(pose, keypoints, betas)[0] for betas in (few, padded)))
    assert torch.equal(*(solver.solve_frames(keypoints, betas)[0] for betas in (few, padded)))
    assert torch.equal(solver.stream(betas=few).push(keypoints[0]).betas, padded)
    camera = Camera(1000, 1000, 640, 480, torch.eye(3), torch.tensor([0.0, 0.0, 3.0]))
    flat = Keypoints2D(camera.project(keypoints[:1]), "body25")
    quick = ls.Solver(body, "smplify", smplify_options=SmplifyOptions(lbfgs_iterations=(1, 1, 1)))
    assert torch.equal(quick.fit_2d(flat, camera, few).betas, padded)


@pytest.mark.parametrize(
    "betas", [torch.zeros(16), torch.zeros(2, 10), torch.zeros(1, 2, 10), torch.full((10,), torch.nan), [1e20]]
)
def test_other_betas_are_refused_wherever_they_are_given(body: ls.Body, solver: ls.Solver, betas: object) -> None:
    pose, keypoints = scene(body)
    for give in (
        lambda: ls.Motion(pose, torch.zeros(4, 3), betas),
        lambda: solver.fit(ls.Keypoints(keypoints, "body25"), betas),
        lambda: solver.solve_pairs(pose, keypoints, betas),
        lambda: solver.solve_frames(keypoints, betas),
        lambda: solver.stream(betas=betas),
        lambda: solver.fit_2d(Keypoints2D(keypoints[..., :2], "body25"), Camera(1000, 1000, 640, 480), betas),
    ):
        with pytest.raises(ls.InputError, match="betas"):
            give()


def test_betas_of_several_people_are_a_row_each() -> None:
    assert people_betas(torch.ones(3, 4), 3).shape == (3, 10)
    assert people_betas([0.5], 3).shape == (1, 10)
    assert person_betas([[0.5, 1.0]])[:2].tolist() == [0.5, 1.0]


@pytest.mark.parametrize("method", ["neural", "gauss_newton"])
def test_absurd_starts_are_refused_and_absurd_keypoints_are_missing(body: ls.Body, method: ls.Method) -> None:
    pose, keypoints = scene(body)
    solver = ls.Solver(body, method)
    with pytest.raises(ls.InputError, match="start_pose"):
        solver.solve_pairs(torch.full_like(pose, 1e20), keypoints, torch.zeros(10))
    with pytest.raises(ls.InputError, match="start_transl"):
        solver.solve_pairs(pose, keypoints, torch.zeros(10), start_transl=torch.full((4, 3), 1e30))
    far, missing = keypoints.clone(), torch.ones(4, 25)
    far[:, 4], missing[:, 4] = 1e30, 0
    answers = [
        solver.solve_pairs(pose, points, torch.zeros(10), confidence=trust)[0]
        for points, trust in ((far, torch.ones(4, 25)), (keypoints, missing))
    ]
    assert torch.equal(*answers)


def test_turns_of_many_circles_still_give_finite_answers(body: ls.Body, solver: ls.Solver) -> None:
    _, keypoints = scene(body)
    generator = torch.Generator().manual_seed(0)
    wild = 200 * torch.randn(4, 24, 3, generator=generator)
    for scale in (1e-6, 1.0, 1e4):
        found, transl = solver.solve_pairs(wild, scale * keypoints, torch.zeros(10))
        assert bool(torch.isfinite(found).all())
        assert bool(torch.isfinite(transl).all())
