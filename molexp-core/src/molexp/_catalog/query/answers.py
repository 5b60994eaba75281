"""Answering a question: what SQL can tell by the index, then what only the documents can, in order, up to a limit."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any, TypeAlias

from msgspec import Struct, field
from msgspec.structs import replace

from molexp._catalog.index.columns import COLUMNS, cell, text_of_notes, unpacked
from molexp._catalog.index.database import sound
from molexp._catalog.index.index import Index
from molexp._catalog.index.tables import ASSETS, RUNS, Table
from molexp._catalog.query.positions import following, position_of, with_row
from molexp._catalog.query.sql import BY_TIME, Compiler, Place, Seeking, Sql, read_assets
from molexp._query.evaluation import ABSENT, matches, reach
from molexp._query.expressions import Condition, Expression, Field, Joined, fields_of
from molexp._storage import layout
from molexp._values.documents import decode, decode_object, encode, leaf
from molexp._values.ids import spelled
from molexp._values.status import RunStatus
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
    *("execution_history", "imported_from"),
)
ASSET_ROOTS = (*ASSETS.columns, *ASSETS.owners, "id", "attempt", "task", "key", "content_hash", "distribution")

_COLUMNS = {column.name: column for column in COLUMNS}


class Question(Struct):
    """A question about runs or assets.

    Attributes:
        where: Conditions on a row.
        checks: further ones, of the stored document.
        sort: The field to order by, if not by time.
        descending: the other way round.
        limit: the number of rows to return at most; None for all.
        after: the path of a run: the answer begins with the one after it in the order; "" for all.
        scope: the path of the project or experiment that it is about; "" for all.
        hides: archived runs are left out, because nothing in it is about them.
        as_read: returns an asset's record as its kind reads it now, where some may have been written by older ones.
    """

    where: list[Expression] = field(default_factory=list)
    checks: list[Callable[[dict[str, Any]], bool]] = field(default_factory=list)
    sort: Field | None = None
    descending: bool = False
    limit: int | None = None
    after: str = ""
    scope: str = ""
    hides: bool = False
    as_read: Callable[[Mapping[str, Any]], Mapping[str, Any]] | None = None

    def fields(self) -> list[Field]:
        """Return the fields that conditions and the order are about."""
        found = [*chain.from_iterable(map(fields_of, self.where))]
        return found if self.sort is None else [*found, self.sort]

    def of_archived(self) -> Question:
        """Return the question about all archived runs that it leaves out, if it leaves out any."""
        *where, _ = self.where
        return replace(self, where=[*where, Condition(Field(("archived",)), "==", True)], limit=None, sort=None)


Row = tuple[str, bytes]
"""A path, and a stored document."""


Check: TypeAlias = Callable[[dict[str, Any]], bool]


class Plan(Struct, frozen=True):
    """The way to answer a question.

    Attributes:
        where: SQL that a row must meet, beside being shown.
        bound: the values in that.
        checks: the conditions that the document of a row must meet, too.
        order: the column, or the place of the cells, that SQL sorts by; None for the order of creation.
        sorts: SQL sorts; otherwise documents have to be asked.
    """

    where: str
    bound: list[Any]
    checks: list[Check]
    order: str | Place | None
    sorts: bool


def _is_of_kinds(fields: Iterable[Field]) -> bool:
    """Tell whether one of some fields of assets is a kind's: the index may have it as an older one wrote it."""
    return any(one.parts[0] == "fields" for one in fields)


