"""`PoseMlp`: our default network, a residual MLP that is run in several cheap passes.

One pass sees where the start pose puts the keypoints, where they were measured, and which were seen, all in the
person's own frame. It answers with the paper's residual rotations, with how far each of them may be off, and with how
far each measured keypoint may be off. A second pass starts from the first one's answer and sees what is left.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from learnable_smplify.errors import InputError
from learnable_smplify.layouts.layout import load_layout
from learnable_smplify.network.rot6d import IDENTITY_ROT6D, rot6d_to_rotmat
from learnable_smplify.rotation import closest_rotmat, rotmat_to_rotvec, rotvec_to_rotmat

# Joints whose rotations are predicted: pelvis and 21 body joints; the hands stay as they are.
SOLVED_JOINTS = 22
KEYPOINTS = 25
_TRUNK = ("Neck", "RShoulder", "LShoulder", "MidHip", "RHip", "LHip")
# Bounds of the predicted standard deviations: of rotations [rad] and of keypoints [m].
ROTATION_SIGMA = (1e-4, 2.0)
KEYPOINT_SIGMA = (3e-4, 1.0)
# Bounds of how far Gauss-Newton steps may turn a joint [rad], and of that beside how closely they shall meet a keypoint
# [rad/m]: with more between the loosest and the firmest, single precision loses what keypoints do not show.
STIFFNESS_SIGMA = (1e-3, 2.0)
MOST_FREEDOM = 2500.0

Normalisation = Literal["aligned", "start", "none"]

StartKind = Literal["exact", "tracked", "estimate"]
START_KINDS: tuple[StartKind, ...] = ("exact", "tracked", "estimate")
"""How far a start pose can be trusted: true; a tracker's answer for the frame before; an image-based estimator's."""

# The least distance [m] that a start of each kind is taken to be from the target, and what a pass may leave undone of
# the distance that it began with.
REACH_FLOOR = (3e-4, 1e-2, 5e-2)
LEFT_UNDONE = 0.15
# A distance of so many metres is a turn of one radian or so.
REACH_UNIT = 0.1


@dataclass(frozen=True)
class PoseMlpConfig:
    """Shape and ingredients of a `PoseMlp`.

    Args:
        width: features of the hidden layers.
        blocks: residual blocks of two layers each.
        passes: how often the network is run on one frame, each time on what the last pass left.
        normalise: "aligned" lays the start's trunk on the measured trunk and uses the pelvis frame; "start" uses the
            start's pelvis frame for both, as the paper; "none" keeps the world's axes. A start pose comes without a
            position, so in all three the start is moved onto the measured trunk.
        residual: predict R_start^T R_target (the paper's residual learning); False predicts R_target itself.
        scaled: predict turns in units of how far the keypoints are from the start, so that no motion is no turn.
    """

    width: int = 512
    blocks: int = 4
    passes: int = 2
    normalise: Normalisation = "aligned"
    residual: bool = True
    scaled: bool = True


@dataclass(frozen=True, eq=False)
class PassInput:
    """One pass's view of B problems. Positions in metres, any world frame.

    Args:
        rotmat: (B, 24, 3, 3) local rotations of the pose so far.
        keypoints: (B, 25, 3) where that pose puts the BODY_25 keypoints.
        target: (B, 25, 3) where they were measured.
        confidence: (B, 25) in [0, 1], 0 = missing.
        betas: (B, 10).
        kind: (B,) places in `START_KINDS`.
        seconds: (B,) time between start and target; 0 where nobody knows.
        before: of the pass before; None for the first pass, which lays the trunk on its measurement.
    """

    rotmat: Float[Tensor, "B 24 3 3"]
    keypoints: Float[Tensor, "B 25 3"]
    target: Float[Tensor, "B 25 3"]
    confidence: Float[Tensor, "B 25"]
    betas: Float[Tensor, "B 10"]
    kind: Int[Tensor, " B"]
    seconds: Float[Tensor, " B"]
    before: Memory | None


@dataclass(frozen=True, eq=False)
class Memory:
    """What a pass hands to the next: its hidden features (B, W), and the distance (B,) it had to cover [m]."""

    hidden: Float[Tensor, "B W"]
    reach: Float[Tensor, " B"]


@dataclass(frozen=True, eq=False)
class PassOutput:
    """What one pass says.

    Args:
        rotmat: (B, 24, 3, 3) the new local rotations.
        sigma: (B, 22) standard deviation of each rotation's error, per axis [rad].
        keypoint_sigma: (B, 25) standard deviation of each measured coordinate's error [m].
        stiffness_sigma: (B, 66) how far Gauss-Newton steps may turn each joint about each of its own axes [rad].
        weight_sigma: (B, 25) how closely they shall meet each measured keypoint [m].
        memory: for the next pass; None from networks of one pass.
    """

    rotmat: Float[Tensor, "B 24 3 3"]
    sigma: Float[Tensor, "B 22"]
    keypoint_sigma: Float[Tensor, "B 25"]
    stiffness_sigma: Float[Tensor, "B 66"]
    weight_sigma: Float[Tensor, "B 25"]
    memory: Memory | None

    def rows(self, rows: slice) -> PassOutput:
        """Some of the problems, without their memory."""
        parts = {field.name: getattr(self, field.name)[rows] for field in fields(self) if field.name != "memory"}
        return PassOutput(**parts, memory=None)


class Block(nn.Module):
    """A residual block of two layers."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.up = nn.Linear(width, width)
        self.down = nn.Linear(width, width)

    def forward(self, features: Tensor) -> Tensor:
        return features + self.down(nn.functional.silu(self.up(self.norm(features))))


class PoseMlp(nn.Module):
    """See the module's description. Holds no body data: forward kinematics between passes is the caller's."""

    _trunk: Tensor
    _reach_floor: Tensor

    def __init__(self, config: PoseMlpConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("_trunk", trunk_indices(), persistent=False)
        self.register_buffer("_reach_floor", torch.tensor(REACH_FLOOR), persistent=False)
        inputs = 4 * 3 * KEYPOINTS + KEYPOINTS + 24 * 6 + 10 + 3 + 1 + len(START_KINDS) + 2 + 1
        self.enter = nn.Linear(inputs, config.width)
        self.recall = nn.Linear(config.width, config.width, bias=False)
        self.body = nn.Sequential(*(Block(config.width) for _ in range(config.blocks)), nn.LayerNorm(config.width))
        self.turn = nn.Linear(config.width, SOLVED_JOINTS * 6)
        self.spread = nn.Linear(config.width, SOLVED_JOINTS + KEYPOINTS)
        self.guide = nn.Linear(config.width, 3 * SOLVED_JOINTS + KEYPOINTS)
        # Lower triangle L; L L^T is the precision of the Gauss-Newton steps' prior in units of `stiffness_sigma`,
        # joints in their own axes. How errors hang together (a bend of the back shared among the spine joints).
        self.stiffness = nn.Parameter(torch.eye(3 * SOLVED_JOINTS))
        nn.init.zeros_(self.recall.weight)
        nn.init.normal_(self.turn.weight, std=1e-3)
        nn.init.zeros_(self.turn.bias)
        for head in (self.spread, self.guide):
            nn.init.zeros_(head.weight)
        nn.init.constant_(self.spread.bias, -2.0)
        nn.init.zeros_(self.guide.bias)

    @property
    def error_precision(self) -> Float[Tensor, "66 66"]:
        """L L^T of `stiffness`."""
        lower = self.stiffness.tril()
        return lower @ lower.T

    def forward(self, given: PassInput) -> PassOutput:
        """One pass."""
        rotmat, features, reach = self._features(given)
        entered = self.enter(features)
        if given.before is not None:
            entered = entered + self.recall(given.before.hidden)
        hidden = self.body(entered)
        # Out of bfloat16 before anything is added to rotations.
        rot6d = self.turn(hidden).to(rotmat.dtype).unflatten(-1, (SOLVED_JOINTS, 6))
        spread = self.spread(hidden).to(rotmat.dtype)
        guide = self.guide(hidden).to(rotmat.dtype)
        unit = (reach / REACH_UNIT / (1 + (reach / REACH_UNIT).square()).sqrt())[:, None]
        if not (self.config.scaled and self.config.residual):
            unit = torch.ones_like(unit)
        # An output of zero is no turn.
        turned = rot6d_to_rotmat(unit[..., None] * rot6d + rot6d.new_tensor(IDENTITY_ROT6D))
        solved = rotmat[:, :SOLVED_JOINTS] @ turned
        if not self.config.residual:  # the pelvis is still told in the frame the network sees
            pelvis = turned[:, :1] if self.config.normalise == "none" else solved[:, :1]
            solved = torch.cat((pelvis, turned[:, 1:]), dim=1)
        stiffness_sigma = (unit * guide[:, : 3 * SOLVED_JOINTS].exp()).clamp(*STIFFNESS_SIGMA)
        weight_sigma = (guide[:, 3 * SOLVED_JOINTS :] - 5.0).exp().clamp(*KEYPOINT_SIGMA)
        # All joints alike: among them, it is what they may turn beside each other that counts.
        freedom = stiffness_sigma.amax(1, keepdim=True) / (MOST_FREEDOM * weight_sigma.amin(1, keepdim=True))
        return PassOutput(
            rotmat=torch.cat((solved, rotmat[:, SOLVED_JOINTS:]), dim=1),
            sigma=(unit * spread[:, :SOLVED_JOINTS].exp()).clamp(*ROTATION_SIGMA),
            keypoint_sigma=(spread[:, SOLVED_JOINTS:] - 2.0).exp().clamp(*KEYPOINT_SIGMA),
            stiffness_sigma=stiffness_sigma / freedom.clamp(min=1.0),
            weight_sigma=weight_sigma,
            memory=Memory(hidden, reach),
        )

    @torch.no_grad()
    def predict(
        self,
        start_keypoints: Float[Tensor, "B 25 3"],
        end_keypoints: Float[Tensor, "B 25 3"],
        start_pose: Float[Tensor, "B 24 3"],
        betas: Float[Tensor, "B 10"],
        confidence: Float[Tensor, "B 25"] | None = None,
        *,
        start: StartKind = "exact",
    ) -> Float[Tensor, "B 22 3 3"]:
        """Local rotations of the target pose from one pass.

        Args:
            start_keypoints: (B, 25, 3) BODY_25 keypoints of the start pose, metres.
            end_keypoints: (B, 25, 3) measured BODY_25 keypoints, metres.
            start_pose: (B, 24, 3) rotvec [rad].
            betas: (B, 10).
            confidence: (B, 25), 0 = missing; None trusts all.
            start: how far the start pose can be trusted.

        Raises:
            InputError: shapes that do not fit.
        """
        batch = len(start_pose)
        if start_keypoints.shape != (batch, 25, 3) or end_keypoints.shape != (batch, 25, 3):
            raise InputError("keypoints and start_pose do not fit", expected=f"({batch}, 25, 3) BODY_25 keypoints")
        seen = torch.ones_like(end_keypoints[..., 0]) if confidence is None else confidence
        rotmat = rotvec_to_rotmat(start_pose)
        kind = torch.full((batch,), START_KINDS.index(start), device=rotmat.device)
        unknown = torch.zeros(batch, device=rotmat.device)
        given = PassInput(
            rotmat, start_keypoints, end_keypoints, seen, betas.expand(batch, -1), kind, unknown, before=None
        )
        return self(given).rotmat[:, :SOLVED_JOINTS]

    def _features(self, given: PassInput) -> tuple[Tensor, Tensor, Tensor]:
        """Local rotations after alignment, the input features (B, N), and how far there is to go (B,) [m]."""
        rotmat, source, target = given.rotmat, given.keypoints, given.target
        seen = (given.confidence > 0).to(source)
        mode = self.config.normalise
        source_centre, target_centre = trunk_centres(source, target, seen, self._trunk)
        heading_change = torch.zeros_like(source[:, 0])
        if mode == "aligned" and given.before is None:
            turn = self._trunk_turn(source - source_centre, target - target_centre, seen)
            # Told to the network, in the pelvis' frame: noisy keypoints may not be worth a turn.
            pelvis = rotmat[:, 0]
            heading_change = torch.tanh(2 * rotmat_to_rotvec(pelvis.transpose(-1, -2) @ turn @ pelvis))
            source = (source - source_centre) @ turn.transpose(-1, -2) + source_centre
            rotmat = torch.cat(((turn @ rotmat[:, 0])[:, None], rotmat[:, 1:]), dim=1)
        if mode == "none":
            placed_source, placed_target, root = source, target - target_centre + source_centre, rotmat[:, 0]
        else:
            # Seen from the pelvis: positions as rows times R are R^T times positions.
            frame = rotmat[:, 0]
            placed_source = (source - source_centre) @ frame
            placed_target = (target - target_centre) @ frame
            root = torch.eye(3, dtype=frame.dtype, device=frame.device).expand_as(frame)
        gap = (placed_target - placed_source) * seen[..., None]
        floor = self._reach_floor[given.kind]
        if given.before is not None:
            floor = torch.maximum(floor, LEFT_UNDONE * given.before.reach)
        reach = (gap.square().sum((1, 2)) / seen.sum(1).clamp(min=1) + floor.square()).sqrt()
        pose = torch.cat((root[:, None], rotmat[:, 1:]), dim=1)[..., :2]
        known = (given.seconds > 0).to(source)
        rate = known * torch.log2((30 * given.seconds).clamp(min=1e-2)) / 4
        features = torch.cat(
            (
                2 * placed_source.flatten(1),
                2 * (placed_target * seen[..., None]).flatten(1),
                (gap / reach[:, None, None] if self.config.scaled else 5 * gap).flatten(1),
                0.3 * torch.asinh(100 * gap).flatten(1),
                seen,
                pose.flatten(1),
                0.5 * given.betas,
                heading_change,
                torch.full_like(seen[:, :1], float(given.before is None)),
                nn.functional.one_hot(given.kind, len(START_KINDS)).to(seen),
                known[:, None],
                rate[:, None],
                0.5 * (reach / REACH_UNIT).log()[:, None],
            ),
            dim=1,
        )
        return rotmat, features, reach

    def _trunk_turn(self, source: Tensor, target: Tensor, seen: Tensor) -> Tensor:
        """(B, 3, 3) rotation that lays the centred trunk on its measurement, pulled a little towards none."""
        trunk = torch.zeros_like(seen)
        trunk[:, self._trunk] = seen[:, self._trunk]
        identity = torch.eye(3, dtype=source.dtype, device=source.device)
        cross = torch.einsum("bk,bkx,bky->bxy", trunk, target, source) + 1e-3 * identity
        return closest_rotmat(cross)


def trunk_indices() -> Int[Tensor, " N"]:
    """The BODY_25 keypoints of the trunk."""
    layout = load_layout("body25")
    return torch.tensor([layout.index(name) for name in _TRUNK])


def trunk_centres(
    source: Float[Tensor, "B 25 3"],
    target: Float[Tensor, "B 25 3"],
    seen: Float[Tensor, "B 25"],
    trunk: Int[Tensor, " N"],
) -> tuple[Float[Tensor, "B 1 3"], Float[Tensor, "B 1 3"]]:
    """Centres of the seen trunk keypoints of two sets; of all seen ones where the trunk is hidden."""
    on_trunk = torch.zeros_like(seen)
    on_trunk[:, trunk] = seen[:, trunk]
    used = torch.where(on_trunk.sum(1, keepdim=True) > 0, on_trunk, seen)
    used = (used / used.sum(1, keepdim=True).clamp(min=1.0))[..., None]
    return (used * source).sum(1, keepdim=True), (used * target).sum(1, keepdim=True)
