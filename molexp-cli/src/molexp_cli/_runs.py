"""``molexp runs``: list runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain, islice
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from molexp_cli import _words
from molexp_cli._extending import ColumnOption, Columns
from molexp_cli._extending import columns_of as extra_columns
from molexp_cli._formats import Format, OutputOption, form_of, names_of, write_pages
from molexp_cli._listing import (
    ORIGIN,
    PLUGIN,
    Column,
    columns_of,
    counted,
    fitting,
    grid_of,
    keys_of,
    left_out,
    measured,
    named_columns,
    shared,
    statuses_of,
    widened,
)
from molexp_cli._options import JsonOption, LimitOption, WhereArgument, WorkspaceOption, located, parameters_of
from molexp_cli._output import (
    Lines,
    faint,
    height_of_terminal,
    on_terminal,
    pairs,
    say,
    tell_unreadable,
    width_of_terminal,
    write,
)
from molexp_cli._paging import paged, pager
from molexp_cli._queued import QueuedAsOf

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
_PAGE = 50  # runs that are printed at once; a terminal without a pager shows no more unless you ask for them
_AT_ONCE = 500  # further runs that are drawn at once
_SAME = 60  # characters of parameters that all have, below a table
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
    columns: Annotated[
        str | None,
        typer.Option(
            "--columns",
            metavar="NAME,...",
            show_default=False,
            help="Show these columns, such as run,status,age,time,params.a,results.energy,provenance.git.commit; "
            "the end of a name will do.",
        ),
    ] = None,
    column: ColumnOption = None,
    wide: Annotated[
        bool,
        typer.Option("--wide", help="On a terminal, show every column in full; lines may be longer than the terminal."),
    ] = False,
    limit: LimitOption = None,
    output: OutputOption = None,
    as_json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """List the runs that match every filter, oldest first.

    A terminal shows the columns that fit: the parameters that vary, then results and metrics. A long list goes through
    PAGER, or less. Without one, the first 50 runs are shown unless you set --limit. A file or a pipe gets every column.

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
        molexp runs list --columns run,age,params.a,energy,metrics.loss.min
        molexp runs list --columns run,provenance.git.commit --sort provenance.git.commit
        molexp runs list --json | jq -r '.[].path'
        molexp runs list --output csv > runs.csv
    """
    form = form_of(output, as_json)
    more = extra_columns("runs", column, as_json=form is not Format.TABLE)
    if columns is not None and form in (Format.JSON, Format.JSONL):
        raise typer.BadParameter("JSON has the rows as they are.", param_hint="--columns")
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
    pages = _pages(opened, where, filters, limit)
    first = next(pages, None)
    if first is None:
        _check_names(opened, project, experiment)
        name_unknown(opened, where)
        if form is Format.TABLE and limit != 0:
            explain_nothing(opened, where, filters)
    queued = QueuedAsOf(opened)
    found = queued.watched(_up_to(limit, chain([first], pages) if first is not None else ()))
    keys = keys_of(columns, first or (), partial(_all_keys, opened, where, filters)) if columns is not None else None
    chosen = named_columns(first or (), {}, keys) if keys is not None else None
    if form is not Format.TABLE:
        if chosen is not None:
            fields = ["path" if one.name == "run" else one.name for one in chosen]
            write_pages(form, found, fields, [one.name for one in chosen])
            return
        again = opened.catalog.run_pages(where, **filters) if form is Format.CSV else ()
        records = found if form is Format.CSV else queued.described(found)
        write_pages(form, records, names_of(_up_to(limit, again)))
        return
    if not on_terminal():
        _write_lines(found, chosen, more)
    elif first is not None:
        _draw(opened, chain.from_iterable(found), pages, _Look(limit, keys, more, wide))
    queued.tell()


def _pages(
    opened: molexp.Workspace, where: str | None, filters: dict[str, Any], limit: int | None
) -> molexp.Pages[molexp.RunRow]:
    """Ask for runs, and tell what the answer leaves out."""
    import molexp

    if limit is None or limit > _PAGE:
        pages = opened.catalog.run_pages(where, **filters)
    else:
        rows = opened.catalog.runs(where, **filters, limit=limit)
        pages = molexp.Pages([rows] if rows else [], lambda: None, rows.unreadable, rows.archived)
    tell_unreadable(pages.unreadable)
    if pages.archived:
        say(f"{_words.counted(pages.archived, 'archived run')} not shown. Add --archived to list them.")
    return pages


def _all_keys(opened: molexp.Workspace, where: str | None, filters: dict[str, Any]) -> set[str]:
    """Return the keys of all columns that runs which match have, however few are shown, and of where any code came from."""
    pages = opened.catalog.run_pages(where, **{**filters, "sort": None})
    origins = (name for name in opened.catalog.fields(ORIGIN) if name.startswith(ORIGIN))
    return {key for page in pages for row in page for key in row}.union(origins)


def _up_to(limit: int | None, pages: Iterable[molexp.Rows[molexp.RunRow]]) -> Iterator[molexp.Rows[molexp.RunRow]]:
    """Yield pages, as many as have so many rows."""
    left = limit
    for page in pages:
        yield page if left is None or len(page) <= left else page[:left]
        if left is not None and (left := left - len(page)) <= 0:
            return


def _chunks(rows: Iterator[molexp.RunRow], size: int) -> Iterator[list[molexp.RunRow]]:
    while chunk := [*islice(rows, size)]:
        yield chunk


def _write_lines(pages: Iterable[molexp.Rows[molexp.RunRow]], chosen: list[Column] | None, more: Columns) -> None:
    """Print a line for each run, some at a time, so that the first ones come before the last ones are read."""
    columns: Columns = [*_COLUMNS, *more]
    if chosen is not None:
        columns = [(one.title, partial(_whole, one)) for one in chosen] + more
    lines = Lines([name for name, _ in columns], _SELDOM)
    for page in pages:
        for chunk in _chunks(iter(page), _PAGE):
            lines.add([[cell(row) for _, cell in columns] for row in chunk])
    lines.end()


def _whole(column: Column, row: molexp.RunRow) -> str:
    found = row.path if column.name == "run" else column.read(row)
    return "" if found is None else found if column.has_texts(found) else _words.value(found)


class _Look(NamedTuple):
    """The options of a table on a terminal."""

    limit: int | None
    columns: Sequence[tuple[str, str]] | None
    more: Columns
    wide: bool


def _draw(
    opened: molexp.Workspace, rows: Iterator[molexp.RunRow], pages: molexp.Pages[molexp.RunRow], look: _Look
) -> None:
    """Draw the runs on a terminal, in a pager if there are many, and count them below."""
    head = [*islice(rows, _PAGE)]
    following = next(rows, None)
    names = opened.catalog.short_ids(head)
    known = columns_of(head, names, look.more)
    if look.columns is not None:
        known = [*named_columns(head, names, look.columns), *(one for one in known if one.rank == PLUGIN)]
    shown, hidden = (measured(known, head), []) if look.wide else fitting(known, head, width_of_terminal())
    if not look.wide and look.columns is None and {"run", "status"} - {one.name for one in shown}:
        _list(known, chain(head, rows if look.limit is not None else ()))
        return
    long = following is not None or len(head) + len(("title", "count", "prompt")) > height_of_terminal()
    command = pager() if long else []
    statuses = Counter(statuses_of(head))
    with paged(command, chop=look.wide) as put:
        reads = put(grid_of(shown).draw([[one.cell(row) for one in shown] for row in head]))
        if reads and following is not None and (command or look.limit is not None):
            for chunk in _chunks(chain([following], rows), _AT_ONCE):
                names.update(opened.catalog.short_ids(chunk))
                shown = measured(shown, chunk) if look.wide else widened(shown, chunk, width_of_terminal())
                statuses.update(statuses_of(chunk))
                if not put(grid_of(shown).draw([[one.cell(row) for one in shown] for row in chunk], titled=False)):
                    return
            following = None
        put(faint("\n".join(_below(head, pages, statuses, following is not None, hidden))))


def _below(
    head: Sequence[molexp.RunRow],
    pages: molexp.Pages[molexp.RunRow],
    statuses: Mapping[str, int],
    goes_on: bool,
    hidden: Sequence[Column],
) -> Iterator[str]:
    """Yield the lines below a table: how many runs there are, and what is not shown of them."""
    if goes_on:
        there = pages.statuses
        yield (
            f"{counted(there) if there is not None else 'Many runs'}. The first {len(head)} are shown; add --limit to see more, "
            "or --sort -created_at to see the newest."
        )
    else:
        same = shared(head)
        yield f"{counted(statuses)}{f'. All have {same}' if same and len(same) < _SAME else ''}"
    if hidden:
        yield left_out(hidden)


def _list(columns: Sequence[Column], rows: Iterable[molexp.RunRow]) -> None:
    """Print each run as names and values, for a terminal that is too narrow for a table."""
    for number, row in enumerate(rows):
        if number:
            write("")
        pairs([(one.title, cell) for one in columns if (cell := one.cell(row))])


def explain_nothing(opened: molexp.Workspace, where: str | None, filters: dict[str, Any]) -> None:
    """Say why there is no run, and how many are near."""
    total = opened.catalog.run_pages(archived=True).total
    if not total:
        say(
            f"There are no runs in {_words.place(opened.url)} yet.\nhint: `molexp run SCRIPT` and `molexp exec` make some."
        )
        return
    misses = opened.catalog.near_misses(where, **filters)
    if len(misses) == 1:
        say(f"No run of {total} has {misses[0].condition}.{_nearest(misses[0])}")
    elif misses:
        each = ", ".join(f"{one.runs or 'none'} {'have' if one.runs > 1 else 'has'} {one.condition}" for one in misses)
        say(f"No run matches all of it: of {total}, {each}.{''.join(map(_nearest, misses))}")


def _nearest(miss: molexp.NearMiss) -> str:
    return f"\nhint: Did you mean {' or '.join(map(repr, miss.nearest))}?" if miss.nearest else ""


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
