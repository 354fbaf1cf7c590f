"""Motion handed from one joint to its neighbour."""

import pytest
import torch

from learnable_smplify.rotation import rotvec_to_rotmat
from learnable_smplify.skeleton import JOINT_INDEX
from learnable_smplify.training.sharing import Sharing, draw_amounts, share_motion

CPU = torch.device("cpu")


def poses(count: int, seed: int) -> torch.Tensor:
    return rotvec_to_rotmat(0.4 * torch.randn(count, 24, 3, generator=torch.Generator().manual_seed(seed)))


def amounts(count: int) -> torch.Tensor:
    return draw_amounts(Sharing(share=1, each=1, whole=1), count, CPU, torch.Generator().manual_seed(0))


def test_the_reference_stays():
    reference = poses(8, 0)

    torch.testing.assert_close(share_motion(reference, reference, amounts(8)), reference, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    "chain",
    [
        ("spine1", "spine2", "spine3"),
        ("neck", "head"),
        ("left_collar", "left_shoulder", "left_elbow", "left_wrist"),
        ("right_hip", "right_knee", "right_ankle", "right_foot"),
    ],
)
def test_what_is_beyond_a_chain_does_not_notice(chain):
    pose, reference = poses(32, 1), poses(32, 2)

    shared = share_motion(pose, reference, amounts(32))

    def end(rotmat: torch.Tensor) -> torch.Tensor:
        product = torch.eye(3)
        for name in chain:
            product = product @ rotmat[:, JOINT_INDEX[name]]
        return product

    torch.testing.assert_close(end(shared), end(pose), atol=1e-5, rtol=0)
    assert float((shared - pose).abs().amax()) > 0.1


def test_a_joint_that_hands_on_everything_is_rigid():
    pose, reference = poses(4, 3), poses(4, 4)
    amount = torch.zeros_like(amounts(4))
    amount[:, 8] = amount[:, 9] = 1.0  # the ankles, to the feet

    shared = share_motion(torch.stack((reference, pose)), reference, amount)

    ankle = JOINT_INDEX["left_ankle"]
    torch.testing.assert_close(shared[1, :, ankle], reference[:, ankle], atol=1e-5, rtol=0)


def test_a_share_of_samples_keeps_its_motion():
    drawn = draw_amounts(Sharing(share=0.25), 4000, CPU, torch.Generator().manual_seed(1))

    assert 0.2 < float((drawn != 0).any(1).float().mean()) < 0.3
    assert float(drawn.abs().max()) <= 1
