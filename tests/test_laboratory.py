"""OpenSim's joint angles are read, and fits are measured against them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from learnable_smplify.body import load_body
from learnable_smplify.datasets.opensim import JointAngles, opensim_trials, read_mot
from learnable_smplify.errors import InputError
from learnable_smplify.evaluation.laboratory import ELBOW_ZERO_DEG, angle_table, compare_angles, flexions, over_trials
from learnable_smplify.formats.keypoints.keypoint_file import read_keypoints
from learnable_smplify.keypoints import Keypoints
from learnable_smplify.layouts.layout import load_layout, marker_layout_names
from learnable_smplify.motion import Motion
from learnable_smplify.rotation import rotvec_to_rotmat
from learnable_smplify.solver import Solver

SUBJECT = Path(__file__).parents[2] / "shared" / "data" / "opensim" / "subject4"
HEADER = "Coordinates\nversion=1\nnRows=2\nnColumns=3\ninDegrees={}\n\nendheader\ntime\tknee_angle_r\tpelvis_tx\n"


def bent(knee: float = 0.7, elbow: float = 0.5) -> Motion:
    pose = torch.zeros(20, 24, 3)
    pose[:, 4:6, 0] = knee
    pose[:, 18, 1], pose[:, 19, 1] = -elbow, elbow
    return Motion(pose, torch.zeros(20, 3), torch.zeros(10), fps=20.0)


@pytest.mark.parametrize(("degrees", "turn"), [("yes", 1.0), ("no", 180 / np.pi)])
def test_angles_come_in_degrees_whatever_the_file_is_in_and_lengths_stay(tmp_path: Path, degrees: str, turn: float):
    (tmp_path / "a.mot").write_text(HEADER.format(degrees) + "0\t0.5\t0.9\n0.1\t0.6\t1.0\n")
    angles = read_mot(tmp_path / "a.mot")
    np.testing.assert_allclose(angles.columns["knee_angle_r"], np.array([0.5, 0.6]) * turn)
    np.testing.assert_allclose(angles.columns["pelvis_tx"], [0.9, 1.0])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nothing", "endheader"),
        (HEADER.format("no") + "0\t1\n", "line 9"),
        (HEADER.format("no") + "0\tx\t1\n", "line 9"),
    ],
)
def test_a_damaged_file_is_named(tmp_path: Path, text: str, message: str):
    (tmp_path / "a.mot").write_text(text)
    with pytest.raises(InputError, match=message):
        read_mot(tmp_path / "a.mot")


def test_recordings_find_their_angles(tmp_path: Path):
    for name in ("a.trc", "a_ik.mot", "b_markers.trc", "b_motion.mot", "c.mot", "subject_c.trc", "lonely.trc"):
        (tmp_path / name).write_text("")
    found = [(recording.name, angles.name) for recording, angles in opensim_trials(tmp_path)]
    assert found == [("a.trc", "a_ik.mot"), ("b_markers.trc", "b_motion.mot"), ("subject_c.trc", "c.mot")]
    with pytest.raises(InputError, match="no recording with joint angles"):
        opensim_trials(tmp_path / "..." if (tmp_path / "...").mkdir() is None else tmp_path)


def test_a_bend_of_the_body_is_a_bend_in_the_table():
    body, straight, turned = load_body(), flexions(load_body(), bent(0, 0)), flexions(load_body(), bent())
    for side in ("l", "r"):
        assert float((turned[f"knee_{side}"] - straight[f"knee_{side}"]).mean()) == pytest.approx(40, abs=1)
        assert float((turned[f"elbow_{side}"] - straight[f"elbow_{side}"]).mean()) == pytest.approx(28.6, abs=0.2)
    times = np.linspace(0, 1, 40)
    truth = JointAngles(times, {"knee_angle_r": np.full(40, float(turned["knee_r"][0]) + 3)})
    (row,) = compare_angles("trial", body, bent(), 0.0, truth)
    assert (row.joint, row.bias, row.spread) == ("knee", pytest.approx(-3, abs=0.01), pytest.approx(0, abs=0.01))
    assert "| trial | knee | 3.0 | -3.0 | 0.0 |" in angle_table([row])


@pytest.mark.parametrize("pronation_deg", [60, 105, 120])
def test_a_straight_arm_is_bent_in_opensim_s_count_by_what_its_model_s_bones_say(pronation_deg: int):
    # Rajagopal et al. 2016: right elbow, forearm and wrist, each in the frame of the bone above [m], and two axes.
    elbow, forearm, wrist = (
        (0.013144, -0.286273, -0.009595),
        (-0.006727, -0.013007, 0.026083),
        (-0.008797, -0.235841, 0.01361),
    )
    bends, rolls = np.array([0.226047, 0.022269, 0.973862]), np.array([0.056398, 0.998406, 0.001952])
    roll = rotvec_to_rotmat(torch.tensor(np.radians(pronation_deg) * rolls)).numpy()
    upper, lower = (bone - bends * (bone @ bends) for bone in (elbow, forearm + roll @ wrist))
    beyond = np.degrees(np.arctan2(np.cross(lower, upper) @ bends, upper @ lower))
    assert beyond == pytest.approx(ELBOW_ZERO_DEG, abs=0.5)


def test_the_laboratory_s_markers_are_a_layout_told_by_their_names():
    assert marker_layout_names() == ("opencap_lab", "plug_in_gait", "cmu41")
    layout = load_layout("opencap_lab")
    assert len(layout) == 29
    assert layout.mirror[layout.index("L_knee")] == layout.index("r_knee")


@pytest.mark.parametrize("name", marker_layout_names())
def test_markers_round_a_joint_find_their_partners_on_the_other_side(name: str):
    layout = load_layout(name)
    assert layout.markers
    for index, partner in enumerate(layout.mirror):
        assert layout.mirror[partner] == index
        left, right = layout.keypoint_names[index].lower(), layout.keypoint_names[partner].lower()
        assert left[1:] == right[1:], (left, right)
        assert index == partner or {left[0], right[0]} == {"l", "r"}
        assert layout.bias[partner] == (layout.bias[index] if index == partner else layout.bias[index].mirrored())


def test_markers_are_on_a_body_where_the_layout_says_that_they_stand():
    layout = load_layout("opencap_lab")
    rest = torch.zeros(1, 24, 3)
    markers = load_body().keypoints(rest, torch.zeros(10), layout=layout)[0]
    hip, spine = markers[layout.index("L_HJC")], markers[layout.index("L.PSIS")]
    torch.testing.assert_close(spine - hip, torch.tensor([-0.041, 0.091, -0.086]))
    turned = rest.clone()
    turned[:, 1] = torch.tensor([-0.8, 0.0, 0.0])  # a lifted thigh leaves the pelvis and its markers where they are
    lifted = load_body().keypoints(turned, torch.zeros(10), layout=layout)[0]
    torch.testing.assert_close(lifted[layout.index("L.PSIS")], spine)


def test_markers_off_the_joints_are_followed_to_the_joints():
    body, layout, generator = load_body(), load_layout("plug_in_gait"), torch.Generator().manual_seed(2)
    motion, betas = bent(), torch.zeros(10)
    targets = body.keypoints(motion.pose, betas, layout=layout)
    targets = targets + 0.002 * torch.randn(targets.shape, generator=generator)
    found = Solver(body).fit(Keypoints(targets, layout, motion.fps), betas)
    away = (body.keypoints(found.pose, betas, found.transl, layout) - targets).norm(dim=-1).mean()
    assert 1000 * float(away) < 15  # markers stand where the layout has them, and are compared with that
    error = body.joints(found.pose, betas, found.transl) - body.joints(motion.pose, betas)
    # Somebody who stands still shows little of what is offset and what is pose: the markers are 50 mm off the joints.
    assert 1000 * float(error[:, [1, 2, 4, 5, 7, 8, 16, 17, 18, 19, 20, 21]].norm(dim=-1).mean()) < 18


@pytest.mark.slow
def test_fits_of_the_shared_markers_agree_with_the_laboratory():
    if not SUBJECT.is_dir():
        pytest.skip("the shared laboratory is not here")
    rows = []
    for recording, angles in opensim_trials(SUBJECT):
        keypoints = read_keypoints(recording)
        assert load_layout(keypoints.layout).name == "opencap_lab"
        motion = Solver().fit(keypoints)
        rows += compare_angles(recording.stem, load_body(motion.body), motion, keypoints.start_s, read_mot(angles))
    found = {row.joint: row for row in over_trials(rows)}
    assert len(rows) == 6 * len(found)
    assert found["knee"].rms < 5
    assert found["knee"].spread < 2.5
    assert found["elbow"].rms < 7
    assert found["hip"].rms < 7
