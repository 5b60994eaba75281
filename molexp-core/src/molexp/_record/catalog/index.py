"""The reader's index: SQLite in the user's cache folder, keyed by host, workspace and location; in memory if need be.

Nothing in it is believed where the files say otherwise, and all of it can be deleted at any time. It never lies in the
workspace: SQLite's locks do not work on every shared file system.
"""

from __future__ import annotations

import os
import platform
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from hashlib import sha256
from typing import Any

import attrs

from molexp._values.documents import decode, encode

VERSION = 3
BORN = "token:"
"""Begins the name in a cover that stands for the run's definition: which run it is, not what has become of it."""

_BUSY = 60.0  # seconds to wait for another process of this user
_CHUNK = 500  # values in one SQL statement

_TABLES = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS journals (name TEXT PRIMARY KEY, offset INTEGER) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS pending (journal TEXT, key TEXT, PRIMARY KEY (journal, key)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS runs (
    path TEXT PRIMARY KEY, project TEXT, experiment TEXT, status TEXT, created_at TEXT, open INTEGER,
    document BLOB, cover BLOB
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS runs_by_status ON runs (status);
CREATE INDEX IF NOT EXISTS runs_open ON runs (open) WHERE open = 1;
CREATE TABLE IF NOT EXISTS assets (
    id TEXT, owner TEXT, kind TEXT, name TEXT, scope TEXT, producer TEXT, created_at TEXT, record BLOB,
    PRIMARY KEY (owner, id)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS assets_by_owner ON assets (owner);
CREATE INDEX IF NOT EXISTS assets_by_name ON assets (name);
CREATE TABLE IF NOT EXISTS problems (owner TEXT, key TEXT, reason TEXT, PRIMARY KEY (owner, key)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS folders (key TEXT PRIMARY KEY, stamp TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS sightings (attempt TEXT PRIMARY KEY, version TEXT, boot TEXT, first REAL) WITHOUT ROWID;
"""
_NAMES = ("meta", "journals", "pending", "runs", "assets", "problems", "folders", "sightings")


def cache_folder() -> str:
    """Where indexes lie: ``MOLEXP_CACHE_DIR``, else the user's cache folder."""
    if found := os.environ.get("MOLEXP_CACHE_DIR"):
        return found
    from platformdirs import user_cache_dir

    return user_cache_dir("molexp", appauthor=False)


@attrs.define
class RunEntry:
    """A row about a run, or about the data of a scope (where `document` is None).

    Attributes:
        path: the run's or scope's path.
        document: ``run.json`` as it would be written.
        open: whether its newest attempt has no end.
        cover: the files it was folded from, with their sizes.
        assets: records of its assets.
        problems: what could not be read.
    """

    path: str
    document: dict[str, Any] | None
    open: bool
    cover: dict[str, int]
    assets: list[dict[str, Any]]
    problems: dict[str, str]


class Index:
    """The index of one workspace."""

    def __init__(self, workspace: str, url: str) -> None:
        self._path = ""
        if workspace and not url.startswith("memory:"):
            place = sha256(url.encode()).hexdigest()[:16]
            self._path = os.path.join(cache_folder(), platform.node() or "host", f"{workspace}-{place}.sqlite3")
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._pid = 0
        self._discarded = False

    # ------------------------------------------------------------------------------------------------------ connection

    @property
    def location(self) -> str:
        """The file; "" in memory."""
        return self._path

    def __del__(self) -> None:
        with suppress(Exception):  # the interpreter may be going down
            self.close()

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            if self._connection is not None and self._pid == os.getpid():
                self._connection.close()
            self._connection = None

    def _connect(self) -> sqlite3.Connection:
        if self._connection is None or self._pid != os.getpid():  # a connection must not cross a fork
            self._connection = self._open()
            self._pid = os.getpid()
        return self._connection

    def _open(self) -> sqlite3.Connection:
        if self._path:
            try:
                os.makedirs(os.path.dirname(self._path), mode=0o700, exist_ok=True)
                return _prepare(self._path)
            except (OSError, sqlite3.OperationalError):
                pass  # it cannot be written there: an index in memory answers as well
            except sqlite3.DatabaseError:
                with suppress(OSError):
                    os.unlink(self._path)
                with suppress(OSError, sqlite3.Error):
                    return _prepare(self._path)
        return _prepare(":memory:")

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing, one writer at a time."""
        with self._lock:
            connection = self._connect()
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                with suppress(sqlite3.Error):  # what went wrong first is what matters
                    connection.rollback()
                raise
            connection.commit()

    def discard(self) -> None:
        """Start anew: what was there is no index, or no longer there; the second time, in memory."""
        with self._lock:
            self.close()
            if self._path:
                with suppress(OSError):
                    os.unlink(self._path)
            if self._discarded:
                self._path = ""
            self._discarded = True

    def select(self, sql: str, values: Iterable[Any] = ()) -> list[tuple[Any, ...]]:
        """Rows of a query."""
        with self._lock:
            return self._connect().execute(sql, tuple(values)).fetchall()

    # ------------------------------------------------------------------------------------------------------- what is seen

    @property
    def complete(self) -> bool:
        """Whether everything was read once."""
        return bool(self.select("SELECT 1 FROM meta WHERE name = 'complete'"))

    def journals(self) -> dict[str, int]:
        """How far each journal was read."""
        return dict(self.select("SELECT name, offset FROM journals"))

    def pending(self) -> set[tuple[str, str]]:
        """Journals, and keys announced in them that were not there yet."""
        return {(journal, key) for journal, key in self.select("SELECT journal, key FROM pending")}

    def open_runs(self) -> set[str]:
        """Runs whose newest attempt had no end."""
        return {path for (path,) in self.select("SELECT path FROM runs WHERE open = 1")}

    def run_paths(self) -> set[str]:
        """Every run."""
        return {path for (path,) in self.select("SELECT path FROM runs")}

    def folders(self) -> dict[str, str]:
        """Folders that were listed, with what they looked like then."""
        return dict(self.select("SELECT key, stamp FROM folders"))

    def problems(self) -> dict[str, str]:
        """What could not be read: key to reason."""
        return dict(self.select("SELECT key, reason FROM problems ORDER BY key"))

    def unchanged_for(self, attempt: str, version: str, now: float, boot: str) -> float:
        """See `Sightings`."""
        try:
            return self._unchanged_for(attempt, version, now, boot)
        except sqlite3.DatabaseError as error:
            if is_busy(error):
                raise
            self.discard()
            return self._unchanged_for(attempt, version, now, boot)

    def _unchanged_for(self, attempt: str, version: str, now: float, boot: str) -> float:
        with self.transaction() as connection:
            row = connection.execute(
                "SELECT first FROM sightings WHERE attempt = ? AND version = ? AND boot = ? AND first <= ?",
                (attempt, version, boot, now),
            ).fetchone()
            if row is not None:
                return now - float(row[0])
            connection.execute("INSERT OR REPLACE INTO sightings VALUES (?, ?, ?, ?)", (attempt, version, boot, now))
            return 0.0

    # ------------------------------------------------------------------------------------------------------------ change

    def apply(
        self,
        entries: Iterable[RunEntry],
        *,
        gone: Iterable[str] = (),
        journals: Mapping[str, int] | None = None,
        settled: Iterable[tuple[str, str]] = (),
        pending: Iterable[tuple[str, str]] = (),
        withdrawn: Iterable[tuple[str, str]] = (),
        read_from: Mapping[str, int] | None = None,
        folders: Mapping[str, str] | None = None,
        anew: bool = False,
    ) -> None:
        """Take in what a refresh found, in one transaction; an entry that knows less than the row it meets is dropped.

        With `anew` everything was read: what is said here replaces what was known of journals and folders, and every
        row that it meets. What another process has taken in meanwhile was announced after our look at the journals, and
        is read again.
        """
        with self.transaction() as connection:
            if anew:
                for table in ("journals", "pending", "folders"):
                    connection.execute(f"DELETE FROM {table}")  # noqa: S608 - one of these
                connection.execute("INSERT OR REPLACE INTO meta VALUES ('complete', '1')")
            for path in gone:
                _remove(connection, path)
            for entry in entries:
                if anew or _covers(connection, entry):
                    _insert(connection, entry)
            for journal, key in withdrawn:
                # Only where nobody has read on meanwhile: the key may have been announced again since.
                connection.execute(
                    "DELETE FROM pending WHERE journal = ?1 AND key = ?2 "
                    "AND coalesce((SELECT offset FROM journals WHERE name = ?1), 0) = ?3",
                    (journal, key, (read_from or {}).get(journal, 0)),
                )
            for name, offset in (journals or {}).items():
                connection.execute(
                    "INSERT INTO journals VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET offset = max(offset, ?2)",
                    (name, offset),
                )
            connection.executemany("INSERT OR IGNORE INTO pending VALUES (?, ?)", pending)
            connection.executemany("DELETE FROM pending WHERE journal = ? AND key = ?", settled)
            connection.executemany("INSERT OR REPLACE INTO folders VALUES (?, ?)", (folders or {}).items())


def is_busy(error: sqlite3.Error) -> bool:
    """Whether the index is sound, and another process kept it for too long."""
    return getattr(error, "sqlite_errorcode", None) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def _prepare(path: str) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=_BUSY, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA synchronous = NORMAL")
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version != VERSION:
        connection.execute("BEGIN IMMEDIATE")
        if version:
            for name in _NAMES:
                connection.execute(f"DROP TABLE IF EXISTS {name}")
        for statement in _TABLES.split(";\n"):
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {VERSION}")
        connection.execute("COMMIT")
    return connection


def _covers(connection: sqlite3.Connection, entry: RunEntry) -> bool:
    """Whether an entry knows all that the row which it would replace knows."""
    if entry.document is None:
        return True
    row = connection.execute("SELECT cover FROM runs WHERE path = ?", (entry.path,)).fetchone()
    if row is None:
        return True
    known: dict[str, int] = decode(row[0], entry.path)
    born = [name for name in known if name.startswith(BORN)]
    if born and not any(name in entry.cover for name in born):
        return True  # another run by now, made anew under its id
    return all(entry.cover.get(name, -1) >= size for name, size in known.items())


def _text(value: Any) -> str | None:
    """A column's value: what is no text has none, and cannot be searched for."""
    return value if isinstance(value, str) else None


def _remove(connection: sqlite3.Connection, path: str) -> None:
    connection.execute("DELETE FROM runs WHERE path = ?", (path,))
    connection.execute("DELETE FROM assets WHERE owner = ?", (path,))
    connection.execute("DELETE FROM problems WHERE owner = ?", (path,))


def _insert(connection: sqlite3.Connection, entry: RunEntry) -> None:
    _remove(connection, entry.path)
    if (document := entry.document) is not None:
        connection.execute(
            "INSERT INTO runs VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                entry.path,
                *entry.path.split("/")[:2],
                str(document.get("status")),
                _text(document.get("created_at")),
                int(entry.open),
                encode(document),
                encode(entry.cover),
            ),
        )
    connection.executemany(
        "INSERT OR REPLACE INTO assets VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            (
                str(record.get("id")),
                entry.path,
                _text(record.get("kind")),
                _text(record.get("name")),
                _text(record.get("scope")),
                _text(producer.get("run")) if isinstance(producer := record.get("producer"), dict) else None,
                _text(record.get("created_at")),
                encode(record),
            )
            for record in entry.assets
        ),
    )
    connection.executemany(
        "INSERT OR REPLACE INTO problems VALUES (?, ?, ?)",
        ((entry.path, key, reason) for key, reason in entry.problems.items()),
    )


__all__ = ["Index", "RunEntry", "cache_folder"]
