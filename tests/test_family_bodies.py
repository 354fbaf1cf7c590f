"""SMPL-H and SMPL-X as output bodies: fitted, refined and written, against the `smplx` package on the same files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from learnable_smplify.body import Body, load_body
from learnable_smplify.body.landmarks import known_vertices
from learnable_smplify.body.model_files import read_model
from learnable_smplify.cli.main import main
from learnable_smplify.formats.keypoints.keypoints_npz import write_keypoints_npz
from learnable_smplify.formats.motion.amass import PoseLayout, read_amass, write_amass
from learnable_smplify.formats.motion.motion_file import read_motion, write_motion
from learnable_smplify.keypoints import Keypoints
from learnable_smplify.layouts.layout import load_layout
from learnable_smplify.motion import Motion
from learnable_smplify.refine import refine_motion
from learnable_smplify.solver import Solver
from toy_family import JOINTS, KINDS, POINTS, family_model, save_family
from toy_motion import drifting_transl, swinging_poses

smplx = pytest.importorskip("smplx")

FRAMES = 30
# How near the smplx package must be [m].
NEAR = 1e-4
BETAS = torch.tensor([0.8, -0.6, 0.5, 0.0, 0.4, -0.3, 0.2, 0.0, 0.3, 0.0])


@dataclass(frozen=True, eq=False)
class Case:
    """A body of one kind, a motion on it, its keypoints, and what was fitted to these from nothing."""

    kind: PoseLayout
    path: Path
    body: Body
    true: Motion
    keypoints: Keypoints
    fitted: Motion


@pytest.fixture(scope="module", params=KINDS)
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Case]:
    kind = request.param
    path = save_family(kind, tmp_path_factory.mktemp(kind) / f"{kind.upper()}_FEMALE.npz")
    body = load_body(path)
    true = Motion(swinging_poses(FRAMES), drifting_transl(FRAMES), BETAS, body=kind, gender="female", up_axis="y")
    positions = body.keypoints(true.pose, true.betas, true.transl)
    keypoints = Keypoints(positions, "body25", true.fps, up_axis="y")
    yield Case(kind, path, body, true, keypoints, Solver(body).fit(keypoints))
    path.unlink()  # a hundred megabytes


def package_output(path: Path, motion_file: Path, flat_hand_mean: bool = True) -> tuple[Tensor, Tensor]:
    """Joints and vertices that the smplx package makes of a motion file's columns.

    The columns are whole rotations, as in AMASS, so `use_pca=False`; and neutral hands are zeros in them, which is the
    flat hand of the template only with `flat_hand_mean=True`: the package's own default adds the relaxed `hands_mean`.
    """
    with np.load(motion_file) as file:
        poses, transl = torch.from_numpy(file["poses"]), torch.from_numpy(file["trans"])
        betas = torch.from_numpy(file["betas"])[None]
    options = {
        "model_path": str(path),
        "ext": path.suffix[1:],
        "batch_size": len(poses),
        "use_pca": False,
        "flat_hand_mean": flat_hand_mean,
    }
    columns = {"global_orient": poses[:, :3], "body_pose": poses[:, 3:66], "transl": transl}
    if poses.shape[1] == 156:
        model = smplx.SMPLH(**options)  # cuts 16 shape components to 10
        hands = poses[:, 66:]
    else:
        model = smplx.SMPLX(**options, num_betas=16)
        columns |= {"jaw_pose": poses[:, 66:69], "leye_pose": poses[:, 69:72], "reye_pose": poses[:, 72:75]}
        hands = poses[:, 75:]
    with torch.no_grad():
        output = model(
            betas=betas[:, : model.num_betas].expand(len(poses), -1),
            left_hand_pose=hands[:, :45],
            right_hand_pose=hands[:, 45:],
            **columns,
        )
    return output.joints, output.vertices


def turned_back(points: Tensor, motion: Motion) -> Tensor:
    """Points of a file, which is Z up, in the motion's own world."""
    return points[..., [0, 2, 1]] * torch.tensor([1, 1, -1]) if motion.up_axis == "y" else points


