"""A store that refuses every write."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, NoReturn, Self

from molexp.contracts import Listing, Stat, Store
from molexp.errors import ReadOnlyError, StoreError


class ReadOnlyStore(Store):
    """Another store, of which only the reading half works."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.url = store.url
        self.capabilities = store.capabilities
        self.lease_beat = store.lease_beat
        self.lease_ttl = store.lease_ttl

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._store,)

    @classmethod
    def open(cls, url: str, options: Mapping[str, Any]) -> Self:
        """Not for opening: it wraps a store that is open."""
        raise TypeError("A read-only store wraps another one; open that.")

    def close(self) -> None:
        """Close the store."""
        self._store.close()

    def _refuse(self, key: str = "") -> NoReturn:
        raise ReadOnlyError(key, url=self.url)

    def read(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        """As the store does."""
        return self._store.read(key, start, length)

    def read_many(self, keys: Sequence[str]) -> list[bytes | StoreError]:
        """As the store does."""
        return self._store.read_many(keys)

    def stat(self, key: str) -> Stat:
        """As the store does."""
        return self._store.stat(key)

    def exists(self, key: str) -> bool:
        """As the store does."""
        return self._store.exists(key)

    def list(self, prefix: str = "") -> Iterator[Stat]:
        """As the store does."""
        return self._store.list(prefix)

    def children(self, prefix: str = "") -> Listing:
        """As the store does."""
        return self._store.children(prefix)

    def open_read(self, key: str) -> IO[bytes]:
        """As the store does."""
        return self._store.open_read(key)

    def get_file(self, key: str, path: Path) -> None:
        """As the store does."""
        self._store.get_file(key, path)

    def locate(self, key: str) -> str:
        """As the store does."""
        return self._store.locate(key)

    def local_path(self, key: str) -> Path:
        """As the store does."""
        return self._store.local_path(key)

    def write(self, key: str, data: bytes) -> None:
        """Refused."""
        self._refuse(key)

    def create(self, key: str, data: bytes) -> None:
        """Refused."""
        self._refuse(key)

    def delete(self, key: str) -> None:
        """Refused."""
        self._refuse(key)

    def open_write(self, key: str, *, exclusive: bool = False) -> NoReturn:
        """Refused."""
        self._refuse(key)

    def append(self, key: str, data: bytes) -> None:
        """Refused."""
        self._refuse(key)

    def open_append(self, key: str, *, exclusive: bool = False, first: bytes = b"") -> NoReturn:
        """Refused."""
        self._refuse(key)

    def rename(self, key: str, new: str) -> None:
        """Refused."""
        self._refuse(key)

    def link_from(self, path: Path, key: str) -> None:
        """Refused."""
        self._refuse(key)

    def symlink_from(self, path: Path, key: str) -> None:
        """Refused."""
        self._refuse(key)

    def leftovers(self, older_than: float) -> Iterable[str]:
        """As the store does."""
        return self._store.leftovers(older_than)

    def remove_leftovers(self, older_than: float) -> int:
        """Refused."""
        self._refuse()

    def prune(self, prefix: str = "") -> None:
        """Refused."""
        self._refuse(prefix)

    def sync(self, keys: Iterable[str], *, content: bool = True, names: bool = True) -> None:
        """Nothing to do."""
