"""The training loop, written out: one process or many (`torchrun`), resumable to the step."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from learnable_smplify.body.body import Body
from learnable_smplify.errors import InputError
from learnable_smplify.network.pose_mlp import PoseMlp
from learnable_smplify.network.stgcn_pass import StgcnPass
from learnable_smplify.network.weights import load_network
from learnable_smplify.training.config import Optimisation, TrainingConfig
from learnable_smplify.training.holdout import holdout_error_mm, holdout_samples
from learnable_smplify.training.pairs import PairSampler, Poses
from learnable_smplify.training.run_folder import RunFolder
from learnable_smplify.training.start import set_initial_stiffness
from learnable_smplify.training.step import PairGeometry, Sample, StepLoss
from learnable_smplify.training.store import MotionStore
from learnable_smplify.training.tracked import TrackedPeople

LOG_EVERY = 50
# Followed people come in multiples of this, so that some processes can share them evenly.
_MULTIPLE = 4


@dataclass(frozen=True)
class Processes:
    """Where this process stands among those that train together."""

    rank: int = 0
    count: int = 1

    @classmethod
    def join(cls) -> Processes:
        """Join the group `torchrun` started, if there is one (gloo on CPUs, nccl on GPUs)."""
        if "WORLD_SIZE" not in os.environ or int(os.environ["WORLD_SIZE"]) == 1:
            return cls()
        if not dist.is_initialized():
            dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
        return cls(dist.get_rank(), dist.get_world_size())

    def part(self, count: int) -> slice:
        """This process's part of so many rows."""
        share = count // self.count
        return slice(self.rank * share, (self.rank + 1) * share)

    def wait(self) -> None:
        """Return when every process has come here."""
        if self.count > 1:
            dist.barrier()

    def average(self, tensors: list[Tensor]) -> None:
        """Replace tensors by their mean over the processes."""
        if self.count == 1:
            return
        flat = torch.cat([tensor.flatten() for tensor in tensors])
        dist.all_reduce(flat)
        flat /= self.count
        for tensor, part in zip(tensors, flat.split([tensor.numel() for tensor in tensors]), strict=True):
            tensor.copy_(part.view_as(tensor))

    def gather(self, rows: Tensor) -> Tensor:
        """The rows of all processes, in order."""
        if self.count == 1:
            return rows
        parts = [torch.empty_like(rows) for _ in range(self.count)]
        dist.all_gather(parts, rows.contiguous())
        return torch.cat(parts)


