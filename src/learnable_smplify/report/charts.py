"""Small charts as HTML and inline SVG: readable on a phone, in light and dark, without any script.

Only lines are SVG, stretched to the room there is; numbers and words are HTML, so their size never changes. Colours
come from the page's style sheet.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from jaxtyping import Float

from learnable_smplify.timeline import runs

# A chart has no more points than this: a phone shows 350 pixels, a large screen 1000.
_MOST_POINTS = 500
_WIDTH, _HEIGHT = 1000.0, 100.0


@dataclass(frozen=True, eq=False)
class Line:
    """One line of a chart: values over times, NaN where there is none; `kind` is its class in the style sheet."""

    time_s: Float[np.ndarray, "N"]
    values: Float[np.ndarray, "N"]
    kind: str = "fitted"


def line_chart(
    title: str,
    lines: Sequence[Line],
    *,
    end_s: float,
    unit: str,
    values: str = "",
    bottom: float = 0.0,
    top: float | None = None,
    level: float | None = None,
    flagged: Sequence[tuple[float, float]] = (),
    height: int = 64,
    times: bool = True,
) -> str:
    """A chart over time.

    A line with more points than fit is drawn as the mean of neighbouring ones, inside a band from their least to
    their largest.

    Args:
        title: what is shown (plain text).
        lines: one or two.
        end_s: right end of the time axis [s].
        unit: of the values.
        values: the numbers to read beside the title (plain text).
        bottom, top: ends of the value axis; None takes the largest value.
        level: a value to mark with a dashed line across.
        flagged: spans of time [s] to shade.
        height: of the plot in pixels.
        times: whether to write times below.
    """
    finite = [line.values[np.isfinite(line.values)] for line in lines]
    highest = max((float(part.max()) for part in finite if len(part)), default=0.0)
    top = max(highest * 1.05, bottom + 1e-6) if top is None else top
    ticks = _ticks(bottom, top, 3 if height < 100 else 5)
    end_s = max(end_s, 1e-6)

    def x(time: float) -> float:
        return _WIDTH * min(max(time / end_s, 0.0), 1.0)

    def y(value: float) -> float:
        return _HEIGHT * (1 - min(max((value - bottom) / (top - bottom), 0.0), 1.0))

    shapes = [
        f'<rect class="flagged" x="{x(start):.1f}" y="0" width="{max(x(end) - x(start), 2):.1f}" height="100"/>'
        for start, end in flagged
    ]
    shapes += [f'<path class="grid" d="M0 {y(tick):.1f}H1000"/>' for tick in ticks]
    if level is not None:
        shapes.append(f'<path class="level" d="M0 {y(level):.1f}H1000"/>')
    for line in lines:
        time, mean, low, high = _binned(line.time_s, line.values)
        columns = [x(moment) for moment in time]
        kind = escape(line.kind)
        if low is not mean:
            shapes.append(
                f'<path class="band {kind}" d="{_area(columns, [y(v) for v in low], [y(v) for v in high])}"/>'
            )
        shapes.append(f'<path class="line {kind}" d="{_path(columns, [y(v) for v in mean])}"/>')
    labels = "".join(f'<span style="top:{y(tick):.1f}%">{_short(tick)}</span>' for tick in ticks)
    below = ""
    if times:
        marks = _ticks(0.0, end_s, 5) if end_s > 1e-6 else [0.0]
        below = '<div class="times">' + "".join(
            f'<span style="left:{100 * mark / end_s:.1f}%">{_short(mark)} s</span>' for mark in marks
        )
        below += "</div>"
    caption = f"<b>{escape(title)}</b><span>{escape(values)}</span>"
    spoken = escape(f"{title}, {unit} over time. {values}", quote=True)
    return (
        f'<figure class="chart"><figcaption>{caption}</figcaption><div class="plot" style="height:{height}px">'
        f'<div class="scale"><i>{escape(unit)}</i>{labels}</div>'
        f'<svg viewBox="0 0 1000 100" preserveAspectRatio="none" role="img" aria-label="{spoken}">'
        f"{''.join(shapes)}</svg></div>{below}</figure>"
    )


def bar(share: float) -> str:
    """A bar that is filled by `share` in [0, 1], for a table."""
    return f'<span class="bar"><span style="width:{100 * min(max(share, 0.0), 1.0):.0f}%"></span></span>'


def _binned(time: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Times, means, least and largest of neighbouring values; the last two are the means where nothing was merged."""
    if len(values) <= _MOST_POINTS:
        return time, values, values, values
    starts = np.linspace(0, len(values), _MOST_POINTS, endpoint=False).astype(int)
    there = np.isfinite(values)
    count = np.add.reduceat(there.astype(int), starts)
    gone = count == 0
    mean = np.add.reduceat(np.where(there, values, 0.0), starts) / np.maximum(count, 1)
    low = np.minimum.reduceat(np.where(there, values, np.inf), starts)
    high = np.maximum.reduceat(np.where(there, values, -np.inf), starts)
    widths = np.diff(np.append(starts, len(values)))
    moments = np.add.reduceat(time, starts) / widths
    return moments, *(np.where(gone, np.nan, part) for part in (mean, low, high))  # type: ignore[return-value]


def _path(columns: Sequence[float], rows: Sequence[float]) -> str:
    """A line that is broken where a row is NaN; a point that stands alone becomes a dot."""
    parts, drawing = [], False
    for index, (column, row) in enumerate(zip(columns, rows, strict=True)):
        if math.isnan(row):
            drawing = False
            continue
        alone = not drawing and (index + 1 == len(rows) or math.isnan(rows[index + 1]))
        parts.append(f"{'L' if drawing else 'M'}{column:.1f} {row:.1f}" + ("h.1" if alone else ""))
        drawing = True
    return "".join(parts)


def _area(columns: Sequence[float], low: Sequence[float], high: Sequence[float]) -> str:
    parts = []
    for first, end in runs(~np.isnan(np.asarray(low))):
        there = range(first, end)
        up = "L".join(f"{columns[i]:.1f} {high[i]:.1f}" for i in there)
        down = "L".join(f"{columns[i]:.1f} {low[i]:.1f}" for i in reversed(there))
        parts.append(f"M{up}L{down}Z")
    return "".join(parts)


def _ticks(bottom: float, top: float, most: int) -> list[float]:
    """Round values between two ends: at least one, and about `most` of them at most."""
    fewest = max(1.2, 0.4 * most)
    power = math.floor(math.log10((top - bottom) / fewest))
    step = max(factor * 10.0**power for factor in (1, 2, 5) if factor * 10.0**power <= (top - bottom) / fewest)
    first, last = math.ceil(bottom / step - 1e-9), math.floor(top / step + 1e-9)
    return [index * step for index in range(first, last + 1)]


def _short(value: float) -> str:
    return f"{value:.6g}".replace("-", "−")
