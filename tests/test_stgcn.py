from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.spatial.transform import Rotation
from torch import Tensor

from learnable_smplify.errors import InputError
from learnable_smplify.network.authors_checkpoint import to_authors_state
from learnable_smplify.network.canonical import canonicalise
from learnable_smplify.network.graph import adjacency
from learnable_smplify.network.rot6d import IDENTITY_ROT6D, rot6d_to_rotmat
from learnable_smplify.network.stgcn import Stgcn, StgcnConfig


def some_network(seed: int = 0, **config) -> Stgcn:
    """A network in which every tensor matters: no zero bias, no mask of ones, no untouched running mean."""
    torch.manual_seed(seed)
    network = Stgcn(StgcnConfig(**config))
    with torch.no_grad():
        for name, tensor in network.state_dict().items():
            if name.endswith(("bias", "running_mean")):
                tensor.add_(0.1 * torch.randn_like(tensor))
            elif name.endswith(("mask", "norm.weight", "running_var")):
                tensor.mul_(0.5 + torch.rand_like(tensor))
    return network.eval()


def some_input(count: int = 5, seed: int = 0) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    start = torch.randn(count, 25, 3, generator=generator)
    target = start + 0.1 * torch.randn(count, 25, 3, generator=generator)
    pose = 0.3 * torch.randn(count, 24, 3, generator=generator)
    return start, target, pose, torch.randn(count, 10, generator=generator)


def start_rotmat(pose: Tensor) -> Tensor:
    """The start's rotations of the joints that are predicted, by another library."""
    return torch.from_numpy(Rotation.from_rotvec(pose[:, :22].reshape(-1, 3)).as_matrix()).float().view(-1, 22, 3, 3)


