"""Values of runs by the names of columns, and how they are written: rounded for people, exact in the title."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from itertools import islice
from typing import Any, NamedTuple

import molexp as me

PLAIN = (
    "status",
    "experiment",
    "created_at",
    "seconds",
    "attempts",
    "cause",
    "tags",
    "host",
    "user",
    "profile",
    "replica",
    "path",
)
"""Columns that every run has, whatever its experiment."""

ORIGIN = ("provenance.git.commit", "provenance.git.branch", "provenance.git.dirty", "provenance.python")
"""Columns on the code of a run that the chooser offers; others of its provenance are found by name."""

STATISTICS = ("last", "min", "max", "step", "min_step", "max_step", "count")
MOST = 200
"""Names that are looked at in one part of one run: there may be any number."""

_COMMIT = 10  # characters of a commit: they find it
_LIST = 14  # characters of a list that is written as it is
_LONGEST = 60  # characters of a cell
_EXACT = 300  # characters of a title
_ROOTS = ("params", "results", "config")


class Cell(NamedTuple):
    """A value as a table shows it.

    Attributes:
        text: the text that is shown.
        exact: all of it, if that is more; "" otherwise.
        kind: ``number``, ``text``, ``status``, ``time``, ``tags`` or ``none``.
        value: the value itself.
    """

    text: str
    exact: str = ""
    kind: str = "text"
    value: Any = None


NONE = Cell("", kind="none")


class Seen:
    """A run whose columns are read: what takes time is unpacked once."""

    def __init__(self, row: me.RunRow) -> None:
        self.row = row

    @cached_property
    def metrics(self) -> Mapping[str, Mapping[str, Any]]:
        """The summary of its metrics."""
        return self.row.metrics


def read(seen: Seen, column: str) -> Any:
    """Return what a run has in a column; None if it has nothing there."""
    row = seen.row
    root, _, rest = column.partition(".")
    match root:
        case "params" | "parameters":
            return reach(row.params, rest)
        case "results" | "config":
            return reach(getattr(row, root), rest)
        case "metrics":
            return _metric(seen.metrics, rest)
        case "experiment":
            return f"{row.project}/{row.experiment}"
        case "seconds":
            return seconds(row)
        case "attempts":
            return len(row.execution_history)
        case "host" | "user" | "started_at" | "ended_at":
            return row.execution_history[-1].get(root) if row.execution_history else None
        case "provenance":
            if not rest:
                return row.provenance
            return row[column] if column in row else None  # noqa: SIM401 - `get` would look for the nearest name first
    return getattr(row, root, None) if root in (*PLAIN, "id", "project", "as_of") else reach(row.document, column)


def reach(values: Any, name: str) -> Any:
    """Return a value within mappings by a dotted name; a key may have dots itself, and the longest one counts."""
    if not isinstance(values, Mapping):
        return None
    if name in values:
        return values[name]
    for end in range(len(name) - 1, 0, -1):
        if name[end] == "." and name[:end] in values:
            return reach(values[name[:end]], name[end + 1 :])
    return None


def _metric(metrics: Mapping[str, Mapping[str, Any]], name: str) -> Any:
    base, _, statistic = name.rpartition(".")
    if statistic in STATISTICS and base in metrics:
        return metrics[base].get(statistic)
    return metrics[name].get("last") if name in metrics else None


def seconds(row: me.RunRow) -> float | None:
    """Return how long the newest attempt of a run took; None if it has not ended."""
    from molexp_web._pages.rendering import moment

    newest = row.execution_history[-1] if row.execution_history else {}
    began, ended = moment(newest.get("started_at")), moment(newest.get("ended_at"))
    return (ended - began).total_seconds() if began and ended else None


def names_of(seen: Seen) -> Iterator[str]:
    """Yield the columns of the values that a run has: the first of its parameters, its results and its metrics."""
    for root, values in (("params", seen.row.params), ("results", seen.row.results)):
        yield from islice(_leaves(f"{root}.", values), MOST)
    yield from (f"metrics.{name}" for name in islice(seen.metrics, MOST))


def _leaves(prefix: str, values: Mapping[str, Any]) -> Iterator[str]:
    for name, value in values.items():
        if isinstance(value, Mapping) and value and not any(str(key).startswith("$") for key in islice(value, 1)):
            yield from _leaves(f"{prefix}{name}.", value)
        else:
            yield f"{prefix}{name}"


def column_of(values: Sequence[Any], column: str = "") -> list[Cell]:
    """Return the cells of one column: numbers with as many digits as tell them apart."""
    floats = [value for value in values if isinstance(value, float) and math.isfinite(value)]
    different = len({*floats})
    digits = next((some for some in (4, 6, 9) if len({f"{one:.{some}g}" for one in floats}) == different), 17)
    return _aligned([cell(value, column, digits) for value in values])


def _aligned(found: list[Cell]) -> list[Cell]:
    """Return cells of which all numbers have their decimal point below each other: blanks of a digit's width follow them."""
    ends = [_fraction(one.text) if one.kind == "number" and isinstance(one.value, float) else "" for one in found]
    if not any(ends) or any("e" in one.text for one in found if one.kind == "number"):
        return found
    longest = max(map(len, ends))
    return [
        one if one.kind != "number" else one._replace(text=one.text + _blanks(end, longest))
        for one, end in zip(found, ends, strict=True)
    ]


