"""Everything that decides a training run, in one frozen value."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from learnable_smplify.network.pose_mlp import PoseMlp, PoseMlpConfig
from learnable_smplify.network.stgcn import Stgcn, StgcnConfig
from learnable_smplify.network.stgcn_pass import StgcnPass
from learnable_smplify.training.corrupt import Corruption
from learnable_smplify.training.pairs import Sampling
from learnable_smplify.training.tracked import Tracking


@dataclass(frozen=True)
class Optimisation:
    """AdamW with warm-up and cosine.

    Args:
        steps: optimiser steps.
        batch: pairs a step, over all processes.
        learning_rate: at its peak.
        final_learning_rate: at the end of the cosine.
        warmup: steps of linear warm-up.
        weight_decay: AdamW's.
        clip: gradient norm above which gradients are scaled down.
        ema: decay of the averaged weights that are evaluated and shipped.
        bfloat16: run the network's matrix products in bfloat16 (CPU and GPU); losses and kinematics stay float32. The
            hybrid comes out less exact on clean keypoints.
        refined_share: part of a batch whose pairs also go through the Gauss-Newton steps; followed people all do.
        seed: of weights, pairs and corruption.
    """

    steps: int = 16_000
    batch: int = 512
    learning_rate: float = 1e-3
    final_learning_rate: float = 1e-5
    warmup: int = 500
    weight_decay: float = 0.01
    clip: float = 1.0
    ema: float = 0.999
    bfloat16: bool = False
    refined_share: float = 0.25
    seed: int = 0


@dataclass(frozen=True)
class LossWeights:
    """Weights of the loss terms, see `training.loss`.

    Args:
        rotation: per-joint rotation error [rad].
        points: error of points on the body's surface [10 cm].
        rotation_likelihood: negative log-likelihood of rotation errors under the predicted sigma.
        keypoint_likelihood: the same of keypoint errors.
        logarithm: of the logarithms of a sample's mean rotation error and mean surface error.
        refined: of the hybrid's errors against those of the network's passes.
    """

    rotation: float = 1.0
    points: float = 2.0
    rotation_likelihood: float = 0.02
    keypoint_likelihood: float = 0.02
    logarithm: float = 0.15
    refined: float = 1.0


@dataclass(frozen=True)
class TrainingConfig:
    """One training run."""

    architecture: Literal["pose_mlp", "stgcn"] = "pose_mlp"
    """Ours, or the authors' network (always one pass)."""
    network: PoseMlpConfig = field(default_factory=PoseMlpConfig)
    stgcn: StgcnConfig = field(default_factory=StgcnConfig)
    sampling: Sampling = field(default_factory=Sampling)
    tracking: Tracking = field(default_factory=Tracking)
    corruption: Corruption = field(default_factory=Corruption)
    optimisation: Optimisation = field(default_factory=Optimisation)
    loss: LossWeights = field(default_factory=LossWeights)
    initial: str | None = None
    """Weights to go on from, of a network of the same shape; None starts afresh."""
    evaluate_every: int = 1_000
    """Steps between evaluations on the holdout clips; the best of them is kept."""
    checkpoint_every: int = 500
    """Steps between checkpoints to resume from."""

    @property
    def passes(self) -> int:
        """Passes a step."""
        return self.network.passes if self.architecture == "pose_mlp" else 1

    def build(self) -> PoseMlp | StgcnPass:
        """A fresh network."""
        return PoseMlp(self.network) if self.architecture == "pose_mlp" else StgcnPass(Stgcn(self.stgcn))
