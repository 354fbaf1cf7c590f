"""`lsmplify evaluate`: the tables of errors, as text, JSON and Markdown."""

from __future__ import annotations

import json
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Literal

import torch
import tyro
from rich.console import Console
from rich.table import Table

from learnable_smplify.benchmark.machine import cpu_name
from learnable_smplify.body import Body, load_body
from learnable_smplify.cli.console import open_console
from learnable_smplify.cli.evaluate_cameras import CAMERA_PARTS, evaluate_cameras
from learnable_smplify.cli.evaluate_opensim import evaluate_opensim
from learnable_smplify.datasets import DatasetName, DatasetSequence, read_dataset
from learnable_smplify.errors import InputError
from learnable_smplify.evaluation.clips import Clip, read_clips
from learnable_smplify.evaluation.damaged import damaged_table, evaluate_damaged, repair_table
from learnable_smplify.evaluation.foreign import offset_clips, read_foreign
from learnable_smplify.evaluation.hands import (
    evaluate_hand_times,
    evaluate_hands,
    evaluate_limits,
    hand_facts_table,
    hand_table,
)
from learnable_smplify.evaluation.markdown import (
    HYBRID,
    NUMERICAL,
    SINGLE,
    START,
    brief_pair_table,
    brief_sequence_table,
    cold_table,
    pair_table,
    ratio_table,
    sequence_table,
)
from learnable_smplify.evaluation.pairs import Method, PairRow, evaluate_pairs
from learnable_smplify.evaluation.protocols import (
    Alignment,
    Protocol,
    clip_table,
    clips_of,
    paper_pairs,
    whole_clips,
)
from learnable_smplify.evaluation.refinement import evaluate_refinement, refine_table
from learnable_smplify.evaluation.round_trip import evaluate_round_trip, round_trip_table
from learnable_smplify.evaluation.sequence import SequenceRow, evaluate_cold_start, evaluate_sequences
from learnable_smplify.safe_files.atomic import atomic_output
from learnable_smplify.solver import RecordingOptions, Solver

Part = Literal[
    "foreign",
    "pairs",
    "sequences",
    "cold-start",
    "refine",
    "damaged",
    "round-trip",
    "hands",
    "pictures",
    "camera",
    "cameras",
    "refine2d",
]
# Foreign motion that needs no other file: the clips with every joint turned, by so many degrees.
_TURNED = {f"own import, joints turned by {degrees:g} deg": degrees for degrees in (5.0, 10.0)}


@dataclass(frozen=True)
class EvaluateArgs:
    """Measure errors on motion, on the open body: pairs by stride, whole clips, and frames from nothing.

    The rows: copying the start pose, the numerical solver, the network alone in one and in two passes, and the hybrid:
    two passes and two Gauss-Newton steps (the default). All get the same poses, betas and keypoints. PVE and MPJPE are
    pelvis-aligned.

    With --dataset and --root instead of a folder of motions: the people of a data set, with their own betas, by the
    protocol of the paper or by one that gives nothing but keypoints. The readers were tried on generated files only.
    """

    motions: tyro.conf.Positional[Path | None] = None
    """Folder that 'lsmplify import-motion' wrote."""
    foreign: tuple[Path, ...] = ()
    """Motion of other programs or studios, for the part foreign: SMPL files (.npz), or folders with such files. Alone,
    without MOTIONS, the other parts are measured on it."""
    dataset: DatasetName | Literal["opensim"] | None = None
    """A data set to evaluate on instead; needs --root. opensim: recordings (.trc) with joint angles (.mot)."""
    root: Path | None = None
    """The data set's folder."""
    dataset_split: str | None = None
    """Its split (3dpw: train, validation, test, all; emdb: emdb1, emdb2, all; rich: train, val, test, all; amass and
    generic: a folder below the root); default: the one the field evaluates on, or everything."""
    protocol: Protocol = "paper"
    """Of a data set. paper: pairs by stride and whole clips, the true first pose and betas given; standard: whole clips
    from keypoints alone."""
    align: Alignment = "pelvis"
    """Of a data set: what PVE and MPJPE lay on each other. reference: the right ankle, as the authors' code does."""
    body: str | None = None
    """Of a data set: 'smpl', 'smplh', 'smplx' or a model file to pose everyone on; default: the open body, on which
    a data set's betas make other people than their own."""
    split: Literal["eval", "train"] = "eval"
    """Of motions: which subjects; eval is never trained on."""
    parts: tuple[Part, ...] = ("foreign", "pairs", "sequences", "cold-start")
    """Of motions: what to measure. foreign: pairs and whole clips of motion in conventions that are not our importer's:
    the clips with every joint turned by 5 and by 10 degrees, and what --foreign names. Not by default: refine, a
    simulated estimator's output refined by keypoints; damaged, recordings with noise, gaps, jumps and exchanged sides;
    round-trip, random poses in every layout, and hands, random hands in those that have them, need no MOTIONS; of
    synthetic cameras (with --foreign, on that motion as well): pictures, single poses in one; camera, clips in one;
    cameras, clips in four; refine2d, a simulated estimator's output refined by one and by two."""
    every: int = 9
    """Pairs start at every so many frames of a clip."""
    clip_step: int = 1
    """Take only every so many clips: for a quick look."""
    weights: Path | None = None
    """Weights of another network; default: those in the package."""
    compare: tuple[Path, ...] = ()
    """Weights of further networks, each a row of its own."""
    output: Annotated[Path | None, tyro.conf.arg(aliases=["-o"])] = None
    """Folder for evaluation.json, evaluation.md and summary.md (the foreign and the own motion in three tables)."""


