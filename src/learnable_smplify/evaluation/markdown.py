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


def pair_table(rows: Sequence[PairRow], metric: PairMetric = "PVE") -> str:
    """Errors on pairs by stride."""
    header = ("keypoints", "method", *(f"stride {stride}" for stride in rows[0].strides), "ms a pair")
    body = []
    for row in rows:
        values = {"PVE": row.pve_mm, "PA-PVE": row.pa_pve_mm, "MPJPE": row.mpjpe_mm}[metric]
        spent = f"{row.ms_a_pair:.2f}" if row.ms_a_pair >= 0.005 else ""
        body.append((row.condition, row.method, *(_error(value) for value in values), spent))
    title = f"{metric} [mm] on pairs: from the start pose to the target's keypoints ({rows[0].pairs:,} pairs)"
    return table(title, header, body)


def sequence_table(rows: Sequence[SequenceRow]) -> str:
    """Errors over whole clips."""
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
    title = f"Whole clips, frame after frame, clean keypoints ({rows[0].clips} clips, {rows[0].frames:,} frames)"
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
        "single pass PVE [mm], stride 1 / 3 / 5 / 7 / 9",
        "hybrid PVE [mm]",
        "20 mm noise",
        "20 % missing",
        "ms a pair",
    )
    body = [
        (
            row.name,
            f"{row.million_parameters:.1f}",
            _errors(row.single_pve_mm),
            _errors(row.hybrid_pve_mm),
            f"{row.single_noisy_mm:.1f}",
            f"{row.single_missing_mm:.1f}",
            f"{row.ms_a_pair:.2f}",
        )
        for row in rows
    ]
    return table(f"Short equal runs of {samples:,} pairs; noise and gaps at stride 5, single pass", header, body)


def _errors(values: Sequence[float]) -> str:
    return " / ".join(_error(value) for value in values)


def _error(value: float) -> str:
    return f"{value:.2f}" if value < 10 else f"{value:.1f}"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
