"""A seekable stream over something that is read a block at a time."""

from __future__ import annotations

import io
from abc import abstractmethod
from typing import Any


class BlockReader(io.RawIOBase):
    """Reads a known number of bytes by blocks, of which it keeps the last one."""

    def __init__(self, size: int, first: bytes = b"") -> None:
        super().__init__()
        self._size = size
        self._block, self._at = first, 0
        self._position = 0

    @abstractmethod
    def load(self, position: int, wanted: int) -> tuple[bytes, int]:
        """Return a block that holds the byte at `position`, if there is one, and its start. The caller wants `wanted` bytes."""

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the position of the next byte."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Move to another position, and return it."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        if start + offset < 0:
            raise ValueError(f"There is nothing before the beginning: {start + offset}.")
        self._position = start + offset
        return self._position

    def readinto(self, buffer: Any, /) -> int:
        """Fill `buffer` as far as the block at hand goes."""
        view = memoryview(buffer).cast("B")
        if not len(view) or self._position >= self._size:
            return 0
        if not self._at <= self._position < self._at + len(self._block):
            self._block = b""  # two of them at a time would be twice the memory
            self._block, self._at = self.load(self._position, len(view))
        inside = self._position - self._at
        chunk = self._block[inside : inside + len(view)]
        view[: len(chunk)] = chunk
        self._position += len(chunk)
        return len(chunk)
