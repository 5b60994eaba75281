"""A store that passes everything on to another one; a subclass overrides the methods that it changes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import IO, TYPE_CHECKING, Any, Self, TypeVar

from molexp.contracts import Appender, Listing, StagedFile, Stat, Store, StreamWriter
from molexp.errors import StoreError

if TYPE_CHECKING:
    from pathlib import Path

_T = TypeVar("_T")
_Item = TypeVar("_Item")


class WrappedStore(Store):
    """A store that does what the store in it does; `Store` documents the methods."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.url = store.url
        self.capabilities = store.capabilities
        self.slow = store.slow
        self.late_effects = store.late_effects
        self.lease_beat = store.lease_beat
        self.lease_ttl = store.lease_ttl
        self.durability = store.durability

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._store,)

    @classmethod
    def open(cls, url: str, options: Mapping[str, Any]) -> Self:
        """Refuse: a wrapper is made of a store that is open."""
        raise TypeError(f"{cls.__name__} wraps another store; open that.")

    def close(self) -> None:
        self._store.close()

    def each(self, operation: Callable[[_Item], _T], items: Iterable[_Item]) -> list[_T]:
        return self._store.each(operation, items)

    def read(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        return self._store.read(key, start, length)

    def read_many(self, keys: Sequence[str]) -> list[bytes | StoreError]:
        return self._store.read_many(keys)

    def write(self, key: str, data: bytes) -> None:
        self._store.write(key, data)

    def create(self, key: str, data: bytes) -> None:
        self._store.create(key, data)

    def stat(self, key: str) -> Stat:
        return self._store.stat(key)

    def exists(self, key: str) -> bool:
        return self._store.exists(key)

    def delete(self, key: str) -> None:
        self._store.delete(key)

    def list(self, prefix: str = "") -> Iterator[Stat]:
        return self._store.list(prefix)

    def children(self, prefix: str = "") -> Listing:
        return self._store.children(prefix)

    def open_read(self, key: str) -> IO[bytes]:
        return self._store.open_read(key)

    def open_write(self, key: str, *, exclusive: bool = False) -> StreamWriter:
        return self._store.open_write(key, exclusive=exclusive)

    def stage(self, key: str) -> StagedFile:
        return self._store.stage(key)

    def put_file(
        self, path: Path, key: str, *, exclusive: bool = False, progress: Callable[[int], Any] | None = None
    ) -> None:
        self._store.put_file(path, key, exclusive=exclusive, progress=progress)

    def get_file(self, key: str, path: Path, *, progress: Callable[[int], Any] | None = None) -> None:
        self._store.get_file(key, path, progress=progress)

    def locate(self, key: str) -> str:
        return self._store.locate(key)

    def path(self, key: str) -> Any:
        return self._store.path(key)

    def sync(self, keys: Iterable[str], *, content: bool = True, names: bool = True) -> None:
        self._store.sync(keys, content=content, names=names)

    def prune(self, prefix: str = "") -> None:
        self._store.prune(prefix)

    def leftovers(self, older_than: float) -> Iterable[str]:
        return self._store.leftovers(older_than)

    def remove_leftovers(self, older_than: float) -> int:
        return self._store.remove_leftovers(older_than)

    def append(self, key: str, data: bytes) -> None:
        self._store.append(key, data)

    def open_append(self, key: str, *, exclusive: bool = False, first: bytes = b"") -> Appender:
        return self._store.open_append(key, exclusive=exclusive, first=first)

    def rename(self, key: str, new: str) -> None:
        self._store.rename(key, new)

    def link_from(self, path: Path, key: str) -> None:
        self._store.link_from(path, key)

    def symlink_from(self, path: Path, key: str) -> None:
        self._store.symlink_from(path, key)

    def through(self, key: str, *, outside: bool = True) -> Store:
        """Return this wrapper, or where the store follows a link, the store that does."""
        inner = self._store.through(key, outside=outside)
        return self if inner is self._store else inner

    def local_path(self, key: str) -> Path:
        return self._store.local_path(key)
