"""Build `src/learnable_smplify/body/open_hands.npz`: the open body in SMPL-H's format, with fingers that bend.

    pip install -e '.[build-body]'
    OMP_NUM_THREADS=1 python tools/build_open_hands.py

The body is the one of `tools/build_open_body.py`: the same skin outside the hands, vertex by vertex, the same 22 joints
and the same meaning of betas. Its hands are thinned less, and have anny's 15 joints each, in SMPL-H's order: the first
joint of a thumb is at its root, the others' first are the knuckles.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from build_open_body import (
    DENSITY,
    FLIP,
    JOINT_RECIPE,
    NUM_HELD_OUT,
    NUM_SAMPLES,
    NUM_VERTICES,
    SEED,
    TRAIN,
    fine_mesh,
    save,
    shape_components,
    sparse_arrays,
)
from learnable_smplify.hands import HAND_JOINT_NAMES, NUM_SHARED_JOINTS, SMPLH_JOINT_NAMES
from learnable_smplify.skeleton import JOINT_INDEX, mirrored_name
from open_body_pose import pose_to_t, skin, unit
from open_body_regressors import fit_row
from open_body_source import Source, load_source, reference_coefficients, sample_coefficients

OUTPUT = Path(__file__).parents[1] / "src/learnable_smplify/body/open_hands.npz"
BODY = OUTPUT.with_name("open_body.npz")
# MakeHuman counts fingers from the thumb.
FINGER = {"thumb": 1, "index": 2, "middle": 3, "ring": 4, "pinky": 5}
# Vertices of one hand, the wrist's skin included; SMPL's hands have as many.
HAND_VERTICES = 900
# The hands are dense: thinned only after everything else has gone that the open body lacks.
HAND_DENSITY: dict[str, float] = {**DENSITY, "wrist": 30.0, "metacarpal": 30.0, "finger": 30.0}
# How far round a finger's joint its regressor may look for vertices [m]; a thumb's root lies deep in the palm.
REACH = (0.022, 0.022)
THUMB_REACH = {"left_thumb1": (0.04, 0.03), "left_thumb2": (0.03, 0.03)}


def tips_on_skin(points: np.ndarray, posed: dict[str, np.ndarray]) -> dict[str, int]:
    """The vertex at the end of each of the left hand's fingers."""
    found = {}
    for finger, number in FINGER.items():
        head, tail = posed[f"finger{number}-3.L"]
        along = unit(tail - head)
        beside = points - tail
        height = beside @ along
        spread = np.linalg.norm(beside - height[:, None] * along, axis=1)
        near = (np.abs(height) < 0.02) & (spread < 0.012)
        found[finger] = int(np.where(near, height - spread, -np.inf).argmax())
    return found


def fingered_weights(source: Source, bone_weights: np.ndarray, mirror: np.ndarray) -> np.ndarray:
    """(V, 52) skin weights of hands and forearms, at most 4 a vertex; of other skin they mean nothing."""
    weights = np.zeros((len(bone_weights), len(SMPLH_JOINT_NAMES)))
    for column, label in enumerate(source.labels):
        side = {"L": "left", "R": "right"}.get(label[-1], "")
        if label.startswith("finger"):
            finger = next(name for name, number in FINGER.items() if label[6] == str(number))
            joint = f"{side}_{finger}{label[8]}"
        else:
            owner = "wrist" if label.startswith(("wrist", "metacarpal")) else "elbow"
            joint = f"{side}_{owner}" if side else "pelvis"
        weights[:, SMPLH_JOINT_NAMES.index(joint)] += bone_weights[:, column]
    other = [SMPLH_JOINT_NAMES.index(mirrored_name(name)) for name in SMPLH_JOINT_NAMES]
    weights = 0.5 * (weights + weights[mirror][:, other])
    weights[weights < 2e-3] = 0.0
    np.put_along_axis(weights, np.argsort(-weights, axis=1, kind="stable")[:, 4:], 0.0, axis=1)
    return weights / weights.sum(axis=1, keepdims=True)


