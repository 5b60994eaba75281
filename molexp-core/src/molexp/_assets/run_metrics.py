"""The metrics of a run over all its attempts: a summary of each name, and a table of all points."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import chain, repeat
from typing import TYPE_CHECKING, Any, NoReturn

from molexp._assets.assets import MetricsAsset
from molexp._assets.metric_columns import joined, joined_pieces, series_of
from molexp._html import shown_by
from molexp._record.metrics import METRICS, since_fresh, task_of
from molexp._values.ids import nearest
from molexp._values.tables import Column, Table
from molexp.errors import NotFoundError

if TYPE_CHECKING:
    from molexp._assets.curves import Curve
    from molexp._assets.registry import Library
    from molexp._record.folding import AttemptFacts


class RunMetrics(Table, Mapping[str, Mapping[str, Any]]):
    """The metrics of a run over all its attempts, ``run.metrics``.

    By name it has the summary: last, step, min, min_step, max, max_step, count. As a table it has all points, a row for
    each value: name, step, value, attempt, time (in seconds since 1970), and the task, which is "" outside of workflows.
    What a later attempt logs under a name takes the place of what earlier ones have of it at the same step or later.

    Example:
        >>> run.metrics["loss"]["min"], run.metrics.last["loss"]
        (0.5, 0.5)
        >>> run.metrics.to_columns()["attempt"].tolist()
        [1]
        >>> run.metrics.to_dicts()[0]["value"]
        0.5
    """

    def __init__(
        self,
        summarise: Callable[[], Mapping[str, Mapping[str, Any]]],
        path: str,
        library: Library,
        attempts: Sequence[AttemptFacts],
        send: Callable[[], object],
    ) -> None:
        self._summarise = summarise  # after an attempt that was resumed, points may have to be read for it
        self._path = path
        self._library = library
        self._attempts = attempts
        self._send = send  # to the store, what this process has logged

    @cached_property
    def _summary(self) -> Mapping[str, Mapping[str, Any]]:
        return self._summarise()

    def __repr__(self) -> str:
        return f"<metrics of {self._path}: {', '.join(self) or 'none'}>"

    _repr_html_ = shown_by("metrics")

    def __getitem__(self, name: str) -> Mapping[str, Any]:
        try:
            return self._summary[name]
        except KeyError:
            raise _no_metric(name, self) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._summary)

    def __len__(self) -> int:
        return len(self._summary)

    if not TYPE_CHECKING:  # to a type checker it would make every misspelt name one of unknown type

        def __getattr__(self, name: str) -> NoReturn:
            if name == "log":
                advice = "A run's metrics are read here. Log them in its context: `with run.start() as ctx: ctx.metrics.log(...)`."
            elif not name.startswith("_") and name in self:
                advice = f"Write run.metrics[{name!r}] for the summary of {name!r}, run.metrics.last[{name!r}] for its last value."
            else:
                advice = f"A run's metrics have no {name!r}."
            raise AttributeError(advice, name=name, obj=self)

    def __reduce__(self) -> tuple[Any, ...]:
        return dict, (dict(self._summary),)  # the points stay where they are

    @property
    def last(self) -> Mapping[str, Any]:
        """The last value of each name."""
        return self._statistic("last")

    @property
    def min(self) -> Mapping[str, Any]:
        """The least value of each name that has one: NaN is none."""
        return self._statistic("min")

    @property
    def max(self) -> Mapping[str, Any]:
        """The greatest value of each name that has one: NaN is none."""
        return self._statistic("max")

    def _statistic(self, which: str) -> Mapping[str, Any]:
        return Statistic({name: one[which] for name, one in self._summary.items() if which in one}, name=which)

    def to_columns(self) -> dict[str, array[Any] | list[Any]]:
        """Return all points by columns: name, step, value, attempt, time, task.

        Each is an `array.array` where it can be one: ``value`` of floats or of integers, and a list if something else was
        logged. Points of one name and task follow each other, in the order of attempts.
        """
        series: dict[tuple[str, str], list[tuple[int, Column, Column, Column]]] = {}
        for task, attempts in self._files().items():
            pieces = [chain.from_iterable(file._own_pieces() for file in files) for files in attempts.values()]
            kept = [[*series_of(some)] for some in joined_pieces(pieces)]
            for number, found in zip(attempts, reversed(kept), strict=True):
                for name, steps, times, values in found:
                    series.setdefault((name, task), []).append((number, steps, times, values))
        return _table(series)

    def curves(self, names: Collection[str] = ()) -> list[Curve]:
        """Return the curves of these names, or all, which give as few points as a picture shows.

        That is much quicker than to read all points, where there are very many.

        Args:
            names: names of metrics.

        Example:
            >>> [curve.thinned(1000).values for curve in run.metrics.curves(["loss"])]
            [[0.5]]
        """
        from molexp._assets import curves

        names = frozenset(names)
        files = self._files()
        if curves.size_of(files) < curves.LONG:
            return [*curves.short_curves(self.to_columns(), names)]
        return [*curves.long_curves(files, names)]

    def to_dicts(self) -> list[dict[str, Any]]:
        """Return all points as dicts, one for each value: name, step, value, attempt, time, task."""
        columns = self.to_columns()
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]

    def _table(self) -> dict[str, Column]:
        return self.to_columns()

    def _files(self) -> dict[str, dict[int, list[MetricsAsset]]]:
        """Return the files of points, by task and attempt: in an attempt, each process has one of its own."""
        self._send()
        found: dict[str, dict[int, list[MetricsAsset]]] = {}
        for attempt in since_fresh(self._attempts):
            records = [one for one in attempt.contents.assets.values() if one.get("kind") == METRICS]
            for record in sorted(records, key=lambda one: str(one.get("created_at"))):
                if isinstance(asset := self._library.asset(record), MetricsAsset):
                    found.setdefault(task_of(record), {}).setdefault(attempt.number, []).append(asset)
        return found


class Statistic(dict[str, Any]):
    """One statistic of each metric, by name.

    Args:
        values: by name.
        name: the statistic's name.
    """

    def __init__(self, values: Mapping[str, Any], *, name: str) -> None:
        super().__init__(values)
        self._name = name

    def __missing__(self, name: str) -> NoReturn:
        raise _no_metric(name, self)

    def __call__(self, *names: str) -> NoReturn:
        given = repr(names[0]) if names else "NAME"
        raise TypeError(f"It is a mapping, not a method: write run.metrics.{self._name}[{given}].")


def _table(series: Mapping[tuple[str, str], Sequence[tuple[int, Column, Column, Column]]]) -> dict[str, Column]:
    """Return the points of names and tasks, each piece of them with its attempt, steps, times and values, as one table."""
    pieces = [(name, task, *piece) for (name, task), some in series.items() for piece in some]
    names, tasks, attempts, steps, times, values = zip(*pieces, strict=True) if pieces else ((),) * 6
    sizes = [*map(len, steps)]
    return {
        "name": [*chain.from_iterable(map(repeat, names, sizes))],
        "step": joined(steps),
        "value": joined(values),
        "attempt": joined([array("q", [attempt]) * size for attempt, size in zip(attempts, sizes, strict=True)]),
        "time": joined(times),
        "task": [*chain.from_iterable(map(repeat, tasks, sizes))],
    }


def _no_metric(name: str, known: Mapping[str, Any]) -> NotFoundError:
    return NotFoundError("metric", str(name), nearest=nearest(str(name), known))
