"""GLB files, read back with pygltflib and trimesh, and posed by a plain implementation of glTF's skinning."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from learnable_smplify.body import Body, load_body
from learnable_smplify.body.motion_mesh import MotionMesh
from learnable_smplify.errors import InputError, MissingExtraError
from learnable_smplify.formats.motion.glb import top_weights
from learnable_smplify.formats.motion.motion_file import read_motion, write_motion
from learnable_smplify.motion import Motion
from learnable_smplify.skeleton import JOINT_NAMES
from test_bvh_writer import read_joints, some_motion, true_joints
from toy_body import toy_arrays

pygltflib = pytest.importorskip("pygltflib")

_DTYPES = {5121: np.uint8, 5123: np.uint16, 5125: np.uint32, 5126: np.float32}
_WIDTHS = {"SCALAR": 1, "VEC3": 3, "VEC4": 4, "MAT4": 16}


class ReadGlb:
    """A GLB posed at its key frames, by the book: node matrices down the tree, then skinning."""

    def __init__(self, path: Path) -> None:
        self.gltf = pygltflib.GLTF2().load(str(path))
        self.data = self.gltf.binary_blob()
        primitive = self.gltf.meshes[0].primitives[0]
        self.rest = self.array(primitive.attributes.POSITION)
        self.normals = self.array(primitive.attributes.NORMAL)
        self.joints = self.array(primitive.attributes.JOINTS_0)
        self.weights = self.array(primitive.attributes.WEIGHTS_0)
        self.colors = self.array(primitive.attributes.COLOR_0)
        self.faces = self.array(primitive.indices).reshape(-1, 3)
        self.skin = self.gltf.skins[self.gltf.nodes[-1].skin]

    def array(self, index: int) -> np.ndarray:
        accessor = self.gltf.accessors[index]
        view = self.gltf.bufferViews[accessor.bufferView]
        assert view.byteOffset % 4 == 0
        dtype, width = np.dtype(_DTYPES[accessor.componentType]), _WIDTHS[accessor.type]
        assert view.byteLength == accessor.count * width * dtype.itemsize
        flat = np.frombuffer(self.data, dtype, accessor.count * width, view.byteOffset)
        if accessor.min:
            np.testing.assert_array_equal(flat.reshape(-1, width).min(0), np.array(accessor.min, dtype))
            np.testing.assert_array_equal(flat.reshape(-1, width).max(0), np.array(accessor.max, dtype))
        return flat.reshape(-1, width) if width > 1 else flat

    def world(self) -> tuple[np.ndarray, np.ndarray]:
        """Times (T,) and the world matrix (T, 24, 4, 4) of every joint node."""
        animation, nodes = self.gltf.animations[0], self.gltf.nodes
        times = self.array(animation.samplers[0].input)
        local = np.tile(np.eye(4), (len(times), len(nodes), 1, 1))
        for number, node in enumerate(nodes):
            if node.translation:
                local[:, number, :3, 3] = node.translation
        for channel in animation.channels:
            values = self.array(animation.samplers[channel.sampler].output).astype(float)
            if channel.target.path == "rotation":
                np.testing.assert_allclose(np.linalg.norm(values, axis=1), 1, atol=1e-6)
                local[:, channel.target.node, :3, :3] = Rotation.from_quat(values).as_matrix()
            else:
                local[:, channel.target.node, :3, 3] = values
        world = np.full_like(local, np.nan)
        waiting = [(number, np.eye(4)) for number in self.gltf.scenes[0].nodes]
        while waiting:
            number, above = waiting.pop()
            world[:, number] = above @ local[:, number]
            waiting += [(child, world[:, number]) for child in nodes[number].children]
        return times, world[:, self.skin.joints]

    def vertices(self) -> np.ndarray:
        """(T, V, 3) skinned vertices."""
        inverse_bind = self.array(self.skin.inverseBindMatrices).reshape(-1, 4, 4).transpose(0, 2, 1)
        moves = self.world()[1] @ inverse_bind
        blended = np.einsum("vk,tvkij->tvij", self.weights, moves[:, self.joints])
        return np.einsum("tvij,vj->tvi", blended[..., :3, :3], self.rest) + blended[..., :3, 3]


def test_the_joints_of_bvh_glb_and_npz_agree(tmp_path):
    motion = some_motion()
    for suffix in ("npz", "bvh", "glb"):
        write_motion(motion, tmp_path / f"a.{suffix}")
    from_npz = true_joints(read_motion(tmp_path / "a.npz"))
    times, world = ReadGlb(tmp_path / "a.glb").world()
    from_glb, from_bvh = world[..., :3, 3], read_joints(tmp_path / "a.bvh")
    np.testing.assert_allclose(times, np.arange(len(motion)) / motion.fps, atol=1e-6)
    for one, other in ((from_npz, from_glb), (from_glb, from_bvh), (from_npz, from_bvh)):
        assert 1000 * np.linalg.norm(one - other, axis=-1).max() < 0.05  # mm


def stiff_hands(motion: Motion) -> Motion:
    """SMPL's two hand joints at rest: the mesh has fingers in their place."""
    return replace(motion, pose=torch.cat((motion.pose[:, :22], torch.zeros(len(motion), 2, 3)), dim=1))


