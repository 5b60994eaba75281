"""Flushing to disk, in order: contents before names, and a document no later than what relies on it.

A document is flushed by whoever makes it, before the call returns. Who *finds* one cannot know whether its maker came to
that, so each process flushes what it relies on once, together with the first thing of its own that does: the documents of
the workspace, the project and the experiment, say, with the first end of a run in it.

A run that is made alone is nearly always started next. It is flushed with the end of its attempt, or, if nobody starts it
here, before the next thing that is flushed, and when the process ends.
"""

from __future__ import annotations

import atexit
import os
from collections.abc import Hashable, Iterable
from contextlib import suppress
from itertools import filterfalse
from typing import TYPE_CHECKING

from molexp._storage import layout
from molexp.errors import StoreError

if TYPE_CHECKING:
    from molexp.contracts import Store

_REMEMBERED = 4096  # documents that are known to be on the disk


class Flushed:
    """The keys of one workspace that a process knows to be on disk, and those that it flushes when it ends at the latest."""

    def __init__(self) -> None:
        self.known: set[Hashable] = set()
        self.waiting: dict[str, Store] = {}  # definitions of runs that nobody has started yet
        self._pid = os.getpid()
        atexit.register(self._leave)

    def forget(self) -> None:
        """Forget what was flushed, because another workspace lies there than before."""
        self.known.clear()
        self.waiting.clear()

    def _leave(self) -> None:
        if self._pid == os.getpid():
            for store in {id(store): store for store in self.waiting.values()}.values():
                with suppress(StoreError):  # there is nobody to tell
                    Flushing(store, self).made()


class Flushing:
    """Flushes what one process makes in one workspace.

    Args:
        store: the workspace's.
        flushed: the keys that were flushed there before.

    Attributes:
        known: those keys, and what callers have put beside them to stand for several.
    """

    __slots__ = ("_flushed", "_store", "known")

    def __init__(self, store: Store, flushed: Flushed) -> None:
        self._store = store
        self._flushed = flushed
        self.known = flushed.known

    def made(self, *made: str, relies_on: Iterable[str] = ()) -> None:
        """Let the keys `made` survive a power loss, and what was not flushed before of what they rely on.

        Args:
            made: keys.
            relies_on: keys.

        Raises:
            StoreError: they are there, but a power loss may undo that.
        """
        if self._store.durability != "end":
            return
        known, waiting = self.known, self._flushed.waiting
        due = [*waiting, *filterfalse(known.__contains__, relies_on)]
        self._store.sync(dict.fromkeys((*made, *due)))
        if len(known) > _REMEMBERED:
            known.clear()
        known.update(due)
        if waiting:
            for key in due:
                waiting.pop(key, None)

    def defined(self, key: str, *, relies_on: Iterable[str] = ()) -> None:
        """Note the same of a document on which more will rely."""
        self.made(key, relies_on=relies_on)
        self.known.add(key)

    def later(self, key: str) -> None:
        """Note a run that was made alone: its definition is flushed with whatever comes next."""
        if self._store.durability != "end":
            return
        if self._flushed.waiting:
            self.made()
        self._flushed.waiting[key] = self._store


def above(path: str) -> list[str]:
    """Return the keys of the documents of all entities that the entity at `path` lies in."""
    parts = path.split("/") if path else []
    return [layout.document("/".join(parts[:depth])) for depth in range(len(parts))]