def assert_package_agrees(case: Case, motion: Motion, folder: Path) -> None:
    """Joints 0..21, vertices, face and feet of a motion, by its file through the package and by our body."""
    write_motion(motion, folder / "agree.npz", pose_layout=case.kind, body=case.body)
    joints, vertices = (turned_back(points, motion) for points in package_output(case.path, folder / "agree.npz"))
    ours = motion.pose, motion.betas, motion.transl
    torch.testing.assert_close(case.body.joints(*ours)[:, :22], joints[:, :22], atol=NEAR, rtol=0)
    torch.testing.assert_close(case.body.vertices(*ours), vertices, atol=NEAR, rtol=0)
    body25 = load_layout("body25")
    named = {body25.points[index][0][0]: index for index in range(25) if len(body25.points[index]) == 1}
    extra = joints[:, JOINTS[case.kind] : JOINTS[case.kind] + len(POINTS)]
    order = [named[own] for own in POINTS.values()]
    torch.testing.assert_close(case.body.keypoints(*ours)[:, order], extra, atol=NEAR, rtol=0)


def mean_mm(one: Tensor, other: Tensor) -> float:
    return 1000 * float((one - other).norm(dim=-1).mean())


# --- the bodies


def test_the_toy_bodies_are_what_they_are_meant_to_be(case: Case) -> None:
    arrays = case.body.arrays
    assert (arrays.name, arrays.gender) == (case.kind, "female")
    assert len(known_vertices(arrays)) == 21
    assert arrays.posedirs is not None
    open_body = load_body()
    pose, betas = case.true.pose[:1], case.true.betas
    for name in ("nose", "left_big_toe", "right_heel"):
        row, own = (body.arrays.point_names.index(name) for body in (case.body, open_body))
        found = torch.from_numpy(case.body.arrays.point_regressor[row]) @ case.body.vertices(pose, betas)[0]
        expected = torch.from_numpy(open_body.arrays.point_regressor[own]) @ open_body.vertices(pose, betas)[0]
        torch.testing.assert_close(found, expected, atol=0.01, rtol=0)
    torch.testing.assert_close(case.body.joints(pose, betas)[:, :22], open_body.joints(pose, betas)[:, :22])


def test_a_pickle_of_a_body_is_read_alike(tmp_path: Path) -> None:
    arrays, model = read_model(save_family("smplh", tmp_path / "model.pkl")), family_model("smplh")
    assert arrays.posedirs is not None
    np.testing.assert_array_equal(arrays.v_template, model["v_template"])
    np.testing.assert_array_equal(arrays.shapedirs, model["shapedirs"][:, :, :10])
    np.testing.assert_array_equal(arrays.posedirs[:, :, : 9 * 21], model["posedirs"][:, :, : 9 * 21])
    np.testing.assert_array_equal(arrays.j_regressor[:22], model["J_regressor"][:22])
    assert not arrays.posedirs[:, :, 9 * 21 :].any()
    assert not arrays.weights[:, 22:].any()


@pytest.mark.parametrize(
    ("name", "gender"),
    [
        ("SMPLH_MALE.pkl", "male"),
        ("smplx_female.pkl", "female"),
        ("SMPLX_NEUTRAL_2020.pkl", "neutral"),
        ("female/model.pkl", "female"),
        ("basicModel_m_lbs_10_207_0_v1.0.0.pkl", "male"),
        ("basicmodel_neutral_lbs_10_207_0_v1.1.0.pkl", "neutral"),
        ("female/mine.pkl", "male"),
        ("malefemale.pkl", "male"),
        ("male_female.pkl", "male"),
    ],
)
def test_a_file_whose_name_tells_the_gender_needs_no_option(tmp_path: Path, name: str, gender: str) -> None:
    from test_model_files import save, toy_model

    (tmp_path / name).parent.mkdir(exist_ok=True)
    path = save(toy_model("smpl", vertices=30), tmp_path / name)
    assert load_body(path, "male").gender == gender


# --- motions on them


def test_a_fit_from_nothing_finds_the_motion(case: Case) -> None:
    fitted, true, body = case.fitted, case.true, case.body
    assert (fitted.body, fitted.gender) == (case.kind, "female")
    found, aim = (body.keypoints(one.pose, one.betas, one.transl) for one in (fitted, true))
    assert mean_mm(found, aim) < 2
    found, aim = (body.joints(one.pose, one.betas, one.transl)[:, :22] for one in (fitted, true))
    assert mean_mm(found, aim) < 4
    assert not bool(fitted.pose[:, 22:].abs().max() > 1e-6)  # the two joints of SMPL that these bodies do not have


