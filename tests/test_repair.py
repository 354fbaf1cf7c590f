from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from learnable_smplify.body import load_body
from learnable_smplify.errors import InputError
from learnable_smplify.formats.keypoints.source import Asked
from learnable_smplify.formats.keypoints.trc import read_trc
from learnable_smplify.keypoints import Keypoints
from learnable_smplify.layouts.layout import layout_names, load_layout
from learnable_smplify.motion import Motion
from learnable_smplify.repair import (
    RepairOptions,
    RepairStream,
    cut_keypoints,
    interpolate_gaps,
    repair_keypoints,
)
from learnable_smplify.repair.neighbours import neighbours
from learnable_smplify.repair.parts import body_parts
from learnable_smplify.repair.swaps import exchange
from learnable_smplify.skeleton import JOINT_INDEX

BODY = load_body()
RECORDINGS = Path(__file__).parents[2] / "shared" / "data" / "keypoints"


def walk(fps: float = 30.0, seconds: float = 6.0, layout: str = "body25") -> Keypoints:
    """A person walking in a circle, swinging arms, of which the feet reach about 5 m/s."""
    time = torch.arange(int(fps * seconds)) / fps
    phase = 2 * torch.pi * 1.1 * time
    pose = torch.zeros(len(time), 24, 3)
    for side, sign in (("left", 1.0), ("right", -1.0)):
        swing = sign * torch.sin(phase)
        pose[:, JOINT_INDEX[f"{side}_hip"], 0] = -0.6 * swing
        pose[:, JOINT_INDEX[f"{side}_knee"], 0] = 0.6 + 0.5 * torch.cos(phase * 1.0 + (0 if sign > 0 else torch.pi))
        pose[:, JOINT_INDEX[f"{side}_shoulder"], 2] = -sign * 1.1
        pose[:, JOINT_INDEX[f"{side}_shoulder"], 0] = 0.5 * swing
        pose[:, JOINT_INDEX[f"{side}_elbow"], 1] = -sign * 0.4
    turn = 0.5 * time
    pose[:, 0, 1] = turn
    transl = torch.stack((-2.4 * torch.cos(turn), 0.02 * torch.sin(2 * phase), 2.4 * torch.sin(turn)), dim=-1)
    return Keypoints(BODY.keypoints(pose, torch.zeros(10), transl, layout), layout, fps, up_axis="y")


def damaged(clean: Keypoints, seed: int = 0, noise: float = 0.02, missing: float = 0.1, outliers: float = 0.0):
    """Noise, missing keypoints, and outliers of 0.15 to 1 m; returns the mask of the outliers too."""
    generator = torch.Generator().manual_seed(seed)
    shape = clean.positions.shape
    wild = torch.rand(shape[:2], generator=generator) < outliers
    way = torch.nn.functional.normalize(torch.randn(shape, generator=generator), dim=-1)
    size = 0.15 + 0.85 * torch.rand(shape[:2], generator=generator)
    positions = clean.positions + noise * torch.randn(shape, generator=generator)
    positions = positions + (wild * size)[..., None] * way
    confidence = (torch.rand(shape[:2], generator=generator) >= missing).float()
    return replace(clean, positions=positions, confidence=confidence), wild & (confidence > 0)


def exchanged(clean: Keypoints, frames: slice, sections: tuple[str, ...] | None = None):
    """Left and right exchanged in these frames; returns the mask too."""
    parts = body_parts(clean.layout)
    rows = np.ones(len(parts.pairs), dtype=bool)
    if sections is not None:
        rows = np.logical_or.reduce([parts.in_section(name) for name in sections])
    mask = np.zeros(clean.positions.shape[:2], dtype=bool)
    mask[frames, parts.pairs[rows].ravel()[:, None]] = True
    positions = clean.positions.numpy().copy()
    exchange(positions, mask, parts)
    return replace(clean, positions=torch.from_numpy(positions)), torch.from_numpy(mask)


