"""For robots and spreadsheets: joint angles and world joint positions of a motion as CSV.

python examples/joint_angles.py
python examples/joint_angles.py --motion motion.npz --out angles
"""

from __future__ import annotations

import csv
import tempfile
from pathlib import Path

import torch
import tyro

import learnable_smplify as ls
from learnable_smplify.cli.demo import demo_keypoints
from learnable_smplify.skeleton import JOINT_NAMES


def main(motion: Path | None = None, out: Path | None = None) -> None:
    """Write joint_angles.csv [rad] and joint_positions.csv [m], one line a frame.

    Args:
        motion: a motion file; the fitted clip in the package if left away.
        out: folder for the two files; a temporary one if left away.
    """
    body = ls.load_body()
    found = ls.Solver(body).fit(demo_keypoints()) if motion is None else ls.read_motion(motion)
    folder = Path(tempfile.mkdtemp()) if out is None else out
    folder.mkdir(parents=True, exist_ok=True)

    # Rotvecs relative to the parent bone: direction = axis in the parent's frame, length = angle. A hinge's angle is
    # the part along its axis: knees bend about +x of the thigh, left elbows about -y and right ones about +y.
    write(folder / "joint_angles.csv", found.fps, found.pose, "xyz")
    # In the world of the keypoints, metres; `transl` alone is not the pelvis' position.
    write(folder / "joint_positions.csv", found.fps, body.joints(found.pose, found.betas, found.transl), "xyz")

    names = {name: index for index, name in enumerate(JOINT_NAMES)}
    hinges = {"left knee": ("left_knee", 0, 1), "right knee": ("right_knee", 0, 1)}
    hinges |= {"left elbow": ("left_elbow", 1, -1), "right elbow": ("right_elbow", 1, 1)}
    for label, (name, axis, sign) in hinges.items():
        angle = torch.rad2deg(sign * found.pose[:, names[name], axis])
        print(f"{label}: bends from {angle.min():.0f} to {angle.max():.0f} degrees")
    print(folder)


def write(path: Path, fps: float, values: torch.Tensor, axes: str) -> None:
    """A line a frame: time [s], then every joint's numbers; values (T, 24, 3)."""
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["time", *(f"{name}_{axis}" for name in JOINT_NAMES for axis in axes)])
        for frame, row in enumerate(values.flatten(1).tolist()):
            table.writerow([f"{frame / fps:.4f}", *(f"{value:.5f}" for value in row)])


if __name__ == "__main__":
    tyro.cli(main)