def _fraction(text: str) -> str:
    return text[text.find(".") :] if "." in text else ""


def _blanks(end: str, longest: int) -> str:
    return "\u2007" * (longest - len(end)) if end else "\u2008" + "\u2007" * (longest - 1)


def cell(value: Any, column: str = "", digits: int = 6) -> Cell:
    """Return a value as a table shows it."""
    if value is None or value in ((), ""):
        return NONE
    if column in ("created_at", "started_at", "ended_at"):
        return Cell(str(value), str(value), "time", value)
    if column == "status":
        return Cell(str(value), "", "status", value)
    if column == "tags" and isinstance(value, list | tuple):
        return Cell(" ".join(map(str, value)), "", "tags", value)
    if column == "seconds" and isinstance(value, int | float):
        from molexp_web._pages.rendering import duration

        return Cell(duration(value), f"{value} s", "number", value)
    if isinstance(value, bool):
        return Cell(str(value).lower(), kind="text", value=value)
    if column == "provenance.git.commit" and isinstance(value, str):
        return Cell(value[:_COMMIT], value[:_EXACT], "text", value)
    if isinstance(value, int | float):
        return _number(value, digits)
    if isinstance(value, list | tuple):
        text = me.to_json(value)
        short = text if len(text) <= _LIST else f"[{'x'.join(map(str, shape(value)))}]"
        return Cell(short, "" if short == text else _cut(text, _EXACT), "text", value)
    text = str(getattr(value, "name", "")) or (value if isinstance(value, str) else me.to_json(value))
    return Cell(_cut(text, _LONGEST), _cut(text, _EXACT) if len(text) > _LONGEST else "", "text", value)


def _number(value: float, digits: int) -> Cell:
    exact = str(value)
    if isinstance(value, int):
        return Cell(
            exact if len(exact) <= 20 else f"{exact[:8]}…", exact[:_EXACT] if len(exact) > 20 else "", "number", value
        )
    text = f"{value:.{digits}g}" if math.isfinite(value) else exact
    return Cell(text, exact if exact != text else "", "number", value)


def shape(found: Any) -> list[int]:
    """Return the lengths of lists within lists, as far as all of one level have one length."""
    lengths = [len(found)]
    while found and all(isinstance(one, list | tuple) and len(one) == len(found[0]) for one in found):
        lengths.append(len(found[0]))
        found = [inner for one in found for inner in one]
    return lengths


def _cut(text: str, longest: int) -> str:
    line = " ".join(text[: longest * 4].split())
    return line if len(line) <= longest else f"{line[: longest - 1]}…"
