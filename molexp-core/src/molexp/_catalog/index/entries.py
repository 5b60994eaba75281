"""Rows of the index: what is true of one run, or of the data of one scope, and how one replaces another."""

from __future__ import annotations

import itertools
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from msgspec import Struct, field

from molexp._catalog.index.columns import (
    COLUMNS,
    REFERENCES,
    Cell,
    asset_cells,
    cells,
    in_order,
    metric_rows,
    parts_of,
    run_cells,
    source_of,
    text_of,
)
from molexp._catalog.index.place import ELEMENTS
from molexp._catalog.index.tables import Counters, checksum
from molexp._record.folding import newest_attempt
from molexp._storage import layout
from molexp._values.canonical import canonical_hash
from molexp._values.documents import count, decode, encode, is_count
from molexp.errors import SerializationError

BORN = "token:"
"""Begins the name in a cover that stands for the run's definition: which run it is, not what has become of it."""

_OF_RUNS = (*(column.name for column in COLUMNS), *REFERENCES)
_STATUS, _ARCHIVED = map(_OF_RUNS.index, ("status", "archived"))
_ENTITY = ("path", "project", "experiment", "run", "stamp", "shown", "open", "news", *_OF_RUNS)
_CHANGE = f"UPDATE entities SET {', '.join(f'{name} = ?' for name in _ENTITY)} WHERE id = ?"  # noqa: S608 - constants
_KNOWN = "SELECT id, cover, document, shown, open, news, stamp, sum FROM entities LEFT JOIN documents USING (id) WHERE path = ?"
_ADD = {
    "entities": f"INSERT INTO entities (id, {', '.join(_ENTITY)}) VALUES (?, {', '.join('?' * len(_ENTITY))})",  # noqa: S608 - constants
    "documents": "INSERT INTO documents VALUES (?, ?, ?, ?)",
    "assets": "INSERT INTO assets (id, owner, kind, name, version, size, producer, created_at, source) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
    "records": "INSERT INTO records VALUES (?, ?, ?)",
    "uses": "INSERT OR IGNORE INTO uses VALUES (?, ?, ?, ?)",
    "metrics": "INSERT OR REPLACE INTO metrics VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
}
_LAST = (
    "SELECT (SELECT value FROM meta WHERE name = 'news'), (SELECT coalesce(max(id), 0) FROM entities), "
    "(SELECT coalesce(max(id), 0) FROM assets)"
)
_ADD_FIELD = "INSERT OR IGNORE INTO fields VALUES (?, ?, ?)"


class Entry(Struct):
    """The facts of a run, or of the data of a scope (where `document` is None).

    Attributes:
        path: the run's or scope's path.
        document: ``run.json`` as it would be written; None for a run that was deleted or cannot be read.
        open: It is to be looked at again: its newest attempt has no end.
        cover: the files it was folded from, with their sizes.
        assets: records of its assets.
        uses: assets that it consumed: id, attempt, task.
        problems: Keys that could not be read, each with the reason.
        stamps: The stamps of the keys among the problems.
        forced: Files were changed by hand, so that less than before may be true.
        stamp: The stamp of ``run.json`` before it was read; "" if that is not known.
    """

    path: str
    document: dict[str, Any] | None
    open: bool
    cover: dict[str, int] = field(default_factory=dict)
    assets: list[dict[str, Any]] = field(default_factory=list)
    uses: list[tuple[str, int, str]] = field(default_factory=list)
    problems: dict[str, str] = field(default_factory=dict)
    stamps: dict[str, str] = field(default_factory=dict)
    forced: bool = False
    stamp: str = ""

    @classmethod
    def unreadable(cls, path: str, key: str, reason: object) -> Entry:
        """Return the entry of a run of which nothing is known but the reason."""
        return cls(path, None, False, problems={key: str(reason)})


