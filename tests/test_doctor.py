from __future__ import annotations

from pathlib import Path

import pytest

from learnable_smplify.cli.doctor import DoctorArgs, doctor
from learnable_smplify.layouts.layout import layout_names, marker_layout_names
from learnable_smplify.layouts.whole_body import WHOLE_BODIES


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SMPL_BODY_MODELS", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))
    monkeypatch.setattr("body_models._config.CONFIG_FILE", tmp_path / "config.toml")
    return tmp_path


def test_the_doctor_names_every_place_tried_and_every_layout(nowhere: Path, capsys: pytest.CaptureFixture[str]):
    doctor(DoctorArgs())
    printed = capsys.readouterr().out
    for part in (
        "$SMPL_BODY_MODELS (not set)",
        "configuration of body-models",
        "body_models (current folder)",
        str(Path("data", "body_models")),
        str(nowhere / "share" / "learnable-smplify"),
        "J_regressor_body25.npy",
        "Python",
        "torch",
        *layout_names(),
        *marker_layout_names(),
        *(whole.name for whole in WHOLE_BODIES),
    ):
        assert part in printed
    assert "none found" in printed


def test_the_doctor_shows_what_was_found(
    nowhere: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    folder = nowhere / "[models]"
    (folder / "smpl").mkdir(parents=True)
    (folder / "smpl" / "SMPL_NEUTRAL.npz").touch()
    (folder / "J_regressor_body25.npy").touch()
    (nowhere / "mine" / "smplx").mkdir(parents=True)
    (nowhere / "mine" / "smplx" / "SMPLX_MALE.pkl").touch()
    monkeypatch.setenv("SMPL_BODY_MODELS", str(folder))
    doctor(DoctorArgs(models=nowhere / "mine"))
    printed = capsys.readouterr().out
    assert f"{folder} ($SMPL_BODY_MODELS): {Path('smpl', 'SMPL_NEUTRAL.npz')}" in printed
    assert f"the folder you gave): {Path('smplx', 'SMPLX_MALE.pkl')}" in printed
    assert str(folder / "J_regressor_body25.npy") in printed
    assert "none found" not in printed


def test_a_missing_extra_comes_with_its_command(
    nowhere: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    doctor(DoctorArgs())
    assert "pip install 'learnable-smplify[render]'" in capsys.readouterr().out
