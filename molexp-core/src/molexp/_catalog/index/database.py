"""The file behind the index: SQLite in the user's cache folder, keyed by host, workspace and location.

Nothing in it is believed where the files say otherwise, and all of it can be deleted at any time; in memory where it
cannot be written. It never lies in the workspace: SQLite's locks do not work on every shared file system.
"""

from __future__ import annotations

import gc
import os
import shutil
import sqlite3
import threading
import time
from array import array
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from molexp._catalog.index import tables
from molexp._catalog.index.place import VERSION
from molexp._storage.cache_folder import SCRATCH, make_room, remove_scratch
from molexp._storage.private_files import make_file, make_folder
from molexp._values.status import RunStatus

if TYPE_CHECKING:
    from molexp._record.submissions import Queued

BUSY = 60.0  # seconds to wait for another process of this user, whose machine may stand still
_LOOK = 0.5  # seconds that SQLite waits at a time, in which nobody hears Ctrl-C
_MEMORY = ":memory:"
_CACHE = 8 << 10  # KiB of pages that are kept in memory
_BULK_CACHE = 64 << 10
_STEP = 10_000  # pages that are copied while nobody else may change them: some hundredths of a second
_MOST_RESTARTS = 3
_MARK = 2  # seconds: the coarsest times of modification that a file system keeps
_PATIENCE = 0.5  # seconds that a writer may take between its change and its mark


class DamagedError(sqlite3.DatabaseError):
    """The index is not as MolExp left it."""


