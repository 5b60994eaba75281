"""The events of one writer of one attempt: appended lines, or segments where nothing can be appended."""

from __future__ import annotations

import threading
from typing import Any

from molexp._values.documents import encode_line
from molexp.contracts import Appender, Store


class EventFile:
    """One file of lines, kept open by its only writer. Every event that `write` returned from survives ``kill -9``."""

    def __init__(self, store: Store, key: str, claim: bytes) -> None:
        self._key = key
        self._size = len(claim)
        self._appender: Appender | None = store.open_append(key, exclusive=True, first=claim)

    def write(self, event: dict[str, Any]) -> None:
        """Record an event."""
        line = encode_line(event)
        assert self._appender is not None, "closed"
        self._appender.write(line)
        self._size += len(line)

    def flush(self) -> None:
        """Nothing to do: every event is written as it comes."""

    def close(self) -> None:
        """Close the file; other hosts see its end from now on."""
        if self._appender is not None:
            self._appender.close()
            self._appender = None

    def folded(self) -> dict[str, int]:
        """What an end says that it folded of this writer: the file's name and length in bytes."""
        return {self._key.rpartition("/")[2]: self._size}


class EventSegments:
    """Immutable segments of lines, for stores without append; `flush` creates one."""

    def __init__(self, store: Store, key: str, claim: bytes, folder: str, writer: str) -> None:
        store.create(key, claim)
        self._store = store
        self._folder = folder
        self._writer = writer
        self._count = 0
        self._lines: list[bytes] = []

    def write(self, event: dict[str, Any]) -> None:
        """Record an event; it reaches the store with the next `flush`."""
        self._lines.append(encode_line(event))

    def flush(self) -> None:
        """Create a segment of what was recorded since the last one."""
        if self._lines:
            data = b"".join(self._lines)
            self._store.create(self._key(self._count), data)
            self._count += 1
            self._lines.clear()

    def close(self) -> None:
        """Flush."""
        self.flush()

    def folded(self) -> dict[str, int]:
        """What an end says that it folded of this writer: its name and number of segments."""
        return {f"{self._folder.rpartition('/')[2]}/{self._writer}": self._count} if self._count else {}

    def _key(self, number: int) -> str:
        return f"{self._folder}/{self._writer}-{number:06d}.jsonl"


class EventLog:
    """A coordinator's events, thread-safe, in whichever form the store can hold. Making one claims the attempt.

    Raises:
        KeyExistsError: the attempt was claimed by somebody else.
    """

    def __init__(self, store: Store, key: str, claim: bytes, writer: str) -> None:
        self._lock = threading.Lock()
        self._sink: EventFile | EventSegments
        if "append" in store.capabilities:
            self._sink = EventFile(store, key, claim)
        else:
            self._sink = EventSegments(store, key, claim, f"{key.removesuffix('.jsonl')}.s", writer)

    def write(self, event: dict[str, Any]) -> None:
        """Record an event."""
        with self._lock:
            self._sink.write(event)

    def flush(self) -> None:
        """What was recorded reaches the store."""
        with self._lock:
            self._sink.flush()

    def close(self) -> dict[str, int]:
        """Flush and close; returns what an end says that it folded."""
        with self._lock:
            self._sink.close()
            return self._sink.folded()
