"""Metrics over several writers, tasks and attempts: those of a run, by one rule for its points and for their summary.

A later attempt goes on where an earlier one was left, perhaps some steps before its end. So what it logs under a name
takes the place of what earlier attempts logged under that name at the same step or a later one. Tasks are kept apart: one
that is not executed again keeps its points. An attempt that starts fresh keeps nothing of those before it.
"""

from __future__ import annotations

import math
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import IO, TYPE_CHECKING, Any

from molexp._record.folding import AttemptFacts
from molexp._storage import layout
from molexp._values.documents import count, decode_lines, decode_object, is_count, leaf
from molexp.contracts import Store
from molexp.errors import (
    CorruptRecordError,
    CredentialsError,
    InvalidNameError,
    KeyNotFoundError,
    StoreError,
    UnavailableError,
)

if TYPE_CHECKING:
    from molexp._record.folding import RunState
    from molexp._record.metric_blocks import Parts

OWN = ("step", "time")
"""The fields that every point has beside its metrics."""

LONGEST_NAME = 400
"""Bytes in UTF-8 that the name of a metric may have, as many as that of an asset: every table and page has a place for it."""

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


def check_names(names: Iterable[Any]) -> None:
    """Refuse the names of a point that no table has a place for. Other keys than text are left to whoever encodes it.

    Raises:
        InvalidNameError: one is empty, or longer than `LONGEST_NAME`.
    """
    for name in names:
        if isinstance(name, str) and not 0 < len(name.encode("utf-8", "surrogatepass")) <= LONGEST_NAME:
            why = f"it is longer than {LONGEST_NAME} bytes in UTF-8" if name else "it is empty"
            raise InvalidNameError("the name of a metric", name, why)


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
        get, step, (lowest, highest) = found.get, found["step"], found["steps"]
        last, least, greatest = map(_number, (get("last", _NAN), get("min", _NAN), get("max", _NAN)))
        min_step, max_step, points = get("min_step", step), get("max_step", step), found["count"]
    except (AttributeError, KeyError, TypeError, ValueError):
        return None
    are_steps = {*map(type, (step, min_step, max_step, lowest, highest))} == {int}
    if None in (last, least, greatest) or not are_steps or not is_count(points):
        return None
    return [last, step, least, min_step, greatest, max_step, points, lowest, highest]


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


LARGEST = 64 << 20
"""Bytes of a file of metrics that is read for its summary, where the record has none or not all of it."""

_GROWING = 8 << 20  # of one that is still being written, which is read each time
_PIECE = 1 << 20
METRICS = "metrics"
"""The kind of files of metrics."""
NEVER = float("inf")
"""A step that nobody comes to."""

Limits = dict[str, float]
"""By the name of a metric, the step from which on a later attempt has taken over."""


def run_metrics(store: Store, path: str, state: RunState, to: Callable[[Series], Any] = to_document) -> dict[str, Any]:
    """Return what the metrics of a run add up to.

    Of what is still being written, that is what the newest sign of life says.

    Args:
        store: the workspace's.
        path: the run's.
        state: its folded state.
        to: returns the statistics of a name as they are to be told.

    Returns:
        ``metrics``, by name, if anything was logged, and ``metrics_left_out``, how many names have no summary.
    """
    found: dict[str, Series] = {}
    logged, left_out = False, 0
    for names, missing in reversed([*_kept(store, since_fresh(state.attempts), _live(store, path, state))]):
        logged, left_out = True, max(left_out, missing)
        for name, one in names.items():
            if name in found:
                found[name] = merge(found[name], one)
            elif len(found) < MOST:
                found[name] = one
            else:
                left_out += 1
    summary = {"metrics": dict(zip(found, map(to, found.values()), strict=True))} if logged else {}
    return {**summary, "metrics_left_out": left_out} if left_out else summary


def _live(store: Store, path: str, state: RunState) -> dict[str, Any]:
    """Return summaries of what the newest attempt is still writing, by key."""
    if not state.attempts or (last := state.attempts[-1]).ended:
        return {}
    if all(one.get("kind") != METRICS or "summary" in one for one in last.contents.assets.values()):
        return {}
    key = layout.lease(path, last.number)
    try:
        found = decode_object(store.read(key), key).get("metrics")
    except (CredentialsError, UnavailableError):
        raise
    except (CorruptRecordError, StoreError):  # it is young, or over by now
        return {}
    return found if isinstance(found, dict) else {}


def since_fresh(attempts: Iterable[AttemptFacts]) -> list[AttemptFacts]:
    """Return the attempts whose metrics count: those from the newest one on that started fresh."""
    found: list[AttemptFacts] = []
    for attempt in attempts:
        found = [attempt] if attempt.head.get("fresh") else [*found, attempt]
    return found


