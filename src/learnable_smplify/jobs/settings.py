"""`FitSettings`: every option that decides what a fit writes. A new option of `lsmplify fit` is a field here.

The lines below the fields are what `lsmplify fit --help` says.
"""

from __future__ import annotations

import hashlib
import json
import math
from copy import copy
from dataclasses import asdict, dataclass, fields, replace
from os import PathLike
from pathlib import Path
from typing import Annotated, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from learnable_smplify.body import Body, load_body
from learnable_smplify.body.model_search import MODEL_KINDS, find_model
from learnable_smplify.body.open_body import is_open_body
from learnable_smplify.errors import InputError
from learnable_smplify.formats.keypoints.keypoint_file import read_keypoints, read_people
from learnable_smplify.formats.motion.amass import PoseLayout
from learnable_smplify.formats.motion.motion_file import write_motion
from learnable_smplify.jobs.fingerprint import file_hash
from learnable_smplify.keypoints import Keypoints
from learnable_smplify.keypoints2d import Keypoints2D
from learnable_smplify.layouts.layout import load_layout
from learnable_smplify.motion import Motion
from learnable_smplify.options import (
    BodyOption,
    DeviceOption,
    Gender,
    KeypointRate,
    LayoutOption,
    UnitsOption,
    UpOption,
    shown,
)
from learnable_smplify.repair import GapPolicy, RepairOptions, cut_keypoints, repair_keypoints
from learnable_smplify.solver.recording import RecordingOptions
from learnable_smplify.solver.shape.offsets import read_offsets
from learnable_smplify.solver.shape.prior import Build, KnownSize
from learnable_smplify.solver.smplify.smplify import OPTIMISERS, Optimiser, SmplifyOptions
from learnable_smplify.solver.solver import METHODS, Method, Solver
from learnable_smplify.timeline import check_rate


