"""One method in a process of its own: `python -m learnable_smplify.benchmark.worker`, JSON lines in and out.

The first line says which method (see `WorkerOrder`); the answer comes after the first pair is solved, so that the time
to it is the time to a first result. Then each line asks for one thing:

- `{"do": "time", "batch": B, "at_least_s": s}`: solve batches of B until so much time was measured.
- `{"do": "solve", "pairs": file, "batch": B, "output": file}`: solve all pairs of a file.

Every answer has `peak_mb`; a method that fails answers with `error` and the process ends.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def main() -> None:
    """Serve until the input ends."""
    # Ctrl-C is for the parent, which ends its workers; and what libraries print is none of its answers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    try:
        for answer in _serve(_orders()):
            answers.write(json.dumps(answer) + "\n")
    except Exception as error:  # whatever it is: the row of this method tells it, the others go on
        answers.write(json.dumps({"error": f"{type(error).__name__}: {error}"}) + "\n")
        raise SystemExit(1) from error


def _orders() -> Iterator[dict[str, Any]]:
    """What the parent asks for. When the parent is gone, in whatever way, so is this process, even amid a solve."""
    waiting: queue.SimpleQueue[str] = queue.SimpleQueue()

    def listen() -> None:
        for line in sys.stdin:
            waiting.put(line)
        os._exit(0)

    threading.Thread(target=listen, daemon=True).start()
    while True:
        yield json.loads(waiting.get())


def _serve(orders: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    first = next(orders)
    import torch

    torch.set_num_threads(first["threads"])
    from safetensors.torch import save_file

    from learnable_smplify.benchmark.methods import Method, build
    from learnable_smplify.benchmark.pairs import PairBatch

    method = Method(**first["method"])
    solve, settings = build(method, Path(first["folder"]))
    pool = PairBatch.load(Path(first["pairs"]))
    solve(pool.rows(0, 1))
    yield {"settings": settings, "peak_mb": peak_mb()}
    row = 1
    for order in orders:
        match order["do"]:
            case "time":
                frames, wall, cpu = 0, 0.0, 0.0
                while frames == 0 or wall < order["at_least_s"]:
                    batch = pool.rows(row, order["batch"])
                    row += order["batch"]
                    cpu_before, before = time.process_time(), time.perf_counter()
                    solve(batch)
                    wall += time.perf_counter() - before
                    cpu += time.process_time() - cpu_before
                    frames += order["batch"]
                yield {
                    "ms_a_frame": 1000 * wall / frames,
                    "frames": frames,
                    "cores": cpu / wall,
                    "peak_mb": peak_mb(),
                }
            case "solve":
                pairs = PairBatch.load(Path(order["pairs"]))
                size = order["batch"]
                poses = [solve(pairs.part(slice(i, i + size))) for i in range(0, len(pairs), size)]
                save_file({"pose": torch.cat(poses).contiguous()}, order["output"])
                yield {"peak_mb": peak_mb()}


def peak_mb() -> float:
    """Largest resident memory of this process so far [MB = 10^6 bytes]."""
    try:
        # Not getrusage: its maximum survives exec, so that a small child reports the size of its parent.
        with open("/proc/self/status") as status:
            return next(int(line.split()[1]) * 1024 / 1e6 for line in status if line.startswith("VmHWM:"))
    except (OSError, StopIteration):
        pass
    if sys.platform == "win32":
        return float("nan")
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6


if __name__ == "__main__":
    main()
