"""Answering a question: what SQL can tell by the index, then what only the documents can, in order, up to a limit."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs

from molexp._catalog.index.cells import ELEMENTS, text_of_notes, unpacked
from molexp._catalog.index.columns import COLUMNS
from molexp._catalog.index.database import sound
from molexp._catalog.index.index import Index
from molexp._catalog.query.sql import ASSETS, RUNS, Compiler, Place, Sql, Table
from molexp._query.evaluation import ABSENT, matches, reach
from molexp._query.expressions import Expression, Field, Joined, fields_of
from molexp._query.fields import leaf
from molexp._storage import layout
from molexp._values.documents import decode, decode_object
from molexp._values.ids import nearest, spelled
from molexp.errors import CorruptRecordError, StoreError

if TYPE_CHECKING:
    from molexp.contracts import Store

_AT_ONCE = 500  # documents that are fetched at once

RUN_ROOTS = (
    *RUNS.columns,
    *RUNS.owners,
    "config_hash",
    "id_scheme",
    "experiment_revision",
    "execution_history",
    "notes",
)
ASSET_ROOTS = (*ASSETS.columns, *ASSETS.owners, "id", "attempt", "task", "key", "content_hash", "distribution")

_RUN_SQL = "SELECT e.id, e.path FROM entities e WHERE e.shown = 1{where} ORDER BY {order} LIMIT {limit}"
_ASSET_SQL = (
    "SELECT a.id, e.path FROM assets a JOIN entities e ON e.id = a.owner WHERE 1{where} ORDER BY {order} LIMIT {limit}"
)
_BY_CELLS_SQL = (  # CROSS JOIN: cells are in the order of their values
    "SELECT e.id, e.path FROM {table} s CROSS JOIN entities e ON e.id = s.owner WHERE s.name = {name} "
    "AND s.{column} < x'' AND e.shown = 1{where} ORDER BY s.{column}{direction}, e.created_at, e.path LIMIT {limit}"
)
_WITHOUT = (
    " AND e.id NOT IN (SELECT owner FROM {table} WHERE name = {name} AND {column} < x'')"  # NaN is as good as none
)
_COLUMNS = {column.name: column for column in COLUMNS}
_RUN_DOCUMENTS = ("documents", "document, cover")
_ASSET_DOCUMENTS = ("records", "record")


@attrs.define
class Question:
    """A question about runs or assets.

    Attributes:
        where: Conditions on a row.
        conditions: further ones, that SQL can tell.
        checks: further ones, of the stored document.
        sort: The field to order by, if not by time.
        descending: the other way round.
        limit: at most so many.
    """

    where: list[Expression] = attrs.field(factory=list)
    conditions: list[Sql] = attrs.field(factory=list)
    checks: list[Callable[[dict[str, Any]], bool]] = attrs.field(factory=list)
    sort: Field | None = None
    descending: bool = False
    limit: int | None = None

    def names(self, column: str) -> bool:
        """Tell whether a condition, or the order, is about a column."""
        fields = [field for one in self.where for field in fields_of(one)]
        return (column,) in [field.parts for field in [*fields, self.sort] if field is not None]


Row = tuple[str, bytes]
"""A path, and a stored document."""


class Asking:
    """Answers questions about the runs of a workspace, or about its assets.

    Args:
        store: The workspace's.
        index: its index, up to date.
        assets: Ask about assets, and not about runs.
        generation: the one in which the index is up to date.
    """

    def __init__(self, store: Store, index: Index, *, assets: bool, generation: str) -> None:
        self._store = store
        self._index = index
        self._assets = assets
        self._generation = generation
        self._table: Table = ASSETS if assets else RUNS
        self._origins: dict[str, Mapping[str, Any]] = {}

    def answer(
        self, question: Question, is_there: Callable[[Sequence[str]], set[str]], *, surely: bool = False
    ) -> list[Row] | None:
        """Return the rows; None if the index has to be brought up to date again.

        Something that it has is not there, and has been taken out by now; or another process of this user has put one
        in its place that it began before, and that may know less.

        Args:
            question: The question.
            is_there: asked which of some paths are there, before they are returned; takes out of the index those that
                are not.
            surely: Answer anyway.
        """
        with self._index.reading():  # numbers and documents of one state: others may change it, or begin it anew
            if not surely and self._index.generation != self._generation:
                return None
            found, sorted_by_sql = self._find(question)
        if len(is_there([path for path, _ in found])) < len({path for path, _ in found}):
            return None
        if not sorted_by_sql and question.sort is not None:
            found = self._sorted(found, question.sort, descending=question.descending)
        return found[: question.limit]

    def _find(self, question: Question) -> tuple[list[Row], bool]:
        """Return the rows, as far as they are needed, and True if they are in order."""
        compiler = Compiler(self._index, self._table)
        conditions, rest = [*question.conditions], list[Expression]()
        for expression in question.where:
            more, left = compiler.split(expression)
            conditions += more
            rest += left
        checks = [*question.checks]
        if rest:
            whole = Joined("and", tuple(rest))
            checks.append(lambda document: matches(whole, lambda field: self._look_up(document, field)))
        rows, sorted_by_sql = self._select(compiler, question, conditions, checks)
        found: list[Row] = []
        for some in rows:
            found += some
            if sorted_by_sql and question.limit is not None and len(found) >= question.limit:
                break
        return found, sorted_by_sql

    def _select(
        self,
        compiler: Compiler,
        question: Question,
        conditions: Sequence[Sql],
        checks: Sequence[Callable[[dict[str, Any]], bool]],
    ) -> tuple[Iterator[list[Row]], bool]:
        """Return rows in their order, and True if that is the one that was asked for."""
        where = "".join(f" AND {sql}" for sql, _ in conditions)
        bound = [value for _, some in conditions for value in some]
        order = compiler.order(question.sort) if question.sort is not None else None
        by_sql = question.sort is None or order is not None
        limit = question.limit if by_sql and question.limit is not None and not checks else -1
        found = self._ids(order, where, bound, limit, " DESC" if question.descending else "")
        return self._documents(found, checks), by_sql

    def _ids(
        self, order: str | Place | None, where: str, bound: Sequence[Any], limit: int, direction: str
    ) -> list[tuple[int, str]]:
        """Return numbers and paths in their order."""
        tie = "a.created_at, a.id" if self._assets else "e.created_at, e.path"
        pattern = _ASSET_SQL if self._assets else _RUN_SQL
        if isinstance(order, Place):
            place = order._asdict()
            sql = _BY_CELLS_SQL.format(**place, where=where, direction=direction, limit=limit)
            found: list[Any] = self._index.select(sql, bound)
            if 0 <= limit <= len(found):
                return found
            sql = pattern.format(
                where=where + _WITHOUT.format(**place), order=tie, limit=limit if limit < 0 else limit - len(found)
            )
            return found + self._index.select(sql, bound)
        by = f"{order}{direction} NULLS LAST, {tie}" if order else tie
        return list(self._index.select(pattern.format(where=where, order=by, limit=limit), bound))

    def _documents(
        self, found: Sequence[tuple[Any, ...]], checks: Sequence[Callable[[dict[str, Any]], bool]]
    ) -> Iterator[list[Row]]:
        table, parts = _ASSET_DOCUMENTS if self._assets else _RUN_DOCUMENTS
        for start in range(0, len(found), _AT_ONCE):
            some = found[start : start + _AT_ONCE]
            marks = ", ".join("?" * len(some))
            sql = f"SELECT id, sum, {parts} FROM {table} WHERE id IN ({marks})"  # noqa: S608 - constants
            documents = {one[0]: one[1:] for one in self._index.select(sql, [number for number, _ in some])}
            rows = [(path, sound(path, *documents.get(number, (None, None)))) for number, path in some]
            if checks:
                rows = [row for row in rows if self._passes(row, checks)]
            yield rows

    @staticmethod
    def _passes(row: Row, checks: Sequence[Callable[[dict[str, Any]], bool]]) -> bool:
        document = {"path": row[0], **decode(row[1], row[0])}
        return all(check(document) for check in checks)

    # -------------------------------------------------------------------------------------------------------- in documents

    def _look_up(self, document: Mapping[str, Any], field: Field) -> Any:
        root = field.parts[0]
        if field.parts == ("tags",):
            return document.get("tags") or None
        if field.parts == ("notes",):
            return text_of_notes(document)
        if self._assets:
            return _of_asset(document, field)
        if root == "params":
            return reach({"params": document.get("parameters")}, field.parts)
        if root == "metrics":
            return unpacked(document).get(".".join(field.parts[1:-1]), {}).get(field.parts[-1], ABSENT)
        if root == "provenance" and len(field.parts) > 1:
            return reach({"provenance": self._origin(document.get("provenance"))}, field.parts)
        if len(field.parts) == 1 and root in _COLUMNS:
            return _COLUMNS[root].value_of(document)
        if len(field.parts) == 1 and root in ("id", "project", "experiment"):
            project, experiment, run = str(document["path"]).split("/")
            return {"id": spelled(document.get("id"), run), "project": project, "experiment": experiment}[root]
        return reach(document, field.parts)

    def _origin(self, known: Any) -> Mapping[str, Any]:
        if not isinstance(known, str):
            return {}
        if known not in self._origins:
            key = f"{layout.PROVENANCE}/{known}.json"
            try:
                self._origins[known] = decode_object(self._store.read(key), key)
            except (StoreError, CorruptRecordError):
                self._origins[known] = {}
        return self._origins[known]

    def _sorted(self, rows: list[Row], field: Field, *, descending: bool) -> list[Row]:
        """Sort by a field; rows without it come last, and values of different types apart."""
        keyed = [(self._key(row, field), row) for row in rows]
        with_it = [(key, row) for key, row in keyed if key is not None]
        with_it.sort(key=lambda pair: pair[0], reverse=descending)
        return [row for _, row in with_it] + [row for key, row in keyed if key is None]

    def _key(self, row: Row, field: Field) -> tuple[int, Any] | None:
        found = self._look_up({"path": row[0], **decode(row[1], row[0])}, field)
        value = None if found is ABSENT else leaf(found)
        if value is None or value != value:  # noqa: PLR0124 - NaN
            return None
        if isinstance(value, int | float):
            return (0, value)
        return (1, value) if isinstance(value, str) else (2, f"{type(value).__name__} {value}")


def _of_asset(document: Mapping[str, Any], field: Field) -> Any:
    root = field.parts[0]
    producer = document.get("producer")
    if root in ("producer", "attempt", "task"):
        return producer.get({"producer": "run"}.get(root, root)) if isinstance(producer, dict) else None
    return reach(document, field.parts)


def unknown_fields(index: Index, expression: Expression) -> dict[str, tuple[str, ...]]:
    """Return fields of a query that no run has, each with those that look similar."""
    names = [name for (name,) in index.select("SELECT name FROM names WHERE name NOT LIKE '@%'")]
    fields = (field.parts for field in fields_of(expression) if field.parts[0] in RUNS.owners)
    asked = {".".join(parts[:-1] if parts[0] == "metrics" else parts) for parts in fields}
    found = {}
    for name in sorted(asked):
        if not any(known == name or known.startswith((f"{name}.", f"{name}{ELEMENTS}")) for known in names):
            root, dot, rest = name.partition(".")
            beside = (
                known.removeprefix(root + dot).rstrip(ELEMENTS) for known in names if known.startswith(root + dot)
            )
            found[name] = tuple(root + dot + close for close in nearest(rest, beside))
    return found
