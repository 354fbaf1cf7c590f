"""BVH: rotations, positions, units, rates, the quirks of other programs, and damaged files; pybvh is the witness."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from learnable_smplify.errors import InputError
from learnable_smplify.mocap.bvh import read_bvh
from learnable_smplify.mocap.source import drop_leading_rest_pose
from toy_skeleton import bvh_text, on_smpl, walking_poses

pybvh = pytest.importorskip("pybvh")

TEXT = """HIERARCHY
ROOT Hips
{
  OFFSET 0 0 0
  CHANNELS 6 Xposition Yposition Zposition Zrotation Yrotation Xrotation
  JOINT Spine
  {
    OFFSET 0 60 0
    CHANNELS 3 Zrotation Xrotation Yrotation
    JOINT Head
    {
      OFFSET 0 20 5
      CHANNELS 3 Zrotation Xrotation Yrotation
      End Site
      {
        OFFSET 0 20 0
      }
    }
  }
  JOINT LeftUpLeg
  {
    OFFSET 10 -5 0
    CHANNELS 3 Xrotation Yrotation Zrotation
    End Site
    {
      OFFSET 0 -80 0
    }
  }
}
MOTION
Frames: 3
Frame Time: 0.0083333
1 90 2 10 20 30 1 2 3 4 5 6 7 8 9
1 91 2 -80 85 170 11 12 13 14 15 16 17 18 19
2 92 4 0 0 0 0 0 0 0 0 0 0 90 0
"""


def write(folder: Path, text: str = TEXT) -> Path:
    path = folder / "clip.bvh"
    path.write_text(text)
    return path


def test_rotations_and_positions_agree_with_the_definition_and_with_pybvh(tmp_path: Path) -> None:
    path = write(tmp_path)
    source = read_bvh(path)
    assert source.names == ("Hips", "Spine", "Head", "LeftUpLeg")
    assert source.parents == (-1, 0, 1, 0)
    assert source.up_axis is None
    # BVH turns about the moving axes in the order of the channels: capital letters in scipy.
    hips = Rotation.from_euler("ZYX", [10, 20, 30], degrees=True)
    spine = hips * Rotation.from_euler("ZXY", [1, 2, 3], degrees=True)
    thigh = hips * Rotation.from_euler("XYZ", [7, 8, 9], degrees=True)
    for joint, rotation in ((0, hips), (1, spine), (3, thigh)):
        np.testing.assert_allclose(source.rotations[0, joint], rotation.as_matrix(), atol=1e-12)
    theirs = pybvh.read_bvh_file(path).joint_positions() * 0.01
    np.testing.assert_allclose(source.positions(), theirs, atol=1e-9)


def test_a_clip_written_by_pybvh_is_read_back(tmp_path: Path) -> None:
    original = read_bvh(write(tmp_path))
    pybvh.write_bvh_file(pybvh.read_bvh_file(tmp_path / "clip.bvh"), tmp_path / "again.bvh")
    again = read_bvh(tmp_path / "again.bvh")
    torch.testing.assert_close(again.rotations, original.rotations, atol=1e-6, rtol=0)
    torch.testing.assert_close(again.root_positions, original.root_positions, atol=1e-6, rtol=0)


def test_the_header_is_believed_unless_a_rate_is_given_and_then_the_notes_say_so(tmp_path: Path) -> None:
    path = write(tmp_path)
    assert read_bvh(path).fps == pytest.approx(120)
    assert not any("header" in note for note in read_bvh(path).notes)
    other = read_bvh(path, fps=60)
    assert other.fps == 60
    assert any("the header says 120" in note for note in other.notes)


@pytest.mark.parametrize(
    ("factor", "unit"), [(0.01, "metres"), (1 / 2.54, "inches"), (1, "centimetres"), (10, "millimetres")]
)
def test_lengths_are_metres_whatever_the_unit_of_the_file(tmp_path: Path, factor: float, unit: str) -> None:
    lines = []
    for line in TEXT.splitlines():
        words = line.split()
        if words[0] == "OFFSET":
            line = "OFFSET " + " ".join(str(float(word) * factor) for word in words[1:])
        elif words[0][0].isdigit():
            line = " ".join([*(str(float(word) * factor) for word in words[:3]), *words[3:]])
        lines.append(line)
    source = read_bvh(write(tmp_path, "\n".join(lines) + "\n"))
    assert float(source.root_positions[0, 1]) == pytest.approx(0.9, rel=1e-6)
    assert float(source.tips[3].norm()) == pytest.approx(0.8, rel=1e-6)
    assert any(unit in note for note in source.notes) == (unit != "metres")


def long_clip(rest_frames: int, leap: bool) -> str:
    """Rest pose first, then a slow swing of every joint, which starts with or without a leap."""
    rows = []
    for frame in range(80):
        angle = 0.0 if frame < rest_frames else (40.0 if leap else 0.0) + 0.5 * (frame - rest_frames + 1)
        rows.append(" ".join(["0 90 0", *(f"{angle:.3f}" for _ in range(12))]))
    return TEXT[: TEXT.index("Frames:")] + "Frames: 80\nFrame Time: 0.0166667\n" + "\n".join(rows) + "\n"


def test_a_rest_pose_in_front_of_the_motion_is_dropped_and_reported(tmp_path: Path) -> None:
    source = read_bvh(write(tmp_path, long_clip(rest_frames=2, leap=True)))
    dropped = drop_leading_rest_pose(source)
    assert len(dropped) == len(source) - 2
    assert any("dropped 2 leading frames" in note for note in dropped.notes)
    torch.testing.assert_close(dropped.rotations, source.rotations[2:])


def test_somebody_who_starts_from_the_rest_pose_without_a_leap_is_left_alone(tmp_path: Path) -> None:
    source = read_bvh(write(tmp_path, long_clip(rest_frames=2, leap=False)))
    assert drop_leading_rest_pose(source) is source
    still = read_bvh(write(tmp_path, long_clip(rest_frames=80, leap=False)))
    assert drop_leading_rest_pose(still) is still


@pytest.mark.parametrize("how", ["absolute", "from OFFSET", "OFFSET zero"])
def test_positions_on_every_joint_are_the_places_of_the_joints(tmp_path: Path, how: str) -> None:
    plain = on_smpl(walking_poses(12))
    text = bvh_text(plain, positions=True)
    lines = text.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("Frame Time")) + 1
    if how == "from OFFSET":
        for i in range(start, len(lines)):
            words = lines[i].split()
            for joint in range(1, 24):
                words[6 * joint : 6 * joint + 3] = ["0", "0", "0"]
            lines[i] = " ".join(words)
    elif how == "OFFSET zero":
        inside_end = False
        for i in range(start):
            inside_end = "End Site" in lines[i] or (inside_end and "}" not in lines[i])
            if "OFFSET" in lines[i] and not inside_end:
                lines[i] = "OFFSET 0 0 0"
    source = read_bvh(write(tmp_path, "\n".join(lines) + "\n"))
    in_file_order = [source.names.index(name) for name in plain.names]
    torch.testing.assert_close(source.positions()[:, in_file_order], plain.positions(), atol=1e-6, rtol=0)


def test_a_joint_below_the_root_that_carries_the_body_moves_it(tmp_path: Path) -> None:
    plain = on_smpl(walking_poses(12))
    text = bvh_text(plain, positions=True)
    # As Bandai-Namco write it: a root that stays behind, and Hips below it with the way through the world.
    head, _, rest = text.partition("ROOT pelvis")
    channels = "CHANNELS 6 Xposition Yposition Zposition Zrotation Yrotation Xrotation"
    text = f"{head}ROOT joint_Root\n{{\nOFFSET 0 0 0\n{channels}\n"
    text += "JOINT Hips" + rest.replace("MOTION", "}\nMOTION", 1)
    lines = text.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("Frame Time")) + 1
    lines[start:] = ["0 0 0 0 0 0 " + line for line in lines[start:]]
    source = read_bvh(write(tmp_path, "\n".join(lines) + "\n"))
    in_file_order = [source.names.index("Hips" if name == "pelvis" else name) for name in plain.names]
    torch.testing.assert_close(source.positions()[:, in_file_order], plain.positions(), atol=1e-6, rtol=0)
    assert any("lengths taken as centimetres" in note for note in source.notes)


def test_joints_that_wander_in_their_parents_keep_their_middle_length_and_a_note_says_so(tmp_path: Path) -> None:
    plain = on_smpl(walking_poses(12))
    lines = bvh_text(plain, positions=True).splitlines()
    words = lines[-1].split()
    words[13] = str(float(words[13]) + 5)
    lines[-1] = " ".join(words)
    source = read_bvh(write(tmp_path, "\n".join(lines) + "\n"))
    in_file_order = [source.names.index(name) for name in plain.names]
    torch.testing.assert_close(source.positions()[:, in_file_order], plain.positions(), atol=1e-6, rtol=0)
    assert any("bones keep their middle length" in note for note in source.notes)


def test_a_root_measured_from_its_offset_is_put_where_it_is(tmp_path: Path) -> None:
    plain = on_smpl(walking_poses(12))
    offset = torch.tensor([0.0, 0.95, 0.0], dtype=torch.float64)
    low = dataclasses.replace(plain, root_positions=plain.root_positions - offset)
    text = bvh_text(low).replace("OFFSET 0.000000 0.000000 0.000000", "OFFSET 0 95 0", 1)
    source = read_bvh(write(tmp_path, text))
    torch.testing.assert_close(source.root_positions, plain.root_positions, atol=1e-6, rtol=0)
    assert any("measured from its OFFSET" in note for note in source.notes)
    # In most programs the root's OFFSET is a place of its own, and its positions are the world's.
    usual = read_bvh(write(tmp_path, bvh_text(plain).replace("OFFSET 0.000000 0.000000 0.000000", "OFFSET 0 95 0", 1)))
    torch.testing.assert_close(usual.root_positions, plain.root_positions, atol=1e-6, rtol=0)


def test_names_with_spaces_other_line_ends_and_braces_on_the_line_are_read(tmp_path: Path) -> None:
    plain = read_bvh(write(tmp_path))
    odd = (
        TEXT.replace("JOINT LeftUpLeg\n  {", "JOINT Bip01 L Thigh {").replace("Head", "Köpfchen").replace("\n", "\r\n")
    )
    odd = odd.replace("Frames: 3", "Frames:\t3").replace("End Site", "End site")
    path = tmp_path / "odd.bvh"
    path.write_bytes(b"\xef\xbb\xbf" + odd.encode())
    source = read_bvh(path)
    assert source.names[2:] == ("Köpfchen", "Bip01 L Thigh")
    torch.testing.assert_close(source.rotations, plain.rotations)


def test_a_rest_pose_with_bent_fingers_and_legs_brought_together_is_dropped(tmp_path: Path) -> None:
    text = long_clip(rest_frames=1, leap=True)
    lines = text.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("Frame Time")) + 1
    # cgspeed's T pose stands with the legs together, 21 degrees from the skeleton's straddling zero pose.
    lines[start] = "0 90 0 0 0 0 0 0 0 0 0 0 0 0 21"
    source = read_bvh(write(tmp_path, "\n".join(lines) + "\n"))
    assert any("dropped 1 leading frames" in note for note in drop_leading_rest_pose(source).notes)


def test_the_line_of_the_damage_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"line 34: could not convert string to float: '9l'"):
        read_bvh(write(tmp_path, TEXT.replace("1 91 2", "1 9l 2")))
    with pytest.raises(InputError, match=r"line 33: the frame has 14 numbers.*15"):
        read_bvh(write(tmp_path, TEXT.replace("1 90 2", "1 90")))
    with pytest.raises(InputError, match=r"line 20: a second skeleton begins here"):
        read_bvh(write(tmp_path, TEXT.replace("JOINT LeftUpLeg", "ROOT LeftUpLeg")))


@pytest.mark.parametrize(
    "damage",
    [
        lambda t: "",
        lambda t: t[: t.index("MOTION")],
        lambda t: t[: t.index("1 90 2")],
        lambda t: t.replace("Frame Time: 0.0083333", "Frame Time: 0"),
        lambda t: t.replace("Frame Time: 0.0083333", "Frame Time: nan"),
        lambda t: t.replace("1 91 2", "1 nan 2"),
        lambda t: t.replace("1 91 2", "1 9l 2"),
        lambda t: t.replace("OFFSET 0 20 5", "OFFSET 0 inf 5"),
        lambda t: t.replace("JOINT Spine", "JOINT Hips"),
        lambda t: t.replace("CHANNELS 3 Xrotation Yrotation Zrotation", "CHANNELS 3 Xrotation Yrotation Wrotation"),
        lambda t: t.replace("OFFSET 0 60 0", "OFFSET 0 600000 0"),
    ],
)
def test_a_damaged_file_is_refused_by_name(tmp_path: Path, damage) -> None:
    with pytest.raises(InputError, match=r"clip\.bvh"):
        read_bvh(write(tmp_path, damage(TEXT)))


@pytest.mark.parametrize(
    ("change", "kept", "said"),
    [
        (lambda t: t[:-6], 2, "breaks off"),
        (lambda t: t.replace("Frames: 3", "Frames: 4"), 3, "promises 4 frames, the file has 3"),
        (lambda t: t.replace("Frames: 3", "Frames: 2"), 3, "promises 2 frames, the file has 3"),
        (lambda t: t.replace("-80 85 170", "-80,0 85,00 170"), 3, ""),
    ],
)
def test_frames_are_read_as_far_as_they_go(tmp_path: Path, change, kept: int, said: str) -> None:
    whole, source = read_bvh(write(tmp_path)), read_bvh(write(tmp_path, change(TEXT)))
    torch.testing.assert_close(source.rotations, whole.rotations[:kept])
    assert not said or any(said in note for note in source.notes)


def test_a_missing_file_and_a_meaningless_rate_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot read the file"):
        read_bvh(tmp_path / "none.bvh")
    with pytest.raises(InputError, match="frame rate"):
        read_bvh(write(tmp_path), fps=-1)


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    edits=st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 40), st.binary(max_size=8)), min_size=1, max_size=4)
)
def test_no_damage_to_the_bytes_gives_anything_but_a_clip_or_an_input_error(
    tmp_path: Path, edits: list[tuple[int, int, bytes]]
) -> None:
    data = TEXT.encode()
    for at, cut, insert in edits:
        at %= len(data) + 1
        data = data[:at] + insert + data[at + cut :]
    path = tmp_path / "clip.bvh"
    path.write_bytes(data)
    try:
        source = drop_leading_rest_pose(read_bvh(path))
    except InputError:
        return
    assert bool(torch.isfinite(source.positions()).all())
