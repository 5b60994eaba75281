"""An attempt that goes on at the source, as it is: what it has recorded so far, and as of when.

Its number is reserved at the destination, as that of every attempt that comes. Beside the reservation lie the claim and the
events so far, and a document that says as of when: whoever reads these knows that it goes on elsewhere, and nobody takes
its owner for dead. When the end comes, both give way to it (`attempts`).

What is brought is what one reading of the source added up to, events first and payloads afterwards: what an event names is
there before the event is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from molexp._record.fences import VOID
from molexp._record.folding import AttemptFacts
from molexp._storage import layout, schemas
from molexp._storage.layout import copy_keys
from molexp._sync.attempts import Attempt, Way, digest_of, first_line, is_claim, reservation_of
from molexp._sync.copying import SMALL, Copier
from molexp._sync.growing_files import grow
from molexp._values.documents import decode_object, encode_pretty
from molexp._values.numbers import count
from molexp.contracts import Stat
from molexp.errors import CorruptRecordError, KeyNotFoundError


class LiveCopy:
    """One attempt that goes on.

    Args:
        copier: copies files.
        attempt: the attempt.
        facts: The result of folding the source's record.
        as_of: when that was begun.
    """

    def __init__(self, copier: Copier, attempt: Attempt, facts: AttemptFacts, as_of: str) -> None:
        self.attempt = attempt
        self.wanted = False
        self._copier = copier
        self._facts = facts
        copier.live[attempt.run] = facts
        self._as_of = facts.as_of or as_of
        self._whole = True  # all that its events name was brought
        self._doc, self._events = copy_keys(attempt.folder, attempt.number)
        self._there = {} if attempt.claim is None else copier.source.look_again(attempt.folder)
        if attempt.claim is not None:
            self._decide()

    def _decide(self) -> None:
        """Decide if the destination is to have it: it has nothing of it, or a copy."""
        attempt, destination = self.attempt, self._copier.destination
        head = first_line(self._copier.source.store, attempt.claim_key)
        if attempt.end_key in destination.entries or not (self._facts.as_of or is_claim(head, attempt.claim_key)):
            return
        attempt.reservation = head if self._facts.as_of else reservation_of(head)
        theirs = first_line(destination.store, attempt.claim_key) if attempt.claim_key in destination.entries else VOID
        attempt.at_origin = bool(self._facts.as_of) and theirs != VOID and attempt.is_at_origin(self._copier, head)
        self.wanted = theirs in (attempt.reservation, VOID) and (
            bool(self._facts.as_of) or len(head) > len(attempt.reservation)
        )
        attempt.way = Way.PUBLISH

    @property
    def announced(self) -> list[str]:
        """The keys that tell readers of something to see."""
        return [] if self._doc in self._copier.destination.entries else [self._doc]

    # ------------------------------------------------------------------------------------------------------------ payloads

    def jobs(self, known: Callable[[Stat], bool]) -> Iterator[Callable[[], None]]:
        """Yield a job for everything that its events name."""
        records = self._facts.contents.assets
        prefix = f"{self.attempt.folder}/"
        for rest, entry in self._there.items():
            at = prefix + rest
            while at and at not in records:  # a record of a folder names all that is in it
                at = at.rpartition("/")[0]
            if at and not known(entry):
                yield partial(self._payload, entry, records[at], exact=at == entry.key)

    def _payload(self, entry: Stat, record: dict[str, Any], *, exact: bool) -> None:
        recorded = str(record.get("content_hash") or "") if exact else ""
        if record.get("size") is None or not recorded:
            grow(self._copier, entry, entry.size, entry.key)
        elif not self._copier.bring(entry, recorded=recorded, replace=True, passing=True).good:
            self._whole = False  # it is being replaced: the next sync brings what it became

    # -------------------------------------------------------------------------------------------------------------- events

    def show(self, known: Callable[[Stat], bool]) -> None:
        """Write its events, and as of when they are; write nothing if a file that they name is not there."""
        copier = self._copier
        if not self._whole:
            return
        folded = dict(self._facts.head.get("folded") or {})
        own = folded.pop(layout.claim_name(self.attempt.number), 0)
        for name, length in sorted(folded.items()):
            self._events_of(name, count(length), known)
        mine = copy_keys(self.attempt.folder, self.attempt.number)[1] if self._facts.as_of else self.attempt.claim_key
        if (entry := copier.source.entries.get(mine)) is not None:
            grow(copier, entry, own, self._events)
        document = {"schema": schemas.ATTEMPT, "type": "copy", "attempt": self.attempt.number, "as_of": self._as_of}
        if own <= SMALL and not copier.destination.store.slow and not copier.dry_run:
            document["events"] = digest_of(copier.destination.store, self._events)  # so that they need not come again
        if not copier.dry_run and not (self._facts.as_of and _as_of(copier, self._doc) >= self._as_of):
            copier.destination.store.write(self._doc, encode_pretty(document))
            copier.wrote(self._doc)

    def _events_of(self, name: str, length: int, known: Callable[[Stat], bool]) -> None:
        """Bring the events so far of another writer, or of one that writes segments."""
        if ".s/" in name:
            for number in range(length):
                entry = self._there.get(layout.segment_key(f"{layout.EXECUTIONS}/{name}", number))
                if entry is not None and not known(entry):
                    self._copier.bring(entry)
        elif (entry := self._there.get(f"{layout.EXECUTIONS}/{name}")) is not None:
            grow(self._copier, entry, length, entry.key)


def _as_of(copier: Copier, key: str) -> str:
    """Return what a copy says of when it was made; "" if there is none."""
    try:
        return str(decode_object(copier.destination.store.read(key), key).get("as_of"))
    except (KeyNotFoundError, CorruptRecordError):
        return ""
