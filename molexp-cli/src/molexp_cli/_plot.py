"""``molexp plot``: draw a result against a parameter, or a metric over its steps."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from molexp_cli import _words
from molexp_cli._bars import count_bar
from molexp_cli._formats import Format, OutputOption, form_of, names_of, write_pages
from molexp_cli._listing import keys_of
from molexp_cli._options import JsonOption, WorkspaceOption, experiment_named, located, runs_at
from molexp_cli._output import (
    faint,
    height_of_terminal,
    on_terminal,
    say,
    tell_unreadable,
    width_of_terminal,
    write_drawn,
)
from molexp_cli._runs import explain_nothing, name_unknown
from molexp_cli._series import Chart, Differing, curve_of, for_logarithms, over_steps, relate, smoothed

if TYPE_CHECKING:
    import molexp
    from molexp_cli._drawing import Look

_ROOTS = ("params.", "parameters.", "results.", "metrics.", "config.")
_METRIC, _LAST = "metrics.", ".last"
_NAMED = 8  # names that an error lists
_BEYOND = 6  # lines of the terminal that are not the drawing's
_SHAPE = 0.26  # lines for each character of a line
_WIDTH = 80  # outside of a terminal
_AT_ONCE = 50


class _Wanted(NamedTuple):
    """The arguments and options that say what to draw."""

    y: str
    others: Sequence[str]
    by: Sequence[str]
    where: str | None
    experiment: str | None
    each: bool
    smooth: bool


def plot(
    ctx: typer.Context,
    y: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            show_default=False,
            help="Draw this: a result, such as results.energy; or a metric, such as loss.",
        ),
    ],
    others: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[PARAMETER | RUN...]",
            show_default=False,
            help="Draw it against this, such as params.a. Of a metric, draw these runs, or experiments; by default, all runs that have it.",
        ),
    ] = None,
    by: Annotated[
        list[str] | None,
        typer.Option(
            "--by", metavar="NAME", help="Draw a curve for each value of this parameter. Repeat it for several."
        ),
    ] = None,
    where: Annotated[
        str | None,
        typer.Option("--where", metavar="QUERY", show_default=False, help="Draw only runs that match this query."),
    ] = None,
    experiment: Annotated[
        str | None,
        typer.Option("--experiment", "-e", metavar="[PROJECT/]ID", help="Draw only runs of this experiment."),
    ] = None,
    each: Annotated[
        bool, typer.Option("--each", help="Draw every run for itself, instead of the mean of runs at the same place.")
    ] = False,
    smooth: Annotated[
        float,
        typer.Option(
            "--smooth",
            metavar="W",
            min=0.0,
            max=0.9999,
            help="Smooth by a moving average: 0 is none, 0.9 is much.",
            show_default=False,
        ),
    ] = 0.0,
    logx: Annotated[bool, typer.Option("--logx", help="Make the x axis logarithmic.")] = False,
    logy: Annotated[bool, typer.Option("--logy", help="Make the y axis logarithmic.")] = False,
    save_as: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--save",
            metavar="PATH",
            show_default=False,
            help="Write a picture: .png, .svg, .pdf, or .html with the points. It replaces a file of this name.",
        ),
    ] = None,
    output: OutputOption = None,
    as_json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Draw a value of runs against another one, or a metric over its steps, in the terminal or as a picture.

    A value is a column of `molexp runs list`, such as results.energy, params.a or metrics.loss.min; the end of a name will
    do. Where several runs have the same place, the mean and the standard deviation are drawn. A parameter that is text has
    a place for each of its values. Values that are missing, lists, or not finite are left out, and counted.

    Points of a metric are those of all attempts of a run. Runs that differ in nothing but a seed are drawn as their mean. A
    drawing of many points shows the least and the greatest of each stretch, so no peak is lost. --json and --output have
    all points.

    Examples:
        molexp plot results.energy params.a
        molexp plot energy a --by params.xc --where 'status == "succeeded"'
        molexp plot results.loss params.lr --logx --each
        molexp plot loss @latest
        molexp plot loss digits/mlp --by params.lr --smooth 0.9 --logy
        molexp plot loss --where 'params.lr < 0.01' -o loss.png
        molexp plot results.energy params.a -o energy.html
        molexp plot results.energy params.a --output csv > energy.csv
    """
    form = form_of(output, as_json)
    if save_as is not None:
        _check_picture(save_as, form)
    opened = located(ctx, workspace)
    wanted = _Wanted(y, others or [], by or [], where, experiment, each, smooth > 0)
    chart, notes = _chart_of(opened, wanted)
    chart = for_logarithms(chart, x=logx and not chart.categories, y=logy)
    if smooth and not chart.marked:
        chart = smoothed(chart, smooth)
    notes += _left_out(chart)
    if not chart.series:
        raise ValueError("\n".join([f"There is nothing to draw of {y!r}.", *notes]))
    if form is not Format.TABLE:
        for note in notes:
            say(note)
        records = [*chart.records()]
        write_pages(form, [records], names_of([records]) if form is Format.CSV else ())
        return
    if save_as is not None:
        _save(chart, save_as, _look(chart, logx, logy), notes)
        return
    _draw(chart, _look(chart, logx, logy), notes)


