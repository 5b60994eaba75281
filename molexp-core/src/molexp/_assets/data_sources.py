"""Bring in data from elsewhere: local files, objects behind a URL, and paths of universal_pathlib."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Protocol

from msgspec import Struct

from molexp._storage.opening import open_store
from molexp._values.paths import is_remote
from molexp._values.patterns import late
from molexp._values.text_files import refuse_special
from molexp.contracts import Store
from molexp.errors import NotFoundError

if TYPE_CHECKING:
    from molexp.plugins import PluginManager

_URL = late(r"([A-Za-z][A-Za-z0-9+.-]+)://(?:.*)", re.DOTALL)
_QUOTED = ("file", "http", "https")  # schemes whose URLs spell names with %


class Readable(Protocol):
    """A file or folder to read, as `Path` is one."""

    @property
    def name(self) -> str:
        """Its name."""

    def is_file(self) -> bool:
        """Tell whether there is a file."""

    def is_dir(self) -> bool:
        """Tell whether there is a folder."""

    def open(self, mode: Any, /) -> IO[bytes]:
        """Return a binary stream; the mode is ``"rb"``."""


class Stored(Struct, frozen=True):
    """Describe a key of a store, or what lies below it."""

    store: Store
    key: str

    def __str__(self) -> str:
        return self.store.locate(self.key)

    @property
    def name(self) -> str:
        """The last segment of the key."""
        return self.key.rpartition("/")[2]

    def is_file(self) -> bool:
        """Tell whether there is something under the key."""
        return self.store.exists(self.key)

    def is_dir(self) -> bool:
        """Tell whether there is something below it, and nothing under it."""
        return not self.is_file() and next(iter(self.store.list(self.key)), None) is not None

    def open(self, mode: str = "rb", /) -> IO[bytes]:
        """Open it to be read."""
        return self.store.open_read(self.key)


@contextmanager
def opened(source: Any, plugins: PluginManager) -> Iterator[Readable]:
    """Yield what a path, a ``UPath`` or a URL leads to; a URL is opened with what ``storage.toml`` and the environment say.

    Raises:
        PluginMissingError: nothing that is installed provides the URL's scheme.
        StoreError: the store cannot be reached.
    """
    if is_remote(source):
        yield source
    elif isinstance(source, str) and (match := _URL.fullmatch(source)):
        from urllib.parse import unquote

        above, _, name = source.rstrip("/").rpartition("/")
        if above.endswith(":/"):
            raise NotFoundError("file or folder to import", source, hint="It names a whole store.")
        scheme = match[1].lower()
        backend = plugins.storage_backend(scheme)
        with closing(open_store(backend, above, {})[0]) as store:
            key = unquote(name) if scheme in _QUOTED else name
            yield store.local_path(key) if "local_path" in store.capabilities else Stored(store, key)
    else:
        yield Path(os.path.abspath(os.path.expanduser(os.fspath(source))))


def files_of(source: Readable) -> dict[str, Readable]:
    """Return the files of a folder by their path relative to it; a single file by its name.

    Raises:
        NotFoundError: there is nothing, or a link in a folder leads nowhere.
        ValueError: there are no files in the folder, or a pipe or a device.
    """
    if source.is_file():
        return {source.name: source}
    if not source.is_dir():
        refuse_special(source)
        raise NotFoundError("file or folder to import", str(source))
    found = dict(_walk(source) if isinstance(source, Path) else _below(source))
    if not found:
        raise ValueError(f"There are no files in {str(source)!r}; nothing was imported.")
    return found


def _walk(source: Path) -> Iterator[tuple[str, Readable]]:
    seen: set[str] = set()
    for folder, names, files in os.walk(source, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:  # a link back up
            names.clear()
            continue
        seen.add(real)
        for file in files:
            path = Path(folder, file)
            if not path.is_file():
                refuse_special(path)
                raise NotFoundError("file to import", str(path), hint="Is it a link that leads nowhere?")
            yield path.relative_to(source).as_posix(), path


def _below(source: Any) -> Iterator[tuple[str, Readable]]:
    if isinstance(source, Stored):
        for stat in source.store.list(source.key):
            yield stat.key[len(source.key) + 1 :], Stored(source.store, stat.key)
        return
    root = str(source.fs._strip_protocol(source.path)).rstrip("/")
    for path in source.fs.find(root):
        relative = str(path)[len(root) + 1 :]
        yield relative, source.joinpath(relative)
