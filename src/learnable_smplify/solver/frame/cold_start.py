"""A pose from nothing: from one frame of keypoints, with no earlier pose to lean on.

1. Turn and place the trunk: a rigid fit of the keypoints of hips, spine, shoulders and neck.
2. Walk down the limbs: turn each joint so that the keypoints it drives meet their measurements, and leave what they do
   not decide (the twist about a bone) to a first guess.
3. Do this for several first guesses of the pose, let Levenberg-Marquardt improve each for a few steps, keep the best,
   and finish it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from learnable_smplify.body.fold import FoldedPoints, ShapedPoints
from learnable_smplify.body.kinematics import IS_ANCESTOR, LEVELS, joint_positions, parent_rotations, world_rotations
from learnable_smplify.kernels.convert import fast_closest_rotmat
from learnable_smplify.skeleton import JOINT_INDEX, NUM_JOINTS
from learnable_smplify.solver.frame.levenberg_marquardt import LevenbergMarquardt, PoseProblem, PoseSolution, solve
from learnable_smplify.solver.frame.priors import Priors

# A keypoint belongs to the trunk when no joint outside this list moves it (much).
_TRUNK_JOINTS = ("pelvis", "spine1", "spine2", "spine3", "left_collar", "right_collar")
# A joint drives a keypoint when its lever is at least this long [m] ...
_MIN_LEVER = 0.03
# ... and those of the joints below it are at most this share of it.
_MAX_LOWER_SHARE = 0.3
# Weight of the first guess against a keypoint at 1 m, as a squared length [m^2]: enough to settle the twist only.
_GUESS_WEIGHT = 0.02**2
# First guesses drawn from the pose prior, besides its mean and the rest pose, and the seed of the draw.
_RANDOM_GUESSES, _SEED = 2, 0


_TRY = LevenbergMarquardt(8, initial_damping=1e-2)
_FINISH = LevenbergMarquardt(30, cost_tolerance=1e-3, initial_damping=1e-3)


@dataclass(frozen=True, eq=False)
class _Drive:
    """Which keypoints place which joint, read off the levers of the rest pose."""

    trunk: Bool[Tensor, " K"]
    driven: Bool[Tensor, "24 K"]
    rest_levers: Float[Tensor, "K 24 3"]


def cold_start(
    points: ShapedPoints,
    targets: Float[Tensor, "B K 3"],
    weights: Float[Tensor, "B K"],
    priors: Priors,
    robust_scale: float | None = None,
    tried: LevenbergMarquardt = _TRY,
    finished: LevenbergMarquardt = _FINISH,
) -> PoseSolution:
    """Poses for B independent frames.

    Args:
        points: the people (batch B, or 1 for one person).
        targets: (B, K, 3) metres.
        weights: (B, K) 1 / variance of every keypoint [1/m^2], 0 = missing.
        priors: on the device of `targets`.
        robust_scale: distance [m] at which a keypoint starts to lose its pull; None for squares.
        tried, finished: how hard every guess is tried, and the best one finished.
    """
    batch = targets.shape[0]
    guesses = _guesses(priors)
    count = len(guesses)
    rows = torch.arange(batch, device=targets.device).repeat_interleave(count)
    many_points, many_targets, many_weights = points.select(rows), targets[rows], weights[rows]
    start_rotmat, start_transl = place(many_points, many_targets, many_weights, guesses.repeat(batch, 1, 1, 1))
    problem = PoseProblem(
        points=many_points,
        targets=many_targets,
        weights=many_weights,
        prior_rotmat=priors.mean_facing(start_rotmat),
        prior_precision=priors.pose_precision,
        prior_transl=start_transl,
        robust_scale=robust_scale,
    )
    found = solve(problem, start_rotmat, start_transl, tried)
    best = found.cost.reshape(batch, count).argmin(dim=1) + torch.arange(batch, device=targets.device) * count
    return solve(problem.select(best), found.rotmat[best], found.transl[best], finished)


def place(
    points: ShapedPoints,
    targets: Float[Tensor, "B K 3"],
    weights: Float[Tensor, "B K"],
    guess_rotmat: Float[Tensor, "B 24 3 3"],
) -> tuple[Float[Tensor, "B 24 3 3"], Float[Tensor, "B 3"]]:
    """Steps 1 and 2: rotations and transl that meet the keypoints as far as rigid fits joint by joint can."""
    drive = _drive(points.folded)
    local = guess_rotmat.clone()
    turn, transl = align_trunk(points, targets, weights, local, drive.trunk)
    local[:, 0] = turn @ local[:, 0]
    pull = weights / weights.amax(dim=1, keepdim=True).clamp(min=1e-12)
    for level in LEVELS[1:]:
        turned = [joint for joint in level if bool(drive.driven[joint].any())]
        if not turned:
            continue
        world = world_rotations(local)
        parent = parent_rotations(world)
        joints = joint_positions(parent, points.offsets) + transl[:, None]
        wanted = _GUESS_WEIGHT * world[:, turned]
        for number, joint in enumerate(turned):  # no joint of a level moves another
            driven = drive.driven[joint]
            arm = targets[:, driven] - joints[:, joint, None]
            wanted[:, number] += torch.einsum("bk,bkx,ky->bxy", pull[:, driven], arm, drive.rest_levers[driven, joint])
        local[:, turned] = parent[:, turned].mT @ fast_closest_rotmat(wanted)
    return local, transl


def align_trunk(
    points: ShapedPoints,
    targets: Float[Tensor, "B K 3"],
    weights: Float[Tensor, "B K"],
    local_rotmat: Float[Tensor, "B 24 3 3"],
    trunk: Bool[Tensor, " K"] | None = None,
) -> tuple[Float[Tensor, "B 3 3"], Float[Tensor, "B 3"]]:
    """The world rotation to put in front of the pelvis', and the transl, that lay a posed trunk on its keypoints.

    Frames that see fewer than three trunk keypoints use all the keypoints they have.
    """
    trunk = _drive(points.folded).trunk if trunk is None else trunk
    posed = points.pose(local_rotmat)
    source = posed.positions()
    on_trunk = weights * trunk
    enough = (on_trunk > 0).sum(1, keepdim=True) >= 3
    used = torch.where(enough, on_trunk, weights)
    used = used / used.sum(1, keepdim=True).clamp(min=1e-12)
    source_centre = (used[..., None] * source).sum(1)
    target_centre = (used[..., None] * targets).sum(1)
    cross = torch.einsum("bk,bkx,bky->bxy", used, targets - target_centre[:, None], source - source_centre[:, None])
    identity = torch.eye(3, dtype=cross.dtype, device=cross.device)
    turn = fast_closest_rotmat(cross + 1e-9 * identity)
    # transl is added after turning about the pelvis joint.
    pelvis = posed.joints[:, 0]
    moved = pelvis + (turn @ (source_centre - pelvis)[..., None])[..., 0]
    return turn, target_centre - moved


@lru_cache(maxsize=16)
def _drive(folded: FoldedPoints) -> _Drive:
    levers = folded.at_rest().levers()[0]
    length = levers.norm(dim=-1)  # (K, 24)
    below = torch.tensor(IS_ANCESTOR, device=length.device).T.clone().fill_diagonal_(False)  # [j, i]: i hangs under j
    lower = torch.where(below, length[:, None, :], 0.0).amax(dim=-1)  # (K, 24)
    trunk_joints = [JOINT_INDEX[name] for name in _TRUNK_JOINTS]
    elsewhere = [joint for joint in range(NUM_JOINTS) if joint not in trunk_joints]
    trunk = length[:, elsewhere].amax(dim=1) < _MIN_LEVER
    driven = (length >= _MIN_LEVER) & (lower <= _MAX_LOWER_SHARE * length)
    driven[:, trunk_joints] = False
    return _Drive(trunk=trunk, driven=driven.T, rest_levers=levers)


def _guesses(priors: Priors) -> Float[Tensor, "G 24 3 3"]:
    """First guesses of the local rotations, the pelvis at the identity."""
    mean = priors.pose_mean
    rest = torch.eye(3, dtype=mean.dtype, device=mean.device).expand(NUM_JOINTS, 3, 3)
    generator = torch.Generator().manual_seed(_SEED)
    noise = torch.randn(_RANDOM_GUESSES, NUM_JOINTS * 3 - 3, generator=generator).to(mean)
    return torch.cat((mean[None], rest[None], priors.poses_of(noise)))
