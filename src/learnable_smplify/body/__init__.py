"""Bodies: SMPL-format models with and without fingers, and the geometry of their keypoints: more than fifteen files."""

from learnable_smplify.body.body import Body, body_of_motion, load_body
from learnable_smplify.body.open_body import OPEN_BODIES

__all__ = ["OPEN_BODIES", "Body", "body_of_motion", "load_body"]
