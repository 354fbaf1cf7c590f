"""The commands as a user runs them: what they write, what they say, and that bad input is one message and exit 2."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import learnable_smplify as ls
from learnable_smplify.cli import demo as demo_module
from learnable_smplify.cli.commands import COMMANDS
from learnable_smplify.cli.main import main
from learnable_smplify.formats.keypoints.keypoints_npz import write_keypoints_npz
from test_import_motion import amc_text, asf_text
from toy_files import save_as, save_npz, trc_lines
from toy_motion import drifting_transl, swinging_poses

FRAMES = 6


@pytest.fixture(scope="module")
def positions() -> np.ndarray:
    """(6, 25, 3) metres, Y up."""
    body = ls.load_body()
    return body.keypoints(swinging_poses(FRAMES), torch.zeros(10), drifting_transl(FRAMES)).numpy()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path


@pytest.fixture
def refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run a command that must fail with exit 2, one message, no traceback and no new file. Returns the message."""

    def run(*arguments: str, leaves: tuple[str, ...] = ()) -> str:
        before = set(folder.rglob("*"))
        with pytest.raises(SystemExit) as stopped:
            main(list(arguments))
        assert stopped.value.code == 2
        said = "".join(line for line in capsys.readouterr().err.splitlines(True) if not line.startswith("note: "))
        assert said.startswith("error: ")
        assert said.count("error: ") == 1
        assert "Traceback" not in said
        assert {path.name for path in set(folder.rglob("*")) - before} == set(leaves)
        return said

    return run


# ------------------------------------------------------------------------------------------------ what works


@pytest.mark.parametrize("suffix", [".npz", ".npy", ".csv", ".trc"])
def test_every_keypoint_format_is_fitted(
    folder: Path, positions: np.ndarray, capsys: pytest.CaptureFixture[str], suffix: str
) -> None:
    path = save_as(suffix, folder / f"clip{suffix}", positions)
    main(["fit", path, "-o", "out/motion.npz", *(["--layout", "body25"] if suffix == ".npy" else [])])
    said = capsys.readouterr().out
    for part in ("6 (", "mean keypoint error", "worst keypoint", "frames flagged", "ms a frame", "open", "motion.npz"):
        assert part in said
    motion = ls.read_motion(folder / "out" / "motion.npz")
    assert len(motion) == FRAMES
    assert motion.fps == (60.0 if suffix == ".trc" else 30.0)
    error = ls.load_body().keypoints(motion.pose, motion.betas, motion.transl) - torch.as_tensor(positions)
    assert float(error.norm(dim=-1).mean()) < 0.02


def test_known_betas_layout_rate_and_pose_columns_are_obeyed(folder: Path, positions: np.ndarray) -> None:
    np.save(folder / "clip.npy", positions)
    main(
        [
            "fit",
            "clip.npy",
            "--layout",
            "body25",
            "--fps",
            "50",
            "--betas",
            "0.5",
            "-1",
            "--pose-layout",
            "smpl",
            "-o",
            "m.npz",
        ]
    )
    with np.load(folder / "m.npz") as file:
        assert file["poses"].shape == (FRAMES, 72)
        assert float(file["mocap_frame_rate"]) == 50
        np.testing.assert_allclose(file["betas"][:3], [0.5, -1, 0])


def test_millimetres_passed_as_metres_are_detected_and_said(
    folder: Path, positions: np.ndarray, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["fit", save_npz(folder / "clip.npz", 1000 * positions)])
    assert "looked like millimetres" in capsys.readouterr().err
    assert float(ls.read_motion("motion.npz").transl.abs().max()) < 10


def test_a_block_of_nan_is_counted_in_a_note_and_its_frames_are_flagged(
    folder: Path, positions: np.ndarray, capsys: pytest.CaptureFixture[str]
) -> None:
    holes = positions.copy()
    holes[2:4] = np.nan
    main(["fit", save_npz(folder / "clip.npz", holes), "--betas", "0"])
    assert "50 keypoints in 2 of 6 frames have no position" in capsys.readouterr().err
    motion = ls.read_motion("motion.npz")
    assert motion.flagged.tolist() == [False, False, True, True, False, False]


