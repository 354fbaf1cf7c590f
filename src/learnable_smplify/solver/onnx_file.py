"""The network as an ONNX file, for programs without torch: its passes, and a body's keypoints between them.

What is written is `solver.hybrid.network_passes` and where its answer stands: the hybrid without Gauss-Newton steps.
"""

from __future__ import annotations

import importlib.util
import logging
import warnings
from os import PathLike
from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from learnable_smplify.body.body import Body, load_body
from learnable_smplify.errors import InputError, MissingExtraError
from learnable_smplify.network.pose_mlp import PoseMlp
from learnable_smplify.network.stgcn import Stgcn
from learnable_smplify.network.weights import load_network
from learnable_smplify.rotation import rotmat_to_rotvec, rotvec_to_rotmat
from learnable_smplify.safe_files.atomic import atomic_output
from learnable_smplify.solver.hybrid import best_transl, network_passes

INPUTS = ("start_pose", "keypoints", "betas", "start_kind", "seconds")
OUTPUTS = ("pose", "transl", "sigma", "keypoint_sigma")
# What every runtime since 2023 reads.
_OPSET = 18


class NetworkGraph(nn.Module):
    """A network with a body between its passes, as one function of tensors.

    Args:
        network: a `PoseMlp`.
        body: whose keypoints; what is said of them becomes a part of the file.
        passes: None is what the network's configuration says.
    """

    def __init__(self, network: PoseMlp, body: Body, passes: int | None = None) -> None:
        super().__init__()
        self.network = network
        self.passes = network.config.passes if passes is None else passes
        self._body25 = body.folded("body25")

    def forward(
        self,
        start_pose: Float[Tensor, "B 24 3"],
        keypoints: Float[Tensor, "B 25 3"],
        betas: Float[Tensor, "B 10"],
        start_kind: Int[Tensor, " B"],
        seconds: Float[Tensor, " B"],
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """B problems.

        Args:
            start_pose: rotvec [rad].
            keypoints: BODY_25, metres; NaN marks a missing one.
            betas: of each person.
            start_kind: 0 the start is exact, 1 a tracker's answer for the frame before, 2 an estimator's.
            seconds: from start to target; 0 where nobody knows.

        Returns:
            pose (B, 24, 3) rotvec [rad]; transl (B, 3) [m]; standard deviations (B, 22) of the rotations [rad] and
            (B, 25) of the keypoints [m].
        """
        seen = torch.isfinite(keypoints).all(dim=-1)
        target, confidence = torch.where(seen[..., None], keypoints, 0.0), seen.to(keypoints)
        found = network_passes(
            self.network,
            self._body25,
            rotvec_to_rotmat(start_pose),
            target,
            confidence,
            betas,
            start_kind,
            seconds,
            self.passes,
        )
        transl = best_transl(self._body25.shaped(betas), found.rotmat, target, confidence / found.weight_sigma.square())
        return rotmat_to_rotvec(found.rotmat), transl, found.sigma, found.keypoint_sigma


def save_onnx(
    path: str | PathLike[str],
    network: PoseMlp | Stgcn | None = None,
    body: Body | None = None,
    passes: int | None = None,
) -> None:
    """Write a network as ONNX: B problems in one call, inputs and outputs named and shaped as in `NetworkGraph`.

    Args:
        path: the `.onnx`, whole or not at all.
        network: None is the one in the package.
        body: whose keypoints; None is the open body. The file holds a part of it (25 keypoints' anchors), so that of a
            licensed body is under its licence.
        passes: how often the network is run on a frame; None is what its configuration says.

    Raises:
        InputError: a network of the authors' kind, which has one pass and no times, or a path that cannot be written.
        MissingExtraError: onnxscript is not installed.
    """
    if importlib.util.find_spec("onnxscript") is None:
        raise MissingExtraError("onnxscript", "onnx", "Writing ONNX")
    network, body = load_network() if network is None else network, load_body() if body is None else body
    if not isinstance(network, PoseMlp):
        raise InputError("this network cannot be written as ONNX", expected="weights of `lsmplify train`, a PoseMlp")
    graph = NetworkGraph(network, body, passes).eval()
    some = 2  # any number but 1, which an exporter would take for the only one
    still = torch.zeros(some, 24, 3)
    example = (
        still,
        body.keypoints(still, torch.zeros(10)),
        torch.zeros(some, 10),
        torch.zeros(some, dtype=torch.int64),
        torch.zeros(some),
    )
    batch = torch.export.Dim("B", min=1)
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)  # it warns that torchvision, which nobody needs, is not there
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of its own parts
            program = torch.onnx.export(
                graph,
                example,
                input_names=INPUTS,
                output_names=OUTPUTS,
                opset_version=_OPSET,
                dynamic_shapes=tuple({0: batch} for _ in example),
                verbose=False,
            )
    finally:
        logger.setLevel(level)
    assert program is not None
    program.model.metadata_props.update({"program": "learnable-smplify", "body": f"{body.name}, {body.gender}"})
    with atomic_output(Path(path)) as temporary:
        program.save(str(temporary), external_data=False)
