"""The network of Learnable SMPLify's authors: a spatio-temporal graph network over the start and the target keypoints.

Source: Yang et al. 2025, arXiv 2508.13562; its units are those of Yan, Xiong, Lin 2018 (ST-GCN). By default it runs on
the true BODY_25 graph in a right-handed frame; `StgcnConfig(graph="ntu", mirrored_frame=True)` is what the published
checkpoints need.

Features are kept as (T, B, V, C), so that every step is one matrix product over the channels and frames stay
contiguous. The temporal kernel has nine taps and there are two frames: a tap that can only ever meet the zero padding
is left out of the product. Results are those of the full convolution.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from learnable_smplify.errors import InputError
from learnable_smplify.network.canonical import canonicalise
from learnable_smplify.network.graph import NUM_NODES, PARTITIONS, GraphName, adjacency
from learnable_smplify.network.rot6d import IDENTITY_ROT6D, rot6d_to_rotmat
from learnable_smplify.rotation import rotvec_to_rotmat

NUM_OUTPUT_JOINTS = 22

_STEM_CHANNELS = 64
# (channels in, channels out, temporal stride) of the nine units.
_UNITS = (
    *((64, 64, 1), (64, 64, 1), (64, 64, 1)),
    *((64, 128, 2), (128, 128, 1), (128, 128, 1)),
    *((128, 256, 2), (256, 256, 1), (256, 256, 1)),
)
_TAPS = 9
_HIDDEN = 256
_BODY_POSE = 69
_BETAS = 10
# Frames put through at once on a CPU: the features of more do not fit its cache, and a frame takes twice as long.
_CHUNK = 64


@dataclass(frozen=True)
class StgcnConfig:
    """What an `Stgcn` is.

    Args:
        graph: "body25", the true tree of the keypoints, or "ntu", the tree of the published checkpoints.
        mirrored_frame: normalise in the left-handed frame of the published checkpoints.
        dropout: share of features dropped before each unit's temporal convolution while training.
        normalise: human-centric normalisation; False takes the keypoints as they are (ablation).
        residual: the output turns the start pose; False makes the output the target pose itself (ablation).

    Raises:
        InputError: an unknown graph, or a dropout out of range.
    """

    graph: GraphName = "body25"
    mirrored_frame: bool = False
    dropout: float = 0.5
    normalise: bool = True
    residual: bool = True

    def __post_init__(self) -> None:
        if self.graph not in get_args(GraphName):
            raise InputError(f"no graph is called '{self.graph}'", expected=f"one of {', '.join(get_args(GraphName))}")
        if not 0.0 <= self.dropout < 1.0:
            raise InputError(f"the dropout is {self.dropout}", expected="a share from 0 to below 1")


class Stgcn(nn.Module):
    """Start keypoints, target keypoints, start pose and betas in; rotations of 22 joints out (6.1 M parameters)."""

    graph_matrices: Tensor

    def __init__(self, config: StgcnConfig | None = None) -> None:
        super().__init__()
        self.config = StgcnConfig() if config is None else config
        self.register_buffer("graph_matrices", adjacency(self.config.graph), persistent=False)
        self.input_norm = nn.BatchNorm1d(NUM_NODES * 3)
        self.stem_graph = GraphConvolution(3, _STEM_CHANNELS)
        self.stem_time = TemporalConvolution(_STEM_CHANNELS, _STEM_CHANNELS, stride=1)
        self.units = nn.ModuleList(StgcnUnit(*shape, dropout=self.config.dropout) for shape in _UNITS)
        self.pose_hidden = nn.Linear(_UNITS[-1][1] + _BODY_POSE + _BETAS, _HIDDEN)
        self.joint_features = nn.Linear(_HIDDEN, NUM_OUTPUT_JOINTS * _HIDDEN)
        self.joint_hidden = JointwiseLinear(NUM_OUTPUT_JOINTS, _HIDDEN, _HIDDEN)
        self.joint_output = JointwiseLinear(NUM_OUTPUT_JOINTS, _HIDDEN, 6)
        # An untrained network says "no rotation"; Gram-Schmidt of numbers around zero would say anything.
        with torch.no_grad():
            self.joint_output.bias.copy_(torch.tensor(IDENTITY_ROT6D))

    def forward(
        self,
        start_keypoints: Float[Tensor, "B 25 3"],
        target_keypoints: Float[Tensor, "B 25 3"],
        start_body_pose: Float[Tensor, "B 69"],
        betas: Float[Tensor, "B 10"],
    ) -> Float[Tensor, "B 22 6"]:
        """6D rotations of pelvis and 21 body joints (see `rot6d`), from inputs as the network was trained on them.

        Args:
            start_keypoints: (B, 25, 3) BODY_25 of the start pose, canonical [m] (see `network.canonical`).
            target_keypoints: (B, 25, 3) BODY_25 of the target, in the same frame [m].
            start_body_pose: (B, 69) rotvec [rad] of joints 1..23.
            betas: (B, 10).
        """
        frames = torch.stack((start_keypoints, target_keypoints))
        x = self.input_norm(frames.flatten(0, 1).flatten(1)).view_as(frames)
        x = self.stem_time(self.stem_graph(x, self.graph_matrices))
        for unit in self.units:
            x = unit(x, self.graph_matrices)
        pooled = x.mean(dim=(0, 2))
        hidden = F.relu(self.pose_hidden(torch.cat((pooled, start_body_pose, betas), dim=-1)))
        features = self.joint_features(hidden).unflatten(-1, (NUM_OUTPUT_JOINTS, _HIDDEN))
        return self.joint_output(F.relu(self.joint_hidden(features)))

    @torch.no_grad()
    def predict(
        self,
        start_keypoints: Tensor | np.ndarray,
        end_keypoints: Tensor | np.ndarray,
        start_pose: Tensor | np.ndarray,
        betas: Tensor | np.ndarray,
    ) -> Float[Tensor, "B 22 3 3"]:
        """Local (parent-relative) rotations of pelvis and 21 body joints in the target pose: `R_start @ dR`.

        Runs without gradients, on the network's device and in its present mode (`eval()` for use).

        Args:
            start_keypoints: (B, 25, 3) BODY_25 of the start pose, any frame [m].
            end_keypoints: (B, 25, 3) BODY_25 of the target, the same frame [m].
            start_pose: (B, 24, 3) or (B, 72) rotvec [rad]; joint 0 is the global orientation.
            betas: (B, 10), or (10,) for all.

        Raises:
            InputError: shapes that do not fit, or numbers that are not finite; the message names the argument.
        """
        start, target, pose, betas = self._checked(start_keypoints, end_keypoints, start_pose, betas)
        if self.config.normalise:
            start, target, _ = canonicalise(start, target, mirrored=self.config.mirrored_frame)
        inputs = (start, target, pose[:, 1:].flatten(1), betas)
        # While training, batch norm needs the whole batch.
        size = _CHUNK if start.device.type == "cpu" and not self.training else max(len(start), 1)
        chunks = zip(*(array.split(size) for array in inputs), strict=True)
        turned = rot6d_to_rotmat(torch.cat([self(*chunk) for chunk in chunks]))
        return rotvec_to_rotmat(pose[:, :NUM_OUTPUT_JOINTS]) @ turned if self.config.residual else turned

    def _checked(self, *arrays: Tensor | np.ndarray) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        like = self.pose_hidden.weight
        start, target, pose, betas = (torch.as_tensor(array).to(like) for array in arrays)
        if pose.ndim == 2 and pose.shape[1] == 72:
            pose = pose.unflatten(1, (24, 3))
        if betas.ndim == 1:
            betas = betas.expand(start.shape[0], -1) if start.ndim else betas
        count = start.shape[0] if start.ndim else 0
        for name, array, shape in (
            ("start_keypoints", start, (NUM_NODES, 3)),
            ("end_keypoints", target, (NUM_NODES, 3)),
            ("start_pose", pose, (24, 3)),
            ("betas", betas, (_BETAS,)),
        ):
            if array.shape != (count, *shape):
                raise InputError(
                    f"{name} has shape {tuple(array.shape)}",
                    expected=f"({count or 'B'}, {', '.join(map(str, shape))}), the same B in every argument",
                )
            if not bool(torch.isfinite(array).all()):
                row = tuple((~torch.isfinite(array)).nonzero()[0].tolist())
                raise InputError(
                    f"{name} is not finite",
                    where=f"index {row}",
                    expected="numbers everywhere: this network knows no missing keypoints",
                    hint="fill a missing target keypoint with the start's",
                )
        return start, target, pose, betas


class StgcnUnit(nn.Module):
    """Graph convolution, dropout, temporal convolution, and a skip around the three. (T, B, 25, C) features."""

    def __init__(self, channels_in: int, channels_out: int, stride: int, *, dropout: float) -> None:
        super().__init__()
        self.graph = GraphConvolution(channels_in, channels_out)
        self.dropout = nn.Dropout(dropout)
        self.time = TemporalConvolution(channels_out, channels_out, stride)
        changes = channels_in != channels_out or stride != 1
        self.skip = TemporalConvolution(channels_in, channels_out, stride, taps=1) if changes else nn.Identity()

    def forward(self, x: Float[Tensor, "T B 25 C"], matrices: Float[Tensor, "3 25 25"]) -> Tensor:
        return self.time(self.dropout(self.graph(x, matrices))) + self.skip(x)


class GraphConvolution(nn.Module):
    """Sum over the partitions k of `(x @ (A_k * mask_k)) W_k + b_k`, then batch norm and ReLU."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        partitions = len(PARTITIONS)
        self.mask = nn.Parameter(torch.ones(partitions, NUM_NODES, NUM_NODES))
        self.weight = nn.Parameter(torch.randn(partitions, channels_in, channels_out) * (2 / channels_out) ** 0.5)
        self.bias = nn.Parameter(torch.zeros(partitions, channels_out))
        self.norm = nn.BatchNorm1d(channels_out)

    def forward(self, x: Float[Tensor, "T B 25 C"], matrices: Float[Tensor, "3 25 25"]) -> Tensor:
        frames, batch, nodes, channels = x.shape
        # Rows (node, partition): the product comes out with the partitions beside the channels, as one more channel
        # axis, and the sum over partitions becomes part of the product with the weights.
        spread = (matrices * self.mask).permute(2, 0, 1).reshape(-1, nodes).to(x.dtype)
        gathered = torch.bmm(spread.expand(frames * batch, -1, -1), x.reshape(-1, nodes, channels))
        y = torch.addmm(self.bias.sum(0), gathered.view(-1, len(PARTITIONS) * channels), self.weight.flatten(0, 1))
        return F.relu(self.norm(y), inplace=True).view(frames, batch, nodes, self.weight.shape[-1])


