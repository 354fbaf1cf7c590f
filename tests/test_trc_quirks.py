"""TRC as programs really write it: other separators, other headings, columns too many, a clock that runs already."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from learnable_smplify.errors import InputError
from learnable_smplify.formats.keypoints.keypoint_file import read_keypoints
from learnable_smplify.formats.keypoints.source import Asked
from learnable_smplify.formats.keypoints.trc import read_trc
from test_trc import NAMES, person, trc_text

CASES = Path(__file__).parents[2] / "shared" / "cases"


def write(folder: Path, text: str) -> Path:
    path = folder / "clip.trc"
    path.write_text(text)
    return path


def with_commas(text: str) -> str:
    return text.replace("\t", ",")


def with_decimal_commas(text: str) -> str:
    head, body = text.split("\n")[:5], text.split("\n")[5:]
    return "\n".join([*head, *(line.replace(".", ",") for line in body)])


def with_times_and_two_tabs(text: str) -> str:
    lines = text.split("\n")
    lines[3] = "Frame#\tTimes\t\t" + "\t\t".join(NAMES)
    lines[4] = "\t" + lines[4]
    return "\n".join(lines)


def with_an_extra_column_behind(text: str) -> str:
    return "\n".join(line + "\t7.5" if line[:1].isdigit() and number > 4 else line for number, line in lines_of(text))


def with_an_extra_column_in_front(text: str) -> str:
    lines = text.split("\n")
    body = ["\t".join([*line.split("\t")[:2], "0", *line.split("\t")[2:]]) for line in lines[5:] if line]
    return "\n".join([*lines[:4], "\t" + lines[4], *body])


def without_the_line_of_axes(text: str) -> str:
    return "\n".join(line for number, line in lines_of(text) if number != 4)


def with_blank_lines(text: str) -> str:
    lines = text.split("\n")
    return "\n".join(["", *lines[:5], "", *lines[5:]])


def with_tabs_at_the_ends(text: str) -> str:
    return "\n".join(line + "\t\t" for _, line in lines_of(text))


def with_carriage_returns(text: str) -> str:
    return text.replace("\n", "\r\n")


def with_quotes(text: str) -> str:
    lines = with_commas(text).split("\n")
    lines[3] = ",".join(f'"{field}"' for field in lines[3].split(","))
    return "\n".join(lines)


def lines_of(text: str) -> list[tuple[int, str]]:
    return list(enumerate(text.split("\n")))


# The last four go together with one another.
QUIRKS = (
    *(with_commas, with_decimal_commas, with_times_and_two_tabs, with_quotes),
    *(with_an_extra_column_behind, with_an_extra_column_in_front),
    *(without_the_line_of_axes, with_blank_lines, with_tabs_at_the_ends, with_carriage_returns),
)


@pytest.mark.parametrize("quirk", QUIRKS, ids=lambda quirk: quirk.__name__)
def test_a_quirk_changes_nothing_of_what_is_read(tmp_path: Path, quirk) -> None:
    (keypoints,) = read_trc(write(tmp_path, quirk(trc_text(person()))), Asked())
    np.testing.assert_allclose(keypoints.positions, person(), atol=1e-6)
    assert (keypoints.layout.name, keypoints.fps) == ("body25", 60.0)
    assert all("ignored" in note for note in keypoints.notes)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(quirks=st.lists(st.sampled_from(QUIRKS[-4:]), max_size=3, unique=True), frames=st.integers(2, 6))
def test_quirks_come_together(tmp_path: Path, quirks: list, frames: int) -> None:
    text = trc_text(person(frames))
    for quirk in sorted(quirks, key=QUIRKS.index):
        text = quirk(text)
    np.testing.assert_allclose(read_trc(write(tmp_path, text), Asked())[0].positions, person(frames), atol=1e-6)


def test_the_time_of_the_first_frame_is_kept(tmp_path: Path) -> None:
    lines = trc_text(person()).split("\n")
    shifted = [
        "\t".join([field, f"{float(time) + 0.37:.4f}", rest])
        for field, time, rest in (line.split("\t", 2) for line in lines[5:] if line)
    ]
    (keypoints,) = read_trc(write(tmp_path, "\n".join([*lines[:5], *shifted]) + "\n"), Asked())
    assert keypoints.start_s == pytest.approx(0.37)


def test_positions_in_pixels_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="pixels"):
        read_trc(write(tmp_path, trc_text(person() * 500, units="px")), Asked())


@pytest.mark.skipif(not CASES.is_dir(), reason="the shared cases are not here")
def test_the_recordings_that_were_refused_are_read() -> None:
    assert read_keypoints(CASES / "bugs/18-trc-start-time/25.trc").start_s == pytest.approx(0.37)
    rates = [read_keypoints(CASES / f"bugs/15-csv-rounded-time/46{name}.csv").fps for name in "abc"]
    assert rates == pytest.approx([30, 60, 29.97], abs=1e-4)
    with pytest.raises(InputError, match="skin markers, of no set known here"):  # the names are read now
        read_keypoints(CASES / "files/pyomeca_markers_comma.trc")
