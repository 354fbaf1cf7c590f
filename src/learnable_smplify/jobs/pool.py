"""What the engines share: handing out tasks, replacing workers that die, taking only results that can be repeated."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Collection, Generator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from learnable_smplify.errors import LsmplifyError
from learnable_smplify.jobs.task import FileResult, FitTask, failure

# A result of a process that had to compile is made again by another, at most so often.
_MOST_TRIES = 3


@dataclass(frozen=True)
class Answer:
    """What a worker says, or what is known of its end.

    Args:
        result: of its task; None where it says that it is ready for the first one.
        compiled: whether it runs machine code that it compiled itself (see `machine_code`).
        died: how its process ended ("was killed ..."); empty while it lives.
    """

    result: FileResult | None = None
    compiled: bool = False
    died: str = ""


Worker = TypeVar("Worker")


class Workforce(Protocol[Worker]):
    """How an engine starts, asks and ends its worker processes."""

    def start(self) -> Worker:
        """A new worker, which says when it is ready."""
        ...

    def give(self, worker: Worker, task: FitTask) -> None:
        """Give a task to a worker that has none."""
        ...

    def wait(self, workers: Collection[Worker]) -> list[tuple[Worker, Answer]]:
        """Wait for at least one answer."""
        ...

    def end(self, workers: Collection[Worker]) -> None:
        """End these workers, whatever they do."""
        ...


def run_tasks(tasks: Sequence[FitTask], jobs: int, force: Workforce[Worker]) -> Generator[FileResult, None, None]:
    """Results in the order in which they are ready, one a task. Closing the generator ends the workers.

    A worker that dies over a recording (the system kills the largest process when memory is short) fails that one, and
    another takes its place. A worker that compiled machine code is replaced too, and its recording done again.

    Raises:
        LsmplifyError: no worker could be started.
    """
    waiting, tries = deque(tasks), Counter[str]()
    workers: dict[Worker, FitTask | None] = {}
    picky = True
    cause = ""
    try:
        for _ in range(min(jobs, len(tasks))):
            workers[force.start()] = None
        while waiting or any(workers.values()):
            if not workers:
                raise LsmplifyError(
                    f"No process for the work could be started: it {cause}. Try: --jobs 1, and in a script of yours, "
                    'call this below if __name__ == "__main__":'
                )
            for worker, answer in force.wait(list(workers)):
                task = workers.pop(worker)
                result = answer.result
                if answer.died:
                    cause = answer.died
                    if task is not None:
                        result = failure(task, f"{task.source / task.name}: the process that fitted it {cause}.")
                elif answer.compiled and picky and task is not None:
                    tries[task.name] += 1
                    # Where compiled code cannot be kept on disk, no process is better than the others.
                    picky = tries[task.name] < _MOST_TRIES
                    if picky:
                        result = None
                        waiting.appendleft(task)
                replace = (answer.died and task is not None) or (answer.compiled and picky)
                if answer.died or replace or not waiting:
                    force.end((worker,))
                    if replace and waiting:
                        workers[force.start()] = None
                else:
                    workers[worker] = following = waiting.popleft()
                    force.give(worker, following)
                if result is not None:
                    yield result
    finally:
        force.end(list(workers))
