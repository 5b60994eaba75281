"""Entries as the tables of an index, or of a segment of a snapshot, hold them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from heapq import merge
from itertools import groupby
from operator import itemgetter
from typing import Any

from molexp._catalog.index.database import DamagedError, sound
from molexp._catalog.index.entries import Entry
from molexp._catalog.index.index import Index
from molexp._catalog.index.tables import checksum
from molexp._storage import layout
from molexp._values.documents import decode, decode_object
from molexp.errors import CorruptRecordError

GONE = "no longer there"
"""Said of what one index has and a later one has not."""


def compare(before: Index, after: Index) -> tuple[list[tuple[str, str, str]], int]:
    """Return how runs and assets differ in a later index, and how many that one has.

    Returns:
        Of each that differs the path that it belongs to, the run's path or the asset's id, and how it was; and the number.
    """
    differing: list[tuple[str, str, str]] = []
    rows = 0
    with before.reading() as earlier, after.reading() as later:
        stated = merge(_stated(earlier, 0), _stated(later, 1), key=itemgetter(0, 1))
        for path, both in groupby(stated, key=itemgetter(0)):
            found = {which: facts for _, which, facts in both}
            old, new = found.get(0, {}), found.get(1, {})
            rows += len(new)
            differing += [(path, key, what) for key, what in _differences(old, new)]
    return differing, rows


def _differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for key in sorted(old.keys() | new.keys()):
        if key not in old:
            yield key, "missing"
        elif key not in new:
            yield key, GONE
        elif old[key] != new[key]:
            yield key, "out of date"


def _stated(connection: sqlite3.Connection, which: int) -> Iterator[tuple[str, int, dict[str, Any]]]:
    """Yield what an index says of runs and of their assets, in the order of their paths."""
    sql = "SELECT id, path, shown, document FROM entities LEFT JOIN documents USING (id) ORDER BY path"
    for number, path, shown, document in connection.execute(sql):
        facts: dict[str, Any] = {path: decode(document, path)} if shown else {}
        for (record,) in connection.execute(
            "SELECT record FROM assets JOIN records USING (id) WHERE owner = ?", (number,)
        ):
            asset = decode_object(record, path)
            facts[f"{path}: {asset.get('id')}" if path else str(asset.get("id"))] = asset
        yield path, which, facts


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
        if known != checksum(path, document, cover):
            raise DamagedError(f"the row of {path!r} is not what it was")
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
