"""Keypoints in: one file a format (which makes more than fifteen), and what the readers share."""
