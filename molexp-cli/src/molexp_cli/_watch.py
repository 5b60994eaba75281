"""``molexp watch``: a live table of the runs that go on."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Protocol

import typer

from molexp_cli import _words
from molexp_cli._failing import FAILED
from molexp_cli._listing import Column, columns_of, fitting, grid_of, left_out, of_each_status
from molexp_cli._options import WorkspaceOption, located
from molexp_cli._output import (
    faint,
    height_of_terminal,
    on_terminal,
    printable,
    say,
    tell_unreadable,
    terminal,
    width_of_terminal,
    write,
)
from molexp_cli._watching import Live, Look, Watcher

if TYPE_CHECKING:
    import molexp

_NEAR, _FAR = 1.0, 5.0  # seconds between looks at files, and at a workspace elsewhere
_BELOW = 4  # lines of the terminal below the table
_UNHEARD = 60.0  # seconds from which silence is worth a word
_TRIES = 3  # looks in a row that may fail before it is said


def watch(
    ctx: typer.Context,
    what: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[QUERY | EXPERIMENT | RUN]...",
            show_default=False,
            help="Watch only runs that match a query, runs of an experiment, or these runs.",
        ),
    ] = None,
    interval: Annotated[
        float | None,
        typer.Option(
            "--interval",
            metavar="SECONDS",
            min=0.01,
            show_default=False,
            help="Look so often. By default every second, or every 5 seconds if the workspace is not a folder.",
        ),
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="Look once, and exit.")] = False,
    until_done: Annotated[
        bool,
        typer.Option(
            "--until-done", help="Exit when no run goes on; with 1 if one of those that ended did not succeed."
        ),
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Answer in JSON: an object on a line for each change.")
    ] = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Show the runs that go on: for how long, how many of their tasks are done, their newest metrics, and their silence.

    A terminal has a table that follows the runs, and a line above it for each run that ends. A file or another program gets a
    line whenever a run begins, comes to the end of a task, or ends. With --json there is an object for each change of
    metrics, too. A run is silent while it records nothing: no metric, no line of a log, no end of a task. Runs that nobody
    executes yet are queued.

    Ctrl-C ends it, and no run.

    Examples:
        molexp watch
        molexp watch metals/cu
        molexp watch 'params.a > 3 and tags == "night"'
        molexp watch @latest --until-done && molexp show @latest
        molexp watch --once
        molexp watch --json | jq -r 'select(.event == "ended") | .path'
    """
    try:
        opened = located(ctx, workspace)
        watcher = Watcher(opened, what or [])
        pause = interval if interval is not None else _NEAR if opened.url.startswith("file:") else _FAR
        with _shown(opened, as_json) as shown:
            _follow(watcher, shown, pause, once=once, until_done=until_done)
    except KeyboardInterrupt:
        return
    if until_done and any(status != "succeeded" for status in watcher.ended):
        raise typer.Exit(FAILED)


def _follow(watcher: Watcher, shown: _Shown, pause: float, *, once: bool, until_done: bool) -> None:
    """Look again and again."""
    from molexp.errors import UnavailableError

    began, failures, told = time.monotonic(), 0, False
    while True:
        try:
            look = watcher.look()
        except UnavailableError as error:
            if once:
                raise
            failures += 1
            if failures == _TRIES:
                say(f"{error}\nIt goes on when the storage answers.")
        else:
            failures = 0
            if look.unreadable and not told:
                tell_unreadable(look.unreadable)
                told = True
            shown.show(look, watcher.ended)
            if once or (until_done and not look.running):
                shown.end(look, watcher.ended, time.monotonic() - began)
                return
        threading.Event().wait(pause)  # no storage tells anybody when a file in it grows


class _Shown(Protocol):
    """Shows looks."""

    def show(self, look: Look, ended: Counter[str]) -> None:
        """Show a look; `ended` counts how runs ended meanwhile."""

    def end(self, look: Look, ended: Counter[str], seconds: float) -> None:
        """Show what there is to say at the end."""


@contextmanager
def _shown(opened: molexp.Workspace, as_json: bool) -> Iterator[_Shown]:
    if as_json:
        yield _Json()
    elif not on_terminal():
        yield _Plain()
    else:
        from rich.live import Live as Drawn

        with Drawn(console=terminal(), auto_refresh=False, redirect_stderr=False) as drawn:
            yield _Table(opened, drawn)


# ---------------------------------------------------------------------------------------------------------------- outside


class _Json:
    """An object on a line for each change."""

    def show(self, look: Look, ended: Counter[str]) -> None:
        for event, runs in (("running", look.begun), ("changed", look.changed), ("ended", look.ended)):
            for one in runs:
                self._write(one.record(event))

    def end(self, look: Look, ended: Counter[str], seconds: float) -> None:
        counts = {"running": len(look.running), "queued": look.queued, "ended": dict(ended)}
        self._write({"event": "summary", **counts, "seconds": round(seconds, 1)})

    @staticmethod
    def _write(record: dict[str, Any]) -> None:
        import molexp

        write(molexp.to_json(record), now=True)


