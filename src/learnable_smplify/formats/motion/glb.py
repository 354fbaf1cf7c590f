"""Animated GLB (binary glTF 2.0) of SMPL motions: a skinned mesh, 24 or 52 joints, rotation tracks. Metres, Y up."""

from __future__ import annotations

import importlib.util
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import roma
import torch

from learnable_smplify.body.body import Body
from learnable_smplify.body.clothes import BODY_COLOR, SUIT_COLOR, suit_cover
from learnable_smplify.body.normals import vertex_normals
from learnable_smplify.body.open_body import OPEN_BODIES
from learnable_smplify.errors import MissingExtraError
from learnable_smplify.formats.motion.bone_names import bone_names
from learnable_smplify.formats.motion.rig import Rig, rig_motion
from learnable_smplify.formats.motion.style import MotionStyle
from learnable_smplify.motion import Motion
from learnable_smplify.safe_files.atomic import atomic_output

if TYPE_CHECKING:
    from pygltflib import GLTF2

# glTF's numbers for array types and for what a buffer view is used for.
_COMPONENT = {
    np.dtype(np.uint8): 5121,
    np.dtype(np.uint16): 5123,
    np.dtype(np.uint32): 5125,
    np.dtype(np.float32): 5126,
}
_SHAPE_NAME = {(): "SCALAR", (3,): "VEC3", (4,): "VEC4", (4, 4): "MAT4"}
_VERTICES, _INDICES = 34962, 34963

_BONES_PER_VERTEX = 4  # more need a second set, which many programs do not read


def write_glb(
    motion: Motion, path: str | PathLike[str], body: Body | None = None, style: MotionStyle | None = None
) -> tuple[str, ...]:
    """Write a motion as an animated GLB: the body's mesh at the motion's betas, skinned to SMPL's 24 joints.

    A motion with fingers gets SMPL-H's 52 joints. Without, hands are at rest and stay so.

    Every joint has a track of quaternions, the pelvis also one of positions, all at the motion's frame rate. Each
    vertex follows its four heaviest bones, with weights that sum to 1. Pose correctives, which licensed bodies have,
    are no part of a skin and are left out; the open body has none.

    Args:
        motion: T frames; a motion that is Z or X up is turned to Y up, which glTF demands.
        path: the file to write, whole or not at all.
        body: whose mesh; None takes the open body where the motion belongs to it.
        style: names of the bones; Z up where it says so, against the standard.

    Returns:
        Notes for the user: what was turned, assumed or left out.

    Raises:
        MissingExtraError: pygltflib is not installed.
        InputError: no body for a motion of a licensed one, or the folder cannot be written to.
    """
    if importlib.util.find_spec("pygltflib") is None:
        raise MissingExtraError("pygltflib", "glb", "Writing GLB")
    style = style or MotionStyle()
    rig = rig_motion(motion, Path(path), body, style.up or "y")
    gltf, left_out = _scene(rig, motion, bone_names(style.skeleton, rig.mesh.joint_names))
    with atomic_output(path) as temporary:
        temporary.write_bytes(b"".join(gltf.save_to_bytes()))
    against = ("glTF is Y up by its standard: programs will show this file lying down",) if style.up == "z" else ()
    return (*rig.notes, *against, *_notes(rig.body, left_out))


def top_weights(weights: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """The four heaviest bones of every vertex.

    Args:
        weights: (V, J) skinning weights, rows sum to 1.

    Returns:
        joints (V, 4) uint8; their weights (V, 4) float32, which sum to 1; and the largest share of a vertex that
        went to other bones before.
    """
    joints = np.argsort(-weights, axis=1, kind="stable")[:, :_BONES_PER_VERTEX]
    kept = np.take_along_axis(weights.astype(np.float64), joints, axis=1)
    total = kept.sum(axis=1, keepdims=True)
    joints = np.where(kept > 0, joints, 0)  # a bone without weight is to be joint 0, says the standard
    return joints.astype(np.uint8), (kept / total).astype(np.float32), float(1 - total.min())


def _colors(weights: np.ndarray) -> np.ndarray:
    """(V, 3) linear RGB of a body in its swimsuit, the colours in which `lsmplify render` draws it."""
    suit = suit_cover(weights)[:, None]
    return ((1 - suit) * _linear(BODY_COLOR) + suit * _linear(SUIT_COLOR)).astype(np.float32)


def _linear(color: tuple[float, ...]) -> np.ndarray:
    share = np.array(color) / 255
    return np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)


def _notes(body: Body, left_out: float) -> list[str]:
    notes = []
    if body.arrays.posedirs is not None:
        notes.append(
            f"the pose correctives of '{body.name}' are not in the file: the skin differs from the body's where joints "
            "are bent; the joints are exact"
        )
    if body.name not in OPEN_BODIES:
        notes.append(f"the file holds the mesh of '{body.name}': passing it on falls under that body's licence")
    if left_out > 1e-3:
        notes.append(f"each vertex follows its four heaviest bones; up to {100 * left_out:.1f} % of one is left out")
    return notes


