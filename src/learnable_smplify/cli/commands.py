"""What `lsmplify` can do, without importing any of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any


@dataclass(frozen=True)
class Command:
    """A subcommand.

    Args:
        module: its file in this folder.
        arguments: the name of the class of its arguments.
        function: the name of what runs it.
        summary: its line in `lsmplify --help`, and the first line of the docstring of its arguments.
    """

    module: str
    arguments: str
    function: str
    summary: str

    def load(self) -> tuple[type, Callable[[Any], object]]:
        """The class of the arguments, and what runs them."""
        module = import_module(f"learnable_smplify.cli.{self.module}")
        return getattr(module, self.arguments), getattr(module, self.function)


COMMANDS: dict[str, Command] = {
    "demo": Command(
        "demo",
        "DemoArgs",
        "demo",
        "Fit a six-second keypoint clip that comes with the package, and draw the result. Start here.",
    ),
    "fit": Command(
        "fit",
        "FitArgs",
        "fit",
        "Turn a recording of 3D keypoints, or of 2D keypoints and a camera, into an SMPL motion (AMASS-style npz).",
    ),
    "video": Command(
        "video",
        "VideoArgs",
        "video",
        "Find a person in a video, fit an SMPL motion, and draw the body over the video.",
    ),
    "refine": Command(
        "refine",
        "RefineArgs",
        "refine",
        "Improve the output of an image-based estimator (WHAM, GVHMR, TRAM, 4D-Humans, ...) by keypoints, 3D or 2D.",
    ),
    "stream": Command(
        "stream",
        "StreamArgs",
        "stream",
        "Solve frames as they come: JSON lines in, JSON lines out, none waits for a later one.",
    ),
    "render": Command(
        "render",
        "RenderArgs",
        "render",
        "Draw a motion: a contact sheet (.png) or a film (.gif, .mp4). Needs no display.",
    ),
    "view": Command(
        "view",
        "ViewArgs",
        "view",
        "Show a motion in the browser, with its keypoints and a second motion. Ctrl-C ends it.",
    ),
    "report": Command(
        "report",
        "ReportArgs",
        "report",
        "Write a report of a motion: one HTML file with pictures, charts and what they mean.",
    ),
    "convert": Command(
        "convert",
        "ConvertArgs",
        "convert",
        "Write a motion for another program: BVH, animated GLB with skin, AMASS-style npz, or joint angles (OpenSim).",
    ),
    "import-motion": Command(
        "import_motion",
        "ImportMotionArgs",
        "import_motion",
        "Turn motion capture (ASF/AMC, BVH, GLB, AMASS, AIST++) into SMPL motions at one frame rate.",
    ),
    "prepare": Command(
        "prepare",
        "PrepareArgs",
        "prepare",
        "Pack imported motion into one store to train on, split by subject.",
    ),
    "train": Command(
        "train",
        "TrainArgs",
        "train_command",
        "Train a network on a store that 'lsmplify prepare' wrote, and write its weights.",
    ),
    "evaluate": Command(
        "evaluate",
        "EvaluateArgs",
        "evaluate",
        "Measure errors on motion, on the open body: pairs by stride, whole clips, and frames from nothing.",
    ),
    "benchmark": Command(
        "benchmark",
        "BenchmarkArgs",
        "benchmark",
        "Measure speed and accuracy of SMPLify, Gauss-Newton, the authors' network, keypoints2body and ours.",
    ),
    "ablate": Command(
        "ablate",
        "AblateArgs",
        "ablate",
        "Train short equal runs that differ in one ingredient, and compare them on the eval split.",
    ),
    "import-checkpoint": Command(
        "import_checkpoint",
        "ImportCheckpointArgs",
        "import_checkpoint",
        "Turn a checkpoint of the authors of Learnable SMPLify (best_ckpt.pth.tar) into weights for this package.",
    ),
    "export-body": Command(
        "export_body",
        "ExportBodyArgs",
        "export_body_command",
        "Write the open body as an SMPL-format model file for other tools.",
    ),
    "export-onnx": Command(
        "export_onnx",
        "ExportOnnxArgs",
        "export_onnx",
        "Write the network as an ONNX file: from a start pose and BODY_25 keypoints to a pose, for onnxruntime.",
    ),
    "doctor": Command(
        "doctor",
        "DoctorArgs",
        "doctor",
        "Show what is installed: versions, devices, optional parts, body models, keypoint layouts.",
    ),
}
