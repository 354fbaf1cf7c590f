"""SMPLify's pose prior: a mixture of Gaussians over the 69 numbers of body_pose (Bogo et al. 2016, eq. 5).

The prior of a pose is that of its most likely component, which has usable gradients where the sum over components has
not: energy = min_m (d_m^T C_m^-1 d_m / 2 - log w_m + log det C_m / 2), less its smallest value over all poses.

`tools/fit_mixture.py` makes the file in the package.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import as_file, files
from os import PathLike

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from learnable_smplify.solver.smplify.mixture_file import read_mixture


@dataclass(frozen=True, eq=False)
class MixturePrior:
    """M Gaussians over body_pose.

    Args:
        means: (M, 69) body_pose rotvec [rad], joint-major.
        factors: (M, 69, 69) F_m with F_m F_m^T = C_m^-1 [1/rad].
        offsets: (M,) energy of each component at its mean; the smallest is 0.
        mean: (69,) of the whole mixture: where a fit from nothing starts.
    """

    means: Float[Tensor, "M 69"]
    factors: Float[Tensor, "M 69 69"]
    offsets: Float[Tensor, " M"]
    mean: Float[Tensor, "69"]

    def to(self, device: torch.device | str) -> MixturePrior:
        """The prior on another device."""
        return MixturePrior(*(part.to(device) for part in (self.means, self.factors, self.offsets, self.mean)))

    def energy(self, body_pose: Float[Tensor, "B 69"]) -> Float[Tensor, " B"]:
        """Negative log-likelihood [nats] of the most likely component, 0 for the most likely pose."""
        difference = (body_pose - self.means[:, None]) @ self.factors  # (M, B, 69)
        return (0.5 * difference.square().sum(-1) + self.offsets[:, None]).amin(dim=0)


def make_mixture_prior(means: np.ndarray, covars: np.ndarray, weights: np.ndarray) -> MixturePrior:
    """The prior of checked arrays (see `read_mixture`)."""
    factors, offsets = [], []
    for covariance, weight in zip(covars.astype(np.float64), weights.astype(np.float64), strict=True):
        lower = np.linalg.cholesky(covariance)
        factors.append(np.linalg.inv(lower).T)
        offsets.append(np.log(np.diag(lower)).sum() - np.log(weight))
    share = weights / weights.sum()

    def tensor(values: np.ndarray) -> Tensor:
        return torch.as_tensor(values.astype(np.float32))

    return MixturePrior(
        means=tensor(means),
        factors=tensor(np.stack(factors)),
        offsets=tensor(np.array(offsets) - min(offsets)),
        mean=tensor(share @ means),
    )


def load_mixture_prior(path: str | PathLike[str] | None = None) -> MixturePrior:
    """A mixture prior on the CPU.

    Args:
        path: SMPLify's `gmm_08.pkl`, or a .safetensors of `tools/fit_mixture.py`; None for the one in the package.

    Raises:
        InputError: missing, damaged, or not a mixture over 69 numbers.
    """
    return _shipped() if path is None else make_mixture_prior(*read_mixture(path))


@lru_cache(maxsize=1)
def _shipped() -> MixturePrior:
    with as_file(files("learnable_smplify.solver.smplify") / "pose_mixture.safetensors") as path:
        return make_mixture_prior(*read_mixture(path))
