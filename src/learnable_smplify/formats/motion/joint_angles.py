"""Joint angles under OpenSim's coordinate names: a `.mot` storage file, or the same table as `.csv`. Writing only.

Names, signs and order of axes are those of the full-body model of Rajagopal et al. 2016 (IEEE TBME 63(10)), which
OpenCap uses too: x forward, y up, z to the right; flexion, adduction and inward rotation about z, x and y, in turn.
SMPL's joints are balls and its rest pose has the arms out, so this is a description of the pose in those angles and not
an inverse kinematics of that model: knees and elbows also turn a little about their other axes, which is left out.
"""

from __future__ import annotations

from os import PathLike
from pathlib import Path

import numpy as np
import roma
import torch
from jaxtyping import Float
from torch import Tensor

from learnable_smplify.body.body import Body
from learnable_smplify.formats.motion.rig import Rig, rig_motion
from learnable_smplify.motion import Motion
from learnable_smplify.safe_files.atomic import atomic_output
from learnable_smplify.skeleton import JOINT_INDEX

# From SMPL's body axes (x left, y up, z forward) to OpenSim's.
_R_OPENSIM_SMPL = ((0.0, 0.0, 1.0), (0.0, 1.0, 0.0), (-1.0, 0.0, 0.0))
_ORDER = "ZXY"
# Palms forward is zero there; SMPL's arms, let down, have them toward the thighs.
_PALMS_TO_THIGHS = 90.0
_SIDES = (("r", "right", 1.0), ("l", "left", -1.0))


def write_joint_angles(motion: Motion, path: str | PathLike[str], body: Body | None = None) -> tuple[str, ...]:
    """Write a motion as a table of OpenSim's coordinates: degrees, metres, seconds; `.mot` or `.csv` by the suffix.

    Args:
        motion: T frames; turned to Y up, as OpenSim is.
        path: the file to write, whole or not at all.
        body: whose pelvis is placed; None takes the open body where the motion belongs to it.

    Returns:
        Notes for the user.

    Raises:
        InputError: no body for a motion of a licensed one, or the folder cannot be written to.
    """
    path = Path(path)
    rig = rig_motion(motion, path, body)
    columns = _columns(motion, rig)
    table = np.stack(list(columns.values()), axis=1)
    separator = "\t" if path.suffix.lower() == ".mot" else ","
    with atomic_output(path) as temporary, open(temporary, "w", encoding="ascii", newline="\n") as file:
        if path.suffix.lower() == ".mot":
            file.write(f"Coordinates\nversion=1\nnRows={len(table)}\nnColumns={table.shape[1]}\n")
            file.write("inDegrees=yes\nendheader\n")
        file.write(separator.join(columns) + "\n")
        np.savetxt(file, table, fmt="%.8g", delimiter=separator)
    return (*rig.notes, "the angles are OpenSim's coordinates of this pose, not an inverse kinematics of a model")


def joint_angle_table(motion: Motion, body: Body) -> dict[str, Float[np.ndarray, "T"]]:
    """The columns that `write_joint_angles` writes: time [s], angles [deg], the pelvis [m] in a Y-up world."""
    return _columns(motion, rig_motion(motion, Path("joint angles"), body))


def _columns(motion: Motion, rig: Rig) -> dict[str, Float[np.ndarray, "T"]]:
    columns = {"time": motion.start_s + np.arange(len(motion)) / motion.fps}
    columns |= joint_angles(rig.local_rotmat)
    return columns | {f"pelvis_t{axis}": rig.root_positions.numpy()[:, index] for index, axis in enumerate("xyz")}


def joint_angles(local_rotmat: Float[Tensor, "T 24 3 3"]) -> dict[str, Float[np.ndarray, "T"]]:
    """Angles [deg] by the names of OpenSim's coordinates.

    Args:
        local_rotmat: rotation of every joint relative to its parent, joint 0 in a Y-up world.
    """
    change = torch.tensor(_R_OPENSIM_SMPL, dtype=torch.float64)
    local = local_rotmat.to(torch.float64)
    turned = change @ local @ change.T

    def joint(name: str) -> Float[Tensor, "T 3 3"]:
        return turned[:, JOINT_INDEX[name]]

    # The pelvis' axes are OpenSim's, the world stays that of the recording: its markers fit over the motion.
    tilt, list_, rotation = _angles(local[:, 0] @ change.T)
    found = {"pelvis_tilt": tilt, "pelvis_list": list_, "pelvis_rotation": rotation}
    for side, word, mirror in _SIDES:
        flexion, adduction, turn = _angles(joint(f"{word}_hip"))
        found |= {f"hip_flexion_{side}": flexion, f"hip_adduction_{side}": mirror * adduction}
        found[f"hip_rotation_{side}"] = mirror * turn
        found[f"knee_angle_{side}"] = -_angles(joint(f"{word}_knee"))[0]
        ankle, subtalar, _ = _angles(joint(f"{word}_ankle"))
        found |= {f"ankle_angle_{side}": ankle, f"subtalar_angle_{side}": mirror * subtalar}
        found[f"mtp_angle_{side}"] = _angles(joint(f"{word}_foot"))[0]
    extension, bending, turn = _angles(joint("spine1") @ joint("spine2") @ joint("spine3"))
    found |= {"lumbar_extension": extension, "lumbar_bending": bending, "lumbar_rotation": turn}
    for side, word, mirror in _SIDES:
        # OpenSim's arms hang down at zero, SMPL's are stretched out.
        quarter = torch.tensor([-mirror * torch.pi / 2, 0.0, 0.0], dtype=torch.float64)
        hanging = roma.rotvec_to_rotmat(quarter)
        flexion, adduction, turn = _angles(joint(f"{word}_collar") @ joint(f"{word}_shoulder") @ hanging)
        found |= {f"arm_flex_{side}": flexion, f"arm_add_{side}": mirror * adduction, f"arm_rot_{side}": mirror * turn}
        elbow, _, pronation = _angles(hanging.T @ joint(f"{word}_elbow") @ hanging)
        found |= {f"elbow_flex_{side}": elbow, f"pro_sup_{side}": _PALMS_TO_THIGHS + mirror * pronation}
        flexion, deviation, _ = _angles(hanging.T @ joint(f"{word}_wrist") @ hanging)
        found |= {f"wrist_flex_{side}": mirror * deviation, f"wrist_dev_{side}": flexion}
    return found


def _angles(rotmat: Float[Tensor, "T 3 3"]) -> Float[np.ndarray, "3 T"]:
    """Angles [deg] about z, then x, then y of the turning body, each without jumps of a whole turn."""
    angles = roma.rotmat_to_euler(_ORDER, rotmat, degrees=True).numpy()
    return np.asarray(np.unwrap(angles, period=360.0, axis=0).T)