def test_neighbours_are_the_nearest_valid_frames():
    generator = np.random.default_rng(0)
    valid = generator.random((40, 3)) > 0.4
    for step in (1, 3):
        found = neighbours(valid, step)
        for frame in range(40):
            for column in range(3):
                before = [other for other in range(frame - step + 1) if valid[other, column]]
                after = [other for other in range(frame + step, 40) if valid[other, column]]
                assert found.before[frame, column] == (before[-1] if before else -1)
                assert found.after[frame, column] == (after[0] if after else 40)
                before2 = [other for other in before if before and other <= before[-1] - step]
                after2 = [other for other in after if after and other >= after[0] + step]
                assert found.before2[frame, column] == (before2[-1] if before2 else -1)
                assert found.after2[frame, column] == (after2[0] if after2 else 40)


@pytest.mark.parametrize("fps", [15.0, 30.0, 120.0])
@pytest.mark.parametrize("name", layout_names())
def test_a_clean_recording_is_left_as_it_is(name: str, fps: float):
    clean = walk(fps, layout=name)
    repaired, repairs = repair_keypoints(clean)
    assert repairs.summary() == ()
    assert not bool(repairs.flagged.any())
    assert repairs.segments == ((0, len(clean)),)
    torch.testing.assert_close(repaired.positions, clean.positions)
    torch.testing.assert_close(repaired.confidence, clean.confidence)


@pytest.mark.parametrize("fps", [15.0, 30.0, 60.0, 240.0])
def test_outliers_are_removed_and_good_keypoints_stay(fps: float):
    noisy, wild = damaged(walk(fps, seconds=15), outliers=0.01)
    _, repairs = repair_keypoints(noisy)
    assert float((repairs.spike & wild).sum() / wild.sum()) > (0.88 if fps < 20 else 0.96)
    assert float((repairs.spike & ~wild).float().mean()) < 0.001
    assert bool((repairs.flagged == (repairs.spike | repairs.swapped | repairs.frozen).any(1)).all())


def test_what_is_removed_has_no_confidence_and_the_rest_is_untouched():
    noisy, _ = damaged(walk(), outliers=0.01)
    repaired, repairs = repair_keypoints(noisy)
    assert bool((repaired.confidence[repairs.spike] == 0).all())
    kept = ~repairs.spike
    torch.testing.assert_close(repaired.positions[kept], noisy.positions[kept])
    torch.testing.assert_close(repaired.confidence[kept], noisy.confidence[kept])
    assert any("spikes removed" in note for note in repaired.notes)


def test_a_keypoint_that_sits_wrong_for_several_frames_is_removed():
    clean = walk(60.0)
    positions = clean.positions.clone()
    wrist = clean.layout.index("LWrist")
    positions[100:105, wrist] += torch.tensor([0.3, 0.5, -0.2])
    _, repairs = repair_keypoints(replace(clean, positions=positions))
    assert repairs.spike.nonzero().tolist() == [[frame, wrist] for frame in range(100, 105)]
    assert repairs.summary() == ("5 spikes removed (LWrist 5)",)


def test_a_fast_kick_is_not_a_spike():
    fps = 60.0
    time = torch.arange(120) / fps
    pose = torch.zeros(120, 24, 3)
    pose[:, JOINT_INDEX["right_hip"], 0] = -1.6 * torch.exp(-(((time - 1) / 0.09) ** 2))
    pose[:, JOINT_INDEX["right_knee"], 0] = 1.6 * torch.exp(-(((time - 0.93) / 0.07) ** 2))
    clean = Keypoints(BODY.keypoints(pose, torch.zeros(10)), "body25", fps)
    toe = clean.positions[:, clean.layout.index("RBigToe")]
    assert float((toe[1:] - toe[:-1]).norm(dim=-1).max() * fps) > 10
    for keypoints in (clean, damaged(clean)[0]):
        _, repairs = repair_keypoints(keypoints)
        assert float(repairs.spike.float().mean()) < 0.001
        assert not bool(repairs.swapped.any())


