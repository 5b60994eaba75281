"""One attempt at a run, as a sync sees it: whether it is to be brought, what must come first, and when it conflicts.

The destination must never show an attempt without an end that has one at the source: whoever looks would take its owner
for dead, and end it. So its number is *reserved* first, by a claim that reads as void: nobody else can take it, and there
is no attempt yet. Then come its payloads and events, then its end, which says all, and at last the claim's true bytes. What
reserves says for which claim, so that a sync that was killed is continued by the next one.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import Enum
from hashlib import sha256
from typing import Any

from msgspec import Struct, field

from molexp._record.attempts import named_in_end
from molexp._record.document_types import VOID, check_shape, is_void
from molexp._record.incomplete import is_blank, is_torn, settled
from molexp._storage import key_patterns, layout, schemas
from molexp._storage.layout import claim_key, copy_keys, end_key, lease
from molexp._sync.copying import PIECE, SMALL, Copier, Outcome
from molexp._values.documents import count, decode_lines, decode_object, encode_line
from molexp.contracts import Stat, Store
from molexp.contracts._copying import copy_stream
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


class Attempt(Struct):
    """One attempt of the source's.

    Attributes:
        copier: copies files.
        run: the run's path.
        folder: the run's folder.
        number: Its number.
        claim: its claim and events; None if that is lost.
        end: its end; None if that is lost.
        parts: all else of it.
    """

    copier: Copier
    run: str
    folder: str
    number: int
    claim: Stat | None = None
    end: Stat | None = None
    parts: list[Stat] = field(default_factory=list)
    way: Way = Way.LEAVE
    reservation: bytes = b""
    at_origin: bool = False
    """The source has a copy of it, and the destination has the attempt itself."""
    late: bool = False
    """More events came after its end than the destination has."""
    end_damaged: bool = False
    """The destination's end is damaged, or was made again after it had been; the source has the true one."""

    @property
    def claim_key(self) -> str:
        """The key of its claim."""
        return claim_key(self.folder, self.number)

    @property
    def end_key(self) -> str:
        """The key of its end."""
        return end_key(self.folder, self.number)

    def head(self) -> bytes:
        """Return the first line of its claim at the source."""
        return b"" if self.claim is None else first_line(self.copier.source.store, self.claim_key)

    def their_head(self) -> bytes:
        """Return the first line of the claim that the destination has of this number."""
        return first_line(self.copier.destination.store, self.claim_key)

    def decide(self, *, known: bool) -> Way:
        """Compare the two sides.

        Args:
            known: Its claim and its end are known to be the same.
        """
        self.way = Way.COMPLETE if known else self._decide(self.head())
        return self.way

    def _decide(self, head: bytes) -> Way:
        there = self.copier.destination.entries
        if self.claim is not None and self.claim.size and not head:
            raise KeyNotFoundError(self.claim_key, url=self.copier.source.store.url)  # the run is being freed
        reservation = reservation_of(head) if is_claim(head) else b""
        # nothing that it could stand for without being the longer one
        self.reservation = reservation if len(head) > len(reservation) else b""
        if self.claim is not None and is_void(_claim_of(head)):
            self._of_void(self.claim, head)
            return Way.LEAVE
        if self.end_key in there:
            return self._against_end(head)
        if self.claim_key not in there:
            return Way.PUBLISH
        theirs = self.their_head()
        if self._may_reserve(theirs, head):
            return Way.PUBLISH
        if not theirs:
            return Way.LEAVE  # the run is being freed there
        return self._against_unfinished() if theirs == head else self._conflict(theirs)

    def _may_reserve(self, theirs: bytes, head: bytes) -> bool:
        """Tell whether what the destination has for a claim only holds the number, or was torn before it was one."""
        if theirs in (self.reservation, VOID):
            return bool(self.reservation)
        store, begun = self.copier.destination.store, theirs.rstrip(b"\0")
        if not begun:
            torn = store.exists(self.claim_key) and is_blank(settled(store, self.claim_key))
        else:
            torn = theirs != head and (head.startswith(begun) or self.reservation.startswith(begun))
        return torn and bool(self.reservation)

    def _of_void(self, claim: Stat, head: bytes) -> None:
        """Decide on an attempt of which the source has no claim: it is on its way there, a copy of it, or nobody's."""
        copier = self.copier
        if self.end is not None:
            copier.ledger.note("unfinished", self.claim_key, f"attempt {self.number} of {self.run} is still arriving")
        elif self.claim_key in copier.destination.entries and reservation_of(self.their_head()) == head:
            self.at_origin = True
        else:
            copier.note_same(claim)

    def _against_end(self, head: bytes) -> Way:
        if self.end is None:  # it was lost here
            theirs = self.their_head()
            return Way.COMPLETE if theirs == head else self._conflict(theirs)
        their_end, end = self.copier.destination.store.read(self.end_key), self.copier.read(self.end_key)
        if end == their_end:
            self.copier.note_same(self.end)
            return Way.COMPLETE
        theirs = self.their_head()
        if not is_torn(their_end):  # else the power failed before all of it was there
            (harm, damage), (their_harm, _) = _harm(end, self.end_key), _harm(their_end, self.end_key)
            other = not theirs or theirs not in (head, self.reservation)
            if other or harm == their_harm or (harm < their_harm and self._has_less()):
                return self._conflict(their_end=their_end)
            if harm > their_harm:
                what = (
                    f"{damage}, and the destination has another end of the same attempt: "
                    "sync from there to here to get it"
                )
                self.copier.ledger.note("unreadable", self.end_key, what)
                return Way.CONFLICT
            self.end_damaged = True
        return Way.PUBLISH if self._may_reserve(theirs, head) else Way.FINISH

    def _against_unfinished(self) -> Way:
        """Decide on an attempt that the destination has without its end: as a rule, a copy that was made before it ended."""
        if self.end is None:
            return Way.COMPLETE
        goes_on = lease(self.run, self.number) in self.copier.destination.leases
        if self._has_less() or (goes_on and self._ending().get("ended_by")):
            return self._conflict(self.their_head())  # here somebody took its owner for dead; there it goes on
        return Way.FINISH

    def _has_less(self) -> bool:
        """Tell whether the source's claim lacks events that the destination's has, as a copy does of an attempt that went on."""
        there = self.copier.destination.entries.get(self.claim_key)
        return self.claim is not None and there is not None and there.size > self.claim.size

    def _conflict(self, their_claim: bytes = b"", *, their_end: bytes = b"") -> Way:
        ours = self._ending() if self.end is not None else _claim_of(self.head())
        theirs = _parsed(their_end, self.end_key) if their_end else _claim_of(their_claim)
        what = (
            f"attempt {self.number} of {self.run} is {_who(ours)} at the source, and {_who(theirs)} at the destination"
        )
        self.copier.ledger.note("conflicts", self.end_key if their_end else self.claim_key, what)
        return Way.CONFLICT

    def _ending(self) -> dict[str, Any]:
        """Return its end at the source; nothing if that cannot be read."""
        return document_at(self.copier.source.store, self.end_key)

    # ------------------------------------------------------------------------------------------------------ what is done

    def reserve(self) -> bool:
        """Take its number at the destination; False if somebody else was faster."""
        if self.way is not Way.PUBLISH or not self.reservation:
            return True
        try:
            self.copier.put(self.claim_key, self.reservation, new=True)
        except KeyExistsError:
            theirs, head = self.their_head(), self.head()
            if theirs in (self.reservation, head):
                return True
            if not self._may_reserve(theirs, head):
                self.way = self._conflict(theirs) if theirs else Way.LEAVE  # freed meanwhile
                return False
            # Nobody's: it only keeps the number from somebody who was taken for dead, as the reservation does.
            self.copier.put(self.claim_key, self.reservation)
        return True

    def hashes(self) -> dict[str, str]:
        """Return what its end says of the bytes of the files that it names, by key; "" where it says nothing."""
        return {} if self.end is None else named_in_end(self._ending(), self.folder)

    def bring_part(self, part: Stat, recorded: str) -> Outcome:
        """Bring one of its payloads, or the events of one of its writers."""
        copier = self.copier
        there = copier.destination.entries.get(part.key)
        followed = self.way is Way.PUBLISH and copy_keys(self.folder, self.number)[0] in copier.destination.entries
        if followed and there is not None and there.size < part.size:
            grow(copier, part, part.size, part.key)
        outcome = copier.bring(part, recorded=recorded, replace=(self.way is Way.FINISH or followed) and bool(recorded))
        self.late = self.late or (outcome is Outcome.COPIED and bool(_EVENTS.search(part.key)))
        return outcome

    def publish(self, known: Callable[[Stat], bool]) -> bool:
        """Write its end, and then its claim's own bytes; return False if the destination got another one meanwhile."""
        copier, late = self.copier, self.way is Way.COMPLETE
        if self.end is not None and not late and not copier.bring(self.end, whole=True, over=self.end_damaged).good:
            return False
        data = self._give_way() if self.end is not None else b""
        if self.claim is None or known(self.claim):
            return True
        reserved = self.way is Way.PUBLISH and bool(self.reservation)
        if self.end is not None and late and self.reservation and self.claim_key in copier.destination.entries:
            reserved = copier.destination.store.read(self.claim_key, 0, _LINE) == self.reservation
        if reserved and len(data) == self.claim.size:  # they need not come again
            copier.put(self.claim_key, data)
            copier.note_written(self.claim)
            copier.ledger.advance(1, self.claim.size)
            return True
        outcome = copier.bring(self.claim, over=reserved)
        self.late = self.late or (outcome is Outcome.COPIED and late)
        return outcome is not Outcome.CONFLICT

    def _give_way(self) -> bytes:
        """Replace a copy that was made while it went on by its end; return the claim's bytes, if they need not come again."""
        copier, copies, data = self.copier, copy_keys(self.folder, self.number), b""
        store = copier.destination.store
        left = [key for key in copies if key in copier.destination.entries and not copier.dry_run]
        if self.way is Way.PUBLISH and self.claim is not None and {*copies} <= {*left} and _is_sound(store, copies):
            grow(copier, self.claim, self.claim.size, copies[1])
            data = store.read(copies[1])
        for key in left:
            store.delete(key)
        return data


