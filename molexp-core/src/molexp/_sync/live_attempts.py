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

from molexp._record.document_types import VOID
from molexp._record.folding import AttemptFacts
from molexp._storage import layout, schemas
from molexp._storage.layout import copy_keys
from molexp._sync.attempts import Attempt, Way, digest_of, document_at, grow, is_claim, reservation_of
from molexp._sync.copying import SMALL, guard
from molexp._values.documents import count, encode_pretty
from molexp.contracts import Stat


class LiveCopy:
    """One attempt that goes on.

    Args:
        attempt: the attempt.
        facts: The result of folding the source's record.
        as_of: when that was begun.
    """

    def __init__(self, attempt: Attempt, facts: AttemptFacts, as_of: str) -> None:
        self.attempt = attempt
        self.wanted = False
        self._copier = attempt.copier
        self._facts = facts
        self._copier.live[attempt.run] = facts
        self._as_of = facts.as_of or as_of
        self._whole = True  # all that its events name was brought
        self._doc, self._events = copy_keys(attempt.folder, attempt.number)
        self._there = {} if attempt.claim is None else self._copier.source.look_again(attempt.folder)
        if attempt.claim is not None and attempt.end_key not in self._copier.destination.entries:
            self._decide(attempt.head())

    def _decide(self, head: bytes) -> None:
        """Decide if the destination is to have it: it has nothing of it, or a copy."""
        attempt, copied = self.attempt, bool(self._facts.as_of)
        if not copied and not is_claim(head):
            return
        attempt.way = Way.PUBLISH
        attempt.reservation = head if copied else reservation_of(head)
        theirs = attempt.their_head() if attempt.claim_key in self._copier.destination.entries else VOID
        attempt.at_origin = copied and theirs != VOID and reservation_of(theirs) == head
        self.wanted = theirs in (attempt.reservation, VOID) and (copied or len(head) > len(attempt.reservation))

    def announced(self) -> list[str]:
        """Return the keys that tell readers of something to see."""
        return [self._doc] if self.wanted and self._doc not in self._copier.destination.entries else []

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
        if record.get("size") is None or not recorded or record.get("grown") is not None:
            good = guard(self._copier, entry.key, partial(grow, self._copier, entry, entry.size, entry.key))
            there = self._copier.destination.entries.get(entry.key)
            if good and there is not None and there.size < count(record.get("grown")):
                good = False  # a large one that is not sent again for every item
        else:
            good = self._copier.bring(entry, recorded=recorded, replace=True, passing=True).good
        if not good:
            self._whole = False  # it is being replaced: the next sync brings what it became

    # -------------------------------------------------------------------------------------------------------------- events

    def show(self, known: Callable[[Stat], bool]) -> None:
        """Write its events, and as of when they are; write nothing if a file that they name is not there."""
        if not self.wanted or not self._whole:
            return
        copier, store = self._copier, self._copier.destination.store
        folded = dict(self._facts.head.get("folded") or {})
        own = folded.pop(layout.claim_name(self.attempt.number), 0)
        for name, length in sorted(folded.items()):
            self._events_of(name, count(length), known)
        mine = self._events if self._facts.as_of else self.attempt.claim_key
        if (entry := copier.source.entries.get(mine)) is not None:
            grow(copier, entry, own, self._events)
        document = {"schema": schemas.ATTEMPT, "type": "copy", "attempt": self.attempt.number, "as_of": self._as_of}
        if own <= SMALL and not store.slow and not copier.dry_run:
            document["events"] = digest_of(store, self._events)  # so that they need not come again
        if not (self._facts.as_of and str(document_at(store, self._doc).get("as_of") or "") >= self._as_of):
            copier.put(self._doc, encode_pretty(document))

    def _events_of(self, name: str, length: int, known: Callable[[Stat], bool]) -> None:
        """Bring the events so far of another writer, or of one that writes segments."""
        if ".s/" in name:
            for number in range(length):
                entry = self._there.get(layout.segment_key(f"{layout.EXECUTIONS}/{name}", number))
                if entry is not None and not known(entry):
                    self._copier.bring(entry)
        elif (entry := self._there.get(f"{layout.EXECUTIONS}/{name}")) is not None:
            grow(self._copier, entry, length, entry.key)
