"""A detector's landmarks in space are put where the picture shows them, whatever a few of them say."""

from __future__ import annotations

import torch

from learnable_smplify.body import load_body
from learnable_smplify.camera import Camera
from learnable_smplify.solver.view.lift import lifted
from test_video import HEIGHT, LAYOUT, WIDTH, seen


def test_a_few_landmarks_that_are_elsewhere_do_not_move_the_person() -> None:
    body, camera = load_body(), Camera.guessed(WIDTH, HEIGHT)
    motion, track = seen(body, camera)
    assert track.world is not None
    world = track.world.clone()
    world[:, [13, 15, 17]] += torch.tensor([0.5, -0.4, 0.3])  # an arm
    placed = lifted(track.keypoints, world, camera)
    points = camera.to_camera(body.keypoints(motion.pose, motion.betas, motion.transl, layout=LAYOUT))
    legs = [23, 24, 25, 26, 27, 28]
    assert float((placed.positions - points)[:, legs].norm(dim=-1).mean()) < 0.02
