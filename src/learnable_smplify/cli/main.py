"""The `lsmplify` command: one subcommand a file, errors as one line and exit code 2."""

from __future__ import annotations

import sys
from typing import Annotated

import tyro
from rich.console import Console

from learnable_smplify.cli.demo import DemoArgs, demo
from learnable_smplify.cli.doctor import DoctorArgs, doctor
from learnable_smplify.cli.export_body import ExportBodyArgs, export_body_command
from learnable_smplify.cli.fit import FitArgs, fit
from learnable_smplify.cli.import_motion import ImportMotionArgs, import_motion
from learnable_smplify.cli.render import RenderArgs, render
from learnable_smplify.errors import LsmplifyError

_DESCRIPTION = """3D keypoints in, SMPL motion out.

Start with 'lsmplify demo', then 'lsmplify fit my_keypoints.trc -o motion.npz'. 'lsmplify COMMAND --help' explains a
command; 'lsmplify doctor' shows what is installed and which body models were found."""

_Command = (
    Annotated[FitArgs, tyro.conf.subcommand("fit")]
    | Annotated[DemoArgs, tyro.conf.subcommand("demo")]
    | Annotated[RenderArgs, tyro.conf.subcommand("render")]
    | Annotated[ImportMotionArgs, tyro.conf.subcommand("import-motion")]
    | Annotated[ExportBodyArgs, tyro.conf.subcommand("export-body")]
    | Annotated[DoctorArgs, tyro.conf.subcommand("doctor")]
)


def main(arguments: list[str] | None = None) -> None:
    """Run one command. Exits with 2 on bad input, 130 when interrupted."""
    args = tyro.cli(
        _Command,
        prog="lsmplify",
        description=_DESCRIPTION,
        args=arguments,
        config=(tyro.conf.OmitSubcommandPrefixes, tyro.conf.FlagConversionOff),
    )
    try:
        match args:
            case FitArgs():
                fit(args)
            case DemoArgs():
                demo(args)
            case RenderArgs():
                render(args)
            case ImportMotionArgs():
                import_motion(args)
            case ExportBodyArgs():
                export_body_command(args)
            case DoctorArgs():
                doctor(args)
    except LsmplifyError as error:
        Console(stderr=True, soft_wrap=True).print(f"[bold red]error:[/] {_escaped(str(error))}", highlight=False)
        sys.exit(2)
    except KeyboardInterrupt:
        Console(stderr=True).print("interrupted")
        sys.exit(130)


def _escaped(text: str) -> str:
    return text.replace("[", r"\[")


if __name__ == "__main__":
    main()
