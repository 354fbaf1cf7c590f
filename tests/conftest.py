"""Settings of every test."""

from __future__ import annotations

import torch
from hypothesis import settings

# Many small operations: split over threads, each would wait for the slowest core (20 times slower on a busy machine).
torch.set_num_threads(1)

# The same examples in every run.
settings.register_profile("fixed", derandomize=True)
settings.load_profile("fixed")
