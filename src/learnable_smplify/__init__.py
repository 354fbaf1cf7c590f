"""learnable-smplify: 3D keypoints in, SMPL motion out.

Everything a program needs is here; the rooms behind it follow the data's way:
`formats` (files) -> `keypoints` + `layouts` -> `body` (geometry) -> `solver` -> `motion` -> `formats`, `render`.
"""

from learnable_smplify import metrics
from learnable_smplify.body import Body, load_body
from learnable_smplify.errors import InputError, LsmplifyError, MissingExtraError
from learnable_smplify.formats.keypoint_file import read_keypoints
from learnable_smplify.formats.motion_file import read_motion, write_motion
from learnable_smplify.keypoints import Keypoints
from learnable_smplify.layouts.layout import Layout, layout_names, load_layout
from learnable_smplify.motion import Motion
from learnable_smplify.network.weights import load_network
from learnable_smplify.solver import Solver

__version__ = "0.1.0"

__all__ = [
    "Body",
    "InputError",
    "Keypoints",
    "Layout",
    "LsmplifyError",
    "MissingExtraError",
    "Motion",
    "Solver",
    "layout_names",
    "load_body",
    "load_layout",
    "load_network",
    "metrics",
    "read_keypoints",
    "read_motion",
    "write_motion",
]
