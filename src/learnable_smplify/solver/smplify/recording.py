"""A whole recording by SMPLify: one shape, then frame after frame."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from learnable_smplify.body.body import Body
from learnable_smplify.camera import Camera
from learnable_smplify.keypoints import Keypoints
from learnable_smplify.keypoints2d import Keypoints2D
from learnable_smplify.layouts.layout import load_layout
from learnable_smplify.motion import Motion
from learnable_smplify.repair import RepairOptions, repair_keypoints
from learnable_smplify.solver.frame.priors import Priors
from learnable_smplify.solver.smplify.fit import estimate_shape, follow, search_2d, search_3d, seen_by
from learnable_smplify.solver.smplify.smplify import Smplify, people_at
from learnable_smplify.solver.smplify.start import to_world
from learnable_smplify.solver.smplify.terms import Measured3D

Progress = Callable[[int, int], None]


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
    clip = follow(smplify, data, shape, search, None if before is None else people_at(*before, shape), progress)
    return Motion(
        pose=clip.people.pose().cpu(),
        transl=clip.people.transl.cpu(),
        betas=shape[0].cpu(),
        fps=keypoints.fps,
        body=body.name,
        gender=body.gender,
        up_axis=keypoints.up_axis,
        flagged=clip.flagged.cpu() | repaired,
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
    shape = torch.zeros(1, 10, device=device) if betas is None else betas[None]
    data = seen_by(smplify, priors, camera, pixels, confidence, shape)
    if betas is None:
        shape = estimate_shape(smplify, data, search)
        data = seen_by(smplify, priors, camera, pixels, confidence, shape)
    clip = follow(smplify, data, shape, search, None, progress)
    pose, transl = to_world(clip.people, smplify.folded, camera)
    return Motion(
        pose=pose.cpu(),
        transl=transl.cpu(),
        betas=shape[0].cpu(),
        fps=keypoints.fps,
        body=body.name,
        gender=body.gender,
        up_axis=camera.up_axis,
        flagged=clip.flagged.cpu(),
        notes=(*keypoints.notes, *camera.notes),
    )
