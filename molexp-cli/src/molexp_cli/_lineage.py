"""``molexp lineage``: show the origin and the use of an asset or a run."""

from __future__ import annotations

from typing import Annotated

import typer

from molexp_cli._options import JsonOption, WorkspaceOption, located
from molexp_cli._output import tell_unreadable, write


def lineage(
    ctx: typer.Context,
    of: Annotated[
        str,
        typer.Argument(
            metavar="ASSET_OR_RUN",
            show_default=False,
            help="A run, as for `molexp show`; RUN:NAME for one of its assets; or an asset's id, from `molexp assets list`.",
        ),
    ],
    up: Annotated[bool, typer.Option("--up", help="Show only what it was made from.")] = False,
    down: Annotated[bool, typer.Option("--down", help="Show only what used it.")] = False,
    as_json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Show what an asset or a run was made from, and what used it, as a tree of runs and assets.

    Deleted runs and assets are shown where others refer to them. An entry that occurs again is marked; its first place in
    the tree has everything below it.

    Examples:
        molexp lineage @latest
        molexp lineage metals/cu/cu-large:volumes.json --up
        molexp lineage 'metals/cu:data:reference@1' --down
        molexp lineage @latest --json | jq -r '.downstream[] | [.source, .how, .target] | @tsv'
    """
    import molexp

    catalog = located(ctx, workspace).catalog
    found = catalog.lineage(of, upstream=up or not down, downstream=down or not up)
    tell_unreadable(catalog.unreadable())
    write(molexp.to_json(found.to_dict(), pretty=True) if as_json else str(found))
