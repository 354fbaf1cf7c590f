"""`solver.frame.damping` and what robust terms weigh, one number at a time."""

from __future__ import annotations

import numpy as np

from learnable_smplify.kernels.jit import part
from learnable_smplify.solver.frame.damping import FIRST_GROWTH, LEAST_FORETOLD, LEAST_LEFT, MOST_DAMPING

_ZERO, _ONE, _TWO = np.float32(0), np.float32(1), np.float32(2)
_LEAST_LEFT, _MOST_DAMPING = np.float32(LEAST_LEFT), np.float32(MOST_DAMPING)
_FIRST_GROWTH, _LEAST_FORETOLD = np.float32(FIRST_GROWTH), np.float32(LEAST_FORETOLD)


@part
def after_step(damping, growth, better, gained, foretold):
    """Damping and its growth after a step, as `Damping.after`."""
    if better:
        gain = _TWO * gained / max(foretold, _LEAST_FORETOLD) - _ONE
        return damping * max(_ONE - gain * gain * gain, _LEAST_LEFT), _FIRST_GROWTH
    return damping * growth, growth * _TWO


@part
def is_stuck(damping):
    """Whether no step helps any more."""
    return damping > _MOST_DAMPING


@part
def robust_error(squared, scale):
    """Geman-McClure's error for a squared one; `scale` is squared too, 0 for squares."""
    return squared / (_ONE + squared / scale) if scale > _ZERO else squared


@part
def kept_pull(squared, scale):
    """The share of its pull that something so far off keeps: the derivative of `robust_error`."""
    if scale > _ZERO:
        drop = _ONE / (_ONE + squared / scale)
        return drop * drop
    return _ONE
