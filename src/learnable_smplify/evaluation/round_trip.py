"""Random poses as keypoints of every layout, and back: what a layout lets the solver know."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from learnable_smplify import metrics
from learnable_smplify.body import Body
from learnable_smplify.body.fold import FoldedPoints
from learnable_smplify.body.observed import placed_joints, unobserved_joints, unobserved_mask
from learnable_smplify.evaluation.errors import Progress, silent
from learnable_smplify.evaluation.markdown import Columns, table_of
from learnable_smplify.evaluation.random_people import random_people
from learnable_smplify.keypoints import Keypoints
from learnable_smplify.layouts.layout import layout_names
from learnable_smplify.rotation import rotmat_to_rotvec, rotvec_to_rotmat
from learnable_smplify.solver import Solver
from learnable_smplify.solver.frame.priors import Priors, load_priors

# A pose is found when its joints are off by less than this on average [mm].
FOUND_MM = 25.0


@dataclass(frozen=True)
class RoundTripRow:
    """Poses of one layout, each a single frame of its own person; MPJPE with pelvis joints laid on each other.

    Args:
        betas: "known" or "unknown" to the solver.
        poses: how many.
        mpjpe_mm, found_share: mean over the 24 joints; share of the poses in which it is below 25 mm.
        placed_mpjpe_mm, placed_found_share: the same over the joints whose position the keypoints decide.
        unplaced_mpjpe_mm: over the others, which lie beyond an unobserved joint; NaN where there is none.
        unobserved: joints whose rotation moves no keypoint of the layout.
        unobserved_deg: how far their rotations are from the truth [deg]; NaN where there is none.
        from_prior_deg: and from what the pose prior expects of them, given the other joints as found [deg].
    """

    layout: str
    betas: str
    poses: int
    mpjpe_mm: float
    found_share: float
    placed_mpjpe_mm: float
    placed_found_share: float
    unplaced_mpjpe_mm: float
    unobserved: tuple[str, ...]
    unobserved_deg: float
    from_prior_deg: float


def evaluate_round_trip(
    body: Body,
    solver: Solver,
    layouts: Sequence[str] | None = None,
    poses: int = 200,
    progress: Progress = silent,
) -> list[RoundTripRow]:
    """The same random poses (of the pose prior, facing anywhere) and people (betas N(0, 1)) in every layout.

    With betas unknown each pose is fitted as a recording of one frame; with betas known all are searched at once.
    """
    priors = load_priors()
    generator = torch.Generator().manual_seed(0)
    pose, betas, transl = random_people(poses, generator)
    rows = []
    for layout in layout_names() if layouts is None else layouts:
        keypoints, folded = body.keypoints(pose, betas, transl, layout), body.folded(layout)
        progress(f"round trip: {layout}, betas known")
        known = solver.solve_frames(keypoints, betas, layout=layout)[0].cpu()
        rows.append(_row(body, folded, layout, "known", (known, betas), (pose, betas), priors))
        fitted = []
        for index, frame in enumerate(keypoints):
            progress(f"round trip: {layout}, betas unknown, pose {index + 1} of {poses}")
            fitted.append(solver.fit(Keypoints(frame, layout)))
        found = torch.cat([motion.pose for motion in fitted]), torch.stack([motion.betas for motion in fitted])
        rows.append(_row(body, folded, layout, "unknown", found, (pose, betas), priors))
    return rows


def round_trip_table(rows: Sequence[RoundTripRow]) -> str:
    """Round trips as Markdown."""

    def known(value: float) -> str:
        return "" if math.isnan(value) else f"{value:.1f}"

    columns: Columns[RoundTripRow] = [
        ("layout", lambda row: row.layout),
        ("betas", lambda row: row.betas),
        ("below 25 mm", lambda row: f"{100 * row.found_share:.1f} %"),
        ("MPJPE [mm]", lambda row: f"{row.mpjpe_mm:.1f}"),
        ("joints placed by keypoints: below 25 mm", lambda row: f"{100 * row.placed_found_share:.1f} %"),
        ("MPJPE", lambda row: f"{row.placed_mpjpe_mm:.1f}"),
        ("other joints", lambda row: known(row.unplaced_mpjpe_mm)),
        ("unobserved joints: off [deg]", lambda row: known(row.unobserved_deg)),
        ("from the prior [deg]", lambda row: known(row.from_prior_deg)),
        ("which", lambda row: _both_sides(row.unobserved)),
    ]
    title = f"Single frames from nothing: {rows[0].poses} random poses as keypoints of a layout, and back"
    return table_of(title, rows, columns)


def _row(
    body: Body,
    folded: FoldedPoints,
    layout: str,
    known: str,
    found: tuple[Tensor, Tensor],
    true: tuple[Tensor, Tensor],
    priors: Priors,
) -> RoundTripRow:
    unobserved, placed = unobserved_mask(folded), placed_joints(folded)
    joints, true_joints = (body.joints(*people) for people in (found, true))
    error = 1000 * ((joints - joints[:, :1]) - (true_joints - true_joints[:, :1])).norm(dim=-1)
    whole = metrics.mpjpe(joints, true_joints, joints[:, 0], true_joints[:, 0], per_frame=True)
    rotmat, true_rotmat = rotvec_to_rotmat(found[0]), rotvec_to_rotmat(true[0])
    off = rotmat_to_rotvec(rotmat.mT @ true_rotmat).norm(dim=-1)
    return RoundTripRow(
        layout=layout,
        betas=known,
        poses=len(error),
        mpjpe_mm=float(whole.mean()),
        found_share=float((whole < FOUND_MM).float().mean()),
        placed_mpjpe_mm=float(error[:, placed].mean()),
        placed_found_share=float((error[:, placed].mean(dim=1) < FOUND_MM).float().mean()),
        unplaced_mpjpe_mm=float(error[:, ~placed].mean()),
        unobserved=unobserved_joints(folded),
        unobserved_deg=float(torch.rad2deg(off[:, unobserved]).mean()),
        from_prior_deg=float(torch.rad2deg(_from_prior(rotmat, unobserved, priors)).mean()),
    )


def _from_prior(
    rotmat: Float[Tensor, "N 24 3 3"], unobserved: Bool[Tensor, "24"], priors: Priors
) -> Float[Tensor, "N U"]:
    """How far the unobserved joints are from the pose prior's mean for them, given the other joints [rad]."""
    error = rotmat_to_rotvec(rotmat @ priors.pose_mean.mT)
    error[:, 0] = 0
    flat, alone = error.flatten(1), unobserved.repeat_interleave(3)
    precision = priors.pose_precision
    expected = -torch.linalg.solve(precision[alone][:, alone], precision[alone][:, ~alone] @ flat[:, ~alone].T).T
    return (flat[:, alone] - expected).unflatten(-1, (-1, 3)).norm(dim=-1)


def _both_sides(names: Sequence[str]) -> str:
    """Joints in words, left and right together."""
    return ", ".join(dict.fromkeys(name.removeprefix("left_").removeprefix("right_") for name in names))
