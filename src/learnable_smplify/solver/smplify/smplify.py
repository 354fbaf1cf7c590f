"""SMPLify: a body fitted to keypoints by descent on one energy (Bogo et al. 2016, "Keep it SMPL").

    energy = sum_k c_k rho(|e_k|) / (2 sigma^2)  +  pose prior  +  elbows and knees  +  shape prior

in stages: the person as a whole; then the pose; then everything, betas too where they are not known. Gradients come
from autograd through the folded keypoints, which is exact and needs no mesh.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from os import PathLike
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from learnable_smplify.body.fold import FoldedPoints, ShapedPoints
from learnable_smplify.errors import InputError
from learnable_smplify.rotation import rotmat_to_rotvec, rotvec_to_rotmat
from learnable_smplify.solver.frame.terms import robust_error
from learnable_smplify.solver.smplify.mixture_prior import MixturePrior
from learnable_smplify.solver.smplify.optimisers import adam, lbfgs
from learnable_smplify.solver.smplify.terms import DataTerm, bend_energy

Optimiser = Literal["adam", "lbfgs"]
OPTIMISERS: tuple[Optimiser, ...] = ("lbfgs", "adam")

# Columns of the variables: a turn and a move of the whole, body_pose, betas.
_WHOLE, _POSED, _BETAS = 6, 75, 10


@dataclass(frozen=True)
class SmplifyOptions:
    """How SMPLify fits.

    Args:
        optimiser: "lbfgs" or "adam".
        lbfgs_iterations, adam_iterations: at most so many (Adam: exactly) in the three stages: the whole, the pose,
            everything.
        learning_rate: of Adam [rad, m, units of beta], falling to 0 over each stage.
        keypoint_sigma: what a keypoint may be off by [m]; in 2D at the person's distance.
        robust_scale: distance [m] at which a keypoint starts to lose its pull (Geman-McClure).
        pose_weight: of the mixture prior; 1 takes its nats as they are.
        early_pose_weight: the same in stage 2 of a fit from nothing, where a strong prior keeps limbs from settling
            bent the wrong way.
        start_pose_weight: of the mixture prior where a start pose is given.
        bend_weight: of the elbow and knee prior.
        shape_weight: of |betas|^2 / 2, where betas are not known.
        mixture: SMPLify's `gmm_08.pkl`; None for the mixture in the package.

    Raises:
        InputError: an unknown optimiser, or numbers that are not positive.
    """

    optimiser: Optimiser = "lbfgs"
    lbfgs_iterations: tuple[int, int, int] = (20, 100, 100)
    adam_iterations: tuple[int, int, int] = (40, 200, 200)
    learning_rate: float = 0.03
    keypoint_sigma: float = 0.01
    robust_scale: float = 0.3
    pose_weight: float = 0.3
    early_pose_weight: float = 3.0
    start_pose_weight: float = 0.1
    bend_weight: float = 0.1
    shape_weight: float = 1.0
    mixture: str | PathLike[str] | None = None

    def __post_init__(self) -> None:
        if self.optimiser not in OPTIMISERS:
            raise InputError(f"unknown optimiser '{self.optimiser}'", expected="one of " + ", ".join(OPTIMISERS))
        for name in ("lbfgs_iterations", "adam_iterations"):
            if len(getattr(self, name)) != 3 or min(getattr(self, name)) < 0:
                raise InputError(f"{name} is {getattr(self, name)}", expected="three numbers, 0 or more")
        for name in ("learning_rate", "keypoint_sigma", "robust_scale"):
            if not getattr(self, name) > 0:
                raise InputError(f"{name} is {getattr(self, name)}", expected="a number above 0")
        for name in ("pose_weight", "early_pose_weight", "start_pose_weight", "bend_weight", "shape_weight"):
            if not getattr(self, name) >= 0:
                raise InputError(f"{name} is {getattr(self, name)}", expected="a number, 0 or more")

    @property
    def iterations(self) -> tuple[int, int, int]:
        """Of the chosen optimiser."""
        return self.adam_iterations if self.optimiser == "adam" else self.lbfgs_iterations


@dataclass(frozen=True, eq=False)
class People:
    """B people: what SMPLify moves.

    Args:
        root_rotmat: (B, 3, 3) global orientation.
        body_pose: (B, 69) rotvec [rad].
        transl: (B, 3) metres.
        betas: (B, 10), or (1, 10) for one person in every frame.
    """

    root_rotmat: Float[Tensor, "B 3 3"]
    body_pose: Float[Tensor, "B 69"]
    transl: Float[Tensor, "B 3"]
    betas: Float[Tensor, "B 10"]

    def __len__(self) -> int:
        return self.body_pose.shape[0]

    def select(self, rows: Tensor) -> People:
        """The people at these rows."""
        betas = self.betas if self.betas.shape[0] == 1 else self.betas[rows]
        return People(self.root_rotmat[rows], self.body_pose[rows], self.transl[rows], betas)

    def local_rotmat(self) -> Float[Tensor, "B 24 3 3"]:
        """Rotations of all joints relative to their parents."""
        turned = rotvec_to_rotmat(self.body_pose.unflatten(1, (23, 3)))
        return torch.cat((self.root_rotmat[:, None], turned), dim=1)

    def pose(self) -> Float[Tensor, "B 24 3"]:
        """Rotvec [rad], angles in [0, pi]."""
        return rotmat_to_rotvec(self.local_rotmat())


def posed_people(rotmat: Float[Tensor, "B 24 3 3"], transl: Float[Tensor, "B 3"], betas: Tensor) -> People:
    """People in these poses."""
    return People(rotmat[:, 0], rotmat_to_rotvec(rotmat[:, 1:]).flatten(1), transl, betas)


@dataclass(frozen=True, eq=False)
class Smplify:
    """The energy of a layout on a body, and the descent on it.

    Args:
        folded: the layout's keypoints on the body.
        prior: over body_pose.
        options: weights and iterations.
    """

    folded: FoldedPoints
    prior: MixturePrior
    options: SmplifyOptions

    def energy(
        self, people: People, data: DataTerm, pose_weight: float, points: ShapedPoints | None = None
    ) -> Float[Tensor, " B"]:
        """The energy of every frame [nat]; `points` saves computing the people's shape when it is known."""
        options = self.options
        points = self.folded.shaped(people.betas) if points is None else points
        positions = points.pose(people.local_rotmat()).positions() + people.transl[:, None]
        error = robust_error(data.squared_error(positions), options.robust_scale)
        total = (data.confidence * error).sum(1) / (2 * options.keypoint_sigma**2)
        total = total + pose_weight * self.prior.energy(people.body_pose)
        total = total + options.bend_weight * bend_energy(people.body_pose)
        return total + 0.5 * options.shape_weight * people.betas.square().sum(1)

    def keypoint_error(self, people: People, data: DataTerm) -> Float[Tensor, " B"]:
        """Mean distance of the measured keypoints [m]."""
        positions = self.folded.shaped(people.betas).pose(people.local_rotmat()).positions() + people.transl[:, None]
        weights = (data.confidence > 0).to(positions)
        error = data.squared_error(positions).sqrt()
        return (weights * error).sum(1) / weights.sum(1).clamp(min=1)

    def place(self, people: People, data: DataTerm) -> People:
        """Stage 1: turn and move everybody as a whole."""
        return self._descend(people, data, 0.0, _WHOLE, self.options.iterations[0])

    def bend(self, people: People, data: DataTerm, pose_weight: float) -> People:
        """Stage 2: the pose, and still the whole."""
        return self._descend(people, data, pose_weight, _POSED, self.options.iterations[1])

    def finish(self, people: People, data: DataTerm, pose_weight: float) -> People:
        """Stage 3: the pose and the whole to the end."""
        return self._descend(people, data, pose_weight, _POSED, self.options.iterations[2])

    def finish_one_shape(self, people: People, data: DataTerm, pose_weight: float) -> People:
        """Stage 3 for frames of one person: all poses and one set of betas (1, 10) together, a single problem."""
        frames = len(people)
        options = self.options
        start = torch.cat((_columns(people).flatten(), people.betas[0]))[None]

        def energy(x: Tensor, _rows: Tensor) -> Tensor:
            moved = _moved(people, x[0, :-_BETAS].unflatten(0, (frames, _POSED)), x[:, -_BETAS:])
            # The shape prior is in every frame's energy: keypoint errors are mostly the same in every frame (a
            # detector's elbow is not the skeleton's), so more frames do not make betas more certain.
            return self.energy(moved, data, pose_weight).sum()[None]

        x = self._minimise(energy, start, 2 * options.iterations[2])
        return _moved(people, x[0, :-_BETAS].unflatten(0, (frames, _POSED)), x[:, -_BETAS:])

    def _descend(self, people: People, data: DataTerm, pose_weight: float, columns: int, iterations: int) -> People:
        start, shaped = _columns(people), self.folded.shaped(people.betas)

        def energy(x: Tensor, rows: Tensor) -> Tensor:
            some = people.select(rows)
            moved = _moved(some, torch.cat((x, start[rows, columns:]), dim=1), some.betas)
            return self.energy(moved, data.select(rows), pose_weight, shaped.select(rows))

        x = torch.cat((self._minimise(energy, start[:, :columns], iterations), start[:, columns:]), dim=1)
        return _moved(people, x, people.betas)

    def _minimise(self, energy: Callable[[Tensor, Tensor], Tensor], start: Tensor, iterations: int) -> Tensor:
        if self.options.optimiser == "adam":
            return adam(energy, start, iterations, self.options.learning_rate)
        return lbfgs(energy, start, iterations)


def _columns(people: People) -> Float[Tensor, "B 75"]:
    """The variables: the turn in front of the orientation (so far none), transl, body_pose."""
    return torch.cat((torch.zeros_like(people.transl), people.transl, people.body_pose), dim=1)


def _moved(people: People, columns: Tensor, betas: Tensor) -> People:
    # The orientation is a turn in front of where it was: a rotvec of its own has folds, and people turn full circles.
    root = rotvec_to_rotmat(columns[:, :3]) @ people.root_rotmat
    return People(root, columns[:, _WHOLE:_POSED], columns[:, 3:_WHOLE], betas)
