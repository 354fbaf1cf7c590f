"""The skeleton graphs that the ST-GCN passes messages along, as three adjacency matrices.

Source: Yan, Xiong, Lin 2018, "Spatial Temporal Graph Convolutional Networks", spatial partitioning.
"""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from learnable_smplify.layouts.layout import load_layout

GraphName = Literal["body25", "ntu"]

NUM_NODES = 25
PARTITIONS = ("self", "inward", "outward")

# NTU RGB+D (Kinect v2), joints counted from 1 as its authors do, (child, parent). The published checkpoints use it on
# BODY_25 keypoints, where only 11 of its 24 edges are bones.
_NTU_EDGES: tuple[tuple[int, int], ...] = (
    *((1, 2), (2, 21), (3, 21), (4, 3), (5, 21), (6, 5), (7, 6), (8, 7), (9, 21), (10, 9), (11, 10), (12, 11)),
    *((13, 1), (14, 13), (15, 14), (16, 15), (17, 1), (18, 17), (19, 18), (20, 19)),
    *((22, 23), (23, 8), (24, 25), (25, 12)),
)


def inward_edges(graph: GraphName) -> tuple[tuple[int, int], ...]:
    """The 24 edges (child, parent) of a graph, keypoint indices from 0.

    "body25" is the tree of the BODY_25 layout with the mid-hip as its centre; "ntu" the one of the published
    checkpoints.
    """
    if graph == "ntu":
        return tuple((child - 1, parent - 1) for child, parent in _NTU_EDGES)
    layout = load_layout("body25")
    reached, edges = [layout.index("MidHip")], []
    for parent in reached:  # grows while it is walked: breadth first
        for edge in layout.edges:
            if parent in edge:
                child = edge[0] if edge[1] == parent else edge[1]
                if child not in reached:
                    reached.append(child)
                    edges.append((child, parent))
    return tuple(edges)


def adjacency(graph: GraphName) -> Float[Tensor, "3 25 25"]:
    """Adjacency matrices of the partitions {self, inward, outward}; features x (..., C, 25) pass as `x @ A`.

    `A[j, i] = 1` where node i listens to node j: itself, its parent (inward edges) or its children (outward edges).
    Each column is divided by its sum; a node that listens to nobody keeps a column of zeros.
    """
    matrices = torch.zeros(len(PARTITIONS), NUM_NODES, NUM_NODES)
    matrices[0] = torch.eye(NUM_NODES)
    for child, parent in inward_edges(graph):
        matrices[1, parent, child] = 1.0
        matrices[2, child, parent] = 1.0
    return matrices / matrices.sum(dim=1, keepdim=True).clamp(min=1.0)
