"""Bodies: SMPL-format models and the geometry of their keypoints."""

from learnable_smplify.body.body import Body, load_body

__all__ = ["Body", "load_body"]