def test_the_skin_moves_as_the_open_body_does(tmp_path):
    motion = stiff_hands(some_motion())
    assert write_motion(motion, tmp_path / "a.glb") == ()
    true = MotionMesh(load_body(), motion).vertices().numpy()
    error_mm = 1000 * np.linalg.norm(ReadGlb(tmp_path / "a.glb").vertices() - true, axis=-1)
    # Skin between forearm and a relaxed finger is bent before it is skinned: one in a hundred is off by up to 1 mm.
    assert error_mm.max() < 1.2
    assert np.quantile(error_mm.max(axis=0), 0.98) < 0.02


@pytest.mark.parametrize("up_axis", ["z", "x"])
def test_the_file_is_y_up_whatever_the_motion_is(tmp_path, up_axis):
    motion = stiff_hands(some_motion(up_axis))
    (note,) = write_motion(motion, tmp_path / "a.glb")
    assert f"{up_axis.upper()} up" in note
    true = MotionMesh(load_body(), motion).vertices().numpy()
    turned = true[..., [0, 2, 1]] * [1, 1, -1] if up_axis == "z" else true[..., [1, 0, 2]] * [-1, 1, 1]
    np.testing.assert_allclose(ReadGlb(tmp_path / "a.glb").vertices(), turned, atol=1.2e-3)


def test_the_file_follows_the_rules_of_gltf(tmp_path):
    write_motion(some_motion(), tmp_path / "a.glb")
    glb = ReadGlb(tmp_path / "a.glb")
    assert [node.name for node in glb.gltf.nodes[:24]] == list(JOINT_NAMES)
    assert glb.gltf.accessors[glb.gltf.meshes[0].primitives[0].attributes.POSITION].min
    assert all(glb.gltf.accessors[s.input].min == [0.0] for s in glb.gltf.animations[0].samplers)
    assert glb.joints.shape == glb.weights.shape == (len(glb.rest), 4)
    np.testing.assert_allclose(glb.weights.sum(1), 1, atol=1e-6)
    assert (glb.joints[glb.weights == 0] == 0).all()
    np.testing.assert_allclose(np.linalg.norm(glb.normals, axis=1), 1, atol=1e-5)
    # Outward: from the middle of the body's slice at that height, not towards it.
    head = glb.rest[:, 1] > glb.rest[:, 1].max() - 0.15
    assert ((glb.rest[head] - glb.rest[head].mean(0)) * glb.normals[head]).sum(1).mean() > 0.03
    assert len(glb.data) == glb.gltf.buffers[0].byteLength
    assert (tmp_path / "a.glb").read_bytes()[:4] == b"glTF"


