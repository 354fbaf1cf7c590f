"""Tables of measurements on the terminal and in files, and what they were measured on."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from rich.console import Console
from rich.table import Table

from learnable_smplify.benchmark.machine import cpu_name
from learnable_smplify.safe_files.atomic import atomic_output

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


@dataclass
class Measured:
    """What was measured so far.

    Args:
        result: for the JSON file.
        texts: for the Markdown file: tables, and what is said of them.
    """

    result: dict[str, object]
    texts: list[str] = field(default_factory=list)

    def add(self, name: str, rows: Iterable[DataclassInstance], *texts: str) -> None:
        """Rows of errors under a name, and their tables."""
        self.result[name] = [asdict(row) for row in rows]
        self.texts += texts

    def write(self, folder: Path | None, name: str, console: Console) -> None:
        """Write NAME.json and NAME.md, where a folder is given."""
        if folder is None:
            return
        with atomic_output(folder / f"{name}.json") as path:
            path.write_text(json.dumps(self.result, indent=2) + "\n")
        with atomic_output(folder / f"{name}.md") as path:
            path.write_text("\n\n".join(self.texts) + "\n")
        console.print(f"wrote {folder}/{name}.json and {name}.md", soft_wrap=True)


def machine() -> dict[str, str | int]:
    """What the numbers were measured on."""
    return {
        "cpu": cpu_name(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


def where_measured(command: str = "evaluate") -> str:
    """The machine, as a sentence below a table."""
    found = machine()
    return f"{found['cpu']}, {found['threads']} threads, torch {found['torch']}. Printed by `lsmplify {command}`."


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