class Asking(Struct):
    """Answers questions about the runs of a workspace, or about its assets.

    Attributes:
        store: The workspace's.
        index: its index, up to date.
        table: the one that is asked: `RUNS` or `ASSETS`.
        generation: the one in which the index is up to date.
        is_there: asked which of some paths are there, before they are returned; takes out of the index those that are not.
    """

    store: Store
    index: Index
    table: Table
    generation: str = ""
    is_there: Callable[[set[str]], set[str]] = set
    _as_read: Callable[[Mapping[str, Any]], Mapping[str, Any]] | None = None
    _origins: dict[str, Mapping[str, Any]] = field(default_factory=dict)

    def answer(self, question: Question, *, surely: bool = False) -> list[Row] | None:
        """Return the rows; None if the index has to be brought up to date again.

        Something that it has is not there, and has been taken out by now; or another process of this user has put one
        in its place that it began before, and that may know less.

        Args:
            question: The question.
            surely: Answer anyway.
        """
        with self.index.reading():  # numbers and documents of one state: others may change it, or begin it anew
            if not surely and self.index.generation != self.generation:
                return None
            plan = self.plan(question)
            found: list[Row] = []
            for some in self._documents(self.numbers(plan, question), plan.checks):
                found += some
                if plan.sorts and question.limit is not None and len(found) >= question.limit:
                    break
            before = None
            if question.after and not plan.sorts:
                number = position_of(self.index, question.after, None, lambda _: None).number
                (before,) = self.page([number])
        paths = set(dict(found))
        if not surely and self.is_there(paths) < paths:
            return None
        if not plan.sorts and question.sort is not None:
            found = self._sorted(with_row(found, before), question.sort, descending=question.descending)
            found = following(found, question.after)
        return found[: question.limit]

    def plan(self, question: Question) -> Plan:
        """Divide the work between SQL and documents, for the state that the index is in."""
        compiler = Compiler(self.index, self.table)
        conditions, rest = list[Sql](), list[Expression]()
        self._as_read = question.as_read
        for expression in question.where:
            if question.as_read is not None and _is_of_kinds(fields_of(expression)):
                rest.append(expression)
                continue
            more, left = compiler.split(expression)
            conditions += more
            rest += left
        checks = [*question.checks]
        if rest:
            whole = Joined("and", tuple(rest))
            checks.append(lambda document: matches(whole, lambda field: self._look_up(document, field)))
        order = None
        if question.sort is not None and not (question.as_read is not None and _is_of_kinds([question.sort])):
            order = compiler.order(question.sort)
        where, bound = "", list[Any]()
        for sql, values in conditions:
            where += f" AND {sql}"
            bound += values
        return Plan(where, bound, checks, order, question.sort is None or order is not None)

    def numbers(self, plan: Plan, question: Question) -> array[int]:
        """Return the numbers of the rows that SQL finds, in order."""
        limit = question.limit if plan.sorts and question.limit is not None and not plan.checks else -1
        table, order = self.table, plan.order
        tables, tie = table.tables, table.tie
        if table is ASSETS:
            tables, tie, order = read_assets(tables, tie, order, plan.where, question.fields())
        elif isinstance(order, str) and order != BY_TIME and len(question.where) == question.hides:
            tables = f"{tables} NOT INDEXED"  # all are read: in the order of the file, which costs half
        position = None
        if question.after and plan.sorts:
            position = position_of(self.index, question.after, plan.order, partial(self._cell, field=question.sort))
        seeks = Seeking(tie, order, (plan.where, plan.bound), position, question.descending)
        for sql, values in () if table is ASSETS else seeks.first_statements(limit):
            if len(found := self.index.numbers(f"{sql} LIMIT {limit}", values)) == limit:
                return found
        plain = f"SELECT {table.number} FROM {tables} WHERE {table.shown}"  # noqa: S608 - constants
        found = array("q")
        for sql, values in seeks.statements(plain):
            if limit < 0 or len(found) < limit:
                found += self.index.numbers(f"{sql} LIMIT {limit if limit < 0 else limit - len(found)}", values)
        return found

    def _cell(self, number: int, field: Field | None) -> Any:
        """Return what the row of a number has in a field, as a cell."""
        (row,) = self.page([number])
        return None if field is None else cell(self._look_up(_document_of(row), field))

    def count(self, question: Question) -> int:
        """Return how many rows there are, by the state that the index is in."""
        with self.index.reading():
            plan = self.plan(question)
            numbers = self.numbers(plan, question)
            return len(self.page(numbers, plan.checks)) if plan.checks else len(numbers)

    def page(self, numbers: Sequence[int], checks: Sequence[Check] = ()) -> list[Row]:
        """Return the rows of some numbers, as far as they pass the checks."""
        return [*chain.from_iterable(self._documents(numbers, checks))]

    def _documents(self, numbers: Sequence[int], checks: Sequence[Check]) -> Iterator[list[Row]]:
        """Yield the rows of these numbers, as far as they pass the checks."""
        table, number = self.table, self.table.number
        for start in range(0, len(numbers), _AT_ONCE):
            some = numbers[start : start + _AT_ONCE]
            sql = (
                f"SELECT {number}, e.path, d.sum, {table.parts} FROM {table.tables} "  # noqa: S608 - constants
                f"LEFT JOIN {table.documents} d ON d.id = {number} "
                f"WHERE {number} IN ({', '.join('?' * len(some))})"
            )
            found = {one[0]: one[1:] for one in self.index.select(sql, some)}
            rows: list[Row] = []
            for one in some:
                if (row := found.get(one)) is None:
                    continue
                path, document = row[0], sound(*row)
                if self.index.queued:
                    document = self._as_of_now(path, document)
                if checks:
                    known = _document_of((path, document))
                    if not all(check(known) for check in checks):
                        continue
                rows.append((path, document))
            yield rows

    def _as_of_now(self, path: str, data: bytes) -> bytes:
        """Return a document, which says so if it is that of a run that is queued."""
        if (one := self.index.queued.get(path)) is None:
            return data
        document = decode(data, path)
        history = document.get("execution_history")
        if history is None or not one.holds(document["status"], len(history), document.get("cancels") or 0):
            return data
        return encode({**document, "status": str(RunStatus.QUEUED), "submission": one.submission})

    # -------------------------------------------------------------------------------------------------------- in documents

    def _look_up(self, document: Mapping[str, Any], field: Field) -> Any:
        if self.table is RUNS:
            return look_up(document, field, self._origin)
        document = self._as_read(document) if self._as_read is not None and field.parts[0] == "fields" else document
        return _of_asset(document, field)

    def _origin(self, known: Any) -> Mapping[str, Any]:
        if not isinstance(known, str):
            return {}
        if known not in self._origins:
            key = layout.provenance(known)
            try:
                self._origins[known] = decode_object(self.store.read(key), key)
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
        found = self._look_up(_document_of(row), field)
        value = None if found is ABSENT else leaf(found)
        if value is None or value != value:  # noqa: PLR0124 - NaN
            return None
        if isinstance(value, int | float):
            return (0, value)
        return (1, value) if isinstance(value, str) else (2, f"{type(value).__name__} {value}")


