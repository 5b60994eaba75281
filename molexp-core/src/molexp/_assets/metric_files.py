"""Files of metrics, by columns: many points at a time, and of a file that still grows only those that are new."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from typing import IO, TYPE_CHECKING, Any

from molexp._assets.metric_columns import MixedPiece, Piece, pieces_of
from molexp._record.metrics import whole_lines
from molexp._values.documents import decode_lines
from molexp._values.plain import restore

if TYPE_CHECKING:
    from molexp.contracts import Source

KEPT = 128 << 20
"""Bytes of growing files whose points are kept, in two fifths of that, for who asks again."""


def read_pieces(source: Source[Any]) -> Iterator[Piece | MixedPiece]:
    """Yield the points of a file. That a line is none, a warning says."""
    return (piece for _, piece in _blocks(source.open(), source.name, 0))


def _blocks(stream: IO[bytes], name: str, end: int) -> Iterator[tuple[int, Piece | MixedPiece]]:
    """Yield the points in what is left of a stream, and where in the file those end that were read by then."""
    wrong = 0
    for data in whole_lines(stream):
        points, _, bad = decode_lines(data, name)
        end += len(data)
        wrong += bad
        for piece in pieces_of([list(map(restore, points)) if b"$" in data else points]):
            yield end, piece
    if wrong:
        warnings.warn(f"{wrong} lines of {name!r} are no points, and are left out.", stacklevel=3)


class GrowingFiles:
    """Remembers the points of files that grow, as far as they were read."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[str, tuple[int, tuple[Piece | MixedPiece, ...]]] = {}

    def read(self, id: str, source: Source[Any]) -> list[Piece | MixedPiece]:
        """Return the points of a file; what was read before is not read again, but for less than a block at the end.

        Args:
            id: the asset's.
            source: the file.
        """
        start, known = self._known.get(id, (0, ()))
        stream = source.open()
        if start and stream.seek(0, 2) < start:  # somebody has put another file there
            start, known = 0, ()
        stream.seek(start)
        found = [*_blocks(stream, source.name, start)]
        whole = [(end, piece) for end, piece in found[:-1] if end <= KEPT]
        if whole:
            self._keep(id, whole[-1][0], (*known, *(piece for _, piece in whole)))
        return [*known, *(piece for _, piece in found)]

    def _keep(self, id: str, end: int, pieces: tuple[Piece | MixedPiece, ...]) -> None:
        with self._lock:
            self._known.pop(id, None)
            while self._known and end + sum(one for one, _ in self._known.values()) > KEPT:
                self._known.pop(next(iter(self._known)))
            self._known[id] = end, pieces
