"""A store that refuses every write."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NoReturn

from molexp._storage.wrapper import WrappedStore
from molexp.contracts import Store
from molexp.errors import ReadOnlyError


class ReadOnlyStore(WrappedStore):
    """A store that reads another one, and raises `ReadOnlyError` where that would change."""

    def _refuse(self, key: str = "") -> NoReturn:
        raise ReadOnlyError(key, url=self.url)

    def write(self, key: str, data: bytes) -> None:
        self._refuse(key)

    def create(self, key: str, data: bytes) -> None:
        self._refuse(key)

    def delete(self, key: str) -> None:
        self._refuse(key)

    def open_write(self, key: str, *, exclusive: bool = False) -> NoReturn:
        self._refuse(key)

    def stage(self, key: str) -> NoReturn:
        self._refuse(key)

    def put_file(
        self, path: Path, key: str, *, exclusive: bool = False, progress: Callable[[int], Any] | None = None
    ) -> None:
        self._refuse(key)

    def append(self, key: str, data: bytes) -> None:
        self._refuse(key)

    def open_append(self, key: str, *, exclusive: bool = False, first: bytes = b"") -> NoReturn:
        self._refuse(key)

    def rename(self, key: str, new: str) -> None:
        self._refuse(key)

    def link_from(self, path: Path, key: str) -> None:
        self._refuse(key)

    def through(self, key: str, *, outside: bool = True) -> Store:
        """Return the same view of the store, read-only."""
        return type(self)(self._store.through(key, outside=outside))

    def symlink_from(self, path: Path, key: str) -> None:
        self._refuse(key)

    def remove_leftovers(self, older_than: float) -> int:
        self._refuse()

    def prune(self, prefix: str = "") -> None:
        self._refuse(prefix)

    def sync(self, keys: Iterable[str], *, content: bool = True, names: bool = True) -> None:
        """Do nothing: nothing was written."""