# --------------------------------------------------------------------------------------------------------- what is drawn


def _chart_of(opened: molexp.Workspace, wanted: _Wanted) -> tuple[Chart, list[str]]:
    """Return the chart that somebody asks for, and what there is to say of it."""
    finding = _Finding(opened, wanted)
    x = finding.axis()
    if x is not None:
        return finding.against(x)
    return finding.over_steps()


class _Finding:
    """Finds the runs and the columns that names mean."""

    def __init__(self, opened: molexp.Workspace, wanted: _Wanted) -> None:
        self._opened, self._wanted = opened, wanted
        self._filters: dict[str, Any] = {"experiment": wanted.experiment}
        self._first: Sequence[molexp.RunRow] | None = None
        self._all: set[str] | None = None

    def axis(self) -> str | None:
        """Return the column of the x axis; None for a metric over its steps."""
        others, is_metric = self._wanted.others, bool(self._metric())
        if len(others) == 1 and (others[0].startswith(_ROOTS) or self._ends(others[0])):
            return self._key(others[0])
        if is_metric:
            return None
        y = self._key(self._wanted.y)
        if others:
            return self._key(others[0])
        differing = self._differing(y)
        if len(differing) == 1:
            return differing[0]
        ways = f"{', '.join(differing[:_NAMED])}" if differing else "no parameter differs between the runs"
        raise ValueError(f"Name what to draw {y} against, after it: {ways}.")

    def against(self, x: str) -> tuple[Chart, list[str]]:
        """Return a column of runs against another one."""
        y, *by = [self._key(name) for name in (self._wanted.y, *self._wanted.by)]
        chart = relate(self._rows(), x, y, by, each=self._wanted.each)
        if x.startswith(("results.", _METRIC)):
            chart = chart._replace(joined=False)
        notes = []
        if chart.several:
            most = max(count for one in chart.series for count in one.runs)
            notes.append(f"Mean of up to {most} runs; a bar is one standard deviation to either side.")
            if chart.differing:
                notes.append(
                    f"They differ in {_words.first(chart.differing, _NAMED)}, too: --by NAME draws a curve for each value."
                )
        return chart, notes

    def over_steps(self) -> tuple[Chart, list[str]]:
        """Return a metric over its steps."""
        name = self._metric() or self._wanted.y.removeprefix(_METRIC)
        rows = self._named() if self._wanted.others else [*self._rows()]
        having = [row for row in rows if name in row.metrics or not row.status.finished]
        by = [self._key(one) for one in self._wanted.by]
        left_out: Counter[str] = Counter()
        curves, missing = [], len(rows) - len(having)
        with count_bar("reading metrics", len(having) if len(having) > _AT_ONCE else 0) as advance:
            for row in having:
                fields = {key: row[key] for key in row if key.startswith("params.") or key in by}
                curve, gone = curve_of(self._opened.run(row.path), fields, name)
                left_out += gone
                curves += [curve] if curve.steps else []
                missing += not (curve.steps or gone)
                advance()
        if not curves and not left_out:
            known = sorted({known for row in rows for known in row.metrics})
            raise _unknown("metric", name, known, "No run that you name" if self._wanted.others else "No run")
        names = self._opened.catalog.short_ids(self._opened.run(one.path) for one in curves)
        chart = over_steps(curves, name, by, each=self._wanted.each, names=names)
        notes = []
        if chart.several:
            most = max(count for one in chart.series for count in one.runs)
            spread = ", smoothed" if self._wanted.smooth else ", and one standard deviation to either side"
            notes.append(f"Mean of up to {most} runs at each step{spread}.")
        if missing and (self._wanted.others or self._wanted.where or self._wanted.experiment):
            notes.append(f"{_words.counted(missing, 'run')} without the metric {name}.")
        return chart._replace(left_out=left_out), notes

    # ------------------------------------------------------------------------------------------------------------ names

    def _metric(self) -> str:
        """Return the metric that the first name means; "" if no run has such a one."""
        name = self._wanted.y.removeprefix(_METRIC)
        if self._wanted.y.startswith(_ROOTS) and not self._wanted.y.startswith(_METRIC):
            return ""
        return name if f"{_METRIC}{name}{_LAST}" in self._keys() else ""

    def _ends(self, name: str) -> bool:
        """Tell whether a name is the end of a column's."""
        return any(key.endswith(f".{name}") or key == name for key in self._keys())

    def _key(self, name: str) -> str:
        """Return the column that a name means.

        Raises:
            ValueError: no run has it; with the nearest names, and those there are.
        """
        try:
            return keys_of(name, self._head(), self._keys)[0][1]
        except ValueError:
            if self._ends(name):  # of several, which the error names
                raise
            known = sorted(key.removesuffix(_LAST) for key in self._keys() if key.startswith(_ROOTS) and _is_one(key))
            raise _unknown("column", name, known) from None

    def _keys(self) -> set[str]:
        """Return the columns that some of the runs have."""
        if self._all is None:
            self._all = {key for row in self._rows() for key in row}
        return self._all

    def _differing(self, y: str) -> list[str]:
        seen = Differing((y,))
        for row in self._rows():
            if y in row:
                seen.add(row)
        return seen.names()

    # ------------------------------------------------------------------------------------------------------------- runs

    def _head(self) -> Sequence[molexp.RunRow]:
        """Return the first of the runs that match; of none, say why."""
        if self._first is None:
            pages = self._opened.catalog.run_pages(self._wanted.where, **self._filters)
            tell_unreadable(pages.unreadable)
            self._first = next(pages, None)
        if not self._first:
            name_unknown(self._opened, self._wanted.where)
            explain_nothing(self._opened, self._wanted.where, self._filters)
            raise ValueError("There is no run to draw.")
        return self._first

    def _rows(self) -> Iterator[molexp.RunRow]:
        """Yield the runs that match."""
        self._head()
        for page in self._opened.catalog.run_pages(self._wanted.where, **self._filters):
            yield from page

    def _named(self) -> list[molexp.RunRow]:
        """Return the runs that are named, by themselves or by their experiments."""
        found: dict[str, molexp.RunRow] = {}
        for name in self._wanted.others:
            experiment = experiment_named(self._opened, name)
            if experiment is not None:
                rows = self._opened.catalog.runs(self._wanted.where, experiment=experiment.path)
            else:
                rows = self._opened.catalog.runs(runs_at([self._opened.run(name).path]), archived=True)
            found |= {row.path: row for row in rows}
        if not found:
            raise ValueError("There is no run to draw.")
        return [*found.values()]


