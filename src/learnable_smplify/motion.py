"""`Motion`: an SMPL motion of one person. The value that leaves the solver."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from learnable_smplify.arrays import as_number, as_tensor
from learnable_smplify.betas import person_betas
from learnable_smplify.errors import InputError, MissingExtraError
from learnable_smplify.hands import NUM_HAND_JOINTS
from learnable_smplify.notebook import facts_html
from learnable_smplify.skeleton import NUM_JOINTS
from learnable_smplify.timeline import check_rate

if TYPE_CHECKING:
    from pandas import DataFrame

    from learnable_smplify import Body

UpAxis = Literal["x", "y", "z"]
# What a motion has of every frame.
_OF_FRAMES = ("pose", "transl", "flagged", "uncertainty_deg", "hand_pose", "hand_flagged", "hand_uncertainty_deg")


def direction_vector(direction: str) -> Float[np.ndarray, "3"]:
    """Unit vector of "x", "-x", "y", ..."""
    vector = np.zeros(3)
    vector["xyz".index(direction[-1])] = -1.0 if direction.startswith("-") else 1.0
    return vector


@dataclass(frozen=True, eq=False)
class Motion:
    """SMPL parameters over time, for one person.

    Args:
        pose: (T, 24, 3) float, rotvec (axis-angle) [rad], joint 0 is `global_orient`, the others relative to their
            parent. (T, 72) is accepted.
        transl: (T, 3) float, metres, SMPL's `transl` (added after posing; the body turns about its pelvis joint).
        betas: (10,) float, shape components; fewer are padded with zeros.
        fps: frames a second.
        body: name of the body model the parameters belong to ("open" for the body in the package).
        gender: "neutral", "male" or "female".
        up_axis: which world axis points up, None when unknown.
        flagged: (T,) bool, frames the solver does not trust; None means none.
        uncertainty_deg: (T, 24) standard deviation of each joint's rotation [deg] as the network tells it, NaN where it
            was not asked; None when no network was used.
        betas_sigma: (10,) standard deviation of each beta, NaN or infinity never; None where the shape was given.
        start_s: time of the first frame [s] on the recording's own clock.
        notes: lines for the user.
        hand_pose: (T, 30, 3) float, rotvec [rad] of the fingers' joints (`hands.HAND_JOINT_NAMES`) relative to their
            parents, zero is the flat hand, as of SMPL-H with `flat_hand_mean=True`; (T, 90) is accepted. None where
            nobody saw them: they rest (`hands.relaxed_hands`).
        hand_flagged: (T, 2) bool, left and right hands whose fingers are guessed; None without `hand_pose`.
        hand_uncertainty_deg: (T, 30) standard deviation of each finger joint's rotation [deg], NaN where the hand was
            not seen; None where nobody said.

    Raises:
        InputError: shapes that do not fit, or values that are not finite.
    """

    pose: Float[Tensor, "T 24 3"]
    transl: Float[Tensor, "T 3"]
    betas: Float[Tensor, "10"]
    fps: float = 30.0
    body: str = "open"
    gender: str = "neutral"
    up_axis: UpAxis | None = None
    flagged: Bool[Tensor, "T"] = None  # type: ignore[assignment]  # filled in below
    uncertainty_deg: Float[Tensor, "T 24"] | None = None
    betas_sigma: Float[Tensor, "10"] | None = None
    start_s: float = 0.0
    notes: tuple[str, ...] = field(default=())
    hand_pose: Float[Tensor, "T 30 3"] | None = None
    hand_flagged: Bool[Tensor, "T 2"] | None = None
    hand_uncertainty_deg: Float[Tensor, "T 30"] | None = None

    def __post_init__(self) -> None:
        pose = as_tensor(self.pose, "pose").detach()
        betas = person_betas(self.betas)
        if pose.ndim == 2 and pose.shape[1] == NUM_JOINTS * 3:
            pose = pose.reshape(-1, NUM_JOINTS, 3)
        if pose.ndim != 3 or pose.shape[1:] != (NUM_JOINTS, 3) or pose.shape[0] == 0:
            raise InputError(f"pose has shape {tuple(pose.shape)}", expected="(T, 24, 3) with at least one frame")
        frames = pose.shape[0]
        pose = checked_numbers(pose, "pose", tuple(pose.shape))
        transl = checked_numbers(self.transl, "transl", (frames, 3))
        check_rate(as_number(self.fps, "the frame rate"))
        if not math.isfinite(self.start_s):
            raise InputError(f"the start time is {self.start_s}", expected="seconds")
        flagged = torch.zeros(frames) if self.flagged is None else self.flagged
        flagged = checked_numbers(flagged, "flagged", (frames,), finite=False)
        if self.uncertainty_deg is not None:
            uncertainty = checked_numbers(self.uncertainty_deg, "uncertainty_deg", (frames, NUM_JOINTS), finite=False)
            object.__setattr__(self, "uncertainty_deg", uncertainty)
        if self.betas_sigma is not None:
            object.__setattr__(self, "betas_sigma", person_betas(self.betas_sigma))
        self._check_hands(frames)
        object.__setattr__(self, "pose", pose)
        object.__setattr__(self, "transl", transl)
        object.__setattr__(self, "betas", betas)
        object.__setattr__(self, "fps", float(self.fps))
        object.__setattr__(self, "flagged", flagged.to(torch.bool))

    def _check_hands(self, frames: int) -> None:
        if self.hand_pose is None:
            object.__setattr__(self, "hand_flagged", None)
            object.__setattr__(self, "hand_uncertainty_deg", None)
            return
        hands = as_tensor(self.hand_pose, "hand_pose")
        if hands.ndim == 2 and hands.shape[1] == NUM_HAND_JOINTS * 3:
            hands = hands.reshape(-1, NUM_HAND_JOINTS, 3)
        flagged = torch.zeros(frames, 2) if self.hand_flagged is None else self.hand_flagged
        flagged = checked_numbers(flagged, "hand_flagged", (frames, 2), finite=False).to(torch.bool)
        if self.hand_uncertainty_deg is not None:
            unsure = checked_numbers(
                self.hand_uncertainty_deg, "hand_uncertainty_deg", (frames, NUM_HAND_JOINTS), finite=False
            )
            object.__setattr__(self, "hand_uncertainty_deg", unsure)
        object.__setattr__(self, "hand_pose", checked_numbers(hands, "hand_pose", (frames, NUM_HAND_JOINTS, 3)))
        object.__setattr__(self, "hand_flagged", flagged)

    def __len__(self) -> int:
        """Number of frames."""
        return self.pose.shape[0]

    def __repr__(self) -> str:
        """One line: what a notebook shows."""
        flagged = f", {int(self.flagged.sum())} flagged" if bool(self.flagged.any()) else ""
        seconds = f"{len(self) / self.fps:.1f} s at {self.fps:g} fps"
        hands = "" if self.hand_pose is None else ", with fingers"
        return f"Motion({len(self)} frames, {seconds}, body '{self.body}', {self.gender}{hands}{flagged})"

    def __getitem__(self, frames: slice) -> Motion:
        """Some of the frames: `motion[10:20]`; `motion[::2]` has half the frame rate.

        Raises:
            TypeError: anything but a slice.
            InputError: no frame is left.
        """
        if not isinstance(frames, slice):
            raise TypeError("frames are chosen by a slice, such as motion[10:20]")
        step = 1 if frames.step is None else frames.step
        if step < 1:
            raise InputError(f"the frames are taken in steps of {step}", expected="1 or more")
        return replace(self.chosen(frames), fps=self.fps / step)

    def chosen(self, frames: slice | list[int]) -> Motion:
        """Some of the frames, as if they followed one another.

        Raises:
            InputError: no frame is left.
        """
        parts = {name: getattr(self, name) for name in _OF_FRAMES}
        chosen: dict[str, Any] = {name: part[frames] for name, part in parts.items() if part is not None}
        return replace(self, **chosen)

    def _repr_html_(self) -> str:
        facts = {
            "frames": f"{len(self)} ({len(self) / self.fps:.1f} s at {self.fps:g} fps)",
            "body": f"{self.body}, {self.gender}",
            "up": self.up_axis or "unknown",
            "flagged": f"{int(self.flagged.sum())} frames",
            "fingers": "at rest" if self.hand_pose is None else "moving",
            "betas": " ".join(f"{beta:.2f}" for beta in self.betas.tolist()),
        }
        return facts_html("Motion", facts, self.notes)

    def save(self, path: str | PathLike[str]) -> tuple[str, ...]:
        """Write it as a file: `.npz` keeps everything, see `write_motion` for others and for what is returned."""
        from learnable_smplify import write_motion  # by the package's front: values do not know files

        bare = Path(path).suffix.lower() == ".npz"  # the other kinds hold bones
        return write_motion(self, path, body=None if bare else self._own(None))

    def vertices(self, body: Body | None = None) -> Float[Tensor, "T V 3"]:
        """The body's mesh in every frame, metres, as `Body.faces` has it; `.numpy()` of it is a NumPy array.

        Its fingers do not move; those of `body.motion_mesh.MotionMesh` do.

        Args:
            body: None loads the one that the motion belongs to.

        Raises:
            InputError: that is a licensed one, and it is not found.
        """
        return self._own(body).vertices(self.pose, self.betas, self.transl)

    def joints(self, body: Body | None = None) -> Float[Tensor, "T 24 3"]:
        """The 24 joints in every frame, metres. Arguments and errors as in `vertices`."""
        return self._own(body).joints(self.pose, self.betas, self.transl)

    def joint_angles(self, body: Body | None = None) -> DataFrame:
        """A pandas table, a row a frame: time [s], OpenSim's coordinates [deg], the pelvis' place [m]; Y up.

        `joint_angle_table` has the same columns without pandas. Arguments as in `vertices`.

        Raises:
            InputError: the body is not found.
            MissingExtraError: pandas is not installed.
        """
        try:
            from pandas import DataFrame
        except ImportError as error:
            raise MissingExtraError("pandas", "pandas", "A table of joint angles") from error
        from learnable_smplify import joint_angle_table

        return DataFrame(joint_angle_table(self, self._own(body)))

    def _own(self, body: Body | None) -> Body:
        from learnable_smplify import load_body

        return load_body(self.body, self.gender) if body is None else body

    @property
    def global_orient(self) -> Float[Tensor, "T 3"]:
        """Rotation of the pelvis in the world, rotvec [rad]."""
        return self.pose[:, 0]

    @property
    def body_pose(self) -> Float[Tensor, "T 23 3"]:
        """Rotations of the other joints relative to their parents, rotvec [rad]."""
        return self.pose[:, 1:]


def checked_numbers(value: Tensor, name: str, shape: tuple[int, ...], *, finite: bool = True) -> Tensor:
    """A value as a tensor of float32 in memory of its own, of this shape.

    Raises:
        InputError: it has another, or holds NaN or infinity where they are not allowed.
    """
    tensor = as_tensor(value, name).detach().to(torch.float32, copy=True)
    if tensor.shape != shape:
        raise InputError(f"{name} has shape {tuple(tensor.shape)}", expected=f"{shape}")
    if finite and not bool(torch.isfinite(tensor).all()):
        raise InputError(f"{name} holds NaN or infinity", expected="finite numbers")
    return tensor
