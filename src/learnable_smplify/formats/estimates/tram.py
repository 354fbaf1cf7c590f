"""TRAM's `hps_track_K.npy`: a pickled dictionary of tensors, one file a person."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from learnable_smplify.formats.estimates.estimate import Estimate, cleaned, rotvecs_of
from learnable_smplify.safe_files.keyed import Keyed

KEYS = "{pred_rotmat, pred_shape, pred_trans, frame}"


def matches(content: Any) -> bool:
    """Whether the content, or every file of a folder, has TRAM's keys."""
    if not isinstance(content, Mapping):
        return False
    return "pred_rotmat" in content or any(
        isinstance(track, Mapping) and "pred_rotmat" in track for track in content.values()
    )


def read(content: Any, path: Path) -> list[Estimate]:
    """The tracks of a TRAM result, in the camera's frame, the only one these files have.

    Raises:
        InputError: a key that is missing or of another shape.
    """
    if path.is_dir():
        tracks = {k: v for k, v in content.items() if isinstance(v, Mapping) and "pred_rotmat" in v}
        return [_track(track, path / f"{name}.npy", name) for name, track in sorted(tracks.items(), key=_number)]
    return [_track(content, path, path.stem)]


def _track(content: Mapping[Any, Any], path: Path, name: str) -> Estimate:
    found = Keyed(path, content, None, "a TRAM result")
    rotmat = found.numbers("pred_rotmat", shape=(None, 24, 3, 3), finite=False)
    frames = len(rotmat)
    transl = found.numbers("pred_trans", finite=False)
    if transl.shape not in ((frames, 1, 3), (frames, 3)):
        raise found.fail(f"'pred_trans' has shape {transl.shape}", f"({frames}, 1, 3)")
    return cleaned(
        frames=found.numbers("frame", shape=(frames,)),
        pose=rotvecs_of(rotmat, path, "'pred_rotmat'"),
        betas=found.numbers("pred_shape", shape=(frames, 10), finite=False),
        transl=transl.reshape(frames, 3),
        source="TRAM",
        path=path,
        person_id=name.removeprefix("hps_track_"),
    )


def _number(item: tuple[str, Any]) -> tuple[int, str]:
    digits = item[0].rsplit("_", 1)[-1]
    return (int(digits) if digits.isascii() and digits.isdecimal() else 0, item[0])
