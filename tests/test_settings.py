"""The options of a fit: one place for the command, for folders and for other processes."""

from __future__ import annotations

import pickle
from dataclasses import fields
from pathlib import Path

import pytest

from learnable_smplify.cli.main import main
from learnable_smplify.jobs.settings import FitSettings


def test_settings_travel_and_tell_when_they_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.toml").write_text("a = 1")
    settings = FitSettings(layout="mine.toml")
    settled = settings.settled()
    assert settled.layout == str(tmp_path / "mine.toml")
    assert pickle.loads(pickle.dumps(settled)) == settled
    key = settled.key()
    assert key == settings.key()  # by content, wherever the file is
    Path("mine.toml").write_text("a = 2")
    assert settled.key() != key
    assert len({FitSettings().key(), FitSettings(fps=60.0).key(), FitSettings(betas=(0.0,)).key()}) == 3


def test_every_setting_is_an_option_of_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["fit", "--help"])
    page = capsys.readouterr().out
    assert not [field.name for field in fields(FitSettings) if f"--{field.name.replace('_', '-')} " not in page]
