"""Limbs that are seen, but not all the time that the person is: named, kept in place, brought back without a step."""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from learnable_smplify.keypoints import Keypoints
from learnable_smplify.layouts.layout import Layout, load_layout
from learnable_smplify.motion import Motion, direction_vector
from learnable_smplify.rotation import rotvec_between, rotvec_to_rotmat
from learnable_smplify.skeleton import JOINT_INDEX, SIDES, sided
from learnable_smplify.timeline import runs

PART_OF_RECORDING = 0.05
"""A point seen in fewer frames than this share is not part of the recording."""
LIMB_ENDS = {"arm": ("elbow", "wrist"), "leg": ("knee", "ankle")}
"""What shows a limb."""
# A limb out of sight for longer than this [s] is invented there, and so many such times are written out.
_VANISHED_S, _LISTED = 0.5, 4
# One out of sight for longer than this [s] goes to where it is seen again during so much [s] of the time before.
_GLANCE_S, _EASE_S = 0.1, 0.4
_LIMB_JOINTS = {"arm": ("shoulder", "elbow", "wrist"), "leg": ("hip", "knee", "ankle", "foot")}


def with_absences_named(keypoints: Keypoints, layout: Layout) -> Keypoints:
    """The recording with a note of arms and legs that are seen, but not all the time that the person is."""
    absences = _absences(keypoints, layout)
    for limb in ("arm", "leg"):
        gone = {
            side: [(first, end) for first, end in absences[limb, side] if end - first > _VANISHED_S * keypoints.fps]
            for side in ("left", "right")
            if (limb, side) in absences
        }
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


def with_trunk_kept(keypoints: Keypoints, layout: Layout, trust: float) -> Keypoints:
    """The recording with hips, weakly trusted, where they and the legs are out of sight for a while; or shoulders.

    A trunk without hips tilts as it likes. They stay below the shoulders as they were before, and go over to how they
    are afterwards, turning with the shoulders; and shoulders without arms stay above the hips.

    Args:
        keypoints: one person's; without up axis they come back as they are.
        layout: theirs.
        trust: confidence of such hips and shoulders.
    """
    columns = {joint: _columns(layout, joint) for joint in ("shoulder", "hip")}
    if keypoints.up_axis is None or any(len(found) < 2 for found in columns.values()):
        return keypoints
    up = torch.from_numpy(direction_vector(keypoints.up_axis))
    confident = keypoints.confidence.cpu() > 0
    places = torch.where(confident[..., None], keypoints.positions.cpu().double(), torch.nan)
    positions, confidence = keypoints.positions.clone(), keypoints.confidence.clone()
    for base, kept, limb in (("shoulder", "hip", "leg"), ("hip", "shoulder", "arm")):
        hidden = [*columns[kept], *(index for end in LIMB_ENDS[limb] for index in _columns(layout, end))]
        gone = confident[:, columns[base]].any(dim=1) & ~confident[:, hidden].any(dim=1)
        above, below = places[:, columns[base]], places[:, columns[kept]]
        known = torch.isfinite(torch.cat((above, below), dim=1)).all(dim=-1).all(dim=-1)
        for first, end in runs(gone.numpy()):
            edges = [edge for edge in (first - 1, end) if 0 <= edge < len(keypoints) and bool(known[edge])]
            if not edges or end - first <= _VANISHED_S * keypoints.fps:
                continue
            found = [_carried(above[first:end], above[edge], below[edge], up) for edge in edges]
            share = torch.linspace(0, 1, end - first + 2, dtype=torch.float64)[1:-1, None, None]
            there = torch.lerp(found[0], found[-1], share)
            positions[first:end, columns[kept]] = there.to(positions)
            confidence[first:end, columns[kept]] = (torch.isfinite(there).all(dim=-1) * trust).to(confidence)
    return (
        keypoints
        if torch.equal(confidence, keypoints.confidence)
        else replace(keypoints, positions=positions, confidence=confidence)
    )


def _carried(
    base: Float[Tensor, "T 2 3"], then: Float[Tensor, "2 3"], other: Float[Tensor, "2 3"], up: Float[Tensor, "3"]
) -> Float[Tensor, "T 2 3"]:
    """Joints that are to `base` as `other` was to `then`, turned about `up` as far as it turned since."""
    across = base[:, 0] - base[:, 1]
    was = (then[0] - then[1]).expand_as(across)
    turn = torch.atan2(torch.linalg.cross(was, across) @ up, (was * across).sum(-1) - (was @ up) * (across @ up))
    return base.mean(dim=1, keepdim=True) + (other - then.mean(dim=0)) @ rotvec_to_rotmat(turn[:, None] * up).mT


def eased(motion: Motion, keypoints: Keypoints) -> Motion:
    """The motion in which arms and legs that come into sight again go there over a moment instead of a step.

    Args:
        motion: fitted frame by frame.
        keypoints: those it was fitted to, with as many frames.
    """
    pose = motion.pose.clone()
    for (limb, side), stretches in _absences(keypoints, load_layout(keypoints.layout)).items():
        joints = [JOINT_INDEX[f"{side}_{joint}"] for joint in _LIMB_JOINTS[limb]]
        for first, end in stretches:
            if end == len(pose) or end - first <= _GLANCE_S * keypoints.fps:
                continue
            count = min(max(round(_EASE_S * keypoints.fps), 1), end - first)
            share = torch.linspace(0, 1, count + 2)[1:-1, None, None].to(pose)
            there = pose[end, joints].expand(count, -1, -1)
            pose[end - count : end, joints] = rotvec_between(pose[end - count : end, joints], there, share)
    return replace(motion, pose=pose)


def _columns(layout: Layout, joint: str) -> list[int]:
    return [index for name in sided(joint) if (index := layout.index_of_point(name)) is not None]


def _absences(keypoints: Keypoints, layout: Layout) -> dict[tuple[str, str], list[tuple[int, int]]]:
    """When arms and legs that are part of a recording are not seen, although the person is: by limb and side."""
    confident = keypoints.confidence.cpu() > 0
    there = confident.any(dim=1)
    gone = {}
    for limb, ends in LIMB_ENDS.items():
        for side in SIDES:
            columns = [index for end in ends if (index := layout.index_of_point(f"{side}_{end}")) is not None]
            known = confident[:, columns].any(dim=1)
            if columns and float(known.double().mean()) > PART_OF_RECORDING:
                gone[limb, side] = runs((there & ~known).numpy())
    return gone
