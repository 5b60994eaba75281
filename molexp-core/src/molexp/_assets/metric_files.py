"""Files of metrics, by columns: many points at a time, and of a file that still grows only those that are new."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from typing import IO, TYPE_CHECKING, Any, NamedTuple

from molexp._assets.metric_columns import MixedPiece, Piece, pieces_of
from molexp._record.metrics import whole_lines
from molexp._values.documents import decode_lines
from molexp._values.plain import restore

if TYPE_CHECKING:
    from molexp._record.metric_blocks import Block
    from molexp.contracts import Source

KEPT = 48 << 20
"""Bytes of memory for points of growing files, which are kept for who asks again."""

_PARTS = 50_000  # parts of blocks that are kept: some 40 MB
_TAIL = 256  # bytes at the end of what was read, which tell whether it still is that file


def read_pieces(source: Source[Any]) -> Iterator[Piece | MixedPiece]:
    """Yield the points of a file. That a line is none, a warning says."""
    return (piece for *_, piece in _blocks(source.open(), source.name, 0))


def _blocks(stream: IO[bytes], name: str, end: int) -> Iterator[tuple[int, bytes, Piece | MixedPiece]]:
    """Yield the points in what is left of a stream; before them, where in the file they end, and the bytes before that."""
    wrong = 0
    for data in whole_lines(stream):
        points, _, bad = decode_lines(data, name)
        end += len(data)
        wrong += bad
        for piece in pieces_of([list(map(restore, points)) if b"$" in data else points]):
            yield end, data[-_TAIL:], piece
    if wrong:
        warnings.warn(f"{wrong} lines of {name!r} are no points, and are left out.", stacklevel=3)


class _Read(NamedTuple):
    """The part of a file that was read: where it ends, the bytes before that, its points, and the memory that these take."""

    end: int = 0
    tail: bytes = b""
    pieces: tuple[Piece | MixedPiece, ...] = ()
    weight: int = 0


_NOTHING = _Read()


class KnownBlocks:
    """Remembers the blocks of files that were read."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[str, list[Block]] = {}

    def of(self, id: str) -> list[Block]:
        """Return the blocks that are known of the asset of an id."""
        with self._lock:
            return [*self._known.get(id, ())]

    def keep(self, id: str, blocks: list[Block]) -> None:
        """Remember blocks; those of files that were read long ago are forgotten."""
        with self._lock:
            self._known.pop(id, None)
            self._known[id] = [*blocks]
            while len(self._known) > 1 and sum(map(_parts, self._known.values())) > _PARTS:
                self._known.pop(next(iter(self._known)))


def _parts(blocks: list[Block]) -> int:
    return len(blocks) * len(blocks[-1].parts) if blocks else 0


class GrowingFiles:
    """Remembers the points of files that grow, as far as they were read."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[str, _Read] = {}
        self.blocks: KnownBlocks = KnownBlocks()

    def read(self, id: str, source: Source[Any]) -> list[Piece | MixedPiece]:
        """Return the points of a file; what was read before is not read again, but for less than a block at the end.

        Args:
            id: the asset's.
            source: the file.
        """
        known = self._known.get(id, _NOTHING)
        stream = source.open()
        stream.seek(known.end - len(known.tail))
        if stream.read(len(known.tail)) != known.tail:  # somebody has put another file there
            known = _NOTHING
            stream.seek(0)
        found = [*_blocks(stream, source.name, known.end)]
        kept = known
        for end, tail, piece in found[:-1]:
            if (weight := kept.weight + piece.weight(end - kept.end)) > KEPT:
                break
            kept = _Read(end, tail, (*kept.pieces, piece), weight)
        if kept is not known:
            self._keep(id, kept)
        return [*known.pieces, *(piece for *_, piece in found)]

    def _keep(self, id: str, read: _Read) -> None:
        with self._lock:
            self._known.pop(id, None)
            while self._known and read.weight + sum(one.weight for one in self._known.values()) > KEPT:
                self._known.pop(next(iter(self._known)))
            self._known[id] = read
