"""`lsmplify stream`: one answer a line, whatever the line holds."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import learnable_smplify as ls
from learnable_smplify.cli.demo import demo_keypoints
from learnable_smplify.cli.main import main
from learnable_smplify.cli.stream import answers
from learnable_smplify.cli.stream_lines import MAX_LINE, parse_line
from learnable_smplify.errors import InputError
from learnable_smplify.formats.keypoints.file_points import file_points
from learnable_smplify.solver.stream import PoseStream
from toy_hands import body_and_hands


@pytest.fixture(scope="module")
def poses() -> PoseStream:
    return ls.Solver(ls.load_body()).stream()


def frame_line(index: int, **more: object) -> bytes:
    positions = demo_keypoints().positions[index].tolist()
    return json.dumps({"keypoints": positions, **more}).encode() + b"\n"


def test_good_lines_are_answered_in_order_and_bad_ones_do_not_end_the_stream(poses: PoseStream) -> None:
    lines = [
        frame_line(0, time=0.5, id="ann"),
        b"\n",
        b"not json\n",
        b'{"keypoints": [[1, 2]]}\n',
        b"x" * (2 * MAX_LINE) + b"\n",
        b"[" * 5000 + b"\n",
        frame_line(1),
    ]
    said = [json.loads(answer) for answer in answers(poses, io.BytesIO(b"".join(lines)))]
    assert len(said) == 6  # the empty line has no answer
    assert (said[0]["frame"], said[0]["time"], said[0]["id"]) == (0, 0.5, "ann")
    assert len(said[0]["pose"]) == 72
    assert [answer["line"] for answer in said[1:5]] == [3, 4, 5, 6]
    assert all("error" in answer for answer in said[1:5])
    assert said[5]["frame"] == 1
    assert np.isfinite(said[5]["pose"]).all()


def test_null_and_confidence_mark_what_is_missing() -> None:
    line = parse_line('{"keypoints": [null, [1, null, 2], [1, 2, 3, 0.5], [1e40, 0, 0], [1, 2, 3]]}', 1)
    assert line.confidence.tolist() == [0, 0, 0.5, 0, 1]
    assert np.isnan(line.keypoints[:2]).all()
    assert line.keypoints[4].tolist() == [1, 2, 3]


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.sampled_from(["keypoints", "time", "a"]), inner),
    max_leaves=20,
)


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.binary(max_size=60), json_values.map(lambda value: json.dumps(value).encode())))
def test_any_line_is_read_or_refused(text: bytes) -> None:
    try:
        line = parse_line(text, 7)
    except ls.InputError:
        return
    assert np.isfinite(line.keypoints[line.confidence > 0]).all()


def test_latency_and_memory_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    main(["stream", "--measure", "120"])
    said = capsys.readouterr().out
    assert "latency of a frame" in said
    assert "frames a second" in said


def test_a_port_that_cannot_be_had_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["stream", "--udp", "99999999"])
    assert stop.value.code == 2
    assert "port" in capsys.readouterr().err


@pytest.mark.parametrize("word", ["NaN", "Infinity", "-Infinity"])
def test_a_line_with_a_number_that_json_does_not_have_is_refused(word: str) -> None:
    with pytest.raises(InputError, match="not JSON"):
        parse_line(f'{{"keypoints": [[{word}, 0, 0]]}}', 1)


def test_a_time_that_is_infinite_is_not_handed_on() -> None:
    assert parse_line('{"keypoints": [[1, 2, 3]], "time": 1e999, "id": 4}', 1).passed_on == {"id": 4}


@pytest.mark.parametrize("whole", [True, False])
def test_hands_in_a_line_are_answered_with_fingers_from_then_on(whole: bool) -> None:
    body, hands = body_and_hands("body25", 4)
    points = file_points("bodyhand" if whole else "body25", 67 if whole else 25, Path("stream"))
    lines = []
    for frame in range(4):
        line = {"keypoints": body[frame].tolist()}
        if whole:
            line["keypoints"] += hands[frame].reshape(42, 3).tolist()
        elif frame != 2:
            line |= {"left_hand": hands[frame, 0].tolist(), "right_hand": hands[frame, 1].tolist()}
        lines.append(json.dumps(line).encode() + b"\n")
    poses = ls.Solver(ls.load_body()).stream()
    said = [json.loads(answer) for answer in answers(poses, io.BytesIO(b"".join(lines)), points)]
    assert all(len(answer["hand_pose"]) == 90 for answer in said)
    assert np.isfinite([answer["hand_pose"] for answer in said]).all()
    assert said[0]["hand_flagged"] == [False, False]
    assert said[2]["hand_flagged"] == ([False, False] if whole else [True, True])
    with pytest.raises(InputError, match="'left_hand' is no hand"):
        parse_line(json.dumps({"keypoints": [[1, 2, 3]], "left_hand": [[1, 2, 3]]}), 1)
