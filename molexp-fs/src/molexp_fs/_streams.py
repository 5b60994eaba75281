"""Streams into a folder: whole files that appear at the end, and files that are appended to."""

from __future__ import annotations

import os
from collections.abc import Callable
from types import TracebackType
from typing import IO, Self

from molexp.contracts import Durability
from molexp.errors import WorkspaceMovedError
from molexp_fs._cloning import clone
from molexp_fs._errors import translate
from molexp_fs._files import LAST_STANDARD, aloof, begin_flush, open_aloof, path_now, remove, write_all

_BUFFER = 1 << 16
_BEHIND = 16 << 20  # bytes of a stream after which the system begins to flush them


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
        self._file = open(self._temp, "wb", buffering=_BUFFER, opener=open_aloof)
        return self

    def clone(self, source: IO[bytes], /) -> IO[bytes] | None:
        """Make the file a clone of a local one, and return it; None if the file system cannot, or not from there."""
        assert self._file is not None
        return open(self._temp, "rb", opener=open_aloof) if clone(source, self._file) else None

    def write(self, data: bytes, /) -> int:
        """Write all of `data` and return its length."""
        if self._file is None:
            raise ValueError(f"The stream into {self._key!r} is used outside of its 'with' block.")
        try:
            done = self._file.write(data)
            self._written += done
            if self._behind is not None and self._written - self._flushing >= self._behind:
                begin_flush(self._file.fileno(), self._flushing, self._written - self._flushing)
                self._flushing = self._written
            return done
        except OSError as error:
            raise translate(error, self._key, self._url, "write") from error

    def reader(self) -> IO[bytes]:
        """Open the file to read from its beginning what was written and shown by `flush`."""
        return open(self._temp, "rb", buffering=0, opener=open_aloof)

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
            remove(self._temp)  # after an error; published, it is gone already

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
        self._fd = fd if fd > LAST_STANDARD else aloof(fd)
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
                write_all(self._fd, data[done:])
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
        found = path_now(self._fd, self._key.rpartition("/")[2]).removesuffix(f"/{self._key}")
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
