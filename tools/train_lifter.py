"""Train the network that guesses poses from one camera's keypoints and write `network/lifter.safetensors`.

    lsmplify import-motion ~/motion -o ~/motion30
    python tools/train_lifter.py ~/motion30 --hours 1

Only clips of the train split are read (`learnable_smplify.splits`). People of random shapes are seen by random level or
tilted cameras, with noise, with keypoints missing, now and then with sides exchanged; every view also in the mirror.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from pathlib import Path

import torch
import tyro
from torch import Tensor

from learnable_smplify.body import load_body
from learnable_smplify.evaluation.clips import read_clips
from learnable_smplify.layouts.layout import load_layout
from learnable_smplify.network.lifter import Guesses, Lifter, LifterConfig, lifter_input
from learnable_smplify.network.weights import save_network
from learnable_smplify.rotation import rotvec_to_rotmat
from learnable_smplify.skeleton import MIRROR

OUTPUT = Path(__file__).parents[1] / "src/learnable_smplify/network/lifter.safetensors"
_FPS = 30.0
# Joints that no keypoint and no clip moves.
_SOLVED = 22
# How sharply a view belongs to the guess that explains it best; at first every guess is taught this share of all views,
# or one would learn everything.
_TEMPERATURE, _TAUGHT = 6.0, 0.1
_HOLDOUT = 4000


@dataclass(frozen=True)
class TrainLifterArgs:
    """Train the lifter on the CPU or a GPU."""

    motions: tyro.conf.Positional[Path]
    """Folder that 'lsmplify import-motion' wrote."""
    hours: float = 1.0
    """How long; the learning rate falls to 0 over it."""
    output: Path = OUTPUT
    batch: int = 256
    rate: float = 1e-3
    threads: int = 1
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Moments:
    """N frames of motion.

    Args:
        points: (N, 25, 3) keypoints of betas 0 in the world, metres.
        by_betas: (N, 25, 3, 10) float16.
        rotmat: (N, 24, 3, 3) local rotations.
        first, last: (N,) of each frame's clip.
    """

    points: Tensor
    by_betas: Tensor
    rotmat: Tensor
    first: Tensor
    last: Tensor

    @staticmethod
    def read(folder: Path) -> Moments:
        body = load_body()
        points, by_betas, rotmat, first, last = [], [], [], [], []
        at = 0
        for clip in read_clips(folder, "train"):
            for rows in torch.arange(len(clip.pose)).split(512):
                pose, transl = clip.pose[rows], clip.transl[rows]
                plain = body.keypoints(pose, torch.zeros(10), transl)
                steps = [body.keypoints(pose, one, transl) - plain for one in torch.eye(10)]
                points.append(plain)
                by_betas.append(torch.stack(steps, dim=-1).half())
                rotmat.append(rotvec_to_rotmat(pose))
            first.append(torch.full((len(clip.pose),), at))
            at += len(clip.pose)
            last.append(torch.full((len(clip.pose),), at - 1))
        return Moments(*(torch.cat(parts) for parts in (points, by_betas, rotmat, first, last)))

    def views(self, rows: Tensor, seconds: tuple[float, ...], clean: bool = False) -> tuple[Tensor, Tensor, Tensor]:
        """Rays (B, S, 25, 2), which are seen (B, S, 25), and rotations (B, 24, 3, 3), the pelvis's by the camera."""
        count = len(rows)
        steps = torch.tensor([round(value * _FPS) for value in seconds])
        there = rows[:, None] + steps
        inside = (there >= self.first[rows, None]) & (there <= self.last[rows, None])
        there = torch.where(inside, there, rows[:, None])
        betas = torch.randn(count, 10)
        points = self.points[there] + (self.by_betas[there].float() @ betas[:, None, None, :, None])[..., 0]
        points = points - points[:, len(seconds) // 2, 8][:, None, None]
        # World (Y up) to a camera that looks at the person, from any side, mostly level.
        turn = torch.zeros(count, 3, 3)
        turn[:, 0, 1] = 2 * math.pi * torch.rand(count)
        turn[:, 1, 0] = math.pi + 0.25 * torch.randn(count)
        turn[:, 2, 2] = 0.12 * torch.randn(count)
        yaw, pitch, roll = rotvec_to_rotmat(turn).unbind(1)
        rotation = roll @ pitch @ yaw
        local = torch.einsum("bxy,bsky->bskx", rotation, points)
        distance = torch.exp(torch.empty(count).uniform_(math.log(1.8), math.log(12.0)))
        place = torch.stack((0.3 * torch.randn(count), 0.2 * torch.randn(count), torch.ones(count)), dim=-1)
        local = local + (place * distance[:, None])[:, None, None]
        rays = local[..., :2] / local[..., 2:].clamp(min=0.3)
        rotmat = self.rotmat[rows].clone()
        rotmat[:, 0] = rotation @ rotmat[:, 0]
        seen = inside[..., None].expand(-1, -1, 25).float()
        if not clean:
            # In units of a person of 1.7 m: 0 to 3 % of their height.
            sigma = 0.03 * 1.7 / distance * torch.rand(count) ** 2 * (torch.rand(count) > 0.2)
            rays = rays + sigma[:, None, None, None] * torch.randn_like(rays)
            seen = seen * (torch.rand_like(seen) > 0.25 * torch.rand(count, 1, 1) ** 2)
            hidden = torch.rand(count, 25) < 0.5
            seen = seen * ~(hidden & (torch.rand(count, 1) < 0.05))[:, None]
        alone = torch.rand(count) < 0.4
        seen[alone, : len(seconds) // 2] = 0
        seen[alone, len(seconds) // 2 + 1 :] = 0
        mirror, joints = torch.rand(count) < 0.5, list(MIRROR)
        keypoints = list(load_layout("body25").mirror)
        flip = torch.tensor([-1.0, 1.0, 1.0])
        rays = torch.where(mirror[:, None, None, None], rays[:, :, keypoints] * flip[:2], rays)
        seen = torch.where(mirror[:, None, None], seen[:, :, keypoints], seen)
        other = flip[:, None] * rotmat[:, joints] * flip
        return rays * seen[..., None], seen, torch.where(mirror[:, None, None, None], other, rotmat)


def losses(guesses: Guesses, target: Tensor, taught: float = 0.0) -> tuple[Tensor, Tensor]:
    """Expectation maximisation's loss (B,) of the mixture, and each guess's mean joint error (B, M) [rad]."""
    squared = (guesses.rotmat - target[:, None]).square().sum((-1, -2))[..., :_SOLVED] / 2  # angle^2 for small ones
    sigma = guesses.sigma[..., :_SOLVED]
    surprise = (3 * sigma.log() + squared / (2 * sigma.square())).sum(-1)
    share = (1 - taught) * (-surprise / _TEMPERATURE).detach().softmax(dim=-1) + taught / surprise.shape[1]
    loss = (share * (surprise - guesses.log_share)).sum(-1)
    return loss, squared.detach().clamp(max=8).div(8).sqrt().asin().mul(2).mean(-1)


def main(args: TrainLifterArgs) -> None:
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    moments = Moments.read(args.motions)
    config = LifterConfig()
    network = Lifter(config)
    optimiser = torch.optim.AdamW(network.parameters(), lr=args.rate, weight_decay=0.01)
    count = len(moments.points)
    # The last clips' frames are never trained on here.
    trained = int(moments.first[count - _HOLDOUT])
    held = trained + torch.randperm(count - trained)[:2048]
    began, step, running = time.monotonic(), 0, 0.0
    while (done := (time.monotonic() - began) / (3600 * args.hours)) < 1:
        for group in optimiser.param_groups:
            group["lr"] = args.rate * min(1.0, (step + 1) / 500) * 0.5 * (1 + math.cos(math.pi * done))
        rays, seen, target = moments.views(torch.randint(trained, (args.batch,)), config.seconds)
        given = lifter_input(rays, seen)
        target[:, 0] = given.turn @ target[:, 0]
        loss = losses(network(given.features), target, _TAUGHT * (1 - done))[0].mean()
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 20.0)
        optimiser.step()
        running, step = 0.99 * running + 0.01 * float(loss.detach()), step + 1
        if step % 500 == 0:
            with torch.no_grad():
                rays, seen, target = moments.views(held, config.seconds, clean=True)
                given = lifter_input(rays, seen)
                target[:, 0] = given.turn @ target[:, 0]
                guesses = network(given.features)
                loss, error = losses(guesses, target)
            likely = error.gather(1, guesses.log_share.argmax(1, keepdim=True)).mean()
            print(
                f"{step} {time.monotonic() - began:.0f} s: loss {running:.1f}, held out {float(loss.mean()):.1f}, "
                f"joints {math.degrees(float(likely)):.1f} deg, best guess "
                f"{math.degrees(float(error.amin(1).mean())):.1f}",
                flush=True,
            )
            if step % 2000 == 0:
                save_network(network, args.output.with_suffix(".tmp.safetensors"))
    save_network(network, args.output, {"trained": f"train split, {step} steps of {args.batch}, seed {args.seed}"})


if __name__ == "__main__":
    main(tyro.cli(TrainLifterArgs))
