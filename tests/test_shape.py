"""Shapes of people: what keypoints show of them, what a detector only seems to show, and what a user knows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from learnable_smplify.body import load_body
from learnable_smplify.body.open_body import CHILD
from learnable_smplify.body.size import RestMesh, stature_m
from learnable_smplify.errors import InputError
from learnable_smplify.fit_summary import summarise_fit
from learnable_smplify.formats.keypoints.keypoint_file import read_people
from learnable_smplify.jobs.settings import FitSettings
from learnable_smplify.keypoints import Keypoints
from learnable_smplify.layouts.layout import load_layout
from learnable_smplify.rotation import rotmat_to_rotvec, rotvec_to_rotmat
from learnable_smplify.skeleton import JOINT_INDEX
from learnable_smplify.solver import RecordingOptions, Solver
from learnable_smplify.solver.frame.levenberg_marquardt import PoseProblem, cost_of
from learnable_smplify.solver.frame.priors import load_priors
from learnable_smplify.solver.frame.tracking import ClipOptions
from learnable_smplify.solver.shape.estimate import ShapeEstimator
from learnable_smplify.solver.shape.habit import Unknowns
from learnable_smplify.solver.shape.joint_estimate import Near
from learnable_smplify.solver.shape.offsets import Offsets
from learnable_smplify.solver.shape.prior import KnownSize, ShapePrior, Want
from learnable_smplify.solver.wrists import rested_wrists
from toy_recording import standing_person

SHARED = Path(__file__).parents[2] / "shared"
CASES, RECORDINGS = SHARED / "cases/bugs", SHARED / "data/keypoints"
BODY = load_body()
MESH = RestMesh.of(BODY)
FRAMES = 80


def bmi(betas: torch.Tensor) -> float:
    """Body mass index [kg/m^2] of the open body."""
    height, weight = MESH.height_and_weight(betas.cpu())
    return float(weight / height**2)


def poses(seed: int) -> torch.Tensor:
    """Independent human poses, (T, 24, 3, 3)."""
    noise = torch.randn(FRAMES, 69, generator=torch.Generator().manual_seed(seed))
    return load_priors().poses_of(0.7 * noise)


def biased(layout_name: str) -> Offsets:
    """A detector's errors: hips 3 cm out, shoulders 2 cm down, neck 2 cm back."""
    layout = load_layout(layout_name)
    joint, offset = torch.zeros(len(layout), dtype=torch.int64), torch.zeros(len(layout), 3)
    for index, row in enumerate(layout.points):
        name = row[0][0]
        if layout.keypoint_names[index].lower() == "neck":
            joint[index], offset[index, 2] = JOINT_INDEX["spine3"], -0.02
        elif len(row) == 1 and name.endswith("_hip"):
            offset[index, 0] = 0.03 if name.startswith("left") else -0.03
        elif len(row) == 1 and name.endswith("_shoulder"):
            joint[index], offset[index, 1] = JOINT_INDEX["spine3"], -0.02
    return Offsets(layout.name, layout.keypoint_names, joint, offset)


def rest_error_mm(betas: torch.Tensor, true: torch.Tensor) -> float:
    rest = torch.zeros(24, 3)
    found, wanted = (BODY.vertices(rest, b)[0] - BODY.joints(rest, b)[0, 0] for b in (betas, true))
    return 1000 * float((found - wanted).norm(dim=-1).mean())


def estimated(layout_name: str, people: int, bias: bool, noise: float, known: KnownSize | None = None):
    """Estimates for random people, and the mean error of their bodies in the rest pose [mm]."""
    layout, errors, found = load_layout(layout_name), [], []
    folded = BODY.folded(layout)
    estimator = ShapeEstimator(folded, layout, MESH, load_priors(), ClipOptions(), known or KnownSize())
    for seed in range(people):
        generator = torch.Generator().manual_seed(100 + seed)
        betas = torch.randn(10, generator=generator)
        points = biased(layout_name).apply(folded) if bias else folded
        targets = points.shaped(betas[None]).pose(poses(seed)).positions()
        targets = targets + noise * torch.randn(targets.shape, generator=generator)
        found.append(estimator.estimate(targets, torch.ones(targets.shape[:2])))
        errors.append(rest_error_mm(found[-1].betas, betas))
    return found, sum(errors) / len(errors)


