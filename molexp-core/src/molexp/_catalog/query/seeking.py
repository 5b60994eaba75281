"""The statements that find the rows of an answer in order, from the beginning or from the row after a given one."""

from __future__ import annotations

import re
from bisect import bisect
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from molexp._catalog.index.index import Index
from molexp._catalog.query.sql import METRICS, Place, Sql
from molexp._query.expressions import Field
from molexp._values.documents import decode
from molexp.errors import NotFoundError

_BY_CELLS_SQL = (  # CROSS JOIN: cells are in the order of their values
    "SELECT e.id FROM {table} s CROSS JOIN entities e ON e.id = s.owner WHERE s.name = {name} "
    "AND s.{column} < x'' AND e.shown = 1{where} ORDER BY s.{column}{direction}, e.created_at, e.path"
)
_WITHOUT = (
    " AND e.id NOT IN (SELECT owner FROM {table} WHERE name = {name} AND {column} < x'')"  # NaN is as good as none
)
_FIRST_BY_CELLS_SQL = (  # without the last value among them, of which there may be more
    "WITH few AS (SELECT owner, {column} AS value FROM {table} WHERE name = {name} AND {column} < x''{from_here} "
    "ORDER BY {column}{direction} LIMIT {first}) SELECT e.id FROM few s CROSS JOIN entities e ON e.id = s.owner "
    "WHERE s.value <> (SELECT {last}(value) FROM few) AND e.shown = 1{where} ORDER BY s.value{direction}, e.created_at, e.path"
)
_FIRST_SQL = (
    "SELECT e.id FROM (SELECT * FROM entities e WHERE e.shown = 1{past} ORDER BY {by} LIMIT {first}) e "
    "WHERE 1{where} ORDER BY {by}"
)
_OF_OWNERS = re.compile(r"\be\.").search
_WITHIN = "IN (SELECT"
"""Is in conditions for which SQLite would collect all runs that meet them."""

BY_TIME = "e.created_at"
"""The column of the order of creation."""

FIRST = 1000
"""Rows at the beginning of an order among which those of a page are looked for before all are."""

_SHARE = 4
"""Of them, as large a part may be wanted at most; as many times what is wanted are read where each is looked up."""


class Position(NamedTuple):
    """The place of a run in an order.

    Attributes:
        number: its number in the index.
        value: its value in the column of the order; None if it has none there.
        created_at: the time at which it was created, by which runs of one value are ordered.
        path: its path, by which runs of one moment are.
    """

    number: int
    value: Any
    created_at: str | None
    path: str


def position_of(index: Index, path: str, order: str | Place | None, read: Callable[[int], Any]) -> Position:
    """Return the place of a run in an order.

    Args:
        index: the index.
        path: the run's path.
        order: the column, or the place of the cells, that runs are sorted by.
        read: returns the cell that the run of a number has in that place.

    Raises:
        NotFoundError: there is no such run.
    """
    column = order if isinstance(order, str) else "NULL"
    sql = f"SELECT e.id, e.created_at, {column} FROM entities e WHERE e.path = ? AND e.shown = 1"  # noqa: S608 - compiled
    found = index.select(sql, (path,))
    if not found:
        raise NotFoundError("run", path)
    ((number, created_at, value),) = found
    if isinstance(order, Place):
        value = read(number)
    return Position(number, None if isinstance(value, bytes) else value, created_at, path)


def with_row(rows: list[tuple[str, bytes]], row: tuple[str, bytes] | None) -> list[tuple[str, bytes]]:
    """Return rows in the order of their creation, with one more among them, if they do not have it.

    A run from which an answer is read on may have changed, and no longer belong to it; its place in the order tells where to begin.
    """
    if row is None or any(path == row[0] for path, _ in rows):
        return rows
    place = bisect(rows, _age(row), key=_age)
    return [*rows[:place], row, *rows[place:]]


def _age(row: tuple[str, bytes]) -> tuple[str, str]:
    return str(decode(row[1], row[0]).get("created_at") or ""), row[0]


def following(rows: list[tuple[str, bytes]], path: str) -> list[tuple[str, bytes]]:
    """Return those of some rows that come after that of a run, which is among them; all of them for ""."""
    places = [place for place, (found, _) in enumerate(rows) if found == path]
    return rows[places[0] + 1 :] if places else rows