class Database:
    """One index's database, shared by the processes of a user on one host."""

    def __init__(self, location: str = "", *, safe: bool = True) -> None:
        self.location = location
        """The file; "" in memory."""
        self._safe = safe  # it is to survive a power loss
        self.lock: threading.RLock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._discarded = False
        self._changed = 0
        self.queued: dict[str, Queued] = {}
        """Runs that open submissions name, as of the last look."""
        self.names: dict[str, int] = {}
        """Ids of the names of fields, as far as they were asked for."""
        _ALIVE.add(self)

    def __del__(self) -> None:
        with suppress(Exception):  # the interpreter may be going down
            self.close()

    def close(self) -> None:
        """Close the file."""
        with self.lock:
            if self._connection is not None:
                self._connection.close()
            self._connection = None
            self.names.clear()

    def forget(self) -> None:
        """Let go of the parent's connection, in a child after a fork; it must be neither used nor closed there."""
        if self._connection is not None:
            if self._connection.in_transaction:  # SQLite would wait in vain for what this process seems to have locked
                self.location = ""
            _keep_for_ever(self._connection)
            self._connection = None
            self.names.clear()

    def _connect(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = self._open()
            self._connection.create_function("status_now", 4, partial(_status_now, self.queued))
        return self._connection

    def note_queued(self, runs: Mapping[str, Queued]) -> None:
        """Take the runs that open submissions name for those from now on."""
        with self.lock:
            self.queued.clear()
            self.queued.update(runs)

    def _open(self) -> sqlite3.Connection:
        if self.location:
            try:
                new = not os.path.exists(self.location)
                make_file(self.location)
                if new:
                    make_room(self.location)
                return prepare(self.location, safe=self._safe)
            except (OSError, sqlite3.OperationalError):
                pass  # it cannot be written there: an index in memory answers as well
            except sqlite3.DatabaseError:
                with suppress(OSError):
                    os.unlink(self.location)
                with suppress(OSError, sqlite3.Error):
                    make_file(self.location)
                    return prepare(self.location, safe=self._safe)
        self.location = ""  # the file there is none of ours
        return prepare(_MEMORY)

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Make changes all or nothing, one writer at a time."""
        with self.lock:
            connection, until = self._connect(), time.monotonic() + BUSY
            connection.execute(f"PRAGMA busy_timeout = {min(_LOOK, BUSY) * 1000:.0f}")
            try:
                while not connection.in_transaction:
                    try:
                        connection.execute("BEGIN IMMEDIATE")
                    except sqlite3.OperationalError as error:
                        if not is_busy(error) or time.monotonic() > until:
                            raise
            finally:
                connection.execute(f"PRAGMA busy_timeout = {BUSY * 1000:.0f}")
            if wrong := self._fault(connection):
                connection.rollback()
                raise DamagedError(wrong)
            (changed,) = connection.execute("PRAGMA data_version").fetchone()
            if changed != self._changed:  # by another process, which may have begun anew
                self.names.clear()
                self._changed = changed
            try:
                yield connection
            except BaseException:
                if connection is self._connection:  # and not the parent's, in a child that was forked in between
                    with suppress(sqlite3.Error):  # the first error is the one that matters
                        connection.rollback()
                    self.names.clear()
                    _mark(self.location)  # pages that did not fit into memory had been written
                raise
            if connection is self._connection:
                connection.commit()
                _mark(self.location)

    def check(self) -> None:
        """See whether the index is as MolExp left it, by the time at which its file was modified.

        Raises:
            DamagedError: it is not.
        """
        if self.location and _unmarked_for(self.location) is not None:
            with self.transaction():  # waits for who changes it, and looks again
                pass

    def _fault(self, connection: sqlite3.Connection) -> str:
        """Return the reason for which nothing can be written; "" if there is none."""
        until = time.monotonic() + _PATIENCE
        while self.location and (age := _unmarked_for(self.location)) is not None:
            if not (-_PATIENCE < age < _PATIENCE and time.monotonic() < until):
                if connection.execute("SELECT 1 FROM meta WHERE name = 'unmarked'").fetchone() is None:
                    return "something else than MolExp has written to it"
                break
            time.sleep(_PATIENCE / 50)  # a writer that changed it a moment ago may not have come to mark it yet
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        return "" if version == VERSION else "another version of MolExp has begun it anew"

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Read several times from one state."""
        with self.lock:
            connection = self._connect()
            if connection.in_transaction:
                yield connection
                return
            connection.execute("BEGIN")
            try:
                yield connection
            finally:
                if connection is self._connection:
                    with suppress(sqlite3.Error):
                        connection.rollback()

    def damage(self) -> str:
        """Return what is wrong with it, as far as looking at all of it tells; "" if nothing is."""
        try:
            self.check()
            with self.reading() as connection:
                return tables.damage(connection)
        except sqlite3.Error as error:
            return "" if is_busy(error) else str(error)

    def discard(self) -> None:
        """Start anew: what was there is no index, or no longer there; the second time, in memory."""
        with self.lock:
            self.close()
            if self.location:
                with suppress(OSError):
                    os.unlink(self.location)
            if self._discarded:
                self.location = ""
            self._discarded = True

    def select(self, sql: str, values: Iterable[Any] = ()) -> list[tuple[Any, ...]]:
        """Return the rows of a query."""
        with self.lock:
            return self._connect().execute(sql, tuple(values)).fetchall()

    def column(self, sql: str, values: Iterable[Any] = ()) -> set[Any]:
        """Return the values in the only column of a query."""
        return set(chain.from_iterable(self.select(sql, values)))

    def numbers(self, sql: str, values: Iterable[Any] = ()) -> array[int]:
        """Return the integers in the only column of a query, in order; there may be millions."""
        with self.lock:
            return array("q", chain.from_iterable(self._connect().execute(sql, tuple(values))))

    # ------------------------------------------------------------------------------------------------------------- images

    def image_to(self, path: str) -> None:
        """Write a copy to a file that is not there yet."""
        with closing(sqlite3.connect(path)) as image:
            image.execute("PRAGMA synchronous = OFF")
            if self.location and os.path.exists(self.location):
                # By a connection of its own: answers need not wait for it.
                with closing(sqlite3.connect(self.location, timeout=BUSY)) as source:
                    try:  # others may change it between two steps, after which it begins anew
                        source.backup(image, pages=_STEP, progress=_Restarts().count, sleep=0.01)
                    except _RestartedError:
                        source.backup(image)
            else:
                with self.lock:
                    self._connect().backup(image)
        _mark(path)

    def becomes(self, path: str) -> None:
        """Go on with the tables of a file, which must be an index's, in place of what there was; sightings are kept.

        Raises:
            sqlite3.DatabaseError: it is none.
        """
        with closing(tables.open_image(path)) as image, self.lock:
            seen: list[tuple[Any, ...]] = []
            with suppress(sqlite3.DatabaseError):  # the old tables may be damaged
                seen = self.select("SELECT * FROM sightings")
            with self.in_bulk(safe=False):
                image.backup(self._connect())
            _mark_first(self._connect(), self.location)
            self.names.clear()
            with self.transaction() as connection:
                connection.executemany("INSERT OR REPLACE INTO sightings VALUES (?, ?, ?, ?)", seen)

    @contextmanager
    def in_bulk(self, *, safe: bool) -> Iterator[None]:
        """Write nearly all of the tables with more memory, and not a moment spent on collecting cycles.

        Args:
            safe: The present tables must survive a power loss meanwhile.
        """
        collecting = gc.isenabled()
        with self.lock:  # another thread's transaction has to be over
            connection = self._connect()
            connection.execute(f"PRAGMA cache_size = -{_BULK_CACHE}")
            if not safe:
                connection.execute("PRAGMA synchronous = OFF")
        gc.disable()  # hundreds of thousands of documents pass by, and none of them is part of a cycle
        try:
            yield
        finally:
            if collecting:
                gc.enable()
            with self.lock:
                if connection is self._connection:
                    connection.execute(f"PRAGMA cache_size = -{_CACHE}")
                    connection.execute("PRAGMA synchronous = NORMAL")

    @contextmanager
    def scratch(self) -> Iterator[str]:
        """Give a folder for images, on the file system of the index where there is one, and remove it afterwards."""
        import tempfile

        folder, beside = "", os.path.dirname(self.location)
        with suppress(OSError):  # there is no such folder yet, and it may be that none can be made
            if beside:
                make_folder(Path(beside))
                remove_scratch(beside)
                folder = tempfile.mkdtemp(prefix=SCRATCH, dir=beside)
        folder = folder or tempfile.mkdtemp(prefix=SCRATCH)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


class _RestartedError(Exception):
    """A copy began anew too often."""


class _Restarts:
    """Counts how often a copy of a database began anew because somebody changed it."""

    def __init__(self) -> None:
        self._left = -1
        self._times = 0

    def count(self, _: int, left: int, __: int) -> None:
        """Take in how many pages are left."""
        self._times += left > self._left >= 0
        self._left = left
        if self._times > _MOST_RESTARTS:
            raise _RestartedError


_ALIVE: WeakSet[Database] = WeakSet()
_held = threading.local()


def _before_fork() -> None:
    """Wait until no thread is inside SQLite, whose own locks a child would inherit locked."""
    _held.by_fork = sorted(_ALIVE, key=id)
    for database in _held.by_fork:
        database.lock.acquire()


def _after_fork() -> None:
    for database in _held.by_fork:
        database.lock.release()
    _held.by_fork = []


def _after_fork_in_child() -> None:
    for database in _held.by_fork:
        database.forget()
    _after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork_in_child)


