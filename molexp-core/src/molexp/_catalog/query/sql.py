"""From expressions to SQL on the index, as far as that answers them exactly; the rest is asked of the documents."""

from __future__ import annotations

from collections.abc import Iterator
from math import isnan
from typing import Any, TypeAlias

import attrs

from molexp._catalog.index.cells import ELEMENTS, NAN, cell
from molexp._catalog.index.columns import COLUMNS, REFERENCES, Type
from molexp._catalog.index.index import Index
from molexp._query.expressions import (
    ORDERS,
    And,
    Comparison,
    Contains,
    Expression,
    Field,
    FieldComparison,
    IsNull,
    Like,
    Not,
    OneOf,
    Or,
    fields_of,
)

Sql: TypeAlias = tuple[str, list[Any]]

NOTHING: Sql = ("0", [])
_MOST_VALUES = 500
_LONGEST_PATTERN = 200
_IN_LINE = 50  # conditions within each other
_IS_TEXT = "{0} >= '' AND {0} < x''"


@attrs.frozen
class Table:
    """The places of the fields that a query can name.

    Attributes:
        columns: SQL of those that are columns, by their names, with their type.
        owners: SQL of the owner of those that are cells, by the first part of their names.
        prefix: The names of those cells begin with this.
    """

    columns: dict[str, tuple[str, Type]]
    owners: dict[str, str]
    prefix: str = ""


WHOLE = ("tags", "as_of", "notes")
"""Fields of runs that are cells, or lists of them, by themselves."""

RUNS = Table(
    {
        "path": ("e.path", "text"),
        "id": ("e.run", "text"),
        "project": ("e.project", "text"),
        "experiment": ("e.experiment", "text"),
        **{column.name: (f"e.{column.name}", column.type) for column in COLUMNS},
    },
    {
        "params": "e.id",
        "results": "e.id",
        "metrics": "e.id",
        "tags": "e.id",
        "as_of": "e.id",
        "notes": "e.id",
        **{name: f"e.{name}" for name in REFERENCES},
    },
)
ASSETS = Table(
    {
        "name": ("a.name", "text"),
        "kind": ("a.kind", "text"),
        "version": ("a.version", "integer"),
        "size": ("a.size", "integer"),
        "created_at": ("a.created_at", "text"),
        "scope": ("e.path", "text"),
        "producer": ("coalesce(a.producer, CASE WHEN e.run IS NOT NULL THEN e.path END)", "text"),
    },
    {"tags": "a.id", "fields": "a.id"},
    "@",
)


@attrs.frozen
class Place:
    """The place of the cells of a field.

    Attributes:
        owner: SQL of whose they are.
        name: the id of the field's name; 0 if nobody has it.
        table: `fields`, or `metrics`.
        column: the one of the table.
    """

    owner: str
    name: int
    table: str = "fields"
    column: str = "value"


@attrs.frozen
class _Cells:
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

    @property
    def sql(self) -> Sql:
        """The condition on the owner."""
        return _nested(self.owner, [self])


def _nested(owner: str, conditions: list[_Cells]) -> Sql:
    """Join conditions on the cells of one owner; the inner ones, which are collected, are to be the narrow ones."""
    inner, values = "", list[Any]()
    for one in sorted(conditions, key=lambda one: not one.narrow):
        sql, some = one.condition
        below = f" AND owner IN ({inner})" if inner else ""
        inner = f"SELECT owner FROM {one.table} WHERE {sql}{below}"  # noqa: S608 - constants
        values = [*some, *values]
    return f"{owner} IN ({inner})", values


