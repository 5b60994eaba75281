"""Bringing one file from one store to another: compared, verified, and never put over what is not its beginning."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from enum import Enum
from functools import partial
from hashlib import sha256
from typing import IO, TypeVar

from molexp._record.folding import AttemptFacts
from molexp._record.incomplete import settled
from molexp._record.reading import listed_leases
from molexp._storage.hashing import FILE, hash_of, hashed
from molexp._storage.links import not_followed
from molexp._storage.progress import Seen
from molexp._sync.reports import Ledger
from molexp._sync.sides import Side
from molexp.contracts import Stat
from molexp.errors import (
    CredentialsError,
    KeyExistsError,
    KeyNotFoundError,
    MolexpError,
    ReadOnlyError,
    StorageFullError,
    StoreError,
    UnavailableError,
    WorkspaceMovedError,
)

SMALL = 1 << 20  # bytes up to which a file is copied in one operation
PIECE = 1 << 20  # bytes that are compared, or asked for in one request

FATAL = (CredentialsError, ReadOnlyError, StorageFullError, UnavailableError, WorkspaceMovedError)
"""Errors that end a sync: it would meet the same with every other file."""

_GROWS = "+"  # begins the version of a file that was copied as far as it was, and is not verified before it is whole

T = TypeVar("T")
R = TypeVar("R")


class Outcome(Enum):
    """The outcome of bringing one file."""

    SAME = "same"
    COPIED = "copied"
    CONFLICT = "conflict"
    FAILED = "failed"  # it cannot be read or written, or is not what was recorded
    GONE = "gone"

    @property
    def good(self) -> bool:
        """Tell whether the destination has it."""
        return self in (Outcome.SAME, Outcome.COPIED)


class _MismatchError(MolexpError):
    """The bytes that were read are not the recorded ones."""


class Copier:
    """Copies files from one side to the other.

    Args:
        source: The side to copy from.
        destination: The side to copy to.
        seen: Pairs of files that earlier syncs found to be the same.
        ledger: told of everything.
        dry_run: write nothing.
        check: believe nothing of what earlier syncs found, and read again what was written.
    """

    def __init__(
        self, source: Side, destination: Side, seen: Seen, ledger: Ledger, *, dry_run: bool, check: bool
    ) -> None:
        self.source = source
        self.destination = destination
        self.ledger = ledger
        self.dry_run = dry_run
        self.announced = False
        self.live: dict[str, AttemptFacts] = {}
        self._seen = seen
        self._check = check
        self._lock = threading.Lock()
        self._notes: list[tuple[str, str, str]] = []
        self._later: dict[str, Stat] = {}
        self._written: list[str] = []
        self.leases: Callable[[], dict[str, str]] = partial(
            listed_leases, source.store
        )  # as they were when the batch began
        self._slow = source.store.slow or destination.store.slow

    def each(self, act: Callable[[T], R], some: Iterable[T]) -> list[R]:
        """Do something for each of several things: at once, where requests take long."""
        slower = self.source.store if self.source.store.slow else self.destination.store
        return slower.each(act, some)

    # ------------------------------------------------------------------------------------------------ what is known

    def known(self, prefix: str, besides: str = "") -> Callable[[Stat], bool]:
        """Return whether a file below a folder is known to be the same on both sides, or not to be needed.

        Args:
            prefix: The keys begin with this.
            besides: None of the keys begins with this.
        """
        if self._check:
            return lambda _: False
        pairs, there = self._seen.of(prefix, besides), self.destination

        def known(entry: Stat) -> bool:
            pair = pairs.get(entry.key)
            return pair is not None and pair == (entry.version, there.version(entry.key))

        return known

    def note_same(self, entry: Stat, version: str = "") -> None:
        """Remember that a file is the same as the destination's, or is not needed.

        Args:
            entry: the source's file.
            version: the version of the destination's; by default that of the listing, or `NOTHING`.
        """
        with self._lock:
            self._notes.append((entry.key, entry.version, version or self.destination.version(entry.key)))

    def note_written(self, entry: Stat) -> None:
        """Remember that the destination's file is the same as the source's; how it looks now is looked up, now or later."""
        if self._slow and entry.size <= SMALL:
            with self._lock:
                self._later[entry.key] = entry
        elif not self.dry_run:
            self.note_same(entry, self.destination.store.stat(entry.key).version)

    def is_seen(self, entry: Stat, there: Stat | None) -> bool:
        """Tell whether a file that grows was copied as it is now."""
        known = ("", "") if there is None or self._check else self._seen.get(entry.key)
        return there is not None and known == (_GROWS + entry.version, there.version)

    def note_grown(self, entry: Stat, key: str, *, whole: bool) -> None:
        """Remember that `key` has all of a file that grows, if it has; and how it looks now."""
        found = self.destination.entries[key] = self.destination.store.stat(key)
        if whole and key == entry.key:
            with self._lock:
                self._notes.append((entry.key, _GROWS + entry.version, found.version))

    def note_rest(self) -> None:
        """Look up in one listing how what was written looks now."""
        if self._later and not self.dry_run:
            side = self.destination
            for entry in side.store.list() if side.within is None else side.some():
                if (came := self._later.pop(entry.key, None)) is not None:
                    self.note_same(came, entry.version)

    # --------------------------------------------------------------------------------------------- what is written

    def announce(self, effects: Iterable[str]) -> None:
        """Tell all readers of the destination which keys are about to be there."""
        found = tuple(effects)
        if found and not self.dry_run:
            self.announced = True
            self.destination.home.journal.announce(*found)

    def put(self, key: str, data: bytes, *, new: bool = False) -> None:
        """Write a small file at the destination.

        Args:
            key: its key.
            data: its bytes.
            new: there is none yet.

        Raises:
            KeyExistsError: there is one, and it was to be new.
        """
        if not self.dry_run:
            store = self.destination.store
            (store.create if new else store.write)(key, data)
            self.wrote(key)

    def wrote(self, key: str) -> None:
        """Note that a key was written at the destination."""
        with self._lock:
            self._written.append(key)

    def flush(self) -> None:
        """Make what was written so far durable, as far as the destination is told to see to it, and then remember it."""
        with self._lock:
            written, self._written = self._written, []
            notes, self._notes = self._notes, []
        if written:
            self.destination.store.sync(written)
        if notes and not self.dry_run:
            self._seen.note(notes)

    def read(self, key: str) -> bytes:
        """Read one of the source's files."""
        return self.source.reading(key).read(key)

    # -------------------------------------------------------------------------------------------------------- one file

    def bring(
        self,
        entry: Stat,
        *,
        recorded: str = "",
        whole: bool = False,
        replace: bool = False,
        over: bool = False,
        passing: bool = False,
    ) -> Outcome:
        """See to it that the destination has one of the source's files.

        Args:
            entry: the file.
            recorded: The hash that the record has of its bytes, as ``sha256:...``.
            whole: it was created once and whole; else what is there may be longer.
            replace: The destination has an older state of the same.
            over: the destination has something under its key that only holds the place, and is not looked at.
            passing: its record may change at any time: bytes of which it does not speak are nothing to tell of.
        """
        if entry.special:
            self.ledger.note("unreadable", entry.key, not_followed(entry.special))
            return Outcome.FAILED
        recorded = recorded if recorded.startswith("sha256:") else ""
        outcome = Outcome.FAILED
        try:
            outcome = self._copy(entry, recorded) if over else self._bring(entry, recorded, whole, replace)
        except _MismatchError as error:
            if not passing:
                self.ledger.note("mismatches", entry.key, str(error))
        except KeyNotFoundError:
            outcome = Outcome.GONE
        except FATAL:
            raise
        except (StoreError, OSError) as error:
            self.ledger.note("unreadable", entry.key, f"it cannot be copied: {error}")
        streamed = outcome is Outcome.COPIED and entry.size > SMALL and not self.dry_run
        self.ledger.advance(1, 0 if streamed else entry.size)
        return outcome

    def _bring(self, entry: Stat, recorded: str, whole: bool, replace: bool) -> Outcome:
        store, key = self.destination.store, entry.key
        there = self.destination.entries.get(key)
        if there is None:
            try:
                return self._copy(entry, recorded, new=True)
            except KeyExistsError:
                there = store.stat(key)
        if recorded and not self._check and entry.size == there.size and hash_of(store, key) == recorded:
            self.note_same(entry, there.version)
            return Outcome.SAME
        if not there.size:
            settled(store, key)  # somebody may be about to fill it
        same, begun, sizes, digest = self._compare(key)
        if same and recorded and sizes[0] == sizes[1] and digest != recorded:
            raise _MismatchError(f"its bytes are {digest} on both sides, and its record says {recorded}")
        if same and (sizes[0] == sizes[1] or (sizes[0] < sizes[1] and not whole)):
            self.note_same(entry, there.version)
            return Outcome.SAME
        if begun or replace:
            return self._copy(entry, recorded)
        self.ledger.note("conflicts", key, f"the destination's {sizes[1]} bytes differ from the source's {sizes[0]}")
        return Outcome.CONFLICT

    def _copy(self, entry: Stat, recorded: str, *, new: bool = False) -> Outcome:
        key, size = entry.key, entry.size
        if not self.dry_run:
            if entry.size <= SMALL:
                data = self.read(key)
                digest, size = f"{FILE}{sha256(data).hexdigest()}", len(data)
                _check_recorded(digest, recorded)
                self.put(key, data, new=new)
            else:
                digest, size = self._stream(key, recorded, new=new)
            if self._check and (found := hash_of(self.destination.store, key)) != digest:
                raise _MismatchError(f"it was written as {digest}, and reads as {found} at the destination")
            self.note_written(entry)
        self.ledger.count(size)
        return Outcome.COPIED

    def _stream(self, key: str, recorded: str, *, new: bool) -> tuple[str, int]:
        with (
            self.source.reading(key).open_read(key) as stream,
            self.destination.store.open_write(key, exclusive=new) as sink,
        ):
            size, digest = hashed(stream, sink, progress=lambda count: self.ledger.advance(0, count))
            _check_recorded(digest, recorded)
        self.wrote(key)
        return digest, size

    def _compare(self, key: str) -> tuple[bool, bool, tuple[int, int], str]:
        """Compare both sides' files.

        Returns:
            Whether one is the other's beginning; whether the destination's is the source's as far as it goes, or as far as it
            got before the power failed, which leaves zeros; both sizes; and the source's digest.
        """
        digest = sha256()
        same, begun, ours, theirs = True, True, 0, 0
        with self.source.reading(key).open_read(key) as mine, self.destination.store.open_read(key) as other:
            while True:
                a, b = _chunk(mine), _chunk(other)
                if not a and not b:
                    return same, begun and theirs <= ours, (ours, theirs), f"sha256:{digest.hexdigest()}"
                digest.update(a)
                ours += len(a)
                theirs += len(b)
                common = min(len(a), len(b))
                same = same and a[:common] == b[:common]
                begun = begun and (same or a.startswith(b.rstrip(b"\0")))


def guard(copier: Copier, key: str, act: Callable[[], object]) -> bool:
    """Do something about `key`; whether it could be done. What is wrong with one thing does not stop the others."""
    try:
        act()
    except FATAL:
        raise
    except KeyNotFoundError:
        return False  # it was removed meanwhile
    except (MolexpError, OSError) as error:
        copier.ledger.note("unreadable", getattr(error, "key", "") or key or ".", str(error))
        return False
    return True


def _chunk(stream: IO[bytes]) -> bytes:
    """Read the next bytes: as many as asked for, unless the stream ends; some streams give fewer at a time."""
    data = stream.read(PIECE)
    while data and len(data) < PIECE and (more := stream.read(PIECE - len(data))):
        data += more
    return data


def _check_recorded(digest: str, recorded: str) -> None:
    """Refuse bytes whose hash is not the recorded one."""
    if recorded and digest != recorded:
        raise _MismatchError(f"its bytes are {digest}, and its record says {recorded}")
