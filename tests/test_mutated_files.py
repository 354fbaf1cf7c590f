"""Every reader against damaged and hostile files: a clear `InputError` or usable numbers, and never anything else."""

from __future__ import annotations

import importlib.util
import io
import json
import math
import pickle
import random
import resource
import shutil
import signal
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from damage import DAMAGES, change_arrays, change_json, npz_bytes
from learnable_smplify.errors import InputError
from learnable_smplify.formats.detections.detection_file import read_detections
from learnable_smplify.formats.keypoints.keypoint_file import read_people
from learnable_smplify.formats.motion.amass import read_amass, write_amass
from learnable_smplify.keypoints import Keypoints
from learnable_smplify.layouts.layout import Layout, load_layout
from learnable_smplify.mocap.asf_amc import read_amc
from learnable_smplify.mocap.bvh import read_bvh
from learnable_smplify.mocap.source import SourceMotion
from learnable_smplify.motion import Motion
from learnable_smplify.safe_files.safe_pickle import load_pickle
from learnable_smplify.safe_files.torch_file import load_torch_file
from toy_recording import BODY25, standing_person

SECONDS_BEFORE_A_HANG = 10
MOST_MEGABYTES = 700

ASF = """:version 1.10
:name toy
:units
  mass 1.0
  length 0.45
  angle deg
:root
  order TX TY TZ RX RY RZ
  axis XYZ
  position 0 0 0
  orientation 0 0 0
:bonedata
  begin
    id 1
    name lfemur
    direction 0.34 -0.93 0
    length 7.1
    axis 0 0 20 XYZ
    dof rx ry rz
    limits (-160.0 20.0)
           (-70.0 70.0)
           (-60.0 70.0)
  end
  begin
    id 2
    name ltibia
    direction 0.34 -0.93 0
    length 7.4
    axis 0 0 20 XYZ
    dof rx
  end
:hierarchy
  begin
    root lfemur
    lfemur ltibia
  end
"""
AMC = ":FULLY-SPECIFIED\n:DEGREES\n" + "".join(
    f"{frame}\nroot 1 17 2 3 4 5\nlfemur 1 2 {frame}\nltibia 30\n" for frame in range(1, 6)
)
BVH = (
    """HIERARCHY
ROOT Hips
{
  OFFSET 0 0 0
  CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation
  JOINT LeftUpLeg
  {
    OFFSET 10 -5 0
    CHANNELS 3 Zrotation Xrotation Yrotation
    JOINT LeftLeg
    {
      OFFSET 0 -45 0
      CHANNELS 3 Zrotation Xrotation Yrotation
      End Site
      {
        OFFSET 0 -45 0
      }
    }
  }
}
MOTION
Frames: 3
Frame Time: 0.0333333
"""
    + "0 90 0 1 2 3 4 5 6 7 8 9\n" * 3
)
TOML = """name = "toy"
title = "Toy"
edges = [["Hip", "Knee"], ["Knee", "Ankle"]]
[keypoints]
Hip = { left_hip = 0.5, right_hip = 0.5 }
Knee = "left_knee"
Ankle = "left_ankle"
[aliases]
KJC = "Knee"
"""


def trc_text() -> str:
    names = "\t\t\t".join(BODY25)
    head = [
        "PathFileType\t4\t(X/Y/Z)\tclip.trc",
        "DataRate\tCameraRate\tNumFrames\tNumMarkers\tUnits",
        "60\t60\t4\t25\tm",
        f"Frame#\tTime\t{names}\t\t",
        "\t\t" + "\t".join(f"{axis}{i}" for i in range(25) for axis in "XYZ"),
    ]
    rows = [
        f"{t}\t{t / 60:.4f}\t" + "\t".join(f"{v:.4f}" for v in row.ravel()) for t, row in enumerate(standing_person())
    ]
    return "\n".join(head + rows) + "\n"


def csv_text() -> str:
    rows = [",".join([f"{t / 50:.3f}", *(f"{v:.4f}" for v in row.ravel())]) for t, row in enumerate(standing_person())]
    return "time," + ",".join(f"{name}_{axis}" for name in BODY25 for axis in "xyz") + "\n" + "\n".join(rows) + "\n"


