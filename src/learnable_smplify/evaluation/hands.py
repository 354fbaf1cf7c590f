"""Random hands as points of every layout that has them, and back; limits that hold whatever the noise; time."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from learnable_smplify.body import Body
from learnable_smplify.body.fingers import FingeredBody
from learnable_smplify.body.kinematics import rest_offsets, world_rotations
from learnable_smplify.errors import InputError
from learnable_smplify.evaluation.errors import Progress, silent
from learnable_smplify.evaluation.markdown import Columns, table, table_of
from learnable_smplify.evaluation.random_people import random_hands, random_people
from learnable_smplify.formats.keypoints.file_points import HANDS_ALONE
from learnable_smplify.hands import NUM_HAND_POINTS, HandKeypoints
from learnable_smplify.keypoints import Keypoints
from learnable_smplify.motion import Motion
from learnable_smplify.rotation import rotmat_to_rotvec, rotvec_to_rotmat
from learnable_smplify.skeleton import NUM_JOINTS, WRISTS
from learnable_smplify.solver import Solver
from learnable_smplify.solver.frame.priors import load_priors
from learnable_smplify.solver.hand.anatomy import Anatomy
from learnable_smplify.solver.hand.arm import wrists_beyond
from learnable_smplify.solver.hand.recording import with_hands

# Of the layouts that come with hands, the body's part.
LAYOUTS: dict[str, str] = {
    "body25": "OpenPose 25 + 21 + 21, EasyMocap bodyhand",
    "body25b": "OpenPose 135",
    "coco_feet23": "COCO-WholeBody 133",
    "halpe26": "Halpe 136, Halpe 68",
    "mediapipe33": "MediaPipe holistic, freemocap",
    "mhr70": "SAM 3D Body",
    "hands": "two hands alone",
}
# Orders whose hands have no wrist of their own.
_WITHOUT_WRIST = ("body25b",)
# Noise of every coordinate [m], and the share of the hands' points that are missing.
CONDITIONS: dict[str, tuple[float, float]] = {
    "clean": (0.0, 0.0),
    "5 mm noise": (0.005, 0.0),
    "20 % missing": (0.0, 0.2),
    "both": (0.005, 0.2),
}
_WRISTS = list(WRISTS)
_TIPS = [index for index in range(1, NUM_HAND_POINTS) if index % 4 == 0]


@dataclass(frozen=True)
class HandRow:
    """Single frames, each of its own person, betas given; means over poses and both hands.

    Args:
        layout, condition, poses: what was fitted.
        tip_mm: how far the fingertips are off in the world.
        joint_deg: rotations of the finger joints.
        wrist_deg, wrist_alone_deg: rotation of the hand in the world, with and without its points.
        local_deg, local_alone_deg: rotation of the wrist joint against the forearm, whose own roll no keypoint shows.
    """

    layout: str
    condition: str
    poses: int
    tip_mm: float
    joint_deg: float
    wrist_deg: float
    wrist_alone_deg: float
    local_deg: float
    local_alone_deg: float


@dataclass(frozen=True)
class LimitRow:
    """Hands of random points: how far the worst joint, wrists too, is beyond its limits [deg]; how many were solved."""

    frames: int
    beyond_deg: float


@dataclass(frozen=True)
class HandTimes:
    """Median time of a frame in a stream [ms]: body alone, and with both hands."""

    body_ms: float
    hands_ms: float


def evaluate_hands(
    body: Body,
    solver: Solver,
    layouts: Sequence[str] = tuple(LAYOUTS),
    conditions: Sequence[str] = tuple(CONDITIONS),
    poses: int = 200,
    progress: Progress = silent,
) -> list[HandRow]:
    """The same random bodies (of the pose prior, facing anywhere) with random hands (`random_hands`) in every layout.

    Raises:
        InputError: a body without fingers.
    """
    fingers = _fingers(body)
    generator = torch.Generator().manual_seed(0)
    pose, betas, transl = random_people(poses, generator)
    hands = torch.cat([random_hands(Anatomy.of(fingers.rest(person)), 1, generator) for person in betas])
    true = pose, hands, betas, transl
    points = fingers.hand_points(*true)
    rows = []
    for layout in layouts:
        keypoints = body.keypoints(pose, betas, transl, layout)
        if layout == "hands":
            keypoints = points.flatten(1, 2)[:, list(HANDS_ALONE)]
        alone: dict[float, list[Motion]] = {}
        for condition in conditions:
            noise, missing = CONDITIONS[condition]
            found, plain = [], noise not in alone
            for index in range(poses):
                progress(f"hands: {layout}, {condition}, pose {index + 1} of {poses}")
                frame = keypoints[index] + noise * torch.randn(keypoints[index].shape, generator=generator)
                shown = points[index : index + 1] + noise * torch.randn(1, *points.shape[1:], generator=generator)
                trust = (torch.rand(1, *points.shape[1:3], generator=generator) >= missing).float()
                if layout in _WITHOUT_WRIST:
                    trust[:, :, 0] = 0
                seen = Keypoints(frame, layout, hands=HandKeypoints(shown, trust))
                found.append(solver.fit(seen, betas[index]))
                if plain:
                    alone.setdefault(noise, []).append(solver.fit(Keypoints(frame, layout), betas[index]))
            rows.append(_row(body, layout, condition, found, alone[noise], true))
    return rows


def evaluate_limits(body: Body, frames: int = 10_000, progress: Progress = silent) -> LimitRow:
    """Hands of nonsense: random hands with 30 mm of noise and 20 % missing, each frame after another one's."""
    fingers, priors = _fingers(body), load_priors()
    generator = torch.Generator().manual_seed(0)
    betas = torch.zeros(10)
    offsets = rest_offsets(body.joints(torch.zeros(1, NUM_JOINTS, 3), betas[None]))
    anatomy, beyond, done = Anatomy.of(fingers.rest(betas)), 0.0, 0
    while done < frames:
        count = min(500, frames - done)
        motion = Motion(torch.zeros(count, NUM_JOINTS, 3), torch.zeros(count, 3), betas, body=body.name)
        true = random_hands(anatomy, count, generator)
        points = fingers.hand_points(motion.pose, true, betas[None], motion.transl)
        points = points + 0.03 * torch.randn(points.shape, generator=generator)
        trust = (torch.rand(points.shape[:3], generator=generator) >= 0.2).float()
        fitted = with_hands(motion, HandKeypoints(points, trust), body, priors)
        assert fitted.hand_pose is not None
        wrists = wrists_beyond(rotvec_to_rotmat(fitted.pose), offsets)
        beyond = max(beyond, float(anatomy.beyond(anatomy.turns(fitted.hand_pose)).max()), float(wrists.max()))
        done += count
        progress(f"hands: limits, frame {done} of {frames}")
    return LimitRow(frames, float(torch.rad2deg(torch.tensor(beyond))))


