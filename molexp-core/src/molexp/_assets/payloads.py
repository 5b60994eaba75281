"""Writing one payload: hashed while it streams, complete before anything names it."""

from __future__ import annotations

import errno
import io
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from hashlib import sha256
from queue import SimpleQueue
from typing import IO, TYPE_CHECKING, Any, NoReturn, cast

from molexp._storage.hashing import FILE, hashed
from molexp._values.threads import start_unsignalled
from molexp.contracts import ReadableWriter, StagedFile, Store, StreamWriter
from molexp.contracts._copying import Digest, copy_stream
from molexp.errors import KeyExistsError

if TYPE_CHECKING:
    from pathlib import Path

    from molexp._storage.spool.outbox import Outbox

SMALL = 1 << 20  # bytes up to which a payload is created in one operation
_PIECE = 8 << 20  # bytes of a large buffer that are written, and copied if they have to be, at once
_READ = 1 << 20  # bytes that are read at once to be hashed


class PayloadSink:
    """Write one payload of a kind, once. The payload is seen when it is published.

    Args:
        store: the store.
        name: the name that people give to the payload.
        key: the key that it gets.
        fallbacks: the keys for it if `key` turns out to be taken by another writer of the same attempt; the first that is
            free.
        replacing: told size and hash right before `key`, the caller's own, is replaced; None: it is not to be.
        outbox: takes the payload until it is in the store, if nobody else can have taken `key`.
        guard: raises if nothing may be replaced any more.
    """

    def __init__(
        self,
        store: Store,
        name: str,
        key: str,
        *,
        fallbacks: Sequence[str] = (),
        replacing: Callable[[int, str], None] | None = None,
        outbox: Outbox | None = None,
        guard: Callable[[], None] | None = None,
    ) -> None:
        self.name = name
        self.key: str = key
        self.size: int = 0
        self.content_hash: str = ""
        self.written: bool = False
        self._data = b""
        self._large: StreamWriter | None = None
        self._staged: StagedFile | None = None
        self._store = store
        self._fallbacks = fallbacks
        self._replacing = replacing
        self._outbox = outbox
        self._guard = guard

    def write(self, data: bytes) -> None:
        """Take the whole payload at once."""
        if self.written:
            raise written_twice(self.name)
        self.written = True
        self._data = bytes(data)
        self.size = len(self._data)
        self.content_hash = "sha256:" + sha256(self._data).hexdigest()

    def publish(self) -> None:
        """Give what was written its key, once everything that its record will say is known to be right.

        Call `abandon` if this raises.
        """
        if self._replacing is not None:
            self._replacing(self.size, self.content_hash)
        large, self._large = self._large, None
        if large is not None:
            large.__exit__(None, None, None)
        else:
            self._put()
        if self._staged is not None:
            self._staged.drop()

    def abandon(self) -> None:
        """Drop what was written and not published."""
        large, self._large = self._large, None
        _drop(large)
        if self._staged is not None:
            self._staged.drop()

    def _put(self) -> None:
        staged, data = self._staged, self._data
        if self._outbox is not None:
            return self._outbox.put(self.key, data, guard=self._guard if self._replacing is not None else None)
        if self._replacing is not None:
            return staged.publish(self.key, exclusive=False) if staged else self._store.write(self.key, data)
        for other in self._fallbacks:
            try:
                return staged.publish(self.key, exclusive=True) if staged else self._store.create(self.key, data)
            except KeyExistsError:
                self.key = other
        return staged.publish(self.key, exclusive=True) if staged else self._store.create(self.key, data)

    @contextmanager
    def open(self) -> Iterator[IO[bytes]]:
        """Give a binary stream to write to; what is small arrives in one operation, what is large streams."""
        if self.written:
            raise written_twice(self.name)
        self.written = True
        stream = _Stream(self.name, self._stream_to_store)
        try:
            yield cast("IO[bytes]", stream)
            stream.finish()
        except BaseException:
            self.written = False
            stream.abandon()
            raise
        finally:
            stream.done = True
        self._large, self._data = stream.large, b"".join(stream.parts)
        self.size, self.content_hash = stream.size, f"{FILE}{stream.digest.hexdigest()}"

    @contextmanager
    def path(self) -> Iterator[Path]:
        """Give a local path to write a file to; its content is taken when the block ends without an error.

        What is large stays the file that was written, if the store can take it as it is; everything else is copied.
        """
        staged = self._store.stage(self.key)
        try:
            path = staged.path
            yield path
            if path.is_dir():
                hint = f"{self.name!r} would be a folder, and its kind writes a file; import it with data_assets, or use a kind of folders"
                raise IsADirectoryError(errno.EISDIR, hint, str(path))
            if not path.is_file():
                raise FileNotFoundError(f"Nothing was written to {path}: {self.name!r} has no content to save.")
            if self._outbox is None and path.stat().st_size > SMALL and staged.take():
                if self.written:
                    raise written_twice(self.name)
                self.written = True
                with path.open("rb") as file:
                    self.size, self.content_hash = hashed(file)
                self._staged = staged
            else:
                self.copy(path)
        finally:
            if self._staged is not staged:
                staged.drop()

    def copy(self, path: Path) -> None:
        """Stream a local file."""
        with path.open("rb") as source, self.open() as sink:
            copy_stream(source, sink)

    def _stream_to_store(self) -> StreamWriter:
        """Return the stream for a large payload."""
        if self._outbox is not None:
            return self._outbox.opening(self.key, guard=self._guard if self._replacing is not None else None)
        if self._replacing is None:
            for other in self._fallbacks:
                if not self._store.exists(self.key):
                    break
                self.key = other
        return self._store.open_write(self.key, exclusive=self._replacing is None)

    def folder(self) -> NoReturn:
        """Raise, always: a file is written as one."""
        raise TypeError(f"The payload of {self.name!r} is a file; a kind that writes a folder has payload = 'folder'.")


