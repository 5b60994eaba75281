"""Divide what the catalog knows of all runs into parts, each small enough to be loaded when it is looked at."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from itertools import accumulate
from math import isfinite
from typing import Any

import attrs

import molexp as me

RUNS_A_PART = 20
PARTS_AN_INDEX = 250
VALUES_A_PART = (10_000, 1000, 100)
"""A column is cut into parts of these sizes, the largest first. The rest, of fewer runs, is one part with all columns."""

_COLUMNS = 400
_LONG = 300  # characters of a text in a column
_LONGEST = 20_000  # of a text in a run's document
_LISTED = 10  # runs that the overview names, of each sort
_OPEN = 1000  # runs that go on, of which a page reads more by itself
_EXACT = 2**53  # a browser loses digits of an integer above
_OF_A_METRIC = ("last", "min", "max")
_OF_AN_ATTEMPT = ("attempt", "status", "started_at", "ended_at", "host", "reason")

Put = Callable[[str, Any], str]
"""Write a part of a kind, and return the name by which a page loads it."""


@attrs.define
class Gathered:
    """The names of parts, the columns, and a few numbers of runs for the overview."""

    total: int = 0
    statuses: Counter[str] = attrs.field(factory=Counter)
    runs: list[str] = attrs.field(factory=list)
    columns: dict[str, list[Any]] = attrs.field(factory=dict)
    running: list[int] = attrs.field(factory=list)
    failed: list[int] = attrs.field(factory=list)
    open: list[tuple[str, int]] = attrs.field(factory=list)
    left_out: list[str] = attrs.field(factory=list)

    def add(self, row: me.RunRow) -> None:
        """Take the values of a run into the columns."""
        for name in row:
            if name.startswith("metrics.") and name.rpartition(".")[2] not in _OF_A_METRIC:
                continue
            column = self.columns.get(name)
            if column is None:
                if len(self.columns) >= _COLUMNS:
                    continue
                column = self.columns[name] = []
            column.extend([None] * (self.total - len(column)))
            column.append(plain(row[name]))
        status = str(row.status)
        self.statuses[status] += 1
        for some, wanted in ((self.running, ("running",)), (self.failed, ("failed", "interrupted"))):
            if status in wanted:
                some.append(self.total)
                del some[:-_LISTED]
        if status == "running":
            self.open.append((row.path, self.total))
            del self.open[:-_OPEN]
        self.total += 1


def gather(workspace: me.Workspace, put: Put, details: Callable[[me.RunRow, int], Mapping[str, Any]]) -> Gathered:
    """Write the parts of all runs, oldest first.

    Args:
        workspace: their workspace.
        put: writes a part.
        details: returns more of a run, by its row and the number of runs that are newer.
    """
    pages = workspace.catalog.run_pages(sort="created_at")
    count = pages.total or 0
    found = Gathered()
    names: set[str] = set()
    part: list[Mapping[str, Any]] = []
    for row in (row for page in pages for row in page):
        names.update(row)
        part.append({**document_of(row), **details(row, count - found.total - 1)})
        found.add(row)
        if len(part) == RUNS_A_PART:
            found.runs.append(put("runs", part))
            part = []
    if part:
        found.runs.append(put("runs", part))
    shown = {name for name in names if not name.startswith("metrics.") or name.rpartition(".")[2] in _OF_A_METRIC}
    if len(shown) > len(found.columns):
        found.left_out.append(f"{len(shown) - len(found.columns)} of {len(shown)} columns, which each run's page has")
    if pages.archived:
        found.left_out.append(f"{pages.archived} archived runs")
    if pages.unreadable:
        found.left_out.append(f"{len(pages.unreadable)} files that cannot be read (see molexp fsck)")
    return found


def cut(total: int) -> list[int]:
    """Return the sizes of the parts of a column.

    A run that is added changes the rest alone, or makes it a part: no long part is written again for it.
    """
    sizes = []
    for size in VALUES_A_PART:
        sizes += [size] * (total // size)
        total %= size
    return sizes


def columns_of(found: Gathered, put: Put) -> dict[str, Any]:
    """Write the columns, and return what a page needs to load them.

    Each has its name, whether it is of numbers, how many runs have it, whether it differs, and its parts. Beside them are the
    sizes of these parts, and the part with the rest of all columns.
    """
    sizes = cut(found.total)
    ends = [*accumulate(sizes)]
    rest = {}
    columns = []
    for name, values in found.columns.items():
        values.extend([None] * (found.total - len(values)))
        some = [one for one in values if one is not None]
        parts = [put("columns", values[end - size : end]) for size, end in zip(sizes, ends, strict=True)]
        rest[name] = values[ends[-1] if ends else 0 :]
        columns.append(
            {
                "name": name,
                "numeric": any(type(one) in (int, float) for one in some),
                "some": len(some),
                "varies": any(one != some[0] for one in some),
                "parts": parts,
            }
        )
    return {"columns": columns, "sizes": sizes, "tail": put("tails", rest)}


def index_of(found: Gathered, put: Put) -> list[str]:
    """Write the names of all parts of runs, and return the names of the parts that have them."""
    starts = range(0, len(found.runs), PARTS_AN_INDEX)
    return [put("index", found.runs[start : start + PARTS_AN_INDEX]) for start in starts]


def document_of(row: me.RunRow) -> dict[str, Any]:
    """Return what the page of a run shows, and a row of the table."""
    document = row.document
    return {
        "path": row.path,
        "status": str(row.status),
        "created_at": row.created_at,
        **{name: row[name] for name in ("seconds", "host") if name in row},
        **{
            name: bounded(found)
            for name in ("cause", "tags", "replica", "profile", "parameters", "results", "config")
            if (found := document.get(name))
        },
        **({"notes": [*map(_note, document["notes"])]} if document.get("notes") else {}),
        "metrics": bounded({name: {key: one.get(key) for key in _OF_A_METRIC} for name, one in row.metrics.items()}),
        "attempts": bounded([_attempt(one) for one in row.execution_history]),
    }


def _note(one: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the page shows of a note, without its author."""
    return {name: bounded(one[name]) for name in ("at", "text") if name in one}


def _attempt(one: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the page shows of an attempt: no command line, folder or user, which the copy's files would tell."""
    found = {name: one[name] for name in _OF_AN_ATTEMPT if name in one}
    if isinstance(error := one.get("error"), Mapping):
        found["error"] = {name: error.get(name) for name in ("type", "message")}
    return found


def bounded(value: Any) -> Any:
    """Return a value whose texts are not longer than a page may show, and whose numbers a browser does not change."""
    if isinstance(value, Mapping):
        return {str(key): bounded(one) for key, one in value.items()}
    if isinstance(value, list | tuple | frozenset | set):
        return [bounded(one) for one in value]
    return plain(value, _LONGEST)


def plain(value: Any, long: int = _LONG) -> Any:
    """Return a value for a cell: a number, a truth value, a text, or None."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if abs(value) <= _EXACT else str(value)
    if isinstance(value, float):
        return value if isfinite(value) else str(value)
    text = value if isinstance(value, str) else me.to_json(value)
    return text if len(text) <= long else f"{text[:long]}…"