def evaluate_hand_times(body: Body, solver: Solver, frames: int = 300) -> HandTimes:
    """A person who moves, frame by frame, once without and once with both hands; turn about, so that both see the same
    machine."""
    fingers = _fingers(body)
    generator = torch.Generator().manual_seed(0)
    betas, priors = torch.zeros(10), load_priors()
    anatomy = Anatomy.of(fingers.rest(betas))
    share = (0.5 - 0.5 * torch.cos(torch.linspace(0, 12, frames)))[:, None]
    ends = 0.5 * torch.randn(2, 3 * NUM_JOINTS - 3, generator=generator)
    pose = rotmat_to_rotvec(priors.poses_of(torch.lerp(ends[:1], ends[1:], share)))
    closed = anatomy.turns(random_hands(anatomy, 2, generator)).flatten(1)
    hands = anatomy.pose(torch.lerp(closed[:1], closed[1:], share).unflatten(1, (2, 5, 9)))
    transl = torch.zeros(frames, 3)
    keypoints = body.keypoints(pose, betas, transl)
    points = fingers.hand_points(pose, hands, betas[None], transl)
    plain, whole = solver.stream(betas=betas), solver.stream(betas=betas)
    spent: list[tuple[float, float]] = []
    for frame in range(frames):
        start = time.perf_counter()
        plain.push(keypoints[frame])
        middle = time.perf_counter()
        whole.push(keypoints[frame], hands=HandKeypoints(points[frame : frame + 1]))
        spent.append((middle - start, time.perf_counter() - middle))
    median = torch.tensor(spent[frames // 10 :], dtype=torch.float64).median(dim=0).values
    return HandTimes(1000 * float(median[0]), 1000 * float(median[1]))


def hand_table(rows: Sequence[HandRow]) -> str:
    """Round trips of hands as Markdown."""
    columns: Columns[HandRow] = [
        ("layout", lambda row: row.layout),
        ("of", lambda row: LAYOUTS.get(row.layout, "")),
        ("condition", lambda row: row.condition),
        ("fingertips [mm]", lambda row: f"{row.tip_mm:.1f}"),
        ("finger joints [deg]", lambda row: f"{row.joint_deg:.1f}"),
        ("hand's rotation [deg]", lambda row: f"{row.wrist_deg:.1f}"),
        ("without its points", lambda row: f"{row.wrist_alone_deg:.1f}"),
        ("wrist against forearm [deg]", lambda row: f"{row.local_deg:.1f}"),
        ("without", lambda row: f"{row.local_alone_deg:.1f}"),
    ]
    return table_of(
        f"Single frames from nothing: {rows[0].poses} random poses with random hands, and back", rows, columns
    )


def hand_facts_table(limits: LimitRow, times: HandTimes) -> str:
    """Limits and times of hands as Markdown."""
    return table(
        "Hands: limits and time",
        ("what", "measured"),
        (
            (f"worst joint beyond its limits, {limits.frames:,} frames of 30 mm noise", f"{limits.beyond_deg:.4f} deg"),
            ("one frame of a stream, body alone", f"{times.body_ms:.2f} ms"),
            ("one frame of a stream, with both hands", f"{times.hands_ms:.2f} ms"),
            ("times as long", f"{times.hands_ms / times.body_ms:.2f}"),
        ),
    )


def _fingers(body: Body) -> FingeredBody:
    if body.hands is None:
        raise InputError(f"the body '{body.name}' has no fingers", expected="the open body, SMPL-H or SMPL-X")
    return body.hands


def _row(
    body: Body,
    layout: str,
    condition: str,
    found: list[Motion],
    without: list[Motion],
    true: tuple[Tensor, Tensor, Tensor, Tensor],
) -> HandRow:
    pose, hands, betas, transl = true
    fitted, alone = (torch.cat([motion.pose for motion in motions]) for motions in (found, without))
    fingers = torch.cat([motion.hand_pose for motion in found if motion.hand_pose is not None])
    moved = torch.cat([motion.transl for motion in found])
    body_hands = _fingers(body)
    gap = body_hands.hand_points(fitted, fingers, betas, moved) - body_hands.hand_points(pose, hands, betas, transl)
    return HandRow(
        layout=layout,
        condition=condition,
        poses=len(found),
        tip_mm=1000 * float(gap[:, :, _TIPS].norm(dim=-1).mean()),
        joint_deg=_apart(rotvec_to_rotmat(fingers), rotvec_to_rotmat(hands)),
        wrist_deg=_apart(_world(fitted), _world(pose)),
        wrist_alone_deg=_apart(_world(alone), _world(pose)),
        local_deg=_apart(rotvec_to_rotmat(fitted[:, _WRISTS]), rotvec_to_rotmat(pose[:, _WRISTS])),
        local_alone_deg=_apart(rotvec_to_rotmat(alone[:, _WRISTS]), rotvec_to_rotmat(pose[:, _WRISTS])),
    )


def _world(pose: Float[Tensor, "N 24 3"]) -> Float[Tensor, "N 2 3 3"]:
    return world_rotations(rotvec_to_rotmat(pose))[:, _WRISTS]


def _apart(found: Float[Tensor, "*N 3 3"], true: Float[Tensor, "*N 3 3"]) -> float:
    """Mean angle between rotations [deg]."""
    return float(torch.rad2deg(rotmat_to_rotvec(found @ true.mT).norm(dim=-1)).mean())
