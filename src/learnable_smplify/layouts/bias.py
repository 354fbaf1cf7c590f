"""Where the detectors behind a layout put their keypoints, beside the body's own: how far on average, and how sure.

A detector's hip is the point that annotators clicked, 2 to 4 cm outside the hip joint, and so the hips that it finds
are those of a broad body. Who knows that does not take the width for shape. In a layout's TOML::

    [bias]                                      # metres; x is to the body's left, y up, z forward, in the rest pose
    LHip = { x = 0.03, spread = 0.015 }         # the partner on the other side is the mirror image
    Neck = { z = -0.02 }

Keypoints without a line are where the body has them, give or take what is usual for their part of the body.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from learnable_smplify.errors import InputError

# Usual standard deviations of a detector's constant error along each axis [m], by part of the body.
_SPREADS = {"head": 0.007, "torso": 0.007, "arms": 0.004, "hands": 0.007, "legs": 0.004, "feet": 0.006}
# Biases in files that are larger than this [m] are in another unit.
_LARGEST = 0.3


@dataclass(frozen=True)
class KeypointBias:
    """A detector's constant error of one keypoint, normally distributed over detectors and people.

    Args:
        mean: to the body's left, up, and forward in the rest pose, metres.
        spread: standard deviation along each axis, metres.
    """

    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    spread: float = 0.015

    def mirrored(self) -> KeypointBias:
        """The same on the other side of the body."""
        return KeypointBias((-self.mean[0], *self.mean[1:]), self.spread)


def parse_bias(
    table: object,
    names: Sequence[str],
    mirror: Sequence[int],
    groups: Sequence[str],
    index_of: Callable[[str], int | None],
    path: Path,
) -> tuple[KeypointBias, ...]:
    """The bias of each of K keypoints from the table [bias] of a layout file.

    Args:
        table: what the file has under 'bias'; {} where it has nothing.
        names, mirror, groups: (K,) of the layout.
        index_of: index of a keypoint by its name.
        path: for messages.

    Raises:
        InputError: not such a table; the message names the line.
    """
    if not isinstance(table, dict):
        raise InputError("the bias is not a table", path=path, where="key 'bias'", expected="LHip = { x = 0.03 }")
    found = [KeypointBias(spread=_SPREADS[group]) for group in groups]
    for name, row in table.items():
        wrong = partial(InputError, path=path, where=f"bias.{name}")
        index = index_of(name)
        if index is None:
            raise wrong(f"there is no keypoint '{name}'", expected="one of " + ", ".join(names))
        if not isinstance(row, dict) or not all(key in ("x", "y", "z", "spread") for key in row):
            raise wrong("the value is not a bias", expected="{ x = 0.03, spread = 0.015 }")
        for key, value in row.items():
            if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= _LARGEST:
                raise wrong(f"'{key}' is {str(value)[:40]}", expected=f"metres, at most {_LARGEST:g}")
        spread = float(row.get("spread", found[index].spread))
        if not spread > 0:
            raise wrong("the spread is not above 0", expected="metres, such as 0.015")
        bias = KeypointBias((float(row.get("x", 0)), float(row.get("y", 0)), float(row.get("z", 0))), spread)
        found[index] = bias
        if mirror[index] != index:
            found[mirror[index]] = bias.mirrored()
    return tuple(found)
