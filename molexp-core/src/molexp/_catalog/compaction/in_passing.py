"""Compaction in the background of ordinary use, after a question was answered."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from molexp._values.background import Background

if TYPE_CHECKING:
    from molexp._catalog.compaction.compaction import Compactor
    from molexp._catalog.index.index import Index
    from molexp._recording.session import RecordingSession

MANY = 16
"""Journals, or rows that no snapshot has, below which there is nothing to think about."""

_NAME = "molexp-compaction"


class AutoCompaction:
    """Compacts one opened workspace when there is enough to do, one time after the other."""

    def __init__(self, background: Background) -> None:
        self._background = background
        self._refused = False  # it failed once here: somebody else may be able to

    def start_if_due(self, session: RecordingSession, index: Index) -> None:
        """Begin, if there is enough to do."""
        if self._refused or self._background.has(_NAME):
            return
        (counts,) = index.select(
            "SELECT (SELECT count(*) FROM journals), (SELECT count(*) FROM entities WHERE news > 0)"
        )
        if max(counts) < MANY:
            return
        from molexp._catalog.compaction.compaction import Compactor

        compactor = Compactor(session, index)
        if compactor.is_due():
            self._background.start(_NAME, partial(self._work, compactor))

    def _work(self, compactor: Compactor) -> None:
        try:
            compactor.compact()
        except Exception:  # noqa: BLE001 - nothing depends on it, whatever a stranger's store may raise at exit
            self._refused = True