class Compiler:
    """Compiles for one state of the index.

    Args:
        index: the index.
        table: The table that is asked.
    """

    def __init__(self, index: Index, table: Table) -> None:
        self._index = index
        self._table = table

    def split(self, expression: Expression) -> tuple[list[Sql], list[Expression]]:
        """Return what SQL answers of an expression, and what is left; both must be true."""
        if sum(1 for _ in fields_of(expression)) > _MOST_VALUES:  # SQLite has limits
            return [], [expression]
        parts = expression.parts if isinstance(expression, And) else (expression,)
        conditions, rest = [], []
        within: dict[str, list[_Cells]] = {}  # conditions on cells, by their owner
        for part in parts:
            found = self._on_cells(part) if isinstance(part, Comparison | OneOf | Contains | Like) else None
            if isinstance(found, _Cells):
                within.setdefault(found.owner, []).append(found)
            elif (sql := self._compile(part, 0)) is not None:
                conditions.append(sql)
            else:
                rest.append(part)
        return [*conditions, *(_nested(owner, some) for owner, some in within.items())], rest

    def order(self, field: Field) -> str | Place | None:
        """Return the column to order by, or the place of runs' own cells; None if documents have to be asked."""
        if (column := self._column(field)) is not None:
            return column[0]
        place = self._place(field)
        if place is None or not place.name or place.owner != "e.id" or self._has_below(field):
            return None
        sql = f"SELECT 1 FROM {place.table} WHERE name = ? AND {place.column} >= x'' AND {place.column} <> ? LIMIT 1"  # noqa: S608 - constants
        return None if self._index.select(sql, (place.name, NAN)) else place

    # ------------------------------------------------------------------------------------------------------------ joining

    def _compile(self, expression: Expression, depth: int) -> Sql | None:
        if depth > _IN_LINE:
            return None
        if isinstance(expression, And | Or):
            parts = [self._compile(part, depth + 1) for part in expression.parts]
            known = [one for one in parts if one is not None]
            if len(known) < len(expression.parts):
                return None
            word = " AND " if isinstance(expression, And) else " OR "
            return f"({word.join(sql for sql, _ in known)})", [value for _, values in known for value in values]
        if isinstance(expression, Not):
            part = self._compile(expression.part, depth + 1)
            return None if part is None else (f"NOT coalesce({part[0]}, 0)", part[1])
        if isinstance(expression, FieldComparison):
            return None
        column = self._column(expression.field)
        if column is not None:
            return _on(column[0], expression, column[1])
        found = self._on_cells(expression)
        return found.sql if isinstance(found, _Cells) else found

    def _column(self, field: Field) -> tuple[str, Type] | None:
        return self._table.columns.get(field.parts[0]) if len(field.parts) == 1 else None

    # -------------------------------------------------------------------------------------------------------------- cells

    def _on_cells(self, expression: Comparison | OneOf | Contains | Like | IsNull) -> Sql | _Cells | None:
        if self._column(expression.field) is not None:
            return None
        suffix = ELEMENTS if isinstance(expression, Contains) else ""
        place = self._place(expression.field, suffix)
        if place is None:
            return None
        number, column = place.name, place.column
        asks_whether = isinstance(expression, IsNull) or (isinstance(expression, Comparison) and expression.op == "!=")
        if asks_whether and self._has_below(expression.field):
            return None  # a mapping: it is not null, and differs from everything
        if isinstance(expression, IsNull):
            having = f"SELECT owner FROM {place.table} WHERE name = ? AND {column} IS NOT NULL"  # noqa: S608 - constants
            sql = f"NOT coalesce({place.owner} IN ({having}), 0)"
            return (sql, [number]) if number else ("1", [])
        condition = _element(expression.value) if isinstance(expression, Contains) else _on(column, expression, None)
        if condition is None or not number:
            return condition and NOTHING
        narrow = not isinstance(expression, Comparison) or expression.op == "=="
        return _Cells(place.owner, place.table, (f"name = ? AND {condition[0]}", [number, *condition[1]]), narrow)

    def _place(self, field: Field, suffix: str = "") -> Place | None:
        """Return where a field's cells are; None if documents must be asked."""
        root, *below = field.parts
        owner = self._table.owners.get(root)
        if owner is None or not (below or root in WHOLE):
            return None
        metric = root == "metrics" and owner == "e.id"
        name = self._table.prefix + ".".join(field.parts[:-1] if metric else field.parts) + suffix
        for above in _above(name.removesuffix(ELEMENTS)):
            if self._index.select("SELECT 1 FROM names WHERE name = ? AND partial = 1", (above,)):
                return None
        found = self._index.select("SELECT id, partial FROM names WHERE name = ?", (name,))
        if found and found[0][1]:
            return None
        return Place(owner, int(found[0][0]) if found else 0, *(("metrics", field.parts[-1]) if metric else ()))

    def _has_below(self, field: Field) -> bool:
        name = self._table.prefix + ".".join(field.parts)
        sql = "SELECT 1 FROM names WHERE name > ? AND name < ? LIMIT 1"
        return bool(self._index.select(sql, (f"{name}.", f"{name}/")))


