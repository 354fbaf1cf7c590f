"""Poses as fast as keypoints come: push a frame, get its pose. No frame waits for a later one.

python examples/stream_frames.py
"""

from __future__ import annotations

import time

import tyro

import learnable_smplify as ls
from learnable_smplify.cli.demo import demo_keypoints


def main(frames: int = 180) -> None:
    """Push the package's clip through a stream.

    Args:
        frames: how many frames, over and over again there and back.
    """
    clip = demo_keypoints()
    solver = ls.Solver()
    stream = solver.stream(layout="body25", fps=clip.fps)  # without betas the shape is estimated on the way

    there_and_back = [*range(len(clip)), *reversed(range(len(clip)))]
    spent = []
    for index in range(frames):
        at = there_and_back[index % len(there_and_back)]
        began = time.perf_counter()
        found = stream.push(clip.positions[at], clip.confidence[at])
        spent.append(time.perf_counter() - began)
        if index % 30 == 0:
            x, y, z = found.transl.tolist()
            print(f"frame {found.frame:4}: person at ({x:+.2f}, {y:+.2f}, {z:+.2f}) m, flagged {found.flagged}")

    spent.sort()
    print(
        f"median {1000 * spent[len(spent) // 2]:.1f} ms a frame, longest {1000 * spent[-1]:.1f} ms (the first compiles)"
    )


if __name__ == "__main__":
    tyro.cli(main)
