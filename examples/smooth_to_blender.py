"""A steady motion with feet that stand still, as animated GLB and BVH for Blender and game engines.

python examples/smooth_to_blender.py
python examples/smooth_to_blender.py --keypoints mine.trc --out for_blender
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import tyro

import learnable_smplify as ls
from learnable_smplify.cli.demo import demo_keypoints
from learnable_smplify.solver import RecordingOptions


def main(keypoints: Path | None = None, out: Path | None = None) -> None:
    """Fit frame after frame, fit smoothed, compare how much both shake, and write the smooth one.

    Args:
        keypoints: any file that `lsmplify fit` reads; the clip in the package if left away.
        out: folder for the files; a temporary one if left away.
    """
    recording = demo_keypoints() if keypoints is None else ls.read_keypoints(keypoints)
    body = ls.load_body()
    causal = ls.Solver(body).fit(recording)
    smooth = ls.Solver(body, recording_options=RecordingOptions(smooth=True, hold_feet=True)).fit(recording)

    for name, motion in (("frame after frame", causal), ("smooth, feet held", smooth)):
        joints = body.joints(motion.pose, motion.betas, motion.transl)
        jitter = joints.diff(n=2, dim=0).norm(dim=-1).mean() * motion.fps**2
        print(f"{name}: joints accelerate by {jitter:.1f} m/s^2 on average")

    folder = Path(tempfile.mkdtemp()) if out is None else out
    for path in (folder / "motion.npz", folder / "motion.bvh", folder / "motion.glb"):
        try:
            for note in ls.write_motion(smooth, path, body=body):
                print("note:", note)
            print(path)
        except ls.MissingExtraError as error:  # .glb needs the extra "glb"
            print(error)


if __name__ == "__main__":
    tyro.cli(main)
