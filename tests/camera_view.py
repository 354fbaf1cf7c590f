"""SMPLify from one camera, from nothing: synthetic people of the evaluation clips, seen by a known camera."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import torch
from torch import Tensor

from learnable_smplify import metrics
from learnable_smplify.body import Body
from learnable_smplify.camera import Camera
from learnable_smplify.evaluation.clips import Clip
from learnable_smplify.layouts.layout import load_layout
from learnable_smplify.rotation import rotmat_to_rotvec, rotvec_to_rotmat
from learnable_smplify.skeleton import JOINT_INDEX
from learnable_smplify.solver.frame.priors import load_priors
from learnable_smplify.solver.shape.limb_lengths import limb_lengths
from learnable_smplify.solver.smplify.fit import search_2d
from learnable_smplify.solver.smplify.mixture_prior import load_mixture_prior
from learnable_smplify.solver.smplify.smplify import Smplify, SmplifyOptions
from learnable_smplify.solver.smplify.start import seen_at_limbs, to_world
from learnable_smplify.threads import one_thread_per_operation

# The 14 joints that image-based work reports PA-MPJPE on; SMPL's other ten are spine, collars, feet and hand roots, of
# which BODY_25 sees only the feet. SMPL's head joint stands in for the crown.
_FOURTEEN = tuple(
    JOINT_INDEX[name]
    for name in (
        *("neck", "head", "left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist"),
        *("left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle"),
    )
)
_DISTANCE = 3.0
_FOCAL, _WIDTH, _HEIGHT = 1000.0, 1280, 960


@dataclass(frozen=True)
class CameraViewRow:
    """2D fitting of single poses from nothing.

    Args:
        poses: how many, each of its own person.
        noise_px: of every keypoint coordinate.
        pa_mpjpe_mm, median_mm: PA-MPJPE over SMPL's 24 joints, mean and median over the poses.
        pa_mpjpe_14_mm, median_14_mm: the same over the 14 joints that image-based work reports.
        mpjpe_mm: over 24 joints, pelvis-aligned: facing and size count.
        pixel_error: mean distance of the 25 keypoints in the picture.
        ms_a_pose: wall-clock time, batched.
    """

    poses: int
    noise_px: float
    pa_mpjpe_mm: float
    median_mm: float
    pa_mpjpe_14_mm: float
    median_14_mm: float
    mpjpe_mm: float
    pixel_error: float
    ms_a_pose: float


def evaluate_2d(
    clips: list[Clip],
    body: Body,
    poses: int = 50,
    *,
    options: SmplifyOptions | None = None,
    noise_px: float = 0.0,
    seed: int = 0,
) -> CameraViewRow:
    """One pose of each of `poses` clips, spread over the split, turned to a random facing, fitted from nothing.

    A level camera of 65 degrees stands 3 m away, at the height of the pelvis. Betas are drawn from N(0, 1) and known
    to the solver; the keypoints are BODY_25 without noise or occlusion, unless `noise_px` is given.
    """
    options = SmplifyOptions() if options is None else options
    pose, betas, transl, camera = _views(clips, body, poses, seed)
    keypoints = body.keypoints(pose, betas, transl)
    generator = torch.Generator().manual_seed(seed + 1)
    pixels = camera.project(keypoints) + noise_px * torch.randn(poses, keypoints.shape[1], 2, generator=generator)
    smplify = Smplify(body.folded("body25"), load_mixture_prior(options.mixture), options)
    with one_thread_per_operation():
        began = time.perf_counter()
        limbs = limb_lengths(smplify.folded, load_priors())
        data = seen_at_limbs(limbs, camera, pixels, torch.ones(pixels.shape[:2]), betas)
        people = search_2d(smplify, load_layout("body25"))(data, betas)
        seconds = time.perf_counter() - began
    found, found_transl = to_world(people, smplify.folded, camera)
    joints, truth = body.joints(found, betas, found_transl), body.joints(pose, betas, transl)
    fourteen = list(_FOURTEEN)
    error = metrics.pa_mpjpe(joints, truth, per_frame=True)
    error_14 = metrics.pa_mpjpe(joints[:, fourteen], truth[:, fourteen], per_frame=True)
    shown = camera.project(body.keypoints(found, betas, found_transl))
    return CameraViewRow(
        poses=poses,
        noise_px=noise_px,
        pa_mpjpe_mm=float(error.mean()),
        median_mm=float(error.median()),
        pa_mpjpe_14_mm=float(error_14.mean()),
        median_14_mm=float(error_14.median()),
        mpjpe_mm=float(metrics.mpjpe(joints, truth, joints[:, 0], truth[:, 0])),
        pixel_error=float((shown - pixels).norm(dim=-1).mean()),
        ms_a_pose=1000 * seconds / poses,
    )


def _views(clips: list[Clip], body: Body, poses: int, seed: int) -> tuple[Tensor, Tensor, Tensor, Camera]:
    """Poses (B, 24, 3), betas (B, 10), transl (B, 3) and the camera; Y is up, the pelvis at the origin."""
    generator = torch.Generator().manual_seed(seed)
    chosen = [clips[index] for index in torch.linspace(0, len(clips) - 1, poses).round().long().tolist()]
    frames = [int(torch.randint(len(clip.pose), (1,), generator=generator)) for clip in chosen]
    pose = torch.stack([clip.pose[frame] for clip, frame in zip(chosen, frames, strict=True)])
    turn = torch.zeros(poses, 3)
    turn[:, 1] = 2 * math.pi * torch.rand(poses, generator=generator)
    pose[:, 0] = rotmat_to_rotvec(rotvec_to_rotmat(turn) @ rotvec_to_rotmat(pose[:, 0]))
    betas = torch.randn(poses, 10, generator=generator)
    camera = Camera(
        fx=_FOCAL,
        fy=_FOCAL,
        cx=_WIDTH / 2,
        cy=_HEIGHT / 2,
        R_camera_world=torch.diag(torch.tensor([1.0, -1.0, -1.0])),
        t_camera_world=torch.tensor([0.0, 0.0, _DISTANCE]),
        width=_WIDTH,
        height=_HEIGHT,
        up_axis="y",
    )
    return pose, betas, -body.joints(pose, betas)[:, 0], camera
