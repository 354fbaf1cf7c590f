"""The house: which room may import which, that no way leads in a circle, and how large rooms and files may be."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src/learnable_smplify"
LONGEST_FILE, LARGEST_ROOM = 400, 15

# Values and maths that any room may use, each a file of the package itself.
GROUND = {
    *("arrays", "betas", "camera", "errors", "fit_summary", "hands", "keypoints", "keypoints2d", "metrics", "motion"),
    *(
        "notebook",
        "options",
        "resample",
        "rotation",
        "skeleton",
        "splits",
        "threads",
        "timeline",
        "track",
        "views",
        "__init__",
    ),
}
# What else a room may import: the rooms below it. Data goes keypoints -> solver -> motion.
ROOMS: dict[str, set[str]] = {
    "layouts": {"safe_files"},
    "safe_files": set(),
    "kernels": set(),
    "body": {"kernels", "layouts", "safe_files"},
    "network": {"body", "kernels", "layouts", "safe_files"},
    "repair": {"layouts"},
    "mocap": {"body", "safe_files"},
    "render": {"body", "kernels", "layouts", "safe_files"},
    "formats": {"body", "layouts", "safe_files"},
    "datasets": {"formats", "safe_files"},
    "solver.frame": {"body", "kernels", "layouts"},
    "solver.clip": {"body", "kernels", "solver.frame"},
    "solver.hand": {"body", "kernels", "solver.frame"},
    "solver.shape": {"body", "layouts", "safe_files", "solver.frame"},
    "solver.smplify": {"body", "layouts", "repair", "safe_files", "solver.frame", "solver.shape"},
    "solver.rays": {"kernels", "layouts", "repair", "solver.frame"},
    "solver.view": {"body", "layouts", "network", "solver.clip", "solver.frame", "solver.rays", "solver.shape"},
    "solver.unseen": {"body", "layouts"},
    "solver": {
        *("body", "kernels", "layouts", "network", "repair", "safe_files"),
        *("solver.clip", "solver.frame", "solver.hand", "solver.rays", "solver.shape", "solver.smplify"),
        *("solver.unseen", "solver.view"),
    },
    "refine": {
        *("body", "layouts", "network", "solver"),
        *("solver.clip", "solver.frame", "solver.rays", "solver.shape", "solver.view"),
    },
    "training": {"body", "layouts", "network", "safe_files", "solver", "solver.frame"},
    "report": {"body", "layouts", "render"},
    "video": {"body", "formats", "render", "safe_files"},
    "multiview": {"formats", "layouts", "solver.rays"},
    "view": {"body", "formats", "layouts", "render"},
    "jobs": {
        *("body", "formats", "layouts", "repair", "safe_files"),
        *("solver", "solver.shape", "solver.smplify"),
    },
    "evaluation": {
        *("body", "datasets", "formats", "layouts", "network", "refine", "repair", "safe_files"),
        *("solver", "solver.frame", "solver.hand", "solver.rays", "solver.shape", "solver.smplify", "training"),
    },
    "benchmark": {"body", "evaluation", "network", "safe_files", "solver", "solver.frame", "solver.smplify"},
}
# The commands are above everything; the package's own file is its shop window.
ABOVE = {"cli", "__init__"}
# Ground files that show or summarise, and so look at a room.
LOOKING = {
    "keypoints": {"layouts"},
    "keypoints2d": {"layouts"},
    "views": {"layouts"},
    "fit_summary": {"body", "layouts"},
}


def room_of(module: tuple[str, ...]) -> str:
    """The room of a module's parts below the package: "solver.frame", "body", or the name of a file of the ground."""
    if not module:
        return "__init__"
    inner = PACKAGE.joinpath(*module[:2])
    return ".".join(module[:2]) if module[0] == "solver" and len(module) > 1 and inner.is_dir() else module[0]


def imports_of(path: Path) -> Iterator[tuple[str, ...]]:
    """Modules of the package that a file imports, anywhere in it: functions and type checking too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "learnable_smplify":
            inside = tuple(node.module.split(".")[1:])
            for name in node.names:
                deeper = PACKAGE.joinpath(*inside, name.name)
                yield (*inside, name.name) if deeper.is_dir() or deeper.with_suffix(".py").is_file() else inside
        elif isinstance(node, ast.Import):
            for name in node.names:
                if name.name.split(".")[0] == "learnable_smplify":
                    yield tuple(name.name.split(".")[1:])


@cache
def edges() -> dict[tuple[str, str], str]:
    """Pairs of rooms of which the first imports the second, with a file that does."""
    found: dict[tuple[str, str], str] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        here = room_of(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)
        for module in imports_of(path):
            there = room_of(module)
            if there != here:
                found.setdefault((here, there), str(path.relative_to(ROOT)))
    return found


def test_every_room_imports_what_it_may_and_no_more() -> None:
    wrong = []
    for (here, there), file in edges().items():
        if here in ABOVE or there in GROUND:
            continue
        allowed = LOOKING.get(here, set()) if here in GROUND else ROOMS[here]
        if there not in allowed:
            wrong.append(f"{file}: {here} may not import {there}")
    assert not wrong, "\n".join(wrong)


def test_the_table_allows_nothing_that_nobody_needs() -> None:
    used = {edge for edge in edges() if edge[0] in ROOMS}
    unused = [f"{room} -> {other}" for room, others in ROOMS.items() for other in others if (room, other) not in used]
    assert not unused


def test_no_way_through_the_rooms_leads_back() -> None:
    below = {here: {there for room, there in edges() if room == here} for here, _ in edges()}
    done: set[str] = set()

    def visit(room: str, way: tuple[str, ...]) -> None:
        assert room not in way, " -> ".join((*way[way.index(room) :], room))
        if room in done:
            return
        for other in sorted(below.get(room, ())):
            # `learnable_smplify.__init__` is where the version is; it is the window, not a room.
            if other != "__init__":
                visit(other, (*way, room))
        done.add(room)

    for room in sorted(below):
        visit(room, ())


@pytest.mark.parametrize("folder", ["src", "tests", "tools", "examples"])
def test_no_file_is_longer_than_one_can_keep_in_mind(folder: str) -> None:
    long = {
        str(path.relative_to(ROOT)): lines
        for path in sorted((ROOT / folder).rglob("*.py"))
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > LONGEST_FILE
    }
    assert not long


def test_large_rooms_say_why_they_are() -> None:
    for folder in [PACKAGE, *(path for path in PACKAGE.rglob("*") if path.is_dir())]:
        files = [path for path in folder.glob("*.py") if path.name != "__init__.py"]
        if len(files) > LARGEST_ROOM:
            text = (folder / "__init__.py").read_text(encoding="utf-8")
            assert "more than fifteen" in (ast.get_docstring(ast.parse(text)) or ""), folder
