"""Options that several commands have, and what `--help` shows of them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import tyro


def shown(metavar: str | None, default: str, *aliases: str) -> Any:
    """How the command line shows an option that may be left away: what to write there, and what it is without."""
    return tyro.conf.arg(metavar=metavar, help_behavior_hint=f"(default: {default})", aliases=aliases or None)


BodyOption = Annotated[str | None, shown("BODY", "the open body")]
OwnBodyOption = Annotated[str | None, shown("BODY", "the open body, if it is the motion's")]
DeviceOption = Annotated[str, tyro.conf.arg(metavar="cpu|cuda")]
Gender = Literal["neutral", "male", "female"]
LayoutOption = Annotated[str | None, shown("LAYOUT", "by the names or number of keypoints")]


KeypointRate = Annotated[float | None, shown("RATE", "what the file says, else 30")]
UnitsOption = Annotated[
    Literal["m", "cm", "mm", "in", "ft"] | None,
    shown(None, "what the file says, checked against the size of the person"),
]
UpOption = Annotated[Literal["x", "y", "z", "-x", "-y", "-z"] | None, shown(None, "found from how the person stands")]
