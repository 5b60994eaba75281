"""``molexp gc``: free storage that is not needed any more."""

from __future__ import annotations

from typing import Annotated

import typer

from molexp_cli._options import JsonOption, WorkspaceOption, located
from molexp_cli._output import say, tell_report


def gc(
    ctx: typer.Context,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Free it. By default, only show what would be freed.")
    ] = False,
    as_json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Free the files of deleted runs, of unfinished imports, and old temporary files.

    Without --yes it only shows what would be freed, and writes nothing. Exits with 1 if something cannot be read or freed.

    Examples:
        molexp gc
        molexp gc --yes
        molexp -w s3://bucket/lab gc --json | jq .counts.bytes
    """
    report = located(ctx, workspace).gc(dry_run=not yes)
    tell_report(report, as_json=as_json, ok=report.ok if yes else not report.counts["unreadable"])
    if report.counts["found"] and not yes:
        say("nothing was freed; `molexp gc --yes` frees it")
