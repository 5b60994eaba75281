"""``molexp assets``: list and show assets, copy them, and import data."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from molexp_cli import _words
from molexp_cli._extending import ColumnOption, columns_of
from molexp_cli._formats import Format, OutputOption, form_of, write_records
from molexp_cli._options import JsonOption, LimitOption, WhereArgument, WorkspaceOption, located
from molexp_cli._output import table, tell_unreadable

if TYPE_CHECKING:
    import molexp

_COLUMNS: list[tuple[str, Callable[[molexp.Asset], str]]] = [
    ("ASSET", lambda asset: asset.id),
    ("SIZE", lambda asset: _words.size(asset.size)),
    ("CREATED", lambda asset: _words.moment(asset.created_at)),
    ("MADE BY", lambda asset: asset.producer.run if asset.producer and asset.producer.run != asset.scope else ""),
    ("TAGS", lambda asset: " ".join(sorted(asset.tags))),
]
_SELDOM = ("MADE BY", "TAGS")  # these columns are shown only if an asset has a value in them


def list_assets(
    ctx: typer.Context,
    where: WhereArgument = None,
    kind: Annotated[
        str | None,
        typer.Option("--kind", "-k", metavar="KIND", help="Show only assets of this kind, such as artifact or data."),
    ] = None,
    name: Annotated[str | None, typer.Option("--name", metavar="NAME", help="Show only assets with this name.")] = None,
    scope: Annotated[
        str | None,
        typer.Option(
            "--scope", metavar="PATH", help="Show only assets of this run, experiment or project; '' is the workspace."
        ),
    ] = None,
    producer: Annotated[
        str | None,
        typer.Option("--producer", metavar="RUN", help="Show only assets that this run made (its path, or @latest)."),
    ] = None,
    column: ColumnOption = None,
    sort: Annotated[
        str | None,
        typer.Option(
            "--sort", metavar="COLUMN", help="Sort by this column, such as size or step; -COLUMN for descending order."
        ),
    ] = None,
    limit: LimitOption = None,
    output: OutputOption = None,
    as_json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """List the assets that match every filter, oldest first. With --kind, the fields of the kind are columns.

    WHERE is a query, written as for `molexp runs list`. Its fields are name, kind, size, producer, created_at, tags, and
    those that a kind adds, such as step.

    Examples:
        molexp assets list --name model.json
        molexp assets list 'kind == "checkpoint" and step > 100' --limit 10
        molexp assets list 'size > 1e9 and producer like "metals/cu/%"'
        molexp assets list --kind checkpoint --sort -step
        molexp assets list --producer @latest --json | jq -r '.[].key'
        molexp assets list --kind checkpoint --output csv > checkpoints.csv
    """
    form = form_of(output, as_json)
    columns = [*_COLUMNS, *columns_of("assets", column, as_json=form is not Format.TABLE)]
    opened = located(ctx, workspace)
    made_by = opened.run(producer) if producer is not None else None
    scope = _path_of(opened, scope) if scope else scope
    found = opened.catalog.assets(where, kind=kind, name=name, scope=scope, producer=made_by, sort=sort, limit=limit)
    tell_unreadable(found.unreadable)
    if form is not Format.TABLE:
        write_records(form, found)
        return
    if kind is not None:
        columns += _fields_of(found)
    cells = [[cell(asset) for _, cell in columns] for asset in found]
    shown = [n for n, (name, _) in enumerate(columns) if name not in _SELDOM or any(line[n] for line in cells)]
    table([columns[n][0] for n in shown], [[line[n] for n in shown] for line in cells])


def _path_of(opened: molexp.Workspace, scope: str) -> str:
    """Return the path of a run, an experiment or a project, as assets have it.

    Raises:
        NotFoundError: there is none; with the nearest names.
    """
    project, slash, experiment = scope.strip("/").lower().partition("/")
    if "/" in experiment or project.startswith("@"):
        return opened.run(scope).path
    inside = opened.project(project)
    return inside.experiment(experiment).path if slash else inside.id


def _fields_of(assets: Iterable[molexp.Asset]) -> list[tuple[str, Callable[[molexp.Asset], str]]]:
    """Return a column for each field that one of the assets has."""
    names = dict.fromkeys(name for asset in assets for name in asset.to_dict()["fields"])
    return [(name.upper(), partial(_field, name)) for name in names]


def _field(name: str, asset: molexp.Asset) -> str:
    value = asset.to_dict()["fields"].get(name)
    return "" if value is None else _words.value(value)