def evaluate(args: EvaluateArgs) -> None:
    """Run `lsmplify evaluate`."""
    if args.dataset == "opensim":
        evaluate_opensim(args.root, args.weights, args.output)
        return
    if args.dataset is not None:
        _evaluate_dataset(args, args.dataset)
        return
    console, clips = open_console(), _clips(args)
    body = load_body()
    numerical = Solver(body, "gauss_newton")
    hybrid = Solver(body, weights=args.weights)
    result: dict[str, object] = {"split": args.split, "every": args.every, "clips": len(clips), "machine": machine()}
    texts = []
    with console.status("evaluating") as status:
        methods = [
            Method(START, None),
            Method(NUMERICAL, numerical, knows_sigma=True),
            Method(SINGLE, Solver(body, weights=args.weights, refine_steps=0, passes=1)),
            Method("two passes", Solver(body, weights=args.weights, refine_steps=0, passes=2)),
            Method(HYBRID, hybrid),
            *(Method(path.stem, Solver(body, weights=path, refine_steps=0)) for path in args.compare),
        ]
        followers = [("Gauss-Newton", numerical), ("hybrid", hybrid)]
        compared: dict[str, Sequence[PairRow]] = {}
        followed: dict[str, Sequence[SequenceRow]] = {}
        if "foreign" in args.parts:
            for source, motion in _foreign(args, clips).items():
                compared[source] = evaluate_pairs(motion, body, methods, args.every, progress=status.update)
                texts.append(pair_table(compared[source], source=source))
                found: dict[str, object] = {"pairs": [asdict(row) for row in compared[source]]}
                if source not in _TURNED:  # a clip that starts from nothing has no convention to keep
                    followed[source] = evaluate_sequences(motion, body, followers, progress=status.update)
                    texts.append(sequence_table(followed[source], source))
                    found["sequences"] = [asdict(row) for row in followed[source]]
                result[f"foreign: {source}"] = found
        if "pairs" in args.parts:
            pairs = evaluate_pairs(clips, body, methods, args.every, progress=status.update)
            compared["own import" if args.motions else "foreign"] = pairs
            result["pairs"] = [asdict(row) for row in pairs]
            texts.append(pair_table(pairs, source="our own import" if args.motions else ""))
            console.print(as_rich(pair_table(pairs, "PA-PVE")), as_rich(pair_table(pairs, "MPJPE")))
        if "sequences" in args.parts:
            sequences = evaluate_sequences(clips, body, followers, progress=status.update)
            followed["own import" if args.motions else "foreign"] = sequences
            result["sequences"] = [asdict(row) for row in sequences]
            texts.append(sequence_table(sequences, "our own import" if args.motions else ""))
        if "cold-start" in args.parts:
            cold = evaluate_cold_start(clips, body, numerical, 20)
            result["cold_start"] = [asdict(row) for row in cold]
            texts.append(cold_table(cold))
        if "refine" in args.parts:
            refined = evaluate_refinement(clips, hybrid, progress=status.update)
            result["refine"] = [asdict(row) for row in refined]
            texts.append(refine_table(refined))
        if "damaged" in args.parts:
            smoothing = Solver(body, weights=args.weights, recording_options=RecordingOptions(smooth=True))
            rows, repairs = evaluate_damaged(
                clips, body, [("frame after frame", hybrid), ("smoothed", smoothing)], progress=status.update
            )
            result["damaged"] = [asdict(row) for row in rows]
            result["repair"] = [asdict(row) for row in repairs]
            texts += [damaged_table(rows), repair_table(repairs)]
        if "round-trip" in args.parts:
            trips = evaluate_round_trip(body, hybrid, progress=status.update)
            result["round_trip"] = [asdict(row) for row in trips]
            texts.append(round_trip_table(trips))
        if set(CAMERA_PARTS) & set(args.parts):
            sources = {"own import": clips} if args.motions is not None else {}
            sources |= {path.stem: read_foreign(path)[:: max(args.clip_step, 1)] for path in args.foreign}
            seen, tables = evaluate_cameras(args.parts, sources, hybrid, status.update)
            result |= seen
            texts += tables
        if "hands" in args.parts:
            fitted = evaluate_hands(body, hybrid, progress=status.update)
            limits = evaluate_limits(body, progress=status.update)
            times = evaluate_hand_times(body, hybrid)
            result["hands"] = [asdict(row) for row in fitted]
            result["hand_limits"], result["hand_times"] = asdict(limits), asdict(times)
            texts += [hand_table(fitted), hand_facts_table(limits, times)]
    brief = [brief_pair_table(compared), ratio_table(compared)] if compared else []
    brief += [brief_sequence_table(followed)] if followed else []
    for text in (*texts, *brief):
        console.print(as_rich(text))
    _write(args.output, result, [*texts, _origin(result)], console)
    if args.output is not None and brief:
        with atomic_output(args.output / "summary.md") as path:
            path.write_text("\n\n".join([*brief, _origin(result)]) + "\n")


