"""SMPLify on pairs, on single frames and on recordings: where it starts, and in which order its stages run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace

import torch
from jaxtyping import Float
from torch import Tensor

from learnable_smplify.layouts.layout import Layout
from learnable_smplify.rotation import rotvec_to_rotmat
from learnable_smplify.solver.frame.levenberg_marquardt import PoseSolution
from learnable_smplify.solver.frame.numeric import placed_start
from learnable_smplify.solver.frame.pair_input import PairInput
from learnable_smplify.solver.frame.tracking import ClipOptions, Finder
from learnable_smplify.solver.shape.estimate import telling_frames
from learnable_smplify.solver.smplify.flips import CHOICES, LIMBS, flipped
from learnable_smplify.solver.smplify.smplify import People, Smplify, posed_people
from learnable_smplify.solver.smplify.start import start_2d, start_3d, torso_rows
from learnable_smplify.solver.smplify.terms import DataTerm, Measured3D, Seen2D

# From frames of keypoints and betas (1 or B, 10), people found from nothing.
Search = Callable[[DataTerm, Tensor], People]

# Frames that betas are estimated from: spread over the recording.
_SHAPE_FRAMES = 16
_FLIP_ROUNDS = 3


def fit_pairs(smplify: Smplify, pairs: PairInput) -> PoseSolution:
    """Rotations and transl from start poses that are laid on the keypoints as a whole.

    Nothing but descent keeps the pose near its start. Problems without keypoints keep theirs.
    """
    rotmat, transl = placed_start(smplify.folded, pairs)
    data = Measured3D(pairs.keypoints, pairs.confidence)
    weight = smplify.options.start_pose_weight
    people = smplify.place(posed_people(rotmat, transl, pairs.betas), data)
    people = smplify.finish(smplify.bend(people, data, weight), data, weight)
    seen = (pairs.confidence > 0).any(1)
    found = torch.where(seen[:, None, None, None], people.local_rotmat(), rotvec_to_rotmat(pairs.start_pose))
    distance = smplify.keypoint_error(people, data)
    return PoseSolution(found, torch.where(seen[:, None], people.transl, transl), distance, seen, distance)


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
        people = start_2d(smplify.folded, layout, smplify.prior, data, betas)
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


def estimate_shape(smplify: Smplify, data: DataTerm, search: Search) -> Float[Tensor, "1 10"]:
    """One set of betas for a recording: some frames fitted from nothing with average betas, then all together."""
    betas = torch.zeros(1, 10, device=data.confidence.device)
    rows = telling_frames(data.confidence, _SHAPE_FRAMES, ClipOptions().min_keypoints)
    if len(rows) == 0:
        return betas
    some = data.select(rows)
    return smplify.finish_one_shape(search(some, betas), some, smplify.options.pose_weight).betas


def finder(
    smplify: Smplify, measure: Callable[[Tensor, Tensor], DataTerm], betas: Float[Tensor, "1 10"], search: Search
) -> Finder:
    """How a person with these betas is found in frame after frame.

    Args:
        measure: the data term of keypoints and their confidence.
    """

    def solution(people: People, data: DataTerm) -> PoseSolution:
        distance = smplify.keypoint_error(people, data)
        return PoseSolution(people.local_rotmat(), people.transl, distance, torch.isfinite(distance), distance)

    def follow(rotmat: Tensor, transl: Tensor, measured: Tensor, confidence: Tensor, _seconds: float) -> PoseSolution:
        data = measure(measured, confidence)
        people = smplify.place(posed_people(rotmat, transl, betas), data)
        return solution(smplify.finish(people, data, smplify.options.pose_weight), data)

    def search_alone(measured: Tensor, confidence: Tensor) -> PoseSolution:
        data = measure(measured, confidence)
        return solution(search(data, betas), data)

    return Finder(follow, search_alone)


def _with_flips(smplify: Smplify, people: People, data: DataTerm) -> People:
    """The people, each with the one mirrored limb that makes their energy lowest, if any does."""
    count = len(people)
    people = replace(people, betas=people.betas.expand(count, -1))
    every = [people, *(flipped(people, smplify.folded, limb, choice) for limb in LIMBS for choice in CHOICES)]
    rows = torch.arange(len(every) * count, device=people.transl.device)
    many = data.select(rows % count)
    joined = People(*(torch.cat([getattr(one, field.name) for one in every]) for field in fields(People)))
    tried = smplify.finish(joined, many, smplify.options.pose_weight)
    return _best(smplify, tried, many, rows.view(-1, count).T)


def _best(smplify: Smplify, people: People, data: DataTerm, rows: Tensor) -> People:
    """Of each row of candidates (B, G), the one of the lowest energy."""
    energy = smplify.energy(people, data, smplify.options.pose_weight)
    return people.select(rows.gather(1, energy[rows].argmin(1, keepdim=True))[:, 0])
