"""Keypoints that no layout in the package has: describe them in a TOML file, then fit.

python examples/own_layout.py
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch
import tyro

import learnable_smplify as ls
from learnable_smplify.cli.demo import demo_keypoints

# A keypoint is a point of the body or a weighted sum of points; src/learnable_smplify/layouts/points.py lists them.
LAYOUT = """
name = "thirteen"
title = "Thirteen points of a small network"
edges = [["head", "l_sho"], ["head", "r_sho"], ["l_sho", "l_elb"], ["l_elb", "l_wri"], ["r_sho", "r_elb"],
         ["r_elb", "r_wri"], ["l_hip", "l_kne"], ["l_kne", "l_ank"], ["r_hip", "r_kne"], ["r_kne", "r_ank"]]

[keypoints]                                   # in the order of the recording
head = { left_ear = 0.5, right_ear = 0.5 }
l_sho = "left_shoulder"
r_sho = "right_shoulder"
l_elb = "left_elbow"
r_elb = "right_elbow"
l_wri = "left_wrist"
r_wri = "right_wrist"
l_hip = "left_hip"
r_hip = "right_hip"
l_kne = "left_knee"
r_kne = "right_knee"
l_ank = "left_ankle"
r_ank = "right_ankle"
"""
# The same twelve limb points under the names of the clip in the package.
_IN_BODY25 = [f"{side}{joint}" for joint in ("Shoulder", "Elbow", "Wrist", "Hip", "Knee", "Ankle") for side in "LR"]


def main(out: Path | None = None) -> None:
    """Fit the package's clip as if it had been recorded with thirteen keypoints.

    Args:
        out: folder for the layout and the motion; a temporary one if left away.
    """
    folder = Path(tempfile.mkdtemp()) if out is None else out
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "thirteen.toml").write_text(LAYOUT)
    layout = ls.load_layout(folder / "thirteen.toml")

    clip, body25 = demo_keypoints(), ls.load_layout("body25")
    head = clip.positions[:, [body25.index("LEar"), body25.index("REar")]].mean(dim=1, keepdim=True)
    positions = torch.cat((head, clip.positions[:, [body25.index(name) for name in _IN_BODY25]]), dim=1)
    seen = torch.cat((clip.confidence[:, :1], clip.confidence[:, [body25.index(name) for name in _IN_BODY25]]), dim=1)

    motion = ls.Solver().fit(ls.Keypoints(positions, layout, clip.fps, seen))
    print(f"{layout.title}: {len(layout)} keypoints, {len(motion)} frames, {int(motion.flagged.sum())} flagged")
    ls.write_motion(motion, folder / "motion.npz")
    print(folder / "motion.npz")


if __name__ == "__main__":
    tyro.cli(main)
