"""``molexp compare``: show how runs differ."""

from __future__ import annotations

from typing import Annotated

import typer

from molexp_cli import _words
from molexp_cli._options import JsonOption, WorkspaceOption, located
from molexp_cli._output import say, table, tell_unreadable, write


def compare(
    ctx: typer.Context,
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN RUN...",
            show_default=False,
            help="Two or more runs: their paths, the beginnings of their ids, or @latest.",
        ),
    ],
    as_json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Show the fields in which runs differ: one row for each field, one column for each run.

    Fields are parameters, results, metrics, configuration, status and origin (host, git, versions of packages). A cell is
    empty if the run does not have the field. Ids and times always differ, and are left out.

    Examples:
        molexp compare metals/cu/cu-small metals/cu/cu-large
        molexp compare cu-small cu-large @latest
        molexp compare cu-small cu-large --json | jq '.[]["results.energy"]'
    """
    import molexp

    opened = located(ctx, workspace)
    found = opened.compare(*runs)
    if not {*runs} <= {str(row["path"]) for row in found}:  # a search found some of them, and may have missed others
        tell_unreadable(opened.catalog.runs(limit=0).unreadable)
    if as_json:
        write(molexp.to_json(found, pretty=True))
        return
    names = [name for name in found.columns if name != "path"]
    rows = []
    for name in names:
        shown = iter(_words.row([row[name] for row in found if name in row]))
        rows.append((name, *(next(shown) if name in row else "" for row in found)))
    table(("FIELD", *(str(row["path"]) for row in found)), rows)
    if not names:
        say("The runs do not differ in anything on record.")
