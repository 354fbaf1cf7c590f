"""Motions with fingers in files: AMASS columns, BVH and GLB under every program's names, and back again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import roma
import torch

from learnable_smplify.body import load_body
from learnable_smplify.body.motion_mesh import MotionMesh
from learnable_smplify.cli.main import main
from learnable_smplify.fit_summary import summarise_fit
from learnable_smplify.formats.motion.amass import PoseLayout
from learnable_smplify.formats.motion.bone_names import bone_names
from learnable_smplify.formats.motion.motion_file import read_motion, write_motion
from learnable_smplify.formats.motion.style import MotionStyle
from learnable_smplify.hands import HAND_JOINT_NAMES, SMPLH_JOINT_NAMES, HandKeypoints
from learnable_smplify.keypoints import Keypoints
from learnable_smplify.mocap.bone_map import find_bone_map
from learnable_smplify.mocap.bvh import read_bvh
from learnable_smplify.mocap.fingers import find_fingers
from learnable_smplify.mocap.glb_motion import read_glb
from learnable_smplify.motion import Motion
from learnable_smplify.report.measures import measure_fit
from test_glb import ReadGlb
from toy_motion import drifting_transl, swinging_poses

pytest.importorskip("pygltflib")
FRAMES = 20
SKELETONS = ("smpl", "mixamo", "unreal", "vrm")


@pytest.fixture(scope="module")
def motion() -> Motion:
    """Knuckles bend and spread, other joints bend, on a body of a shape of its own."""
    generator = torch.Generator().manual_seed(5)
    fingers = 0.4 * torch.randn(FRAMES, 30, 3, generator=generator)
    flagged = torch.rand(FRAMES, 2, generator=generator) < 0.3
    pose = swinging_poses(FRAMES)
    pose[:, 22:] = 0
    unsure = 5.0 * torch.rand(FRAMES, 30, generator=generator)
    unsure[flagged.repeat_interleave(15, dim=1)] = torch.nan
    moves = pose, drifting_transl(FRAMES), 0.5 * torch.ones(10)
    seen = {"hand_pose": fingers, "hand_flagged": flagged, "hand_uncertainty_deg": unsure}
    return Motion(*moves, fps=30.0, up_axis="y", **seen)


def joints_of(motion: Motion) -> np.ndarray:
    hands = load_body().hands
    assert hands is not None
    assert motion.hand_pose is not None
    return hands.joints(motion.pose, motion.hand_pose, motion.betas[None], motion.transl).numpy()


@pytest.mark.parametrize("layout", ["smpl", "smplh", "smplx"])
def test_amass_files_keep_fingers_in_every_layout(tmp_path: Path, motion: Motion, layout: PoseLayout) -> None:
    write_motion(motion, tmp_path / "m.npz", pose_layout=layout)
    with np.load(tmp_path / "m.npz") as file:
        poses = file["poses"]
    columns = {"smpl": None, "smplh": slice(66, 156), "smplx": slice(75, 165)}[layout]
    assert motion.hand_pose is not None
    if columns is not None:
        np.testing.assert_array_equal(poses[:, columns], motion.hand_pose.reshape(FRAMES, 90))
    again = read_motion(tmp_path / "m.npz")
    assert again.hand_pose is not None
    assert bool((again.hand_pose == motion.hand_pose).all())
    assert again.hand_flagged is not None
    assert bool((again.hand_flagged == motion.hand_flagged).all())
    np.testing.assert_array_equal(again.hand_uncertainty_deg, motion.hand_uncertainty_deg)
    assert again.notes == ()


def test_flat_hands_that_were_seen_are_told_from_hands_that_nobody_saw(tmp_path: Path, motion: Motion) -> None:
    write_motion(replace(motion, hand_pose=torch.zeros(FRAMES, 30, 3)), tmp_path / "flat.npz")
    write_motion(replace(motion, hand_pose=None, hand_flagged=None), tmp_path / "none.npz")
    assert read_motion(tmp_path / "flat.npz").hand_pose is not None
    assert read_motion(tmp_path / "none.npz").hand_pose is None


@pytest.mark.parametrize("skeleton", SKELETONS)
@pytest.mark.parametrize("ending", ["bvh", "glb"])
def test_finger_bones_are_read_back_to_a_tenth_of_a_millimetre(
    tmp_path: Path, motion: Motion, skeleton, ending: str
) -> None:
    path = tmp_path / f"a.{ending}"
    assert write_motion(motion, path, style=MotionStyle(skeleton=skeleton)) == ()
    source = read_bvh(path) if ending == "bvh" else read_glb(path)
    places = [source.names.index(name) for name in bone_names(skeleton, SMPLH_JOINT_NAMES)]
    error = np.linalg.norm(source.positions()[:, places].numpy() - joints_of(motion), axis=-1)
    assert 1000 * float(error.max()) < 0.1


@pytest.mark.parametrize("skeleton", SKELETONS)
@pytest.mark.parametrize("ending", ["bvh", "glb"])
def test_imported_fingers_turn_as_they_were_written(tmp_path: Path, motion: Motion, skeleton, ending: str) -> None:
    write_motion(motion, tmp_path / f"a.{ending}", style=MotionStyle(skeleton=skeleton))
    main(["import-motion", str(tmp_path / f"a.{ending}"), "-o", str(tmp_path / "out")])
    back = read_motion(tmp_path / "out" / "a.npz")
    assert back.hand_pose is not None
    assert motion.hand_pose is not None
    turns = (roma.rotvec_to_rotmat(pose.double()) for pose in (back.hand_pose, motion.hand_pose))
    away = torch.rad2deg(roma.rotmat_geodesic_distance(*turns))
    # The mean body's finger bones do not lie quite as those of a body of another shape.
    assert float(away.max()) < 3.0


def test_fingers_that_never_move_are_none(tmp_path: Path, motion: Motion) -> None:
    write_motion(replace(motion, hand_pose=torch.zeros(FRAMES, 30, 3)), tmp_path / "a.bvh")
    main(["import-motion", str(tmp_path / "a.bvh"), "-o", str(tmp_path / "out")])
    assert read_motion(tmp_path / "out" / "a.npz").hand_pose is None


@pytest.mark.parametrize("skeleton", SKELETONS)
def test_every_finger_has_a_name_of_its_own_that_our_import_finds(skeleton) -> None:
    names = bone_names(skeleton, SMPLH_JOINT_NAMES)
    assert len(set(names)) == 52
    assert find_fingers(names) == {name: 22 + index for index, name in enumerate(HAND_JOINT_NAMES)}
    assert find_bone_map(names).bones["left_wrist"] == (names[20],)


def test_the_names_are_those_of_the_programs() -> None:
    index = SMPLH_JOINT_NAMES.index
    mixamo, unreal, vrm = (bone_names(skeleton, SMPLH_JOINT_NAMES) for skeleton in ("mixamo", "unreal", "vrm"))
    assert mixamo[index("left_index1")] == "mixamorig:LeftHandIndex1"
    assert unreal[index("right_pinky3")] == "pinky_03_r"
    assert vrm[index("left_pinky2")] == "leftLittleIntermediate"
    assert vrm[index("right_thumb1")] == "rightThumbMetacarpal"


def test_fingers_of_other_programs_are_found() -> None:
    phalanges = ("Proximal", "Intermediate", "Distal")
    unity = [
        f"{side} {finger} {part}" for side in ("Left", "Right") for finger in ("Index", "Little") for part in phalanges
    ]
    assert list(find_fingers(unity).values()) == list(range(12))
    assert list(find_fingers(unity))[::3] == ["left_index1", "left_pinky1", "right_index1", "right_pinky1"]
    biped = [f"Bip01 L Finger{bone}" for bone in ("0", "01", "02", "1", "11", "12")]
    assert find_fingers(biped) == dict(
        zip([f"left_{f}{n}" for f in ("thumb", "index") for n in "123"], range(6), strict=True)
    )
    assert list(find_fingers(["CC_Base_L_Hand", *(f"CC_Base_R_Mid{n}" for n in "123")])) == [
        "right_middle1",
        "right_middle2",
        "right_middle3",
    ]
    assert find_fingers(["LeftHand", "LeftHandIndex1", "LeftHandIndex2"]) == {}


def test_the_skin_of_a_glb_bends_its_fingers(tmp_path: Path, motion: Motion) -> None:
    write_motion(motion, tmp_path / "a.glb")
    glb = ReadGlb(tmp_path / "a.glb")
    assert [node.name for node in glb.gltf.nodes[:52]] == list(SMPLH_JOINT_NAMES)
    error = np.linalg.norm(glb.vertices() - MotionMesh(load_body(), motion).vertices().numpy(), axis=-1)
    assert 1000 * float(error.max()) < 0.1


def test_every_finger_ends_in_a_tip(tmp_path: Path, motion: Motion) -> None:
    write_motion(motion, tmp_path / "a.bvh")
    text = (tmp_path / "a.bvh").read_text()
    assert text.count("End Site") == 13
    source = read_bvh(tmp_path / "a.bvh")
    tips = torch.stack([source.tips[source.names.index(f"left_{f}3")] for f in ("index", "middle", "ring", "pinky")])
    assert bool(((tips.norm(dim=1) > 0.01) & (tips.norm(dim=1) < 0.04)).all())


def test_summary_and_report_say_how_far_fingers_are_from_their_points(motion: Motion) -> None:
    body = load_body()
    assert body.hands is not None
    points = body.hands.hand_points(motion.pose, motion.hand_pose, motion.betas[None], motion.transl)
    points[:, 0] += torch.tensor([0.003, 0.004, 0.0])
    points[3] = torch.nan
    positions = body.keypoints(motion.pose, motion.betas, motion.transl)
    keypoints = Keypoints(positions, "body25", motion.fps, hands=HandKeypoints(points))
    assert summarise_fit(body, motion, keypoints).group_error_mm["fingers"] == pytest.approx(2.5, abs=1e-3)
    measured = measure_fit(body, motion, keypoints)
    assert np.nanmean(measured.group_error_mm()["fingers"]) == pytest.approx(2.5, abs=1e-3)
    assert not measured.seen_in("fingers")[3].any()
    bare = measure_fit(body, replace(motion, hand_pose=None, hand_flagged=None), keypoints)
    assert "fingers" not in bare.group_error_mm()
