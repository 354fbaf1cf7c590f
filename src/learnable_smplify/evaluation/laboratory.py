"""Fits measured against joint angles of a laboratory: OpenSim's, computed from the same markers or keypoints.

Definitions, on the body's joint centres, all in degrees:
- knee and elbow flexion: by how much the bone below is turned against the bone above, in the plane of the hinge, since
  the rest pose, in which both are straight; OpenSim's elbow is at zero where shoulder, elbow and wrist are bent back by
  `ELBOW_ZERO_DEG`;
- hip flexion: the thigh's direction in the pelvis' frame, in the plane of forward and down; that frame has the spines
  of the pelvis (ASIS and PSIS) level, as OpenSim's has, and so leans back by `PELVIS_TILT_DEG` against SMPL's, which is
  a standing person's;
- ankle dorsiflexion: how much smaller the angle between shank and foot is than in the body's rest pose.
What OpenSim's zero pose of the foot is beside SMPL's is not known here: that is in the bias, not in the spread.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float

from learnable_smplify.body import Body
from learnable_smplify.datasets.opensim import JointAngles
from learnable_smplify.motion import Motion
from learnable_smplify.rotation import rotvec_to_rotmat
from learnable_smplify.skeleton import JOINT_INDEX

# Root mean square error of OpenCap against marker-based motion capture, mean over joints [deg] (Uhlrich et al. 2023).
OPENCAP_DEG = 4.5
# Forward tilt of the plane through the spines of the pelvis in people who stand [deg] (Levine and Whittle 1996).
PELVIS_TILT_DEG = 11.3
# How far back the line of joint centres is bent at `elbow_flex` 0, about the elbow's axis [deg]: from where shoulder,
# elbow, forearm and wrist are in the full-body model of Rajagopal et al. 2016, palms inward to back (`pro_sup` 60 to
# 120 degrees give 5.4 to 6.0; the tests have the numbers).
ELBOW_ZERO_DEG = 5.6
_COORDINATES = {"knee": "knee_angle", "elbow": "elbow_flex", "hip": "hip_flexion", "ankle": "ankle_angle"}


@dataclass(frozen=True)
class AngleRow:
    """One joint (both sides) of one trial: errors [deg]; `spread` is what is left without the bias of each side."""

    trial: str
    joint: str
    rms: float
    bias: float
    spread: float
    frames: int


def flexions(body: Body, motion: Motion) -> dict[str, Float[np.ndarray, " T"]]:
    """`knee_l`, `knee_r`, `elbow_l`, ... of every frame [deg], as defined above."""
    joints = body.joints(motion.pose, motion.betas, motion.transl)
    rest = body.joints(torch.zeros(1, 24, 3), motion.betas, torch.zeros(1, 3))
    local = rotvec_to_rotmat(motion.pose)
    pelvis = local[:, 0]
    found: dict[str, np.ndarray] = {}
    for side in ("left", "right"):
        places = {name: JOINT_INDEX[f"{side}_{name}"] for name in _CHAIN}

        def bone(start: str, end: str, of: torch.Tensor = joints, places: dict[str, int] = places) -> torch.Tensor:
            return of[:, places[end]] - of[:, places[start]]

        short = side[0]
        thigh = (pelvis.mT @ bone("hip", "knee")[..., None])[..., 0]
        found[f"hip_{short}"] = PELVIS_TILT_DEG + torch.rad2deg(torch.atan2(thigh[:, 2], -thigh[:, 1])).numpy()
        found[f"knee_{short}"] = _hinged(local[:, places["knee"]], bone("knee", "ankle", rest), 0)
        forearm = _hinged(local[:, places["elbow"]], bone("elbow", "wrist", rest), 1)
        found[f"elbow_{short}"] = ELBOW_ZERO_DEG + (-forearm if side == "left" else forearm)
        usual = _between(bone("ankle", "knee", rest), bone("ankle", "foot", rest))
        found[f"ankle_{short}"] = usual - _between(bone("ankle", "knee"), bone("ankle", "foot"))
    return found


_CHAIN = ("hip", "knee", "ankle", "foot", "shoulder", "elbow", "wrist")


def compare_angles(trial: str, body: Body, motion: Motion, start_s: float, truth: JointAngles) -> list[AngleRow]:
    """Errors of one trial; the motion's first frame is at `start_s` on the truth's clock."""
    times = start_s + np.arange(len(motion)) / motion.fps
    inside = (times >= truth.time_s[0] - 1e-6) & (times <= truth.time_s[-1] + 1e-6)
    fitted = flexions(body, motion)
    rows = []
    for joint, coordinate in _COORDINATES.items():
        errors = []
        for side in ("l", "r"):
            column = truth.columns.get(f"{coordinate}_{side}")
            if column is not None:
                errors.append((fitted[f"{joint}_{side}"] - np.interp(times, truth.time_s, column))[inside])
        if not errors or not len(errors[0]):
            continue
        every = np.concatenate(errors)
        left = np.concatenate([error - error.mean() for error in errors])
        rms, spread = (float(np.sqrt(np.square(values).mean())) for values in (every, left))
        rows.append(AngleRow(trial, joint, rms, float(every.mean()), spread, len(every)))
    return rows


def angle_table(rows: list[AngleRow]) -> str:
    """Markdown: rms, bias and spread of each joint and trial, and over all trials."""
    lines = ["| trial | joint | rms [deg] | bias | spread |", "|---|---|---|---|---|"]
    for trial in dict.fromkeys(row.trial for row in rows):
        lines += [_line(row) for row in rows if row.trial == trial]
    lines += map(_line, over_trials(rows))
    return "\n".join(lines)


def over_trials(rows: list[AngleRow]) -> list[AngleRow]:
    """Each joint's errors over all its frames, where several trials have it."""
    found = []
    for joint in _COORDINATES:
        several = [row for row in rows if row.joint == joint]
        if len(several) > 1:
            frames = [row.frames for row in several]
            numbers = np.array([(row.rms**2, row.bias, row.spread**2) for row in several])
            squared_rms, bias, squared_spread = map(float, np.average(numbers, axis=0, weights=frames))
            found.append(AngleRow("all", joint, squared_rms**0.5, bias, squared_spread**0.5, sum(frames)))
    return found


def _line(row: AngleRow) -> str:
    return f"| {row.trial} | {row.joint} | {row.rms:.1f} | {row.bias:+.1f} | {row.spread:.1f} |"


def _hinged(turn: Float[torch.Tensor, "T 3 3"], rest: Float[torch.Tensor, "1 3"], axis: int) -> Float[np.ndarray, " T"]:
    """How far a bone has turned about an axis of the bone above since the rest pose [deg]."""
    first, second = (axis + 1) % 3, (axis + 2) % 3
    bone = (turn @ rest[..., None])[..., 0]
    angle = torch.atan2(bone[:, second], bone[:, first]) - torch.atan2(rest[:, second], rest[:, first])
    return np.asarray(torch.rad2deg(torch.remainder(angle + torch.pi, 2 * torch.pi) - torch.pi).numpy())


def _between(first: torch.Tensor, second: torch.Tensor) -> np.ndarray:
    cosine = torch.nn.functional.cosine_similarity(first, second, dim=-1).clamp(-1, 1)
    return np.asarray(torch.rad2deg(torch.acos(cosine)).numpy())
