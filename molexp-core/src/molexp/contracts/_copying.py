"""The one way in which bytes are copied: each is read once, hashed while the processor has it, and written once."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from typing import IO, Any, Protocol

CHUNK = 1 << 17
"""Bytes that are read at once: few enough to be in the cache of a processor until they are hashed and written."""

_LARGE = 1 << 20  # bytes from which on a clone is worth it: whoever makes one waits until the source is on the disk


class Readable(Protocol):
    """A stream that bytes are read from."""

    def read(self, size: int, /) -> bytes:
        """Return the next bytes, at most so many; none at the end."""


class Written(Protocol):
    """A stream that bytes are written to."""

    def write(self, data: bytes, /) -> Any:
        """Write all of the bytes."""


class Digest(Protocol):
    """A hash as `hashlib` has them."""

    def update(self, data: bytes, /) -> None:
        """Take in the next bytes."""


def copy_stream(
    source: Readable,
    sink: Written | None = None,
    *,
    length: int | None = None,
    digest: Digest | None = None,
    progress: Callable[[int], Any] | None = None,
) -> int:
    """Copy a stream into another, with bounded memory, and return how many bytes there were.

    A large local file is cloned, if `sink` can make a clone; see `molexp.contracts.Cloning`. What is counted and hashed is
    what the sink has, also if somebody writes to the source meanwhile.

    Args:
        source: the stream; it is read from where it is to its end.
        sink: the stream to write to; None: the bytes are only read.
        length: the number of bytes to copy, unless the source ends before.
        digest: takes in the bytes.
        progress: told the bytes of each piece that was written; they add up to what is returned. What it raises ends the
            copy.
    """
    if length is None and (clone := _clone(source, sink)) is not None:
        with clone:
            if digest is not None:
                return copy_stream(clone, digest=digest, progress=progress)
            size = clone.seek(0, os.SEEK_END)
            if progress is not None:
                progress(size)
            return size
    size = 0
    while chunk := source.read(CHUNK if length is None else min(CHUNK, length - size)):
        if digest is not None:
            digest.update(chunk)
        if sink is not None:
            sink.write(chunk)
        size += len(chunk)
        if progress is not None:
            progress(len(chunk))
    return size


def _clone(source: Readable, sink: Written | None) -> IO[bytes] | None:
    """Return the clone of a source, to be read, if it is a large local file that nothing was read of, and `sink` can make one."""
    clone = getattr(sink, "clone", None)
    if clone is None or not isinstance(source, io.BufferedReader) or not isinstance(source.raw, io.FileIO):
        return None
    if os.fstat(source.fileno()).st_size < _LARGE or source.tell():
        return None
    found: IO[bytes] | None = clone(source)
    return found
