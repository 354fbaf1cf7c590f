"""`FingeredBody`: a body whose fingers bend, on SMPL-H's 52 joints."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from learnable_smplify.body.arrays import HandArrays
from learnable_smplify.hands import (
    HAND_JOINT_NAMES,
    HAND_POINT_NAMES,
    NUM_SHARED_JOINTS,
    SMPLH_JOINT_NAMES,
    SMPLH_PARENTS,
)
from learnable_smplify.rotation import rotvec_to_rotmat
from learnable_smplify.skeleton import SIDES, WRISTS

_PER_HAND = len(HAND_JOINT_NAMES) // 2
# Frames posed at once when making vertices: bounds the memory of long clips.
_VERTEX_CHUNK = 128


@dataclass(frozen=True, eq=False)
class RestHands:
    """Two hands in the body's rest pose, metres, in the body's axes: all that the fingers' solver needs of a person.

    Args:
        joints: (2, 16, 3) the wrist, then 15 joints in SMPL-H's order; the left hand first.
        tips: (2, 5, 3) the fingertips, in the same order of the fingers (index, middle, pinky, ring, thumb).
    """

    joints: Float[Tensor, "2 16 3"]
    tips: Float[Tensor, "2 5 3"]


class FingeredBody:
    """A body with fingers. Tensors are float32 on the CPU; results follow the inputs' device and precision.

    Args:
        arrays: its mesh and joints.

    Attributes:
        faces: (F, 3) int64 triangles.
    """

    def __init__(self, arrays: HandArrays) -> None:
        self.arrays = arrays
        self.faces: Int[Tensor, "F 3"] = torch.as_tensor(arrays.faces).long()
        regressor = torch.as_tensor(arrays.j_regressor).double()
        template, shape = torch.as_tensor(arrays.v_template).double(), torch.as_tensor(arrays.shapedirs).double()
        tips = list(arrays.tips)
        self._joints = regressor @ template
        self._joints_shape = torch.einsum("jv,vxs->jxs", regressor, shape)
        self._tips, self._tips_shape = template[tips], shape[tips]

    def rest(self, betas: Float[Tensor, "10"]) -> RestHands:
        """The hands of a person."""
        joints, tips = (part.to(betas) for part in self._rest(betas.double()[None]))
        wrists = joints[0, list(WRISTS)]
        fingers = joints[0, NUM_SHARED_JOINTS:].reshape(2, _PER_HAND, 3)
        return RestHands(torch.cat((wrists[:, None], fingers), dim=1), tips[0].reshape(2, 5, 3)[:, list(_TO_SMPLH)])

    def joints(
        self,
        pose: Float[Tensor, "B 24 3"],
        hand_pose: Float[Tensor, "B 30 3"],
        betas: Float[Tensor, "B 10"],
        transl: Float[Tensor, "B 3"],
    ) -> Float[Tensor, "B 52 3"]:
        """The joints [m]; turns are rotvecs [rad], and `betas` may have one row for all frames."""
        joints, _ = self._rest(betas.double())
        return self._posed(pose, hand_pose, joints.to(pose))[1] + transl[:, None]

    def hand_points(
        self,
        pose: Float[Tensor, "B 24 3"],
        hand_pose: Float[Tensor, "B 30 3"],
        betas: Float[Tensor, "B 10"],
        transl: Float[Tensor, "B 3"],
    ) -> Float[Tensor, "B 2 21 3"]:
        """The 21 points of each hand [m], in the order of `hands.HAND_POINT_NAMES`: joints, and the skin at the tips.

        Arguments as in `joints`. A tip goes with the last joint of its finger.
        """
        joints, tips = (part.to(pose) for part in self._rest(betas.double()))
        world, placed = self._posed(pose, hand_pose, joints)
        last = list(_LAST_JOINTS)
        ends = placed[:, last] + (world[:, last] @ (tips - joints[:, last])[..., None])[..., 0]
        both = torch.cat((placed, ends), dim=1) + transl[:, None]
        return both[:, [list(row) for row in _POINT_ROWS]]

    def vertices(
        self,
        pose: Float[Tensor, "B 24 3"],
        hand_pose: Float[Tensor, "B 30 3"],
        betas: Float[Tensor, "B 10"],
        transl: Float[Tensor, "B 3"],
    ) -> Float[Tensor, "B W 3"]:
        """Skinned mesh vertices [m] (linear blend skinning). Arguments as in `joints`."""
        template, directions, weights, correctives = (
            None if array is None else torch.as_tensor(array).to(pose)
            for array in (self.arrays.v_template, self.arrays.shapedirs, self.arrays.weights, self.arrays.posedirs)
        )
        assert template is not None
        assert directions is not None
        assert weights is not None
        pieces = []
        for first in range(0, len(pose), _VERTEX_CHUNK):
            rows = slice(first, first + _VERTEX_CHUNK)
            people = (betas if len(betas) == 1 else betas[rows]).to(pose)
            shaped = template + torch.einsum("vxs,bs->bvx", directions, people)
            rest = self._rest(people.double())[0].to(pose)
            world, placed = self._posed(pose[rows], hand_pose[rows], rest)
            if correctives is not None:
                turns = rotvec_to_rotmat(torch.cat((pose[rows, :NUM_SHARED_JOINTS], hand_pose[rows]), dim=1)[:, 1:])
                feature = (turns - torch.eye(3).to(turns)).flatten(1)
                shaped = shaped + torch.einsum("vxp,bp->bvx", correctives, feature)
            shift = placed - (world @ rest[..., None])[..., 0]
            blended = weights @ torch.cat((world.flatten(2), shift), dim=-1)
            turn, move = blended[..., :9].unflatten(-1, (3, 3)), blended[..., 9:]
            pieces.append((turn @ shaped[..., None])[..., 0] + move + transl[rows, None])
        return torch.cat(pieces) if pieces else pose.new_zeros(0, len(template), 3)

    def _rest(self, betas: Float[Tensor, "B 10"]) -> tuple[Float[Tensor, "B 52 3"], Float[Tensor, "B 10 3"]]:
        device = betas.device
        joints = self._joints.to(device) + torch.einsum("jxs,bs->bjx", self._joints_shape.to(device), betas)
        tips = self._tips.to(device) + torch.einsum("jxs,bs->bjx", self._tips_shape.to(device), betas)
        return joints, tips

    @staticmethod
    def _posed(
        pose: Float[Tensor, "B 24 3"], hand_pose: Float[Tensor, "B 30 3"], rest: Float[Tensor, "B 52 3"]
    ) -> tuple[Float[Tensor, "B 52 3 3"], Float[Tensor, "B 52 3"]]:
        """World rotations and places of the joints, without transl."""
        local = rotvec_to_rotmat(torch.cat((pose[:, :NUM_SHARED_JOINTS], hand_pose), dim=1))
        world, placed = [local[:, 0]], [rest[:, 0].expand(len(pose), 3)]
        for joint in range(1, len(SMPLH_JOINT_NAMES)):
            parent = SMPLH_PARENTS[joint]
            offset = rest[:, joint] - rest[:, parent]
            placed.append(placed[parent] + (world[parent] @ offset[..., None])[..., 0])
            world.append(world[parent] @ local[:, joint])
        return torch.stack(world, dim=1), torch.stack(placed, dim=1)


# Where SMPL-H's fingers (index, middle, pinky, ring, thumb) are among the points' (thumb, index, middle, ring, pinky).
_TO_SMPLH = (1, 2, 4, 3, 0)


def _point_rows() -> tuple[tuple[int, ...], ...]:
    """Of each hand's points, the row among the 52 joints and the 10 tips after them."""
    hands = []
    for side_index, side in enumerate(SIDES):
        rows, tips = [], 0
        for name in HAND_POINT_NAMES:
            if name.endswith("4"):
                rows.append(len(SMPLH_JOINT_NAMES) + 5 * side_index + tips)
                tips += 1
            else:
                rows.append(SMPLH_JOINT_NAMES.index(f"{side}_{name}"))
        hands.append(tuple(rows))
    return tuple(hands)


_POINT_ROWS = _point_rows()
# Of each tip, the joint it hangs on.
_LAST_JOINTS = tuple(
    SMPLH_JOINT_NAMES.index(f"{side}_{finger}3")
    for side in SIDES
    for finger in ("thumb", "index", "middle", "ring", "pinky")
)
