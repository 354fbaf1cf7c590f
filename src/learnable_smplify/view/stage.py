"""The room: which way is up, where the ground is, what the camera sees, and where a second person stands."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, TypeAlias, get_args

import numpy as np
import roma
import torch
from jaxtyping import Float

from learnable_smplify.formats.keypoints.upright import standing_direction
from learnable_smplify.hands import NUM_SHARED_JOINTS
from learnable_smplify.keypoints import Keypoints
from learnable_smplify.motion import direction_vector
from learnable_smplify.render.camera import horizontal, steadied
from learnable_smplify.view.figure import Figure

Placing: TypeAlias = Literal["beside", "in its own place", "pelvis on pelvis"]
PLACINGS: tuple[Placing, ...] = get_args(Placing)
DIRECTIONS: tuple[str, ...] = ("y", "z", "x", "-y", "-z", "-x")

# Room between two people side by side, beyond what their limbs reach [m].
_GAP = 0.4
# The path the camera follows is averaged over this time [s], so that it does not sway with every step.
_FOLLOW_SECONDS = 0.8
_FOV = float(np.deg2rad(35.0))
_AZIMUTH = float(np.deg2rad(30.0))
_ELEVATION = float(np.deg2rad(12.0))
# How far the camera looks past the person, as a share of the view's height.
_PANEL_SHARE = 0.15


def guess_up(figure: Figure) -> tuple[str, str]:
    """The direction that is up ("y", "-y", "z", ...) and where that is known from, in words."""
    shared = torch.from_numpy(figure.joints[:, :NUM_SHARED_JOINTS])
    standing = standing_direction([Keypoints(shared, layout="amass22", fps=figure.motion.fps)])
    stated = figure.motion.up_axis
    if stated is not None:
        doubt = "" if standing in (None, stated) else f", but the person stands along {standing}"
        return stated, f"the file says so{doubt}"
    if standing is None or standing.endswith("x"):
        return "y", "a guess: neither the file nor the poses tell"
    return standing, "the person stands along it"


def turn_matrix(start: str, end: str) -> Float[np.ndarray, "3 3"]:
    """The shortest rotation that takes one of `DIRECTIONS` to another."""
    a, b = direction_vector(start), direction_vector(end)
    if float(a @ b) < -0.5:  # upside down: half a turn about an axis across
        axis = direction_vector("z" if start.endswith("x") else "x")
        return 2 * np.outer(axis, axis) - np.eye(3)
    across = np.outer(b, a) - np.outer(a, b)  # zero where they are one
    return np.eye(3) + across + across @ across  # Rodrigues' formula for a quarter turn


def turn_wxyz(start: str, end: str) -> Float[np.ndarray, "4"]:
    """`turn_matrix` as a unit quaternion, real part first."""
    quaternion = roma.rotmat_to_unitquat(torch.from_numpy(turn_matrix(start, end)))
    return roma.quat_xyzw_to_wxyz(quaternion).numpy()


@dataclass(frozen=True, eq=False)
class Stage:
    """Where things stand, in the world of the first motion.

    Args:
        up: (3,) unit vector.
        path: (T, 3) the point on the ground below the person, smoothed: what the camera follows.
        pelvis: (T, 3) the pelvis joint.
        forward: (3,) horizontal direction the person faces, on average.
        extent: (3,) how far the person reaches sideways, forward and up from that point, at most [m].
    """

    up: Float[np.ndarray, "3"]
    path: Float[np.ndarray, "T 3"]
    pelvis: Float[np.ndarray, "T 3"]
    forward: Float[np.ndarray, "3"]
    extent: Float[np.ndarray, "3"]

    @property
    def sideways(self) -> Float[np.ndarray, "3"]:
        """(3,) horizontal, to the person's left."""
        return np.cross(self.up, self.forward)

    def aside(self, other: Stage) -> Float[np.ndarray, "3"]:
        """(3,) from the first person to a second one at their left, out of reach of each other's arms."""
        return float(self.extent[0] + other.extent[0] + _GAP) * self.sideways

    def shift(self, placing: Placing, frame: int, other: Stage, other_frame: int) -> Float[np.ndarray, "3"]:
        """Where to move a second person's world to at a frame.

        Args:
            placing: "beside": kept at the first's left, on one ground, whichever way the two go; "in its own place":
                not moved; "pelvis on pelvis": both pelves in one point.
            frame: of this person.
            other: the second person's stage, turned so that its up is this one's.
            other_frame: the second person's frame.
        """
        if placing == "beside":
            return self.path[frame] - other.path[other_frame] + self.aside(other)
        if placing == "pelvis on pelvis":
            return self.pelvis[frame] - other.pelvis[other_frame]
        return np.zeros(3)

    def turned(self, start: str, end: str) -> Stage:
        """The same stage in a world turned from one of `DIRECTIONS` up to another."""
        turn = turn_matrix(start, end)
        return replace(
            self, up=turn @ self.up, path=self.path @ turn.T, pelvis=self.pelvis @ turn.T, forward=turn @ self.forward
        )

    def camera(self, aside: Float[np.ndarray, "3"] | None = None) -> tuple[np.ndarray, np.ndarray, float]:
        """Position and target of a camera, relative to the ground below the person, and its field of view [rad].

        Args:
            aside: where a second person stands from the first; the camera then looks at the middle of the two.
        """
        aside = np.zeros(3) if aside is None else aside
        height = max(float(self.extent[2]), 0.5)
        width = 2 * float(self.extent[0]) + float(np.linalg.norm(aside))
        # The margin is slim on the whole: a window is seldom narrower than it is high.
        reach = max(1.3 * height, 0.95 * width)
        distance = 0.5 * reach / np.tan(0.5 * _FOV) + float(self.extent[1])
        ahead = np.cos(_AZIMUTH) * self.forward + np.sin(_AZIMUTH) * self.sideways
        # The panel covers the right of the window, so what is looked at stands a little to the left.
        rightwards = np.cross(self.up, ahead)
        target = 0.5 * aside + 0.5 * height * self.up + _PANEL_SHARE * reach * rightwards
        position = target + distance * (np.cos(_ELEVATION) * ahead + np.sin(_ELEVATION) * self.up)
        return position, target, _FOV


def set_stage(figure: Figure, up_direction: str) -> Stage:
    """The stage for a person, with one of `DIRECTIONS` up."""
    up = direction_vector(up_direction)
    forward = horizontal(figure.forward, up)
    pelvis = figure.joints[:, 0].astype(np.float64)
    flat = pelvis - (pelvis @ up)[:, None] * up
    ground = figure.ground_height(up) * up
    reach = figure.joints - figure.joints[:, :1]
    sideways = np.cross(up, forward)
    # Joints end at wrists and crown; hands and hair add a little.
    extent = np.array([np.abs(reach @ sideways).max() + 0.15, np.abs(reach @ forward).max() + 0.15, 0.0])
    extent[2] = float(np.percentile(figure.joints @ up, 99)) + 0.15 - float(ground @ up)
    window = max(1, round(_FOLLOW_SECONDS * figure.motion.fps))
    return Stage(up, steadied(flat, window) + ground, pelvis, forward, extent)
