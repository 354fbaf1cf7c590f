"""The engine for many machines: the same work by actors of Ray."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Collection, Generator, Sequence
from typing import Any

import torch

from learnable_smplify.errors import LsmplifyError, MissingExtraError
from learnable_smplify.jobs.machine_code import kernels_compiled_here
from learnable_smplify.jobs.pool import Answer, run_tasks
from learnable_smplify.jobs.task import FileResult, FitTask, fit_file

# Only tasks and results travel through Ray, a few KB each; the files do not.
_OBJECT_STORE_BYTES = 100 << 20


def run_on_ray(
    tasks: Sequence[FitTask], jobs: int | None, work: Callable[[FitTask], FileResult] = fit_file
) -> Generator[FileResult, None, None]:
    """Results in the order in which they are ready (see `run_tasks`).

    Uses the Ray that is initialised in this process, else the cluster that `RAY_ADDRESS` names, else one started on
    this machine for the time of the work. Every machine must see the folders under the same paths and have this
    package installed.

    Args:
        tasks: what to do.
        jobs: actors side by side, one core each; None takes every core of the cluster.
        work: what does it; importable by name.

    Raises:
        MissingExtraError: Ray is not installed.
        LsmplifyError: the cluster cannot be reached.
    """
    ray = require_ray()
    started = _connect(ray, jobs)
    try:
        at_once = jobs or max(1, int(ray.cluster_resources().get("CPU", 1)))
        yield from run_tasks(tasks, at_once, _Actors(ray, work))
    finally:
        if started:
            ray.shutdown()


class _Actors:
    """Each worker is the number of an actor with one core, which keeps its process, and so its solver."""

    def __init__(self, ray: Any, work: Callable[[FitTask], FileResult]) -> None:
        self._ray = ray
        # Not restarted or tried again by Ray: `run_tasks` replaces what died.
        self._actor = ray.remote(num_cpus=1, max_restarts=0, max_task_retries=0)(_Actor)
        self._work = work
        self._actors: dict[int, Any] = {}
        self._answers: dict[Any, int] = {}

    def start(self) -> int:
        worker = 1 + max(self._actors, default=0)
        self._actors[worker] = self._actor.remote(self._work)
        self._answers[self._actors[worker].ready.remote()] = worker
        return worker

    def give(self, worker: int, task: FitTask) -> None:
        self._answers[self._actors[worker].run.remote(task)] = worker

    def wait(self, workers: Collection[int]) -> list[tuple[int, Answer]]:
        ready, _ = self._ray.wait(list(self._answers), num_returns=1)
        return [(self._answers.pop(reference), self._listen(reference)) for reference in ready]

    def end(self, workers: Collection[int]) -> None:
        self._answers = {reference: worker for reference, worker in self._answers.items() if worker not in workers}
        for worker in workers:
            self._ray.kill(self._actors.pop(worker))

    def _listen(self, reference: Any) -> Answer:
        try:
            answer: Answer = self._ray.get(reference)
            return answer
        except self._ray.exceptions.RayError as error:
            lines = str(error).strip().splitlines()
            return Answer(died=f"was lost by Ray ({type(error).__name__}{': ' if lines else ''}{' '.join(lines[:1])})")


class _Actor:
    """A worker process of Ray's."""

    def __init__(self, work: Callable[[FitTask], FileResult]) -> None:
        torch.set_num_threads(1)
        self._work = work

    def ready(self) -> Answer:
        return Answer()

    def run(self, task: FitTask) -> Answer:
        result = self._work(task)
        return Answer(result, compiled=kernels_compiled_here() > 0)


def require_ray() -> Any:
    """The module `ray`.

    Raises:
        MissingExtraError: it is not installed.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError as error:
        raise MissingExtraError("ray", "ray", "--engine ray") from error
    return ray


def _connect(ray: Any, jobs: int | None) -> bool:
    """Whether Ray had to be started or joined for this."""
    if ray.is_initialized():
        return False
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    address = os.environ.get("RAY_ADDRESS")
    try:
        if address:
            ray.init(address=address, **quiet)
        else:
            ray.init(
                address="local",
                num_cpus=jobs,
                include_dashboard=False,
                object_store_memory=_OBJECT_STORE_BYTES,
                **quiet,
            )
    except (ConnectionError, RuntimeError, ValueError) as error:
        where = f"at RAY_ADDRESS={address}" if address else "on this machine"
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise LsmplifyError(f"No Ray {where}: {reason[0]} Try: ray status, or --engine processes") from error
    return True
