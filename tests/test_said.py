"""What `lsmplify fit` prints, where, and how: tables on stdout, notes on stderr, JSON or nothing if asked for."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from learnable_smplify.cli.main import main
from toy_recording import standing_person


@pytest.fixture
def clip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    np.savez("clip.npz", keypoints=standing_person(), layout="body25", fps=30.0)
    return "clip.npz"


def test_a_fit_is_told_as_json_or_not_at_all(clip: str, capsys: pytest.CaptureFixture[str]) -> None:
    main(["fit", clip, "--betas", "0", "--json"])
    told = json.loads(capsys.readouterr().out)
    assert told["motion"] == "motion.npz"
    assert told["frames"] == 4
    assert told["mean_error_mm"] > 0
    main(["fit", clip, "--betas", "0", "--quiet"])
    said = capsys.readouterr()
    assert said.out == said.err == ""


def test_names_that_look_like_markup_or_steer_a_terminal_are_printed_as_they_are(
    clip: str, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["fit", clip, "--betas", "0", "-o", "a[/b].npz"])
    assert "a[/b].npz" in capsys.readouterr().out
    main(["fit", clip, "--betas", "0", "-o", "a\x1b[2Jb.npz"])
    said = capsys.readouterr()
    assert "\x1b" not in said.out + said.err