def digest_of(store: Store, key: str) -> str:
    """Return the SHA-256 of a small file; "" if it is not there."""
    try:
        return sha256(store.read(key)).hexdigest()
    except KeyNotFoundError:
        return ""


def document_at(store: Store, key: str) -> dict[str, Any]:
    """Return a document of an attempt; nothing if there is none, or it cannot be read."""
    try:
        return _parsed(store.read(key), key)
    except KeyNotFoundError:
        return {}


def _is_sound(store: Store, copies: tuple[str, str]) -> bool:
    """Tell whether the events of a copy are those that a sync has written, where that is told without another request."""
    said = None if store.slow else document_at(store, copies[0]).get("events")
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


def reservation_of(head: bytes) -> bytes:
    """Return what holds the number of an attempt with this claim, until its end is there."""
    return encode_line({"schema": schemas.VOID, "type": "void", "reserved_for": sha256(head).hexdigest()})


def is_claim(head: bytes) -> bool:
    """Tell whether the first line of a file is an attempt's claim."""
    return _claim_of(head).get("type") == "claim"


def _claim_of(head: bytes) -> dict[str, Any]:
    lines, _, _ = decode_lines(head, "")
    return lines[0] if lines else {}


def _parsed(data: bytes, key: str) -> dict[str, Any]:
    try:
        return decode_object(data, key)
    except CorruptRecordError:
        return {}


