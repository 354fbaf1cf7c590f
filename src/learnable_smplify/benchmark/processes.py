"""The parent's side of the workers: start, ask, and end them whatever happens."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from learnable_smplify.benchmark.methods import Method

_THREAD_SETTINGS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")


class WorkerFailed(Exception):
    """A worker crashed, refused or took too long; the message is the reason shown in its row."""


class Worker:
    """One method in its own process.

    Args:
        method: what it runs.
        pairs: file of the pairs it is timed on.
        threads: for torch and all libraries below it.
        limit_s: longest time to its first result.

    Attributes:
        first_result_s: from starting the process to the first solved pair [s].
        settings: how the method was configured.
        peak_mb: largest memory so far.

    Raises:
        WorkerFailed: it did not get to its first result.
    """

    def __init__(self, method: Method, pairs: Path, threads: int, limit_s: float) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="lsmplify-benchmark-")
        self._said = Path(self._folder.name, "stderr.txt")
        self._answers: queue.Queue[bytes] = queue.Queue()
        environment = os.environ | dict.fromkeys(_THREAD_SETTINGS, str(threads))
        began = time.perf_counter()
        command = [sys.executable, "-m", "learnable_smplify.benchmark.worker"]
        with self._said.open("wb") as said:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said, env=environment
            )
        try:
            threading.Thread(target=self._listen, daemon=True).start()
            order = {"method": asdict(method), "threads": threads, "pairs": str(pairs), "folder": self._folder.name}
            answer = self.ask(order, limit_s)
        except BaseException:
            self.close()
            raise
        self.first_result_s = time.perf_counter() - began
        self.settings: dict[str, Any] = answer["settings"]

    def ask(self, order: dict[str, Any], limit_s: float) -> dict[str, Any]:
        """Give one order and wait for its answer (see `worker`).

        Raises:
            WorkerFailed: an error, the end of the process, or no answer within `limit_s`.
        """
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(order).encode() + b"\n")
            self._process.stdin.flush()
            line = self._answers.get(timeout=limit_s)
        except queue.Empty:
            raise WorkerFailed(f"no answer within {limit_s:.0f} s") from None
        except BrokenPipeError:
            line = b""
        if not line:
            raise WorkerFailed(self._last_words())
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise WorkerFailed(answer["error"])
        self.peak_mb = float(answer["peak_mb"])
        return answer

    def close(self) -> None:
        """End the process. May be called again."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        if self._process.stdin is not None:
            with suppress(BrokenPipeError):
                self._process.stdin.close()
        self._folder.cleanup()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                self._answers.put(line)
        self._answers.put(b"")

    def _last_words(self) -> str:
        code = self._process.wait()
        said = self._said.read_text(errors="replace").strip().splitlines()
        return f"the process ended with code {code}" + (f" ({said[-1]})" if said else "")
