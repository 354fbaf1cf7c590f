"""What each ingredient is worth: short equal runs that differ in one switch, on the same pairs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from learnable_smplify.body import Body
from learnable_smplify.evaluation.clips import Clip
from learnable_smplify.evaluation.pairs import Condition, Method, evaluate_pairs
from learnable_smplify.network.pose_mlp import PoseMlp
from learnable_smplify.network.weights import parameter_count, save_network
from learnable_smplify.solver import Solver
from learnable_smplify.training.config import TrainingConfig
from learnable_smplify.training.corrupt import NO_CORRUPTION
from learnable_smplify.training.run_folder import RunFolder
from learnable_smplify.training.store import MotionStore
from learnable_smplify.training.train import train

_CONDITIONS = (Condition("clean"), Condition("20 mm noise", noise=0.02), Condition("20 % missing", missing=0.2))


@dataclass(frozen=True)
class AblationRow:
    """One variant: PVE [mm] by stride, network alone (its own number of passes) and hybrid; noise, gaps at stride 5."""

    name: str
    million_parameters: float
    single_pve_mm: tuple[float, ...]
    hybrid_pve_mm: tuple[float, ...]
    single_noisy_mm: float
    single_missing_mm: float
    ms_a_pair: float


def variants(base: TrainingConfig) -> dict[str, TrainingConfig]:
    """The runs, by name: everything on, then each ingredient off in turn, then the authors' architecture."""
    network = base.network
    return {
        "ours": base,
        "no alignment (start's frame, as the paper)": replace(base, network=replace(network, normalise="start")),
        "no normalisation": replace(base, network=replace(network, normalise="none")),
        "no residual learning": replace(base, network=replace(network, residual=False)),
        "stride 1 only": replace(base, sampling=replace(base.sampling, strides=(1,))),
        "1 pass": replace(base, network=replace(network, passes=1)),
        "3 passes": replace(base, network=replace(network, passes=3)),
        "no corruption": replace(base, corruption=NO_CORRUPTION),
        "authors' architecture": replace(base, architecture="stgcn"),
    }


def run_ablation(
    store: MotionStore,
    clips: list[Clip],
    body: Body,
    base: TrainingConfig,
    every: int,
    output: Path,
    progress: Callable[[str], None],
) -> list[AblationRow]:
    """Train and evaluate every variant; finished runs below `output` are not trained again."""
    rows = []
    for number, (name, config) in enumerate(variants(base).items()):

        def advance(step: int, _: dict[str, float], name: str = name) -> None:
            progress(f"{name}: step {step} of {base.optimisation.steps}")

        folder = output / f"{number:02d}"
        weights = folder / "weights.safetensors"
        network = train(store, body, config, RunFolder(folder, config), "cpu", advance)
        progress(f"{name}: evaluating")
        save_network(network if isinstance(network, PoseMlp) else network.network, weights, {"variant": name})
        methods = [
            Method("single", Solver(body, weights=weights, refine_steps=0)),
            Method("hybrid", Solver(body, weights=weights)),
        ]
        found = {(row.method, row.condition): row for row in evaluate_pairs(clips, body, methods, every, _CONDITIONS)}
        clean = found["single", "clean"]
        middle = clean.strides.index(5)
        rows.append(
            AblationRow(
                name=name,
                million_parameters=parameter_count(network) / 1e6,
                single_pve_mm=clean.pve_mm,
                hybrid_pve_mm=found["hybrid", "clean"].pve_mm,
                single_noisy_mm=found["single", "20 mm noise"].pve_mm[middle],
                single_missing_mm=found["single", "20 % missing"].pve_mm[middle],
                ms_a_pair=clean.ms_a_pair,
            )
        )
    return rows


def as_json(rows: list[AblationRow]) -> list[dict[str, object]]:
    """The rows as plain values."""
    return [asdict(row) for row in rows]
