"""The evaluation's rows as Markdown tables, for the terminal, the README and the docs alike."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Literal, TypeAlias, TypeVar

from learnable_smplify.evaluation.ablation import AblationRow
from learnable_smplify.evaluation.pairs import PairRow
from learnable_smplify.evaluation.sequence import ColdRow, SequenceRow

Row = TypeVar("Row")
Columns: TypeAlias = list[tuple[str, Callable[[Row], str]]]
"""What stands above each column of a table, and what a row has in it."""


def table(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table under a bold title."""
    lines = [f"**{title}**", "", _line(header), _line(["---"] * len(header))]
    return "\n".join(lines + [_line(row) for row in rows])


def table_of(title: str, rows: Sequence[Row], columns: Columns[Row]) -> str:
    """A table with a line a row."""
    return table(title, [name for name, _ in columns], [[cell(row) for _, cell in columns] for row in rows])


PairMetric = Literal["PVE", "PA-PVE", "MPJPE"]

START, NUMERICAL, SINGLE, HYBRID = "copy the start", "Gauss-Newton, sigma known", "single pass", "hybrid"
"""Names of the rows that are held against each other."""


def pair_table(rows: Sequence[PairRow], metric: PairMetric = "PVE", source: str = "") -> str:
    """Errors on pairs by stride.

    Args:
        source: of the motion, for the title.
    """
    header = ("keypoints", "method", *(f"stride {stride}" for stride in rows[0].strides), "ms a pair")
    body = []
    for row in rows:
        values = {"PVE": row.pve_mm, "PA-PVE": row.pa_pve_mm, "MPJPE": row.mpjpe_mm}[metric]
        spent = f"{row.ms_a_pair:.2f}" if row.ms_a_pair >= 0.005 else ""
        body.append((row.condition, row.method, *(_error(value) for value in values), spent))
    where = f"{source}: " if source else ""
    title = f"{where}{metric} [mm] on pairs: from the start pose to the target's keypoints ({rows[0].pairs:,} pairs)"
    return table(title, header, body)


def ratio_table(sources: dict[str, Sequence[PairRow]]) -> str:
    """The hybrid's PVE against the better of the numerical solver and copying the start, and how often it fell back."""
    header = (
        "motion",
        "keypoints",
        *(f"stride {stride}" for stride in next(iter(sources.values()))[0].strides),
        "fell back",
    )
    body = []
    for source, condition, found in _by_method(sources):
        hybrid = found[HYBRID]
        others = zip(found[NUMERICAL].pve_mm, found[START].pve_mm, strict=True)
        ratios = [mine / min(other) for mine, other in zip(hybrid.pve_mm, others, strict=True)]
        fell = 100 * sum(hybrid.fallback) / len(hybrid.fallback)
        body.append((source, condition, *(f"{ratio:.2f}" for ratio in ratios), f"{fell:.2f} %"))
    return table("The hybrid's PVE as a multiple of the better of Gauss-Newton and copying the start", header, body)


def brief_pair_table(sources: dict[str, Sequence[PairRow]]) -> str:
    """Hybrid, numerical solver and single pass side by side, for every source of motion."""
    strides = next(iter(sources.values()))[0].strides
    header = ("motion", "keypoints", *(f"stride {stride}" for stride in strides))
    body = []
    for source, condition, found in _by_method(sources):
        columns = zip(*(found[method].pve_mm for method in (HYBRID, NUMERICAL, SINGLE)), strict=True)
        body.append((source, condition, *(_errors(column) for column in columns)))
    return table("PVE [mm] on pairs: hybrid / Gauss-Newton, sigma known / single pass", header, body)


def _by_method(sources: dict[str, Sequence[PairRow]]) -> Iterator[tuple[str, str, dict[str, PairRow]]]:
    """Sources, conditions, and the rows of both by method."""
    for source, rows in sources.items():
        for condition in dict.fromkeys(row.condition for row in rows):
            yield source, condition, {row.method: row for row in rows if row.condition == condition}


