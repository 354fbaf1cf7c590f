"""The result as the Markdown block that the README shows, made from benchmark.json and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from statistics import median
from typing import Any

from learnable_smplify.benchmark.result import Benchmark, Row, Speed
from learnable_smplify.evaluation.markdown import table

_NONE = "–"
_LARGE = 1024


def markdown(result: Benchmark) -> str:
    """The whole block."""
    return "\n\n".join((*tables(result), _configurations(result), _origin(result))) + "\n"


def tables(result: Benchmark) -> list[str]:
    """The tables alone; those without rows are left out."""
    slow = {row.label for row in result.rows if row.errors and all(error.subset for error in row.errors)}
    found = [
        error_table(result),
        error_table(result, aligned=True),
        error_table(result, subset=True) if slow else "",
        speed_table(result),
        ratio_table(result),
        cost_table(result),
    ]
    return [text for text in found if text]


def error_table(result: Benchmark, *, aligned: bool = False, subset: bool = False) -> str:
    """PVE or PA-PVE by stride and under noise, on all pairs or on the subset of the slow methods."""
    condition, stride = result.noise
    cases = [("clean", stride) for stride in result.strides] + [(condition, stride)]
    names = [f"stride {number}" for number in result.strides] + [f"{condition}, stride {stride}"]
    lines, numbers = [], []
    for row in result.rows:
        found = [row.error(*case, subset=subset) for case in cases]
        if not any(found):
            continue
        values = [None if error is None else error.pa_pve_mm if aligned else error.pve_mm for error in found]
        lines.append((row.label, *(_NONE if value is None else _digits(value) for value in values)))
        numbers = [error.pairs for error in found if error is not None]
    if not lines:
        return ""
    metric = "PA-PVE" if aligned else "PVE"
    which = f"{result.pairs:,} pairs, and {numbers[-1]:,} with noise"
    if subset:
        which = f"the {sum(numbers[:-1])} pairs, and {numbers[-1]} with noise, that methods without batches solve too"
    return table(f"{metric} [mm], {which}", ("method", *names), lines)


def speed_table(result: Benchmark) -> str:
    """Time a frame: alone, in a batch of 1,024, in the best batch."""
    header = (
        *("method", "one frame [ms]", f"batch of {_LARGE:,} [ms a frame]", "best batch [ms a frame]"),
        *("frames a second", "repeats"),
    )
    lines = []
    for row in result.rows:
        if row.speeds:
            best = row.best
            assert best is not None
            cells = (_time(row.speed(1)), _time(row.speed(_LARGE)), f"{_time(best)} at {best.batch:,}")
            repeats = ", ".join(f"{len(speed.ms_a_frame)}" for speed in row.speeds)
            lines.append((row.label, *cells, _digits(1000 / best.ms), repeats))
    if not lines:
        return ""
    threads = result.plan["threads"]
    title = f"Time a frame on {threads} threads: median (first to third quartile) of repeats in turns"
    return table(title, header, lines)


def ratio_table(result: Benchmark) -> str:
    """How many times faster than SMPLify (the faster of the two) and than the authors' network."""
    references: list[tuple[str, tuple[str, ...]]] = [
        ("SMPLify, the faster one", ("smplify_adam", "smplify_lbfgs")),
        ("authors' network as published", ("authors_published",)),
        ("authors' network, our rewriting", ("authors_rewritten",)),
    ]
    ways: list[tuple[str, Callable[[Row], Speed | None]]] = [
        ("1", lambda row: row.speed(1)),
        (f"{_LARGE:,}", lambda row: row.speed(_LARGE)),
        ("each at its best batch", lambda row: row.best),
    ]
    ours = [row for row in result.rows if row.key in ("single_pass", "hybrid") and row.speeds]
    lines = []
    for name, keys in references:
        for way, speed_of in ways:
            speeds = [speed_of(row) for row in result.rows if row.key in keys and row.device == "cpu"]
            times = [speed.ms for speed in speeds if speed is not None]
            if times:
                mine = [speed_of(row) for row in ours]
                cells = [_NONE if speed is None else f"{_digits(min(times) / speed.ms)} ×" for speed in mine]
                lines.append((name, way, *cells))
    if not lines or not ours:
        return ""
    header = ("than", "frames at once", *(row.label for row in ours))
    return table("How many times faster ours are", header, lines)


def cost_table(result: Benchmark) -> str:
    """Start-up, memory, cores; and the rows that failed."""
    header = (
        "method",
        "to the first result [s]",
        "memory [MB]: one frame",
        f"batch of {_LARGE:,}",
        "cores used: 1",
        "best",
    )
    lines = []
    for row in result.rows:
        if row.failed is not None:
            lines.append((row.label, f"ended early: {row.failed}", *[_NONE] * 4))
        elif row.speeds:
            one, large, best = row.speed(1), row.speed(_LARGE), row.best
            first = _digits(median(row.first_result_s))
            memory = [_NONE if speed is None else f"{speed.peak_mb:,.0f}" for speed in (one, large)]
            cores = [_NONE if speed is None else f"{speed.cores:.1f}" for speed in (one, best)]
            lines.append((row.label, first, *memory, *cores))
    return (
        table("What it costs: each method in a process of its own, libraries included", header, lines) if lines else ""
    )


def _configurations(result: Benchmark) -> str:
    lines = ["How each was configured:", ""]
    for row in result.rows:
        settings = ", ".join(_setting(name, value) for name, value in row.settings.items())
        lines.append(f"- {row.label}: given {row.given}." + (f" {settings}." if settings else ""))
    return "\n".join(lines)


def _setting(name: str, value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(_setting(f"{name}.{inner}", content) for inner, content in value.items())
    text = "none" if value is None else " / ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    return f"{name} {text}"


def _origin(result: Benchmark) -> str:
    machine = result.machine
    versions = ", ".join(f"{name} {number}" for name, number in machine["versions"].items())
    gpu = f", {machine['gpu']}" if machine["gpu"] else ""
    load = f" **Other programs ran during this run (load {machine['load_before']}).**" if busy(machine) else ""
    return (
        f"Open body (not SMPL). {result.data}. All methods get the same poses, betas and targets, none the target "
        f"pose; they run in turns, nothing beside them. {machine['cpu']}, {machine['cores']} cores{gpu}, "
        f"{machine['system']}; {versions}.{load} Printed by `{result.command}`."
    )


def _time(speed: Speed | None) -> str:
    if speed is None:
        return _NONE
    if len(speed.ms_a_frame) == 1:
        return _digits(speed.ms)
    low, high = speed.spread
    return f"{_digits(speed.ms)} ({_digits(low)}–{_digits(high)})"


def _digits(value: float) -> str:
    """Three digits at most, thousands with commas."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}" if value >= 0.1 else f"{value:.3g}"


def busy(machine: dict[str, Any]) -> bool:
    """Whether other programs kept the machine from measuring well, before the run began."""
    return machine["load_before"] is not None and machine["load_before"] > 0.5 * machine["cores"]
