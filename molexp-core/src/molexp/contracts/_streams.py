"""Streams that a store opens for writing: a file that grows, and a stream that becomes a key."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import IO, TYPE_CHECKING, Protocol, Self

if TYPE_CHECKING:
    from pathlib import Path


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


class StagedFile(Protocol):
    """A local path at which a program writes a file that may become a key without being copied; see `Store.stage`.

    Attributes:
        path: the path, in a folder of its own. Nothing is there yet.

    Example:
        >>> from molexp_fs import LocalStore
        >>> store = LocalStore.open("store", {})
        >>> staged = store.stage("runs/md.traj")
        >>> _ = staged.path.write_bytes(b"frames")
        >>> if staged.take():
        ...     staged.publish("runs/md.traj", exclusive=True)
        >>> staged.drop()
        >>> store.read("runs/md.traj")
        b'frames'
    """

    path: Path

    def take(self) -> bool:
        """Tell whether the file can become a key: whether it is certain that nothing changes it any more."""

    def publish(self, key: str, *, exclusive: bool) -> None:
        """Make the file that was taken the file of `key`, which may replace another one, or with `exclusive` may not.

        Raises:
            KeyExistsError: something is there, with `exclusive`. The file can still become another key.
        """

    def drop(self) -> None:
        """Remove the folder, and what was not published."""


class CopiedFile:
    """A `StagedFile` in a temporary folder of this machine."""

    def __init__(self, name: str, put_file: Callable[..., None]) -> None:
        import tempfile
        from pathlib import Path

        self.path = Path(tempfile.mkdtemp(prefix="molexp-"), name)
        self._put_file = put_file

    def take(self) -> bool:
        """Tell that it cannot: it has to be copied."""
        return False

    def publish(self, key: str, *, exclusive: bool) -> None:
        """Copy the file."""
        self._put_file(self.path, key, exclusive=exclusive)

    def drop(self) -> None:
        """Remove the folder."""
        import shutil

        shutil.rmtree(self.path.parent, ignore_errors=True)


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


class Cloning(StreamWriter, Protocol):
    """A `StreamWriter` that can take a whole local file without copying it: both share their blocks until one is changed.

    Example:
        >>> from pathlib import Path
        >>> from molexp_fs import LocalStore
        >>> _ = Path("large.bin").write_bytes(b"frames")
        >>> with open("large.bin", "rb") as source, LocalStore.open("store", {}).open_write("md.traj") as stream:
        ...     if (clone := stream.clone(source)) is None:  # as on most file systems
        ...         _ = stream.write(source.read())
    """

    def clone(self, source: IO[bytes], /) -> IO[bytes] | None:
        """Make the file a clone of a local one, and return it, opened to be read; None where that cannot be done.

        Args:
            source: a file of which nothing was read. Nothing was written to this stream either, and if there is a clone,
                nothing is.
        """


class ReadableWriter(StreamWriter, Protocol):
    """A `StreamWriter` whose bytes can be read again while more are written: they are hashed beside the writing.

    It takes any buffer of contiguous bytes, and keeps none.

    Example:
        >>> from molexp_fs import LocalStore
        >>> with LocalStore.open("store", {}).open_write("md.traj") as stream:
        ...     _ = stream.write(b"frames")
        ...     stream.flush()
        ...     with stream.reader() as written:
        ...         written.read(100)
        b'frames'
    """

    def reader(self) -> IO[bytes]:
        """Open a stream to read from its beginning what was written and shown by `flush`."""

    def flush(self) -> None:
        """Show readers everything that was written."""
