"""A `PoseMlp`'s matrix products, packed for the compiled path.

A few frames at a time are bound by reading the weights, so a compiled loop reads them as whole numbers with a scale for
every row: 8 bits in the residual blocks, which hold most of them and hardly mind, 16 bits at both ends.
Larger batches are bound by arithmetic: torch multiplies, in bfloat16 where the processor has instructions for it.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from learnable_smplify.network.pose_mlp import Block, PoseMlp

# Up to so many frames the compiled loop is faster than torch.
_FEW = 4


def has_fast_bfloat16() -> bool:
    """Whether torch multiplies bfloat16 matrices with instructions made for it on this processor."""
    check = getattr(torch.cpu, "_is_amx_tile_supported", None)
    return bool(check is not None and check())


def can_pack(network: nn.Module) -> bool:
    """Whether the compiled path knows this network: ours with its default ingredients."""
    return isinstance(network, PoseMlp) and network.config.normalise == "aligned" and network.config.residual


class PackedMlp:
    """The products of one network, from features (B, 483) to both heads' outputs (B, 179)."""

    def __init__(self, network: PoseMlp) -> None:
        blocks = [layer for layer in network.body if isinstance(layer, Block)]
        self._norm = network.body[-1]
        self._kind = torch.bfloat16 if has_fast_bfloat16() else torch.float32
        head = (torch.cat((network.turn.weight, network.spread.weight)), _joined_bias(network))
        self._enter = self._linear(network.enter.weight, network.enter.bias)
        self._leave = self._linear(*head)
        self._blocks = [
            (block.norm, self._linear(block.up.weight, block.up.bias), self._linear(block.down.weight, block.down.bias))
            for block in blocks
        ]
        self.trunk = np.zeros(25, np.float32)
        self.trunk[network._trunk.numpy()] = 1
        self.error_precision = network.error_precision.numpy()
        self._few_enter, enter_scale = _whole_numbers(network.enter.weight, torch.int16)
        self._few_leave, leave_scale = _whole_numbers(head[0], torch.int16)
        vectors: list[Tensor] = [enter_scale, network.enter.bias]
        layers = []
        for block in blocks:
            up, up_scale = _whole_numbers(block.up.weight, torch.int8)
            down, down_scale = _whole_numbers(block.down.weight, torch.int8)
            layers.append(np.stack((up, down)))
            vectors += [block.norm.weight, block.norm.bias, up_scale, block.up.bias, down_scale, block.down.bias]
        assert isinstance(self._norm, nn.LayerNorm)
        vectors += [self._norm.weight, self._norm.bias]
        self._few_blocks = np.stack(layers)
        self._vectors = torch.stack([vector.detach() for vector in vectors]).numpy()
        self._heads = torch.stack((leave_scale, head[1].detach())).numpy()

    def outputs(self, features: np.ndarray) -> np.ndarray:
        """(B, 179) from (B, 483), both float32."""
        if len(features) > _FEW:
            return self._many(torch.from_numpy(features)).numpy()
        from learnable_smplify.compiled.network import multilayer

        out = np.empty((len(features), len(self._few_leave)), np.float32)
        multilayer(features, self._few_enter, self._few_blocks, self._few_leave, self._vectors, self._heads, out)
        return out

    @torch.no_grad()
    def _many(self, features: Tensor) -> Tensor:
        # Sums along the residual path stay float32; only the products are rounded.
        hidden = self._product(features, self._enter).float()
        for norm, up, down in self._blocks:
            inner = nn.functional.silu(self._product(norm(hidden), up), inplace=True)
            hidden += self._product(inner, down)
        return self._product(self._norm(hidden), self._leave).float()

    def _linear(self, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        return weight.detach().to(self._kind), bias.detach().to(self._kind)

    def _product(self, features: Tensor, layer: tuple[Tensor, Tensor]) -> Tensor:
        return nn.functional.linear(features.to(self._kind), *layer)


def _joined_bias(network: PoseMlp) -> Tensor:
    return torch.cat((network.turn.bias, network.spread.bias))


def _whole_numbers(weight: Tensor, kind: torch.dtype) -> tuple[np.ndarray, Tensor]:
    """Whole numbers (O, I), and the scale (O,) of each row."""
    scale = weight.detach().abs().amax(dim=1).clamp(min=1e-12) / torch.iinfo(kind).max
    return (weight.detach() / scale[:, None]).round().to(kind).numpy(), scale
