"""Training: it learns, it goes on after a kill as if nothing had happened, and two processes do what one does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import learnable_smplify as ls
from learnable_smplify.network.pose_mlp import PoseMlpConfig
from learnable_smplify.training.config import Optimisation, TrainingConfig
from learnable_smplify.training.run_folder import RunFolder
from learnable_smplify.training.store import MotionStore, open_store
from learnable_smplify.training.train import LOG_EVERY, learning_rate, train
from tiny_store import tiny_store

TINY = TrainingConfig(
    network=PoseMlpConfig(width=32, blocks=1),
    optimisation=Optimisation(steps=100, batch=16, warmup=5, bfloat16=False, refined_share=1.0),
    evaluate_every=50,
    checkpoint_every=25,
)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> MotionStore:
    return tiny_store(Path(tmp_path_factory.mktemp("store")))


@pytest.fixture(scope="module")
def trained(store: MotionStore, tmp_path_factory: pytest.TempPathFactory) -> tuple[torch.nn.Module, Path]:
    """A network that was trained in one go, and its folder."""
    folder = Path(tmp_path_factory.mktemp("run"))
    return train(store, ls.load_body(), TINY, RunFolder(folder, TINY), "cpu"), folder


def metrics_of(folder: Path, key: str) -> list[float]:
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [line[key] for line in lines if key in line]


def test_the_loss_falls_and_the_run_folder_tells_where_it_came_from(trained: tuple[torch.nn.Module, Path]) -> None:
    _, folder = trained
    losses = metrics_of(folder, "loss")
    assert len(losses) == 100 // LOG_EVERY
    holdout = metrics_of(folder, "holdout_mm")
    assert holdout[-1] < 200
    assert json.loads((folder / "config.json").read_text())["network"]["width"] == 32
    assert "torch" in json.loads((folder / "provenance.json").read_text())


class Killed(Exception):
    """Stands for a kill in the middle of a run."""


def test_a_killed_run_goes_on_to_the_same_weights(
    store: MotionStore, trained: tuple[torch.nn.Module, Path], tmp_path: Path
) -> None:
    whole, _ = trained

    def kill(step: int, _: dict[str, float]) -> None:
        if step == LOG_EVERY:
            raise Killed

    with pytest.raises(Killed):
        train(store, ls.load_body(), TINY, RunFolder(tmp_path / "killed", TINY), "cpu", kill)
    resumed = train(store, ls.load_body(), TINY, RunFolder(tmp_path / "killed", TINY), "cpu")
    for name, value in whole.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], value), name


def test_a_folder_of_another_run_is_refused(tmp_path: Path) -> None:
    RunFolder(tmp_path, TINY)
    with pytest.raises(ls.InputError, match="another configuration"):
        RunFolder(tmp_path, replace(TINY, evaluate_every=7))


@pytest.mark.slow
def test_two_processes_train_like_one(store: MotionStore, tmp_path: Path) -> None:
    config = replace(TINY, optimisation=replace(TINY.optimisation, steps=LOG_EVERY), evaluate_every=1000)
    alone = tmp_path / "alone"
    train(store, ls.load_body(), config, RunFolder(alone, config), "cpu")
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--master-port=29731"]
    script = [str(Path(__file__).parent / "train_tiny.py"), str(store.path), str(tmp_path / "both")]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command + script, capture_output=True, text=True, timeout=300, env=environment)
    assert done.returncode == 0, done.stderr[-2000:]
    assert metrics_of(tmp_path / "both", "loss") == pytest.approx(metrics_of(alone, "loss"), rel=1e-4, abs=1e-5)


def test_the_learning_rate_warms_up_and_ends_at_its_floor() -> None:
    options = Optimisation(steps=1000, warmup=100, learning_rate=1e-3, final_learning_rate=1e-5)
    assert learning_rate(options, 0) == pytest.approx(1e-5)
    assert learning_rate(options, 99) == pytest.approx(1e-3)
    assert learning_rate(options, 1000) == pytest.approx(1e-5)


def test_the_authors_architecture_trains_in_the_same_loop(store: MotionStore, tmp_path: Path) -> None:
    short = replace(TINY.optimisation, steps=2, batch=4)
    config = replace(TINY, architecture="stgcn", optimisation=short, evaluate_every=2)
    made = train(open_store(store.path), ls.load_body(), config, RunFolder(tmp_path, config), "cpu")
    assert sum(weight.numel() for weight in made.parameters()) == 6_098_200
