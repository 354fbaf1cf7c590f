"""Sizes that no person has are a matter of units; those of a part of a person are not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from learnable_smplify.keypoints import Keypoints
from learnable_smplify.layouts.layout import load_layout
from learnable_smplify.repair import repair_keypoints
from toy_recording import standing_person


def test_a_head_alone_is_no_matter_of_units():
    points = standing_person(40)
    head = np.array([name in ("Nose", "LEye", "REye", "LEar", "REar") for name in load_layout("body25").keypoint_names])
    face = Keypoints(torch.tensor(points), "body25", 30.0, torch.tensor(head).float().expand(40, -1))
    assert not any("units" in note for note in repair_keypoints(face)[0].notes)
    for small in (replace(face, positions=face.positions * 0.1), Keypoints(torch.tensor(points * 0.1), "body25", 30.0)):
        assert any("units are probably wrong" in note for note in repair_keypoints(small)[0].notes)
