"""From expressions to SQL on the index, as far as that answers them exactly, and the statements that find rows in order.

Whatever SQL does not answer is asked of the documents.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import accumulate, starmap
from math import isnan
from operator import attrgetter
from typing import Any, NamedTuple, TypeAlias

from msgspec import Struct

from molexp._catalog.index.columns import NAN, Type, cell
from molexp._catalog.index.index import Index
from molexp._catalog.index.place import ELEMENTS
from molexp._catalog.index.tables import RARE, RUNS, WHOLE, Table
from molexp._query.expressions import ORDERS, Condition, Expression, Field, fields_of
from molexp._values.status import RunStatus

Sql: TypeAlias = tuple[str, list[Any]]

NOTHING: Sql = ("0", [])
_MOST_VALUES = 500
_LONGEST_PATTERN = 200
_IN_LINE = 50  # conditions within each other


METRICS = "metrics"
"""The table of the cells of metrics, a row for each name of a run; those of other fields are in the order of their values."""


class Place(NamedTuple):
    """The place of the cells of a field.

    Attributes:
        owner: SQL of whose they are.
        name: the id of the field's name; 0 if nobody has it.
        table: `fields`, or `METRICS`.
        column: the one of the table.
    """

    owner: str
    name: int
    table: str = "fields"
    column: str = "value"


class _Cells(Struct, frozen=True):
    """A condition on the cells of one field.

    Attributes:
        owner: SQL of whose cells they are.
        table: the table that they are in.
        condition: SQL on that.
        narrow: Few are likely to meet it.
    """

    owner: str
    table: str
    condition: Sql
    narrow: bool


def _nested(owner: str, conditions: list[_Cells]) -> Sql:
    """Join conditions on the cells of one owner; the inner ones, which are collected, are to be the narrow ones."""
    inner, values = "", list[Any]()
    for one in sorted(conditions, key=attrgetter("narrow"), reverse=True):
        sql, some = one.condition
        below = f" AND owner IN ({inner})" if inner else ""
        inner = f"SELECT owner FROM {one.table} WHERE {sql}{below}"  # noqa: S608 - constants
        values = [*some, *values]
    return f"{owner} IN ({inner})", values


def _is_rare(condition: Condition) -> bool:
    """Tell whether a condition is about the status, and holds for no run that has succeeded."""
    wanted = condition.value if condition.op == "in" else [condition.value]
    return condition.field.parts == ("status",) and condition.op in ("==", "in") and RunStatus.SUCCEEDED not in wanted


def status_of(index: Index) -> str:
    """Return SQL of the status of a run as of now: that of its attempts, unless an open submission names it."""
    if not index.queued:
        return "e.status"
    now = "status_now(e.path, e.status, e.attempts, e.cancels)"
    return f"CASE WHEN e.status IN ('succeeded', 'running') THEN e.status ELSE {now} END"


class Compiler(Struct, frozen=True):
    """Compiles for one state of the index.

    Attributes:
        index: the index.
        table: The table that is asked.
    """

    index: Index
    table: Table

    def split(self, expression: Expression) -> tuple[list[Sql], list[Expression]]:
        """Return what SQL answers of an expression, and what is left; both must be true."""
        if len([*fields_of(expression)]) > _MOST_VALUES:  # SQLite has limits
            return [], [expression]
        parts = (expression,) if isinstance(expression, Condition) or expression.word != "and" else expression.parts
        conditions, rest = [], []
        within: dict[str, list[_Cells]] = {}  # conditions on cells, by their owner
        for part in parts:
            found = self._condition(part) if isinstance(part, Condition) else self._compile(part, 0)
            if isinstance(found, _Cells):
                within.setdefault(found.owner, []).append(found)
            elif found is not None:
                conditions.append(found)
                if self.table is RUNS and isinstance(part, Condition) and _is_rare(part):
                    conditions.append((f"e.{RARE}", []))
            else:
                rest.append(part)
        return [*conditions, *starmap(_nested, within.items())], rest

    def order(self, field: Field) -> str | Place | None:
        """Return the column to order by, or the place of runs' own cells; None if documents have to be asked."""
        if (column := self._column(field)) is not None:
            return column[0]
        place = self._place(field)
        if place is None or not place.name or place.owner != "e.id" or self._has_below(field):
            return None
        sql = f"SELECT 1 FROM {place.table} WHERE name = ? AND {place.column} >= x'' AND {place.column} <> ? LIMIT 1"  # noqa: S608 - constants
        return None if self.index.select(sql, (place.name, NAN)) else place

    # ------------------------------------------------------------------------------------------------------------ joining

    def _compile(self, expression: Expression, depth: int) -> Sql | None:
        if depth > _IN_LINE:
            return None
        if isinstance(expression, Condition):
            found = self._condition(expression)
            return _nested(found.owner, [found]) if isinstance(found, _Cells) else found
        parts = [self._compile(part, depth + 1) for part in expression.parts]
        known = [one for one in parts if one is not None]
        if len(known) < len(parts):
            return None
        if expression.word == "not":
            return f"NOT coalesce({known[0][0]}, 0)", known[0][1]
        word = f" {expression.word.upper()} "
        return f"({word.join(sql for sql, _ in known)})", [value for _, values in known for value in values]

    def _condition(self, condition: Condition) -> Sql | _Cells | None:
        if isinstance(condition.value, Field):
            return None
        if (column := self._column(condition.field)) is not None:
            return _on(*column, condition)
        op = condition.op
        place = self._place(condition.field, ELEMENTS if op == "contains" else "")
        if place is None or (op in ("null", "!=") and self._has_below(condition.field)):
            return None  # a mapping: it is not null, and differs from everything
        if op == "null":
            having = f"SELECT owner FROM {place.table} WHERE name = ? AND {place.column} IS NOT NULL"  # noqa: S608 - constants
            sql = f"NOT coalesce({place.owner} IN ({having}), 0)"
            return (sql, [place.name]) if place.name else ("1", [])
        found = _on(place.column, None, condition)
        if found is None or not place.name:
            return found and NOTHING
        is_narrow = op != "!=" and op not in ORDERS
        return _Cells(place.owner, place.table, (f"name = ? AND {found[0]}", [place.name, *found[1]]), is_narrow)

    def _column(self, field: Field) -> tuple[str, Type] | None:
        if self.table is RUNS and field.parts == ("status",):
            return status_of(self.index), "text"
        return self.table.columns.get(field.parts[0]) if len(field.parts) == 1 else None

    # -------------------------------------------------------------------------------------------------------------- cells

    def _place(self, field: Field, suffix: str = "") -> Place | None:
        """Return where a field's cells are; None if documents must be asked."""
        root, *below = field.parts
        owner = self.table.owners.get(root)
        if owner is None or not (below or root in WHOLE):
            return None
        metric = root == "metrics" and owner == "e.id"
        parts = (self.table.prefix + ".".join(field.parts[:-1] if metric else field.parts)).split(".")
        name = ".".join(parts) + suffix
        names = [name, *accumulate(parts[:-1], "{}.{}".format)]  # its own, and those it is nested in
        sql = f"SELECT name, id, partial FROM names WHERE name IN ({', '.join('?' * len(names))})"  # noqa: S608 - constants
        number = 0
        for known, its, partial in self.index.select(sql, names):
            if partial:
                return None
            number = its if known == name else number
        return Place(owner, number, *((METRICS, field.parts[-1]) if metric else ()))

    def _has_below(self, field: Field) -> bool:
        name = self.table.prefix + ".".join(field.parts)
        sql = "SELECT 1 FROM names WHERE name > ? AND name < ? LIMIT 1"
        return bool(self.index.select(sql, (f"{name}.", f"{name}/")))


