from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from learnable_smplify.body import load_body
from learnable_smplify.body.carried import hanging_joint
from learnable_smplify.body.fold import pose_derivative
from learnable_smplify.errors import InputError
from learnable_smplify.layouts.layout import layout_names, load_layout
from learnable_smplify.rotation import rotvec_to_rotmat
from learnable_smplify.skeleton import JOINT_INDEX, MIRROR
from learnable_smplify.solver.shape.detector import detected_points, errors_of
from learnable_smplify.solver.shape.offsets import (
    OffsetOptions,
    Offsets,
    calibrate_offsets,
    read_offsets,
    write_offsets,
)

LAYOUT = load_layout("body25")
BODY = load_body()
FRAMES = 400


def recording(offset_size: float = 0.03, symmetric: bool = False):
    """Poses, betas and keypoints of a person whose keypoints are off by constant vectors in the joints' frames."""
    generator = torch.Generator().manual_seed(3)
    rotmat = rotvec_to_rotmat(0.4 * torch.randn(FRAMES, 24, 3, generator=generator))
    transl = torch.randn(FRAMES, 3, generator=generator)
    betas = torch.randn(10, generator=generator)
    folded = BODY.folded(LAYOUT)
    offset = offset_size * torch.randn(len(LAYOUT), 3, generator=generator)
    if symmetric:
        mirrored = offset[list(LAYOUT.mirror)] * torch.tensor([-1.0, 1.0, 1.0])
        offset = (offset + mirrored) / 2
    true = Offsets(LAYOUT.name, LAYOUT.keypoint_names, hanging_joint(folded), offset)
    targets = true.apply(folded).shaped(betas[None]).pose(rotmat).positions() + transl[:, None]
    return folded, rotmat, transl, betas, targets, true


def test_offsets_of_a_recording_are_recovered():
    folded, rotmat, transl, betas, targets, true = recording()
    options = OffsetOptions(prior_frames=0, symmetric=False)
    found = calibrate_offsets(folded, LAYOUT, rotmat, transl, betas, targets, torch.ones(FRAMES, 25), options)
    assert found.joint.tolist() == true.joint.tolist()
    torch.testing.assert_close(found.offset, true.offset, atol=1e-5, rtol=0)


def test_mirrored_offsets_are_recovered_from_one_side_alone():
    folded, rotmat, transl, betas, targets, true = recording(symmetric=True)
    confidence = torch.ones(FRAMES, 25)
    confidence[:, [index for index, name in enumerate(LAYOUT.keypoint_names) if name.startswith("L")]] = 0
    options = OffsetOptions(prior_frames=0, symmetric=True)
    found = calibrate_offsets(folded, LAYOUT, rotmat, transl, betas, targets, confidence, options)
    assert found.joint.tolist() == true.joint.tolist()
    torch.testing.assert_close(found.offset, true.offset, atol=1e-5, rtol=0)


def test_noise_outliers_and_missing_keypoints_hardly_move_the_offsets():
    folded, rotmat, transl, betas, targets, true = recording()
    generator = torch.Generator().manual_seed(4)
    targets = targets + 0.01 * torch.randn(targets.shape, generator=generator)
    wild = torch.rand(FRAMES, 25, generator=generator) < 0.1
    targets = targets + 0.5 * wild[..., None] * torch.randn(targets.shape, generator=generator)
    confidence = (torch.rand(FRAMES, 25, generator=generator) > 0.3).float()
    targets = torch.where(confidence[..., None] > 0, targets, torch.nan)
    options = OffsetOptions(prior_frames=1, symmetric=False)
    found = calibrate_offsets(folded, LAYOUT, rotmat, transl, betas, targets, confidence, options)
    assert (found.offset - true.offset).norm(dim=-1).max() < 0.004


def test_keypoints_never_seen_have_no_offset():
    folded, rotmat, transl, betas, targets, _ = recording()
    confidence = torch.ones(FRAMES, 25)
    hidden = [LAYOUT.index("LWrist"), LAYOUT.index("RWrist"), LAYOUT.index("Nose")]
    confidence[:, hidden] = 0
    found = calibrate_offsets(folded, LAYOUT, rotmat, transl, betas, targets, confidence)
    assert bool((found.offset[hidden] == 0).all())
    assert bool((found.offset.norm(dim=-1) > 0).sum() == 22)


def test_few_frames_are_drawn_towards_zero_and_many_are_not():
    folded, rotmat, transl, betas, targets, true = recording()
    options = OffsetOptions(symmetric=False)
    lengths = []
    for frames in (2, 20, FRAMES):
        part = slice(0, frames)
        found = calibrate_offsets(
            folded, LAYOUT, rotmat[part], transl[part], betas, targets[part], torch.ones(frames, 25), options
        )
        lengths.append(float(found.offset.norm(dim=-1).mean() / true.offset.norm(dim=-1).mean()))
    assert lengths[0] < 0.1 < lengths[1] < 0.5 < 0.9 < lengths[2] < 1


def test_an_offset_that_is_steady_on_the_parent_is_kept_there():
    folded, rotmat, transl, betas, targets, _ = recording(offset_size=0.0)
    hip = LAYOUT.index("LHip")
    on_pelvis = Offsets(
        LAYOUT.name,
        LAYOUT.keypoint_names,
        torch.full((25,), JOINT_INDEX["pelvis"]),
        torch.nn.functional.one_hot(torch.tensor(hip), 25)[:, None] * torch.tensor([0.05, 0.0, 0.02]),
    )
    targets = on_pelvis.apply(folded).shaped(betas[None]).pose(rotmat).positions() + transl[:, None]
    options = OffsetOptions(prior_frames=0, symmetric=False)
    found = calibrate_offsets(folded, LAYOUT, rotmat, transl, betas, targets, torch.ones(FRAMES, 25), options)
    assert int(found.joint[hip]) == JOINT_INDEX["pelvis"]
    torch.testing.assert_close(found.offset[hip], torch.tensor([0.05, 0.0, 0.02]), atol=1e-5, rtol=0)


