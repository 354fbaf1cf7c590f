"""A run's folder: configuration and provenance, metrics, and what a killed run needs to go on."""

from __future__ import annotations

import json
import platform
import subprocess
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from learnable_smplify.errors import InputError, MissingExtraError
from learnable_smplify.safe_files.atomic import atomic_output
from learnable_smplify.safe_files.torch_file import load_torch_file
from learnable_smplify.training.config import TrainingConfig

_CONFIG = "config.json"
_CHECKPOINT = "checkpoint.pt"
_BEST = "best.pt"
_METRICS = "metrics.jsonl"


class RunFolder:
    """The files of one training run.

    Args:
        path: the folder; made if needed.
        config: the run's configuration. A folder that holds another one is refused, so that runs do not mix.
        tensorboard: also write the metrics for TensorBoard.

    Raises:
        InputError: the folder belongs to another configuration or cannot be written.
        MissingExtraError: TensorBoard is asked for and not installed.
    """

    def __init__(self, path: Path, config: TrainingConfig, tensorboard: bool = False) -> None:
        self.path = path
        self._board = _tensorboard_writer(path) if tensorboard else None
        text = json.dumps(asdict(config), indent=2) + "\n"
        held = path / _CONFIG
        if held.exists() and held.read_text() != text:
            raise InputError(
                "this folder holds a run with another configuration", path=held, hint="another --output for this run"
            )
        if not held.exists():
            self._write(_CONFIG, text)
            self._write("provenance.json", json.dumps(provenance(), indent=2) + "\n")

    def log(self, step: int, numbers: dict[str, float]) -> None:
        """Append one line of metrics."""
        with (self.path / _METRICS).open("a") as file:
            file.write(json.dumps({"step": step, **numbers}) + "\n")
        if self._board is not None:
            for name, value in numbers.items():
                self._board.add_scalar(name, value, step)

    def write_checkpoint(self, state: dict[str, Any]) -> None:
        """Replace the checkpoint to go on from."""
        with atomic_output(self.path / _CHECKPOINT) as temporary:
            torch.save(state, temporary)

    def read_checkpoint(self) -> dict[str, Any] | None:
        """The checkpoint to go on from; None for a fresh run."""
        return self._read(_CHECKPOINT) if (self.path / _CHECKPOINT).exists() else None

    def write_best(self, weights: dict[str, Tensor]) -> None:
        """Replace the weights with the lowest holdout error so far."""
        with atomic_output(self.path / _BEST) as temporary:
            torch.save(weights, temporary)

    def read_best(self) -> dict[str, Tensor]:
        """The weights with the lowest holdout error."""
        return self._read(_BEST)

    def _read(self, name: str) -> dict[str, Any]:
        try:
            return load_torch_file(self.path / name, example="a checkpoint of lsmplify train")
        except InputError as error:
            raise InputError(f"cannot read this checkpoint ({error})", hint="another --output") from error

    def _write(self, name: str, text: str) -> None:
        with atomic_output(self.path / name) as temporary:
            temporary.write_text(text)


def _tensorboard_writer(path: Path) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise MissingExtraError("tensorboard", "train", "--tensorboard") from error
    return SummaryWriter(str(path))


def provenance() -> dict[str, str]:
    """Versions, machine and git state."""
    import learnable_smplify

    root = Path(learnable_smplify.__file__).parent
    return {
        "learnable_smplify": learnable_smplify.__version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "machine": platform.platform(),
        "git_commit": _git(root, "rev-parse", "HEAD"),
        "git_changes": _git(root, "status", "--porcelain"),
    }


def _git(root: Path, *command: str) -> str:
    try:
        result = subprocess.run(["git", "-C", str(root), *command], capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    return result.stdout.strip() if result.returncode == 0 else "unknown"