def _document_of(row: Row) -> dict[str, Any]:
    """Return what a row holds, with its path."""
    path, data = row
    return {"path": path, **decode(data, path)}


def look_up(document: Mapping[str, Any], field: Field, origin: Callable[[Any], Mapping[str, Any]]) -> Any:
    """Return what a run has in a field; `ABSENT` if it has nothing there.

    Args:
        document: its row, as the index has it, and its path.
        field: the field.
        origin: returns the provenance that the document refers to.
    """
    root = field.parts[0]
    if field.parts in (("tags",), ("notes",)):
        return text_of_notes(document) if root == "notes" else document.get("tags") or None
    if root == "params":
        return reach({"params": document.get("parameters")}, field.parts)
    if root == "metrics":
        return unpacked(document).get(".".join(field.parts[1:-1]), {}).get(field.parts[-1], ABSENT)
    if root == "provenance" and len(field.parts) > 1:
        return reach({"provenance": origin(document.get("provenance"))}, field.parts)
    if len(field.parts) == 1 and root in _COLUMNS:
        return _COLUMNS[root].value_of(document)
    if len(field.parts) == 1 and root in ("id", "project", "experiment"):
        project, experiment, run = str(document["path"]).split("/")
        return {"id": spelled(document.get("id"), run), "project": project, "experiment": experiment}[root]
    return reach(document, field.parts)


def _of_asset(document: Mapping[str, Any], field: Field) -> Any:
    root = field.parts[0]
    producer = document.get("producer")
    if root in ("producer", "attempt", "task"):
        return producer.get({"producer": "run"}.get(root, root)) if isinstance(producer, dict) else None
    return reach(document, field.parts)
