"""`Solver`: the door to every way of turning keypoints into SMPL poses."""

from __future__ import annotations

from collections.abc import Callable
from os import PathLike
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from learnable_smplify.body.body import ArrayLike, Body, load_body
from learnable_smplify.errors import InputError
from learnable_smplify.keypoints import Keypoints
from learnable_smplify.layouts.layout import Layout, load_layout
from learnable_smplify.motion import Motion
from learnable_smplify.network.weights import load_network
from learnable_smplify.rotation import rotmat_to_rotvec, rotvec_to_rotmat
from learnable_smplify.solver.clip import ClipOptions, estimate_betas, numeric_follower, track
from learnable_smplify.solver.cold_start import cold_start
from learnable_smplify.solver.levenberg_marquardt import PoseSolution
from learnable_smplify.solver.neural import NeuralPairs, neural_follower
from learnable_smplify.solver.numeric import PairOptions, numeric_pairs
from learnable_smplify.solver.pair_input import PairInput, check_pairs
from learnable_smplify.solver.priors import load_priors
from learnable_smplify.solver.threads import map_chunks, one_thread_per_operation

Method = Literal["neural", "gauss_newton"]
METHODS: tuple[Method, ...] = ("neural", "gauss_newton")
# Problems solved at once: bounds the memory (about 60 KB a problem) and keeps the working set near the cache.
_CHUNK = 256


