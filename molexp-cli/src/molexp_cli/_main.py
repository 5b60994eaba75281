"""The program: its own options, and errors turned into messages and exit codes. The commands are in `_commands`."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Sequence
from functools import cache
from types import TracebackType
from typing import Annotated, Any

import typer

from molexp_cli import __version__
from molexp_cli._commands import COMPLETES, CONTEXT
from molexp_cli._extending import ExtendedGroup
from molexp_cli._failing import INTERRUPTED, answer
from molexp_cli._options import WorkspaceOption
from molexp_cli._output import flush, make_safe, say, tell_warnings, write

PROGRAM = "molexp"

EPILOG = """
Examples:

\b
  molexp run train.py -j 4 --dry-run
  molexp exec molecules/water --set basis=SVP --output '*.xyz' -- xtb mol.xyz --opt
  molexp ls molecules
  molexp runs list 'params.basis == "SVP" and results.energy < 0'
  molexp show @latest
  molexp logs @latest --follow
  molexp watch molecules/water
  molexp runs tag checked --where 'results.energy < 0'
  molexp compare water-1 water-2
  molexp plot results.energy params.n --by params.basis
  molexp lineage @latest
  molexp assets get @latest:volumes.json
  molexp -w /scratch/lab runs list --json
  molexp sync ./lab /archive/lab
  molexp fsck --read-data
  molexp plugins check

MolExp takes the workspace that -w names, else the one that MOLEXP_WORKSPACE names. Otherwise it looks for a folder with a
workspace.json, starting in the current folder and going up.

Exit codes: 0 success; 1 a run failed, or a check found a problem; 2 wrong usage; 3 not found; 4 any other error; 5 runs
were left to who executes or has queued them; 130 Ctrl-C. `molexp exec` exits with the code of its command.
"""


def _version(wanted: bool) -> None:
    if wanted:
        write(f"{PROGRAM} {__version__}")
        raise typer.Exit


def _program(
    workspace: WorkspaceOption = None,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error, also of one that you can mend.")
    ] = False,
) -> None:
    """Track runs for computational science, without a server, a database or a lock file."""


def _assemble() -> typer.Typer:
    app = typer.Typer(
        name=PROGRAM,
        cls=ExtendedGroup,
        rich_markup_mode=None,  # help as plain text: rich would take longer to import than everything else
        pretty_exceptions_enable=False,
        no_args_is_help=True,
        add_completion=False,  # `molexp completion` prints scripts of our own
        suggest_commands=False,  # `_failing` suggests closer names only
        context_settings=CONTEXT,
        epilog=EPILOG,
    )
    app.callback()(_program)
    return app


app = _assemble()
gc.freeze()  # modules are no garbage, and there are many: nobody looks through them again, also not at the end


@cache
def made(completes: bool) -> Any:  # noqa: ARG001 - its commands, which it keeps, are built in another way for a shell
    """Return the program, which keeps each command once it was asked for: one for shells that complete words, and one for all else."""
    return typer.main.get_command(app)


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code."""
    given = tuple(arguments)
    command = made(COMPLETES in os.environ)
    try:
        code = command.main(list(given), prog_name=PROGRAM, standalone_mode=False, obj=given)
        flush()
    except typer.Exit as gone:
        return int(gone.exit_code)
    except Exception as error:
        found = answer(error, given)
        if found is None:
            raise
        return found
    return code if isinstance(code, int) else 0


def _show_traceback(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    import traceback

    say("".join(traceback.format_exception(kind, error, trace)).rstrip(), prefix="")


def program() -> None:
    """Run the console script."""
    try:
        if COMPLETES in os.environ:
            from molexp_cli._completing import complete

            complete(run)
        make_safe()
        tell_warnings()
        sys.excepthook = _show_traceback
        sys.exit(run(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
