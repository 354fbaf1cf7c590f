"""`Solver`: the door to every way of turning keypoints into SMPL poses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from os import PathLike
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from learnable_smplify.arrays import as_tensor
from learnable_smplify.betas import person_betas
from learnable_smplify.body.body import ArrayLike, Body, load_body
from learnable_smplify.camera import Camera
from learnable_smplify.errors import InputError
from learnable_smplify.keypoints import Keypoints
from learnable_smplify.keypoints2d import Keypoints2D
from learnable_smplify.layouts.layout import Layout, load_layout
from learnable_smplify.motion import Motion
from learnable_smplify.network.pose_mlp import StartKind
from learnable_smplify.network.weights import load_lifter, load_network
from learnable_smplify.repair import RepairStream
from learnable_smplify.repair.garbage import examine
from learnable_smplify.rotation import rotvec_to_rotmat
from learnable_smplify.solver.frame.cold_start import cold_start
from learnable_smplify.solver.frame.levenberg_marquardt import PoseSolution
from learnable_smplify.solver.frame.numeric import PairOptions, numeric_pairs
from learnable_smplify.solver.frame.pair_input import PairInput, check_pairs
from learnable_smplify.solver.frame.priors import load_priors
from learnable_smplify.solver.frame.tracking import ClipOptions, Finder
from learnable_smplify.solver.given import as_keypoints, check_parts, checked_device, checked_start, start_before
from learnable_smplify.solver.hybrid import NeuralPairs, Start
from learnable_smplify.solver.pairs import PairAnswer, Poses
from learnable_smplify.solver.recording import RecordingOptions, RecordingSolver
from learnable_smplify.solver.shape.offsets import Offsets
from learnable_smplify.solver.smplify.fit import fit_pairs, search_3d
from learnable_smplify.solver.smplify.mixture_prior import MixturePrior, load_mixture_prior
from learnable_smplify.solver.smplify.recording import fit_recording, fit_recording_2d
from learnable_smplify.solver.smplify.smplify import Smplify, SmplifyOptions
from learnable_smplify.solver.smplify.terms import Measured3D
from learnable_smplify.solver.stream import PoseStream
from learnable_smplify.solver.view.recording import ViewSolver
from learnable_smplify.threads import map_chunks, one_thread_per_operation
from learnable_smplify.views import View, check_views

Method = Literal["neural", "gauss_newton", "smplify"]
METHODS: tuple[Method, ...] = ("neural", "gauss_newton", "smplify")
# Problems solved at once, at most: bounds the memory (about 60 KB a problem). Smaller chunks where that occupies more
# cores; every chunk costs some milliseconds of its own, so not much smaller.
_CHUNK, _SMALL_CHUNK = 1024, 256


class Solver:
    """Fits SMPL poses to 3D keypoints.

    Args:
        body: a `Body`, or None for the open body.
        method: "neural", the network followed by `refine_steps` Gauss-Newton steps; "gauss_newton", the numerical
            solver alone (Levenberg-Marquardt with priors); or "smplify", the classical baseline (descent on autograd's
            gradients).
        device: where to compute, "cpu" or "cuda".
        weights: a file of `lsmplify train` or `lsmplify import-checkpoint`; None for the weights in the package.
        refine_steps: Gauss-Newton steps after the network; 0 is the network alone.
        passes: how often the network is run on a frame; None is what its weights were trained for. `passes=1,
            refine_steps=0` is the paper's pure single pass.
        pair_options: of the numerical solver in `solve_pairs`.
        clip_options: how `fit` and `stream` follow a person.
        recording_options: what `fit` does besides: repair, smoothing, keypoint offsets. "smplify" only repairs.
        smplify_options: for the method "smplify".

    Raises:
        InputError: an unknown method, weights or a mixture that cannot be read, a device torch does not have, or
            recording options that the method lacks.
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
        recording_options: RecordingOptions | None = None,
        smplify_options: SmplifyOptions | None = None,
    ) -> None:
        if method not in METHODS:
            raise InputError(f"unknown method '{method}'", expected=f"one of {', '.join(METHODS)}")
        options = (
            (clip_options, ClipOptions),
            (recording_options, RecordingOptions),
            (smplify_options, SmplifyOptions),
        )
        check_parts(refine_steps, passes, (body, Body), (pair_options, PairOptions), *options)
        self.body = load_body() if body is None else body
        self.method = method
        self.device = checked_device(device)
        self.pair_options = PairOptions() if pair_options is None else pair_options
        self.clip_options = ClipOptions() if clip_options is None else clip_options
        self.recording_options = RecordingOptions() if recording_options is None else recording_options
        if method == "smplify" and self.recording_options != RecordingOptions(repair=self.recording_options.repair):
            raise InputError(
                "smplify fits a recording frame by frame, and of the recording_options it only repairs",
                expected="neural or gauss_newton for smoothing, held feet, offsets and scaling",
            )
        self.smplify_options = SmplifyOptions() if smplify_options is None else smplify_options
        self._priors = load_priors().to(self.device)
        self._mixture: MixturePrior | None = None
        if method == "smplify":
            self._mixture = load_mixture_prior(self.smplify_options.mixture).to(self.device)
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
        start: StartKind = "exact",
        seconds: float | None = None,
    ) -> Poses:
        """From the pose a person had and the keypoints they have now, the pose they have now. B independent problems.

        Args:
            start_pose: (B, 24, 3) rotvec [rad].
            keypoints: (B, K, 3) metres; NaN marks a missing one.
            betas: (B, 10) or (10,) for one person.
            start_transl: (B, 3) metres, a hint for problems whose keypoints do not place the person; None is fine.
            confidence: (B, K) in [0, 1], 0 = missing; None trusts every finite keypoint.
            layout: which keypoints they are.
            start: how far the start poses can be trusted: "exact", what the keypoints do not show is kept from them;
                "tracked", they are a solver's answers for the frame before; "estimate", an image-based estimator's.
            seconds: time from start to target, if known.

        Returns:
            pose (B, 24, 3) rotvec [rad] and transl (B, 3) metres, float32, on the solver's device. A problem without
            any keypoint returns its start.

        Raises:
            InputError: shapes that do not fit, a start pose or betas that are not finite, an unknown layout or kind of
                start, a time that is not positive.
        """
        given = checked_start(start, seconds)
        solved = self._solve_all(start_pose, keypoints, betas, start_transl, confidence, load_layout(layout), given)
        return Poses.of(solved)

    def answer_pairs(
        self,
        start_pose: ArrayLike | Float[Tensor, "B 24 3"],
        keypoints: ArrayLike | Float[Tensor, "B K 3"],
        betas: ArrayLike | Float[Tensor, "B 10"],
        start_transl: ArrayLike | Float[Tensor, "B 3"] | None = None,
        confidence: ArrayLike | Float[Tensor, "B K"] | None = None,
        *,
        layout: str | Layout = "body25",
        start: StartKind = "exact",
        seconds: float | None = None,
    ) -> PairAnswer:
        """`solve_pairs`, and what is known of each answer. Arguments and errors as there."""
        given = checked_start(start, seconds)
        solved = self._solve_all(start_pose, keypoints, betas, start_transl, confidence, load_layout(layout), given)
        return PairAnswer.of(solved)

    def fit(
        self,
        keypoints: Keypoints | str | PathLike[str] | ArrayLike,
        betas: ArrayLike | Float[Tensor, "10"] | None = None,
        *,
        layout: str | Layout | None = None,
        fps: float | None = None,
        start: tuple[ArrayLike, ArrayLike] | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Motion:
        """A whole recording of one person, from nothing: betas, translation and the pose of every frame.

        Args:
            keypoints: the recording; or its file; or positions (T, K, 3), metres, with `layout` and `fps` (30).
            betas: (10,) the person's shape if known; None estimates one shape for the whole recording.
            layout, fps: of an array, or of a file that does not say them.
            start: pose (24, 3) rotvec [rad] and transl (3,) metres just before the first frame, if known: what no
                keypoint shows is kept from it. None finds the first pose from its keypoints.
            progress: called with (frames done, frames in all).

        Returns:
            the motion; `flagged` marks frames whose keypoints are too few, do not fit, or are no person's.

        Raises:
            InputError: betas of another shape or not finite, no position on earth, or see `read_keypoints`.
        """
        known = None if betas is None else person_betas(betas, self.device)
        keypoints = as_keypoints(keypoints, layout, fps)
        doubt = examine(keypoints, self.recording_options.scale_to_body)
        given, before, options = doubt.keypoints, start_before(start, self.device), self.recording_options
        with one_thread_per_operation():
            if self.method == "smplify":
                smplify = self._smplify(load_layout(keypoints.layout))
                motion = fit_recording(smplify, self.body, given, options.repair, known, before, progress)
            else:
                motion = self._recording().fit(given, options, known, before, progress)[0]
        return doubt.marked(motion)

    def prepared(self, keypoints: Keypoints) -> Keypoints:
        """The keypoints as `fit` fits them: scaled, without constants, on a floor, if the options say so."""
        return self._recording().prepared(as_keypoints(keypoints), self.recording_options)

    def calibrate(
        self,
        keypoints: Keypoints,
        betas: ArrayLike | Float[Tensor, "10"] | None = None,
        *,
        progress: Callable[[int, int], None] | None = None,
    ) -> tuple[Motion, Offsets]:
        """Fit a recording and find where its keypoints lie beside the body's, once for all frames.

        A detector's hip is not the skeleton's. The offsets hold for this person and this detector; give them to
        `RecordingOptions(offsets=...)` for further recordings.

        Raises:
            InputError: the method "smplify", or betas of another shape or not finite.
        """
        if self.method == "smplify":
            raise InputError("smplify cannot calibrate offsets", expected="neural or gauss_newton")
        known = None if betas is None else person_betas(betas, self.device)
        keypoints, options = as_keypoints(keypoints), replace(self.recording_options, calibrate_offsets=True)
        doubt = examine(keypoints, options.scale_to_body)
        with one_thread_per_operation():
            motion, offsets = self._recording().fit(doubt.keypoints, options, known, None, progress)
        assert offsets is not None
        return doubt.marked(motion), offsets

    def stream(
        self,
        *,
        layout: str | Layout = "body25",
        fps: float = 30.0,
        betas: ArrayLike | Float[Tensor, "10"] | None = None,
    ) -> PoseStream:
        """A person solved frame by frame as the keypoints come: `push` a frame, get its pose, in constant memory.

        Args:
            layout: which keypoints will come.
            fps: about how many frames a second.
            betas: (10,) the person's shape if known; None estimates it while the stream runs.

        Raises:
            InputError: an unknown layout, betas that are not finite, or the method "smplify".
        """
        layout = load_layout(layout)
        if self.method == "smplify":
            raise InputError("smplify cannot stream: a frame takes it too long", expected="neural or gauss_newton")
        folded, options = self.body.folded(layout, self.device), self.clip_options

        def finder(shape: Float[Tensor, "10"]) -> Finder:
            return self._recording().finder(layout, folded, shape)

        known = None if betas is None else person_betas(betas, self.device)
        repair = None if self.recording_options.repair is None else RepairStream(layout, fps)
        return PoseStream(folded, finder, self._priors, options, fps, known, repair, self.body)

    def solve_frames(
        self,
        keypoints: ArrayLike | Float[Tensor, "B K 3"],
        betas: ArrayLike | Float[Tensor, "B 10"],
        confidence: ArrayLike | Float[Tensor, "B K"] | None = None,
        *,
        layout: str | Layout = "body25",
    ) -> Poses:
        """Poses of B independent frames from their keypoints alone (cold start). Arguments as in `solve_pairs`.

        Returns:
            pose (B, 24, 3) rotvec [rad] and transl (B, 3) metres.
        """
        layout = load_layout(layout)
        measured = as_tensor(keypoints, "keypoints")
        anything = torch.zeros(len(measured) if measured.ndim else 0, 24, 3)
        frames = check_pairs(anything, measured, betas, None, confidence, layout, self.device)
        folded = self.body.folded(layout, self.device)
        if len(frames) == 0:
            return Poses(frames.start_pose, torch.zeros(0, 3, device=self.device))

        chunks = frames.chunks(_SMALL_CHUNK)
        if self.method == "smplify":
            find = search_3d(self._smplify(layout))
            people = map_chunks(
                lambda part: find(Measured3D(part.keypoints, part.confidence), part.betas), chunks, self.device
            )
            return Poses(torch.cat([part.pose() for part in people]), torch.cat([part.transl for part in people]))

        def search(part: PairInput) -> PoseSolution:
            weights = part.confidence / self.pair_options.keypoint_sigma**2
            return cold_start(folded.shaped(part.betas), part.keypoints, weights, self._priors)

        return Poses.of(map_chunks(search, chunks, self.device))

    def fit_2d(
        self,
        keypoints: Keypoints2D,
        camera: Camera,
        betas: ArrayLike | Float[Tensor, "10"] | None = None,
        *,
        progress: Callable[[int, int], None] | None = None,
    ) -> Motion:
        """A whole recording of one person seen by one camera: `fit_views` of one view, or SMPLify's own way.

        Arguments, return value and errors as in `fit_views`.
        """
        if self.method != "smplify":
            return self.fit_views([View(keypoints, camera)], betas, progress=progress)
        known = None if betas is None else person_betas(betas, self.device)
        smplify = self._smplify(load_layout(keypoints.layout))
        with one_thread_per_operation():
            return fit_recording_2d(smplify, self.body, self._priors, keypoints, camera, known, progress)

    def fit_views(
        self,
        views: Sequence[View],
        betas: ArrayLike | Float[Tensor, "10"] | None = None,
        *,
        progress: Callable[[int, int], None] | None = None,
    ) -> Motion:
        """A whole recording of one person seen by one or several cameras, from nothing.

        From one camera, how far away a person is follows from their size, so depth is only as good as `betas`; and a
        limb that points towards the camera looks nearly like one that points away: where that is not decided, the
        frame is flagged.

        Args:
            views: cameras in one world and what they saw at the same moments.
            betas: (10,) the person's shape if known; None estimates one shape for the whole recording.
            progress: called with (frames done, frames in all).

        Returns:
            the motion in the cameras' world; `flagged` marks frames that are seen too little, do not fit, or could be
            another pose.

        Raises:
            InputError: no view, views that do not belong together, the method "smplify" with several, or betas of
                another shape or not finite.
        """
        check_views(views)
        known = None if betas is None else person_betas(betas, self.device)
        if self.method == "smplify":
            if len(views) > 1:
                raise InputError("smplify fits one camera", expected="neural or gauss_newton for several")
            return self.fit_2d(views[0].keypoints, views[0].camera, known, progress=progress)
        with one_thread_per_operation():
            return self.view_solver().fit(views, known, progress)

    def view_solver(self) -> ViewSolver:
        """What finds people whom cameras saw."""
        size, lifter = self.recording_options.known_size, load_lifter().to(self.device)
        return ViewSolver(self.body, self._priors, lifter, self.clip_options, size, self.device)

    def _recording(self) -> RecordingSolver:
        return RecordingSolver(self.body, self._priors, self._neural, self.clip_options, self.device)

    def _smplify(self, layout: Layout) -> Smplify:
        assert self._mixture is not None
        return Smplify(self.body.folded(layout, self.device), self._mixture, self.smplify_options)

    def _solve_all(
        self,
        start_pose: ArrayLike,
        keypoints: ArrayLike,
        betas: ArrayLike,
        start_transl: ArrayLike | None,
        confidence: ArrayLike | None,
        layout: Layout,
        start: Start,
    ) -> list[PoseSolution]:
        """Solutions, chunk by chunk; one empty chunk for no problems."""
        pairs = check_pairs(start_pose, keypoints, betas, start_transl, confidence, layout, self.device)
        size = min(max(-(-len(pairs) // torch.get_num_threads()), _SMALL_CHUNK), _CHUNK)
        chunks = pairs.chunks(size)
        if not chunks:
            nobody = torch.zeros(0, device=self.device)
            return [
                PoseSolution(rotvec_to_rotmat(pairs.start_pose), nobody.reshape(0, 3), nobody, nobody.bool(), nobody)
            ]
        return map_chunks(lambda part: self._solve_chunk(part, layout, start), chunks, self.device)

    def _solve_chunk(self, pairs: PairInput, layout: Layout, start: Start) -> PoseSolution:
        if self.method == "smplify":
            return fit_pairs(self._smplify(layout), pairs)
        if self._neural is not None:
            return self._neural.solve(self.body, layout, pairs, start)
        folded = self.body.folded(layout, self.device)
        return numeric_pairs(folded, pairs, self._priors, self.pair_options, start.seconds)
