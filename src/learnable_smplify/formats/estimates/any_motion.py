"""A motion from whatever holds one: a motion file, or an estimator's result."""

from __future__ import annotations

from pathlib import Path

import torch

from learnable_smplify.body.body import Body, load_body
from learnable_smplify.body.open_body import OPEN_BODIES
from learnable_smplify.errors import InputError
from learnable_smplify.formats.estimates import Estimate, read_estimates
from learnable_smplify.formats.motion.motion_file import READERS, read_motion
from learnable_smplify.formats.motion.up import turned
from learnable_smplify.motion import Motion

_DEFAULT_FPS = 30.0


def read_any_motion(
    path: Path, body: Body | None, person: str | None = None, fps: float | None = None, *, level: bool = False
) -> tuple[Motion, tuple[str, ...]]:
    """A motion file, or one person of an estimator's result, with notes for the user.

    Args:
        path: a file, or an estimator's folder.
        body: the body it is for; needed where an estimator turns it about another point than the pelvis.
        person: whose track; None takes the one seen most.
        fps: frames a second of an estimator's video, where its file does not say; None means 30.
        level: stand a person in a camera's frame (y down) upright, as if the camera had been held level.

    Raises:
        InputError: no such file, or one that is neither; for a motion file that is damaged, why.
    """
    return _as_motion(_read(path, person), body, fps, level)


def read_motion_and_body(
    path: Path, body: str | None, person: str | None = None, fps: float | None = None
) -> tuple[Motion, tuple[str, ...], Body | None]:
    """As `read_any_motion`, upright, and the body called `body`, of the gender that the betas in the file belong to.

    Raises:
        InputError: as `read_any_motion`, or no such body.
    """
    found = _read(path, person)
    if body is None:
        return (*_as_motion(found, None, fps, True), None)
    gender = (found if isinstance(found, Motion) else max(found, key=len)).gender
    loaded = load_body(body, "neutral" if body in OPEN_BODIES else gender)
    return (*_as_motion(found, loaded, fps, True), loaded)


def _read(path: Path, person: str | None) -> Motion | list[Estimate]:
    """A motion file, or the people of an estimator's result."""
    if path.suffix.lower() in READERS and person is None:
        try:
            return read_motion(path)
        except InputError as error:
            if not path.is_file():
                raise
            try:  # estimators write .npz too
                return read_estimates(path)
            except InputError as other:
                raise (other if "these are keypoints" in str(other) else error) from None
    return read_estimates(path, person)


def _as_motion(
    found: Motion | list[Estimate], body: Body | None, fps: float | None, level: bool
) -> tuple[Motion, tuple[str, ...]]:
    """The motion of the person seen most, and notes; arguments as of `read_any_motion`."""
    if isinstance(found, Motion):
        return found, found.notes
    chosen = max(found, key=len)
    notes: tuple[str, ...] = ()
    if len(found) > 1:
        others = ", ".join(one.person_id for one in found if one is not chosen)
        notes += (f"person {chosen.person_id} of several (--person for another: {others})",)
    rate = fps or chosen.fps
    if rate is None:
        notes += (f"no frame rate in the file, {_DEFAULT_FPS:g} is taken (--fps; of convert: --video-fps)",)
    motion = chosen.to_motion(rate or _DEFAULT_FPS, body)
    if level and chosen.frame == "camera" and motion.up_axis is None:
        motion = _levelled(motion, chosen, body)
        notes += ("the person is in the camera's frame, y down: turned upright as if the camera was held level",)
    return motion, (*motion.notes, *notes)


def _levelled(motion: Motion, estimate: Estimate, body: Body | None) -> Motion:
    """Half a turn about x, the way a level camera looks, about the camera."""
    half_turn = torch.diag(torch.tensor([1.0, -1.0, -1.0], dtype=torch.float64))
    # Without the body the pelvis is taken to be at the origin in the rest pose: the person is off by a constant.
    pelvis = torch.zeros(3, dtype=torch.float64)
    if body is not None and body.name == estimate.body:
        pelvis = body.joints(torch.zeros(24, 3), motion.betas)[0, 0].to(torch.float64)
    return turned(motion, half_turn, "y", pelvis)
