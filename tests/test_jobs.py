"""Fitting a folder: every recording once, whatever is broken, killed or fitted already."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console

import learnable_smplify as ls
from learnable_smplify.cli.fit_folder import fit_folder_command
from learnable_smplify.cli.main import main
from learnable_smplify.errors import InputError, LsmplifyError, MissingExtraError
from learnable_smplify.formats.keypoints.keypoints_npz import write_keypoints_npz
from learnable_smplify.formats.motion.motion_file import read_motion, write_motion
from learnable_smplify.jobs import folder as folder_module
from learnable_smplify.jobs.folder import fit_folder
from learnable_smplify.jobs.inputs import find_recordings, plan_tasks
from learnable_smplify.jobs.report import FolderReport, read_results
from learnable_smplify.jobs.settings import FitSettings
from learnable_smplify.jobs.task import FileResult, FitTask, fit_file
from toy_motion import drifting_transl, swinging_poses

FRAMES = 4
SETTINGS = FitSettings()
MOTIONS = ["a.npz", "day1/b.npz", "day1/openpose.npz", "day2/pair_0.npz", "day2/pair_7.npz"]


@pytest.fixture(scope="module")
def positions() -> np.ndarray:
    """(4, 25, 3) metres, Y up."""
    body = ls.load_body()
    return body.keypoints(swinging_poses(FRAMES), torch.zeros(10), drifting_transl(FRAMES)).numpy()


@pytest.fixture
def source(tmp_path: Path, positions: np.ndarray) -> Path:
    """Five recordings in four formats; one is broken, one shows two people."""
    source = tmp_path / "recordings"
    save(source / "a.npz", positions)
    (source / "day1").mkdir()
    header = ",".join(f"{name}_{axis}" for name in ls.load_layout("body25").keypoint_names for axis in "xyz")
    np.savetxt(source / "day1" / "b.csv", positions.reshape(FRAMES, -1), delimiter=",", header=header, comments="")
    (source / "day1" / "broken.npz").write_bytes((source / "a.npz").read_bytes()[:300])
    one = np.concatenate((positions, np.ones((FRAMES, 25, 1))), axis=-1)
    for frame in range(FRAMES):
        person = {"person_id": [-1], "pose_keypoints_3d": one[frame].ravel().tolist()}
        put_json(source / "day1" / "openpose" / f"{frame:06d}_keypoints.json", {"people": [person]})
        people = [
            {"id": 0, "keypoints3d": one[frame].tolist()},
            {"id": 7, "keypoints3d": (one[frame] + [1, 0, 0, 0]).tolist()},
        ]
        put_json(source / "day2" / "pair" / "keypoints3d" / f"{frame:06d}.json", people)
    put_json(source / "day2" / "pair" / "smpl" / "000000.json", [])
    (source / "readme.txt").write_text("no keypoints")
    return source


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """No processes, which take seconds to start; returns the names of the recordings that were fitted."""
    fitted: list[str] = []

    def run(tasks: Sequence[FitTask], jobs: int) -> Generator[FileResult, None, None]:
        for task in tasks:
            fitted.append(task.name)
            yield fit_file(task)

    monkeypatch.setattr(folder_module, "run_in_processes", run)
    return fitted


def save(path: Path, positions: np.ndarray) -> None:
    write_keypoints_npz(ls.Keypoints(torch.as_tensor(positions), "body25", 30.0, up_axis="y"), path)


def put_json(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def hashes(out: Path) -> dict[str, str]:
    """Every motion below a folder, hidden ones too."""
    files = sorted(out.rglob("*.npz"))
    return {file.relative_to(out).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def statuses(report: FolderReport) -> dict[str, str]:
    return {result.name: result.status for result in report.results}


def test_every_recording_gets_a_motion_and_a_broken_one_a_message(
    source: Path, tmp_path: Path, in_process: list[str]
) -> None:
    report = fit_folder(source, tmp_path / "out")
    assert sorted(hashes(tmp_path / "out")) == MOTIONS
    assert report.count("failed") == 1
    broken = next(result for result in report.results if result.status == "failed")
    assert broken.name == "day1/broken.npz"
    assert str(source / "day1" / "broken.npz") in broken.message
    content = json.loads((tmp_path / "out" / "fit_report.json").read_text())
    assert [entry["name"] for entry in content["files"]] == [
        "a.npz",
        "day1/b.csv",
        "day1/broken.npz",
        "day1/openpose",
        "day2/pair",
    ]
    assert (content["fitted"], content["failed"]) == (4, 1)
    errors = [motion["mean_error_mm"] for entry in content["files"] for motion in entry["motions"]]
    assert len(errors) == 5
    assert max(errors) < 20
    apart = read_motion(tmp_path / "out/day2/pair_7.npz").transl - read_motion(tmp_path / "out/day2/pair_0.npz").transl
    assert torch.allclose(apart, torch.tensor([1.0, 0.0, 0.0]).expand(FRAMES, 3), atol=0.02)


def test_a_motion_is_the_one_of_the_recording_alone(source: Path, tmp_path: Path, in_process: list[str]) -> None:
    fit_folder(source, tmp_path / "out", only="a.*")
    write_motion(ls.Solver().fit(ls.read_keypoints(source / "a.npz")), tmp_path / "alone.npz")
    assert hashes(tmp_path / "out") == {"a.npz": hashlib.sha256((tmp_path / "alone.npz").read_bytes()).hexdigest()}


def test_a_second_run_fits_only_what_failed_or_changed(
    source: Path, tmp_path: Path, in_process: list[str], positions: np.ndarray
) -> None:
    out = tmp_path / "out"
    fit_folder(source, out)
    before = hashes(out)
    in_process.clear()

    assert set(statuses(fit_folder(source, out)).values()) == {"kept", "failed"}
    assert in_process == ["day1/broken.npz"]

    (source / "day1" / "broken.npz").unlink()
    os.utime(source / "a.npz")  # looks changed, is not
    (out / "day2" / "pair_7.npz").unlink()
    in_process.clear()
    fit_folder(source, out)
    assert in_process == ["day2/pair"]
    assert hashes(out) == before

    save(source / "a.npz", positions + 0.5)
    in_process.clear()
    fit_folder(source, out)
    assert in_process == ["a.npz"]
    assert hashes(out)["a.npz"] != before["a.npz"]

    in_process.clear()
    fit_folder(source, out, FitSettings(pose_layout="smpl"))
    assert len(in_process) == 4
    assert not set(hashes(out).values()) & set(before.values())


def test_an_interrupted_run_goes_on_to_the_same_bytes(source: Path, tmp_path: Path, in_process: list[str]) -> None:
    def interrupt(result: FileResult | None, done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    fit_folder(source, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        fit_folder(source, tmp_path / "cut", advance=interrupt)
    assert len(hashes(tmp_path / "cut")) == 2
    in_process.clear()
    report = fit_folder(source, tmp_path / "cut")
    assert len(in_process) == 3
    assert report.count("kept") == 2
    assert hashes(tmp_path / "cut") == hashes(tmp_path / "whole")


def test_motions_that_are_out_of_date_are_removed(
    source: Path, tmp_path: Path, in_process: list[str], positions: np.ndarray
) -> None:
    out = tmp_path / "out"
    fit_folder(source, out)
    for file in (source / "day2" / "pair" / "keypoints3d").iterdir():
        put_json(file, json.loads(file.read_text())[:1])
    (source / "a.npz").write_bytes(b"broken now")
    fit_folder(source, out)
    assert sorted(hashes(out)) == ["day1/b.npz", "day1/openpose.npz", "day2/pair.npz"]


def test_a_report_that_was_tampered_with_removes_nothing_outside(
    source: Path, tmp_path: Path, in_process: list[str]
) -> None:
    precious = tmp_path / "precious.npz"
    precious.write_bytes(b"mine")
    fit_folder(source, tmp_path / "out", only="a.npz")
    path = tmp_path / "out" / "fit_report.json"
    content = json.loads(path.read_text())
    content["files"][0]["motions"][0]["output"] = "../precious.npz"
    path.write_text(json.dumps(content))
    assert read_results(tmp_path / "out") == {}
    assert fit_folder(source, tmp_path / "out", FitSettings(pose_layout="smpl"), only="a.npz").count("fitted") == 1
    assert precious.read_bytes() == b"mine"


def test_half_files_of_a_killed_run_are_swept_away(source: Path, tmp_path: Path, in_process: list[str]) -> None:
    out = tmp_path / "out"
    (out / "day2").mkdir(parents=True)
    for name in (".a.abcd_123.npz", "day2/.pair_7.abcdefgh.npz", ".fit_report.abcdefgh.json"):
        (out / name).write_bytes(b"half")
    (out / ".mine.npz").write_bytes(b"not ours")
    fit_folder(source, out)
    assert sorted(hashes(out)) == sorted([".mine.npz", *MOTIONS])
    assert sorted(path.name for path in out.glob("*.json")) == ["fit_report.json"]


def test_recordings_that_differ_in_the_suffix_do_not_share_a_motion(tmp_path: Path) -> None:
    for name in ("walk.trc", "walk.csv", "WALK.npz", "run.v2.csv"):
        (tmp_path / "in" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "in" / name).touch()
    tasks = plan_tasks(tmp_path / "in", tmp_path / "out", SETTINGS)
    assert {task.name: task.output for task in tasks} == {
        "walk.trc": "walk.trc.npz",
        "walk.csv": "walk.csv.npz",
        "WALK.npz": "WALK.npz.npz",
        "run.v2.csv": "run.v2.npz",
    }


def test_a_person_does_not_get_the_name_of_another_recording(
    source: Path, tmp_path: Path, in_process: list[str], positions: np.ndarray
) -> None:
    save(source / "day2" / "pair_7.npz", positions)
    report = fit_folder(source, tmp_path / "out")
    assert statuses(report)["day2/pair"] == "failed"
    assert statuses(report)["day2/pair_7.npz"] == "fitted"
    assert "day2/pair_0.npz" not in hashes(tmp_path / "out")


def test_what_is_no_recording_is_passed_over(source: Path, tmp_path: Path, positions: np.ndarray) -> None:
    save(source / ".hidden.npz", positions)
    save(source / "motions" / "a.npz", positions)
    save(source / "earlier" / "a.npz", positions)
    (source / "earlier" / "fit_report.json").write_text("{}")
    found = find_recordings(source, source / "motions")
    assert found == ["a.npz", "day1/b.csv", "day1/broken.npz", "day1/openpose", "day2/pair"]
    assert find_recordings(source, tmp_path / "out", "*.csv") == ["day1/b.csv"]


@pytest.mark.parametrize(
    ("out", "options", "said"),
    [
        ("recordings", {}, "among the recordings"),
        ("out", {"only": "*.c3d"}, "holds no keypoint files that match '*.c3d'"),
        ("out", {"jobs": 0}, "--jobs is 0"),
        ("out", {"engine": "cloud"}, "unknown engine"),
        ("out", {"settings": FitSettings(layout="no_such_layout")}, "no layout is called"),
        ("out", {"settings": FitSettings(body="missing.pkl")}, "missing.pkl"),
        ("out", {"settings": FitSettings(method="smplify", smooth=True)}, "does not know --smooth"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_written(
    source: Path, tmp_path: Path, in_process: list[str], out: str, options: dict[str, object], said: str
) -> None:
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(LsmplifyError, match=said.replace("*", r"\*")):
        fit_folder(source, tmp_path / out, **options)  # type: ignore[arg-type]
    assert sorted(tmp_path.rglob("*")) == before


def test_a_fault_of_ours_in_one_recording_is_reported_with_its_place(
    source: Path, tmp_path: Path, in_process: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: ls.Solver, *_: object) -> None:
        raise ZeroDivisionError("oops")

    monkeypatch.setattr(ls.Solver, "fit", fail)
    report = fit_folder(source, tmp_path / "out", only="a.npz")
    assert "Internal error, please report it: ZeroDivisionError: oops" in report.results[0].message
    assert "test_jobs.py" in report.results[0].message


def test_the_command_ends_with_an_error_after_everything_else_was_written(
    source: Path, tmp_path: Path, in_process: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    console = Console(record=True, width=160, file=open(os.devnull, "w"))  # noqa: SIM115
    with pytest.raises(InputError, match="1 of 5 recordings could not be fitted"):
        fit_folder_command(source, tmp_path / "out", SETTINGS, None, "processes", "*", False, console)
    said = console.export_text()
    assert sorted(hashes(tmp_path / "out")) == MOTIONS
    assert "5 recordings: 4 fitted, 0 kept, 1 failed; 20 frames" in said
    assert f"failed: {source / 'day1' / 'broken.npz'}" in said
    with pytest.raises(InputError, match=r"-o motion$"):
        fit_folder_command(source, Path("motion.npz"), SETTINGS, None, "processes", "*", False, console)


def test_fit_tells_a_folder_of_recordings_from_a_recording(
    source: Path, tmp_path: Path, in_process: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    main(["fit", str(source), "-o", str(out), "--smooth", "--only", "*a*"])
    assert in_process == ["a.npz", "day2/pair"]
    assert json.loads((out / "fit_report.json").read_text())["settings"]["smooth"] is True
    main(["fit", str(source / "day1" / "openpose"), "-o", str(tmp_path / "one.npz")])
    assert len(read_motion(tmp_path / "one.npz")) == FRAMES
    capsys.readouterr()
    for arguments in (["a.npz", "--jobs", "2"], ["day1", "--calibrate-offsets", "o.json"], ["day1", "-o", "m.npz"]):
        with pytest.raises(SystemExit) as stopped:
            main(["fit", str(source / arguments[0]), *arguments[1:]])
        assert stopped.value.code == 2
        assert capsys.readouterr().err.startswith("error: ")


def test_a_recording_is_cut_where_nobody_is_in_view(
    tmp_path: Path, in_process: list[str], positions: np.ndarray
) -> None:
    absent = np.full((20, 25, 3), np.nan)
    save(tmp_path / "in" / "a.npz", np.concatenate((positions, absent, positions)))
    report = fit_folder(tmp_path / "in", tmp_path / "out", FitSettings(gap="cut"))
    assert sorted(hashes(tmp_path / "out")) == ["a_part1.npz", "a_part2.npz"]
    assert [motion.frames for motion in report.results[0].motions] == [FRAMES, FRAMES]
    fit_folder(tmp_path / "in", tmp_path / "out")
    assert sorted(hashes(tmp_path / "out")) == ["a.npz"]


def test_ray_that_is_not_installed_is_named(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r"learnable-smplify\[ray\]"):
        fit_folder(source, tmp_path / "out", engine="ray")


SCRIPT = """
import sys
from pathlib import Path
from learnable_smplify.jobs.folder import fit_folder
if __name__ == "__main__":
    fit_folder(Path(sys.argv[1]), Path(sys.argv[2]), jobs=int(sys.argv[3]), engine=sys.argv[4])
