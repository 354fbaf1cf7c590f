"""Gaussian priors over SMPL rotations, fitted on the train split of real motion and shipped with the package.

Both live in rotvecs of `R R_0^T` in the parent's frame, joint-major (72), with nothing said about the pelvis:
- *pose*: which poses people take (R_0 the mean pose). Ends a cold start in a human pose where keypoints do not decide.
- *change*: how joints move together from one moment to a later one (R_0 the earlier pose). Shares a bend of the back
  among the three spine joints, and a turn of the forearm among its neighbours, the way people do.

`tools/fit_priors.py` makes the file.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import as_file, files

import torch
from jaxtyping import Float
from safetensors.torch import load_file
from torch import Tensor

from learnable_smplify.rotation import rotmat_to_rotvec, rotvec_to_rotmat

# The pelvis is seen by many keypoints and may point anywhere: both priors leave it (almost) free.
PELVIS_PRECISION = 1e-3
# What the change prior is for [s].
CHANGE_SECONDS = 1 / 6


@dataclass(frozen=True, eq=False)
class Priors:
    """The two Gaussians.

    Args:
        pose_mean: (24, 3, 3) mean local rotations; the pelvis is the identity.
        pose_precision: (72, 72) [1/rad^2].
        change_precision: (72, 72) [1/rad^2], of changes over `CHANGE_SECONDS`.
    """

    pose_mean: Float[Tensor, "24 3 3"]
    pose_precision: Float[Tensor, "72 72"]
    change_precision: Float[Tensor, "72 72"]

    def to(self, device: torch.device | str) -> Priors:
        """The priors on another device."""
        return Priors(self.pose_mean.to(device), self.pose_precision.to(device), self.change_precision.to(device))

    def change_over(self, seconds: float) -> Float[Tensor, "72 72"]:
        """The precision of a change over so long; of one over `CHANGE_SECONDS` where it is 0, for unknown.

        The variance of a change grows with the time it takes.
        """
        return self.change_precision * (CHANGE_SECONDS / seconds if seconds > 0 else 1.0)

    def poses_of(self, noise: Float[Tensor, "N 69"]) -> Float[Tensor, "N 24 3 3"]:
        """Poses of the pose prior from standard normal numbers; the pelvis at the identity."""
        factor = torch.linalg.cholesky(self.pose_precision[3:, 3:])
        error = torch.linalg.solve_triangular(factor.T, noise.T, upper=True).T
        return rotvec_to_rotmat(torch.nn.functional.pad(error, (3, 0)).unflatten(-1, (24, 3))) @ self.pose_mean

    def mean_facing(self, rotmat: Float[Tensor, "B 24 3 3"]) -> Float[Tensor, "B 24 3 3"]:
        """The mean pose, turned as a whole as these poses are."""
        mean = self.pose_mean.expand(rotmat.shape[0], -1, -1, -1).clone()
        mean[:, 0] = rotmat[:, 0]
        return mean

    def and_human(
        self, mean_rotmat: Float[Tensor, "B 24 3 3"], precision: Float[Tensor, "*B 72 72"], pose_weight: float = 1.0
    ) -> tuple[Tensor, Tensor]:
        """The product of a Gaussian about `mean_rotmat` and the pose prior: mean rotations and precision.

        Joints the first one is sure of hardly move; those nothing is known of go to where people have them. The pose
        prior's error is linearised at `mean_rotmat`.

        Args:
            precision: of the first Gaussian [1/rad^2].
            pose_weight: weight of the pose prior.
        """
        total = precision + pose_weight * self.pose_precision
        from_mean = rotmat_to_rotvec(mean_rotmat @ self.pose_mean.transpose(-1, -2))
        from_mean[:, 0] = 0
        wanted = (pose_weight * from_mean.flatten(1) @ self.pose_precision)[..., None]
        if total.ndim == 2:  # one matrix for all: factorised once
            pull = torch.linalg.solve(total, wanted[..., 0].mT).mT
        else:
            pull = torch.linalg.solve(total, wanted)[..., 0]
        return rotvec_to_rotmat(-pull.unflatten(-1, (24, 3))) @ mean_rotmat, total


@lru_cache(maxsize=1)
def load_priors() -> Priors:
    """The priors shipped with the package, on the CPU."""
    with as_file(files("learnable_smplify.solver.frame") / "priors.safetensors") as path:
        tensors = load_file(path)
    return Priors(tensors["pose_mean"], tensors["pose_precision"], tensors["change_precision"])