@pytest.mark.parametrize(
    "sections", [None, ("legs", "feet"), ("hips", "legs", "feet"), ("arms",), ("shoulders", "arms"), ("legs",)]
)
@pytest.mark.parametrize("frames", [slice(0, 15), slice(80, 83), slice(60, 90), slice(165, 180)])
def test_exchanged_sides_are_exchanged_back(sections: tuple[str, ...] | None, frames: slice):
    clean = walk()
    wrong, mask = exchanged(clean, frames, sections)
    noisy, _ = damaged(wrong, outliers=0.01)
    repaired, repairs = repair_keypoints(noisy)
    seen = repaired.confidence > 0
    found = (repairs.swapped & mask & seen).sum() / (mask & seen).sum()
    assert float(found) > 0.95
    assert float((repairs.swapped & ~mask).float().mean()) < 0.005
    error = (repaired.positions - clean.positions).norm(dim=-1)[seen]
    assert float((error > 0.15).float().mean()) < 0.005
    assert any("left and right" in line for line in repairs.summary())


@pytest.mark.parametrize("name", layout_names())
def test_an_exchanged_body_is_found_in_every_layout(name: str):
    clean = walk(layout=name)
    wrong, mask = exchanged(clean, slice(60, 75))
    repaired, repairs = repair_keypoints(wrong)
    assert bool((repairs.swapped == mask).all())
    torch.testing.assert_close(repaired.positions, clean.positions)


def test_a_recording_that_is_mirrored_throughout_is_told_and_left():
    clean = walk()
    mirrored = replace(clean, positions=clean.positions * torch.tensor([-1.0, 1.0, 1.0]))
    repaired, repairs = repair_keypoints(mirrored)
    assert not bool(repairs.swapped.any())
    torch.testing.assert_close(repaired.positions, mirrored.positions)
    assert any("throughout" in line for line in repairs.summary())


def test_repeated_frames_are_removed_and_the_release_is_kept():
    noisy, _ = damaged(walk(), missing=0.0)
    positions = noisy.positions.clone()
    positions[50:60] = positions[49]
    repaired, repairs = repair_keypoints(replace(noisy, positions=positions))
    assert bool((repaired.confidence[50:60] == 0).all())
    assert bool(repairs.frozen[50:60].all())
    assert not bool(repairs.frozen[60:].any())
    assert not bool(repairs.frozen[:50].any())
    assert "frames 50-59: repeated from the frame before, ignored" in repairs.summary()


def test_a_recording_that_ends_frozen_is_seen_from_the_motion_before():
    clean = walk()
    positions = clean.positions.clone()
    positions[-20:] = positions[-21]
    _, repairs = repair_keypoints(replace(clean, positions=positions))
    assert repairs.frozen.any(1).nonzero()[:, 0].tolist() == list(range(160, 180))


def test_a_person_who_stands_still_is_not_frozen():
    clean = walk()
    positions = clean.positions[:1].expand(60, -1, -1)
    _, repairs = repair_keypoints(replace(clean, positions=positions, confidence=torch.ones(60, 25)))
    assert not bool(repairs.flagged.any())


def test_a_keypoint_held_by_the_tracker_is_removed():
    clean = walk()
    positions = clean.positions.clone()
    wrist = clean.layout.index("RWrist")
    positions[70:85, wrist] = positions[69, wrist]
    _, repairs = repair_keypoints(replace(clean, positions=positions))
    assert float(repairs.frozen[70:85, wrist].float().mean()) > 0.8
    assert int(repairs.frozen.sum()) == int(repairs.frozen[70:85, wrist].sum())


@pytest.mark.parametrize("fps", [15.0, 30.0, 120.0])
def test_a_person_out_of_view_is_a_gap_and_a_limb_is_not(fps: float):
    noisy, _ = damaged(walk(fps))
    confidence = noisy.confidence.clone()
    away = slice(int(2 * fps), int(4 * fps))
    confidence[away] = 0
    arm = [noisy.layout.index(name) for name in ("LShoulder", "LElbow", "LWrist")]
    confidence[int(1 * fps) : int(1.5 * fps), arm] = 0
    hidden = replace(noisy, confidence=confidence)
    expected = torch.zeros(len(noisy), dtype=torch.bool)
    expected[away] = True
    _, repairs = repair_keypoints(hidden)
    assert bool((repairs.gap == expected).all())
    assert repairs.segments == ((0, len(noisy)),)
    assert any("interpolated" in line for line in repairs.summary())
    repaired, repairs = repair_keypoints(hidden, RepairOptions(gap="cut"))
    assert repairs.segments == ((0, away.start), (away.stop, len(noisy)))
    pieces = cut_keypoints(repaired, repairs.segments)
    assert [len(piece) for piece in pieces] == [away.start, len(noisy) - away.stop]
    assert f"frames {away.stop}-{len(noisy) - 1} of the recording" in pieces[1].notes


