"""The output of an image-based estimator, made better by keypoints from calibrated cameras.

python examples/refine_an_estimate.py                                  a simulated estimator
python examples/refine_an_estimate.py --estimate wham_output.pkl --keypoints cameras.trc --fps 30
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import torch
import tyro

import learnable_smplify as ls
from learnable_smplify.cli.demo import demo_keypoints
from learnable_smplify.formats.estimates import read_estimates
from learnable_smplify.refine import refine_motion


def main(
    estimate: Path | None = None, keypoints: Path | None = None, fps: float | None = None, out: Path | None = None
) -> None:
    """Refine an estimate of one person.

    Args:
        estimate: file of WHAM, GVHMR, TRAM, 4D-Humans, ...; a simulated one if left away.
        keypoints: any file that `lsmplify fit` reads; the clip in the package if left away.
        fps: frames a second of the video, where the estimator's file does not say.
        out: folder for motion.npz; a temporary one if left away.
    """
    body = ls.load_body()  # for a real estimator: the licensed model it uses, ls.load_body("SMPL_NEUTRAL.pkl")
    solver = ls.Solver(body)
    recording = demo_keypoints() if keypoints is None else ls.read_keypoints(keypoints)
    before = simulated(solver, recording) if estimate is None else read_estimates(estimate)[0].to_motion(fps, body)

    result = refine_motion(solver, before, recording)
    for note in result.notes:
        print("note:", note)
    if result.errors is not None:  # the estimate was laid on the keypoints first; this is what came on top
        print(
            f"keypoint error {result.errors.mean_before_mm:.1f} mm before, {result.errors.mean_after_mm:.1f} mm after"
        )
    print(f"{int(result.kept.sum())} of {len(result.motion)} frames kept the estimate")

    path = (Path(tempfile.mkdtemp()) if out is None else out) / "motion.npz"
    ls.write_motion(result.motion, path)
    print(path)


def simulated(solver: ls.Solver, recording: ls.Keypoints) -> ls.Motion:
    """What a video network might say of the same person: joints off by some degrees, a frame of its own, no betas."""
    generator = torch.Generator().manual_seed(0)
    motion = solver.fit(recording)
    wrong = torch.nn.functional.avg_pool1d(torch.randn(72, len(motion) + 4, generator=generator), 5, stride=1).T
    pose = motion.pose + 0.2 * wrong.reshape(-1, 24, 3)
    return replace(motion, pose=pose, transl=motion.transl + torch.tensor([2.0, 0.0, 1.0]), betas=torch.zeros(10))


if __name__ == "__main__":
    tyro.cli(main)
