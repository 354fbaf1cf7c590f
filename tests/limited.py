"""Reads hostile files, each in a process of its own with a limit of time and memory. A script: see `outcomes`.

A reader in a loop of C code does not hear an alarm, so a test of it must be able to end the process that it runs in.
Seconds are those of the machine that the limit was set on: a slower or busier one is measured by a loop of its own.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SECONDS, MEGABYTES = 2.0, 500
_KILLED_AFTER = 40.0
# The loop of `_fair` takes so long on the machine that the limit was set on.
_LOOPS, _LOOP_SECONDS = 2_000_000, 0.07
_WORTH_MEASURING = 0.5


@dataclass(frozen=True)
class Outcome:
    """How reading a file ended: "read", "refused" or what went wrong; what was said; and what it took."""

    ending: str
    text: str
    seconds: float
    megabytes: float

    def check(self) -> None:
        """Assert that the file was read or refused within the limits, with a message that a terminal survives."""
        assert self.ending in ("read", "refused"), f"{self.ending}: {self.text}"
        assert self.seconds < SECONDS, self
        assert self.megabytes < MEGABYTES, self
        assert len(self.text) < 4000
        assert all(letter.isprintable() or letter == "\n" for letter in self.text), repr(self.text)


def outcomes(asked: Sequence[tuple[str, Path]]) -> list[Outcome]:
    """Read files by the reader of a kind (a key of `readers`), one after another."""
    text = "\n".join(f"{kind}\t{path}" for kind, path in asked)
    command = [sys.executable, str(Path(__file__).resolve())]
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False, timeout=1800)
    assert done.returncode == 0, done.stderr[-2000:]
    return [Outcome(**json.loads(line)) for line in done.stdout.splitlines()]


def readers() -> dict[str, Callable[[Path], Any]]:
    """Every reader of strangers' files, by a name."""
    from learnable_smplify.formats.cameras.camera_file import read_camera
    from learnable_smplify.formats.detections.detection_file import read_detections
    from learnable_smplify.formats.detections.keypoints2d_json import read_keypoints2d
    from learnable_smplify.formats.estimates import read_estimates
    from learnable_smplify.formats.keypoints.keypoint_file import read_people
    from learnable_smplify.layouts.layout import load_layout
    from learnable_smplify.mocap.bone_map_file import read_bone_map
    from learnable_smplify.safe_files.joblib_file import load_joblib
    from learnable_smplify.safe_files.npy_object import load_npy
    from learnable_smplify.safe_files.safe_pickle import load_pickle
    from learnable_smplify.safe_files.torch_file import load_torch_file
    from learnable_smplify.solver.shape.offsets import read_offsets

    return {
        "pickle": load_pickle,
        "joblib": load_joblib,
        "npy": load_npy,
        "torch": load_torch_file,
        "keypoints": read_people,
        "keypoints of body25": lambda path: read_people(path, layout="body25"),
        "2D keypoints": read_keypoints2d,
        "detections": read_detections,
        "estimate": lambda path: [estimate.to_motion(fps=30) for estimate in read_estimates(path)],
        "camera": read_camera,
        "layout": load_layout,
        "bone map": read_bone_map,
        "offsets": lambda path: read_offsets(path, load_layout("body25")),
    }


def _child(read: Callable[[Path], Any], path: Path, answer: int) -> None:
    from learnable_smplify.errors import LsmplifyError

    began, before = time.process_time(), _megabytes()
    try:
        read(path)
        ending, text = "read", ""
    except LsmplifyError as error:
        ending, text = "refused", str(error)
    except BaseException as error:
        ending, text = type(error).__name__, str(error)[:500]
    numbers = {"seconds": _fair(time.process_time() - began), "megabytes": _megabytes() - before}
    os.write(answer, json.dumps({"ending": ending, "text": text[:10_000], **numbers}).encode())
    os._exit(0)


def _fair(seconds: float) -> float:
    """Seconds of this process as the limit's machine would have taken, by a loop that runs now."""
    if seconds < _WORTH_MEASURING:
        return seconds
    began, total = time.process_time(), 0
    for number in range(_LOOPS):
        total += number & 3
    return seconds * _LOOP_SECONDS / max(time.process_time() - began, _LOOP_SECONDS)


def _megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _outcome(read: Callable[[Path], Any], path: Path) -> dict[str, Any]:
    source, answer = os.pipe()
    child = os.fork()
    if child == 0:
        resource.setrlimit(resource.RLIMIT_CPU, (int(_KILLED_AFTER), int(_KILLED_AFTER)))
        _child(read, path, answer)
    os.close(answer)
    with os.fdopen(source, "rb") as pipe:
        said = pipe.read()
    _, status = os.waitpid(child, 0)
    if not said:
        name = signal.Signals(os.WTERMSIG(status)).name if os.WIFSIGNALED(status) else f"exit {status}"
        return {"ending": f"killed by {name}", "text": "", "seconds": _KILLED_AFTER, "megabytes": 0.0}
    found: dict[str, Any] = json.loads(said)
    return found


def main() -> None:
    """Answer one line a file."""
    import torch

    torch.set_num_threads(1)
    read_as = readers()
    for line in sys.stdin.read().splitlines():
        kind, path = line.split("\t")
        print(json.dumps(_outcome(read_as[kind], Path(path))), flush=True)


if __name__ == "__main__":
    main()
