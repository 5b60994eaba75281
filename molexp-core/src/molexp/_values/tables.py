"""Answers as tables: sequences that become lists of dicts, frames, files, or HTML."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeAlias, TypeVar, overload

from molexp._html import shown_by
from molexp._values.times import parse_time

R = TypeVar("R")

if TYPE_CHECKING:
    from array import array

Column: TypeAlias = "array[Any] | list[Any]"
"""The values of one name, in the order of the rows; None in a list stands for a value that a row does not have."""

_SHOWN = 50  # rows that a notebook shows
_LISTED = 10  # rows that a repr shows

RUN_COLUMNS = (
    "id",
    "project",
    "experiment",
    "status",
    "cause",
    "created_at",
    "parameters",
    "results",
    "metrics",
    "attempts",
    "seconds",
    "host",
    "tags",
    "replica",
    "profile",
    "config",
    "path",
)
"""The columns that a table shows of a run, in this order; `Rows.to_dicts` has everything."""

_NESTED = ("parameters", "results", "metrics", "config")  # become columns of their own, for each name in them


class Table:
    """A table that becomes a frame or a file. Libraries that read Arrow's PyCapsule streams take it as it is: ``pyarrow.table(rows)``.

    In Arrow, polars, CSV and Parquet all values of a column are of one type. Where they are not, the column is text: each
    text is as it is, and everything else is JSON. pandas keeps such values as they are.
    """

    @abstractmethod
    def _table(self) -> dict[str, Column]:
        """Return the values by the names of the columns."""

    def to_pandas(self) -> Any:
        """Return a `pandas.DataFrame`. Integers stay integers where some are missing, and times are in UTC.

        Raises:
            ModuleNotFoundError: pandas is not installed.
        """
        from molexp._values.frames import to_pandas

        return to_pandas(self._table())

    def to_polars(self) -> Any:
        """Return a `polars.DataFrame`.

        Raises:
            ModuleNotFoundError: polars is not installed.
        """
        from molexp._values.frames import to_polars

        return to_polars(self._table())

    def to_csv(self, path: str | os.PathLike[str] | None = None) -> str | None:
        """Write the table as CSV, in UTF-8, with a line of names; without a path, return the text.

        Args:
            path: the file, which is replaced.
        """
        from molexp._values.frames import to_csv

        return to_csv(self._table(), path)

    def to_parquet(self, path: str | os.PathLike[str]) -> None:
        """Write the table as Parquet.

        Args:
            path: the file, which is replaced.

        Raises:
            ModuleNotFoundError: pyarrow is not installed.
        """
        from molexp._values.frames import to_parquet

        to_parquet(self._table(), path)

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        from molexp._values.frames import to_arrow

        return to_arrow(self._table()).__arrow_c_stream__(requested_schema)


def as_dict(row: Any) -> Mapping[str, Any]:
    """Return the dictionary that a record describes itself by."""
    found: Mapping[str, Any] = row.to_dict()
    return found


class Rows(Table, Sequence[R], Generic[R]):
    """A sequence of records, and a table of them, with columns such as ``status``, ``params.lr``, ``results.loss``.

    A table of runs says of their attempts how many there are, and of the newest one the host and how many seconds it took.

    Attributes:
        unreadable: keys that could not be read, with the reasons; rows may be missing here.
        archived: the number of archived runs that are left out, because nobody asked for them.

    Example:
        >>> rows = ws.catalog.runs()
        >>> len(rows), rows[0].id
        (1, 'cu-small')
        >>> rows.to_dicts()[0]["parameters"]
        {'a': 3.5}
    """

    def __init__(
        self,
        rows: Iterable[R],
        describe: Callable[[R], Mapping[str, Any]],
        columns: tuple[str, ...] = (),
        unreadable: Mapping[str, str] | None = None,
        archived: int = 0,
    ) -> None:
        self.unreadable: Mapping[str, str] = unreadable or {}
        self.archived: int = archived
        self._rows: list[R] = list(rows)
        self._describe = describe
        self._columns = columns  # the columns that tables show, in this order; everything if there are none

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, index: int) -> R: ...
    @overload
    def __getitem__(self, index: slice) -> Rows[R]: ...
    def __getitem__(self, index: int | slice) -> R | Rows[R]:
        if isinstance(index, slice):
            return Rows(self._rows[index], self._describe, self._columns, self.unreadable, self.archived)
        return self._rows[index]

    def __iter__(self) -> Iterator[R]:
        return iter(self._rows)

    def __repr__(self) -> str:
        shown = [f"  {row!r}" for row in self._rows[:_LISTED]]
        more = [f"  ... and {len(self) - _LISTED} more"] if len(self) > _LISTED else []
        if self.unreadable:
            more.append(f"  (some may be missing: {len(self.unreadable)} could not be read, see `unreadable`)")
        if self.archived:
            more.append(f"  ({self.archived} archived left out)")
        return "\n".join([f"{len(self)} {'row' if len(self) == 1 else 'rows'}", *shown, *more])

    def __eq__(self, other: object) -> bool:
        return list(self) == list(other) if isinstance(other, Sequence) else NotImplemented

    __hash__: ClassVar[None] = None  # type: ignore[assignment]  # a mutable sequence's worth of equality

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of its tables, such as ``status``, ``params.lr``, ``results.loss``."""
        return tuple(self._names(self._flat()))

    def to_dicts(self) -> list[dict[str, Any]]:
        """Return each record as a dict, nested as it is."""
        return [dict(self._describe(row)) for row in self]

    def _table(self) -> dict[str, Column]:
        flat = self._flat()
        names = self._names(flat) if flat else [name for name in self._columns if name not in _NESTED]
        return {name: [row.get(name) for row in flat] for name in names}

    _repr_html_ = shown_by("rows")

    def _shown(self) -> tuple[list[str], list[dict[str, Any]], int]:
        """Return what a notebook shows: the columns, as many rows as it has room for, and the number of all."""
        flat = self._flat(_SHOWN)
        return self._names(flat), flat, len(self)

    def _flat(self, limit: int | None = None) -> list[dict[str, Any]]:
        return [cells(self._describe(row), self._columns) for row in self._rows[:limit]]

    def _names(self, flat: Iterable[Mapping[str, Any]]) -> list[str]:
        """Return all names that rows have, those of one sort together."""
        ranks = {_NAMES.get(name, name): rank for rank, name in enumerate(self._columns)}
        names = dict.fromkeys(name for row in flat for name in row)
        return sorted(names, key=lambda name: ranks.get(name, ranks.get(name.partition(".")[0], len(ranks))))


