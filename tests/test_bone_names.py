"""Joint names of other programs, and the file that says what names do not."""

from __future__ import annotations

from pathlib import Path

import pytest

from learnable_smplify.errors import InputError
from learnable_smplify.mocap.bone_map import BoneMap, find_bone_map
from learnable_smplify.mocap.bone_map_file import read_bone_map

# Of each program: pelvis, spine from below, neck, head, then for one side hip knee ankle foot collar shoulder elbow
# wrist, "{}" for how it writes the side; the sides; and joints of other parts, which must not be taken.
_PROGRAMS: dict[str, tuple[str, list[str], str, str, str, tuple[str, str], list[str]]] = {
    "Character Creator": (
        "CC_Base_Pelvis",
        ["CC_Base_Waist", "CC_Base_Spine01", "CC_Base_Spine02"],
        "CC_Base_NeckTwist01",
        "CC_Base_Head",
        "CC_Base_{0}_Thigh CC_Base_{0}_Calf CC_Base_{0}_Foot CC_Base_{0}_ToeBase CC_Base_{0}_Clavicle "
        "CC_Base_{0}_Upperarm CC_Base_{0}_Forearm CC_Base_{0}_Hand",
        ("L", "R"),
        ["CC_Base_Hip", "CC_Base_L_ThighTwist01", "CC_Base_L_BigToe1", "CC_Base_FacialBone", "CC_Base_L_Mid1"],
    ),
    "Mixamo with a number": (
        "mixamorig7:Hips",
        ["mixamorig7:Spine", "mixamorig7:Spine1", "mixamorig7:Spine2"],
        "mixamorig7:Neck",
        "mixamorig7:Head",
        "mixamorig7:{0}UpLeg mixamorig7:{0}Leg mixamorig7:{0}Foot mixamorig7:{0}ToeBase mixamorig7:{0}Shoulder "
        "mixamorig7:{0}Arm mixamorig7:{0}ForeArm mixamorig7:{0}Hand",
        ("Left", "Right"),
        ["mixamorig7:LeftToe_End", "mixamorig7:HeadTop_End"],
    ),
    "MakeHuman": (
        "hip",
        ["abdomen", "chest"],
        "neck",
        "head",
        "{0}hip {0}knee {0}ankle {0}toes {0}collar {0}shoulder {0}elbow {0}wrist",
        ("l", "r"),
        ["jaw"],
    ),
    "Xsens": (
        "Hips",
        ["Chest", "Chest2", "Chest3", "Chest4"],
        "Neck",
        "Head",
        "{0}Hip {0}Knee {0}Ankle {0}Toe {0}Collar {0}Shoulder {0}Elbow {0}Wrist",
        ("Left", "Right"),
        [],
    ),
    "Xsens segments": (
        "Pelvis",
        ["L5", "L3", "T12", "T8"],
        "Neck",
        "Head",
        "{0}UpperLeg {0}LowerLeg {0}Foot {0}Toe {0}Shoulder {0}UpperArm {0}ForeArm {0}Hand",
        ("Left", "Right"),
        [],
    ),
    "Rokoko": (
        "Hips",
        ["Spine1", "Spine2", "Spine3", "Spine4"],
        "Neck",
        "Head",
        "{0}Thigh {0}Shin {0}Foot {0}Toe {0}Shoulder {0}Arm {0}ForeArm {0}Hand",
        ("Left", "Right"),
        ["LeftToeTip"],
    ),
    "Unreal": (
        "pelvis",
        ["spine_01", "spine_02", "spine_03", "spine_04", "spine_05"],
        "neck_01",
        "head",
        "thigh_{0} calf_{0} foot_{0} ball_{0} clavicle_{0} upperarm_{0} lowerarm_{0} hand_{0}",
        ("l", "r"),
        ["root", "neck_02", "upperarm_twist_01_l", "ik_foot_l", "ik_hand_r"],
    ),
    "Unity": (
        "Hips",
        ["Spine", "Chest", "UpperChest"],
        "Neck",
        "Head",
        "{0}UpperLeg {0}LowerLeg {0}Foot {0}Toes {0}Shoulder {0}UpperArm {0}LowerArm {0}Hand",
        ("Left", "Right"),
        ["Jaw", "LeftEye"],
    ),
    "VRM": (
        "J_Bip_C_Hips",
        ["J_Bip_C_Spine", "J_Bip_C_Chest", "J_Bip_C_UpperChest"],
        "J_Bip_C_Neck",
        "J_Bip_C_Head",
        "J_Bip_{0}_UpperLeg J_Bip_{0}_LowerLeg J_Bip_{0}_Foot J_Bip_{0}_ToeBase J_Bip_{0}_Shoulder J_Bip_{0}_UpperArm "
        "J_Bip_{0}_LowerArm J_Bip_{0}_Hand",
        ("L", "R"),
        ["Root", "J_Sec_L_Bust1", "J_Adj_L_FaceEye"],
    ),
    "Biped": (
        "Bip001 Pelvis",
        ["Bip001 Spine", "Bip001 Spine1"],
        "Bip001 Neck",
        "Bip001 Head",
        "Bip001 {0} Thigh|Bip001 {0} Calf|Bip001 {0} Foot|Bip001 {0} Toe0|Bip001 {0} Clavicle|Bip001 {0} UpperArm|"
        "Bip001 {0} Forearm|Bip001 {0} Hand",
        ("L", "R"),
        ["Bip001"],
    ),
    "Bandai-Namco": (
        "Hips",
        ["Spine", "Chest"],
        "Neck",
        "Head",
        "UpperLeg_{0} LowerLeg_{0} Foot_{0} Toes_{0} Shoulder_{0} UpperArm_{0} LowerArm_{0} Hand_{0}",
        ("L", "R"),
        ["joint_Root"],
    ),
    "SOMA, whose leg is the thigh": (
        "Hips",
        ["Spine1", "Spine2", "Chest"],
        "Neck1",
        "Head",
        "{0}Leg {0}Shin {0}Foot {0}ToeBase {0}Shoulder {0}Arm {0}ForeArm {0}Hand",
        ("Left", "Right"),
        ["Jaw"],
    ),
    "somebody's rig": (
        "hero_hips_JNT",
        ["hero_spine_JNT", "hero_chest_JNT"],
        "hero_neck_JNT",
        "hero_head_JNT",
        "hero_{0}_upleg_JNT hero_{0}_leg_JNT hero_{0}_foot_JNT hero_{0}_toebase_JNT hero_{0}_shoulder_JNT "
        "hero_{0}_arm_JNT hero_{0}_forearm_JNT hero_{0}_hand_JNT",
        ("l", "r"),
        ["hero_jaw_JNT"],
    ),
}
_LIMBS = ("hip", "knee", "ankle", "foot", "collar", "shoulder", "elbow", "wrist")


