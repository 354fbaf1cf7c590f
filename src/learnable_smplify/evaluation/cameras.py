"""From cameras: single poses and whole clips seen by one, whole clips seen by four, estimates refined by one and two.

People of the evaluation clips with betas N(0, 1), seen by synthetic cameras of 1920 x 1080 (`evaluation.rig`); BODY_25
keypoints of the body itself, with the damage that each row names. Joint errors are over SMPL's 24 joints.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from learnable_smplify import metrics
from learnable_smplify.body import Body
from learnable_smplify.body.observed import placed_joints
from learnable_smplify.camera import Camera
from learnable_smplify.evaluation.clips import Clip
from learnable_smplify.evaluation.errors import Progress, means, silent
from learnable_smplify.evaluation.markdown import Columns, table_of
from learnable_smplify.evaluation.rig import Damage, ring, seen
from learnable_smplify.keypoints import Keypoints
from learnable_smplify.keypoints2d import Keypoints2D
from learnable_smplify.layouts.layout import load_layout
from learnable_smplify.motion import Motion
from learnable_smplify.rotation import rotmat_to_rotvec, rotvec_to_rotmat
from learnable_smplify.solver import Solver
from learnable_smplify.solver.frame.priors import load_priors
from learnable_smplify.solver.rays.observed import Observed
from learnable_smplify.solver.rays.triangulate import placed_points
from learnable_smplify.solver.shape.limb_lengths import limb_lengths
from learnable_smplify.solver.smplify.fit import search_2d
from learnable_smplify.solver.smplify.mixture_prior import load_mixture_prior
from learnable_smplify.solver.smplify.smplify import Smplify, SmplifyOptions
from learnable_smplify.solver.smplify.start import seen_at_limbs, to_world
from learnable_smplify.threads import one_thread_per_operation
from learnable_smplify.timeline import runs
from learnable_smplify.views import View

# A clip's frames count up to here: nobody needs a minute of each.
LONGEST = 300
# A flip lasts when a frame's root-aligned joints are this far off [mm] for so long [s].
_FLIPPED_MM, _LASTS_S = 150.0, 0.5
_UP = (0.0, 1.0, 0.0)

# A true motion, and what the cameras saw of it.
Scene = tuple[Motion, list[View]]
Way = Callable[[Sequence[View], Tensor], Motion]
# Many pictures of many people at once: rotations, places, and which are doubtful.
Pictures = Callable[[View, Tensor], tuple[Tensor, Tensor, Tensor]]


@dataclass(frozen=True)
class CameraRow:
    """One way of finding people that cameras saw; means over all frames [mm].

    Args:
        mpjpe_mm: pelvis joints laid on each other.
        placed_mpjpe_mm: over the joints whose places the keypoints decide; BODY_25's leave out the hands.
        place_mm: distance of the pelvis from the true one.
        flips: stretches of at least half a second in which the joints are more than 150 mm off.
        ms_a_frame: wall clock; `cpu_ms`, of all threads together.
    """

    method: str
    detections: str
    frames: int
    pa_mpjpe_mm: float
    mpjpe_mm: float
    placed_mpjpe_mm: float
    place_mm: float
    flips: int
    flagged_share: float
    ms_a_frame: float
    cpu_ms: float


def evaluate_poses(
    clips: Sequence[Clip],
    body: Body,
    ways: Sequence[tuple[str, Way]],
    together: Sequence[tuple[str, Pictures]],
    poses: int,
    noise_px: float,
) -> list[CameraRow]:
    """One pose of each of `poses` clips, spread over the split, turned to a random facing; from nothing.

    A level camera of 65 degrees (1280 x 960) stands 3 m away. Each of `ways` gets one pose at a time, each of
    `together` all of them at once.
    """
    generator = torch.Generator().manual_seed(0)
    chosen = [clips[index] for index in torch.linspace(0, len(clips) - 1, poses).round().long().tolist()]
    scenes = []
    for clip in chosen:
        pose = clip.pose[int(torch.randint(len(clip.pose), (1,), generator=generator))][None].clone()
        turn = rotvec_to_rotmat(math.tau * torch.rand((), generator=generator) * torch.tensor(_UP))
        pose[:, 0] = rotmat_to_rotvec(turn @ rotvec_to_rotmat(pose[:, 0]))
        betas = torch.randn(10, generator=generator)
        true = Motion(pose, -body.joints(pose, betas)[:, 0], betas, 30.0)
        scenes.append((true, [_near_view(body, true, noise_px, generator)]))
    label = f"{noise_px:g} px noise"
    rows = [_row(name, label, body, scenes, way) for name, way in ways]
    pixels = torch.cat([views[0].keypoints.pixels for _, views in scenes])
    view = View(Keypoints2D(pixels, "body25", 30.0), scenes[0][1][0].camera)
    betas = torch.stack([true.betas for true, _ in scenes])
    for name, pictures in together:
        clock = _Clock()
        rotmat, transl, doubtful = pictures(view, betas)
        clock.stop()
        found = [
            Motion(rotmat_to_rotvec(rotmat[row]), transl[row], true.betas, 30.0, flagged=doubtful[row])
            for row, (true, _) in zip(torch.arange(poses).split(1), scenes, strict=True)
        ]
        rows.append(_errors(f"{name}, all at once", label, body, scenes, found, clock))
    return rows


def evaluate_views(
    clips: Sequence[Clip],
    body: Body,
    ways: Sequence[tuple[str, Way]],
    cameras: int,
    damages: Sequence[tuple[str, Damage]],
    progress: Progress = silent,
) -> list[CameraRow]:
    """Whole clips, up to `LONGEST` frames of each, from nothing but betas."""
    rows = []
    for label, damage in damages:
        scenes = [
            scene(clip, body, cameras, damage, torch.Generator().manual_seed(index)) for index, clip in enumerate(clips)
        ]
        for name, way in ways:
            progress(f"{cameras} cameras, {label}: {name}")
            rows.append(_row(name, label, body, scenes, way))
    return rows


def scene(clip: Clip, body: Body, cameras: int, damage: Damage, generator: torch.Generator) -> Scene:
    """The start of a clip, of a person N(0, 1), and what a ring of cameras sees of it."""
    betas = torch.randn(10, generator=generator)
    true = Motion(clip.pose[:LONGEST], clip.transl[:LONGEST], betas, clip.fps)
    joints = body.joints(true.pose, betas, true.transl)
    rig = ring(joints, cameras, math.tau * float(torch.rand((), generator=generator)))
    return true, seen(rig, body.keypoints(true.pose, betas, true.transl), clip.fps, damage, generator)


def in_pixels(solver: Solver, *, knows_betas: bool = True) -> Way:
    """`Solver.fit_views`."""
    return lambda views, betas: solver.fit_views(views, betas if knows_betas else None)


def smplify(body: Body) -> Pictures:
    """The numerical baseline, every picture from nothing."""
    options = SmplifyOptions()
    fitted = Smplify(body.folded("body25"), load_mixture_prior(options.mixture), options)

    def way(view: View, betas: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        limbs = limb_lengths(fitted.folded, load_priors())
        data = seen_at_limbs(limbs, view.camera, view.keypoints.pixels, view.keypoints.confidence, betas)
        with one_thread_per_operation():
            people = search_2d(fitted, load_layout("body25"))(data, betas)
        pose, transl = to_world(people, fitted.folded, view.camera)
        return rotvec_to_rotmat(pose), transl, torch.zeros(len(pose), dtype=torch.bool)

    return way


def triangulated(solver: Solver) -> Way:
    """Triangulate every frame, then fit the keypoints in space."""

    def way(views: Sequence[View], betas: Tensor) -> Motion:
        placed, sure = placed_points(Observed.of(views))
        first = views[0]
        positions = torch.where((sure > 0)[..., None], placed, torch.nan)
        return solver.fit(
            Keypoints(positions, first.keypoints.layout, first.keypoints.fps, sure, first.camera.up_axis), betas
        )

    return way


def camera_table(rows: Sequence[CameraRow], title: str) -> str:
    """Errors as Markdown."""
    columns: Columns[CameraRow] = [
        ("method", lambda row: row.method),
        ("detections", lambda row: row.detections),
        ("PA-MPJPE [mm]", lambda row: f"{row.pa_mpjpe_mm:.1f}"),
        ("MPJPE", lambda row: f"{row.mpjpe_mm:.1f}"),
        ("of joints that keypoints place", lambda row: f"{row.placed_mpjpe_mm:.1f}"),
        ("place", lambda row: f"{row.place_mm:.0f}"),
        ("flips that last", lambda row: str(row.flips)),
        ("flagged", lambda row: f"{100 * row.flagged_share:.1f} %"),
        ("ms a frame", lambda row: f"{row.ms_a_frame:.1f}"),
        ("CPU ms", lambda row: f"{row.cpu_ms:.1f}"),
    ]
    return table_of(f"{title} ({rows[0].frames:,} frames)", rows, columns)


def _near_view(body: Body, true: Motion, noise_px: float, generator: torch.Generator) -> View:
    flip = torch.diag(torch.tensor([1.0, -1.0, -1.0]))
    camera = Camera(1000.0, 1000.0, 640.0, 480.0, flip, torch.tensor([0.0, 0.0, 3.0]), 1280, 960, "y")
    pixels = camera.project(body.keypoints(true.pose, true.betas, true.transl))
    return View(Keypoints2D(pixels + noise_px * torch.randn(pixels.shape, generator=generator), "body25", 30.0), camera)


class _Clock:
    """Wall clock and the work of all threads, between start and stop [s]."""

    def __init__(self) -> None:
        self.wall, self.cpu = -time.perf_counter(), -time.process_time()

    def stop(self) -> None:
        self.wall, self.cpu = self.wall + time.perf_counter(), self.cpu + time.process_time()


def _row(name: str, label: str, body: Body, scenes: Sequence[Scene], way: Way) -> CameraRow:
    first, views = scenes[0]
    way(views, first.betas)  # what is compiled or read once is not timed
    clock = _Clock()
    found = [way(views, true.betas) for true, views in scenes]
    clock.stop()
    return _errors(name, label, body, scenes, found, clock)


def _errors(
    name: str, label: str, body: Body, scenes: Sequence[Scene], found: Sequence[Motion], clock: _Clock
) -> CameraRow:
    parts, flips = [], 0
    placed = placed_joints(body.folded("body25"))
    for motion, (true, _) in zip(found, scenes, strict=True):
        joints = body.joints(motion.pose, motion.betas, motion.transl)
        true_joints = body.joints(true.pose, true.betas, true.transl)
        roots = joints[:, 0], true_joints[:, 0]
        aligned = metrics.mpjpe(joints, true_joints, *roots, per_frame=True)
        wrong = runs((aligned > _FLIPPED_MM).numpy())
        flips += sum(end - first >= round(_LASTS_S * true.fps) for first, end in wrong)
        of_placed = metrics.mpjpe(joints[:, placed], true_joints[:, placed], *roots, per_frame=True)
        place = 1000 * (roots[0] - roots[1]).norm(dim=-1)
        pa = metrics.pa_mpjpe(joints, true_joints, per_frame=True)
        parts.append((pa, aligned, of_placed, place, motion.flagged.float()))
    frames = sum(len(true) for true, _ in scenes)
    pa_mm, mm, placed_mm, place_mm, flagged = means(parts)
    wall_ms, cpu_ms = 1000 * clock.wall / frames, 1000 * clock.cpu / frames
    return CameraRow(name, label, frames, pa_mm, mm, placed_mm, place_mm, flips, flagged, wall_ms, cpu_ms)
