"""Where a training step's time goes: how much of it the body's kinematics take."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch

from learnable_smplify.body.body import Body
from learnable_smplify.training.config import TrainingConfig
from learnable_smplify.training.pairs import PairSampler
from learnable_smplify.training.step import PairGeometry
from learnable_smplify.training.store import MotionStore

_REPEATS = 10


def profile_step(
    store: MotionStore, body: Body, config: TrainingConfig, device: torch.device | str
) -> tuple[float, float]:
    """Time a step, and its kinematics alone, alternately in one run; medians over ten [ms].

    The step is a whole one without the optimiser: pairs, damage, passes, loss, gradients. Its kinematics are every
    forward kinematics in it, with the gradient of those that have one.
    """
    network = config.build().to(device)
    generator = torch.Generator(device).manual_seed(0)
    sampler = PairSampler(store, "train", config.sampling, device)
    geometry = PairGeometry(body, device)
    batch = config.optimisation.batch
    refine = slice(batch - round(config.optimisation.refined_share * batch), None)

    def step() -> None:
        sample = geometry.sample(sampler.draw(batch, generator), config.corruption, generator)
        geometry.losses(
            network, sample, config.passes, config.loss, config.optimisation.bfloat16, refine
        ).total.backward()

    pairs = sampler.draw(batch, generator)

    def kinematics() -> None:
        with torch.no_grad():
            shaped = geometry.keypoints.shaped(pairs.betas)
            shaped.pose(pairs.target_rotmat).positions()  # the measured keypoints
            surface = geometry.surface_of(shaped)
            surface.pose(pairs.target_rotmat).positions()  # the true surface
        for _ in range(config.passes):
            with torch.no_grad():
                shaped.pose(pairs.start_rotmat).positions()
            rotmat = pairs.start_rotmat.clone().requires_grad_(True)
            surface.pose(rotmat).positions().sum().backward()

    times: dict[str, list[float]] = {"step": [], "kinematics": []}
    for repeat in range(_REPEATS + 2):
        for name, work in (("step", step), ("kinematics", kinematics)):
            spent = _seconds(work, device)
            if repeat >= 2:  # the first two warm up
                times[name].append(1000 * spent)
    return float(torch.tensor(times["step"]).median()), float(torch.tensor(times["kinematics"]).median())


def _seconds(work: Callable[[], None], device: torch.device | str) -> float:
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize()
    began = time.perf_counter()
    work()
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - began
