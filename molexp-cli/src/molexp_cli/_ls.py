"""``molexp ls``: one level of a workspace."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import chain, islice
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, TypeVar

import typer

from molexp_cli import _words
from molexp_cli._listing import Column, columns_of, fitting, grid_of, of_each_status
from molexp_cli._options import JsonOption, WorkspaceOption, located
from molexp_cli._output import (
    faint,
    headline,
    on_terminal,
    say,
    table,
    tell_unreadable,
    width_of_terminal,
    write,
    write_drawn,
)
from molexp_cli._queued import QUEUED, QueuedAsOf

if TYPE_CHECKING:
    import molexp

_Scope = TypeVar("_Scope", "molexp.Project", "molexp.Experiment")

_PAGE = 50  # runs that a terminal shows


class Level(NamedTuple):
    """One level of a workspace.

    Attributes:
        title: the name of the first column.
        entries: all that lies there, each with an ``id``; of runs, those that are shown.
        total: the number of entries that there are.
        rows: the runs, of a level of runs.
    """

    title: str
    entries: list[dict[str, Any]]
    total: int
    rows: Sequence[molexp.RunRow] = ()


def ls(
    ctx: typer.Context,
    path: Annotated[
        str,
        typer.Argument(
            metavar="[PATH]",
            show_default=False,
            help="A project, PROJECT/EXPERIMENT, or a run. By default, the workspace.",
        ),
    ] = "",
    archived: Annotated[
        bool, typer.Option("--archived", help="Include archived runs, and what has no others.")
    ] = False,
    as_json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """List one level: the projects of the workspace, the experiments of a project, the runs of an experiment, a run's assets.

    Names stand beside ids, and data that was imported there below. A terminal shows the newest 50 runs.

    Examples:
        molexp ls
        molexp ls metals
        molexp ls metals/cu --json | jq -r '.entries[].path'
        molexp ls metals/cu/@latest
    """
    import molexp

    opened = located(ctx, workspace)
    parts = [part for part in path.split("/") if part not in ("", ".")]
    scope = "/".join(parts)
    level = _level(opened, parts, None if as_json or not on_terminal() else _PAGE, archived)
    data = [_asset(one) for one in opened.data_assets_of(scope).values()] if _is_scope(parts) else []
    queued = QueuedAsOf(opened)
    has_queued = any(QUEUED in (one.get("status"), *(one.get("statuses") or ())) for one in level.entries)
    if as_json:
        asked = {"queued_as_of": queued.oldest} if has_queued else {}
        write(molexp.to_json({"path": scope, "entries": level.entries, "data": data, **asked}, pretty=True))
        return
    if level.entries:
        show_level(level)
    elif not data and not level.total:
        say(f"There are no {level.title.lower()}s in {scope or _words.place(opened.url)} yet.")
    if data:
        if level.entries:
            write("")
        headline("data")
        show_level(Level("NAME", data, len(data)))
    if level.total > len(level.entries):
        say(
            f"The newest {len(level.entries)} of {_words.counted(level.total, 'run')} are shown. `molexp runs list -e {scope}` "
            "lists, filters and sorts them."
        )
    queued.tell(seen=has_queued)


def _is_scope(parts: list[str]) -> bool:
    return len(parts) < 3 and "@latest" not in parts


def _level(opened: molexp.Workspace, parts: list[str], limit: int | None, archived: bool) -> Level:
    if not _is_scope(parts):
        run = opened.run("/".join(parts))
        entries = [_asset(asset) for asset in run.assets]
        return Level("ASSET", [{"id": one.pop("name"), **one} for one in entries], len(entries))
    if not parts:
        return _of("PROJECT", projects_of(opened, archived))
    project = opened.project(parts[0])
    if len(parts) == 1:
        return _of("EXPERIMENT", experiments_of(opened, [project], archived))
    experiment = project.experiment(parts[1])
    pages = opened.catalog.run_pages(
        experiment=experiment.path, archived=archived, sort="-created_at" if limit else None
    )
    tell_unreadable(pages.unreadable)
    _tell_hidden(pages.archived, "archived run")
    rows = [*islice(chain.from_iterable(pages), limit)]
    return Level("RUN", [_run(row) for row in rows], pages.total or len(rows), rows)


def _of(title: str, entries: Iterable[dict[str, Any]]) -> Level:
    found = [*entries]
    return Level(title, found, len(found))


def projects_of(opened: molexp.Workspace, archived: bool) -> list[dict[str, Any]]:
    """Describe the projects; leave out what was deleted, and those that have archived runs only unless they are wanted."""
    totals = opened.catalog.totals()
    tell_unreadable(totals.unreadable)
    by_project: dict[str, list[molexp.Totals]] = {}
    for one in totals:
        by_project.setdefault(one.project, []).append(one)
    found = [(project, _summed(by_project.get(project.id, []))) for project in opened.projects]
    filled = {one.path for one in totals if one.runs or one.archived}
    return [
        {**_named(project), "experiments": _count(project, filled), **summed}
        for project, summed in _shown(found, "project", archived)
    ]


def _count(project: molexp.Project, filled: set[str]) -> int:
    """Count the experiments of a project that were not deleted, or have runs all the same."""
    return sum(one.path in filled or not one.deleted for one in project.experiments)


def experiments_of(
    opened: molexp.Workspace, projects: Iterable[molexp.Project], archived: bool
) -> list[dict[str, Any]]:
    """Describe the experiments of projects; leave out what was deleted, and archived ones unless they are wanted."""
    within = [*projects]
    totals = opened.catalog.totals(project=within[0].id if len(within) == 1 else None)
    tell_unreadable(totals.unreadable)
    by_path = {one.path: [one] for one in totals}
    found = [(one, _summed(by_path.get(one.path, []))) for project in within for one in project.experiments]
    return [{**_named(one), **summed} for one, summed in _shown(found, "experiment", archived)]


def _shown(
    found: Iterable[tuple[_Scope, dict[str, Any]]], what: str, archived: bool
) -> list[tuple[_Scope, dict[str, Any]]]:
    there = [(one, of) for one, of in found if of["runs"] or of["archived"] or not one.deleted]
    shown = [(one, of) for one, of in there if archived or of["runs"] or not of["archived"]]
    _tell_hidden(len(there) - len(shown), f"archived {what}")
    return shown


def _tell_hidden(count: int, what: str) -> None:
    if count:
        say(f"{_words.counted(count, what)} not shown. Add --archived to list them.")


def _named(one: molexp.Project | molexp.Experiment) -> dict[str, Any]:
    return {"id": one.id, "path": one.path, "name": one.name}


def _summed(totals: list[molexp.Totals]) -> dict[str, Any]:
    statuses: dict[str, int] = {}
    for one in totals:
        for status, count in one.statuses.items():
            statuses[status] = statuses.get(status, 0) + count
    return {
        "runs": sum(statuses.values()),
        "statuses": statuses,
        "archived": sum(one.archived for one in totals),
        "newest": max((one.newest for one in totals), default="") or None,
        "size": sum(one.size for one in totals),
    }


def _run(row: molexp.RunRow) -> dict[str, Any]:
    return {
        "id": row.id,
        "path": row.path,
        "status": str(row.status),
        "created_at": row.created_at,
        "parameters": row.parameters,
    }


def _asset(asset: molexp.Asset) -> dict[str, Any]:
    return {
        "name": asset.name,
        "kind": asset.kind,
        "version": asset.version,
        "size": asset.size,
        "created_at": asset.created_at,
        "asset": asset.id,
    }


_CELLS: dict[str, Callable[[Any], str]] = {
    "name": str,
    "kind": str,
    "version": str,
    "experiments": str,
    "runs": str,
    "status": str,
    "statuses": of_each_status,
    "archived": lambda found: str(found or ""),
    "size": _words.size,
    "newest": _words.moment,
    "created_at": _words.moment,
    "parameters": _words.settings,
}
_TITLES = {"created_at": "CREATED", "statuses": "STATUS"}
_RANKS = {"name": 2, "newest": 3, "created_at": 3, "size": 4, "archived": 5}  # columns that go where there is no room
_RIGHT = ("experiments", "runs", "archived", "size", "version")
_AGES = ("newest", "created_at")


def show_level(level: Level) -> None:
    """Draw a level as a table; columns in which nobody has anything are left out, and names that are the ids."""
    shown = _columns(level)
    if on_terminal():
        rows: Any = level.rows or level.entries
        kept, hidden = fitting(shown, rows, width_of_terminal())
        if shown[0] in [one._replace(width=0) for one in kept]:
            write_drawn(grid_of(kept).draw([[one.cell(row) for one in kept] for row in rows]))
            if hidden:
                write_drawn(faint(f"no room for {', '.join(one.title.lower() for one in hidden)}"))
            return
    cells = [(one.title, [one.cell(entry) for entry in level.entries]) for one in shown]
    table([title for title, _ in cells], zip(*(found for _, found in cells), strict=True), least=1)


def _columns(level: Level) -> list[Column]:
    if level.rows and on_terminal():
        return columns_of(level.rows, {row.path: row.id for row in level.rows}, ())
    first = Column("id", level.title, lambda entry: str(entry.get("id") or entry.get("name")))
    found = [first]
    for key, cell in _CELLS.items():
        column = Column(
            key,
            _TITLES.get(key, key.upper()),
            _reader(key, _words.age if key in _AGES and on_terminal() else cell),
            _RANKS.get(key, 1),
            right=key in _RIGHT and on_terminal(),
        )
        cells = [column.cell(entry) for entry in level.entries]
        if any(cells) and cells != [first.cell(entry) for entry in level.entries]:
            found.append(column)
    return found


def _reader(key: str, cell: Callable[[Any], str]) -> Callable[[Any], str]:
    return lambda entry: cell(entry[key]) if entry.get(key) is not None else ""
