"""Tables of measurements on the terminal and in files, and what they were measured on."""

from __future__ import annotations

import json
import platform
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from learnable_smplify.benchmark.machine import cpu_name
from learnable_smplify.safe_files.atomic import atomic_output


def write_evaluation(folder: Path | None, result: dict[str, object], texts: list[str], console: Console) -> None:
    """Write evaluation.json and evaluation.md, where a folder is given."""
    if folder is not None:
        write_tables(folder, "evaluation", result, texts)
        console.print(f"wrote {folder}/evaluation.json and evaluation.md", soft_wrap=True)


def write_tables(folder: Path, name: str, result: dict[str, object], texts: list[str]) -> None:
    """Write NAME.json and NAME.md."""
    with atomic_output(folder / f"{name}.json") as path:
        path.write_text(json.dumps(result, indent=2) + "\n")
    with atomic_output(folder / f"{name}.md") as path:
        path.write_text("\n\n".join(texts) + "\n")


def machine() -> dict[str, str | int]:
    """What the numbers were measured on."""
    return {
        "cpu": cpu_name(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


def where_measured() -> str:
    """The machine, as a sentence below a table."""
    found = machine()
    return f"{found['cpu']}, {found['threads']} threads, torch {found['torch']}. Printed by `lsmplify evaluate`."


def as_rich(markdown: str) -> Table:
    """A Markdown table as a table of the terminal."""
    title, header, _, *rows = [line for line in markdown.splitlines() if line]
    table = Table(title=title.strip("*"), title_justify="left")
    for name in _cells(header):
        table.add_column(name)
    for row in rows:
        table.add_row(*_cells(row))
    return table


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]
