"""SMPL-X or SMPL parameters under their own names, as SMPLest-X and its relatives save them in .npz files."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from learnable_smplify.errors import InputError
from learnable_smplify.formats.estimates.estimate import Estimate, Frame, cleaned
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


def read(content: Any, path: Path, frame: Frame | None) -> list[Estimate]:
    """The people of one file, or of a folder with a file for each frame (and person), in the camera's frame.

    One file holds (T, 3), (T, 63), (T, 10), (T, 3) of one person, or (N, T, ...) of N people, NaN where one is not
    seen. 63 columns of `body_pose` are SMPL-X's (or SMPL-H's), 69 are SMPL's.

    Raises:
        InputError: `frame` is "world", or a key that is missing or of another shape.
    """
    if frame == "world":
        raise InputError("these files hold the camera's frame only", path=path, hint="leave frame away")
    if path.is_dir() or not _has_keys(content):
        return _folder(content, path)
    found = Keyed(path, content, None, "SMPL-X parameters")
    root, body, betas, transl = _arrays(found)
    hands = _hands(found, root.shape[:-1])
    if root.ndim == 2:
        return [_person(root, body, betas, transl, np.arange(len(root)), path, "0", hands)]
    people = len(root)
    if not (body.ndim == 3 and len(body) == people and len(betas) == people and (transl is None or transl.ndim == 3)):
        raise InputError("the arrays disagree on the number of people", path=path, expected=f"{people} in each")
    seen = [n for n in range(people) if np.isfinite(root[n]).all(axis=1).any()]
    return [
        _person(
            root[n],
            body[n],
            betas[n],
            None if transl is None else transl[n],
            np.arange(root.shape[1]),
            path,
            str(n),
            None if hands is None else hands[n],
        )
        for n in seen
    ]


def _arrays(found: Keyed) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray | None]:
    root, body = found.numbers(*_ROOT, finite=False), found.numbers(*_BODY, finite=False)
    betas = found.numbers(*_BETAS, finite=False)
    transl = found.numbers(*_TRANSL, finite=False) if found.has(*_TRANSL) else None
    root = root[None] if root.ndim == 1 else root
    if root.ndim not in (2, 3) or root.shape[-1] != 3:
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
    return root, body, betas, transl


def _person(
    root: np.ndarray,
    body: np.ndarray,
    betas: np.ndarray,
    transl: np.ndarray | None,
    frames: np.ndarray,
    path: Path,
    name: str,
    hands: np.ndarray | None = None,
) -> Estimate:
    smplx = body.shape[-1] == 63
    return cleaned(
        frames=frames,
        pose=np.concatenate((root, body), axis=1).reshape(len(root), -1, 3),
        betas=betas,
        transl=transl,
        source="SMPLest-X",
        path=path,
        person_id=name,
        body="smplx" if smplx else "smpl",
        hands=hands if smplx else None,
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
    rows: dict[str, list[tuple[int, Any]]] = defaultdict(list)
    for name in sorted(content, key=str):
        told = _FILE_NAME.fullmatch(name)
        if told is None:
            raise InputError("the file name tells no frame", path=path / f"{name}.npz", expected="000012_0.npz")
        keyed = Keyed(path / f"{name}.npz", content[name], None, "SMPL-X parameters")
        found = (*_arrays(keyed), _hands(keyed, (1,)))
        if found[0].shape != (1, 3) or found[2].size < 1:
            raise InputError("holds more than one pose", path=path / f"{name}.npz", expected="one frame of one person")
        rows[told[2] or "0"].append((int(told[1]), found))
    estimates = []
    for person, frames in rows.items():
        numbers, parts = [number for number, _ in frames], [part for _, part in frames]
        if len({(part[1].shape, part[2].size) for part in parts}) > 1:
            raise InputError("its files are of different bodies", path=path, where=f"person {person}")
        root, body = (np.concatenate([part[i] for part in parts]) for i in (0, 1))
        betas = np.stack([part[2].reshape(-1) for part in parts])
        places = [part[3] for part in parts]
        transl = None if any(place is None for place in places) else np.concatenate(places)
        fingers = [part[4] for part in parts]
        alike = len({None if hand is None else hand.shape for hand in fingers}) == 1 and fingers[0] is not None
        hands = np.concatenate(fingers) if alike else None
        estimates.append(_person(root, body, betas, transl, np.asarray(numbers), path, person, hands))
    return estimates


def _has_keys(content: Mapping[Any, Any]) -> bool:
    root = next((content[name] for name in _ROOT if name in content), None)
    matrices = tuple(getattr(root, "shape", ())[-2:]) == (3, 3)  # another estimator's
    return root is not None and not matrices and any(name in content for name in _BODY)
