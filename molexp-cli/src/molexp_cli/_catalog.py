"""``molexp catalog``: the index behind the answers."""

from __future__ import annotations

import typer

from molexp_cli._failing import FAILED
from molexp_cli._options import JsonOption, WorkspaceOption, located
from molexp_cli._output import table, tell_report, write

EPILOG = """
Examples:

\b
  molexp catalog verify
  molexp catalog rebuild
  molexp catalog compact --json | jq .counts
  molexp catalog unreadable
"""


def group() -> typer.Typer:
    """The commands."""
    catalog = typer.Typer(
        help="The index behind all answers: derived from the files, and rebuilt from them if need be.",
        no_args_is_help=True,
        rich_markup_mode=None,
        epilog=EPILOG,
    )
    for name, short_help, command in (
        ("verify", "Compare it with the files, and mend it.", verify),
        ("rebuild", "Read all files anew.", rebuild),
        ("compact", "Fold journals into a snapshot, for new readers.", compact),
        ("unreadable", "List what could not be read.", unreadable),
    ):
        catalog.command(name, short_help=short_help, epilog=EPILOG)(command)
    return catalog


def verify(ctx: typer.Context, as_json: JsonOption = False, workspace: WorkspaceOption = None) -> None:
    """Read all files and compare the index with them. What differs is told, and mended.

    There should be nothing: whatever changes a workspace is noticed.
    """
    tell_report(located(ctx, workspace).catalog.verify(), as_json=as_json)


def rebuild(ctx: typer.Context, as_json: JsonOption = False, workspace: WorkspaceOption = None) -> None:
    """Read all files anew; exits with 1 if some cannot be read, and names them."""
    tell_report(located(ctx, workspace).catalog.rebuild(), as_json=as_json)


def compact(ctx: typer.Context, as_json: JsonOption = False, workspace: WorkspaceOption = None) -> None:
    """Fold the journals of writers that are done into a snapshot in the workspace, from which new readers begin.

    That happens by itself, too. Nobody has to stop for it.
    """
    tell_report(located(ctx, workspace).catalog.compact(), as_json=as_json)


def unreadable(ctx: typer.Context, as_json: JsonOption = False, workspace: WorkspaceOption = None) -> None:
    """List the files that cannot be read, and why; exits with 1 if there are some.

    All other answers are right without them. They are read again when they change.
    """
    import molexp

    found = located(ctx, workspace).catalog.unreadable()
    if as_json:
        write(molexp.to_json(dict(found), pretty=True))
    else:
        table(("KEY", "REASON"), found.items())
    if found:
        raise typer.Exit(FAILED)
