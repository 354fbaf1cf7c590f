"""`lsmplify evaluate --dataset`: errors on AMASS, 3DPW, EMDB, RICH and folders in our generic layout."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from learnable_smplify.body import Body, load_body
from learnable_smplify.cli.console import open_console
from learnable_smplify.cli.tables import Measured, as_rich, machine, where_measured
from learnable_smplify.datasets import DatasetName, DatasetSequence, read_dataset
from learnable_smplify.evaluation.markdown import HYBRID, SINGLE, START, pair_table
from learnable_smplify.evaluation.pairs import Method
from learnable_smplify.evaluation.protocols import clip_table, clips_of, paper_pairs, whole_clips
from learnable_smplify.solver import Solver

if TYPE_CHECKING:
    from learnable_smplify.cli.evaluate import EvaluateArgs


_TWO_PASSES = "two passes"


def pair_methods(numerical: Method, hybrid: Solver, args: EvaluateArgs) -> list[Method]:
    """Copying the start, the numerical solver, the network alone, the hybrid, and the networks to compare."""
    body = hybrid.body
    return [
        Method(START, None),
        numerical,
        Method(SINGLE, Solver(body, weights=args.weights, refine_steps=0, passes=1)),
        Method(_TWO_PASSES, Solver(body, weights=args.weights, refine_steps=0, passes=2)),
        Method(HYBRID, hybrid),
        *(Method(path.stem, Solver(body, weights=path, refine_steps=0)) for path in args.compare),
    ]


def evaluate_dataset(args: EvaluateArgs, name: DatasetName, root: Path) -> None:
    """Run `lsmplify evaluate --dataset NAME --root ROOT`.

    Raises:
        InputError: nothing of the data set is there, or a file cannot be read.
    """
    console, body = open_console(), load_body(args.body)
    sequences = list(read_dataset(name, root, args.dataset_split))
    clips = clips_of(sequences)[:: max(args.clip_step, 1)]
    bodies = sorted({sequence.body for sequence in sequences})
    methods = pair_methods(
        Method("Gauss-Newton", Solver(body, "gauss_newton")), Solver(body, weights=args.weights), args
    )
    split = args.dataset_split or "default"
    done = Measured(
        {
            "dataset": name,
            "split": split,
            "protocol": args.protocol,
            "align": args.align,
            "body": body.name,
            "annotated_with": bodies,
            "every": args.every,
            "sequences": len(sequences),
            "clips": len(clips),
            "machine": machine(),
        }
    )
    with console.status("evaluating") as status:
        if args.protocol == "paper":
            pairs = paper_pairs(clips, body, methods, args.every, args.align, status.update)
            done.add("pairs", pairs, pair_table(pairs), pair_table(pairs, "PA-PVE"), pair_table(pairs, "MPJPE"))
        followers = [(one.name, one.solver) for one in methods if one.solver is not None and one.name != _TWO_PASSES]
        whole = whole_clips(clips, body, followers, args.protocol, args.align, status.update)
        done.add("whole_clips", whole, clip_table(whole, args.align))
    for text in done.texts:
        console.print(as_rich(text))
    notes = _dataset_notes(name, body, bodies, sequences)
    if args.align == "reference":
        notes.append("PVE and MPJPE are aligned at the right ankle, as the authors' code does, not at the pelvis")
    for note in notes:
        console.print(note, soft_wrap=True, highlight=False)
    done.result["notes"] = notes
    done.texts += [*notes, f"{name}, {split} split, {args.protocol} protocol, {len(clips)} clips. {where_measured()}"]
    done.write(args.output, "evaluation", console)


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
