"""A store in this process's memory, for tests and for work that nobody keeps."""

from __future__ import annotations

import io
import re
import secrets
import threading
import time
from collections.abc import Iterator, Mapping
from itertools import count
from types import TracebackType
from typing import IO, Any, ClassVar, Self
from weakref import WeakValueDictionary

from molexp._values.patterns import late
from molexp.contracts import Appender, Capability, Listing, Stat, Store, StreamWriter, check_key
from molexp.errors import KeyExistsError, KeyNotFoundError, StoreError

_NAME = late(r"memory:(?://)?([A-Za-z0-9._~/-]*)", re.IGNORECASE)


class _File:
    """The bytes under a key; a replacement is another object, as it would be another inode."""

    __slots__ = ("data", "modified", "version")

    def __init__(self, data: bytes, version: int):
        self.data = bytearray(data)
        self.touch(version)

    def touch(self, version: int) -> None:
        self.version = version
        self.modified = time.time()


class _Space:
    """The keys of one name, shared by all stores that bear it. Whoever calls a method holds `lock`."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.files: dict[str, _File] = {}
        self.folders: dict[str, set[str]] = {"": set()}  # folder to the last segments of what is in it
        self.versions = count(1)

    def put(self, key: str, file: _File) -> None:
        if key not in self.files:
            self._enter(key)
        self.files[key] = file

    def drop(self, key: str) -> _File:
        file = self.files.pop(key)
        while key:
            key, _, name = key.rpartition("/")
            self.folders[key].discard(name)
            if self.folders[key] or not key:
                break
            del self.folders[key]
        return file

    def conflict(self, key: str) -> str:
        """Return why `key` cannot be made: it is a folder, or one of its folders is a key."""
        if key in self.folders:
            return "it is a folder of other keys"
        while "/" in key:
            key = key.rpartition("/")[0]
            if key in self.files:
                return f"{key!r} is a key"
        return ""

    def level(self, prefix: str) -> tuple[list[Stat], list[str]]:
        files: list[Stat] = []
        folders: list[str] = []
        for name in sorted(self.folders.get(prefix, ())):
            key = f"{prefix}/{name}" if prefix else name
            if file := self.files.get(key):
                files.append(_describe(key, file))
            else:
                folders.append(name)
        return files, folders

    def walk(self, prefix: str) -> Iterator[Stat]:
        files, folders = self.level(prefix)
        yield from files
        for name in folders:
            yield from self.walk(f"{prefix}/{name}" if prefix else name)

    def _enter(self, key: str) -> None:
        while key:
            key, _, name = key.rpartition("/")
            known = key in self.folders
            self.folders.setdefault(key, set()).add(name)
            if known:
                break


class MemoryStore(Store):
    """Keys in a dictionary.

    ``memory://name`` is shared by all stores of that name in one process, and lives as long as one of them is
    referred to. ``memory://`` is a fresh one that nobody else shares, unless by its `url`. In another process, and so
    also in an unpickled copy there, the same name is another, at first empty, place: use files where processes meet.

    It has no power to lose, so `sync` does nothing. A process that forks while another thread uses a store may not
    use it in the child.
    """

    schemes: ClassVar[tuple[str, ...]] = ("memory",)
    slow: bool = False
    late_effects: bool = False

    _spaces: ClassVar[WeakValueDictionary[str, _Space]] = WeakValueDictionary()  # by name; empties itself
    _spaces_lock: ClassVar[threading.Lock] = threading.Lock()

    def __init__(self, name: str = "", *, append: bool = True):
        """Use `open`, which understands URLs.

        Args:
            name: the name to share; "" for a fresh one.
            append: True declares the capability ``append``.
        """
        name = name or f"~{secrets.token_hex(8)}"
        self.url = f"memory://{name}"
        self.capabilities: frozenset[Capability] = frozenset(("append",) if append else ())
        with self._spaces_lock:
            space = self._spaces.get(name)
            if space is None:
                space = self._spaces[name] = _Space()
        self._space = space

    @classmethod
    def open(cls, url: str, options: Mapping[str, Any]) -> Self:
        """Open ``memory://name``, or a fresh store for ``memory://``.

        Args:
            url: a name is made of letters, digits and ``. _ ~ - /``.
            options: ``append=False`` leaves out that capability, to try how something works without it.

        Raises:
            TypeError: an unknown option, or an `append` that is not a bool.
            ValueError: a URL with another scheme, or a name with other characters.
        """
        unknown = sorted(set(options) - {"append"})
        if unknown:
            raise TypeError(f"The memory store has no option {', '.join(map(repr, unknown))}; it knows 'append'.")
        append = options.get("append", True)
        if not isinstance(append, bool):
            raise TypeError(f"append={append!r} is not a bool.")
        match = _NAME.fullmatch(url)
        if not match:
            raise ValueError(f"{url!r} is not memory://NAME with a name of letters, digits and . _ ~ - /")
        return cls(match[1].strip("/"), append=append)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self).open, (self.url, {"append": "append" in self.capabilities})

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.url!r})"

    # ----------------------------------------------------------------------------------------------------- documents

    def read(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        """Return the bytes under `key`, or up to `length` of them from `start`.

        Raises:
            KeyNotFoundError: there is nothing.
        """
        check_key(key)
        with self._space.lock:
            data = self._file(key).data
            return bytes(data[start:] if length is None else data[start : start + length])

    def write(self, key: str, data: bytes) -> None:
        """Set `key` to `data`, replacing what was there.

        Raises:
            StoreError: `key` is a folder of other keys, or one of its folders is a key.
        """
        check_key(key)
        with self._space.lock:
            self._put(key, data)

    def create(self, key: str, data: bytes) -> None:
        """Set `key` to `data` if nothing is there.

        Raises:
            KeyExistsError: something is there. Nothing was changed.
            StoreError: `key` is a folder of other keys, or one of its folders is a key.
        """
        check_key(key)
        with self._space.lock:
            if key in self._space.files:
                raise KeyExistsError(key, url=self.url)
            self._put(key, data)

    def stat(self, key: str) -> Stat:
        """Describe `key`.

        Raises:
            KeyNotFoundError: there is nothing.
        """
        check_key(key)
        with self._space.lock:
            return _describe(key, self._file(key))

    def delete(self, key: str) -> None:
        """Remove `key`. That nothing was there is not an error."""
        check_key(key)
        with self._space.lock:
            if key in self._space.files:
                self._space.drop(key)

    def list(self, prefix: str = "") -> Iterator[Stat]:
        """Yield every key below the folder `prefix`, as of now."""
        if prefix:
            check_key(prefix)
        with self._space.lock:
            return iter(tuple(self._space.walk(prefix)))

    def children(self, prefix: str = "") -> Listing:
        """Return one level below the folder `prefix`."""
        if prefix:
            check_key(prefix)
        with self._space.lock:
            files, folders = self._space.level(prefix)
            return Listing(tuple(files), tuple(folders))

    # ------------------------------------------------------------------------------------------------------ payloads

    def open_read(self, key: str) -> IO[bytes]:
        """Open what is under `key` now as a seekable binary stream.

        Raises:
            KeyNotFoundError: there is nothing.
        """
        return io.BytesIO(self.read(key))

    def open_write(self, key: str, *, exclusive: bool = False) -> StreamWriter:
        """Open a stream that becomes `key` when it is left without an error; with `exclusive`, as `create` does.

        Raises:
            KeyExistsError: on leaving, with `exclusive`, if something is there by then.
        """
        return _Writer(self, check_key(key), exclusive)

    def locate(self, key: str) -> str:
        """Return a URL, which means something within this process only."""
        return f"{self.url}/{check_key(key)}"

    # -------------------------------------------------------------------------------------------------- capabilities

    def append(self, key: str, data: bytes) -> None:
        """Append `data` to the existing `key`. Nobody can rename it meanwhile.

        Raises:
            KeyNotFoundError: there is no such key.
            UnsupportedOperationError: opened with ``append=False``.
        """
        check_key(key)
        self._need_append("append")
        with self._space.lock:
            self._extend(self._file(key), data)

    def open_append(self, key: str, *, exclusive: bool = False, first: bytes = b"") -> Appender:
        """Open `key` for appending by its only writer, creating it if it is not there, and append `first`.

        Raises:
            KeyExistsError: with `exclusive`, something is there.
            UnsupportedOperationError: opened with ``append=False``.
            StoreError: `key` is a folder of other keys, or one of its folders is a key.
        """
        check_key(key)
        self._need_append("append")
        with self._space.lock:
            if key not in self._space.files:
                self._put(key, first)
            elif exclusive:
                raise KeyExistsError(key, url=self.url)
            else:
                self._extend(self._file(key), first)
            return _Appender(self, key, self._file(key))

    def rename(self, key: str, new: str) -> None:
        """Rename `key` to `new`, which must not exist.

        Raises:
            KeyNotFoundError: there is no `key`.
            KeyExistsError: there is a `new`.
            UnsupportedOperationError: opened with ``append=False``.
            StoreError: `new` is a folder of other keys, or one of its folders is a key.
        """
        check_key(key)
        check_key(new)
        self._need_append("rename")
        with self._space.lock:
            file = self._file(key)
            if new in self._space.files:
                raise KeyExistsError(new, url=self.url)
            self._refuse_conflict(new)
            self._space.drop(key)
            self._space.put(new, file)

    # ------------------------------------------------------------------------------------------------------- the work

    def _file(self, key: str) -> _File:
        try:
            return self._space.files[key]
        except KeyError:
            raise KeyNotFoundError(key, url=self.url) from None

    def _put(self, key: str, data: bytes) -> None:
        self._refuse_conflict(key)
        self._space.put(key, _File(data, next(self._space.versions)))

    def _extend(self, file: _File, data: bytes) -> None:
        with self._space.lock:
            file.data += data
            file.touch(next(self._space.versions))

    def _refuse_conflict(self, key: str) -> None:
        if why := self._space.conflict(key):
            raise StoreError(
                f"Cannot write {key!r} in {self.url}: {why}, and a key may not also be a folder. Use another name.",
                key=key,
                url=self.url,
            )

    def _need_append(self, operation: str) -> None:
        if "append" not in self.capabilities:
            raise self._unsupported(operation, "append")


class _Writer:
    def __init__(self, store: MemoryStore, key: str, exclusive: bool):
        self._store = store
        self._key = key
        self._exclusive = exclusive
        self._buffer = io.BytesIO()

    def __enter__(self) -> Self:
        return self

    def write(self, data: bytes, /) -> int:
        return self._buffer.write(data)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        data = self._buffer.getvalue()
        self._buffer.close()
        if kind is None:
            (self._store.create if self._exclusive else self._store.write)(self._key, data)


class _Appender:
    def __init__(self, store: MemoryStore, key: str, file: _File):
        self._store = store
        self._key = key
        self._file: _File | None = file

    def write(self, data: bytes) -> None:
        if self._file is None:
            raise ValueError(f"The appender of {self._key!r} is closed.")
        self._store._extend(self._file, data)

    def close(self) -> None:
        self._file = None


def _describe(key: str, file: _File) -> Stat:
    return Stat(key, len(file.data), str(file.version), file.modified)
