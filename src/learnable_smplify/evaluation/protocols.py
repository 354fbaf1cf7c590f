"""Protocols on the field's data sets: the paper's, which gives much away, and one that gives nothing.

- "paper": pairs at strides 1, 3, 5, 7, 9 of motion at 30 frames a second, with the true start pose and betas; and whole
  clips frame after frame from the true first pose with the true betas. Keypoints are the body's own, without noise.
- "standard": whole clips from their keypoints alone.

The authors' evaluation also starts again from the truth every 61st frame; that is not repeated here.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from learnable_smplify import metrics
from learnable_smplify.body import Body
from learnable_smplify.datasets.sequence import DatasetSequence
from learnable_smplify.errors import InputError
from learnable_smplify.evaluation.clips import Clip, make_pairs
from learnable_smplify.evaluation.errors import Progress, in_chunks, means, mesh_and_joints, mesh_errors, silent
from learnable_smplify.evaluation.markdown import Columns, table_of
from learnable_smplify.evaluation.pairs import FPS, STRIDES, Condition, Method, PairRow, damaged
from learnable_smplify.keypoints import Keypoints
from learnable_smplify.resample import resample_motion
from learnable_smplify.skeleton import JOINT_INDEX
from learnable_smplify.solver import Solver
from learnable_smplify.timeline import runs

Protocol = Literal["paper", "standard"]
Alignment = Literal["pelvis", "reference"]
_ALIGNED_AT: dict[Alignment, int] = {
    "pelvis": JOINT_INDEX["pelvis"],
    # The authors take joint 8, BODY_25's mid-hip, of SMPL's own 24 joints, where it is the right ankle.
    "reference": JOINT_INDEX["right_ankle"],
}


def clips_of(sequences: Iterable[DatasetSequence]) -> list[Clip]:
    """Sequences as clips at `FPS` with the people's own betas, cut where frames are not valid.

    Raises:
        InputError: no two valid frames in a row anywhere.
    """
    clips = []
    for sequence in sequences:
        motion = resample_motion(sequence.to_motion(), FPS)
        for first, end in runs((~motion.flagged).numpy()):
            if end - first > 1:
                name = sequence.name if end - first == len(motion) else f"{sequence.name} from frame {first}"
                clips.append(Clip(name, motion.pose[first:end], motion.transl[first:end], FPS, motion.betas))
    if not clips:
        raise InputError("no two frames in a row are valid in any sequence", expected="motion")
    return clips


def paper_pairs(
    clips: list[Clip],
    body: Body,
    methods: list[Method],
    every: int,
    align: Alignment = "pelvis",
    progress: Progress = silent,
) -> list[PairRow]:
    """All methods on the same pairs with clean keypoints; PVE and MPJPE aligned at the joint `align` names."""
    pairs = {stride: make_pairs(clips, stride, every) for stride in STRIDES}
    number = sum(len(group) for group in pairs.values())
    rows = []
    for method in methods:
        progress(f"pairs: {method.name}")
        errors, seconds = [], 0.0
        for group in pairs.values():
            keypoints, _ = damaged(body, group, Condition("clean"))
            began = time.perf_counter()
            pose = group.start_pose
            if method.solver is not None:
                pose = method.solver.solve_pairs(pose, keypoints, group.betas)[0].cpu()
            seconds += time.perf_counter() - began
            found = frame_errors(body, (pose, group.betas), (group.target_pose, group.betas), align)
            errors.append([float(error.mean()) for error in found[:3]])
        pve, pa_pve, mpjpe = zip(*errors, strict=True)
        ms = 1000 * seconds / number
        rows.append(PairRow(method.name, "clean", STRIDES, number, pve, pa_pve, mpjpe, ms, (0.0,) * 5))
    return rows


@dataclass(frozen=True)
class ClipRow:
    """One way of fitting whole clips; means over all frames.

    Args:
        given: what the solver was told besides the keypoints.
        flagged_share: frames the solver does not trust; they count in the means as well.
    """

    method: str
    given: str
    clips: int
    frames: int
    pve_mm: float
    pa_pve_mm: float
    mpjpe_mm: float
    pa_mpjpe_mm: float
    flagged_share: float
    ms_a_frame: float


def whole_clips(
    clips: list[Clip],
    body: Body,
    methods: list[tuple[str, Solver]],
    protocol: Protocol,
    align: Alignment = "pelvis",
    progress: Progress = silent,
) -> list[ClipRow]:
    """Fit every clip from clean BODY_25 keypoints, with what the protocol gives.

    Raises:
        InputError: a clip without betas: it came without a person.
    """
    rows = []
    for name, solver in methods:
        found, seconds = [], 0.0
        for clip in clips:
            if clip.betas is None:
                raise InputError(f"clip '{clip.name}' has no betas", expected="clips of a data set")
            progress(f"{protocol}, {name}: {clip.name}")
            keypoints = Keypoints(body.keypoints(clip.pose, clip.betas, clip.transl), "body25", clip.fps)
            began = time.perf_counter()
            if protocol == "paper":
                motion = solver.fit(keypoints, clip.betas, start=(clip.pose[0], clip.transl[0]))
            else:
                motion = solver.fit(keypoints)
            seconds += time.perf_counter() - began
            errors = frame_errors(body, (motion.pose, motion.betas), (clip.pose, clip.betas), align)
            found.append((*errors, motion.flagged.float()))
        frames = sum(len(clip.pose) for clip in clips)
        given = "first pose, betas" if protocol == "paper" else "nothing"
        pve, pa_pve, mpjpe, pa_mpjpe, flagged = means(found)
        ms = 1000 * seconds / frames
        rows.append(ClipRow(name, given, len(clips), frames, pve, pa_pve, mpjpe, pa_mpjpe, flagged, ms))
    return rows


def frame_errors(
    body: Body, found: tuple[Tensor, Tensor], true: tuple[Tensor, Tensor], align: Alignment
) -> tuple[Tensor, ...]:
    """PVE, PA-PVE, MPJPE and PA-MPJPE [mm] of every frame, each (N,).

    Args:
        body: both are posed on it.
        found, true: pose (N, 24, 3) rotvec [rad] and betas (10,) or (N, 10).
        align: the joint that PVE and MPJPE lay on each other.
    """

    def errors(rows: Tensor) -> tuple[Tensor, ...]:
        mine, truth = (
            mesh_and_joints(body, pose[rows], betas if betas.ndim == 1 else betas[rows])
            for pose, betas in (found, true)
        )
        pa_mpjpe = metrics.pa_mpjpe(mine[1], truth[1], per_frame=True)
        return (*mesh_errors(mine, truth, _ALIGNED_AT[align]), pa_mpjpe)

    return in_chunks(len(found[0]), errors)


def clip_table(rows: Sequence[ClipRow], align: Alignment) -> str:
    """Errors on whole clips as Markdown."""
    columns: Columns[ClipRow] = [
        ("method", lambda row: row.method),
        ("given", lambda row: row.given),
        ("PVE [mm]", lambda row: f"{row.pve_mm:.1f}"),
        ("PA-PVE", lambda row: f"{row.pa_pve_mm:.1f}"),
        ("MPJPE", lambda row: f"{row.mpjpe_mm:.1f}"),
        ("PA-MPJPE", lambda row: f"{row.pa_mpjpe_mm:.1f}"),
        ("flagged", lambda row: f"{100 * row.flagged_share:.1f} %"),
        ("ms a frame", lambda row: f"{row.ms_a_frame:.2f}"),
    ]
    where = "the pelvis" if align == "pelvis" else "the right ankle, as in the authors' code"
    title = f"Whole clips, clean keypoints, aligned at {where} ({rows[0].clips} clips, {rows[0].frames:,} frames)"
    return table_of(title, rows, columns)