def _harm(data: bytes, key: str) -> tuple[int, str]:
    """Return how far something is from the end that its attempt got, in whichever version, and why: 0, if it may be that."""
    try:
        end = decode_object(data, key)
        if count(end.get("schema")) <= schemas.ATTEMPT:
            check_shape(end, key, "end")
    except CorruptRecordError as error:
        return 2, error.reason
    return (1, "`molexp fsck --repair` wrote it again") if "mended" in end else (0, "")


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


_MARK = 1 << 12  # bytes before the place where copying goes on: other ones there mean another file
_LARGE = 8 << 20  # bytes of a file that is not sent again as a whole for every line, where files cannot be appended to
_SHARE = 10  # but when it has grown by one part in so many


def grow(copier: Copier, entry: Stat, length: int, into: str) -> None:
    """See to it that the destination has under `into` the first `length` bytes of one of the source's files.

    What it has already is not read again, but its end, which tells whether it is the beginning of the same file.
    """
    store, source = copier.destination.store, copier.source.reading(entry.key)
    there = copier.destination.entries.get(into)
    if copier.is_seen(entry, there):
        return None
    size = 0 if there is None else there.size
    mark = min(_MARK, size, length)
    at = min(size, length)
    new = source.read(entry.key, at - mark, min(length - at + mark, PIECE)) if mark else b""
    if mark and new[:mark] != store.read(into, at - mark, mark):
        at = mark = 0  # another file than before
    elif there is not None and size >= length:
        return copier.note_grown(entry, into, whole=entry.size <= size)
    if copier.dry_run:
        return copier.ledger.count(length - at)
    if "append" in store.capabilities and at and length > SMALL:
        _append(copier, entry, into, new[mark:], at, length)
    elif length <= SMALL:
        before = b"" if not at else source.read(entry.key, 0, at) if store.slow else store.read(into, 0, at)
        store.write(into, before + (new[mark:] if at else source.read(entry.key, 0, length)))
    elif not at or length <= _LARGE or length - at > at // _SHARE:
        _write(copier, entry, into, length)
    else:
        return None
    copier.wrote(into)
    copier.ledger.count(length - at)
    return copier.note_grown(entry, into, whole=entry.size == length)


def _append(copier: Copier, entry: Stat, into: str, new: bytes, at: int, length: int) -> None:
    store, source = copier.destination.store, copier.source.reading(entry.key)
    while new:
        store.append(into, new)
        at += len(new)
        new = source.read(entry.key, at, min(length - at, PIECE)) if at < length else b""
    if store.stat(into).size != length:  # another sync does the same
        _write(copier, entry, into, length)


def _write(copier: Copier, entry: Stat, into: str, length: int) -> None:
    with (
        copier.source.reading(entry.key).open_read(entry.key) as stream,
        copier.destination.store.open_write(into) as sink,
    ):
        copy_stream(stream, sink, length=length)
