"""The values of a document that the index can be asked for, by the names that queries give them: columns and cells.

A *column* of runs has a name, a type, and is read from a run's document. The table of the index, the rows in it, the names
that queries and `sort` take and the fields that `Workspace.compare` shows all follow from `COLUMNS`. To add a column, add
it there, and count up the version of the tables.

Any other small value becomes a *cell*, which SQLite orders and compares as queries do: integers and floats exactly, text by
code point (UTF-8 sorts like that), and as blobs, which equal nothing else, ``true``, ``false``, NaN, lists and empty
mappings. What is too large for a cell makes its name *partial*: whoever asks for it has to look at the documents.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any, Literal, TypeAlias

from msgspec import Struct

from molexp._catalog.index.place import ELEMENTS
from molexp._record.folding import cause_of_run, newest_attempt, shown_attempts
from molexp._record.metrics import Series, to_document
from molexp._values.canonical import canonical_json
from molexp._values.documents import count, leaf
from molexp._values.ids import spelled
from molexp._values.value_path import MAX_DEPTH
from molexp.errors import SerializationError

Type: TypeAlias = Literal["text", "integer", "real", "flag"]
Read: TypeAlias = Callable[[Mapping[str, Any], Mapping[str, Any]], Any]

INTEGERS = range(-(1 << 63), 1 << 63)
"""The integers that SQLite holds."""

REFERENCES = ("config", "workflow", "provenance")
"""Columns that hold the number of what a run has in common with others."""


class Column(Struct, frozen=True):
    """A column of runs.

    Attributes:
        name: The table and queries call it this.
        type: A flag is True or False, and 1 or 0 in the table.
        read: Returns its value, given the run's document and the newest attempt in that; by default, what has its name
            in the one or the other.
        of_attempt: the newest attempt has it.
        compared: `Workspace.compare` shows it where runs differ in it.
    """

    name: str
    type: Type
    read: Read | None = None
    of_attempt: bool = False
    compared: bool = True

    @property
    def declaration(self) -> str:
        """Return its name and type, as SQL declares them."""
        return f"{self.name} {'INTEGER' if self.type == 'flag' else self.type.upper()}"

    def value_of(self, document: Mapping[str, Any], newest: Mapping[str, Any] | None = None) -> Any:
        """Return its value, as queries compare it and users see it; `newest` is the newest attempt, if that is known."""
        attempt = newest_attempt(document) if newest is None else newest
        if self.read is not None:
            return self.read(document, attempt)
        return _READ_AS[self.type]((attempt if self.of_attempt else document).get(self.name))


def text_of(value: Any) -> str | None:
    """Return a text that SQLite can hold and search for; None for whatever else it is."""
    return value if isinstance(value, str) and fits(value) else None


def fits(text: str) -> bool:
    """Tell whether SQLite can hold a text; it takes some to end at a NUL."""
    try:
        return "\0" not in text and (text.isascii() or bool(text.encode()))
    except UnicodeEncodeError:
        return False


_READ_AS: Mapping[Type, Callable[[Any], Any]] = {"text": text_of, "integer": count, "flag": bool}


def _seconds(_: Mapping[str, Any], attempt: Mapping[str, Any]) -> float | None:
    started, ended = text_of(attempt.get("started_at")), text_of(attempt.get("ended_at"))
    if started is None or ended is None:
        return None
    try:
        return (datetime.fromisoformat(ended) - datetime.fromisoformat(started)).total_seconds()
    except (ValueError, TypeError):  # TypeError: one with and one without an offset, which no version of ours wrote
        return None


COLUMNS = (
    Column("status", "text"),
    Column("created_at", "text", compared=False),
    Column("replica", "integer"),
    Column("profile", "text"),
    Column("archived", "flag"),
    Column("imported", "flag", lambda run, _: bool(run.get("imported_from"))),
    Column("attempts", "integer", lambda run, _: len(shown_attempts(run))),
    Column("cancels", "integer", compared=False),
    Column("started_at", "text", of_attempt=True, compared=False),
    Column("ended_at", "text", of_attempt=True, compared=False),
    Column("seconds", "real", _seconds, compared=False),
    Column("host", "text", of_attempt=True),
    Column("user", "text", of_attempt=True),
    Column("cause", "text", lambda run, _: text_of(cause_of_run(run)), compared=False),
)


_BY_NAME: Mapping[Any, Column] = {column.name: column for column in COLUMNS}


ASKED = (*_BY_NAME, "notes", "as_of")
"""The names that `asked_of` takes."""


def asked_of(document: Mapping[str, Any], name: object, absent: Any) -> Any:
    """Return what a run has where questions take a name besides those of its values; `absent` if they take no such name."""
    if name == "notes":
        return text_of_notes(document)
    if name == "as_of":
        return document.get(name)
    return _BY_NAME[name].value_of(document) if name in _BY_NAME else absent


# ---------------------------------------------------------------------------------------------------------------- cells

Cell = int | float | str | bytes

TRUE, FALSE, NAN, EMPTY = b"true", b"false", b"nan", b"{}"
"""Cells of what SQLite has no type for; a list is its canonical JSON."""

STATISTICS = ("last", "step", "min", "min_step", "max", "max_step", "count")
"""The statistics of each metric of a run, in the order of the columns of the table."""

_LONGEST = 200  # characters or bytes of a cell
_MOST = 64  # elements of a list


def parts_of(path: str, document: Mapping[str, Any] | None) -> list[str | None]:
    """Project, experiment and run of a path, as far as it goes; the run as its document spells it."""
    parts: list[str | None] = [*(path.split("/") if path else ()), None, None, None][:3]
    if document is not None:
        parts[2] = spelled(document.get("id"), str(parts[2]))
    return parts


def run_cells(document: Mapping[str, Any]) -> Iterator[tuple[str, Cell | None]]:
    """Yield names and cells of a run's own fields; None for a value that is too large."""
    for name, values in (("params", document.get("parameters")), ("results", document.get("results"))):
        if values:
            yield from cells(name, values)
    for name in ("tags", "as_of"):
        if document.get(name):
            yield from cells(name, document[name])
    if notes := text_of_notes(document):
        yield "notes", cell(notes)