def names_of(program: str) -> tuple[list[str], dict[str, str]]:
    """All joint names, and what the limbs' and the trunk's are by SMPL's names."""
    pelvis, spines, neck, head, limbs, sides, others = _PROGRAMS[program]
    expected = {"pelvis": pelvis, "neck": neck, "head": head, "spine1": spines[0], "spine3": spines[-1]}
    for side, written in zip(("left", "right"), sides, strict=True):
        parts = limbs.format(written).split("|" if "|" in limbs else None)
        expected |= {f"{side}_{joint}": part for joint, part in zip(_LIMBS, parts, strict=True)}
    return [*others, pelvis, *spines, *(n for n in expected.values() if n not in (pelvis, *spines))], expected


@pytest.mark.parametrize("program", list(_PROGRAMS))
def test_the_names_of_a_program_are_known(program: str) -> None:
    names, expected = names_of(program)
    found = find_bone_map(names).bones
    assert {joint: found[joint][0] for joint in expected if joint in found} == expected


def test_a_skeleton_with_part_of_the_names_of_acclaim_is_known() -> None:
    names = ["root", "lowerback", "head"]
    names += [s + part for s in "lr" for part in ("femur", "tibia", "foot", "humerus", "radius", "hand")]
    found = find_bone_map(names)
    assert found.bones["left_elbow"] == ("lradius",)
    assert found.bones["right_hip"] == ("rfemur",)
    assert "left_foot" not in found.bones