"""


@pytest.fixture
def job(tmp_path: Path, source: Path) -> Callable[..., subprocess.Popen[bytes]]:
    """Starts `fit_folder` of the source folder in a program of its own."""
    (tmp_path / "job.py").write_text(SCRIPT)

    def start(out: str, jobs: int = 2, engine: str = "processes", **environment: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, str(tmp_path / "job.py"), str(source), str(tmp_path / out), str(jobs), engine]
        return subprocess.Popen(command, env=os.environ | environment, start_new_session=True)

    return start


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_run_leaves_whole_files_and_another_finishes_it(
    source: Path,
    tmp_path: Path,
    positions: np.ndarray,
    how: signal.Signals,
    job: Callable[..., subprocess.Popen[bytes]],
) -> None:
    for index in range(8):
        save(source / f"more{index}.npz", positions + 0.1 * index)
    assert job("whole").wait() == 0
    cut = job("cut", jobs=1)
    while not (tmp_path / "cut" / "a.npz").is_file():
        assert cut.poll() is None
        time.sleep(0.02)
    cut.send_signal(how)
    cut.wait()
    assert 0 < len(hashes(tmp_path / "cut")) < 13
    for file in (tmp_path / "cut").rglob("[!.]*.npz"):
        assert len(read_motion(file)) == FRAMES
    assert job("cut").wait() == 0
    assert hashes(tmp_path / "cut") == hashes(tmp_path / "whole")


@pytest.mark.slow
def test_the_first_run_on_a_machine_writes_the_bytes_of_the_second(
    tmp_path: Path, job: Callable[..., subprocess.Popen[bytes]]
) -> None:
    for out in ("first", "second"):
        assert job(out, NUMBA_CACHE_DIR=str(tmp_path / "kernels")).wait() == 0
    assert sorted(hashes(tmp_path / "first")) == MOTIONS
    assert hashes(tmp_path / "first") == hashes(tmp_path / "second")


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="ray is not installed")
def test_ray_writes_the_same_bytes(tmp_path: Path, job: Callable[..., subprocess.Popen[bytes]]) -> None:
    assert job("here").wait() == 0
    assert job("ray", engine="ray").wait() == 0
    assert sorted(hashes(tmp_path / "ray")) == MOTIONS
    assert hashes(tmp_path / "ray") == hashes(tmp_path / "here")
    reports = [json.loads((tmp_path / out / "fit_report.json").read_text())["files"] for out in ("here", "ray")]
    for here, ray in zip(*reports, strict=True):
        assert here | {"seconds": 0} == ray | {"seconds": 0}
