"""A writer's journal: what it is about to create, said before it does so that every reader's catalog finds it.

A hint is settled when the key that it names is there. The protocol and its reasons: `docs/explanation/catalog.md`.
"""

from __future__ import annotations

import threading

from molexp._record import keys
from molexp._values.documents import encode_line
from molexp._values.ids import new_token
from molexp.contracts import Store
from molexp.errors import KeyMovedError, KeyNotFoundError

SCHEMA = 1


class Journal:
    """The journal of one process in one workspace.

    With ``append`` it is one file of lines. Without, each hint is an empty object whose key ends in the key that it
    announces, so that a listing reads them all.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._key = ""
        self._count = 0
        self._token = ""

    def announce(self, *effects: str) -> None:
        """Say that the keys `effects` are about to be created; returns when readers can know."""
        if "append" in self._store.capabilities:
            line = encode_line({"keys": effects})
            with self._lock:
                self._append(line)
        else:
            with self._lock:
                self._token = self._token or new_token()
                start = self._count
                self._count += len(effects)
            for number, effect in enumerate(effects, start):
                self._store.write(f"{keys.HINTS}/{self._token}/{number}/{effect}", b"")

    def _append(self, line: bytes) -> None:
        if self._key:
            try:
                return self._store.append(self._key, line)
            except (KeyMovedError, KeyNotFoundError):
                pass  # sealed by a compactor, or `.molexp` was deleted: what it holds of ours may be unread
        key = f"{keys.JOURNALS}/{new_token()}.jsonl"
        self._store.create(key, encode_line({"schema": SCHEMA, "type": "journal"}) + line)
        self._key = key
        return None


def hints_of(store: Store, journal: str, start: int) -> tuple[list[str], int]:
    """The keys announced in `journal` from byte `start` on, and the byte up to which it was read."""
    from molexp._values.documents import decode_lines

    lines, length, _ = decode_lines(store.read(journal, start), journal)
    announced = [
        key
        for line in lines
        if isinstance(found := line.get("keys"), list)
        for key in found
        if isinstance(key, str) and key
    ]
    return announced, start + length
