"""The values of a layout's TOML file: what a keypoint is on the body, and the lines drawn between keypoints."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path

from learnable_smplify.errors import InputError
from learnable_smplify.layouts.points import CANONICAL_POINTS


def parse_point(value: object, path: Path, where: str) -> tuple[tuple[str, float], ...]:
    """The weighted sum of canonical points that a keypoint is; a name alone has weight 1.

    Raises:
        InputError: an unknown point, or weights that are no numbers or do not sum to 1; the message names `where`.
    """
    wrong = partial(InputError, path=path, where=where)
    if isinstance(value, str):
        value = {value: 1.0}
    if not isinstance(value, dict) or not value:
        raise wrong(
            "the value is not a point",
            expected='a name such as "left_knee", weights such as { left_hip = 0.5, right_hip = 0.5 }, or {} where '
            "the point is not on the body",
        )
    row: list[tuple[str, float]] = []
    for point, weight in value.items():
        if point not in CANONICAL_POINTS:
            raise wrong(f"unknown point '{point}'", expected="one of " + ", ".join(CANONICAL_POINTS))
        # The comparison is exact for integers of any length, which `float` would not take.
        if isinstance(weight, bool) or not isinstance(weight, int | float) or not -1e6 < weight < 1e6:
            raise wrong(f"the weight of '{point}' is {str(weight)[:40]}", expected="a number such as 0.5")
        row.append((point, float(weight)))
    total = math.fsum(weight for _, weight in row)
    if abs(total - 1.0) > 1e-3:
        raise wrong(f"the weights add up to {total:g}", expected="weights that sum to 1")
    return tuple((point, weight / total) for point, weight in row)


def parse_edges(value: object, names: tuple[str, ...], off_body: set[str], path: Path) -> tuple[tuple[int, int], ...]:
    """Pairs of keypoint indices; edges to points that are not on the body are left out.

    Raises:
        InputError: no list of pairs of names, an unknown name, an edge twice or of one point to itself.
    """
    if not isinstance(value, list):
        raise InputError("the edges are not a list", path=path, where="key 'edges'", expected='[["Nose", "Neck"], ...]')
    edges: list[tuple[int, int]] = []
    for number, pair in enumerate(value, start=1):
        wrong = partial(InputError, path=path, where=f"edge {number}")
        if not isinstance(pair, list) or len(pair) != 2:
            raise wrong("an edge is not a pair", expected='["Nose", "Neck"], two names')
        if any(end in off_body for end in pair if isinstance(end, str)):
            continue
        for end in pair:
            if end not in names:
                problem = f"the edge names a keypoint '{end}' that is not in [keypoints]"
                raise wrong(problem, expected="one of " + ", ".join(names))
        start, stop = names.index(pair[0]), names.index(pair[1])
        if start == stop or (start, stop) in edges or (stop, start) in edges:
            problem = "joins a keypoint to itself" if start == stop else "is there twice"
            raise wrong(f"the edge {pair[0]} - {pair[1]} {problem}")
        edges.append((start, stop))
    return tuple(edges)