class Pages(Iterator[Rows[R]], Generic[R]):
    """The rows of an answer of any length, a page at a time: each is read when you come to it, and none is kept.

    Attributes:
        unreadable: keys that could not be read, with the reasons; rows may be missing here.
        archived: the number of archived runs that are left out, because nobody asked for them.

    Example:
        >>> pages = ws.catalog.run_pages()
        >>> pages.total, dict(pages.statuses)
        (1, {'succeeded': 1})
        >>> [row.id for page in pages for row in page]
        ['cu-small']
    """

    def __init__(
        self,
        pages: Iterable[Rows[R]],
        statuses: Callable[[], Mapping[str, int] | None],
        unreadable: Mapping[str, str],
        archived: int,
        days: Callable[[], Mapping[str, Mapping[str, int]] | None] = lambda: None,
    ) -> None:
        self.unreadable: Mapping[str, str] = unreadable
        self.archived: int = archived
        self._pages = iter(pages)
        self._statuses = statuses
        self._days = days

    @property
    def statuses(self) -> Mapping[str, int] | None:
        """The number of rows on all pages by their status, as of now; None if only reading them all tells."""
        return self._statuses()

    @property
    def total(self) -> int | None:
        """The number of rows on all pages, as of now; None if only reading them all tells."""
        found = self.statuses
        return None if found is None else sum(found.values())

    @property
    def days(self) -> Mapping[str, Mapping[str, int]] | None:
        """The number of rows on all pages by the day of their creation in UTC, such as ``2026-01-31``, and by their status, as `statuses`."""
        return self._days()

    def __next__(self) -> Rows[R]:
        return next(self._pages)


_NAMES = {"parameters": "params"}  # the name of a column is the name in queries
_WHOLE = ("execution_history", "tags", "notes")


def flatten(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return a record as one level: ``{"results": {"loss": 1}}`` becomes ``{"results.loss": 1}``.

    Of two values under one name it has the one that a query finds: that whose key is longer, unless it is None.
    """
    leaves: list[tuple[tuple[str, ...], Any]] = []

    def visit(path: tuple[str, ...], value: Any) -> None:
        if isinstance(value, Mapping) and value and not any(str(name).startswith("$") for name in value):
            for name, inner in value.items():
                visit((*path, str(name)), inner)
        elif not (isinstance(value, Mapping) and not value):
            leaves.append((path, value))

    for key, value in record.items():
        name = _NAMES.get(key, key)
        if name in _WHOLE:
            leaves.append(((name,), value))
        else:
            visit((name,), value)
    flat = {".".join(path): value for path, value in leaves}
    if len(flat) < len(leaves):
        in_order = sorted(leaves, key=lambda leaf: leaf[0])
        flat |= {".".join(path): value for path, value in in_order if value is not None}
    return flat


def cells(record: Mapping[str, Any], columns: tuple[str, ...]) -> dict[str, Any]:
    """Return what a table has of a record: these columns, or all there are if there are none."""
    if not columns:
        return flatten(record)
    if isinstance(history := record.get("execution_history"), Sequence) and history:
        record = {**record, **_of_attempts(history)}
    return flatten({name: record[name] for name in columns if name in record})


def _of_attempts(history: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return what a table says of a run's attempts."""
    newest = history[-1]
    found: dict[str, Any] = {"attempts": len(history), "host": newest.get("host")}
    try:
        began, ended = parse_time(newest["started_at"]), parse_time(newest["ended_at"])
        found["seconds"] = (ended - began).total_seconds()
    except (KeyError, TypeError, ValueError, AttributeError):  # it goes on, or its record is damaged
        pass
    return found
