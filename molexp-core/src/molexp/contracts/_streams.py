"""Streams that a store opens for writing: a file that grows, and a stream that becomes a key."""

from __future__ import annotations

from types import TracebackType
from typing import Protocol, Self


class Appender(Protocol):
    """A file kept open for appending by its only writer.

    Example:
        >>> from molexp.contracts import Appender
        >>> def log(appender: Appender) -> None:
        ...     appender.write(b"step 1")
        ...     appender.close()
    """

    def write(self, data: bytes) -> None:
        """Append; when it returns, the bytes survive the death of this process."""

    def close(self) -> None:
        """Close; on shared file systems, this is when other hosts begin to see the bytes."""


class Anchored(Protocol):
    """An `Appender` that can tell whether its file still lies under its key.

    Example:
        >>> from molexp.contracts import Anchored
        >>> def append(appender: Anchored) -> None:
        ...     appender.check_place()  # raises WorkspaceMovedError if the file was moved
    """

    def check_place(self) -> None:
        """Do nothing if it does.

        Raises:
            WorkspaceMovedError: it was moved, removed or unmounted since it was opened; names where it lies now.
        """


class StreamWriter(Protocol):
    """A binary stream whose bytes appear under its key, whole, when its ``with`` block ends without an error.

    After an error nothing appears, and nothing stays behind.

    Example:
        >>> from molexp_fs import LocalStore
        >>> store = LocalStore.open("store", {})
        >>> with store.open_write("notes.txt") as stream:
        ...     _ = stream.write(b"hello")
        >>> store.read("notes.txt")
        b'hello'
    """

    def write(self, data: bytes, /) -> int: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...
