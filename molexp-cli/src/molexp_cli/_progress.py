"""Progress of runs on standard error: a line for each active run on a terminal, few plain lines elsewhere."""

from __future__ import annotations

import os
import sys
import textwrap
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from molexp_cli._output import drawable, printable, say, wrapped
from molexp_cli._words import cut, duration, settings

if TYPE_CHECKING:
    from molexp.scripts import Event

_FEW = 20  # runs of an experiment of which each is told in plain lines
_SELDOM = 30.0  # seconds between plain lines that count the runs of a larger one
_BESIDE = 46  # characters beside the name of an active run
_GOOD = ("succeeded", "skipped")


@contextmanager
def progress() -> Iterator[Callable[[Event], None]]:
    """Yield a function to call with each event of a script's runs."""
    if not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        yield _Plain().tell
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True, no_color=bool(os.environ.get("NO_COLOR")) or None, highlight=False, emoji=False)
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=16),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[now]}", markup=False),
    )
    # Output of tasks goes above the bars, unless it is redirected to a file or another program.
    aside = sys.stdout.isatty()
    with Progress(*columns, console=console, transient=True, redirect_stdout=aside) as drawn:
        yield _Live(drawn).tell


class _Count:
    """Count the runs of an experiment by how they ended."""

    def __init__(self, event: Event) -> None:
        self.path = printable(event.path)
        self.runs = event.runs
        self.ended: Counter[str] = Counter()
        self._queued: set[str] = set()
        self._left: set[str] = set()
        self.is_whole = False  # every run has been told of, or has ended
        self._began = time.monotonic()

    def take(self, event: Event) -> bool:
        """Count an event of a run; tell whether the counts are others now."""
        before = len(self._queued)
        waited = event.path in self._left  # until now, when somebody else has ended it
        if event.what == "ended" and event.status == "left":
            self._left.add(event.path)
        elif event.what == "ended":
            self._left.discard(event.path)
            self.ended[event.status] += 1
        self.is_whole = self.done + (0 if waited else len(self._left)) == self.runs
        if event.what == "queued":
            self._queued.add(event.path)
        else:
            self._queued.discard(event.path)
        return event.what == "ended" or before != len(self._queued)

    @property
    def done(self) -> int:
        """The number of runs that have ended."""
        return self.ended.total()

    def tells(self, event: Event) -> bool:
        """Tell whether an event stands in a line of its own: not each run of many that others have."""
        return event.status != "left" or self.runs <= _FEW

    def now(self) -> str:
        """Return what went wrong, was skipped or waits, and how long the rest will take: "2 failed, about 3 min left"."""
        told = [f"{number} {status}" for status, number in self.ended.items() if status != "succeeded"]
        told += [f"{len(self._queued)} queued"] if self._queued else []
        told += [f"{len(self._left)} left to others"] if self._left else []
        executed, left = self.done - self.ended["skipped"], self.runs - self.done - len(self._left)
        if executed and left:
            told.append(f"about {duration((time.monotonic() - self._began) / executed * left)} left")
        return ", ".join(told)


class _Plain:
    """One line for each event of a small experiment; of a large one, failures, and how far it is."""

    def __init__(self) -> None:
        self._count: _Count | None = None
        self._told = time.monotonic()

    def tell(self, event: Event) -> None:
        """Print a line for an event that a reader of a log wants to see."""
        if event.what == "experiment":
            self._count, self._told = _Count(event), time.monotonic()
        count = self._count
        if count is not None:
            count.take(event)
        if (
            count is None
            or count.runs <= _FEW
            or event.what == "held"
            or event.status not in ("", "left", *_GOOD, "reused")
        ):
            if line := _line(event):
                say(line)
        elif event.what == "ended" and (count.is_whole or time.monotonic() - self._told > _SELDOM):
            self._told = time.monotonic()
            say(f"{count.path}: {count.done} of {count.runs} runs ended{': ' if (now := count.now()) else ''}{now}")


def _line(event: Event) -> str:
    return printable(_described(event)).replace("\n", "\\n")


def _described(event: Event) -> str:
    after = f": {event.reason.partition(chr(10))[0]}" if event.reason else ""
    path = f"{event.path} ({settings(event.parameters)})" if event.parameters else event.path
    match event.what:
        case "started":
            return f"{path} started ({event.reason})" if event.reason else f"{path} started"
        case "queued":
            return f"{path} queued{after}"
        case "ended":
            took = f" in {duration(event.seconds)}" if event.seconds else ""
            return f"{path} {event.status}{took}{after}"
        case "task" if event.status in ("failed", "skipped", "cancelled") or (event.status and event.reason):
            return f"{path} task {event.task} {event.status}{after}"
        case "held":
            return f"{event.path} not begun{after}"
    return ""


class _Live:
    """A line for each active run below one for all, and above them a line for each run that did not succeed."""

    def __init__(self, drawn: Any) -> None:
        self._drawn = drawn
        self._bars: dict[str, Any] = {}
        self._tasks: dict[str, list[str]] = {}
        self._count: _Count | None = None
        self._all: Any = None

    def tell(self, event: Event) -> None:
        """Show an event."""
        if event.what == "experiment":
            self._count = _Count(event)
            self._all = self._drawn.add_task(self._fitting(self._count.path), total=event.runs, now="")
        elif event.what == "started":
            self._tasks[event.path] = []
            name = settings(event.parameters) or event.path.rpartition("/")[2]
            self._bars[event.path] = self._drawn.add_task(
                f"  {self._fitting(printable(name))}", total=event.tasks, now=""
            )
        elif event.what == "task" and event.path in self._bars:
            self._task(event)
        elif event.what in ("queued", "ended", "held"):
            self._end(event)
        if event.what != "experiment" and self._count is not None and self._count.take(event):
            self._drawn.update(self._all, completed=self._count.done, now=self._count.now())

    def _end(self, event: Event) -> None:
        if (bar := self._bars.pop(event.path, None)) is not None:
            self._drawn.remove_task(bar)
        is_told = event.what != "queued" and event.status not in _GOOD
        if is_told and (self._count is None or self._count.tells(event)):
            self._print(_line(event))

    def _task(self, event: Event) -> None:
        now = self._tasks[event.path]
        if not event.status:
            now.append(event.task)
        elif event.task in now:
            now.remove(event.task)
        if event.status and event.reason and event.status not in ("failed", "cancelled", "reused"):
            self._print(_line(event))
        self._drawn.update(
            self._bars[event.path], advance=1 if event.status else 0, now=_shortened(printable(", ".join(now)), 16)
        )

    def _fitting(self, name: str) -> str:
        return _shortened(name, max(12, min(40, self._drawn.console.width - _BESIDE)))

    def _print(self, text: str) -> None:
        """Print a line above the bars, broken at blanks."""
        for line in wrapped(text, self._drawn.console.width, "  "):
            self._drawn.console.print(line, markup=False, soft_wrap=True)


def _shortened(text: str, width: int) -> str:
    """Return as many words of a text as fit; of a single long one, its beginning."""
    found = textwrap.shorten(text, width, placeholder=" …") if " " in text else text
    return drawable(cut(text if found.strip() == "…" else found, width))
