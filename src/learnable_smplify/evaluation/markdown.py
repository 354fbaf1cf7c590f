"""The evaluation's rows as Markdown tables, for the terminal, the README and the docs alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from learnable_smplify.evaluation.ablation import AblationRow
from learnable_smplify.evaluation.pairs import PairRow
from learnable_smplify.evaluation.sequence import ColdRow, SequenceRow


def table(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table under a bold title."""
    lines = [f"**{title}**", "", _line(header), _line(["---"] * len(header))]
    return "\n".join(lines + [_line(row) for row in rows])


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
    for source, rows in sources.items():
        found = {(row.condition, row.method): row for row in rows}
        for condition in dict.fromkeys(row.condition for row in rows):
            hybrid = found[condition, HYBRID]
            others = zip(found[condition, NUMERICAL].pve_mm, found[condition, START].pve_mm, strict=True)
            ratios = [mine / min(other) for mine, other in zip(hybrid.pve_mm, others, strict=True)]
            fell = 100 * sum(hybrid.fallback) / len(hybrid.fallback)
            body.append((source, condition, *(f"{ratio:.2f}" for ratio in ratios), f"{fell:.2f} %"))
    return table("The hybrid's PVE as a multiple of the better of Gauss-Newton and copying the start", header, body)


def brief_pair_table(sources: dict[str, Sequence[PairRow]]) -> str:
    """Hybrid, numerical solver and single pass side by side, for every source of motion."""
    strides = next(iter(sources.values()))[0].strides
    header = ("motion", "keypoints", *(f"stride {stride}" for stride in strides))
    body = []
    for source, rows in sources.items():
        found = {(row.condition, row.method): row.pve_mm for row in rows}
        for condition in dict.fromkeys(row.condition for row in rows):
            columns = zip(*(found[condition, method] for method in (HYBRID, NUMERICAL, SINGLE)), strict=True)
            body.append((source, condition, *(" / ".join(map(_error, column)) for column in columns)))
    return table("PVE [mm] on pairs: hybrid / Gauss-Newton, sigma known / single pass", header, body)


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
    header = ("method", "given", "PVE [mm]", "MPJPE [mm]", "PVE first / last quarter", "flagged")
    body = [
        (
            row.method,
            row.given,
            f"{row.pve_mm:.1f}",
            f"{row.mpjpe_mm:.1f}",
            f"{row.first_quarter_pve_mm:.1f} / {row.last_quarter_pve_mm:.1f}",
            f"{100 * row.flagged_share:.1f} %",
        )
        for row in rows
    ]
    where = f"{source}: " if source else ""
    title = f"{where}Whole clips, frame after frame, clean keypoints ({rows[0].clips} clips, {rows[0].frames:,} frames)"
    return table(title, header, body)


def cold_table(rows: Sequence[ColdRow]) -> str:
    """Frames from nothing."""
    header = ("poses", "number", "solved below 20 mm", "mean keypoint error [mm]", "worst [mm]")
    body = [
        (
            row.poses,
            f"{row.number:,}",
            f"{100 * row.solved_share:.1f} %",
            f"{row.mean_error_mm:.2f}",
            f"{row.worst_error_mm:.1f}",
        )
        for row in rows
    ]
    return table("Single frames from nothing (betas known)", header, body)


def ablation_table(rows: Sequence[AblationRow], samples: int) -> str:
    """What each ingredient is worth."""
    header = (
        "variant",
        "M parameters",
        "network alone [mm], stride 1 / 3 / 5 / 7 / 9",
        "the same, foreign",
        "hybrid [mm]",
        "the same, foreign",
        "20 mm noise",
        "20 % missing",
    )
    body = [
        (
            row.name,
            f"{row.million_parameters:.1f}",
            _errors(row.single_pve_mm),
            _errors(row.single_foreign_mm),
            _errors(row.hybrid_pve_mm),
            _errors(row.hybrid_foreign_mm),
            f"{row.noisy_mm:.1f}",
            f"{row.missing_mm:.1f}",
        )
        for row in rows
    ]
    title = (
        f"PVE after short equal runs of {samples:,} pairs. Foreign: every joint turned by 10 degrees; noise and gaps: "
        "hybrid, foreign, stride 5"
    )
    return table(title, header, body)


def _errors(values: Sequence[float]) -> str:
    return " / ".join(_error(value) for value in values)


def _error(value: float) -> str:
    return f"{value:.2f}" if value < 10 else f"{value:.1f}"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