def _clips(args: EvaluateArgs) -> list[Clip]:
    """The clips to evaluate on: MOTIONS', or the foreign ones where there is nothing else."""
    if args.motions is not None:
        return read_clips(args.motions, args.split)[:: max(args.clip_step, 1)]
    if args.foreign and "foreign" not in args.parts:
        return [clip for path in args.foreign for clip in read_foreign(path)][:: max(args.clip_step, 1)]
    if set(args.parts) <= {"round-trip", "hands"} or (args.foreign and set(args.parts) == {"foreign"}):
        return []
    raise InputError(
        "nothing to evaluate on",
        expected="a folder of motions, or --foreign with the parts to measure, or --dataset and --root",
        hint="lsmplify evaluate MOTIONS, or lsmplify evaluate --dataset 3dpw --root DIR",
    )


def _foreign(args: EvaluateArgs, clips: list[Clip]) -> dict[str, list[Clip]]:
    """Names and clips of foreign motion."""
    found = {path.stem: read_foreign(path)[:: max(args.clip_step, 1)] for path in args.foreign}
    if clips:
        found |= {name: offset_clips(clips, degrees) for name, degrees in _TURNED.items()}
    return found


def _evaluate_dataset(args: EvaluateArgs, name: DatasetName) -> None:
    if args.motions is not None or args.root is None:
        raise InputError(
            f"--dataset {name} needs its folder, and no folder of motions",
            expected="--root",
            hint=f"lsmplify evaluate --dataset {name} --root DIR",
        )
    console, body = open_console(), load_body(args.body)
    sequences = list(read_dataset(name, args.root, args.dataset_split))
    clips = clips_of(sequences)[:: max(args.clip_step, 1)]
    bodies = sorted({sequence.body for sequence in sequences})
    numerical, hybrid = Solver(body, "gauss_newton"), Solver(body, weights=args.weights)
    single = Solver(body, weights=args.weights, refine_steps=0, passes=1)
    others = [(path.stem, Solver(body, weights=path, refine_steps=0)) for path in args.compare]
    result: dict[str, object] = {
        "dataset": name,
        "split": args.dataset_split or "default",
        "protocol": args.protocol,
        "align": args.align,
        "body": body.name,
        "annotated_with": bodies,
        "every": args.every,
        "sequences": len(sequences),
        "clips": len(clips),
        "machine": machine(),
    }
    texts = []
    with console.status("evaluating") as status:
        if args.protocol == "paper":
            methods = [
                Method("copy the start", None),
                Method("Gauss-Newton", numerical),
                Method("single pass", single),
                Method("two passes", Solver(body, weights=args.weights, refine_steps=0, passes=2)),
                Method("hybrid", hybrid),
                *(Method(*other) for other in others),
            ]
            pairs = paper_pairs(clips, body, methods, args.every, args.align, status.update)
            result["pairs"] = [asdict(row) for row in pairs]
            texts += [pair_table(pairs), pair_table(pairs, "PA-PVE"), pair_table(pairs, "MPJPE")]
        solvers = [("Gauss-Newton", numerical), ("single pass", single), ("hybrid", hybrid), *others]
        whole = whole_clips(clips, body, solvers, args.protocol, args.align, status.update)
        result["whole_clips"] = [asdict(row) for row in whole]
        texts.append(clip_table(whole, args.align))
    for text in texts:
        console.print(as_rich(text))
    notes = _dataset_notes(name, body, bodies, sequences)
    if args.align == "reference":
        notes.append("PVE and MPJPE are aligned at the right ankle, as the authors' code does, not at the pelvis")
    for note in notes:
        console.print(note, soft_wrap=True, highlight=False)
    result["notes"] = notes
    origin = f"{name}, {result['split']} split, {args.protocol} protocol, {len(clips)} clips. {_where_measured()}"
    _write(args.output, result, [*texts, *notes, origin], console)


