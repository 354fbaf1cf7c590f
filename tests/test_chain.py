"""The best chain of hypotheses, and how likely each is, against all chains counted one by one."""

from __future__ import annotations

import itertools

import roma
import torch

from learnable_smplify.rotation import rotvec_to_rotmat
from learnable_smplify.solver.frame.priors import load_priors
from learnable_smplify.solver.view.paths import best_chain

FPS, SHARPNESS = 30.0, 0.4


def hypotheses(frames: int, count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    rotmat = rotvec_to_rotmat(0.02 * torch.randn(frames, count, 24, 3, generator=generator))
    transl = 0.05 * torch.randn(frames, count, 3, generator=generator) + torch.tensor([0.0, 0.0, 3.0])
    return rotmat, transl, 8 * torch.rand(frames, count, generator=generator)


def costs_of_all(
    rotmat: torch.Tensor, transl: torch.Tensor, cost: torch.Tensor, at: torch.Tensor
) -> dict[tuple[int, ...], float]:
    """Cost of every chain: turns as far as people turn, the whole at 4 rad/s and 3 m/s, a step 400 at most."""
    frames, count = cost.shape
    change = load_priors().change_over(1.0).clone()
    change[:3] = change[:, :3] = 0
    found = {}
    for chain in itertools.product(range(count), repeat=frames):
        total = float(sum(cost[t, state] for t, state in enumerate(chain)))
        for t in range(1, frames):
            seconds = float(at[t] - at[t - 1]) / FPS
            turn = roma.rotmat_to_rotvec(rotmat[t, chain[t]] @ rotmat[t - 1, chain[t - 1]].mT).flatten()
            away = float(transl[t, chain[t], 2] - transl[t - 1, chain[t - 1], 2])
            whole = (float(turn[:3].square().sum()) / 4.0**2 + (away / 3.0) ** 2) / seconds**2
            total += min(float(turn @ change @ turn) / seconds + whole, 400.0)
        found[chain] = 0.5 * SHARPNESS * total
    return found


def test_the_best_chain_is_the_cheapest_of_all_and_likelihoods_are_sums_over_all():
    for seed in range(4):
        rotmat, transl, cost = hypotheses(4, 3, seed)
        at = torch.tensor([0, 1, 3, 4])
        found = best_chain(rotmat, transl, cost, at, FPS, load_priors(), SHARPNESS)
        every = costs_of_all(rotmat, transl, cost, at)
        assert tuple(found.chosen.tolist()) == min(every, key=every.__getitem__)
        weight = torch.tensor([-value for value in every.values()]).softmax(dim=0)
        likely = torch.zeros(4, 3)
        for chain, share in zip(every, weight, strict=True):
            for t, state in enumerate(chain):
                likely[t, state] += share
        torch.testing.assert_close(found.likely, likely, atol=2e-3, rtol=0)


def test_a_chain_is_broken_where_nothing_goes_on():
    rotmat, transl = torch.eye(3).expand(3, 2, 24, 3, 3), torch.zeros(3, 2, 3)
    transl[1:, :, 2] = torch.tensor([50.0, 49.0])  # somewhere else from the second frame on, both too far
    cost = torch.tensor([[5.0, 0.0], [0.0, 5.0], [0.0, 5.0]])
    found = best_chain(rotmat, transl, cost, torch.arange(3), FPS, load_priors(), SHARPNESS)
    assert found.chosen.tolist() == [1, 0, 0]