def test_poses_in_a_gap_turn_the_short_way_and_are_flagged():
    pose = torch.zeros(10, 24, 3)
    pose[:, 0, 1] = torch.linspace(3.0, 3.9, 10)  # beyond pi: the rotvec wraps
    transl = torch.linspace(0, 0.9, 10)[:, None].expand(-1, 3)
    gap = torch.zeros(10, dtype=torch.bool)
    gap[3:7] = gap[9] = True
    broken = Motion(torch.where(gap[:, None, None], 1.0, pose), torch.where(gap[:, None], 5.0, transl), torch.zeros(10))
    filled = interpolate_gaps(broken, gap)
    expected = BODY.joints(pose[:9], torch.zeros(10), transl[:9])
    torch.testing.assert_close(
        BODY.joints(filled.pose[:9], torch.zeros(10), filled.transl[:9]), expected, atol=1e-5, rtol=0
    )
    torch.testing.assert_close(filled.transl[9], transl[8])
    assert filled.flagged.tolist() == gap.tolist()
    with pytest.raises(InputError, match="out of view in every frame"):
        interpolate_gaps(broken, torch.ones(10, dtype=torch.bool))


def test_a_recording_in_millimetres_is_not_judged_in_metres():
    noisy, _ = damaged(walk(), outliers=0.01)
    wrong = replace(noisy, positions=1000 * noisy.positions)
    repaired, repairs = repair_keypoints(wrong)
    torch.testing.assert_close(repaired.positions, wrong.positions)
    assert not bool(repairs.spike.any())
    assert any("units" in line for line in repairs.summary())


def test_keypoints_out_of_reach_are_removed_even_alone_in_time():
    clean = walk()
    positions = clean.positions[:1].clone()
    positions[0, 4] += 30
    _, repairs = repair_keypoints(Keypoints(positions, "body25", 30.0))
    assert repairs.spike.nonzero().tolist() == [[0, 4]]


@pytest.mark.parametrize("frames", [1, 2, 3, 5])
def test_very_short_recordings_are_accepted(frames: int):
    noisy, _ = damaged(walk(), missing=0.3)
    part = replace(noisy, positions=noisy.positions[:frames], confidence=noisy.confidence[:frames])
    repaired, repairs = repair_keypoints(part)
    assert repairs.flagged.shape == (frames,)
    assert bool(torch.isfinite(repaired.positions).all())


def test_recordings_of_noise_alone_end_without_an_error():
    generator = torch.Generator().manual_seed(0)
    for name in layout_names():
        count = len(load_layout(name))
        positions = torch.randn(50, count, 3, generator=generator)
        positions[torch.rand(50, count, generator=generator) < 0.5] = torch.nan
        repaired, repairs = repair_keypoints(Keypoints(positions, name, 25.0))
        assert bool(torch.isfinite(repaired.positions).all())
        assert isinstance(repairs.summary(), tuple)


def test_a_layout_without_edges_or_sides_is_repaired_by_time_alone(tmp_path: Path):
    path = tmp_path / "mine.toml"
    path.write_text('[keypoints]\nA = "left_knee"\nB = "head_top"\nC = "nose"\nD = "spine2"\nE = "right_wrist"\n')
    clean = walk(layout=str(path))
    positions = clean.positions.clone()
    positions[40, 2] += 0.6
    _, repairs = repair_keypoints(replace(clean, positions=positions))
    assert repairs.spike.nonzero().tolist() == [[40, 2]]