def _is_one(key: str) -> bool:
    """Tell whether a column has a value of a run, rather than another statistic of a metric."""
    return not key.startswith(_METRIC) or key.endswith(_LAST)


def _unknown(what: str, name: str, known: Sequence[str], none: str = "No run") -> ValueError:
    """Return the error for a name that none of the runs has, with the nearest names and those there are."""
    from difflib import get_close_matches

    ends = {one.partition(".")[2] or one: one for one in known}
    near = [ends.get(one, one) for one in get_close_matches(name, [*known, *ends])]
    hint = f" Did you mean {' or '.join(map(repr, dict.fromkeys(near)))}?" if near else ""
    error = ValueError(f"{none} has the {what} {name!r}.{hint}")
    error.add_note(
        f"There {'are' if len(known) > 1 else 'is'} {_words.first(known, _NAMED)}."
        if known
        else f"{none} has any {what}."
    )
    return error


# ------------------------------------------------------------------------------------------------------------- the answer


def _left_out(chart: Chart) -> list[str]:
    """Return a line that says what is not drawn, and why."""
    if not chart.left_out:
        return []
    what = "point" if not chart.marked else "run"
    told = [f"{_words.counted(count, what)} with {reason}" for reason, count in chart.left_out.items()]
    return [f"Left out: {', '.join(told)}."]


def _look(chart: Chart, logx: bool, logy: bool) -> Look:
    from molexp_cli._drawing import Look

    width = width_of_terminal() if on_terminal() else int(os.environ.get("COLUMNS") or _WIDTH)
    height = min(height_of_terminal() - _BEYOND, round(width * _SHAPE)) if on_terminal() else round(width * _SHAPE)
    try:
        "⣿●│".encode(sys.stdout.encoding or "utf-8")
        is_ascii = False
    except UnicodeEncodeError:
        is_ascii = True
    return Look(width, height, logx and not chart.categories, logy, is_ascii)


def _draw(chart: Chart, look: Look, notes: Sequence[str]) -> None:
    from molexp_cli._drawing import draw
    from molexp_cli._output import styled

    drawn = draw(chart, look)
    if on_terminal():
        write_drawn(styled(drawn))
        if notes:
            write_drawn(faint("\n".join(notes)))
        return
    write_drawn(f"{drawn.plain}\n")
    for note in notes:
        say(note)


def _check_picture(path: Path, form: Format) -> None:
    from molexp_cli._pictures import PICTURES

    if form is not Format.TABLE:
        raise typer.BadParameter(f"-o writes a picture, and --output {form} prints the points; give one of them.")
    if path.suffix.lower() not in PICTURES:
        raise typer.BadParameter(
            f"{str(path)!r} does not end in {', '.join(PICTURES[:-1])} or {PICTURES[-1]}. For the points, use --output csv.",
            param_hint="-o",
        )
    if not path.parent.is_dir():
        raise typer.BadParameter(f"There is no folder {str(path.parent)!r}.", param_hint="-o")


def _save(chart: Chart, path: Path, look: Look, notes: Sequence[str]) -> None:
    from molexp_cli._pictures import save

    try:
        save(chart, path, look, notes)
    except ModuleNotFoundError as error:
        if error.name != "matplotlib":
            raise
        raise ValueError(str(error)) from error
    for note in notes:
        say(note)
    say(f"Wrote {path}")
