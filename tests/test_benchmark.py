"""The benchmark: every method in its own process, failures as rows, and tables made from the JSON alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import learnable_smplify as ls
from learnable_smplify.benchmark import machine, plot, tables
from learnable_smplify.benchmark import worker as worker_module
from learnable_smplify.benchmark.methods import Method, build, methods
from learnable_smplify.benchmark.pairs import PairBatch, as_given, select, synthetic_pairs
from learnable_smplify.benchmark.processes import Worker, WorkerFailed
from learnable_smplify.benchmark.published_stgcn import PublishedStgcn
from learnable_smplify.benchmark.result import Benchmark, Errors, Row, Speed, read_benchmark
from learnable_smplify.benchmark.run import CLEAN, NOISY, Plan, run_benchmark
from learnable_smplify.cli.main import main
from learnable_smplify.errors import InputError, MissingExtraError
from learnable_smplify.evaluation.clips import Pairs
from learnable_smplify.evaluation.errors import mesh_and_joints, mesh_errors
from learnable_smplify.network.weights import load_network, save_network
from learnable_smplify.rotation import rotvec_to_rotmat
from learnable_smplify.timeline import evenly
from test_stgcn import some_input, some_network

ROOT = Path(__file__).parents[1]
BODY = ls.load_body()


def some_batch(count: int = 6, stride: int = 5) -> PairBatch:
    return as_given(BODY, synthetic_pairs(count, stride), CLEAN)


def some_result(**changes: object) -> Benchmark:
    def row(key: str, label: str, one: float, large: float, pve: float, **more: object) -> Row:
        speeds = (Speed(1, (one, 1.2 * one, 0.8 * one), 3, 1.0, 300.0), Speed(1024, (large,) * 3, 1024, 1.9, 400.0))
        errors = tuple(Errors("clean", stride, 10, False, pve, pve / 2) for stride in (1, 5))
        errors += (Errors("20 mm noise", 5, 5, False, 2 * pve, pve),)
        return Row(key, label, "start pose", "cpu", {"passes": 2}, (2.0,), 250.0, speeds, errors, **more)

    rows = (
        row("smplify_adam", "SMPLify (Adam)", 1000.0, 10.0, 11.0),
        row("smplify_lbfgs", "SMPLify (L-BFGS)", 500.0, 20.0, 10.0),
        row("authors_published", "authors' network", 8.0, 1.0, 21.0),
        row("hybrid", "ours, hybrid", 0.5, 0.01, 7.0),
        Row("gauss_newton", "Gauss-Newton", "start pose", "cpu", failed="the process ended with code -9"),
    )
    found: dict[str, object] = {"cpu": "a CPU", "cores": 2, "load_before": 0.1, "gpu": None, "system": "Linux"}
    made = Benchmark(
        command="lsmplify benchmark --quick",
        data="Made up",
        strides=(1, 5),
        noise=("20 mm noise", 5),
        pairs=20,
        machine={**found, "versions": {"python": "3.11"}},
        plan={"threads": 2},
        rows=rows,
    )
    return replace(made, **changes)


@pytest.mark.parametrize("graph", ["body25", "ntu"])
def test_the_published_operations_give_the_numbers_of_our_rewriting(graph: str) -> None:
    network = some_network(graph=graph)
    start, target, pose, betas = some_input(7)
    with torch.no_grad():
        ours = network(start, target, pose[:, 1:].flatten(1), betas)
        published = PublishedStgcn(network)(start, target, pose[:, 1:].flatten(1), betas)
    assert ours.std() > 0.01
    torch.testing.assert_close(published, ours, atol=1e-5, rtol=1e-5)


def test_both_rows_of_the_authors_network_are_what_the_solver_makes_of_its_weights(tmp_path: Path) -> None:
    path = tmp_path / "authors.safetensors"
    save_network(some_network(), path)
    batch = some_batch(70)  # more than one chunk
    expected, _ = ls.Solver(BODY, weights=path, refine_steps=0).solve_pairs(
        batch.start_pose, batch.keypoints, batch.betas
    )
    for key in ("authors_published", "authors_rewritten"):
        solve, settings = build(Method(key, "", weights=str(path)), tmp_path)
        assert settings["weights"] == "authors.safetensors"
        difference = rotvec_to_rotmat(solve(batch)) - rotvec_to_rotmat(expected)
        assert difference.abs().max() < 1e-4


def test_weights_of_another_network_are_refused_as_the_authors(tmp_path: Path) -> None:
    save_network(load_network(), tmp_path / "ours.safetensors")
    with pytest.raises(InputError, match="authors"):
        build(Method("authors_published", "", weights=str(tmp_path / "ours.safetensors")), tmp_path)


@pytest.mark.parametrize("key", ["gauss_newton", "single_pass", "hybrid"])
def test_every_method_comes_nearer_than_the_start(key: str, tmp_path: Path) -> None:
    pairs = synthetic_pairs(12, stride=5)
    truth = mesh_and_joints(BODY, pairs.target_pose, pairs.betas)
    batch = as_given(BODY, pairs, CLEAN)
    solve, settings = build(Method(key, ""), tmp_path)
    assert settings
    before = mesh_errors(mesh_and_joints(BODY, pairs.start_pose, pairs.betas), truth)[0].mean()
    after = mesh_errors(mesh_and_joints(BODY, solve(batch), pairs.betas), truth)[0].mean()
    assert after < 0.3 * before


def test_the_peer_solves_on_the_open_body(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("keypoints2body")
    monkeypatch.chdir(tmp_path)
    pairs = synthetic_pairs(2, stride=5)
    truth = mesh_and_joints(BODY, pairs.target_pose, pairs.betas)
    solve, settings = build(Method("keypoints2body", ""), tmp_path)
    assert settings["freeze_betas"]
    before = mesh_errors(mesh_and_joints(BODY, pairs.start_pose, pairs.betas), truth)[0].mean()
    after = mesh_errors(mesh_and_joints(BODY, solve(as_given(BODY, pairs, CLEAN)), pairs.betas), truth)[0].mean()
    assert after < 0.5 * before


def test_synthetic_pairs_are_human_repeatable_and_further_apart_at_greater_strides() -> None:
    near, far, again = synthetic_pairs(200, 1), synthetic_pairs(200, 9), synthetic_pairs(200, 9)
    assert torch.equal(far.target_pose, again.target_pose)
    assert torch.equal(near.start_pose, far.start_pose)

    def moved(pairs: Pairs) -> float:
        truth = mesh_and_joints(BODY, pairs.target_pose, pairs.betas)
        return float(mesh_errors(mesh_and_joints(BODY, pairs.start_pose, pairs.betas), truth)[0].mean())

    assert 6 < moved(far) / moved(near) < 10
    assert 5 < moved(near) < 50


def test_no_method_sees_the_target_pose_and_all_get_the_same(tmp_path: Path) -> None:
    pairs = synthetic_pairs(8, 5)
    batch = as_given(BODY, pairs, NOISY)
    assert not any(torch.equal(getattr(batch, name), pairs.target_pose) for name in ("start_pose", "joints"))
    batch.save(tmp_path / "pairs.safetensors")
    loaded = PairBatch.load(tmp_path / "pairs.safetensors")
    assert torch.equal(loaded.keypoints, as_given(BODY, pairs, NOISY).keypoints)
    true_joints = BODY.joints(pairs.target_pose, pairs.betas, pairs.target_transl)
    assert float((batch.joints - true_joints).std()) == pytest.approx(0.02, rel=0.1)


def test_rows_of_a_batch_start_over_at_the_end() -> None:
    batch = some_batch(3)
    again = batch.rows(2, 5)
    assert torch.equal(again.betas, batch.betas[[2, 0, 1, 2, 0]])


def test_a_spread_selection_has_both_ends() -> None:
    assert evenly(100, 4).tolist() == [0, 33, 66, 99]
    assert evenly(3, 10).tolist() == [0, 1, 2]
    assert len(select(synthetic_pairs(9, 1), evenly(9, 4))) == 4


def test_a_worker_gives_what_the_same_method_gives_here_and_tells_when_it_dies(tmp_path: Path) -> None:
    batch = some_batch(5)
    pairs, output = tmp_path / "pairs.safetensors", tmp_path / "poses.safetensors"
    batch.save(pairs)
    worker = Worker(Method("single_pass", "ours"), pairs, 1, 100)
    try:
        assert worker.first_result_s > 0
        assert worker.settings == {"refine_steps": 0, "passes": 1}
        assert worker.peak_mb > 50
        timed = worker.ask({"do": "time", "batch": 2, "at_least_s": 0.05}, 100)
        assert timed["frames"] % 2 == 0
        assert timed["ms_a_frame"] * timed["frames"] >= 50
        worker.ask({"do": "solve", "pairs": str(pairs), "batch": 2, "output": str(output)}, 100)
        expected, _ = build(Method("single_pass", ""), tmp_path)
        # In the same batches, because others may be computed in another precision.
        same = torch.cat([expected(batch.part(slice(first, first + 2))) for first in (0, 2, 4)])
        torch.testing.assert_close(load_file(output)["pose"], same, atol=1e-4, rtol=0)
        with pytest.raises(WorkerFailed, match="no answer within 0 s"):
            worker.ask({"do": "time", "batch": 1, "at_least_s": 1e9}, 0.01)
        os.kill(worker._process.pid, 9)
        with pytest.raises(WorkerFailed, match="ended with code -9"):
            worker.ask({"do": "time", "batch": 1, "at_least_s": 0}, 100)
    finally:
        worker.close()
        worker.close()


def test_a_method_that_cannot_run_is_a_row_with_its_reason_and_the_others_go_on(tmp_path: Path) -> None:
    plan = Plan(1, (1, 2), (), starts=1, rounds=2, at_least_s=0, budget_s=1, longest_s=5, subset=2)
    chosen = (
        Method("copy", "copy the start", timed=False),
        Method("single_pass", "ours"),
        Method("authors_published", "authors", weights=str(tmp_path / "missing.safetensors")),
    )
    said: list[str] = []
    pairs = {5: synthetic_pairs(4, 5)}
    copied, ours, failed = run_benchmark(chosen, pairs, plan, said.append)
    assert failed.failed is not None
    assert "there is no such file" in failed.failed
    assert not failed.speeds
    assert ours.failed is None
    assert [(speed.batch, len(speed.ms_a_frame)) for speed in ours.speeds] == [(1, 2), (2, 2)]
    assert [(e.condition, e.stride, e.pairs, e.subset) for e in ours.errors] == [
        ("clean", 5, 4, False),
        ("clean", 5, 2, True),
        ("20 mm noise", 5, 4, False),
        ("20 mm noise", 5, 2, True),
    ]
    found = copied.error("clean", 5)
    assert found is not None
    truth = mesh_and_joints(BODY, pairs[5].target_pose, pairs[5].betas)
    expected = mesh_errors(mesh_and_joints(BODY, pairs[5].start_pose, pairs[5].betas), truth)
    assert found.pve_mm == pytest.approx(float(expected[0].mean()), rel=1e-4)
    assert found.pa_pve_mm == pytest.approx(float(expected[1].mean()), rel=1e-4)
    assert len(said) == plan.steps(chosen, 1)


def test_the_memory_of_a_small_process_is_not_that_of_its_parent() -> None:
    ballast = np.ones(60_000_000)  # 480 MB here must not show in the child
    code = f"import runpy; print(runpy.run_path({worker_module.__file__!r})['peak_mb']())"
    found = float(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True).stdout)
    assert len(ballast) > 0
    assert 5 < found < 100


def test_the_result_comes_back_from_json_and_makes_the_same_tables(tmp_path: Path) -> None:
    result, path = some_result(), tmp_path / "benchmark.json"
    path.write_text(result.to_json())
    assert read_benchmark(path) == result
    assert tables.markdown(read_benchmark(path)) == tables.markdown(result)


@pytest.mark.parametrize("content", ["", "[]", "{}", json.dumps({"schema": "another"})])
def test_a_file_that_is_no_result_is_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / "benchmark.json").write_text(content)
    with pytest.raises(InputError, match="not a result of the benchmark"):
        read_benchmark(tmp_path / "benchmark.json")


def test_ratios_are_against_the_faster_smplify_and_like_against_like() -> None:
    text = tables.ratio_table(some_result())
    lines = [line for line in text.splitlines() if line.startswith("| SMPLify") or line.startswith("| authors")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    # 500 / 0.5 alone (L-BFGS is faster there), 10 / 0.01 in batches (Adam is); 8 / 0.5 and 1 / 0.01.
    assert [row[-1] for row in cells] == ["1,000 ×", "1,000 ×", "1,000 ×", "16.0 ×", "100 ×", "100 ×"]


def test_medians_and_quartiles_are_shown_and_a_failure_has_its_reason() -> None:
    text = tables.markdown(some_result())
    assert "0.50 (0.45–0.55)" in text
    assert "ended early: the process ended with code -9" in text
    assert "passes 2" in text
    assert "python 3.11" in text


def test_a_busy_machine_is_told() -> None:
    assert "Other programs ran" not in tables.markdown(some_result())
    loaded = some_result(machine={**some_result().machine, "load_before": 3.0})
    assert "Other programs ran" in tables.markdown(loaded)


def test_the_machine_is_described() -> None:
    found = machine.describe_machine()
    assert found["cores"] >= 1
    # What it was built for ("+cu130") is in torch's own name and not always in the package's.
    assert found["versions"]["torch"].split("+")[0] == torch.__version__.split("+")[0]
    json.dumps(found)


def test_the_gpu_rows_are_there_only_with_a_gpu_and_untrained_networks_show_no_errors() -> None:
    labels = [method.label for method in methods()]
    assert len(set(labels)) == len(labels)
    assert not any(method.device == "cuda" for method in methods())
    assert sum(method.device == "cuda" for method in methods(gpu=True)) == 2
    assert not any(method.exact for method in methods() if method.key.startswith("authors"))
    assert all(method.exact for method in methods(Path("w.safetensors")))


def test_the_plot_is_a_picture_and_asks_for_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = pytest.importorskip("PIL.Image")
    pytest.importorskip("matplotlib")
    plot.plot(some_result(), tmp_path / "benchmark.png")
    pixels = np.asarray(image.open(tmp_path / "benchmark.png").convert("RGB"))
    green = (np.abs(pixels.astype(int) - (0, 0x8A, 0x63)) < 8).all(-1)
    assert green.sum() > 200
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingExtraError, match=r"learnable-smplify\[bench\]"):
        plot.plot(some_result(), tmp_path / "again.png")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--quick", "--full"], "both --quick and --full"),
        (["--threads", "0"], "threads is 0"),
        (["nowhere"], "no motion of the eval split"),
        (["--authors-weights", "none.safetensors"], "no such file"),
    ],
)
def test_bad_arguments_are_refused_before_anything_runs(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stopped:
        main(["benchmark", *arguments])
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_the_shipped_tables_were_generated() -> None:
    source = ROOT / "results" / "benchmark.json"
    if not source.is_file():
        pytest.skip("no benchmark was run yet: lsmplify benchmark --full -o results")
    text = (ROOT / "results" / "benchmark.md").read_text(encoding="utf-8")
    assert text == tables.markdown(read_benchmark(source))
