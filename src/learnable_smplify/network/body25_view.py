"""The network's view of a layout: which of its 25 keypoints can be had from the layout's, and back."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

import torch
from jaxtyping import Float
from torch import Tensor

from learnable_smplify.layouts.layout import Layout, load_layout


@dataclass(frozen=True, eq=False)
class Body25View:
    """How a layout's keypoints become the network's 25.

    Args:
        matrix: (25, K) weights of the layout's keypoints; a row of zeros is a keypoint the layout cannot give.
        needs: (25, K) True where that keypoint must have been seen.
    """

    matrix: Float[Tensor, "25 K"]
    needs: Tensor

    @staticmethod
    @lru_cache(maxsize=16)
    def of(layout: Layout, device: torch.device) -> Body25View:
        """BODY_25 keypoints from those of `layout` that stand for the same canonical points."""
        body25 = load_layout("body25")
        single = {parts[0][0]: index for index, parts in enumerate(layout.points) if len(parts) == 1}
        same = {parts: index for index, parts in enumerate(layout.points)}
        matrix = torch.zeros(len(body25.keypoint_names), len(layout.keypoint_names))
        for row, parts in enumerate(body25.points):
            if parts in same:
                matrix[row, same[parts]] = 1
            elif all(point in single for point, _ in parts):
                for point, share in parts:
                    matrix[row, single[point]] += share
        return Body25View(matrix.to(device), (matrix != 0).to(device))

    def apply(
        self, keypoints: Float[Tensor, "B K D"], confidence: Float[Tensor, "B K"]
    ) -> tuple[Float[Tensor, "B 25 D"], Float[Tensor, "B 25"]]:
        """The network's view of measured keypoints: positions and confidence (the least of the keypoints needed)."""
        if self.is_body25:
            return keypoints, confidence
        least = torch.where(self.needs, confidence[:, None, :], torch.inf).amin(dim=-1)
        return self.matrix @ keypoints, torch.where(torch.isfinite(least), least, 0.0)

    @cached_property
    def is_body25(self) -> bool:
        """Whether the layout is the network's own."""
        return self.matrix.shape[0] == self.matrix.shape[1] and bool((self.matrix.diagonal() == 1).all())

    @cached_property
    def sigma_weights(self) -> Float[Tensor, "26 K"]:
        """`sigma_of_layout` as a matrix: weights of the network's 25 sigmas, and of their median in the last row."""
        direct = (self.matrix == 1).float()
        known = direct.sum(0, keepdim=True)
        return torch.cat((direct / known.clamp(min=1), (known == 0).float()))

    def sigma_of_layout(self, sigma: Float[Tensor, "B 25"]) -> Float[Tensor, "B K"]:
        """Sigmas of the layout's keypoints from the network's; keypoints it does not know get the frame's median."""
        return torch.cat((sigma, sigma.median(dim=1, keepdim=True).values), dim=1) @ self.sigma_weights.to(sigma)
