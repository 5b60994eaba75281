"""Fewer points of a long series, for pictures, among which are the least and the greatest."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import pairwise

_OF_A_BUCKET = 2  # the least and the greatest


def downsample(
    x: Sequence[float], y: Sequence[float], points: int = 2000, *, log: bool = False
) -> tuple[list[float], list[float]]:
    """Return at most so many points of a series, in their order, among which are its first, last, least and greatest.

    The range of ``x`` is divided into ``points / 2 - 1`` buckets of one width. Of each bucket the point of the least and the
    point of the greatest ``y`` are kept. So a picture of as many columns as there are buckets shows every peak. Of equal
    values the first is kept. NaN is neither the least nor the greatest, so it is left out. A series that is short enough
    comes back as it is.

    Args:
        x: numbers that do not decrease, such as steps.
        y: as many numbers.
        points: the number of points at most, 4 or more.
        log: make the buckets equally wide on a logarithmic axis. Every ``x`` is greater than 0 then.

    Raises:
        ValueError: the lengths differ, there are too few points to return, or ``x`` has no logarithm.

    Example:
        >>> steps = range(1000)
        >>> x, y = me.downsample(steps, [1.0 if step == 618 else 0.0 for step in steps], 8)
        >>> (len(x) <= 8, x[0], x[-1], max(y))
        (True, 0, 999, 1.0)
    """
    if len(x) != len(y):
        raise ValueError(f"{len(x)} values of x and {len(y)} of y are no series.")
    if points < 2 * _OF_A_BUCKET:
        raise ValueError(f"A series has 4 points or more, not {points}: its first, last, least and greatest.")
    if log and x and not x[0] > 0:
        raise ValueError(f"x begins with {x[0]}, which has no place on a logarithmic axis.")
    if len(x) <= points:
        return [*x], [*y]
    places = {0, len(x) - 1}
    starts = [*_starts(x, points // _OF_A_BUCKET - 1, log), len(x)]
    for start, stop in pairwise(starts):
        places.update(_extremes(y, start, stop))
    kept = sorted(places)
    return [x[place] for place in kept], [y[place] for place in kept]


def _starts(x: Sequence[float], buckets: int, log: bool) -> Iterator[int]:
    """Yield the place at which each bucket begins."""
    first, last = (math.log(x[0]), math.log(x[-1])) if log else (x[0], x[-1])
    for bucket in range(buckets):
        share = bucket / buckets
        edge = first * (1 - share) + last * share
        yield bisect_left(x, math.exp(edge) if log else edge) if bucket else 0


def _extremes(y: Sequence[float], start: int, stop: int) -> tuple[int, ...]:
    """Return the places of the least and of the greatest of some values; none if there are only NaN."""
    if start >= stop:
        return ()
    part = y[start:stop]
    least, greatest, total = min(part), max(part), sum(part)
    if total != total:  # noqa: PLR0124 - NaN is among them, or both infinities
        there = [place for place in range(start, stop) if y[place] == y[place]]
        return (min(there, key=y.__getitem__), max(there, key=y.__getitem__)) if there else ()
    return start + part.index(least), start + part.index(greatest)
