"""Calibrations of cameras: one file a format, `camera_file.read_cameras` is the door, and `placed` what all check."""