def test_no_offset_is_longer_than_allowed():
    folded, rotmat, transl, betas, targets, _ = recording(offset_size=0.3)
    found = calibrate_offsets(folded, LAYOUT, rotmat, transl, betas, targets, torch.ones(FRAMES, 25))
    assert float(found.offset.norm(dim=-1).max()) <= 0.12 + 1e-6


@pytest.mark.parametrize("name", layout_names())
def test_partners_hang_on_mirrored_joints_in_every_layout(name: str):
    layout = load_layout(name)
    joint = hanging_joint(BODY.folded(layout))
    assert [MIRROR[index] for index in joint.tolist()] == joint[list(layout.mirror)].tolist()


def test_derivatives_of_points_with_offsets_agree_with_differences():
    generator = torch.Generator().manual_seed(5)
    offset = 0.05 * torch.randn(25, 3, generator=generator)
    folded = BODY.folded(LAYOUT, dtype=torch.float64)
    moved = Offsets(LAYOUT.name, LAYOUT.keypoint_names, hanging_joint(folded), offset).apply(folded)
    points = moved.shaped(torch.zeros(1, 10, dtype=torch.float64))
    rotmat = rotvec_to_rotmat(0.5 * torch.randn(1, 24, 3, generator=generator, dtype=torch.float64))
    here, size = points.pose(rotmat), 1e-6
    for joint, axis in ((0, 1), (5, 0), (12, 2), (19, 1)):
        turn = torch.zeros(24, 3, dtype=torch.float64)
        turn[joint, axis] = size
        difference = (points.pose(rotvec_to_rotmat(turn) @ rotmat).positions() - here.positions()) / size
        torch.testing.assert_close(pose_derivative(here)[..., 3 * joint + axis], difference, atol=1e-5, rtol=0)


def test_offsets_written_are_read_again(tmp_path: Path):
    *_, true = recording()
    write_offsets(true, tmp_path / "offsets.json")
    found = read_offsets(tmp_path / "offsets.json", LAYOUT)
    assert found.joint.tolist() == true.joint.tolist()
    torch.testing.assert_close(found.offset, true.offset, atol=1e-6, rtol=0)


def test_offsets_of_another_layout_are_refused(tmp_path: Path):
    *_, true = recording()
    write_offsets(true, tmp_path / "offsets.json")
    with pytest.raises(InputError, match="layout 'body25'"):
        read_offsets(tmp_path / "offsets.json", load_layout("coco17"))
    with pytest.raises(InputError, match="25 keypoints"):
        true.apply(BODY.folded("coco17"))


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: {},
        lambda content: content | {"keypoints": 3},
        lambda content: content | {"keypoints": content["keypoints"] | {"Nose": None}},
        lambda content: (
            content | {"keypoints": content["keypoints"] | {"Nose": {"joint": "tail", "offset": [0, 0, 0]}}}
        ),
        lambda content: content | {"keypoints": content["keypoints"] | {"Nose": {"joint": "head", "offset": [0, 0]}}},
        lambda content: (
            content | {"keypoints": content["keypoints"] | {"Nose": {"joint": "head", "offset": [0, 0, float("nan")]}}}
        ),
        lambda content: content | {"keypoints": content["keypoints"] | {"Nose": {"joint": [], "offset": [0, 0, 0]}}},
        lambda content: (
            content | {"keypoints": content["keypoints"] | {"Nose": {"joint": "head", "offset": [0, 0, "1"]}}}
        ),
        lambda content: (
            content | {"keypoints": content["keypoints"] | {"Nose": {"joint": "head", "offset": [0, 0, 1e9]}}}
        ),
    ],
)
def test_a_damaged_offsets_file_is_refused_with_its_name(tmp_path: Path, damage):
    *_, true = recording()
    path = tmp_path / "offsets.json"
    write_offsets(true, path)
    path.write_text(json.dumps(damage(json.loads(path.read_text()))))
    with pytest.raises(InputError, match=r"offsets\.json"):
        read_offsets(path, LAYOUT)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b" " * 2_000_000])
def test_a_file_that_is_not_json_is_refused(tmp_path: Path, content: bytes):
    path = tmp_path / "offsets.json"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"offsets\.json"):
        read_offsets(path, LAYOUT)


def test_a_missing_offsets_file_is_refused(tmp_path: Path):
    with pytest.raises(InputError, match=r"nowhere\.json"):
        read_offsets(tmp_path / "nowhere.json", LAYOUT)


def test_a_detector_errs_left_and_right_as_mirror_images_and_nowhere_to_the_side_in_the_middle() -> None:
    folded = BODY.folded(LAYOUT)
    biased = detected_points(folded, LAYOUT)
    shape = torch.randn(biased.anchor_shape.shape[-1], generator=torch.Generator().manual_seed(0))
    none, some = (errors_of(folded, biased, LAYOUT, scale * shape).offset for scale in (0.0, 1.0))
    away = some - none
    assert float(away.norm(dim=-1).min()) > 1e-4
    torch.testing.assert_close(away[list(LAYOUT.mirror)] * torch.tensor([-1.0, 1.0, 1.0]), away, atol=1e-6, rtol=0)
