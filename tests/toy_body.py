"""A small random body for tests: SMPL's tree, a few hundred vertices, with or without pose correctives."""

from __future__ import annotations

import numpy as np

from learnable_smplify.body.arrays import BodyArrays
from learnable_smplify.layouts.points import LANDMARKS
from learnable_smplify.skeleton import NUM_JOINTS


def toy_arrays(seed: int = 0, vertices: int = 200, correctives: bool = True) -> BodyArrays:
    rng = np.random.default_rng(seed)

    def rows(count: int, columns: int, used: int) -> np.ndarray:
        matrix = np.zeros((count, columns))
        for row in matrix:
            row[rng.choice(columns, used, replace=False)] = rng.dirichlet(np.ones(used))
        return matrix

    return BodyArrays(
        name="toy",
        gender="neutral",
        v_template=rng.normal(size=(vertices, 3)),
        shapedirs=rng.normal(scale=0.05, size=(vertices, 3, 10)),
        posedirs=rng.normal(scale=0.01, size=(vertices, 3, 207)) if correctives else None,
        j_regressor=rows(NUM_JOINTS, vertices, 8),
        weights=rows(vertices, NUM_JOINTS, 4),
        faces=rng.integers(0, vertices, size=(2 * vertices, 3)).astype(np.int32),
        point_names=tuple(LANDMARKS),
        point_regressor=rows(len(LANDMARKS), vertices, 3),
    )
