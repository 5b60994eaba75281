"""A store that refuses every write."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NoReturn

from molexp._storage.wrapper import WrappedStore
from molexp.contracts import Store
from molexp.errors import ReadOnlyError


class ReadOnlyStore(WrappedStore):
    """A store that reads another one, and raises `ReadOnlyError` where that would change."""

    def _refuse(self, key: str = "", *_: Any, **__: Any) -> NoReturn:
        raise ReadOnlyError(key, url=self.url)

    def _refuse_file(self, path: Path, key: str, **_: Any) -> NoReturn:
        self._refuse(key)

    write = create = delete = open_write = stage = append = open_append = rename = _refuse
    put_file = link_from = symlink_from = _refuse_file

    def remove_leftovers(self, older_than: float) -> int:
        self._refuse()

    def prune(self, prefix: str = "") -> None:
        self._refuse(prefix)

    def through(self, key: str, *, outside: bool = True) -> Store:
        """Return the same view of the store, read-only."""
        return type(self)(self._store.through(key, outside=outside))

    def sync(self, keys: Iterable[str], *, content: bool = True, names: bool = True) -> None:
        """Do nothing: nothing was written."""