def test_a_pelvis_without_a_usual_name_is_what_both_legs_hang_on() -> None:
    names, _ = names_of("Rokoko")
    names = ["World", *("Mover" if name == "Hips" else name for name in names if name != "LeftToeTip")]
    parents = [-1, *(0 if name == "Mover" else 1 for name in names[1:])]
    assert find_bone_map(names, parents).bones["pelvis"] == ("Mover",)


def test_the_error_shows_the_limbs_and_not_the_face_and_names_the_way_out() -> None:
    names, _ = names_of("Unity")
    names = [*(f"Face{i}" for i in range(60)), *(n.replace("ForeArm", "X").replace("LowerArm", "Y") for n in names)]
    with pytest.raises(InputError) as caught:
        find_bone_map(names)
    text = str(caught.value)
    assert "no bone found for left_elbow, right_elbow" in text
    assert "LeftUpperArm" in text
    assert "Face" not in text
    assert "--bone-map" in text


def write(folder: Path, text: str) -> Path:
    path = folder / "rig.toml"
    path.write_text(text)
    return path


def test_a_bone_map_goes_before_the_guess_and_leaves_the_rest_to_it(tmp_path: Path) -> None:
    names, expected = names_of("Unity")
    names = ["Bone.001" if name == "LeftLowerArm" else name for name in names]
    path = write(
        tmp_path,
        '[bones]\nleft_elbow = "Bone.001"\nneck = []\nspine2 = ["Spine", "Chest"]\n[hand_tips]\nleft_wrist = "Jaw"\n',
    )
    found = find_bone_map(names, given=read_bone_map(path))
    assert found.bones["left_elbow"] == ("Bone.001",)
    assert found.bones["spine2"] == ("Spine", "Chest")
    assert "neck" not in found.bones
    assert found.bones["right_elbow"] == (expected["right_elbow"],)
    assert found.hand_tips == {"left_wrist": "Jaw"}
    assert "rig.toml" in found.name


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "says nothing"),
        ("[bones", "not a valid TOML"),
        ('[bone]\nleft_hip = "A"\n', "cannot use 'bone'"),
        ('left_hip = "A"\n', "cannot use 'left_hip'"),
        ('[bones]\nleft_thigh = "A"\n', "SMPL has no such joint"),
        ("[bones]\nleft_hip = 3\n", "is not a bone"),
        ('[bones]\nleft_hip = ["A", "B", "C"]\n', "is not a bone"),
        ('[bones]\nleft_hip = "A"\nright_hip = "A"\n', "moves both left_hip and right_hip"),
        ('[hand_tips]\nleft_elbow = "A"\n', "is no wrist"),
        ("[hand_tips]\nleft_wrist = []\n", "is not a joint"),
        ("#" * 1_000_001, "larger than"),
    ],
)
def test_a_bone_map_that_makes_no_sense_is_refused_by_what_is_wrong(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        read_bone_map(write(tmp_path, text))
    assert "rig.toml" in str(caught.value)
    with pytest.raises(InputError, match="cannot read the bone map"):
        read_bone_map(tmp_path / "none.toml")


def test_a_bone_map_for_another_skeleton_says_which_names_come_near() -> None:
    names, _ = names_of("Unity")
    given = BoneMap("rig.toml", {"left_hip": ("LeftUperLeg",)}, {})
    with pytest.raises(InputError, match=r"no joint 'LeftUperLeg', which rig\.toml gives for left_hip.*LeftUpperLeg"):
        find_bone_map(names, given=given)
    with pytest.raises(InputError, match=r"hand_tips\.left_wrist"):
        find_bone_map(names, given=BoneMap("rig.toml", {}, {"left_wrist": "Nowhere"}))
