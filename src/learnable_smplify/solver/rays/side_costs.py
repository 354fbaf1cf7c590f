"""What exchanged sides of a camera's detections cost: rays that do not meet, and tracks that go on crosswise."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from learnable_smplify.kernels.convert import arrays
from learnable_smplify.kernels.usable import is_usable
from learnable_smplify.repair.neighbours import at, neighbours
from learnable_smplify.solver.rays.rays import Rays, camera_centres, meeting, world_directions
from learnable_smplify.threads import map_chunks

# Tracks go on over gaps of this many seconds.
_GAP_S = 0.3
# Frames that a thread weighs at once.
_CHUNK = 128
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
    centres = camera_centres(rotation, transl.double().cpu())
    centres = centres - centres.mean(0)
    towards = world_directions(rays.transpose(1, 2), rotation).permute(0, 1, 3, 2)
    weight = trust.permute(1, 2, 0)
    plain, crossed = (torch.as_tensor(order.ravel().copy()) for order in (pairs, pairs[:, ::-1]))
    towards = torch.stack((towards[:, :, plain], towards[:, :, crossed]), dim=1)  # (3, 2, V, J, T)
    weight = torch.stack((weight[:, plain], weight[:, crossed]))
    # With all of them exchanged rays meet as they did: the second half of the states is the first, backwards.
    labels = torch.as_tensor(labels_of(len(rotation) - 1)).long()
    labels = torch.nn.functional.pad(labels, (0, 1))

    def missed(rows: slice) -> Tensor:
        return _missed(towards[..., rows].contiguous(), weight[..., rows].contiguous(), centres, labels, far)

    slices = [slice(first, first + _CHUNK) for first in range(0, len(rays), _CHUNK)]
    half = torch.cat(map_chunks(missed, slices, towards.device), dim=1).T
    return torch.cat((half, half.flip(1)), dim=1).numpy()


def _missed(
    towards: Float[Tensor, "3 2 V J T"],
    weight: Float[Tensor, "2 V J T"],
    centres: Float[Tensor, "V 3"],
    labels: Int[Tensor, "H V"],
    far: float,
) -> Float[Tensor, "H T"]:
    """For each of H states; directions as they are and exchanged are the second axis."""
    if is_usable(towards, weight, any_precision=True):
        from learnable_smplify.solver.rays.ray_kernels import miss_each_other

        found = towards.new_zeros(len(labels), weight.shape[3])
        miss_each_other(*arrays(towards, weight, centres, labels), far, _ROUNDS, found.numpy())
        return found
    views = range(len(centres))
    # Of each camera x, y and z: (H, J, T).
    rays = [Rays(towards[:, labels[:, v], v], centres[v]) for v in views]
    trust = [weight[labels[:, v], v] for v in views]
    pulls, angles = trust, trust
    for number in range(_ROUNDS):
        place = meeting(rays, pulls)
        angles = [ray.angle(place) for ray in rays]
        if number + 1 < _ROUNDS:
            pulls = [one / (1 + (2 * angle / far).square()).square() for one, angle in zip(trust, angles, strict=True)]
    missed = [(angle.clamp(max=far) * (one > 0)).sum(1) for one, angle in zip(trust, angles, strict=True)]
    return torch.stack(missed).sum(0) / weight.shape[2]


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
