"""Clean a recording before it is solved, and keep book of what was done.

    constants -> repeated frames -> left and right -> spikes -> gaps

Exchanged sides are undone before spikes are looked for, because an exchanged body is all spikes.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

from learnable_smplify.errors import some
from learnable_smplify.keypoints import Keypoints
from learnable_smplify.layouts.layout import Layout
from learnable_smplify.repair.frozen import find_frozen
from learnable_smplify.repair.gaps import GapPolicy, Segment, find_gaps, segments
from learnable_smplify.repair.hands import repair_hands
from learnable_smplify.repair.held import find_held, held_notes
from learnable_smplify.repair.parts import body_parts
from learnable_smplify.repair.plausible import implausible, size_note
from learnable_smplify.repair.spikes import find_spikes
from learnable_smplify.repair.swaps import exchange, find_swaps
from learnable_smplify.timeline import run_names, runs


@dataclass(frozen=True)
class RepairOptions:
    """What is repaired.

    Args:
        spikes: remove keypoints that jump.
        swaps: undo exchanged left and right.
        frozen: remove repeated frames and keypoints that stand still while the body moves.
        gap: what becomes of the time a person is out of view: "interpolate" or "cut".
        gap_s: absence that counts as a gap [s]; the solver bridges shorter ones.
        min_keypoints: a frame with fewer does not show the person.
    """

    spikes: bool = True
    swaps: bool = True
    frozen: bool = True
    gap: GapPolicy = "interpolate"
    gap_s: float = 0.5
    min_keypoints: int = 4


@dataclass(frozen=True, eq=False)
class Repairs:
    """What was done to a recording of T frames.

    Args:
        layout: of the keypoints.
        spike: (T, K) removed: jumped, or nowhere near the body.
        swapped: (T, K) now hold what the recording called their partner on the other side.
        frozen: (T, K) removed: repeated from the frame before.
        gap: (T,) the person is out of view.
        segments: pieces to solve one by one, (first frame, frame after the last); one piece unless gaps are cut.
        policy: what becomes of gaps.
        notes: what was seen and not repaired.
    """

    layout: Layout
    spike: Bool[Tensor, "T K"]
    swapped: Bool[Tensor, "T K"]
    frozen: Bool[Tensor, "T K"]
    gap: Bool[Tensor, " T"]
    segments: tuple[Segment, ...]
    policy: GapPolicy = "interpolate"
    notes: tuple[str, ...] = field(default=())

    @property
    def flagged(self) -> Bool[Tensor, " T"]:
        """Frames in which anything was repaired or missing altogether."""
        return (self.spike | self.swapped | self.frozen).any(dim=1) | self.gap

    def summary(self) -> tuple[str, ...]:
        """Lines for the user; none when nothing was done. Frames count from 0."""
        lines = []
        if bool(self.spike.any()):
            counts = self.spike.sum(0).tolist()
            order = sorted((index for index, count in enumerate(counts) if count), key=lambda index: -counts[index])
            named = [f"{self.layout.keypoint_names[index]} {counts[index]}" for index in order]
            total, plural = sum(counts), "" if sum(counts) == 1 else "s"
            lines.append(f"{total} spike{plural} removed ({some(named)})")
        for part, mask in _exchanged_parts(self.layout, self.swapped).items():
            lines.append(f"{_frames(mask)}: left and right exchanged back ({part})")
        whole = self.frozen.sum(1) * 2 > len(self.layout)
        if bool(whole.any()):
            lines.append(f"{_frames(whole)}: repeated from the frame before, ignored")
        held = self.frozen & ~whole[:, None]
        if bool(held.any()):
            named = [self.layout.keypoint_names[index] for index in held.any(0).nonzero()[:, 0].tolist()]
            lines.append(f"{_frames(held.any(1))}: keypoints that stand still are ignored ({some(named)})")
        if bool(self.gap.any()):
            done = "cut out" if self.policy == "cut" else "interpolated"
            lines.append(f"{_frames(self.gap)}: nobody in view, {done}")
        return (*lines, *self.notes)


def repair_keypoints(keypoints: Keypoints, options: RepairOptions | None = None) -> tuple[Keypoints, Repairs]:
    """Remove spikes and repeated frames, undo exchanged sides, find the gaps.

    Positions are never invented: what is wrong gets confidence 0, and the solver bridges it.

    Args:
        keypoints: one person's recording, metres.
        options: None for the defaults.

    Returns:
        the cleaned recording with the summary in its notes, and what was done. `Keypoints` needs one usable keypoint,
        so a recording in which none would be left is returned as it was, with a note.
    """
    options = RepairOptions() if options is None else options
    assert isinstance(keypoints.layout, Layout)
    layout, fps = keypoints.layout, keypoints.fps
    parts = body_parts(layout)
    positions = keypoints.positions.cpu().numpy().copy()
    confidence = keypoints.confidence.cpu().numpy().copy()
    valid = confidence > 0
    nothing = np.zeros_like(valid)
    notes: list[str] = []

    odd_size = size_note(positions, valid)
    if odd_size is not None:  # every limit below is in metres
        notes.append(odd_size)
        options = replace(options, spikes=False, swaps=False, frozen=False)
    held = find_held(positions, valid, parts.bones) if options.frozen else nothing
    spike = implausible(positions, valid & ~held) if options.spikes else nothing
    frozen = find_frozen(positions, valid & ~held, fps) if options.frozen else nothing
    usable = valid & ~spike & ~held & ~frozen
    notes.extend(held_notes(held, layout))
    swapped = nothing
    if options.swaps:
        swapped, suspect = find_swaps(positions, usable, fps, parts)
        for values in (positions, confidence, usable, spike, frozen):
            exchange(values, swapped, parts)
        if suspect:
            notes.append(
                f"left and right look exchanged throughout ({', '.join(suspect)}): the axes may be mirrored or the "
                "names swapped; left as it is"
            )
    if options.spikes:
        found = find_spikes(positions, usable, fps, parts)
        spike, usable = spike | found, usable & ~found
    gap = find_gaps(usable, fps, options.gap_s, options.min_keypoints)
    if usable.any():
        confidence[~usable] = 0
        swapped = swapped & (confidence > 0)
    else:
        notes.append("every keypoint looks wrong: nothing was repaired")
        positions, confidence = keypoints.positions.cpu().numpy(), keypoints.confidence.cpu().numpy()
        spike = swapped = frozen = nothing
        gap = nothing[:, 0]

    repairs = Repairs(
        layout,
        spike=torch.from_numpy(spike),
        swapped=torch.from_numpy(swapped),
        frozen=torch.from_numpy(frozen),
        gap=torch.from_numpy(gap),
        segments=segments(gap, options.gap),
        policy=options.gap,
        notes=tuple(notes),
    )
    repaired = replace(
        keypoints,
        positions=torch.from_numpy(positions).to(keypoints.positions),
        confidence=torch.from_numpy(confidence).to(keypoints.positions),
        notes=(*keypoints.notes, *repairs.summary()),
    )
    if repaired.hands is not None and odd_size is None and usable.any():
        repeated = repairs.frozen.sum(1) * 2 > len(layout)
        hands, said = repair_hands(repaired.hands, repaired.positions, repaired.confidence, layout, repeated)
        repaired = replace(repaired, hands=hands, notes=(*repaired.notes, *said))
    return repaired, repairs


def _exchanged_parts(layout: Layout, mask: Bool[Tensor, "T K"]) -> dict[str, Bool[Tensor, " T"]]:
    """The parts of the body that were exchanged together, and the frames of each."""
    parts: dict[str, Bool[Tensor, " T"]] = {}
    for first, end in runs(mask.any(1).numpy()):
        share = mask[first:end].float().mean(0)
        groups = {layout.groups[index] for index in (share > 0.3 * share.max()).nonzero()[:, 0].tolist()}
        named = dict.fromkeys({"hands": "arms", "feet": "legs", "torso": "hips"}.get(group, group) for group in groups)
        name = "whole body" if len(named) > 2 else " and ".join(sorted(named))
        parts.setdefault(name, torch.zeros(len(mask), dtype=torch.bool))[first:end] = True
    return parts


def _frames(mask: Bool[Tensor, " T"]) -> str:
    return ("frame " if int(mask.sum()) == 1 else "frames ") + some(run_names(mask.numpy()))
