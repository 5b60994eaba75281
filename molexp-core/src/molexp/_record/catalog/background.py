"""Compaction in the background of ordinary use: after an answer, in a thread of its own, never in the way of one."""

from __future__ import annotations

import atexit
import sqlite3
import threading
import weakref
from typing import TYPE_CHECKING

from molexp.errors import MolexpError

if TYPE_CHECKING:
    from molexp._record.catalog.compacting import Compactor
    from molexp._record.home import Home

MANY = 16
"""Journals, or rows that no snapshot has, below which there is nothing to think about."""


class Background:
    """Compacts one opened workspace when there is enough to do, one time after the other."""

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None
        self._refused = False  # it failed once here: somebody else may be able to

    def wait(self) -> None:
        """Until what goes on is done."""
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join()
            self._thread = None

    def start_if_due(self, home: Home) -> None:
        """Begin, if there is enough to do."""
        if self._refused or self._thread is not None or home.read_only:
            return
        (counts,) = home.index.select(
            "SELECT (SELECT count(*) FROM journals), (SELECT count(*) FROM entities WHERE news > 0)"
        )
        if max(counts) < MANY:
            return
        from molexp._record.catalog.compacting import Compactor

        compactor = Compactor(home, home.index)
        if not compactor.is_due():
            return
        if not _registered:
            _registered.append(atexit.register(_finish))
        _alive.add(self)
        self._thread = threading.Thread(target=self._work, args=[compactor], name="molexp-compaction", daemon=True)
        try:
            self._thread.start()
        except RuntimeError:  # the interpreter is going down, or there are too many threads
            self._thread = None

    def _work(self, compactor: Compactor) -> None:
        try:
            compactor.compact()
        except (MolexpError, OSError, sqlite3.Error):  # nothing depends on it
            self._refused = True


_alive: weakref.WeakSet[Background] = weakref.WeakSet()
_registered: list[object] = []


def _finish() -> None:
    """Before the process ends: what was begun is of use to everybody."""
    try:
        for one in list(_alive):
            one.wait()
    except KeyboardInterrupt:  # whoever does not want to wait need not: others go on with what is left
        return
