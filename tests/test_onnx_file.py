"""The network as ONNX: what onnxruntime answers is what torch does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import learnable_smplify as ls
from learnable_smplify import rotation
from learnable_smplify.solver import onnx_file
from toy_motion import swinging_poses


def test_rotations_in_sums_and_products_are_those_of_the_singular_values(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(0)
    matrices = torch.randn(500, 3, 3, generator=generator)
    rotvec = torch.nn.functional.normalize(torch.randn(500, 3, generator=generator), dim=1)
    rotvec = rotvec * torch.linspace(0, 3.14, 500)[:, None]
    rotmat = rotation.rotvec_to_rotmat(rotvec)
    closest = rotation.closest_rotmat(matrices)
    monkeypatch.setattr(torch.compiler, "is_exporting", lambda: True)
    torch.testing.assert_close(rotation.closest_rotmat(matrices), closest, atol=1e-5, rtol=0)
    torch.testing.assert_close(rotation.rotmat_to_rotvec(rotmat), rotvec, atol=1e-5, rtol=0)


def test_a_network_without_torch_answers_as_with_it(tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    runtime = pytest.importorskip("onnxruntime")
    body, network = ls.load_body(), ls.load_network()
    onnx_file.save_onnx(tmp_path / "network.onnx", network, body)
    session = runtime.InferenceSession(tmp_path / "network.onnx", providers=["CPUExecutionProvider"])
    graph = onnx_file.NetworkGraph(network, body).eval()
    generator = torch.Generator().manual_seed(0)
    for count in (1, 7):
        pose = swinging_poses(count + 2)
        betas = torch.randn(count, 10, generator=generator)
        keypoints = body.keypoints(pose[2:], betas) + 0.01 * torch.randn(count, 25, 3, generator=generator)
        keypoints[:, 4] = torch.nan
        given = (pose[:-2], keypoints, betas, torch.arange(count) % 3, torch.linspace(0, 0.2, count))
        found = session.run(
            list(onnx_file.OUTPUTS),
            {name: value.numpy() for name, value in zip(onnx_file.INPUTS, given, strict=True)},
        )
        with torch.no_grad():
            expected = graph(*given)
        for name, here, there in zip(onnx_file.OUTPUTS, found, expected, strict=True):
            np.testing.assert_allclose(here, there, atol=1e-5, rtol=1e-4, err_msg=name)
    # The solver's own way there has rounded weights.
    solver = ls.Solver(body, refine_steps=0)
    exact = (given[0], keypoints, betas, torch.zeros(count, dtype=torch.int64), torch.full((count,), 0.1))
    pose, transl = solver.solve_pairs(*exact[:3], seconds=0.1)
    with torch.no_grad():
        answer = graph(*exact)
    torch.testing.assert_close(answer[0], pose, atol=5e-3, rtol=0)
    torch.testing.assert_close(answer[1], transl, atol=2e-3, rtol=0)


def test_other_networks_and_other_names_are_refused(tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    from learnable_smplify.network.stgcn import Stgcn, StgcnConfig

    with pytest.raises(ls.InputError, match="cannot be written as ONNX"):
        onnx_file.save_onnx(tmp_path / "network.onnx", Stgcn(StgcnConfig()))


def test_without_the_extra_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ls.MissingExtraError, match=r"learnable-smplify\[onnx\]"):
        onnx_file.save_onnx(tmp_path / "network.onnx")
