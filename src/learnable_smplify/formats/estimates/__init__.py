"""Results of image-based estimators. To add one: a file with `KEYS`, `matches` and `read`, and a line in `_FORMATS`.

`read` takes the content, the path and, where the estimator knows both frames, the wanted one.
"""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from types import ModuleType
from typing import Literal, get_args

from learnable_smplify.errors import InputError
from learnable_smplify.formats.estimates import (
    amass_style,
    easymocap_smpl,
    gvhmr,
    hmr2,
    smpl_arrays,
    smplestx,
    tram,
    wham,
)
from learnable_smplify.formats.estimates.content import load_content, shown
from learnable_smplify.formats.estimates.estimate import Estimate, Frame
from learnable_smplify.formats.keypoints.keypoint_file import are_keypoints
from learnable_smplify.formats.other_kinds import other_kind

__all__ = ["FORMATS", "Estimate", "EstimateFormat", "Frame", "read_estimates"]

EstimateFormat = Literal["wham", "gvhmr", "tram", "hmr2", "smplestx", "easymocap", "amass", "arrays"]
_PICKLES = (".pkl", ".pk", ".pt", ".pth")
FORMATS: tuple[EstimateFormat, ...] = get_args(EstimateFormat)

_FORMATS: dict[EstimateFormat, ModuleType] = {
    "wham": wham,
    "gvhmr": gvhmr,
    "tram": tram,
    "hmr2": hmr2,
    "smplestx": smplestx,
    "easymocap": easymocap_smpl,
    "amass": amass_style,
    "arrays": smpl_arrays,
}
# The frame that files of these formats hold, and no other.
_ONLY: dict[EstimateFormat, Frame] = {
    **dict.fromkeys(("tram", "hmr2", "smplestx"), "camera"),
    **dict.fromkeys(("easymocap", "amass"), "world"),
}


def read_estimates(
    path: str | PathLike[str],
    person: str | int | None = None,
    format: EstimateFormat | None = None,
    *,
    frame: Frame | None = None,
) -> list[Estimate]:
    """What an estimator says, one `Estimate` for each person it tracked.

    The format is told by the content. Nothing a file contains is run, whatever its kind.

    Args:
        path: a .pkl (WHAM, 4D-Humans, GLAMR, PromptHMR, AIST++), .pk (HybrIK), .pt (GVHMR), .npy (TRAM), .npz
            (SMPLest-X, ROMP, AMASS) or .json (EasyMocap) file, or a folder with one for each frame or person.
        person: only this track.
        format: read it as this format, one of `FORMATS`; None looks at the keys.
        frame: "world" or "camera"; None is the world where the estimator has one.

    Raises:
        InputError: no such file, content of no known format (names the keys found and those looked for), a key that
            is missing or of another shape, something that is not data in a pickle, or no such person.
    """
    path = Path(path)
    if format is not None and format not in _FORMATS:
        raise InputError(f"unknown format '{format}'", path=path, expected=f"one of {', '.join(FORMATS)}")
    told = other_kind(path) if path.is_file() and path.suffix.lower() not in _PICKLES else None
    if told is not None:
        raise InputError(f"this is {told[0]}", path=path, expected="an estimator's result, or a motion", hint=told[1])
    content = load_content(path)
    if isinstance(content, list) and content and all(isinstance(frame, dict) for frame in content):
        content = {f"{number:06d}": frame for number, frame in enumerate(content)}  # a dictionary a frame
    chosen = format or next((name for name in FORMATS if _FORMATS[name].matches(content)), None)
    if chosen is None and are_keypoints(path):
        raise InputError(
            "these are keypoints",
            path=path,
            expected="a motion, or an estimator's result",
            hint=f"lsmplify fit {path} -o motion.npz",
        )
    if chosen is None:
        raise InputError(
            f"not the result of a known estimator; it holds {shown(content)}",
            path=path,
            expected="; ".join(f"{name}: {one.KEYS}" for name, one in _FORMATS.items()),
            hint=f"save an AMASS-style .npz, or name the format: one of {', '.join(FORMATS)}",
        )
    if not isinstance(content, dict):
        raise InputError(f"it holds {shown(content)}", path=path, expected=f"{chosen}: {_FORMATS[chosen].KEYS}")
    only = _ONLY.get(chosen)
    if only is None:
        estimates: list[Estimate] = _FORMATS[chosen].read(content, path, frame)
    elif frame in (None, only):
        estimates = _FORMATS[chosen].read(content, path)
    else:
        raise InputError(f"these files hold the {only}'s frame only", path=path, hint="leave frame away")
    if person is None:
        return estimates
    wanted = [estimate for estimate in estimates if estimate.person_id == str(person)]
    if not wanted:
        there = ", ".join(f"{estimate.person_id} ({len(estimate)} frames)" for estimate in estimates)
        raise InputError(f"there is no person {person}", path=path, expected=f"one of {there}")
    return wanted
