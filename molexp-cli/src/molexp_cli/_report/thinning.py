"""Thin curves for a picture: fewer points, and none of the extremes lost."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, inf, isfinite, log10
from typing import Any

Curve = tuple[list[int], list[float | None]]
"""Steps, and a value for each; None is a gap: NaN or infinity was logged."""

_DIGITS = 5  # of a value, at least
_LEVELS = 4  # digits of the difference between the least and the greatest value
_MOST = 17  # digits that a number has


def thin(steps: Sequence[int], values: Sequence[Any], points: int) -> Curve:
    """Return at most about `points` points of a curve, the first and the last among them.

    Those of `molexp.downsample` are kept, so the least and the greatest value of each part are among them, and of each part the
    first one that is NaN or infinite.

    Args:
        steps: the steps, in their order.
        values: a number for each.
        points: the number of points to keep.
    """
    numbers = [_number(one) for one in values]
    chosen = range(len(numbers)) if len(numbers) <= points else _chosen(numbers, points)
    write = _rounding([numbers[at] for at in chosen])
    return [int(steps[at]) for at in chosen], [write(numbers[at]) for at in chosen]


def _number(value: Any) -> float:
    try:
        return float(value) if isinstance(value, int | float) else inf
    except OverflowError:  # an integer that no float holds
        return inf


def _chosen(numbers: Sequence[float], points: int) -> list[int]:
    import molexp

    finite = [at for at, one in enumerate(numbers) if isfinite(one)]
    kept = {0, len(numbers) - 1}
    kept.update(map(int, molexp.downsample(finite, [numbers[at] for at in finite], points)[0]))
    if len(finite) < len(numbers):
        parts = {at * points // len(numbers): at for at in range(len(numbers) - 1, -1, -1) if not isfinite(numbers[at])}
        kept.update(parts.values())
    return sorted(kept)


def _rounding(numbers: Sequence[float]) -> Any:
    """Return what rounds the values of one curve, so that neither its small values nor its small differences are lost."""
    finite = [one for one in numbers if isfinite(one)]
    largest = max(map(abs, finite), default=0.0) / 2  # halves, because the difference of two floats may be none
    span = max(finite, default=0.0) / 2 - min(finite, default=0.0) / 2
    digits = _DIGITS if not span else max(_DIGITS, ceil(log10(largest) - log10(span)) + _LEVELS)
    form = f".{min(digits, _MOST)}g"

    def rounded(one: float) -> float | None:
        if not isfinite(one):
            return None
        found = float(format(one, form))
        found = found if isfinite(found) else one  # the greatest floats are not rounded up
        return int(found) if found.is_integer() and abs(found) < 1e6 else found

    return rounded