def test_the_smplx_package_agrees_with_a_fit(case: Case, tmp_path: Path) -> None:
    assert_package_agrees(case, case.fitted, tmp_path)


def test_the_smplx_package_agrees_with_any_pose(case: Case, tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(1)
    pose = 0.6 * torch.randn(FRAMES, 24, 3, generator=generator)
    pose[:, 22:] = 0
    assert_package_agrees(case, replace(case.true, pose=pose, betas=2 * torch.randn(10, generator=generator)), tmp_path)


def test_a_refined_motion_is_nearer_and_the_smplx_package_agrees(case: Case, tmp_path: Path) -> None:
    true = case.true
    noise = torch.Generator().manual_seed(2)
    pose = true.pose.clone()
    pose[:, :22] += 0.12 * torch.randn(1, 22, 3, generator=noise)
    estimate = replace(true, pose=pose, transl=true.transl + torch.tensor([0.05, -0.02, 0.04]))
    result = refine_motion(Solver(case.body), estimate, case.keypoints)
    assert result.kept_whole is None
    assert not any("betas are of the body" in note for note in result.notes)
    joints = [case.body.joints(one.pose, one.betas)[:, :22] for one in (estimate, result.motion, true)]
    before, after = (mean_mm(one - one[:, :1], joints[2] - joints[2][:, :1]) for one in joints[:2])
    assert after < 0.25 * before
    assert (result.motion.body, result.motion.gender) == (case.kind, "female")
    assert_package_agrees(case, result.motion, tmp_path)


def test_the_packages_relaxed_hands_bend_the_fingers_only(case: Case, tmp_path: Path) -> None:
    """What a user sees who leaves `flat_hand_mean` at its default: other hands, the same body joints."""
    write_motion(case.fitted, tmp_path / "m.npz", pose_layout=case.kind)
    flat, relaxed = (package_output(case.path, tmp_path / "m.npz", flat) for flat in (True, False))
    torch.testing.assert_close(relaxed[0][:, :22], flat[0][:, :22], atol=1e-6, rtol=0)
    moved = (relaxed[1] - flat[1]).norm(dim=-1).mean(dim=0)
    fingers = torch.from_numpy(family_model(case.kind)["weights"][:, -30:].sum(axis=1))
    assert float(moved[fingers > 0.9].mean()) > 0.003
    assert float(moved[fingers == 0].mean()) < 0.002  # the pose correctives of the finger joints


@pytest.mark.parametrize("layout", ["smpl", "smplh", "smplx"])
def test_columns_of_another_body_come_with_a_note(tmp_path: Path, layout: PoseLayout) -> None:
    motion = Motion(torch.zeros(2, 24, 3), torch.zeros(2, 3), torch.zeros(10), body="smplx", up_axis="z")
    notes = write_amass(motion, tmp_path / "m.npz", layout)
    assert any("--pose-layout smplx" in note for note in notes) == (layout != "smplx")
    assert not write_amass(replace(motion, body="open"), tmp_path / "m.npz", layout)
    assert any(
        "--pose-layout smplh" in n for n in write_amass(replace(motion, body="smplh"), tmp_path / "m.npz", layout)
    ) == (layout == "smplx")


# --- hands, face and betas of files


def amass_file(path: Path, kind: PoseLayout, **parts: slice) -> Path:
    """A file of AMASS's with 16 betas, and the named columns bent."""
    poses = np.zeros((4, {"smplh": 156, "smplx": 165}[kind]))
    poses[:, :66] = 0.1
    for place in parts.values():
        poses[:, place] = 0.3
    rate = {"smplh": "mocap_framerate", "smplx": "mocap_frame_rate"}[kind]
    betas = np.where(np.arange(16) < 10, 1.0, 0.5 if parts else 0.0)
    np.savez(path, poses=poses, trans=np.zeros((4, 3)), betas=betas, gender="female", **{rate: 120.0})
    return path


@pytest.mark.parametrize(
    ("kind", "parts", "named"),
    [
        ("smplh", {"fingers": slice(66, 156)}, ""),
        ("smplx", {"fingers": slice(75, 165)}, ""),
        ("smplx", {"jaw": slice(66, 69), "eyes": slice(72, 75), "fingers": slice(164, 165)}, "jaw and eyes"),
    ],
)
def test_face_and_further_betas_of_a_file_are_left_out_with_a_note_and_fingers_kept(
    tmp_path: Path, kind: PoseLayout, parts: dict[str, slice], named: str
) -> None:
    plain = read_motion(amass_file(tmp_path / "plain.npz", kind))
    assert plain.notes == ()
    bent = read_motion(amass_file(tmp_path / "bent.npz", kind, **parts))
    assert any(f"pose of {named} is left out" in note for note in bent.notes) == bool(named)
    assert plain.hand_pose is None
    assert bent.hand_pose is not None
    assert bool(bent.hand_pose.any())
    assert any("16 betas" in note for note in bent.notes)
    for one in (plain, bent):
        assert (one.body, one.gender, one.betas.tolist()) == (kind, "female", [1.0] * 10)
        assert not bool(one.pose[:, 22:].any())
    torch.testing.assert_close(bent.pose, plain.pose, atol=0, rtol=0)
    write_motion(bent, tmp_path / "again.npz", pose_layout=kind)
    again = read_amass(tmp_path / "again.npz")
    assert again.notes == ()
    with np.load(tmp_path / "again.npz") as file:
        np.testing.assert_array_equal(file["poses"][:, -90:], bent.hand_pose.reshape(4, 90))
        assert not file["poses"][:, 66:-90].any()
        assert file["betas"].shape == (16,)


# --- the command line


def test_fit_convert_and_refine_take_these_bodies(
    case: Case, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("pygltflib")
    count = 8
    write_keypoints_npz(
        replace(case.keypoints, positions=case.keypoints.positions[:count], confidence=None), tmp_path / "keypoints.npz"
    )
    body, layout = ["--body", str(case.path)], ["--pose-layout", case.kind]
    motion, refined = tmp_path / "motion.npz", tmp_path / "refined.npz"
    main(["fit", str(tmp_path / "keypoints.npz"), "-o", str(motion), *body, *layout])
    assert f"{case.kind} (female)" in capsys.readouterr().out
    main(["refine", str(motion), str(tmp_path / "keypoints.npz"), "-o", str(refined), *body, *layout])
    for path in (motion, refined):
        written = read_motion(path)
        assert (written.body, written.gender, len(written)) == (case.kind, "female", count)
        joints = turned_back(package_output(case.path, path)[0], written)
        ours = case.body.joints(written.pose, written.betas, written.transl)
        torch.testing.assert_close(joints[:, :22], ours[:, :22], atol=NEAR, rtol=0)
    suffix = {"smplh": ".bvh", "smplx": ".glb"}[case.kind]
    main(["convert", str(motion), "-o", str(tmp_path / f"other{suffix}"), *body])
    assert (tmp_path / f"other{suffix}").stat().st_size > 1000
    main(["convert", str(motion), "-o", str(tmp_path / "other.npz"), *body, *layout])
    torch.testing.assert_close(read_motion(tmp_path / "other.npz").pose, read_motion(motion).pose, atol=1e-6, rtol=0)
    with pytest.raises(SystemExit) as stopped:
        main(["convert", str(motion), "-o", str(tmp_path / "none.bvh")])
    assert stopped.value.code == 2
    assert f"--body {case.kind}" in capsys.readouterr().err


@pytest.mark.parametrize("suffix", [".pkl", ".npz"])
def test_an_exported_body_goes_through_fit_and_convert(tmp_path: Path, suffix: str) -> None:
    exported = tmp_path / f"SMPL_MALE{suffix}"  # as programs want it that look for SMPL by name
    main(["export-body", "-o", str(exported)])
    body = load_body(exported)
    assert (body.name, body.gender) == ("open", "neutral")
    positions = body.keypoints(swinging_poses(4), BETAS, drifting_transl(4))
    write_keypoints_npz(Keypoints(positions, "body25", 30.0), tmp_path / "keypoints.npz")
    main(["fit", str(tmp_path / "keypoints.npz"), "-o", str(tmp_path / "m.npz"), "--body", str(exported)])
    main(["convert", str(tmp_path / "m.npz"), "-o", str(tmp_path / "m.bvh"), "--body", str(exported)])
    motion = read_motion(tmp_path / "m.npz")
    assert motion.body == "open"
    assert mean_mm(body.keypoints(motion.pose, motion.betas, motion.transl), positions) < 10
