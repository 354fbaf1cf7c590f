"""The engine for one machine: a few processes of ours, any of which may die without harm to the others' work."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Collection, Generator, Sequence
from contextlib import suppress
from multiprocessing import connection
from multiprocessing.process import BaseProcess

import torch

from learnable_smplify.jobs.machine_code import kernels_compiled_here
from learnable_smplify.jobs.pool import Answer, run_tasks
from learnable_smplify.jobs.task import FileResult, FitTask, fit_file

# What a process gets to tidy up before it is killed [s].
_GRACE_S = 2.0


def core_count() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run_in_processes(
    tasks: Sequence[FitTask], jobs: int, work: Callable[[FitTask], FileResult] = fit_file
) -> Generator[FileResult, None, None]:
    """Results in the order in which they are ready (see `run_tasks`).

    Args:
        tasks: what to do.
        jobs: processes side by side.
        work: what does it; importable by name.

    Raises:
        LsmplifyError: no process could be started.
    """
    return run_tasks(tasks, jobs, _Processes(work))


class _Processes:
    """Each worker is the parent's end of the pipe to a process."""

    def __init__(self, work: Callable[[FitTask], FileResult]) -> None:
        # Spawned, not forked: torch's threads do not survive a fork.
        self._context = multiprocessing.get_context("spawn")
        self._work = work
        self._processes: dict[connection.Connection, BaseProcess] = {}

    def start(self) -> connection.Connection:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=_serve, args=(theirs, self._work), daemon=True)
        process.start()
        theirs.close()  # else the end of the process would not end the connection
        self._processes[ours] = process
        return ours

    def give(self, worker: connection.Connection, task: FitTask) -> None:
        with suppress(OSError):  # it died just now, which `wait` will notice
            worker.send(task)

    def wait(self, workers: Collection[connection.Connection]) -> list[tuple[connection.Connection, Answer]]:
        spoke = set(connection.wait(list(workers)))
        return [(worker, self._listen(worker)) for worker in workers if worker in spoke]

    def end(self, workers: Collection[connection.Connection]) -> None:
        for worker in workers:
            self._processes[worker].terminate()
        for worker in workers:
            process = self._processes.pop(worker)
            process.join(_GRACE_S)
            if process.is_alive():
                process.kill()
                process.join()
            worker.close()

    def _listen(self, worker: connection.Connection) -> Answer:
        try:
            answer: Answer = worker.recv()
            return answer
        except (EOFError, OSError):
            process = self._processes[worker]
            process.join(_GRACE_S)
            code = process.exitcode or 0
        if code == -9:
            return Answer(died="was killed (SIGKILL), most likely because memory ran out; fewer --jobs need less")
        return Answer(died=f"died of {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}")


def _serve(parent: connection.Connection, work: Callable[[FitTask], FileResult]) -> None:
    """The life of a worker process."""
    begin_work()
    # Asked to end, leave through `finally`, so that no half-written file stays behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with suppress(EOFError, OSError):
        parent.send(Answer())
        while True:
            result = work(parent.recv())
            parent.send(Answer(result, compiled=kernels_compiled_here() > 0))


def begin_work() -> None:
    """What a worker process does first: it computes on one thread, and leaves its end to the parent."""
    # Ctrl-C reaches every process of the terminal: the parent decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(1)


def _end_with_parent() -> None:
    """A killed parent cannot end its workers, and a run that resumes its work should not find them still at it."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
