"""The summary of metrics: what the numbers that were logged under each name add up to."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from molexp._values.documents import leaf
from molexp._values.numbers import is_count

if TYPE_CHECKING:
    from molexp._record.metric_blocks import Parts

OWN = ("step", "time")
"""The fields that every point has beside its metrics."""

BATCH = 256
"""Points that are taken in at a time."""

MOST = 1000
"""Names of a run that are summarised."""

_LAST, _STEP, _MIN, _MIN_STEP, _MAX, _MAX_STEP, _COUNT, LOWEST, HIGHEST = range(9)

Series = list[Any]
"""The statistics of one name: last, step, min, min_step, max, max_step, count, lowest and highest step."""


class Summary:
    """The statistics of each name among some points.

    Only numbers count: text, booleans, lists and mappings are in the file alone. ``last`` may be NaN, and NaN is counted;
    it is neither the least nor the greatest, which are missing where there is nothing else.
    """

    def __init__(self) -> None:
        self.names: dict[str, Series] = {}
        self.left_out: set[str] = set()
        """Names beyond the first `MOST`, as far as those are `MOST`, too."""
        self.others: dict[str, int] = {}
        """Names under which something else than numbers was logged, and the lowest step of that; `MOST` at most."""
        self.waiting: list[Mapping[str, Any]] = []
        """Points that are to be taken in: several at a time cost less."""
        self._lock = threading.RLock()
        self._busy = False

    def settle(self, divide: Callable[[Sequence[Mapping[str, Any]]], Parts] | None = None) -> tuple[Parts, int]:
        """Take in the points that wait; return their parts, by a function that divides them, and how many they are."""
        with self._lock:
            if self._busy or not self.waiting:  # a signal's handler logs within this: what it logged waits on
                return {}, 0
            self._busy = True
            points, self.waiting = self.waiting, []
            left: Iterable[Mapping[str, Any]] = points
            try:
                parts = {} if divide is None else divide(points)
                if parts and all(one.gap is None for one in parts.values()):
                    names = self._with(parts)
                    self.names, left = names, ()
                else:
                    left = iter(points)
                    self.add(left)
            finally:  # Ctrl-C may come within this: the points that are left wait on
                self.waiting[:0] = left
                self._busy = False
            return parts, len(points)

    def _with(self, parts: Parts) -> dict[str, Series]:
        """Return the statistics together with those of more points, each with a step and finite numbers only."""
        names = dict(self.names)
        for name, one in parts.items():
            last, least, greatest = one.last, one.least or one.last, one.greatest or one.last
            ends = last[2], last[1], least[2], least[1], greatest[2], greatest[1]
            series = [*ends, one.count, one.low, one.high]
            if name in names:
                names[name] = merge(names[name], series)
            elif len(names) < MOST:
                names[name] = series
            elif len(self.left_out) < MOST:
                self.left_out.add(name)
        return names

    def add(self, points: Iterable[Mapping[str, Any]]) -> None:
        """Take in points, in the order in which they were logged."""
        known = self.names.get
        for point in points:
            step = point.get("step")
            if type(step) is not int:
                continue
            for name, value in point.items():
                number = value if type(value) is float or type(value) is int else _number(value)
                if name in OWN:
                    continue
                if number is None:
                    if name in self.others or len(self.others) < MOST:
                        self.others[name] = min(step, self.others.get(name, step))
                    continue
                if (one := known(name)) is not None:
                    _take_in(one, number, step)
                elif len(self.names) < MOST:
                    self.names[name] = [number, step, number, step, number, step, 1, step, step]
                elif len(self.left_out) < MOST:
                    self.left_out.add(name)

    def to_document(self) -> dict[str, Any]:
        """Return the summary as the record of the metrics has it."""
        found: dict[str, Any] = {"metrics": {name: to_document(one, steps=True) for name, one in self.names.items()}}
        if self.left_out:
            found["left_out"] = len(self.left_out)
        if self.others:
            found["others"] = dict(self.others)
        return found


def _take_in(one: Series, value: float, step: int) -> None:
    one[_LAST] = value
    one[_STEP] = step
    one[_COUNT] += 1
    if value < one[_MIN]:
        one[_MIN], one[_MIN_STEP] = value, step
    elif value > one[_MAX]:
        one[_MAX], one[_MAX_STEP] = value, step
    elif one[_MIN] != one[_MIN] and value == value:  # noqa: PLR0124 - the first that is not NaN
        one[_MIN:_COUNT] = value, step, value, step
    if step > one[HIGHEST]:
        one[HIGHEST] = step
    elif step < one[LOWEST]:
        one[LOWEST] = step


def to_document(one: Series, *, steps: bool = False) -> dict[str, Any]:
    """Return the statistics of a name as a document has them."""
    last, step, least, min_step, greatest, max_step, count, lowest, highest = one
    found = {"last": _stored(last), "step": step}
    if least == least:  # noqa: PLR0124 - NaN
        found |= {"min": _stored(least), "min_step": min_step, "max": _stored(greatest), "max_step": max_step}
    return {**found, "count": count, **({"steps": [lowest, highest]} if steps else {})}


def from_document(found: Any) -> Series | None:
    """Return the statistics of a name that a document has; None if they are not what MolExp writes."""
    try:
        last, least, greatest = (_number(found.get(name, _NAN)) for name in ("last", "min", "max"))
        lowest, highest = found["steps"]
        step = found["step"]
        one = [last, step, least, found.get("min_step", step), greatest, found.get("max_step", step), found["count"]]
    except (AttributeError, KeyError, TypeError, ValueError):
        return None
    one += [lowest, highest]
    are_steps = all(type(one[place]) is int for place in (_STEP, _MIN_STEP, _MAX_STEP, LOWEST, HIGHEST))
    return one if None not in (last, least, greatest) and are_steps and is_count(one[_COUNT]) else None


def merge(older: Series, newer: Series) -> Series:
    """Return the statistics of a name over two series of points."""
    least = newer if newer[_MIN] < older[_MIN] or older[_MIN] != older[_MIN] else older
    greatest = newer if newer[_MAX] > older[_MAX] or older[_MAX] != older[_MAX] else older
    return [
        *newer[:_MIN],
        *least[_MIN:_MAX],
        *greatest[_MAX:_COUNT],
        older[_COUNT] + newer[_COUNT],
        min(older[LOWEST], newer[LOWEST]),
        max(older[HIGHEST], newer[HIGHEST]),
    ]


_NAN = float("nan")


def _number(value: Any) -> int | float | None:
    """Return a recorded value as a number; None if it is none."""
    found = leaf(value)
    return found if type(found) is float or type(found) is int else None


def _stored(value: float) -> Any:
    if type(value) is float and not math.isfinite(value):
        return {"$float": str(value)}
    return value
