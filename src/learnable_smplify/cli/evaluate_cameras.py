"""The parts pictures, camera, cameras and refine2d of `lsmplify evaluate`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

from learnable_smplify.cli.tables import Measured
from learnable_smplify.evaluation.cameras import (
    camera_table,
    evaluate_poses,
    evaluate_views,
    in_pixels,
    smplify,
    triangulated,
)
from learnable_smplify.evaluation.clips import Clip
from learnable_smplify.evaluation.errors import Progress
from learnable_smplify.evaluation.refinement2d import evaluate_view_refinement, view_refine_table
from learnable_smplify.evaluation.rig import Damage
from learnable_smplify.solver import Solver

CameraPart = Literal["pictures", "camera", "cameras", "refine2d"]
CAMERA_PARTS = get_args(CameraPart)
_POSES = 50


def evaluate_cameras(
    parts: Sequence[str],
    sources: dict[str, list[Clip]],
    solver: Solver,
    done: Measured,
    progress: Progress,
) -> None:
    """Measure these parts, each of every source.

    Args:
        sources: names and clips of motion.
        done: where the rows go, and their tables.
    """
    body, known, unknown = solver.body, in_pixels(solver), in_pixels(solver, knows_betas=False)
    for source, clips in sources.items():
        if "pictures" in parts:
            alone = [("guesses in pixels, one alone", known)]
            together = [("guesses in pixels", solver.view_solver().solve_pictures), ("SMPLify", smplify(body))]
            progress(f"{source}: poses seen by one camera")
            poses = [row for noise in (0.0, 5.0) for row in evaluate_poses(clips, body, alone, together, _POSES, noise)]
            title = f"{_POSES} poses from nothing, one camera, betas known, {source}"
            done.add(f"pictures: {source}", poses, camera_table(poses, title))
        if "camera" in parts:
            one = [("betas known", known), ("betas not known", unknown)]
            damages = [("clean", Damage()), ("5 px noise", Damage(5.0))]
            whole = evaluate_views(clips, body, one, 1, damages, progress)
            title = f"Whole clips from nothing, one camera, {source}"
            done.add(f"camera: {source}", whole, camera_table(whole, title))
        if "cameras" in parts:
            in_space = ("triangulate, then fit", triangulated(solver))
            several = [in_space, ("in pixels", known), ("in pixels, betas not known", unknown)]
            damages = [
                ("clean", Damage()),
                ("5 px, 10 % missing", Damage(5.0, 0.1)),
                ("5 px, 10 % missing, one camera's sides exchanged", Damage(5.0, 0.1, (3,))),
                ("5 px, 10 % missing, three cameras' sides exchanged", Damage(5.0, 0.1, (0, 1, 3))),
            ]
            rows = evaluate_views(clips, body, several, 4, damages, progress)
            title = f"Whole clips from nothing, four cameras, {source}"
            done.add(f"cameras: {source}", rows, camera_table(rows, title))
        if "refine2d" in parts:
            refined = evaluate_view_refinement(clips, solver, progress=progress)
            done.add(f"refine2d: {source}", refined, view_refine_table(refined, source))
