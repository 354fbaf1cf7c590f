"""keypoints2body (MIT, from PyPI) behind the benchmark's interface: a SMPLify for 3D joints that others maintain.

It wants licensed files below its working directory. It gets the open body and our own mixture in their place, written
into a temporary folder when it is run.
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from dataclasses import asdict
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from learnable_smplify.benchmark.pairs import PairBatch
from learnable_smplify.body.export import export_body
from learnable_smplify.body.open_body import read_open_body
from learnable_smplify.errors import MissingExtraError
from learnable_smplify.solver.smplify.mixture_file import read_mixture

# Its L-BFGS steps: of a frame on its own, and of a frame that follows another.
FIRST, FOLLOW_UP = 0, 1


def keypoints2body_solver(folder: Path, sequence_index: int) -> tuple[Callable[[PairBatch], Tensor], dict[str, Any]]:
    """A function from pairs to poses (B, 24, 3), one pair after another as the library does it, and its settings.

    Model, prior and engine are made once, as its sequence function does. The start pose and the betas are its initial
    parameters and the betas stay fixed; it finds transl itself by laying the pelvis on its target.

    Args:
        folder: where its files are written; becomes the working directory, because the library's paths are relative.
        sequence_index: `FIRST` for the iterations of a frame on its own, `FOLLOW_UP` for those of a following frame.

    Raises:
        MissingExtraError: keypoints2body is not installed.
    """
    try:
        from keypoints2body.api.model_factory import load_body_model
        from keypoints2body.core.config import BodyModelConfig, FrameOptimizeConfig
        from keypoints2body.core.engine import OptimizeEngine, default_init_params
        from keypoints2body.models.smpl_data import SMPLData
    except ImportError as error:
        raise MissingExtraError("keypoints2body", "bench", "the keypoints2body row of the benchmark") from error
    write_files(folder)
    os.chdir(folder)
    config = FrameOptimizeConfig(joints_category="SMPL24", freeze_betas=True)
    device = torch.device("cpu")
    model = load_body_model(BodyModelConfig(), device)
    engine = OptimizeEngine(model=model, frame_config=config, device=device)

    def solve(batch: PairBatch) -> Tensor:
        poses = []
        for pose, joints, betas in zip(batch.start_pose.flatten(1), batch.joints, batch.betas, strict=True):
            placed = default_init_params(pose[None], betas[None], joints[None], model, "SMPL24", "world")
            start = SMPLData(betas[None], pose[None, :3], pose[None, 3:], placed.transl)
            found = engine.fit_frame(init_params=start, j3d=joints[None], conf_3d=None, seq_ind=sequence_index)
            poses.append(torch.cat((found.params.global_orient, found.params.body_pose), dim=1))
        return torch.cat(poses).unflatten(1, (24, 3))

    return solve, {**asdict(config), "seq_ind": sequence_index}


def write_files(folder: Path) -> None:
    """The files keypoints2body looks for, in their places below `folder`: the open body and our mixture."""
    models = folder / "data" / "models"
    (models / "smpl").mkdir(parents=True, exist_ok=True)
    export_body(read_open_body(), models / "smpl" / "SMPL_NEUTRAL.pkl")
    with as_file(files("learnable_smplify.solver.smplify") / "pose_mixture.safetensors") as path:
        means, covars, weights = read_mixture(path)
    with (models / f"gmm_{len(weights):02d}.pkl").open("wb") as file:
        pickle.dump({"means": means, "covars": covars, "weights": weights}, file)
