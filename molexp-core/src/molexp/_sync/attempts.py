"""One attempt at a run, as a sync sees it: whether it is to be brought, what must come first, and when it conflicts.

The destination must never show an attempt without an end that has one at the source: whoever looks would take its owner
for dead, and end it. So its number is *reserved* first, by a claim that reads as void: nobody else can take it, and there
is no attempt yet. Then come its payloads and events, then its end, which says all, and at last the claim's true bytes. What
reserves says for which claim, so that a sync that was killed is continued by the next one.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from enum import Enum
from hashlib import sha256
from typing import Any

import attrs

from molexp._record.attempts import named_in_end
from molexp._record.fences import VOID, is_void
from molexp._storage import key_patterns, layout, schemas
from molexp._storage.layout import claim_key, copy_keys, end_key, lease
from molexp._storage.progress import NOTHING
from molexp._sync.copying import Copier, Outcome
from molexp._sync.growing_files import grow
from molexp._values.documents import decode_lines, decode_object, encode_line
from molexp.contracts import Stat, Store
from molexp.errors import CorruptRecordError, KeyExistsError, KeyNotFoundError

_LINE = 1 << 16  # bytes of a claim that are read at once

FILES = re.compile(f"{layout.EXECUTIONS}/{key_patterns.ATTEMPT}")
COPIES = re.compile(f"{layout.EXECUTIONS}/{key_patterns.COPY}")
PARTS = re.compile(f"{layout.EXECUTIONS}/{key_patterns.PART}")
FIRST = re.compile(key_patterns.PAYLOAD)
_EVENTS = re.compile(f"{layout.EXECUTIONS}/{key_patterns.EVENTS}")


class Way(Enum):
    """The way in which an attempt is brought."""

    PUBLISH = "publish"  # the destination has nothing of it, or a reservation for it
    COMPLETE = "complete"  # it is there, and something may be missing, or have come late
    FINISH = "finish"  # it is there as it was before it ended
    CONFLICT = "conflict"
    LEAVE = "leave"


@attrs.define
class Attempt:
    """One attempt of the source's.

    Attributes:
        run: the run's path.
        folder: the run's folder.
        number: Its number.
        claim: its claim and events; None if that is lost.
        end: its end; None if that is lost.
        parts: all else of it.
    """

    run: str
    folder: str
    number: int
    claim: Stat | None = None
    end: Stat | None = None
    parts: list[Stat] = attrs.field(factory=list)
    way: Way = Way.LEAVE
    reservation: bytes = b""
    at_origin: bool = False
    """The source has a copy of it, and the destination has the attempt itself."""
    late: bool = False
    """More events came after its end than the destination has."""

    @property
    def claim_key(self) -> str:
        """The key of its claim."""
        return claim_key(self.folder, self.number)

    @property
    def end_key(self) -> str:
        """The key of its end."""
        return end_key(self.folder, self.number)

    def decide(self, copier: Copier, *, known: bool) -> Way:
        """Compare the two sides.

        Args:
            copier: copies files.
            known: Its claim and its end are known to be the same.
        """
        self.way = Way.COMPLETE if known else self._decide(copier)
        return self.way

    def _decide(self, copier: Copier) -> Way:
        there = copier.destination.entries
        head = first_line(copier.source.store, self.claim_key) if self.claim is not None else b""
        if self.claim is not None and self.claim.size and not head:
            raise KeyNotFoundError(self.claim_key, url=copier.source.store.url)  # the run is being freed
        self.reservation = reservation_of(head) if is_claim(head, self.claim_key) else b""
        if self.claim is not None and len(head) <= len(self.reservation):
            self.reservation = b""  # nothing that it could stand for without being the longer one
        if self.claim is not None and _is_void_line(head, self.claim_key):
            self._of_void(copier, self.claim, head)
            return Way.LEAVE
        if self.end_key in there:
            return self._against_end(copier, there[self.end_key])
        if self.claim_key not in there:
            return Way.PUBLISH
        theirs = first_line(copier.destination.store, self.claim_key)
        if self.reservation and theirs in (self.reservation, VOID):
            return Way.PUBLISH
        if not theirs:
            return Way.LEAVE  # the run is being freed there
        if theirs != head or not head:
            self._conflict(copier, theirs, "")
            return Way.CONFLICT
        return self._against_unfinished(copier)

    def _of_void(self, copier: Copier, claim: Stat, head: bytes) -> None:
        """Decide on an attempt of which the source has no claim: it is on its way there, a copy of it, or nobody's."""
        there = copier.destination.entries.get(self.claim_key)
        if self.end is not None:
            copier.ledger.note("unfinished", self.claim_key, f"attempt {self.number} of {self.run} is still arriving")
        elif there is not None and self.is_at_origin(copier, head):
            self.at_origin = True
        else:
            copier.note_same(claim, there.version if there is not None else NOTHING)

    def is_at_origin(self, copier: Copier, head: bytes) -> bool:
        """Tell whether the destination has the attempt itself of which the source has a copy, by the first line of its claim."""
        return reservation_of(first_line(copier.destination.store, self.claim_key)) == head

    def _against_end(self, copier: Copier, there: Stat) -> Way:
        if self.end is None:  # it was lost here
            return Way.COMPLETE if self._same_claim(copier) else self._refuse(copier)
        ours, theirs = copier.read(self.end_key), copier.destination.store.read(self.end_key)
        if ours != theirs:
            self._conflict(copier, b"", theirs.decode(errors="replace"))
            return Way.CONFLICT
        copier.note_same(self.end, there.version)
        return Way.COMPLETE

    def _same_claim(self, copier: Copier) -> bool:
        head = first_line(copier.source.store, self.claim_key)
        return head == first_line(copier.destination.store, self.claim_key)

    def _refuse(self, copier: Copier) -> Way:
        self._conflict(copier, first_line(copier.destination.store, self.claim_key), "")
        return Way.CONFLICT

    def _against_unfinished(self, copier: Copier) -> Way:
        """Decide on an attempt that the destination has without its end: as a rule, a copy that was made before it ended."""
        assert self.claim is not None
        if self.end is None:
            return Way.COMPLETE
        theirs = copier.destination.entries[self.claim_key].size
        document = _document(copier, self.end_key)
        if theirs > self.claim.size or (
            document.get("ended_by") and lease(self.run, self.number) in copier.destination.leases
        ):
            # here somebody took its owner for dead; there it goes on
            self._conflict(copier, first_line(copier.destination.store, self.claim_key), "")
            return Way.CONFLICT
        return Way.FINISH

    def _conflict(self, copier: Copier, their_claim: bytes, their_end: str) -> None:
        ours = (
            _document(copier, self.end_key)
            if self.end is not None
            else _claim_of(first_line_of(copier, self.claim_key))
        )
        theirs = _parsed(their_end.encode(), self.end_key) if their_end else _claim_of(their_claim)
        what = (
            f"attempt {self.number} of {self.run} is {_who(ours)} at the source, and {_who(theirs)} at the destination"
        )
        copier.ledger.note("conflicts", self.end_key if their_end else self.claim_key, what)

    # ------------------------------------------------------------------------------------------------------ what is done

    def reserve(self, copier: Copier) -> bool:
        """Take its number at the destination; False if somebody else was faster."""
        if self.way is not Way.PUBLISH or not self.reservation or copier.dry_run:
            return True
        store = copier.destination.store
        try:
            store.create(self.claim_key, self.reservation)
        except KeyExistsError:
            theirs = first_line(store, self.claim_key)
            if theirs in (self.reservation, first_line(copier.source.store, self.claim_key)):
                return True
            if theirs != VOID:
                self.way = self._refuse(copier) if theirs else Way.LEAVE  # freed meanwhile
                return False
            # Nobody's: it only keeps the number from somebody who was taken for dead, as the reservation does.
            store.write(self.claim_key, self.reservation)
        copier.wrote(self.claim_key)
        return True

    def hashes(self, copier: Copier) -> dict[str, str]:
        """Return what its end says of the bytes of the files that it names, by key; "" where it says nothing."""
        if self.end is None:
            return {}
        return named_in_end(_document(copier, self.end_key), self.folder)

    def bring_part(self, copier: Copier, part: Stat, recorded: str) -> Outcome:
        """Bring one of its payloads, or the events of one of its writers."""
        there = copier.destination.entries.get(part.key)
        followed = self.way is Way.PUBLISH and copy_keys(self.folder, self.number)[0] in copier.destination.entries
        if followed and there is not None and there.size < part.size:
            grow(copier, part, part.size, part.key)
        outcome = copier.bring(part, recorded=recorded, replace=(self.way is Way.FINISH or followed) and bool(recorded))
        if outcome is Outcome.COPIED and _EVENTS.search(part.key):
            self.late = True
        return outcome

    def publish(self, copier: Copier, known: Callable[[Stat], bool]) -> bool:
        """Write its end, and then its claim's own bytes; return False if the destination got another one meanwhile."""
        there = copier.destination.entries
        if self.end is not None and self.way is not Way.COMPLETE and not copier.bring(self.end, whole=True).good:
            self.way = Way.CONFLICT
            return False
        data = self._give_way(copier) if self.end is not None else b""
        if self.claim is None or known(self.claim):
            return True
        reserved = self.way is Way.PUBLISH and bool(self.reservation)
        before = there.get(self.claim_key)
        if self.end is not None and not reserved and before is not None and self.way is Way.COMPLETE:
            theirs = copier.destination.store.read(self.claim_key, 0, _LINE)
            reserved = bool(self.reservation) and theirs == self.reservation
        outcome = self._reveal(copier, self.claim, data) if reserved else copier.bring(self.claim)
        self.late = self.late or (outcome is Outcome.COPIED and self.way is Way.COMPLETE)
        return outcome is not Outcome.CONFLICT

    def _give_way(self, copier: Copier) -> bytes:
        """Replace a copy that was made while it went on by its end; return the claim's bytes, if they need not come again."""
        store, copies, data = copier.destination.store, copy_keys(self.folder, self.number), b""
        left = [key for key in copies if key in copier.destination.entries and not copier.dry_run]
        if self.way is Way.PUBLISH and self.claim is not None and {*copies} <= {*left} and _is_sound(store, copies):
            grow(copier, self.claim, self.claim.size, copies[1])
            data = store.read(copies[1])
        for key in left:
            with suppress(KeyNotFoundError):
                store.delete(key)
        return data

    def _reveal(self, copier: Copier, claim: Stat, data: bytes) -> Outcome:
        """Put the claim's own bytes over what held its place."""
        if len(data) != claim.size:
            return copier.replace(claim)
        copier.destination.store.write(self.claim_key, data)
        copier.wrote(self.claim_key)
        copier.note_written(claim)
        copier.ledger.advance(1, claim.size)
        return Outcome.COPIED


