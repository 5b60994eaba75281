"""Writing one payload: hashed while it streams, complete before anything names it."""

from __future__ import annotations

import errno
import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NoReturn, cast

from molexp._storage.hashing import FILE, hashed
from molexp.contracts import StagedFile, Store, StreamWriter
from molexp.contracts._copying import copy_stream
from molexp.errors import KeyExistsError

if TYPE_CHECKING:
    from molexp._storage.spool.outbox import Outbox

SMALL = 1 << 20  # bytes up to which a payload is created in one operation


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
        refuse_twice(self.name, self.written)
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
        refuse_twice(self.name, self.written)
        self.written = True
        stream = _Stream(self.name, self._stream_to_store)
        try:
            yield cast("IO[bytes]", stream)
        except BaseException:
            self.written = False
            _drop(stream.large)
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
                refuse_twice(self.name, self.written)
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
    """Buffers a small payload; hands a large one to the store as it grows."""

    def __init__(self, name: str, begin: Callable[[], StreamWriter]) -> None:
        self.digest = sha256()
        self.size = 0
        self.parts: list[bytes] = []  # that the store does not have yet
        self.large: StreamWriter | None = None
        self.done = False
        self._name = name
        self._begin = begin

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
        chunk = bytes(data)  # of a view, also one whose elements are no bytes
        self.size += len(chunk)
        self.digest.update(chunk)
        self.parts.append(chunk)
        if self.large is None and self.size > SMALL:
            self.large = self._begin().__enter__()
        if self.large is not None:
            self.large.write(b"".join(self.parts))
            self.parts.clear()
        return len(chunk)


def refuse_twice(name: str, written: bool) -> None:
    """Raise `ValueError` if a payload was written already."""
    if written:
        raise ValueError(f"The payload of {name!r} was written already; a kind writes it once.")


def _drop(large: StreamWriter | None) -> None:
    if large is not None:
        large.__exit__(InterruptedError, InterruptedError("aborted"), None)
