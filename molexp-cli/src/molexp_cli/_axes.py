"""Axes of a drawing: their ranges, and the numbers that stand along them."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Sequence
from typing import NamedTuple

_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)
_PLAIN = (1e-4, 1e6)  # numbers between these are written without an exponent
_WHOLE = 1e15  # up to here, neighbours differ by an integer
_SAME, _LEAST, _MOST = 1e-12, 1e-300, sys.float_info.max
_LOGARITHMS = (-330.0, math.log10(sys.float_info.max))
_FIRST, _LAST = -300, 308  # powers of 10


class Axis(NamedTuple):
    """A range of numbers.

    Attributes:
        low: its beginning; of a logarithmic axis, the logarithm to the base of 10.
        high: its end, likewise.
        log: true if it is logarithmic.
        whole: true if there are only integers on it.
    """

    low: float
    high: float
    log: bool = False
    whole: bool = False

    def share(self, value: float) -> float:
        """Return the place of a number: 0 at the beginning, 1 at the end. What lies outside is at the nearer one."""
        if self.log:
            value = math.log10(value) if value > 0 else self.low
        if math.isinf(self.high - self.low):
            share = (value / 4 - self.low / 4) / (self.high / 4 - self.low / 4)
        else:
            share = (value - self.low) / (self.high - self.low)
        return min(1.0, max(0.0, share))


def axis_of(values: Iterable[float], *, log: bool = False, margin: float = 0.0) -> Axis:
    """Return an axis on which all of some numbers have a place.

    Args:
        values: the numbers, finite, and greater than 0 if it is logarithmic.
        log: make it logarithmic.
        margin: the part of the range that is added at either end.
    """
    given = [*values]
    low, high = min(given), max(given)
    whole = not log and max(-low, high) < _WHOLE and all(float(value).is_integer() for value in given)
    if log:
        low, high = math.log10(low), math.log10(high)
    largest = max(abs(low), abs(high))
    if high - low <= largest * _SAME or high - low < _LEAST:  # no digit tells them apart
        room = 1.0 if whole or largest < _LEAST else 0.5 if log else largest * 0.05
    else:
        room = 0.0 if math.isinf(high - low) else (high - low) * margin
    least, most = _LOGARITHMS if log else (-_MOST, _MOST)
    return Axis(max(least, low - room), min(most, high + room), log, whole)


def ticks_of(axis: Axis, most: int) -> list[tuple[float, str]]:
    """Return the numbers that stand along an axis, at most so many, each with its text."""
    if axis.log and (found := _decades(axis, most)):
        return [(value, _short(value)) for value in found]
    low, high = (10 ** min(axis.low, _LAST), 10 ** min(axis.high, _LAST)) if axis.log else (axis.low, axis.high)
    if not _LEAST < high - low < 1 / _LEAST:
        ends = {_short(value): value for value in ((low, 0.0, high) if low < 0 < high else (low, high))}
        return [(value, text) for text, value in ends.items()]
    step = _step((high - low) / max(1, most), 1.0 if axis.whole else 0.0)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    values = [one for number in range(first, last + 1) if abs(one := number * step) <= _MOST]
    return [*zip(values, _texts(values, step), strict=True)]


def _step(least: float, whole: float) -> float:
    """Return a round step that is at least so large."""
    if least <= whole:
        return whole
    size = 10.0 ** math.floor(math.log10(least))
    step = next(one * size for one in _STEPS if one * size >= least * (1 - 1e-9))
    return math.ceil(step) if whole else step


def _decades(axis: Axis, most: int) -> list[float]:
    """Return powers of 10, or these with others between them; none if there are fewer than two."""
    first, last = max(math.ceil(axis.low - 1e-9), _FIRST), min(math.floor(axis.high + 1e-9), _LAST)
    powers = range(first, last + 1)
    if len(powers) > most:
        return [10.0**power for power in powers[:: math.ceil(len(powers) / most)]]
    for between in ((1, 2, 5), (1, 3), (1,)):
        found = [one * 10.0**power for power in range(max(first - 1, _FIRST), last + 1) for one in between]
        found = [value for value in found if 0 < value <= _MOST and _is_inside(math.log10(value), axis)]
        if 2 <= len(found) <= most:
            return found
    return []


def _is_inside(exponent: float, axis: Axis) -> bool:
    return axis.low - 1e-9 <= exponent <= axis.high + 1e-9


def _texts(values: Sequence[float], step: float) -> list[str]:
    """Return numbers with as many digits as tell them apart, all in one form."""
    largest = max(map(abs, values), default=0.0)
    if largest and not (_PLAIN[0] <= largest < _PLAIN[1]):
        digits = max(0, math.ceil(math.log10(largest / step) - 1e-9))
        return [_trimmed(f"{value:.{digits}e}") if value else "0" for value in values]
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    digits += round(step * 10**digits, 6) != round(step * 10**digits)
    return [f"{value if abs(value) > step / 1e6 else 0.0:.{digits}f}" for value in values]


def _short(value: float) -> str:
    return f"{value:g}" if not value or _PLAIN[0] <= abs(value) < _PLAIN[1] else _trimmed(f"{value:.3e}")


def _trimmed(text: str) -> str:
    """Return a number with an exponent without what says nothing: "1.500e+06" is "1.5e6"."""
    digits, _, exponent = text.partition("e")
    digits = digits.rstrip("0").rstrip(".") if "." in digits else digits
    return f"{digits}e{int(exponent)}"
