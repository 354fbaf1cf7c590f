"""Detections of one camera: every format, people followed, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from learnable_smplify.cli.rig import read_2d
from learnable_smplify.errors import InputError
from learnable_smplify.formats.detections.detection_arrays import camera_names_in, write_detections
from learnable_smplify.formats.detections.detection_file import read_detections
from learnable_smplify.formats.detections.keypoints2d_json import write_keypoints2d
from learnable_smplify.formats.keypoints.keypoint_file import read_keypoints
from learnable_smplify.jobs.settings import FitSettings
from learnable_smplify.keypoints2d import Keypoints2D
from learnable_smplify.layouts.layout import load_layout
from learnable_smplify.track import Track

FRAMES = 12


def walker(count: int = 17, start: float = 300.0, speed: float = 6.0, seed: int = 0) -> np.ndarray:
    """(T, K, 3): somebody who crosses the picture."""
    shape = np.random.default_rng(seed).uniform([-60, -250], [60, 250], (count, 2))
    path = np.stack([start + speed * np.arange(FRAMES), np.full(FRAMES, 500.0)], axis=1)
    return np.concatenate((shape + path[:, None], np.full((FRAMES, count, 1), 0.8)), axis=-1)


def check(track: Track, table: np.ndarray) -> None:
    seen = np.isfinite(table).all(axis=-1)
    assert ((track.keypoints.confidence > 0).numpy() == seen).all()
    np.testing.assert_allclose(track.keypoints.pixels.numpy()[seen], table[..., :2][seen], atol=1e-3)


def coco_list(people: list[np.ndarray], **extra: object) -> list[dict]:
    rng = np.random.default_rng(0)
    entries = [
        {"image_id": f"{frame}.jpg", "category_id": 1, "keypoints": table[frame].ravel().tolist(), "score": 2.5}
        | {key: [[number + 1.0]] if value == "who" else value for key, value in extra.items()}
        for number, table in enumerate(people)
        for frame in range(len(table))
        if np.isfinite(table[frame]).all()
    ]
    return [entries[index] for index in rng.permutation(len(entries))]


def test_a_list_of_detections_is_followed_by_distance(tmp_path: Path) -> None:
    people = [walker(), walker(start=900, speed=-5.0)]
    people[1][4:7] = np.nan
    (tmp_path / "alphapose-results.json").write_text(json.dumps(coco_list(people)))
    tracks = read_detections(tmp_path / "alphapose-results.json", fps=25)
    assert [track.keypoints.fps for track in tracks] == [25, 25]
    tracks.sort(key=lambda track: float(track.keypoints.pixels[0, :, 0].mean()))
    for track, table in zip(tracks, people, strict=True):
        check(track, table)
    assert tracks[1].frames_seen == FRAMES - 3


def test_a_list_that_names_people_is_believed(tmp_path: Path) -> None:
    people = [walker(26), walker(26, start=330, seed=0)]
    (tmp_path / "r.json").write_text(json.dumps(coco_list(people, idx="who")))
    tracks = {track.name: track for track in read_detections(tmp_path / "r.json")}
    assert set(tracks) == {"1", "2"}
    check(tracks["1"], people[0])
    check(tracks["2"], people[1])
    assert "frame rate not given" in str([track.keypoints.notes for track in tracks.values()])


def named(name: str, x: float, y: float, score: float) -> dict:
    return {"x": x, "y": y, "score": score, "name": name}


def in_columns(points: np.ndarray) -> dict:
    return dict(zip(("x", "y", "visible"), points.T.tolist(), strict=True))


COCO = load_layout("coco17").keypoint_names
PIXELS = walker()
XYC = PIXELS.tolist()
JSON = {
    "tensorflow.js": [[{"score": 1, "keypoints": [named(n, *p) for n, p in zip(COCO, f, strict=True)]}] for f in XYC],
    "ultralytics": [[{"track_id": 1, "box": {"x1": 1.0}, "keypoints": in_columns(f)}] for f in PIXELS],
    "points by name": [dict(zip(COCO, f, strict=True)) for f in XYC],
    "a list a joint": {name: [f[k] for f in XYC] for k, name in enumerate(COCO)},
    "rows": XYC,
    "scores apart": {"keypoints": PIXELS[..., :2].tolist(), "scores": PIXELS[..., 2].tolist()},
    "openpose in one file": [{"people": [{"pose_keypoints_2d": f.ravel().tolist()}]} for f in PIXELS],
    "alphapose by pictures": {f"{t}.jpg": {"bodies": [{"joints": f.ravel().tolist()}]} for t, f in enumerate(PIXELS)},
    "coco": {
        "images": [],
        "annotations": [{"image_id": t, "keypoints": f.ravel().tolist()} for t, f in enumerate(PIXELS)],
    },
}


@pytest.mark.parametrize("form", JSON)
@pytest.mark.parametrize("reader", ["of everybody", "of one"])
def test_json_of_pixels_is_read_in_the_shapes_of_json_of_positions(tmp_path: Path, form: str, reader: str) -> None:
    path = tmp_path / "clip.json"
    path.write_text(json.dumps(JSON[form]))
    if reader == "of one":
        found = read_2d(path, FitSettings())
    else:
        (track,) = read_detections(path)
        found = track.keypoints
    np.testing.assert_allclose(found.pixels, PIXELS[..., :2], atol=1e-3)
    np.testing.assert_allclose(found.confidence, 0.8, atol=1e-6)
    with pytest.raises(InputError, match=r"these are 2D keypoints.*--camera camera\.json"):
        read_keypoints(path, "coco17")


@pytest.mark.parametrize("program", ["mmpose", "mmpose, a file a picture", "openpifpaf"])
def test_detections_by_frames_are_read_and_counted_from_the_first(tmp_path: Path, program: str) -> None:
    people = [walker(), walker(start=900, speed=-5.0)]
    if program == "openpifpaf":
        lines = [
            {"frame": t + 1, "predictions": [{"keypoints": p[t].ravel().tolist(), "score": 0.9} for p in people]}
            for t in range(FRAMES)
        ]
        (tmp_path / "clip.json").write_text("\n".join(map(json.dumps, lines)))
    else:
        frames = [
            [{"keypoints": p[t, :, :2].tolist(), "keypoint_scores": p[t, :, 2].tolist()} for p in people]
            for t in range(FRAMES)
        ]
        info = [{"frame_id": t + 1, "instances": instances} for t, instances in enumerate(frames)]
        (tmp_path / "clip.json").write_text(json.dumps({"meta_info": {"num_keypoints": 17}, "instance_info": info}))
        if "file" in program:
            (tmp_path / "clip.json").write_text('{"of": "no use"}')
            for t, instances in enumerate(frames):
                (tmp_path / f"{t:06d}.json").write_text(json.dumps(instances))
    tracks = read_detections(tmp_path if "file" in program else tmp_path / "clip.json")
    tracks.sort(key=lambda track: float(track.keypoints.pixels[0, :, 0].mean()))
    for track, table in zip(tracks, people, strict=True):
        check(track, table)


def test_openposes_folder_has_several_people(tmp_path: Path) -> None:
    people = [walker(25), walker(25, start=900)]
    for frame in range(FRAMES):
        listed = [{"pose_keypoints_2d": table[frame].ravel().tolist()} for table in people[:: -1 if frame % 2 else 1]]
        (tmp_path / f"clip_{frame:012d}_keypoints.json").write_text(json.dumps({"people": listed}))
    tracks = read_detections(tmp_path)
    for track, table in zip(tracks, people, strict=True):
        check(track, table)


def test_what_lies_beside_detections_is_left_out_and_said(tmp_path: Path) -> None:
    for folder in ("openpose", "alphapose"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "meta.json").write_text('{"fps": 25, "model": "body25"}')
    for frame, points in enumerate(walker(25)):
        people = {"people": [{"pose_keypoints_2d": points.ravel().tolist()}]}
        (tmp_path / f"openpose/clip_{frame:012d}_keypoints.json").write_text(json.dumps(people))
    (tmp_path / "alphapose/alphapose-results.json").write_text(json.dumps(coco_list([walker(25)])))
    for folder in ("openpose", "alphapose"):
        (track,) = read_detections(tmp_path / folder)
        check(track, walker(25))
        assert "left out, as no part of the recording: meta.json" in track.keypoints.notes
    (tmp_path / "alphapose/alphapose-results.json").unlink()
    with pytest.raises(InputError, match="there are no detections in this folder"):
        read_detections(tmp_path / "alphapose")


def test_arrays_of_several_people_with_world_landmarks_are_read_as_they_are_written(tmp_path: Path) -> None:
    world = torch.randn(FRAMES, 33, 3, generator=torch.Generator().manual_seed(0))
    tracks = []
    for number, table in enumerate([walker(33), walker(33, start=700)]):
        table[3, 5] = np.nan
        keypoints = Keypoints2D(
            torch.tensor(table[..., :2]), "mediapipe33", 60, torch.tensor(table[..., 2]).nan_to_num()
        )
        tracks.append(Track(keypoints, str(number), world if number == 0 else None))
    write_detections(tracks, tmp_path / "d.npz")
    found = read_detections(tmp_path / "d.npz")
    assert [track.name for track in found] == ["0", "1"]
    assert found[0].keypoints.fps == 60
    for old, new in zip(tracks, found, strict=True):
        torch.testing.assert_close(new.keypoints.pixels, old.keypoints.pixels)
        torch.testing.assert_close(new.keypoints.confidence, old.keypoints.confidence)
    torch.testing.assert_close(found[0].world, world)


def test_plain_arrays_are_read(tmp_path: Path) -> None:
    table = walker()
    np.save(tmp_path / "a.npy", table)
    np.savez(tmp_path / "b.npz", keypoints=table[..., :2], scores=table[..., 2], fps=50.0)
    check(read_detections(tmp_path / "a.npy")[0], table)
    np.savez(tmp_path / "c.npz", reconstruction=np.tile(table, (20, 1, 1))[None])
    check(read_detections(tmp_path / "c.npz")[0], np.tile(table, (20, 1, 1)))
    (track,) = read_detections(tmp_path / "b.npz")
    check(track, table)
    assert track.keypoints.fps == 50


def test_an_array_of_several_cameras_is_read_camera_by_camera(tmp_path: Path) -> None:
    tables = {"01": walker(33), "02": walker(33, start=600)}
    arrays = {f"p{name}": table for name, table in tables.items()}
    np.savez(tmp_path / "all.npz", **arrays, w01=np.zeros((FRAMES, 33, 4)))
    assert camera_names_in(tmp_path / "all.npz") == ["01", "02"]
    for name, table in tables.items():
        (track,) = read_detections(tmp_path / "all.npz", camera=name)
        check(track, table)
        assert (track.world is not None) == (name == "01")
    with pytest.raises(InputError, match=r"detections of 2 cameras: 01, 02.*--cameras"):
        read_detections(tmp_path / "all.npz")


@pytest.mark.parametrize("sign", [1, -1])
def test_sports2ds_pixels_are_read(tmp_path: Path, sign: int) -> None:
    names = load_layout("halpe26").keypoint_names
    table = walker(len(names))
    head = ["PathFileType\t4\t(X/Y/Z)\tdemo_px_person00.trc", "DataRate\tCameraRate\tNumFrames\tNumMarkers\tUnits"]
    head += [f"50\t50\t{FRAMES}\t{len(names)}\tpx", "Frame#\tTime\t" + "\t\t\t".join(names) + "\t\t"]
    head.append("\t\t" + "\t".join(f"{axis}{index + 1}" for index in range(len(names)) for axis in "XYZ"))
    rows = [
        "\t".join([str(frame), f"{frame / 50:.4f}", *(f"{x}\t{sign * y}\t0" for x, y, _ in table[frame])])
        for frame in range(FRAMES)
    ]
    (tmp_path / "demo.trc").write_text("\n".join(head + rows) + "\n")
    (track,) = read_detections(tmp_path / "demo.trc")
    check(track, table)
    assert track.keypoints.fps == 50


NAMES = load_layout("halpe26").keypoint_names


def csv_lines(heading: str, people: dict[str, np.ndarray]) -> list[list[object]]:
    """A table of pixels of `people`, with headings in the dialect `heading`."""
    parts = ("x", "y", "likelihood")
    columns = [(who, name, part) for who in people for name in NAMES for part in parts]
    rows = [[frame, *np.concatenate([p[frame].ravel() for p in people.values()])] for frame in range(FRAMES)]
    if heading == "one line":
        return [["time", *(f"{name}_{part}" for _, name, part in columns)], *([i / 50, *row] for i, *row in rows)]
    if heading == "a line a keypoint":
        seen = [(f, who) for f in range(FRAMES) for who in people]
        points = [[f, who, name, *p] for f, who in seen for name, p in zip(NAMES, people[who][f], strict=True)]
        return [["frame", "person", "keypoint", "x", "y", "score"], *points]
    several = [["individuals", *(who for who, _, _ in columns)]] if heading == "individuals" else []
    heads = [["scorer", *["net"] * len(columns)], *several, ["bodyparts", *(name for _, name, _ in columns)]]
    return [*heads, ["coords", *(part for _, _, part in columns)], *rows]


@pytest.mark.parametrize("heading", ["one line", "deeplabcut", "individuals", "a line a keypoint"])
def test_tables_of_pixels_are_read(tmp_path: Path, heading: str) -> None:
    people = {"Ann": walker(26)} | ({} if heading in ("one line", "deeplabcut") else {"Bob": walker(26, start=900)})
    text = "\n".join(",".join(map(str, line)) for line in csv_lines(heading, people))
    (tmp_path / "clip.csv").write_text(text + "\n")
    tracks = read_detections(tmp_path / "clip.csv")
    for track, (name, table) in zip(tracks, people.items(), strict=True):
        check(track, table)
        assert track.name == (name if len(people) > 1 else "0")
    assert tracks[0].keypoints.fps == (50 if heading == "one line" else 30)
    np.testing.assert_allclose(tracks[0].keypoints.confidence, 0.8, atol=1e-6)
    with pytest.raises(InputError, match=r"these are 2D keypoints.*--camera camera\.json"):
        read_keypoints(tmp_path / "clip.csv")


def test_a_table_of_both_is_pixels_here_and_positions_there(tmp_path: Path) -> None:
    table, space = walker(26), np.random.default_rng(0).normal(size=(FRAMES, 26, 3))
    header = [f"{name}_{part}" for name in NAMES for part in ("x", "y", "visibility", "world_x", "world_y", "world_z")]
    rows = np.concatenate((table, space), axis=2).reshape(FRAMES, -1).tolist()
    (tmp_path / "clip.csv").write_text("\n".join(",".join(map(str, row)) for row in [header, *rows]))
    check(read_detections(tmp_path / "clip.csv")[0], table)
    found = read_keypoints(tmp_path / "clip.csv", units="m", up="y", mirrored=False)
    np.testing.assert_allclose(found.positions, space, atol=1e-5)
    np.testing.assert_allclose(found.confidence, 0.8, atol=1e-6)


def test_tables_of_positions_in_space_and_shares_of_the_picture_are_no_pixels(tmp_path: Path) -> None:
    path = tmp_path / "clip.csv"
    path.write_text(",".join(f"{name}_{axis}" for name in NAMES for axis in "xyz") + "\n" + ",".join(["1"] * 78))
    with pytest.raises(InputError, match=r"positions in space.*lsmplify fit"):
        read_detections(path)
    path.write_text(",".join(f"{name}_{axis}" for name in NAMES for axis in "xy") + "\n" + ",".join(["0.5"] * 52))
    with pytest.raises(InputError, match="high or wide: shares of the picture"):
        read_detections(path)
    np.save(tmp_path / "a.npy", walker() / [1920, 1080, 1])
    with pytest.raises(InputError, match="high or wide: shares of the picture"):
        read_detections(tmp_path / "a.npy")


def test_our_own_json_and_a_folder_with_one_file_are_read(tmp_path: Path) -> None:
    table = walker()
    write_keypoints2d(Keypoints2D(torch.tensor(table[..., :2]), "coco17", 25), tmp_path / "k.json")
    for path in (tmp_path / "k.json", tmp_path):
        (track,) = read_detections(path)
        check(track, table)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.json", [{"image_id": "x", "keypoints": [1, 2, 1]}], "detection 0: the image_id tells no frame"),
        ("a.json", [{"image_id": 1, "keypoints": [1, 2]}], "detection 0: there are 2 numbers"),
        ("a.json", [{"image_id": 1, "keypoints": [1, 2, 1] * 5}], "5"),
        ("a.json", [{"image_id": i, "keypoints": [1, 2, 1] * 17} for i in (1, 90000)], "image ids go from"),
        ("a.json", [{"image_id": 1, "keypoints": [0, 0, 0] * 17}], "nobody is in any frame"),
        ("a.json", {"frames": 3}, "these are no detections"),
        ("a.mp4", [], "hold no detections"),
    ],
)
def test_files_that_hold_no_detections_are_refused(tmp_path: Path, name: str, content: object, message: str) -> None:
    (tmp_path / name).write_text(json.dumps(content))
    with pytest.raises(InputError, match=message):
        read_detections(tmp_path / name)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": np.zeros(3)}, r"there are no 2D keypoints \(arrays: x\)"),
        ({"keypoints": np.zeros((3, 17))}, "shape"),
        ({"keypoints": np.zeros((3, 17, 3))}, "nobody is in any frame"),
        ({"keypoints": np.ones((3, 17, 3)), "world": np.ones((3, 16, 3))}, "'world' has shape"),
        ({"keypoints": np.ones((3, 17, 2)), "scores": np.ones((4, 17))}, "the confidence has shape"),
        ({"keypoints": np.array([["a"]])}, "holds no numbers"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(tmp_path: Path, arrays: dict, message: str) -> None:
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(InputError, match=message):
        read_detections(tmp_path / "a.npz")


def test_a_coco_dataset_is_in_the_order_of_its_pictures_names(tmp_path: Path) -> None:
    frames = 12
    person = np.random.default_rng(0).uniform(100, 900, (frames, 17, 2))
    ids = np.random.default_rng(1).permutation(100000)[:frames].tolist()
    content = {
        "images": [{"id": ids[t], "file_name": f"clip/{t:06d}.jpg", "width": 1920} for t in range(frames)],
        "annotations": [
            {"id": t, "image_id": ids[t], "keypoints": np.c_[person[t], np.full(17, 2)].ravel().tolist()}
            for t in reversed(range(frames))
        ],
    }
    (tmp_path / "coco.json").write_text(json.dumps(content))
    (found,) = read_detections(tmp_path / "coco.json")
    np.testing.assert_allclose(found.keypoints.pixels.numpy(), person, atol=1e-3)
