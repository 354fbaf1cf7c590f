"""What exchanged sides of a camera's detections cost: rays that do not meet, and tracks that go on crosswise."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from learnable_smplify.repair.neighbours import at, neighbours

# Tracks go on over gaps of this many seconds.
_GAP_S = 0.3
# Frames that are weighed at once.
_CHUNK = 256
_ROUNDS = 2


def labels_of(views: int) -> Float[np.ndarray, "S V"]:
    """All S = 2^V states: 1 where a camera is exchanged, which is bit v of the state's number."""
    return ((np.arange(2**views)[:, None] >> np.arange(views)) & 1).astype(np.float64)


def missing_each_other(
    rays: Float[Tensor, "T V K 2"],
    trust: Float[Tensor, "T V K"],
    pairs: Int[np.ndarray, "P 2"],
    rotation: Float[Tensor, "V 3 3"],
    transl: Float[Tensor, "V 3"],
    far: float,
) -> Float[np.ndarray, "T S"]:
    """By how much rays miss the places where they meet best [rad], in each of the `labels_of` states.

    Sums over the cameras of means over the keypoints of the pairs, each at most `far`.
    """
    rotation = rotation.double().cpu()
    centres = -torch.einsum("vyx,vy->vx", rotation, transl.double().cpu())
    centres = centres - centres.mean(0)
    towards = torch.nn.functional.normalize(torch.nn.functional.pad(rays, (0, 1), value=1.0), dim=-1)
    towards = torch.einsum("vyx,tvky->xvkt", rotation, towards)
    weight = trust.permute(1, 2, 0)
    plain, crossed = (torch.as_tensor(order.ravel().copy()) for order in (pairs, pairs[:, ::-1]))
    towards = torch.stack((towards[:, :, plain], towards[:, :, crossed]), dim=1)  # (3, 2, V, J, T)
    weight = torch.stack((weight[:, plain], weight[:, crossed]))
    # With all of them exchanged rays meet as they did: the second half of the states is the first, backwards.
    labels = torch.as_tensor(labels_of(len(rotation) - 1)).long()
    labels = torch.nn.functional.pad(labels, (0, 1))
    half = torch.cat(
        [
            _missed(towards[..., rows], weight[..., rows], centres.tolist(), labels, far)
            for rows in torch.arange(len(rays)).split(_CHUNK)
        ],
        dim=1,
    ).T
    return torch.cat((half, half.flip(1)), dim=1).numpy()


def _missed(
    towards: Float[Tensor, "3 2 V J T"],
    weight: Float[Tensor, "2 V J T"],
    centres: list[list[float]],
    labels: Int[Tensor, "H V"],
    far: float,
) -> Float[Tensor, "H T"]:
    """For each of H states; directions as they are and exchanged are the second axis.

    Coordinates are arrays of their own, with time last: many times as fast as small vectors.
    """
    views = range(len(centres))
    rays = [[part[labels[:, v], v] for part in towards] for v in views]  # of each camera x, y, z: (H, J, T)
    trust = [weight[labels[:, v], v] for v in views]
    # (1 - d d^T) c for each camera: where its ray is.
    aims = []
    for (x, y, z), (c_x, c_y, c_z) in zip(rays, centres, strict=True):
        along = c_x * x + c_y * y + c_z * z
        aims.append((c_x - along * x, c_y - along * y, c_z - along * z))
    pulls, angles = trust, trust
    for number in range(_ROUNDS):
        p_x, p_y, p_z = _meeting(rays, aims, pulls)
        angles = []
        for (x, y, z), (c_x, c_y, c_z) in zip(rays, centres, strict=True):
            o_x, o_y, o_z = p_x - c_x, p_y - c_y, p_z - c_z
            along, far_off = x * o_x + y * o_y + z * o_z, o_x * o_x + o_y * o_y + o_z * o_z
            angles.append((1 - along * along / far_off.clamp(min=1e-9)).clamp(min=0).sqrt())
        if number + 1 < _ROUNDS:
            pulls = [one / (1 + (2 * angle / far).square()).square() for one, angle in zip(trust, angles, strict=True)]
    missed = [(angle.clamp(max=far) * (one > 0)).sum(1) for one, angle in zip(trust, angles, strict=True)]
    return torch.stack(missed).sum(0) / weight.shape[2]


def _meeting(
    rays: Sequence[Sequence[Tensor]], aims: Sequence[Sequence[Tensor]], pulls: Sequence[Tensor]
) -> tuple[Tensor, Tensor, Tensor]:
    """The places nearest to all rays: sum w (1 - d d^T) p = sum w (1 - d d^T) c, solved by cofactors."""
    least = 1e-6
    none = torch.zeros_like(pulls[0])
    xx, yy, zz, xy, xz, yz = none + least, none + least, none + least, none, none, none
    right = [none, none, none]
    for (x, y, z), aim, pull in zip(rays, aims, pulls, strict=True):
        w_x, w_y, w_z = pull * x, pull * y, pull * z
        xx, yy, zz = xx + pull - w_x * x, yy + pull - w_y * y, zz + pull - w_z * z
        xy, xz, yz = xy - w_x * y, xz - w_x * z, yz - w_y * z
        right = [total + pull * part for total, part in zip(right, aim, strict=True)]
    a, b, c = yy * zz - yz * yz, xz * yz - xy * zz, xy * yz - xz * yy
    d, e, f = xx * zz - xz * xz, xy * xz - xx * yz, xx * yy - xy * xy
    size = (xx * a + xy * b + xz * c).clamp(min=least**3)
    x, y, z = right
    return (a * x + b * y + c * z) / size, (b * x + d * y + e * z) / size, (c * x + e * y + f * z) / size


def crossing(
    rays: Float[Tensor, "T V K 2"], trust: Float[Tensor, "T V K"], pairs: Int[np.ndarray, "P 2"], fps: float, far: float
) -> Float[np.ndarray, "T V"]:
    """How much farther the tracks of each camera jump into each frame if they go on crosswise than if straight [rad].

    Means over the keypoints of the pairs, each at most `far`. A pair that was missing for a while says so in all frames
    in which the sides may have changed, or, if it did cross, in the last of them.
    """
    frames, views = trust.shape[:2]
    left, right = (rays[:, :, pairs[:, side]].flatten(1, 2).numpy() for side in (0, 1))
    both = (trust[:, :, pairs] > 0).all(-1).flatten(1, 2).numpy()
    before = neighbours(both).before
    gone = np.where(both & (before >= 0), np.arange(frames)[:, None] - before, 0)
    usable = (gone > 0) & (gone <= max(1, round(_GAP_S * fps)))

    def jump(now: np.ndarray, then: np.ndarray) -> np.ndarray:
        return np.minimum(np.linalg.norm(now - at(then, before), axis=-1), far)

    worse = jump(left, right) + jump(right, left) - jump(left, left) - jump(right, right)
    worse = np.where(usable, worse, 0) / max(2 * len(pairs), 1)
    total = worse.copy()
    for missed in range(1, int(gone[usable].max(initial=1))):
        late = np.where((gone > missed) & (worse > 0), worse, 0)
        total[:-missed] += late[missed:]
    return total.reshape(frames, views, len(pairs)).sum(axis=-1)
