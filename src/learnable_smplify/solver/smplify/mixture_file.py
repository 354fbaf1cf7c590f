"""Mixtures of Gaussians over body_pose: SMPLify's `gmm_08.pkl`, and the package's own safetensors."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file

from learnable_smplify.errors import InputError
from learnable_smplify.safe_files.keyed import Keyed
from learnable_smplify.safe_files.safe_pickle import load_pickle

_KEYS = ("means", "covars", "weights")
_NUMBERS = 69


def read_mixture(path: str | PathLike[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Means (M, 69) [rad], covariances (M, 69, 69) [rad^2] and weights (M,) that sum to 1, all float64.

    The pickle is read without running anything it contains.

    Args:
        path: a .pkl with the keys means, covars and weights (SMPLify's `gmm_08.pkl`), or a .safetensors with the same.

    Raises:
        InputError: no such file, another kind of file, a missing key, shapes that do not fit, values that are not
            finite, weights that are not positive, or a covariance that is not one.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError("there is no such file", path=path, expected="SMPLify's gmm_08.pkl")
    if path.suffix.lower() == ".pkl":
        content: Any = load_pickle(path)
    elif path.suffix.lower() == ".safetensors":
        try:
            content = load_file(path)
        except Exception as error:  # safetensors raises its own kinds for damaged files
            raise InputError(f"not a safetensors file ({error})", path=path) from error
    else:
        raise InputError(
            f"files ending in '{path.suffix}' hold no pose prior", path=path, expected=".pkl (gmm_08.pkl), .safetensors"
        )
    if not isinstance(content, dict):
        raise InputError(f"the file holds a {type(content).__name__}", path=path, expected="keys " + ", ".join(_KEYS))
    means, covars, weights = (Keyed(path, content).numbers(key) for key in _KEYS)
    weights = weights.reshape(-1)
    count = len(weights)
    if count == 0 or means.shape != (count, _NUMBERS) or covars.shape != (count, _NUMBERS, _NUMBERS):
        raise InputError(
            f"means, covars and weights have shapes {means.shape}, {covars.shape} and {weights.shape}",
            path=path,
            expected="(M, 69), (M, 69, 69) and (M,)",
        )
    if not bool((weights > 0).all()):
        raise InputError("a weight is not above 0", path=path, where="key 'weights'")
    for index, covariance in enumerate(covars):
        try:
            np.linalg.cholesky(covariance)
        except np.linalg.LinAlgError:
            symmetric = False
        else:
            symmetric = bool(np.allclose(covariance, covariance.T, rtol=1e-3, atol=1e-6))
        if not symmetric:
            raise InputError(
                "this is not a covariance", path=path, where=f"covars[{index}]", expected="symmetric, positive definite"
            )
    return means, covars, weights / weights.sum()
