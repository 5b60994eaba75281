"""Entries as the tables of an index, or of a segment of a snapshot, hold them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from typing import Any

from molexp._catalog.index.database import hold, sound
from molexp._catalog.index.entries import Entry
from molexp._storage import layout
from molexp._values.documents import decode_object
from molexp.errors import CorruptRecordError


def stored_entries(connection: sqlite3.Connection, where: str = "1", values: Iterable[Any] = ()) -> Iterator[Entry]:
    """Yield what an index holds of runs and scopes.

    Args:
        connection: the index's; it may be a stranger's.
        where: A condition on the rows of `entities`.
        values: The values that it binds.

    Raises:
        DamagedError: a checksum does not hold.
        CorruptRecordError: a row is none that MolExp has written.
    """
    sql = "SELECT id, path, open, sum, document, cover FROM entities LEFT JOIN documents USING (id) WHERE "
    for number, path, is_open, known, document, cover in connection.execute(sql + where, tuple(values)):
        hold(path, known, document, cover)
        uses = connection.execute("SELECT asset, attempt, task FROM uses WHERE owner = ?", (number,)).fetchall()
        problems = connection.execute("SELECT key, reason FROM problems WHERE owner = ?", (path,)).fetchall()
        records = connection.execute(
            "SELECT sum, record FROM assets LEFT JOIN records USING (id) WHERE owner = ? ORDER BY id", (number,)
        ).fetchall()
        try:
            entry = Entry(
                path,
                decode_object(document, path) if document is not None else None,
                bool(is_open),
                {name: int(size) for name, size in decode_object(cover, path).items()} if cover else {},
                [decode_object(sound(path, *record), path) for record in records],
                uses,
                {str(key): str(reason) for key, reason in problems},
            )
        except (TypeError, ValueError) as error:
            raise CorruptRecordError(path, f"its row is none ({type(error).__name__}: {error})") from None
        if entry.document is not None and not layout.is_run(path):
            raise CorruptRecordError(path, "it is no run, and has a run's row")
        yield entry
