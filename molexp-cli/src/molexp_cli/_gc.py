"""``molexp gc``: what nobody needs any more is freed."""

from __future__ import annotations

from typing import Annotated

import typer

from molexp_cli._options import JsonOption, WorkspaceOption, located
from molexp_cli._output import say, tell_report

EPILOG = """
Examples:

\b
  molexp gc
  molexp gc --yes
  molexp -w s3://bucket/lab gc --json | jq .counts.bytes
"""


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("gc", short_help="Free what deleted runs and killed writers left.", epilog=EPILOG)(gc)


def gc(
    ctx: typer.Context,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Free it; without this, it is only told.")] = False,
    as_json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Free the bytes of deleted runs, of imports that were never finished, and of old temporary files.

    Without --yes nothing is written: it tells what would be freed. Exits with 1 if something cannot be read, or could not
    be freed.
    """
    report = located(ctx, workspace).gc(dry_run=not yes)
    tell_report(report, as_json=as_json, ok=report.ok if yes else not report.counts["unreadable"])
    if report.counts["found"] and not yes:
        say("nothing was freed; `molexp gc --yes` does it")
