"""The `lsmplify` command: one subcommand a file, errors as one message and exit code 2."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Annotated, Any, Union

import tyro

from learnable_smplify.cli.ablate import AblateArgs, ablate
from learnable_smplify.cli.benchmark import BenchmarkArgs, benchmark
from learnable_smplify.cli.console import open_console
from learnable_smplify.cli.convert import ConvertArgs, convert
from learnable_smplify.cli.demo import DemoArgs, demo
from learnable_smplify.cli.doctor import DoctorArgs, doctor
from learnable_smplify.cli.evaluate import EvaluateArgs, evaluate
from learnable_smplify.cli.export_body import ExportBodyArgs, export_body_command
from learnable_smplify.cli.fit import FitArgs, fit
from learnable_smplify.cli.import_checkpoint import ImportCheckpointArgs, import_checkpoint
from learnable_smplify.cli.import_motion import ImportMotionArgs, import_motion
from learnable_smplify.cli.prepare import PrepareArgs, prepare
from learnable_smplify.cli.refine import RefineArgs, refine
from learnable_smplify.cli.render import RenderArgs, render
from learnable_smplify.cli.report import ReportArgs, report
from learnable_smplify.cli.stream import StreamArgs, stream
from learnable_smplify.cli.train import TrainArgs, train_command
from learnable_smplify.cli.view import ViewArgs, view
from learnable_smplify.errors import LsmplifyError

# Name -> its arguments and what runs it. The first line of the arguments' docstring is the line in `lsmplify --help`.
COMMANDS: dict[str, tuple[type, Callable[[Any], object]]] = {
    "demo": (DemoArgs, demo),
    "fit": (FitArgs, fit),
    "refine": (RefineArgs, refine),
    "stream": (StreamArgs, stream),
    "render": (RenderArgs, render),
    "view": (ViewArgs, view),
    "report": (ReportArgs, report),
    "convert": (ConvertArgs, convert),
    "import-motion": (ImportMotionArgs, import_motion),
    "prepare": (PrepareArgs, prepare),
    "train": (TrainArgs, train_command),
    "evaluate": (EvaluateArgs, evaluate),
    "benchmark": (BenchmarkArgs, benchmark),
    "ablate": (AblateArgs, ablate),
    "import-checkpoint": (ImportCheckpointArgs, import_checkpoint),
    "export-body": (ExportBodyArgs, export_body_command),
    "doctor": (DoctorArgs, doctor),
}

_DESCRIPTION = """3D keypoints in, SMPL motion out.

Start with 'lsmplify demo', then 'lsmplify fit my_keypoints.trc -o motion.npz'. 'lsmplify COMMAND --help' explains a
command; 'lsmplify doctor' shows what is installed; 'lsmplify --version' prints the version."""

# No "None" and no "--no-..." on the command line: leaving an option away says the same.
_CONFIG = (tyro.conf.DisallowNone, tyro.conf.FlagCreatePairsOff)


def main(arguments: list[str] | None = None) -> None:
    """Run one command. Exits with 2 on bad input, 130 when interrupted."""
    given = sys.argv[1:] if arguments is None else arguments
    if given == ["--version"]:
        from learnable_smplify import __version__

        print(f"lsmplify {__version__}")
        return
    if not given or given[0] not in COMMANDS:
        _show_commands(given or ["--help"])
    args_type, run = COMMANDS[given[0]]
    args: Any = tyro.cli(args_type, prog=f"lsmplify {given[0]}", args=given[1:], config=_CONFIG)
    try:
        run(args)
    except LsmplifyError as error:
        _fail(str(error))
    except BrokenPipeError:  # `lsmplify doctor | head`: the reader has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:  # a full disk, a folder that vanished: the machine's trouble, not a fault of the program
        _fail(f"{error.filename}: {error.strerror}." if error.filename else str(error))
    except KeyboardInterrupt:
        open_console(stderr=True).print("interrupted")
        sys.exit(130)


def _show_commands(given: list[str]) -> None:
    """Print the list of commands, or what is wrong with the given one, and exit."""
    options = tuple(
        Annotated[args, tyro.conf.subcommand(name, description=(args.__doc__ or "").split("\n", 1)[0])]
        for name, (args, _) in COMMANDS.items()
    )
    tyro.cli(Union[options], prog="lsmplify", description=_DESCRIPTION, args=given)  # type: ignore[call-overload]  # noqa: UP007
    sys.exit(2)


def _fail(message: str) -> None:
    console = open_console(stderr=True, soft_wrap=True, highlight=False)
    console.print("error:", style="bold red", end=" ")
    console.print(message, markup=False)
    sys.exit(2)


if __name__ == "__main__":
    main()
