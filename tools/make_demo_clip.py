"""Make the keypoint clip that `lsmplify demo` fits: `src/learnable_smplify/cli/demo_keypoints.npz`.

    python tools/make_demo_clip.py

A person made of formulas (no recording) walks four steps, stops, squats with the arms forward, and waves. The open body
with made-up betas wears the motion; its BODY_25 keypoints get the faults of a real markerless capture: slow drift of
every keypoint, jitter, a wrist lost for half a second, single frames dropped, confidences that tell some of it.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from scipy.interpolate import PchipInterpolator
from scipy.ndimage import gaussian_filter1d
from scipy.spatial.transform import Rotation

from learnable_smplify.body import Body, load_body
from learnable_smplify.layouts.layout import load_layout
from learnable_smplify.safe_files.atomic import atomic_output
from learnable_smplify.skeleton import JOINT_INDEX

OUTPUT = Path(__file__).parents[1] / "src/learnable_smplify/cli/demo_keypoints.npz"
FPS = 30.0
SECONDS = 6.0
WALK_SECONDS = 2.2
STEP_CYCLE = 1.1  # seconds of two steps
BETAS = (0.6, -0.8, 0.5, 0.0, 0.4, -0.3, 0.2, 0.0, 0.3, 0.0)
DRIFT_M, JITTER_M, DROPPED_SHARE = 0.006, 0.003, 0.01


def track(*keys: tuple[float, float]) -> np.ndarray:
    """A smooth curve [deg] through (seconds, degrees) keys, one value a frame."""
    times, values = zip(*keys, strict=True)
    frame_times = np.arange(int(SECONDS * FPS)) / FPS
    return PchipInterpolator(times, values)(np.clip(frame_times, times[0], times[-1]))


def gait() -> dict[str, np.ndarray]:
    """Joint angles [deg] of walking, faded out when the person stops. Keys are '<side> <angle>'."""
    time = np.arange(int(SECONDS * FPS)) / FPS
    fade = np.clip((WALK_SECONDS - time) / 0.4, 0, 1)
    fade = fade * fade * (3 - 2 * fade)
    angles = {}
    for side, shift in (("left", 0.0), ("right", 0.5)):
        phase = (time / STEP_CYCLE + shift) % 1.0

        def bump(centre: float, width: float, phase: np.ndarray = phase) -> np.ndarray:
            distance = np.abs(phase - centre)
            return np.exp(-((np.minimum(distance, 1 - distance) / width) ** 2))

        angles[f"{side} hip"] = fade * (8 + 24 * np.cos(2 * np.pi * phase))
        angles[f"{side} knee"] = 4 + fade * (12 * bump(0.14, 0.08) + 54 * bump(0.73, 0.11))
        angles[f"{side} ankle"] = fade * (8 * bump(0.42, 0.12) - 18 * bump(0.64, 0.08))
        angles[f"{side} arm"] = fade * (-20 * np.cos(2 * np.pi * phase))
    angles["pelvis yaw"] = fade * -5 * np.cos(2 * np.pi * time / STEP_CYCLE)
    return angles


def rotation(**degrees: np.ndarray | float) -> Rotation:
    """Rotations about the named axes, the first name applied last (leftmost)."""
    count = int(SECONDS * FPS)
    result = Rotation.identity(count)
    for axis, angle in degrees.items():
        result = result * Rotation.from_euler(axis[0], np.broadcast_to(angle, count)[:, None], degrees=True)
    return result


def make_pose() -> np.ndarray:
    """(T, 24, 3) rotvecs [rad] in SMPL's axes: X left, Y up, Z forward; a leg swings forward about -X."""
    walk = gait()
    squat = track((0, 0), (2.7, 0), (3.5, 1), (3.8, 1), (4.6, 0), (6, 0))
    wave = track((0, 0), (4.5, 0), (5.1, 1), (6, 1))
    waving = wave * 22 * np.sin(2 * np.pi * 2.0 * np.arange(len(wave)) / FPS)
    turn = track((0, 0), (2.1, 0), (2.9, 35), (6, 35))
    pose = {
        "pelvis": rotation(y=turn + walk["pelvis yaw"], x=22 * squat),
        "spine1": rotation(y=-walk["pelvis yaw"], x=8 * squat),
        "spine2": rotation(y=-0.6 * walk["pelvis yaw"], x=4 * squat),
        "spine3": rotation(x=-2 * squat, z=3 * wave),
        "neck": rotation(x=-14 * squat, y=-4 * wave),
        "head": rotation(x=-8 * squat, y=-8 * wave, z=-4 * wave),
        "left_collar": rotation(y=-10 * squat),
        "right_collar": rotation(y=10 * squat, z=-14 * wave),
    }
    for side, sign in (("left", 1.0), ("right", -1.0)):
        raised = wave if side == "right" else 0.0 * wave
        pose[f"{side}_hip"] = rotation(x=-(walk[f"{side} hip"] + 88 * squat), z=sign * (2 + 10 * squat))
        pose[f"{side}_knee"] = rotation(x=walk[f"{side} knee"] + 96 * squat)
        pose[f"{side}_ankle"] = rotation(x=-(walk[f"{side} ankle"] + 28 * squat), z=-sign * (2 + 8 * squat))
        hanging = -sign * (74 - 10 * squat) + raised * sign * 88
        pose[f"{side}_shoulder"] = rotation(x=-walk[f"{side} arm"] - 66 * squat, z=hanging, y=-sign * 12 * raised)
        bend = 16 + 0.4 * np.maximum(walk[f"{side} arm"], 0) + 64 * raised
        pose[f"{side}_elbow"] = rotation(z=sign * raised * (58 + waving), y=-sign * bend * (1 - raised))
        pose[f"{side}_wrist"] = rotation(z=sign * raised * 0.4 * waving)
    result = np.zeros((int(SECONDS * FPS), 24, 3))
    for name, turned in pose.items():
        result[:, JOINT_INDEX[name]] = turned.as_rotvec()
    return result


