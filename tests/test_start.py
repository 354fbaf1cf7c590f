"""How the command starts: at once, without what it does not need, and with a word where it cannot go on."""

from __future__ import annotations

import ast
import importlib.util
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from learnable_smplify.cli.commands import COMMANDS
from learnable_smplify.cli.main import main

LSMPLIFY = (sys.executable, "-m", "learnable_smplify.cli.main")


def python(*arguments: str, **options) -> subprocess.CompletedProcess[str]:
    return subprocess.run(arguments, capture_output=True, text=True, check=False, timeout=120, **options)


@pytest.mark.parametrize("option", ["--version", "--help"])
def test_version_and_help_take_no_time(option: str) -> None:
    spent = []
    for _ in range(3):
        before = os.times()
        assert python(*LSMPLIFY, option).returncode == 0
        after = os.times()
        spent.append(after.children_user + after.children_system - before.children_user - before.children_system)
    assert min(spent) < 0.3


def test_importing_the_package_loads_neither_torch_nor_roma() -> None:
    code = "import sys, learnable_smplify; print(*({'torch', 'roma', 'numba', 'rich', 'tyro'} & set(sys.modules)))"
    assert python(sys.executable, "-c", code).stdout.strip() == ""


@pytest.mark.parametrize("name", COMMANDS)
def test_the_line_of_a_command_is_the_first_of_its_own_help(name: str) -> None:
    path = Path(importlib.util.find_spec(f"learnable_smplify.cli.{name.replace('-', '_')}").origin)
    classes = {node.name: node for node in ast.parse(path.read_text("utf-8")).body if isinstance(node, ast.ClassDef)}
    arguments = classes[f"{name.title().replace('-', '')}Args"]
    assert ast.get_docstring(arguments).split("\n", 1)[0] == COMMANDS[name]


def test_a_slip_of_the_keys_is_answered_with_the_command_that_was_meant(capsys) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["fitt", "x.trc"])
    assert stopped.value.code == 2
    assert "Did you mean 'fit'?" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", ["--help", "doctor --help", "doctor"])
def test_a_reader_that_has_seen_enough_is_no_error(arguments: str) -> None:
    line = f"{' '.join(LSMPLIFY)} {arguments} | head -c 5"
    done = python("bash", "-o", "pipefail", "-c", line)
    assert done.stderr == ""


def test_a_missing_extra_is_told_before_the_work(tmp_path: Path, monkeypatch, capsys) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "pygltflib" else found(name))
    np.savez(tmp_path / "a.npz", keypoints=np.random.default_rng(0).normal(size=(500, 25, 3)), layout="body25")
    began = time.perf_counter()
    with pytest.raises(SystemExit):
        main(["fit", str(tmp_path / "a.npz"), "-o", str(tmp_path / "a.glb")])
    assert time.perf_counter() - began < 10
    assert "pip install 'learnable-smplify[glb]'" in capsys.readouterr().err
