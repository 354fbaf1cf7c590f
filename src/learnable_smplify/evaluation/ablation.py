"""What each ingredient is worth: short equal runs that differ in one switch, on the same pairs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from learnable_smplify.body import Body
from learnable_smplify.evaluation.clips import Clip
from learnable_smplify.evaluation.foreign import offset_clips
from learnable_smplify.evaluation.pairs import STRIDES, Condition, Method, evaluate_pairs
from learnable_smplify.network.pose_mlp import PoseMlp
from learnable_smplify.network.weights import parameter_count, save_network
from learnable_smplify.solver import Solver
from learnable_smplify.training.config import TrainingConfig
from learnable_smplify.training.corrupt import NO_CORRUPTION
from learnable_smplify.training.pairs import PLAIN_SAMPLING
from learnable_smplify.training.run_folder import RunFolder
from learnable_smplify.training.store import MotionStore
from learnable_smplify.training.train import train

_CONDITIONS = (Condition("clean"), Condition("20 mm noise", noise=0.02), Condition("20 % missing", missing=0.2))


# Foreign motion: the clips with every joint turned by so many degrees.
_OFFSET_DEG = 10.0


@dataclass(frozen=True)
class AblationRow:
    """One variant: PVE [mm] by stride on our own import and on foreign motion; noise and gaps at stride 5, foreign.

    Args:
        single_pve_mm, single_foreign_mm: of the network alone, with its own number of passes.
        hybrid_pve_mm, hybrid_foreign_mm: after the Gauss-Newton steps.
        noisy_mm, missing_mm: of the hybrid with 20 mm noise and with a fifth of the keypoints missing.
    """

    name: str
    million_parameters: float
    single_pve_mm: tuple[float, ...]
    single_foreign_mm: tuple[float, ...]
    hybrid_pve_mm: tuple[float, ...]
    hybrid_foreign_mm: tuple[float, ...]
    noisy_mm: float
    missing_mm: float


def variants(base: TrainingConfig) -> dict[str, TrainingConfig]:
    """The runs, by name: everything on, twice, then each ingredient off in turn, then the authors' architecture.

    How far apart the first two are is what luck does: smaller differences do not rank.
    """
    network, own, seed = base.network, PLAIN_SAMPLING, base.optimisation.seed
    nobody = replace(base.tracking, share=0.0)
    paper = replace(base, sampling=own, tracking=nobody)
    return {
        "ours": base,
        "ours, with another seed": replace(base, optimisation=replace(base.optimisation, seed=seed + 1)),
        "our own import's convention only": replace(
            base,
            sampling=replace(base.sampling, conventions=own.conventions),
            tracking=replace(base.tracking, conventions=own.conventions),
        ),
        "the store's pairs only (the paper's sampling)": paper,
        "nobody followed": replace(base, tracking=nobody),
        "turns not in units of the way to go": replace(base, network=replace(network, scaled=False)),
        "not trained through the Gauss-Newton steps": replace(base, loss=replace(base.loss, refined=0.0)),
        "no alignment (start's frame, as the paper)": replace(base, network=replace(network, normalise="start")),
        "no normalisation": replace(base, network=replace(network, normalise="none")),
        "no residual learning": replace(base, network=replace(network, residual=False)),
        "1 pass": replace(base, network=replace(network, passes=1)),
        "3 passes": replace(base, network=replace(network, passes=3)),
        "no corruption": replace(base, corruption=NO_CORRUPTION),
        "authors' architecture": replace(base, architecture="stgcn"),
        "authors' architecture, the paper's sampling": replace(paper, architecture="stgcn", corruption=NO_CORRUPTION),
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
        found = {
            (row.method, row.condition, foreign): row
            for foreign, motion in ((False, clips), (True, offset_clips(clips, _OFFSET_DEG)))
            for row in evaluate_pairs(motion, body, methods, every, _CONDITIONS if foreign else _CONDITIONS[:1])
        }
        middle = STRIDES.index(5)
        rows.append(
            AblationRow(
                name=name,
                million_parameters=parameter_count(network) / 1e6,
                single_pve_mm=found["single", "clean", False].pve_mm,
                single_foreign_mm=found["single", "clean", True].pve_mm,
                hybrid_pve_mm=found["hybrid", "clean", False].pve_mm,
                hybrid_foreign_mm=found["hybrid", "clean", True].pve_mm,
                noisy_mm=found["hybrid", "20 mm noise", True].pve_mm[middle],
                missing_mm=found["hybrid", "20 % missing", True].pve_mm[middle],
            )
        )
    return rows
