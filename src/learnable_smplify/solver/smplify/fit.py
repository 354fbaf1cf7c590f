"""SMPLify on pairs, on single frames and on recordings: where it starts, and in which order its stages run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from learnable_smplify.camera import Camera
from learnable_smplify.layouts.layout import Layout
from learnable_smplify.rotation import rotvec_to_rotmat
from learnable_smplify.solver.frame.levenberg_marquardt import PoseSolution
from learnable_smplify.solver.frame.numeric import placed_start
from learnable_smplify.solver.frame.pair_input import PairInput
from learnable_smplify.solver.frame.priors import Priors
from learnable_smplify.solver.shape.limb_lengths import limb_lengths
from learnable_smplify.solver.smplify.flips import CHOICES, LIMBS, flipped
from learnable_smplify.solver.smplify.smplify import People, Smplify, join_people, people_at
from learnable_smplify.solver.smplify.start import guess_depth, see, start_2d, start_3d, torso_rows
from learnable_smplify.solver.smplify.terms import DataTerm, Measured3D, Seen2D

# From frames of keypoints and betas (1 or B, 10), people found from nothing.
Search = Callable[[DataTerm, Tensor], People]

# Frames with fewer keypoints keep the pose before them.
_MIN_KEYPOINTS = 4
# A frame with a larger mean keypoint error [m] is searched again from nothing, and flagged if that does not help.
_LOST_ERROR = 0.06
# Frames that betas are estimated from: spread over the recording.
_SHAPE_FRAMES = 16
_FACINGS = 4
_FLIP_ROUNDS = 3


def fit_pairs(smplify: Smplify, pairs: PairInput) -> PoseSolution:
    """Rotations and transl from start poses that are laid on the keypoints as a whole.

    Nothing but descent keeps the pose near its start. Problems without keypoints keep theirs.
    """
    rotmat, transl = placed_start(smplify.folded, pairs)
    data = Measured3D(pairs.keypoints, pairs.confidence)
    weight = smplify.options.start_pose_weight
    people = smplify.place(people_at(rotmat, transl, pairs.betas), data)
    people = smplify.finish(smplify.bend(people, data, weight), data, weight)
    seen = (pairs.confidence > 0).any(1)
    found = torch.where(seen[:, None, None, None], people.local_rotmat(), rotvec_to_rotmat(pairs.start_pose))
    unknown = torch.zeros_like(transl[:, 0])
    return PoseSolution(found, torch.where(seen[:, None], people.transl, transl), unknown, torch.ones_like(seen))


def search_3d(smplify: Smplify) -> Search:
    """Independent frames of 3D keypoints."""

    def search(data: DataTerm, betas: Tensor) -> People:
        assert isinstance(data, Measured3D)
        people = smplify.place(start_3d(smplify.folded, smplify.prior, data, betas), data)
        people = smplify.bend(people, data, smplify.options.early_pose_weight)
        return smplify.finish(people, data, smplify.options.pose_weight)

    return search


def search_2d(smplify: Smplify, layout: Layout) -> Search:
    """Independent frames of 2D keypoints: several poses and facings, the best of which tries its limbs mirrored."""
    options = smplify.options

    def search(data: DataTerm, betas: Tensor) -> People:
        assert isinstance(data, Seen2D)
        count = len(data.pixels)
        depth = data.metres_per_pixel[:, 0] * data.camera.fx
        people = start_2d(smplify.folded, layout, smplify.prior, data, depth, betas, _FACINGS)
        rows = torch.arange(len(people), device=betas.device).view(count, -1)
        many = data.select(torch.arange(count, device=betas.device).repeat_interleave(rows.shape[1]))
        torso = torso_rows(layout).to(betas)
        people = smplify.place(people, replace(many, confidence=many.confidence * torso))
        people = smplify.bend(people, many, options.early_pose_weight)
        people = smplify.finish(people, many, options.pose_weight)
        people = _best(smplify, people, many, rows)
        for _ in range(_FLIP_ROUNDS):
            people = _with_flips(smplify, people, data)
        return people

    return search


def seen_by(
    smplify: Smplify, priors: Priors, camera: Camera, pixels: Tensor, confidence: Tensor, betas: Tensor
) -> Seen2D:
    """The data term of 2D frames (B, K, 2), each at the distance its limbs tell."""
    limbs = limb_lengths(smplify.folded, priors)
    return see(camera, pixels, confidence, guess_depth(limbs, camera, pixels, confidence, betas))


def estimate_shape(smplify: Smplify, data: DataTerm, search: Search) -> Float[Tensor, "1 10"]:
    """One set of betas for a recording: some frames fitted from nothing with average betas, then all together."""
    device = data.confidence.device
    betas = torch.zeros(1, 10, device=device)
    seen = (data.confidence > 0).sum(1)
    usable = (seen >= torch.clamp(seen.max() * 3 // 4, min=_MIN_KEYPOINTS)).nonzero()[:, 0]
    if len(usable) == 0:
        return betas
    count = min(_SHAPE_FRAMES, len(usable))
    rows = usable[torch.linspace(0, len(usable) - 1, count, device=device).round().long()]
    some = data.select(rows)
    return smplify.finish_one_shape(search(some, betas), some, smplify.options.pose_weight).betas


@dataclass(frozen=True, eq=False)
class ClipFit:
    """A recording's people, a row a frame, and which frames are not to be trusted."""

    people: People
    flagged: Bool[Tensor, " T"]


