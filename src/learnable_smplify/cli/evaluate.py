"""`lsmplify evaluate`: the tables of errors, as text, JSON and Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import tyro

from learnable_smplify.body import load_body
from learnable_smplify.cli.console import open_console
from learnable_smplify.cli.evaluate_cameras import CAMERA_PARTS, CameraPart, evaluate_cameras
from learnable_smplify.cli.evaluate_dataset import evaluate_dataset, pair_methods
from learnable_smplify.cli.evaluate_opensim import evaluate_opensim
from learnable_smplify.cli.tables import Measured, as_rich, machine, where_measured
from learnable_smplify.datasets import DatasetName
from learnable_smplify.errors import InputError
from learnable_smplify.evaluation.clips import Clip, read_clips
from learnable_smplify.evaluation.damaged import damaged_table, evaluate_damaged, repair_table
from learnable_smplify.evaluation.errors import Progress
from learnable_smplify.evaluation.foreign import offset_clips, read_foreign
from learnable_smplify.evaluation.hands import (
    evaluate_hand_times,
    evaluate_hands,
    evaluate_limits,
    hand_facts_table,
    hand_table,
)
from learnable_smplify.evaluation.markdown import (
    NUMERICAL,
    brief_pair_table,
    brief_sequence_table,
    cold_table,
    pair_table,
    ratio_table,
    sequence_table,
)
from learnable_smplify.evaluation.pairs import Method, PairRow, evaluate_pairs
from learnable_smplify.evaluation.protocols import Alignment, Protocol
from learnable_smplify.evaluation.refinement import evaluate_refinement, refine_table
from learnable_smplify.evaluation.round_trip import evaluate_round_trip, round_trip_table
from learnable_smplify.evaluation.sequence import SequenceRow, evaluate_cold_start, evaluate_sequences
from learnable_smplify.safe_files.atomic import atomic_output
from learnable_smplify.solver import RecordingOptions, Solver

Part = Literal["foreign", "pairs", "sequences", "cold-start", "refine", "damaged", "round-trip", "hands", CameraPart]
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
    if args.dataset is not None:
        if args.motions is not None or args.root is None:
            raise InputError(
                f"--dataset {args.dataset} needs its folder, and no folder of motions",
                expected="--root",
                hint=f"lsmplify evaluate --dataset {args.dataset} --root DIR",
            )
        if args.dataset == "opensim":
            evaluate_opensim(args.root, args.weights, args.output)
        else:
            evaluate_dataset(args, args.dataset, args.root)
        return
    console, clips = open_console(), _clips(args)
    done = _Errors({"split": args.split, "every": args.every, "clips": len(clips), "machine": machine()})
    hybrid = Solver(load_body(), weights=args.weights)
    with console.status("evaluating") as status:
        _measure_motion(args, clips, hybrid, done, status.update)
        _measure_parts(args, clips, hybrid, done, status.update)
    brief = [brief_pair_table(done.compared), ratio_table(done.compared)] if done.compared else []
    brief += [brief_sequence_table(done.followed)] if done.followed else []
    for text in (*done.asides, *done.texts, *brief):
        console.print(as_rich(text))
    used = f", {args.split} split, {len(clips)} clips" if clips else ""
    origin = f"Open body (not SMPL){used}. {where_measured()}"
    done.texts.append(origin)
    done.write(args.output, "evaluation", console)
    if args.output is not None and brief:
        with atomic_output(args.output / "summary.md") as path:
            path.write_text("\n\n".join([*brief, origin]) + "\n")


@dataclass
class _Errors(Measured):
    """What was measured so far, and what goes elsewhere than into its files.

    Args:
        asides: tables for the terminal alone.
        compared, followed: pairs and whole clips by where the motion is from, for the summary.
    """

    asides: list[str] = field(default_factory=list)
    compared: dict[str, Sequence[PairRow]] = field(default_factory=dict)
    followed: dict[str, Sequence[SequenceRow]] = field(default_factory=dict)


def _measure_motion(args: EvaluateArgs, clips: list[Clip], hybrid: Solver, done: _Errors, progress: Progress) -> None:
    """Pairs and whole clips, of foreign motion and of our own import."""
    body, numerical = hybrid.body, Solver(hybrid.body, "gauss_newton")
    methods = pair_methods(Method(NUMERICAL, numerical, knows_sigma=True), hybrid, args)
    followers = [("Gauss-Newton", numerical), ("hybrid", hybrid)]
    if "foreign" in args.parts:
        turned = {name: offset_clips(clips, degrees) for name, degrees in _TURNED.items()} if clips else {}
        for source, motion in (_foreign(args) | turned).items():
            pairs = evaluate_pairs(motion, body, methods, args.every, progress=progress)
            done.compared[source] = pairs
            done.texts.append(pair_table(pairs, source=source))
            found = {"pairs": [asdict(row) for row in pairs]}
            if source not in _TURNED:  # a clip that starts from nothing has no convention to keep
                followed = evaluate_sequences(motion, body, followers, progress=progress)
                done.followed[source] = followed
                done.texts.append(sequence_table(followed, source))
                found["sequences"] = [asdict(row) for row in followed]
            done.result[f"foreign: {source}"] = found
    source, title = ("own import", "our own import") if args.motions else ("foreign", "")
    if "pairs" in args.parts:
        pairs = evaluate_pairs(clips, body, methods, args.every, progress=progress)
        done.compared[source] = pairs
        done.add("pairs", pairs, pair_table(pairs, source=title))
        done.asides += [pair_table(pairs, "PA-PVE"), pair_table(pairs, "MPJPE")]
    if "sequences" in args.parts:
        followed = evaluate_sequences(clips, body, followers, progress=progress)
        done.followed[source] = followed
        done.add("sequences", followed, sequence_table(followed, title))
    if "cold-start" in args.parts:
        cold = evaluate_cold_start(clips, body, numerical, 20)
        done.add("cold_start", cold, cold_table(cold))


def _measure_parts(args: EvaluateArgs, clips: list[Clip], hybrid: Solver, done: Measured, progress: Progress) -> None:
    """What stands for itself: refinement, damaged recordings, round trips, cameras, hands."""
    body = hybrid.body
    if "refine" in args.parts:
        refined = evaluate_refinement(clips, hybrid, progress=progress)
        done.add("refine", refined, refine_table(refined))
    if "damaged" in args.parts:
        smoothing = Solver(body, weights=args.weights, recording_options=RecordingOptions(smooth=True))
        ways = [("frame after frame", hybrid), ("smoothed", smoothing)]
        rows, repairs = evaluate_damaged(clips, body, ways, progress=progress)
        done.add("damaged", rows, damaged_table(rows))
        done.add("repair", repairs, repair_table(repairs))
    if "round-trip" in args.parts:
        trips = evaluate_round_trip(body, hybrid, progress=progress)
        done.add("round_trip", trips, round_trip_table(trips))
    if set(CAMERA_PARTS) & set(args.parts):
        sources = {"own import": clips} if args.motions is not None else {}
        evaluate_cameras(args.parts, sources | _foreign(args), hybrid, done, progress)
    if "hands" in args.parts:
        fitted = evaluate_hands(body, hybrid, progress=progress)
        limits, times = evaluate_limits(body, progress=progress), evaluate_hand_times(body, hybrid)
        done.result["hand_limits"], done.result["hand_times"] = asdict(limits), asdict(times)
        done.add("hands", fitted, hand_table(fitted), hand_facts_table(limits, times))


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


def _foreign(args: EvaluateArgs) -> dict[str, list[Clip]]:
    """Names and clips of foreign motion."""
    return {path.stem: read_foreign(path)[:: max(args.clip_step, 1)] for path in args.foreign}
