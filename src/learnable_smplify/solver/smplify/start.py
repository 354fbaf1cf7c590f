"""Where SMPLify starts when it is given keypoints and nothing else.

In 3D the trunk's keypoints tell where the person is and which way they face. In one picture they do not: how far away
the person stands follows from how long their limbs appear, and which way they face is tried out.
"""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from learnable_smplify.body.fold import FoldedPoints
from learnable_smplify.camera import Camera
from learnable_smplify.layouts.layout import Layout
from learnable_smplify.rotation import rotmat_to_rotvec
from learnable_smplify.solver.frame.cold_start import align_trunk
from learnable_smplify.solver.frame.sight import in_world
from learnable_smplify.solver.shape.limb_lengths import LimbLengths
from learnable_smplify.solver.smplify.mixture_prior import MixturePrior
from learnable_smplify.solver.smplify.smplify import People
from learnable_smplify.solver.smplify.terms import Measured3D, Seen2D

_TORSO = ("left_hip", "right_hip", "left_shoulder", "right_shoulder")
# Depth is read off the limbs that appear longest for their length, this share of them: those lie across the view.
_ACROSS = 0.1
_NEAR, _FAR = 0.5, 100.0
# Ways to face that are tried in one picture, all around.
_FACINGS = 4


def start_3d(folded: FoldedPoints, prior: MixturePrior, data: Measured3D, betas: Float[Tensor, "B 10"]) -> People:
    """The prior's mean pose with its trunk laid on the trunk's keypoints."""
    frames = len(data.targets)
    level = torch.eye(3).to(betas).expand(frames, 3, 3)
    people = People(level, prior.mean.expand(frames, -1), betas.new_zeros(frames, 3), betas)
    turn, transl = align_trunk(folded.shaped(betas), data.targets, data.confidence, people.local_rotmat())
    return replace(people, root_rotmat=turn, transl=transl)


def torso_rows(layout: Layout) -> Bool[Tensor, " K"]:
    """The keypoints on hips and shoulders."""
    return torch.tensor([all(name in _TORSO for name, _ in row) for row in layout.points])


def seen_at_limbs(
    limbs: LimbLengths, camera: Camera, pixels: Float[Tensor, "B K 2"], confidence: Float[Tensor, "B K"], betas: Tensor
) -> Seen2D:
    """The data term of 2D frames, each at the distance that its limbs of known length tell; 4 m where none is seen."""
    focal = pixels.new_tensor([camera.fx, camera.fy])
    rays = pixels / focal
    first, second = limbs.pairs.unbind(1)
    length = limbs.length + betas @ limbs.by_betas.T  # (B or 1, P)
    long = limbs.length > 0.15
    apparent = (rays[:, first] - rays[:, second]).norm(dim=-1)
    seen = (confidence[:, first] > 0) & (confidence[:, second] > 0) & long & (apparent > 1e-6)
    bound = torch.where(seen, length / apparent.clamp(min=1e-6), torch.nan)
    depth = bound.nanquantile(_ACROSS, dim=1)
    depth = torch.where(torch.isfinite(depth), depth, 4.0).clamp(_NEAR, _FAR)
    return Seen2D(camera, pixels, confidence, depth[:, None] / focal)


def start_2d(
    folded: FoldedPoints, layout: Layout, prior: MixturePrior, data: Seen2D, betas: Float[Tensor, "B 10"]
) -> People:
    """B x (1 + M) x `_FACINGS` people in the camera's frame, the starts of a person in a row.

    Each is in the prior's mean pose or in that of one of its M components. The spine is laid along the picture's line
    from hips to shoulders; the first facing looks into the camera.
    """
    torso = torso_rows(layout).to(data.pixels.device)
    seen = data.confidence * torso
    focal = data.pixels.new_tensor([data.camera.fx, data.camera.fy])
    rays = (data.pixels - data.pixels.new_tensor([data.camera.cx, data.camera.cy])) / focal
    depth = data.metres_per_pixel[:, 0] * data.camera.fx
    hips, shoulders = _middle(rays, seen, layout, "hip"), _middle(rays, seen, layout, "shoulder")
    up = shoulders - hips
    known = torch.isfinite(up).all(-1) & (up.norm(dim=-1) > 1e-4)
    up = torch.where(known[:, None], up, up.new_tensor([0.0, -1.0]))
    up = torch.nn.functional.pad(torch.nn.functional.normalize(up, dim=-1), (0, 1))
    toward = up.new_tensor([0.0, 0.0, -1.0]).expand_as(up)
    side = torch.linalg.cross(up, toward, dim=-1)
    angle = torch.arange(_FACINGS, device=up.device).to(up) * (2 * math.pi / _FACINGS)
    front = angle.cos()[:, None] * toward[:, None] + angle.sin()[:, None] * side[:, None]  # (B, G, 3)
    up = up[:, None].expand_as(front)
    root = torch.stack((torch.linalg.cross(up, front, dim=-1), up, front), dim=-1)  # (B, G, 3, 3)

    poses = torch.cat((prior.mean[None], prior.means))
    count, kinds = len(depth), len(poses)
    each = torch.arange(count, device=up.device).repeat_interleave(kinds * _FACINGS)
    people = People(
        root_rotmat=root[:, None].expand(-1, kinds, -1, -1, -1).flatten(0, 2),
        body_pose=poses[None, :, None].expand(count, -1, _FACINGS, -1).flatten(0, 2),
        transl=torch.zeros(len(each), 3).to(up),
        betas=betas if betas.shape[0] == 1 else betas[each],
    )
    points = folded.shaped(people.betas).pose(people.local_rotmat()).positions()
    used = torch.where((seen > 0).any(1, keepdim=True), seen, data.confidence)
    used = (used / used.sum(1, keepdim=True).clamp(min=1e-12))[..., None]
    ray = torch.nn.functional.pad((used * rays).sum(1), (0, 1), value=1.0)
    return replace(people, transl=(ray * depth[:, None])[each] - (used[each] * points).sum(1))


def to_world(people: People, folded: FoldedPoints, camera: Camera) -> tuple[Tensor, Tensor]:
    """Pose (B, 24, 3) rotvec [rad] and transl (B, 3) metres in the world of people in the camera's frame."""
    rotmat, transl = in_world(camera, folded.shaped(people.betas), people.local_rotmat(), people.transl)
    return rotmat_to_rotvec(rotmat), transl


def _middle(rays: Tensor, seen: Tensor, layout: Layout, what: str) -> Tensor:
    """Middle of both hips or shoulders (B, 2), NaN where neither side is seen."""
    of = torch.tensor([all(name.endswith(what) for name, _ in row) for row in layout.points], device=rays.device)
    weight = (seen * of)[..., None]
    return (weight * rays).sum(1) / weight.sum(1).where(weight.sum(1) > 0, torch.nan)