def npy_bytes(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def saved(write: Callable[[Path], object], folder: Path) -> bytes:
    write(folder / "seed.npz")
    return (folder / "seed.npz").read_bytes()


def c3d_bytes() -> bytes:
    import c3d

    writer = c3d.Writer(point_rate=60)
    writer.set_point_labels(list(BODY25))
    writer.add_frames(
        [(np.c_[frame * 1000, np.zeros((25, 2))].astype(np.float32), np.array([[]])) for frame in standing_person()]
    )
    stream = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        writer.write(stream)
    return stream.getvalue()


@dataclass(frozen=True)
class Kind:
    """One format: the files of a sound recording by name, and how it is read."""

    files: dict[str, bytes]
    read: Callable[[Path], Any]
    folder: bool = False
    arrays: dict[str, Any] | None = None


def make_kinds(folder: Path) -> dict[str, Kind]:
    points = standing_person().astype(np.float32)
    motion = Motion(pose=torch.zeros(4, 24, 3) + 0.1, transl=torch.zeros(4, 3), betas=torch.zeros(10), up_axis="y")
    keypoints_npz = {
        "keypoints": points,
        "confidence": np.ones((4, 25)),
        "layout": "body25",
        "fps": 30.0,
        "up_axis": "y",
    }
    amass = dict(np.load(io.BytesIO(saved(lambda path: write_amass(motion, path), folder))))
    landmarks = [
        [{"x": p[0], "y": -p[1], "z": -p[2], "visibility": 0.9} for p in points[t, :25].tolist()] for t in range(4)
    ]
    landmarks = [frame + frame[:8] for frame in landmarks]
    media = {"fps": 30, "frames": [{"timestamp_ms": 33 * t, "pose_world_landmarks": landmarks[t]} for t in range(4)]}
    flat = [np.c_[points[t], np.ones(25)].ravel().round(4).tolist() for t in range(4)]
    openpose = {
        f"clip_{t:012d}_keypoints.json": json.dumps(
            {"version": 1.3, "people": [{"person_id": [-1], "pose_keypoints_3d": flat[t]}] * 2}
        )
        for t in range(4)
    }
    rows = [np.c_[points[t], np.ones(25)].round(4).tolist() for t in range(4)]
    easy = {f"{t:06d}.json": json.dumps([{"id": i, "keypoints3d": rows[t]} for i in range(2)]) for t in range(4)}
    state = {"model": {"weight": torch.ones(3, 4), "bias": torch.zeros(3)}, "epoch": 3}
    torch_stream = io.BytesIO()
    torch.save(state, torch_stream)

    def text(files: dict[str, str]) -> dict[str, bytes]:
        return {name: content.encode() for name, content in files.items()}

    named = {name: points[:, index].tolist() for index, name in enumerate(BODY25)}
    seen = [{"image_id": t, "keypoints": (500 * frame).ravel().tolist()} for t, frame in enumerate(points)]
    kinds = {
        "csv": Kind(text({"a.csv": csv_text()}), read_people),
        "trc": Kind(text({"a.trc": trc_text()}), read_people),
        "npy": Kind({"a.npy": npy_bytes(points)}, lambda path: read_people(path, layout="body25")),
        "npz": Kind({"a.npz": npz_bytes(False, **keypoints_npz)}, read_people, arrays=keypoints_npz),
        "npz, compressed": Kind({"a.npz": npz_bytes(True, **keypoints_npz)}, read_people, arrays=keypoints_npz),
        "mediapipe": Kind(text({"a.json": json.dumps(media)}), read_people),
        "json by name": Kind(text({"a.json": json.dumps(named)}), read_people),
        "detections": Kind(text({"a.json": json.dumps(seen)}), read_detections),
        "openpose": Kind(text(openpose), read_people, folder=True),
        "easymocap": Kind(text(easy), read_people, folder=True),
        "amass": Kind({"a.npz": npz_bytes(False, **amass)}, read_amass, arrays=amass),
        "asf": Kind(text({"a.asf": ASF, "a.amc": AMC}), lambda path: read_amc(path.with_suffix(".amc"), path)),
        "amc": Kind(text({"a.amc": AMC, "a.asf": ASF}), lambda path: read_amc(path, path.with_suffix(".asf"))),
        "bvh": Kind(text({"a.bvh": BVH}), read_bvh),
        "layout": Kind(text({"a.toml": TOML}), load_layout),
        "pickle": Kind(
            {"a.pkl": pickle.dumps({"poses": points, "gender": "male", "list": [1, 2.5, None]})}, load_pickle
        ),
        "torch": Kind({"a.pt": torch_stream.getvalue()}, load_torch_file),
    }
    if importlib.util.find_spec("c3d"):
        kinds["c3d"] = Kind({"a.c3d": c3d_bytes()}, read_people)
    return kinds


def damaged(kind: Kind, chance: random.Random) -> dict[str, bytes]:
    """The files of the recording with some damage done."""
    files = dict(kind.files)
    name = chance.choice(list(files)) if kind.folder else next(iter(files))
    if kind.arrays is not None and chance.random() < 0.5:
        return files | {name: change_arrays(kind.arrays, chance)}
    if name.endswith(".json") and chance.random() < 0.6:
        return files | {name: change_json(files[name], chance)}
    if kind.folder and chance.random() < 0.1:
        other = chance.choice(
            ("0.json", "clip_999999999999999999_keypoints.json", "000007.json", "readme.json", "x.txt")
        )
        files[other] = files.pop(name)
        return files
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        if files[name]:
            files[name] = chance.choice(DAMAGES)(files[name], chance)
    return files


# Checks


class Hang(BaseException):
    """Not an `Exception`, so that no reader takes it for damage in a file."""


@contextmanager
def no_hang() -> Iterator[None]:
    def stop(*_: Any) -> None:
        raise Hang(f"no answer in {SECONDS_BEFORE_A_HANG} s of computing")

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, SECONDS_BEFORE_A_HANG)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def check_usable(value: Any) -> None:
    if isinstance(value, list) and value and all(isinstance(one, Keypoints) for one in value):
        for one in value:
            assert torch.isfinite(one.positions).all()
            assert torch.isfinite(one.confidence).all()
            assert (one.confidence > 0).any()
            assert float(one.confidence.min()) >= 0
            assert float(one.confidence.max()) <= 1
            assert math.isfinite(one.fps)
            assert len(one) < 100_000
    elif isinstance(value, Motion):
        assert all(bool(torch.isfinite(part).all()) for part in (value.pose, value.transl, value.betas))
    elif isinstance(value, SourceMotion):
        assert all(
            bool(torch.isfinite(part).all())
            for part in (value.rotations, value.root_positions, value.offsets, value.tips)
        )
    else:
        assert isinstance(
            value, Layout | dict | list | tuple | str | bytes | int | float | complex | np.ndarray | set | None
        )


