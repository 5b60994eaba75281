"""Write files: whole ones, which get their names only when they are complete, and those that are appended to; flush them."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Collection, Iterable
from types import TracebackType
from typing import IO, Self

from molexp.contracts import Capability, Durability
from molexp.errors import StorePermissionError, WorkspaceMovedError
from molexp_fs import _files as files
from molexp_fs._cloning import clone
from molexp_fs._errors import NO_LINK, NO_TMPFILE, translate
from molexp_fs._folder import REMEMBERED, Folder

_NAMELESS = os.O_WRONLY | getattr(os, "O_TMPFILE", 0)
_HAS_NAMELESS = hasattr(os, "O_TMPFILE") and os.link in os.supports_dir_fd
_HAS_LINKS = hasattr(os, "link")
_NO_FOLLOW = {"follow_symlinks": False} if _HAS_LINKS and os.link in os.supports_follow_symlinks else {}
_BUFFER = 1 << 16
_MANY = 16  # files that are flushed faster by flushing all there is
_BEHIND = 16 << 20  # bytes of a stream after which the system begins to flush them


class Naming:
    """The ways to name files on one file system. It learns which ones work by using them.

    Methods take paths and raise `OSError`. The caller creates missing folders.

    Attributes:
        durable: True if every change is flushed to the disk before the method returns.
        nameless: True if a file can be written before it has a name, so that a killed process leaves nothing.
        links: True if the file system has hard links.
    """

    __slots__ = ("durable", "links", "nameless")

    def __init__(self, *, durable: bool):
        self.durable = durable
        self.nameless = _HAS_NAMELESS
        self.links = _HAS_LINKS

    def create(self, path: str, data: bytes) -> None:
        """Create `path` with `data`, exclusively."""
        if self.nameless and (fd := self._create_nameless(path, data, _NAMELESS)) is not None:
            os.close(fd)
            return
        temp = files.temp_path(path)
        files.write_new(temp, data, durable=self.durable)
        try:
            self.publish(temp, path)
        finally:
            files.remove(temp)

    def write(self, path: str, data: bytes) -> None:
        """Replace `path`, or create it, with `data`."""
        temp = files.temp_path(path)
        files.write_new(temp, data, durable=self.durable)
        try:
            files.calls.replace(temp, path)
        except BaseException:
            files.remove(temp)
            raise
        if self.durable:
            self._flush(path)

    def replace(self, temp: str, path: str) -> None:
        """Give `temp` the name `path`, replacing any file there."""
        files.calls.replace(temp, path)
        self._flush(path)

    def publish(self, temp: str, path: str) -> None:
        """Give `temp` the name `path` exclusively. The name `temp` may remain; the caller removes it."""
        if not (self.links and self._link(temp, path)):
            self._claim_and_replace(temp, path)
            self.links = False  # only now: a folder that denies everything says nothing about links
        self._flush(path)

    def rename(self, path: str, target: str, unlink: Callable[[], None]) -> None:
        """Rename `path`, which `unlink` removes, to `target` exclusively.

        With links the file gets its new name before it loses the old one. Of several callers, the one that removes
        the old name has renamed the file; the others get `FileNotFoundError`.
        """
        if self.links and self._link(path, target):
            try:
                unlink()
            except FileNotFoundError:
                if os.lstat(target).st_nlink > 1:  # the faster caller chose another name; this one is superfluous
                    files.remove(target)
                raise
        else:
            self._claim_and_replace(path, target)
        self._flush(target)
        self._flush(path)

    def open_append(self, path: str, *, exclusive: bool, first: bytes) -> int:
        """Open `path` for appending, creating it if it is not there; with `exclusive`, only then, and with `first`."""
        if exclusive and first:
            if self.nameless and (fd := self._create_nameless(path, first, _NAMELESS | os.O_APPEND)) is not None:
                return fd
            self.create(path, first)
            return os.open(path, files.APPEND)
        if exclusive:
            fd = os.open(path, files.APPEND | os.O_CREAT | os.O_EXCL, 0o666)
        else:
            fd, _ = files.open_regular(path, files.APPEND | os.O_CREAT)
        try:
            if first:
                files.write_all(fd, first)
            if self.durable:
                self._flush(path)
        except BaseException:
            os.close(fd)
            raise
        return fd

    def _create_nameless(self, path: str, data: bytes, flags: int) -> int | None:
        """Create `path` without a temporary name and return it open; None if that is not possible here."""
        try:
            fd = os.open(path[: path.rfind("/")] or "/", flags, 0o666)
        except OSError as error:
            if error.errno not in NO_TMPFILE:
                raise
            self.nameless = False
            return None
        try:
            if (done := os.write(fd, data)) != len(data):
                files.write_all(fd, data[done:])
            if self.durable:
                os.fsync(fd)
            try:
                # A directory descriptor, which an absolute path leaves unused, makes Python call linkat(2) with the
                # flag that follows the link in /proc; see open(2) under O_TMPFILE.
                os.link(f"/proc/self/fd/{fd}", path, src_dir_fd=0, follow_symlinks=True)
            except FileExistsError:
                raise
            except OSError:
                self.nameless = False  # no /proc, or such links denied; the other way works or meets the same error
                os.close(fd)
                return None
            if self.durable:
                self._flush(path)
        except BaseException:
            os.close(fd)
            raise
        return fd

    @staticmethod
    def _link(path: str, new: str) -> bool:
        try:
            os.link(path, new, **_NO_FOLLOW)
        except FileExistsError:
            if not files.same_file(path, new):  # else it was our own request, replayed after its answer was lost
                raise
        except OSError as error:
            if error.errno in NO_LINK:
                return False
            raise
        return True

    @staticmethod
    def _claim_and_replace(path: str, new: str) -> None:
        """Give a file its new name where it cannot be linked: claim the name, then replace the empty claim.

        Readers wait a moment for the owner of a claim. Then they assume that it is dead and take the claim. So a process
        that was paused here checks that the claim is still its own.
        """
        if os.name == "nt":  # there, this is exclusive
            files.calls.rename(path, new)
            return
        with files.claimed(new) as is_ours:
            if not is_ours():
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), new)
        try:
            files.calls.replace(path, new)
        except BaseException:
            files.remove_empty(new)
            raise

    def _flush(self, path: str) -> None:
        if self.durable:
            files.sync_folder(files.folder_of_path(path))


class FileWriter:
    """A stream into a temporary file, which `publish` turns into the key: it is `Cloning` and a `ReadableWriter`.

    Args:
        key: the key.
        url: of the store.
        begin: makes the temporary file and returns its path.
        publish: gives the file its key.
        durability: of the store. Unless it is ``"never"``, large files begin to be flushed while they are written.
    """

    def __init__(
        self, key: str, url: str, begin: Callable[[], str], publish: Callable[[str], None], durability: Durability
    ):
        self._key = key
        self._url = url
        self._begin = begin
        self._publish = publish
        self._durable = durability == "always"
        self._behind = _BEHIND if durability != "never" else None
        self._written = self._flushing = 0
        self._temp = ""
        self._file: IO[bytes] | None = None

    def __enter__(self) -> Self:
        self._temp = self._begin()  # not before: a stream that nobody enters leaves nothing behind
        self._file = open(self._temp, "wb", buffering=_BUFFER, opener=files.open_aloof)
        return self

    def clone(self, source: IO[bytes], /) -> IO[bytes] | None:
        """Make the file a clone of a local one, and return it; None if the file system cannot, or not from there."""
        assert self._file is not None
        return open(self._temp, "rb", opener=files.open_aloof) if clone(source, self._file) else None

    def write(self, data: bytes, /) -> int:
        """Write all of `data` and return its length."""
        if self._file is None:
            raise ValueError(f"The stream into {self._key!r} is used outside of its 'with' block.")
        try:
            done = self._file.write(data)
            self._written += done
            if self._behind is not None and self._written - self._flushing >= self._behind:
                files.begin_flush(self._file.fileno(), self._flushing, self._written - self._flushing)
                self._flushing = self._written
            return done
        except OSError as error:
            raise translate(error, self._key, self._url, "write") from error

    def reader(self) -> IO[bytes]:
        """Open the file to read from its beginning what was written and shown by `flush`."""
        return open(self._temp, "rb", buffering=0, opener=files.open_aloof)

    def flush(self) -> None:
        """Show readers everything that was written."""
        assert self._file is not None
        try:
            self._file.flush()
        except OSError as error:
            raise translate(error, self._key, self._url, "write") from error

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        try:
            self._close(flush=kind is None)
            if kind is None:
                self._publish(self._temp)
        finally:
            files.remove(self._temp)  # after an error; published, it is gone already

    def _close(self, *, flush: bool) -> None:
        file, self._file = self._file, None
        assert file is not None
        try:
            if flush:
                file.flush()
                if self._durable:
                    os.fsync(file.fileno())
            file.close()
        except OSError as error:
            if flush:
                raise translate(error, self._key, self._url, "write") from error
        finally:
            if not file.closed:
                os.close(file.fileno())  # the buffered rest could not be written; do not try again at exit


class FileAppender:
    """An `Appender` that keeps its file open; used by one thread at a time."""

    def __init__(self, fd: int, key: str, path: str, url: str, durable: bool):
        self._fd = fd if fd > files.LAST_STANDARD else files.aloof(fd)
        self._key = key
        self._path = path
        self._url = url
        self._durable = durable

    def write(self, data: bytes) -> None:
        """Append `data`; when it returns, the bytes survive the death of this process.

        Raises:
            StoreError: they could not be written, or only in part.
            ValueError: the appender is closed.
        """
        try:
            done = os.write(self._fd, data)
            if done != len(data):
                files.write_all(self._fd, data[done:])
            if self._durable:
                os.fsync(self._fd)
        except OSError as error:
            if self._fd < 0:
                raise ValueError(f"The appender of {self._key!r} is closed.") from None
            raise translate(error, self._key, self._url, "write") from error

    def check_place(self) -> None:
        """Do nothing if the file still lies under its key.

        Raises:
            WorkspaceMovedError: it was moved, removed or unmounted since it was opened. The error names its new place.
            StoreError: it cannot be looked at.
        """
        ours = os.fstat(self._fd)
        try:
            now = os.stat(self._path)
            if now.st_ino == ours.st_ino and now.st_dev == ours.st_dev:
                return
        except (FileNotFoundError, NotADirectoryError):
            pass
        except OSError as error:
            raise translate(error, self._key, self._url, "read") from error
        found = files.path_now(self._fd, self._key.rpartition("/")[2]).removesuffix(f"/{self._key}")
        raise WorkspaceMovedError(self._key, url=self._url, found=found, removed=not ours.st_nlink)

    def close(self) -> None:
        """Close the file. On shared file systems, other hosts see the bytes only from then on.

        Raises:
            StoreError: the written bytes did not reach the file server.
        """
        fd, self._fd = self._fd, -1
        if fd < 0:
            return
        try:
            os.close(fd)
        except OSError as error:
            raise translate(error, self._key, self._url, "write") from error


def capabilities() -> frozenset[Capability]:
    """Return the capabilities of a folder on this operating system."""
    found: set[Capability] = {"append", "local_path"}
    if hasattr(os, "link"):
        found.add("link")
    if hasattr(os, "symlink"):
        found.add("symlink")
    return frozenset(found)


# ------------------------------------------------------------------------------------------------------------ flushing


def flush(folder: Folder, paths: Collection[str], *, content: bool, names: bool) -> None:
    """Flush the bytes of each file, then the names.

    Raises:
        StoreError: it could not be done.
    """
    if len(paths) >= _MANY and _everything(folder):
        return
    for path in paths if content else ():
        try:
            files.sync_file(path)
        except OSError as error:
            _pass_over(folder, error, path)
    if names:
        _flush_names(folder, paths)


def _everything(folder: Folder) -> bool:
    """Flush the whole file system by one call, if there is one. Tell whether there is."""
    try:
        return files.sync_all(folder.base)
    except FileNotFoundError:
        return True  # and nothing to flush
    except OSError as error:
        raise folder.error(error, "", "write") from error


def _flush_names(folder: Folder, paths: Iterable[str]) -> None:
    """Flush the folder of each path, once, and the folders above those that were not seen before."""
    known, made_in = folder.flushed, folder.made_in
    due = set(map(files.folder_of_path, paths))
    lowest = len(folder.base) - 1  # the length of the store's own folder
    new: list[str] = []
    for inner in due - known:
        above = inner
        while above not in known and len(above) >= lowest:
            new.append(above)
            known.add(above)
            above = files.folder_of_path(above)
            due.add(above)
    if len(known) >= REMEMBERED:
        known.clear()
    try:
        for path in sorted(due, key=len, reverse=True):
            made = made_in.pop(path, ())
            try:
                files.sync_folder(path)
            except OSError as error:
                _pass_over(folder, error, path)
            known.update(made)
    except BaseException:
        known.difference_update(new)
        raise


def _pass_over(folder: Folder, error: OSError, path: str) -> None:
    """Ignore files that were deleted, and folders above the store that we may not open."""
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return
    found = folder.error(error, path[len(folder.base) :], "write")
    if not (isinstance(found, StorePermissionError) and len(path) < len(folder.base) - 1):
        raise found from error
