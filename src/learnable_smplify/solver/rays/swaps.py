"""Left and right exchanged by detectors: in any cameras, for as long as they like, of the body, its legs or its arms.

In each frame the cameras either are exchanged or are not. What they are, all at once, is told by three things: how near
the rays of all meet; whether each camera's tracks go on straight or crosswise from the frame before; and, because a
scene whose sides are all exchanged is consistent too, by the body, whose feet, knees and nose point forward. Where
nothing tells, most cameras are right. All costs are angles [rad], means over the keypoints of both sides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from learnable_smplify.repair.bones import bone_lengths
from learnable_smplify.repair.parts import SECTIONS, BodyParts, body_parts
from learnable_smplify.repair.swaps import facing_score
from learnable_smplify.solver.rays.observed import Observed
from learnable_smplify.solver.rays.side_chain import cheapest_states, two_state_margins
from learnable_smplify.solver.rays.side_costs import crossing, labels_of, missing_each_other
from learnable_smplify.solver.rays.triangulate import placed_points
from learnable_smplify.views import View

# A keypoint that is farther off than this [rad] is an outlier either way.
_FAR_ANGLE = 0.08
# An exchanged camera costs this much more than one that is not, and a change of state as much [rad]; or this share of
# what detections jitter by.
_CLEARLY, _OF_NOISE = 0.0025, 0.5
# What a body, and a part of it, that faces where feet, knees and nose point is worth [rad].
_FACING, _PART_FACING = 0.06, 0.03
# Cameras are told of whose sides were exchanged back in this share of frames at least.
_OFTEN = 0.02
# States of so many cameras are searched together; further ones are held against what those agree on.
_TOGETHER = 6
# What is exchanged together, in this order, and the section by which its facing is told.
_STAGES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("hips", SECTIONS),
    ("hips", ("hips", "legs", "feet")),
    ("shoulders", ("shoulders", "arms")),
)


@dataclass(frozen=True, eq=False)
class Sides:
    """Detections whose sides were put right, and what follows from them.

    Args:
        observed: the detections.
        placed: triangulated keypoints [m], 0 where no two cameras agree.
        sure: their confidence.
        source: which of the detector's keypoints stands in the place of each.
        undecided: frames in which nothing tells which cameras are right.
    """

    observed: Observed
    placed: Float[Tensor, "T K 3"]
    sure: Float[Tensor, "T K"]
    source: Int[Tensor, "T V K"]
    undecided: Bool[Tensor, " T"]

    @property
    def exchanged(self) -> Bool[Tensor, "T V"]:
        """Where a camera's body, or its legs or arms, were exchanged."""
        return (self.source != torch.arange(self.source.shape[2], device=self.source.device)).any(-1)

    def views(self, views: Sequence[View]) -> tuple[View, ...]:
        """The views they were observed in, put right alike."""
        return tuple(taken_from(view, self.source[:, number].cpu()) for number, view in enumerate(views))


def taken_from(view: View, source: Int[Tensor, "T K"]) -> View:
    """The view with, in the place of each keypoint, the one of this number."""
    seen = view.keypoints
    pixels = seen.pixels.gather(1, source[..., None].expand_as(seen.pixels))
    return View(replace(seen, pixels=pixels, confidence=seen.confidence.gather(1, source)), view.camera)


def unswapped(observed: Observed) -> Sides:
    """Put the sides of all cameras right, in every frame."""
    parts = body_parts(observed.layout)
    seen = (observed.confidence > 0).sum((0, 2))
    searched = seen.argsort(descending=True, stable=True)[:_TOGETHER].sort().values
    sides = Sides(
        observed,
        *placed_points(observed),
        torch.arange(observed.confidence.shape[2], device=observed.pixels.device).expand(observed.confidence.shape),
        torch.zeros_like(observed.confidence[:, 0, 0], dtype=torch.bool),
    )
    for base, sections in _STAGES:
        rows = parts.in_section(*sections)
        # Eyes and ears are too near each other to tell, where there is more.
        telling = rows & ~parts.in_section("head")
        if rows.any():
            pairs = parts.pairs[rows]
            sides = _stage(sides, searched, pairs, parts.pairs[telling] if telling.any() else pairs, parts, base)
    return sides


def swap_notes(sides: Sides) -> list[str]:
    """What is said of sides that were exchanged back."""
    notes = []
    there = (sides.observed.confidence > 0).any(-1)
    shares = (sides.exchanged & there).sum(0) / there.sum(0).clamp(min=1)
    for camera, share in zip(sides.observed.cameras, shares.tolist(), strict=True):
        if share >= _OFTEN:
            name = camera.name or "a camera"
            notes.append(f"{name}: left and right exchanged back in {100 * share:.0f} % of frames")
    return notes


