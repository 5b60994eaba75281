"""Thin one long curve again and again: the least and the greatest of each block of its values are found once.

The points are those of `molexp.downsample`, which looks at all values each time.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import Any

BLOCK = 32
"""Values of a block."""

_Best = Callable[[Iterable[Any]], Any]


class Thinned:
    """Finite numbers that are thinned.

    Args:
        values: the numbers.
    """

    def __init__(self, values: array[Any]) -> None:
        self._values = values
        parts = [values[start : start + BLOCK] for start in range(0, len(values) - BLOCK + 1, BLOCK)]
        self._least = array(values.typecode, map(min, parts))
        self._greatest = array(values.typecode, map(max, parts))

    def places(self, points: int) -> list[int]:
        """Return at most so many places: the first, the last, and those of the least and the greatest of each stretch."""
        count = len(self._values)
        if count <= points:
            return [*range(count)]
        stretches = points // 2 - 1
        every = range(count)
        starts = [bisect_left(every, (count - 1) * (one / stretches)) for one in range(stretches)]
        found = {0, count - 1}
        for start, stop in pairwise((*starts, count)):
            if start < stop:
                found.add(self._first(self._least, min, start, stop))
                found.add(self._first(self._greatest, max, start, stop))
        return sorted(found)

    def _first(self, blocks: array[Any], best: _Best, start: int, stop: int) -> int:
        """Return the first place of the least, or of the greatest, of a stretch."""
        values, first, last = self._values, -(-start // BLOCK), stop // BLOCK
        if first >= last:
            part = values[start:stop]
            return start + part.index(best(part))
        head, inner, tail = values[start : first * BLOCK], blocks[first:last], values[last * BLOCK : stop]
        extreme = best([best(one) for one in (head, inner, tail) if one])
        if extreme in head:
            return start + head.index(extreme)
        at = (first + inner.index(extreme)) * BLOCK if extreme in inner else last * BLOCK
        return values.index(extreme, at)


def thinned(values: Sequence[object]) -> Thinned | None:
    """Return what thins these values; None unless all are finite numbers in an array."""
    if isinstance(values, array) and (values.typecode != "d" or math.isfinite(sum(values))):
        return Thinned(values)
    return None
