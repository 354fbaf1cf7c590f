"""`Estimate`: what an image-based estimator says about one person, before it becomes a `Motion`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from learnable_smplify.body.body import Body
from learnable_smplify.body.model_hands import whole_hand_pose
from learnable_smplify.errors import InputError
from learnable_smplify.hands import relaxed_hands
from learnable_smplify.motion import Motion, UpAxis
from learnable_smplify.rotation import rotmat_to_rotvec, rotvec_between, rotvec_to_rotmat
from learnable_smplify.timeline import around

Frame = Literal["camera", "world"]
Pivot = Literal["pelvis", "origin"]
# A track with fewer than one estimate in so many frames is a file misread, not a person who was seldom seen.
_MAX_SPREAD = 1000


@dataclass(frozen=True, eq=False)
class Estimate:
    """SMPL parameters of one person as an estimator left them, at the frames where it saw them.

    Args:
        frames: (T,) int64, numbers of the video's frames, rising.
        pose: (T, 24, 3) rotvec [rad]. Joints an estimator does not have (SMPL's two hands) are zero.
        betas: (10,) one shape for the person: the median over frames where the estimator gives one a frame.
        transl: (T, 3) metres, or None where the estimator places nobody.
        betas_per_frame: (T, 10), or None where there is one shape anyway.
        fps: frames a second, None where the file does not say.
        frame: "camera" (OpenCV: x right, y down, z forward) or "world".
        body: "smpl", "smplh" or "smplx": whose joints and betas these are.
        pivot: what `global_orient` turns the body about before `transl` is added. "pelvis" is SMPL's own convention;
            "origin" is EasyMocap's, and needs the body to become a `Motion`.
        gender: "neutral", "male" or "female".
        up_axis: which axis of the world points up, None when unknown.
        person_id: the track's name in the file.
        source: the estimator.
        path: the file.
        notes: lines for the user.
        hands: (T, 2, C) left and right: 45 numbers, rotvecs of SMPL-H's fingers, or fewer, components of the body's
            model; None where the estimator says nothing of them.
        hands_about_mean: whether they are to be added to the relaxed hand of the body's model.

    Raises:
        InputError: shapes that do not fit, no frame, numbers that are not finite, frames that do not rise.
    """

    frames: Int[Tensor, "T"]
    pose: Float[Tensor, "T 24 3"]
    betas: Float[Tensor, "10"]
    transl: Float[Tensor, "T 3"] | None
    source: str
    path: Path
    betas_per_frame: Float[Tensor, "T 10"] | None = None
    fps: float | None = None
    frame: Frame = "camera"
    body: str = "smpl"
    pivot: Pivot = "pelvis"
    gender: str = "neutral"
    up_axis: UpAxis | None = None
    person_id: str = "0"
    notes: tuple[str, ...] = field(default=())
    hands: Float[Tensor, "T 2 C"] | None = None
    hands_about_mean: bool = False

    def __post_init__(self) -> None:
        frames = len(self.frames)
        if frames == 0 or self.pose.shape != (frames, 24, 3):
            raise self._fail(f"{frames} frames and a pose of shape {tuple(self.pose.shape)}", "(T, 24, 3)")
        if bool((self.frames.diff() <= 0).any()):
            raise self._fail("the frame numbers do not rise", "each frame once, in order")
        if self.betas.shape != (10,):
            raise self._fail(f"betas have shape {tuple(self.betas.shape)}", "(10,)")
        for name, value, shape in (
            ("pose", self.pose, self.pose.shape),
            ("transl", self.transl, (frames, 3)),
            ("betas", self.betas, (10,)),
            ("betas_per_frame", self.betas_per_frame, (frames, 10)),
            ("hands", self.hands, (frames, 2, 45 if self.hands is None else self.hands.shape[-1])),
        ):
            if value is not None and (value.shape != shape or not bool(torch.isfinite(value).all())):
                raise self._fail(f"{name} has shape {tuple(value.shape)} or is not finite", f"{tuple(shape)}, finite")

    def __len__(self) -> int:
        """Number of frames the person was seen in."""
        return len(self.frames)

    def to_motion(self, fps: float | None = None, body: Body | None = None) -> Motion:
        """A motion without gaps, from the first to the last frame the person was seen in.

        Frames in between where they were not seen are filled: rotations the short way round at even speed, `transl`
        in a straight line. They are flagged.

        Args:
            fps: frames a second of the video; needed where the file does not say.
            body: the body the betas belong to; needed where `pivot` is "origin".

        Raises:
            InputError: no frame rate, no body where one is needed, or frames too far apart to be one track.
        """
        rate = self.fps if fps is None else fps
        if rate is None:
            raise self._fail("the file does not say how many frames a second", "the video's frame rate", "--fps 30")
        first, last = int(self.frames[0]), int(self.frames[-1])
        if last - first > _MAX_SPREAD * len(self):
            raise self._fail(f"{len(self)} frames between frame {first} and frame {last}", "one track of one video")
        before, after, ratio = around(self.frames - first, last - first + 1)
        seen, share = before == after, ratio[:, None].to(torch.float64)

        def filled(turns: Float[Tensor, "T J 3"]) -> Float[Tensor, "N J 3"]:
            start = turns[before].to(torch.float64)
            between = rotvec_between(start, turns[after].to(torch.float64), share[..., None])
            return torch.where(seen[:, None, None], start, between)

        pose = filled(self.pose)
        fingers, hand_notes = self._fingers(body)
        placed = self._transl(body)
        notes = (*self.notes, *hand_notes)
        if self.transl is None:
            notes = (*notes, f"{self.source} places nobody: the pelvis stays where transl is zero")
        if not bool(seen.all()):
            notes = (*notes, f"{int((~seen).sum())} of {len(seen)} frames were not estimated: filled and flagged")
        return Motion(
            pose=pose,
            transl=torch.lerp(placed[before], placed[after], share),
            betas=self.betas,
            fps=rate,
            body=self.body,
            gender=self.gender,
            up_axis=self.up_axis,
            flagged=~seen,
            notes=notes,
            hand_pose=None if fingers is None else filled(fingers),
            hand_flagged=None if fingers is None else (~seen)[:, None].expand(-1, 2),
        )

    def _fingers(self, body: Body | None) -> tuple[Float[Tensor, "T 30 3"] | None, tuple[str, ...]]:
        """Whole rotations of the fingers, and what had to be assumed."""
        if self.hands is None:
            return None, ()
        model = None if body is None or body.name != self.body or body.hands is None else body.hands.arrays
        count, given = self.hands.shape[-1], self.hands.numpy().astype(np.float64)
        lacks_mean = self.hands_about_mean and (model is None or model.mean is None)
        if model is not None and not lacks_mean and (count == 45 or model.components is not None):
            return torch.from_numpy(whole_hand_pose(given, model, about_mean=self.hands_about_mean)), ()
        if count < 45:
            kind = f"{count} components of '{self.body}'"
            return None, (f"the hands are {kind}, and rest: its model file tells what they mean (--body {self.body})",)
        whole = self.hands.reshape(len(self), -1, 3).to(torch.float64)
        if not self.hands_about_mean:
            return whole, ()
        note = f"the fingers are about the mean hand of '{self.body}': the open body's relaxed hand is taken for it"
        return whole + relaxed_hands().to(whole), (f"{note} (--body {self.body})",)

    def _transl(self, body: Body | None) -> Float[Tensor, "T 3"]:
        transl = torch.zeros(len(self), 3) if self.transl is None else self.transl
        if self.pivot == "pelvis":
            return transl.to(torch.float64)
        if body is None:
            raise self._fail(
                "its body turns about the origin, and where the pelvis is depends on the body",
                "the body model it was made with",
                "--body smpl, or to_motion(body=load_body('smpl'))",
            )
        # R (x + J0) + transl = R x + J0 + ours, for x measured from the pelvis J0 of the rest pose.
        pelvis = body.joints(torch.zeros(24, 3), self.betas)[0, 0].to(torch.float64)
        turned = (rotvec_to_rotmat(self.pose[:, 0].to(torch.float64)) @ pelvis[:, None])[..., 0]
        return transl.to(torch.float64) + turned - pelvis

    def _fail(self, problem: str, expected: str, hint: str | None = None) -> InputError:
        return InputError(problem, path=self.path, where=f"person {self.person_id}", expected=expected, hint=hint)


def cleaned(
    *,
    frames: np.ndarray,
    pose: np.ndarray,
    betas: np.ndarray,
    transl: np.ndarray | None,
    source: str,
    path: Path,
    person_id: object = "0",
    frame: Frame = "camera",
    body: str = "smpl",
    up_axis: UpAxis | None = None,
    pivot: Pivot = "pelvis",
    notes: tuple[str, ...] = (),
    hands: np.ndarray | None = None,
    hands_about_mean: bool = False,
) -> Estimate:
    """An `Estimate` from arrays as they were read: frames in order, each once, those with NaN left out.

    Args:
        frames: (T,) numbers.
        pose: (T, 24, 3) or (T, 22, 3) rotvec; two missing joints are SMPL's hands, filled with zeros.
        betas: (B,) or (T, B); the first 10 are kept, fewer are padded with zeros.
        transl: (T, 3) or None.
        source, path, person_id, frame, body, up_axis, pivot, notes: as in `Estimate`.
        hands: (T, 2, C) or None; those of zeros only say nothing.
        hands_about_mean: as in `Estimate`.

    Raises:
        InputError: no frame is left, or as in `Estimate`.
    """
    betas = betas[0] if betas.ndim == 2 and len(betas) == 1 else betas
    _check_shapes(frames, pose, betas, transl, path, f"person {person_id}")
    pose = np.pad(pose, ((0, 0), (0, 24 - pose.shape[1]), (0, 0)))
    if betas[..., 10:].any():
        notes = (*notes, f"of {betas.shape[-1]} betas the first 10 are used")
    betas = betas[..., :10]
    betas = np.pad(betas, (*((0, 0),) * (betas.ndim - 1), (0, 10 - betas.shape[-1])))
    numbers = (pose, transl, betas if betas.ndim == 2 else None)
    kept, left_out = _kept(np.asarray(frames), [array for array in numbers if array is not None])
    notes = (*notes, *left_out)
    if not len(kept) or not np.isfinite(betas[kept] if betas.ndim == 2 else betas).all():
        where, expected = f"person {person_id}", "at least one frame"
        raise InputError("no frame of it has finite numbers", path=path, where=where, expected=expected)
    if hands is not None:
        hands = np.asarray(hands, dtype=np.float64)[kept]
        if not np.isfinite(hands).all():
            hands, notes = None, (*notes, "the hands hold NaN or infinity and were left out")
        elif not hands.any():
            hands = None

    def tensor(array: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))

    return Estimate(
        frames=torch.from_numpy(np.asarray(frames)[kept].astype(np.int64)),
        pose=tensor(pose[kept]),
        betas=tensor(betas if betas.ndim == 1 else np.median(betas[kept], axis=0)),
        betas_per_frame=None if betas.ndim == 1 else tensor(betas[kept]),
        transl=None if transl is None else tensor(transl[kept]),
        source=source,
        path=path,
        frame=frame,
        body=body,
        pivot=pivot,
        up_axis=up_axis,
        person_id=str(person_id),
        notes=notes,
        hands=None if hands is None else tensor(hands),
        hands_about_mean=hands_about_mean,
    )


def _check_shapes(
    frames: np.ndarray, pose: np.ndarray, betas: np.ndarray, transl: np.ndarray | None, path: Path, where: str
) -> None:
    if pose.ndim != 3 or not 0 < pose.shape[1] <= 24 or pose.shape[2] != 3:
        raise InputError(f"the poses have shape {pose.shape}", path=path, where=where, expected="(T, 24, 3)")
    if betas.ndim not in (1, 2) or not betas.size:
        raise InputError(f"the betas have shape {betas.shape}", path=path, where=where, expected="(10,) or (T, 10)")
    if np.ndim(frames) != 1 or (transl is not None and transl.shape[1:] != (3,)):
        raise InputError("frame numbers or transl of another shape", path=path, where=where, expected="(T,), (T, 3)")
    if len(frames) != len(pose) or (transl is not None and len(transl) != len(pose)):
        raise InputError(f"{len(frames)} frame numbers for {len(pose)} poses", path=path, where=where)
    if betas.ndim == 2 and len(betas) != len(pose):
        raise InputError(f"{len(betas)} betas for {len(pose)} poses", path=path, where=where)


def _kept(frames: np.ndarray, numbers: Sequence[np.ndarray]) -> tuple[np.ndarray, tuple[str, ...]]:
    """Rows of frames whose numbers are finite, in order, each frame once; and what was left out, in words."""
    columns = [
        array.reshape(len(frames), math.prod(array.shape[1:])) for array in (*numbers, frames.astype(np.float64))
    ]
    rows = np.concatenate(columns, axis=1)
    # As float32, which motions are held in; int64 is exact up to 2^53 in what frame numbers are read as.
    with np.errstate(over="ignore"):
        finite = np.isfinite(rows.astype(np.float32)).all(axis=1)
    good = np.flatnonzero(finite & (np.abs(rows[:, -1]) < 2**53))
    kept = good[np.unique(frames[good].astype(np.int64), return_index=True)[1]]
    notes: tuple[str, ...] = ()
    if len(good) < len(frames):
        notes = (f"{len(frames) - len(good)} of {len(frames)} frames hold NaN or infinity and were left out",)
    if len(kept) < len(good):
        notes = (*notes, f"{len(good) - len(kept)} frames are in the file twice; the first of each was kept")
    return kept, notes


def joined(parts: Sequence[np.ndarray | None]) -> np.ndarray | None:
    """The rows of all parts, one after another; None where a part has none, or they are of different widths."""
    there = [part for part in parts if part is not None]
    alike = len(there) == len(parts) and len({part.shape[1:] for part in there}) == 1
    return np.concatenate(there) if alike else None


def rotvecs_of(rotmat: np.ndarray, path: Path, where: str) -> np.ndarray:
    """Rotvecs (..., 3) of rotation matrices (..., 3, 3).

    Raises:
        InputError: finite matrices that are no rotations.
    """
    matrices = torch.from_numpy(np.ascontiguousarray(rotmat, dtype=np.float64))
    finite = torch.isfinite(matrices).all(dim=-1).all(dim=-1)
    eye = torch.eye(3, dtype=torch.float64)
    off = (matrices @ matrices.mT - eye).abs().amax(dim=(-2, -1))[finite]
    if bool((off > 1e-2).any()) or bool((torch.linalg.det(matrices[finite]) < 0).any()):
        raise InputError("a matrix is no rotation", path=path, where=where, expected="rotation matrices")
    rotvec = torch.full((*matrices.shape[:-2], 3), torch.nan, dtype=torch.float64)
    rotvec[finite] = rotmat_to_rotvec(matrices[finite])
    return rotvec.numpy()
