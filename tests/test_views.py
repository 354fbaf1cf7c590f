"""People seen by several cameras: triangulation, exchanged sides, whole clips."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

import learnable_smplify as ls
from learnable_smplify.evaluation.rig import Damage, ring, seen
from learnable_smplify.keypoints2d import Keypoints2D
from learnable_smplify.layouts.layout import load_layout
from learnable_smplify.solver.rays.observed import Observed
from learnable_smplify.solver.rays.swaps import unswapped
from learnable_smplify.solver.rays.triangulate import placed_points
from learnable_smplify.views import View
from toy_motion import swinging_poses

FRAMES = 24


@pytest.fixture(scope="module")
def body() -> ls.Body:
    return ls.load_body()


@pytest.fixture(scope="module")
def person(body: ls.Body) -> tuple[ls.Motion, torch.Tensor]:
    pose = swinging_poses(FRAMES)
    betas = torch.randn(10, generator=torch.Generator().manual_seed(0))
    transl = torch.tensor([0.0, 1.0, 0.0]) + torch.linspace(0, 1, FRAMES)[:, None] * torch.tensor([0.5, 0.0, 0.3])
    return ls.Motion(pose, transl, betas, 30.0), body.keypoints(pose, betas, transl)


def views_of(body: ls.Body, person: tuple[ls.Motion, torch.Tensor], count: int, damage: Damage) -> list[View]:
    motion, keypoints = person
    joints = body.joints(motion.pose, motion.betas, motion.transl)
    return seen(ring(joints, count, 0.3), keypoints, 30.0, damage, torch.Generator().manual_seed(1))


def joint_error_mm(body: ls.Body, found: ls.Motion, true: ls.Motion) -> float:
    joints = body.joints(found.pose, found.betas, found.transl)
    return 1000 * float((joints - body.joints(true.pose, true.betas, true.transl)).norm(dim=-1).mean())


def test_two_clean_cameras_place_every_keypoint(body: ls.Body, person: tuple[ls.Motion, torch.Tensor]) -> None:
    placed, sure = placed_points(Observed.of(views_of(body, person, 3, Damage())[:2]))
    assert bool((sure > 0).all())
    torch.testing.assert_close(placed, person[1], atol=2e-4, rtol=0)


def test_a_camera_that_shows_a_keypoint_elsewhere_is_outvoted(
    body: ls.Body, person: tuple[ls.Motion, torch.Tensor]
) -> None:
    views = views_of(body, person, 4, Damage())
    pixels = views[1].keypoints.pixels.clone()
    pixels[:, 7] += 300
    views[1] = View(Keypoints2D(pixels, "body25", 30.0), views[1].camera)
    placed, _ = placed_points(Observed.of(views))
    torch.testing.assert_close(placed, person[1], atol=2e-4, rtol=0)


def test_a_keypoint_that_one_camera_sees_has_no_place(body: ls.Body, person: tuple[ls.Motion, torch.Tensor]) -> None:
    views = views_of(body, person, 2, Damage())
    pixels = views[1].keypoints.pixels.clone()
    pixels[:, 4] = torch.nan
    _, sure = placed_points(Observed.of([views[0], View(Keypoints2D(pixels, "body25", 30.0), views[1].camera)]))
    assert bool((sure[:, 4] == 0).all())
    assert bool((sure[:, 5:] > 0).all())


def test_machine_code_places_and_rights_what_tensors_do(
    body: ls.Body, person: tuple[ls.Motion, torch.Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    views = views_of(body, person, 4, Damage(20.0, 0.5, (2,)))
    fast = unswapped(Observed.of(views))
    for room in ("side_costs", "triangulate"):
        monkeypatch.setattr(f"learnable_smplify.solver.rays.{room}.is_usable", lambda *tensors, any_precision: False)
    slow = unswapped(Observed.of(views))
    assert bool(slow.exchanged[:, 2].all())
    assert 0 < int((slow.sure == 0).sum()) < slow.sure.numel() // 2
    assert torch.equal(fast.source, slow.source)
    torch.testing.assert_close(fast.sure, slow.sure)
    torch.testing.assert_close(fast.placed, slow.placed)


def test_sides_that_one_camera_exchanges_are_exchanged_back(
    body: ls.Body, person: tuple[ls.Motion, torch.Tensor]
) -> None:
    observed = Observed.of(views_of(body, person, 4, Damage(noise_px=3.0, swapped=(2,))))
    sides = unswapped(observed)
    back, swapped = sides.observed, sides.exchanged
    assert swapped.float().mean(0).tolist() == pytest.approx([0, 0, 1, 0], abs=0.1)
    clean = Observed.of(views_of(body, person, 4, Damage()))
    assert float((back.pixels - clean.pixels).norm(dim=-1).median()) < 6


@pytest.mark.parametrize("known", [True, False])
def test_a_person_is_found_by_four_cameras_of_which_one_exchanges_sides(
    body: ls.Body, person: tuple[ls.Motion, torch.Tensor], known: bool
) -> None:
    views = views_of(body, person, 4, Damage(noise_px=5.0, missing=0.1, swapped=(3,)))
    found = ls.Solver(body).fit_views(views, person[0].betas if known else None)
    assert joint_error_mm(body, found, person[0]) < (15 if known else 25)
    assert not bool(found.flagged.any())
    assert any("exchanged back" in note and "camera 4" in note for note in found.notes)
    assert found.up_axis == "y"


def test_a_camera_may_see_nothing_for_a_while(body: ls.Body, person: tuple[ls.Motion, torch.Tensor]) -> None:
    views = views_of(body, person, 3, Damage(noise_px=1.0))
    for number, gone in enumerate((slice(0, 10), slice(5, 12), slice(8, 12))):
        pixels = views[number].keypoints.pixels.clone()
        pixels[gone] = torch.nan
        views[number] = View(Keypoints2D(pixels, "body25", 30.0), views[number].camera)
    found = ls.Solver(body).fit_views(views, person[0].betas)
    assert bool(found.flagged[8:10].all())  # nobody sees them
    assert not bool(found.flagged[12:].any())
    assert joint_error_mm(body, found, person[0]) < 40


def test_lens_distortion_is_taken_out(body: ls.Body, person: tuple[ls.Motion, torch.Tensor]) -> None:
    lens = (-0.2, 0.05, 1e-3, 1e-3)
    views = []
    for view in views_of(body, person, 3, Damage()):
        camera = view.camera
        bent = ls.Camera(
            camera.fx, camera.fy, camera.cx, camera.cy, camera.R_camera_world, camera.t_camera_world, distortion=lens
        )
        views.append(View(Keypoints2D(bent.project(person[1]), "body25", 30.0), bent))
    found = ls.Solver(body).fit_views(views, person[0].betas)
    assert joint_error_mm(body, found, person[0]) < 12


def test_views_that_do_not_belong_together_are_refused(body: ls.Body, person: tuple[ls.Motion, torch.Tensor]) -> None:
    views = views_of(body, person, 2, Damage())
    short = Keypoints2D(views[1].keypoints.pixels[:-1], "body25", 30.0)
    solver = ls.Solver(body, "gauss_newton")
    with pytest.raises(ls.InputError, match="23 frames"):
        solver.fit_views([views[0], View(short, views[1].camera)])
    with pytest.raises(ls.InputError, match="at least one camera"):
        solver.fit_views([])
    with pytest.raises(ls.InputError, match="one camera"):
        ls.Solver(body, "smplify").fit_views(views)


def test_cameras_that_never_see_the_person_together_are_told(
    body: ls.Body, person: tuple[ls.Motion, torch.Tensor]
) -> None:
    views = views_of(body, person, 2, Damage())
    for number, gone in enumerate((slice(0, 12), slice(12, 24))):
        pixels = views[number].keypoints.pixels.clone()
        pixels[gone] = torch.nan
        views[number] = View(Keypoints2D(pixels, "body25", 30.0), views[number].camera)
    with pytest.raises(ls.InputError, match="agree"):
        ls.Solver(body, "gauss_newton").fit_views(views)


def exchanged_for_a_while(views: list[View], times: dict[int, list[slice]], groups: tuple[str, ...] = ()) -> list[View]:
    """The views with left and right exchanged in some cameras for some times, of all groups of keypoints or of some."""
    changed = list(views)
    for camera, slices in times.items():
        keypoints = views[camera].keypoints
        layout = load_layout(keypoints.layout)
        order = [
            other if not groups or layout.groups[index] in groups else index
            for index, other in enumerate(layout.mirror)
        ]
        pixels, trust = keypoints.pixels.clone(), keypoints.confidence.clone()
        for frames in slices:
            pixels[frames], trust[frames] = pixels[frames][:, order], trust[frames][:, order]
        changed[camera] = View(replace(keypoints, pixels=pixels, confidence=trust), views[camera].camera)
    return changed


ALWAYS = [slice(0, FRAMES)]


@pytest.mark.parametrize(
    ("times", "groups"),
    [
        ({1: ALWAYS, 3: ALWAYS}, ()),
        ({2: ALWAYS, 3: ALWAYS}, ()),
        ({0: ALWAYS, 1: ALWAYS, 3: ALWAYS}, ()),
        ({0: ALWAYS, 1: ALWAYS, 2: ALWAYS, 3: ALWAYS}, ()),
        ({0: [slice(3, 9)], 1: [slice(5, 20)], 2: [slice(0, 7), slice(15, 18)], 3: [slice(8, 9)]}, ()),
        ({0: [slice(3, 9)], 1: ALWAYS, 2: [slice(6, 20)]}, ("legs", "feet")),
    ],
    ids=["two", "two neighbours", "three", "all", "coming and going", "legs"],
)
def test_sides_that_any_cameras_exchange_are_exchanged_back(
    body: ls.Body, person: tuple[ls.Motion, torch.Tensor], times: dict[int, list[slice]], groups: tuple[str, ...]
) -> None:
    views = exchanged_for_a_while(views_of(body, person, 4, Damage(noise_px=5.0, missing=0.1)), times, groups)
    found = ls.Solver(body).fit_views(views, person[0].betas)
    assert joint_error_mm(body, found, person[0]) < 15
    assert not bool(found.flagged.any())
    told = [note.split(":")[0] for note in found.notes if "exchanged back" in note]
    assert told == [f"camera {number + 1}" for number in sorted(times)]


def test_further_cameras_are_held_against_those_that_are_searched(
    body: ls.Body, person: tuple[ls.Motion, torch.Tensor]
) -> None:
    views = views_of(body, person, 8, Damage(noise_px=3.0))
    views[7] = View(replace(views[7].keypoints, confidence=0.5 * views[7].keypoints.confidence), views[7].camera)
    sides = unswapped(Observed.of(exchanged_for_a_while(views, {1: ALWAYS, 6: ALWAYS, 7: [slice(4, 20)]})))
    assert [round(float(share), 1) for share in sides.exchanged.float().mean(0)] == [0, 1, 0, 0, 0, 0, 1, 0.7]


def test_where_nothing_tells_which_of_two_cameras_is_right_frames_are_flagged(
    body: ls.Body, person: tuple[ls.Motion, torch.Tensor]
) -> None:
    blind = [index for index, group in enumerate(load_layout("body25").groups) if group in ("head", "feet", "legs")]
    views = []
    for view in exchanged_for_a_while(views_of(body, person, 2, Damage()), {1: ALWAYS}):
        pixels = view.keypoints.pixels.clone()
        pixels[:, blind] = torch.nan
        views.append(View(Keypoints2D(pixels, "body25", 30.0), view.camera))
    assert bool(unswapped(Observed.of(views)).undecided.all())
    found = ls.Solver(body).fit_views(views, person[0].betas)
    assert bool(found.flagged.all())
    assert any("nothing tells" in note for note in found.notes)
