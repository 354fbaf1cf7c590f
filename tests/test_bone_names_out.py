"""BVH and GLB under the names of other programs' bones, and in their units."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from learnable_smplify.cli.convert import ConvertArgs, convert
from learnable_smplify.formats.motion.bone_names import bone_names
from learnable_smplify.formats.motion.motion_file import write_motion
from learnable_smplify.mocap.bone_map import find_bone_map
from learnable_smplify.mocap.bvh import read_bvh
from learnable_smplify.skeleton import JOINT_NAMES, PARENTS
from test_bvh_writer import some_motion, true_joints

SKELETONS = ("smpl", "mixamo", "unreal", "vrm")


@pytest.mark.parametrize("skeleton", SKELETONS)
def test_every_bone_has_a_name_of_its_own_that_our_import_understands(skeleton) -> None:
    names = bone_names(skeleton)
    assert len(set(names)) == 24
    found = find_bone_map(names, tuple(PARENTS), None)
    assert found is not None


def test_the_names_are_those_of_the_programs() -> None:
    named = {skeleton: dict(zip(JOINT_NAMES, bone_names(skeleton), strict=True)) for skeleton in SKELETONS}  # type: ignore[arg-type]
    assert named["mixamo"]["left_elbow"] == "mixamorig:LeftForeArm"
    assert named["unreal"]["right_knee"] == "calf_r"
    assert named["vrm"]["right_shoulder"] == "rightUpperArm"
    assert named["mixamo"]["pelvis"] == "mixamorig:Hips"


@pytest.mark.parametrize("skeleton", SKELETONS)
@pytest.mark.parametrize("unit", ["cm", "m"])
def test_a_bvh_under_other_names_and_in_metres_is_the_same_motion(tmp_path: Path, skeleton, unit) -> None:
    motion = some_motion()
    write_motion(motion, tmp_path / "in.npz")
    convert(ConvertArgs(tmp_path / "in.npz", tmp_path / "a.bvh", skeleton=skeleton, bvh_unit=unit))
    source = read_bvh(tmp_path / "a.bvh")
    places = [source.names.index(name) for name in bone_names(skeleton)]
    np.testing.assert_allclose(source.positions()[:, places], true_joints(motion), atol=1e-4)
