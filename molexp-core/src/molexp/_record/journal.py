"""A writer's journal: what it is about to create, said before it does so that every reader's catalog finds it.

A hint is settled when the key that it names is there. The protocol and its reasons: `docs/explanation/catalog.md`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

import attrs

from molexp._record import keys
from molexp._values.documents import decode_lines, encode_line
from molexp._values.ids import new_token
from molexp.contracts import Store, check_key
from molexp.errors import KeyMovedError, KeyNotFoundError, StoreError

SCHEMA = 1


@attrs.frozen
class Hints:
    """What a part of a journal says.

    Attributes:
        announced: keys that may have been created since.
        withdrawn: keys that were announced as a guess, and will not be created after all; what was done is done.
        end: the byte up to which the journal was read.
    """

    announced: frozenset[str]
    withdrawn: frozenset[str]
    end: int


class Journal:
    """The journal of one process in one workspace.

    With ``append`` it is one file of lines. Without, each hint is an empty object whose key ends in the key that it
    announces, so that a listing reads them all.

    Args:
        store: the workspace's.
        lost: called when the journal is not where it was.
    """

    def __init__(self, store: Store, lost: Callable[[], None]) -> None:
        self._store = store
        self._lost = lost
        self._lock = threading.RLock()  # a signal's handler may start or annotate a run
        self._key = ""
        self._count = 0
        self._token = ""
        self._guess = ""  # an end that was announced when its run was created, before anybody has started it

    def announce(self, *effects: str) -> None:
        """Say that the keys `effects` are about to be created; returns when readers can know."""
        if "append" in self._store.capabilities:
            with self._lock:
                if effects == (self._guess,):
                    self._guess = ""
                    return
                self._append(encode_line({"keys": effects}))
        else:
            with self._lock:
                self._token = self._token or new_token()
                start = self._count
                self._count += len(effects)
            for number, effect in enumerate(effects, start):
                self._store.write(f"{keys.HINTS}/{self._token}/{number}/{effect}", b"")

    def announce_run(self, definition: str, end: str) -> None:
        """Say that a run is about to be created, by the end of its first attempt: most runs are started next.

        So one hint covers both. If another run is created first, the guess was wrong and is withdrawn with the next
        hint: by then the run is there, and whoever starts it announces the end again.
        """
        if "append" not in self._store.capabilities:
            self.announce(definition)
            return
        with self._lock:
            line = {"keys": (end,), "withdrawn": (self._guess,)} if self._guess else {"keys": (end,)}
            self._guess = ""
            self._append(encode_line(line))
            self._guess = end

    def _append(self, line: bytes) -> None:
        if self._key:
            try:
                return self._store.append(self._key, line)
            except (KeyMovedError, KeyNotFoundError):
                # Sealed by a compactor, or `.molexp` was deleted: what it holds of ours may be unread.
                self._lost()  # or the whole workspace was
            except StoreError:
                self._key = ""  # part of the line may be there, which would spoil the next one
                raise
        key = f"{keys.JOURNALS}/{new_token()}.jsonl"
        self._store.create(key, encode_line({"schema": SCHEMA, "type": "journal"}) + line)
        self._key = key
        return None


def hints_of(store: Store, journal: str, start: int) -> Hints:
    """What `journal` says from byte `start` on.

    Raises:
        KeyNotFoundError: it is gone.
    """
    lines, length, _ = decode_lines(store.read(journal, start), journal)
    announced: set[str] = set()
    withdrawn: set[str] = set()
    for line in lines:
        wrong = _keys(line, "withdrawn")
        withdrawn |= wrong
        announced -= wrong
        said = _keys(line, "keys")
        announced |= said
        withdrawn -= said
    return Hints(frozenset(announced), frozenset(withdrawn), start + length)


def hint_of(key: str) -> str:
    """The key that a hint's own key, on storage without append, announces; "" for a foreign one."""
    parts = key.removeprefix(keys.HINTS + "/").split("/", 2)
    return parts[2] if len(parts) == 3 and _is_key(parts[2]) else ""


def _keys(line: Mapping[str, Any], name: str) -> set[str]:
    found = line.get(name)
    return {key for key in found if _is_key(key)} if isinstance(found, list) else set()


def _is_key(key: Any) -> bool:
    try:
        return isinstance(key, str) and bool(check_key(key))
    except ValueError:
        return False