_HELD: dict[Type, Any] = {"text": str, "integer": int | float, "real": int | float, "flag": bool}
"""The literals that a column of each type may equal."""

_NEVER: Any = object()
"""A literal that nothing equals."""


def _bound(value: Any, kind: Type | None) -> Any:
    """Return a literal as a column of one type holds it, or (without) a cell; None if only documents can tell."""
    if value is None:
        return None
    if kind is not None and not (isinstance(value, _HELD[kind]) and isinstance(value, bool) == (kind == "flag")):
        return _NEVER
    if isinstance(value, tuple):
        value = _listed(value)
    if value is None or (isinstance(value, float) and isnan(value)):
        return _NEVER
    return int(value) if kind == "flag" else cell(value)


def _listed(value: tuple[Any, ...]) -> list[Any] | None:
    """Return a list literal as it is stored; None if it has NaN in it and so equals nothing."""
    found: list[Any] = []
    for item in value:
        inner = _listed(item) if isinstance(item, tuple) else item
        if (inner is None and item is not None) or (isinstance(inner, float) and isnan(inner)):
            return None
        found.append(inner)
    return found


def _on(operand: str, kind: Type | None, condition: Condition) -> Sql | None:
    """Return a condition on a column of one type, or (without) on cells; None if it cannot be said exactly."""
    value = condition.value
    match condition.op:
        case "null":
            return f"({operand} IS NULL)", []
        case "in":
            return _one_of(operand, value, kind)
        case "contains":
            return NOTHING if kind else _compare(operand, "==", value, kind)  # no column is a list
        case "like":
            if kind not in (None, "text"):
                return NOTHING
            if len(value) > _LONGEST_PATTERN or "\0" in value:
                return None
            text = "" if kind else f"{operand} >= '' AND {operand} < x'' AND "
            return f"({text}{operand} LIKE ? ESCAPE '\\')", [value]
        case op:
            return _compare(operand, op, value, kind)


def _compare(operand: str, op: str, value: Any, kind: Type | None) -> Sql | None:
    bound = _bound(value, kind)
    if bound is _NEVER:
        return (f"({operand} IS NOT NULL)", []) if op == "!=" else NOTHING
    if op in ORDERS and (isinstance(value, bool) or not isinstance(value, int | float | str)):
        return NOTHING
    if bound is None:
        return None
    if op not in ORDERS:
        return f"({operand} {'=' if op == '==' else '!='} ?)", [bound]
    if kind is not None:
        return f"({operand} {op} ?)", [bound]
    if isinstance(bound, str):
        edge = f"{operand} >= ''" if op in ("<", "<=") else f"{operand} < x''"
    else:
        edge = "1" if op in ("<", "<=") else f"{operand} < ''"
    return f"({operand} {op} ? AND {edge})", [bound]


def _one_of(operand: str, values: tuple[Any, ...], kind: Type | None) -> Sql | None:
    if len(values) > _MOST_VALUES:
        return None
    bound = [one for value in values if (one := _bound(value, kind)) is not _NEVER]
    if None in bound:
        return None
    return f"({operand} IN ({', '.join('?' * len(bound))}))", bound


# ------------------------------------------------------------------------------------------------------- rows in order

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
                column = f"s.{order.column}"
                past, values = ("", []) if position is None else _past(column, position, descending=descending)
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
            past, values = ("", []) if position is None else _past("s.value", position, descending=descending)
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
        if position is not None:
            past, values = _after(position) if order is None else _past(order, position, descending=descending)
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


def _past(column: str, position: Position, *, descending: bool) -> Sql:
    """Return the condition on rows with a value in the column that come after a position with one."""
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
