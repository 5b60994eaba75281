"""What is done in the background of ordinary use, in threads of their own, never in the way of an answer.

Compaction, and bringing into the store what dead writers of this machine left in their spools.
"""

from __future__ import annotations

import atexit
import threading
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from molexp._values.threads import start_unsignalled

if TYPE_CHECKING:
    from molexp._catalog.compaction.compaction import Compactor
    from molexp._hierarchy.session import Home

MANY = 16
"""Journals, or rows that no snapshot has, below which there is nothing to think about."""


class Background:
    """Works for one opened workspace: compacts when there is enough to do, one time after the other; drains once."""

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None
        self._draining: threading.Thread | None = None
        self._drained = False
        self._refused = False  # it failed once here: somebody else may be able to

    def wait(self) -> None:
        """Until what goes on is done."""
        for thread in (self._thread, self._draining):
            if thread is not None and thread is not threading.current_thread():
                thread.join()
        self._thread = self._draining = None

    def drain(self, home: Home) -> None:
        """Bring what dead writers left into the store, and end what they were at, where there are spools."""
        if home.read_only or "append" in home.store.capabilities:
            return
        from molexp._storage.spool.locations import spools_of

        if not self._drained and spools_of(home.store.url):
            self._drained = True
            self._draining = self._start(_drain, home, "molexp-draining")

    def _start(self, work: Callable[[Any], None], what: object, name: str) -> threading.Thread | None:
        if not _registered:
            _registered.append(atexit.register(_finish))
        _alive.add(self)
        thread = threading.Thread(target=work, args=[what], name=name, daemon=True)
        try:
            start_unsignalled(thread)
        except RuntimeError:  # the interpreter is going down, or there are too many threads
            return None
        return thread

    def start_if_due(self, home: Home) -> None:
        """Begin, if there is enough to do."""
        self.drain(home)
        if self._refused or self._thread is not None or home.read_only:
            return
        (counts,) = home.index.select(
            "SELECT (SELECT count(*) FROM journals), (SELECT count(*) FROM entities WHERE news > 0)"
        )
        if max(counts) < MANY:
            return
        from molexp._catalog.compaction.compaction import Compactor

        compactor = Compactor(home, home.index)
        if not compactor.is_due():
            return
        self._thread = self._start(self._work, compactor, "molexp-compaction")

    def _work(self, compactor: Compactor) -> None:
        try:
            compactor.compact()
        except Exception:  # noqa: BLE001 - nothing depends on it, whatever a stranger's store may raise at exit
            self._refused = True


def _drain(home: Home) -> None:
    from molexp._record.attempts import read_attempt
    from molexp._record.spool_draining import drain
    from molexp._storage import layout

    try:
        for run, number in drain(home.store, home.process.owner).brought:
            home.observer.settle(run, read_attempt(home.store, layout.folder(run), number))
    except Exception:  # noqa: BLE001, S110 - the next process tries again
        pass


_alive: weakref.WeakSet[Background] = weakref.WeakSet()
_registered: list[object] = []


def _finish() -> None:
    """Before the process ends: what was begun is of use to everybody."""
    try:
        for one in list(_alive):
            one.wait()
    except KeyboardInterrupt:  # whoever does not want to wait need not: others go on with what is left
        return
