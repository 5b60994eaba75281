"""The contract of a storage backend: a flat namespace of keys to bytes behind a URL."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import IO, TYPE_CHECKING, Any, ClassVar, Literal, Self, TypeVar

from msgspec import Struct

from molexp.contracts._copying import copy_stream
from molexp.contracts._streams import Appender, CopiedFile, StagedFile, StreamWriter
from molexp.errors import KeyNotFoundError, StoreError, UnsupportedOperationError

if TYPE_CHECKING:
    from pathlib import Path

_T = TypeVar("_T")
_Item = TypeVar("_Item")

Capability = Literal["append", "link", "symlink", "local_path"]
"""An ability that not every storage has: ``append``, ``link``, ``symlink`` or ``local_path``.

`Store` explains each of them. A store declares the ones it has in `Store.capabilities`.
"""

Durability = Literal["never", "end", "always"]
"""The time at which writes are flushed to the disk: ``never``, at the ``end`` of an attempt, or ``always``.

With ``never`` the operating system decides. With ``end``, what an attempt wrote, and what it relies on, is flushed to the disk
as it ends, and what was made outside of attempts before the call that made it returns; see `Store.sync`. Only a run that was
made alone, by ``Run`` or ``derived_run``, waits for its attempt, or for whatever is flushed next. With ``always``, every operation flushes. The
death of a process alone loses nothing, whichever it is.
"""


class Stat(Struct, frozen=True):
    """Facts about one key that a store knows without reading it.

    Attributes:
        key: the key.
        size: bytes.
        version: an opaque text that differs whenever other bytes took the place of these, or were appended.
        modified: seconds since 1970 on the *store's* clock; 0.0 if it keeps none.
        special: "" for bytes that can be read; else what is there instead, as in ``symbolic link`` or ``pipe``, of size 0.

    Example:
        >>> from molexp_fs import LocalStore
        >>> store = LocalStore.open("store", {})
        >>> store.write("a/notes.txt", b"hello")
        >>> store.stat("a/notes.txt").size
        5
    """

    key: str
    size: int
    version: str
    modified: float = 0.0
    special: str = ""


class Listing(Struct, frozen=True):
    """One level of keys.

    Attributes:
        entries: the keys directly below the prefix, sorted.
        folders: the names (one segment each, no slash) that have keys below them, sorted.

    Example:
        >>> from molexp_fs import LocalStore
        >>> store = LocalStore.open("store", {})
        >>> store.write("a/notes.txt", b"hello")
        >>> store.children().folders
        ('a',)
    """

    entries: tuple[Stat, ...]
    folders: tuple[str, ...]


class Store(ABC):
    """A flat namespace of keys to bytes.

    The contract, which `molexp.testing.StoreTests` checks:

    - Every operation is synchronous and safe to call from several threads and processes at once.
    - A reader sees the bytes of one `write` or `create`, never a mix and never a part.
    - `create` is exact: of any number of racing callers, anywhere, one succeeds.
    - Read your writes: what an operation that returned has done, the next operation of this host sees.
    - Every key is checked with `check_key` before any I/O. A key may not also be a folder of other keys: a store refuses to
      make such a one where it can tell.
    - Case counts in keys, unless the storage itself ignores it. A key is listed as it was made. A store may find it by another
      composition of its letters, too: "é" is one character or two.
    - Reading creates nothing. What is read is `bytes`; a buffer of another sort that is written is copied, or a `TypeError`.
    - Nothing outside of the store is touched. What is not a regular file (a symbolic link, a pipe) is listed, never entered,
      and described with `Stat.special`; to read or append to it raises `SpecialFileError`, and a key that has one among
      its folders is not there. Only `through` follows a link, where a record says that an asset is external.
    - Failures are errors from `molexp.errors`: `KeyNotFoundError`, `KeyExistsError`, `StorePermissionError`,
      `CredentialsError`, `UnavailableError`, `StorageFullError`, `SpecialFileError`, else `StoreError`; the cause is
      chained.
    - A store pickles, without secrets, and the copy works in another process.

    Not promised: the order of listings beyond what is said, times that can be compared with another machine's,
    locks, or that `stat` sees changes made by another host at once (file systems cache attributes for seconds).

    Abilities that not every storage has are declared in `capabilities`; the operations of one that is not declared
    raise `UnsupportedOperationError`:

    - ``append``: `append`, `open_append` and `rename`;
    - ``link``: `link_from`, a hard link to a local file outside of the store;
    - ``symlink``: `symlink_from` and `through`;
    - ``local_path``: `local_path`, keys are files that other programs can open.

    Example:
        >>> from molexp_fs import LocalStore
        >>> store = LocalStore.open("store", {})
        >>> store.create("a/notes.txt", b"hello")
        >>> store.read("a/notes.txt")
        b'hello'
    """

    schemes: ClassVar[tuple[str, ...]] = ()
    """URL schemes that `open` understands, in lower case, as in ``("file",)``.

    With ``"*"`` it also gets what no other plugin claims, if `takes` says that it understands that.
    """

    capabilities: frozenset[Capability] = frozenset()
    """The abilities of this store beyond the basic operations. They may differ from instance to instance."""

    url: str = ""
    """The canonical URL: absolute, without credentials, equal for all ways to spell one place."""

    read_only_because: str = ""
    """The reason that nothing can be written, as the end of a sentence; "" where writing works.

    A workspace on such a store must be opened with ``read_only=True``, or is refused with this reason.
    """

    durability: Durability = "end"
    """The time at which writes are flushed to the disk: ``never``, at the ``end`` of an attempt (`sync`), or ``always``.

    Set from the outside; where every write is durable as it is, it means nothing.
    """

    witness: tuple[str, bytes] | None = None
    """A key, and bytes that it contains as long as the workspace that was opened lies here; None while there is none.

    Set from the outside. A store that makes folders looks before it makes one that is missing, and if the workspace is
    not there, raises `WorkspaceMovedError`.
    """

    slow: bool = True
    """True if a request takes so long, a millisecond or more, that several should be under way at once.

    Where it is False, a run or a document is looked at again before an answer says something about it; where it is True,
    that would cost more than it is worth, and what is needed is asked for in batches, by `each` and `read_many`.
    """

    late_effects: bool = True
    """True if an operation may still take effect after the process that called it is gone.

    It may where a server carries it out, as a request can be under way while its sender dies. It cannot where the kernel
    does, as with files: when it says that a process is gone, what that process asked for is done or never will be.
    """

    lease_beat: float = 30.0
    """Seconds between an attempt's signs of life on this storage, unless ``MOLEXP_LEASE_BEAT`` says otherwise."""

    lease_ttl: float = 180.0
    """Seconds without one after which its owner counts as dead, unless ``MOLEXP_LEASE_TTL`` says otherwise."""

    # ------------------------------------------------------------------------------------------------------- opening

    @classmethod
    @abstractmethod
    def open(cls, url: str, options: Mapping[str, Any]) -> Self:
        """Open the store behind `url`; nothing is created and no I/O is needed.

        Args:
            url: with one of `schemes`, or a plain path where ``file`` is among them.
            options: the user's ``storage_options``.

        Raises:
            TypeError: an option that this backend does not know, naming the ones it does.
            ValueError: a URL or value that makes no sense.
        """

    @classmethod
    def takes(cls, scheme: str) -> bool:
        """Tell whether `open` understands a scheme that no plugin claims; asked of a store that has ``"*"`` in `schemes`."""
        return False

    @classmethod
    def combine(cls, below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
        """Return one set of options of two, as of a settings file and of a caller; those in `above` count more.

        A backend overrides it where options have several names, or exclude each other.
        """
        return {**below, **above}

    def close(self) -> None:
        """Release connections and files. The store may be used again afterwards."""

    # ----------------------------------------------------------------------------------------------------- documents

    def each(self, operation: Callable[[_Item], _T], items: Iterable[_Item]) -> list[_T]:
        """Apply `operation` to each of `items`, which do not wait for each other; answers come in their order.

        Backends with slow requests override this to have several on their way at a time, in threads.

        Raises:
            Exception: the error of the first of them that failed.
        """
        return [operation(item) for item in items]  # to list(map()), a StopIteration would be the end

    @abstractmethod
    def read(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        """Return the bytes under `key`, or up to `length` of them from `start`; beyond the end, ``b""``.

        Raises:
            KeyNotFoundError: there is nothing.
        """

    def read_many(self, keys: Sequence[str]) -> list[bytes | StoreError]:
        """Read several small documents; what failed stands in the answer as its error."""
        return self.each(self._read_or_error, keys)

    def _read_or_error(self, key: str) -> bytes | StoreError:
        try:
            return self.read(key)
        except StoreError as error:
            return error

    @abstractmethod
    def write(self, key: str, data: bytes) -> None:
        """Set `key` to `data`, replacing what was there, atomically."""

    @abstractmethod
    def create(self, key: str, data: bytes) -> None:
        """Set `key` to `data` if nothing is there: whole, atomically, and exactly once among all racing callers.

        Callers put a token into `data` that nobody else writes. An implementation whose request went out but whose
        answer was lost looks at what is there now: equal bytes are its own success.

        Raises:
            KeyExistsError: something is there. Nothing was changed.
        """

    @abstractmethod
    def stat(self, key: str) -> Stat:
        """Describe `key`.

        Raises:
            KeyNotFoundError: there is nothing, or `key` is only a folder of other keys.
        """

    def exists(self, key: str) -> bool:
        """Tell whether there is something under `key`."""
        try:
            self.stat(key)
        except KeyNotFoundError:
            return False
        return True

    @abstractmethod
    def delete(self, key: str) -> None:
        """Remove `key`. That nothing was there is not an error."""

    @abstractmethod
    def list(self, prefix: str = "") -> Iterator[Stat]:
        """Yield every key below the folder `prefix` ("" is the whole store), in any order.

        ``list("a")`` yields ``a/x`` and ``a/b/y``, but neither ``a`` nor ``ab/z``. What is created or deleted
        meanwhile may or may not be seen; everything else is. A prefix that is not there lists nothing.
        """

    @abstractmethod
    def children(self, prefix: str = "") -> Listing:
        """Return one level below the folder `prefix`; empty if it is not there."""

    # ----------------------------------------------------------------------------------------------- payloads, any size

    @abstractmethod
    def open_read(self, key: str) -> IO[bytes]:
        """Open `key` as a seekable binary stream.

        Raises:
            KeyNotFoundError: there is nothing.
        """

    @abstractmethod
    def open_write(self, key: str, *, exclusive: bool = False) -> StreamWriter:
        """Open a stream that becomes `key` when it is left without an error; with `exclusive`, as `create` does.

        Raises:
            KeyExistsError: on leaving, with `exclusive`, if something is there by then; the stream's bytes are dropped.
        """

    def stage(self, key: str) -> StagedFile:
        """Return a path for a program to write a file to that is to become `key`.

        By default it is a temporary one of this machine, and the file is copied. A store of files overrides this so that
        the file only has to be renamed.
        """
        return CopiedFile(key.rpartition("/")[2], self.put_file)

    def put_file(
        self, path: Path, key: str, *, exclusive: bool = False, progress: Callable[[int], Any] | None = None
    ) -> None:
        """Copy a local file to `key`, with bounded memory.

        Args:
            path: the file.
            key: its destination.
            exclusive: as `create` does: nothing is replaced.
            progress: told the bytes of each piece on its way; the pieces add up to the size. What it raises ends the copy.

        Raises:
            KeyExistsError: something is there, with `exclusive`.
        """
        with path.open("rb") as source, self.open_write(key, exclusive=exclusive) as sink:
            copy_stream(source, sink, progress=progress)

    def get_file(self, key: str, path: Path, *, progress: Callable[[int], Any] | None = None) -> None:
        """Copy `key` to a local file, with bounded memory; what was there is replaced.

        After an error, `path` may hold a part of it. An implementation may keep what has arrived in a hidden file beside
        it, ``.NAME...``, and go on with that when it is asked again.

        Args:
            key: the key to copy.
            path: the file; its folder is there.
            progress: told the bytes of each piece that is there, in the thread that asked; the pieces add up to the size.
                What it raises ends the copy.

        Raises:
            KeyNotFoundError: there is nothing.
        """
        with self.open_read(key) as source, path.open("wb") as sink:
            copy_stream(source, sink, progress=progress)

    @abstractmethod
    def locate(self, key: str) -> str:
        """Return where the outside world finds `key`: a path or a URL. It need not exist."""

    def sync(self, keys: Iterable[str], *, content: bool = True, names: bool = True) -> None:
        """Make `keys` survive a power loss. Nothing to do where every write does.

        Args:
            keys: the keys that were written or deleted.
            content: the bytes, before the names; of what was deleted there are none.
            names: the names they bear, in all folders above, or that they bear none any more.
        """

    # --------------------------------------------------------------------------------------------------- housekeeping

    def prune(self, prefix: str = "") -> None:
        """Remove what is left of folders below `prefix` that have no keys: nothing, where folders are only names."""

    def leftovers(self, older_than: float) -> Iterable[str]:
        """Name temporary files that killed writers left behind, not written to for `older_than` seconds.

        Nothing is written to find out.

        Raises:
            StoreError: a folder cannot be read; after what lies in the others was named.
        """
        return ()

    def remove_leftovers(self, older_than: float) -> int:
        """Remove what `leftovers` names; returns how many there were."""
        return 0

    # -------------------------------------------------------------------------------------------------- capabilities

    def append(self, key: str, data: bytes) -> None:
        """Append `data`, which is one or more whole lines, to the existing file `key`, and let other hosts see it.

        The file is opened, appended to and closed. Only its one writer appends to a file, but others may rename it.

        Raises:
            KeyNotFoundError: there is no such file.
            KeyMovedError: after the write, the name was no longer the file that was written to. The bytes may
                or may not have been seen by whoever renamed it.
        """
        raise self._unsupported("append", "append")

    def open_append(self, key: str, *, exclusive: bool = False, first: bytes = b"") -> Appender:
        """Open `key` for appending by its only writer, creating it if it is not there, and append `first`.

        With `exclusive` the file comes to be as by `create`, with `first` in it.

        Raises:
            KeyExistsError: with `exclusive`, something is there.
        """
        raise self._unsupported("append", "append")

    def rename(self, key: str, new: str) -> None:
        """Rename `key` to `new`, which must not exist, atomically.

        Raises:
            KeyNotFoundError: there is no `key`.
            KeyExistsError: there is a `new`.
        """
        raise self._unsupported("rename", "append")

    def link_from(self, path: Path, key: str) -> None:
        """Create `key` as a hard link to the local file `path`, exclusively.

        Raises:
            UnsupportedOperationError: also where `path` lies on another file system.
        """
        raise self._unsupported("hard-link files", "link")

    def symlink_from(self, path: Path, key: str) -> None:
        """Create `key` as a symbolic link to the local file or folder `path`, exclusively."""
        raise self._unsupported("symlink files", "symlink")

    def through(self, key: str, *, outside: bool = True) -> Store:
        """Return this store, for reading, with the symbolic link `key` followed; itself, where there are no links.

        What is in a folder that it leads to are keys below `key`, and links in there are followed, too. Still nothing but
        regular files is read.

        Args:
            key: the link. Another file is read as it is.
            outside: True lets links lead out of the store; else reading one that does raises `SpecialFileError`.
        """
        return self

    def local_path(self, key: str) -> Path:
        """Return the file behind `key`, for programs that want a path. It need not exist."""
        raise self._unsupported("name local paths", "local_path")

    def path(self, key: str) -> Any:
        """Return what other libraries open `key` by: `local_path`, or where there is none, an object that is used like one.

        Such an object is a ``UPath`` of universal_pathlib, with the access that this store has. It need not exist, and
        may be a folder.

        Raises:
            UnsupportedOperationError: there is neither.
        """
        return self.local_path(key)

    def _unsupported(self, operation: str, capability: Capability) -> UnsupportedOperationError:
        return UnsupportedOperationError(operation, capability=capability, url=self.url)