def read_damaged(kind: Kind, files: dict[str, bytes], folder: Path) -> bool:
    """Whether the files were read; fails on anything but usable numbers or an `InputError`."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    path = folder if kind.folder else folder / next(iter(files))
    with no_hang(), warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)  # numbers that overflow unseen
        try:
            value = kind.read(path)
        except InputError as error:
            if len(str(error)) > 3000:
                raise AssertionError(f"an endless message: {str(error)[:300]}") from error
            return False
        check_usable(value)
    return True


def run(rounds: int, seed: int, folder: Path) -> dict[str, tuple[int, int]]:
    """Of each format: files read and files refused."""
    kinds = make_kinds(folder)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    counts: dict[str, tuple[int, int]] = {}
    for name, kind in kinds.items():
        assert read_damaged(kind, kind.files, folder / "take"), name
        read = 0
        for number in range(rounds):
            chance = random.Random(f"{seed} {name} {number}")
            files = damaged(kind, chance)
            try:
                read += read_damaged(kind, files, folder / "take")
            except BaseException as error:
                kept = {key: value[:300] for key, value in files.items() if value != kind.files.get(key)}
                raise AssertionError(f"{name}, round {number}: {error!r} with {kept}") from error
        counts[name] = (read, rounds - read)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory) / 1024
    assert grown < MOST_MEGABYTES, f"memory grew by {grown:.0f} MB"
    return counts


def test_a_thousand_damaged_files_are_read_or_refused(tmp_path: Path) -> None:
    counts = run(64, 1, tmp_path)
    assert sum(map(sum, counts.values())) >= 14 * 64
    for name, (read, refused) in counts.items():
        assert refused > 0, f"no damage to {name} was noticed"
        assert read > 0 or name in ("torch", "npz, compressed", "c3d"), f"all damage to {name} was fatal"


@pytest.mark.slow
def test_ten_thousand_damaged_files_are_read_or_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    counts = run(10_000 // 14 + 1, 2, tmp_path)
    with capsys.disabled():
        print(*(f"\n{name}: {read} read, {refused} refused" for name, (read, refused) in counts.items()))
    assert sum(map(sum, counts.values())) >= 9_900


@pytest.mark.parametrize("shape", [(9, 0, 25, 3), (0, 0, 25, 3), (5, 0, 3, 3)])
def test_arrays_of_nobody_are_refused_with_their_shape(shape: tuple[int, ...], tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros(shape))
    with pytest.raises(InputError, match="shape"):
        read_people(tmp_path / "a.npy", layout="body25")
