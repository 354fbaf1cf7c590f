"""`Body`: vertices, joints and keypoints of an SMPL-format body as functions of pose, betas and transl."""

from __future__ import annotations

from os import PathLike
from typing import TypeAlias

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from learnable_smplify.arrays import as_tensor
from learnable_smplify.betas import NUM_BETAS
from learnable_smplify.body.arrays import BodyArrays
from learnable_smplify.body.carried import moved_by
from learnable_smplify.body.fingers import FingeredBody
from learnable_smplify.body.fold import FoldedPoints, pose_feature
from learnable_smplify.body.kinematics import (
    joint_positions,
    parent_rotations,
    rest_offsets,
    skinned,
    world_rotations,
)
from learnable_smplify.body.open_body import OPEN_BODIES, is_open_body, read_open_body, read_open_hands
from learnable_smplify.errors import InputError
from learnable_smplify.layouts.layout import Layout, load_layout
from learnable_smplify.rotation import rotvec_to_rotmat
from learnable_smplify.skeleton import JOINT_INDEX, NUM_JOINTS

ArrayLike: TypeAlias = Tensor | np.ndarray
# Frames posed at once when making vertices: bounds the memory of long clips.
_VERTEX_CHUNK = 256


class Body:
    """One SMPL-format body. Tensors are float32 on the CPU until moved with `to`; results follow the inputs' device.

    Args:
        arrays: the model's arrays (see `BodyArrays`).

    Attributes:
        name: "open", "open-child", "smpl", "smplh" or "smplx".
        gender: "neutral", "male" or "female".
        faces: (F, 3) int64 triangles.
    """

    def __init__(self, arrays: BodyArrays) -> None:
        self.arrays = arrays
        self.name = arrays.name
        self.gender = arrays.gender
        self.faces: Int[Tensor, "F 3"] = torch.as_tensor(arrays.faces.astype(np.int64))
        self._hands: FingeredBody | None = None
        self._tensors: dict[tuple[torch.device, torch.dtype], _BodyTensors] = {}
        self._folded: dict[tuple[Layout, torch.device, torch.dtype], FoldedPoints] = {}

    @property
    def hands(self) -> FingeredBody | None:
        """The same body with fingers; None for SMPL and the open body of children, which have none."""
        if self._hands is None:
            arrays = read_open_hands() if self.name == OPEN_BODIES[0] else self.arrays.hands
            self._hands = None if arrays is None else FingeredBody(arrays)
        return self._hands

    def __repr__(self) -> str:
        return f"Body(name={self.name!r}, gender={self.gender!r}, vertices={len(self.arrays.v_template)})"

    def vertices(
        self,
        pose: ArrayLike | Float[Tensor, "B 24 3"],
        betas: ArrayLike | Float[Tensor, "B 10"],
        transl: ArrayLike | Float[Tensor, "B 3"] | None = None,
    ) -> Float[Tensor, "B V 3"]:
        """Skinned mesh vertices, metres (linear blend skinning, Loper et al. 2015).

        Args:
            pose: (B, 24, 3) or (24, 3) rotvec [rad]; joint 0 is the global orientation.
            betas: (B, 10) or (10,); one row serves all poses.
            transl: (B, 3) or (3,) metres, added after posing; None is zero.

        Raises:
            InputError: shapes that do not fit.
        """
        turns, shape, move = _checked(pose, betas, transl)
        tensors = self._on(turns.device, turns.dtype)
        pieces = []
        for first in range(0, turns.shape[0], _VERTEX_CHUNK):
            rows = slice(first, first + _VERTEX_CHUNK)
            people = shape if shape.shape[0] == 1 else shape[rows]
            pieces.append(tensors.skin(rotvec_to_rotmat(turns[rows]), people) + move[rows, None])
        return torch.cat(pieces) if pieces else turns.new_zeros(0, len(tensors.v_template), 3)

    def joints(
        self,
        pose: ArrayLike | Float[Tensor, "B 24 3"],
        betas: ArrayLike | Float[Tensor, "B 10"],
        transl: ArrayLike | Float[Tensor, "B 3"] | None = None,
    ) -> Float[Tensor, "B 24 3"]:
        """The 24 joint centres, metres, from the kinematic chain. Arguments and errors as in `vertices`."""
        turns, shape, move = _checked(pose, betas, transl)
        tensors = self._on(turns.device, turns.dtype)
        rest = tensors.rest_joints + torch.einsum("jxs,bs->bjx", tensors.rest_joints_shape, shape)
        parent = parent_rotations(world_rotations(rotvec_to_rotmat(turns)))
        return joint_positions(parent, rest_offsets(rest)) + move[:, None]

    def keypoints(
        self,
        pose: ArrayLike | Float[Tensor, "B 24 3"],
        betas: ArrayLike | Float[Tensor, "B 10"],
        transl: ArrayLike | Float[Tensor, "B 3"] | None = None,
        layout: str | Layout = "body25",
    ) -> Float[Tensor, "B K 3"]:
        """Keypoints of a layout, metres, without making the mesh (exact, see `body.fold`).

        Args:
            pose, betas, transl: as in `vertices`.
            layout: name of a layout, path of a layout TOML, or a `Layout`.

        Raises:
            InputError: shapes that do not fit, or an unknown layout.
        """
        turns, shape, move = _checked(pose, betas, transl)
        shaped = self.folded(layout, turns.device, turns.dtype).shaped(shape)
        return shaped.pose(rotvec_to_rotmat(turns)).positions() + move[:, None]

    def average(self, gender: str) -> Float[Tensor, "10"]:
        """Betas of the average person of a gender, on a body that is for all of them.

        Args:
            gender: "neutral", "male" or "female".

        Raises:
            InputError: the body does not know, as those that are of one gender themselves.
        """
        if gender == "neutral":
            return torch.zeros(self.arrays.shapedirs.shape[-1])
        if gender not in self.arrays.averages:
            raise InputError(
                f"the body '{self.name}' ({self.gender}) does not say what is {gender}",
                expected="the open body, which is for all; licensed bodies have a file for each gender",
            )
        return torch.from_numpy(self.arrays.averages[gender])

    def folded(
        self,
        layout: str | Layout = "body25",
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> FoldedPoints:
        """The layout's keypoints folded onto this body's joints; computed once for each layout, device and dtype.

        Markers are where they stand on the skin of people on average, detectors' keypoints at the body's own points.
        """
        layout = load_layout(layout)
        key = (layout, torch.device(device), dtype)
        if key not in self._folded:
            points = self._on(*key[1:]).fold(*_regressors(self.arrays, layout))
            self._folded[key] = moved_by(points, layout.bias) if layout.markers and layout.bias else points
        return self._folded[key]

    def folded_vertices(
        self, vertices: tuple[int, ...], device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
    ) -> FoldedPoints:
        """Single vertices of the mesh folded like keypoints: for losses and contacts that need a few of them."""
        rows = np.zeros((len(vertices), len(self.arrays.v_template)))
        rows[np.arange(len(vertices)), list(vertices)] = 1
        return self._on(torch.device(device), dtype).fold(rows, np.zeros((len(vertices), NUM_JOINTS)))

    def _on(self, device: torch.device, dtype: torch.dtype) -> _BodyTensors:
        key = (device, dtype)
        if key not in self._tensors:
            self._tensors[key] = _BodyTensors(self.arrays, device, dtype)
        return self._tensors[key]


def load_body(path: str | PathLike[str] | None = None, gender: str = "neutral") -> Body:
    """Load a body: the open body of this package by default, or a licensed SMPL-family file.

    Args:
        path: an SMPL, SMPL-H or SMPL-X `.pkl` / `.npz`; or "smpl", "smplh", "smplx" to search the usual places (see
            `lsmplify doctor`); "open-child" for the open body of children; None for the open body.
        gender: "neutral", "male" or "female", for the search. The open body is for all: see `Body.average`.

    Raises:
        InputError: no such file, a file that is not an SMPL model, or a gender the open body does not have.
    """
    if path is None or is_open_body(path):
        if gender != "neutral":
            raise InputError(
                f"the open body has no file of its own for '{gender}'",
                expected="gender 'neutral', or the path of a licensed file",
                hint="Body.average gives betas of a gender; 'lsmplify fit' takes --gender",
            )
        return Body(read_open_body(child=str(path) == OPEN_BODIES[1]))
    from learnable_smplify.body.model_files import read_model
    from learnable_smplify.body.model_search import MODEL_KINDS, find_model

    return Body(read_model(find_model(str(path), gender) if str(path) in MODEL_KINDS else path, gender))


def body_of_motion(name: str, body: Body) -> Body:
    """The body that a motion belongs to, if it is one in the package, else `body`.

    A child that was fitted with the open body ends up on the open body of children.

    Args:
        name: the motion's `body`.
        body: the one in use.
    """
    return load_body(name) if name != body.name and {name, body.name} <= set(OPEN_BODIES) else body


class _BodyTensors:
    """The arrays of a body as tensors of one device and dtype."""

    def __init__(self, arrays: BodyArrays, device: torch.device, dtype: torch.dtype) -> None:
        def tensor(array: np.ndarray) -> Tensor:
            return torch.as_tensor(array).to(device=device, dtype=dtype)

        self.v_template = tensor(arrays.v_template)
        self.shapedirs = tensor(arrays.shapedirs)
        self.posedirs = None if arrays.posedirs is None else tensor(arrays.posedirs)
        self.weights = tensor(arrays.weights)
        regressor = tensor(arrays.j_regressor)
        self.rest_joints = regressor @ self.v_template
        self.rest_joints_shape = torch.einsum("jv,vxs->jxs", regressor, self.shapedirs)

    def skin(self, local_rotmat: Float[Tensor, "B 24 3 3"], betas: Float[Tensor, "B 10"]) -> Float[Tensor, "B V 3"]:
        """Linear blend skinning without transl."""
        shaped = self.v_template + torch.einsum("vxs,bs->bvx", self.shapedirs, betas)
        rest_joints = self.rest_joints + torch.einsum("jxs,bs->bjx", self.rest_joints_shape, betas)
        if self.posedirs is not None:
            shaped = shaped + torch.einsum("vxp,bp->bvx", self.posedirs, pose_feature(local_rotmat))
        world = world_rotations(local_rotmat)
        joints = joint_positions(parent_rotations(world), rest_offsets(rest_joints))
        return skinned(shaped, self.weights, world, joints, rest_joints)

    def fold(self, vertex_rows: np.ndarray, joint_rows: np.ndarray) -> FoldedPoints:
        """Fold points given by vertex weights (K, V) and joint weights (K, 24)."""
        rows = torch.as_tensor(vertex_rows).to(self.v_template)
        joint_weight = torch.as_tensor(joint_rows).to(self.v_template)
        share = rows @ self.weights
        per_joint = rows[:, :, None] * self.weights  # (K, V, 24)

        def anchors(of_vertices: Tensor, of_joints: Tensor | None) -> Tensor:
            folded = torch.einsum("kvj,vxs->kjxs", per_joint, of_vertices)
            return folded if of_joints is None else folded - share[:, :, None, None] * of_joints

        return FoldedPoints(
            weight=share + joint_weight,
            anchor=anchors(self.v_template[..., None], self.rest_joints[..., None])[..., 0],
            anchor_shape=anchors(self.shapedirs, self.rest_joints_shape),
            anchor_pose=None if self.posedirs is None else anchors(self.posedirs, None),
            rest_joints=self.rest_joints,
            rest_joints_shape=self.rest_joints_shape,
        )


def _regressors(arrays: BodyArrays, layout: Layout) -> tuple[np.ndarray, np.ndarray]:
    """Rows of vertex weights (K, V) and of joint weights (K, 24) of a layout's keypoints."""
    count = len(layout.keypoint_names)
    vertex_rows = np.zeros((count, len(arrays.v_template)), dtype=np.float64)
    joint_rows = np.zeros((count, NUM_JOINTS), dtype=np.float64)
    if layout.name == "body25" and arrays.body25_regressor is not None:
        return arrays.body25_regressor, joint_rows
    landmark_index = {name: index for index, name in enumerate(arrays.point_names)}
    for row, parts in enumerate(layout.points):
        for point, share in parts:
            if point in JOINT_INDEX:
                joint_rows[row, JOINT_INDEX[point]] += share
            elif point in landmark_index:
                vertex_rows[row] += share * arrays.point_regressor[landmark_index[point]]
            else:
                raise InputError(
                    f"body '{arrays.name}' has no point '{point}'",
                    where=f"layout '{layout.name}', keypoint '{layout.keypoint_names[row]}'",
                    expected=f"one of {', '.join((*JOINT_INDEX, *landmark_index))}",
                )
    return vertex_rows, joint_rows


def _checked(pose: ArrayLike, betas: ArrayLike, transl: ArrayLike | None) -> tuple[Tensor, Tensor, Tensor]:
    turns = as_tensor(pose, "pose")
    turns = turns if turns.dtype == torch.float64 else turns.to(torch.float32)
    if turns.shape == (NUM_JOINTS, 3):
        turns = turns[None]
    if turns.ndim == 2 and turns.shape[1] == NUM_JOINTS * 3:
        turns = turns.unflatten(1, (NUM_JOINTS, 3))
    if turns.ndim != 3 or turns.shape[1:] != (NUM_JOINTS, 3):
        raise InputError(f"pose has shape {tuple(turns.shape)}", expected="(B, 24, 3) rotvec")
    batch = turns.shape[0]
    shape = as_tensor(betas, "betas").to(turns)
    shape = shape[None] if shape.ndim == 1 else shape
    if shape.ndim != 2 or shape.shape[0] not in (1, batch) or shape.shape[1] > NUM_BETAS:
        raise InputError(f"betas have shape {tuple(shape.shape)}", expected=f"({batch}, 10), (1, 10) or (10,)")
    shape = torch.nn.functional.pad(shape, (0, NUM_BETAS - shape.shape[1]))
    move = torch.zeros(1, 3).to(turns) if transl is None else as_tensor(transl, "transl").to(turns)
    move = move[None] if move.shape == (3,) else move
    if move.shape not in ((batch, 3), (1, 3)):
        raise InputError(f"transl has shape {tuple(move.shape)}", expected=f"({batch}, 3)")
    return turns, shape, move.expand(batch, 3)
