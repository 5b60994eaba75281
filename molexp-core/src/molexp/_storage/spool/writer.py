"""A writer's side of the spool: its events as segments, its payloads on their way."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from molexp._storage.layout import segment_key
from molexp._storage.spool.files import Spool
from molexp._storage.spool.outbox import Outbox
from molexp._storage.spool.spooled_store import SpooledStore
from molexp._values.documents import encode_line
from molexp.contracts import Store


class EventSegments:
    """Immutable segments of lines, for stores without append; `flush` creates one.

    Every event that `write` returned from survives ``kill -9`` in the spool, from which later processes of this machine
    make the segments that are missing.

    Args:
        store: the workspace's.
        folder: the folder of the segments.
        writer: the writer's token.
        head: facts about the writer, for the spool.
    """

    def __init__(self, store: Store, folder: str, writer: str, head: Mapping[str, Any]) -> None:
        self._store = store
        self._folder = folder
        self._writer = writer
        self._count = 0  # of segments that are in the store
        self._lines: list[bytes] = []
        self._spare = False  # True if the end makes segments superfluous
        self._unsent: bytes | None = None  # the next segment, which may be in the store or not
        self._adding = threading.Lock()  # held for no longer than it takes to write a line here
        self._sending = threading.RLock()
        self.spool: Spool | None = None
        self.outbox: Outbox | None = None
        if isinstance(store, SpooledStore):
            self.spool = Spool(store.url, writer, {"writer": writer, "segments": folder, **head})
            self.outbox = Outbox(store, self.spool)

    def write(self, *events: dict[str, Any]) -> None:
        """Record events; they reach the store with the next `flush`."""
        lines = [*map(encode_line, events)]
        with self._adding:
            for line in lines:
                if self.spool is not None:
                    self.spool.event(line)
                self._lines.append(line)

    def flush(self) -> None:
        """Send everything that was recorded to the store: the payloads, then a segment of what names them."""
        with self._sending:
            if not self._spare:  # else the end is about to say it
                self._flush()

    def _flush(self) -> None:
        self._cut()
        self._settle()
        self._send()

    def _settle(self) -> None:
        """Send the payloads to the store."""
        if self.outbox is not None:
            self.outbox.settle()

    def seal(self) -> dict[str, int]:
        """Return what an end says that it folded of this writer: its name and how many segments there are once it is closed.

        Where none was needed so far, none is made: the end repeats what the events say (decision 4).
        """
        with self._sending:
            self._spare = not self._count and self._unsent is None
            if not self._spare:
                self._cut()
            count = self._count + (self._unsent is not None)
        return {f"{self._folder.rpartition('/')[2]}/{self._writer}": count} if count else {}

    def check_place(self) -> None:
        """Do nothing: every request looks at the store."""

    def close(self, *, late: bool = False) -> None:
        """Flush, and give up the spool.

        Args:
            late: the end is somebody else's, and does not repeat what was recorded here.
        """
        with self._sending:
            if self._spare and not late:
                self._settle()
            else:
                self._flush()
        if self.outbox is not None and self.spool is not None:
            self.outbox.close()
            self.spool.remove()

    def _cut(self) -> None:
        """Begin a segment with what was recorded since the last one, unless there is one that was not sent yet."""
        with self._adding:
            if self._unsent is None and self._lines:
                if self.spool is not None:
                    self.spool.note("S", {"lines": len(self._lines)})
                self._unsent = b"".join(self._lines)
                self._lines.clear()

    def _send(self) -> None:
        if self._unsent is not None:
            self._store.create(segment_key(f"{self._folder}/{self._writer}", self._count), self._unsent)
            self._count += 1
            self._unsent = None
