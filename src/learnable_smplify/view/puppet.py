"""`Puppet`: one figure's mesh, skeleton and colours as nodes of a viser scene."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from learnable_smplify.body.normals import vertex_normals
from learnable_smplify.view.figure import Figure
from learnable_smplify.view.heat import RGB, color_parts, part_colors

if TYPE_CHECKING:
    from viser import MeshHandle, MeshSkinnedHandle, SceneApi

FLAGGED_COLOR: RGB = (226, 112, 52)
_BONE_COLOR: RGB = (46, 52, 64)


@dataclass(frozen=True)
class Looks:
    """What is to be seen of a figure.

    Args:
        body: the mesh.
        skeleton: joints and bones.
        opacity: of the mesh, 1 hides what is inside.
        heat_top_deg: colour the mesh by uncertainty, this being the top of the scale [deg]; None does not.
    """

    body: bool = True
    skeleton: bool = True
    opacity: float = 1.0
    heat_top_deg: float | None = None


class Puppet:
    """The nodes of one figure below `node`. The mesh is sent once where the browser can skin it exactly.

    Args:
        scene: where to add them.
        node: name of an existing node, the figure's world.
        figure: whom to show.
        color: of the body.
    """

    def __init__(self, scene: SceneApi, node: str, figure: Figure, color: RGB) -> None:
        self._scene, self._node, self._figure, self._color = scene, node, figure, color
        self._skinned: MeshSkinnedHandle | None = None
        self._mesh: MeshHandle | MeshSkinnedHandle
        if figure.skins_in_browser:
            self._skinned = scene.add_mesh_skinned(
                f"{node}/body",
                figure.rest_vertices,
                figure.faces,
                bone_wxyzs=np.tile([1.0, 0.0, 0.0, 0.0], (len(figure.rest_joints), 1)),
                bone_positions=figure.rest_joints,
                skin_weights=figure.mesh.weights,
                color=color,
            )
            self._mesh = self._skinned
        else:
            self._mesh = scene.add_mesh_simple(f"{node}/body", figure.vertices(0), figure.faces, color=color)
        self._bones = scene.add_line_segments(
            f"{node}/bones", figure.segments(0), _BONE_COLOR, thickness=3.0, thickness_units="screen"
        )
        self._joints = scene.add_point_cloud(
            f"{node}/joints",
            figure.joints[0],
            _BONE_COLOR,
            point_size=0.022,
            point_shape="circle",
            precision="float32",
        )
        self._parts = color_parts(figure.mesh.body_weights, figure.faces)
        self._pieces: list[MeshHandle] = []

    def show(self, frame: int, looks: Looks) -> None:
        """Bring the nodes to a frame."""
        figure = self._figure
        told = None if looks.heat_top_deg is None else figure.uncertainty_deg(frame)
        heat = looks.body and told is not None
        self._mesh.visible = looks.body and not heat
        for piece in self._pieces:
            piece.visible = heat
        # A solid body hides its skeleton; only toes and fingertips would stick out, like specks.
        skeleton = looks.skeleton and not (looks.body and (heat or looks.opacity >= 1.0))
        self._bones.visible = self._joints.visible = skeleton
        if skeleton:
            self._bones.points = figure.segments(frame)
            self._joints.points = figure.joints[frame]
        if heat:
            assert told is not None
            assert looks.heat_top_deg is not None
            self._show_heat(frame, told, looks.heat_top_deg)
        elif looks.body:
            self._mesh.color = FLAGGED_COLOR if figure.motion.flagged[frame] else self._color
            self._mesh.opacity = None if looks.opacity >= 1.0 else looks.opacity
            if self._skinned is None:
                self._mesh.vertices = figure.vertices(frame)
            else:
                for bone, wxyz, position in zip(
                    self._skinned.bones, figure.bone_wxyz[frame], figure.joints[frame], strict=True
                ):
                    bone.wxyz, bone.position = wxyz, position

    def hide(self) -> None:
        """Show nothing: the figure's recording has ended."""
        for handle in (self._mesh, self._bones, self._joints, *self._pieces):
            handle.visible = False

    def _show_heat(self, frame: int, uncertainty_deg: np.ndarray, top_deg: float) -> None:
        vertices = self._figure.vertices(frame)
        normals = vertex_normals(vertices, self._figure.faces).astype(np.float32)
        colors = part_colors(self._parts, uncertainty_deg, top_deg)
        posed = [part.posed(vertices, normals) for part in self._parts]
        if not self._pieces:
            self._pieces = [
                self._scene.add_mesh_simple(f"{self._node}/part_{number}", piece, part.faces, color=_rgb(color))
                for number, (part, piece, color) in enumerate(zip(self._parts, posed, colors, strict=True))
            ]
        for handle, piece, color in zip(self._pieces, posed, colors, strict=True):
            handle.vertices, handle.color = piece, _rgb(color)


def _rgb(color: np.ndarray) -> RGB:
    red, green, blue = color.tolist()
    return red, green, blue
