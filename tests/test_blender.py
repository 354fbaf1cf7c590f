"""What Blender itself makes of our GLB and BVH files: bones where the motion has its joints.

Slow, and only where `BLENDER_PYTHON` names a Python with Blender's module (`pip install bpy`).
"""

from __future__ import annotations

import os
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import learnable_smplify as ls
from learnable_smplify.cli.main import main
from learnable_smplify.skeleton import JOINT_INDEX, JOINT_NAMES

BLENDER = os.environ.get("BLENDER_PYTHON", "")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(not BLENDER, reason="BLENDER_PYTHON names no Python with bpy")]
FRAMES, FPS = 24, 30.0
NEAR_MM = 0.2


def motion(fingers: bool) -> ls.Motion:
    turns = torch.zeros(FRAMES, 24, 3)
    time = torch.linspace(0, 1, FRAMES)
    turns[:, JOINT_INDEX["pelvis"], 1], turns[:, JOINT_INDEX["left_knee"], 0] = time, 1.2 * time
    turns[:, JOINT_INDEX["left_shoulder"], 2], turns[:, JOINT_INDEX["head"], 1] = -time, 0.5 * time
    place = torch.stack([time, 0.1 * time, -0.5 * time], dim=-1)
    made = ls.Motion(pose=turns, transl=place, betas=torch.linspace(-1, 1, 10), fps=FPS)
    return replace(made, hand_pose=0.2 * torch.ones(FRAMES, 30, 3)) if fingers else made


@pytest.mark.parametrize("fingers", [False, True])
@pytest.mark.parametrize("suffix", [".glb", ".bvh"])
def test_blender_puts_bones_where_the_joints_are(suffix: str, fingers: bool, tmp_path: Path) -> None:
    made, file, seen = motion(fingers), tmp_path / f"motion{suffix}", tmp_path / "seen.npz"
    ls.write_motion(made, tmp_path / "motion.npz")
    unit = ["--bvh-unit", "m"] if suffix == ".bvh" else []
    main(["convert", str(tmp_path / "motion.npz"), "-o", str(file), *unit])
    script = Path(__file__).parent / "in_blender.py"
    command = [BLENDER, str(script), str(file), str(FPS), str(FRAMES), str(seen)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    found = np.load(seen)
    x, y, z = made.joints().numpy().transpose(2, 0, 1)
    heads = dict(zip(found["names"].tolist(), found["heads"].swapaxes(0, 1), strict=True))
    for name, wanted in zip(JOINT_NAMES, np.stack([x, -z, y], axis=-1).swapaxes(0, 1), strict=True):
        bone = name if name in heads else name.replace("hand", "middle1")
        assert 1000 * np.linalg.norm(heads[bone] - wanted, axis=-1).max() < NEAR_MM, name
    assert len(heads) == (52 if fingers else 24)
    assert (int(found["vertices"]) > 6000) == (suffix == ".glb")
