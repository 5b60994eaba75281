"""Reading all bytes, to find those that are no longer what was recorded; interrupted, it goes on where it was."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from molexp._storage.hashing import folder_hash, hash_of
from molexp._storage.progress import Seen

if TYPE_CHECKING:
    from molexp._maintenance.session import MaintenanceSession
    from molexp.contracts import Store

_FLUSH = 2.0  # seconds after which what was read is remembered
_KNOWN_OF = ("", "scrub")


class Scrub:
    """Hashes files. What an interrupted scrub has hashed, the next one does not read again; one that ended, it does.

    Args:
        session: The workspace.
        total: bytes that there are to read, as far as that is known.
        restart: forget what an interrupted one has read.
        progress: told the bytes that were read, or known, so far, and the total.
    """

    def __init__(
        self, session: MaintenanceSession, total: int, *, restart: bool, progress: Callable[[int, int], Any] | None
    ) -> None:
        self.counts: dict[str, int] = {"files": 0, "bytes": 0, "known": 0}
        self._store = session.store
        self._total = total
        self._progress = progress
        self._done = 0
        self._seen = Seen((str(session.workspace.read().get("id")), session.store.url), _KNOWN_OF)
        if restart:
            self._seen.forget()
        self._notes: list[tuple[str, str, str]] = []
        self._flushed = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self._seen.forget()
        else:
            self._seen.note(self._notes)
        self._seen.close()

    def compare(self, key: str, recorded: Any, store: Store | None = None) -> tuple[str, str] | None:
        """Read a file, by a store that may follow a link to it; what it is and what was recorded, where that differs."""
        return _differing(self._hash(key, store or self._store), recorded)

    def compare_folder(self, key: str, recorded: Any) -> tuple[str, str] | None:
        """Check a folder, whose hash is that of an import, in the same way."""
        files = [entry.key for entry in self._store.list(key)]
        found = folder_hash((file.removeprefix(f"{key}/"), self._hash(file, self._store)) for file in files)
        return _differing(found, recorded) if files else None

    def _hash(self, key: str, store: Store) -> str:
        stat = store.stat(key)
        self.counts["files"] += 1
        version, found = self._seen.get(key)
        if version == stat.version:
            self.counts["known"] += 1
            self._told(stat.size)
            return found
        found = hash_of(store, key, progress=self._read)
        self._notes.append((key, stat.version, found))
        if time.monotonic() - self._flushed > _FLUSH:
            self._seen.note(self._notes)
            self._notes = []
            self._flushed = time.monotonic()
        return found

    def _read(self, count: int) -> None:
        self.counts["bytes"] += count
        self._told(count)

    def _told(self, count: int) -> None:
        self._done += count
        if self._progress is not None:
            self._progress(min(self._done, self._total), self._total)


def _differing(found: str, recorded: Any) -> tuple[str, str] | None:
    sort = found.partition(":")[0]
    comparable = isinstance(recorded, str) and recorded.startswith(f"{sort}:")
    return (found, recorded) if comparable and found != recorded else None
