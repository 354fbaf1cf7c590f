"""Fingers and wrists from hand keypoints: anatomy and its limits, a hand's Gauss-Newton, and its kernels."""
