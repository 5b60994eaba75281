"""Runs counted by the values of a column, with the means of their numbers."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import molexp as me
from molexp_web._table import cells
from molexp_web._table.asking import Asked
from molexp_web._table.filters import condition, query_of, quoted
from molexp_web._table.listing import Heading, Problem, default_columns, headings, problem_of

MOST = 1000
"""Runs that are read for groups: of more, the first in the order of the table."""

_SHOWN = 100  # groups
_MEANS = 6  # columns


class Group(NamedTuple):
    """The runs that have one value.

    Attributes:
        cell: the value.
        query: the query of these runs alone; "" where no query can say it.
        runs: the number of runs.
        statuses: the number of runs with each status.
        means: the mean of each column, each with the number of runs that have a number there.
    """

    cell: cells.Cell
    query: str
    runs: int
    statuses: Mapping[str, int]
    means: Sequence[tuple[cells.Cell, int]]


class Groups(NamedTuple):
    """A table of groups.

    Attributes:
        groups: the largest ones first.
        columns: the heads of the columns of which there are means.
        read: the runs that were read for it.
        partial: there are more runs than were read.
        left_out: groups that are not shown.
        problem: the reason why there is nothing.
    """

    groups: Sequence[Group] = ()
    columns: Sequence[Heading] = ()
    read: int = 0
    partial: bool = False
    left_out: int = 0
    problem: Problem | None = None


def groups_of(workspace: me.Workspace, asked: Asked) -> Groups:
    """Return the groups that an address asks for."""
    try:
        rows = workspace.catalog.runs(asked.query or None, archived=asked.archived, sort=asked.sort, limit=MOST + 1)
    except (me.QueryError, ValueError) as error:
        return Groups(problem=problem_of(error))
    read = [cells.Seen(row) for row in rows[:MOST]]
    names = dict.fromkeys(name for row in read[:40] for name in cells.names_of(row))
    chosen = asked.columns or default_columns(read[:40], names)
    numbers = [name for name in chosen if name not in (asked.group, "created_at") and _is_number(read, name)][:_MEANS]
    members = dict[str, list[cells.Seen]]()
    values = dict[str, Any]()
    for row in read:
        value = cells.read(row, asked.group)
        members.setdefault(repr(value), []).append(row)
        values[repr(value)] = value
    ordered = sorted(members, key=lambda key: -len(members[key]))
    groups = [_group(asked, values[key], members[key], numbers) for key in ordered[:_SHOWN]]
    heads = [*headings(numbers, [True] * len(numbers), "")]
    return Groups(groups, heads, len(read), len(rows) > MOST, max(0, len(ordered) - _SHOWN))


def _is_number(rows: Sequence[cells.Seen], name: str) -> bool:
    found = [value for row in rows[:40] if (value := cells.read(row, name)) is not None]
    return bool(found) and all(isinstance(value, int | float) and not isinstance(value, bool) for value in found)


def _group(asked: Asked, value: Any, rows: Sequence[cells.Seen], numbers: Sequence[str]) -> Group:
    statuses = Counter(str(one.row.status) for one in rows)
    means = []
    for name in numbers:
        found = [
            float(one)
            for row in rows
            if isinstance(one := cells.read(row, name), int | float) and abs(one) < 1e300 and math.isfinite(one)
        ]
        mean = math.fsum(found) / len(found) if found else None
        whole = mean is not None and 1e4 <= abs(mean) < 1e15  # the decimals of a large mean tell nothing
        means.append((cells.cell(round(mean) if whole and mean is not None else mean, name, 4), len(found)))
    return Group(cells.cell(value, asked.group), _query(asked, value), len(rows), statuses, means)


def _query(asked: Asked, value: Any) -> str:
    """Return the query of the runs of one group."""
    if asked.group == "experiment":
        project, _, experiment = str(value).partition("/")
        return query_of([asked.query, f"project == {quoted(project)} and experiment == {quoted(experiment)}"])
    if value is None:
        return query_of([asked.query, condition(asked.group, "is null", "")])
    if isinstance(value, float) and not math.isfinite(value):
        return ""
    if isinstance(value, bool | int | float):
        return query_of([asked.query, condition(asked.group, "==", str(value).lower())])
    return query_of([asked.query, condition(asked.group, "==", quoted(str(value)))]) if isinstance(value, str) else ""
