"""A whole recording: what `RecordingOptions` add to following it frame by frame."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import learnable_smplify as ls
from learnable_smplify.body.kinematics import world_rotations
from learnable_smplify.cli.main import main
from learnable_smplify.rotation import rotvec_to_rotmat
from learnable_smplify.skeleton import JOINT_INDEX
from learnable_smplify.solver.shape.offsets import Offsets, read_offsets
from toy_motion import drifting_transl, swinging_poses

BETAS = torch.tensor([0.8, -0.6, 0.5, 0.0, 0.4, -0.3, 0.2, 0.0, 0.3, 0.0])
LAYOUT = ls.load_layout("body25")


@pytest.fixture(scope="module")
def body() -> ls.Body:
    return ls.load_body()


@pytest.fixture(scope="module")
def truth() -> tuple[Tensor, Tensor]:
    return 0.5 * swinging_poses(90), drifting_transl(90)


def clean(body: ls.Body, truth: tuple[Tensor, Tensor]) -> Tensor:
    return body.keypoints(truth[0], BETAS, truth[1])


def mpjpe_mm(body: ls.Body, motion: ls.Motion, truth: tuple[Tensor, Tensor]) -> Tensor:
    """(T,) mean joint error with pelvis joints laid on each other."""
    joints, wanted = body.joints(motion.pose, motion.betas), body.joints(truth[0], BETAS)
    return 1000 * ((joints - joints[:, :1]) - (wanted - wanted[:, :1])).norm(dim=-1).mean(1)


def fit(body: ls.Body, positions: Tensor, **options: object) -> ls.Motion:
    recording = ls.RecordingOptions(**options)  # type: ignore[arg-type]
    return ls.Solver(body, recording_options=recording).fit(ls.Keypoints(positions, LAYOUT, 30.0), BETAS)


def test_spikes_and_exchanged_sides_are_repaired_and_their_frames_flagged(
    body: ls.Body, truth: tuple[Tensor, Tensor]
) -> None:
    damaged = clean(body, truth).clone()
    damaged[20, LAYOUT.index("LWrist")] += torch.tensor([0.6, 0.4, 0.3])
    left = [index for index, name in enumerate(LAYOUT.keypoint_names) if name.startswith("L")]
    right = [LAYOUT.index("R" + LAYOUT.keypoint_names[index][1:]) for index in left]
    damaged[50:60, left], damaged[50:60, right] = damaged[50:60, right], damaged[50:60, left].clone()
    repaired, believed = fit(body, damaged), fit(body, damaged, repair=None)
    assert repaired.flagged[20]
    assert repaired.flagged[50:60].all()
    assert not repaired.flagged[:15].any()
    assert float(mpjpe_mm(body, repaired, truth).max()) < 40
    assert float(mpjpe_mm(body, believed, truth)[50:60].max()) > 100
    assert any("left and right" in note for note in repaired.notes)


def test_smoothing_lowers_error_and_shaking_of_noisy_keypoints(body: ls.Body, truth: tuple[Tensor, Tensor]) -> None:
    generator = torch.Generator().manual_seed(0)
    noisy = clean(body, truth) + 0.02 * torch.randn(90, 25, 3, generator=generator)
    causal, smooth = fit(body, noisy), fit(body, noisy, smooth=True)

    def shaking(motion: ls.Motion) -> float:
        joints = body.joints(motion.pose, motion.betas, motion.transl)
        return float((joints[2:] - 2 * joints[1:-1] + joints[:-2]).norm(dim=-1).mean())

    assert float(mpjpe_mm(body, smooth, truth).mean()) < float(mpjpe_mm(body, causal, truth).mean())
    assert shaking(smooth) < 0.5 * shaking(causal)


def test_two_seconds_out_of_view_are_bridged_and_flagged(body: ls.Body, truth: tuple[Tensor, Tensor]) -> None:
    positions = clean(body, truth).clone()
    positions[20:80] = torch.nan
    motion = fit(body, positions)
    assert motion.flagged[20:80].all()
    assert not motion.flagged[:18].any()
    steps = (motion.transl[1:] - motion.transl[:-1]).norm(dim=-1)
    assert float(steps.max()) < 0.05  # no jump at either end


def test_frames_left_out_lie_between_their_neighbours(body: ls.Body, truth: tuple[Tensor, Tensor]) -> None:
    positions = clean(body, truth).clone()
    left_out = torch.ones(90, dtype=torch.bool)
    left_out[::3] = False
    left_out[-1] = False
    positions[left_out] = torch.nan
    motion = fit(body, positions)
    assert motion.flagged[left_out].all()
    assert not motion.flagged[~left_out].any()
    assert float(mpjpe_mm(body, motion, truth)[left_out].mean()) < 6
    assert float((motion.transl - truth[1]).norm(dim=-1).max()) < 0.01


def test_a_recording_of_unknown_scale_is_brought_to_the_size_of_a_person(
    body: ls.Body, truth: tuple[Tensor, Tensor]
) -> None:
    keypoints = ls.Keypoints(1.7 * clean(body, truth), LAYOUT, 30.0)
    motion = ls.Solver(body, recording_options=ls.RecordingOptions(scale_to_body=True)).fit(keypoints)
    assert any("positions times 0." in note for note in motion.notes)
    assert float(motion.betas[0].abs()) < 1  # no giant
    assert float(mpjpe_mm(body, motion, truth).mean()) < 50  # the person's own size is lost


def test_offsets_of_a_detector_are_found_once_and_serve_again(
    body: ls.Body, truth: tuple[Tensor, Tensor], tmp_path: Path
) -> None:
    generator = torch.Generator().manual_seed(1)
    knee = LAYOUT.index("LKnee"), LAYOUT.index("RKnee")
    positions = clean(body, truth)
    # Knees measured 4 cm in front of the skeleton's, as seen by the shank.

    world = world_rotations(rotvec_to_rotmat(truth[0]))
    for keypoint, joint in zip(knee, (4, 5), strict=True):
        positions[:, keypoint] += world[:, joint] @ torch.tensor([0.0, 0.0, 0.04])
    positions = positions + 0.001 * torch.randn(positions.shape, generator=generator)
    path = tmp_path / "clip.npz"
    np.savez(path, keypoints=positions.numpy(), layout="body25", fps=30.0)
    betas = [f"{value:g}" for value in BETAS.tolist()]
    main(
        [
            "fit",
            str(path),
            "-o",
            str(tmp_path / "a.npz"),
            "--calibrate-offsets",
            str(tmp_path / "o.json"),
            "--betas",
            *betas,
        ]
    )
    offsets = read_offsets(tmp_path / "o.json", LAYOUT)
    plain, helped = fit(body, positions), fit(body, positions, offsets=offsets)
    moved = offsets.apply(body.folded(LAYOUT)).shaped(BETAS[None])
    error = (moved.pose(rotvec_to_rotmat(helped.pose)).positions() + helped.transl[:, None] - positions).norm(dim=-1)
    before = body.keypoints(plain.pose, BETAS, plain.transl) - positions
    assert float(error[:, knee].mean()) < 0.5 * float(before.norm(dim=-1)[:, knee].mean())
    legs = [JOINT_INDEX[f"{side}_{name}"] for side in ("left", "right") for name in ("knee", "ankle", "foot")]
    true = body.joints(truth[0], BETAS, truth[1])[:, legs]
    off = [(body.joints(found.pose, BETAS, found.transl)[:, legs] - true).norm(dim=-1) for found in (plain, helped)]
    assert float(off[1].mean()) < float(off[0].mean())


def test_every_person_of_a_file_gets_a_motion(
    body: ls.Body, truth: tuple[Tensor, Tensor], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "json3d"
    folder.mkdir()
    first, second = clean(body, truth)[:8], clean(body, truth)[8:16] + torch.tensor([2.0, 0.0, 0.0])
    for frame in range(8):
        people = [
            {"id": name, "keypoints3d": torch.cat((positions[frame], torch.ones(25, 1)), dim=1).tolist()}
            for name, positions in (("3", first), ("7", second))
        ]
        (folder / f"{frame:06d}.json").write_text(json.dumps(people))
    main(["fit", str(folder), "-o", str(tmp_path / "m.npz"), "--fps", "30"])
    assert len(ls.read_motion(tmp_path / "m_3.npz")) == len(ls.read_motion(tmp_path / "m_7.npz")) == 8
    main(["fit", str(folder), "-o", str(tmp_path / "only.npz"), "--fps", "30", "--person", "7"])
    assert len(ls.read_motion(tmp_path / "only.npz")) == 8
    assert "person 3" in capsys.readouterr().out


def test_a_cut_gap_makes_two_files(body: ls.Body, truth: tuple[Tensor, Tensor], tmp_path: Path) -> None:
    positions = clean(body, truth).clone()
    positions[30:60] = torch.nan
    path = tmp_path / "clip.npz"
    np.savez(path, keypoints=positions.numpy(), layout="body25", fps=30.0)
    main(["fit", str(path), "-o", str(tmp_path / "m.npz"), "--gap", "cut"])
    lengths = [len(ls.read_motion(tmp_path / f"m_part{number}.npz")) for number in (1, 2)]
    assert lengths == [30, 30]


def test_a_stream_finds_the_person_and_learns_their_shape(body: ls.Body, truth: tuple[Tensor, Tensor]) -> None:
    stream = ls.Solver(body).stream(fps=30.0)
    frames = [stream.push(frame) for frame in clean(body, truth)]
    motion = ls.Motion(
        torch.stack([frame.pose for frame in frames]),
        torch.stack([frame.transl for frame in frames]),
        frames[-1].betas,
    )
    early, late = mpjpe_mm(body, motion, truth)[:10].mean(), mpjpe_mm(body, motion, truth)[-30:].mean()
    assert float(late) < 25
    assert float(early) < 40
    assert [frame.frame for frame in frames] == list(range(90))
    gone = stream.push(torch.full((25, 3), torch.nan))
    assert gone.flagged
    assert torch.allclose(gone.pose, frames[-1].pose, atol=1e-5)


def test_a_stream_survives_a_frame_of_another_shape(body: ls.Body, truth: tuple[Tensor, Tensor]) -> None:
    stream = ls.Solver(body).stream(betas=BETAS)
    good = clean(body, truth)
    stream.push(good[0])
    with pytest.raises(ls.InputError, match=r"\(3, 3\)"):
        stream.push(good[0, :3])
    assert not stream.push(good[1]).flagged


def test_smplify_refuses_what_only_the_others_can(body: ls.Body, tmp_path: Path) -> None:
    np.savez(tmp_path / "clip.npz", keypoints=np.ones((2, 25, 3)), layout="body25", fps=30.0)
    with pytest.raises(SystemExit):
        main(["fit", str(tmp_path / "clip.npz"), "-o", str(tmp_path / "m.npz"), "--method", "smplify", "--smooth"])
    with pytest.raises(ls.InputError, match="stream"):
        ls.Solver(body, "smplify").stream()


def test_options_are_plain_values_that_can_be_changed() -> None:
    assert replace(ls.RecordingOptions(), smooth=True).smooth


def test_calibrated_offsets_with_which_keypoints_fit_worse_are_not_used(
    body: ls.Body, truth: tuple[Tensor, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    positions = clean(body, truth) + 0.005 * torch.randn(90, 25, 3, generator=torch.Generator().manual_seed(0))
    wrong = 0.1 * torch.randn(25, 3, generator=torch.Generator().manual_seed(1))
    nonsense = Offsets("body25", LAYOUT.keypoint_names, torch.zeros(25, dtype=torch.int64), wrong)
    monkeypatch.setattr("learnable_smplify.solver.followed.calibrate_offsets", lambda *_: nonsense)
    with_them, without = fit(body, positions, calibrate_offsets=True), fit(body, positions)
    assert torch.equal(with_them.pose, without.pose)
    assert any("offsets are not used: with them keypoints are" in note for note in with_them.notes)
