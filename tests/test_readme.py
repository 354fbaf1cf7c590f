"""The README keeps its promises: its Python runs, its commands and files exist, its layout table is complete."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import learnable_smplify as ls
from learnable_smplify.cli.commands import COMMANDS
from learnable_smplify.layouts.layout import marker_layout_names

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def test_the_python_block_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (code,) = blocks("python")
    exec(compile(code, "README.md", "exec"), {})
    said = capsys.readouterr().out
    assert "torch.Size([8, 24, 3])" in said
    assert float(re.findall(r"([\d.]+) mm", said)[0]) < 50


def test_the_layout_of_the_readme_is_read_and_every_layout_is_in_its_table(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(blocks("toml")[0])
    assert ls.load_layout(tmp_path / "mine.toml").keypoint_names == ("Hip", "LKnee", "LAnkle")
    table = README[README.index("| `--layout` |") : README.index("**A layout of your own**")]
    assert set(re.findall(r"`([a-z0-9_]+)`", table)) == {*ls.layout_names(), *marker_layout_names()}


def test_every_command_named_exists() -> None:
    named = {name for block in blocks("bash") for name in re.findall(r"^lsmplify ([a-z-]+)", block, flags=re.MULTILINE)}
    named |= set(re.findall(r"`lsmplify ([a-z-]+)", README))
    assert named <= set(COMMANDS)


@pytest.mark.parametrize("page", ["README.md", "docs/frames.md", "docs/adding_a_format.md", "docs/training.md"])
def test_every_link_leads_to_a_file(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        assert ((ROOT / page).parent / target).exists(), target
    for folder in re.findall(r"^\| `(src/[\w/]+)`", text, flags=re.MULTILINE):
        assert (ROOT / folder).is_dir(), folder
