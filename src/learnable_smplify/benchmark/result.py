"""What a run of the benchmark found, as plain values that go to JSON and come back."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from learnable_smplify.errors import InputError

SCHEMA = "learnable-smplify benchmark 1"


@dataclass(frozen=True)
class Speed:
    """One method at one batch size.

    Args:
        batch: frames given at once.
        ms_a_frame: of every timed repeat.
        frames: solved in each repeat.
        cores: CPU time by wall-clock time, over all repeats.
        peak_mb: largest memory of the process until then.
    """

    batch: int
    ms_a_frame: tuple[float, ...]
    frames: int
    cores: float
    peak_mb: float

    @property
    def ms(self) -> float:
        """The median."""
        return median(self.ms_a_frame)

    @property
    def spread(self) -> tuple[float, float]:
        """First and third quartile."""
        low, high = np.percentile(self.ms_a_frame, (25, 75))
        return float(low), float(high)


@dataclass(frozen=True)
class Errors:
    """Mean errors of one method on the pairs of one stride under one condition; `subset`: on the named subset only."""

    condition: str
    stride: int
    pairs: int
    subset: bool
    pve_mm: float
    pa_pve_mm: float


@dataclass(frozen=True)
class Row:
    """All of one method.

    Args:
        key, label, given, device: see `Method`.
        settings: how it was configured.
        first_result_s: from starting its process to its first solved pair, of every start.
        first_peak_mb: memory at that moment.
        speeds, errors: what was measured.
        failed: why the row ends early; None when it does not.
    """

    key: str
    label: str
    given: str
    device: str
    settings: dict[str, Any] = field(default_factory=dict)
    first_result_s: tuple[float, ...] = ()
    first_peak_mb: float | None = None
    speeds: tuple[Speed, ...] = ()
    errors: tuple[Errors, ...] = ()
    failed: str | None = None

    def speed(self, batch: int) -> Speed | None:
        """At one batch size."""
        return next((speed for speed in self.speeds if speed.batch == batch), None)

    @property
    def best(self) -> Speed | None:
        """At the batch size that takes the least time a frame."""
        return min(self.speeds, key=lambda speed: speed.ms, default=None)

    def error(self, condition: str, stride: int, *, subset: bool = False) -> Errors | None:
        """Under one condition."""
        wanted = (condition, stride, subset)
        return next((found for found in self.errors if (found.condition, found.stride, found.subset) == wanted), None)


@dataclass(frozen=True)
class Benchmark:
    """One run.

    Args:
        command: what was typed.
        data: which pairs, in words.
        strides: of the clean pairs.
        noise: (name of the condition, its stride).
        pairs: clean pairs of all strides.
        machine: hardware and versions.
        plan: batch sizes, repeats, threads.
        rows: the methods.
    """

    command: str
    data: str
    strides: tuple[int, ...]
    noise: tuple[str, int]
    pairs: int
    machine: dict[str, Any]
    plan: dict[str, Any]
    rows: tuple[Row, ...]

    def to_json(self) -> str:
        """As text; `read_benchmark` reads it back."""
        return json.dumps({"schema": SCHEMA, **asdict(self)}, indent=1) + "\n"


def read_benchmark(path: Path) -> Benchmark:
    """Read a benchmark.json.

    Raises:
        InputError: missing, or not written by `lsmplify benchmark`.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content.pop("schema") != SCHEMA:
            raise KeyError("schema")
        content["rows"] = tuple(_row(row) for row in content["rows"])
        content["strides"], content["noise"] = tuple(content["strides"]), tuple(content["noise"])
        return Benchmark(**content)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"not a result of the benchmark ({error})", path=path, expected=SCHEMA, hint="lsmplify benchmark --quick"
        ) from error


def _row(content: dict[str, Any]) -> Row:
    speeds = tuple(Speed(**{**speed, "ms_a_frame": tuple(speed["ms_a_frame"])}) for speed in content["speeds"])
    errors = tuple(Errors(**error) for error in content["errors"])
    starts = tuple(content["first_result_s"])
    return Row(**{**content, "speeds": speeds, "errors": errors, "first_result_s": starts})
