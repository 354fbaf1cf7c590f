"""EasyMocap's `smpl/000000.json`: for each frame a list of `{id, Rh, Th, poses, shapes}`.

Its `Rh` turns the posed body about the origin, not about the pelvis as SMPL's `global_orient` does, so `Th` is not
SMPL's `transl`: `transl = R(Rh) J0 + Th - J0`, with the rest pelvis J0 of the person's betas.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import roma
import torch

from learnable_smplify.errors import InputError
from learnable_smplify.formats.estimates.estimate import Estimate, cleaned
from learnable_smplify.safe_files.keyed import Keyed, as_name

KEYS = "a .json a frame: [{id, Rh, Th, poses, shapes}]"
# Columns of `poses` and whose they are: SMPL, then SMPL-H and SMPL-X with 6 numbers a hand (and 9 for the face).
_BODIES = {72: "smpl", 78: "smplh", 87: "smplx"}
# Components of each hand's pose; about the mean hand for SMPL-H, about the flat one for SMPL-X.
_HAND = 6


def matches(content: Any) -> bool:
    """Whether a file of the folder has EasyMocap's keys."""
    if not isinstance(content, Mapping):
        return False
    return any({"Rh", "Th"} <= set(person) for frame in content.values() for person in _people(frame))


def read(content: Any, path: Path) -> list[Estimate]:
    """One estimate for each id, in the world of the camera calibration; `pivot` is "origin".

    Raises:
        InputError: a file name without a number, or a key that is missing or of another shape.
    """
    rows: dict[str, list[tuple[int, np.ndarray, np.ndarray, np.ndarray, np.ndarray]]] = defaultdict(list)
    for name in sorted(content, key=str):
        file = path / f"{name}.json" if path.is_dir() else path
        if not (isinstance(name, str) and name.isascii() and name.isdecimal()):
            raise InputError("the file name is no frame number", path=file, expected="000000.json")
        for number, person in enumerate(_people(content[name])):
            found = Keyed(file, person, f"person {number}", "an EasyMocap result")
            poses = found.numbers("poses", finite=False).reshape(-1)
            if poses.size not in _BODIES:
                raise found.fail(f"'poses' has {poses.size} numbers", " or ".join(map(str, _BODIES)))
            row = [found.numbers(key, finite=False).reshape(-1) for key in ("Rh", "Th", "shapes")]
            if row[0].size != 3 or row[1].size != 3 or row[2].size < 1:
                raise found.fail("'Rh', 'Th' or 'shapes' is of another size", "(1, 3), (1, 3) and (1, 10)")
            identity = person.get("id", person.get("personID", number))
            rows[as_name(identity)].append((int(name), poses, *row))  # type: ignore[arg-type]
    if not rows:
        raise InputError("nobody is in these files", path=path, expected=KEYS)
    return [_person(name, rows[name], path) for name in sorted(rows, key=lambda name: (len(name), name))]


def _person(name: str, rows: list[tuple[int, np.ndarray, np.ndarray, np.ndarray, np.ndarray]], path: Path) -> Estimate:
    frames, poses, rh, th, shapes = zip(*rows, strict=True)
    if len({pose.size for pose in poses}) > 1 or len({shape.size for shape in shapes}) > 1:
        raise InputError("its frames are of different bodies", path=path, where=f"person {name}")
    joints = 24 if poses[0].size == 72 else 22
    pose = np.stack(poses)[:, : joints * 3].reshape(-1, joints, 3)
    pose[:, 0] = roma.rotvec_composition([torch.from_numpy(np.stack(rh)), torch.from_numpy(pose[:, 0].copy())]).numpy()
    hands = np.stack(poses)[:, 66 : 66 + 2 * _HAND].reshape(len(pose), 2, _HAND) if joints == 22 else None
    return cleaned(
        frames=np.asarray(frames),
        pose=pose,
        betas=np.stack(shapes),
        transl=np.stack(th),
        source="EasyMocap",
        path=path,
        person_id=name,
        frame="world",
        body=_BODIES[poses[0].size],
        pivot="origin",
        hands=hands,
        hands_about_mean=_BODIES[poses[0].size] == "smplh",
    )


def _people(frame: Any) -> list[Mapping[str, Any]]:
    people = frame.get("annots", [frame]) if isinstance(frame, Mapping) else frame
    return [person for person in people if isinstance(person, Mapping)] if isinstance(people, list) else []
