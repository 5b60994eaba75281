"""The events of one writer of one attempt: appended lines, or segments where nothing can be appended."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from molexp._storage import layout
from molexp._storage.layout import claim_key
from molexp._values.documents import encode_line
from molexp.contracts import Appender, Store

if TYPE_CHECKING:
    from molexp._storage.spool.outbox import Outbox


class EventLog(Protocol):
    """A writer's events, in whichever form the store can hold."""

    outbox: Outbox | None

    def write(self, *events: dict[str, Any]) -> None:
        """Record events. One thread at a time does."""

    def flush(self) -> None:
        """Bring everything that was recorded into the store."""

    def seal(self) -> dict[str, int]:
        """Return what an end says that it folded of this writer, once it is closed. Nothing is written afterwards."""

    def check_place(self) -> None:
        """Raise `WorkspaceMovedError` if what was written is not where it was."""

    def close(self, *, late: bool = False) -> None:
        """Bring everything into the store, also what the end repeats, if that is somebody else's."""


class EventFile:
    """One file of lines, kept open by its only writer. Every event that `write` returned from survives ``kill -9``."""

    outbox: Outbox | None = None

    def __init__(self, store: Store, key: str, claim: bytes) -> None:
        self._store = store
        self._key = key
        self._size = len(claim)
        self._torn = False  # part of a line may be there that could not be written
        self._counted = True
        self._appender: Appender | None = store.open_append(key, exclusive=True, first=claim)

    def write(self, *events: dict[str, Any]) -> None:
        """Record events, with one write."""
        line = b"".join(map(encode_line, events))
        assert self._appender is not None, "the attempt records nothing once it has closed this"
        if self._torn:
            line = b"\n" + line
        try:
            self._appender.write(line)
        except BaseException:  # Ctrl-C, too: the line may be there that was not counted
            self._torn, self._counted = True, False
            raise
        self._torn = False
        self._size += len(line)

    def flush(self) -> None:
        """Do nothing: every event is written as it comes."""

    def check_place(self) -> None:
        """Raise if the file does not lie under its key any more.

        Raises:
            WorkspaceMovedError: it does not; what else the attempt recorded would go astray.
        """
        # isinstance() of a protocol takes a microsecond for each name
        if (check := getattr(self._appender, "check_place", None)) is not None:
            check()

    def close(self, *, late: bool = False) -> None:
        """Close the file: nothing is left to be written."""
        if self._appender is not None:
            self._appender.close()
            self._appender = None

    def seal(self) -> dict[str, int]:
        """Close the file; returns what an end says that it folded of this writer: the file's name and length."""
        self.close()
        if not self._counted:
            self._size, self._counted = self._store.stat(self._key).size, True
        return {self._key.rpartition("/")[2]: self._size}


def claim_events(store: Store, path: str, claim: Mapping[str, Any], line: bytes) -> EventLog:
    """Claim an attempt at the run at `path` by creating its events, with the claim, which `line` spells, as the first.

    Raises:
        KeyExistsError: the attempt was claimed by somebody else.
    """
    folder, number = layout.folder(path), claim["attempt"]
    key = claim_key(folder, number)
    if "append" in store.capabilities:
        return EventFile(store, key, line)
    from molexp._storage.spool.writer import EventSegments

    store.create(key, line)
    head = {"run": path, "attempt": number, "owner": claim["owner"], "claim": claim["token"]}
    return EventSegments(store, layout.segments(folder, number), claim["token"], head)