def follow(
    smplify: Smplify,
    data: DataTerm,
    betas: Float[Tensor, "1 10"],
    search: Search,
    start: People | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> ClipFit:
    """Frame after frame, each from the pose of the one before; from nothing where there is none or the fit is lost."""
    frames = len(data.confidence)
    weight = smplify.options.pose_weight
    enough = ((data.confidence > 0).sum(1) >= _MIN_KEYPOINTS).tolist()
    found: list[People | None] = []
    flagged = torch.zeros(frames, dtype=torch.bool, device=data.confidence.device)
    before = start
    for frame in range(frames):
        if enough[frame]:
            row = data.select(torch.tensor([frame], device=data.confidence.device))
            tracked = None if before is None else smplify.finish(smplify.place(before, row), row, weight)
            before = _or_from_nothing(smplify, tracked, row, betas, search)
            flagged[frame] = float(smplify.keypoint_error(before, row)) > _LOST_ERROR
        else:
            flagged[frame] = True
        found.append(before)
        if progress is not None:
            progress(frame + 1, frames)
    first = next((people for people in found if people is not None), None)
    if first is None:  # nothing was ever seen: somebody, flagged
        first = search(data.select(torch.tensor([0], device=data.confidence.device)), betas)
    # Frames before the first usable one take its pose.
    people = join_people([first if people is None else people for people in found])
    return ClipFit(replace(people, betas=betas), flagged)


def _or_from_nothing(smplify: Smplify, tracked: People | None, row: DataTerm, betas: Tensor, search: Search) -> People:
    """The tracked fit of a frame; one from nothing where there is none, or where it is bad and that one is better."""
    if tracked is not None and float(smplify.keypoint_error(tracked, row)) <= _LOST_ERROR:
        return tracked
    found = search(row, betas)
    if tracked is None:
        return found
    weight = smplify.options.pose_weight
    return found if float(smplify.energy(found, row, weight)) < float(smplify.energy(tracked, row, weight)) else tracked


def _with_flips(smplify: Smplify, people: People, data: DataTerm) -> People:
    """The people, each with the one mirrored limb that makes their energy lowest, if any does."""
    count = len(people)
    people = replace(people, betas=people.betas.expand(count, -1))
    others = [flipped(people, smplify.folded, limb, choice) for limb in LIMBS for choice in CHOICES]
    rows = torch.arange((1 + len(others)) * count, device=people.transl.device)
    many = data.select(rows % count)
    tried = smplify.finish(join_people([people, *others]), many, smplify.options.pose_weight)
    return _best(smplify, tried, many, rows.view(-1, count).T)


def _best(smplify: Smplify, people: People, data: DataTerm, rows: Tensor) -> People:
    """Of each row of candidates (B, G), the one of the lowest energy."""
    energy = smplify.energy(people, data, smplify.options.pose_weight)
    return people.select(rows.gather(1, energy[rows].argmin(1, keepdim=True))[:, 0])
