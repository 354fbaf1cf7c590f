"""The authors' network by the operations of the published code, beside our faster way of computing the same numbers.

Features are (B, C, T, V); every partition of the graph is a 1 × 1 convolution of its own, the temporal convolutions are
full nine-tap convolutions over two frames, and the batch goes through in one piece. Modules carry the authors' names,
so that weights in their form fit as they are. Source: Yang et al. 2025, arXiv 2508.13562; Yan, Xiong, Lin 2018.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
from jaxtyping import Float
from torch import Tensor, nn

from learnable_smplify.network.authors_checkpoint import to_authors_state
from learnable_smplify.network.graph import NUM_NODES, PARTITIONS, adjacency
from learnable_smplify.network.stgcn import NUM_OUTPUT_JOINTS, Stgcn

_TAPS = 9
_CHANNELS = (64, 64, 64, 64, 128, 128, 128, 256, 256, 256)
_WIDENING = (3, 6)
_HIDDEN = 256
_POSE_AND_BETAS = 79


class PublishedStgcn(nn.Module):
    """A `Stgcn` computed literally; same weights, same input, same output."""

    def __init__(self, network: Stgcn) -> None:
        super().__init__()
        self.config = network.config
        self.backbone = _Backbone(network)
        self.linear = nn.Sequential(
            nn.Linear(_CHANNELS[-1] + _POSE_AND_BETAS, _HIDDEN),
            nn.ReLU(),
            nn.Linear(_HIDDEN, NUM_OUTPUT_JOINTS * _HIDDEN),
        )
        # Each joint with weights of its own.
        layers = nn.Sequential(nn.Sequential(_Jointwise(_HIDDEN), nn.ReLU()), _Jointwise(6))
        self.regressor = nn.Sequential(OrderedDict(layers=layers))
        # Not strict: batch norms count batches, our state dict does not carry the counters. All other names must fit.
        found = self.load_state_dict(to_authors_state(network), strict=False)
        assert not found.unexpected_keys
        assert all(name.endswith("num_batches_tracked") for name in found.missing_keys)
        self.eval()

    def forward(
        self,
        start_keypoints: Float[Tensor, "B 25 3"],
        target_keypoints: Float[Tensor, "B 25 3"],
        start_body_pose: Float[Tensor, "B 69"],
        betas: Float[Tensor, "B 10"],
    ) -> Float[Tensor, "B 22 6"]:
        """As `Stgcn.forward`."""
        frames = torch.stack((start_keypoints, target_keypoints), dim=-1)
        features = torch.cat((self.backbone(frames), start_body_pose, betas), dim=1)
        output: Tensor = self.regressor(self.linear(features).view(-1, NUM_OUTPUT_JOINTS, _HIDDEN))
        return output


class _Backbone(nn.Module):
    def __init__(self, network: Stgcn) -> None:
        super().__init__()
        matrices = adjacency(network.config.graph)
        self.data_bn = nn.BatchNorm1d(NUM_NODES * 3)
        self.gcn0 = _Graph(3, _CHANNELS[0], matrices)
        self.tcn0 = _Time(_CHANNELS[0], _CHANNELS[0], 1, _TAPS)
        self.backbone = nn.Sequential(
            *(_Unit(_CHANNELS[i], _CHANNELS[i + 1], 2 if i in _WIDENING else 1, matrices) for i in range(9))
        )

    def forward(self, frames: Float[Tensor, "B 25 3 T"]) -> Float[Tensor, "B 256"]:
        batch, nodes, channels, length = frames.shape
        x = self.data_bn(frames.reshape(batch, nodes * channels, length)).view(frames.shape)
        x = self.backbone(self.tcn0(self.gcn0(x.permute(0, 2, 3, 1).contiguous())))
        pooled: Tensor = nn.functional.avg_pool2d(x, kernel_size=(x.shape[2], nodes))
        return pooled.flatten(1)


class _Unit(nn.Module):
    def __init__(self, channels_in: int, channels_out: int, stride: int, matrices: Tensor) -> None:
        super().__init__()
        self.gcn1 = _Graph(channels_in, channels_out, matrices)
        self.tcn1 = _Time(channels_out, channels_out, stride, _TAPS)
        changes = channels_in != channels_out or stride != 1
        self.down1 = _Time(channels_in, channels_out, stride, 1) if changes else nn.Identity()

    def forward(self, x: Float[Tensor, "B C T V"]) -> Tensor:
        turned: Tensor = self.tcn1(self.gcn1(x)) + self.down1(x)
        return turned


class _Graph(nn.Module):
    _matrices: Tensor

    def __init__(self, channels_in: int, channels_out: int, matrices: Tensor) -> None:
        super().__init__()
        self.register_buffer("_matrices", matrices, persistent=False)
        self.mask = nn.Parameter(torch.ones_like(matrices))
        self.conv_list = nn.ModuleList(nn.Conv2d(channels_in, channels_out, 1) for _ in PARTITIONS)
        self.bn = nn.BatchNorm2d(channels_out)

    def forward(self, x: Float[Tensor, "B C T V"]) -> Tensor:
        batch, channels, length, nodes = x.shape
        matrices = self._matrices * self.mask
        y: Tensor | None = None
        for matrix, convolution in zip(matrices, self.conv_list, strict=True):
            gathered = (x.reshape(-1, nodes) @ matrix).view(batch, channels, length, nodes)
            part = convolution(gathered)
            y = part if y is None else y + part
        return nn.functional.relu(self.bn(y))


class _Time(nn.Module):
    def __init__(self, channels_in: int, channels_out: int, stride: int, taps: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels_in, channels_out, (taps, 1), stride=(stride, 1), padding=(taps // 2, 0))
        self.bn = nn.BatchNorm2d(channels_out)

    def forward(self, x: Float[Tensor, "B C T V"]) -> Tensor:
        return nn.functional.relu(self.bn(self.conv(x)))


class _Jointwise(nn.Module):
    def __init__(self, channels_out: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(NUM_OUTPUT_JOINTS, channels_out, _HIDDEN))
        self.bias = nn.Parameter(torch.empty(NUM_OUTPUT_JOINTS, channels_out))

    def forward(self, x: Float[Tensor, "B 22 256"]) -> Tensor:
        return torch.einsum("bji,joi->bjo", x, self.weight) + self.bias
