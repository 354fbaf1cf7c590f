"""Skin markers of optical systems: which set a file's names belong to, and what to say where no layout knows them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from learnable_smplify.errors import InputError, some
from learnable_smplify.layouts.layout import layout_names, load_layout


def _sided(*names: str, sides: tuple[str, str] = ("L", "R")) -> tuple[str, ...]:
    return tuple(side + name for side in sides for name in names)


_HEAD = ("FHD", "BHD")
# The names in which the sets differ from one another and from keypoints.
MARKER_SETS: dict[str, tuple[str, ...]] = {
    "Plug-in Gait": (
        *("C7", "T10", "CLAV", "STRN", "RBAK", "SACR"),
        *_sided(*_HEAD, "SHO", "UPA", "ELB", "FRM", "WRA", "WRB", "FIN", "ASI", "PSI"),
        *_sided("THI", "KNE", "TIB", "ANK", "HEE", "TOE"),
    ),
    "CMU's 41 markers": (
        *("ARIEL", "C7", "T10", "CLAV", "STRN", "RBAC"),
        *_sided(*_HEAD, "FSH", "BSH", "UPA", "ELB", "FRM", "OWR", "IWR", "OHAND", "IHAND", "FWT", "BWT"),
        *_sided("THI", "KNE", "KNI", "SHN", "ANK", "HEL", "TOE", "MT1", "MT5"),
    ),
    "OpenCap's laboratory markers": (
        "C7",
        *_sided("_shoulder", ".ASIS", ".PSIS", "_knee", "_mknee", "_ankle", "_mankle", "_toe", "_5meta", "_calc"),
        *_sided("_lelbow", "_melbow", "_lwrist", "_mwrist", "_thigh1", "_thigh2", "_thigh3", "_sh1", "_sh2", "_sh3"),
        *_sided("HJC", "_HJC", "HJC_reg", "_HJC_reg", "_elbow_lat", "_elbow_med", "_wrist_radius", "_wrist_ulna"),
    ),
    "the Rizzoli (CAST) markers": (
        *("C7", "T2", "MAI", "SJN", "SXS", "LV1", "LV3", "LV5"),
        *_sided("ASIS", "PSIS", "ASI", "PSI", "IAS", "IPS", "GT", "FTC", "LE", "FLE", "ME", "FME", "HF", "FAX", "TT"),
        *_sided("TTC", "LM", "FAL", "MM", "TAM", "CA", "FCC", "FM", "FM1", "SM", "FM2", "VM", "FM5", "A", "CAJ"),
    ),
}
_FEWEST = 8
_SKIN = re.compile(
    "asis|psis|epic|condyl|malleol|acrom|xiph|calc|meta|trocant|trochant|styl|sacr|clav|ster|strn|hjc|"
    "^[lr]?(asi|psi|thi|tib|hee|kne|ank|fhd|bhd|sho|upa|frm|wra|wrb|fin|elb|bak)[0-9ab]?$|^[ctl][0-9]{1,2}$"
)


def marker_set(names: Sequence[str]) -> tuple[str, int] | None:
    """The set that has most of `names`, and how many of them; None where no set has eight."""
    found = {_plain(name) for name in names}
    counts = {title: len(found & {_plain(name) for name in known}) for title, known in MARKER_SETS.items()}
    best = max(counts, key=lambda title: counts[title])
    return (best, counts[best]) if counts[best] >= _FEWEST else None


def unknown_names(names: Sequence[str], path: Path, error: InputError) -> InputError:
    """What to say of names that fit no layout: `error`, unless they are those of skin markers."""
    known = marker_set(names)
    on_skin = sum(bool(_SKIN.search(_plain(name))) for name in names)
    if known is None and on_skin < max(4, 0.25 * len(names)):
        return InputError(str(error).rstrip("."), path=path)
    what = f"most like {known[0]}: it has {known[1]} of these {len(names)} names" if known else "of no set known here"
    return InputError(
        f"these are skin markers, {what} ({some(names, 8)})",
        path=path,
        expected=f"keypoints or joint centres; {_nearest(names)}",
        hint="--layout FILE.toml, which says where on the body each marker lies (docs/keypoints.md)",
    )


def _nearest(names: Sequence[str]) -> str:
    names = [name.rpartition(":")[2] for name in names]
    counts = {name: len(load_layout(name).match(names)) for name in layout_names()}
    best = max(counts, key=lambda name: counts[name])
    if not counts[best]:
        return "no layout is near: none has any of these names"
    return f"the nearest layout is {best}, with {counts[best]} of its {len(load_layout(best))} names"


def _plain(name: str) -> str:
    """Without the subject in front, the study behind, and punctuation."""
    return re.sub(r"[^a-z0-9]", "", re.sub(r"_study$", "", name.rpartition(":")[2].lower()))