def text_of_notes(document: Mapping[str, Any]) -> str | None:
    """Return the texts of a run's notes, as one."""
    notes = document.get("notes")
    texts = (one.get("text") for one in notes if isinstance(one, dict)) if isinstance(notes, list) else ()
    return "\n".join(map(str, texts)) or None


def packed(metrics: Series) -> list[Any]:
    """Return the statistics of a metric as a row has them: short, and read only by who asks for them."""
    return [*map(to_document(metrics).get, STATISTICS)]


def statistics_of(document: Mapping[str, Any]) -> Iterator[tuple[str, list[Any]]]:
    """Yield what a row says of each metric of a run, in the order of `STATISTICS`."""
    found = document.get("metrics")
    for name, one in found.items() if isinstance(found, dict) else ():
        if isinstance(one, list) and len(one) == len(STATISTICS):
            yield name, one


def unpacked(document: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the statistics of metrics by their names, without those that are not there."""
    return {
        name: {column: value for column, value in zip(STATISTICS, one, strict=True) if value is not None}
        for name, one in statistics_of(document)
    }


def metric_rows(document: Mapping[str, Any]) -> Iterator[tuple[str, list[Cell | None], bool]]:
    """Yield the name of each metric of a run, its statistics, and True if one of them is too large for a cell."""
    for name, values in statistics_of(document):
        row = [*map(cell, values)]
        yield f"metrics.{name}", row, row.count(None) > values.count(None)


def asset_cells(record: Mapping[str, Any]) -> Iterator[tuple[str, Cell | None]]:
    """Yield names and cells of an asset's own fields and tags."""
    if record.get("fields"):
        yield from cells("@fields", record["fields"])
    if record.get("tags"):
        yield from cells("@tags", record["tags"])


def cells(name: str, value: Any, depth: int = 0) -> Iterator[tuple[str, Cell | None]]:
    """Yield the cells of a value, by the names of what is nested in it; a null has none."""
    kind = type(value)
    if kind is dict:
        if depth > MAX_DEPTH:  # nothing that MolExp wrote
            yield name, None
        else:
            yield from _mapping(name, value, depth)
    elif kind is list:
        yield name, _list_cell(value)
        if len(value) > _MOST:
            yield name + ELEMENTS, None
        else:
            for element in value:
                if element is not None:
                    yield name + ELEMENTS, cell(element)
    elif value is not None:
        yield name, cell(value)


def _mapping(name: str, value: dict[str, Any], depth: int) -> Iterator[tuple[str, Cell | None]]:
    found = leaf(value) if len(value) == 1 else value
    if not isinstance(found, dict):
        yield name, cell(found)
        return
    if not found:
        yield name, EMPTY
    for inner, item in found.items():
        if type(item) is dict or type(item) is list:
            yield from cells(f"{name}.{inner}", item, depth + 1)
        elif item is not None:
            yield f"{name}.{inner}", cell(item)


def cell(value: Any) -> Cell | None:
    """Return one value as a cell; None if it is too large, or has none."""
    kind = type(value)
    if kind is float:
        return value if value == value else NAN  # noqa: PLR0124 - NaN
    if kind is bool:
        return TRUE if value else FALSE
    if kind is int:
        return value if value in INTEGERS else None
    if kind is str:
        return value if len(value) <= _LONGEST and fits(value) else None
    if kind is list:
        return _list_cell(value)
    if kind is dict and not isinstance(found := leaf(value), dict):
        return cell(found)
    return None


def _list_cell(value: list[Any]) -> bytes | None:
    if len(value) > _MOST:
        return None
    try:
        text = canonical_json(value).encode()
    except SerializationError:
        return None
    return text if len(text) <= _LONGEST and b"$" not in text else None


def in_order(rows: list[tuple[int, Cell, int]]) -> list[tuple[int, Cell, int]]:
    """Return rows of `fields` of one name as the table sorts them, nearly: an order that is quick to get, and to write."""
    try:
        rows.sort()
    except TypeError:  # values of several types
        rows.sort(key=lambda row: (type(row[1]).__name__, row[1]))
    return rows


def source_of(record: Mapping[str, Any]) -> str | None:
    """Return what data was imported from, inside the workspace: the id of an asset, else a key."""
    fields = record.get("fields")
    if record.get("kind") != "data" or not isinstance(fields, dict):
        return None
    return text_of(fields.get("source_asset")) or text_of(fields.get("source_key")) or None
