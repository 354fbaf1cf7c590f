"""Hypotheses carried through time: which pose of each frame goes with those before and after it.

A chain over the frames; a state is a hypothesis. Its cost is what it makes of its frame; from one frame to the next it
costs what the change prior says of the turn from one pose to the other, and of the step. The best chain is found by
dynamic programming (Viterbi 1967), how sure each state is by sums over all chains (forward and backward).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from learnable_smplify.rotation import rotmat_to_rotvec
from learnable_smplify.solver.frame.priors import Priors

# How fast people turn as a whole [rad/s], and move along the view [m/s].
_TURN_SPEED, _DEPTH_SPEED = 4.0, 3.0
# A step costs at most this: a chain may be broken where no hypothesis goes on.
_MOST = 400.0


@dataclass(frozen=True, eq=False)
class Chain:
    """The best chain, and how likely every hypothesis is in its place.

    Args:
        chosen: (T,) index of the hypothesis.
        likely: (T, M) probabilities, each frame's sum to 1.
    """

    chosen: Int[Tensor, " T"]
    likely: Float[Tensor, "T M"]


def best_chain(
    rotmat: Float[Tensor, "T M 24 3 3"],
    transl: Float[Tensor, "T M 3"],
    cost: Float[Tensor, "T M"],
    frames: Int[Tensor, " T"],
    fps: float,
    priors: Priors,
    sharpness: float,
) -> Chain:
    """Over frames with hypotheses.

    Args:
        rotmat, transl: the hypotheses, in the camera's frame.
        cost: of each in its frame, twice a negative log.
        frames: their numbers, ascending.
        sharpness: weight of all costs: neighbouring frames err alike, so each says less than if it were alone.
    """
    count = len(rotmat)
    step = _step_costs(rotmat, transl, frames, fps, priors)
    own, step = 0.5 * sharpness * cost, 0.5 * sharpness * step
    best, back = own[0], []
    ahead = [own[0]]
    for t in range(1, count):
        total = best[:, None] + step[t - 1]
        least = total.min(dim=0)
        back.append(least.indices)
        best = least.values + own[t]
        ahead.append(own[t] - torch.logsumexp(-(ahead[-1][:, None] + step[t - 1]), dim=0))
    behind = [torch.zeros_like(own[0])]
    for t in range(count - 1, 0, -1):
        behind.append(-torch.logsumexp(-(step[t - 1] + (own[t] + behind[-1])[None]), dim=1))
    chosen = [int(best.argmin())]
    for indices in reversed(back):
        chosen.append(int(indices[chosen[-1]]))
    likely = (-(torch.stack(ahead) + torch.stack(behind[::-1]))).softmax(dim=-1)
    return Chain(torch.tensor(chosen[::-1], device=cost.device), likely)


def _step_costs(rotmat: Tensor, transl: Tensor, frames: Tensor, fps: float, priors: Priors) -> Float[Tensor, "T-1 M M"]:
    """Cost from every hypothesis of a frame to every one of the next."""
    seconds = ((frames[1:] - frames[:-1]) / fps).to(rotmat)
    change = priors.change_over(1.0).to(rotmat).clone()
    change[:3] = 0
    change[:, :3] = 0
    change[:3, :3] = torch.eye(3).to(change) / _TURN_SPEED**2
    turn = rotmat_to_rotvec(rotmat[1:, None] @ rotmat[:-1, :, None].mT).flatten(3)  # (T-1, M, M, 72)
    scaled = (turn @ change * turn).sum(-1)
    # The prior's variances grow with time, as a random walk's; the whole turns and moves at a speed.
    whole = (turn[..., :3] @ change[:3, :3] * turn[..., :3]).sum(-1)
    limbs = (scaled - whole) / seconds[:, None, None]
    depth = (transl[1:, None, :, 2] - transl[:-1, :, None, 2]) / _DEPTH_SPEED
    return (limbs + (whole + depth.square()) / seconds[:, None, None].square()).clamp(max=_MOST)
