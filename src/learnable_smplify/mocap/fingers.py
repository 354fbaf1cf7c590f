"""Fingers of a foreign skeleton: found by name, and carried over to SMPL-H's.

As for the body (`transfer`), R_smplh[j] = R_source[j] A[j] in the world. A[j] is the hand's own A, turned on by the
shortest way from where SMPL-H's finger bone then points to where the source's does: whatever the two rest poses are,
bones point where the source's point, and bend about the axes of the hand.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import roma
import torch
from jaxtyping import Float
from torch import Tensor

from learnable_smplify.body.fingers import RestHands
from learnable_smplify.hands import FINGERS, HAND_JOINT_NAMES, POINT_FINGERS, SIDES
from learnable_smplify.mocap.bone_name import plain_names
from learnable_smplify.mocap.source import SourceMotion, angle_deg
from learnable_smplify.rotation import shortest_turn
from learnable_smplify.skeleton import JOINT_INDEX

# The fingers in the words of the common tools, and their three bones from the knuckle on.
_WORDS: dict[str, tuple[str, ...]] = {
    "thumb": ("thumb", "thumbfinger"),
    "index": ("index", "indexfinger", "pointer", "fore", "forefinger"),
    "middle": ("middle", "mid", "middlefinger", "long"),
    "ring": ("ring", "ringfinger", "fourth"),
    "pinky": ("pinky", "pinkie", "little", "littlefinger", "small"),
}
_PHALANGES: dict[str, tuple[tuple[str, str, str], ...]] = {
    "finger": (("1", "2", "3"), ("proximal", "intermediate", "distal"), ("proximal", "medial", "distal")),
    "thumb": (("1", "2", "3"), ("metacarpal", "proximal", "distal"), ("proximal", "intermediate", "distal")),
}
# 3ds Max's Biped counts: Finger0 (the thumb), Finger01, Finger02; Finger1 (the index finger) ... Finger4.
_BIPED = re.compile(r"(?:.*[ _.-])?([LR])[ _.-]?Finger([0-4])([12]?)")
# Fingers that stay within this of the rest pose [deg] were not captured.
_STILL_DEG = 0.5


def find_fingers(names: Sequence[str]) -> dict[str, int]:
    """The source joint of each of SMPL-H's finger joints that the skeleton has, by name; whole fingers only."""
    by_plain: dict[tuple[str, str], int] = {}
    for index, plain in enumerate(plain_names(names).values()):
        by_plain.setdefault(plain, index)
    found: dict[str, int] = {}
    for side in SIDES:
        for finger in FINGERS:
            for rests in _spellings(finger):
                bones = [by_plain.get((side, rest)) for rest in rests]
                if all(bone is not None for bone in bones):
                    found |= {f"{side}_{finger}{n}": bone for n, bone in enumerate(bones, 1) if bone is not None}
                    break
    return found or _biped(names)


def _biped(names: Sequence[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for index, name in enumerate(names):
        told = _BIPED.fullmatch(name.split(":")[-1])
        if told is not None:
            side, finger = SIDES["LR".index(told[1])], POINT_FINGERS[int(told[2])]
            found[f"{side}_{finger}{int(told[3] or 0) + 1}"] = index
    return {name: index for name, index in found.items() if all(f"{name[:-1]}{n}" in found for n in (1, 2, 3))}


def _spellings(finger: str) -> list[tuple[str, ...]]:
    """The plain names of a finger's three bones, in every spelling that is known."""
    return [
        tuple(f"{prefix}{word}{phalanx}{ending}" for phalanx in phalanges)
        for phalanges in _PHALANGES["thumb" if finger == "thumb" else "finger"]
        for word in _WORDS[finger]
        for prefix in ("hand", "", "f", "finger")
        for ending in ("", "phalanx")
    ]


def hand_pose(
    source: SourceMotion,
    rest: RestHands,
    alignment: dict[str, Tensor],
    world: Float[Tensor, "T 24 3 3"],
) -> Float[Tensor, "T 30 3"] | None:
    """Rotvecs [rad] of SMPL-H's finger joints; fingers that the source lacks are straight.

    Args:
        source: the captured motion.
        rest: the target's hands in its rest pose.
        alignment: A of the wrists, as `transfer` has it.
        world: global rotations of SMPL's joints.

    Returns:
        None where the source has no fingers, or none that move.
    """
    bones = find_fingers(source.names)
    if not bones:
        return None
    places = source.rest_positions()
    frames = len(source)
    pose = torch.zeros(frames, len(HAND_JOINT_NAMES), 3, dtype=torch.float64)
    moved = False
    for side_index, side in enumerate(SIDES):
        wrist = f"{side}_wrist"
        if wrist not in alignment:
            continue
        for finger_index, finger in enumerate(FINGERS):
            if f"{side}_{finger}1" not in bones:
                continue
            above = world[:, JOINT_INDEX[wrist]].double()
            ends = [*rest.joints[side_index, 1 + 3 * finger_index : 4 + 3 * finger_index].double()]
            ends.append(rest.tips[side_index, finger_index].double())
            turn = alignment[wrist]
            for number in range(3):
                bone = bones[f"{side}_{finger}{number + 1}"]
                last = number == 2
                along = source.tips[bone] if last else places[bones[f"{side}_{finger}{number + 2}"]] - places[bone]
                # Where a file does not say how the last bone lies, it goes on as SMPL-H's does.
                if float(along.norm()) > 1e-6 and not (last and _is_guess(along, source.offsets[bone])):
                    turn = shortest_turn(alignment[wrist] @ (ends[number + 1] - ends[number]), along) @ alignment[wrist]
                here = source.rotations[:, bone] @ turn
                local = above.mT @ here
                pose[:, HAND_JOINT_NAMES.index(f"{side}_{finger}{number + 1}")] = roma.rotmat_to_rotvec(local)
                above = here
                parent = source.parents[bone]
                own = source.rotations[:, parent].mT @ source.rotations[:, bone]
                moved = moved or float(angle_deg(own).max()) > _STILL_DEG
    return pose if moved else None


def _is_guess(along: Float[Tensor, "3"], above: Float[Tensor, "3"]) -> bool:
    """Whether a bone's end was put straight on from the bone above it, as readers do where a file has none."""
    return float(torch.cosine_similarity(along, above, dim=0)) > 1 - 1e-9
