"""Print the points of metrics, a line for each; also as they come."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from molexp_cli._options import experiment_named
from molexp_cli._output import Lines, say, table, write
from molexp_cli._words import value

if TYPE_CHECKING:
    import molexp

_TITLES = ("ATTEMPT", "STEP", "NAME", "VALUE")
_PAUSE = 1.0  # seconds between looks at runs that go on


def print_points(run: molexp.Run, attempt: int | None, tail: int | None, as_json: bool) -> None:
    """Print the points that a run logged, over all attempts or by one of them."""
    points = _last([*_points_of(run, attempt)], tail)
    if not points:
        say(f"{run.path} has no metrics{f' of attempt {attempt}' if attempt else ''}.")
    if as_json:
        _write_json(points)
    else:
        table(_TITLES, [*map(_cells, points)])


def follow_points(opened: molexp.Workspace, path: str, attempt: int | None, tail: int | None, as_json: bool) -> None:
    """Print points as they come, until no run goes on: those of a run, or of all runs of an experiment, behind their ids.

    Raises:
        NotFoundError: there is no such run.
    """
    experiment = experiment_named(opened, path)
    following = {} if experiment is not None else {path: opened.run(path)}
    seen: Counter[tuple[Any, ...]] = Counter()
    begun: set[str] = set()
    lines = Lines(_TITLES if experiment is None else ("RUN", *_TITLES))
    while True:
        if experiment is not None:
            running = opened.catalog.runs(experiment=experiment.path, status="running")
            following |= {row.path: opened.run(row.path) for row in running if row.path not in following}
        over = [name for name, run in following.items() if run.status.finished]  # asked before reading
        for name, run in following.items():
            points = [*_unseen(name, _points_of(run, attempt), seen)]
            points = points if name in begun else _last(points, tail)
            begun.add(name)
            if as_json:
                _write_json(points if experiment is None else ({"run": run.path, **one} for one in points))
            elif points:
                before = [] if experiment is None else [run.id]
                lines.add([[*before, *_cells(one)] for one in points])
        following = {name: run for name, run in following.items() if name not in over}
        if not following:
            break
        threading.Event().wait(_PAUSE)  # no storage tells anybody when a file in it grows
    if not begun and experiment is not None:
        say(f"No run of {experiment.path} goes on.")


def _points_of(run: molexp.Run, attempt: int | None) -> Iterator[Mapping[str, Any]]:
    """Yield the points of a run; of an attempt those as well that a later one has replaced."""
    if attempt is None:
        yield from run.metrics.to_dicts()
        return
    for asset in run.assets:
        producer = asset.producer
        if asset.kind == "metrics" and producer is not None and producer.attempt == attempt:
            for point in asset.load():
                beside = {"attempt": attempt, "time": point.get("time"), "task": producer.task or ""}
                for name, found in point.items():
                    if name not in ("step", "time"):
                        yield {"name": name, "step": point.get("step"), "value": found, **beside}


def _unseen(
    path: str, points: Iterable[Mapping[str, Any]], seen: Counter[tuple[Any, ...]]
) -> Iterator[Mapping[str, Any]]:
    """Yield the points that were not there before: those of one name, task and attempt keep their order."""
    now: Counter[tuple[Any, ...]] = Counter()
    for one in points:
        series = path, one["name"], one["task"], one["attempt"]
        now[series] += 1
        if now[series] > seen[series]:
            seen[series] += 1
            yield one


def _last(points: list[Mapping[str, Any]], tail: int | None) -> list[Mapping[str, Any]]:
    return points if tail is None else points[max(0, len(points) - tail) :]


def _cells(point: Mapping[str, Any]) -> list[str]:
    return [str(point["attempt"]), str(point["step"]), str(point["name"]), value(point["value"])]


def _write_json(points: Iterable[Mapping[str, Any]]) -> None:
    import molexp

    for one in points:
        write(molexp.to_json(one), now=True)
