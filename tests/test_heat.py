"""Uncertainty as colours on the mesh."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from learnable_smplify.body import load_body
from learnable_smplify.body.normals import vertex_normals
from learnable_smplify.motion import Motion
from learnable_smplify.view.figure import Figure
from learnable_smplify.view.heat import (
    HEAT_COLORS,
    UNKNOWN_COLOR,
    color_parts,
    legend_html,
    part_colors,
    ramp,
    scale_top_deg,
)
from toy_motion import drifting_transl, swinging_poses


@pytest.fixture(scope="module")
def body():
    return load_body()


def test_colour_parts_cover_every_triangle_once(body):
    arrays = body.arrays
    drawn = []
    for part in color_parts(arrays.weights, arrays.faces):
        assert part.mix.sum() == pytest.approx(1)
        own = ~part.hem[part.faces].any(axis=1)
        drawn.append(part.vertices[part.faces[own]])
    order = np.lexsort(np.sort(np.concatenate(drawn), axis=1).T)
    expected = np.sort(arrays.faces, axis=1)
    np.testing.assert_array_equal(
        np.sort(np.concatenate(drawn), axis=1)[order], expected[np.lexsort(expected.T)].astype(np.int64)
    )


def test_no_seam_shows_between_colour_parts(body):
    figure = Figure(body, Motion(swinging_poses(24), drifting_transl(24), torch.full((10,), 0.5)))
    vertices = figure.vertices(5)
    whole = vertex_normals(vertices, figure.faces).astype(np.float32)
    cosines = []
    for part in color_parts(figure.mesh.body_weights, figure.faces):
        posed = part.posed(vertices, whole)
        np.testing.assert_array_equal(posed[~part.hem], vertices[part.vertices[~part.hem]])
        assert np.abs(posed[part.hem] - vertices[part.vertices[part.hem]]).max(initial=0) < 0.001
        alone = vertex_normals(posed, part.faces)
        # An open piece has no inside to tell the way round by.
        agree = np.einsum("va,va->v", alone, whole[part.vertices])[~part.hem]
        cosines.append(agree * np.sign(np.median(agree)))
    angles = np.rad2deg(np.arccos(np.clip(np.concatenate(cosines), -1, 1)))
    assert np.percentile(angles, 95) < 3
    assert np.median(angles) < 0.1


def test_a_joint_colours_the_part_it_turns_and_unknown_joints_are_grey(body):
    parts = color_parts(body.arrays.weights, body.arrays.faces)
    uncertainty = np.zeros(24)
    uncertainty[18] = 10.0  # left elbow
    uncertainty[21] = np.nan  # right wrist
    colors = part_colors(parts, uncertainty, 10.0)
    for part, color in zip(parts, colors, strict=True):
        if part.mix[18] == 1:
            assert tuple(color) == HEAT_COLORS[2]
        if part.mix[18] == 0.5 and not part.mix[21]:
            assert tuple(color) == HEAT_COLORS[1]
        if part.mix[21] == 1:
            assert tuple(color) == UNKNOWN_COLOR
        if part.mix[21] == 0.5 and not part.mix[18]:
            assert tuple(color) == HEAT_COLORS[0]
    assert any(part.mix[18] == 1 for part in parts)
    assert any(part.mix[18] == 0.5 for part in parts)


def test_a_ramp_clips_and_marks_what_is_not_a_number():
    colors = ramp(np.array([-1.0, 0.0, 0.25, 2.0, np.nan]), ((0, 0, 0), (100, 50, 0), (200, 0, 0)))
    assert colors.tolist() == [[0, 0, 0], [0, 0, 0], [50, 25, 0], [200, 0, 0], list(UNKNOWN_COLOR)]


def test_the_scale_ends_on_a_multiple_of_five_degrees_above_the_values():
    values = np.full((50, 24), 7.0)
    values[:, 22:] = np.nan
    assert scale_top_deg(values) == 10.0
    assert scale_top_deg(np.zeros((2, 24))) == 5.0
    assert scale_top_deg(np.full((2, 24), np.nan)) == 5.0
    assert "10° or more" in legend_html(10.0)
