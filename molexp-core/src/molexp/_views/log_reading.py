"""Reading logs while they grow: from the beginning, and on with whatever comes until the run has ended."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from molexp._assets.logs import LogReader
from molexp._assets.verification import GONE
from molexp._hierarchy.run import Run
from molexp.contracts import Store
from molexp.errors import KeyNotFoundError, NotFoundError

if TYPE_CHECKING:
    from molexp._hierarchy.experiment import Experiment

_FIRST_LOOK = 0.05  # seconds between looks at logs that rest, growing to _LAST_LOOK
_LAST_LOOK = 1.0
_PIECE = 1 << 20  # bytes that are read at once
_MARK = 64  # bytes before the place where reading goes on: other ones there mean another file
_LONGEST = 1 << 24  # bytes of a line that are waited for


class LogLine(Struct, frozen=True):
    """A line of a log.

    Attributes:
        log: the log's name.
        data: its bytes, with what ends it; the last line of a log may have no end.
        attempt: the attempt that wrote it.

    Example:
        >>> [line.text for line in me.read_logs(run, "relax")]
        ['converged']
    """

    log: str
    data: bytes
    attempt: int = 1

    @property
    def text(self) -> str:
        """The line as text, without what ends it; bytes that are not UTF-8 become the replacement character."""
        return self.data.rstrip(b"\r\n").decode("utf-8", "replace")


def read_logs(
    run: Run,
    name: str | None = None,
    *,
    follow: bool = False,
    attempt: int | None = None,
    lines: bool = True,
    tail: int | None = None,
) -> Iterator[LogLine]:
    """Yield the lines of a run's logs; where several attempts wrote one, those of each attempt, in their order.

    Args:
        run: the run.
        name: a log's name; without one, all logs, one after the other.
        follow: go on with new lines as they come, until the run has ended; also when the log is not there yet, is
            replaced, or another attempt goes on with it.
        attempt: only what this attempt wrote.
        lines: False yields as many lines at a time as are read at once, for programs that only pass them on.
        tail: begin with the last lines of each log, as many; of long logs only the end is read.

    Raises:
        NotFoundError: there is no such log (with `follow`: and the run has ended without one); or no such run.
        KeyNotFoundError: the bytes of a log are gone; the others were read before.

    Example:
        >>> for line in me.read_logs(run, "relax"):
        ...     print(line.attempt, line.text)
        1 converged
    """
    for piece in _pieces(run, name, follow, attempt, tail):
        if isinstance(piece, float):
            threading.Event().wait(piece)  # nobody can tell us when a file grows on every storage
        elif lines:
            yield from _lines(piece)
        else:
            yield piece


def follow_logs(
    experiment: Experiment, name: str | None = None, *, tail: int | None = None
) -> Iterator[tuple[Run, LogLine]]:
    """Yield new lines of the logs of an experiment's runs as they come, each with its run, until no run goes on.

    Runs that begin meanwhile are followed, too.

    Args:
        experiment: the experiment.
        name: a log's name; without one, all logs.
        tail: begin with the last lines of each log, as many, instead of all.

    Example:
        >>> [line.text for _, line in me.follow_logs(exp, "relax")]  # no run goes on
        []
    """
    following: dict[str, tuple[Run, Iterator[LogLine | float]]] = {}
    catalog = experiment.project.workspace.catalog
    while True:
        for row in catalog.runs(experiment=experiment.path, status="running"):
            if row.path not in following:
                run = experiment.run(row.id)
                following[row.path] = run, _pieces(run, name, True, None, tail)
        if not following:
            return
        pause = _LAST_LOOK
        for path, (run, pieces) in [*following.items()]:
            try:
                for piece in pieces:
                    if isinstance(piece, float):
                        pause = min(pause, piece)
                        break
                    yield from ((run, line) for line in _lines(piece))
                else:
                    del following[path]
            except NotFoundError:  # it ended without such a log, or was deleted
                del following[path]
        threading.Event().wait(pause if following else 0.0)


def _lines(piece: LogLine) -> Iterator[LogLine]:
    for line in piece.data.splitlines(keepends=True):  # "\r" ends a line as well: progress bars
        yield LogLine(piece.log, line, piece.attempt)


def _pieces(
    run: Run, name: str | None, follow: bool, attempt: int | None, tail: int | None = None
) -> Iterator[LogLine | float]:
    """Yield whole lines, as many at a time as are read at once, and the seconds to wait before the next look.

    The last line of a log may have no end.
    """
    tails: dict[str, _Tail] = {}
    pause = _FIRST_LOOK
    while True:
        ended = not follow or run.status.finished  # asked before reading: what is written until then is read
        logs = run.logs
        readers = [logs[name]] if name is not None and (ended or name in logs) else list(logs.values())
        anything = False
        for reader in readers if name is None else [one for one in readers if one.name == name]:
            parts = [part for part in (*reader.earlier, reader) if attempt in (None, part.attempt)]
            for part, offset in zip(parts, _offsets(parts, tail), strict=True):
                end = tails.setdefault(part.key, _Tail(run._session.store, part, offset))
                for piece in end.lines():
                    anything = True
                    yield piece
                if ended or part is not reader:
                    for piece in end.rest():  # the next attempt begins on a line of its own
                        yield piece if part is reader else replace(piece, data=piece.data + b"\n")
        if ended:
            for gone in [one for one in tails.values() if one.gone]:
                raise KeyNotFoundError(gone.key, url=run._session.store.url, hint=GONE)
            return
        pause = _FIRST_LOOK if anything else min(pause * 2, _LAST_LOOK)
        tail = None
        yield pause


def _offsets(parts: Sequence[LogReader], tail: int | None) -> list[int]:
    """Return where to begin in each attempt's part of a log so that its last lines are read."""
    found = [0] * len(parts)
    if tail is not None:
        for number in range(len(parts) - 1, -1, -1):
            found[number], data = parts[number].end(tail)
            tail -= len(data.splitlines())
    return found


class _Tail:
    """The position up to which one log was read."""

    def __init__(self, store: Store, reader: LogReader, offset: int = 0) -> None:
        self.name = reader.name
        self.key = reader.key
        self._attempt = reader.attempt
        self.gone: bool = False
        self._size = reader.size
        self._store = store
        self._offset = offset
        self._mark = b""
        self._open = b""  # the beginning of a line whose end is not there yet

    def lines(self) -> Iterator[LogLine]:
        """Yield the lines that are complete since the last time, many at once."""
        while piece := self._read():
            data = self._open + piece
            end = 1 + max(data.rfind(b"\n"), data.rfind(b"\r", 0, -1))  # a last "\r" may be the first half of "\r\n"
            self._open = data[end:]
            if end:
                yield LogLine(self.name, data[:end], self._attempt)
            if len(self._open) > _LONGEST:
                yield from self.rest()

    def rest(self) -> Iterator[LogLine]:
        """Yield what has no end."""
        if self._open:
            yield LogLine(self.name, self._open, self._attempt)
            self._open = b""

    def _read(self) -> bytes:
        """Return the next piece; from the start if the file is another one than before."""
        try:
            data = self._store.read(self.key, self._offset - len(self._mark), len(self._mark) + _PIECE)
            if not data.startswith(self._mark):
                self._offset, self._mark, self._open = 0, b"", b""
                data = self._store.read(self.key, 0, _PIECE)
        except KeyNotFoundError:
            self._offset, self._mark = 0, b""  # if it comes back, it is another one
            self.gone = self._size > 0
            return b""
        self.gone = False
        piece = data[len(self._mark) :]
        self._offset += len(piece)
        self._mark = data[-_MARK:]
        return piece
