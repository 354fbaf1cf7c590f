"""Files made to exhaust time or memory."""

from __future__ import annotations

import io
import json
import resource
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from learnable_smplify.errors import InputError
from learnable_smplify.formats.keypoints.keypoint_file import read_people
from learnable_smplify.formats.motion.amass import read_amass
from learnable_smplify.mocap.bvh import read_bvh
from test_mutated_files import BVH, MOST_MEGABYTES, no_hang, trc_text


def zip_bomb(name: str) -> bytes:
    """A third of a megabyte that unpacks to 300 MB of zeros, with an honest header."""
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, {"descr": "<f4", "fortran_order": False, "shape": (1_000_000, 25, 3)})
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive, archive.open(f"{name}.npy", "w") as member:
        member.write(head.getvalue())
        for _ in range(300):
            member.write(bytes(1_000_000))
    return stream.getvalue()


def hostile_header(descr: str, shape: str) -> bytes:
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}"
    text += " " * (118 - len(text) % 64) + "\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode() + bytes(64)


HOSTILE: dict[str, tuple[str, Callable[[], bytes]]] = {
    "deep JSON": ("a.json", lambda: b"[" * 200_000),
    "deep JSON objects": ("a.json", lambda: b'{"people":' * 100_000),
    "deep landmarks": ("a.json", lambda: b'{"landmarks":' * 500 + b"[]" + b"}" * 500),
    "a number of a million digits": (
        "a.json",
        lambda: b'{"people": [{"pose_keypoints_3d": [' + b"9" * 1_000_000 + b"]}]}",
    ),
    "empty frames only": ("a.json", lambda: b"[" + b"[]," * 500_000 + b"[]]"),
    "one person and empty frames": (
        "a.json",
        lambda: json.dumps([[{"x": 1, "y": i, "z": 0} for i in range(33)]])[:-1].encode() + b",[]" * 500_000 + b"]",
    ),
    "a TRC with a very long line of names": ("a.trc", lambda: trc_text().replace("Nose", "Nose\t" * 300_000).encode()),
    "a CSV with a very long header": ("a.csv", lambda: b",".join(b"n%d_x" % i for i in range(100_000)) + b"\n"),
    "a zip bomb": ("a.npz", lambda: zip_bomb("keypoints")),
    "a giant npy": ("a.npy", lambda: hostile_header("'<f8'", "(1000000000, 25, 3)")),
    "an npy of objects": ("a.npy", lambda: hostile_header("'|O'", "(4, 25, 3)")),
    "an npy of nothing": ("a.npy", lambda: hostile_header("'<U0'", "(1000000000000,)")),
    "an npy with a nested header": ("a.npy", lambda: hostile_header("'<f4'", "(" * 900 + ")" * 900)),
    "an npy of negative size": ("a.npy", lambda: hostile_header("'<f4'", "(-1, 25, 3)")),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_file_made_to_exhaust_memory_or_time_is_refused(name: str, tmp_path: Path) -> None:
    file, make = HOSTILE[name]
    (tmp_path / file).write_bytes(make())
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with no_hang(), pytest.raises(InputError) as caught:
        read_people(tmp_path / file, layout="body25" if file == "a.npy" else None)
    assert len(str(caught.value)) < 3000
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory) / 1024 < MOST_MEGABYTES


def test_hostile_headers_inside_an_archive_are_refused(tmp_path: Path) -> None:
    for name, (file, make) in HOSTILE.items():
        if file == "a.npy":
            with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
                archive.writestr("poses.npy", make())
                archive.writestr("keypoints.npy", make())
            for read in (read_amass, read_people):
                with no_hang(), pytest.raises(InputError):
                    read(tmp_path / "a.npz")
            (tmp_path / "a.npz").unlink()
            assert name
    (tmp_path / "a.npz").write_bytes(zip_bomb("poses"))
    with no_hang(), pytest.raises(InputError, match="unpack"):
        read_amass(tmp_path / "a.npz")


def test_a_motion_that_promises_a_billion_frames_or_nests_a_thousand_joints_is_refused(tmp_path: Path) -> None:
    joint = "JOINT j{}\n{{\nOFFSET 0 1 0\nCHANNELS 3 Zrotation Xrotation Yrotation\n"
    deep = BVH.replace("JOINT LeftUpLeg\n  {", "".join(joint.format(i) for i in range(3000)) + "JOINT LeftUpLeg\n  {")
    for text in (BVH.replace("Frames: 3", "Frames: 1000000000"), deep):
        (tmp_path / "a.bvh").write_text(text)
        with no_hang(), pytest.raises(InputError):
            read_bvh(tmp_path / "a.bvh")
