"""Skinned, animated GLB (binary glTF 2.0) as motion capture: its skeleton and the first of its animations.

The bytes are read by the standard (Khronos, glTF 2.0 specification), bounds checked, nothing else than numbers taken.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import roma
import torch
from jaxtyping import Float
from torch import Tensor

from learnable_smplify.errors import InputError, reason
from learnable_smplify.mocap.source import SourceMotion
from learnable_smplify.safe_files.json_file import parse_json
from learnable_smplify.safe_files.whole_file import read_bytes
from learnable_smplify.timeline import is_rate

_MAX_BYTES = 1 << 30
_MOST_NODES = 5000
_MOST_FRAMES = 1_000_000
_TYPES = {5121: "<u1", 5123: "<u2", 5125: "<u4", 5126: "<f4", 5120: "<i1", 5122: "<i2"}
_WIDTHS = {"SCALAR": 1, "VEC3": 3, "VEC4": 4}
# A bone without a child ends this share of its own length further on.
_TIP_SHARE = 0.4
_EXPECTED = "a GLB with a skeleton and an animation"


def read_glb(path: str | PathLike[str], fps: float | None = None, animation: str | None = None) -> SourceMotion:
    """The skeleton of a GLB in one of its animations, metres, Y up as glTF demands.

    Args:
        path: the file.
        fps: frames a second to read it at; None takes the rate of the animation's own keys.
        animation: its name; None takes the first.

    Raises:
        InputError: no GLB, damaged, or one without a skeleton that moves.
    """
    path = Path(path)
    data = read_bytes(path, most=_MAX_BYTES)
    try:
        return _Scene(*_chunks(data, path)).source(fps, animation)
    except InputError as error:
        raise InputError(str(error).rstrip("."), path=path) from error
    # A stranger's JSON has anything where numbers and lists belong.
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, RecursionError, OverflowError) as error:
        raise InputError(f"not a readable GLB ({reason(error)})", path=path, expected=_EXPECTED) from error


def _chunks(data: bytes, path: Path) -> tuple[dict[str, Any], bytes]:
    if data[:4] != b"glTF":
        raise InputError("not a GLB", expected="binary glTF 2.0 (.glb)")
    chunks: dict[bytes, bytes] = {}
    place = 12
    while place + 8 <= len(data):
        length, kind = struct.unpack_from("<I4s", data, place)
        if place + 8 + length > len(data):
            raise InputError("the file is truncated", expected="a complete GLB")
        chunks.setdefault(kind, data[place + 8 : place + 8 + length])
        place += 8 + length
    return parse_json(chunks.get(b"JSON", b"{}"), path, _EXPECTED), chunks.get(b"BIN\x00", b"")


@dataclass(frozen=True, eq=False)
class _Track:
    """The rotations (quaternions x, y, z, w) or translations of a node at its keys."""

    node: int
    kind: str
    times: np.ndarray
    values: Tensor
    how: str

    def sampled(self, at: np.ndarray) -> Tensor:
        """Rotmats or translations at the times `at`; turned evenly between keys, cubic ones as if they were linear."""
        after = np.clip(np.searchsorted(self.times, at), 0, len(self.times) - 1)
        before = np.where(self.times[after] <= at, after, np.maximum(after - 1, 0))
        width = np.maximum(self.times[after] - self.times[before], 1e-12)
        share = torch.from_numpy(np.clip((at - self.times[before]) / width, 0.0, 1.0))[:, None]
        if self.how == "STEP":
            share = torch.zeros_like(share)
        if self.kind == "translation":
            return torch.lerp(self.values[before], self.values[after], share)
        unit = torch.nn.functional.normalize(self.values, dim=-1)
        turn = roma.unitquat_to_rotvec(roma.quat_product(roma.quat_conjugation(unit[before]), unit[after]))
        return roma.unitquat_to_rotmat(roma.quat_product(unit[before], roma.rotvec_to_unitquat(share * turn)))


class _Scene:
    """The content of a GLB, and the steps from it to a `SourceMotion`."""

    def __init__(self, scene: dict[str, Any], blob: bytes) -> None:
        self.scene, self.blob = scene, blob
        self.nodes: list[dict[str, Any]] = scene.get("nodes", [])
        if len(self.nodes) > _MOST_NODES:
            raise InputError(f"there are {len(self.nodes)} nodes", expected=f"at most {_MOST_NODES}")
        self.parents = [-1] * len(self.nodes)
        for number, node in enumerate(self.nodes):
            for child in node.get("children", []):
                self.parents[child] = number
        self.order = self._order()

    def source(self, fps: float | None, animation: str | None) -> SourceMotion:
        animations = self.scene.get("animations", [])
        if not animations:
            raise InputError("there is no animation in it", expected=_EXPECTED)
        titles = [str(one.get("name", number)) for number, one in enumerate(animations)]
        if animation is not None and animation not in titles:
            raise InputError(f"there is no animation '{animation}'", expected="one of " + ", ".join(titles)[:1000])
        chosen = animations[0 if animation is None else titles.index(animation)]
        joints = self._joints()
        told = [self._track(chosen, channel) for channel in chosen["channels"]]
        tracks = [track for track in told if track is not None]
        times = max((track.times for track in tracks), key=len, default=np.zeros(0))
        if not len(times):
            raise InputError("its animation moves no bone", expected=_EXPECTED)
        rate = fps or (float(round((len(times) - 1) / (times[-1] - times[0]), 3)) if times[-1] > times[0] else 30.0)
        count = round(float(times[-1] - times[0]) * rate) + 1
        if not is_rate(rate) or count > _MOST_FRAMES:
            raise InputError(f"{count} frames at {rate:g} a second", expected=f"at most {_MOST_FRAMES}")
        rest_rotation, rest_position = self._world({}, 1)
        at = times[0] + np.arange(count) / rate
        moved = {(track.node, track.kind): track.sampled(at) for track in tracks}
        rotation, position = self._world(moved, count)
        parents, offsets, tips = self._skeleton(joints, rest_position[0])
        names = self._names(joints)
        return SourceMotion(
            names=names,
            parents=tuple(parents),
            offsets=offsets,
            tips=tips,
            rotations=rotation[:, joints] @ rest_rotation[:, joints].mT,
            root_positions=position[:, joints[0]],
            fps=rate,
            up_axis="y",
            notes=()
            if animation is not None or len(animations) == 1
            else (f"the first of {len(animations)} animations is read, '{titles[0][:40]}' (--animation)",),
        )

    def _order(self) -> list[int]:
        """Nodes, parents before children."""
        waiting = [number for number, parent in enumerate(self.parents) if parent < 0]
        order: list[int] = []
        while waiting:
            order.append(waiting.pop())
            waiting += self.nodes[order[-1]].get("children", [])
            if len(order) > len(self.nodes):
                raise InputError("its nodes go round in a circle", expected=_EXPECTED)
        return order

    def _joints(self) -> list[int]:
        """The nodes of the largest skeleton, parents first."""
        skins = self.scene.get("skins", [])
        listed: list[list[int]] = [list(skin["joints"]) for skin in skins]
        bones = set(max(listed, key=len, default=range(len(self.nodes))))
        joints = [number for number in self.order if number in bones]
        trees: dict[int, list[int]] = {}
        for joint in joints:
            top, above = joint, self.parents[joint]
            while above >= 0:
                top, above = (above if above in bones else top), self.parents[above]
            trees.setdefault(top, []).append(joint)
        if not trees:
            raise InputError("there is no skeleton in it", expected=_EXPECTED)
        return max(trees.values(), key=len)

    def _names(self, joints: list[int]) -> tuple[str, ...]:
        names: dict[str, None] = {}
        for joint in joints:
            name = str(self.nodes[joint].get("name", f"node{joint}"))
            names[name if name not in names else f"{name}_{joint}"] = None
        return tuple(names)

    def _skeleton(
        self, joints: list[int], rest: Float[Tensor, "N 3"]
    ) -> tuple[list[int], Float[Tensor, "J 3"], Float[Tensor, "J 3"]]:
        """Parents among the joints, offsets and tips [m] in the rest pose."""
        place = {joint: index for index, joint in enumerate(joints)}
        parents: list[int] = []
        for joint in joints:
            above = self.parents[joint]
            while above >= 0 and above not in place:
                above = self.parents[above]
            parents.append(place.get(above, -1))
        positions = rest[joints]
        offsets = positions - positions[[max(parent, 0) for parent in parents]]  # the root comes first: zero
        tips = _TIP_SHARE * offsets
        for index, parent in reversed(list(enumerate(parents))):
            if parent >= 0:
                tips[parent] = offsets[index]
        return parents, offsets, tips

    def _world(
        self, moved: dict[tuple[int, str], Tensor], count: int
    ) -> tuple[Float[Tensor, "T N 3 3"], Float[Tensor, "T N 3"]]:
        """Rotations and places of all nodes in the world; those that do not move at rest."""
        rotation = torch.zeros(count, len(self.nodes), 3, 3, dtype=torch.float64)
        position = torch.zeros(count, len(self.nodes), 3, dtype=torch.float64)
        linear = torch.zeros_like(rotation)  # with scale
        for number in self.order:
            turn, shift, scale = _rest_of(self.nodes[number])
            if (number, "rotation") in moved:
                turn = moved[number, "rotation"]
            if (number, "translation") in moved:
                shift = moved[number, "translation"]
            parent = self.parents[number]
            if parent < 0:
                rotation[:, number], position[:, number] = turn, shift
                linear[:, number] = turn * scale
            else:
                above = linear[:, parent]
                rotation[:, number] = rotation[:, parent] @ turn
                position[:, number] = position[:, parent] + (above @ shift.expand(count, 3)[..., None])[..., 0]
                linear[:, number] = above @ (turn * scale)
        return rotation, position

    def _track(self, animation: dict[str, Any], channel: dict[str, Any]) -> _Track | None:
        """What a channel moves; None for scales and shapes."""
        target = channel["target"]
        if target.get("path") not in ("rotation", "translation") or "node" not in target:
            return None
        sampler = animation["samplers"][channel["sampler"]]
        times, values = self._array(sampler["input"])[:, 0], self._array(sampler["output"])
        how = sampler.get("interpolation", "LINEAR")
        if how == "CUBICSPLINE":  # in-tangent, value, out-tangent
            values = values[1::3]
        if len(times) == 0 or len(values) != len(times) or (np.diff(times) < 0).any():
            raise InputError(f"a track has {len(times)} times and {len(values)} values", expected=_EXPECTED)
        return _Track(int(target["node"]), str(target["path"]), times, torch.from_numpy(values), how)

    def _array(self, index: int) -> np.ndarray:
        accessor = self.scene["accessors"][index]
        view = self.scene["bufferViews"][accessor["bufferView"]]
        dtype, width, count = np.dtype(_TYPES[accessor["componentType"]]), _WIDTHS[accessor["type"]], accessor["count"]
        stride = view.get("byteStride") or dtype.itemsize * width
        start = view.get("byteOffset", 0) + accessor.get("byteOffset", 0)
        if count < 0 or start < 0 or stride < dtype.itemsize * width or start + (count - 1) * stride >= len(self.blob):
            raise InputError("an array runs over the end of the file", expected="a complete GLB")
        rows = np.ndarray((count, width), dtype, self.blob, start, (stride, dtype.itemsize)).astype(np.float64)
        if dtype.kind in "iu" and accessor.get("normalized"):
            rows = rows / np.iinfo(dtype).max
        if not np.isfinite(rows).all():
            raise InputError("an array holds NaN or infinity", expected="finite numbers")
        return rows


def _rest_of(node: dict[str, Any]) -> tuple[Tensor, Tensor, Tensor]:
    """Rotation (3, 3), translation (3,) and scale (3,) of a node as it stands in the file."""
    if "matrix" in node:
        matrix = torch.tensor(node["matrix"], dtype=torch.float64).reshape(4, 4).T
        scale = matrix[:3, :3].norm(dim=0).clamp(min=1e-12)
        return roma.special_procrustes(matrix[:3, :3] / scale), matrix[:3, 3], scale
    quaternion = torch.tensor(node.get("rotation", (0, 0, 0, 1)), dtype=torch.float64)
    turn = roma.unitquat_to_rotmat(quaternion / quaternion.norm().clamp(min=1e-12))
    shift = torch.tensor(node.get("translation", (0, 0, 0)), dtype=torch.float64)
    return turn, shift, torch.tensor(node.get("scale", (1, 1, 1)), dtype=torch.float64)