def digest_of(store: Store, key: str) -> str:
    """Return the SHA-256 of a small file; "" if it is not there."""
    try:
        return sha256(store.read(key)).hexdigest()
    except KeyNotFoundError:
        return ""


def _is_sound(store: Store, copies: tuple[str, str]) -> bool:
    """Tell whether the events of a copy are those that a sync has written, where that is told without another request."""
    try:
        said = None if store.slow else _parsed(store.read(copies[0]), copies[0]).get("events")
    except KeyNotFoundError:
        return False
    return said is not None and said == digest_of(store, copies[1])


def first_line(store: Store, key: str) -> bytes:
    """Return the first line of a file, however long; all of it if there is no whole one; nothing if it is not there."""
    data, size = b"", _LINE
    while True:
        try:
            data = store.read(key, 0, size)
        except KeyNotFoundError:
            return b""
        if (end := data.find(b"\n")) >= 0:
            return data[: end + 1]
        if len(data) < size:
            return data
        size *= 4


def first_line_of(copier: Copier, key: str) -> bytes:
    """Return the first line of one of the source's files."""
    return first_line(copier.source.store, key)


def reservation_of(head: bytes) -> bytes:
    """Return what holds the number of an attempt with this claim, until its end is there."""
    return encode_line({"schema": schemas.VOID, "type": "void", "reserved_for": sha256(head).hexdigest()})


