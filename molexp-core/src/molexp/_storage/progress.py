"""The memory of earlier syncs of the same two places: files that were the same are not read again.

A file in the user's cache folder, beside the indexes; it can be deleted at any time, and is never needed.
"""

from __future__ import annotations

import os
import platform
import sqlite3
import threading
from collections.abc import Iterable
from contextlib import suppress
from hashlib import sha256

from molexp._storage.cache_folder import make_room
from molexp._storage.private_files import make_file
from molexp._values.cache_place import cache_folder

NOTHING = "-"
"""Stands for the version of what the destination need not have."""

_LAST = "\U0010ffff"  # comes after whatever a key can go on with
_BUSY = 20.0  # seconds to wait for another sync of this user; what is not remembered is compared once more


class Seen:
    """Pairs of versions, source's and destination's, by key.

    Args:
        source: id and URL of the workspace that is read.
        destination: id and URL of the one that is written to.
    """

    def __init__(self, source: tuple[str, str], destination: tuple[str, str]) -> None:
        self._lock = threading.Lock()
        self._path = ""
        lasting = not any(url.startswith("memory:") for _, url in (source, destination))
        if lasting and (folder := cache_folder()):
            name = sha256("\n".join((*source, *destination)).encode()).hexdigest()[:32]
            self._path = os.path.join(folder, platform.node() or "host", f"sync-{name}.sqlite3")
        self._connection = self._open()

    def _open(self) -> sqlite3.Connection:
        for _ in range(2 if self._path else 0):
            try:
                new = not os.path.exists(self._path)
                make_file(self._path)
                if new:
                    make_room(self._path)
                return _prepare(self._path)
            except (OSError, sqlite3.OperationalError):
                break  # it cannot be written there
            except sqlite3.DatabaseError:
                with suppress(OSError):
                    os.unlink(self._path)
        return _prepare(":memory:")

    def of(self, prefix: str, besides: str = "") -> dict[str, tuple[str, str]]:
        """Return what is known of the keys that begin with `prefix`, but of none that begins with `besides`."""
        sql = "SELECT key, source, destination FROM seen WHERE key >= ? AND key < ?"
        bounds = [prefix, prefix + _LAST]
        if besides:
            sql = f"{sql} UNION ALL {sql}"
            bounds = [prefix, besides, besides + _LAST, prefix + _LAST]
        with self._lock:
            try:
                found = self._connection.execute(sql, bounds).fetchall()
            except sqlite3.DatabaseError:
                return {}  # damaged: everything is looked at again
        return {key: (source, destination) for key, source, destination in found}

    def get(self, key: str) -> tuple[str, str]:
        """Return what is known of one key; twice "" if nothing is."""
        with self._lock:
            try:
                found = self._connection.execute(
                    "SELECT source, destination FROM seen WHERE key = ?", (key,)
                ).fetchone()
            except sqlite3.DatabaseError:
                found = None
        return found or ("", "")

    def forget(self) -> None:
        """Forget everything."""
        with self._lock, suppress(sqlite3.DatabaseError):
            self._connection.execute("DELETE FROM seen")

    def note(self, pairs: Iterable[tuple[str, str, str]]) -> None:
        """Remember keys with the versions that are the same."""
        with self._lock, suppress(sqlite3.DatabaseError):  # without it, it is compared once more
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                self._connection.executemany("INSERT OR REPLACE INTO seen VALUES (?, ?, ?)", pairs)
                self._connection.execute("COMMIT")
            except sqlite3.DatabaseError:
                self._connection.rollback()
                raise

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()


def _prepare(path: str) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=_BUSY, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute(
            "CREATE TABLE IF NOT EXISTS seen (key TEXT PRIMARY KEY, source TEXT, destination TEXT) WITHOUT ROWID"
        )
    except BaseException:
        connection.close()
        raise
    return connection