def plain_forward(network: Stgcn, start: Tensor, target: Tensor, body_pose: Tensor, betas: Tensor) -> Tensor:
    """The network as the paper draws it, by full convolutions on (B, C, T, V), from weights in the authors' form."""
    w = to_authors_state(network)
    matrices = adjacency(network.config.graph)

    def norm(x: Tensor, name: str) -> Tensor:
        tensors = (w[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias"))
        return F.batch_norm(x, *tensors)

    def graph(x: Tensor, name: str) -> Tensor:
        y = sum(
            F.conv2d(
                x @ (matrices[k] * w[f"{name}.mask"][k]),
                w[f"{name}.conv_list.{k}.weight"],
                w[f"{name}.conv_list.{k}.bias"],
            )
            for k in range(3)
        )
        return F.relu(norm(y, f"{name}.bn"))

    def time(x: Tensor, name: str, stride: int, padding: int) -> Tensor:
        y = F.conv2d(x, w[f"{name}.conv.weight"], w[f"{name}.conv.bias"], (stride, 1), (padding, 0))
        return F.relu(norm(y, f"{name}.bn"))

    x = torch.stack((start, target), dim=-1)  # (B, V, C, T)
    x = norm(x.flatten(1, 2), "backbone.data_bn").view_as(x).permute(0, 2, 3, 1)
    x = time(graph(x, "backbone.gcn0"), "backbone.tcn0", 1, 4)
    for index in range(9):
        name, stride = f"backbone.backbone.{index}", 2 if index in (3, 6) else 1
        skip = time(x, f"{name}.down1", stride, 0) if stride == 2 else x
        x = time(graph(x, f"{name}.gcn1"), f"{name}.tcn1", stride, 4) + skip
    y = torch.cat((x.mean(dim=(2, 3)), body_pose, betas), dim=1)
    y = F.linear(
        F.relu(F.linear(y, w["linear.0.weight"], w["linear.0.bias"])), w["linear.2.weight"], w["linear.2.bias"]
    )
    y = y.view(len(y), 22, -1)
    hidden = torch.einsum("bji,joi->bjo", y, w["regressor.layers.0.0.weight"]) + w["regressor.layers.0.0.bias"]
    output = torch.einsum("bji,joi->bjo", F.relu(hidden), w["regressor.layers.1.weight"])
    return output + w["regressor.layers.1.bias"]


def test_it_has_the_published_number_of_parameters():
    assert sum(weight.numel() for weight in Stgcn().parameters()) == 6_098_200


@pytest.mark.parametrize("graph", ["body25", "ntu"])
def test_it_computes_what_full_convolutions_compute(graph):
    network = some_network(graph=graph)
    start, target, pose, betas = some_input()
    with torch.no_grad():
        ours = network(start, target, pose[:, 1:].flatten(1), betas)
        plain = plain_forward(network, start, target, pose[:, 1:].flatten(1), betas)
    assert ours.std() > 0.01
    torch.testing.assert_close(ours, plain, atol=1e-4, rtol=1e-4)


def test_frames_of_a_batch_do_not_touch_each_other():
    network, inputs = some_network(), some_input(130)
    together = network.predict(*inputs)
    alone = torch.cat([network.predict(*(array[i : i + 1] for array in inputs)) for i in (0, 63, 64, 129)])
    torch.testing.assert_close(together[[0, 63, 64, 129]], alone, atol=1e-5, rtol=0)


@pytest.mark.parametrize("mirrored_frame", [False, True])
def test_where_the_person_stands_and_looks_does_not_matter(mirrored_frame):
    network = some_network(mirrored_frame=mirrored_frame)
    start, target, pose, betas = some_input()
    R = torch.from_numpy(Rotation.random(random_state=1).as_matrix()).float()
    move = torch.tensor([1.0, 2.0, 3.0])
    here = network.predict(start, target, pose, betas)
    there = network.predict(start @ R.T + move, target @ R.T + move, pose, betas)
    torch.testing.assert_close(here, there, atol=1e-4, rtol=0)


def test_the_two_frames_give_different_answers():
    inputs = some_input()
    right = some_network(mirrored_frame=False).predict(*inputs)
    left = some_network(mirrored_frame=True).predict(*inputs)
    assert (right - left).abs().max() > 1e-3


def test_without_normalisation_the_keypoints_are_taken_as_they_are():
    network = some_network(normalise=False)
    start, target, pose, betas = some_input()
    with torch.no_grad():
        plain = plain_forward(network, start, target, pose[:, 1:].flatten(1), betas)
    columns = (start_rotmat(pose).mT @ network.predict(start, target, pose, betas))[..., :2]
    expected = F.normalize(plain.view(-1, 22, 3, 2)[..., 0], dim=-1)
    torch.testing.assert_close(columns[..., 0], expected, atol=1e-4, rtol=0)


def test_predict_is_the_start_turned_by_the_output_or_without_residual_learning_the_output():
    start, target, pose, betas = some_input()
    with_residual, without = some_network(residual=True), some_network(residual=False)
    canonical = canonicalise(start, target)[:2]
    with torch.no_grad():
        output = rot6d_to_rotmat(with_residual(*canonical, pose[:, 1:].flatten(1), betas))
    turned = start_rotmat(pose) @ output
    torch.testing.assert_close(with_residual.predict(start, target, pose, betas), turned, atol=1e-5, rtol=0)
    torch.testing.assert_close(without.predict(start, target, pose, betas), output, atol=1e-5, rtol=0)


def test_an_untrained_network_starts_near_no_rotation():
    torch.manual_seed(0)
    network = Stgcn().eval()
    torch.testing.assert_close(network.joint_output.bias, torch.tensor(IDENTITY_ROT6D).expand(22, 6))
    start, target, pose, betas = some_input(20)
    turn = start_rotmat(pose).mT @ network.predict(start, target, pose, betas)
    angles = Rotation.from_matrix(turn.reshape(-1, 3, 3).numpy()).magnitude()
    assert np.degrees(angles.mean()) < 60


def test_equal_frames_and_numpy_arrays_are_taken():
    network = some_network()
    start, _, pose, betas = some_input()
    expected = network.predict(start, start, pose, betas)
    assert expected.isfinite().all()
    given = network.predict(start.numpy(), start.numpy().astype(np.float64), pose.flatten(1).numpy(), betas.numpy())
    torch.testing.assert_close(given, expected)


def test_one_row_of_betas_serves_all_and_an_empty_batch_is_no_error():
    network = some_network()
    start, target, pose, betas = some_input()
    expected = network.predict(start, target, pose, betas[:1].expand(5, -1))
    torch.testing.assert_close(network.predict(start, target, pose, betas[0]), expected)
    assert network.predict(start[:0], target[:0], pose[:0], betas[:0]).shape == (0, 22, 3, 3)


def test_every_weight_that_can_matter_gets_a_finite_gradient():
    network = some_network().train()
    start, target, pose, betas = some_input()
    network(start, target, pose[:, 1:].flatten(1), betas).square().sum().backward()
    for name, weight in network.named_parameters():
        assert weight.grad is not None, name
        assert weight.grad.isfinite().all(), name
    # Two frames: the outer taps of the nine only ever meet the padding.
    taps = network.units[0].time.weight.grad.flatten(1).abs().amax(1)
    assert (taps > 0).tolist() == [False] * 3 + [True] * 3 + [False] * 3


def test_dropout_acts_only_while_training():
    network, inputs = some_network(), some_input()
    arguments = (inputs[0], inputs[1], inputs[2][:, 1:].flatten(1), inputs[3])
    with torch.no_grad():
        torch.testing.assert_close(network(*arguments), network(*arguments))
        network.train()
        assert not torch.equal(network(*arguments), network(*arguments))


@pytest.mark.parametrize(
    ("position", "wrong", "named"),
    [
        (0, torch.zeros(5, 24, 3), "start_keypoints"),
        (1, torch.zeros(4, 25, 3), "end_keypoints"),
        (2, torch.zeros(5, 22, 3), "start_pose"),
        (3, torch.zeros(5, 16), "betas"),
        (0, torch.zeros(()), "start_keypoints"),
        (1, torch.full((5, 25, 3), torch.nan), "end_keypoints"),
    ],
)
def test_an_input_that_does_not_fit_is_named(position, wrong, named):
    inputs = list(some_input())
    inputs[position] = wrong
    with pytest.raises(InputError, match=named):
        some_network().predict(*inputs)


@pytest.mark.parametrize("config", [{"graph": "coco"}, {"dropout": 1.5}])
def test_a_configuration_that_cannot_be_is_refused(config):
    with pytest.raises(InputError, match=r"coco|1\.5"):
        StgcnConfig(**config)