@dataclass(frozen=True)
class FitSettings:
    """How recordings are read, fitted and written. Frozen, hashable and picklable: it travels to other processes.

    Two runs with equal settings (see `key`) and equal inputs write the same bytes.
    """

    person: Annotated[str | None, shown("ID", "everybody")] = None
    """Which person of the file."""
    layout: LayoutOption = None
    """Which keypoints: body25, coco17, halpe26, ... ('lsmplify doctor' lists them), or a layout TOML of yours."""
    fps: KeypointRate = None
    """Frames a second of the recording."""
    units: UnitsOption = None
    """Unit of the positions."""
    up: UpOption = None
    """Which axis of the positions points up; write downward ones as --up=-y."""
    mirrored: Annotated[Literal["yes", "no"] | None, shown(None, "found from the body")] = None
    """Whether the positions are left-handed."""
    scale_to_body: bool = False
    """Scale the positions to the size of the mean body first: for recordings whose scale is unknown."""
    smooth: bool = False
    """Solve the whole clip once more as one problem: steadier, and better with noisy keypoints."""
    hold_feet: bool = False
    """Hold feet still while they touch the ground; implies --smooth."""
    ground: bool = False
    """Put positions that are relative to the hips (MediaPipe's) on a floor, where the supporting foot stays; implied by
    --hold-feet."""
    no_repair: bool = False
    """Take the keypoints as they are: leave spikes, exchanged sides and repeated frames in."""
    gap: GapPolicy = "interpolate"
    """A person out of view for half a second and more: bridge the time, or cut the motion into several files."""
    offsets: Annotated[str | None, shown("FILE", "none")] = None
    """Where this person's keypoints lie beside the body's, as --calibrate-offsets wrote it."""
    betas: Annotated[tuple[float, ...], shown("B1 B2 ...", "estimated")] = ()
    """The person's shape on this body, if known: up to 10 numbers."""
    build: Annotated[Build | None, shown("slim|mean|stout", "what the keypoints show")] = None
    """How the person is built, for betas that are estimated: body mass indices of about 20, 23.4 and 28."""
    height: Annotated[float | None, shown("METRES", "what the keypoints show")] = None
    """How tall the person is, without shoes."""
    weight: Annotated[float | None, shown("KG", "what the build says")] = None
    """How heavy the person is."""
    body: BodyOption = None
    """Path of an SMPL, SMPL-H or SMPL-X model; or smpl, smplh, smplx to search where 'lsmplify doctor' does."""
    gender: Gender = "neutral"
    """Gender of the licensed body model to search for; of the open body, whose betas are estimated: what is usual."""
    pose_layout: PoseLayout = "smplh"
    """Columns of `poses` in the output: smpl 72, smplh 156, smplx 165. Blender's SMPL-X add-on wants 156 or 165."""
    method: Method = METHODS[0]
    """How each frame is solved; gauss_newton is the numerical solver alone, smplify the classical, slow descent."""
    smplify_optimiser: Optimiser = OPTIMISERS[0]
    """How SMPLify descends."""
    mixture: Annotated[str | None, shown("FILE", "the one in the package")] = None
    """Pose prior of SMPLify: your gmm_08.pkl."""
    weights: Annotated[str | None, shown("FILE", "those in the package")] = None
    """Weights of the network, as lsmplify train or import-checkpoint wrote them."""
    device: DeviceOption = "cpu"
    """Where to compute."""

    def read(self, path: str | PathLike[str]) -> list[Keypoints]:
        """The people in a recording, or the one person asked for.

        Raises:
            InputError: as `read_people` and `read_keypoints`.
        """
        mirrored = None if self.mirrored is None else self.mirrored == "yes"
        if self.person is None:
            return read_people(path, self.layout, self.fps, self.units, self.up, mirrored)
        return [read_keypoints(path, self.layout, self.fps, self.units, self.up, self.person, mirrored)]

    def known_betas(self) -> Float[Tensor, "N"] | None:
        """The betas given, None where they are to be estimated.

        Raises:
            InputError: more than 10, or not finite.
        """
        if len(self.betas) > 10 or not all(math.isfinite(value) for value in self.betas):
            raise InputError(
                f"--betas is {' '.join(f'{value:g}' for value in self.betas)}",
                expected="up to 10 finite numbers",
                hint="--betas 0.5 -1",
            )
        return torch.tensor(self.betas) if self.betas else None

    def smplify_options(self) -> SmplifyOptions | None:
        """Options of the method "smplify", None for the others.

        Raises:
            InputError: a mixture for another method.
        """
        if self.method == "smplify":
            mixture = None if self.mixture is None else Path(self.mixture)
            return SmplifyOptions(optimiser=self.smplify_optimiser, mixture=mixture)
        if self.mixture is not None:
            raise InputError("--mixture is the pose prior of SMPLify", expected="--method smplify with --mixture")
        return None

    def check(self) -> None:
        """Refuse options that have no meaning, or none together, whatever the recording.

        Raises:
            InputError: there are some.
        """
        check_rate(self.fps)
        self.known_betas()
        self.smplify_options()
        self._check_size()
        unusable = self.given("smooth", "hold_feet", "ground", "scale_to_body", "offsets")
        if self.method == "smplify" and unusable:
            raise InputError(f"--method smplify does not know {', '.join(unusable)}", hint="leave --method out")
        if self.layout is not None:
            load_layout(self.layout)

    def _check_size(self) -> None:
        for name, value, least, most, unit in (
            ("--height", self.height, 0.4, 2.6, "metres"),
            ("--weight", self.weight, 2.0, 400.0, "kilograms"),
        ):
            if value is not None and not least <= value <= most:
                meant = f"{name} {value / 100:.2f}" if name == "--height" and least <= value / 100 <= most else None
                raise InputError(f"{name} is {value:g}", expected=f"{unit}, from {least:g} to {most:g}", hint=meant)
        given = self.given("build", "height", "weight", *(("gender",) if is_open_body(self.body) else ()))
        if given and (self.betas or self.method == "smplify"):
            why = "the betas are given" if self.betas else "--method smplify does not know it"
            raise InputError(f"{given[0]} is for betas that are estimated, and {why}", hint=f"leave {given[0]} out")
        if self.build is not None and self.weight is not None:
            raise InputError("--weight says more than --build", expected="one of them", hint="leave --build out")

    def given(self, *names: str) -> list[str]:
        """Those of these fields that are not as they are by default, as options of the command line."""
        defaults = {field.name: field.default for field in fields(self)}
        return [f"--{name.replace('_', '-')}" for name in names if getattr(self, name) != defaults[name]]

    def open_solver(self) -> Solver:
        """The solver for these settings.

        Raises:
            InputError: an option without meaning, or a file that cannot be used.
        """
        self.check()
        return Solver(
            load_body(self.body, "neutral" if is_open_body(self.body) else self.gender),
            self.method,
            self.device,
            weights=self.weights,
            smplify_options=self.smplify_options(),
        )

    def pieces(self, keypoints: Keypoints) -> tuple[tuple[Keypoints, ...], tuple[str, ...]]:
        """What is fitted on its own: the recording of one person, or its parts between gaps that are to be cut out.

        Returns:
            The pieces, and notes on what was repaired to find them.

        Raises:
            InputError: nothing is left.
        """
        if not self._cuts():
            return (keypoints,), ()
        repaired, repairs = repair_keypoints(keypoints, RepairOptions(gap=self.gap))
        parts = cut_keypoints(repaired, repairs.segments)
        if not parts:
            raise InputError("the person is out of view all the time", expected="frames with at least four keypoints")
        return parts, repairs.summary()

    def solver_for(self, solver: Solver, keypoints: Keypoints | Keypoints2D) -> Solver:
        """A solver of these settings as one of the `pieces` needs it; shares everything large.

        Raises:
            InputError: offsets that cannot be used, or not for this layout.
        """
        layout = load_layout(keypoints.layout)
        repairs = not self.no_repair and self.method != "smplify" and not self._cuts()
        solver = copy(solver)
        solver.recording_options = RecordingOptions(
            repair=RepairOptions(gap=self.gap) if repairs else None,
            smooth=self.smooth,
            hold_feet=self.hold_feet,
            offsets=None if self.offsets is None else read_offsets(self.offsets, layout),
            scale_to_body=self.scale_to_body,
            ground=self.ground,
            known_size=KnownSize(self.build, self.height, self.weight, self._average(solver.body)),
        )
        return solver

    def write(self, motion: Motion, path: str | PathLike[str], body: Body) -> tuple[str, ...]:
        """Write a motion, whole or not at all; returns notes for the user.

        Raises:
            InputError: as `write_motion`.
        """
        return write_motion(motion, path, pose_layout=self.pose_layout, body=body)

    def settled(self) -> FitSettings:
        """The same settings for any process anywhere: files by their absolute paths, a kind of body by its file.

        Raises:
            InputError: no body model of this kind.
        """
        changes = {name: str(path.resolve()) for name, path in self._files().items()}
        if self.body in MODEL_KINDS:
            changes["body"] = str(find_model(str(self.body), self.gender).resolve())
        return replace(self, **changes)  # type: ignore[arg-type]

    def key(self) -> str:
        """16 hex digits that change when the output would: with any option, a file it names, or the version."""
        from learnable_smplify import __version__

        described = asdict(self) | {name: file_hash(path) for name, path in self._files().items()}
        text = json.dumps({"version": __version__, **described}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def _average(self, body: Body) -> tuple[float, ...] | None:
        told = self.gender != "neutral" and is_open_body(self.body)
        return tuple(body.average(self.gender).tolist()) if told else None

    def _cuts(self) -> bool:
        return self.gap == "cut" and not self.no_repair and self.method != "smplify"

    def _files(self) -> dict[str, Path]:
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        paths = {name: Path(value) for name, value in values.items() if isinstance(value, str)}
        return {name: path for name, path in paths.items() if path.suffix and path.is_file()}


def named_output(path: Path, name: str) -> Path:
    """`path` with a name put before its suffix: whose motion it is, or which part."""
    safe = "".join(letter if letter.isalnum() or letter in "-." else "_" for letter in name)
    return path.with_name(f"{path.stem}_{safe}{path.suffix}")
