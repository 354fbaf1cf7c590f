"""Halves of the body that a recording never shows: where they are expected, so that they rest and keep still.

A bust leaves the trunk free to tilt and the legs to drift. Hips that are not seen are put below the shoulders, knees
and ankles below the hips, or as those of somebody who sits where the hips are too low to stand; of legs alone,
shoulders and arms are put above. Such points guide the solver weakly; nothing is compared with them.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from learnable_smplify.keypoints import Keypoints
from learnable_smplify.layouts.layout import Layout, load_layout
from learnable_smplify.skeleton import sided
from learnable_smplify.timeline import runs

# How far invented points are trusted: a measured one has 1.
_TRUST = 0.1
# A point seen in fewer frames than this share is not part of the recording.
_SEEN = 0.05
# An adult's lengths [m], scaled to the person by what is seen of the arms or legs.
_TRUNK, _HIP_WIDTH, _SHOULDER_WIDTH, _THIGH, _SHANK, _UPPER_ARM, _FOREARM = 0.48, 0.19, 0.36, 0.38, 0.40, 0.26, 0.25
_LIMBS = (
    ("shoulder", "elbow", _UPPER_ARM),
    ("elbow", "wrist", _FOREARM),
    ("hip", "knee", _THIGH),
    ("knee", "ankle", _SHANK),
)
_JOINTS = sided("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
_ANKLE_HEIGHT = 0.08
# Hips at this share of the height of somebody who stands, above a floor at zero, are on a chair.
_CHAIR = (0.4, 0.85)
# What is not seen moves as slowly as the mean over this time to either side [s]; feet stay in one place while the trunk
# does not go further than this [m].
_SLOW_S, _STAYS = 0.5, 0.8
# Hips go this share of the way of the shoulders above them: people lean and bend.
_FOLLOWS = 0.6
# A limb out of sight for longer than this [s] is invented there, and so many such times are written out.
_VANISHED_S, _LISTED = 0.5, 4


def with_invented(keypoints: Keypoints) -> Keypoints:
    """The recording with points of weak trust for the half of the body that it never shows, and a note that says so.

    Args:
        keypoints: one person's, metres. Without up axis, or with both halves, they come back as they are.
    """
    layout = load_layout(keypoints.layout)
    keypoints = _with_absences_named(keypoints, layout)
    seen = (keypoints.confidence > 0).double().mean(dim=0) > _SEEN
    points = {name: _place(keypoints, layout, seen, name) for name in _JOINTS}
    legs = any(points[name] is not None for name in sided("knee", "ankle"))
    hips = all(points[name] is not None for name in sided("hip"))
    shoulders = all(points[name] is not None for name in sided("shoulder"))
    if legs == shoulders or not (hips or shoulders):
        return _with_limbs_named(keypoints, layout, seen, points)
    if keypoints.up_axis is None:
        what = ("legs" if hips else "hips and legs") if shoulders else "trunk and arms"
        return keypoints.with_note(
            f"the {what} are not seen: they are guessed, better if you say which way is up (--up)"
        )
    up = torch.zeros(3, dtype=torch.float64)
    up["xyz".index(keypoints.up_axis)] = 1.0
    size = _size(points)
    if legs:
        made = _upper(points, up, size, keypoints.fps)
        head = _sees(layout, seen, "head")
        what = f"trunk{'' if head else ', head'} and arms are not seen: they are invented, upright and at rest"
    else:
        made, seated = _lower(points, up, size, keypoints.fps, hips)
        what = ("the legs" if hips else "hips and legs") + " are not seen: they are invented, "
        what += "as of somebody who sits" if seated else "as of somebody who stands"
    return _added(keypoints, layout, seen, made).with_note(what)


def _with_limbs_named(
    keypoints: Keypoints, layout: Layout, seen: Tensor, points: dict[str, Tensor | None]
) -> Keypoints:
    """The recording with a note of arms, legs and a head that the layout has and nobody ever saw."""
    unseen = [
        f"the {side} {limb}"
        for limb, ends in (("arm", ("elbow", "wrist")), ("leg", ("knee", "ankle")))
        for side in ("left", "right")
        if all(points[f"{side}_{end}"] is None for end in ends)
        and all(layout.index_of_point(f"{side}_{end}") is not None for end in ends)
    ]
    for side in ("left", "right"):
        ends = [layout.index_of_point(f"{side}_{end}") for end in ("ankle", "heel", "big_toe", "small_toe", "foot")]
        below = [index for index in ends if index is not None]
        if points[f"{side}_knee"] is not None and below and not bool(seen[below].any()):
            unseen.append(f"the {side} lower leg")
    if "head" in layout.groups and not _sees(layout, seen, "head"):
        unseen.append("the head")
    if not unseen or not any(place is not None for place in points.values()):
        return keypoints
    verb = "is" if len(unseen) == 1 else "are"
    return keypoints.with_note(f"{' and '.join(unseen)} {verb} not seen: invented, at rest")


def _with_absences_named(keypoints: Keypoints, layout: Layout) -> Keypoints:
    """The recording with a note of arms and legs that are seen, but not all the time that the person is."""
    confident = keypoints.confidence.cpu() > 0
    there = confident.any(dim=1)
    for limb, ends in (("arm", ("elbow", "wrist")), ("leg", ("knee", "ankle"))):
        gone = {}
        for side in ("left", "right"):
            columns = [index for end in ends if (index := layout.index_of_point(f"{side}_{end}")) is not None]
            known = confident[:, columns].any(dim=1)
            if columns and float(known.double().mean()) > _SEEN:
                stretches = runs((there & ~known).numpy())
                gone[side] = [(first, end) for first, end in stretches if end - first > _VANISHED_S * keypoints.fps]
        if len(gone) == 2 and gone["left"] == gone["right"]:
            gone = {"both": gone["left"]}
        for side, stretches in gone.items():
            if stretches:
                count = sum(end - first for first, end in stretches)
                which = f"the {limb}s are" if side == "both" else f"the {side} {limb} is"
                listed = ", ".join(f"{first}-{end - 1}" for first, end in stretches[:_LISTED])
                more = f", and {len(stretches) - _LISTED} more times" if len(stretches) > _LISTED else ""
                keypoints = keypoints.with_note(
                    f"{which} not seen in {count} of {len(keypoints)} frames ({listed}{more}): invented there"
                )
    return keypoints


def _sees(layout: Layout, seen: Bool[Tensor, " K"], group: str) -> bool:
    return any(bool(one) for one, name in zip(seen, layout.groups, strict=True) if name == group)


def _lower(
    points: dict[str, Tensor | None], up: Tensor, size: float, fps: float, hips_seen: bool
) -> tuple[dict[str, Tensor], bool]:
    """Hips, knees and ankles below the shoulders, NaN where they are not known; and whether they sit."""
    left, right = points["left_shoulder"], points["right_shoulder"]
    if hips_seen:
        left, right = points["left_hip"], points["right_hip"]
    assert left is not None
    assert right is not None
    side, forward = _axes(left - right, up, fps)
    middle = _slow((left + right) / 2, fps)
    place = middle.nanmedian(dim=0).values.expand_as(middle) if _stays(middle) else middle
    hips = middle if hips_seen else torch.lerp(place, middle, _FOLLOWS) - _TRUNK * size * up
    standing = (_THIGH + _SHANK + _ANKLE_HEIGHT) * size
    height = float((hips @ up).nanmedian()) / standing
    seated = _CHAIR[0] < height < _CHAIR[1] and hips_seen
    floor = place if hips_seen else place - _TRUNK * size * up
    made: dict[str, Tensor] = {}
    for name, sign in (("left", 0.5), ("right", -0.5)):
        across = sign * _HIP_WIDTH * size * side
        if not hips_seen:
            made[f"{name}_hip"] = hips + across
        if seated:
            made[f"{name}_knee"] = floor + across + _THIGH * size * forward
            made[f"{name}_ankle"] = made[f"{name}_knee"] - _SHANK * size * up
        else:
            made[f"{name}_ankle"] = floor + across - 0.99 * (_THIGH + _SHANK) * size * up
            made[f"{name}_knee"] = (hips + across + made[f"{name}_ankle"]) / 2 + 0.02 * size * forward
    return made, seated


def _upper(points: dict[str, Tensor | None], up: Tensor, size: float, fps: float) -> dict[str, Tensor]:
    """Shoulders above the hips, arms hanging."""
    left, right = points["left_hip"], points["right_hip"]
    assert left is not None
    assert right is not None
    side, _ = _axes(left - right, up, fps)
    chest = (left + right) / 2 + _TRUNK * size * up
    made: dict[str, Tensor] = {}
    for name, sign in (("left", 0.5), ("right", -0.5)):
        made[f"{name}_shoulder"] = chest + sign * _SHOULDER_WIDTH * size * side
        made[f"{name}_elbow"] = made[f"{name}_shoulder"] + sign * 0.1 * size * side - 0.97 * _UPPER_ARM * size * up
        made[f"{name}_wrist"] = made[f"{name}_elbow"] - _FOREARM * size * up
    return made


def _added(keypoints: Keypoints, layout: Layout, seen: Tensor, made: dict[str, Tensor]) -> Keypoints:
    positions, confidence = keypoints.positions.clone(), keypoints.confidence.clone()
    for name, place in made.items():
        index = layout.index_of_point(name)
        if index is None or bool(seen[index]):
            continue
        known = torch.isfinite(place).all(dim=-1).to(confidence.device)
        positions[:, index] = torch.where(known[:, None], place.to(positions), positions[:, index])
        confidence[:, index] = torch.where(known, _TRUST, 0.0)
    lost = (confidence <= 0)[..., None]
    return replace(keypoints, positions=torch.where(lost, torch.nan, positions), confidence=confidence)


def _axes(across: Float[Tensor, "T 3"], up: Tensor, fps: float) -> tuple[Float[Tensor, "T 3"], Float[Tensor, "T 3"]]:
    """To the left and forward, level, turning slowly."""
    level = _slow(across - (across @ up)[:, None] * up, fps)
    side = level / level.norm(dim=-1, keepdim=True).clamp(min=1e-6)
    return side, torch.linalg.cross(side, up.expand_as(side))


def _slow(values: Float[Tensor, "T 3"], fps: float) -> Float[Tensor, "T 3"]:
    """Means over time; NaN where nothing is known within it."""
    reach = round(_SLOW_S * fps)
    known = torch.isfinite(values).all(dim=-1, keepdim=True)
    sums = torch.nn.functional.pad(torch.where(known, values, 0.0).cumsum(dim=0), (0, 0, 1, 0))
    counts = torch.nn.functional.pad(known.double().cumsum(dim=0), (0, 0, 1, 0))
    frames = torch.arange(len(values))
    first, end = (frames - reach).clamp(min=0), (frames + reach + 1).clamp(max=len(values))
    count = counts[end] - counts[first]
    return torch.where(count > 0, (sums[end] - sums[first]) / count.clamp(min=1), torch.nan)


def _stays(values: Float[Tensor, "T 3"]) -> bool:
    known = values[torch.isfinite(values).all(dim=-1)]
    return len(known) > 0 and float((known.amax(dim=0) - known.amin(dim=0)).max()) < _STAYS


def _size(points: dict[str, Tensor | None]) -> float:
    """How large the person is against an adult, from the limbs that are seen; 1 where none is."""
    ratios = []
    for start, end, usual in _LIMBS:
        for side in ("left", "right"):
            first, second = points[f"{side}_{start}"], points[f"{side}_{end}"]
            if first is not None and second is not None:
                ratios.append(float((first - second).norm(dim=-1).nanmedian()) / usual)
    known = [ratio for ratio in ratios if 0.2 < ratio < 2.0]
    return float(torch.tensor(known).median()) if known else 1.0


def _place(keypoints: Keypoints, layout: Layout, seen: Tensor, name: str) -> Float[Tensor, "T 3"] | None:
    index = layout.index_of_point(name)
    if index is None or not bool(seen[index]):
        return None
    there = (keypoints.confidence[:, index] > 0)[:, None]
    return torch.where(there, keypoints.positions[:, index], torch.nan).double().cpu()
