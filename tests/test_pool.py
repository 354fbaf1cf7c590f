"""Workers that die, workers that had to compile: whose results are taken."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Collection
from pathlib import Path

import pytest
import torch

from learnable_smplify.errors import LsmplifyError
from learnable_smplify.jobs.pool import Answer, run_tasks
from learnable_smplify.jobs.processes import run_in_processes
from learnable_smplify.jobs.settings import FitSettings
from learnable_smplify.jobs.task import FileResult, FitTask, failure


def die_over_b(task: FitTask) -> FileResult:
    """Stands in for `fit_file` in a worker process."""
    if task.name == "b.npz":
        os.kill(os.getpid(), signal.SIGKILL)
    return failure(task, f"fine, {torch.get_num_threads()} thread")


def toy_tasks(*names: str) -> list[FitTask]:
    return [FitTask(Path("in"), name, Path("out"), name, (), FitSettings(), "") for name in names]


def test_a_process_that_is_killed_costs_only_its_recording() -> None:
    tasks = toy_tasks("a.npz", "b.npz", "c.npz")
    messages = {result.name: result.message for result in run_in_processes(tasks, 1, die_over_b)}
    assert messages["a.npz"] == messages["c.npz"] == "fine, 1 thread"
    assert "was killed (SIGKILL)" in messages["b.npz"]


class ToyForce:
    """Workers without processes: the n-th says of its results what `compiled(n)` says."""

    def __init__(self, compiled: Callable[[int], bool], starts: bool = True) -> None:
        self.compiled = compiled
        self.starts = starts
        self.started = 0
        self.ended: set[int] = set()
        self.given: dict[int, FitTask] = {}

    def start(self) -> int:
        self.started += 1
        return self.started

    def give(self, worker: int, task: FitTask) -> None:
        self.given[worker] = task

    def wait(self, workers: Collection[int]) -> list[tuple[int, Answer]]:
        worker = min(workers)
        if not self.starts:
            return [(worker, Answer(died="ended with code 1"))]
        if worker not in self.given:
            return [(worker, Answer())]
        result = failure(self.given.pop(worker), f"by worker {worker}")
        return [(worker, Answer(result, compiled=self.compiled(worker)))]

    def end(self, workers: Collection[int]) -> None:
        self.ended |= set(workers)


def test_results_of_a_process_that_had_to_compile_are_made_again() -> None:
    force = ToyForce(compiled=lambda worker: worker <= 2)
    results = list(run_tasks(toy_tasks("a", "b", "c"), 2, force))
    assert sorted(result.name for result in results) == ["a", "b", "c"]
    assert {result.message for result in results} <= {"by worker 3", "by worker 4"}
    assert force.ended == set(range(1, force.started + 1))


def test_where_every_process_compiles_their_results_are_taken() -> None:
    force = ToyForce(compiled=lambda worker: True)
    results = list(run_tasks(toy_tasks("a", "b", "c"), 1, force))
    assert [result.name for result in results] == ["a", "b", "c"]
    assert force.started == 3


def test_processes_that_cannot_start_are_an_error_and_not_an_endless_loop() -> None:
    with pytest.raises(LsmplifyError, match="it ended with code 1"):
        list(run_tasks(toy_tasks("a", "b"), 2, ToyForce(compiled=lambda worker: False, starts=False)))
