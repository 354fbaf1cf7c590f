"""Fit a keypoint file and print what came out.

python examples/fit_a_file.py                            the clip in the package
python examples/fit_a_file.py --keypoints mine.trc --out results
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import tyro

import learnable_smplify as ls
from learnable_smplify.cli.demo import demo_keypoints


def main(keypoints: Path | None = None, out: Path | None = None) -> None:
    """Fit a recording.

    Args:
        keypoints: any file that `lsmplify fit` reads; the clip in the package if left away.
        out: folder for motion.npz; a temporary one if left away.
    """
    recording = demo_keypoints() if keypoints is None else ls.read_keypoints(keypoints)
    for note in recording.notes:  # what the reader assumed or converted
        print("note:", note)

    body = ls.load_body()
    motion = ls.Solver(body).fit(recording)

    fitted = body.keypoints(motion.pose, motion.betas, motion.transl, layout=recording.layout)
    distance = (fitted - recording.positions).norm(dim=-1)[recording.confidence > 0]
    print(f"{len(motion)} frames at {motion.fps:g} fps, {int(motion.flagged.sum())} flagged")
    print(f"keypoints are {1000 * distance.mean():.1f} mm from the body on average")
    print("betas:", [round(value, 2) for value in motion.betas.tolist()])

    path = (Path(tempfile.mkdtemp()) if out is None else out) / "motion.npz"
    ls.write_motion(motion, path)
    print(path)


if __name__ == "__main__":
    tyro.cli(main)
