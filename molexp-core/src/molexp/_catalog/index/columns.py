"""The columns of runs: what each is called, its type, and how it is read from a run's document.

The table of the index, the rows in it, the names that queries and `sort` take and the fields that `Workspace.compare`
shows all follow from `COLUMNS`. To add a column, add it there, and count up the version of the tables.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Literal, TypeAlias

from msgspec import Struct

from molexp._record.causes import cause_of_run, newest_attempt, shown_attempts
from molexp._values.numbers import count

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
        type: A flag is 0 or 1 in the table.
        read: Returns its value, given the run's document and the newest attempt in that.
        compared: `Workspace.compare` shows it where runs differ in it.
    """

    name: str
    type: Type
    read: Read
    compared: bool = True

    @property
    def declaration(self) -> str:
        """Return its name and type, as SQL declares them."""
        return f"{self.name} {'INTEGER' if self.type == 'flag' else self.type.upper()}"

    def read_from(self, document: Mapping[str, Any]) -> Any:
        """Return what the table holds of a run's document."""
        return self.read(document, newest_attempt(document))

    def value_of(self, document: Mapping[str, Any]) -> Any:
        """Return its value, as queries compare it and users see it."""
        found = self.read_from(document)
        return bool(found) if self.type == "flag" else found


def row_of_columns(document: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return what the table holds of a run, in the order of `COLUMNS`."""
    newest = newest_attempt(document)
    return tuple([column.read(document, newest) for column in COLUMNS])


def text_of(value: Any) -> str | None:
    """Return a text that SQLite can hold and search for; None for whatever else it is."""
    return value if isinstance(value, str) and fits(value) else None


def fits(text: str) -> bool:
    """Tell whether SQLite can hold a text; it takes some to end at a NUL."""
    try:
        return "\0" not in text and (text.isascii() or bool(text.encode()))
    except UnicodeEncodeError:
        return False


def _text_of_run(name: str) -> Read:
    return lambda run, _: text_of(run.get(name))


def _text_of_attempt(name: str) -> Read:
    return lambda _, attempt: text_of(attempt.get(name))


def _replica(run: Mapping[str, Any], _: Mapping[str, Any]) -> int:
    replica = run.get("replica") or 0
    return replica if type(replica) is int and replica in INTEGERS else 0


def _seconds(_: Mapping[str, Any], attempt: Mapping[str, Any]) -> float | None:
    started, ended = text_of(attempt.get("started_at")), text_of(attempt.get("ended_at"))
    if started is None or ended is None:
        return None
    try:
        return (datetime.fromisoformat(ended) - datetime.fromisoformat(started)).total_seconds()
    except (ValueError, TypeError):  # TypeError: one with and one without an offset, which no version of ours wrote
        return None


COLUMNS = (
    Column("status", "text", lambda run, _: str(run.get("status"))),
    Column("created_at", "text", _text_of_run("created_at"), compared=False),
    Column("replica", "integer", _replica),
    Column("profile", "text", _text_of_run("profile")),
    Column("archived", "flag", lambda run, _: int(run.get("archived") is True)),
    Column("imported", "flag", lambda run, _: int(bool(run.get("imported_from")))),
    Column("attempts", "integer", lambda run, _: len(shown_attempts(run))),
    Column("cancels", "integer", lambda run, _: count(run.get("cancels")), compared=False),
    Column("started_at", "text", _text_of_attempt("started_at"), compared=False),
    Column("ended_at", "text", _text_of_attempt("ended_at"), compared=False),
    Column("seconds", "real", _seconds, compared=False),
    Column("host", "text", _text_of_attempt("host")),
    Column("user", "text", _text_of_attempt("user")),
    Column("cause", "text", lambda run, _: text_of(cause_of_run(run)), compared=False),
)
