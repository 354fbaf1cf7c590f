"""What is known of the answers to independent problems."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from learnable_smplify.kernels.convert import fast_rotmat_to_rotvec
from learnable_smplify.solver.frame.levenberg_marquardt import PoseSolution


class Poses(NamedTuple):
    """What `Solver.solve_pairs` and `solve_frames` found for B problems: `pose, transl = ...`.

    Args:
        pose: (B, 24, 3) rotvec [rad].
        transl: (B, 3) metres.
    """

    pose: Float[Tensor, "B 24 3"]
    transl: Float[Tensor, "B 3"]

    @staticmethod
    def of(solved: Sequence[PoseSolution]) -> Poses:
        """Those of all chunks."""
        if len(solved) == 1:
            return Poses(fast_rotmat_to_rotvec(solved[0].rotmat), solved[0].transl)
        pose = torch.cat([fast_rotmat_to_rotvec(found.rotmat) for found in solved])
        return Poses(pose, torch.cat([found.transl for found in solved]))

    def numpy(self) -> tuple[Float[np.ndarray, "B 24 3"], Float[np.ndarray, "B 3"]]:
        """Both as NumPy arrays: `pose, transl = solver.solve_pairs(...).numpy()`."""
        return self.pose.cpu().numpy(), self.transl.cpu().numpy()


@dataclass(frozen=True, eq=False)
class PairAnswer:
    """What `Solver.answer_pairs` found for B problems.

    Args:
        pose: (B, 24, 3) rotvec [rad].
        transl: (B, 3) metres.
        uncertainty_deg: (B, 24) standard deviation of each rotation's error [deg], where a network said so, else NaN.
        fallback: (B,) True where the network could not be right and the numerical solver's answer stands in.
    """

    pose: Float[Tensor, "B 24 3"]
    transl: Float[Tensor, "B 3"]
    uncertainty_deg: Float[Tensor, "B 24"]
    fallback: Bool[Tensor, " B"]

    @staticmethod
    def of(solved: Sequence[PoseSolution]) -> PairAnswer:
        """One answer from the solutions of all chunks."""
        sigma, fallback = [], []
        for found in solved:
            unknown = torch.full_like(found.rotmat[:, :, 0, 0], torch.nan)
            sigma.append(unknown if found.sigma is None else found.sigma)
            fallback.append(torch.zeros_like(found.converged) if found.fallback is None else found.fallback)
        return PairAnswer(*Poses.of(solved), torch.rad2deg(torch.cat(sigma)), torch.cat(fallback))
