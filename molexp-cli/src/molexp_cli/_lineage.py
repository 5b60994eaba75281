"""``molexp lineage``: what something was made from, and what became of it."""

from __future__ import annotations

from typing import Annotated

import typer

from molexp_cli._options import JsonOption, WorkspaceOption, located
from molexp_cli._output import tell_unreadable, write

EPILOG = """
Examples:

\b
  molexp lineage @latest
  molexp lineage metals/cu/cu-large:volumes.json --up
  molexp lineage 'metals/cu:data:reference@1' --down
  molexp lineage @latest --json | jq -r '.downstream[] | [.source, .how, .target] | @tsv'
"""


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("lineage", short_help="Show what something was made from, and what became of it.", epilog=EPILOG)(
        lineage
    )


def lineage(
    ctx: typer.Context,
    of: Annotated[
        str,
        typer.Argument(
            metavar="ASSET_OR_RUN",
            show_default=False,
            help="A run, as for molexp show; RUN:NAME, an asset of it; or an asset's id, from molexp assets list.",
        ),
    ],
    up: Annotated[bool, typer.Option("--up", help="Only what it was made from.")] = False,
    down: Annotated[bool, typer.Option("--down", help="Only what became of it.")] = False,
    as_json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Show what an asset or a run was made from, and what became of it: the runs and assets in between, as a tree.

    What was deleted is shown where something that is left names it. What comes up again is marked, and stands further
    up with all that is below it.
    """
    import molexp

    catalog = located(ctx, workspace).catalog
    found = catalog.lineage(of, upstream=up or not down, downstream=down or not up)
    tell_unreadable(catalog.unreadable())
    write(molexp.to_json(found.to_dict(), pretty=True) if as_json else str(found))