def _stage(
    sides: Sides,
    searched: Int[Tensor, " C"],
    pairs: Int[np.ndarray, "P 2"],
    telling: Int[np.ndarray, "Q 2"],
    parts: BodyParts,
    base: str,
) -> Sides:
    """The same with some pairs of keypoints exchanged where they should be, as some of these tell."""
    some = sides.observed.of_cameras(searched)
    device = sides.placed.device
    clearly = max(_CLEARLY, _OF_NOISE * float((some.noise_px(0.0)[:, None] / some.focal).mean()))
    states, crosswise = _relative(some, telling, clearly)
    found = torch.zeros_like(sides.exchanged)
    found[:, searched] = torch.as_tensor(states, device=device)
    sides = _with(sides, found, pairs)
    late = _against(sides, pairs, clearly)
    late[:, searched] = False
    sides = _with(sides, late, pairs)
    # All of them exchanged, or none: that fits as well.
    positions, valid = sides.placed.cpu().numpy(), (sides.sure > 0).cpu().numpy()
    facing = facing_score(base, positions, valid, parts, bone_lengths(parts.bones, positions, valid))
    there = (some.confidence[:, :, pairs.ravel()] > 0).any(-1).cpu().numpy()
    fewer = clearly * (there * np.where(states, -1, 1)).sum(axis=1)
    changing = np.where(states[1:] ^ states[:-1], -crosswise[1:], crosswise[1:]).sum(axis=1) + clearly
    worth = _FACING if len(pairs) == len(parts.pairs) else _PART_FACING
    margin = two_state_margins(fewer + 2 * worth * facing, changing)
    everywhere = torch.as_tensor(margin < 0, device=device)[:, None].expand_as(found)
    doubtful = torch.as_tensor((np.abs(margin) < clearly) & there.any(axis=1), device=device)
    return replace(_with(sides, everywhere, pairs), undecided=sides.undecided | doubtful)


def _relative(observed: Observed, pairs: Int[np.ndarray, "P 2"], clearly: float) -> tuple[np.ndarray, np.ndarray]:
    """(T, V) which cameras are exchanged, as far as rays and tracks tell; and how much worse tracks go on crosswise."""
    views = len(observed.cameras)
    rays, trust = observed.rays.double().cpu(), observed.confidence.double().cpu()
    crosswise = crossing(rays, trust, pairs, observed.fps, _FAR_ANGLE)
    labels = labels_of(views)
    there = (trust[:, :, pairs.ravel()] > 0).any(-1).numpy()
    cost = clearly * there.astype(np.float64) @ labels.T
    if views > 1:
        cameras = observed.sight().cameras
        cost = cost + missing_each_other(rays, trust, pairs, cameras.rotation, cameras.transl, _FAR_ANGLE)
    return labels[cheapest_states(cost, crosswise + clearly)].astype(bool), crosswise


def _with(sides: Sides, exchanged: Bool[Tensor, "T V"], pairs: Int[np.ndarray, "P 2"]) -> Sides:
    """The same with these exchanged (back)."""
    if not bool(exchanged.any()):
        return sides
    observed = sides.observed
    order = torch.arange(observed.confidence.shape[2])
    order[pairs[:, 0]], order[pairs[:, 1]] = torch.as_tensor(pairs[:, 1]), torch.as_tensor(pairs[:, 0])
    observed = replace(
        observed,
        pixels=torch.where(exchanged[..., None, None], observed.pixels[:, :, order], observed.pixels),
        confidence=torch.where(exchanged[..., None], observed.confidence[:, :, order], observed.confidence),
    )
    source = torch.where(exchanged[..., None], sides.source[:, :, order], sides.source)
    placed, sure = sides.placed.clone(), sides.sure.clone()
    rows = exchanged.any(1)
    placed[rows], sure[rows] = placed_points(observed.frames(rows))
    return replace(sides, observed=observed, placed=placed, sure=sure, source=source)


def _against(sides: Sides, pairs: Int[np.ndarray, "P 2"], clearly: float) -> Bool[Tensor, "T V"]:
    """Where exchanging a camera brings it clearly nearer to where the keypoints are."""
    observed = sides.observed
    local = observed.sight().cameras.local(sides.placed)
    expected = local[..., :2] / local[..., 2:]

    def misses(given: Int[np.ndarray, " K"]) -> tuple[Tensor, Tensor]:
        away = (observed.rays[:, :, given] - expected[:, :, pairs.ravel()]).norm(dim=-1).clamp(max=_FAR_ANGLE)
        return away, (observed.confidence[:, :, given] > 0) & (sides.sure[:, pairs.ravel()] > 0)[:, None]

    (as_is, seen), (crossed, also) = misses(pairs.ravel()), misses(pairs[:, ::-1].ravel())
    both = seen & also
    return ((as_is - crossed) * both).sum(-1) / both.sum(-1).clamp(min=1) > clearly
