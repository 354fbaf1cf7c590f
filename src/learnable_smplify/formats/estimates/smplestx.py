"""SMPL-X or SMPL parameters under their own names, as SMPLest-X and its relatives save them in .npz files."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from learnable_smplify.errors import InputError
from learnable_smplify.formats.estimates.estimate import Estimate, cleaned, joined
from learnable_smplify.safe_files.keyed import Keyed

KEYS = "{global_orient, body_pose, betas, transl} (or smplx_root_pose, smplx_body_pose, smplx_shape, cam_trans)"
_ROOT = ("global_orient", "smplx_root_pose", "root_pose")
_BODY = ("body_pose", "body_poses", "smplx_body_pose")
_HANDS = (
    ("left_hand_pose", "smplx_lhand_pose", "lhand_pose"),
    ("right_hand_pose", "smplx_rhand_pose", "rhand_pose"),
)
# Most of SMPL-X's users leave `flat_hand_mean` at False, the smplx package's own default.
_ABOUT_MEAN = True
_BETAS = ("betas", "smplx_shape", "shape")
_TRANSL = ("transl", "cam_trans", "trans")
# 000012.npz, 000012_1.npz: frame, then person.
_FILE_NAME = re.compile(r"(?:.*?\D)??(\d+)(?:_(\d+))?")


def matches(content: Any) -> bool:
    """Whether the content, or a file of a folder, has these keys."""
    if not isinstance(content, Mapping):
        return False
    return _has_keys(content) or any(
        isinstance(part, Mapping) and _has_keys(part) and _FILE_NAME.fullmatch(str(name)) is not None
        for name, part in content.items()
    )


def read(content: Any, path: Path) -> list[Estimate]:
    """The people of one file, or of a folder with a file for each frame (and person), in the camera's frame.

    One file holds (T, 3), (T, 63), (T, 10), (T, 3) of one person, or (N, T, ...) of N people, NaN where one is not
    seen. 63 columns of `body_pose` are SMPL-X's (or SMPL-H's), 69 are SMPL's.

    Raises:
        InputError: a key that is missing or of another shape.
    """
    if path.is_dir() or not _has_keys(content):
        return _folder(content, path)
    found = Keyed(path, content, None, "SMPL-X parameters")
    everybody = _parameters(found)
    root = everybody.root
    if root.ndim == 2:
        return [_estimate(everybody, np.arange(len(root)), path, "0")]
    people = len(root)
    if everybody.betas.shape[:1] != (people,):
        raise InputError("the arrays disagree on the number of people", path=path, expected=f"{people} in each")
    seen = [n for n in range(people) if np.isfinite(root[n]).all(axis=1).any()]
    return [_estimate(everybody.person(n), np.arange(root.shape[1]), path, str(n)) for n in seen]


@dataclass(frozen=True)
class _Parameters:
    """Of one person over time, or of several: then the first axis is theirs."""

    root: np.ndarray  # (..., T, 3)
    body: np.ndarray  # (..., T, 63) or (..., T, 69)
    betas: np.ndarray
    transl: np.ndarray | None
    hands: np.ndarray | None  # (..., T, 2, C)

    def person(self, n: int) -> _Parameters:
        transl, hands = (None if part is None else part[n] for part in (self.transl, self.hands))
        return _Parameters(self.root[n], self.body[n], self.betas[n], transl, hands)


def _parameters(found: Keyed) -> _Parameters:
    root, body = found.numbers(*_ROOT, finite=False), found.numbers(*_BODY, finite=False)
    betas = found.numbers(*_BETAS, finite=False)
    transl = found.numbers(*_TRANSL, finite=False) if found.has(*_TRANSL) else None
    root = root[None] if root.ndim == 1 else root
    if root.ndim not in (2, 3) or root.shape[-1] != 3 or not root.size:
        raise found.fail(f"'global_orient' has shape {root.shape}", "(T, 3), or (N, T, 3) for N people")
    for joints in (21, 23):
        if body.size == root.size * joints:
            body = body.reshape(*root.shape[:-1], joints * 3)
            break
    else:
        raise found.fail(f"'body_pose' has shape {body.shape}", f"63 or 69 numbers for each of {root.shape[:-1]}")
    if transl is not None:
        if transl.size != root.size:
            raise found.fail(f"'transl' has shape {transl.shape}", str(root.shape))
        transl = transl.reshape(root.shape)
    return _Parameters(root, body, betas, transl, _hands(found, root.shape[:-1]))


def _estimate(person: _Parameters, frames: np.ndarray, path: Path, name: str) -> Estimate:
    smplx = person.body.shape[-1] == 63
    return cleaned(
        frames=frames,
        pose=np.concatenate((person.root, person.body), axis=1).reshape(len(frames), -1, 3),
        betas=person.betas,
        transl=person.transl,
        source="SMPLest-X",
        path=path,
        person_id=name,
        body="smplx" if smplx else "smpl",
        hands=person.hands if smplx else None,
        hands_about_mean=_ABOUT_MEAN,
    )


def _hands(found: Keyed, rows: tuple[int, ...]) -> np.ndarray | None:
    """(..., 2, C) of both hands; None where one is missing or they are of another size."""
    if not all(found.has(*names) for names in _HANDS):
        return None
    sides = [found.numbers(*names, finite=False) for names in _HANDS]
    count = int(np.prod(rows))
    widths = {side.size / count if count else 0.0 for side in sides}
    if len(widths) != 1 or not (width := widths.pop()).is_integer() or not 0 < width <= 45:
        return None
    return np.stack([side.reshape(*rows, int(width)) for side in sides], axis=-2)


def _folder(content: Mapping[str, Any], path: Path) -> list[Estimate]:
    rows: dict[str, list[tuple[int, _Parameters]]] = defaultdict(list)
    for name in sorted(content, key=str):
        told = _FILE_NAME.fullmatch(name)
        if told is None:
            raise InputError("the file name tells no frame", path=path / f"{name}.npz", expected="000012_0.npz")
        found = _parameters(Keyed(path / f"{name}.npz", content[name], None, "SMPL-X parameters"))
        if found.root.shape != (1, 3) or found.betas.size < 1:
            raise InputError("holds more than one pose", path=path / f"{name}.npz", expected="one frame of one person")
        rows[told[2] or "0"].append((int(told[1]), found))
    estimates = []
    for person, frames in rows.items():
        numbers, parts = zip(*frames, strict=True)
        if len({(part.body.shape, part.betas.size) for part in parts}) > 1:
            raise InputError("its files are of different bodies", path=path, where=f"person {person}")
        whole = _Parameters(
            root=np.concatenate([part.root for part in parts]),
            body=np.concatenate([part.body for part in parts]),
            betas=np.stack([part.betas.reshape(-1) for part in parts]),
            transl=joined([part.transl for part in parts]),
            hands=joined([part.hands for part in parts]),
        )
        estimates.append(_estimate(whole, np.asarray(numbers), path, person))
    return estimates


def _has_keys(content: Mapping[Any, Any]) -> bool:
    root = next((content[name] for name in _ROOT if name in content), None)
    matrices = tuple(getattr(root, "shape", ())[-2:]) == (3, 3)  # another estimator's
    return root is not None and not matrices and any(name in content for name in _BODY)
