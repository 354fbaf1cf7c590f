"""ASF/AMC against forward kinematics written a second time with scipy, and against damaged files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from learnable_smplify.errors import InputError
from learnable_smplify.mocap.asf_amc import read_amc, read_asf

ASF = """# made for this test
:version 1.10
:name \xe9preuve
:units
  mass 1.0
  length 0.45
  angle deg
:documentation
   by hand
:root
   order TX TY TZ RX RY RZ
   axis XYZ
   position 0 0 0
   orientation 0 0 0
:bonedata
  begin
     id 1
     name thigh
     direction 0.6 -0.8 0
     length 2
     axis 0 0 20 XYZ
    dof rx ry rz
    limits (-160.0 20.0)
           (-70.0 70.0)
           (-60.0 70.0)
  end
  begin
     id 2
     name shin
     direction 0 -2 0
     length 3
     axis 10 20 30 ZXY
    dof rz rx
  end
  begin
     id 3
     name foot
     direction 0 0 1
     length 1
     axis 0 0 0 XYZ
  end
:hierarchy
  begin
    root thigh
    thigh shin
    shin foot
  end
"""
VALUES = [
    {"root": [1, 2, 3, 10, -20, 30], "thigh": [40, 5, -60], "shin": [70, 15]},
    {"root": [1.5, 2, 3, 170, 80, -30], "thigh": [0, 0, 0], "shin": [-10, 1e1]},
    {"root": [-1, 0, 9, 0, 0, 0], "thigh": [-90, 90, 12.5], "shin": [0, 0]},
]
METRES = 0.0254 / 0.45


def amc_text(frames: list[dict[str, list[float]]] = VALUES) -> str:
    lines = ["#!made for this test", ":FULLY-SPECIFIED", ":DEGREES"]
    for number, frame in enumerate(frames, start=1):
        lines.append(str(number))
        lines += [f"{bone} {' '.join(map(str, values))}" for bone, values in frame.items()]
    return "\n".join(lines) + "\n"


def write(folder: Path, amc: str | None = None, asf: str = ASF) -> tuple[Path, Path]:
    (folder / "1.asf").write_bytes(asf.encode("latin-1"))
    (folder / "1_1.amc").write_bytes((amc_text() if amc is None else amc).encode("latin-1"))
    return folder / "1_1.amc", folder / "1.asf"


def expected_frame(frame: dict[str, list[float]]) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Global rotations and bone starts of one frame, straight from the definition of the format."""
    root = Rotation.from_euler("xyz", frame["root"][3:], degrees=True).as_matrix()
    c_thigh = Rotation.from_euler("z", 20, degrees=True).as_matrix()
    m_thigh = Rotation.from_euler("xyz", frame["thigh"], degrees=True).as_matrix()
    thigh = root @ c_thigh @ m_thigh @ c_thigh.T
    z, x = frame["shin"]
    # Order ZXY: about the fixed z axis first, then x, then y.
    c_shin = Rotation.from_euler("zxy", [30, 10, 20], degrees=True).as_matrix()
    m_shin = Rotation.from_euler("zxy", [z, x, 0], degrees=True).as_matrix()
    shin = thigh @ c_shin @ m_shin @ c_shin.T
    start = METRES * np.array(frame["root"][:3])
    knee = start + thigh @ (METRES * 2 * np.array([0.6, -0.8, 0]))
    ankle = knee + shin @ (METRES * 3 * np.array([0, -1.0, 0]))
    rotations = {"root": root, "thigh": thigh, "shin": shin, "foot": shin}
    return rotations, {"root": start, "thigh": start, "shin": knee, "foot": ankle}


def test_rotations_and_positions_agree_with_a_second_implementation(tmp_path: Path) -> None:
    source = read_amc(*write(tmp_path))
    positions = source.positions()
    assert source.names == ("root", "thigh", "shin", "foot")
    assert source.fps == 120.0
    assert source.up_axis == "y"
    for index, frame in enumerate(VALUES):
        rotations, starts = expected_frame(frame)
        for joint, name in enumerate(source.names):
            np.testing.assert_allclose(source.rotations[index, joint], rotations[name], atol=1e-12)
            np.testing.assert_allclose(positions[index, joint], starts[name], atol=1e-12)


def test_the_rest_pose_is_the_identity_and_lengths_are_metres(tmp_path: Path) -> None:
    rest = {"root": [0.0] * 6, "thigh": [0.0] * 3, "shin": [0.0] * 2}
    source = read_amc(*write(tmp_path, amc_text([rest])))
    torch.testing.assert_close(source.rotations[0], torch.eye(3, dtype=torch.float64).expand(4, 3, 3))
    torch.testing.assert_close(source.positions()[0], source.rest_positions())
    assert float(source.tips[1].norm()) == pytest.approx(2 * METRES)
    assert float(source.tips[2].norm()) == pytest.approx(3 * METRES)


