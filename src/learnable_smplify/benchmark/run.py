"""The run itself: start-ups, then times in alternation, then errors. Nothing runs beside anything else."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from learnable_smplify.benchmark.methods import Method
from learnable_smplify.benchmark.pairs import as_given
from learnable_smplify.benchmark.processes import Worker, WorkerFailed
from learnable_smplify.benchmark.result import Errors, Row, Speed
from learnable_smplify.body import Body, load_body
from learnable_smplify.evaluation.clips import Pairs
from learnable_smplify.evaluation.errors import mesh_and_joints, mesh_errors
from learnable_smplify.evaluation.pairs import Condition
from learnable_smplify.timeline import evenly

CLEAN = Condition("clean")
NOISY = Condition("20 mm noise", noise=0.020)
TIMED_STRIDE = 5


@dataclass(frozen=True)
class Plan:
    """How much is measured; by default as much as in a quick run.

    Args:
        threads: for torch and the libraries below it, in every process.
        batches, gpu_batches: batch sizes that are timed, in rising order, the first is 1.
        starts: how often each process is started to time its start-up.
        rounds: timed repeats of each method at each batch size; slow ones get fewer.
        at_least_s: shortest repeat [s]; quick methods solve several batches in one.
        budget_s: longest time for all repeats of a method at one batch size [s]; one repeat is always made.
        longest_s: a batch size is left out when one solve would take longer than this [s].
        subset: pairs of each stride that methods without batches solve; all report their error on the same ones.
    """

    threads: int
    batches: tuple[int, ...] = (1, 256, 1024)
    gpu_batches: tuple[int, ...] = (1, 1024, 16384)
    starts: int = 1
    rounds: int = 5
    at_least_s: float = 0.1
    budget_s: float = 4
    longest_s: float = 12
    subset: int = 3

    @staticmethod
    def quick(threads: int) -> Plan:
        """About two minutes."""
        return Plan(threads)

    @staticmethod
    def full(threads: int) -> Plan:
        """Up to twenty minutes."""
        return Plan(
            threads=threads,
            batches=(1, 64, 256, 1024, 4096),
            gpu_batches=(1, 256, 1024, 4096, 16384, 65536),
            starts=3,
            rounds=9,
            at_least_s=0.3,
            budget_s=45,
            longest_s=60,
            subset=30,
        )

    def batches_of(self, method: Method) -> tuple[int, ...]:
        """Batch sizes a method is timed at."""
        if not method.timed:
            return ()
        sizes = self.batches if method.device == "cpu" else self.gpu_batches
        return sizes[:1] if method.one_by_one else sizes

    def steps(self, methods: tuple[Method, ...], strides: int) -> int:
        """How often `run_benchmark` tells its progress, when no method fails or is slow."""
        timed = sum(len(self.batches_of(method)) for method in methods) * (1 + self.rounds)
        solved = sum(method.exact for method in methods) * (strides + 1)
        return 1 + self.starts * len(methods) + timed + solved


@dataclass(eq=False)
class _Runner:
    """A method, its process, and what was found so far."""

    method: Method
    row: Row
    worker: Worker | None = None

    def ask(self, order: dict[str, Any], limit_s: float) -> dict[str, Any] | None:
        """The worker's answer; None, and the end of this row, when it fails."""
        if self.worker is None:
            return None
        try:
            return self.worker.ask(order, limit_s)
        except WorkerFailed as reason:
            self.fail(reason)
            return None

    def fail(self, reason: WorkerFailed) -> None:
        self.row = replace(self.row, failed=str(reason))
        self.close()

    def close(self) -> None:
        if self.worker is not None:
            self.worker.close()
            self.worker = None


# The first result, and any single answer, may take this much longer than planned before the worker counts as hung.
_PATIENCE_S = 300.0


def run_benchmark(
    methods: tuple[Method, ...], pairs: dict[int, Pairs], plan: Plan, progress: Callable[[str], None]
) -> tuple[Row, ...]:
    """Measure every method; one that fails becomes a row with the reason.

    Args:
        methods: the rows.
        pairs: by stride; `TIMED_STRIDE` among them.
        plan: how much.
        progress: called with what is being done.
    """
    body = load_body()
    runners = [_Runner(method, Row(method.key, method.label, method.given, method.device)) for method in methods]
    with tempfile.TemporaryDirectory(prefix="lsmplify-benchmark-") as name, ExitStack() as stack:
        folder = Path(name)
        timed = folder / "timed.safetensors"
        as_given(body, pairs[TIMED_STRIDE], CLEAN).save(timed)
        for runner in runners:
            stack.callback(runner.close)
        _start(runners, timed, plan, progress)
        _time(runners, plan, progress)
        _measure_errors(runners, body, pairs, plan.subset, folder, progress)
    return tuple(runner.row for runner in runners)


def _start(runners: list[_Runner], timed: Path, plan: Plan, progress: Callable[[str], None]) -> None:
    """Start every process `plan.starts` times in alternation, and keep the last ones."""
    progress("reading the libraries from disk once")
    # Its time is not counted: it fills the disk cache, and the compiler's, for all that follow.
    with suppress(WorkerFailed):  # its own row will say so
        Worker(runners[-1].method, timed, plan.threads, _PATIENCE_S).close()
    for _ in range(plan.starts):
        for runner in runners:
            progress(f"starting {runner.method.label}")
            if runner.row.failed is not None:
                continue
            runner.close()
            try:
                runner.worker = Worker(runner.method, timed, plan.threads, _PATIENCE_S)
            except WorkerFailed as reason:
                runner.fail(reason)
                continue
            runner.row = replace(
                runner.row,
                settings=runner.worker.settings,
                first_result_s=(*runner.row.first_result_s, runner.worker.first_result_s),
                first_peak_mb=runner.worker.peak_mb,
            )