def _keep_for_ever(connection: sqlite3.Connection) -> None:
    import ctypes

    ctypes.pythonapi.Py_IncRef(ctypes.py_object(connection))


def is_busy(error: sqlite3.Error) -> bool:
    """Tell whether the index is sound, and another process kept it for too long."""
    return getattr(error, "sqlite_errorcode", None) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def sound(path: str, known: int | None, data: bytes | None, *parts: bytes | None) -> bytes:
    """Return a stored document, if its checksum holds.

    Raises:
        DamagedError: it does not, or there is none.
    """
    if known != tables.checksum(path, data, *parts):
        raise DamagedError(f"the row of {path!r} is not what it was")
    if data is None:
        raise DamagedError(f"the row of {path!r} is not there")
    return data


def prepare(path: str, *, safe: bool = True) -> sqlite3.Connection:
    """Open a database, with the tables of this version."""
    connection = sqlite3.connect(path, timeout=BUSY, isolation_level=None, check_same_thread=False)
    try:
        connection.execute(f"PRAGMA synchronous = {'NORMAL' if safe else 'OFF'}")
        connection.execute(f"PRAGMA cache_size = -{_CACHE}")
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute("PRAGMA cell_size_check = ON")
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version != VERSION:
            tables.make(connection)
            _mark_first(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def _mark_first(connection: sqlite3.Connection, path: str) -> None:
    """Mark a file, and note in it if its file system keeps no such times."""
    _mark(path)
    if path != _MEMORY and _unmarked_for(path) is not None:
        connection.execute("INSERT OR REPLACE INTO meta VALUES ('unmarked', '1')")


def _mark(path: str) -> None:
    """Give a file a time of modification that no writing gives it, so that whatever else changes it shows."""
    if path and path != _MEMORY:
        now = int(time.time()) // _MARK * _MARK
        with suppress(OSError):
            os.utime(path, (now, now))


def _unmarked_for(path: str) -> float | None:
    """Return the seconds since a file was changed and not marked; None if it was, or is not there."""
    try:
        at = os.stat(path).st_mtime_ns
    except OSError:
        return None  # another process has deleted it, or has not come to make it yet
    return time.time() - at / 1e9 if at % (_MARK * 10**9) else None


def _status_now(queued: Mapping[str, Queued], path: str, status: str, attempts: int, cancels: int) -> str:
    """Return the status of a run of which an index knows another one by its attempts; a function of SQL."""
    one = queued.get(path)
    return RunStatus.QUEUED.value if one is not None and one.holds(status, attempts, cancels) else status
