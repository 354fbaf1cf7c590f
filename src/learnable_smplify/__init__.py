"""learnable-smplify: 3D keypoints in, SMPL motion out.

Everything a program needs is here; the rooms behind it follow the data's way:
`formats` (files) -> `keypoints` + `layouts` -> `body` (geometry) -> `solver` -> `motion` -> `formats`, `render`.

The values that pass between rooms lie beside this file, one each, so there are more than fifteen.

Names are imported when they are first used: torch takes a second to load, which `lsmplify --version` need not wait for.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from learnable_smplify import metrics
    from learnable_smplify.body import Body, load_body
    from learnable_smplify.camera import Camera
    from learnable_smplify.errors import InputError, LsmplifyError, MissingExtraError
    from learnable_smplify.formats.cameras.camera_file import read_camera
    from learnable_smplify.formats.detections.keypoints2d_json import read_keypoints2d
    from learnable_smplify.formats.keypoints.keypoint_file import read_keypoints, read_people
    from learnable_smplify.formats.motion.joint_angles import joint_angle_table
    from learnable_smplify.formats.motion.motion_file import read_motion, write_motion
    from learnable_smplify.keypoints import Keypoints
    from learnable_smplify.keypoints2d import Keypoints2D
    from learnable_smplify.layouts.layout import Layout, layout_names, load_layout
    from learnable_smplify.motion import Motion
    from learnable_smplify.network.weights import load_network
    from learnable_smplify.refine import refine_by_views, refine_motion
    from learnable_smplify.repair import RepairOptions
    from learnable_smplify.solver import ClipOptions, RecordingOptions, SmplifyOptions, Solver
    from learnable_smplify.views import View

__version__ = "0.1.0"

# Where each public name lives; a module of the package itself lives nowhere else.
_PLACES = {
    "Body": "body",
    "Camera": "camera",
    "ClipOptions": "solver",
    "InputError": "errors",
    "joint_angle_table": "formats.motion.joint_angles",
    "Keypoints": "keypoints",
    "Keypoints2D": "keypoints2d",
    "Layout": "layouts.layout",
    "layout_names": "layouts.layout",
    "load_body": "body",
    "load_layout": "layouts.layout",
    "load_network": "network.weights",
    "LsmplifyError": "errors",
    "MissingExtraError": "errors",
    "Motion": "motion",
    "read_camera": "formats.cameras.camera_file",
    "read_keypoints": "formats.keypoints.keypoint_file",
    "read_keypoints2d": "formats.detections.keypoints2d_json",
    "read_motion": "formats.motion.motion_file",
    "read_people": "formats.keypoints.keypoint_file",
    "RecordingOptions": "solver",
    "refine_by_views": "refine",
    "refine_motion": "refine",
    "RepairOptions": "repair",
    "SmplifyOptions": "solver",
    "Solver": "solver",
    "View": "views",
    "write_motion": "formats.motion.motion_file",
    "metrics": "",
}

__all__ = [
    "Body",
    "Camera",
    "ClipOptions",
    "InputError",
    "Keypoints",
    "Keypoints2D",
    "Layout",
    "LsmplifyError",
    "MissingExtraError",
    "Motion",
    "RecordingOptions",
    "RepairOptions",
    "SmplifyOptions",
    "Solver",
    "View",
    "joint_angle_table",
    "layout_names",
    "load_body",
    "load_layout",
    "load_network",
    "metrics",
    "read_camera",
    "read_keypoints",
    "read_keypoints2d",
    "read_motion",
    "read_people",
    "refine_by_views",
    "refine_motion",
    "write_motion",
]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'learnable_smplify' has no attribute '{name}'")
    place = _PLACES[name]
    value = getattr(import_module(f"{__name__}.{place}"), name) if place else import_module(f"{__name__}.{name}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted((*globals(), *__all__))