class TemporalConvolution(nn.Module):
    """Convolution over the frames (zero padding, `taps // 2` each side), then batch norm and ReLU."""

    def __init__(self, channels_in: int, channels_out: int, stride: int, *, taps: int = _TAPS) -> None:
        super().__init__()
        self.stride = stride
        self.weight = nn.Parameter(torch.randn(taps, channels_in, channels_out) * (2 / (taps * channels_out)) ** 0.5)
        self.bias = nn.Parameter(torch.zeros(channels_out))
        self.norm = nn.BatchNorm1d(channels_out)

    def forward(self, x: Float[Tensor, "T B 25 C"]) -> Tensor:
        frames, batch, nodes, channels = x.shape
        rows = x.reshape(frames, -1, channels)
        taps = self.weight.shape[0]
        outputs: list[Tensor] = []
        for centre in range(0, frames, self.stride):
            y: Tensor = self.bias
            for frame in range(frames):
                tap = frame - centre + taps // 2
                if 0 <= tap < taps:
                    y = torch.addmm(y, rows[frame], self.weight[tap])
            outputs.append(y)
        y = F.relu(self.norm(torch.cat(outputs) if len(outputs) > 1 else outputs[0]), inplace=True)
        return y.view(len(outputs), batch, nodes, self.weight.shape[-1])


class JointwiseLinear(nn.Module):
    """A linear layer of its own for every joint: (B, J, channels_in) to (B, J, channels_out)."""

    def __init__(self, joints: int, channels_in: int, channels_out: int) -> None:
        super().__init__()
        bound = channels_in**-0.5
        self.weight = nn.Parameter(torch.empty(joints, channels_in, channels_out).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.zeros(joints, channels_out))

    def forward(self, x: Float[Tensor, "B J C"]) -> Tensor:
        return torch.baddbmm(self.bias[:, None], x.transpose(0, 1), self.weight).transpose(0, 1)
