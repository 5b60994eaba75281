"""A store in a folder."""

from __future__ import annotations

import errno
import os
import stat as modes
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import IO, TYPE_CHECKING, Any, ClassVar, Self, get_args

from molexp.contracts import Appender, Capability, Durability, Listing, StagedFile, Stat, Store, StreamWriter
from molexp.errors import KeyExistsError, KeyMovedError, KeyNotFoundError, StoreError
from molexp_fs import _files as files
from molexp_fs import _housekeeping, _linking, _staging
from molexp_fs._cloning import clone_to
from molexp_fs._folder import Folder, Followed, children, describe, walk
from molexp_fs._keys import folded
from molexp_fs._location import file_in_the_way, folder_of, url_of
from molexp_fs._writing import FileAppender, FileWriter, Naming, capabilities, flush

if TYPE_CHECKING:
    from pathlib import Path


class LocalStore(Store):
    """Keys are the paths of plain files below one folder.

    - `create` writes a nameless file and links it to its name; where the file system has no nameless files, it links
      a temporary one; where it has no links (FAT), it claims the name with an empty file and replaces that, so that a
      reader may see the claim empty, but never in part.
    - `write` replaces the file by a temporary one. Temporary files are called ``.tmp-...``; they are no keys, and no
      key may have such a segment. A process that is killed may leave one behind: see `leftovers`.
    - The store's own folder may be reached by links. Below it a link counts as itself, with `Stat.special`: nothing is
      read or appended through it, and there are no keys behind it, unless by `through`. Pipes, sockets and devices are
      treated alike: only regular files are opened, and nothing waits for the other end of a pipe.
    - That holds for a tree as it lies there, whoever made it. A process that puts a link in the place of a folder
      *while* this store works may still get something read, listed or made elsewhere, because folders are looked at
      once and remembered; it gets nothing removed: whatever unlinks (`delete`, `rename`, `prune`,
      `remove_leftovers`) goes from the store's folder down by descriptors, where the operating system has them.
    - Hard links cannot be told from files. A listing does not enter a folder that it is in, as by a bind mount.
    - Files whose names no key can have are not listed.
    - An empty folder is not a key, but `children` may name it; `prune` removes those.
    - `Stat.version` is made of modification time, inode and size: two replacements within one tick of the file
      system's clock (some milliseconds) that reuse an inode and keep the size are not told apart.

    Attributes:
        durability: when what was written also survives a power loss: ``"never"``, at the ``"end"`` of an attempt
            (when `sync` is called; the default), or ``"always"``, after every operation.
    """

    schemes: ClassVar[tuple[str, ...]] = ("file",)
    slow: bool = False
    late_effects: bool = False

    def __init__(self, folder: str, *, durability: Durability = "end"):
        """Use `open`, which also understands URLs.

        Args:
            folder: an absolute folder, its symbolic links resolved. It need not exist.
            durability: see the class.
        """
        self.url: str = url_of(folder)
        self.capabilities: frozenset[Capability] = capabilities()
        self._naming = Naming(durable=False)
        self._folder = Folder(folder, self, durable=False)
        self.durability = durability

    @property
    def durability(self) -> Durability:
        """Say when files are flushed to the disk: ``never``, at the ``end`` of an attempt (`sync`), or ``always``."""
        return self._durability

    @durability.setter
    def durability(self, value: Durability) -> None:
        self._durability = value
        self._naming.durable = self._folder.durable = value == "always"
        self._folder.traced = value != "never"

    @classmethod
    def open(cls, url: str, options: Mapping[str, Any]) -> Self:
        """Open the folder behind a plain path (``~`` and relative ones too) or a ``file:///`` URL; nothing is created.

        Args:
            url: the folder; a relative one is resolved against the current directory at once.
            options: ``durability`` is the only one.

        Raises:
            TypeError: an unknown option.
            ValueError: a URL that means no local folder, or an unknown `durability`.
            StoreError: there is a file, or one is in the way.
        """
        if unknown := sorted(set(options) - {"durability"}):
            raise TypeError(f"The file store has no option {', '.join(map(repr, unknown))}; it knows 'durability'.")
        durability = options.get("durability", "end")
        if durability not in get_args(Durability):
            raise ValueError(f"durability={durability!r} is unknown; use 'never', 'end' or 'always'.")
        folder = folder_of(url)
        if (file := file_in_the_way(folder)) is not None:
            raise StoreError(
                f"{file!r} is a file, and a workspace is a folder. Choose another path.", url=url_of(folder)
            )
        return cls(folder, durability=durability)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self).open, (self.url, {"durability": self.durability})

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.url!r}, durability={self.durability!r})"

    # ----------------------------------------------------------------------------------------------------- documents

    def read(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        """Return the bytes under `key`, or up to `length` of them from `start`.

        Raises:
            KeyNotFoundError: there is nothing, or only a folder.
            StoreError: it cannot be read.
        """
        path = self._folder.reach(key)
        try:
            return files.read(path, start, length)
        except OSError as error:
            if error.errno != getattr(errno, "ESTALE", None):
                raise self._folder.error(error, key, "read") from error
        try:  # replaced on an NFS server between open and read: the new one is there
            return files.read(path, start, length)
        except OSError as error:
            raise self._folder.error(error, key, "read") from error

    def write(self, key: str, data: bytes) -> None:
        """Set `key` to `data` by replacing its file.

        Raises:
            StoreError: nothing was changed.
        """
        path = self._folder.reach(key, "write")
        try:
            self._naming.write(path, data)
        except OSError as error:
            self._folder.retry(error, key, path, lambda: self._naming.write(path, data))

    def create(self, key: str, data: bytes) -> None:
        """Set `key` to `data` if nothing is there, exactly once among all racing callers on all hosts.

        Raises:
            KeyExistsError: something is there. Nothing was changed.
            StoreError: nothing was changed.
        """
        path = self._folder.path_to_make(key)
        try:
            self._naming.create(path, data)
        except OSError as error:
            self._folder.retry(error, key, path, lambda: self._naming.create(path, data))

    def stat(self, key: str) -> Stat:
        """Describe `key`.

        Raises:
            KeyNotFoundError: there is nothing, or only a folder.
        """
        try:
            found = os.lstat(self._folder.reach(key))
        except OSError as error:
            raise self._folder.error(error, key, "read") from error
        if (sort := files.sort_of(found)) == files.FOLDER:
            raise KeyNotFoundError(key, url=self.url)
        return describe(key, found, sort)

    def exists(self, key: str) -> bool:
        """Tell whether `key` exists: a file, or a special file."""
        try:
            return files.sort_of(os.lstat(self._folder.reach(key))) != files.FOLDER
        except (OSError, KeyNotFoundError):
            return super().exists(key)  # it decides whether this is an error

    def delete(self, key: str) -> None:
        """Remove `key`; nothing or a folder under that name is not an error. Empty folders stay: see `prune`."""
        path = self._folder.path(key)
        try:
            self._folder.reach(key, "delete")
            files.unlink(self._folder.base, key)
            if self._naming.durable:
                files.sync_folder(files.folder_of_path(path))
        except (KeyNotFoundError, FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return
        except OSError as error:
            if not files.is_folder(path):  # some systems raise "permission denied" for a folder
                raise self._folder.error(error, key, "delete") from error

    def list(self, prefix: str = "") -> Iterator[Stat]:
        """Yield every key below the folder `prefix`, in any order.

        Raises:
            StorePermissionError: while iterating, a folder cannot be read.
        """
        if prefix:
            self._folder.path(prefix)
        return walk(self._folder, prefix)

    def children(self, prefix: str = "") -> Listing:
        """List one level below the folder `prefix`. Its `folders` may include empty ones.

        Raises:
            StorePermissionError: the folder cannot be read.
        """
        return children(self._folder, prefix)

    # ------------------------------------------------------------------------------------------------------ payloads

    def open_read(self, key: str) -> IO[bytes]:
        """Open `key` as a seekable, buffered binary stream.

        Raises:
            KeyNotFoundError: there is nothing, or only a folder.
        """
        path = self._folder.reach(key)
        try:
            return open(path, "rb", opener=lambda name, flags: files.open_regular(name, flags)[0])
        except OSError as error:
            raise self._folder.error(error, key, "read") from error

    def open_write(self, key: str, *, exclusive: bool = False) -> StreamWriter:
        """Open a stream into a temporary file, which becomes `key` when the ``with`` block ends without an error.

        Raises:
            KeyExistsError: on leaving, with `exclusive`, if something is there by then.
            StoreError: on entering, writing or leaving; nothing was changed and nothing stays behind.
        """
        path = self._folder.reach(key, "write")

        def begin() -> str:
            temp = files.temp_path(path)
            try:
                files.claim(temp)
            except OSError as error:
                self._folder.retry(error, key, path, lambda: files.claim(temp))
            return temp

        publish = partial(_staging.publish, self._folder, self._naming, key=key, exclusive=exclusive)
        return FileWriter(key, self.url, begin, publish, self.durability)

    def stage(self, key: str) -> StagedFile:
        """Return a path beside `key`, where the operating system tells whether a file is being written to."""
        return _staging.File(self._folder, self._naming, key) if _staging.KNOWS_WRITERS else super().stage(key)

    def get_file(self, key: str, path: Path, *, progress: Callable[[int], Any] | None = None) -> None:
        """Copy `key` to a local file, or make that a clone of it where the file system can."""
        with self.open_read(key) as source:
            cloned = clone_to(source, path, progress)
        if not cloned:
            super().get_file(key, path, progress=progress)

    def locate(self, key: str) -> str:
        """Return the path of the file, in the notation of this operating system."""
        return self._folder.spelled(key).replace("/", os.sep)

    def sync(self, keys: Iterable[str], *, content: bool = True, names: bool = True) -> None:
        """Make `keys` survive a power loss, unless `durability` is ``"never"``.

        Flushes each file and each folder that names one, once, and the folders above those, up to the one that holds
        the store's own, when this store first sees them; of very many files, all of their file system by one call, where
        there is one (Linux). Files that were deleted meanwhile are skipped.

        Raises:
            StoreError: it could not be flushed, and a power loss may lose it.
        """
        if self.durability == "end":  # "always" has done so already
            flush(self._folder, dict.fromkeys(map(self._folder.path, keys)), content=content, names=names)

    # -------------------------------------------------------------------------------------------------- capabilities

    def append(self, key: str, data: bytes) -> None:
        """Append `data` to the existing file `key`, close it, and only then check that it still has this name.

        Closing comes first because it sends the bytes to an NFS server: a process that renames the file after the check
        finds them in it.

        Raises:
            KeyNotFoundError: there is no such file.
            KeyMovedError: after the write, the name was no longer the file that was written to.
            StoreError: `data` was not written, or only in part.
        """
        path = self._folder.reach(key)
        try:
            fd, wrote = files.open_regular(path, files.APPEND)
        except OSError as error:
            raise self._folder.error(error, key, "read") from error
        try:
            try:
                if (done := os.write(fd, data)) != len(data):
                    files.write_all(fd, data[done:])
                if self._naming.durable:
                    os.fsync(fd)
            finally:
                os.close(fd)
            now = os.lstat(path)
        except FileNotFoundError as error:
            raise KeyMovedError(key, url=self.url) from error
        except OSError as error:
            raise self._folder.error(error, key, "write") from error
        if now.st_ino != wrote.st_ino or now.st_dev != wrote.st_dev:
            raise KeyMovedError(key, url=self.url)

    def open_append(self, key: str, *, exclusive: bool = False, first: bytes = b"") -> Appender:
        """Open `key` for appending by its only writer, creating it if it is not there, and append `first`.

        Raises:
            KeyExistsError: with `exclusive`, something is there.
            StoreError: it cannot be opened.
        """
        path = self._folder.path_to_make(key)
        try:
            fd = self._naming.open_append(path, exclusive=exclusive, first=first)
        except OSError as error:
            again = partial(self._naming.open_append, path, exclusive=exclusive, first=first)
            fd = self._folder.retry(error, key, path, again)
        return FileAppender(fd, key, path, self.url, self._naming.durable)

    def rename(self, key: str, new: str) -> None:
        """Rename `key` to `new`, which must not exist.

        The file gets its new name before it loses the old one, so it has at least one at any instant; a process that
        dies in between leaves both, and the same call finishes it. Whoever removes the old name has renamed the file.
        Without hard links the new name is claimed by an empty file first.

        Raises:
            KeyNotFoundError: there is no `key`, or another caller was faster.
            KeyExistsError: there is a `new`.
        """
        path, target = self._folder.reach(key), self._folder.reach(new, "write")
        try:
            if modes.S_ISDIR(os.lstat(path).st_mode):
                raise KeyNotFoundError(key, url=self.url)
        except OSError as error:
            raise self._folder.error(error, key, "rename") from error
        if folded(key) == folded(new):
            raise KeyExistsError(new, url=self.url)  # if the file system ignores case, both are one file

        act = partial(self._naming.rename, path, target, lambda: files.unlink(self._folder.base, key))
        try:
            act()
        except OSError as error:
            try:
                self._folder.retry(error, new, target, act)
            except StoreError as final:
                if isinstance(final.__cause__, FileNotFoundError):
                    raise KeyNotFoundError(key, url=self.url) from final.__cause__
                raise

    def link_from(self, path: Path, key: str) -> None:
        """Create `key` as a hard link to the local file `path`, exclusively.

        Raises:
            FileNotFoundError: there is no file `path`.
            KeyExistsError: there is a `key`.
            UnsupportedOperationError: `path` lies on another file system, or there are no hard links.
        """
        _linking.link(self._folder, path, key)

    def symlink_from(self, path: Path, key: str) -> None:
        """Create `key` as a symbolic link to the local file or folder `path`, exclusively.

        A target inside of the store is linked to relatively, so that the store can be moved.

        Raises:
            KeyExistsError: there is a `key`.
            UnsupportedOperationError: the operating system or the file system does not allow symbolic links.
        """
        _linking.symlink(self._folder, path, key)

    def local_path(self, key: str) -> Path:
        """Return the path of `key`. The file need not exist; its folder is not created.

        Raises:
            KeyNotFoundError: one of its folders is a link.
            SpecialFileError: it is no regular file and no folder: whoever opens it would follow a link.
        """
        self._folder.reach(key)
        path = self._folder.spelled(key)
        if not isinstance(self._folder, Followed):
            try:
                files.check_regular(os.lstat(path), path)
            except OSError as error:  # or it is a folder, or not there
                if isinstance(error, files.SpecialError):
                    raise self._folder.error(error, key, "read") from error
        from pathlib import Path

        return Path(path)

    def through(self, key: str, *, outside: bool = True) -> Self:
        """Return this store for reading what the link `key` leads to, also by links in there; see `Store.through`."""
        store = type(self).__new__(type(self))
        vars(store).update(vars(self), _folder=Followed(self._folder, key, outside=outside))
        return store

    # --------------------------------------------------------------------------------------------------- housekeeping

    def leftovers(self, older_than: float) -> Iterator[str]:
        """Name the temporary files that killed processes left behind, relative to the store, as keys are.

        It goes by this machine's clock, because it writes nothing; `remove_leftovers` by the file system's.

        Args:
            older_than: seconds since they were last written to. A stream that is still in use may pause; leave it a
                day.

        Raises:
            StorePermissionError: a folder cannot be read; after what lies in the others was named.
        """
        return self._leftovers(older_than, time.time())

    def remove_leftovers(self, older_than: float) -> int:
        """Remove what `leftovers` names and return how many there were.

        Raises:
            StorePermissionError: one may not be removed, or a folder cannot be read.
        """
        removed = 0
        for name in self._leftovers(older_than, _housekeeping.clock(self._folder.base)):
            try:
                _housekeeping.remove_leftover(self._folder.base, name)
                removed += 1
            except FileNotFoundError:
                continue
            except OSError as error:
                raise self._folder.error(error, name, "delete") from error
        return removed

    def prune(self, prefix: str = "") -> None:
        """Remove the empty folders below `prefix`, and `prefix` itself if nothing is left in it.

        Safe at any time: a writer whose folder vanishes makes it again.
        """
        try:
            self._folder.reach_folder(prefix)
        except KeyNotFoundError:
            return  # this store owns nothing behind a link
        self._folder.forget()
        _housekeeping.prune(self._folder.base, prefix)

    def _leftovers(self, older_than: float, now: float) -> Iterator[str]:
        unreadable: dict[str, OSError] = {}
        yield from _housekeeping.leftovers(self._folder.base, older_than, now, unreadable)
        for folder, error in unreadable.items():
            raise self._folder.error(error, folder, "list") from error
