"""Syncing edits. A name that was given up is no edit, and no conflict: the edit gets the next one, as from its author."""

from __future__ import annotations

from hashlib import sha256

from molexp._record.fences import VOID
from molexp._storage.progress import NOTHING
from molexp._sync.copying import Copier, Outcome
from molexp.contracts import Stat
from molexp.errors import KeyExistsError, KeyNotFoundError


def bring_edit(copier: Copier, entry: Stat) -> None:
    """See to it that the destination has one of the source's edits."""
    there = copier.destination.entries.get(entry.key)
    if entry.size == len(VOID) and copier.read(entry.key) == VOID:
        copier.note_same(entry, there.version if there is not None else NOTHING)
    elif copier.bring(entry, whole=True) is Outcome.GIVEN_UP:
        place_edit(copier, entry.key, copier.read(entry.key))
        copier.note_same(entry, copier.destination.store.stat(entry.key).version)


def place_edit(copier: Copier, key: str, data: bytes) -> None:
    """Create an edit at the destination: under its name, or the first one after it that nobody has given up.

    That follows from its bytes, so that whoever brings it again finds it.
    """
    store, at, number = copier.destination.store, key, 0
    while not copier.dry_run:
        try:
            if store.read(at) != VOID:
                return
        except KeyNotFoundError:
            copier.announce([at])
            try:
                store.create(at, data)
            except KeyExistsError:
                continue
            copier.wrote(at)
            copier.ledger.count(len(data))
            return
        number += 1
        at = f"{key.removesuffix('.json')}_{number:09d}-{sha256(data).hexdigest()[:8]}.json"