def brief_sequence_table(sources: dict[str, Sequence[SequenceRow]]) -> str:
    """Hybrid and numerical solver on whole clips, for every source of motion."""
    header = (
        "motion",
        "frames",
        "betas given: PVE [mm]",
        "first / last quarter",
        "nothing given: MPJPE [mm]",
        "PVE [mm]",
    )
    body = []
    for source, rows in sources.items():
        found = {(row.method, row.given): row for row in rows}
        betas, nothing = (
            [found[method, given] for method in ("hybrid", "Gauss-Newton")] for given in ("betas", "nothing")
        )
        quarters = betas[0].first_quarter_pve_mm, betas[0].last_quarter_pve_mm
        body.append(
            (
                source,
                f"{rows[0].frames:,}",
                " / ".join(f"{row.pve_mm:.1f}" for row in betas),
                " / ".join(f"{value:.1f}" for value in quarters),
                " / ".join(f"{row.mpjpe_mm:.1f}" for row in nothing),
                " / ".join(f"{row.pve_mm:.1f}" for row in nothing),
            )
        )
    return table("Whole clips, clean keypoints: hybrid / Gauss-Newton (quarters: hybrid)", header, body)


def sequence_table(rows: Sequence[SequenceRow], source: str = "") -> str:
    """Errors over whole clips.

    Args:
        source: of the motion, for the title.
    """
    columns: Columns[SequenceRow] = [
        ("method", lambda row: row.method),
        ("given", lambda row: row.given),
        ("PVE [mm]", lambda row: f"{row.pve_mm:.1f}"),
        ("MPJPE [mm]", lambda row: f"{row.mpjpe_mm:.1f}"),
        ("MPJPE of joints that keypoints place", lambda row: f"{row.placed_mpjpe_mm:.1f}"),
        ("PVE first / last quarter", lambda row: f"{row.first_quarter_pve_mm:.1f} / {row.last_quarter_pve_mm:.1f}"),
        ("flagged", lambda row: f"{100 * row.flagged_share:.1f} %"),
    ]
    where = f"{source}: " if source else ""
    title = f"{where}Whole clips, frame after frame, clean keypoints ({rows[0].clips} clips, {rows[0].frames:,} frames)"
    return table_of(title, rows, columns)


def cold_table(rows: Sequence[ColdRow]) -> str:
    """Frames from nothing."""
    columns: Columns[ColdRow] = [
        ("poses", lambda row: row.poses),
        ("number", lambda row: f"{row.number:,}"),
        ("solved below 20 mm", lambda row: f"{100 * row.solved_share:.1f} %"),
        ("mean keypoint error [mm]", lambda row: f"{row.mean_error_mm:.2f}"),
        ("worst [mm]", lambda row: f"{row.worst_error_mm:.1f}"),
    ]
    return table_of("Single frames from nothing (betas known)", rows, columns)


def ablation_table(rows: Sequence[AblationRow], samples: int) -> str:
    """What each ingredient is worth."""
    columns: Columns[AblationRow] = [
        ("variant", lambda row: row.name),
        ("M parameters", lambda row: f"{row.million_parameters:.1f}"),
        ("network alone [mm], stride 1 / 3 / 5 / 7 / 9", lambda row: _errors(row.single_pve_mm)),
        ("the same, foreign", lambda row: _errors(row.single_foreign_mm)),
        ("hybrid [mm]", lambda row: _errors(row.hybrid_pve_mm)),
        ("the same, foreign", lambda row: _errors(row.hybrid_foreign_mm)),
        ("20 mm noise", lambda row: f"{row.noisy_mm:.1f}"),
        ("20 % missing", lambda row: f"{row.missing_mm:.1f}"),
    ]
    title = (
        f"PVE after short equal runs of {samples:,} pairs. Foreign: every joint turned by 10 degrees; noise and gaps: "
        "hybrid, foreign, stride 5"
    )
    return table_of(title, rows, columns)


def _errors(values: Sequence[float]) -> str:
    return " / ".join(_error(value) for value in values)


def _error(value: float) -> str:
    return f"{value:.2f}" if value < 10 else f"{value:.1f}"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
