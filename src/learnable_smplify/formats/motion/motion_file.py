"""Motion files by suffix. To add a format: write `formats/<format>.py` and name it in the two tables here."""

from __future__ import annotations

from collections.abc import Callable
from os import PathLike
from pathlib import Path

from learnable_smplify.body.body import Body
from learnable_smplify.errors import InputError
from learnable_smplify.formats.motion.amass import PoseLayout, read_amass, write_amass
from learnable_smplify.formats.motion.bvh_writer import write_bvh
from learnable_smplify.formats.motion.glb import write_glb
from learnable_smplify.formats.motion.joint_angles import write_joint_angles
from learnable_smplify.formats.motion.style import MotionStyle
from learnable_smplify.motion import Motion

READERS: dict[str, Callable[[Path], Motion]] = {".npz": read_amass}
# Each takes the motion, the file, the columns of `poses`, the body and the style, and returns notes for the user.
WRITERS: dict[str, Callable[[Motion, Path, PoseLayout, Body | None, MotionStyle], tuple[str, ...]]] = {
    ".npz": write_amass,
    ".bvh": lambda motion, path, pose_layout, body, style: write_bvh(motion, path, body, style),
    ".glb": lambda motion, path, pose_layout, body, style: write_glb(motion, path, body, style),
    ".mot": lambda motion, path, pose_layout, body, style: write_joint_angles(motion, path, body),
    ".csv": lambda motion, path, pose_layout, body, style: write_joint_angles(motion, path, body),
}


def read_motion(path: str | PathLike[str]) -> Motion:
    """Read an SMPL motion file; the format goes by the suffix (`.npz`: AMASS-style).

    Raises:
        InputError: no such file, an unknown suffix, or a file that cannot be used.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError("there is no such file", path=path, expected="a motion file", hint=f"ls {path.parent}")
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise InputError(
            f"'{path.suffix}' is not a known kind of SMPL motion file",
            path=path,
            expected=" or ".join(READERS),
            hint=f"lsmplify import-motion {path} -o OUT (for .bvh and .amc)",
        )
    return reader(path)


def write_motion(
    motion: Motion,
    path: str | PathLike[str],
    pose_layout: PoseLayout = "smplh",
    body: Body | None = None,
    style: MotionStyle | None = None,
) -> tuple[str, ...]:
    """Write an SMPL motion; the format goes by the suffix.

    `.npz` is AMASS-style, Z up, and keeps everything; `.bvh` is a skeleton, `.glb` a skinned mesh, both Y up; `.mot`
    and `.csv` are joint angles under OpenSim's names. Those are for other programs: they cannot be read back as SMPL
    motions exactly.

    Args:
        motion: T frames.
        path: the file to write; its folder is made where missing.
        pose_layout: columns of the npz's `poses`: "smpl" (72), "smplh" (156) or "smplx" (165).
        body: whose bones and mesh a `.bvh` or `.glb` gets; None takes the open body where the motion belongs to it.
        style: what another program wants of the file; None is the habit of the format.

    Returns:
        Notes for the user: what was turned, assumed or left out.

    Raises:
        InputError: an unknown suffix or layout, no body for a motion of a licensed one, or the folder cannot be
            written to.
        MissingExtraError: `.glb` without pygltflib.
    """
    path = Path(path)
    writer = WRITERS.get(path.suffix.lower())
    if writer is None:
        raise InputError(f"cannot write '{path.suffix}'", path=path, expected=" or ".join(WRITERS))
    return writer(motion, path, pose_layout, body, style or MotionStyle())
