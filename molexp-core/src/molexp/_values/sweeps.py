"""Points of a sweep, and the seeds of their replicas."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import product
from typing import Any

from molexp._values.canonical import canonical_hash
from molexp._values.copies import own_copy

_SEED_DIGITS = 8


def grid(**axes: Iterable[Any]) -> list[dict[str, Any]]:
    """Return every combination of the axes' values, as parameter dicts; the last axis varies fastest.

    ``grid(lr=[0.1, 0.01], layers=[2, 4])`` has four points. Any other iterable of dicts is a space, too.

    Raises:
        TypeError: an axis is a text, or not iterable: write ``["adam"]``, a list of one.
        ValueError: an axis has no values, so there would be no points.

    Example:
        >>> me.grid(lr=[0.1, 0.01], layers=[2])
        [{'lr': 0.1, 'layers': 2}, {'lr': 0.01, 'layers': 2}]
    """
    values: dict[str, list[Any]] = {}
    for name, axis in axes.items():
        if isinstance(axis, str | bytes | Mapping) or not isinstance(axis, Iterable):
            raise TypeError(f"The axis {name!r} is a list of values, not {axis!r}; for a single one write [{axis!r}].")
        values[name] = list(axis)
        if not values[name]:
            raise ValueError(f"The axis {name!r} has no values, so the grid would have no points.")
    return [own_copy(dict(zip(values, point, strict=True))) for point in product(*values.values())]


def seed_of(parameters: Mapping[str, Any], replica: int) -> int:
    """Return a seed for random numbers, from 0 to 2**32 - 1: the first 32 bits of the SHA-256 of a run's parameters and replica.

    It is the same on every machine and in every version; another replica, or another parameter, has another one.
    """
    return int(canonical_hash({"parameters": dict(parameters), "replica": replica})[:_SEED_DIGITS], 16)