@dataclass(eq=False)
class _Learner:
    """What learns, and all that a killed run needs to go on.

    Args:
        network: being trained.
        averaged: its weights, averaged over time; these are evaluated and shipped.
        generator: of the samples.
        people: who are followed.
        best: lowest holdout error so far [mm].
    """

    network: PoseMlp | StgcnPass
    averaged: PoseMlp | StgcnPass
    optimiser: torch.optim.AdamW
    generator: torch.Generator
    people: TrackedPeople
    best: float = float("inf")

    def restore(self, state: dict[str, Any]) -> int:
        """Go on from a checkpoint; returns the step it was made at."""
        self.network.load_state_dict(state["network"])
        self.averaged.load_state_dict(state["averaged"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.generator.set_state(state["generator"])
        self.people.restore(state["people"])
        self.best = float(state["best"])
        return int(state["step"])

    def state(self, step: int) -> dict[str, Any]:
        """A checkpoint."""
        return {
            "network": self.network.state_dict(),
            "averaged": self.averaged.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "generator": self.generator.get_state(),
            "people": self.people.state(),
            "step": step,
            "best": self.best,
        }

    def descend(self, loss: Tensor, options: Optimisation, step: int, processes: Processes) -> dict[str, float]:
        """One step of all processes; returns its gradient's norm and its rate."""
        rate = learning_rate(options, step)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        processes.average([weight.grad for weight in self.network.parameters() if weight.grad is not None])
        norm = torch.nn.utils.clip_grad_norm_(self.network.parameters(), options.clip)
        self.optimiser.step()
        self._average(min(options.ema, (1 + step) / (10 + step)))
        return {"gradient_norm": float(norm), "learning_rate": rate}

    @torch.no_grad()
    def _average(self, decay: float) -> None:
        for slow, fast in zip(self.averaged.parameters(), self.network.parameters(), strict=True):
            slow.lerp_(fast, 1 - decay)
        for kept, current in zip(self.averaged.buffers(), self.network.buffers(), strict=True):
            kept.copy_(current)  # running statistics of batch norm, where there are any


@dataclass(frozen=True, eq=False)
class _Lessons:
    """What a step learns from: pairs, and people who are followed.

    Every process draws the whole batch and works on its own part, so that two processes see what one would.

    Args:
        pairs: of the whole batch; the others are followed.
        refined: pairs of this process that take Gauss-Newton steps; its followed people all do.
        held_back: pairs that choose the weights.
    """

    geometry: PairGeometry
    sampler: PairSampler
    people: TrackedPeople
    config: TrainingConfig
    processes: Processes
    pairs: int
    refined: int
    held_back: dict[str, Sample]

    def loss(self, network: PoseMlp | StgcnPass, generator: torch.Generator) -> StepLoss:
        """This process's part of a new batch, its answers and its loss; followed people go on by their answers."""
        corruption, followed = self.config.corruption, self.config.optimisation.batch - self.pairs
        samples = [self.geometry.sample(self.sampler.draw(self.pairs, generator), corruption, generator)]
        if followed:
            met = self.people.draw()
            clean = self.geometry.clean_keypoints(met)
            samples.append(Sample.measured(met, clean, *self.people.measure(clean, generator)))
        mine = Sample.joined([sample.rows(self.processes.part(len(sample.betas))) for sample in samples])
        drawn = self.pairs // self.processes.count
        rows = slice(drawn - self.refined, None) if self.config.architecture == "pose_mlp" else None
        bfloat16 = self.config.optimisation.bfloat16
        losses = self.geometry.losses(network, mine, self.config.passes, self.config.loss, bfloat16, rows)
        if followed:
            self.people.advance(self.processes.gather(losses.answer[self.refined :]), generator)
        return losses


def train(
    store: MotionStore,
    body: Body,
    config: TrainingConfig,
    folder: RunFolder,
    device: torch.device | str,
    progress: Callable[[int, dict[str, float]], None] | None = None,
) -> PoseMlp | StgcnPass:
    """Train a network, or go on where a killed run stopped; returns the averaged weights of the best evaluation.

    Args:
        store: what `lsmplify prepare` wrote; only its train split is learned from, only its holdout split chooses.
        body: whose keypoints and surface the pairs get.
        config: the run.
        folder: where the run's files are; holds what is needed to go on.
        device: "cpu" or "cuda".
        progress: called with the step and the latest numbers.

    Raises:
        InputError: the batch cannot be split over the processes, the store lacks pairs, or initial weights do not fit.
    """
    options, processes = config.optimisation, Processes.join()
    learner, lessons = _begun(store, body, config, processes, device)
    state = folder.read_checkpoint()
    first = 0 if state is None else learner.restore(state)
    began = time.perf_counter()
    for step in range(first, options.steps):
        losses = lessons.loss(learner.network, learner.generator)
        taken = learner.descend(losses.total, options, step, processes)

        done, last = step + 1, step + 1 == options.steps
        if done % LOG_EVERY == 0 or last:
            loss = losses.total.detach().clone()
            processes.average([loss])
            speed = (done - first) / (time.perf_counter() - began)
            numbers = {"loss": float(loss), **taken, "steps_a_second": speed, **_told(losses, lessons.refined)}
            if processes.rank == 0:
                folder.log(done, numbers)
            if progress is not None:
                progress(done, numbers)
        if done % config.evaluate_every == 0 or last:
            errors = holdout_error_mm(learner.averaged.eval(), lessons.geometry, lessons.held_back, config)
            if processes.rank == 0:
                folder.log(done, errors)
                if errors["holdout_mm"] < learner.best:
                    folder.write_best(learner.averaged.state_dict())
            learner.best = min(learner.best, errors["holdout_mm"])
        if processes.rank == 0 and (done % config.checkpoint_every == 0 or last):
            folder.write_checkpoint(learner.state(done))
    processes.wait()  # for the first process to have written the best weights
    result = config.build().to(device)
    result.load_state_dict(folder.read_best())
    return result.eval().requires_grad_(False)


def _begun(
    store: MotionStore, body: Body, config: TrainingConfig, processes: Processes, device: torch.device | str
) -> tuple[_Learner, _Lessons]:
    """A run at its first step."""
    options, ours = config.optimisation, config.architecture == "pose_mlp"
    followed = _MULTIPLE * round(config.tracking.share * options.batch / _MULTIPLE) if ours else 0
    if options.batch % processes.count or followed % processes.count:
        raise InputError(
            f"a batch of {options.batch}, {followed} of them followed, cannot be split over {processes.count} processes"
        )
    pairs = options.batch - followed
    refined = round(options.refined_share * (pairs // processes.count)) if ours else 0

    torch.manual_seed(options.seed)
    network, averaged = config.build().to(device), config.build().to(device)
    if config.initial is not None:
        _take_weights(network, config.initial)
    optimiser = torch.optim.AdamW(network.parameters(), options.learning_rate, weight_decay=options.weight_decay)
    generator = torch.Generator(device).manual_seed(options.seed + 1)
    poses = Poses(store, device)
    sampler = PairSampler(store, "train", config.sampling, device, poses)
    geometry = PairGeometry(body, device)
    people = TrackedPeople(store, poses, config.tracking, followed, device, generator)
    held_back = holdout_samples(store, poses, geometry, device)
    if isinstance(network, PoseMlp) and config.initial is None:
        set_initial_stiffness(network, geometry, sampler)
    averaged.load_state_dict(network.state_dict())
    learner = _Learner(network, averaged, optimiser, generator, people)
    return learner, _Lessons(geometry, sampler, people, config, processes, pairs, refined, held_back)


def _told(losses: StepLoss, refined: int) -> dict[str, float]:
    """What the log tells of a step's errors; the first `refined` of the refined ones are pairs, the rest followed."""
    numbers = {}
    for index, (degrees, millimetres) in enumerate(losses.passes, start=1):
        numbers[f"rotation_deg_{index}"], numbers[f"points_mm_{index}"] = degrees, millimetres
    if losses.refined_mm is not None:
        numbers["pairs_mm_refined"] = float(losses.refined_mm[:refined].mean())
        numbers["tracked_mm_refined"] = float(losses.refined_mm[refined:].mean())
    return numbers


def _take_weights(network: PoseMlp | StgcnPass, path: str) -> None:
    given = load_network(path)
    here = network if isinstance(network, PoseMlp) else network.network
    try:
        here.load_state_dict(given.state_dict())
    except RuntimeError as error:
        raise InputError(
            "these weights are of a network of another shape", path=path, expected=f"{here.config}"
        ) from error


def learning_rate(options: Optimisation, step: int) -> float:
    """Linear warm-up, then half a cosine."""
    if step < options.warmup:
        return options.learning_rate * (step + 1) / options.warmup
    part = (step - options.warmup) / max(options.steps - options.warmup, 1)
    cosine = 0.5 * (1 + torch.cos(torch.tensor(part * torch.pi)).item())
    return options.final_learning_rate + (options.learning_rate - options.final_learning_rate) * cosine
