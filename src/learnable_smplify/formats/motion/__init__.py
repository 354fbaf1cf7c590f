"""SMPL motion, in and out: one file a format."""
