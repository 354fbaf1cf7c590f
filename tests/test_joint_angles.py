"""Joint angles under OpenSim's names: signs by what a person does, and the file as OpenSim reads it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from learnable_smplify.cli.convert import ConvertArgs, convert
from learnable_smplify.formats.motion.joint_angles import joint_angles
from learnable_smplify.formats.motion.motion_file import write_motion
from learnable_smplify.motion import Motion
from learnable_smplify.rotation import rotvec_to_rotmat
from learnable_smplify.skeleton import JOINT_INDEX
from test_bvh_writer import some_motion


def angles_of(**turns: tuple[float, float, float]) -> dict[str, float]:
    """Of one pose; turns in degrees about SMPL's axes (x left, y up, z forward)."""
    pose = torch.zeros(1, 24, 3)
    for joint, turn in turns.items():
        pose[0, JOINT_INDEX[joint]] = torch.deg2rad(torch.tensor(turn))
    return {name: float(values[0]) for name, values in joint_angles(rotvec_to_rotmat(pose.double())).items()}


HANGING = {"left_shoulder": (0.0, 0.0, -90.0), "right_shoulder": (0.0, 0.0, 90.0)}


@pytest.mark.parametrize(
    ("turns", "name", "angle"),
    [
        ({"right_hip": (-30, 0, 0)}, "hip_flexion_r", 30),  # the thigh goes forward
        ({"left_hip": (-30, 0, 0)}, "hip_flexion_l", 30),
        ({"right_hip": (0, 0, -20)}, "hip_adduction_r", -20),  # outward
        ({"left_hip": (0, 0, 20)}, "hip_adduction_l", -20),
        ({"right_hip": (0, 25, 0)}, "hip_rotation_r", 25),  # the toes turn inward
        ({"left_hip": (0, -25, 0)}, "hip_rotation_l", 25),
        ({"right_knee": (60, 0, 0)}, "knee_angle_r", 60),  # the heel goes up behind
        ({"left_knee": (60, 0, 0)}, "knee_angle_l", 60),
        ({"left_ankle": (-15, 0, 0)}, "ankle_angle_l", 15),  # the toes go up
        ({"spine2": (20, 0, 0)}, "lumbar_extension", -20),  # forward
        ({"right_elbow": (0, 70, 0), **HANGING}, "elbow_flex_r", 70),
        ({"left_elbow": (0, -70, 0), **HANGING}, "elbow_flex_l", 70),
        (HANGING, "arm_flex_r", 0),
        (HANGING, "arm_add_l", 0),
        ({}, "arm_add_r", -90),  # stretched out sideways
        ({}, "arm_add_l", -90),
        ({"pelvis": (0, 40, 0)}, "pelvis_rotation", -50),  # turned from facing z: OpenSim's zero faces x
        (HANGING, "pro_sup_r", 90),
        (HANGING, "pro_sup_l", 90),
        ({"pelvis": (0, 90, 0)}, "pelvis_tilt", 0),
    ],
)
def test_an_angle_has_the_sign_that_opensim_gives_it(turns, name: str, angle: float) -> None:
    assert angles_of(**turns)[name] == pytest.approx(angle, abs=1e-4)


def test_the_angles_of_the_hips_are_the_whole_rotation() -> None:
    pose = some_motion().pose.double()
    found = joint_angles(rotvec_to_rotmat(pose))
    turn = np.stack([found["hip_flexion_r"], found["hip_adduction_r"], found["hip_rotation_r"]], axis=1)
    change = np.array([[0, 0, 1], [0, 1, 0], [-1, 0, 0]])
    again = change.T @ Rotation.from_euler("ZXY", turn, degrees=True).as_matrix() @ change
    np.testing.assert_allclose(again, rotvec_to_rotmat(pose[:, JOINT_INDEX["right_hip"]]), atol=1e-6)


@pytest.mark.parametrize("suffix", ["mot", "csv"])
def test_the_file_is_a_table_of_degrees_over_time(tmp_path: Path, suffix: str) -> None:
    motion = some_motion()
    write_motion(motion, tmp_path / "in.npz")
    convert(ConvertArgs(tmp_path / "in.npz", tmp_path / f"a.{suffix}"))
    lines = (tmp_path / f"a.{suffix}").read_text().splitlines()
    separator = "\t" if suffix == "mot" else ","
    if suffix == "mot":
        end = lines.index("endheader")
        head = dict(line.split("=") for line in lines[1:end])
        assert lines[0] == "Coordinates"
        assert (head["inDegrees"], int(head["nRows"])) == ("yes", len(motion))
        lines = lines[end + 1 :]
        assert int(head["nColumns"]) == len(lines[0].split(separator))
    names = lines[0].split(separator)
    table = np.array([[float(value) for value in line.split(separator)] for line in lines[1:]])
    assert table.shape == (len(motion), len(names))
    np.testing.assert_allclose(np.diff(table[:, 0]), 1 / motion.fps, atol=1e-6)
    assert {"pelvis_tx", "pelvis_tilt", "knee_angle_l", "lumbar_bending", "elbow_flex_r", "pro_sup_l"} <= set(names)


def test_a_motion_that_is_z_up_is_turned(tmp_path: Path) -> None:
    pose = torch.zeros(2, 24, 3)
    pose[:, 0, 0] = torch.pi / 2
    motion = Motion(pose, torch.tensor([[1.0, 2.0, 0.9], [1.0, 2.0, 0.9]]), torch.zeros(10), up_axis="z")
    notes = write_motion(motion, tmp_path / "a.csv")
    rows = np.genfromtxt(tmp_path / "a.csv", delimiter=",", names=True)
    assert rows["pelvis_ty"][0] == pytest.approx(0.9, abs=0.01)
    assert rows["pelvis_tilt"][0] == pytest.approx(0, abs=1e-3)
    assert any("Y up" in note for note in notes)
