"""The documentation keeps its promises: its commands parse and run, its Python runs, its links and files exist."""

from __future__ import annotations

import dataclasses
import importlib.util
import io
import re
import shlex
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import torch

from docs_inputs import write_inputs
from learnable_smplify.benchmark import methods as benchmark_methods
from learnable_smplify.benchmark.run import Plan
from learnable_smplify.cli import benchmark as benchmark_command
from learnable_smplify.cli import evaluate as evaluate_command
from learnable_smplify.cli import evaluate_cameras as cameras_command
from learnable_smplify.cli.commands import COMMANDS, load_command
from learnable_smplify.cli.main import main, parsed
from learnable_smplify.evaluation import ablation, pairs, refinement
from learnable_smplify.training import start
from learnable_smplify.view.viewer import Viewer

ROOT = Path(__file__).parents[1]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))

# A line of the documentation -> what is run instead, to be done in seconds. Other lines are run as they are.
_TINY_NETWORK = "--optimisation.steps 2 --optimisation.batch 8 --evaluate-every 2 --network.width 32 --network.blocks 1"
# Runs that go on from another's weights.
LATER_RUNS = {
    line: f"lsmplify train store -o {match[1]} {_TINY_NETWORK}"
    for line in (ROOT / "docs/training.md").read_text().splitlines()
    if (match := re.match(r"lsmplify train store -o (\S+) .*--initial", line))
}
SHORTER = {
    "lsmplify demo": "lsmplify demo --film none",
    "lsmplify stream --measure 10000": "lsmplify stream --measure 100",
    "lsmplify train store -o runs/default --threads 1 --sampling.sharing.share 0 --tracking.sharing.share 0 "
    "--optimisation.bfloat16": f"lsmplify train store -o runs/default {_TINY_NETWORK}",
    **LATER_RUNS,
    # What MediaPipe finds is given.
    "lsmplify video clip.mp4 -o motion.npz": "lsmplify video clip.mp4 -o motion.npz --detections clip.npz",
    "lsmplify video left.mp4 right.mp4 --cameras calib.toml -o motion.npz": (
        "lsmplify video left.mp4 right.mp4 --cameras calib.toml -o motion.npz --detections detections"
    ),
    "lsmplify train store -o runs/stgcn --architecture stgcn": (
        f"lsmplify train store -o runs/stgcn --architecture stgcn {_TINY_NETWORK}"
    ),
    "lsmplify ablate store motions -o runs/ablation --every 90": (
        "lsmplify ablate store motions -o runs/ablation --samples 16 --batch 8 --every 90"
    ),
}
# Added to every line of a command.
ADDED = {
    "evaluate": {"--every": "30", "--clip-step": "4"},
    "view": {"--no-browser": ""},
}
FILM = {"--frames": "3"}
NOT_RUN = {"lsmplify stream --udp 9000": "waits for datagrams until Ctrl-C"}
# Seconds each; the others are done in one or two.
SLOW = (
    *("benchmark", "ablate", "train", "evaluate", "fit recordings", "--camera", "demo", "film", "--parts", "report"),
    *("--smooth", "--hold-feet", "--calibrate", "refine", "openpose", "video", "export-onnx"),
)