def _time(runners: list[_Runner], plan: Plan, progress: Callable[[str], None]) -> None:
    """Batch size by batch size: one warm-up each, then rounds over the methods, there and back."""
    for batch in sorted({*plan.batches, *plan.gpu_batches}):
        repeats: dict[int, int] = {}
        for index, runner in enumerate(runners):
            if batch not in plan.batches_of(runner.method):
                continue
            progress(f"batch {batch:,}: warming up {runner.method.label}")
            repeats[index] = 0
            if not _affordable(runner.row, batch, plan):
                continue
            answer = runner.ask({"do": "time", "batch": batch, "at_least_s": 0}, plan.longest_s + _PATIENCE_S)
            if answer is not None:
                one = max(answer["ms_a_frame"] * answer["frames"] / 1000, plan.at_least_s)
                repeats[index] = int(min(max(plan.budget_s // one, 1), plan.rounds))
        answers: dict[int, list[dict[str, Any]]] = {index: [] for index in repeats}
        for turn in range(plan.rounds):
            for index in sorted(repeats, reverse=turn % 2 == 1):
                progress(f"batch {batch:,}, round {turn + 1} of {plan.rounds}: {runners[index].method.label}")
                if turn >= repeats[index]:
                    continue
                order = {"do": "time", "batch": batch, "at_least_s": plan.at_least_s}
                answer = runners[index].ask(order, plan.longest_s + _PATIENCE_S)
                if answer is not None:
                    answers[index].append(answer)
        for index, found in answers.items():
            if found:
                runner = runners[index]
                runner.row = replace(runner.row, speeds=(*runner.row.speeds, _speed(batch, found)))


def _affordable(row: Row, batch: int, plan: Plan) -> bool:
    """Whether one solve is likely to end in time, judged by the batch size before.

    From one frame to many the time hardly grows until the cores are busy, so it is not scaled by more than 8.
    """
    if not row.speeds:
        return batch == 1
    last = row.speeds[-1]
    return last.ms * last.batch / 1000 * min(batch / last.batch, 8) <= plan.longest_s


def _speed(batch: int, answers: list[dict[str, Any]]) -> Speed:
    # Wall-clock weighted: all CPU time by all wall-clock time.
    wall = [answer["ms_a_frame"] * answer["frames"] for answer in answers]
    cores = sum(answer["cores"] * time for answer, time in zip(answers, wall, strict=True)) / sum(wall)
    return Speed(
        batch=batch,
        ms_a_frame=tuple(answer["ms_a_frame"] for answer in answers),
        frames=answers[0]["frames"],
        cores=cores,
        peak_mb=answers[-1]["peak_mb"],
    )


def _measure_errors(
    runners: list[_Runner],
    body: Body,
    pairs: dict[int, Pairs],
    subset: int,
    folder: Path,
    progress: Callable[[str], None],
) -> None:
    conditions = [(CLEAN, stride) for stride in pairs] + [(NOISY, TIMED_STRIDE)]
    for condition, stride in conditions:
        group = pairs[stride]
        truth = mesh_and_joints(body, group.target_pose, group.betas)
        chosen = evenly(len(group), subset)
        given, some, output = (folder / f"{name}.safetensors" for name in ("given", "some", "output"))
        batch = as_given(body, group, condition)
        batch.save(given)
        batch.part(chosen).save(some)
        for runner in runners:
            method = runner.method
            if not method.exact:
                continue
            progress(f"{condition.name}, stride {stride}: {method.label}")
            best = runner.row.best
            order = {
                "do": "solve",
                "pairs": str(some if method.one_by_one else given),
                "batch": 1024 if best is None else best.batch,
                "output": str(output),
            }
            expected_s = 0.0 if best is None else best.ms * len(group) / 1000
            if runner.ask(order, 10 * expected_s + _PATIENCE_S) is None:
                continue
            pose = load_file(output)["pose"]
            if not bool(torch.isfinite(pose).all()):
                runner.fail(WorkerFailed(f"poses that are not finite ({condition.name}, stride {stride})"))
                continue
            found = []
            if method.one_by_one:
                solved = mesh_and_joints(body, pose, group.betas[chosen])
                pve, pa_pve, _ = mesh_errors(solved, (truth[0][chosen], truth[1][chosen]))
            else:
                pve, pa_pve, _ = mesh_errors(mesh_and_joints(body, pose, group.betas), truth)
                found.append(_errors(condition, stride, pve, pa_pve, subset=False))
                pve, pa_pve = pve[chosen], pa_pve[chosen]
            found.append(_errors(condition, stride, pve, pa_pve, subset=True))
            runner.row = replace(runner.row, errors=(*runner.row.errors, *found))


def _errors(condition: Condition, stride: int, pve: torch.Tensor, pa_pve: torch.Tensor, *, subset: bool) -> Errors:
    return Errors(condition.name, stride, len(pve), subset, float(pve.mean()), float(pa_pve.mean()))
