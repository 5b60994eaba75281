"""Series to draw: a value of runs against another one, and a metric over its steps. Nothing here draws, or prints.

What cannot be drawn is left out and counted in `Chart.left_out`: values that are missing, no numbers or not finite.
"""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import compress, pairwise
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from molexp_cli import _words

if TYPE_CHECKING:
    import molexp

Numbers: TypeAlias = "Sequence[float]"

STEP = "step"
_SEEDS = ("seed", "random_seed", "random_state")  # parameters that tell replicas apart, by the last part of their names
_DESIGNED = ("params", "config", "created_at", "replica")  # values that somebody chose: those in between mean something
_JOINED = 100  # places of a series, up to which lines join them
_UNITS = ((86400.0, "days"), (3600.0, "hours"), (60.0, "minutes"), (1.0, "seconds"))


class Series(NamedTuple):
    """Points that belong together, by rising x.

    Attributes:
        label: its name among the others; "" for the only one.
        fields: the same for programs, by the names of columns.
        x: places on the axis; of categories, their numbers.
        y: the values: of several runs their mean, and smoothed if that was asked for.
        std: the standard deviation of each value, 0 for one of a single run; empty if each run is drawn for itself.
        least: the least of the runs, likewise.
        greatest: the greatest of the runs, likewise.
        runs: the number of runs behind each value, likewise; else their paths, or none.
        raw: the values before they were smoothed; empty if they were not.
    """

    label: str
    fields: Mapping[str, Any]
    x: Numbers
    y: Numbers
    std: Numbers = ()
    least: Numbers = ()
    greatest: Numbers = ()
    runs: Sequence[Any] = ()
    raw: Numbers = ()


class Chart(NamedTuple):
    """Series with the names of their axes.

    Attributes:
        x: the name of the values along the x axis.
        y: likewise.
        series: them.
        categories: the values at 0, 1, 2, ... on an x axis without numbers; empty for numbers.
        joined: true if lines join the points.
        marked: true if the points are marked.
        x_title: the title of the x axis, where it is another one than the name.
        left_out: the number of runs or points that are not drawn, by the reason.
        differing: other parameters in which the runs at one place may differ, without seeds.
    """

    x: str
    y: str
    series: Sequence[Series]
    categories: Sequence[Any] = ()
    joined: bool = True
    marked: bool = True
    x_title: str = ""
    left_out: Mapping[str, int] = {}
    differing: Sequence[str] = ()

    @property
    def several(self) -> bool:
        """Tell whether a value stands for several runs."""
        return any(count > 1 for one in self.series if one.std for count in one.runs)

    def records(self) -> Iterator[dict[str, Any]]:
        """Yield each point with the names of columns, for programs."""
        for one in self.series:
            for at, (x, y) in enumerate(zip(one.x, one.y, strict=True)):
                found = {**one.fields, self.x: self.categories[int(x)] if self.categories else _plain(x), self.y: y}
                if one.raw:
                    found |= {self.y: one.raw[at], "smoothed": y}
                if one.std:
                    found |= {"std": one.std[at], "min": one.least[at], "max": one.greatest[at], "runs": one.runs[at]}
                elif one.runs:
                    found["run"] = one.runs[at]
                yield found


# ---------------------------------------------------------------------------------------------------- value against value


def relate(rows: Iterable[Mapping[str, Any]], x: str, y: str, by: Sequence[str] = (), *, each: bool = False) -> Chart:
    """Return a value of runs against another one. What several runs have at one x becomes their mean.

    Args:
        rows: the runs, as the catalog answers them.
        x: a column. If a value in it is no number, its values become categories.
        y: a column of numbers.
        by: columns that divide the runs into series.
        each: keep every run for itself.
    """
    left_out: Counter[str] = Counter()
    seen = Differing((x, *by))
    groups: dict[str, tuple[dict[str, Any], list[tuple[Any, float, str]]]] = {}
    for row in rows:
        at, value = row[x] if x in row else None, row[y] if y in row else None  # noqa: SIM401 - `get` looks for near names
        if reason := _unfit(at, x) or _no_number(value, y):
            left_out[reason] += at is not None or value is not None  # a run that has neither is about something else
            continue
        seen.add(row)
        fields = {name: row[name] if name in row else None for name in by}  # noqa: SIM401
        _, points = groups.setdefault(repr([*fields.values()]), (fields, []))
        points.append((at, float(value or 0), row["path"]))
    found = [(fields, points) for fields, points in sorted(groups.values(), key=lambda one: _order_of_all(one[0]))]
    place, categories, title = _axis(x, [at for _, points in found for at, *_ in points])
    labels = _labels([fields for fields, _ in found])
    series = []
    for label, (fields, points) in zip(labels, found, strict=True):
        placed = sorted(((place(at), value, path) for at, value, path in points), key=itemgetter(0))
        series.append((_separate if each else _averaged)(label, fields, placed))
    designed = x.partition(".")[0] in _DESIGNED
    return Chart(
        x, y, series, categories, designed and not categories and not each, True, title, +left_out, seen.names()
    )


