"""`SourceMotion`: a skeleton of any shape in motion, as it stood in a motion capture file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import roma
import torch
from jaxtyping import Float
from torch import Tensor

from learnable_smplify.motion import UpAxis


@dataclass(frozen=True, eq=False)
class SourceMotion:
    """Bones and their rotations over time, in float64, before anything is said about SMPL.

    Every joint is the start of the bone that turns about it. Rotations are global and measured from the rest pose: the
    rest pose itself is the identity at every joint.

    Args:
        names: J joint names, each once, parents before children.
        parents: J indices, -1 for the root, which comes first.
        offsets: (J, 3) metres, joint relative to its parent joint in the rest pose; zero for the root.
        tips: (J, 3) metres, end of each joint's own bone relative to the joint in the rest pose.
        rotations: (T, J, 3, 3) rotmat, R_world_joint.
        root_positions: (T, 3) metres, root joint in the world.
        fps: frames a second.
        up_axis: which world axis points up, None when unknown.
        notes: what the reader did to the data, to be shown to the user.
    """

    names: tuple[str, ...]
    parents: tuple[int, ...]
    offsets: Float[Tensor, "J 3"]
    tips: Float[Tensor, "J 3"]
    rotations: Float[Tensor, "T J 3 3"]
    root_positions: Float[Tensor, "T 3"]
    fps: float
    up_axis: UpAxis | None = "y"
    notes: tuple[str, ...] = field(default=())

    def __len__(self) -> int:
        """Number of frames."""
        return self.rotations.shape[0]

    def rest_positions(self) -> Float[Tensor, "J 3"]:
        """Joints in the rest pose, metres, root at the origin."""
        return rest_places(self.parents, self.offsets)

    def positions(self) -> Float[Tensor, "T J 3"]:
        """Joints in the world over time, metres."""
        return joint_places(self.parents, self.offsets, self.rotations, self.root_positions)


def joint_places(
    parents: Sequence[int],
    offsets: Float[Tensor, "J 3"],
    rotations: Float[Tensor, "T J 3 3"],
    root: Float[Tensor, "T 3"],
) -> Float[Tensor, "T J 3"]:
    """Joints in the world, from each one's place in its parent, global rotations, and where the root is."""
    places: list[Tensor] = []
    for joint, parent in enumerate(parents):
        places.append(root if parent < 0 else places[parent] + rotations[:, parent] @ offsets[joint])
    return torch.stack(places, dim=1)


def rest_places(parents: Sequence[int], offsets: Float[Tensor, "J 3"]) -> Float[Tensor, "J 3"]:
    """Joints in the rest pose, in which nothing is turned."""
    unturned = torch.eye(3, dtype=offsets.dtype).expand(1, len(offsets), 3, 3)
    return joint_places(parents, offsets, unturned, offsets[:1])[0]


def angle_deg(rotmats: Float[Tensor, "*B 3 3"]) -> Float[Tensor, "*B"]:
    """How far rotations turn, degrees."""
    return torch.rad2deg(roma.rotmat_geodesic_distance(rotmats, torch.eye(3).to(rotmats).expand_as(rotmats)))


_REST_MEDIAN_DEG = 1.0
_REST_LARGEST_DEG = 30.0
_LEAP_SECONDS = 0.5


def drop_leading_rest_pose(source: SourceMotion) -> SourceMotion:
    """The motion without the rest pose that some captures and converters put in front of it.

    Dropped are the first frames that show the rest pose (half of the joints within 1 degree, all within 30: a converter
    may bend the fingers and bring straddling legs together), if the motion then leaps away: turns faster than in 95 %
    of the clip. A converter's filter smears the leap over several frames, so what follows is dropped while it is that
    fast, for half a second at most.
    Somebody who does stand like that and moves off as people do is left alone.

    Returns:
        The motion with a note of how many frames went, or `source` itself where none did.
    """
    children = [joint for joint, parent in enumerate(source.parents) if parent >= 0]
    if len(source) < 3 or not children:
        return source
    parents = [source.parents[joint] for joint in children]
    local = source.rotations[:, parents].mT @ source.rotations[:, children]
    from_rest = angle_deg(local)
    at_rest = (from_rest.median(dim=1).values < _REST_MEDIAN_DEG) & (from_rest.amax(dim=1) < _REST_LARGEST_DEG)
    still = int(at_rest.long().cumprod(dim=0).sum())
    if still == 0 or still >= len(source) - 1:
        return source
    # turns[i] leads from frame i to frame i + 1.
    each = roma.rotmat_geodesic_distance(local[1:], local[:-1])
    turns, usual = each.amax(dim=1), float(torch.quantile(each.amax(dim=1), 0.95))
    # One thumb that flips to and fro all through a clip must not hide that everything leaps.
    leap = float(each[still - 1].mean()) > float(torch.quantile(each.mean(dim=1), 0.95))
    if float(turns[still - 1]) <= usual and not leap:
        return source
    first, limit = still, min(still + int(_LEAP_SECONDS * source.fps), len(source) - 1)
    while first < limit and float(turns[first]) > usual:
        first += 1
    note = f"dropped {first} leading frames: a rest pose and the leap from it"
    return replace(
        source,
        rotations=source.rotations[first:],
        root_positions=source.root_positions[first:],
        notes=(*source.notes, note),
    )
