"""Our network: what it must not depend on, and what its switches do."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

import learnable_smplify as ls
from learnable_smplify.network.pose_mlp import Memory, PassInput, PoseMlp, PoseMlpConfig
from learnable_smplify.network.weights import load_network, save_network
from learnable_smplify.rotation import rotmat_to_rotvec, rotvec_to_rotmat
from toy_motion import swinging_poses

SMALL = PoseMlpConfig(width=32, blocks=1)


def network(config: PoseMlpConfig = SMALL) -> PoseMlp:
    torch.manual_seed(0)
    made = PoseMlp(config)
    torch.nn.init.normal_(made.turn.weight, std=0.05)  # far from the identity it starts at
    return made.double().eval().requires_grad_(False)


def rotation_error(pred: torch.Tensor, true: torch.Tensor) -> torch.Tensor:
    """log(R_true R_pred^T): errors as rotvecs in the parents' frames [rad]."""
    return rotmat_to_rotvec(true @ pred.mT)


def some_input(batch: int = 6) -> PassInput:
    generator = torch.Generator().manual_seed(1)
    body = ls.load_body()
    start = 0.3 * torch.randn(batch, 24, 3, generator=generator, dtype=torch.float64)
    target = start + 0.1 * torch.randn(batch, 24, 3, generator=generator, dtype=torch.float64)
    betas = torch.randn(batch, 10, generator=generator, dtype=torch.float64)
    confidence = (torch.rand(batch, 25, generator=generator) > 0.1).double()
    return PassInput(
        rotmat=rotvec_to_rotmat(start),
        keypoints=body.keypoints(start, betas),
        target=body.keypoints(target, betas),
        confidence=confidence,
        betas=betas,
        kind=torch.arange(batch) % 3,
        seconds=torch.linspace(0, 0.3, batch, dtype=torch.float64),
        before=None,
    )


def moved(given: PassInput, turn: torch.Tensor, shift: torch.Tensor) -> PassInput:
    rotmat = torch.cat(((turn @ given.rotmat[:, 0])[:, None], given.rotmat[:, 1:]), dim=1)
    return replace(
        given, rotmat=rotmat, keypoints=given.keypoints @ turn.T + shift, target=given.target @ turn.T + shift
    )


@pytest.mark.parametrize("normalise", ["aligned", "start"])
@pytest.mark.parametrize("first", [True, False])
def test_where_the_person_stands_and_faces_changes_nothing_but_the_pelvis(normalise: str, first: bool) -> None:
    made = network(replace(SMALL, normalise=normalise))
    memory = Memory(torch.randn(6, 32, dtype=torch.float64), torch.full((6,), 0.1, dtype=torch.float64))
    given = replace(some_input(), before=None if first else memory)
    turn = rotvec_to_rotmat(torch.tensor([0.4, 2.0, -0.7], dtype=torch.float64))
    here, there = made(given), made(moved(given, turn, torch.tensor([3.0, -1.0, 0.5], dtype=torch.float64)))
    torch.testing.assert_close(there.rotmat[:, 1:], here.rotmat[:, 1:], atol=1e-6, rtol=0)
    torch.testing.assert_close(there.rotmat[:, 0], turn @ here.rotmat[:, 0], atol=1e-6, rtol=0)
    torch.testing.assert_close(there.sigma, here.sigma, atol=1e-6, rtol=0)


def test_without_normalisation_the_place_matters() -> None:
    made = network(replace(SMALL, normalise="none"))
    given = some_input()
    shifted = moved(given, torch.eye(3, dtype=torch.float64), torch.ones(3, dtype=torch.float64))
    assert float((made(shifted).rotmat - made(given).rotmat).abs().max()) > 1e-3


def test_a_keypoint_without_confidence_is_not_looked_at() -> None:
    made, given = network(), some_input()
    hidden = given.confidence == 0
    assert bool(hidden.any())
    other = replace(given, target=torch.where(hidden[..., None], 1e3, given.target))
    torch.testing.assert_close(made(other).rotmat, made(given).rotmat)


def test_outputs_are_rotations_and_positive_spreads() -> None:
    output = network()(some_input())
    identity = torch.eye(3, dtype=torch.float64).expand_as(output.rotmat)
    torch.testing.assert_close(output.rotmat @ output.rotmat.transpose(-1, -2), identity, atol=1e-6, rtol=0)
    assert bool((output.sigma > 0).all())
    assert bool((output.keypoint_sigma > 0).all())


def test_without_residual_learning_the_start_pose_is_not_added() -> None:
    made, given = network(replace(SMALL, residual=False)), some_input()
    with torch.no_grad():
        made.turn.weight.zero_()
    identity = torch.eye(3, dtype=torch.float64).expand(6, 21, 3, 3)
    torch.testing.assert_close(made(given).rotmat[:, 1:22], identity)


def test_the_rotation_error_is_the_turn_that_mends_the_prediction() -> None:
    generator = torch.Generator().manual_seed(0)
    pred = rotvec_to_rotmat(torch.randn(5, 22, 3, generator=generator, dtype=torch.float64))
    true = rotvec_to_rotmat(torch.randn(5, 22, 3, generator=generator, dtype=torch.float64))
    torch.testing.assert_close(rotvec_to_rotmat(rotation_error(pred, true)) @ pred, true)


def test_weights_survive_the_file_to_half_precision_and_hold_no_body(tmp_path) -> None:  # type: ignore[no-untyped-def]
    made = network().float()
    save_network(made, tmp_path / "w.safetensors", {"note": "test"})
    again = load_network(tmp_path / "w.safetensors")
    assert again.config == made.config
    for name, value in made.state_dict().items():
        torch.testing.assert_close(again.state_dict()[name], value, atol=1e-3, rtol=1e-3)
        assert 6890 not in value.shape


@pytest.mark.parametrize("content", [b"", b"not safetensors at all", b"\x80\x04K\x01."])
def test_a_file_that_is_no_network_is_refused(tmp_path, content: bytes) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "w.safetensors"
    path.write_bytes(content)
    with pytest.raises(ls.InputError, match="not a safetensors file"):
        load_network(path)


def test_the_shipped_network_predicts_from_world_keypoints() -> None:
    body = ls.load_body()
    poses = swinging_poses(24)
    start, target = poses[:3], poses[12:15]
    betas = torch.zeros(3, 10)
    keypoints = [body.keypoints(pose, betas) for pose in (start, target)]
    predicted = ls.load_network().predict(*keypoints, start, betas)
    assert predicted.shape == (3, 22, 3, 3)
    error = rotation_error(predicted, rotvec_to_rotmat(target)[:, :22]).norm(dim=-1).mean()
    assert float(error) < float(
        rotation_error(rotvec_to_rotmat(start)[:, :22], rotvec_to_rotmat(target)[:, :22]).norm(dim=-1).mean()
    )
