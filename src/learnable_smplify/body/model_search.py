"""Where licensed body models are looked for, in which order, and what was found."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from platformdirs import user_data_path

from learnable_smplify.errors import InputError

ModelKind = Literal["smpl", "smplh", "smplx"]
MODEL_KINDS: tuple[ModelKind, ...] = ("smpl", "smplh", "smplx")
GENDERS: tuple[str, ...] = ("neutral", "male", "female")
BODY25_REGRESSOR = "J_regressor_body25.npy"


@dataclass(frozen=True)
class TriedPlace:
    """One place that was searched.

    Args:
        source: why it was searched, in the user's words.
        folder: the folder, or the file when a setting names one; None when the setting is not made.
        found: the model files there, best first.
    """

    source: str
    folder: Path | None
    found: tuple[Path, ...]


def model_folders(flag: str | os.PathLike[str] | None = None) -> tuple[tuple[str, Path | None], ...]:
    """The folders searched, in order, each with its reason; None where a setting is not made."""
    variable = os.environ.get("SMPL_BODY_MODELS")
    return (
        *(() if flag is None else (("the folder you gave", Path(flag)),)),
        ("$SMPL_BODY_MODELS", Path(variable).expanduser() if variable else None),
        ("current folder", Path("body_models")),
        ("current folder", Path("data", "body_models")),
        ("user data folder", user_data_path("learnable-smplify") / "body_models"),
    )


def search_models(
    kind: ModelKind | str, gender: str = "neutral", flag: str | os.PathLike[str] | None = None
) -> tuple[TriedPlace, ...]:
    """Look for a model everywhere, whether or not it was found before.

    Args:
        kind: "smpl", "smplh" or "smplx".
        gender: "neutral", "male" or "female".
        flag: a folder the user gave, searched first.

    Returns:
        Every place in the order of search: the flag, `$SMPL_BODY_MODELS`, body-models' own
        configuration, ./body_models, ./data/body_models, the user data folder.

    Raises:
        InputError: unknown kind or gender.
    """
    if kind not in MODEL_KINDS:
        raise InputError(f"unknown body model '{kind}'", expected="one of " + ", ".join(MODEL_KINDS))
    if gender not in GENDERS:
        raise InputError(f"unknown gender '{gender}'", expected="one of " + ", ".join(GENDERS))
    places = []
    for source, folder in model_folders(flag):
        files = () if folder is None else tuple(p for p in _candidates(folder, kind, gender) if p.is_file())
        places.append(TriedPlace(source, folder, files))
    last_set = [place.source for place in places].index("$SMPL_BODY_MODELS")
    return (*places[: last_set + 1], _configured(kind, gender), *places[last_set + 1 :])


def find_model(kind: ModelKind | str, gender: str = "neutral") -> Path:
    """The first model file of this kind and gender. Arguments as in `search_models`.

    Raises:
        InputError: none found; the message lists every place tried.
    """
    places = search_models(kind, gender)
    for place in places:
        if place.found:
            return place.found[0]
    tried = "; ".join(f"{place.folder or 'not set'} ({place.source})" for place in places)
    raise InputError(
        f"no {kind} model for gender '{gender}' was found; tried {tried}",
        expected=f"a file such as {next(_candidates(Path('body_models'), kind, gender))}",
        hint="lsmplify doctor, or --body FILE, or export SMPL_BODY_MODELS=/folder",
    )


def find_body25_regressor(model: str | os.PathLike[str] | None = None) -> Path | None:
    """EasyMocap's `J_regressor_body25.npy`, beside `model` or in a searched folder; None when it is nowhere.

    Its licence is non-commercial: it is read where the user has put it and never shipped.
    """
    folders = [] if model is None else [Path(model).parent, Path(model).parent.parent]
    folders += [folder for _, folder in model_folders() if folder is not None]
    for folder in folders:
        for candidate in (folder / BODY25_REGRESSOR, folder / "smpl" / BODY25_REGRESSOR):
            if candidate.is_file():
                return candidate
    return None


def _configured(kind: str, gender: str) -> TriedPlace:
    """What the body-models package was told to use by its own `body-models set`."""
    try:
        from body_models._config import get_model_path

        path: Path | None = get_model_path(f"{kind}-{gender}")
    except Exception:  # a private module of another package, and a file the user can edit: never our failure
        path = None
    return TriedPlace("configuration of body-models", path, (path,) if path is not None and path.is_file() else ())


def _candidates(folder: Path, kind: str, gender: str) -> Iterator[Path]:
    stem = f"{kind.upper()}_{gender.upper()}"
    for parent in (folder / kind, folder):
        yield parent / f"{stem}.npz"
        yield parent / f"{stem}.pkl"
        if kind == "smpl":
            letter = {"male": "m", "female": "f"}.get(gender, gender)
            yield parent / f"basicmodel_{letter}_lbs_10_207_0_v1.1.0.pkl"
            yield parent / f"basicModel_{letter}_lbs_10_207_0_v1.0.0.pkl"
        else:
            yield parent / gender / "model.npz"
            yield parent / gender / "model.pkl"
