"""The place in an order at which an answer begins that does not begin with the first row: the run after which it goes on."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Callable
from typing import Any

from molexp._catalog.index.index import Index
from molexp._catalog.query.sql import Place, Position
from molexp._values.documents import decode
from molexp.errors import NotFoundError


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
