"""The statements that find the rows of an answer in order, from the beginning or from the row after a given one."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from molexp._catalog.index.index import Index
from molexp._catalog.query.sql import Place, Sql
from molexp._values.documents import decode
from molexp.errors import NotFoundError

_BY_CELLS_SQL = (  # CROSS JOIN: cells are in the order of their values
    "SELECT e.id FROM {table} s CROSS JOIN entities e ON e.id = s.owner WHERE s.name = {name} "
    "AND s.{column} < x'' AND e.shown = 1{where} ORDER BY s.{column}{direction}, e.created_at, e.path"
)
_WITHOUT = (
    " AND e.id NOT IN (SELECT owner FROM {table} WHERE name = {name} AND {column} < x'')"  # NaN is as good as none
)


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


def statements(
    plain: str, tie: str, order: str | Place | None, where: Sql, position: Position | None, *, descending: bool
) -> Iterator[Sql]:
    """Yield the statements whose rows, one after the other, are the numbers of an answer in order.

    Args:
        plain: SQL that selects numbers, up to the end of its conditions.
        tie: SQL of the order of rows that are equal otherwise.
        order: the column, or the place of the cells, that they are sorted by.
        where: further conditions, each after an AND.
        position: they begin after it; None for all.
        descending: the other way round.
    """
    sql, bound = where
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