class Solver:
    """Fits SMPL poses to 3D keypoints.

    Args:
        body: a `Body`, or None for the open body.
        method: "neural", the network followed by `refine_steps` Gauss-Newton steps; or "gauss_newton", the numerical
            solver alone (Levenberg-Marquardt with priors).
        device: where to compute, "cpu" or "cuda".
        weights: a file of `lsmplify train` or `lsmplify import-checkpoint`; None for the weights in the package.
        refine_steps: Gauss-Newton steps after the network; 0 is the network alone.
        passes: how often the network is run on a frame; None is what its weights were trained for. `passes=1,
            refine_steps=0` is the paper's pure single pass.
        pair_options: of the numerical solver in `solve_pairs`.
        clip_options: for `fit`.

    Raises:
        InputError: an unknown method, weights that cannot be read, or a device torch does not have.
    """

    def __init__(
        self,
        body: Body | None = None,
        method: Method = "neural",
        device: torch.device | str = "cpu",
        *,
        weights: str | PathLike[str] | None = None,
        refine_steps: int = 2,
        passes: int | None = None,
        pair_options: PairOptions | None = None,
        clip_options: ClipOptions | None = None,
    ) -> None:
        if method not in METHODS:
            raise InputError(f"unknown method '{method}'", expected=f"one of {', '.join(METHODS)}")
        if refine_steps < 0 or (passes is not None and passes < 1):
            raise InputError(f"refine_steps is {refine_steps} and passes {passes}", expected="0 or more, and 1 or more")
        self.body = load_body() if body is None else body
        self.method = method
        self.device = _checked_device(device)
        self.pair_options = PairOptions() if pair_options is None else pair_options
        self.clip_options = ClipOptions() if clip_options is None else clip_options
        self._priors = load_priors().to(self.device)
        self._neural: NeuralPairs | None = None
        if method == "neural":
            network = load_network(weights).to(self.device)
            self._neural = NeuralPairs(network, refine_steps, self._priors, self.pair_options, passes)

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
        pairs = check_pairs(start_pose, keypoints, betas, start_transl, confidence, layout, self.device)
        chunks = [pairs.rows(slice(first, first + _CHUNK)) for first in range(0, len(pairs), _CHUNK)]
        if not chunks:
            return pairs.start_pose, torch.zeros(0, 3, device=self.device)
        solved = map_chunks(lambda part: self._solve_chunk(part, layout), chunks, self.device)
        pose = torch.cat([rotmat_to_rotvec(part.rotmat) for part in solved])
        return pose, torch.cat([part.transl for part in solved])

    def fit(
        self,
        keypoints: Keypoints,
        betas: ArrayLike | Float[Tensor, "10"] | None = None,
        *,
        start: tuple[ArrayLike, ArrayLike] | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Motion:
        """A whole recording of one person, from nothing: betas, translation and the pose of every frame.

        Args:
            keypoints: the recording.
            betas: (10,) the person's shape if known; None estimates one shape for the whole recording.
            start: pose (24, 3) rotvec [rad] and transl (3,) metres just before the first frame, if known; None finds
                the first pose from its keypoints.
            progress: called with (frames done, frames in all).

        Returns:
            the motion; `flagged` marks frames whose keypoints are too few or do not fit.

        Raises:
            InputError: betas of another shape or not finite.
        """
        layout = keypoints.layout if isinstance(keypoints.layout, Layout) else load_layout(keypoints.layout)
        assert keypoints.confidence is not None  # set by Keypoints itself
        targets, confidence = keypoints.positions.to(self.device), keypoints.confidence.to(self.device)
        folded = self.body.folded(layout, self.device)
        with one_thread_per_operation():
            if betas is None:
                shape = estimate_betas(folded, targets, confidence, self._priors, self.clip_options)
            else:
                shape = _checked_betas(betas, self.device)
            if self._neural is None:
                follow = numeric_follower(folded, shape, keypoints.fps, self._priors, self.clip_options)
            else:
                follow = neural_follower(self._neural, self.body, layout, shape, self.clip_options)
            points, before = folded.shaped(shape[None]), self._before(start)
            clip = track(points, targets, confidence, self._priors, self.clip_options, follow, progress, before)
        return Motion(
            pose=rotmat_to_rotvec(clip.rotmat).cpu(),
            transl=clip.transl.cpu(),
            betas=shape.cpu(),
            fps=keypoints.fps,
            body=self.body.name,
            gender=self.body.gender,
            up_axis=keypoints.up_axis,
            flagged=clip.flagged.cpu(),
            uncertainty_deg=None if clip.sigma is None else torch.rad2deg(clip.sigma).cpu(),
            notes=keypoints.notes,
        )

    def solve_frames(
        self,
        keypoints: ArrayLike | Float[Tensor, "B K 3"],
        betas: ArrayLike | Float[Tensor, "B 10"],
        confidence: ArrayLike | Float[Tensor, "B K"] | None = None,
        *,
        layout: str | Layout = "body25",
    ) -> tuple[Float[Tensor, "B 24 3"], Float[Tensor, "B 3"]]:
        """Poses of B independent frames from their keypoints alone (cold start). Arguments as in `solve_pairs`.

        Returns:
            pose (B, 24, 3) rotvec [rad] and transl (B, 3) metres.
        """
        layout = layout if isinstance(layout, Layout) else load_layout(layout)
        anything = torch.zeros(len(torch.as_tensor(keypoints)), 24, 3)
        frames = check_pairs(anything, keypoints, betas, None, confidence, layout, self.device)
        folded, options = self.body.folded(layout, self.device), self.clip_options
        if len(frames) == 0:
            return frames.start_pose, torch.zeros(0, 3, device=self.device)

        def search(part: PairInput) -> PoseSolution:
            weights = part.confidence / self.pair_options.keypoint_sigma**2
            return cold_start(folded.shaped(part.betas), part.keypoints, weights, self._priors, options.search)

        chunks = [frames.rows(slice(first, first + _CHUNK)) for first in range(0, len(frames), _CHUNK)]
        solved = map_chunks(search, chunks, self.device)
        pose = torch.cat([rotmat_to_rotvec(part.rotmat) for part in solved])
        return pose, torch.cat([part.transl for part in solved])

    def _before(self, start: tuple[ArrayLike, ArrayLike] | None) -> tuple[Tensor, Tensor] | None:
        if start is None:
            return None
        pose, transl = (torch.as_tensor(part).detach().to(self.device, torch.float32) for part in start)
        if pose.shape != (24, 3) or transl.shape != (3,):
            raise InputError(
                f"start has shapes {tuple(pose.shape)} and {tuple(transl.shape)}", expected="(24, 3) and (3,)"
            )
        return rotvec_to_rotmat(pose)[None], transl[None]

    def _solve_chunk(self, pairs: PairInput, layout: Layout) -> PoseSolution:
        if self._neural is None:
            return numeric_pairs(self.body.folded(layout, self.device), pairs, self._priors, self.pair_options)
        return self._neural.solve(self.body, layout, pairs)


def _checked_betas(betas: ArrayLike, device: torch.device) -> Tensor:
    values = torch.as_tensor(betas).detach().to(device, torch.float32).flatten()
    if len(values) > 10 or not bool(torch.isfinite(values).all()):
        raise InputError(f"betas have {len(values)} values", expected="at most 10 finite numbers")
    return torch.nn.functional.pad(values, (0, 10 - len(values)))


def _checked_device(device: torch.device | str) -> torch.device:
    try:
        chosen = torch.device(device)
        torch.zeros(1, device=chosen)
    except (RuntimeError, AssertionError) as error:
        raise InputError(
            f"torch cannot use device '{device}' here",
            expected="'cpu', or 'cuda' where torch sees a GPU",
            hint="--device cpu",
        ) from error
    return chosen
