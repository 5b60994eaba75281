"""A store as a process sees it whose writers have a spool: what waits there is read from there."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from molexp._storage.wrapper import WrappedStore
from molexp.contracts import Stat, Store
from molexp.contracts._copying import copy_stream
from molexp.errors import KeyNotFoundError

if TYPE_CHECKING:
    from molexp._storage.spool.outbox import Outbox


class SpooledStore(WrappedStore):
    """A store to this process: what waits in a spool is read from there."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.waiting: dict[str, Path] = {}
        self.outboxes: weakref.WeakSet[Outbox] = weakref.WeakSet()

    @property
    def beneath(self) -> Store:
        """The store that others see."""
        return self._store

    def read(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        """Return the bytes under `key`, also while they wait."""
        if (path := self.waiting.get(key)) is not None:
            with suppress(FileNotFoundError), path.open("rb") as file:  # it may have arrived this instant
                file.seek(start)
                return file.read() if length is None else file.read(length)
        return self._store.read(key, start, length)

    def open_read(self, key: str) -> IO[bytes]:
        """Open `key` as a binary stream, also while it waits."""
        if (path := self.waiting.get(key)) is not None:
            with suppress(FileNotFoundError):
                return path.open("rb")
        return self._store.open_read(key)

    def list(self, prefix: str = "") -> Iterator[Stat]:
        """List what is there, or will be."""
        below = f"{prefix}/" if prefix else ""
        waiting = sorted(key for key in [*self.waiting] if key.startswith(below))
        if not waiting:
            return self._store.list(prefix)
        found = {stat.key: stat for stat in self._store.list(prefix)}
        for key in waiting:
            with suppress(KeyNotFoundError):
                found[key] = self.stat(key)
        return iter([found[key] for key in sorted(found)])

    def get_file(self, key: str, path: Path, *, progress: Callable[[int], Any] | None = None) -> None:
        """Copy `key` to a local file, also while it waits."""
        if (source := self.waiting.get(key)) is not None:
            with suppress(FileNotFoundError):
                with source.open("rb") as file, path.open("wb") as sink:
                    copy_stream(file, sink, progress=progress)
                return
        self._store.get_file(key, path, progress=progress)

    def stat(self, key: str) -> Stat:
        """Describe a key as the store will, once it is there; it has another version then."""
        if (path := self.waiting.get(key)) is not None:
            with suppress(FileNotFoundError):
                found = path.stat()
                return Stat(key, found.st_size, f"waiting-{found.st_mtime_ns}", found.st_mtime)
        return self._store.stat(key)

    def path(self, key: str) -> Any:
        """Return the location in the store; what waits is sent there first, because others cannot read it.

        Raises:
            StoreError: it could not be brought there, for now.
        """
        if key in self.waiting:
            for outbox in [*self.outboxes]:
                outbox.bring(key)
        return self._store.path(key)

    def exists(self, key: str) -> bool:
        """Tell whether it is there, or will be."""
        return key in self.waiting or self._store.exists(key)
