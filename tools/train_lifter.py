"""Train the network that guesses poses from one camera's keypoints and write `network/lifter.safetensors`.

    lsmplify import-motion ~/motion -o ~/motion30
    python tools/train_lifter.py ~/motion30 --hours 1

Only clips of the train split are read (`learnable_smplify.splits`), and some of them are held back to judge by. People
of random shapes and, most of them, of random conventions (`training.conventions`) are seen by random level or tilted
cameras whose focal length is not quite what is said, with noise, outliers, keypoints missing and sides exchanged; every
view also in the mirror.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import tyro
from torch import Tensor

from learnable_smplify.body import load_body
from learnable_smplify.body.fold import FoldedPoints
from learnable_smplify.body.kinematics import joint_positions, parent_rotations, world_rotations
from learnable_smplify.evaluation.clips import read_clips
from learnable_smplify.layouts.layout import load_layout
from learnable_smplify.network.lifter import Guesses, Lifter, LifterConfig, LifterInput, lifter_input
from learnable_smplify.network.weights import load_lifter, save_network
from learnable_smplify.rotation import rotvec_to_rotmat
from learnable_smplify.skeleton import JOINT_INDEX, MIRROR
from learnable_smplify.splits import choose_holdout
from learnable_smplify.training.conventions import Conventions, draw_conventions
from learnable_smplify.training.sharing import Sharing, draw_amounts, share_motion

OUTPUT = Path(__file__).parents[1] / "src/learnable_smplify/network/lifter.safetensors"
_FPS = 30.0
# Joints that no keypoint and no clip moves.
_SOLVED = 22
# How sharply a view belongs to the guess that explains it best; at first every guess is taught this share of all views,
# or one would learn everything.
_TEMPERATURE, _TAUGHT = 12.0, 0.1
_HELD_CLIPS, _HELD = 16, 2048
# Conventions are drawn wider than for keypoints in space: a picture shows less of them, so there is more to unlearn.
_CONVENTIONS = Conventions(share=0.75, offset_deg=18.0, shared_deg=14.0)
# Collars that all the time are up, forward or turned, mirrored: standard deviation about x, y, z [deg]; and how often.
_COLLAR_DEG, _COLLAR_SHARE = (6.0, 12.0, 22.0), 0.5
_LIMBS = tuple(
    [JOINT_INDEX[f"{side}_{name}"] for side in ("left", "right") for name in names]
    for names in (("collar", "shoulder", "elbow", "wrist"), ("hip", "knee", "ankle", "foot"))
)


@dataclass(frozen=True)
class TrainLifterArgs:
    """Train the lifter on the CPU or a GPU."""

    motions: tyro.conf.Positional[Path]
    """Folder that 'lsmplify import-motion' wrote."""
    hours: float = 1.0
    """How long; the learning rate falls to 0 over it."""
    initial: Path | None = None
    """Weights to go on from."""
    output: Path = OUTPUT
    batch: int = 256
    rate: float = 1e-3
    threads: int = 1
    seed: int = 0


@dataclass(frozen=True)
class Hardness:
    """What a view suffers.

    Args:
        conventions: share of people with a convention of their own.
        noisy: share of views with noise, outliers and exchanged sides.
    """

    conventions: float = 0.75
    noisy: float = 0.8


@dataclass(frozen=True, eq=False)
class Scene:
    """What a batch of cameras sees, and of whom.

    Args:
        rays, seen: (B, S, 25, 2), (B, S, 25).
        rotmat: (B, 24, 3, 3), the pelvis's by the camera.
        offsets: (B, 24, 3) from joint to joint [m].
    """

    rays: Tensor
    seen: Tensor
    rotmat: Tensor
    offsets: Tensor

    def given(self) -> tuple[LifterInput, Scene]:
        """What the network sees, and the scene in the frame that its answer is of."""
        given = lifter_input(self.rays, self.seen)
        rotmat = self.rotmat.clone()
        rotmat[:, 0] = given.turn @ rotmat[:, 0]
        return given, replace(self, rotmat=rotmat)


@dataclass(frozen=True, eq=False)
class Moments:
    """N frames of motion.

    Args:
        folded: the keypoints on the body.
        rotmat: (N, 24, 3, 3) local rotations.
        transl: (N, 3) [m].
        first, last: (N,) of each frame's clip.
        held: (N,) frames of clips that are never trained on.
    """

    folded: FoldedPoints
    rotmat: Tensor
    transl: Tensor
    first: Tensor
    last: Tensor
    held: Tensor

    @staticmethod
    def read(folder: Path) -> Moments:
        clips = read_clips(folder, "train")
        names = choose_holdout([(clip.name, clip.name.rpartition("/")[0]) for clip in clips], _HELD_CLIPS)
        counts = torch.tensor([len(clip.pose) for clip in clips])
        ends = counts.cumsum(0)
        held = torch.tensor([clip.name in names for clip in clips])
        first, last, held = (part.repeat_interleave(counts) for part in (ends - counts, ends - 1, held))
        rotmat = torch.cat([rotvec_to_rotmat(clip.pose) for clip in clips])
        transl = torch.cat([clip.transl for clip in clips])
        return Moments(load_body().folded("body25"), rotmat, transl, first, last, held)

    def scene(self, rows: Tensor, seconds: tuple[float, ...], hardness: Hardness, generator: torch.Generator) -> Scene:
        """People at these frames, as random cameras see them."""

        def uniform(*shape: int) -> Tensor:
            return torch.rand(*shape, generator=generator)

        def normal(*shape: int) -> Tensor:
            return torch.randn(*shape, generator=generator)

        count, moments, middle = len(rows), len(seconds), len(seconds) // 2
        steps = torch.tensor([round(value * _FPS) for value in seconds])
        there = rows[:, None] + steps
        inside = (there >= self.first[rows, None]) & (there <= self.last[rows, None])
        there = torch.where(inside, there, rows[:, None])
        rotmat = self._conventional(self.rotmat[there], hardness, generator)
        # World (Y up) to a camera that looks at the person, from any side, mostly level.
        turn = torch.zeros(count, 3, 3)
        turn[:, 0, 1] = 2 * math.pi * uniform(count)
        turn[:, 1, 0] = math.pi + 0.3 * normal(count)
        turn[:, 2, 2] = 0.12 * normal(count)
        yaw, pitch, roll = rotvec_to_rotmat(turn).unbind(1)
        rotation = roll @ pitch @ yaw
        rotmat[:, :, 0] = rotation[:, None] @ rotmat[:, :, 0]
        way = torch.einsum("bxy,bsy->bsx", rotation, self.transl[there] - self.transl[rows, None])
        # In the mirror: x the other way and sides exchanged.
        mirrored, flip = uniform(count) < 0.5, torch.tensor([-1.0, 1.0, 1.0])
        other = flip[:, None] * rotmat[:, :, list(MIRROR)] * flip
        rotmat = torch.where(mirrored[:, None, None, None, None], other, rotmat)
        way = torch.where(mirrored[:, None, None], way * flip, way)
        people = self.folded.shaped(normal(count, 10))
        each = torch.arange(count).repeat_interleave(moments)
        points = people.select(each).pose(rotmat.flatten(0, 1)).positions().unflatten(0, (count, moments))
        points = points + way[:, :, None] - points[:, middle, 8][:, None, None]

        distance = torch.exp(math.log(1.8) + (math.log(12.0) - math.log(1.8)) * uniform(count))
        place = torch.stack((0.3 * normal(count), 0.2 * normal(count), torch.ones(count)), dim=-1)
        points = points + (place * distance[:, None])[:, None, None]
        rays = points[..., :2] / points[..., 2:].clamp(min=0.3)
        seen = inside[..., None].expand(-1, -1, 25).float()
        rays, seen = _damaged(rays, seen, distance, hardness, generator)
        alone = uniform(count) < 0.4
        seen[alone, :middle] = 0
        seen[alone, middle + 1 :] = 0
        return Scene(rays * seen[..., None], seen, rotmat[:, middle], people.offsets)

    def _conventional(self, rotmat: Tensor, hardness: Hardness, generator: torch.Generator) -> Tensor:
        """Poses (B, S, 24, 3, 3) of people whose joints turn otherwise."""
        count = len(rotmat)

        def uniform(*shape: int) -> Tensor:
            return torch.rand(*shape, generator=generator)

        if hardness.conventions == 0:
            return rotmat.clone()
        has = uniform(count) < hardness.conventions
        # Limbs of somebody else now and then: arms and legs that nobody in the clips moves so together.
        rotmat = rotmat.clone()
        for limb in _LIMBS:
            mixed = (has & (uniform(count) < 0.15)).nonzero()[:, 0]
            rotmat[mixed[:, None, None], torch.arange(rotmat.shape[1])[:, None], torch.tensor(limb)] = rotmat[
                mixed.roll(1)
            ][:, :, limb]
        sharing = draw_amounts(Sharing(), count, rotmat.device, generator) * has[:, None]
        shared = sharing.any(1).nonzero()[:, 0]
        if len(shared):
            reference = torch.eye(3).expand(len(shared), 24, 3, 3)
            rotmat[shared] = share_motion(rotmat[shared].transpose(0, 1), reference, sharing[shared]).transpose(0, 1)
        offset = draw_conventions(replace(_CONVENTIONS, share=1.0), count, rotmat.device, generator)
        collar = torch.deg2rad(torch.tensor(_COLLAR_DEG)) * torch.randn(count, 3, generator=generator)
        collar = collar * (uniform(count, 1) < _COLLAR_SHARE)
        raised = torch.eye(3).expand(count, 24, 3, 3).clone()
        raised[:, JOINT_INDEX["left_collar"]] = rotvec_to_rotmat(collar)
        raised[:, JOINT_INDEX["right_collar"]] = rotvec_to_rotmat(collar * torch.tensor([1.0, -1.0, -1.0]))
        turned = raised[:, None] @ rotmat @ offset[:, None]
        return torch.where(has[:, None, None, None, None], turned, rotmat)


def _damaged(
    rays: Tensor, seen: Tensor, distance: Tensor, hardness: Hardness, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    count = len(rays)

    def uniform(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator)

    if hardness.noisy == 0:
        return rays, seen
    noisy = uniform(count) < hardness.noisy
    person = (1.7 / distance)[:, None, None, None]
    # In units of a person's height: 0 to 3 %; outliers by a fifth of it; a detector errs alike for some moments.
    sigma = 0.03 * uniform(count, 1, 1, 1) ** 2 * noisy[:, None, None, None]
    lasting = 0.7 * uniform(count, 1, 1, 1)
    noise = (1 - lasting**2).sqrt() * torch.randn(rays.shape, generator=generator)
    noise = noise + lasting * torch.randn(count, 1, *rays.shape[2:], generator=generator)
    rays = rays + sigma * person * noise
    wild = (uniform(*rays.shape[:3]) < 0.04 * uniform(count, 1, 1)) & noisy[:, None, None]
    rays = rays + 0.2 * person * wild[..., None] * torch.randn(rays.shape, generator=generator)
    exchanged = noisy & (uniform(count) < 0.04)
    mirror = list(load_layout("body25").mirror)
    when = exchanged[:, None] & (uniform(count, rays.shape[1]) < 0.5)
    rays = torch.where(when[..., None, None], rays[:, :, mirror], rays)
    seen = seen * (uniform(*seen.shape) > 0.25 * uniform(count, 1, 1) ** 2)
    hidden = (uniform(count, 25) < 0.5) & (uniform(count, 1) < 0.05)
    seen = seen * ~hidden[:, None]
    # The focal length that rays were made with is a guess in many recordings.
    wrong = 1 + 0.1 * torch.randn(count, generator=generator) * (uniform(count) < 0.3)
    return rays * wrong.clamp(0.7, 1.4)[:, None, None, None], seen


def placed(rotmat: Tensor, offsets: Tensor) -> Tensor:
    """Joints (B, 24, 3) beside the pelvis [m]."""
    joints = joint_positions(parent_rotations(world_rotations(rotmat)), offsets)
    return joints - joints[:, :1]


def losses(guesses: Guesses, scene: Scene, taught: float = 0.0) -> tuple[Tensor, Tensor, Tensor]:
    """Expectation maximisation's loss (B,) of the mixture; each guess's mean turn [rad] and distance [m], (B, M)."""
    count, several = guesses.log_share.shape
    target = scene.rotmat
    squared = (guesses.rotmat - target[:, None]).square().sum((-1, -2))[..., :_SOLVED] / 2  # angle^2 for small ones
    sigma = guesses.sigma[..., :_SOLVED]
    turned = (3 * sigma.log() + squared / (2 * sigma.square())).sum(-1)
    offsets = scene.offsets[:, None].expand(-1, several, -1, -1).flatten(0, 1)
    joints = placed(guesses.rotmat.flatten(0, 1), offsets).unflatten(0, (count, several))
    away = joints - placed(target, scene.offsets)[:, None]
    spread = guesses.away[:, :, 1:, (0, 0, 1)]
    moved = (spread.log() + away[:, :, 1:].square() / (2 * spread.square())).sum((-1, -2))
    surprise = turned + moved
    share = (1 - taught) * (-surprise / _TEMPERATURE).detach().softmax(dim=-1) + taught / several
    loss = (share * (surprise - guesses.log_share)).sum(-1)
    angle = squared.detach().clamp(max=8).div(8).sqrt().asin().mul(2).mean(-1)
    return loss, angle, away.detach().norm(dim=-1).mean(-1)


@torch.no_grad()
def judge(network: Lifter, scene: Scene) -> str:
    """Held-out figures."""
    given, scene = scene.given()
    guesses = network(given.features)
    loss, turned, away = losses(guesses, scene)
    likely = guesses.log_share.argmax(1, keepdim=True)
    return (
        f"{float(loss.mean()):.1f}, {math.degrees(float(turned.gather(1, likely).mean())):.1f} deg, "
        f"{1000 * float(away.gather(1, likely).mean()):.1f} mm, best {1000 * float(away.amin(1).mean()):.1f} mm"
    )


def main(args: TrainLifterArgs) -> None:
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    generator = torch.Generator().manual_seed(args.seed)
    moments = Moments.read(args.motions)
    network = Lifter(LifterConfig()) if args.initial is None else load_lifter(args.initial).train().requires_grad_()
    seconds = network.config.seconds
    optimiser = torch.optim.AdamW(network.parameters(), lr=args.rate, weight_decay=0.01)
    trained, held = ((~moments.held).nonzero()[:, 0], moments.held.nonzero()[:, 0])
    held = held[torch.randperm(len(held), generator=generator)[:_HELD]]
    kinds = {
        "own": Hardness(0, 0),
        "own, noise": Hardness(0, 1),
        "turned": Hardness(1, 0),
        "turned, noise": Hardness(1, 1),
    }
    scenes = {
        name: moments.scene(held, seconds, hardness, torch.Generator().manual_seed(1))
        for name, hardness in kinds.items()
    }
    print(f"{len(trained)} frames, {len(held)} held out", flush=True)
    began, step, running = time.monotonic(), 0, 0.0
    while (done := (time.monotonic() - began) / (3600 * args.hours)) < 1:
        if step % 1000 == 0:
            for name, scene in scenes.items():
                print(f"  held out, {name}: {judge(network, scene)}", flush=True)
        for group in optimiser.param_groups:
            group["lr"] = args.rate * min(1.0, (step + 1) / 500) * 0.5 * (1 + math.cos(math.pi * done))
        rows = trained[torch.randint(len(trained), (args.batch,), generator=generator)]
        given, scene = moments.scene(rows, seconds, Hardness(), generator).given()
        loss = losses(network(given.features), scene, _TAUGHT * (1 - done) if args.initial is None else 0.0)[0].mean()
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 20.0)
        optimiser.step()
        running, step = 0.99 * running + 0.01 * float(loss.detach()), step + 1
        if step % 500 == 0:
            print(f"{step} {time.monotonic() - began:.0f} s: loss {running:.1f}", flush=True)
        if step % 1000 == 0:
            save_network(network, args.output.with_suffix(".tmp.safetensors"))
    for name, scene in scenes.items():
        print(f"  held out, {name}: {judge(network, scene)}", flush=True)
    save_network(network, args.output, {"trained": f"train split, {step} steps of {args.batch}, seed {args.seed}"})


if __name__ == "__main__":
    main(tyro.cli(TrainLifterArgs))