def is_claim(head: bytes, key: str) -> bool:
    """Tell whether the first line of a file is an attempt's claim."""
    return _claim_of(head, key).get("type") == "claim"


def _is_void_line(head: bytes, key: str) -> bool:
    return is_void(_claim_of(head, key))


def _claim_of(head: bytes, key: str = "") -> dict[str, Any]:
    lines, _, _ = decode_lines(head, key)
    return lines[0] if lines else {}


def _document(copier: Copier, key: str) -> dict[str, Any]:
    try:
        return _parsed(copier.read(key), key)
    except KeyNotFoundError:
        return {}


def _parsed(data: bytes, key: str) -> dict[str, Any]:
    try:
        return decode_object(data, key)
    except CorruptRecordError:
        return {}


def _who(document: dict[str, Any]) -> str:
    """Return whose attempt it is, since when, and how it ended, for people."""
    if is_void(document):
        return "given up as nobody's"
    owner = document.get("owner")
    owner = owner if isinstance(owner, dict) else {}
    whose = f"of process {owner.get('pid')} on {owner.get('host')}" if owner else "of an unknown process"
    since = f", begun {document['started_at']}" if document.get("started_at") else ""
    became = f", {document['status']}" if document.get("type") == "end" else ""
    by = document.get("ended_by")
    said = f" (as process {by.get('pid')} on {by.get('host')} found)" if isinstance(by, dict) else ""
    return f"{whose}{since}{became}{said}"
