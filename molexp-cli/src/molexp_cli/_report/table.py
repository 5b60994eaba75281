"""The table of a report: what the page has of each run, column by column."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from math import isfinite
from typing import TYPE_CHECKING, Any

from molexp_cli._formats import flat
from molexp_cli._report.budget import size_of

if TYPE_CHECKING:
    import molexp

_WORDS = 300  # characters of a text; notes and errors may have more
_LONG = 2000
_COLUMNS = 250  # of one group
_EXACT = 2**53  # an integer above is text, so that no digit of it is lost
_STATISTICS = ("last", "min", "max")


def columns_of(rows: Sequence[molexp.RunRow]) -> tuple[list[dict[str, Any]], list[str]]:
    """Return the columns: name, group, and the values or the one that all have; and what was left out, in words.

    A group is ``run``, ``params``, ``results``, ``metrics`` or ``config``.
    """
    cells = [_cells(row) for row in rows]
    columns, left_out = [], []
    for group in ("run", "params", "results", "metrics", "config"):
        counts = Counter(name for one in cells for name in one[group])
        names = [*counts]
        if group != "run" and len(names) > _COLUMNS:
            kept = {name for name, _ in sorted(counts.items(), key=lambda one: (-one[1], one[0]))[:_COLUMNS]}
            left_out.append(f"{len(names) - _COLUMNS} of {len(names)} columns of {group}")
            names = [name for name in names if name in kept]
        columns += [_column(name, group, [one[group].get(name) for one in cells]) for name in names]
    return columns, left_out


def rows_that_fit(rows: Sequence[molexp.RunRow], room: int) -> tuple[int, list[dict[str, Any]], list[str]]:
    """Return how many runs, from the first on, a page has room for; and what `columns_of` says of them."""
    number = len(rows)
    while True:
        columns, left_out = columns_of(rows[:number])
        size = size_of(columns)
        if size <= room or number <= 1:
            return number, columns, left_out
        number = max(1, min(number - 1, int(number * room / size * 0.95)))


def _column(name: str, group: str, values: list[Any]) -> dict[str, Any]:
    first = values[0]
    if all(type(one) is type(first) and one == first for one in values):
        return {"name": name, "group": group, "same": first}
    return {"name": name, "group": group, "values": values}


def _cells(row: molexp.RunRow) -> dict[str, dict[str, Any]]:
    metrics = {
        f"metrics.{name}.{which}": _rounded(_plain(one[which]))
        for name, one in row.metrics.items()
        for which in _STATISTICS
        if which in one
    }
    return {
        "run": dict(_of_run(row)),
        "params": _named("params", row.parameters),
        "results": _named("results", row.results),
        "metrics": metrics,
        "config": _named("config", row.config),
    }


def _named(group: str, found: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _plain(one) for name, one in flat({group: found}).items() if name != group}


def _of_run(row: molexp.RunRow) -> Iterator[tuple[str, Any]]:
    """Yield what is true of any run; what is empty for most of them is left out where it is."""
    yield "run", row.path
    yield "status", str(row.status)
    yield "created_at", row.created_at[:19]
    history = row.execution_history
    newest: Mapping[str, Any] = history[-1] if history else {}
    yield "seconds", None if (seconds := row["seconds"]) is None else round(seconds, 3)
    yield "host", _plain(newest.get("host"))
    yield "attempts", len(history)
    error = newest.get("error")
    texts = {
        "cause": row.cause,
        "error": f"{error.get('type')}: {error.get('message')}" if isinstance(error, Mapping) else newest.get("reason"),
        "tags": " ".join(row.tags),
        "notes": "\n".join(str(one.get("text")) for one in row.document.get("notes") or () if isinstance(one, Mapping)),
        "replica": row.replica or None,
        "profile": row.profile,
        "as of": row.as_of,
    }
    for name, found in texts.items():
        if found:
            yield name, _plain(found, _LONG)


def _rounded(found: Any) -> Any:
    return float(f"{found:.10g}") if isinstance(found, float) else found


def _plain(found: Any, words: int = _WORDS) -> Any:
    """Return a value for a cell: a number, a truth value, a text, or None."""
    if found is None or isinstance(found, bool):
        return found
    if isinstance(found, int):
        return found if abs(found) <= _EXACT else str(found)
    if isinstance(found, float):
        return found if isfinite(found) else str(found)
    if not isinstance(found, str):
        import molexp

        found = molexp.to_json(found)
        number = json.loads(found)
        if isinstance(number, dict) and [*number] == ["$float"]:
            return str(number["$float"])
    return found if len(found) <= words else f"{found[:words]}…"