def commands(page: Path) -> list[str]:
    """The `lsmplify` lines of a page's bash blocks, without comments."""
    text = "\n".join(re.findall(r"```bash\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL))
    lines = [line.split("  #")[0].strip() for line in text.replace("\\\n", " ").splitlines()]
    return [line for line in lines if line.startswith("lsmplify ")]


def arguments(line: str) -> list[str]:
    """What the shell hands to the program: without redirections."""
    words = shlex.split(line)[1:]
    return words[: next((place for place, word in enumerate(words) if word in "<>|"), len(words))]


LINES = list(dict.fromkeys(line for page in PAGES for line in commands(page)))
RUN = [line for line in dict.fromkeys(line for page in PAGES[1:] for line in commands(page)) if line not in NOT_RUN]


@pytest.mark.parametrize("line", LINES)
def test_a_command_of_the_documentation_parses(line: str) -> None:
    name, *rest = arguments(line)
    args_type, _ = load_command(name)
    assert dataclasses.is_dataclass(parsed(args_type, name, rest))


def test_every_command_is_in_the_documentation_and_run_here() -> None:
    assert {arguments(line)[0] for line in RUN} == set(COMMANDS)
    assert {*SHORTER, *NOT_RUN} <= set(LINES), "the documentation no longer has this line"


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_inputs(tmp_path_factory.mktemp("docs"))


@pytest.fixture
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Long commands go the same way with less to do."""
    monkeypatch.setattr(start, "_PAIRS", 512)
    monkeypatch.setattr(Viewer, "run", lambda self: None)
    monkeypatch.setattr(benchmark_command, "_PAIRS_QUICK", 4)
    plan = Plan(1, (1,), (), starts=1, rounds=1, at_least_s=0, budget_s=1, longest_s=5, subset=2)
    monkeypatch.setattr(Plan, "quick", staticmethod(lambda threads: plan))
    monkeypatch.setattr(Plan, "full", staticmethod(lambda threads: plan))
    monkeypatch.setattr(cameras_command, "_POSES", 1)
    refine_views = partial(cameras_command.evaluate_view_refinement, conditions=((1, 0.0),))
    monkeypatch.setattr(cameras_command, "evaluate_view_refinement", refine_views)
    methods, variants = benchmark_methods.methods, ablation.variants
    monkeypatch.setattr(benchmark_methods, "methods", lambda *args, **more: methods(*args, **more)[-2:])
    monkeypatch.setattr(ablation, "variants", lambda base: {"ours": variants(base)["ours"]})
    for name, less in (
        ("evaluate_pairs", {"conditions": pairs.CONDITIONS[:1]}),
        ("evaluate_refinement", {"conditions": refinement.CONDITIONS[:1]}),
        ("evaluate_round_trip", {"layouts": ("body25",), "poses": 4}),
    ):
        monkeypatch.setattr(evaluate_command, name, partial(getattr(evaluate_command, name), **less))


@pytest.mark.parametrize(
    "line",
    [pytest.param(line, marks=[pytest.mark.slow] if any(word in line for word in SLOW) else []) for line in RUN],
)
@pytest.mark.usefixtures("_quick")
def test_a_command_of_the_site_runs(
    line: str, inputs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if "export-onnx" in line:
        pytest.importorskip("onnxscript")
    monkeypatch.chdir(inputs)
    monkeypatch.setenv("SMPL_BODY_MODELS", str(inputs / "models"))
    threads = torch.get_num_threads()
    words = arguments(SHORTER.get(line, line))
    added = ADDED.get(words[0], {}) | (FILM if "film." in line else {})
    words += [word for name, value in added.items() if name not in words for word in (name, value) if word]
    source = re.search(r"< (\S+)", line)
    if source:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper((inputs / source[1]).open("rb")))
    try:
        main(words)
    finally:
        torch.set_num_threads(threads)
    said = capsys.readouterr()
    if source:
        assert said.out.count('"pose"') == 5
    for output in re.findall(r"-o (\S+)", line):
        assert list(inputs.glob(f"{Path(output).with_suffix('')}*")), said.out


def python_blocks() -> Iterator[pytest.param]:
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for number, code in enumerate(re.findall(r"^```python\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)):
            if not code.startswith("--8<--"):  # an example, run by test_examples
                yield pytest.param(code, id=f"{page.name}-{number}")


@pytest.mark.parametrize("code", list(python_blocks()))
def test_a_python_block_runs(
    code: str, inputs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(inputs)
    exec(compile(code, "block", "exec"), {})
    assert capsys.readouterr().out


def anchors(page: Path) -> set[str]:
    """The names of a page's headings, as mkdocs makes them."""
    headings = re.findall(r"^#+ (.*)$", re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL), flags=re.MULTILINE)
    named = (re.search(r"\{ #([\w-]+) \}", heading) for heading in headings)
    plain = {re.sub(r"[\s-]+", "-", re.sub(r"[^\w\s-]", "", heading).strip().lower()) for heading in headings}
    return plain | {found[1] for found in named if found}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_pictures_and_named_files_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)", text):
        path = (page.parent / target) if target else page
        assert path.exists(), target
        if anchor:
            assert anchor in anchors(path), f"{target}#{anchor}"
    for snippet in re.findall(r'^--8<-- "(.*?)"', text, flags=re.MULTILINE):
        assert (ROOT / snippet).is_file(), snippet
    places = (ROOT, ROOT / "src" / "learnable_smplify", ROOT / "src")
    for named in re.findall(r"`((?:[\w]+/)+(?:\w+\.(?:py|toml|safetensors|md))?)`", text):
        if named.split("/")[0] in _OURS:
            assert any((place / named).exists() for place in places), named


_OURS = {path.name for path in (*ROOT.iterdir(), *(ROOT / "src" / "learnable_smplify").iterdir()) if path.is_dir()}
_OURS -= {"results", "refine", "out", "demo"}  # folders that commands write, too


def test_every_page_is_in_the_navigation_and_every_layout_in_its_table() -> None:
    nav = re.findall(r"([\w/]+\.md)$", (ROOT / "mkdocs.yml").read_text(), flags=re.MULTILINE)
    assert sorted(nav) == [page.name for page in PAGES[1:]]
    text = (ROOT / "docs" / "keypoints.md").read_text()
    table = text[text.index("| `--layout` |") : text.index("**Your own layout**")]
    from learnable_smplify import layout_names, load_layout
    from learnable_smplify.layouts.layout import marker_layout_names

    assert set(re.findall(r"`([a-z0-9_]+)`", table)) == {*layout_names(), *marker_layout_names()}
    counts = {
        name: int(count) for name, count in re.findall(r"^\| `([a-z0-9_]+)` \| (\d+) \|", table, flags=re.MULTILINE)
    }
    assert all(len(load_layout(name)) == count for name, count in counts.items())


def test_the_layout_of_the_documentation_is_read(tmp_path: Path) -> None:
    from learnable_smplify import load_layout

    (toml,) = re.findall(r"```toml\n(.*?)```", (ROOT / "docs" / "keypoints.md").read_text(), flags=re.DOTALL)
    (tmp_path / "mine.toml").write_text(toml)
    assert load_layout(tmp_path / "mine.toml").keypoint_names == ("Hip", "LKnee", "LAnkle")


@pytest.mark.slow
@pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("mkdocs", "material", "mkdocstrings")),
    reason="the extra 'docs' is not installed",
)
def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert built.returncode == 0, built.stderr
    assert "WARNING" not in built.stderr
    pages = {page.stem for page in PAGES[1:]}
    assert pages <= {path.stem for path in tmp_path.glob("*.html")}
    assert "solve_pairs" in (tmp_path / "api.html").read_text()
    assert ElementTree.parse(tmp_path / "sitemap.xml") is not None
