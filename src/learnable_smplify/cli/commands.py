"""What `lsmplify` can do, without importing any of it."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

# Each command's line in `lsmplify --help`, which is the first of the docstring of its arguments.
COMMANDS: dict[str, str] = {
    "demo": "Fit a six-second keypoint clip that comes with the package, and draw the result. Start here.",
    "fit": "Turn a recording of 3D keypoints, or of 2D keypoints and a camera, into an SMPL motion (AMASS-style npz).",
    "video": "Find a person in a video, fit an SMPL motion, and draw the body over the video.",
    "refine": (
        "Improve the output of an image-based estimator (WHAM, GVHMR, TRAM, 4D-Humans, ...) by keypoints, 3D or 2D."
    ),
    "stream": "Solve frames as they come: JSON lines in, JSON lines out, none waits for a later one.",
    "render": "Draw a motion: a contact sheet (.png) or a film (.gif, .mp4). Needs no display.",
    "view": "Show a motion in the browser, with its keypoints and a second motion. Ctrl-C ends it.",
    "report": "Write a report of a motion: one HTML file with pictures, charts and what they mean.",
    "convert": (
        "Write a motion for another program: BVH, animated GLB with skin, AMASS-style npz, or joint angles (OpenSim)."
    ),
    "import-motion": "Turn motion capture (ASF/AMC, BVH, GLB, AMASS, AIST++) into SMPL motions at one frame rate.",
    "prepare": "Pack imported motion into one store to train on, split by subject.",
    "train": "Train a network on a store that 'lsmplify prepare' wrote, and write its weights.",
    "evaluate": "Measure errors on motion, on the open body: pairs by stride, whole clips, and frames from nothing.",
    "benchmark": "Measure speed and accuracy of SMPLify, Gauss-Newton, the authors' network, keypoints2body and ours.",
    "ablate": "Train short equal runs that differ in one ingredient, and compare them on the eval split.",
    "import-checkpoint": (
        "Turn a checkpoint of the authors of Learnable SMPLify (best_ckpt.pth.tar) into weights for this package."
    ),
    "export-body": "Write the open body as an SMPL-format model file for other tools.",
    "export-onnx": (
        "Write the network as an ONNX file: from a start pose and BODY_25 keypoints to a pose, for onnxruntime."
    ),
    "doctor": "Show what is installed: versions, devices, optional parts, body models, keypoint layouts.",
}


def load_command(name: str) -> tuple[type, Callable[[Any], object]]:
    """The class of a command's arguments and what runs it: `ExportBodyArgs` and `export_body` in `export_body.py`."""
    module = import_module(f"learnable_smplify.cli.{name.replace('-', '_')}")
    return getattr(module, f"{name.title().replace('-', '')}Args"), getattr(module, name.replace("-", "_"))
