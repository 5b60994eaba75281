"""Write the blocks of a long file of metrics beside it. They are derived: without them, whoever draws a curve reads all points."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from molexp._record.metric_blocks import Builder, Part, Parts, encode_block, parts_of
from molexp._storage import layout
from molexp.errors import MolexpError

if TYPE_CHECKING:
    from molexp._assets.naming import Slot
    from molexp._recording.writer import Writer
    from molexp.contracts import Appender

LONG = 1 << 15
"""Points from which on a file has its blocks written."""

_HELD = 1 << 20  # bytes of blocks from which on so does a file of many names
AT_ONCE = 8  # blocks that are written at a time


class BlocksFile:
    """The blocks of a file of metrics that its writer appends to; what cannot be written ends them.

    Args:
        writer: the writer of the file.
        slot: the file's place, whose key is known once something is in it.
    """

    def __init__(self, writer: Writer, slot: Slot) -> None:
        self._writer = writer
        self._slot = slot
        self._builder = Builder()
        self._held: list[bytes] = []
        self._bytes = 0
        self._appender: Appender | None = None
        self._over = False
        self._sound = True

    def divide(self, points: Sequence[Mapping[str, Any]]) -> Parts:
        """Return the parts of points that come next in the block that is being made."""
        return parts_of(points, self._builder.size)

    @property
    def begun(self) -> bool:
        """Tell whether something was written."""
        return self._appender is not None

    def room(self) -> int:
        """Return how many points to take in next, at most."""
        return self._builder.room()

    def take(self, parts: Mapping[str, Part], size: int, end: int, line: bytes) -> None:
        """Take in the parts of points, of which the last is this line, which ends there in the file."""
        if self._over or not self._sound:  # Ctrl-C came within this
            return
        self._sound = False
        if self._builder.take(parts, size):
            self._cut(end, line)
            is_long = self._builder.before >= LONG or self._bytes >= _HELD
            if self._appender is not None or is_long:
                self._write(AT_ONCE)
        self._sound = True

    def stop(self) -> None:
        """Take in no more."""
        self._over = True

    def close(self, end: int, line: bytes) -> None:
        """Write what is left, if something was written; the points of the last block end there."""
        if self._appender is None:
            return
        if not self._over and self._sound:
            if self._builder.size:
                self._cut(end, line)
            self._write(1)
        with suppress(MolexpError, OSError):
            self._appender.close()

    def _cut(self, end: int, line: bytes) -> None:
        try:
            self._held.append(encode_block(self._builder.cut(end, line)))
        except (OverflowError, ValueError):  # more digits than there are in a block
            self.stop()
        else:
            self._bytes += len(self._held[-1])

    def _write(self, least: int) -> None:
        """Write the blocks that are held, if they are so many."""
        if len(self._held) < least:
            return
        try:
            if self._appender is None:
                self._appender = self._open()
            self._appender.write(b"".join(self._held))
            self._held.clear()
        except (MolexpError, OSError):  # a full disk, a lost network: they are not needed
            self.stop()

    def _open(self) -> Appender:
        store, key = self._writer.store, layout.blocks_of(self._slot.key)
        if (outbox := self._writer.outbox) is not None:
            return outbox.growing(key, guard=self._writer.refuse_ended)
        return store.open_append(key, exclusive=True)