def test_each_repair_can_be_switched_off():
    wrong, _ = exchanged(walk(), slice(60, 90))
    noisy, _ = damaged(wrong, outliers=0.01)
    untouched, repairs = repair_keypoints(noisy, RepairOptions(spikes=False, swaps=False, frozen=False))
    assert not bool(repairs.flagged.any())
    torch.testing.assert_close(untouched.positions, noisy.positions)


def stream_all(keypoints: Keypoints, **options: bool):
    stream = RepairStream(keypoints.layout, keypoints.fps, RepairOptions(**options))
    frames = [stream.push(*frame) for frame in zip(keypoints.positions, keypoints.confidence, strict=True)]
    masks = ("positions", "confidence", "spike", "swapped", "frozen")
    return {name: torch.stack([getattr(frame, name) for frame in frames]) for name in masks}


@pytest.mark.parametrize("fps", [30.0, 60.0])
def test_a_stream_is_repaired_from_the_past_alone(fps: float):
    clean = walk(fps)
    wrong, mask = exchanged(clean, slice(int(2 * fps), int(2.5 * fps)))
    noisy, wild = damaged(wrong, outliers=0.01)
    found = stream_all(noisy)
    seen = found["confidence"] > 0
    assert float((found["swapped"] & mask & seen).sum() / (mask & seen).sum()) > 0.95
    assert float((found["swapped"] & ~mask).float().mean()) < 0.005
    error = (found["positions"] - clean.positions).norm(dim=-1)[seen]
    before = (noisy.positions - clean.positions).norm(dim=-1)[noisy.confidence > 0]
    assert float((error > 0.15).float().mean()) < 0.1 * float((before > 0.15).float().mean())
    assert float((found["spike"].sum() - wild.sum()).abs() / wild.sum()) < 0.5


def test_a_clean_stream_is_left_as_it_is():
    clean = walk()
    found = stream_all(clean)
    assert not bool((found["spike"] | found["swapped"] | found["frozen"]).any())
    torch.testing.assert_close(found["positions"], clean.positions)


def test_a_stream_that_starts_exchanged_is_put_right_after_a_moment():
    clean = walk()
    wrong, _ = exchanged(clean, slice(0, 60))
    found = stream_all(wrong)
    settled = slice(30, None)
    torch.testing.assert_close(found["positions"][settled], clean.positions[settled])


def test_a_stream_believes_a_keypoint_that_insists():
    clean = walk()
    jumped = clean.positions.clone()
    jumped[60:] += torch.tensor([5.0, 0.0, 0.0])  # the person was lost and found again elsewhere
    found = stream_all(replace(clean, positions=jumped))
    assert bool((found["confidence"][75:] > 0).all())


def test_a_stream_does_not_see_the_future():
    noisy, _ = damaged(walk(), outliers=0.01)
    whole = stream_all(noisy)
    half = stream_all(replace(noisy, positions=noisy.positions[:90], confidence=noisy.confidence[:90]))
    for name, values in half.items():
        torch.testing.assert_close(values, whole[name][:90])


def test_a_stream_survives_empty_frames_and_refuses_other_shapes():
    stream = RepairStream("body25", 30.0)
    empty = stream.push(np.full((25, 3), np.nan))
    assert bool((empty.confidence == 0).all())
    assert not empty.flagged
    with pytest.raises(InputError, match="25, 3"):
        stream.push(np.zeros((17, 3)))
    with pytest.raises(InputError, match="frame rate"):
        RepairStream("body25", 0.0)


def test_the_memory_of_a_stream_does_not_grow():
    clean = walk()
    stream = RepairStream("body25", 10.0)
    for frame in clean.positions:
        stream.push(frame)
    assert len(stream._history) <= 64


@pytest.mark.skipif(not RECORDINGS.is_dir(), reason="the real recordings are not here")
@pytest.mark.parametrize("path", sorted(RECORDINGS.glob("*.trc")), ids=lambda path: path.stem)
def test_real_recordings_are_hardly_touched(path: Path):
    (keypoints,) = read_trc(path, Asked())
    _, repairs = repair_keypoints(keypoints)
    assert not bool(repairs.swapped.any() | repairs.frozen.any() | repairs.gap.any())
    assert float(repairs.spike.float().mean()) < 0.005
