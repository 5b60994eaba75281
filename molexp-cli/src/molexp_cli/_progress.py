"""Progress of runs on standard error: bars on a terminal, one line for each event elsewhere."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from molexp_cli._output import printable, say
from molexp_cli._words import settings

if TYPE_CHECKING:
    from molexp.scripts import Event


@contextmanager
def progress() -> Iterator[Callable[[Event], None]]:
    """Yield a function to call with each event of a script's runs."""
    if not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        yield _tell
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True, no_color=bool(os.environ.get("NO_COLOR")) or None, highlight=False, emoji=False)
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[now]}", markup=False),
    )
    # Output of tasks goes above the bars, unless it is redirected to a file or another program.
    aside = sys.stdout.isatty()
    with Progress(*columns, console=console, transient=True, redirect_stdout=aside) as drawn:
        yield _Live(drawn).tell


def _tell(event: Event) -> None:
    """Print one line for an event that a reader of a log wants to see."""
    if line := _line(event):
        say(line)


def _line(event: Event) -> str:
    return printable(_described(event)).replace("\n", "\\n")


def _described(event: Event) -> str:
    after = f": {event.reason.partition(chr(10))[0]}" if event.reason else ""
    path = f"{event.path} ({settings(event.parameters)})" if event.parameters else event.path
    match event.what:
        case "started":
            return f"{path} started ({event.reason})" if event.reason else f"{path} started"
        case "ended":
            took = f" in {_duration(event.seconds)}" if event.seconds else ""
            return f"{path} {event.status}{took}{after}"
        case "task" if event.status in ("failed", "skipped", "cancelled") or (event.status and event.reason):
            return f"{path} task {event.task} {event.status}{after}"
        case "held":
            return f"{event.path} not begun{after}"
    return ""


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.2g} s" if seconds < 1 else f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


class _Live:
    """A bar for each active run, with lines above for runs that ended and for errors."""

    def __init__(self, drawn: Any) -> None:
        self._drawn = drawn
        self._bars: dict[str, Any] = {}
        self._now: dict[str, list[str]] = {}
        self._all: Any = None

    def tell(self, event: Event) -> None:
        """Show an event."""
        if event.what == "experiment":
            self._all = self._drawn.add_task(printable(event.path), total=event.runs, now="runs")
        elif event.what == "started":
            self._now[event.path] = []
            name = settings(event.parameters) or event.path.rpartition("/")[2]
            self._bars[event.path] = self._drawn.add_task(f"  {printable(name)[:40]}", total=event.tasks, now="")
        elif event.what == "task" and event.path in self._bars:
            self._task(event)
        elif event.what in ("ended", "held"):
            if (bar := self._bars.pop(event.path, None)) is not None:
                self._drawn.remove_task(bar)
            if self._all is not None and event.what == "ended":
                self._drawn.update(self._all, advance=1)
            self._drawn.console.print(_line(event), markup=False)

    def _task(self, event: Event) -> None:
        now = self._now[event.path]
        if not event.status:
            now.append(event.task)
        elif event.task in now:
            now.remove(event.task)
        if line := _line(event):
            self._drawn.console.print(line, markup=False)
        self._drawn.update(self._bars[event.path], advance=1 if event.status else 0, now=printable(" ".join(now[:3])))
