"""The network without torch: an ONNX file, NumPy arrays and onnxruntime.

lsmplify export-onnx -o network.onnx
python examples/network_in_numpy.py --model network.onnx
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import onnxruntime
import tyro


def main(model: Path | None = None, out: Path | None = None) -> None:
    """How people bend a knee, from the pose before and the keypoints now.

    Args:
        model: the ONNX file; without, it is written first, which takes torch once.
        out: the folder for it.
    """
    if model is None:
        from learnable_smplify.solver.onnx_file import save_onnx

        model = (out or Path(tempfile.mkdtemp())) / "network.onnx"
        save_onnx(model)
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    start, keypoints = people()
    pose, transl, sigma, _ = session.run(
        ["pose", "transl", "sigma", "keypoint_sigma"],
        {
            "start_pose": start,
            "keypoints": keypoints,
            "betas": np.zeros((len(start), 10), np.float32),
            "start_kind": np.zeros(len(start), np.int64),  # 0: the start is true
            "seconds": np.full(len(start), 0.1, np.float32),
        },
    )
    knee = np.degrees(np.linalg.norm(pose[:, 4], axis=1))
    print(f"left knee: {', '.join(f'{angle:.0f}' for angle in knee)} degrees")
    print(f"sure within {np.degrees(sigma[:, 4]).mean():.1f} degrees; the pelvis moved by {transl[0].round(2) + 0.0} m")


def people() -> tuple[np.ndarray, np.ndarray]:
    """Rest poses (3, 24, 3) and the BODY_25 keypoints (3, 25, 3) [m] of left knees bent by 5, 10 and 15 degrees."""
    import learnable_smplify as ls

    start = np.zeros((3, 24, 3), np.float32)
    bent = start.copy()
    bent[:, 4, 0] = np.radians([5, 10, 15])
    return start, ls.load_body().keypoints(bent, np.zeros(10, np.float32)).numpy()


if __name__ == "__main__":
    tyro.cli(main)