class Differing:
    """Notes in which parameters runs differ, without some, and without seeds.

    Args:
        but: columns that do not count.
    """

    def __init__(self, but: Sequence[str] = ()) -> None:
        self._but = but
        self._seen: dict[str, set[str]] = {}
        self._count: Counter[str] = Counter()
        self._runs = 0

    def add(self, row: Mapping[str, Any]) -> None:
        """Take in a run."""
        self._runs += 1
        for name in row:
            if name.startswith("params.") and name not in self._but and not _is_seed(name):
                self._count[name] += 1
                values = self._seen.setdefault(name, set())
                if len(values) < len(("one", "another")):
                    values.add(repr(row[name]))

    def names(self) -> list[str]:
        """Return the parameters in which they differ."""
        return [name for name, values in self._seen.items() if len(values) > 1 or self._count[name] < self._runs]


def _is_seed(name: str) -> bool:
    """Tell whether a parameter only tells replicas apart."""
    return name.rpartition(".")[2].lower() in _SEEDS


def _unfit(at: Any, name: str) -> str:
    if at is None or (isinstance(at, list | tuple) and not at):
        return f"no {name}"
    return f"no finite {name}" if isinstance(at, float) and not math.isfinite(at) else ""


def _no_number(value: Any, name: str) -> str:
    """Return why something cannot be drawn; "" if it can."""
    if value is None:
        return f"no {name}"
    if isinstance(value, str):
        return f"text as {name}, which is no number"
    if not isinstance(value, int | float):
        return f"{'a list' if isinstance(value, list | tuple) else 'no number'} as {name}"
    return "" if _is_finite(value) else f"no finite {name}"


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer of more digits than a float can have
        return False


def _axis(name: str, values: Sequence[Any]) -> tuple[Callable[[Any], float], list[Any], str]:
    """Return what tells the place of a value on the axis, the categories there are, and the title."""
    if name == "created_at" and values:
        times = {value: datetime.fromisoformat(value).timestamp() for value in {*values}}
        first = min(times.values())
        size, unit = next((one for one in _UNITS if max(times.values()) - first >= 2 * one[0]), _UNITS[-1])
        return lambda value: (times[value] - first) / size, [], f"created_at, in {unit} after the first"
    if all(isinstance(value, int | float) and not isinstance(value, bool) and _is_finite(value) for value in values):
        return float, [], ""
    categories = sorted({repr(value): value for value in values}.values(), key=_order)
    places = {repr(value): float(place) for place, value in enumerate(categories)}
    return lambda value: places[repr(value)], categories, ""


def _order(value: Any) -> tuple[Any, ...]:
    """Return what values of any type are sorted by: numbers before text, nothing at the end."""
    if isinstance(value, int | float):
        return 0, value, ""
    return (2, 0, "") if value is None else (1, 0, _words.brief(value))


