"""Keypoints without the mesh: regressor and skin weights folded into a few vectors per joint.

A skinned vertex is x_v = sum_j W_vj (R_j (v_v - J_j) + p_j), with world rotation R_j and world position p_j of joint j,
rest vertex v_v and rest joint J_j. A keypoint sum_v r_kv x_v is therefore

    k_k = sum_j (R_j a_kj + s_kj p_j),   s_kj = sum_v r_kv W_vj,   a_kj = sum_v r_kv W_vj (v_v - J_j),

exact for every pose. The anchors a_kj are linear in betas, and in the pose feature when the body has pose correctives.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from learnable_smplify.body.kinematics import (
    joint_positions,
    parent_rotations,
    rest_offsets,
    subtree_matrix,
    world_rotations,
)
from learnable_smplify.skeleton import NUM_JOINTS


@dataclass(frozen=True, eq=False)
class FoldedPoints:
    """K points of a body as functions of pose, betas and transl.

    Args:
        weight: (K, 24) s_kj, rows sum to 1.
        anchor: (K, 24, 3) a_kj for betas 0 and rest pose, metres.
        anchor_shape: (K, 24, 3, 10) change of a_kj per unit of each beta.
        anchor_pose: (K, 24, 3, 207) change of a_kj per unit of the pose feature, None without pose correctives.
        rest_joints: (24, 3) J_j for betas 0, metres.
        rest_joints_shape: (24, 3, 10) change of J_j per unit of each beta.
    """

    weight: Float[Tensor, "K 24"]
    anchor: Float[Tensor, "K 24 3"]
    anchor_shape: Float[Tensor, "K 24 3 10"]
    anchor_pose: Float[Tensor, "K 24 3 207"] | None
    rest_joints: Float[Tensor, "24 3"]
    rest_joints_shape: Float[Tensor, "24 3 10"]

    def shaped(self, betas: Float[Tensor, "B 10"]) -> ShapedPoints:
        """The points of people with these betas: all that can be computed before the pose is known."""
        anchor = self.anchor + torch.einsum("kjxs,bs->bkjx", self.anchor_shape, betas)
        rest_joints = self.rest_joints + torch.einsum("jxs,bs->bjx", self.rest_joints_shape, betas)
        return ShapedPoints(self, anchor, rest_offsets(rest_joints))

    def recentred(self, betas: Float[Tensor, "10"]) -> FoldedPoints:
        """The same body with its betas counted from these: a standard normal prior on the rest is one about these."""
        return replace(
            self,
            anchor=self.anchor + self.anchor_shape @ betas,
            rest_joints=self.rest_joints + self.rest_joints_shape @ betas,
        )

    def of_person(self, betas: Float[Tensor, "10"]) -> FoldedPoints:
        """The same points of a person with these betas, who has no further shape."""
        return replace(
            self.recentred(betas),
            anchor_shape=self.anchor_shape[..., :0],
            rest_joints_shape=self.rest_joints_shape[..., :0],
        )

    def at_rest(self, betas: Float[Tensor, "10"] | None = None) -> PosedPoints:
        """The points of one person in the rest pose: of the mean one without betas."""
        like = self.weight
        betas = like.new_zeros(self.anchor_shape.shape[-1]) if betas is None else betas
        return self.shaped(betas[None]).pose(torch.eye(3).to(like).expand(1, NUM_JOINTS, 3, 3))

    def double(self) -> FoldedPoints:
        """In float64."""
        pose = None if self.anchor_pose is None else self.anchor_pose.double()
        rest = self.rest_joints.double(), self.rest_joints_shape.double()
        return FoldedPoints(self.weight.double(), self.anchor.double(), self.anchor_shape.double(), pose, *rest)


@dataclass(frozen=True, eq=False)
class ShapedPoints:
    """`FoldedPoints` with betas applied; a batch of 1 stands for one person in every pose."""

    folded: FoldedPoints
    anchor: Float[Tensor, "B K 24 3"]
    offsets: Float[Tensor, "B 24 3"]

    def select(self, rows: Tensor) -> ShapedPoints:
        """The people at these batch rows (one shared person stays shared)."""
        if self.anchor.shape[0] == 1:
            return self
        return ShapedPoints(self.folded, self.anchor[rows], self.offsets[rows])

    def pose(self, local_rotmat: Float[Tensor, "B 24 3 3"]) -> PosedPoints:
        """Put the people into these poses (joint rotations relative to the parent, pelvis in the world)."""
        world = world_rotations(local_rotmat)
        parent = parent_rotations(world)
        joints = joint_positions(parent, self.offsets)
        anchor = self.anchor
        if self.folded.anchor_pose is not None:
            anchor = anchor + torch.einsum("kjxp,bp->bkjx", self.folded.anchor_pose, pose_feature(local_rotmat))
        return PosedPoints(self.folded, anchor, world, parent, joints)


@dataclass(frozen=True, eq=False)
class PosedPoints:
    """Points and joints of posed people, before `transl` is added, with what their derivatives need."""

    folded: FoldedPoints
    anchor: Float[Tensor, "B K 24 3"]
    world_rotmat: Float[Tensor, "B 24 3 3"]
    parent_rotmat: Float[Tensor, "B 24 3 3"]
    joints: Float[Tensor, "B 24 3"]

    def positions(self) -> Float[Tensor, "B K 3"]:
        """The keypoints, metres."""
        batch = self.world_rotmat.shape[0]
        rows = self.world_rotmat.transpose(1, 2).reshape(batch, 3, 72)
        if self.anchor.shape[0] == 1:  # one person: a single matrix product for the whole batch
            turned = (rows.reshape(-1, 72) @ self.anchor[0].reshape(-1, 72).T).unflatten(0, (batch, 3))
        else:
            turned = rows @ self.anchor.flatten(2).transpose(1, 2)
        return turned.transpose(1, 2) + self.folded.weight @ self.joints

    def levers(self) -> Float[Tensor, "B K 24 3"]:
        """c_kj: what of keypoint k hangs on joint j, relative to that joint.

        Turning joint j (and all below it) by a small world rotation w moves keypoint k by w x c_kj.
        """
        parts = torch.einsum("bjxy,bkjy->bkxj", self.world_rotmat, self.anchor)
        parts = parts + self.folded.weight[:, None, :] * self.joints.transpose(1, 2)[:, None]
        subtree = subtree_matrix(parts.dtype, parts.device)
        carried = (parts @ subtree).transpose(2, 3)
        share = self.folded.weight @ subtree
        return carried - share[..., None] * self.joints[:, None]


def pose_feature(local_rotmat: Float[Tensor, "B J 3 3"]) -> Float[Tensor, "B P"]:
    """SMPL's pose feature: `R - I` of all joints but the root, flattened (Loper et al. 2015, eq. 9)."""
    identity = torch.eye(3, dtype=local_rotmat.dtype, device=local_rotmat.device)
    return (local_rotmat[:, 1:] - identity).flatten(1)