def place_feet(body: Body, pose: np.ndarray) -> np.ndarray:
    """(T, 3) transl that keeps the lower foot still on the floor."""
    layout = load_layout("body25")
    names = {side: [layout.index(f"{side}{part}") for part in ("Ankle", "BigToe", "SmallToe", "Heel")] for side in "LR"}
    points = body.keypoints(pose, np.array(BETAS), layout=layout).numpy().astype(float)
    feet = {side: points[:, index] for side, index in names.items()}
    lowest = np.stack([feet[side][..., 1].min(axis=1) for side in "LR"], axis=1)
    # How much each foot carries, blended over a few centimetres so that the hand-over is smooth.
    carry = np.exp(-(lowest - lowest.min(axis=1, keepdims=True)) / 0.01)
    carry /= carry.sum(axis=1, keepdims=True)
    transl = np.zeros((len(pose), 3))
    for frame in range(1, len(pose)):
        step = [feet[side][frame].mean(0) - feet[side][frame - 1].mean(0) for side in "LR"]
        transl[frame] = transl[frame - 1] - sum(w * s for w, s in zip(carry[frame], step, strict=True))
    transl[:, 1] = gaussian_filter1d(-lowest.min(axis=1), 1.0)
    return gaussian_filter1d(transl, 0.8, axis=0)


def add_faults(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Keypoints as a camera system delivers them, and their confidence."""
    rng = np.random.default_rng(7)
    drift = gaussian_filter1d(rng.normal(size=points.shape), 8, axis=0)
    drift *= DRIFT_M / drift.std()
    noisy = points + drift + rng.normal(scale=JITTER_M, size=points.shape)
    confidence = np.clip(rng.normal(0.85, 0.06, size=points.shape[:2]), 0.3, 1.0)
    lost = rng.random(points.shape[:2]) < DROPPED_SHARE
    lost[95:110, load_layout("body25").index("LWrist")] = True
    confidence[lost] = 0
    noisy[lost] = np.nan
    return noisy, confidence


def main() -> None:
    body = load_body()
    pose = make_pose()
    transl = place_feet(body, pose)
    points = body.keypoints(torch.as_tensor(pose), np.array(BETAS), transl).numpy()
    noisy, confidence = add_faults(points)
    with atomic_output(OUTPUT) as path:
        np.savez_compressed(
            path,
            keypoints=noisy.astype(np.float32),
            confidence=confidence.astype(np.float32),
            layout="body25",
            fps=FPS,
            up_axis="y",
        )
    print(f"{OUTPUT}: {len(points)} frames, {OUTPUT.stat().st_size / 1024:.0f} KB")


if __name__ == "__main__":
    main()
