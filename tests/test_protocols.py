"""Evaluation on the field's data sets: clips, pairs and the two protocols."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import learnable_smplify as ls
from learnable_smplify.cli.main import main
from learnable_smplify.datasets import DATASETS, DatasetName
from learnable_smplify.errors import InputError
from learnable_smplify.evaluation.clips import Clip, make_pairs
from learnable_smplify.evaluation.pairs import Method
from learnable_smplify.evaluation.protocols import clips_of, frame_errors, paper_pairs, whole_clips
from learnable_smplify.skeleton import JOINT_INDEX
from learnable_smplify.solver import Solver
from test_datasets import BETAS, MAKERS, POSE, TRANSL, make_3dpw, make_amass, make_emdb, make_generic, read


def test_clips_are_cut_at_frames_that_are_not_valid_and_brought_to_30_frames_a_second(tmp_path: Path) -> None:
    clips = clips_of(read("3dpw", make_3dpw(tmp_path / "a")))
    assert [len(clip.pose) for clip in clips] == [10, 13, 24]
    assert [clip.name for clip in clips][1] == "test/courtyard_dancing_00_0 from frame 11"
    np.testing.assert_allclose(clips[1].pose, POSE[11:], atol=1e-6)
    fast = clips_of(read("amass", make_amass(tmp_path / "b")))
    assert [len(clip.pose) for clip in fast] == [6, 12]
    np.testing.assert_allclose(fast[0].pose[:, :22], POSE[::4, :22], atol=1e-5)
    assert all(clip.fps == 30 for clip in clips + fast)


def test_pairs_of_a_data_set_have_the_betas_of_their_people() -> None:
    pose, transl = torch.as_tensor(POSE).float(), torch.as_tensor(TRANSL).float()
    own = torch.as_tensor(BETAS[:10]).float()
    clips = [
        Clip("a", pose, transl, 30.0),
        Clip("b", pose, transl, 30.0, own),
        Clip("short", pose[:3], transl[:3], 30.0),
    ]
    pairs, before = make_pairs(clips, 5, every=4), make_pairs(clips[:1] * 2, 5, every=4)
    half = len(pairs) // 2
    assert torch.equal(pairs.betas[:half], before.betas[:half])
    assert torch.equal(pairs.betas[half:], own.expand(half, -1))
    with pytest.raises(InputError, match="longer than 5 frames"):
        make_pairs(clips[2:], 5)


def test_alignment_at_the_reference_lays_right_ankles_on_each_other() -> None:
    body, betas = ls.load_body(), torch.zeros(10)
    true = torch.as_tensor(POSE[:4]).float()
    found = true.clone()
    found[:, JOINT_INDEX["right_knee"]] += torch.tensor([0.2, 0.0, 0.0])
    errors = {align: frame_errors(body, (found, betas), (true, betas), align) for align in ("pelvis", "reference")}
    joints, true_joints = body.joints(found, betas), body.joints(true, betas)
    for align, at in (("pelvis", 0), ("reference", JOINT_INDEX["right_ankle"])):
        moved = joints - joints[:, at : at + 1] - true_joints + true_joints[:, at : at + 1]
        torch.testing.assert_close(errors[align][2], 1000 * moved.norm(dim=-1).mean(dim=-1), atol=1e-2, rtol=1e-4)
    assert bool((errors["reference"][0] > errors["pelvis"][0]).all())
    torch.testing.assert_close(errors["reference"][1], errors["pelvis"][1])


def test_the_paper_gives_the_first_pose_and_the_betas_and_the_standard_nothing(tmp_path: Path) -> None:
    body = ls.load_body()
    solver = Solver(body, "gauss_newton")
    clips = clips_of(read("emdb", make_emdb(tmp_path)))
    rows = {name: whole_clips(clips, body, [("gn", solver)], name)[0] for name in ("paper", "standard")}  # type: ignore[arg-type]
    assert (rows["paper"].given, rows["standard"].given) == ("first pose, betas", "nothing")
    assert rows["paper"].frames == 20
    assert rows["paper"].pve_mm < rows["standard"].pve_mm
    assert rows["paper"].pa_mpjpe_mm <= rows["paper"].mpjpe_mm
    with pytest.raises(InputError, match="no betas"):
        whole_clips([Clip("x", clips[0].pose, clips[0].transl, 30.0)], body, [("gn", solver)], "paper")


def test_pairs_of_the_paper_are_measured_at_its_five_strides(tmp_path: Path) -> None:
    body = ls.load_body()
    clips = clips_of(read("generic", make_generic(tmp_path)))
    row = paper_pairs(clips, body, [Method("copy", None)], every=2)[0]
    assert row.strides == (1, 3, 5, 7, 9)
    assert list(row.mpjpe_mm) == sorted(row.mpjpe_mm)
    true = make_pairs(clips, 9, 2)
    joints = [body.joints(pose, true.betas) for pose in (true.start_pose, true.target_pose)]
    assert row.mpjpe_mm[-1] == pytest.approx(
        float(ls.metrics.mpjpe(*joints, *(part[:, 0] for part in joints))), rel=1e-5
    )


@pytest.mark.parametrize(("name", "protocol"), [*((name, "paper") for name in DATASETS), ("emdb", "standard")])
def test_the_command_evaluates_every_data_set(tmp_path: Path, capsys, name: DatasetName, protocol: str) -> None:
    MAKERS[name](tmp_path / "root")
    arguments = ["--dataset", name, "--root", str(tmp_path / "root"), "--protocol", protocol, "-o", str(tmp_path)]
    main(["evaluate", *arguments, "--align", "reference", "--every", "5"])
    said = " ".join(capsys.readouterr().out.split())
    assert "generated files only" in said
    assert "no SMPL results" in said
    assert "right ankle" in said
    result = json.loads((tmp_path / "evaluation.json").read_text())
    assert (result["dataset"], result["protocol"], result["body"]) == (name, protocol, "open")
    assert ("pairs" in result) == (protocol == "paper")
    rows = {row["method"]: row for row in result["whole_clips"]}
    assert rows["hybrid"]["pve_mm"] < (10 if protocol == "paper" else 60)
    assert "no SMPL results" in (tmp_path / "evaluation.md").read_text()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "--dataset 3dpw --root DIR"),
        (["--dataset", "3dpw"], "--root"),
        (["somewhere", "--dataset", "3dpw", "--root", "x"], "no folder of motions"),
    ],
)
def test_half_a_question_is_answered_with_the_whole_command(capsys, arguments: list[str], words: str) -> None:
    with pytest.raises(SystemExit) as error:
        main(["evaluate", *arguments])
    assert error.value.code == 2
    assert words in " ".join(capsys.readouterr().err.split())