def pose_derivative(posed: PosedPoints) -> Float[Tensor, "B K 3 72"]:
    """d point / d turns of the joints in their parents' frames [m/rad], without the change of pose correctives.

    Column x of joint j is (R_parent e_x) x c_kj.
    """
    levers = posed.levers()[..., None, :]  # (B, K, 24, 1, 3)
    axes = posed.parent_rotmat.mT[:, None].expand(-1, levers.shape[1], -1, -1, -1)  # (B, K, 24, 3 axes, 3)
    return torch.linalg.cross(axes, levers.expand_as(axes), dim=-1).permute(0, 1, 4, 2, 3).flatten(3)


def shape_derivative(posed: PosedPoints) -> Float[Tensor, "B K 3 10"]:
    """d point / d betas [m] at these poses."""
    folded = posed.folded
    offsets_shape = rest_offsets(folded.rest_joints_shape.permute(2, 0, 1)).permute(1, 2, 0)
    steps = torch.einsum("bjxy,jys->bjxs", posed.parent_rotmat, offsets_shape)
    chain = subtree_matrix(steps.dtype, steps.device)
    joints_shape = torch.einsum("ij,bjxs->bixs", chain, steps)
    anchors = torch.einsum("bjxy,kjys->bkxs", posed.world_rotmat, folded.anchor_shape)
    return anchors + torch.einsum("kj,bjxs->bkxs", folded.weight, joints_shape)