def _kept(
    store: Store, attempts: Sequence[AttemptFacts], live: Mapping[str, Any]
) -> Iterator[tuple[dict[str, Series], int]]:
    """Yield what is left of each file of metrics, newest first: its names, and how many more it has."""
    limits: dict[str, Limits] = {}  # by task
    own: list[tuple[str, dict[str, Series], Limits]] = []  # by these an attempt sets limits for the one before
    for attempt in reversed(attempts):
        for task, names, others in own:
            lower(limits.setdefault(task, {}), {name: one[LOWEST] for name, one in names.items()})
            lower(limits[task], others)
        own = []
        records = [one for one in attempt.contents.assets.values() if one.get("kind") == METRICS]
        for record in sorted(records, key=lambda one: str(one.get("created_at")), reverse=True):
            names, left_out, others = _summary(store, record, live)
            task = task_of(record)
            yield _below(store, record, names, limits.get(task, {})), left_out
            own.append((task, names, others))


def _below(store: Store, record: Mapping[str, Any], names: dict[str, Series], limits: Limits) -> dict[str, Series]:
    """Return the statistics of the points that no later attempt has replaced; read again where some of a name's were."""
    if limits.keys().isdisjoint(names):
        return names
    whole = {name: one for name, one in names.items() if one[HIGHEST] < limits.get(name, NEVER)}
    partly = {name: limits[name] for name, one in names.items() if name not in whole and one[LOWEST] < limits[name]}
    kept = whole | (read_summary(store, record, partly).names if partly else {})
    return {name: kept[name] for name in names if name in kept}


def _summary(store: Store, record: Mapping[str, Any], live: Mapping[str, Any]) -> tuple[dict[str, Series], int, Limits]:
    """Return the summary in the record of metrics, with the first steps of what is no number; of an older record, the file is read."""
    found = record.get("summary") or live.get(str(record.get("key")))
    if not isinstance(found, dict):
        read = read_summary(store, _sized(store, record))
        return read.names, len(read.left_out), {**read.others}
    metrics = found.get("metrics")
    items = metrics.items() if isinstance(metrics, dict) else ()
    names = {name: one for name, stored in items if (one := from_document(stored)) is not None}
    others = found.get("others")
    steps: Limits = (
        {name: step for name, step in others.items() if type(step) is int} if isinstance(others, dict) else {}
    )
    return names, count(found.get("left_out")), steps


def _sized(store: Store, record: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the record of metrics, with the size so far if they are still being written, by somebody who has not said more."""
    if record.get("size") is not None:
        return record
    try:
        size = store.stat(str(record.get("key"))).size
    except KeyNotFoundError:
        size = 0
    return {**record, "size": size if size <= _GROWING else 0}


def read_summary(store: Store, record: Mapping[str, Any], limits: Limits | None = None) -> Summary:
    """Return the summary of a file of metrics, as far as it is recorded; empty if that cannot be read, or is larger than `LARGEST`.

    Args:
        store: the workspace's.
        record: its asset record.
        limits: names to ask for, and the step at which to stop for each; all of all of them without.
    """
    summary = Summary()
    size = count(record.get("size"))
    if size <= LARGEST:
        try:
            key = str(record.get("key"))
            for data in whole_lines(store.open_read(key), size):
                points = decode_lines(data, key)[0]
                summary.add(points if limits is None else _until(points, limits))
        except (UnavailableError, CredentialsError):
            raise
        except StoreError:  # whoever asks for the points is told why
            return Summary()
    return summary


def whole_lines(stream: IO[bytes], size: int = sys.maxsize) -> Iterator[bytes]:
    """Yield the lines in the first `size` bytes of a stream, many at a time; a last one without an end is left out."""
    data, span = b"", _PIECE
    with stream:
        while size > 0 and (piece := stream.read(min(span, size))):
            size -= len(piece)
            data += piece
            end = data.rfind(b"\n") + 1
            if end:
                yield data[:end]
            data = data[end:]
            span = _PIECE if end else 2 * span  # a line may be of any length


def _until(points: Iterable[Mapping[str, Any]], limits: Limits) -> Iterator[dict[str, Any]]:
    for point in points:
        step = point.get("step")
        if type(step) is int:
            yield {"step": step, **{name: value for name, value in point.items() if step < limits.get(name, -NEVER)}}


def task_of(record: Mapping[str, Any]) -> str:
    """Return the task whose metrics a record is about; "" for those of the run itself."""
    producer = record.get("producer")
    return str(producer.get("task") or "") if isinstance(producer, dict) else ""


def lower(limits: Limits, others: Mapping[str, float]) -> None:
    """Let steps of some metrics, where they are lower, take the place of those in `limits`."""
    limits.update((name, step) for name, step in others.items() if step < limits.get(name, NEVER))
