"""The `lsmplify` command: one subcommand a file, errors as one message and exit code 2.

Only the command that is asked for is imported: with torch behind them, all of them together take seconds.
"""

from __future__ import annotations

import difflib
import os
import sys
from typing import Any

from learnable_smplify.cli.commands import COMMANDS, load_command
from learnable_smplify.errors import LsmplifyError, printable

_DESCRIPTION = """usage: lsmplify [-h] COMMAND ...

3D keypoints in, SMPL motion out.

Start with 'lsmplify demo', then 'lsmplify fit my_keypoints.trc -o motion.npz'. 'lsmplify COMMAND --help' explains a
command; 'lsmplify doctor' shows what is installed; 'lsmplify --version' prints the version."""


def main(arguments: list[str] | None = None) -> None:
    """Run one command. Exits with 2 on bad input, 130 when interrupted."""
    given = sys.argv[1:] if arguments is None else arguments
    try:
        try:
            _run(given)
        finally:
            sys.stdout.flush()
    except KeyboardInterrupt:  # while a command is imported, too
        print("interrupted", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:  # `lsmplify fit --help | head`: the reader has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _run(given: list[str]) -> None:
    if not given or given[0] in ("-h", "--help"):
        print(_help())
        sys.exit(0)
    if given[0] == "--version":
        from learnable_smplify import __version__

        print(f"lsmplify {__version__}")
        return
    if given[0] not in COMMANDS:
        _fail(_unknown(given[0]))
    args_type, run = load_command(given[0])
    args = parsed(args_type, given[0], given[1:])
    try:
        run(args)
    except LsmplifyError as error:
        _fail(str(error))
    except BrokenPipeError:
        raise
    except OSError as error:  # a full disk, a folder that vanished: the machine's trouble, not a fault of the program
        _fail(f"{error.filename}: {error.strerror}." if error.filename else str(error))


def parsed(args_type: type, command: str, given: list[str]) -> Any:
    """The arguments of a command from its command line; exits where they cannot be read."""
    import tyro

    # No "None" and no "--no-..." on the command line: leaving an option away says the same.
    config = (tyro.conf.DisallowNone, tyro.conf.FlagCreatePairsOff)
    return tyro.cli(args_type, prog=f"lsmplify {command}", args=given, config=config)


def _help() -> str:
    width = max(map(len, COMMANDS)) + 2
    lines = (f"  {name:{width}}{summary}" for name, summary in COMMANDS.items())
    return "\n".join((_DESCRIPTION, "", "commands:", *lines))


def _unknown(word: str) -> str:
    near = difflib.get_close_matches(word, COMMANDS, n=1)
    say = f"Did you mean '{near[0]}'?" if near else f"Expected one of {', '.join(COMMANDS)}."
    return f"there is no command '{word[:60]}'. {say} Try: lsmplify {near[0] if near else '--help'}"


def _fail(message: str) -> None:
    from learnable_smplify.cli.console import open_console

    console = open_console(stderr=True, soft_wrap=True, highlight=False)
    console.print("error:", style="bold red", end=" ")
    console.print(printable(message))
    sys.exit(2)


if __name__ == "__main__":
    main()
