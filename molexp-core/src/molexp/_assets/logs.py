"""The logs of a run, for whoever reads them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NoReturn

from molexp._assets.builtin_kinds import LogKind, in_order
from molexp._values.documents import count
from molexp._values.ids import nearest
from molexp.contracts import Store
from molexp.errors import KeyNotFoundError, NotFoundError

_WRITING = ("append", "write", "writelines")
_TAIL = 1 << 14  # bytes of the end of a log that are read first
_LONGEST_TAIL = 1 << 26


class LogReader:
    """A log of a run that anybody reads, ``run.logs["train"]``; iterating over it yields its lines.

    It is what all attempts wrote, in their order; `earlier` has what each of them did, and `own` the newest.

    Attributes:
        name: the log's name.
        key: its key in the workspace; of several attempts, the newest one's.
        size: the number of bytes on record there, once it is complete; 0 before.
        attempt: the attempt that wrote it; of several, the newest.
        earlier: the same log of earlier attempts, oldest first.

    Example:
        >>> run.logs["relax"].tail(1)
        ['converged']
    """

    def __init__(
        self,
        store: Store,
        name: str,
        key: str,
        size: int = 0,
        *,
        attempt: int = 1,
        earlier: tuple[LogReader, ...] = (),
    ) -> None:
        self.name = name
        self.key = key
        self.size: int = size
        self.attempt: int = attempt
        self.earlier: tuple[LogReader, ...] = earlier
        self._store = store

    @property
    def own(self) -> LogReader:
        """Return what the newest attempt wrote, without the earlier ones."""
        return LogReader(self._store, self.name, self.key, self.size, attempt=self.attempt)

    def text(self) -> str:
        """Return all of it, as far as it is written; `KeyNotFoundError` if what is on record is gone."""
        return in_order([*(one.text() for one in self.earlier), self._own_text()])

    def _own_text(self) -> str:
        try:
            data = self._store.read(self.key)
            return data[: self.size or None].decode("utf-8", "replace")  # bytes that came after the end are late
        except KeyNotFoundError:
            if self.size:
                raise
            return ""

    def tail(self, n: int = 10) -> list[str]:
        """Return the last `n` lines; only the end of the log is read for them. See `text` for what is gone."""
        lines: list[str] = []
        for part in (self, *reversed(self.earlier)):
            if (wanted := n - len(lines)) > 0:
                own = part.end(wanted)[1].decode("utf-8", "replace").splitlines()
                lines = [*own[-wanted:], *lines]
        return lines

    def end(self, n: int) -> tuple[int, bytes]:
        """Return the bytes of the newest attempt's last `n` lines at least, and where they begin.

        They are read in pieces of the end, which grow until they have as many lines, or 64 MiB: a log without ends of lines
        may be larger than the memory.
        """
        try:
            size = self.size or self._store.stat(self.key).size
            start, span = size, _TAIL
            while start > 0 and n > 0:
                start, span = max(0, size - span), span * 4
                data = self._store.read(self.key, start, size - start)
                whole = data.partition(b"\n")[2] if start and b"\n" in data else data  # it may begin within a line
                if start == 0 or whole.count(b"\n") >= n or span > _LONGEST_TAIL:
                    lines = b"".join(whole.splitlines(keepends=True)[-n:])
                    return size - len(lines), lines
            return size, b""
        except KeyNotFoundError:
            if self.size:
                raise
        return 0, b""

    def __iter__(self) -> Iterator[str]:
        return iter(self.text().splitlines())

    def __repr__(self) -> str:
        return f"<log {self.name!r}>"

    if not TYPE_CHECKING:  # to a type checker it would make every misspelt name one of unknown type

        def __getattr__(self, name: str) -> NoReturn:
            how = ": it is written in the run's context, by ctx.log(NAME)" if name in _WRITING else ""
            raise AttributeError(f"A log of a run has no {name!r}{how}.", name=name, obj=self)


class Logs(Mapping[str, LogReader]):
    """The logs of a run, ``run.logs``, by name; where several attempts wrote one, it goes on from each to the next.

    Example:
        >>> run.logs["relax"].text().split()
        ['converged']
    """

    def __init__(self, store: Store, records: list[dict[str, Any]]) -> None:
        self._readers: dict[str, LogReader] = {}
        for record in records:
            if record.get("kind") == LogKind.name:
                name, producer = str(record.get("name")), record.get("producer")
                number = count(producer.get("attempt"), 1) if isinstance(producer, dict) else 1
                before = self._readers.get(name)
                self._readers[name] = LogReader(
                    store,
                    name,
                    str(record.get("key")),
                    count(record.get("size")),
                    attempt=number,
                    earlier=(*before.earlier, before.own) if before is not None else (),
                )
        self._others = {str(record.get("name")): record.get("kind") for record in records}

    def __repr__(self) -> str:
        return f"<logs: {', '.join(self) or 'none'}>"

    def __getitem__(self, name: str) -> LogReader:
        if name not in self._readers:
            kind = self._others.get(name)
            hint = (
                f"It is an asset of kind {kind!r}: run.asset({name!r}), or `molexp assets get RUN:{name} -`."
                if kind
                else ""
            )
            raise NotFoundError("log", name, nearest=nearest(name, self._readers), hint=hint)
        return self._readers[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._readers)

    def __len__(self) -> int:
        return len(self._readers)