def test_a_fit_is_drawn_with_its_keypoints(folder: Path, positions: np.ndarray) -> None:
    clip = save_npz(folder / "clip.npz", positions)
    main(["fit", clip, "--betas", "0"])
    main(["render", "motion.npz", clip, "--frames", "2", "--size", "64"])
    assert (folder / "motion.png").stat().st_size > 500


def test_the_demo_writes_its_motion_and_picture(
    folder: Path, positions: np.ndarray, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    short = ls.Keypoints(torch.as_tensor(positions), layout="body25", fps=30.0, up_axis="y")
    monkeypatch.setattr(demo_module, "read_keypoints", lambda path: short)
    main(["demo", "--film", "none"])
    assert {path.name for path in (folder / "demo").iterdir()} == {"motion.npz", "contact_sheet.png"}
    said = capsys.readouterr().out
    assert str(Path("demo", "contact_sheet.png")) in said
    assert "next: lsmplify fit" in said


def test_the_demo_clip_in_the_package_is_a_recording_with_faults() -> None:
    with demo_module.as_file(demo_module.files("learnable_smplify.cli") / "demo_keypoints.npz") as path:
        keypoints = ls.read_keypoints(path)
    assert isinstance(keypoints.layout, ls.Layout)
    assert (keypoints.layout.name, len(keypoints), keypoints.fps) == ("body25", 180, 30.0)
    assert 0 < float((keypoints.confidence == 0).float().mean()) < 0.1


def test_without_pillow_the_demo_still_fits_and_says_what_is_missing(
    folder: Path, positions: np.ndarray, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    short = ls.Keypoints(torch.as_tensor(positions), layout="body25", fps=30.0)
    monkeypatch.setattr(demo_module, "read_keypoints", lambda path: short)
    for name in ("PIL", "PIL.Image", "PIL.ImageDraw", "PIL.ImageFont"):
        monkeypatch.setitem(__import__("sys").modules, name, None)
    main(["demo"])
    assert {path.name for path in (folder / "demo").iterdir()} == {"motion.npz"}
    assert "pip install 'learnable-smplify[render]'" in capsys.readouterr().out


def test_motion_capture_is_imported(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "mocap" / "07").mkdir(parents=True)
    (folder / "mocap" / "07" / "07.asf").write_text(asf_text())
    (folder / "mocap" / "07" / "07_01.amc").write_text(amc_text())
    main(["import-motion", "mocap", "-o", "motions", "--jobs", "1"])
    assert len(ls.read_motion(folder / "motions" / "07" / "07_01.npz")) > 1
    assert "import_report.json" in capsys.readouterr().err


def test_the_open_body_is_exported_and_can_be_fitted_with(folder: Path, positions: np.ndarray) -> None:
    main(["export-body", "-o", "SMPL_OPEN.pkl"])
    main(["fit", save_npz(folder / "clip.npz", positions), "--body", "SMPL_OPEN.pkl", "--betas", "0"])
    assert ls.read_motion("motion.npz").body == "open"


def test_the_doctor_finds_nothing_wrong(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["doctor"])
    assert "body25" in capsys.readouterr().out


@pytest.mark.parametrize("command", [None, *COMMANDS])
def test_every_help_page_explains_itself(capsys: pytest.CaptureFixture[str], command: str | None) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["--help"] if command is None else [command, "--help"])
    assert stopped.value.code == 0
    page = capsys.readouterr().out
    assert "usage: lsmplify" in page
    assert "{None}" not in page
    for name in COMMANDS if command is None else ():
        assert name in page


def test_no_command_prints_the_list_and_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([])
    assert stopped.value.code == 0
    assert "import-motion" in capsys.readouterr().out
    main(["--version"])
    assert capsys.readouterr().out == f"lsmplify {ls.__version__}\n"


# ------------------------------------------------------------------------------------------------ what is refused


@pytest.mark.parametrize(
    "arguments", [["fitt"], ["fit"], ["fit", "x.npz", "--fps", "fast"], ["fit", "x.npz", "--speed", "2"]]
)
def test_a_command_line_that_cannot_be_read_exits_with_2(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert "Traceback" not in capsys.readouterr().err


def test_missing_files_and_folders_in_place_of_files_are_refused(refused: Callable[..., str], folder: Path) -> None:
    assert "absent.trc" in refused("fit", "absent.trc")
    assert "absent.npz" in refused("render", "absent.npz")
    assert "absent" in refused("import-motion", "absent", "-o", "out")
    (folder / "clip.npz").mkdir()
    assert "folder" in refused("fit", "clip.npz")


def test_a_wrong_layout_is_refused_with_the_number_expected(
    refused: Callable[..., str], folder: Path, positions: np.ndarray
) -> None:
    clip = save_npz(folder / "clip.npz", positions)
    assert "17 for layout 'coco17'" in refused("fit", clip, "--layout", "coco17")
    assert "nonsense" in refused("fit", clip, "--layout", "nonsense")


def test_an_empty_clip_and_one_of_nan_are_refused(
    refused: Callable[..., str], folder: Path, positions: np.ndarray
) -> None:
    assert "no frames" in refused("fit", save_npz(folder / "clip.npz", positions[:0]))
    assert "no keypoint is usable" in refused("fit", save_npz(folder / "clip.npz", np.nan * positions))


def test_a_truncated_trc_is_fitted_as_far_as_it_goes(
    folder: Path, positions: np.ndarray, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "clip.trc").write_text("\n".join(trc_lines(positions))[:-100])
    main(["fit", "clip.trc"])
    said = capsys.readouterr().err
    assert "line 11, the last, breaks off" in said
    assert "promises 6 frames" in said
    assert len(ls.read_motion(folder / "motion.npz")) == 5


def test_a_truncated_npz_is_refused(refused: Callable[..., str], folder: Path, positions: np.ndarray) -> None:
    clip = folder / "clip.npz"
    save_npz(clip, positions)
    clip.write_bytes(clip.read_bytes()[:-200])
    assert "clip.npz" in refused("fit", "clip.npz")


@pytest.mark.parametrize("suffix", ["amc", "bvh"])
def test_a_truncated_motion_capture_file_is_refused_with_its_place(
    refused: Callable[..., str], folder: Path, suffix: str
) -> None:
    if suffix == "amc":
        (folder / "07.asf").write_text(asf_text())
        (folder / "07_01.amc").write_text(amc_text()[:-60])
        expected = "07_01.amc, line"
    else:
        (folder / "07_01.bvh").write_text("HIERARCHY\nROOT Hips\n{\n  OFFSET 0 0 0\n  CHANNELS 6 Xposition Yposition\n")
        expected = "07_01.bvh"
    assert expected in refused("import-motion", f"07_01.{suffix}", "-o", "out", leaves=("out", "import_report.json"))


def test_a_pickle_that_runs_code_is_refused_and_does_not_run(
    refused: Callable[..., str], folder: Path, positions: np.ndarray
) -> None:
    class Harmful:
        def __reduce__(self) -> tuple:
            return os.mkdir, (str(folder / "harm"),)

    (folder / "SMPL_NEUTRAL.pkl").write_bytes(pickle.dumps({"v_template": Harmful()}))
    said = refused("fit", save_npz(folder / "clip.npz", positions), "--body", "SMPL_NEUTRAL.pkl")
    assert "mkdir" in said
    assert not (folder / "harm").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("fit clip.npz -o motion.fbx", ".npz"),
        ("fit clip.npz -o motion", ".npz"),
        ("fit clip.npz -o taken", "folder"),
        ("fit clip.npz -o clip.npz", "overwritten"),
        ("fit clip.npz -o notes.txt/motion.npz", "notes.txt"),
        ("export-body -o body.obj", ".pkl"),
        ("export-body -o taken", "folder"),
        ("export-body -o notes.txt/body.pkl", "notes.txt"),
        ("demo -o notes.txt", "notes.txt"),
        ("import-motion taken -o notes.txt", "notes.txt"),
        ("render motion.npz -o film.avi", ".gif"),
        ("render motion.npz -o taken", "taken"),
        ("render motion.npz -o taken.png", "folder"),
        ("render motion.npz -o notes.txt/sheet.png", "notes.txt"),
        ("render motion.npz --frames 0", "0"),
        ("fit clip.npz --device abacus", "abacus"),
        ("fit clip.npz --betas 1 2 3 4 5 6 7 8 9 10 11", "up to 10"),
        ("fit clip.npz --betas nan", "finite"),
        ("fit clip.npz --fps 0", "frame rate"),
        ("fit clip.npz --fps nan", "frame rate"),
        ("fit clip.npz --body absent.pkl", "absent.pkl"),
        ("fit clip.npz --body notes.txt", "notes.txt"),
        ("fit clip.npz --gender male --betas 0", "gender"),
        ("fit notes.txt", "names no keypoints"),
        ("fit motion.npz -o m.npz", "keypoints"),
        ("render clip.npz", "these are keypoints"),
        ("render motion.npz absent.csv", "absent.csv"),
        ("import-motion notes.txt -o out", "no motion file"),
    ],
)
def test_what_cannot_be_done_is_refused_in_one_message(
    refused: Callable[..., str], folder: Path, positions: np.ndarray, arguments: str, words: str
) -> None:
    save_npz(folder / "clip.npz", positions)
    (folder / "notes.txt").write_text("not a folder")
    (folder / "taken").mkdir()
    (folder / "taken.png").mkdir()
    still = ls.Motion(pose=torch.zeros(2, 24, 3), transl=torch.zeros(2, 3), betas=torch.zeros(10))
    ls.write_motion(still, folder / "motion.npz")
    assert words in refused(*arguments.split())


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_cuda_without_a_gpu_is_refused(refused: Callable[..., str], folder: Path, positions: np.ndarray) -> None:
    assert "cuda" in refused("fit", save_npz(folder / "clip.npz", positions), "--device", "cuda")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_is_refused(
    refused: Callable[..., str], folder: Path, positions: np.ndarray
) -> None:
    (folder / "closed").mkdir(mode=0o500)
    assert "permission" in refused("fit", save_npz(folder / "clip.npz", positions), "-o", "closed/motion.npz")


def test_a_fit_that_is_interrupted_exits_with_130_and_leaves_nothing(
    folder: Path, positions: np.ndarray, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = save_npz(folder / "clip.npz", positions)

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(ls.Solver, "fit", interrupt)
    with pytest.raises(SystemExit) as stopped:
        main(["fit", clip])
    assert stopped.value.code == 130
    assert "interrupted" in capsys.readouterr().err
    assert [path.name for path in folder.iterdir()] == ["clip.npz"]


def test_a_full_disk_is_one_message_and_leaves_nothing(
    refused: Callable[..., str], folder: Path, positions: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = save_npz(folder / "clip.npz", positions)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez_compressed", full)
    monkeypatch.setattr(np, "savez", full)
    assert "No space left" in refused("fit", clip, "--betas", "0")


def test_keypoints_written_by_us_are_fitted(folder: Path, positions: np.ndarray) -> None:
    keypoints = ls.Keypoints(torch.as_tensor(positions), layout="body25", fps=25.0, up_axis="y")
    write_keypoints_npz(keypoints, folder / "clip.npz")
    main(["fit", "clip.npz", "--betas", "0"])
    motion = ls.read_motion("motion.npz")
    assert (motion.fps, motion.up_axis) == (25.0, "y")
