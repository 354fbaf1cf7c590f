"""Put the tables that the commands wrote into the pages that show them.

lsmplify evaluate ~/motion30 --foreign THEIR_MOTIONS -o results
lsmplify ablate ~/store ~/motion30 -o runs/ablation && cp runs/ablation/ablation.* results/
lsmplify benchmark ~/motion30 --full -o results
python tools/embed_results.py
"""

from __future__ import annotations

import json
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "results"
FOREIGN = "foreign: cmu_eval_other_retargeting"


def beside_others(benchmark: dict[str, Any]) -> str:
    """README's first table: error and time of every method that a user could take, from `benchmark.json`."""
    lines = [
        "| method | PVE [mm], 1 frame on | 5 frames on | with 20 mm noise | one frame [ms] | in batches [ms a frame] |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for row in benchmark["rows"]:
        errors = {(e["condition"], e["stride"]): e["pve_mm"] for e in row["errors"] if e["subset"]}
        if not row["speeds"] or not errors or row["key"].startswith("start"):
            continue
        times = {speed["batch"]: median(speed["ms_a_frame"]) for speed in row["speeds"]}
        shown = [f"{errors[key]:.3g}" for key in (("clean", 1), ("clean", 5), ("20 mm noise", 5))]
        one = f"{times[1]:,.0f}" if times[1] > 100 else f"{times[1]:.2g}"
        best = f"{min(times.values()):.2g}" if len(times) > 1 else "–"
        lines.append(f"| {row['label']} | {' | '.join(shown)} | {one} | {best} |")
    return "\n".join(lines)


def foreign(evaluation: dict[str, Any]) -> str:
    """README's second table: motion that another program made, from `evaluation.json`."""
    strides = (1, 5, 9)
    lines = [
        "| PVE [mm] | " + " | ".join(f"{stride} frame{'s' * (stride > 1)} on" for stride in strides) + " |",
        "| --- | --- | --- | --- |",
    ]
    for row in evaluation[FOREIGN]["pairs"]:
        if row["condition"] in ("clean", "20 mm noise", "20 % missing"):
            shown = [f"{row['pve_mm'][row['strides'].index(stride)]:.3g}" for stride in strides]
            lines.append(f"| {row['method']}, {row['condition']} | {' | '.join(shown)} |")
    return "\n".join(lines)


def blocks() -> dict[tuple[str, str], str]:
    """Page and name of each block, and the table that belongs there."""
    return {
        ("docs/training.md", "ablation"): (RESULTS / "ablation.md").read_text(),
        ("README.md", "beside"): beside_others(json.loads((RESULTS / "benchmark.json").read_text())),
        ("README.md", "foreign"): foreign(json.loads((RESULTS / "evaluation.json").read_text())),
    }


def main() -> None:
    for (page, block), table in blocks().items():
        path = ROOT / page
        begin, end = f"<!-- {block}:begin -->", f"<!-- {block}:end -->"
        before, rest = path.read_text().split(begin)
        path.write_text(f"{before}{begin}\n\n{table.strip()}\n\n{end}{rest.split(end)[1]}")
        print(f"{page}: {block}")


if __name__ == "__main__":
    main()
