"""The benchmark in one picture: error against time a frame, one frame and batches joined."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from learnable_smplify.benchmark.result import Benchmark, Row
from learnable_smplify.errors import MissingExtraError
from learnable_smplify.safe_files.atomic import atomic_output

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.transforms import Bbox

_STRIDE = 5
_MARK_PT = 8
# One colour a family, dark enough for white paper and for people who do not tell red from green.
_COLOURS = {
    "smplify_adam": "#C04A00",
    "smplify_lbfgs": "#C04A00",
    "keypoints2body": "#A8478A",
    "keypoints2body_follow_up": "#A8478A",
    "gauss_newton": "#555555",
    "authors_published": "#0068A5",
    "authors_rewritten": "#0068A5",
    "single_pass": "#008A63",
    "hybrid": "#008A63",
}


def plot(result: Benchmark, path: Path) -> None:
    """Write the picture as PNG.

    Raises:
        MissingExtraError: matplotlib is not installed.
        InputError: the file cannot be written.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
        from matplotlib.lines import Line2D
        from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
    except ImportError as missing:
        raise MissingExtraError("matplotlib", "bench", "the plot of the benchmark") from missing
    figure = Figure(figsize=(9, 5.4), dpi=150)
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_axes((0.08, 0.11, 0.9, 0.86))
    marks: list[tuple[float, float, float, Row]] = []
    for row in result.rows:
        error, one, best = _error(row), row.speed(1), row.best
        if error is None or one is None or best is None:
            continue
        colour = _COLOURS[row.key]
        axes.plot((one.ms, best.ms), (error, error), color=colour, linewidth=2, alpha=0.5)
        axes.plot(one.ms, error, marker="o", markersize=_MARK_PT, color=colour)
        if best.batch > 1:
            axes.plot(best.ms, error, marker="D", markersize=_MARK_PT, color=colour)
        marks.append((best.ms, one.ms, error, row))
    copied = next((_error(row) for row in result.rows if row.key == "copy"), None)
    if copied is not None:
        axes.axhline(copied, color="#999999", linewidth=1, linestyle="--")
        axes.annotate(
            "copy the start",
            (1, copied),
            xytext=(-4, 4),
            xycoords=axes.get_yaxis_transform(),
            textcoords="offset points",
            ha="right",
            color="#777777",
            fontsize=9,
        )
    axes.set(xscale="log", yscale="log", xlabel="time a frame [ms]", ylabel=f"PVE at stride {_STRIDE} [mm]")
    axes.margins(x=0.1, y=0.16)
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
        axis.set_minor_formatter(NullFormatter())
    axes.grid(which="major", color="#e4e4e4")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    shapes = (("o", "one frame at a time"), ("D", "best batch"))
    legend = axes.legend(
        handles=[Line2D([], [], marker=mark, color="#333333", linestyle="", label=text) for mark, text in shapes],
        loc="lower right",
    )
    canvas.draw()
    _label(axes, marks, [legend.get_window_extent()])
    with atomic_output(path) as temporary:
        figure.savefig(temporary)


def _label(axes: Axes, marks: list[tuple[float, float, float, Row]], taken: list[Bbox]) -> None:
    """Write each label where it covers no other label, line or mark: beside, above or below its own."""
    from matplotlib.transforms import Bbox

    reach = _MARK_PT / 2 * axes.figure.dpi / 72
    for best, one, error, _ in marks:
        (left, y), (right, _) = axes.transData.transform(((best, error), (one, error)))
        taken.append(Bbox.from_extents(left, y - 1, right, y + 1))
        taken += [Bbox.from_extents(x - reach, y - reach, x + reach, y + reach) for x in (left, right)]
    inside = axes.get_window_extent()
    for best, one, error, row in sorted(marks, key=lambda mark: mark[2]):
        middle = (best * one) ** 0.5
        places = (
            *((middle, 0, 8, "center", "bottom"), (middle, 0, -8, "center", "top")),
            *((best, -10, 0, "right", "center"), (one, 10, 0, "left", "center")),
            *((best, 0, 8, "left", "bottom"), (best, 0, -8, "left", "top")),
            *((one, 0, 8, "right", "bottom"), (one, 0, -8, "right", "top")),
            *((middle, 0, 20, "center", "bottom"), (middle, 0, -20, "center", "top")),
        )
        drawn = []
        for time, sideways, up, ha, va in places:
            text = axes.annotate(
                _name(row),
                (time, error),
                xytext=(sideways, up),
                textcoords="offset points",
                ha=ha,
                va=va,
                color=_COLOURS[row.key],
                fontsize=9,
            )
            box = text.get_window_extent()
            covered = sum(box.overlaps(other) for other in taken)
            sticks_out = not (inside.x0 < box.x0 and box.x1 < inside.x1 and inside.y0 < box.y0 and box.y1 < inside.y1)
            drawn.append((covered + 3 * sticks_out, text, box))
            text.set_visible(False)
        _, text, box = min(drawn, key=lambda candidate: candidate[0])
        text.set_visible(True)
        taken.append(box)


def _name(row: Row) -> str:
    return row.label if row.error("clean", _STRIDE) else f"{row.label}, on the subset"


def _error(row: Row) -> float | None:
    found = row.error("clean", _STRIDE) or row.error("clean", _STRIDE, subset=True)
    return None if found is None else found.pve_mm
