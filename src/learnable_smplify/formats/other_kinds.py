"""Files given to the wrong command: what they are, and what to type instead."""

from __future__ import annotations

from pathlib import Path

_IMPORT = "lsmplify import-motion {path} -o OUT"
_FIT = "lsmplify fit {path} -o motion.npz"
_CONVERT = "lsmplify convert {path} -o OUT.npz (or refine {path} KEYPOINTS)"
_VIDEO = "lsmplify video {path} -o motion.npz (or another pose estimator, then lsmplify fit KEYPOINTS)"
_DETECT = "run a pose estimator on it, then lsmplify fit KEYPOINTS, or lsmplify convert RESULT"
_ANGLES = "the recording that it was made from: lsmplify fit KEYPOINTS"
# By suffix: what such a file is, and the command for it.
_KINDS: dict[str, tuple[str, str]] = {
    **dict.fromkeys((".bvh", ".amc", ".glb"), ("motion capture: a skeleton in motion", _IMPORT)),
    ".asf": ("the skeleton of a motion capture", "lsmplify import-motion its .amc -o OUT"),
    **dict.fromkeys(
        (".fbx", ".gltf", ".usd", ".usdz", ".vrma"),
        ("an animation of a kind that is not read", "save it as .glb or .bvh"),
    ),
    **dict.fromkeys((".mvn", ".mvnx"), ("a recording of Xsens MVN", "export .bvh, then lsmplify import-motion")),
    ".tak": ("a take of Motive", "export .csv or .c3d, then lsmplify fit"),
    ".qtm": ("a measurement of Qualisys", "export .tsv or .c3d, then lsmplify fit"),
    **dict.fromkeys((".xlsx", ".xls", ".ods"), ("a spreadsheet", "save it as .csv")),
    **dict.fromkeys(
        (".h5", ".hdf5", ".mat", ".parquet", ".feather"), ("a container that is not read", "save it as .csv or .npz")
    ),
    **dict.fromkeys((".zip", ".gz", ".tar", ".tgz", ".7z"), ("an archive", "unpack it")),
    **dict.fromkeys((".pkl", ".pk", ".pt", ".pth"), ("an estimator's result, or a model", _CONVERT)),
    **dict.fromkeys((".mp4", ".mov", ".avi", ".mkv", ".webm"), ("a video", _VIDEO)),
    **dict.fromkeys((".jpg", ".jpeg", ".png"), ("a picture", _DETECT)),
    **dict.fromkeys((".mot", ".sto"), ("a table of joint angles or forces", _ANGLES)),
    **dict.fromkeys((".osim", ".xml", ".urdf"), ("a model without motion", _ANGLES)),
    **dict.fromkeys((".trc", ".c3d", ".csv", ".skeleton"), ("a recording of keypoints or markers", _FIT)),
}


def other_kind(path: Path) -> tuple[str, str] | None:
    """What a file of this suffix is and the command for it; None for suffixes that say nothing."""
    kind = _KINDS.get(path.suffix.lower())
    return None if kind is None else (kind[0], kind[1].format(path=path))
