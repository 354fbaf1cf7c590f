"""A plain layout for data sets whose own files are not read here, LucidAction until its files are seen among them.

Any number of `.npz` files in any folders, one person's sequence in each:

| key | shape | |
|---|---|---|
| `global_orient` | (T, 3) | rotvec [rad] |
| `body_pose` | (T, 63) or (T, 69) | rotvec [rad]: SMPL-H's and SMPL-X's 21 joints or SMPL's 23 |
| `transl` | (T, 3) | metres |
| `betas` | (N,) | |
| `fps` | () | frames a second |
| `gender` | () | text; "neutral" where missing |
| `body` | () | "smpl", "smplh" or "smplx"; told by the columns of `body_pose` where missing |
| `valid` | (T,) | bool, frames to be used; all where missing |
| `subject` | () | text; the name of the folder where missing |
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from learnable_smplify.datasets.sequence import DatasetSequence, folder_below, sequence_of
from learnable_smplify.safe_files.keyed import Keyed
from learnable_smplify.safe_files.npz import read_npz
from learnable_smplify.timeline import is_rate

LAYOUT = "FOLDER/NAME.npz with global_orient, body_pose, transl, betas and fps"
_BODIES = ("smpl", "smplh", "smplx")


def read_generic(root: Path, split: str | None = None) -> Iterator[DatasetSequence]:
    """Every `.npz` below `root`, in the layout above.

    Args:
        root: any folder.
        split: a folder below it; None reads all.

    Raises:
        InputError: a key that is missing or of another shape; names file and key.
    """
    for path in sorted(folder_below(root, split).rglob("*.npz")):
        found = Keyed(path, read_npz(path), None, "the generic layout")
        orient = found.numbers("global_orient", shape=(None, 3), finite=False)
        frames = len(orient)
        body_pose = found.numbers("body_pose", finite=False)
        if body_pose.shape not in ((frames, 63), (frames, 69)):
            raise found.fail(f"'body_pose' has shape {body_pose.shape}", f"({frames}, 63) or ({frames}, 69)")
        body = found.word("body", "smpl" if body_pose.shape[1] == 69 else "smplx").lower()
        if body not in _BODIES:
            raise found.fail(f"'body' is '{body[:40]}'", " or ".join(_BODIES))
        fps = found.numbers("fps", "mocap_frame_rate", "mocap_framerate")
        if fps.size != 1 or not is_rate(float(fps.reshape(-1)[0])):
            raise found.fail("'fps' is no frame rate", "one number above 0")
        yield sequence_of(
            name=path.relative_to(root).with_suffix("").as_posix(),
            subject=found.word("subject", path.parent.name),
            pose=np.concatenate((orient, body_pose), axis=1),
            transl=found.numbers("transl", shape=(frames, 3), finite=False),
            betas=found.numbers("betas", shape=(None,)),
            gender=found.gender(default="neutral"),
            fps=float(fps.reshape(-1)[0]),
            body=body,
            valid=found.numbers("valid", shape=(frames,)) if found.has("valid") else None,
            path=path,
        )