def _scene(rig: Rig, motion: Motion, names: tuple[str, ...]) -> tuple[GLTF2, float]:
    import pygltflib as gl

    vertices, faces, count = rig.mesh.rest_vertices(), rig.mesh.faces, len(rig.parents)
    normals = vertex_normals(vertices.astype(np.float64), faces)
    normals[np.linalg.norm(normals, axis=1) < 0.5] = (0.0, 1.0, 0.0)  # a vertex without faces; glTF wants unit length
    joints, weights, left_out = top_weights(rig.mesh.weights)

    blob = _Blob()
    attributes = gl.Attributes(
        POSITION=blob.add(vertices, target=_VERTICES, bounds=True),
        NORMAL=blob.add(normals.astype(np.float32), target=_VERTICES),
        JOINTS_0=blob.add(joints, target=_VERTICES),
        WEIGHTS_0=blob.add(weights, target=_VERTICES),
        COLOR_0=blob.add(_colors(rig.mesh.weights), target=_VERTICES),
    )
    triangles = faces.ravel().astype(np.uint16 if len(vertices) < 2**16 - 1 else np.uint32)
    indices = blob.add(triangles, target=_INDICES)

    rest = rig.rest_joints.numpy()
    inverse_bind = np.tile(np.eye(4, dtype=np.float32), (count, 1, 1))
    inverse_bind[:, 3, :3] = -rest  # column-major, as glTF stores matrices
    skin = gl.Skin(name="body", joints=list(range(count)), skeleton=0, inverseBindMatrices=blob.add(inverse_bind))

    offsets = rig.offsets().tolist()
    nodes = [
        gl.Node(
            name=name,
            translation=offsets[joint],
            children=[child for child, parent in enumerate(rig.parents) if parent == joint],
        )
        for joint, name in enumerate(names)
    ]
    # White, which the vertices colour.
    material = gl.Material(
        name="body",
        alphaMode="OPAQUE",
        pbrMetallicRoughness=gl.PbrMetallicRoughness(metallicFactor=0.0, roughnessFactor=0.75),
    )
    # The skinned mesh stands beside the skeleton: glTF ignores the place of a node that has a skin.
    mesh = gl.Mesh(name="body", primitives=[gl.Primitive(attributes=attributes, indices=indices, material=0)])
    gltf = gl.GLTF2(
        asset=gl.Asset(generator="learnable-smplify", extras={"body": rig.body.name, "fps": motion.fps}),
        scene=0,
        scenes=[gl.Scene(name="motion", nodes=[0, count])],
        nodes=[*nodes, gl.Node(name="mesh", mesh=0, skin=0)],
        meshes=[mesh],
        materials=[material],
        skins=[skin],
        animations=[_animation(rig, motion.fps, blob)],
        accessors=blob.accessors,
        bufferViews=blob.views,
        buffers=[gl.Buffer(byteLength=len(blob.data))],
    )
    gltf.set_binary_blob(bytes(blob.data))
    return gltf, left_out


def _animation(rig: Rig, fps: float, blob: _Blob) -> object:
    import pygltflib as gl

    quaternions = roma.rotmat_to_unitquat(rig.local_rotmat)  # x, y, z, w, as in glTF
    # q and -q are one rotation, but not one way between two key frames: keep neighbours on the same side.
    flips = torch.where((quaternions[1:] * quaternions[:-1]).sum(-1, keepdim=True) < 0, -1.0, 1.0).cumprod(dim=0)
    tracks = torch.cat((quaternions[:1], quaternions[1:] * flips)).to(torch.float32).numpy()
    times = blob.add((np.arange(len(tracks)) / fps).astype(np.float32), bounds=True)
    samplers = [gl.AnimationSampler(input=times, output=blob.add(rig.root_positions.to(torch.float32).numpy()))]
    channels = [gl.AnimationChannel(sampler=0, target=gl.AnimationChannelTarget(node=0, path="translation"))]
    for joint in range(len(rig.parents)):
        samplers.append(gl.AnimationSampler(input=times, output=blob.add(tracks[:, joint])))
        target = gl.AnimationChannelTarget(node=joint, path="rotation")
        channels.append(gl.AnimationChannel(sampler=joint + 1, target=target))
    return gl.Animation(name="motion", samplers=samplers, channels=channels)


class _Blob:
    """The binary part of the file as it grows, and the accessors that say what lies where."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.views: list[object] = []
        self.accessors: list[object] = []

    def add(self, array: np.ndarray, *, target: int | None = None, bounds: bool = False) -> int:
        """Append an array and return the number of its accessor; `bounds` states its minimum and maximum."""
        import pygltflib as gl

        content = np.ascontiguousarray(array).tobytes()
        self.views.append(gl.BufferView(buffer=0, byteOffset=len(self.data), byteLength=len(content), target=target))
        self.data += content + bytes(-len(content) % 4)
        low, high = array.min(axis=0), array.max(axis=0)
        self.accessors.append(
            gl.Accessor(
                bufferView=len(self.views) - 1,
                componentType=_COMPONENT[array.dtype],
                count=len(array),
                type=_SHAPE_NAME[array.shape[1:]],
                min=np.atleast_1d(low).tolist() if bounds else None,
                max=np.atleast_1d(high).tolist() if bounds else None,
            )
        )
        return len(self.accessors) - 1
