"""Syncing edits. A name that was given up is no edit, and no conflict: the edit gets the next one, as from its author."""

from __future__ import annotations

from contextlib import suppress
from hashlib import sha256

from molexp._record.document_types import VOID
from molexp._record.incomplete import is_torn, settled
from molexp._sync.copying import Copier, guard
from molexp.contracts import Stat
from molexp.errors import KeyExistsError, KeyNotFoundError


def bring_edit(copier: Copier, entry: Stat) -> None:
    """See to it that the destination has one of the source's edits, which was announced under its name."""

    def bring() -> None:
        data = copier.read(entry.key)
        if data == VOID:
            copier.note_same(entry)
        elif (found := place_edit(copier, entry.key, data, announced=True)) == data:
            copier.note_written(entry)
        else:
            what = f"the destination's {len(found)} bytes differ from the source's {len(data)}"
            copier.ledger.note("conflicts", entry.key, what)
        copier.ledger.advance(1, entry.size)

    guard(copier, entry.key, bring)


def place_edit(copier: Copier, key: str, data: bytes, *, announced: bool = False) -> bytes:
    """Create an edit at the destination: under its name, or the first one after it that nobody has given up.

    The name follows from its bytes, so that whoever brings it again finds it.

    Args:
        copier: writes it.
        key: its name.
        data: its bytes.
        announced: Readers were told of it under its name.

    Returns:
        The bytes of the edit that is there: others, if there was one of this name.
    """
    store, at, number = copier.destination.store, key, 0
    while True:
        try:
            if is_torn(found := settled(store, at)):
                copier.put(at, data)
                return data
            if found != VOID:
                return found
        except KeyNotFoundError:
            if not announced or number:
                copier.announce([at])
            with suppress(KeyExistsError):
                copier.put(at, data, new=True)
                copier.ledger.count(len(data))
                return data
            continue
        number += 1
        at = f"{key.removesuffix('.json')}_{number:09d}-{sha256(data).hexdigest()[:8]}.json"
