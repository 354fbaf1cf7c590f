"""The evaluation: the same pairs for everyone, errors that mean what they say, and tables nobody typed."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest
import torch

import learnable_smplify as ls
from learnable_smplify.cli.evaluate import EvaluateArgs, evaluate
from learnable_smplify.cli.main import main
from learnable_smplify.evaluation.clips import make_pairs, read_clips
from learnable_smplify.evaluation.pairs import Condition, Method, damaged, evaluate_pairs
from tiny_store import write_motions

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def motions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_motions(Path(tmp_path_factory.mktemp("motions")))


def test_the_splits_share_no_subject(motions: Path) -> None:
    names = {split: {clip.name for clip in read_clips(motions, split)} for split in ("train", "eval")}
    assert len(names["train"]) == 8
    assert len(names["eval"]) == 4
    assert all(name.startswith("cmu/49/") for name in names["eval"])


def test_a_folder_without_the_split_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ls.InputError, match="no motion of the eval split"):
        read_clips(tmp_path, "eval")


def test_pairs_are_the_same_every_time_and_the_stride_apart(motions: Path) -> None:
    clips = read_clips(motions, "eval")
    pairs = make_pairs(clips, stride=5, every=9)
    again = make_pairs(clips, stride=5, every=9)
    assert torch.equal(pairs.betas, again.betas)
    assert torch.equal(pairs.start_pose[1], clips[0].pose[9])
    assert torch.equal(pairs.target_pose[1], clips[0].pose[14])


def test_damage_is_of_the_asked_size_and_the_same_for_every_method(motions: Path) -> None:
    body, pairs = ls.load_body(), make_pairs(read_clips(motions, "eval"), stride=1, every=1)
    clean, _ = damaged(body, pairs, Condition("clean"))
    noisy, confidence = damaged(body, pairs, Condition("bad", noise=0.02, missing=0.2))
    assert float((noisy - clean).std()) == pytest.approx(0.02, rel=0.05)
    assert float((confidence == 0).float().mean()) == pytest.approx(0.2, abs=0.03)
    assert torch.equal(noisy, damaged(body, pairs, Condition("bad", noise=0.02, missing=0.2))[0])


def test_copying_the_start_is_measured_as_the_distance_of_the_two_poses(motions: Path) -> None:
    body, clips = ls.load_body(), read_clips(motions, "eval")
    row = evaluate_pairs(clips, body, [Method("copy", None)], 9, (Condition("clean"),), strides=(3,))[0]
    pairs = make_pairs(clips, 3, 9)
    roots = [body.joints(pose, pairs.betas)[:, 0] for pose in (pairs.start_pose, pairs.target_pose)]
    meshes = [body.vertices(pose, pairs.betas) for pose in (pairs.start_pose, pairs.target_pose)]
    assert row.pve_mm[0] == pytest.approx(float(ls.metrics.pve(*meshes, *roots)), rel=1e-5)


def test_evaluating_twice_gives_the_same_numbers(motions: Path, tmp_path: Path) -> None:
    results = []
    for name in ("one", "two"):
        evaluate(EvaluateArgs(motions, every=20, clip_step=4, parts=("pairs", "cold-start"), output=tmp_path / name))
        results.append(json.loads((tmp_path / name / "evaluation.json").read_text()))
    for one, two in zip(results[0]["pairs"], results[1]["pairs"], strict=True):
        assert one["pve_mm"] == pytest.approx(two["pve_mm"], abs=0.01)
    assert "| clean | hybrid |" in (tmp_path / "one" / "evaluation.md").read_text()


def test_the_command_reads_its_options(motions: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["evaluate", str(motions), "--parts", "pairs", "--every", "30", "--clip-step", "4", "-o", str(tmp_path)])
    said = capsys.readouterr().out
    assert "hybrid" in said
    assert all(metric in said for metric in ("PVE", "PA-PVE", "MPJPE"))


def test_the_tables_of_the_readme_and_the_docs_are_the_ones_the_commands_wrote() -> None:
    place = importlib.util.spec_from_file_location("embed_results", ROOT / "tools" / "embed_results.py")
    assert place is not None
    assert place.loader is not None
    tool = importlib.util.module_from_spec(place)
    place.loader.exec_module(tool)
    for (page, block), written in tool.blocks().items():
        text = (ROOT / page).read_text()
        inside = text.split(f"<!-- {block}:begin -->")[1].split(f"<!-- {block}:end -->")[0].strip()
        assert inside == written.strip(), f"run tools/embed_results.py: {page} does not show {block}"
