"""Answer with curves of metrics, thinned to as many points as a picture shows."""

from __future__ import annotations

import math
import threading
from bisect import bisect
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import molexp as me
from molexp_web._api.declaring import Asked
from molexp_web._api.thinning import Thinned, thinned

MOST_RUNS = 100
_KEPT = 3_000_000  # points of ended runs that are kept


class Curve(NamedTuple):
    """The points of one metric of one task.

    Attributes:
        steps: their steps.
        values: their values.
        times: the times at which they were logged.
        thinned: thins them, if all values are finite numbers.
    """

    steps: Sequence[int]
    values: Sequence[Any]
    times: Sequence[float]
    thinned: Thinned | None = None


Curves = Mapping[tuple[str, str], Curve]
"""Curves by the name of the metric and that of the task."""


class KnownCurves:
    """Curves of runs that have ended, which do not change: those that were asked for last are kept."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[str, ...], Curves] = OrderedDict()

    def of(self, run: me.Run, url: str) -> Curves:
        """Return the curves of a run."""
        history = run.execution_history
        ended = history[-1].get("ended_at") if history else None
        key = (url, run.path, str(len(history)), str(ended))
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        found = _read(run)
        if run.status.finished and ended:
            with self._lock:
                self._kept[key] = found
                while len(self._kept) > 1 and sum(map(_points, self._kept.values())) > _KEPT:
                    self._kept.popitem(last=False)
        return found


def _points(curves: Curves) -> int:
    return sum(len(one.steps) for one in curves.values())


def _read(run: me.Run) -> Curves:
    columns = run.metrics.to_columns()
    names, tasks = columns["name"], columns["task"]
    steps, values, times = columns["step"], columns["value"], columns["time"]
    found: dict[tuple[str, str], Curve] = {}
    start = 0
    while start < len(names):  # points of one name and task follow each other
        key = names[start], tasks[start]
        stop = bisect(range(len(names)), 0, lo=start, key=lambda at: (names[at], tasks[at]) != key)
        some = values[start:stop]
        found[key] = Curve(steps[start:stop], some, times[start:stop], thinned(some))
        start = stop
    return found


def metrics(asked: Asked) -> Any:
    """Show curves of metrics."""
    opened, where, limit = asked.workspace, asked["q"].strip(), int(asked["limit"])
    named = [opened.run(one) for one in asked["run"][:limit]]
    matching = opened.catalog.runs(where, limit=max(limit - len(named), 0)) if where else ()
    paths = {run.path: run for run in (*named, *(opened.run(row.path) for row in matching))}
    known: KnownCurves = asked.request.app.state.curves
    wanted, points, since = set(asked["name"]), int(asked["points"]), asked["since"]
    series = [
        {"run": path, "name": name, "task": task, **_thinned(curve, points, since)}
        for path, run in paths.items()
        for (name, task), curve in known.of(run, opened.url).items()
        if not wanted or name in wanted
    ]
    return {"series": series, "points": points, "runs": [*paths]}


def _thinned(curve: Curve, points: int, since: float | None) -> dict[str, Any]:
    """Return at most so many points of a curve; None is a gap, where something else than a finite number was logged."""
    if since is not None:
        kept = [at for at, step in enumerate(curve.steps) if step > since]
        curve = Curve(
            [curve.steps[at] for at in kept], [curve.values[at] for at in kept], [curve.times[at] for at in kept]
        )
    thin = curve.thinned
    chosen = thin.places(points) if thin is not None else _chosen(curve.values, points)
    values = curve.values
    return {
        "count": len(values),
        "last_step": curve.steps[-1] if len(values) else None,
        "steps": [curve.steps[at] for at in chosen],
        "values": [values[at] if _is_finite(values[at]) else None for at in chosen],
        "times": [round(curve.times[at], 3) for at in chosen],
    }


def _chosen(values: Sequence[Any], points: int) -> Sequence[int]:
    """Return the places of the points to show: the first and last, the least and greatest of each stretch, and of each a gap."""
    if len(values) <= points:
        return range(len(values))
    if (thin := thinned(values)) is not None:
        return thin.places(points)
    finite = [at for at, one in enumerate(values) if _is_finite(one)]
    most = points - points // 4
    kept = {0, len(values) - 1, *map(int, me.downsample(finite, [values[at] for at in finite], max(most - 2, 4))[0])}
    kept.update(_gaps(values, points // 4))
    return sorted(kept)


def _gaps(values: Sequence[Any], parts: int) -> Iterator[int]:
    """Yield of each of so many stretches the first value that is no finite number."""
    last = -1
    for at, one in enumerate(values):
        if not _is_finite(one) and (part := at * parts // len(values)) != last:
            last = part
            yield at


def _is_finite(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**1023
