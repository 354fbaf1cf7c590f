"""Structure-aware fuzzing of every reader: files that are nearly right. A script: python tests/fuzz.py COUNT [SEED].

Values of an estimator, a recording, a camera are made with wrong ranks, dtypes, keys and sizes, written in each of the
kinds of files, or as pickles whose instructions refer to one another; texts come with byte order marks, Windows' line
ends and digits of other scripts. A reader may answer with numbers or an `InputError`, within two seconds and 500 MB.
"""

from __future__ import annotations

import io
import json
import pickle
import random
import resource
import sys
import tempfile
import time
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

SECONDS, MEGABYTES = 2.0, 500
NUMBERS = (0, 1, -1, 2, 3, 0.5, 1e30, 1e-30, 2**31, 2**63, -(2**63), 10**400, float("nan"), float("inf"), True)
WORDS = ("", "body25", "../../etc/passwd", "[/b]", "\x1b[2J", "\ufeff", "١٢", "a" * 300, "neutral", "m", "é\n", "NaN")
DTYPES = ("f4", "f8", ">f8", "f2", "i1", "i8", "u1", "u8", "?", "c8", "S3", "U2", "O")
ESTIMATE_KEYS = (
    *("global_orient", "body_pose", "betas", "transl", "smpl_params_global", "smpl_params_incam", "pred_rotmat"),
    *("pred_shape", "pred_trans", "frame", "pose", "trans", "verts", "frame_ids", "pose_world", "trans_world", "poses"),
    *("tid", "smpl", "camera", "time", "tracked_time", "gender", "mocap_framerate", "id", "Rh", "Th", "shapes"),
)
NAMES = (
    *(b"numpy.core.multiarray\n_reconstruct", b"numpy\nndarray", b"numpy\ndtype", b"numpy.core.multiarray\nscalar"),
    *(
        b"_codecs\nencode",
        b"builtins\nset",
        b"builtins\nlist",
        b"builtins\ndict",
        b"builtins\ntuple",
        b"builtins\nbytes",
    ),
    *(b"collections\nOrderedDict", b"copyreg\n_reconstructor", b"scipy.sparse\ncsc_matrix", b"chumpy.ch\nCh"),
    *(b"torch._utils\n_rebuild_tensor_v2", b"torch.storage\n_load_from_bytes", b"torch\nFloatStorage", b"os\nsystem"),
    *(b"joblib.numpy_pickle\nNumpyArrayWrapper", b"numpy.core.numeric\n_frombuffer", b"builtins\ncomplex"),
)


def array(chance: random.Random) -> np.ndarray:
    """Of any rank and dtype; often of a shape that an estimator has."""
    usual = ((4, 3), (4, 63), (4, 69), (4, 72), (4, 10), (10,), (1, 10), (4,), (4, 24, 3, 3), (2, 4, 3), (4, 25, 3), ())
    shape = (
        chance.choice(usual)
        if chance.random() < 0.7
        else tuple(chance.choices((0, 1, 2, 3, 4, 25), k=chance.randint(0, 5)))
    )
    values = np.random.default_rng(chance.randrange(1 << 30)).normal(size=shape)
    if chance.random() < 0.1:
        values = np.where(values > 1, np.nan, values)
    with np.errstate(all="ignore"):
        kind = chance.choice(DTYPES) if chance.random() < 0.3 else "f8"
        return values.astype(kind, casting="unsafe") if kind != "O" else values.astype(object)


def value(chance: random.Random, depth: int = 0) -> Any:
    """An array, a scalar, or a container of values, some of which are the same object."""
    kind = chance.random()
    if kind < 0.45 or depth > 3:
        return array(chance)
    if kind < 0.6:
        return chance.choice((*NUMBERS, *WORDS, None, b"x"))
    if kind < 0.7:
        return torch.from_numpy(np.asarray(np.random.default_rng(chance.randrange(99)).normal(size=(4, 3))))
    if kind < 0.85:
        one = value(chance, depth + 1)
        return chance.choice(([one] * chance.randint(0, 4), (one, one), [value(chance, depth + 1), one]))
    return content(chance, depth + 1)


def content(chance: random.Random, depth: int = 0) -> dict[Any, Any]:
    """A dictionary with some of the keys that estimators use."""
    keys: list[Any] = chance.sample(ESTIMATE_KEYS, chance.randint(0, 8))
    if chance.random() < 0.2:
        keys.append(chance.choice((0, 1, None, b"k", 2.5, "0", *WORDS)))
    return {key: value(chance, depth + 1) for key in keys}


