"""`lsmplify stream`: poses as fast as keypoints come, over stdin and stdout or a UDP port of this machine."""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, BinaryIO, Literal

import numpy as np
import torch
from rich.table import Table

from learnable_smplify.body import load_body
from learnable_smplify.cli.console import open_console
from learnable_smplify.cli.demo import demo_keypoints
from learnable_smplify.cli.stream_lines import MAX_LINE, error_line, parse_line, pose_line
from learnable_smplify.errors import InputError
from learnable_smplify.formats.keypoints.file_points import FilePoints, file_points
from learnable_smplify.formats.keypoints.hand_points import measured_hands
from learnable_smplify.layouts.layout import load_layout
from learnable_smplify.layouts.whole_body import whole_body
from learnable_smplify.options import BodyOption, Gender, shown
from learnable_smplify.solver.solver import Solver
from learnable_smplify.solver.stream import PoseStream

_UDP_BYTES = 65_535
# What messages call it.
_STREAM = Path("stream")


@dataclass(frozen=True)
class StreamArgs:
    """Solve frames as they come: JSON lines in, JSON lines out, none waits for a later one.

    A line in: {"keypoints": [[x, y, z], ...]} in metres, in the order of the layout; a fourth number is a confidence,
    null marks a missing keypoint. 21 points of a hand go under left_hand and right_hand. A line out: frame, pose (72
    numbers, axis-angle), transl, betas, flagged; or line and error for a line that could not be read, after which the
    stream goes on.
    """

    layout: str = "body25"
    """Which keypoints: body25, coco17, ..., bodyhand, holistic543, ... with hands, or a layout TOML of yours."""
    fps: float = 30.0
    """About how many frames a second will come."""
    udp: Annotated[int | None, shown("PORT", "stdin and stdout")] = None
    """Listen on this UDP port of this machine (127.0.0.1); each answer goes to whoever sent the frame."""
    betas: Annotated[tuple[float, ...], shown("B1 B2 ...", "estimated on the way")] = ()
    """The person's shape on this body, if known: up to 10 numbers."""
    body: BodyOption = None
    """Path of an SMPL-family model; or smpl, smplh, smplx to search where 'lsmplify doctor' does."""
    gender: Gender = "neutral"
    """Gender of the licensed body model to search for."""
    method: Literal["neural", "gauss_newton"] = "neural"
    """How each frame is solved."""
    measure: Annotated[int | None, shown("FRAMES", "off")] = None
    """Instead of reading: send so many frames of the demo clip through, and print latency and memory."""


def stream(args: StreamArgs) -> None:
    """Run `lsmplify stream`."""
    layout, whole = load_layout(args.layout), whole_body(args.layout)
    points = file_points(args.layout, layout.width if whole is None else whole.count, _STREAM)
    solver = Solver(load_body(args.body, args.gender), args.method)
    poses = solver.stream(layout=layout, fps=args.fps, betas=np.array(args.betas, np.float32) if args.betas else None)
    if args.measure is not None:
        if layout.name != "body25":
            raise InputError("the demo clip has the layout body25", hint="lsmplify stream --measure 10000")
        _measure(poses, args.measure)
    elif args.udp is not None:
        _over_udp(poses, args.udp, points)
    else:
        for answer in answers(poses, sys.stdin.buffer, points):
            print(answer, flush=True)


def answers(poses: PoseStream, lines: BinaryIO, points: FilePoints | None = None) -> Iterator[str]:
    """The answer to every line of a binary stream; `points` says what a line holds beside the body's keypoints."""
    number = 0
    while line := lines.readline(MAX_LINE + 1):
        number += 1
        while len(line) > MAX_LINE and not line.endswith(b"\n"):  # the rest of an endless line
            rest = lines.readline(MAX_LINE)
            if not rest or rest.endswith(b"\n"):
                break
        if line.strip():
            yield answer(poses, line, number, points)


def answer(poses: PoseStream, line: bytes, number: int, points: FilePoints | None = None) -> str:
    """The answer to one line: a pose, or what is wrong with the line."""
    try:
        given = parse_line(line, number)
        keypoints, confidence, hands = given.keypoints, given.confidence, given.hands
        if points is not None and points.whole is not None and len(keypoints) == points.whole.count:
            among = points.hands_of(np.concatenate((keypoints, confidence[:, None]), axis=1))
            hands = among if hands is None else hands
            keypoints = points.body_of(keypoints).astype(np.float32)
            confidence = np.nan_to_num(points.body_of(confidence)).astype(np.float32)
        fingers = None
        if hands is not None and points is not None:
            seen = np.where(confidence[:, None] > 0, keypoints, np.nan)[None]
            fingers, _ = measured_hands(hands[None, ..., :3], hands[None, ..., 3], seen, points.layout, path=_STREAM)
        return pose_line(poses.push(keypoints, confidence, fingers), given.passed_on)
    except InputError as error:
        return error_line(number, error)


def _over_udp(poses: PoseStream, port: int, points: FilePoints) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        try:
            receiver.bind(("127.0.0.1", port))
        except (OSError, OverflowError) as error:
            raise InputError(
                f"cannot listen on UDP port {port} ({error})",
                expected="a free port from 1024 to 65535",
                hint="--udp 9000",
            ) from error
        open_console(stderr=True).print(f"listening on 127.0.0.1:{receiver.getsockname()[1]} (UDP); Ctrl-C ends")
        number = 0
        while True:
            datagram, sender = receiver.recvfrom(_UDP_BYTES)
            number += 1
            receiver.sendto(answer(poses, datagram, number, points).encode(), sender)


def _measure(poses: PoseStream, frames: int) -> None:
    """Push frames of the demo clip, and print what a frame cost and what memory did."""
    if frames < 100:
        raise InputError(f"--measure is {frames}", expected="100 frames or more", hint="--measure 10000")
    keypoints = demo_keypoints()
    torch.set_num_threads(1)
    clip = list(zip(keypoints.positions.numpy(), keypoints.confidence.numpy(), strict=True))
    clip += clip[::-1]  # there and back, so that the person does not jump
    spent = np.empty(frames)
    marks = {max(frames * share // 100, 1): share for share in (1, 10, 25, 50, 75, 100)}
    table = Table("frames", "median [ms]", "99 % below [ms]", "longest [ms]", "memory [MB]", title="latency of a frame")
    console = open_console()
    with console.status("streaming") as status:
        for index in range(frames):
            positions, trust = clip[index % len(clip)]
            began = time.perf_counter()
            poses.push(positions, trust)
            spent[index] = 1000 * (time.perf_counter() - began)
            if index + 1 in marks:
                so_far = spent[: index + 1]
                cells = (np.median(so_far), np.percentile(so_far, 99), so_far.max())
                table.add_row(f"{index + 1:,}", *(f"{cell:.2f}" for cell in cells), _memory_mb())
                status.update(f"streaming: {index + 1:,} of {frames:,}")
    console.print(table)
    rate = 1000 / spent[frames // 10 :].mean()
    console.print(
        f"{rate:,.0f} frames a second on one thread; a stream of 60 leaves {100 * (1 - 60 / rate):.0f} % of it idle"
    )


def _memory_mb() -> str:
    try:
        with open("/proc/self/status") as file:
            kilobytes = next(line.split()[1] for line in file if line.startswith("VmRSS"))
    except (OSError, StopIteration):
        return "unknown"
    return f"{int(kilobytes) / 1000:.1f}"
