"""BVH motion capture, read through the pybvh package."""

from __future__ import annotations

import importlib.util
import warnings
from os import PathLike
from pathlib import Path

import torch
from torch import Tensor

from learnable_smplify.errors import InputError, MissingExtraError
from learnable_smplify.retarget.source import SourceMotion

# BVH states no unit of length. A person is one to two and a half metres tall, so the rest skeleton tells.
_UNITS = ((5.0, 1.0, "metres"), (100.0, 0.0254, "inches"), (500.0, 0.01, "centimetres"), (5000.0, 0.001, "millimetres"))


def read_bvh(path: str | PathLike[str], fps: float | None = None) -> SourceMotion:
    """Read a BVH file.

    Args:
        path: the file.
        fps: the true frames a second, for files whose header is wrong; None takes the header's word. The notes say
            when the two differ.

    Returns:
        Global rotations and root positions in metres. The unit is taken from the size of the skeleton: the format
        states none, and no up axis: see `find_up_axis`.

    Raises:
        MissingExtraError: pybvh is not installed.
        InputError: the file is missing or is not a BVH file pybvh understands.
    """
    path = Path(path)
    if fps is not None and not (0 < fps < 1e5):
        raise InputError(f"the frame rate is {fps}", path=path, expected="frames a second above 0", hint="--bvh-fps 60")
    if not path.is_file():
        raise InputError("no such file", path=path, hint="check the path")
    require_pybvh()
    import pybvh

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            bvh = pybvh.read_bvh_file(path, warn_on_world_up_disagreement=False)
            root, local_rotmats = bvh.to_rotmat()
            rate = float(bvh.fps)
            names = tuple(str(name) for name in bvh.joint_names)
            nodes = list(bvh.nodes)
    except Exception as error:  # whatever the parser trips over in a damaged file, the user has one question: where
        detail = " ".join(str(error).split())[:200] or type(error).__name__
        raise InputError(
            f"is not a readable BVH file ({detail})",
            path=path,
            expected="HIERARCHY and MOTION, one root, 3 rotation channels a joint and as many frames as stated",
            hint="export it again, with rotation channels only on every joint but the root",
        ) from error
    return _to_source(path, nodes, names, torch.as_tensor(root), torch.as_tensor(local_rotmats), rate, fps)


def require_pybvh() -> None:
    """Raise MissingExtraError where the package that reads BVH is not installed."""
    if importlib.util.find_spec("pybvh") is None:
        raise MissingExtraError("pybvh", "bvh", "Reading BVH")


def _to_source(
    path: Path,
    nodes: list,
    names: tuple[str, ...],
    root: Tensor,
    local: Tensor,
    rate: float,
    fps: float | None,
) -> SourceMotion:
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError(f"joint '{twice}' appears twice", path=path, expected="each joint name once")
    root, local = root.to(torch.float64), local.to(torch.float64)
    joint_of = {id(node): index for index, node in enumerate(n for n in nodes if not n.is_end_site())}
    parents = [-1] * len(names)
    offsets = torch.zeros(len(names), 3, dtype=torch.float64)
    ends: dict[int, list[Tensor]] = {}
    for node in nodes:
        offset = torch.tensor([float(value) for value in node.offset], dtype=torch.float64)
        parent = -1 if node.parent is None else joint_of[id(node.parent)]
        if parent >= 0:
            ends.setdefault(parent, []).append(offset)
        if not node.is_end_site() and parent >= 0:
            parents[joint_of[id(node)]] = parent
            offsets[joint_of[id(node)]] = offset
    tips = torch.stack([torch.stack(ends.get(j, [torch.zeros(3).double()])).mean(dim=0) for j in range(len(names))])
    if not (torch.isfinite(root).all() and torch.isfinite(local).all() and torch.isfinite(offsets).all()):
        bad = ~(torch.isfinite(root).all(dim=1) & torch.isfinite(local).flatten(1).all(dim=1))
        where = f"frame {int(bad.nonzero()[0])}" if bool(bad.any()) else "HIERARCHY"
        raise InputError("holds NaN, infinity or a missing number", path=path, where=where, expected="finite numbers")
    notes = []
    if fps is not None and abs(fps - rate) > 1e-3 * rate:
        notes.append(f"frame rate {fps:g} as asked; the header says {rate:g}")
    fps = rate if fps is None else fps
    if not (0 < fps < 1e5):
        raise InputError(f"the frame rate in the header is {fps}", path=path, hint="--bvh-fps 30")
    rotations: list[Tensor] = []
    for joint, parent in enumerate(parents):
        rotations.append(local[:, joint] if parent < 0 else rotations[parent] @ local[:, joint])
    scale, unit = _metres_per_unit(parents, offsets, tips, path)
    if unit != "metres":
        notes.append(f"lengths taken as {unit}")
    return SourceMotion(
        names=names,
        parents=tuple(parents),
        offsets=offsets * scale,
        tips=tips * scale,
        rotations=torch.stack(rotations, dim=1),
        root_positions=root * scale,
        fps=fps,
        up_axis=None,
        notes=tuple(notes),
    )


def _metres_per_unit(parents: list[int], offsets: Tensor, tips: Tensor, path: Path) -> tuple[float, str]:
    rest: list[Tensor] = []
    for joint, parent in enumerate(parents):
        rest.append(offsets[joint] if parent < 0 else rest[parent] + offsets[joint])
    positions = torch.cat([torch.stack(rest), torch.stack(rest) + tips])
    size = float((positions.max(dim=0).values - positions.min(dim=0).values).max())
    for limit, scale, unit in _UNITS:
        if 0.1 < size < limit:
            return scale, unit
    raise InputError(f"the skeleton is {size:g} units large", path=path, expected="the size of a person in m, cm or mm")
