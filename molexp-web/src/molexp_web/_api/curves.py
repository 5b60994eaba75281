"""Answer with curves of metrics, thinned to as many points as a picture shows."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import molexp as me
from molexp_web._api.declaring import Asked

MOST_RUNS = 100
_KEPT = 3_000_000  # points of ended runs that are kept
_READ = 50_000  # points of a curve that are kept at most: of longer ones there are blocks


class KnownCurves:
    """Curves of runs that have ended, which do not change: those that were asked for last are kept."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[str, ...], Sequence[me.Curve]] = OrderedDict()

    def of(self, run: me.Run, url: str) -> Sequence[me.Curve]:
        """Return the curves of a run."""
        history = run.execution_history
        ended = history[-1].get("ended_at") if history else None
        key = (url, run.path, str(len(history)), str(ended))
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        found = run.metrics.curves()
        if run.status.finished and ended:
            with self._lock:
                self._kept[key] = found
                while len(self._kept) > 1 and sum(map(_points, self._kept.values())) > _KEPT:
                    self._kept.popitem(last=False)
        return found


def _points(curves: Sequence[me.Curve]) -> int:
    return sum(min(one.count, _READ) for one in curves)


def metrics(asked: Asked) -> Any:
    """Show curves of metrics."""
    opened, where, limit = asked.workspace, asked["q"].strip(), int(asked["limit"])
    named = [opened.run(one) for one in asked["run"][:limit]]
    matching = opened.catalog.runs(where, limit=max(limit - len(named), 0)) if where else ()
    paths = {run.path: run for run in (*named, *(opened.run(row.path) for row in matching))}
    known: KnownCurves = asked.request.app.state.curves
    wanted, points, since = set(asked["name"]), int(asked["points"]), asked["since"]
    series = [
        {"run": path, "name": curve.name, "task": curve.task, **_thinned(curve, points, since)}
        for path, run in paths.items()
        for curve in known.of(run, opened.url)
        if not wanted or curve.name in wanted
    ]
    return {"series": series, "points": points, "runs": [*paths]}


def _thinned(curve: me.Curve, points: int, since: float | None) -> dict[str, Any]:
    """Return at most so many points of a curve; None is a gap, where something else than a finite number was logged."""
    count, steps, values, times = curve.thinned(points, since=since)
    return {
        "count": count,
        "last_step": steps[-1] if steps else None,
        "steps": steps,
        "values": values,
        "times": [round(one, 3) for one in times],
    }