def program(chance: random.Random) -> bytes:
    """Instructions of a pickle in random order, which refer to one another through the memo."""
    parts, stored = [b"\x80" + bytes([chance.choice((2, 3, 4, 5))])], 0
    for _ in range(chance.randint(3, 60)):
        kind = chance.randrange(8)
        if kind == 0:
            parts.append(
                chance.choice((b"]", b"}", b")", b"N", b"\x88", b"\x8f", b"K\x03", b"G?\xf0\0\0\0\0\0\0", b"("))
            )
        elif kind == 1:
            word = chance.choice(WORDS).encode("utf-8")[:255]
            parts.append(b"\x8c" + bytes([len(word)]) + word)
        elif kind == 2:
            parts.append(b"c" + chance.choice(NAMES) + b"\n")
        elif kind == 3:
            parts.append(b"q" + bytes([stored % 256]))
            stored += 1
        elif kind == 4 and stored:
            parts.append(b"h" + bytes([chance.randrange(min(stored, 256))]))
        elif kind == 5:
            parts.append(
                chance.choice((b"R", b"b", b"\x81", b"\x85", b"\x86", b"\x87", b"t", b"l", b"d", b"\x91", b"o"))
            )
        elif kind == 6:
            parts.append(chance.choice((b"a", b"e", b"s", b"u", b"\x90", b"0", b"1", b"2", b"\x92", b"Q", b"\x93")))
        else:
            number = chance.choice((0, 1, 2**31 - 1, 2**62, 2**64, 2**61 - 1, -1))
            parts.append(b"\x8a\x0a" + number.to_bytes(10, "little", signed=True))
    return b"".join(parts) + b"."


def bent(data: bytes, chance: random.Random) -> bytes:
    """The same with words, numbers or pieces exchanged."""
    for _ in range(chance.choice((0, 0, 1, 1, 2, 4))):
        old, new = chance.choice(
            ((b"f8", b"O8"), (b"f8", b"S9"), (b"K\x04", b"K\xff"), (b"K\x03", b"N"), (b"<", b">"), (b"R", b"0"))
        )
        place = data.find(old, chance.randrange(max(1, len(data))))
        if place >= 0 and chance.random() < 0.5:
            data = data[:place] + new + data[place + len(old) :]
        elif data:
            place = chance.randrange(len(data))
            data = data[:place] + chance.randbytes(chance.randint(0, 2)) + data[place + chance.randint(0, 3) :]
    return data


def pickled(chance: random.Random) -> bytes:
    data = program(chance) if chance.random() < 0.4 else pickle.dumps(content(chance), chance.randint(0, 5))
    data = bent(data, chance)
    return zlib.compress(data) if chance.random() < 0.1 else data


def npz(chance: random.Random) -> bytes:
    names = (*ESTIMATE_KEYS, "keypoints", "confidence", "layout", "fps", "up_axis", "person_id")
    arrays = {name: np.asarray(array(chance)) for name in chance.sample(names, 6)}
    if chance.random() < 0.6:
        arrays["keypoints"] = array(chance)
        arrays["layout"] = np.array(chance.choice(WORDS))
        arrays["person_id"] = np.array(chance.choice(WORDS))
    stream = io.BytesIO()
    chance.choice((np.savez, np.savez_compressed))(stream, **arrays)
    return bent(stream.getvalue(), chance) if chance.random() < 0.4 else stream.getvalue()


def npy(chance: random.Random) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array(chance) if chance.random() < 0.5 else np.array(content(chance), dtype=object))
    return bent(stream.getvalue(), chance)


def torch_file(chance: random.Random) -> bytes:
    stream, packed = io.BytesIO(), io.BytesIO()
    tensors = {
        key: torch.zeros(chance.choice(((4, 3), (4, 63), (0,), (1, 4, 3)))) for key in chance.sample(ESTIMATE_KEYS, 4)
    }
    torch.save(
        {"smpl_params_global": tensors, "model": tensors}, stream, _use_new_zipfile_serialization=chance.random() < 0.7
    )
    if not stream.getvalue().startswith(b"PK"):
        return bent(stream.getvalue(), chance)
    with zipfile.ZipFile(stream) as old, zipfile.ZipFile(packed, "w") as new:
        for name in old.namelist():
            data = old.read(name)
            new.writestr(
                name,
                (program(chance) if chance.random() < 0.2 else bent(data, chance)) if name.endswith("pkl") else data,
            )
    return packed.getvalue()