def _order_of_all(fields: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    return [_order(value) for value in fields.values()]


def _labels(fields: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return what tells series apart: "xc=PBE k=2", with the last parts of the names."""
    names = dict.fromkeys(name for one in fields for name in one)
    ends = Counter(name.rpartition(".")[2] for name in names)
    short = {name: end if ends[end := name.rpartition(".")[2]] == 1 else name for name in names}
    return [" ".join(f"{short[name]}={_shown(value)}" for name, value in one.items()) for one in fields]


def _shown(value: Any) -> str:
    return "none" if value is None else _words.brief(value, 6)


def _separate(label: str, fields: Mapping[str, Any], points: Sequence[tuple[float, float, str]]) -> Series:
    x, y, paths = zip(*points, strict=True)
    return Series(label, fields, x, y, runs=paths)


def _averaged(label: str, fields: Mapping[str, Any], points: Iterable[tuple[float, float, Any]]) -> Series:
    """Return the means of points by rising x."""
    at: dict[float, list[float]] = {}
    for x, value, _ in points:
        at.setdefault(x, []).append(value)
    means = [_mean(values) for values in at.values()]
    std = [_std(values, mean) for values, mean in zip(at.values(), means, strict=True)]
    values = at.values()
    return Series(label, fields, [*at], means, std, [*map(min, values)], [*map(max, values)], [*map(len, values)])


def _mean(values: Sequence[float]) -> float:
    if len(values) == 1:
        return values[0]
    try:
        return math.fsum(values) / len(values)
    except OverflowError:
        return math.fsum(value / len(values) for value in values)


def _std(values: Sequence[float], mean: float) -> float:
    """Return the standard deviation of a sample; 0 of a single value."""
    return 0.0 if len(values) == 1 else math.hypot(*(value - mean for value in values)) / math.sqrt(len(values) - 1)


def _plain(x: float) -> float:
    return int(x) if x.is_integer() and abs(x) < 2**53 else x


# ------------------------------------------------------------------------------------------------------ metrics over steps


class Curve(NamedTuple):
    """The points of one metric of one run, by rising steps.

    Attributes:
        path: the run.
        fields: its parameters, by the names of columns.
        steps: them.
        values: them.
    """

    path: str
    fields: Mapping[str, Any]
    steps: array[float]
    values: array[float]


def curve_of(run: molexp.Run, fields: Mapping[str, Any], name: str) -> tuple[Curve, Counter[str]]:
    """Return the points that a run has of a metric over all its attempts, and how many are no finite numbers."""
    columns = run.metrics.to_columns()
    wanted = [one == name for one in columns["name"]]
    steps, values = compress(columns["step"], wanted), compress(columns["value"], wanted)
    found, left_out = [], Counter[str]()
    for step, value in zip(steps, values, strict=True):
        if reason := _no_number(value, name):
            left_out[reason] += 1
        else:
            found.append((float(step), float(value)))
    if any(one[0] > other[0] for one, other in pairwise(found)):  # tasks and ranks log side by side
        found.sort(key=itemgetter(0))
    return Curve(run.path, fields, *(array("d", map(itemgetter(part), found)) for part in (0, 1))), left_out


def over_steps(
    curves: Sequence[Curve],
    name: str,
    by: Sequence[str] = (),
    *,
    each: bool = False,
    names: Mapping[str, str] | None = None,
) -> Chart:
    """Return a metric over its steps. Runs that differ in nothing but seeds become one series: their mean at each step.

    Args:
        curves: the points of each run.
        name: the metric.
        by: columns that divide the runs into series, instead of all parameters.
        each: keep every run for itself.
        names: short names of runs, by their paths.
    """
    groups: dict[str, list[Curve]] = {}
    for curve in curves:
        known = {key: curve.fields.get(key) for key in by} if by else _without_seeds(curve.fields)
        groups.setdefault(curve.path if each else repr(sorted(known.items(), key=itemgetter(0))), []).append(curve)
    seen = Differing()
    for curve in curves:
        seen.add(curve.fields)
    differing, found = [*by] or seen.names(), []
    for some in groups.values():
        fields = {key: some[0].fields.get(key) for key in differing}
        found.append((_order_of_all(fields), fields, some))
    found.sort(key=itemgetter(0))
    labels = _labels([fields for _, fields, _ in found])
    if each or len({*labels}) < len(labels) or labels == [""]:
        labels = [_named(label, some, names or {}) for label, (*_, some) in zip(labels, found, strict=True)]
    single = all(len(some) == 1 for *_, some in found)
    series = []
    for label, (_, fields, some) in zip(labels, found, strict=True):
        if single:
            series.append(Series(label, {"run": some[0].path}, some[0].steps, some[0].values))
            continue
        points = ((x, y, None) for one in some for x, y in zip(one.steps, one.values, strict=True))
        series.append(_averaged(label, fields, sorted(points, key=itemgetter(0))))
    return Chart(STEP, name, [one for one in series if len(one.x)], marked=False)


def _without_seeds(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if not _is_seed(name)}


def _named(label: str, curves: Sequence[Curve], names: Mapping[str, str]) -> str:
    path = curves[0].path
    run = names.get(path, path) if len(curves) == 1 else ""
    return " ".join(filter(None, (run, label)))


# ------------------------------------------------------------------------------------------------------------ what is drawn


def smoothed(chart: Chart, weight: float) -> Chart:
    """Return a chart of exponential moving averages, as TensorBoard has them: each weighs what came before it.

    The beginning is not drawn to 0: the average is divided by the weight of all that is in it.
    """
    return chart._replace(series=[one._replace(y=[*_smooth(one.y, weight)], raw=one.y) for one in chart.series])


def _smooth(values: Numbers, weight: float) -> Iterator[float]:
    average, left = 0.0, 1.0
    for value in values:
        average, left = average * weight + value * (1 - weight), left * weight
        yield average / (1 - left)


def for_logarithms(chart: Chart, *, x: bool, y: bool) -> Chart:
    """Return a chart without points that have no place on logarithmic axes, which are counted."""
    left_out = Counter(chart.left_out)
    series = []
    for one in chart.series:
        fits = [(not x or at > 0) and (not y or value > 0) for at, value in zip(one.x, one.y, strict=True)]
        if gone := fits.count(False):
            left_out["a value of 0 or less, which a logarithmic axis has no place for"] += gone
            columns = ([*compress(column, fits)] if len(column) else column for column in one[2:])
            one = Series(one.label, one.fields, *columns)  # noqa: PLW2901
        if len(one.x):
            series.append(one)
    return chart._replace(series=series, left_out=left_out)
