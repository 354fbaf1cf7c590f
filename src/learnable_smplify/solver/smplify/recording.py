"""A whole recording by SMPLify: one shape, then frame after frame."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from learnable_smplify.body.body import Body
from learnable_smplify.camera import Camera
from learnable_smplify.keypoints import Keypoints
from learnable_smplify.keypoints2d import Keypoints2D
from learnable_smplify.layouts.layout import load_layout
from learnable_smplify.motion import Motion
from learnable_smplify.repair import RepairOptions, repair_keypoints
from learnable_smplify.rotation import rotmat_to_rotvec
from learnable_smplify.solver.frame.priors import Priors
from learnable_smplify.solver.frame.tracking import ClipOptions, Tracker, track
from learnable_smplify.solver.shape.limb_lengths import limb_lengths
from learnable_smplify.solver.smplify.fit import estimate_shape, finder, search_2d, search_3d
from learnable_smplify.solver.smplify.smplify import Smplify, posed_people
from learnable_smplify.solver.smplify.start import seen_at_limbs, to_world
from learnable_smplify.solver.smplify.terms import Measured3D, Seen2D

Progress = Callable[[int, int], None]

# Joints that go along the view, beside the pelvis, faster than this [m/s] were thrown to their other side: a frame has
# them there that its neighbour has not.
_LEAP_SPEED = 8.0


def fit_recording(
    smplify: Smplify,
    body: Body,
    keypoints: Keypoints,
    repair: RepairOptions | None,
    betas: Float[Tensor, "10"] | None,
    before: tuple[Tensor, Tensor] | None,
    progress: Progress | None,
) -> Motion:
    """A recording of 3D keypoints. See `Solver.fit`.

    Args:
        smplify: on the body, for the recording's layout.
        body: the same.
        repair: of the recording before it is fitted; None takes it as it is.
        betas: the person's, None estimates them.
        before: local rotations (1, 24, 3, 3) and transl (1, 3) just before the first frame, if known.
    """
    device = smplify.folded.weight.device
    repaired = torch.zeros(len(keypoints), dtype=torch.bool)
    if repair is not None:
        keypoints, repairs = repair_keypoints(keypoints, repair)
        repaired = repairs.flagged.cpu()
    data = Measured3D(keypoints.positions.to(device), keypoints.confidence.to(device))
    search = search_3d(smplify)
    shape = estimate_shape(smplify, data, search) if betas is None else betas[None]
    tracker = Tracker(finder(smplify, Measured3D, shape, search), ClipOptions(), keypoints.fps, before)
    clip = track(tracker, data.targets, data.confidence, progress)
    return Motion(
        pose=rotmat_to_rotvec(clip.rotmat).cpu(),
        transl=clip.transl.cpu(),
        betas=shape[0].cpu(),
        fps=keypoints.fps,
        body=body.name,
        gender=body.gender,
        up_axis=keypoints.up_axis,
        flagged=clip.flagged.cpu() | repaired,
        start_s=keypoints.start_s,
        notes=keypoints.notes,
    )


def fit_recording_2d(
    smplify: Smplify,
    body: Body,
    priors: Priors,
    keypoints: Keypoints2D,
    camera: Camera,
    betas: Float[Tensor, "10"] | None,
    progress: Progress | None,
) -> Motion:
    """A recording of one camera's 2D keypoints. See `Solver.fit_2d`."""
    device = smplify.folded.weight.device
    pixels, confidence = keypoints.pixels.to(device), keypoints.confidence.to(device)
    search = search_2d(smplify, load_layout(keypoints.layout))
    limbs = limb_lengths(smplify.folded, priors)
    shape = torch.zeros(1, 10, device=device) if betas is None else betas[None]
    if betas is None:
        shape = estimate_shape(smplify, seen_at_limbs(limbs, camera, pixels, confidence, shape), search)

    def measure(pixels: Tensor, confidence: Tensor) -> Seen2D:
        return seen_at_limbs(limbs, camera, pixels, confidence, shape)

    tracker = Tracker(finder(smplify, measure, shape, search), ClipOptions(), keypoints.fps)
    clip = track(tracker, pixels, confidence, progress)
    thrown = _thrown(smplify.folded.shaped(shape).pose(clip.rotmat).joints[..., 2], keypoints.fps)
    pose, transl = to_world(posed_people(clip.rotmat, clip.transl, shape), smplify.folded, camera)
    return Motion(
        pose=pose.cpu(),
        transl=transl.cpu(),
        betas=shape[0].cpu(),
        fps=keypoints.fps,
        body=body.name,
        gender=body.gender,
        up_axis=camera.up_axis,
        flagged=(clip.flagged | thrown).cpu(),
        notes=(*keypoints.notes, *camera.notes),
    )


def _thrown(depth: Float[Tensor, "T 24"], fps: float) -> Bool[Tensor, " T"]:
    """Frames before and after a joint leaps along the view: one of the two has a limb on the wrong side."""
    leap = ((depth - depth[:, :1]).diff(dim=0).abs() * fps > _LEAP_SPEED).any(dim=1)
    return torch.nn.functional.pad(leap, (1, 0)) | torch.nn.functional.pad(leap, (0, 1))
