"""``molexp compare``: show how runs differ."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from molexp_cli import _words
from molexp_cli._listing import STYLES, Column, fitting, grid_of, left_out
from molexp_cli._options import JsonOption, WorkspaceOption, located
from molexp_cli._output import (
    Grid,
    faint,
    on_terminal,
    say,
    table,
    tell_unreadable,
    width_of_terminal,
    write,
    write_drawn,
)
from molexp_cli._runs import name_unknown

if TYPE_CHECKING:
    import molexp


def compare(
    ctx: typer.Context,
    runs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="RUN...",
            show_default=False,
            help="Two or more runs: their paths, the beginnings of their ids, or @latest.",
        ),
    ] = None,
    where: Annotated[
        str | None,
        typer.Option("--where", metavar="QUERY", show_default=False, help="Compare the runs that match this query."),
    ] = None,
    baseline: Annotated[
        str | None,
        typer.Option(
            "--baseline",
            metavar="RUN",
            show_default=False,
            help="Put this run first, and show how numbers differ from its.",
        ),
    ] = None,
    as_json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Show the fields in which runs differ: one row for each field, one column for each run.

    Fields are parameters, results, metrics, configuration, status and origin (host, git, versions of packages). A cell is
    empty if the run does not have the field. Ids and times always differ, and are left out. On a terminal, the parameters
    that differ stand above each column; if the runs do not fit beside each other, there is one row for each run.

    Examples:
        molexp compare metals/cu/cu-small metals/cu/cu-large
        molexp compare cu-small cu-large @latest
        molexp compare --where 'params.a > 3 and status == "succeeded"' --baseline cu-small
        molexp compare cu-small cu-large --json | jq '.[]["results.energy"]'
    """
    import molexp

    opened = located(ctx, workspace)
    named = [baseline, *(runs or ())] if baseline is not None else list(runs or ())
    matching = opened.catalog.runs(where) if where is not None else ()
    asked: list[Any] = [*named, *matching]
    if where is not None and not matching:
        name_unknown(opened, where)
        if not named:
            raise typer.BadParameter(f"No run matches {where!r}, so there is nothing to compare.")
        say(f"No run matches {where!r}.")
    if not asked:
        raise typer.BadParameter("Name two or more runs, or give --where.", ctx=ctx)
    found = opened.compare(*asked) if baseline is None else opened.compare(*_once(opened, asked))
    if not {*named} <= {str(row["path"]) for row in found}:  # a search found some of them, and may have missed others
        tell_unreadable(opened.catalog.runs(limit=0).unreadable)
    if as_json:
        write(molexp.to_json(found, pretty=True))
        return
    names = [name for name in found.columns if name != "path"]
    if on_terminal():
        _draw(opened, found, names, baseline is not None)
    else:
        cells = [(name, *_cells(found, name, baseline is not None)) for name in names]
        table(("FIELD", *(str(row["path"]) for row in found)), cells)
    if not names:
        say("The runs do not differ in anything on record.")


def _once(opened: molexp.Workspace, asked: list[Any]) -> list[Any]:
    """Return runs, each once."""
    paths = [(opened.run(one) if isinstance(one, str) else one).path for one in asked]
    return [*dict.fromkeys(paths)]


def _cells(found: molexp.Rows[Any], name: str, based: bool, *, drawn: bool = False) -> list[str]:
    """Return the cells of a field, rounded as far as they stay different; behind numbers, the difference to the first."""
    values = [row.get(name) for row in found]
    there = [value for value in values if value is not None]
    numbers = _words.digits([value for value in there if _is_number(value)])
    shown = iter([_words.brief(value, numbers) for value in there] if drawn else _words.row(there))
    cells = [next(shown) if value is not None else "" for value in values]
    first = values[0]
    if based and _is_number(first):
        for at, value in enumerate(values[1:], 1):
            if _is_number(value) and value != first:
                cells[at] += _difference(value, first)
    return cells


def _difference(value: float, first: float) -> str:
    """Return how far a number is from the first one; "" if that is too large for a float."""
    try:
        return f" ({value - first:+.3g})"
    except OverflowError:
        return ""


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _draw(opened: molexp.Workspace, found: molexp.Rows[Any], names: list[str], based: bool) -> None:
    """Draw the runs side by side below their parameters, or one below the other if there are too many."""
    paths = [str(row["path"]) for row in found]
    by_path = opened.catalog.short_ids(map(opened.run, paths))
    params = [name for name in names if name.startswith("params.")]
    names = [*params, *(name for name in names if name not in params and not _is_place(name))]
    cells = {name: _cells(found, name, based and name not in params, drawn=True) for name in names}
    short = [by_path[path] for path in paths]
    widths = [max(map(len, ("FIELD", *names)))]
    widths += [max([len(name), *(len(cells[field][n]) for field in names)]) for n, name in enumerate(short)]
    if sum(widths) + 2 * (len(widths) - 1) <= width_of_terminal():
        grid = Grid(("FIELD", *short), ["bold"] * len(widths), widths, [False] * len(widths))
        gap = [[""] * len(widths)] if params and len(params) < len(names) else []
        rows = [[name, *cells[name]] for name in names]
        write_drawn(grid.draw([*rows[: len(params)], *gap, *rows[len(params) :]]))
        return
    at = {path: n for n, path in enumerate(paths)}
    columns = [Column("run", "RUN", lambda row: by_path[row["path"]])]
    for rank, name in enumerate(names, 20):
        style = STYLES.get(name.partition(".")[0], "bold")
        columns.append(
            Column(name, _title(name), partial(_cell_of, cells[name], at), rank, style=style, formatted=True)
        )
    shown, hidden = fitting(columns, found, width_of_terminal())
    write_drawn(grid_of(shown).draw([[one.cell(row) for one in shown] for row in found]))
    if hidden:
        write_drawn(faint(left_out(hidden, "--json has all")))


def _is_place(name: str) -> bool:
    """Tell whether a field says where a metric has its values, rather than which."""
    return name.startswith("metrics.") and name.endswith((".step", ".min_step", ".max_step", ".count"))


def _title(name: str) -> str:
    root, _, rest = name.partition(".")
    return rest.removesuffix(".last") if root in STYLES and rest else name


def _cell_of(cells: list[str], at: dict[str, int], row: Any) -> str:
    return cells[at[row["path"]]]
