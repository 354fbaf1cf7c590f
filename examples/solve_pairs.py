"""The paper's problem, in batches: the pose a person had and the keypoints they have now, to the pose they have now.

python examples/solve_pairs.py
"""

from __future__ import annotations

import time

import torch
import tyro

import learnable_smplify as ls
from learnable_smplify.cli.demo import demo_keypoints


def main(stride: int = 5, noise_mm: float = 10.0) -> None:
    """Make pairs whose answer is known, and solve them by every method.

    Args:
        stride: frames between start and target.
        noise_mm: standard deviation of every keypoint coordinate.
    """
    body = ls.load_body()
    truth = ls.Solver(body).fit(demo_keypoints())  # any motion will do
    start, target, betas = truth.pose[:-stride], truth.pose[stride:], truth.betas

    keypoints = body.keypoints(target, betas, layout="body25")
    keypoints += noise_mm / 1000 * torch.randn(keypoints.shape, generator=torch.Generator().manual_seed(0))

    print(f"{'copy of the start':26}{error_mm(body, start, target, betas):6.1f} mm")
    for name, solver in {
        "single pass (the paper's)": ls.Solver(body, passes=1, refine_steps=0),
        "hybrid (the default)": ls.Solver(body),
        "Gauss-Newton": ls.Solver(body, "gauss_newton"),
    }.items():
        solver.solve_pairs(start, keypoints, betas)  # the first call compiles
        began = time.perf_counter()
        found, _ = solver.solve_pairs(start, keypoints, betas)
        seconds = time.perf_counter() - began
        error = error_mm(body, found, target, betas)
        print(f"{name:26}{error:6.1f} mm per-vertex error, {1000 * seconds / len(start):.2f} ms a pair")


def error_mm(body: ls.Body, found: torch.Tensor, target: torch.Tensor, betas: torch.Tensor) -> float:
    """Mean distance of the vertices, the pelvis joints laid on each other."""
    pelvis = [body.joints(pose, betas)[:, 0] for pose in (found, target)]
    return float(ls.metrics.pve(body.vertices(found, betas), body.vertices(target, betas), *pelvis))


if __name__ == "__main__":
    tyro.cli(main)
