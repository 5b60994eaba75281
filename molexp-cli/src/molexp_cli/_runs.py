"""``molexp runs``: list runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import TYPE_CHECKING, Annotated, Any

import typer

from molexp_cli import _words
from molexp_cli._extending import ColumnOption, Columns, columns_of
from molexp_cli._formats import Format, OutputOption, form_of, names_of, write_pages
from molexp_cli._options import JsonOption, LimitOption, WhereArgument, WorkspaceOption, located, parameters_of
from molexp_cli._output import Lines, on_terminal, say, table, tell_unreadable

if TYPE_CHECKING:
    import molexp

_COLUMNS: list[tuple[str, Callable[[molexp.RunRow], str]]] = [
    ("RUN", lambda row: f"{row.project}/{row.experiment}/{row.id}"),
    ("STATUS", lambda row: _words.standing(row.status, row.as_of)),
    ("CAUSE", lambda row: row.cause or ""),
    ("CREATED", lambda row: _words.moment(row.created_at)),
    ("PARAMETERS", lambda row: _words.settings(row.parameters)),
    ("PROFILE", lambda row: row.profile or ""),
    ("CONFIG", lambda row: _words.settings(row.config)),
    ("RESULTS", lambda row: _words.settings(row.results)),
    ("METRICS", lambda row: _words.metrics(row.metrics)),
    ("TAGS", lambda row: " ".join(row.tags)),
]
_PAGE = 50  # runs that are printed at once; a terminal shows no more unless you ask for them
_SELDOM = ("CAUSE", "PROFILE", "CONFIG", "METRICS", "TAGS")  # these columns are shown only if a run has a value in them


def list_runs(
    ctx: typer.Context,
    where: WhereArgument = None,
    project: Annotated[
        str | None, typer.Option("--project", "-p", metavar="ID", help="Show only runs of this project.")
    ] = None,
    experiment: Annotated[
        str | None,
        typer.Option("--experiment", "-e", metavar="[PROJECT/]ID", help="Show only runs of this experiment."),
    ] = None,
    status: Annotated[
        list[str] | None,
        typer.Option(
            "--status", "-s", metavar="STATUS", help="Show only runs with this status. Repeat it to allow several."
        ),
    ] = None,
    tag: Annotated[
        list[str] | None,
        typer.Option("--tag", "-t", metavar="TAG", help="Show only runs with this tag. Repeat it to require several."),
    ] = None,
    param: Annotated[
        list[str] | None,
        typer.Option(
            "--param", metavar="NAME=VALUE", help="Show only runs with this parameter. Repeat it to require several."
        ),
    ] = None,
    archived: Annotated[bool, typer.Option("--archived", help="Include archived runs.")] = False,
    sort: Annotated[
        str | None,
        typer.Option(
            "--sort",
            metavar="[-]COLUMN",
            help="Sort by a column, such as created_at, params.a, results.loss or metrics.loss.min; - sorts in descending order.",
        ),
    ] = None,
    column: ColumnOption = None,
    limit: LimitOption = None,
    output: OutputOption = None,
    as_json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """List the runs that match every filter, oldest first. A terminal shows the first 50 unless you set --limit.

    WHERE is a query over fields such as status, cause, params.lr, results.loss, metrics.loss.min, tags, config.x and
    provenance.git.commit. Compare fields with == != < <= > >=, in, like, between and is null. Combine comparisons with and,
    or, not. Quote text.

    MolExp reads the values of parameters as YAML does: 1e-3 is a number, true is a boolean, other words are text.

    Examples:
        molexp runs list
        molexp runs list 'params.a > 3 and results.energy < 0'
        molexp runs list 'status == "failed" or results.loss is null' --sort -created_at
        molexp runs list --experiment metals/cu --status failed --status interrupted
        molexp runs list --param a=3.6 --param solver.tol=1e-9 --sort -results.energy --limit 10
        molexp runs list 'metrics.loss.min < 0.1' --sort metrics.val_loss
        molexp runs list --json | jq -r '.[].path'
        molexp runs list --output csv > runs.csv
    """
    import molexp

    form = form_of(output, as_json)
    columns = [*_COLUMNS, *columns_of("runs", column, as_json=form is not Format.TABLE)]
    opened = located(ctx, workspace)
    filters: dict[str, Any] = {
        "project": project,
        "experiment": experiment,
        "status": status or None,
        "params": parameters_of(ctx, "--param", param, nested=False),
        "tags": tag or (),
        "archived": archived,
        "sort": sort,
    }
    if limit is None or limit > _PAGE:
        pages = opened.catalog.run_pages(where, **filters)
    else:
        rows = opened.catalog.runs(where, **filters, limit=limit)
        pages = molexp.Pages([rows] if rows else [], rows.__len__, rows.unreadable, rows.archived)
    tell_unreadable(pages.unreadable)
    if pages.archived:
        say(
            f"{pages.archived} archived run{'' if pages.archived == 1 else 's'} not shown. Add --archived to list them."
        )
    first = next(pages, None)
    if first is None:
        _check_names(opened, project, experiment)
        name_unknown(opened, where)
    found = _up_to(limit, chain([first], pages) if first is not None else ())
    if form is not Format.TABLE:
        again = _up_to(limit, opened.catalog.run_pages(where, **filters)) if form is Format.CSV else ()
        write_pages(form, found, names_of(again))
    elif on_terminal():
        shown = list(islice(chain.from_iterable(found), None if limit is not None else _PAGE + 1))
        _draw(shown, pages, limit, columns)
    else:
        _write_lines(found, columns)


def _up_to(limit: int | None, pages: Iterable[molexp.Rows[molexp.RunRow]]) -> Iterator[molexp.Rows[molexp.RunRow]]:
    """Yield pages, as many as have so many rows."""
    left = limit
    for page in pages:
        yield page if left is None or len(page) <= left else page[:left]
        if left is not None and (left := left - len(page)) <= 0:
            return


def _write_lines(pages: Iterable[molexp.Rows[molexp.RunRow]], columns: Columns) -> None:
    """Print a line for each run, some at a time, so that the first ones come before the last ones are read."""
    lines = Lines([name for name, _ in columns], _SELDOM)
    for rows in _parts(pages):
        lines.add([[cell(row) for _, cell in columns] for row in rows])
    lines.end()


def _parts(pages: Iterable[molexp.Rows[molexp.RunRow]]) -> Iterator[molexp.Rows[molexp.RunRow]]:
    for page in pages:
        for start in range(0, len(page), _PAGE):
            yield page[start : start + _PAGE]


def _draw(
    rows: Sequence[molexp.RunRow], pages: molexp.Pages[molexp.RunRow], limit: int | None, columns: Columns
) -> None:
    """Draw the runs on a terminal: a page of them if there is no limit, and how many there are."""
    page = rows[:_PAGE] if limit is None else rows
    cells = [[cell(row) for _, cell in columns] for row in page]
    shown = [n for n, (name, _) in enumerate(columns) if name not in _SELDOM or any(line[n] for line in cells)]
    table([columns[n][0] for n in shown], [[line[n] for n in shown] for line in cells])
    if len(rows) > len(page):
        total = pages.total
        say(
            f"{len(page)} of {total if total is not None else 'many'} runs shown. "
            "Add --limit to see more, or --sort -created_at to see the newest."
        )


def _check_names(opened: molexp.Workspace, project: str | None, experiment: str | None) -> None:
    """Raise an error with the nearest names if no run was found because a name is mistyped."""
    above, slash, name = (experiment or "").rpartition("/")
    parent = above if slash else project
    if project is not None:
        opened.project(project)
    if parent is not None:
        inside = opened.project(parent)
        if name:
            inside.experiment(name)


def name_unknown(opened: molexp.Workspace, where: str | None) -> None:
    """Tell you which fields of the query no run has. This is no error, because a later run may have them."""
    for name, near in opened.catalog.unknown_fields(where).items() if where is not None else ():
        hint = f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
        say(f"No run has the field {name!r}.{hint}")
