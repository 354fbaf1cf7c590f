"""`FingeredBody`: a body whose fingers bend, on SMPL-H's 52 joints."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from learnable_smplify.body.arrays import HandArrays
from learnable_smplify.body.fold import pose_feature
from learnable_smplify.body.kinematics import posed_tree, skinned
from learnable_smplify.hands import (
    FINGERS,
    HAND_POINT_NAMES,
    NUM_SHARED_JOINTS,
    POINT_FINGERS,
    SMPLH_JOINT_NAMES,
    SMPLH_PARENTS,
)
from learnable_smplify.rotation import rotvec_to_rotmat
from learnable_smplify.skeleton import SIDES, WRISTS, sided

# The tips are in the order of the points' fingers, SMPL-H's joints in another.
_TO_SMPLH = [POINT_FINGERS.index(finger) for finger in FINGERS]
_ALL_POINTS = (*SMPLH_JOINT_NAMES, *sided(*(f"{finger}4" for finger in POINT_FINGERS)))
# Of each hand's points, the row among the 52 joints and the 10 tips after them.
_POINT_ROWS = [[_ALL_POINTS.index(f"{side}_{name}") for name in HAND_POINT_NAMES] for side in SIDES]
# Of each tip, the joint it hangs on.
_LAST_JOINTS = [SMPLH_JOINT_NAMES.index(name) for name in sided(*(f"{finger}3" for finger in POINT_FINGERS))]
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
        fingers = joints[0, NUM_SHARED_JOINTS:].reshape(2, -1, 3)
        return RestHands(torch.cat((wrists[:, None], fingers), dim=1), tips[0].reshape(2, 5, 3)[:, _TO_SMPLH])

    def joints(
        self,
        pose: Float[Tensor, "B 24 3"],
        hand_pose: Float[Tensor, "B 30 3"],
        betas: Float[Tensor, "B 10"],
        transl: Float[Tensor, "B 3"],
    ) -> Float[Tensor, "B 52 3"]:
        """The joints [m]; turns are rotvecs [rad], and `betas` may have one row for all frames."""
        joints, _ = self._rest(betas.double())
        return posed_tree(_local(pose, hand_pose), joints.to(pose), SMPLH_PARENTS)[1] + transl[:, None]

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
        world, placed = posed_tree(_local(pose, hand_pose), joints, SMPLH_PARENTS)
        offset = tips - joints[:, _LAST_JOINTS]
        ends = placed[:, _LAST_JOINTS] + (world[:, _LAST_JOINTS] @ offset[..., None])[..., 0]
        both = torch.cat((placed, ends), dim=1) + transl[:, None]
        return both[:, _POINT_ROWS]

    def vertices(
        self,
        pose: Float[Tensor, "B 24 3"],
        hand_pose: Float[Tensor, "B 30 3"],
        betas: Float[Tensor, "B 10"],
        transl: Float[Tensor, "B 3"],
    ) -> Float[Tensor, "B W 3"]:
        """Skinned mesh vertices [m] (linear blend skinning). Arguments as in `joints`."""
        arrays = self.arrays
        template, directions, weights = (
            torch.as_tensor(array).to(pose) for array in (arrays.v_template, arrays.shapedirs, arrays.weights)
        )
        correctives = None if arrays.posedirs is None else torch.as_tensor(arrays.posedirs).to(pose)
        pieces = []
        for first in range(0, len(pose), _VERTEX_CHUNK):
            rows = slice(first, first + _VERTEX_CHUNK)
            people = (betas if len(betas) == 1 else betas[rows]).to(pose)
            local = _local(pose[rows], hand_pose[rows])
            shaped = template + torch.einsum("vxs,bs->bvx", directions, people)
            if correctives is not None:
                shaped = shaped + torch.einsum("vxp,bp->bvx", correctives, pose_feature(local))
            rest = self._rest(people.double())[0].to(pose)
            world, placed = posed_tree(local, rest, SMPLH_PARENTS)
            pieces.append(skinned(shaped, weights, world, placed, rest) + transl[rows, None])
        return torch.cat(pieces) if pieces else pose.new_zeros(0, len(template), 3)

    def _rest(self, betas: Float[Tensor, "B 10"]) -> tuple[Float[Tensor, "B 52 3"], Float[Tensor, "B 10 3"]]:
        device = betas.device
        joints = self._joints.to(device) + torch.einsum("jxs,bs->bjx", self._joints_shape.to(device), betas)
        tips = self._tips.to(device) + torch.einsum("jxs,bs->bjx", self._tips_shape.to(device), betas)
        return joints, tips


def _local(pose: Float[Tensor, "B 24 3"], hand_pose: Float[Tensor, "B 30 3"]) -> Float[Tensor, "B 52 3 3"]:
    return rotvec_to_rotmat(torch.cat((pose[:, :NUM_SHARED_JOINTS], hand_pose), dim=1))