def _dataset_notes(name: str, body: Body, bodies: list[str], sequences: list[DatasetSequence]) -> list[str]:
    notes = [f"the reader of {name} was tried on generated files only, not on the data set"]
    if body.name not in bodies:
        notes.append(
            f"posed on the body '{body.name}', annotated with {', '.join(bodies)}: betas mean other people there, "
            "and these are no SMPL results (--body smpl with a licensed model)"
        )
    genders = sorted({sequence.gender for sequence in sequences} - {body.gender})
    if genders:
        notes.append(f"everyone is posed on the {body.gender} body, people annotated as {', '.join(genders)} too")
    return notes


def _write(folder: Path | None, result: dict[str, object], texts: list[str], console: Console) -> None:
    if folder is None:
        return
    with atomic_output(folder / "evaluation.json") as path:
        path.write_text(json.dumps(result, indent=2) + "\n")
    with atomic_output(folder / "evaluation.md") as path:
        path.write_text("\n\n".join(texts) + "\n")
    console.print(f"wrote {folder}/evaluation.json and evaluation.md", soft_wrap=True)


def machine() -> dict[str, str | int]:
    """What the numbers were measured on."""
    return {
        "cpu": cpu_name(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


def _origin(result: dict[str, object]) -> str:
    clips = f", {result['split']} split, {result['clips']} clips" if result["clips"] else ""
    return f"Open body (not SMPL){clips}. {_where_measured()}"


def _where_measured() -> str:
    found = machine()
    return f"{found['cpu']}, {found['threads']} threads, torch {found['torch']}. Printed by `lsmplify evaluate`."


def as_rich(markdown: str) -> Table:
    """A Markdown table as a table of the terminal."""
    title, header, _, *rows = [line for line in markdown.splitlines() if line]
    table = Table(title=title.strip("*"), title_justify="left")
    for name in _cells(header):
        table.add_column(name)
    for row in rows:
        table.add_row(*_cells(row))
    return table


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]