class Rows:
    """Takes entries into the tables, within one transaction. What is added is written when it is closed, all at once.

    Args:
        connection: the database, in a transaction.
        names: ids of the names of fields, as far as they are known; added to.
        origins: provenance documents by their ids, as far as the index lacks them.
        lost: asked whether some of what covers name of a run or scope is not there; nobody knows by default.
        since: the newest change that was known when what is to be taken in began to be read; None for the newest of all.
        unmet: If nothing has changed since then, no row is met by what is to be taken in.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        names: dict[str, int],
        origins: Mapping[str, Mapping[str, Any]] | None = None,
        lost: Callable[[str, Iterable[str]], bool] = lambda _path, _names: False,
        since: int | None = None,
        unmet: bool = False,
    ) -> None:
        self._lost = lost
        self.doubtful = False
        """Something is to be read again: it came back, or nobody knows all of it."""
        self._connection = connection
        self._names = names
        self._origins = origins or {}
        news, entities, assets = connection.execute(_LAST).fetchone()
        self._news = self._first = int(news or 0)
        self._overtaken = since not in (None, self._news)
        self.unmet = not entities or (unmet and not self._overtaken)
        self._entities, self._assets = (
            itertools.count(entities + 1),
            itertools.count(assets + 1),
        )  # ids of what is added
        self._added: defaultdict[str, list[tuple[Any, ...]]] = defaultdict(list)
        self._fields: defaultdict[int, list[tuple[int, Cell, int]]] = defaultdict(list)  # by their names' ids
        self._shared: dict[str, int] = {}
        self._counters = Counters()

    def close(self) -> int:
        """Write what was added, and how many changes there were, which is returned."""
        for table, rows in self._added.items():
            self._connection.executemany(_ADD[table], rows)
        self._added.clear()
        for _, cells_of_one in sorted(self._fields.items()):
            self._connection.executemany(_ADD_FIELD, in_order(cells_of_one))  # neighbours are written together
        self._fields.clear()
        self._counters.write(self._connection)
        if self._news != self._first:
            self._connection.execute("INSERT OR REPLACE INTO meta VALUES ('news', ?)", (str(self._news),))
        return self._news

    def take_in(self, entry: Entry, *, anew: bool = False, from_snapshot: bool = False) -> bool:
        """Let an entry replace the row that it meets, if it knows all that the row knows; returns whether it does.

        Args:
            entry: the entry; of each path there is one.
            anew: it was read from the files when all else was read, too: it replaces whatever there is.
            from_snapshot: the newest snapshot has it like that.
        """
        row = None if self.unmet else self._connection.execute(_KNOWN, (entry.path,)).fetchone()
        known: dict[str, int] = decode(row[1], entry.path) if row is not None and row[1] else {}
        if self._overtaken and self._is_outdated(entry, known):
            return False
        if row is None:
            self._insert(entry, from_snapshot)
            return True
        number, cover, document, shown, was_open, news, known_stamp, known_sum = row
        if not anew and not self._may_replace(entry, known, from_snapshot=from_snapshot):
            if from_snapshot:
                self._contradict(number, doubtful=entry.forced)
            return False
        entry.open |= bool(was_open) and (from_snapshot or self._overtaken)  # this may have been read before
        encoded = encode(entry.document) if entry.document is not None else None
        if was_open and not entry.open and (history := (entry.document or {}).get("execution_history")):
            lease = layout.lease(entry.path, history[-1]["attempt"])
            self._connection.execute("DELETE FROM sightings WHERE attempt = ?", (lease,))
        same = encoded == document and bool(shown) == (encoded is not None) and entry.cover == known
        if same and known_sum == checksum(entry.path, document, cover) and self._same_records(number, entry):
            if from_snapshot and news:
                self._connection.execute("UPDATE entities SET news = 0 WHERE id = ?", (number,))
            stamp = entry.stamp or known_stamp
            if (was_open, known_stamp) != (entry.open, stamp):
                sql = "UPDATE entities SET open = ?, stamp = ? WHERE id = ?"
                self._connection.execute(sql, (int(entry.open), stamp, number))
            self._note_problems(entry)
            return True
        self._clear(entry.path, number, document)
        self._connection.execute("DELETE FROM problems WHERE owner = ?", (entry.path,))
        self._connection.execute(_CHANGE, (*self._entity(entry, from_snapshot), number))
        self._fill(number, entry, encoded)
        return True

    def recognise(self, path: str, cover: bytes, known_sum: int, is_open: int) -> bool:
        """Tell whether a row is as the newest snapshot has it, by that one's cover and checksum; if so, it is no news."""
        sql = (
            "SELECT e.id, news FROM entities e JOIN documents USING (id) "
            "WHERE path = ? AND cover = ? AND sum = ? AND open >= ?"
        )
        found = self._connection.execute(sql, (path, cover, known_sum, is_open)).fetchone()
        if found is not None and found[1]:
            self._connection.execute("UPDATE entities SET news = 0 WHERE id = ?", (found[0],))
        return found is not None

    def remove(self, path: str) -> None:
        """Remove a run or scope that is not there; nobody is to take it from a snapshot."""
        row = self._connection.execute(
            "SELECT id, document FROM entities LEFT JOIN documents USING (id) WHERE path = ?", (path,)
        ).fetchone()
        self._connection.execute("DELETE FROM problems WHERE owner = ?", (path,))
        if row is not None:
            self._clear(path, *row)
            self._connection.execute("DELETE FROM entities WHERE id = ?", (row[0],))
            self._counters.know(path, -1)
            self._note_gone(path)

    def note_gone(self, paths: set[str]) -> set[str]:
        """Return those of some paths that have no row: nobody is to take them from a snapshot."""
        lacking = set()
        for path in paths:
            if self._connection.execute("SELECT 1 FROM entities WHERE path = ?", (path,)).fetchone() is None:
                lacking.add(path)
                self._note_gone(path)
        return lacking

    def note_news(self, paths: set[str]) -> None:
        """Mark what was announced as changed even where it is as a snapshot has it: in between it may have been another."""
        self._news += bool(paths)
        sql = "UPDATE entities SET news = ? WHERE path = ? AND news = 0"
        self._connection.executemany(sql, itertools.product((self._news,), paths))

    def _note_gone(self, path: str) -> None:
        self._news += 1
        self._connection.execute("INSERT OR REPLACE INTO removed VALUES (?, ?)", (path, self._news))

    # ------------------------------------------------------------------------------------------------------------- pieces

    def _may_replace(self, entry: Entry, known: Mapping[str, int], *, from_snapshot: bool) -> bool:
        """Tell whether an entry may take the place of a row with the cover `known`; marks it as open where only time will tell."""
        if not known:
            return True
        if not entry.cover and not entry.forced:  # of a run that cannot be read, or of a scope that had no data yet
            entry.open = bool(entry.problems)  # they may be over by now: it is looked at again
            return entry.open
        born = [name for name in known if name.startswith(BORN)]
        if born and not any(name in entry.cover for name in born):
            # Two runs that were made under one id, one after the other: whichever it is now, it is looked at again.
            if entry.document is None and not entry.forced:
                return self._lost(entry.path, born)
            self.doubtful = entry.open = True
            return True
        lacking = [name for name, size in known.items() if entry.cover.get(name, -1) < size]
        if not lacking:
            edits = [name for name in entry.cover if name not in known and layout.is_edit(name)]
            if from_snapshot and edits and self._lost(entry.path, edits):
                entry.forced = True  # read before the run was freed and brought back; so was what is known, perhaps
                return False
            return True
        came_back = not entry.forced and self._lost(entry.path, lacking)
        if entry.forced or came_back:
            # Less than before: unless somebody else has read more meanwhile, which shows when it is read again.
            self.doubtful |= came_back
            entry.open = True
            return True
        if any(size > known.get(name, -1) for name, size in entry.cover.items()):
            self._doubt(entry.path)  # each has what the other lacks
        return False

    def _is_outdated(self, entry: Entry, known: Mapping[str, int]) -> bool:
        """Tell whether a run was freed since it was read, and others may have seen that: it is read again."""
        more = [name for name in entry.cover if name not in known and name.startswith(("edits/", BORN))]
        if not more or not self._lost(entry.path, more):
            return False
        self._doubt(entry.path)
        return True

    def _doubt(self, path: str) -> None:
        self.doubtful = True
        self._news += 1  # for whoever is reading it now
        self._connection.execute("UPDATE entities SET open = 1 WHERE path = ?", (path,))

    def _contradict(self, number: int, *, doubtful: bool) -> None:
        """Tell others that a snapshot's row does not hold against the known one; `doubtful` if neither does."""
        self._news += 1
        sql = "UPDATE entities SET open = max(open, ?), news = CASE news WHEN 0 THEN ? ELSE news END WHERE id = ?"
        self._connection.execute(sql, (int(doubtful), self._news, number))

    def _insert(self, entry: Entry, from_snapshot: bool) -> None:
        if not (from_snapshot or self.unmet):
            self._connection.execute("DELETE FROM removed WHERE path = ?", (entry.path,))
        self._counters.know(entry.path, 1)
        number = next(self._entities)
        self._added["entities"].append((number, *self._entity(entry, from_snapshot)))
        self._fill(number, entry, encode(entry.document) if entry.document is not None else None)

    def _entity(self, entry: Entry, from_snapshot: bool) -> tuple[Any, ...]:
        self._news += 1
        news = 0 if from_snapshot else self._news
        document = entry.document
        shown = int(document is not None)
        known = (entry.path, *parts_of(entry.path, document), entry.stamp, shown, int(entry.open), news)
        if document is None:
            return known + (None,) * len(_OF_RUNS)
        newest, provenance = newest_attempt(document), document.get("provenance")
        columns = [column.value_of(document, newest) for column in COLUMNS]
        self._counters.show(entry.path, columns[_STATUS], columns[_ARCHIVED])
        return (
            *known,
            *columns,
            self._in_common("config", document.get("config")),
            self._in_common("workflow", document.get("workflow")),
            self._share(f"provenance:{provenance}", "provenance", self._origins.get(provenance))
            if isinstance(provenance, str)
            else None,
        )

    def _fill(self, number: int, entry: Entry, document: bytes | None) -> None:
        cover = encode(entry.cover)
        self._added["documents"].append((number, document, cover, checksum(entry.path, document, cover)))
        if entry.document is not None:
            self._add_fields(number, run_cells(entry.document))
            for name, row, is_partial in metric_rows(entry.document):
                self._added["metrics"].append((self._id_of(name, partial=is_partial), number, *row))
        for record in entry.assets:
            self._add_asset(number, entry.path, record)
        for asset, attempt, task in entry.uses:
            if text_of(asset) is not None and text_of(task) is not None and is_count(attempt):
                self._added["uses"].append((asset, number, attempt, task))
        if entry.problems:
            self._note_problems(entry)

    def _note_problems(self, entry: Entry) -> None:
        self._connection.execute("DELETE FROM problems WHERE owner = ?", (entry.path,))
        for key, reason in entry.problems.items():
            texts = [text.encode(errors="backslashreplace").decode() for text in (key, reason)]
            values = (entry.path, *texts, entry.stamps.get(key, ""))
            self._connection.execute("INSERT OR REPLACE INTO problems VALUES (?, ?, ?, ?)", values)

    def _add_asset(self, owner: int, path: str, record: Mapping[str, Any]) -> None:
        producer = record.get("producer")
        by = producer.get("run") if isinstance(producer, dict) else None
        number, size = next(self._assets), count(record.get("size"))
        self._counters.hold(path, size)
        self._added["assets"].append(
            (
                number,
                owner,
                text_of(record.get("kind")),
                text_of(record.get("name")),
                count(record.get("version"), 1),
                size,
                text_of(by) if by != path else None,
                text_of(record.get("created_at")),
                source_of(record),
            )
        )
        encoded = encode(record)
        self._added["records"].append((number, encoded, checksum(path, encoded)))
        self._add_fields(number, asset_cells(record))

    def _clear(self, path: str, number: int, document: bytes | None) -> None:
        """Take out what there is of an entity, but the entity itself."""
        execute = self._connection.execute
        self._counters.clear(self._connection, path, number)
        if document is not None:
            known = decode(document, "index")
            self._drop_fields(number, run_cells(known))
            named = [(self._id_of(name), number) for name, *_ in metric_rows(known)]
            self._connection.executemany("DELETE FROM metrics WHERE name = ? AND owner = ?", named)
        for asset, record in execute(
            "SELECT id, record FROM assets JOIN records USING (id) WHERE owner = ?", (number,)
        ).fetchall():
            self._drop_fields(asset, asset_cells(decode(record, "index")))
            execute("DELETE FROM records WHERE id = ?", (asset,))
        for rows in ("assets WHERE owner", "uses WHERE owner", "documents WHERE id"):
            execute(f"DELETE FROM {rows} = ?", (number,))  # noqa: S608 - constants

    def _same_records(self, number: int, entry: Entry) -> bool:
        found = self._connection.execute(
            "SELECT record, sum FROM assets JOIN records USING (id) WHERE owner = ? ORDER BY id", (number,)
        )
        records = [encode(record) for record in entry.assets]
        return found.fetchall() == [(record, checksum(entry.path, record)) for record in records]

    # ------------------------------------------------------------------------------------------------------------- fields

    def _add_fields(self, owner: int, found: Iterable[tuple[str, Cell | None]]) -> None:
        seen = set[str]()
        for name, cell in found:
            if cell is None or (name in seen and name[-1:] != ELEMENTS):  # {"a.b": 1, "a": {"b": 2}}
                self._id_of(name, partial=True)
            else:
                number = self._names.get(name) or self._name(name)
                self._fields[number].append((number, cell, owner))
            seen.add(name)

    def _drop_fields(self, owner: int, found: Iterable[tuple[str, Cell | None]]) -> None:
        self._connection.executemany(
            "DELETE FROM fields WHERE name = ? AND value = ? AND owner = ?",
            [(self._id_of(name), cell, owner) for name, cell in found if cell is not None],
        )

    def _id_of(self, name: str, *, partial: bool = False) -> int:
        """Return the id of a field's name; `partial` says that a value of it is not in the tables."""
        number = self._names.get(name) or self._name(name)
        if partial:
            self._connection.execute("UPDATE names SET partial = 1 WHERE id = ?", (number,))
        return number

    def _name(self, name: str) -> int:
        self._connection.execute("INSERT OR IGNORE INTO names (name, partial) VALUES (?, 0)", (name,))
        (number,) = self._connection.execute("SELECT id FROM names WHERE name = ?", (name,)).fetchone()
        self._names[name] = number
        return int(number)

    def _in_common(self, name: str, values: Any) -> int | None:
        if not isinstance(values, dict) or not values:
            return None
        try:
            key = canonical_hash(values)
        except SerializationError:  # nothing that MolExp wrote; documents can still be asked
            self._id_of(name, partial=True)
            return None
        return self._share(f"{name}:{key}", name, values)

    def _share(self, key: str, name: str, values: Mapping[str, Any] | None) -> int | None:
        """Return the owner of the fields that several runs have in common; None if they are not known yet."""
        if (number := self._shared.get(key)) is not None:
            return number
        found = self._connection.execute("SELECT id FROM shared WHERE key = ?", (key,)).fetchone()
        if found is None and values is None:
            return None
        if found is None:
            cursor = self._connection.execute("INSERT INTO shared (key) VALUES (?)", (key,))
            assert cursor.lastrowid is not None
            found = (cursor.lastrowid,)
            self._add_fields(cursor.lastrowid, cells(name, dict(values or {})))
        self._shared[key] = int(found[0])
        return self._shared[key]