def test_radians_and_another_frame_rate_are_honoured(tmp_path: Path) -> None:
    radians = [
        {"root": [*f["root"][:3], *np.radians(f["root"][3:])], **{b: list(np.radians(f[b])) for b in ("thigh", "shin")}}
        for f in VALUES
    ]
    degrees = read_amc(*write(tmp_path))
    turned = read_amc(*write(tmp_path, amc_text(radians).replace(":DEGREES", ":RADIANS")), fps=60)
    torch.testing.assert_close(turned.rotations, degrees.rotations)
    assert turned.fps == 60.0


def test_windows_line_ends_and_another_order_of_bones_make_no_difference(tmp_path: Path) -> None:
    plain = read_amc(*write(tmp_path))
    shuffled = [{bone: frame[bone] for bone in ("shin", "root", "thigh")} for frame in VALUES]
    other = read_amc(*write(tmp_path, amc_text(shuffled).replace("\n", "\r\n"), ASF.replace("\n", "\r\n")))
    torch.testing.assert_close(other.rotations, plain.rotations)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda t: t.replace("thigh 0 0 0\n", ""), ("line 8", "frame 2 lacks thigh")),
        (lambda t: t.replace("thigh 0 0 0", "thigh 0 0"), ("line 10", "'thigh' has 2 numbers")),
        (lambda t: t.replace("thigh 0 0 0", "thigh 0 0 O"), ("line 10", "cannot read")),
        (lambda t: t.replace("thigh 0 0 0", "thigh 0 nan 0"), ("line 8", "not finite")),
        (lambda t: t.replace("thigh 0 0 0", "thigh 0 1e300 0"), ("line 8", "absurdly large")),
        (lambda t: t.replace("thigh 0 0 0", "tail 0 0 0"), ("line 10", "unexpected 'tail'")),
        (lambda t: t.replace("\n2\n", "\n4\n"), ("line 8", "frame number 4 follows 1")),
        (lambda t: t.replace("thigh 0 0 0", "thigh 0 0 0\nthigh 0 0 0"), ("line 11", "appears twice")),
        (lambda t: t[: t.index("shin 0 0")], ("line 12", "frame 3 lacks shin")),
        (lambda t: "", ("no frames",)),
    ],
)
def test_a_bad_frame_is_refused_by_file_and_line(tmp_path: Path, damage, words: tuple[str, ...]) -> None:
    amc, asf = write(tmp_path, damage(amc_text()))
    with pytest.raises(InputError) as error:
        read_amc(amc, asf)
    for word in ("1_1.amc", *words):
        assert word in str(error.value)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda t: t[: t.index("name shin") - 10], "ends inside a bone"),
        (lambda t: t[: t.index(":hierarchy")], "no skeleton found"),
        (lambda t: t.replace("direction 0 -2 0", "direction 0 x 0"), "line 34"),
        (lambda t: t.replace("direction 0 -2 0", "direction 0 0 0"), "no usable direction"),
        (lambda t: t.replace("20 30 ZXY", "20 30 ZXX"), "unknown axis order 'ZXX'"),
        (lambda t: t.replace("    shin foot\n", ""), "does not reach 'foot'"),
        (lambda t: t.replace("shin foot", "shin toe"), "names 'toe'"),
        (lambda t: t.replace("dof rz rx", "dof rz tx"), "moves in 'RZ TX'"),
        (lambda t: t.replace("length 0.45", "length 0"), "unit of length"),
    ],
)
def test_a_bad_skeleton_is_refused(tmp_path: Path, damage, words: str) -> None:
    _, asf = write(tmp_path, asf=damage(ASF))
    with pytest.raises(InputError, match=r"1\.asf") as error:
        read_asf(asf)
    assert words in str(error.value)


def test_a_missing_file_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot read the file"):
        read_asf(tmp_path / "no.asf")
    with pytest.raises(InputError, match="frame rate"):
        read_amc(*write(tmp_path), fps=0)


def mutate(data: bytes, edits: list[tuple[int, int, bytes]]) -> bytes:
    for at, cut, insert in edits:
        at %= len(data) + 1
        data = data[:at] + insert + data[at + cut :]
    return data


EDITS = st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 40), st.binary(max_size=8)), min_size=1, max_size=4)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(edits=EDITS, in_amc=st.booleans())
def test_no_damage_to_the_bytes_gives_anything_but_a_clip_or_an_input_error(
    tmp_path: Path, edits: list[tuple[int, int, bytes]], in_amc: bool
) -> None:
    amc, asf = write(tmp_path)
    damaged = amc if in_amc else asf
    damaged.write_bytes(mutate(damaged.read_bytes(), edits))
    try:
        source = read_amc(amc, asf)
    except InputError:
        return
    assert bool(torch.isfinite(source.rotations).all())
    assert bool(torch.isfinite(source.positions()).all())