def tree(chance: random.Random, depth: int = 0) -> Any:
    if depth > 3 or chance.random() < 0.5:
        return chance.choice((*NUMBERS, *WORDS, None, [], {}, [1, 2, 3], [[1, 0, 0], [0, 1, 0], [0, 0, 1]]))
    if chance.random() < 0.5:
        return [tree(chance, depth + 1)] * chance.randint(1, 4)
    return {chance.choice((*WORDS, *ESTIMATE_KEYS)): tree(chance, depth + 1) for _ in range(3)}


def jsons(chance: random.Random) -> bytes:
    """A camera, offsets, 2D keypoints, or landmarks, with one or two values that are something else."""
    landmarks = [{"x": 0.1, "y": 0.2, "z": 0.3, "visibility": 1}] * chance.choice((33, 33, 32, 1))
    rows = [[1, 2, 3]] * chance.choice((25, 17, 4))
    names = ["Nose", "Neck", "MidHip", "LWrist", "RWrist", "LKnee", "RKnee", "LHip", chance.choice(WORDS)]
    made: Any = chance.choice(
        (
            {
                "fx": 1,
                "fy": 1,
                "cx": 0,
                "cy": 0,
                "R": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
                "t": [0, 0, 1],
                "up_axis": "y",
            },
            {
                "format": "learnable-smplify offsets 1",
                "layout": "body25",
                "keypoints": {"Nose": {"joint": "head", "offset": [0, 0, 0]}},
            },
            {"layout": "body25", "fps": 30, "keypoints": [rows] * 3},
            {"fps": 30, "frames": [{"timestamp_ms": 33, "pose_world_landmarks": landmarks}] * 2},
            [landmarks] * 2,
            {"frames": [{"time": 0.1 * t, "joints": {name: [0.1, 1, t] for name in names}} for t in range(3)]},
            {"fps": 30, **{name: [[0.1, 1, 2], None, [1, 2, 3]] for name in names}},
            {"joint_names": names, "frames": [{"bodies": [{"id": 1, "joint_positions": rows}]}] * 2},
            {
                "instance_info": [
                    {"frame_id": 1, "instances": [{"keypoints": rows, "keypoint_scores": [1] * len(rows)}]}
                ]
            },
            {"people": [{"pose_keypoints_3d": [0.1] * 100, "person_id": [-1]}]},
            [
                {
                    "id": 0,
                    "keypoints3d": [[0.1, 0.2, 0.3, 1]] * 25,
                    "Rh": [[0, 0, 0]],
                    "Th": [[0, 0, 0]],
                    "poses": [[0] * 72],
                    "shapes": [[0] * 10],
                }
            ],
        )
    )
    for _ in range(chance.randint(0, 2)):
        if isinstance(made, dict) and made:
            made[chance.choice((*made, *WORDS))] = tree(chance)
        elif isinstance(made, list) and made:
            made = [*made[:1], tree(chance)]
    return dressed(json.dumps(made), chance)


def dressed(text: str, chance: random.Random) -> bytes:
    """Text with the marks that editors and other countries leave in it."""
    if chance.random() < 0.2:
        text = text.replace("\n", "\r\n")
    if chance.random() < 0.2:
        text = text.translate(
            str.maketrans("0123456789", chance.choice(("٠١٢٣٤٥٦٧٨٩", "０１２３４５６７８９", "०१२३४५६७८९")))
        )
    if chance.random() < 0.1:
        text = text.replace(",", ";").replace(".", ",")
    data = text.encode(chance.choice(("utf-8", "utf-8-sig", "utf-16", "utf-8")))
    return bent(data, chance) if chance.random() < 0.3 else data


def table(chance: random.Random) -> bytes:
    from learnable_smplify.layouts.layout import load_layout

    names = list(load_layout(chance.choice(("body25", "coco17"))).keypoint_names)
    names += chance.choices(WORDS, k=chance.randint(0, 2))
    chance.shuffle(names)
    cells = [f"{name}_{axis}" for name in names for axis in chance.choice(("xyz", "xyz", "xyzc", "xy"))]
    rows = [",".join(str(chance.choice((0.1, 1.5, "", "nan", "x", 1e9, "1_0"))) for _ in cells) for _ in range(3)]
    return dressed("\n".join((",".join(cells), *rows)), chance)


