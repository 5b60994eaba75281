"""The beginning of a payload that grows: as many bytes as its record says."""

from __future__ import annotations

import io
from typing import IO, Any


class _Beginning(io.RawIOBase):
    """The first bytes of a stream, as if there were no more."""

    def __init__(self, stream: IO[bytes], limit: int) -> None:
        self._stream = stream
        self._limit = limit

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._stream.read(min(len(buffer), max(self._limit - self._stream.tell(), 0)))
        buffer[: len(data)] = data
        return len(data)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        if whence == io.SEEK_END:
            return self._stream.seek(self._limit + offset)
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        return self._stream.tell()

    def close(self) -> None:
        self._stream.close()
        super().close()


def beginning_of(stream: IO[bytes], limit: int) -> IO[bytes]:
    """Return a stream of the first bytes of another one."""
    return io.BufferedReader(_Beginning(stream, limit), 1 << 17)
