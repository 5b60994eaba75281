"""The reader's index: SQLite in the user's cache folder, keyed by host, workspace and location; in memory if need be.

Nothing in it is believed where the files say otherwise, and all of it can be deleted at any time. It never lies in the
workspace: SQLite's locks do not work on every shared file system.
"""

from __future__ import annotations

import os
import platform
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from hashlib import sha256
from typing import Any
from weakref import WeakSet

import attrs

from molexp._record import keys
from molexp._values.documents import decode, encode

VERSION = 4
BORN = "token:"
"""Begins the name in a cover that stands for the run's definition: which run it is, not what has become of it."""

_BUSY = 60.0  # seconds to wait for another process of this user

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
CREATE TABLE IF NOT EXISTS problems (
    owner TEXT, key TEXT, reason TEXT, stamp TEXT, PRIMARY KEY (owner, key)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS folders (key TEXT PRIMARY KEY, stamp TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS sightings (attempt TEXT PRIMARY KEY, version TEXT, boot TEXT, first REAL) WITHOUT ROWID;
"""
_NAMES = ("meta", "journals", "pending", "runs", "assets", "problems", "folders", "sightings")


def cache_folder() -> str:
    """Where indexes lie: ``MOLEXP_CACHE_DIR``, else the user's cache folder; "" where the user has none."""
    if found := os.environ.get("MOLEXP_CACHE_DIR"):
        return found
    from platformdirs import user_cache_dir

    try:
        found = user_cache_dir("molexp", appauthor=False)
    except (OSError, RuntimeError):  # neither HOME nor an entry in the password database, as in some containers
        return ""
    return found if os.path.isabs(found) else ""


@attrs.define
class RunEntry:
    """A row about a run, or about the data of a scope (where `document` is None).

    Attributes:
        path: the run's or scope's path.
        document: ``run.json`` as it would be written; None for a run that was deleted or cannot be read.
        open: whether its newest attempt has no end.
        cover: the files it was folded from, with their sizes.
        assets: records of its assets.
        problems: what could not be read: key to reason.
        stamps: what the keys among the problems looked like.
    """

    path: str
    document: dict[str, Any] | None
    open: bool
    cover: dict[str, int] = attrs.field(factory=dict)
    assets: list[dict[str, Any]] = attrs.field(factory=list)
    problems: dict[str, str] = attrs.field(factory=dict)
    stamps: dict[str, str] = attrs.field(factory=dict)

    @classmethod
    def unreadable(cls, path: str, key: str, reason: object) -> RunEntry:
        """A run of which nothing is known but why."""
        return cls(path, None, False, problems={key: str(reason)})


class Index:
    """The index of one workspace."""

    def __init__(self, workspace: str, url: str) -> None:
        self._path = ""
        if workspace and not url.startswith("memory:") and (folder := cache_folder()):
            place = sha256(url.encode()).hexdigest()[:16]
            self._path = os.path.join(folder, platform.node() or "host", f"{workspace}-{place}.sqlite3")
        self.lock: threading.RLock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._discarded = False
        _ALIVE.add(self)

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
        with self.lock:
            if self._connection is not None:
                self._connection.close()
            self._connection = None

    def forget(self) -> None:
        """Let go of the parent's connection, in a child after a fork; it must be neither used nor closed there."""
        if self._connection is not None:
            if self._connection.in_transaction:  # SQLite would wait in vain for what this process seems to have locked
                self._path = ""
            _keep_for_ever(self._connection)
            self._connection = None

    def _connect(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = self._open()
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
        with self.lock:
            connection = self._connect()
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                if connection is self._connection:  # and not the parent's, in a child that was forked in between
                    with suppress(sqlite3.Error):  # what went wrong first is what matters
                        connection.rollback()
                raise
            if connection is self._connection:
                connection.commit()

    def discard(self) -> None:
        """Start anew: what was there is no index, or no longer there; the second time, in memory."""
        with self.lock:
            self.close()
            if self._path:
                with suppress(OSError):
                    os.unlink(self._path)
            if self._discarded:
                self._path = ""
            self._discarded = True

    def select(self, sql: str, values: Iterable[Any] = ()) -> list[tuple[Any, ...]]:
        """Rows of a query."""
        with self.lock:
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

    def owners(self) -> set[str]:
        """Every run and scope that something is known of."""
        sql = "SELECT path FROM runs UNION SELECT owner FROM assets UNION SELECT owner FROM problems"
        return {path for (path,) in self.select(sql)}

    def doubts(self) -> list[tuple[str, str, str]]:
        """Owners of what could not be read, its keys, and what those looked like."""
        return [(owner, key, stamp) for owner, key, stamp in self.select("SELECT owner, key, stamp FROM problems")]

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
        exists: Callable[[str], bool] | None = None,
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

        Args:
            entries: what is true of runs and scopes.
            gone: runs and scopes that are not there.
            exists: asked again about each of those, now that no other process of this user can take one in.
            journals: how far each journal was read.
            settled: announced keys that were there.
            pending: announced keys that were not.
            withdrawn: keys that were announced as a guess and will not be created.
            read_from: how far the journals had been read before.
            folders: what folders looked like; "" for those that nobody needs to look at again.
            anew: see above.
        """
        with self.transaction() as connection:
            if anew:
                for table in ("journals", "pending", "folders"):
                    connection.execute(f"DELETE FROM {table}")  # noqa: S608 - one of these
                connection.execute("INSERT OR REPLACE INTO meta VALUES ('complete', '1')")
            for path in gone:
                if exists is None or not exists(path):
                    _remove(connection, path)
            for entry in entries:
                _take_in(connection, entry, anew)
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
            connection.execute("DELETE FROM folders WHERE stamp = ''")


_ALIVE: WeakSet[Index] = WeakSet()
_held = threading.local()


def _before_fork() -> None:
    """Wait until no thread is inside SQLite, whose own locks a child would inherit locked."""
    _held.by_fork = sorted(_ALIVE, key=id)
    for index in _held.by_fork:
        index.lock.acquire()


def _after_fork() -> None:
    for index in _held.by_fork:
        index.lock.release()
    _held.by_fork = []


def _after_fork_in_child() -> None:
    for index in _held.by_fork:
        index.forget()
    _after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork_in_child)


def _keep_for_ever(connection: sqlite3.Connection) -> None:
    import ctypes

    ctypes.pythonapi.Py_IncRef(ctypes.py_object(connection))


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


def _take_in(connection: sqlite3.Connection, entry: RunEntry, anew: bool) -> None:
    """Let an entry replace the row that it meets, if it knows all that the row knows."""
    row = connection.execute("SELECT cover FROM runs WHERE path = ?", (entry.path,)).fetchone()
    if not anew and row is not None and entry.cover:
        known: dict[str, int] = decode(row[0], entry.path)
        if not any(name in entry.cover for name in known if name.startswith(BORN)):
            # Two runs that were made under one id, one after the other: whichever it is now, it is looked at again.
            if entry.document is None:
                return
            entry.open = True
        elif not all(entry.cover.get(name, -1) >= size for name, size in known.items()):
            return
    _insert(connection, entry)


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
        if not entry.open and (history := document.get("execution_history")):
            lease = keys.lease(entry.path, history[-1]["attempt"])
            connection.execute("DELETE FROM sightings WHERE attempt = ?", (lease,))
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
        "INSERT OR REPLACE INTO problems VALUES (?, ?, ?, ?)",
        ((entry.path, key, reason, entry.stamps.get(key, "")) for key, reason in entry.problems.items()),
    )


__all__ = ["Index", "RunEntry", "cache_folder"]
