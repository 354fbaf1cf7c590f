from __future__ import annotations

import pytest
import torch

from learnable_smplify.layouts.layout import load_layout
from learnable_smplify.network.graph import adjacency, inward_edges

# The graph the published checkpoints run on, (child, parent) from 1.
NTU = (
    "1-2 2-21 3-21 4-3 5-21 6-5 7-6 8-7 9-21 10-9 11-10 12-11 13-1 14-13 15-14 16-15 17-1 18-17 19-18 20-19 22-23 "
    "23-8 24-25 25-12"
)


def undirected(edges) -> set[frozenset[int]]:
    return {frozenset(edge) for edge in edges}


def test_the_body25_graph_has_the_edges_of_the_layout():
    assert undirected(inward_edges("body25")) == undirected(load_layout("body25").edges)


def test_the_ntu_graph_has_its_published_edges_of_which_eleven_are_bones_of_body25():
    edges = [tuple(int(end) - 1 for end in edge.split("-")) for edge in NTU.split()]
    assert list(inward_edges("ntu")) == edges
    assert len(undirected(edges) & undirected(load_layout("body25").edges)) == 11


@pytest.mark.parametrize(("graph", "centre"), [("body25", load_layout("body25").index("MidHip")), ("ntu", 20)])
def test_every_keypoint_has_one_way_to_the_centre(graph, centre):
    parent = dict(inward_edges(graph))
    assert len(inward_edges(graph)) == len(parent) == 24
    for node in range(25):
        steps = 0
        while node != centre:
            node, steps = parent[node], steps + 1
            assert steps < 25


@pytest.mark.parametrize("graph", ["body25", "ntu"])
def test_columns_sum_to_one_where_a_keypoint_has_neighbours(graph):
    sums = adjacency(graph).sum(dim=1)
    children, parents = (set(nodes) for nodes in zip(*inward_edges(graph), strict=True))
    expected = torch.tensor(
        [[1.0] * 25, [float(node in children) for node in range(25)], [float(node in parents) for node in range(25)]]
    )
    torch.testing.assert_close(sums, expected)


def test_inward_brings_the_parent_and_outward_the_mean_of_the_children():
    layout = load_layout("body25")
    wrist, elbow, shoulder = (layout.index(name) for name in ("LWrist", "LElbow", "LShoulder"))
    features = torch.arange(25.0)
    itself, inward, outward = features @ adjacency("body25")
    assert itself[elbow] == features[elbow]
    assert inward[elbow] == features[shoulder]
    assert outward[elbow] == features[wrist]
    ankle_children = [layout.index(name) for name in ("LBigToe", "LHeel")]
    assert outward[layout.index("LAnkle")] == features[ankle_children].mean()
