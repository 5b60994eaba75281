"""The progress of a sweep: one line that is drawn anew on a terminal, and few lines elsewhere."""

from __future__ import annotations

import shutil
import time
from collections import Counter
from typing import TYPE_CHECKING, Self, TextIO

if TYPE_CHECKING:
    from types import TracebackType

    from molexp._workflow.plans import Event, Summary

_RARELY = 30.0  # seconds between two lines where there is no terminal
_SHOWN = 5  # failures that are told while others go on
_CLEAR = "\r\x1b[2K"


class SweepProgress:
    """Tells people how far a sweep is.

    Args:
        stream: the stream to write to; None: to none.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream
        self._draws = stream is not None and not stream.closed and stream.isatty()
        self._path = ""
        self._total = 0
        self._ended: Counter[str] = Counter()
        self._active: set[str] = set()
        self._queued: set[str] = set()
        self._began = self._told = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._draws = False

    def __call__(self, event: Event) -> None:
        """Take in what has happened."""
        if event.what == "experiment":
            self._path, self._total = event.path, event.runs
        elif event.what == "queued":
            self._active.discard(event.path)
            self._queued.add(event.path)
        elif event.what == "started":
            self._active.add(event.path)
            self._queued.discard(event.path)
        elif event.what == "ended":
            self._active.discard(event.path)
            self._queued.discard(event.path)
            self._ended[event.status] += 1
            if event.status not in ("succeeded", "skipped"):
                self._tell_failure(event)
        self._update()

    def conclude(self, summary: Summary) -> None:
        """Tell what became of all of it."""
        counts = Counter(summary.ended.values())
        counts["skipped"] = len(summary.skipped)
        counts["left to others"] = len(summary.left)
        counts["not started"] = len(summary.unstarted)
        counts["not begun"] = len(summary.waiting)
        said = ", ".join(f"{number} {what}" for what, number in counts.items() if number)
        self._write(f"{self._path}: {said or 'no runs'}")
        if summary.changed:
            self._write(f"{len(summary.changed)} of those that were skipped succeeded with other code, or may have")

    def _tell_failure(self, event: Event) -> None:
        told = sum(number for status, number in self._ended.items() if status not in ("succeeded", "skipped"))
        if told <= _SHOWN:
            given = ", ".join(f"{name}={value}" for name, value in event.parameters.items())
            reason = event.reason.partition("\n")[0]
            self._write(
                f"{event.path} ({given}) {event.status}: {reason}"
                if given
                else f"{event.path} {event.status}: {reason}"
            )
        elif told == _SHOWN + 1:
            self._write("further failures are told at the end")

    def _update(self) -> None:
        if self._draws:
            width = shutil.get_terminal_size().columns - 1
            self._put(f"{_CLEAR}{_printable(self._line())[:width]}")
        elif time.monotonic() - self._told >= _RARELY:
            self._write(self._line())

    def _line(self) -> str:
        done = self._ended.total()
        failed = done - self._ended["succeeded"] - self._ended["skipped"]
        parts = [f"{self._path}: {done} of {self._total} runs"]
        parts += [f"{failed} failed"] if failed else []
        parts += [f"{len(self._active)} running"] if self._active else []
        parts += [f"{len(self._queued)} queued"] if self._queued else []
        executed = done - self._ended["skipped"]
        if executed and done < self._total:
            left = (time.monotonic() - self._began) / executed * (self._total - done)
            parts.append(f"about {_duration(left)} left")
        return ", ".join(parts)

    def _write(self, line: str) -> None:
        self._told = time.monotonic()
        self._put(f"{_CLEAR if self._draws else ''}{_printable(line)}\n")

    def _put(self, text: str) -> None:
        if self._stream is not None:
            try:
                self._stream.write(text)
                self._stream.flush()
            except (OSError, ValueError):  # nobody reads it any more, which is no reason to stop
                self._stream = None


def _printable(text: str) -> str:
    """Return text without what moves the cursor or rings the bell: a reason may have anything in it."""
    return "".join(sign if sign.isprintable() else "?" for sign in text)


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
