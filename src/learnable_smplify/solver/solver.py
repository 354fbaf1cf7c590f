"""`Solver`: the door to every way of turning keypoints into SMPL poses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from learnable_smplify.body.body import ArrayLike, Body, load_body
from learnable_smplify.body.fold import FoldedPoints
from learnable_smplify.errors import InputError
from learnable_smplify.keypoints import Keypoints
from learnable_smplify.layouts.layout import Layout, load_layout
from learnable_smplify.motion import Motion
from learnable_smplify.rotation import rotmat_to_rotvec, rotvec_to_rotmat
from learnable_smplify.skeleton import NUM_JOINTS
from learnable_smplify.solver.clip import ClipOptions, solve_clip
from learnable_smplify.solver.cold_start import align_trunk
from learnable_smplify.solver.levenberg_marquardt import LevenbergMarquardt, PoseProblem, solve
from learnable_smplify.solver.priors import Priors, load_priors
from learnable_smplify.solver.threads import map_chunks, one_thread_per_operation

Method = Literal["gauss_newton"]
METHODS: tuple[Method, ...] = ("gauss_newton",)
# Problems solved at once: bounds the memory (about 60 KB a problem) and keeps the working set near the cache.
_CHUNK = 256


@dataclass(frozen=True)
class PairOptions:
    """How `solve_pairs` weighs keypoints against the start pose.

    Args:
        keypoint_sigma: what a keypoint coordinate may be off by [m].
        change_share: weight of the change prior about the start pose.
        robust_scale: distance [m] at which a keypoint starts to lose its pull (Geman-McClure); None trusts all.
        optimiser: when to stop.
    """

    keypoint_sigma: float = 0.003
    change_share: float = 1.0
    robust_scale: float | None = None
    optimiser: LevenbergMarquardt = field(default_factory=LevenbergMarquardt)


class Solver:
    """Fits SMPL poses to 3D keypoints.

    Args:
        body: a `Body`, or None for the open body.
        method: "gauss_newton", the numerical solver (Levenberg-Marquardt with priors).
        device: where to compute, "cpu" or "cuda".
        pair_options: for `solve_pairs`.
        clip_options: for `fit`.

    Raises:
        InputError: an unknown method, or a device torch does not have.
    """

    def __init__(
        self,
        body: Body | None = None,
        method: Method = "gauss_newton",
        device: torch.device | str = "cpu",
        *,
        pair_options: PairOptions | None = None,
        clip_options: ClipOptions | None = None,
    ) -> None:
        if method not in METHODS:
            raise InputError(f"unknown method '{method}'", expected=f"one of {', '.join(METHODS)}")
        self.body = load_body() if body is None else body
        self.method = method
        self.device = _checked_device(device)
        self.pair_options = PairOptions() if pair_options is None else pair_options
        self.clip_options = ClipOptions() if clip_options is None else clip_options

    def solve_pairs(
        self,
        start_pose: ArrayLike | Float[Tensor, "B 24 3"],
        keypoints: ArrayLike | Float[Tensor, "B K 3"],
        betas: ArrayLike | Float[Tensor, "B 10"],
        start_transl: ArrayLike | Float[Tensor, "B 3"] | None = None,
        confidence: ArrayLike | Float[Tensor, "B K"] | None = None,
        *,
        layout: str | Layout = "body25",
    ) -> tuple[Float[Tensor, "B 24 3"], Float[Tensor, "B 3"]]:
        """From the pose a person had and the keypoints they have now, the pose they have now. B independent problems.

        Args:
            start_pose: (B, 24, 3) rotvec [rad].
            keypoints: (B, K, 3) metres; NaN marks a missing one.
            betas: (B, 10) or (10,) for one person.
            start_transl: (B, 3) metres, a hint for problems whose keypoints do not place the person; None is fine.
            confidence: (B, K) in [0, 1], 0 = missing; None trusts every finite keypoint.
            layout: which keypoints they are.

        Returns:
            pose (B, 24, 3) rotvec [rad] and transl (B, 3) metres, float32, on the solver's device. A problem without
            any keypoint returns its start.

        Raises:
            InputError: shapes that do not fit, a start pose or betas that are not finite, an unknown layout.
        """
        layout = layout if isinstance(layout, Layout) else load_layout(layout)
        pairs = self._checked_pairs(start_pose, keypoints, betas, start_transl, confidence, layout)
        folded = self.body.folded(layout, self.device)
        priors = load_priors().to(self.device)
        batch = pairs.start_pose.shape[0]
        chunks = [pairs.rows(slice(first, first + _CHUNK)) for first in range(0, batch, _CHUNK)]
        solved = map_chunks(lambda part: self._solve_chunk(folded, part, priors), chunks, self.device)
        if not solved:
            return pairs.start_pose, pairs.start_transl
        return torch.cat([pose for pose, _ in solved]), torch.cat([transl for _, transl in solved])

    def _solve_chunk(self, folded: FoldedPoints, part: _Pairs, priors: Priors) -> tuple[Tensor, Tensor]:
        start = rotvec_to_rotmat(part.start_pose)
        points = folded.shaped(part.betas)
        weights = part.confidence / self.pair_options.keypoint_sigma**2
        # The rigid part of the motion first: a person who turned or moved is no further from their pose.
        seen = (weights > 0).sum(1) >= 3
        turn, transl = align_trunk(points, part.keypoints, weights, start)
        rotmat = start.clone()
        rotmat[:, 0] = torch.where(seen[:, None, None], turn @ start[:, 0], start[:, 0])
        transl = torch.where(seen[:, None], transl, part.start_transl)
        problem = PoseProblem(
            points=points,
            targets=part.keypoints,
            weights=weights,
            prior_rotmat=rotmat,
            prior_precision=self.pair_options.change_share * priors.change_precision,
            prior_transl=transl,
            robust_scale=self.pair_options.robust_scale,
        )
        solution = solve(problem, rotmat, transl, self.pair_options.optimiser)
        return rotmat_to_rotvec(solution.rotmat), solution.transl

    def fit(
        self,
        keypoints: Keypoints,
        betas: ArrayLike | Float[Tensor, "10"] | None = None,
        *,
        progress: Callable[[int, int], None] | None = None,
    ) -> Motion:
        """A whole recording of one person, from nothing: betas, translation and the pose of every frame.

        Args:
            keypoints: the recording.
            betas: (10,) the person's shape if known; None estimates one shape for the whole recording.
            progress: called with (frames done, frames in all).

        Returns:
            the motion; `flagged` marks frames whose keypoints are too few or do not fit.

        Raises:
            InputError: betas of another shape or not finite.
        """
        if betas is not None:
            betas = torch.as_tensor(betas).detach().to(self.device, torch.float32).flatten()
            if len(betas) > 10 or not bool(torch.isfinite(betas).all()):
                raise InputError(f"betas have {len(betas)} values", expected="10 finite numbers")
            betas = torch.nn.functional.pad(betas, (0, 10 - len(betas)))
        folded = self.body.folded(keypoints.layout, self.device)
        with one_thread_per_operation():
            clip = solve_clip(
                folded,
                keypoints.positions.to(self.device),
                _confidence(keypoints).to(self.device),
                keypoints.fps,
                load_priors().to(self.device),
                self.clip_options,
                betas=betas,
                progress=progress,
            )
        return Motion(
            pose=rotmat_to_rotvec(clip.rotmat).cpu(),
            transl=clip.transl.cpu(),
            betas=clip.betas.cpu(),
            fps=keypoints.fps,
            body=self.body.name,
            gender=self.body.gender,
            up_axis=keypoints.up_axis,
            flagged=clip.flagged.cpu(),
            notes=keypoints.notes,
        )

    def _checked_pairs(
        self,
        start_pose: ArrayLike,
        keypoints: ArrayLike,
        betas: ArrayLike,
        start_transl: ArrayLike | None,
        confidence: ArrayLike | None,
        layout: Layout,
    ) -> _Pairs:
        def tensor(value: ArrayLike) -> Tensor:
            return torch.as_tensor(value).detach().to(self.device, torch.float32)

        start = tensor(start_pose)
        if start.ndim != 3 or start.shape[1:] != (NUM_JOINTS, 3):
            raise InputError(f"start_pose has shape {tuple(start.shape)}", expected="(B, 24, 3) rotvec")
        batch, count = start.shape[0], len(layout.keypoint_names)
        targets = tensor(keypoints)
        if targets.shape != (batch, count, 3):
            raise InputError(
                f"keypoints have shape {tuple(targets.shape)}",
                expected=f"({batch}, {count}, 3) for layout '{layout.name}'",
            )
        shape = tensor(betas)
        shape = shape[None] if shape.ndim == 1 else shape
        if shape.ndim != 2 or shape.shape[0] not in (1, batch) or shape.shape[1] != 10:
            raise InputError(f"betas have shape {tuple(shape.shape)}", expected=f"({batch}, 10) or (10,)")
        transl = torch.zeros(batch, 3, device=self.device) if start_transl is None else tensor(start_transl)
        if transl.shape != (batch, 3):
            raise InputError(f"start_transl has shape {tuple(transl.shape)}", expected=f"({batch}, 3)")
        for name, value in (("start_pose", start), ("betas", shape), ("start_transl", transl)):
            if not bool(torch.isfinite(value).all()):
                raise InputError(f"{name} holds NaN or infinity", expected="finite numbers")
        trust = torch.ones(batch, count, device=self.device) if confidence is None else tensor(confidence)
        if trust.shape != (batch, count):
            raise InputError(f"confidence has shape {tuple(trust.shape)}", expected=f"({batch}, {count})")
        finite = torch.isfinite(targets).all(-1) & torch.isfinite(trust)
        return _Pairs(
            start_pose=start,
            keypoints=torch.where(finite[..., None], targets, 0.0),
            betas=shape,
            start_transl=transl,
            confidence=torch.where(finite, trust, 0.0).clamp(min=0.0),
        )


@dataclass(frozen=True, eq=False)
class _Pairs:
    start_pose: Tensor
    keypoints: Tensor
    betas: Tensor
    start_transl: Tensor
    confidence: Tensor

    def rows(self, rows: slice) -> _Pairs:
        return _Pairs(
            self.start_pose[rows],
            self.keypoints[rows],
            self.betas if self.betas.shape[0] == 1 else self.betas[rows],
            self.start_transl[rows],
            self.confidence[rows],
        )


def _confidence(keypoints: Keypoints) -> Tensor:
    assert keypoints.confidence is not None  # set by Keypoints itself
    return keypoints.confidence


def _checked_device(device: torch.device | str) -> torch.device:
    try:
        chosen = torch.device(device)
        torch.zeros(1, device=chosen)
    except (RuntimeError, AssertionError) as error:
        raise InputError(
            f"torch cannot use device '{device}' here", expected="'cpu', or 'cuda' where torch sees a GPU", hint="cpu"
        ) from error
    return chosen
