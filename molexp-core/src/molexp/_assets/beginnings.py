"""Streams over other streams: the beginning of a payload that grows, as many bytes as its record says."""

from __future__ import annotations

import io
from typing import IO, Any


class OverStream(io.RawIOBase):
    """A stream that reads another one, and closes it when it is closed."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream: Any = stream

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return int(self._stream.tell())

    def close(self) -> None:
        self._stream.close()
        super().close()


class _Beginning(OverStream):
    """The first bytes of a stream, as if there were no more."""

    def __init__(self, stream: IO[bytes], limit: int) -> None:
        super().__init__(stream)
        self._limit = limit

    def readinto(self, buffer: Any) -> int:
        data = self._stream.read(min(len(buffer), max(self._limit - self._stream.tell(), 0)))
        buffer[: len(data)] = data
        return len(data)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        if whence == io.SEEK_END:
            offset, whence = self._limit + offset, io.SEEK_SET
        return int(self._stream.seek(offset, whence))


def beginning_of(stream: IO[bytes], limit: int) -> IO[bytes]:
    """Return a stream of the first bytes of another one."""
    return io.BufferedReader(_Beginning(stream, limit), 1 << 17)
