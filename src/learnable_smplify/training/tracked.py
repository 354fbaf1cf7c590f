"""People who are followed while the network trains: each step's answer is the next step's start.

So the network meets the starts that it will meet in a recording: its own, with the errors that add up in what keypoints
do not show, under noise that stays with a recording and limbs that stay hidden for a while.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from learnable_smplify.network.pose_mlp import START_KINDS
from learnable_smplify.rotation import rotvec_to_rotmat
from learnable_smplify.timeline import runs
from learnable_smplify.training.conventions import Conventions, draw_conventions
from learnable_smplify.training.corrupt import limb_masks
from learnable_smplify.training.pairs import PairBatch, Poses
from learnable_smplify.training.sharing import Sharing, draw_amounts, share_motion
from learnable_smplify.training.store import MotionStore


@dataclass(frozen=True)
class Tracking:
    """How people are followed. Shares are of people, drawn when one is met.

    Args:
        share: samples of a batch that are followed people.
        frame_rates: at which they are seen, drawn evenly [1/s].
        restart_rate: chance that a person is left for another after a frame.
        sharing: which of two neighbouring joints moves in the true motion.
        conventions: of the true motion.
        start_error: how the first start differs from the truth.
        known_time_share: people whose frame rate is told.
        quiet_share: people whose keypoints are off by up to `quiet_noise` only; the others' by up to `max_noise`.
        quiet_noise, max_noise: standard deviations are uniform up to these [m].
        bias_share: people whose keypoints lie a constant distance beside the body's ...
        max_bias: ... with a standard deviation uniform up to this [m].
        hidden_share: people with a limb that is never seen.
        flicker_share: people who lack each keypoint in each frame with a probability uniform up to `max_flicker`.
        max_flicker: see above.
        outlier_share, outlier_rate, outlier_size: people whose keypoints jump, how often, and how far [m].
        occlusion_rate: chance in a frame that a limb disappears, for a time uniform up to `occlusion_frames`.
        occlusion_frames: see above.
    """

    share: float = 0.3
    frame_rates: tuple[float, ...] = (120.0, 60.0, 30.0, 30.0, 30.0, 15.0, 10.0)
    restart_rate: float = 1 / 100
    sharing: Sharing = field(default_factory=Sharing)
    conventions: Conventions = field(default_factory=Conventions)
    start_error: Conventions = field(
        default_factory=lambda: Conventions(share=0.8, offset_deg=6.0, twist_deg=20.0, shared_deg=10.0)
    )
    known_time_share: float = 0.9
    quiet_share: float = 0.4
    quiet_noise: float = 0.003
    max_noise: float = 0.035
    bias_share: float = 0.2
    max_bias: float = 0.012
    hidden_share: float = 0.25
    flicker_share: float = 0.4
    max_flicker: float = 0.3
    outlier_share: float = 0.3
    outlier_rate: float = 0.02
    outlier_size: float = 0.3
    occlusion_rate: float = 1 / 80
    occlusion_frames: int = 40


class TrackedPeople:
    """P people on their way through the train clips. Its state belongs to a checkpoint.

    Args:
        store: whose train split they come from.
        poses: the store's, on the device.
        options: how they are followed.
        people: how many.
        device: where.
        generator: of the first people.
    """

    def __init__(
        self,
        store: MotionStore,
        poses: Poses,
        options: Tracking,
        people: int,
        device: torch.device | str,
        generator: torch.Generator,
    ) -> None:
        self.options = options
        self._poses = poses
        self._fps = store.fps
        first, last = _runs(store)
        rows = (first < last).nonzero()[0]
        self._rows, self._first, self._last = (
            torch.as_tensor(part, device=device) for part in (rows, first.astype(np.float64), last.astype(np.float64))
        )
        self._limbs = limb_masks(torch.device(device))
        self._state = self._new(people, generator)

    def state(self) -> dict[str, Tensor]:
        """Everything that changes."""
        return self._state

    def restore(self, state: dict[str, Tensor]) -> None:
        """Go on from an earlier `state`."""
        self._state = {name: value.clone() for name, value in state.items()}

    def draw(self) -> PairBatch:
        """Everybody's next frame: start poses are the answers to the frame before."""
        state = self._state
        target = self._poses.at(state["place"] + state["step"], state["mirrored"])
        target = share_motion(target, state["reference"], state["amounts"]) @ state["convention"]
        kind = torch.full_like(state["age"], START_KINDS.index("tracked"))
        seconds = (state["step"].abs() / self._fps).to(torch.float32) * state["tells_time"]
        return PairBatch(state["pose"], target, state["betas"], kind, seconds)

    def measure(
        self, clean: Float[Tensor, "P 25 3"], generator: torch.Generator
    ) -> tuple[Float[Tensor, "P 25 3"], Float[Tensor, "P 25"]]:
        """What is measured of the clean BODY_25 keypoints [m] of this frame, and its confidence."""
        state, options, device = self._state, self.options, clean.device
        people, count = clean.shape[:2]
        noise = torch.randn(clean.shape, generator=generator, device=device)
        damaged = clean + state["bias"] + state["noise"][:, None, None] * noise
        jumps = torch.rand(people, count, generator=generator, device=device) < state["outliers"][:, None]
        away = torch.randn(clean.shape, generator=generator, device=device)
        damaged = damaged + options.outlier_size * jumps[..., None] * away
        flicker = torch.rand(people, count, generator=generator, device=device) < state["flicker"][:, None]
        hidden = self._limbs[state["occluded"]] & (state["occluded_for"] > 0)[:, None]
        missing = flicker | hidden | state["hidden"]
        return torch.where(missing[..., None], 0.0, damaged), (~missing).to(clean)

    def advance(self, answer: Float[Tensor, "P 24 3 3"], generator: torch.Generator) -> None:
        """Everybody took this pose; go to the next frame, and leave whoever's clip ends."""
        state, options = self._state, self.options
        people, device = len(answer), answer.device

        def chance(share: float) -> Tensor:
            return torch.rand(people, generator=generator, device=device) < share

        state["pose"] = answer
        state["place"] = state["place"] + state["step"]
        state["age"] = state["age"] + 1
        begins = chance(options.occlusion_rate) & (state["occluded_for"] == 0)
        lengths = torch.randint(1, options.occlusion_frames + 1, (people,), generator=generator, device=device)
        limbs = torch.randint(len(self._limbs), (people,), generator=generator, device=device)
        state["occluded_for"] = torch.where(begins, lengths, (state["occluded_for"] - 1).clamp(min=0))
        state["occluded"] = torch.where(begins, limbs, state["occluded"])
        after = state["place"] + state["step"]
        row = state["row"]
        over = (after < self._first[row]) | (after > self._last[row]) | chance(options.restart_rate)
        over = over | ~torch.isfinite(answer).flatten(1).all(1)
        if bool(over.any()):
            fresh = self._new(int(over.sum()), generator)
            for name, value in state.items():
                value = value.clone()
                value[over] = fresh[name]
                state[name] = value

    def _new(self, people: int, generator: torch.Generator) -> dict[str, Tensor]:
        """The state of people who are just met."""
        options, device = self.options, self._rows.device

        def uniform(*shape: int) -> Tensor:
            return torch.rand(people, *shape, generator=generator, device=device)

        def chance(share: float) -> Tensor:
            return uniform() < share

        row = self._rows[(uniform() * len(self._rows)).long()]
        rates = torch.tensor(options.frame_rates, device=device, dtype=torch.float64)
        step = self._fps / rates[(uniform() * len(rates)).long()]
        step = torch.where(chance(0.5), -step, step)
        # The first frame is the one after `place`: turn round where the clip leaves no room for it.
        room = row.double() + step
        step = torch.where((room < self._first[row]) | (room > self._last[row]), -step, step)
        room = row.double() + step
        step = torch.where((room < self._first[row]) | (room > self._last[row]), 0.0, step)
        mirrored, place = chance(0.5), row.double()
        convention = draw_conventions(options.conventions, people, device, generator)
        error = draw_conventions(options.start_error, people, device, generator)
        lean = math.radians(3) * torch.randn(people, 3, generator=generator, device=device)
        reference = self._poses.at(place, mirrored)
        pose = reference @ convention @ error
        pose[:, 0] = pose[:, 0] @ rotvec_to_rotmat(lean)
        quiet = chance(options.quiet_share)
        noise = uniform() * torch.where(quiet, options.quiet_noise, options.max_noise)
        bias = options.max_bias * uniform(1, 1) * chance(options.bias_share)[:, None, None]
        limb = torch.randint(len(self._limbs), (people,), generator=generator, device=device)
        zeros = torch.zeros(people, dtype=torch.long, device=device)
        return {
            "row": row,
            "place": place,
            "step": step,
            "age": zeros,
            "mirrored": mirrored,
            "convention": convention,
            "reference": reference,
            "amounts": draw_amounts(options.sharing, people, device, generator),
            "betas": torch.randn(people, 10, generator=generator, device=device),
            "pose": pose,
            "tells_time": chance(options.known_time_share),
            "noise": noise,
            "bias": bias * torch.randn(people, 25, 3, generator=generator, device=device),
            "outliers": options.outlier_rate * chance(options.outlier_share),
            "flicker": options.max_flicker * uniform() * chance(options.flicker_share),
            "hidden": self._limbs[limb] & chance(options.hidden_share)[:, None],
            "occluded": zeros,
            "occluded_for": zeros,
        }


def _runs(store: MotionStore) -> tuple[np.ndarray, np.ndarray]:
    """For every row, first and last row of the usable stretch of a train clip that it lies in; (0, 0) elsewhere."""
    first, last = np.zeros(len(store), dtype=np.int64), np.zeros(len(store), dtype=np.int64)
    for clip in store.clips("train"):
        rows = np.arange(clip.first, clip.first + clip.frames)
        for begin, end in runs(store.usable[rows].astype(bool)):
            first[rows[begin:end]], last[rows[begin:end]] = rows[begin], rows[end - 1]
    return first, last