def main() -> None:
    with np.load(BODY) as data:
        body = dict(data)
    source, loops = load_source()
    samples = sample_coefficients(source, NUM_SAMPLES + NUM_HELD_OUT, SEED)[0]
    coefficients = np.concatenate([samples, reference_coefficients(source)])
    bones = source.bones + np.einsum("nk,kabc->nabc", coefficients, source.bone_shapes)
    fine = fine_mesh(source, loops, coefficients[TRAIN], bones[TRAIN])
    plain, plain_faces, plain_mirror = fine.thinned(source.labels, DENSITY, set(fine.marks.values()), NUM_VERTICES)
    assert np.array_equal(plain_faces, body["faces"]), "another mesh: other versions of numpy or scipy?"

    tips = tips_on_skin(fine.points, fine.posed)
    in_hand = fine.weights[:, [label.startswith(("wrist", "metacarpal", "finger")) for label in source.labels]].sum(1)
    used = np.unique(np.concatenate([body["joint_vertices"], body["point_vertices"]]).astype(int))
    protected = {int(v) for v in plain if in_hand[v] < 0.5} | {int(plain[row]) for row in used} | set(tips.values())
    outside = sum(in_hand[v] < 0.5 for v in plain)
    order, faces, mirror = fine.thinned(source.labels, HAND_DENSITY, protected, outside + 2 * HAND_VERTICES)
    number = {int(v): i for i, v in enumerate(order)}
    gone = [v for v in plain if in_hand[v] < 0.5 and int(v) not in number]
    assert not gone, "the skin outside the hands is not the open body's"
    print(f"{len(order)} vertices, {len(faces)} faces; {sum(in_hand[order] >= 0.5) // 2} of a hand")

    def vertices_of(rows: np.ndarray) -> np.ndarray:
        matrix = fine.matrix[rows]
        shapes = np.stack([matrix @ shape for shape in source.vertex_shapes]).reshape(len(source.vertex_shapes), -1)
        rest = (coefficients @ shapes).reshape(len(coefficients), -1, 3) + matrix @ source.vertices
        return skin(rest, fine.weights[rows], bones, turns, posed) - origin

    turns, posed = pose_to_t(source, bones)
    heads = {label: posed[:, 0, i] for i, label in enumerate(source.labels)}
    origin = sum(share * heads[bone] for bone, share in JOINT_RECIPE["pelvis"].items())[:, None]
    _, _, scores = shape_components(vertices_of(plain)[TRAIN], plain_faces, plain_mirror)
    vertices = vertices_of(order)
    mean = vertices[TRAIN].mean(axis=0)
    mean = 0.5 * (mean + mean[mirror] * FLIP)
    components = np.einsum("ns,nvc->svc", scores, vertices[TRAIN] - mean) / NUM_SAMPLES
    components = 0.5 * (components + components[:, mirror] * FLIP)
    shared = np.array([(i, number[int(v)]) for i, v in enumerate(plain) if int(v) in number])
    print(f"{len(shared)} vertices shared with the open body")
    apart = np.abs(mean[shared[:, 1]] - body["v_template"][shared[:, 0]]).max()
    apart_shape = np.abs(components.transpose(1, 2, 0)[shared[:, 1]] - body["shapedirs"][shared[:, 0]]).max()
    print(f"largest difference there: {1e6 * apart:.2f} and {1e6 * apart_shape:.2f} um")
    mean[shared[:, 1]] = body["v_template"][shared[:, 0]]
    components[:, shared[:, 1]] = body["shapedirs"][shared[:, 0]].transpose(2, 0, 1)

    regressor = np.zeros((len(SMPLH_JOINT_NAMES), len(order)))
    place = dict(shared.tolist())
    for row, vertex, value in zip(body["joint_rows"], body["joint_vertices"], body["joint_values"], strict=True):
        if row < NUM_SHARED_JOINTS:
            regressor[row, place[int(vertex)]] = value
    some = slice(0, NUM_SAMPLES, NUM_SAMPLES // 300)
    left = len(HAND_JOINT_NAMES) // 2
    for index, name in enumerate(HAND_JOINT_NAMES[:left]):
        target = (heads[f"finger{FINGER[name[5:-1]]}-{name[-1]}.L"] - origin[:, 0])[some]
        row = fit_row(vertices[some], target, THUMB_REACH.get(name, REACH), 24, None)
        regressor[NUM_SHARED_JOINTS + index] = row
        regressor[NUM_SHARED_JOINTS + left + index] = row[mirror]
        held_out = heads[f"finger{FINGER[name[5:-1]]}-{name[-1]}.L"] - origin[:, 0]
        error = 1e3 * np.linalg.norm(np.einsum("v,nvc->nc", row, vertices) - held_out, axis=-1)[NUM_SAMPLES:]
        print(f"  {name:14s} {error.mean():.2f} {error.max():.2f} mm off anny's, {(row > 0).sum()} vertices")

    weights = fingered_weights(source, fine.weights[order], mirror)
    own = np.zeros((len(plain), 24))
    np.put_along_axis(own, body["weight_joints"].astype(int), body["weight_values"], axis=1)
    hands = [JOINT_INDEX[f"{side}_{name}"] for side in ("left", "right") for name in ("wrist", "hand")]
    same = shared[own[shared[:, 0]][:, hands].sum(axis=1) == 0]
    weights[same[:, 1]] = np.pad(own[same[:, 0], :NUM_SHARED_JOINTS], ((0, 0), (0, len(HAND_JOINT_NAMES))))
    left_tips = [number[tips[finger]] for finger in ("thumb", "index", "middle", "ring", "pinky")]
    for finger, vertex in zip(("thumb", "index", "middle", "ring", "pinky"), left_tips, strict=True):
        for side, tip in (("left", vertex), ("right", mirror[vertex])):
            weights[tip] = 0.0
            weights[tip, SMPLH_JOINT_NAMES.index(f"{side}_{finger}3")] = 1.0

    indices = np.argsort(-weights, axis=1, kind="stable")[:, :4]
    arrays = {
        "v_template": mean.round(6).astype(np.float32),
        "shapedirs": components.transpose(1, 2, 0).round(7).astype(np.float32),
        "weight_joints": indices.astype(np.uint8),
        "weight_values": np.take_along_axis(weights, indices, axis=1).round(6).astype(np.float32),
        "faces": faces.astype(np.uint16),
        **sparse_arrays("joint", regressor),
        "tips": np.array([*left_tips, *mirror[left_tips]], dtype=np.uint16),
        "mirror": mirror.astype(np.uint16),
        "license": np.array("CC0-1.0 (MakeHuman / MPFB data through anny 0.6.2); see OPEN_BODY_NOTICE.txt"),
    }
    save(arrays, OUTPUT)
    print(f"{OUTPUT}: {OUTPUT.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