_NAN: Any = object()
"""A literal that equals nothing."""


def _above(name: str) -> Iterator[str]:
    """Yield the names that this one is nested in."""
    while "." in name:
        name = name.rpartition(".")[0]
        yield name


def _bound(value: Any) -> Any:
    """Return a literal as a cell; `_NAN` if it equals nothing, None if it has no cell."""
    if isinstance(value, float) and isnan(value):
        return _NAN
    if isinstance(value, tuple):
        value = _listed(value)
        if value is None:
            return _NAN
    return None if value is None else cell(value)


def _element(value: Any) -> Sql | None:
    bound = _bound(value)
    if bound is None:
        return None
    return NOTHING if bound is _NAN else ("value = ?", [bound])


def _listed(value: tuple[Any, ...]) -> list[Any] | None:
    """Return a list literal as it is stored; None if it has NaN in it and so equals nothing."""
    found: list[Any] = []
    for item in value:
        inner = _listed(item) if isinstance(item, tuple) else item
        if (inner is None and item is not None) or (isinstance(inner, float) and isnan(inner)):
            return None
        found.append(inner)
    return found


def _on(operand: str, expression: Expression, kind: Type | None) -> Sql | None:
    """Return a condition on a column of one type, or (without) on cells; None if it cannot be said exactly."""
    match expression:
        case Comparison(_, op, value):
            return _compare(operand, op, value, kind)
        case OneOf(_, values):
            return _one_of(operand, values, kind)
        case Like(_, pattern):
            if kind not in (None, "text"):
                return NOTHING
            if len(pattern) > _LONGEST_PATTERN or "\0" in pattern:
                return None
            text = "" if kind else f"{_IS_TEXT.format(operand)} AND "
            return f"({text}{operand} LIKE ? ESCAPE '\\')", [pattern]
        case IsNull():
            return f"({operand} IS NULL)", []
    return NOTHING  # no column is a list


def _fits(value: Any, kind: Type) -> bool:
    """Tell whether a literal is of a column's type."""
    if isinstance(value, bool):
        return kind == "flag"
    return isinstance(value, str) if kind == "text" else kind != "flag" and isinstance(value, int | float)


def _compare(operand: str, op: str, value: Any, kind: Type | None) -> Sql | None:
    if isinstance(value, float) and isnan(value):
        return (f"({operand} IS NOT NULL)", []) if op == "!=" else NOTHING
    if kind is not None and not _fits(value, kind):
        return (f"({operand} IS NOT NULL)", []) if op == "!=" else NOTHING
    if op in ORDERS and (isinstance(value, bool) or not isinstance(value, int | float | str)):
        return NOTHING
    bound = int(value) if kind == "flag" else _bound(value)
    if bound is _NAN:
        return (f"({operand} IS NOT NULL)", []) if op == "!=" else NOTHING
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
    bound = []
    for value in values:
        if kind is not None and not _fits(value, kind):
            continue
        one = int(value) if kind == "flag" else _bound(value)
        if one is None:
            return None
        if one is not _NAN:
            bound.append(one)
    return f"({operand} IN ({', '.join('?' * len(bound))}))", bound


__all__ = ["ASSETS", "RUNS", "Compiler", "Place", "Sql", "Table"]