class _Plain:
    """A line for each run that begins, comes to the end of a task, or ends."""

    def __init__(self) -> None:
        self._done: dict[str, int] = {}

    def show(self, look: Look, ended: Counter[str]) -> None:
        for one in look.begun:
            write(_line(one, f"running for {_time(one)}" if one.attempt.get("started_at") else "running"), now=True)
        for one in look.changed:
            if one.done != self._done.get(one.path):
                write(_line(one, "running"), now=True)
        for one in look.ended:
            write(_ended(one), now=True)
        self._done = {one.path: one.done for one in look.running}

    def end(self, look: Look, ended: Counter[str], seconds: float) -> None:
        write(_summary(look, ended), now=True)


def _line(one: Live, status: str) -> str:
    """Return a run on one line."""
    parameters = _words.settings(one.row.parameters)
    told = [
        f"{one.path} ({parameters})" if parameters else one.path,
        status,
        f"{one.done}/{one.total} tasks" if one.total else "",
        f"step {one.step}" if one.step is not None else "",
        _words.metrics(one.row.metrics),
    ]
    silent = one.silent or 0.0
    told.append(f"silent for {_words.duration(silent)}" if silent > _UNHEARD else "")
    return printable("  ".join(filter(None, told))).replace("\n", "\\n")


def _ended(one: Live) -> str:
    """Return a run that has ended on one line."""
    took = _time(one)
    reason = str(one.attempt.get("reason") or "").partition("\n")[0]
    status = str(one.row.status) if one.row.status.finished else f"is {one.row.status} again"
    text = f"{one.path} {status}{f' in {took}' if took else ''}{f': {reason}' if reason else ''}"
    results = " ".join(f"{name}={_words.brief(value)}" for name, value in one.row.results.items())
    return printable(f"{text}  {results}" if results and not reason else text).replace("\n", "\\n")


def _time(one: Live) -> str:
    return _words.took(one.attempt.get("started_at"), one.attempt.get("ended_at"))


def _summary(look: Look, ended: Counter[str]) -> str:
    """Return how many runs go on and wait, and how those that ended meanwhile did: "2 running, 5 queued; 3 succeeded"."""
    going = [f"{len(look.running)} running"] if look.running else ["nothing is running"]
    going += [f"{look.queued} queued"] if look.queued else []
    meanwhile = f"; meanwhile {of_each_status(ended)}" if ended else ""
    text = f"{', '.join(going)}{meanwhile}"
    return text[0].upper() + text[1:]


# ------------------------------------------------------------------------------------------------------------- a terminal


class _Table:
    """A table that follows the runs, below a line for each that has ended.

    Args:
        opened: the workspace.
        drawn: the live display of rich.
    """

    def __init__(self, opened: molexp.Workspace, drawn: Any) -> None:
        self._opened, self._drawn = opened, drawn
        self._names: dict[str, str] = {}

    def show(self, look: Look, ended: Counter[str]) -> None:
        from rich.text import Text

        for one in look.ended:
            style = {"succeeded": "green", "failed": "red"}.get(str(one.row.status), "yellow")
            self._drawn.console.print(Text(_ended(one), style=style))
        self._drawn.update(Text.from_ansi(self._table(look, ended, ". Ctrl-C ends this, and no run.")), refresh=True)

    def end(self, look: Look, ended: Counter[str], seconds: float) -> None:
        from rich.text import Text

        self._drawn.update(Text.from_ansi(self._table(look, ended, "")), refresh=True)

    def _table(self, look: Look, ended: Counter[str], hint: str) -> str:
        room = max(1, height_of_terminal() - _BELOW)
        shown = look.running[:room]
        if new := [one.row for one in shown if one.path not in self._names]:
            self._names.update(self._opened.catalog.short_ids(new))
        lines = []
        if shown:
            columns, hidden = fitting(_columns(shown, self._names), shown, width_of_terminal())
            lines.append(grid_of(columns).draw([[column.cell(one) for column in columns] for one in shown]))
            if hidden:
                lines.append(faint(left_out(hidden, "--json has all")))
        more = f"{len(look.running) - len(shown)} more running. " if len(look.running) > len(shown) else ""
        lines.append(faint(f"{more}{_summary(look, ended)}{hint}"))
        return "".join(lines).rstrip("\n")


def _columns(shown: Sequence[Live], names: dict[str, str]) -> list[Column]:
    """Return the columns of the table: those of a list of runs, with what only a run that goes on has."""
    rows = [one.row for one in shown]
    known = columns_of(rows, names, ())
    found = [_of_row(one) for one in known if one.name not in ("status", "created_at", "seconds", "cause", "tags")]
    now = [
        Column("seconds", "TIME", _time, 3, right=True),
        Column("tasks", "TASKS", lambda one: f"{one.done}/{one.total}" if one.total else "", 4, right=True),
        Column("step", "STEP", lambda one: "" if one.step is None else str(one.step), 5, right=True),
        Column("silent", "SILENT", _silence, 6, right=True),
    ]
    at = next((place for place, one in enumerate(found) if one.rank > 1), len(found))
    used = [one for one in now if one.name in ("seconds", "silent") or any(map(one.read, shown))]
    return [*found[:at], *(one for one in used if one.name != "silent"), *found[at:], used[-1]]


def _of_row(column: Column) -> Column:
    """Return a column of a row as one of a run that goes on."""
    read: Callable[[Any], Any] = column.read
    return column._replace(read=partial(_read, read))


def _read(read: Callable[[Any], Any], one: Live) -> Any:
    return read(one.row)


def _silence(one: Live) -> str:
    return "" if one.silent is None or one.silent < 1 else _words.duration(one.silent).replace(".0", "")