@pytest.mark.parametrize("layout", ["body25", pytest.param("coco17", marks=pytest.mark.slow)])
def test_a_detectors_errors_are_not_taken_for_shape(layout: str) -> None:
    found, error = estimated(layout, 3, bias=True, noise=0.01)
    assert error <= 14
    assert all(estimate.offsets is not None for estimate in found)


@pytest.mark.parametrize(("noise", "allowed"), [(0.0, 5), (0.01, 9)])
def test_keypoints_of_the_body_itself_show_its_shape(noise: float, allowed: float) -> None:
    _, error = estimated("body25", 2, bias=False, noise=noise)
    assert error <= allowed


@pytest.mark.parametrize("known", [False, True])
def test_raised_collars_are_a_habit_and_no_longer_trunk(known: bool) -> None:
    layout, generator = load_layout("body25"), torch.Generator().manual_seed(5)
    folded, betas = BODY.folded(layout), torch.randn(10, generator=generator)
    habit = torch.zeros(24, 3)
    habit[JOINT_INDEX["left_collar"], 2], habit[JOINT_INDEX["right_collar"], 2] = 0.45, -0.45
    targets = folded.shaped(betas[None]).pose(rotvec_to_rotmat(habit) @ poses(5)).positions()
    estimator = ShapeEstimator(folded, layout, MESH, load_priors(), ClipOptions())
    found = estimator.estimate(targets, torch.ones(targets.shape[:2]), betas if known else None)
    assert torch.allclose(found.habit[13:15], habit[13:15], atol=0.12)
    assert rest_error_mm(found.betas, betas) <= (0.1 if known else 9)


def test_what_the_frames_share_moves_the_cost_as_its_quadratic_says() -> None:
    layout, generator = load_layout("body25"), torch.Generator().manual_seed(6)
    folded = BODY.folded(layout, "cpu", torch.float64)
    unknowns = Unknowns.of(folded, True)
    priors = load_priors()
    frames, shape = poses(6)[:3].double(), 0.3 * torch.randn(18, generator=generator, dtype=torch.float64)
    problem = PoseProblem(
        points=folded.shaped(shape[None, :10]),
        targets=folded.shaped(shape[None, :10]).pose(frames).positions() + 0.01,
        weights=torch.full((3, 25), 1e4, dtype=torch.float64),
        prior_rotmat=priors.pose_mean.double().expand(3, -1, -1, -1),
        prior_precision=priors.pose_precision.double(),
        prior_transl=torch.zeros(3, 3, dtype=torch.float64),
    )
    transl, step = torch.zeros(3, 3, dtype=torch.float64), 1e-6

    def cost(moved: torch.Tensor) -> torch.Tensor:
        return cost_of(unknowns.placed(problem, moved), frames, transl).sum()

    near = Near.of(unknowns, problem, frames, transl, shape)
    slopes = torch.stack([(cost(shape + step * e) - cost(shape - step * e)) / (4 * step) for e in torch.eye(18)])
    assert torch.allclose(near.pull[:10], slopes[:10], rtol=1e-4, atol=1e-3)
    # The prior's error is taken to move as the turn does, which it does at the mean.
    assert torch.allclose(near.pull[10:], slopes[10:], rtol=0.2, atol=0.1 * float(slopes[10:].abs().max()))


def test_betas_come_with_how_sure_they_are() -> None:
    found, _ = estimated("body25", 1, bias=True, noise=0.01)
    sigma = found[0].sigma
    assert bool(((sigma > 0) & (sigma < 1.05)).all())
    assert float(sigma[0]) < 0.3 < float(sigma[1])  # size shows, build does not


def test_the_mean_body_has_the_size_that_its_page_says() -> None:
    assert stature_m(BODY, torch.zeros(10)) == pytest.approx(1.70, abs=0.01)
    assert bmi(torch.zeros(10)) == pytest.approx(23.4, abs=0.2)


def test_a_box_of_a_cubic_metre_weighs_a_tonne() -> None:
    corners = torch.tensor([[x, y, z] for x in (0.0, 1.0) for y in (0.0, 1.0) for z in (0.0, 1.0)])
    faces = torch.tensor(
        [
            *([0, 1, 3], [0, 3, 2], [4, 6, 7], [4, 7, 5], [0, 4, 5], [0, 5, 1]),
            *([2, 3, 7], [2, 7, 6], [0, 2, 6], [0, 6, 4], [1, 5, 7], [1, 7, 3]),
        ]
    )
    height, weight = RestMesh(corners + 3, torch.zeros(8, 3, 10), faces).height_and_weight(torch.zeros(10))
    assert float(height) == pytest.approx(1)
    assert float(weight) == pytest.approx(1000, rel=1e-4)


