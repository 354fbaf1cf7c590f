"""`--bone-map`: which bones of a skeleton move which SMPL joints, for names that cannot be guessed.

A TOML file with what the names do not tell; joints that it leaves out are guessed by name as usual::

    [bones]
    pelvis = "Bone.001"
    left_hip = "Bone.017"
    left_elbow = ["Bone.031", "Bone.032"]   # two bones: the joint goes halfway between them
    neck = []                               # stays still relative to its parent

    [hand_tips]                             # optional: the joint that the hand points at
    left_wrist = "Bone.040"
"""

from __future__ import annotations

from functools import partial
from os import PathLike
from pathlib import Path

from learnable_smplify.errors import InputError
from learnable_smplify.mocap.bone_map import BoneMap
from learnable_smplify.safe_files.toml_file import read_toml
from learnable_smplify.skeleton import JOINT_NAMES

_WRISTS = ("left_wrist", "right_wrist")


def read_bone_map(path: str | PathLike[str]) -> BoneMap:
    """Read a bone map. Whether a skeleton has these bones shows where it is used: see `find_bone_map`.

    Returns:
        The bones of the joints named in the file; an empty tuple for a joint that keeps still.

    Raises:
        InputError: the file is missing, is no TOML, or names a joint that SMPL does not have; says what is allowed.
    """
    path = Path(path)
    table = read_toml(path, "bone map")
    for key, value in table.items():
        if key not in ("bones", "hand_tips") or not isinstance(value, dict):
            raise InputError(
                f"cannot use '{key[:40]}'",
                path=path,
                expected="the tables [bones] and [hand_tips]",
                hint='[bones], and below it lines such as left_hip = "LeftUpLeg"',
            )
    bones = {joint: _bones(path, joint, value) for joint, value in table.get("bones", {}).items()}
    tips = {joint: _tip(path, joint, value) for joint, value in table.get("hand_tips", {}).items()}
    if not bones and not tips:
        raise InputError("says nothing", path=path, expected='lines such as left_hip = "LeftUpLeg" below [bones]')
    seen: dict[str, str] = {}
    for joint, sources in bones.items():
        if not sources or joint.startswith("spine"):
            continue
        if seen.setdefault(sources[0], joint) != joint:
            raise InputError(
                f"bone '{sources[0][:40]}' moves both {seen[sources[0]]} and {joint}",
                path=path,
                where="[bones]",
                expected="each bone once, but for spine1, spine2 and spine3, which may share one",
            )
    return BoneMap(path.name, bones, tips)


def _bones(path: Path, joint: str, value: object) -> tuple[str, ...]:
    wrong = partial(InputError, path=path, where=f"bones.{joint[:40]}")
    if joint not in JOINT_NAMES:
        raise wrong("SMPL has no such joint", expected=", ".join(JOINT_NAMES))
    sources = [value] if isinstance(value, str) else value
    if not isinstance(sources, list) or len(sources) > 2 or not all(isinstance(source, str) for source in sources):
        raise wrong(
            "the value is not a bone",
            expected='"LeftUpLeg", ["LeftForeArm", "LeftForeArmTwist"] to go halfway, or [] to keep the joint still',
        )
    return tuple(sources)


def _tip(path: Path, joint: str, value: object) -> str:
    wrong = partial(InputError, path=path, where=f"hand_tips.{joint[:40]}")
    if joint not in _WRISTS:
        raise wrong("is no wrist", expected=" or ".join(_WRISTS))
    if not isinstance(value, str):
        raise wrong("the value is not a joint", expected='such as "LeftHandMiddle1"')
    return value
