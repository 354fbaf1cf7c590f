"""Halves of the body that a recording never shows: where they are expected, so that they rest and keep still.

A bust leaves the trunk free to tilt and the legs to drift. Hips that are not seen are put below the shoulders, knees
and ankles below the hips, or as those of somebody who sits where the hips are too low to stand; of legs alone,
shoulders and arms are put above; of one arm or one leg alone, the other side beside it (`one_sided.py`). Such points
guide the solver weakly; nothing is compared with them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from learnable_smplify.body.fold import FoldedPoints
from learnable_smplify.keypoints import Keypoints
from learnable_smplify.layouts.layout import Layout, load_layout
from learnable_smplify.motion import direction_vector
from learnable_smplify.skeleton import SIDES, sided
from learnable_smplify.solver.unseen.absences import LIMB_ENDS, PART_OF_RECORDING, with_absences_named, with_trunk_kept
from learnable_smplify.solver.unseen.one_sided import middle_of, other_sides, track_of

# How far invented points are trusted: a measured one has 1.
_TRUST = 0.1
_LIMBS = (
    ("shoulder", "elbow", "upper_arm"),
    ("elbow", "wrist", "forearm"),
    ("hip", "knee", "thigh"),
    ("knee", "ankle", "shank"),
)
_JOINTS = sided("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
# Hips at this share of the height of somebody who stands, above a floor at zero, are on a chair.
_CHAIR = (0.4, 0.85)
# What is not seen moves as slowly as the mean over this time to either side [s], knees below hips that are seen over a
# shorter one; feet stay in one place while the trunk does not go further than this [m].
_SLOW_S, _QUICK_S, _STAYS = 0.5, 0.1, 0.8
# Knees and elbows of somebody at rest are so far in front of straight legs, and beside the shoulders [m].
_BENT, _OUT = 0.02, 0.1
# Hips of people who stand are as high as they come but for a twentieth of the time; in the deepest squat they are lower
# by this share of the leg, and they sway over their feet by so much of it.
_HIGH, _DEEPEST, _SWAYS = 0.95, 0.7, 0.2
# Hips go this share of the way of the shoulders above them: people lean and bend.
_FOLLOWS = 0.6


@dataclass(frozen=True)
class Lengths:
    """Of a person's body [m], an adult's by default."""

    trunk: float = 0.48
    hip_width: float = 0.19
    shoulder_width: float = 0.36
    thigh: float = 0.38
    shank: float = 0.40
    ankle_height: float = 0.08
    upper_arm: float = 0.26
    forearm: float = 0.25

    @property
    def leg(self) -> float:
        """From hip to ankle, not quite stretched."""
        return 0.99 * (self.thigh + self.shank)

    @staticmethod
    def of_body(folded: FoldedPoints, betas: Float[Tensor, "10"], layout: Layout) -> Lengths:
        """Those between a body's own keypoints; an adult's where the layout lacks them."""
        points = folded.at_rest(betas).positions()[0]
        place = {name: points[index] for name in _JOINTS if (index := layout.index_of_point(name)) is not None}
        found = {name: _distance(place, f"left_{start}", f"left_{end}") for start, end, name in _LIMBS}
        found["hip_width"] = _distance(place, "left_hip", "right_hip")
        found["shoulder_width"] = _distance(place, "left_shoulder", "right_shoulder")
        if all(name in place for name in ("left_hip", "left_shoulder")):
            found["trunk"] = float(place["left_shoulder"][1] - place["left_hip"][1])
        return Lengths(**{name: length for name, length in found.items() if length > 0})

    @property
    def widths(self) -> dict[str, float]:
        """From a joint to that of the other side."""
        return {"shoulder": self.shoulder_width, "hip": self.hip_width}

    def times(self, size: float) -> Lengths:
        """Those of somebody so many times as large."""
        return Lengths(**{name: size * length for name, length in asdict(self).items()})


def _distance(place: dict[str, Tensor], start: str, end: str) -> float:
    return float((place[start] - place[end]).norm()) if start in place and end in place else 0.0


def with_invented(keypoints: Keypoints, lengths: Lengths | None = None) -> Keypoints:
    """The recording with points of weak trust for the half of the body that it never shows, and a note that says so.

    Args:
        keypoints: one person's, metres. Without up axis, or with both halves, they come back as they are.
        lengths: of the person's body; None is an adult's, scaled by what is seen of arms and legs.
    """
    layout = load_layout(keypoints.layout)
    keypoints = with_trunk_kept(with_absences_named(keypoints, layout), layout, _TRUST)
    seen = (keypoints.confidence > 0).double().mean(dim=0) > PART_OF_RECORDING
    points = {name: track_of(keypoints, layout, seen, name) for name in _JOINTS}
    legs = any(points[name] is not None for name in sided("knee", "ankle"))
    arms = any(points[name] is not None for name in sided("shoulder", "elbow"))
    if legs == arms or all(points[name] is None for name in sided("shoulder", "elbow", "hip")):
        return _with_limbs_named(keypoints, layout, seen, points)
    up = keypoints.up_axis
    if up is None:
        hips = all(points[name] is not None for name in sided("hip"))
        what = ("legs" if hips else "hips and legs") if arms else "trunk and arms"
        return keypoints.with_note(
            f"the {what} are not seen: they are guessed, better if you say which way is up (--up)"
        )
    upward = torch.from_numpy(direction_vector(up))
    lengths = lengths or Lengths().times(_size(points))
    trunk = any(points[name] is not None for name in sided("shoulder", "hip"))
    beside = {} if trunk else _above_elbows(points, upward, lengths, keypoints.fps)
    aside = other_sides(keypoints, seen, points | beside, upward, lengths.widths)
    beside |= aside.places
    points |= beside
    if arms and (middle := middle_of(keypoints, layout, seen, "hip")) is not None:
        beside |= _about(middle, points, upward, lengths, keypoints.fps)
        points |= beside
    hips = all(points[name] is not None for name in sided("hip"))
    head = () if "head" not in layout.groups or _sees(layout, seen, "head") else ("head",)
    if legs:
        made = _upper(points, upward, lengths, keypoints.fps)
        unseen = (*_unseen_limbs(layout, points, "leg"), "trunk", *head, "arms")
        how = "upright and at rest"
    else:
        made, seated = _lower(points, upward, lengths, keypoints.fps, hips)
        middle_part = ("trunk",) if not trunk else () if hips else ("hips",)
        unseen = (*_unseen_limbs(layout, points, "arm"), *head, *middle_part, "legs")
        how = f"as of somebody who {'sits' if seated else 'stands'}"
    what = f"{', '.join(unseen[:-1])} and {unseen[-1]}" if len(unseen) > 1 else f"the {unseen[0]}"
    if aside.faces_anywhere:
        how += "; which way the body faces is a guess"
    return _added(keypoints, layout, seen, made | beside).with_note(f"{what} are not seen: they are invented, {how}")


def _unseen_limbs(layout: Layout, points: Mapping[str, Tensor | None], limb: str) -> tuple[str, ...]:
    """Arms or legs, in words, that the layout has and nobody ever saw."""
    unseen = [
        f"the {side} {limb}"
        for side in SIDES
        if all(points[f"{side}_{end}"] is None for end in LIMB_ENDS[limb])
        and all(layout.index_of_point(f"{side}_{end}") is not None for end in LIMB_ENDS[limb])
    ]
    return (f"the {limb}s",) if len(unseen) == 2 else tuple(unseen)


def _with_limbs_named(
    keypoints: Keypoints, layout: Layout, seen: Tensor, points: dict[str, Tensor | None]
) -> Keypoints:
    """The recording with a note of arms, legs and a head that the layout has and nobody ever saw."""
    unseen = [name for limb in LIMB_ENDS for name in _unseen_limbs(layout, points, limb)]
    for side in ("left", "right"):
        ends = [layout.index_of_point(f"{side}_{end}") for end in ("ankle", "heel", "big_toe", "small_toe", "foot")]
        below = [index for index in ends if index is not None]
        if points[f"{side}_knee"] is not None and below and not bool(seen[below].any()):
            unseen.append(f"the {side} lower leg")
    if "head" in layout.groups and not _sees(layout, seen, "head"):
        unseen.append("the head")
    if all(points[name] is None for name in sided("hip", "shoulder")):
        unseen.append("the trunk")
    if not unseen or not any(place is not None for place in points.values()):
        return keypoints
    verb = "is" if len(unseen) == 1 and not unseen[0].endswith("s") else "are"
    how = "a guess" if "the trunk" in unseen else "at rest"
    return keypoints.with_note(f"{' and '.join(unseen)} {verb} not seen: invented, {how}")


def _sees(layout: Layout, seen: Bool[Tensor, " K"], group: str) -> bool:
    return any(bool(one) for one, name in zip(seen, layout.groups, strict=True) if name == group)


def _lower(
    points: dict[str, Tensor | None], up: Tensor, lengths: Lengths, fps: float, hips_seen: bool
) -> tuple[dict[str, Tensor], bool]:
    """Hips, knees and ankles below the shoulders, NaN where they are not known; and whether they sit."""
    left, right = points["left_shoulder"], points["right_shoulder"]
    if hips_seen:
        left, right = points["left_hip"], points["right_hip"]
    assert left is not None
    assert right is not None
    side, forward = _axes(left - right, up, fps)
    hips = _slow((left + right) / 2, fps, _QUICK_S if hips_seen else _SLOW_S)
    stays = _stays(hips)
    if not hips_seen:
        place = hips.nanmedian(dim=0).values.expand_as(hips) if stays else hips
        hips = torch.lerp(place, hips, _FOLLOWS) - lengths.trunk * up
        chest = _slow((left + right) / 2, fps, _QUICK_S)  # from which hips are as far as a trunk is long
        hips = chest + lengths.trunk * torch.nn.functional.normalize(hips - chest, dim=-1)
    leg = lengths.leg
    height = float((hips @ up).nanmedian()) / (leg + lengths.ankle_height)
    seated = _CHAIR[0] < height < _CHAIR[1] and hips_seen
    stands = _stood(hips, up, leg) if stays else hips
    made: dict[str, Tensor] = {}
    for name, sign in (("left", 0.5), ("right", -0.5)):
        across = sign * lengths.hip_width * side
        if not hips_seen:
            made[f"{name}_hip"] = hips + across
        if seated:
            made[f"{name}_knee"] = stands + across + lengths.thigh * forward
            made[f"{name}_ankle"] = made[f"{name}_knee"] - lengths.shank * up
        else:
            made[f"{name}_ankle"] = stands + across - leg * up
            half = (made[f"{name}_ankle"] - hips - across) / 2
            bent = (leg**2 / 4 - half.square().sum(dim=-1, keepdim=True)).clamp(min=_BENT**2).sqrt()
            made[f"{name}_knee"] = hips + across + half + bent * forward
    return made | _hanging(points, side, up, lengths), seated


def _upper(points: dict[str, Tensor | None], up: Tensor, lengths: Lengths, fps: float) -> dict[str, Tensor]:
    """Shoulders above the hips, arms hanging."""
    left, right = points["left_hip"], points["right_hip"]
    assert left is not None
    assert right is not None
    side, _ = _axes(left - right, up, fps)
    chest = (left + right) / 2 + lengths.trunk * up
    made = {
        f"{name}_shoulder": chest + sign * lengths.shoulder_width * side
        for name, sign in (("left", 0.5), ("right", -0.5))
    }
    return made | _hanging(points | made, side, up, lengths)


def _hanging(points: Mapping[str, Tensor | None], side: Tensor, up: Tensor, lengths: Lengths) -> dict[str, Tensor]:
    """Elbows and wrists of arms that are not seen, below the shoulders."""
    made: dict[str, Tensor] = {}
    for name, sign in (("left", 0.5), ("right", -0.5)):
        shoulder = points[f"{name}_shoulder"]
        if shoulder is not None and points[f"{name}_elbow"] is None and points[f"{name}_wrist"] is None:
            made[f"{name}_elbow"] = shoulder + sign * _OUT * side - 0.97 * lengths.upper_arm * up
            made[f"{name}_wrist"] = made[f"{name}_elbow"] - lengths.forearm * up
    return made


def _above_elbows(points: Mapping[str, Tensor | None], up: Tensor, lengths: Lengths, fps: float) -> dict[str, Tensor]:
    """Shoulders above elbows, where nothing else of the trunk is seen."""
    above = {
        name: _slow(elbow, fps) + 0.97 * lengths.upper_arm * up
        for name in SIDES
        if (elbow := points[f"{name}_elbow"]) is not None
    }
    if len(above) < 2:
        return {f"{name}_shoulder": place for name, place in above.items()}
    side, _ = _axes(above["left"] - above["right"], up, fps)
    half = lengths.shoulder_width / 2 * side
    chest = (above["left"] + above["right"]) / 2
    return {"left_shoulder": chest + half, "right_shoulder": chest - half}


def _about(
    middle: Tensor, points: Mapping[str, Tensor | None], up: Tensor, lengths: Lengths, fps: float
) -> dict[str, Tensor]:
    """Hips that are not seen, about their middle, which is."""
    left, right = points["left_shoulder"], points["right_shoulder"]
    if left is None or right is None:
        return {}
    side, _ = _axes(left - right, up, fps)
    half = lengths.hip_width / 2 * side
    both = {"left_hip": middle + half, "right_hip": middle - half}
    return {name: place for name, place in both.items() if points[name] is None}


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


def _stood(hips: Float[Tensor, "T 3"], up: Tensor, leg: float) -> Float[Tensor, "T 3"]:
    """Where hips are when the person stands: over one place and as high as they come, unless feet can not be there."""
    place = hips.nanmedian(dim=0).values
    heights = hips @ up
    height = torch.maximum(heights.nanquantile(_HIGH), heights)
    height = torch.minimum(height, heights + _DEEPEST * leg)
    away = place - hips
    away = away - (away @ up)[:, None] * up
    reach = (_SWAYS * leg / away.norm(dim=-1, keepdim=True).clamp(min=1e-9)).clamp(max=1.0)
    return hips + reach * away + (height - heights)[:, None] * up


def _axes(across: Float[Tensor, "T 3"], up: Tensor, fps: float) -> tuple[Float[Tensor, "T 3"], Float[Tensor, "T 3"]]:
    """To the left and forward, level, turning slowly."""
    level = _slow(across - (across @ up)[:, None] * up, fps)
    side = level / level.norm(dim=-1, keepdim=True).clamp(min=1e-6)
    return side, torch.linalg.cross(side, up.expand_as(side))


def _slow(values: Float[Tensor, "T 3"], fps: float, seconds: float = _SLOW_S) -> Float[Tensor, "T 3"]:
    """Means over time; NaN where nothing is known within it."""
    known = torch.isfinite(values).all(dim=-1, keepdim=True)
    sums = torch.nn.functional.pad(torch.where(known, values, 0.0).cumsum(dim=0), (0, 0, 1, 0))
    counts = torch.nn.functional.pad(known.double().cumsum(dim=0), (0, 0, 1, 0))
    frames = torch.arange(len(values))
    reach = torch.minimum(frames, len(values) - 1 - frames).clamp(max=round(seconds * fps))  # as far to either side
    first, end = frames - reach, frames + reach + 1
    count = counts[end] - counts[first]
    return torch.where(count > 0, (sums[end] - sums[first]) / count.clamp(min=1), torch.nan)


def _stays(values: Float[Tensor, "T 3"]) -> bool:
    known = values[torch.isfinite(values).all(dim=-1)]
    return len(known) > 0 and float((known.amax(dim=0) - known.amin(dim=0)).max()) < _STAYS


def _size(points: dict[str, Tensor | None]) -> float:
    """How large the person is against an adult, from the limbs that are seen; 1 where none is."""
    ratios = []
    for start, end, name in _LIMBS:
        usual = getattr(Lengths(), name)
        for side in ("left", "right"):
            first, second = points[f"{side}_{start}"], points[f"{side}_{end}"]
            if first is not None and second is not None:
                ratios.append(float((first - second).norm(dim=-1).nanmedian()) / usual)
    known = [ratio for ratio in ratios if 0.2 < ratio < 2.0]
    return float(torch.tensor(known).median()) if known else 1.0