def test_the_priors_quadratic_is_its_costs() -> None:
    average = BODY.average("male")
    prior = ShapePrior(MESH, (Want("bmi", 20.0, 2.0), Want("height", 1.8, 0.05)), weight=3.0, average=average)
    shape = torch.randn(10, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    double = ShapePrior(
        RestMesh(MESH.template.double(), MESH.shapedirs.double(), MESH.faces), prior.wants, 3.0, average=average
    )
    _, gradient = double.quadratic(shape)
    for index in range(10):
        step = torch.zeros_like(shape)
        step[index] = 1e-5
        slope = (double.cost(shape + step) - double.cost(shape - step)) / 2e-5
        assert float(slope) / 2 == pytest.approx(float(gradient[index]), rel=1e-3, abs=1e-5)


def test_a_weight_and_a_height_that_a_user_knows_are_kept() -> None:
    found, _ = estimated("body25", 1, bias=True, noise=0.01, known=KnownSize(weight_kg=75.0))
    assert float(MESH.height_and_weight(found[0].betas)[1]) == pytest.approx(75, abs=1.5)
    slim, _ = estimated("body25", 1, bias=True, noise=0.01, known=KnownSize(build="slim"))
    stout, _ = estimated("body25", 1, bias=True, noise=0.01, known=KnownSize(build="stout"))
    assert bmi(slim[0].betas) < 21 < 27 < bmi(stout[0].betas)


def test_what_keypoints_do_not_show_is_usual_for_the_gender_that_a_user_knows() -> None:
    woman, man = (BODY.average(gender) for gender in ("female", "male"))
    assert stature_m(BODY, woman) < stature_m(BODY, torch.zeros(10)) < stature_m(BODY, man)
    told = [
        estimated("body25", 1, bias=True, noise=0.01, known=KnownSize(average=tuple(average.tolist())))[0][0].betas
        for average in (woman, man)
    ]
    towards = (man - woman) / (man - woman).norm()
    assert 0.1 < float((told[1] - told[0]) @ towards) < float((man - woman).norm())


def test_only_the_body_of_all_adults_knows_what_is_usual() -> None:
    assert not BODY.average("neutral").any()
    with pytest.raises(InputError, match="does not say what is male"):
        load_body(CHILD).average("male")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"height": 18.0}, "--height is 18"),
        ({"gender": "male", "betas": (1.0,)}, "--gender is for betas that are estimated"),
        ({"weight": -3.0}, "--weight is -3"),
        ({"build": "slim", "betas": (1.0,)}, "--build is for betas that are estimated"),
        ({"height": 1.8, "method": "smplify"}, "--height is for betas that are estimated"),
        ({"build": "slim", "weight": 70.0}, "--weight says more"),
    ],
)
def test_sizes_without_meaning_are_refused(settings: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        FitSettings(**settings).check()


def child_keypoints(betas: torch.Tensor) -> Keypoints:
    body = load_body(CHILD)
    pose = rotmat_to_rotvec(poses(3))[:20]
    return Keypoints(body.keypoints(pose, betas), "body25", 2.0)


@pytest.mark.parametrize("size", [-1.5, -0.6])
def test_a_child_gets_a_childs_body_and_a_note(size: float) -> None:
    betas = torch.zeros(10)
    betas[0] = size
    keypoints = child_keypoints(betas)
    motion = Solver(BODY).fit(keypoints)
    assert motion.body == CHILD
    assert any("child" in note for note in motion.notes)
    height = stature_m(load_body(CHILD), betas)
    assert stature_m(load_body(CHILD), motion.betas) == pytest.approx(height, rel=0.05)
    assert summarise_fit(load_body(CHILD), motion, keypoints).mean_error_mm < 10


def test_somebody_of_no_human_shape_is_named_and_held_in_the_shape_space() -> None:
    layout = load_layout("body25")
    positions = BODY.folded(layout).shaped(torch.zeros(1, 10)).pose(poses(1)[:20]).positions()
    motion = Solver(BODY).fit(Keypoints(1.9 * positions, layout, 30.0))
    assert float(motion.betas.norm()) < 6
    assert any("outside the body's shape space" in note for note in motion.notes)


def test_wrists_that_nobody_saw_are_drawn_to_rest_and_small_turns_stay() -> None:
    folded = BODY.folded("body25")
    pose = torch.zeros(3, 24, 3)
    pose[0, JOINT_INDEX["left_wrist"]] = torch.tensor([0.1, 0.2, 0.0])
    pose[1, JOINT_INDEX["left_wrist"]] = torch.tensor([0.0, 2.0, 0.0])
    pose[2, JOINT_INDEX["right_elbow"]] = torch.tensor([1.5, 0.6, 0.0])
    rested = rested_wrists(rotvec_to_rotmat(pose), folded, torch.ones(3, 25), trusted=False)
    back = rotmat_to_rotvec(rested)
    torch.testing.assert_close(back[0], pose[0], atol=1e-4, rtol=0)
    assert float(back[1, JOINT_INDEX["left_wrist"]].norm()) < np.deg2rad(35)
    before, after = (folded.shaped(torch.zeros(1, 10)).pose(r).positions() for r in (rotvec_to_rotmat(pose), rested))
    torch.testing.assert_close(before, after, atol=2e-4, rtol=0)


@pytest.mark.parametrize("case", ["09-child-and-infant/16a", "09-child-and-infant/16b", "11-infant-mm/16c"])
def test_the_recorded_children_are_fitted_as_children(case: str) -> None:
    path = CASES / f"{case}.npy"
    if not path.is_file():
        pytest.skip("the shared cases are not here")
    keypoints = read_people(path, "body25", 30.0)[0]
    motion = Solver(BODY).fit(keypoints)
    assert motion.body == CHILD
    assert float(motion.betas.abs().max()) < 3
    assert summarise_fit(load_body(CHILD), motion, keypoints).mean_error_mm < 15


@pytest.mark.parametrize("smooth", [False, True])
def test_joints_of_smpl_on_the_open_body_keep_the_neck_and_hint_at_smpl(smooth: bool) -> None:
    path = CASES / "21-smpl-skeleton-joints/13r.npy"
    if not path.is_file():
        pytest.skip("the shared cases are not here")
    keypoints = read_people(path, "amass22", 20.0)[0]
    motion = Solver(BODY, recording_options=RecordingOptions(smooth=smooth)).fit(keypoints)
    assert any("--body smpl" in note for note in motion.notes)
    for joint in ("neck", "head"):
        assert float(torch.rad2deg(motion.pose[:, JOINT_INDEX[joint]].norm(dim=-1)).max()) < 25


@pytest.mark.parametrize("name", ["zoldello_subject0_Squats_0", "S00_P00_T01_BalancingTrial_0-100"])
@pytest.mark.parametrize("calibrate", [False, True])
def test_people_that_a_detector_saw_are_neither_obese_nor_have_turned_wrists(name: str, calibrate: bool) -> None:
    path = RECORDINGS / f"{name}.trc"
    if not path.is_file():
        pytest.skip("the shared recordings are not here")
    keypoints = read_people(path)[0]
    keypoints = Keypoints(keypoints.positions[:120], keypoints.layout, keypoints.fps, keypoints.confidence[:120])
    motion = Solver(BODY, recording_options=RecordingOptions(calibrate_offsets=calibrate)).fit(keypoints)
    assert 18 < bmi(motion.betas) < 29
    assert float(motion.betas.abs().max()) < 2.5
    for side in ("left", "right"):
        assert float(torch.rad2deg(motion.pose[:, JOINT_INDEX[f"{side}_wrist"]].norm(dim=-1)).max()) < 35
    assert motion.betas_sigma is not None
    if calibrate:
        assert any("offsets" in note for note in motion.notes)


@pytest.mark.parametrize(
    ("known", "said"),
    [
        (KnownSize(height_m=2.4), "contradict the height of 2.40 m"),
        (KnownSize(height_m=1.2), "contradict the height of 1.20 m"),
        (KnownSize(weight_kg=300.0), "the weight of 300 kg that was given is nobody's"),
        (KnownSize(height_m=1.75, weight_kg=80.0), ""),
        (KnownSize(weight_kg=50.0), ""),
    ],
)
def test_a_size_that_the_keypoints_contradict_is_named(known: KnownSize, said: str):
    keypoints = Keypoints(torch.tensor(standing_person(10)), layout="body25", fps=30, up_axis="y")
    motion = Solver(method="gauss_newton", recording_options=RecordingOptions(known_size=known)).fit(keypoints)
    told = [note for note in motion.notes if "that was given" in note]
    assert len(told) == bool(said)
    assert said in " ".join(told)