class Seeking(NamedTuple):
    """A search for the rows of an answer.

    Attributes:
        tie: SQL of the order of rows that are equal otherwise.
        order: the column, or the place of the cells, that they are sorted by.
        where: further conditions, each after an AND.
        position: they begin after it; None for all.
        descending: the other way round.
    """

    tie: str
    order: str | Place | None
    where: Sql
    position: Position | None
    descending: bool

    def statements(self, plain: str) -> Iterator[Sql]:
        """Yield the statements whose rows, one after the other, are the numbers of an answer in order.

        Args:
            plain: SQL that selects numbers, up to the end of its conditions.
        """
        tie, order, (sql, bound), position, descending = self
        direction = " DESC" if descending else ""
        has_value = position is not None and position.value is not None
        if isinstance(order, Place):
            place = order._asdict()
            if position is None or has_value:
                past, values = _past(f"s.{order.column}", position, descending=descending)
                yield _BY_CELLS_SQL.format(**place, where=sql + past, direction=direction), [*bound, *values]
            sql, order = sql + _WITHOUT.format(**place), None
        elif order is not None and position is not None:
            if has_value:
                past, values = _past(order, position, descending=descending)
                yield f"{plain}{sql}{past} ORDER BY {order}{direction}, {tie}", [*bound, *values]
            sql, order = f"{sql} AND {order} IS NULL", None
        past, values = ("", []) if position is None or has_value else _after(position)
        by = f"{order}{direction} NULLS LAST, {tie}" if order else tie
        yield f"{plain}{sql}{past} ORDER BY {by}", [*bound, *values]

    def first_statements(self, limit: int) -> Iterator[Sql]:
        """Yield a statement that finds the beginning of an answer about runs among the first rows of the order alone.

        It may find fewer rows than are wanted, but none that comes later in the answer. There is none if those of all rows cost
        no more.

        Args:
            limit: the number of rows that are wanted.
        """
        tie, order, (sql, bound), position, descending = self
        if not 0 < limit <= FIRST // _SHARE or (order is not None and position is not None and position.value is None):
            return
        direction, sign = (" DESC", "<") if descending else ("", ">")
        if isinstance(order, Place):
            if order.table != METRICS:  # cells of other fields are in the order of their values
                return
            past, values = _past("s.value", position, descending=descending)
            from_here = f" AND {order.column} {sign}= ?" if position is not None else ""
            last = "min" if descending else "max"
            place = order._asdict()
            text = _FIRST_BY_CELLS_SQL.format(
                **place, where=sql + past, direction=direction, from_here=from_here, last=last, first=_SHARE * limit
            )
            yield text, [*values[:1], *bound, *values]
            return
        if order not in (None, BY_TIME) or _WITHIN not in sql:
            return
        by, past, values = tie, "", list[Any]()
        if order is not None:
            by = f"{order}{direction} NULLS LAST, {tie}"
            past, values = _past(order, position, descending=descending)
        elif position is not None:
            past, values = _after(position)
        yield _FIRST_SQL.format(past=past, by=by, where=sql, first=FIRST), [*values, *bound]


def read_assets(
    tables: str, tie: str, order: str | Place | None, where: str, named: Iterable[Field]
) -> tuple[str, str, str | Place | None]:
    """Return the tables to read for a question about assets, the order of equal ones, and the order, for the best index.

    Args:
        tables: SQL of where assets and their owners are.
        tie: SQL of the order of rows that are equal otherwise.
        order: the column that they are sorted by.
        where: further conditions.
        named: the fields in these, and that of the order.
    """
    if not _OF_OWNERS(f"{where} {order}"):
        tables = "assets a"
    roots = {field.parts[0] for field in named}
    if roots <= {"kind", "created_at"} and "created_at" not in where:  # the index has these
        return tables, tie, order
    # Few may meet other conditions: all are read in the order of the file, at a third of what an index costs.
    return tables, f"+{tie}", f"+{order}" if isinstance(order, str) else order


def _past(column: str, position: Position | None, *, descending: bool) -> Sql:
    """Return the condition on rows with a value in the column that come after a position with one."""
    if position is None:
        return "", []
    sign, (tie, values) = "<" if descending else ">", _after(position)
    return f" AND {column} {sign}= ? AND ({column} {sign} ?{tie.replace(' AND', ' OR', 1)})", [
        position.value,
        position.value,
        *values,
    ]


def _after(position: Position) -> Sql:
    """Return the condition on rows that were created after the run of a position."""
    if position.created_at is None:
        return " AND (e.created_at IS NOT NULL OR e.path > ?)", [position.path]
    return " AND (e.created_at, e.path) > (?, ?)", [position.created_at, position.path]
