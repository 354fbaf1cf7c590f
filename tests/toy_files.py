"""Keypoint files of every format, written for tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import learnable_smplify as ls

LAYOUT = ls.load_layout("body25")


def save_npz(path: Path, positions: np.ndarray, **more: object) -> str:
    np.savez(path, keypoints=positions, **({"layout": "body25", "fps": 30.0} | more))
    return str(path)


def trc_lines(positions: np.ndarray, units: str = "m") -> list[str]:
    frames, count, _ = positions.shape
    lines = [
        "PathFileType\t4\t(X/Y/Z)\tclip.trc",
        "DataRate\tCameraRate\tNumFrames\tNumMarkers\tUnits",
        f"60\t60\t{frames}\t{count}\t{units}",
        "Frame#\tTime\t" + "\t\t\t".join(LAYOUT.keypoint_names),
        "\t\t" + "\t".join(f"{axis}{index + 1}" for index in range(count) for axis in "XYZ"),
    ]
    for frame, row in enumerate(positions.reshape(frames, -1)):
        lines.append(f"{frame + 1}\t{frame / 60:.6f}\t" + "\t".join(f"{value:.6f}" for value in row))
    return lines


def save_as(suffix: str, path: Path, positions: np.ndarray) -> str:
    if suffix == ".npz":
        return save_npz(path, positions)
    if suffix == ".npy":
        np.save(path, positions)
    elif suffix == ".csv":
        header = ",".join(f"{name}_{axis}" for name in LAYOUT.keypoint_names for axis in "xyz")
        np.savetxt(path, positions.reshape(len(positions), -1), delimiter=",", header=header, comments="")
    else:
        path.write_text("\n".join(trc_lines(positions)) + "\n")
    return str(path)