def trc(chance: random.Random) -> bytes:
    from learnable_smplify.layouts.layout import load_layout

    names = [*load_layout("body25").keypoint_names, *chance.choices(WORDS, k=chance.randint(0, 1))]
    rate = chance.choice((60, 0, "x", 1e400))
    head = "PathFileType\t4\t(X/Y/Z)\ta.trc\nDataRate\tNumFrames\tNumMarkers\tUnits\n"
    head += f"{rate}\t2\t{len(names)}\tmm"
    line = "\t\t\t".join(names)
    rows = "\n".join(
        f"{t}\t{t / 60}\t" + "\t".join(str(chance.choice((100, 1.5, "", "nan"))) for _ in range(3 * len(names)))
        for t in range(2)
    )
    return dressed(f"{head}\nFrame#\tTime\t{line}\n\n{rows}\n", chance)


def toml(chance: random.Random) -> bytes:
    lines = [f'name = "{chance.choice(("toy", "x"))}"', 'edges = [["Hip", "Knee"]]', "[keypoints]"]
    keys, points = ("Hip", "Knee", "A", "a.b.c"), ("0.5", '"left_knee"', "{ left_hip = 0.5 }", "[]")
    lines += [f"{chance.choice(keys)} = {chance.choice(points)}" for _ in range(4)]
    lines += chance.sample(
        ("[aliases]", 'K = "Knee"', "[bones]", 'left_hip = "LeftUpLeg"', "a = 1e999", f"b = {10**400}"), 3
    )
    return dressed("\n".join(lines), chance)


# Kind of file -> what makes one, its name, and the readers (`limited.readers`) that are given it.
KINDS: dict[str, tuple[Callable[[random.Random], bytes], str, tuple[str, ...]]] = {
    "pickle": (pickled, "a.pkl", ("joblib", "estimate")),
    "npz": (npz, "a.npz", ("keypoints", "estimate", "detections")),
    "npy": (npy, "a.npy", ("npy", "keypoints of body25", "estimate")),
    "torch": (torch_file, "a.pt", ("torch", "estimate")),
    "json": (jsons, "a.json", ("camera", "offsets", "keypoints", "estimate", "2D keypoints", "detections")),
    "csv": (table, "a.csv", ("keypoints", "detections")),
    "trc": (trc, "a.trc", ("keypoints",)),
    "toml": (toml, "a.toml", ("layout", "bone map")),
}


def fuzz(count: int, seed: int, folder: Path) -> tuple[Counter[str], list[str]]:
    """Give readers `count` inputs: how many were read and refused, and what went wrong."""
    from learnable_smplify.errors import LsmplifyError
    from limited import readers

    read_as, counts, failures = readers(), Counter[str](), list[str]()
    done = 0
    while done < count:
        chance = random.Random(f"{seed} {done}")
        kind = chance.choice(list(KINDS))
        make, name, names = KINDS[kind]
        data = make(chance)
        path = folder / name
        path.write_bytes(data)
        for reader in names:
            done += 1
            began, before = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            try:
                read_as[reader](path)
                counts["read"] += 1
            except LsmplifyError as error:
                counts["refused"] += 1
                if len(str(error)) > 5000:
                    failures.append(f"{kind} {reader}: a message of {len(str(error))} letters")
            except Exception as error:
                failures.append(f"{kind} {reader} {done}: {type(error).__name__}: {str(error)[:200]}")
                (folder / f"failed{len(failures)}{path.suffix}").write_bytes(data)
            spent = time.process_time() - began
            grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
            if spent > SECONDS or grown > MEGABYTES:
                failures.append(f"{kind} {reader} {done}: {spent:.1f} s, {grown:.0f} MB")
    return counts, failures


if __name__ == "__main__":
    torch.set_num_threads(1)
    where = Path(tempfile.mkdtemp(prefix="fuzz"))
    found, wrong = fuzz(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0, where)
    print(
        f"{found.total() + len(wrong)} inputs: {found['read']} read, {found['refused']} refused, "
        f"{len(wrong)} failed ({where})"
    )
    print(*wrong[:40], sep="\n")
