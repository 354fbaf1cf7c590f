"""A `PoseMlp`'s matrix products, packed for the compiled path.

A few frames at a time are bound by reading the weights, so a compiled loop reads them as 16-bit whole numbers with a
scale for every row, which is finer than the 16-bit floats they are stored as. Larger batches are bound by arithmetic:
torch multiplies.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from learnable_smplify.network.pose_mlp import Block, PoseMlp

# Up to so many frames the compiled loop is faster than torch.
_FEW = 4


def can_pack(network: nn.Module) -> bool:
    """Whether the compiled path knows this network: ours with its default ingredients."""
    if not isinstance(network, PoseMlp):
        return False
    config = network.config
    return config.normalise == "aligned" and config.residual and config.scaled


class PackedMlp:
    """The products of one network, from features (B, 489) to the outputs of all heads (B, 270)."""

    def __init__(self, network: PoseMlp) -> None:
        blocks = [layer for layer in network.body if isinstance(layer, Block)]
        last = network.body[-1]
        assert isinstance(last, nn.LayerNorm)
        self._network, self._layers, self._last = network, blocks, last
        heads = (network.turn, network.spread, network.guide)
        self._heads_weight = torch.cat([head.weight.detach() for head in heads])
        self._heads_bias = torch.cat([head.bias.detach() for head in heads])
        self.trunk = np.zeros(25, np.float32)
        self.trunk[network._trunk.numpy()] = 1
        self.error_precision = network.error_precision.detach().numpy()
        self.width = network.config.width
        self._enter, enter_scale = _whole_numbers(network.enter.weight)
        self._recall, recall_scale = _whole_numbers(network.recall.weight)
        self._leave, leave_scale = _whole_numbers(self._heads_weight)
        vectors: list[Tensor] = [enter_scale, network.enter.bias, recall_scale]
        layers = []
        for block in blocks:
            up, up_scale = _whole_numbers(block.up.weight)
            down, down_scale = _whole_numbers(block.down.weight)
            layers.append(np.stack((up, down)))
            vectors += [block.norm.weight, block.norm.bias, up_scale, block.up.bias, down_scale, block.down.bias]
        vectors += [last.weight, last.bias]
        self._blocks = np.stack(layers)
        self._vectors = torch.stack([vector.detach() for vector in vectors]).numpy()
        self._scales = torch.stack((leave_scale, self._heads_bias)).numpy()

    def outputs(self, features: np.ndarray, remembered: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Outputs (B, 270) and hidden features (B, W) from features (B, 489) and those that a pass before left.

        Args:
            features: float32.
            remembered: (B, W) float32; (0, W) on the first pass.
        """
        if len(features) > _FEW:
            return self._many(torch.from_numpy(features), torch.from_numpy(remembered))
        from learnable_smplify.network.kernels import multilayer

        out = np.empty((len(features), len(self._leave)), np.float32)
        hidden = np.empty((len(features), self.width), np.float32)
        multilayer(
            features,
            remembered,
            self._enter,
            self._recall,
            self._blocks,
            self._leave,
            self._vectors,
            self._scales,
            hidden,
            out,
        )
        return out, hidden

    @torch.no_grad()
    def _many(self, features: Tensor, remembered: Tensor) -> tuple[np.ndarray, np.ndarray]:
        network = self._network
        hidden = network.enter(features)
        if len(remembered):
            hidden += network.recall(remembered)
        for block in self._layers:
            inner = block.up(block.norm(hidden))
            hidden += block.down(nn.functional.silu(inner, inplace=True))
        hidden = self._last(hidden)
        return nn.functional.linear(hidden, self._heads_weight, self._heads_bias).numpy(), hidden.numpy()


def _whole_numbers(weight: Tensor) -> tuple[np.ndarray, Tensor]:
    """Whole numbers (O, I) of 16 bits, and the scale (O,) of each row."""
    scale = weight.detach().abs().amax(dim=1).clamp(min=1e-12) / torch.iinfo(torch.int16).max
    return (weight.detach() / scale[:, None]).round().to(torch.int16).numpy(), scale
