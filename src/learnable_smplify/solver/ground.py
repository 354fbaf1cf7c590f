"""Positions relative to the hips put back on a floor: the foot that carries the body stays where it is.

Of such a recording (MediaPipe's world landmarks, many lifted poses) the way of the body is lost, but feet tell it: the
lowest point of the feet is on the floor, and what it moves away from the hips the hips move away from it. Where other
parts of the body are lower, as hands of cartwheels or backs of people who lie, they are. Jumps can not be told from
squats: somebody is always taken to be on the floor.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from learnable_smplify.body.fold import FoldedPoints
from learnable_smplify.keypoints import Keypoints
from learnable_smplify.layouts.layout import Layout, load_layout
from learnable_smplify.skeleton import sided
from learnable_smplify.timeline import between

_HIPS = (*sided("hip"), "pelvis")
# The middle of the hips stays within this of one place, and of the origin [m].
_STILL, _ORIGIN = 0.02, 0.05
# A point this much higher than the lowest [m] has a third of its say in where the body goes.
_SUPPORT = 0.03
# Points of feet that carry the body move alike within this [m/s]; rounds in which they are told from others.
_ALIKE, _ROUNDS = 0.4, 8
# The height of the floor is steadied over this time to either side [s].
_STEADY_S = 0.1
# Soles are below the lowest landmarks of a foot at rest [m].
_SOLE = 0.02
# What is between other parts' keypoints and the floor that they lie on [m], of hips, and of all others; such keypoints
# are about as high in so many frames, or they jumped.
_HIPS_ABOVE, _OTHERS_ABOVE, _SETTLED = 0.1, 0.06, 5


def is_root_relative(keypoints: Keypoints) -> bool:
    """Whether the hips are at the origin in every frame, so that the recording says nothing of the body's way.

    The origin is between both hips, or in the root of a skeleton that lies above them.
    """
    layout = load_layout(keypoints.layout)
    sides = [index for name in ("left_hip", "right_hip") if (index := layout.index_of_point(name)) is not None]
    root = layout.index_of_point("pelvis")
    places = ([sides] if len(sides) == 2 else []) + ([] if root is None else [[root]])
    return any(_at_origin(keypoints, columns) for columns in places)


def _at_origin(keypoints: Keypoints, columns: list[int]) -> bool:
    seen = (keypoints.confidence[:, columns] > 0).all(dim=1)
    middle = keypoints.positions[:, columns].mean(dim=1)[seen]
    return len(middle) >= 2 and float(middle.abs().max()) < _ORIGIN and float(middle.std(dim=0).max()) < _STILL


def with_place_named(keypoints: Keypoints) -> Keypoints:
    """The recording with a note that it holds no path, where that is so."""
    note = "positions are relative to the hips: the file holds no path (--ground finds one)"
    return keypoints.with_note(note) if note not in keypoints.notes and is_root_relative(keypoints) else keypoints


def grounded(keypoints: Keypoints, folded: FoldedPoints) -> Keypoints:
    """The recording with a way of its own, the floor at height 0, if its hips are at the origin and its feet are seen.

    Args:
        keypoints: one person's.
        folded: the layout's keypoints on a body: how high they are above the sole.

    Returns:
        the moved keypoints, with a note; those without feet, without up axis, or with a way come back as they are.
    """
    layout = load_layout(keypoints.layout)
    feet = [index for index, group in enumerate(layout.groups) if group == "feet"]
    feet += [index for name in ("left_ankle", "right_ankle") if (index := layout.index_of_point(name)) is not None]
    if not is_root_relative(keypoints):
        return keypoints
    if keypoints.up_axis is None:
        return keypoints.with_note(
            "positions are relative to the hips, and which way is up is not known: the body stays in place (--up y, "
            "for example, puts it on a floor)"
        )
    if not feet or float((keypoints.confidence[:, feet] > 0).any(dim=1).double().mean()) < 0.5:
        return keypoints.with_note("positions are relative to the hips and feet are not seen: the body stays in place")
    up = "xyz".index(keypoints.up_axis)
    points, seen = keypoints.positions.double(), keypoints.confidence > 0
    height = torch.where(seen, points[..., up] - _above_floor(layout, folded, feet).to(points), torch.inf)
    others = [index for index in range(len(layout.points)) if index not in feet]
    height[:, others] = _settled(height[:, others])
    lowest = _steadied(_filled(torch.where(seen[:, feet].any(dim=1), height.amin(dim=1), torch.inf)), keypoints.fps)
    path = -_supported_steps(points, torch.softmax(-(height - lowest[:, None]) / _SUPPORT, dim=1), seen, keypoints.fps)
    path[:, up] = -lowest
    moved = torch.where(
        (keypoints.confidence > 0)[..., None], keypoints.positions + path[:, None].to(keypoints.positions), torch.nan
    )
    depth = float(path[:, up].max() - path[:, up].min())
    note = (
        "positions were relative to the hips: the supporting foot stays on a floor at height 0, and the pelvis goes up "
        f"and down by {depth:.2f} m; jumps can not be told from bent knees"
    )
    hands = None if keypoints.hands is None else keypoints.hands.moved(offset=path)
    return replace(keypoints, positions=moved, hands=hands).with_note(note)


def _supported_steps(
    points: Float[Tensor, "T K 3"], share: Float[Tensor, "T K"], seen: Bool[Tensor, "T K"], fps: float
) -> Float[Tensor, "T 3"]:
    """Where the points that carry the body would go, if the hips stayed: steps of points that two frames have, added.

    A foot that swings past just above the floor moves the other way, so the steps of most of the weight are taken.
    """
    both = seen[1:] & seen[:-1]
    steps = torch.where(both[..., None], points[1:] - points[:-1], 0.0)
    carrying = torch.where(both, torch.nan_to_num(share[1:] * share[:-1]).sqrt(), 0.0)
    weight = carrying
    for _ in range(_ROUNDS):
        total = weight.sum(dim=1, keepdim=True).clamp(min=1e-9)
        middle = (weight[..., None] * steps).sum(dim=1) / total
        away = (steps - middle[:, None]).norm(dim=-1) * fps
        weight = carrying / (1 + (away / _ALIKE).square()).square()
    return torch.cat((middle.new_zeros(1, 3), middle.cumsum(dim=0)))


def _above_floor(layout: Layout, folded: FoldedPoints, feet: list[int]) -> Float[Tensor, " K"]:
    """How high keypoints are above the floor that they touch [m]: of feet as those of a mean person who stands."""
    hips = [index for index, row in enumerate(layout.points) if all(point in _HIPS for point, _ in row)]
    above = torch.full((len(layout.points),), _OTHERS_ABOVE)
    above[hips] = _HIPS_ABOVE
    height = folded.at_rest().positions()[0, feet, 1].cpu()
    height = height - height.amin()
    # Ankles alone are as high as they are.
    above[feet] = (height + _SOLE if float(height.max()) > 0.03 else height + 4 * _SOLE).to(above)
    return above


def _settled(height: Float[Tensor, "T O"]) -> Float[Tensor, "T O"]:
    """The median over some frames around each: a keypoint that jumps for a moment does not carry anybody."""
    reach = _SETTLED // 2
    last = len(height) - 1
    mirrored = torch.arange(-reach, last + reach + 1).abs()
    mirrored = (last - (last - mirrored).abs()).clamp(min=0)
    return height[mirrored].unfold(0, 2 * reach + 1, 1).median(dim=-1).values


def _filled(values: Float[Tensor, " T"]) -> Float[Tensor, " T"]:
    """Infinite values between others on straight lines, at the ends as the nearest."""
    known = torch.isfinite(values).nonzero()[:, 0]
    return between(values[known], known, len(values))


def _steadied(values: Float[Tensor, " T"], fps: float) -> Float[Tensor, " T"]:
    reach = min(round(_STEADY_S * fps), (len(values) - 1) // 2)
    if reach < 1:
        return values
    padded = torch.cat((values[:1].expand(reach), values, values[-1:].expand(reach)))
    return padded.unfold(0, 2 * reach + 1, 1).mean(dim=-1)
