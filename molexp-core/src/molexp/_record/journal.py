"""A writer's journal: what it is about to create, said before it does so that every reader's catalog finds it.

A hint is settled when the key that it names is there. The protocol and its reasons: `docs/explanation/catalog.md`.
"""

from __future__ import annotations

import atexit
import os
import threading
import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any

from molexp._record.sealing import seal_file
from molexp._storage import layout, schemas
from molexp._values.documents import encode_line
from molexp._values.times import new_token
from molexp.contracts import Store
from molexp.errors import KeyExistsError, KeyMovedError, KeyNotFoundError, MolexpError, StoreError

_AT_ONCE = 500  # keys of one line


class Journal(ABC):
    """The journal of one process in one workspace.

    With ``append`` it is one file of lines. Without, each hint is an object of its own, numbered and created
    exclusively. Either can be *sealed* by a compactor: the file is renamed, or the object with the next number is
    created. The writer notices with its next hint, and says that again in a new journal, before it changes anything.

    Args:
        store: the workspace's.
        owner: the identity of this process, as claims spell it.
        lost: called when the journal is not where it was.
    """

    def __init__(self, store: Store, owner: Mapping[str, Any], lost: Callable[[], None]) -> None:
        self._store = store
        self._heading = encode_line({"schema": schemas.JOURNAL, "type": "journal", "owner": owner})
        self._lost = lost
        self._lock = threading.RLock()  # a signal's handler may start or annotate a run
        self._guesses: dict[str, None] = {}  # ends that were announced with their runs, before anybody starts one
        self._pid = os.getpid()
        atexit.register(_retire, weakref.ref(self))

    def announce(self, *effects: str) -> None:
        """Say that the keys `effects` are about to be created; returns when readers can know."""
        with self._lock:
            if len(effects) == 1 and effects[0] in self._guesses:
                del self._guesses[effects[0]]
                return
            for start in range(0, len(effects), _AT_ONCE):
                self._say({"keys": effects[start : start + _AT_ONCE]})

    def announce_run(self, end: str) -> None:
        """Say that a run is about to be created, by the end of its first attempt: most runs are started next.

        So one hint covers both. Call `expect` once the run is there.
        """
        with self._lock:
            line = {"keys": (end,), "withdrawn": [*self._guesses]} if self._guesses else {"keys": (end,)}
            self._guesses.clear()
            self._say(line)

    def expect(self, end: str) -> None:
        """Note that the run is there whose first end was announced, so that the hint is only a guess from now on.

        If another run is created before this one is started, the guess is withdrawn with the next hint, and whoever starts
        the run announces its end again. While nobody knows whether the run is there, the hint stays: its creation may
        still take effect, long after the storage did not answer.
        """
        self._guesses[end] = None

    def retire(self) -> None:
        """Say that this process is done here: compactors need not find out. Does nothing in a forked child."""
        if self._pid != os.getpid():
            return
        with self._lock, suppress(MolexpError):  # whoever compacts finds out
            if self._guesses:
                self._say({"withdrawn": [*self._guesses]})
                self._guesses.clear()
            self._close()

    @abstractmethod
    def _say(self, hint: Mapping[str, Iterable[str]]) -> None:
        """Append a line; return when every reader can know it."""

    @abstractmethod
    def _close(self) -> None:
        """Say that there will be no further line."""


def open_journal(store: Store, owner: Mapping[str, Any], lost: Callable[[], None]) -> Journal:
    """Return the journal of this process in the workspace on `store`; see `Journal`."""
    return (FileJournal if "append" in store.capabilities else ObjectJournal)(store, owner, lost)


def _retire(journal: weakref.ref[Journal]) -> None:
    if (found := journal()) is not None:
        found.retire()


class FileJournal(Journal):
    """A journal that grows."""

    _key = ""

    def _say(self, hint: Mapping[str, Iterable[str]]) -> None:
        line = encode_line(hint)
        if self._key:
            try:
                return self._store.append(self._key, line)
            except (KeyMovedError, KeyNotFoundError):
                # Sealed by a compactor, or `.molexp` was deleted: what it holds of ours may be unread.
                self._lost()  # or the whole workspace was
            except StoreError:
                self._key = ""  # part of the line may be there, which would spoil the next one
                raise
        key = f"{layout.JOURNALS}/{new_token()}.jsonl"
        self._store.create(key, self._heading + line)
        self._key = key
        return None

    def _close(self) -> None:
        if self._key:
            seal(self._store, self._key)
            self._key = ""


class ObjectJournal(Journal):
    """A journal of numbered objects."""

    _token = ""
    _count = 0

    def _say(self, hint: Mapping[str, Iterable[str]]) -> None:
        line = encode_line(hint)
        while True:
            if not self._token:
                self._token, self._count = new_token(), 0
            number = self._count + 1
            try:
                self._store.create(_object(self._token, number), line if self._count else self._heading + line)
            except KeyExistsError:  # sealed by a compactor
                self._token = ""
                self._lost()
                continue
            except StoreError:
                self._token = ""  # it may be there or not
                raise
            self._count = number
            if number == 1 or self._store.exists(_object(self._token, number - 1)):
                return
            self._token = ""  # all of it was compacted, the seal too, before this object came to be
            self._lost()

    def _close(self) -> None:
        """Do nothing: an object is settled or not, whoever it is from."""


def _object(token: str, number: int) -> str:
    return layout.segment_key(f"{layout.JOURNALS}/{token}", number)


def seal(store: Store, key: str, *, last: int = 0) -> bool:
    """Make sure that nothing is added to a journal any more; its writer goes on in a new one.

    Args:
        store: the workspace's.
        key: a journal that grows, or any object of one that is numbered.
        last: the highest number of such objects.

    Returns:
        Whether it is sealed now; its writer may have been faster.
    """
    name = key.rpartition("/")[2]
    if not layout.is_journal_object(name):
        if "append" not in store.capabilities:
            return True  # it came with a copy: nothing can grow here
        return seal_file(store, key)
    heading = encode_line({"schema": schemas.JOURNAL, "type": "sealed", "token": new_token()})
    try:
        store.create(_object(layout.writer_of_journal(name), last + 1), heading)
    except KeyExistsError:
        return False
    return True