class _Stream(io.RawIOBase):
    """Buffers a small payload; hands a large one to the store as it grows.

    Large pieces are hashed by a thread, which reads them again while the system has them in memory: nobody waits for the hash
    and then for the disk, and the hash is that of the bytes that were written, also if somebody changes the piece meanwhile.
    """

    def __init__(self, name: str, begin: Callable[[], StreamWriter]) -> None:
        self.digest = sha256()
        self.size = 0
        self.parts: list[bytes] = []  # that the store does not have yet
        self.large: StreamWriter | None = None
        self.done = False
        self._name = name
        self._begin = begin
        self._beside: _HashBeside | None = None

    def writable(self) -> bool:
        """Tell that it is."""
        return True

    def tell(self) -> int:
        """Return how much was written."""
        return self.size

    def clone(self, source: IO[bytes], /) -> IO[bytes] | None:
        """Let the store make a clone of a local file, if it can, and return it; see `Cloning`."""
        if self.size:
            return None
        self.large = self._begin().__enter__()
        clone = getattr(self.large, "clone", None)
        made: IO[bytes] | None = clone(source) if clone is not None else None
        if made is not None:
            self.size = copy_stream(made, digest=self.digest)
        return made

    def write(self, data: Any, /) -> int:
        """Take the next bytes."""
        if self.done:
            raise ValueError(f"The payload of {self._name!r} is closed.")
        view = memoryview(data)
        view = view.cast("B") if view.c_contiguous and view.nbytes else memoryview(bytes(view))
        size = len(view)
        if self.large is None and self.size + size > SMALL:
            self.large = self._begin().__enter__()
            self.large.write(b"".join(self.parts))
            self.parts.clear()
        if self._beside is None and size >= SMALL and hasattr(self.large, "reader"):
            with suppress(RuntimeError, OSError):  # there are too many threads, or open files
                self._beside = _HashBeside(cast("ReadableWriter", self.large), self.digest, self.size)
        self.size += size
        for at in range(0, size, _PIECE):
            piece = view[at : at + _PIECE]
            if self._beside is not None:
                self._beside.write(piece)
            else:
                self._take(data if isinstance(data, bytes) and size <= _PIECE else bytes(piece))
        return size

    def _take(self, chunk: bytes) -> None:
        self.digest.update(chunk)
        if self.large is not None:
            self.large.write(chunk)
        else:
            self.parts.append(chunk)

    def finish(self) -> None:
        """Wait until everything is hashed."""
        if self._beside is not None:
            self._beside.finish()

    def abandon(self) -> None:
        """Drop what was written."""
        if self._beside is not None:
            self._beside.abandon()
        _drop(self.large)


class _HashBeside:
    """Writes to a stream, and hashes in a thread what was written.

    Args:
        writer: the stream.
        digest: takes in the bytes.
        start: the bytes that it has taken in.
    """

    def __init__(self, writer: ReadableWriter, digest: Digest, start: int) -> None:
        self._writer = writer
        self._digest = digest
        self._hashed = start
        self._written = self._shown = start
        self._ends: SimpleQueue[int | None] = SimpleQueue()  # the number of bytes that can be read; None at the end
        self._error: BaseException | None = None
        writer.flush()
        self._source = writer.reader()
        self._thread = threading.Thread(target=self._hash, name="molexp-hash", daemon=True)
        try:
            start_unsignalled(self._thread)
        except RuntimeError:
            self._source.close()
            raise

    def write(self, piece: memoryview) -> None:
        """Write a piece, which is hashed meanwhile with those before it."""
        self._written += self._writer.write(piece)  # type: ignore[arg-type]
        if self._written - self._shown >= SMALL:
            self._show()

    def finish(self) -> None:
        """Wait until everything is hashed.

        Raises:
            OSError: the bytes that were written cannot be read.
        """
        self._show()
        self._end()
        if self._error is not None:
            raise self._error

    def abandon(self) -> None:
        """Hash no more than the thread is at."""
        self._error = self._error or InterruptedError("aborted")
        self._end()

    def _show(self) -> None:
        self._writer.flush()
        self._shown = self._written
        self._ends.put(self._written)

    def _end(self) -> None:
        self._ends.put(None)
        self._thread.join()
        self._source.close()

    def _hash(self) -> None:
        buffer = memoryview(bytearray(_READ))
        try:
            self._source.seek(self._hashed)
            while (end := self._ends.get()) is not None:
                while self._hashed < end and self._error is None:
                    size = self._source.readinto(buffer[: end - self._hashed])  # type: ignore[attr-defined]
                    if not size:
                        raise OSError(errno.EIO, f"The file has {self._hashed} bytes, and {end} were written to it.")
                    self._digest.update(buffer[:size])  # type: ignore[arg-type]
                    self._hashed += size
        except BaseException as error:  # noqa: BLE001 - told to the thread that writes
            self._error = error


def written_twice(name: str) -> ValueError:
    """Return the error about a payload that was written already."""
    return ValueError(f"The payload of {name!r} was written already; a kind writes it once.")


def _drop(large: StreamWriter | None) -> None:
    if large is not None:
        large.__exit__(InterruptedError, InterruptedError("aborted"), None)
