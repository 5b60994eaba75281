"""Limits on numbers, so that every record can be read in bounded time, and what can be written can be read again."""

from __future__ import annotations

import math
import operator

from molexp._values.patterns import late

__all__ = [
    "EXACT",
    "LONG_BITS",
    "MAX_DIGITS",
    "NUMBER",
    "at_least_one",
    "is_number",
    "is_too_long",
    "real",
    "seconds",
    "whole",
]

MAX_DIGITS = 4300
"""Decimal digits of an integer: as many as Python itself converts unless it is told otherwise."""

NUMBER = "[1-9][0-9]{0,17}"
"""The pattern of a number in the name of a file: 1, 2, ..., always below 2**63."""

EXACT = 1 << 53
"""The integer up to which every one is a float, too."""

LONG_BITS = 14_284
"""Bits from which on an integer may have more than `MAX_DIGITS` digits."""
_NUMBER = late(NUMBER)


def whole(given: object) -> int | None:
    """Return a whole number of any type, numpy's for one, as Python's own; None for all else, True and False among it."""
    if isinstance(given, bool):
        return None
    try:
        return operator.index(given)  # type: ignore[arg-type]
    except TypeError:
        return None


def at_least_one(given: object, name: str) -> int | None:
    """Return a number of things, as of workers; None if none is given.

    Raises:
        TypeError: it is no whole number.
        ValueError: it is below 1.
    """
    number = whole(given)
    if number is None and given is not None:
        raise TypeError(f"{name} is {given!r}; it must be a whole number, or None")
    if number is not None and number < 1:
        raise ValueError(f"{name} is {number}; it must be at least 1")
    return number


def real(given: object) -> float | None:
    """Return a real number of any type, numpy's for one, as Python's own; None for all else, True and False among it."""
    if type(given) is int or type(given) is float:
        return given
    from numbers import Real

    return float(given) if isinstance(given, Real) and not isinstance(given, bool) else None


def seconds(given: object, name: str) -> float:
    """Return a number of seconds; one below 0 is as good as 0, and infinity has no end.

    Raises:
        TypeError: it is no number.
        ValueError: it is NaN, which no time ever reaches.
    """
    number = real(given)
    if number is None:
        raise TypeError(f"{name} is {given!r}; it must be a number of seconds")
    if math.isnan(number):
        raise ValueError(f"{name} is {given!r}; it must be a number of seconds")
    return number


def is_too_long(value: int) -> bool:
    """Tell whether an integer has more digits than are recorded."""
    return value.bit_length() >= LONG_BITS and abs(value) >= 10**MAX_DIGITS


def is_number(text: str) -> bool:
    """Tell whether a text is a number as it stands in the names of files."""
    return _NUMBER.fullmatch(text) is not None