def test_trimesh_opens_the_mesh(tmp_path):
    trimesh = pytest.importorskip("trimesh")
    write_motion(some_motion(), tmp_path / "a.glb")
    (mesh,) = trimesh.load(tmp_path / "a.glb", process=False).geometry.values()
    true = MotionMesh(load_body(), some_motion())
    np.testing.assert_allclose(mesh.vertices, true.rest_vertices(), atol=1e-6)
    np.testing.assert_array_equal(mesh.faces, true.faces)


def test_the_body_wears_a_suit_and_nothing_on_its_limbs(tmp_path):
    write_motion(some_motion(), tmp_path / "a.glb")
    glb = ReadGlb(tmp_path / "a.glb")
    darkest = glb.colors.min(axis=0)
    suited = glb.rest[(glb.colors == darkest).all(axis=1)]
    assert len(glb.rest) / 2 > len(suited) > 500
    pose = torch.zeros(24, 3)
    places = dict(zip(JOINT_NAMES, load_body().joints(pose, some_motion().betas)[0].numpy(), strict=True))
    assert np.abs(suited[..., 0]).max() < places["left_elbow"][0]
    assert places["left_knee"][1] < suited[..., 1].min()
    assert suited[..., 1].max() < places["head"][1]


def test_neighbouring_quaternions_lie_on_the_same_side(tmp_path):
    pose = torch.zeros(80, 24, 3)
    pose[:, 0, 1] = torch.linspace(0, 4 * torch.pi, 80)
    pose[:, 5, 0] = torch.linspace(0, -7, 80)
    write_motion(Motion(pose, torch.zeros(80, 3), torch.zeros(10), up_axis="y"), tmp_path / "a.glb")
    glb = ReadGlb(tmp_path / "a.glb")
    for sampler in glb.gltf.animations[0].samplers[1:]:
        track = glb.array(sampler.output)
        assert (track[1:] * track[:-1]).sum(1).min() > 0


def test_a_body_with_correctives_and_many_bones_a_vertex_says_what_is_lost(tmp_path):
    rng = np.random.default_rng(0)
    weights = rng.dirichlet(np.full(24, 0.3), size=200)
    body = Body(replace(toy_arrays(correctives=True), weights=weights))
    motion = replace(some_motion(), body="toy")
    notes = " ".join(write_motion(motion, tmp_path / "a.glb", body=body))
    assert "pose correctives" in notes
    assert "licence" in notes
    assert "four heaviest" in notes
    glb = ReadGlb(tmp_path / "a.glb")
    np.testing.assert_allclose(glb.weights.sum(1), 1, atol=1e-6)
    joints = glb.world()[1][..., :3, 3]
    np.testing.assert_allclose(joints, true_joints(motion, body), atol=1e-5)


def test_top_weights_keep_the_heaviest_and_tell_the_share_that_is_lost():
    weights = np.zeros((2, 24))
    weights[0, [3, 7]] = 0.25, 0.75
    weights[1, :6] = 0.3, 0.25, 0.2, 0.15, 0.06, 0.04
    joints, kept, lost = top_weights(weights)
    assert joints[0].tolist() == [7, 3, 0, 0]
    assert joints[1].tolist() == [0, 1, 2, 3]
    np.testing.assert_allclose(kept[1], np.array([0.3, 0.25, 0.2, 0.15]) / 0.9, atol=1e-6)
    assert lost == pytest.approx(0.1)


def test_a_motion_of_a_licensed_body_is_refused_without_it(tmp_path):
    with pytest.raises(InputError, match="--body smplx"):
        write_motion(replace(some_motion(), body="smplx"), tmp_path / "a.glb")
    assert list(tmp_path.iterdir()) == []


def test_without_pygltflib_the_message_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pygltflib", None)
    with pytest.raises(MissingExtraError, match=r"learnable-smplify\[glb\]"):
        write_motion(some_motion(), tmp_path / "a.glb")
