"""Bringing one file from one store to another: compared, verified, and never put over what is not its beginning."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from enum import Enum
from hashlib import sha256
from typing import IO, TypeVar

from molexp._record.fences import VOID
from molexp._record.folding import AttemptFacts
from molexp._storage import layout
from molexp._storage.hashing import hash_of
from molexp._storage.links import not_followed
from molexp._storage.progress import NOTHING, Seen
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
CHUNK = 1 << 20
WORKERS = 16  # requests at once, where each takes long

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
    MISMATCH = "mismatch"
    UNREADABLE = "unreadable"
    GONE = "gone"
    GIVEN_UP = "given up"  # the name of an edit, at the destination

    @property
    def good(self) -> bool:
        """Tell whether the destination has it."""
        return self in (Outcome.SAME, Outcome.COPIED)


class SourceError(Exception):
    """The source's file cannot be read."""

    def __init__(self, key: str, reason: object) -> None:
        super().__init__(f"it cannot be read: {reason}")
        self.key = key


class _MismatchError(Exception):
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
        self.announced: bool = False
        self._seen = seen
        self._check = check
        self._lock = threading.Lock()
        self._notes: list[tuple[str, str, str]] = []
        self.live: dict[str, AttemptFacts] = {}
        self._later: dict[str, Stat] = {}
        self._written: list[str] = []
        self._leases: dict[str, str] | None = None
        slow = source.store.slow or destination.store.slow
        self._pool = ThreadPoolExecutor(WORKERS, "molexp-sync") if slow else None

    def close(self) -> None:
        """Let go of threads; what was begun ends first."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def each(self, act: Callable[[T], R], some: Iterable[T]) -> list[R]:
        """Do something for each of several things: at once, where requests take long."""
        if self._pool is None:
            return [act(one) for one in some]
        return list(self._pool.map(act, some))

    # ------------------------------------------------------------------------------------------------ what is known

    def known(self, prefix: str, besides: str = "") -> Callable[[Stat], bool]:
        """Return whether a file below a folder is known to be the same on both sides, or not to be needed.

        Args:
            prefix: The keys begin with this.
            besides: None of the keys begins with this.
        """
        if self._check:
            return lambda _: False
        pairs, there = self._seen.of(prefix, besides), self.destination.entries

        def known(entry: Stat) -> bool:
            pair = pairs.get(entry.key)
            if pair is None or pair[0] != entry.version:
                return False
            found = there.get(entry.key)
            return pair[1] == (found.version if found is not None else NOTHING)

        return known

    def note_same(self, entry: Stat, version: str) -> None:
        """Remember that a file is the same as the destination's at that version; or `NOTHING`, that it is not needed."""
        with self._lock:
            self._notes.append((entry.key, entry.version, version))

    def note_written(self, entry: Stat, *, large: bool = False) -> None:
        """Remember that the destination's file is the same as the source's; how it looks now is looked up, now or later."""
        if self._pool is None or large:
            try:
                self.note_same(entry, self.destination.store.stat(entry.key).version)
            except KeyNotFoundError:
                return
        else:
            with self._lock:
                self._later[entry.key] = entry

    def is_seen(self, entry: Stat, there: Stat | None) -> bool:
        """Tell whether a file that grows was copied as it is now."""
        known = self._seen.get(entry.key) if there is not None and not self._check else ("", "")
        return there is not None and known == (_GROWS + entry.version, there.version)

    def note_grown(self, entry: Stat, key: str, *, whole: bool) -> None:
        """Remember that `key` has all of a file that grows, if it has; and how it looks now."""
        found = self.destination.entries[key] = self.destination.store.stat(key)
        if whole and key == entry.key:
            with self._lock:
                self._notes.append((entry.key, _GROWS + entry.version, found.version))

    def flush(self) -> None:
        """Write down what was remembered so far, so that it survives the death of this process."""
        with self._lock:
            notes, self._notes = self._notes, []
        if notes and not self.dry_run:
            self._seen.note(notes)

    def note_rest(self) -> None:
        """Look up in one listing how what was written looks now."""
        if self._later and not self.dry_run:
            side = self.destination
            for entry in side.store.list() if side.within is None else side.some():
                if (came := self._later.pop(entry.key, None)) is not None:
                    self._notes.append((came.key, came.version, entry.version))
        self.flush()

    def sync(self) -> None:
        """Make what was written so far durable, as far as the destination is told to see to it."""
        with self._lock:
            written, self._written = self._written, []
        if written:
            self.destination.store.sync(written)

    def leases(self, *, anew: bool = False) -> dict[str, str]:
        """Return the versions of the leases at the source, by their keys, as they were when the batch began; list them if needed.

        Args:
            anew: another batch begins: nothing is listed yet.
        """
        with self._lock:
            if anew:
                self._leases = None
            elif self._leases is None:
                entries = self.source.store.children(layout.LIVE).entries
                self._leases = {entry.key: entry.version for entry in entries}
            return self._leases or {}

    def announce(self, effects: Iterable[str]) -> None:
        """Tell all readers of the destination which keys are about to be there."""
        found = tuple(effects)
        if found and not self.dry_run:
            self.announced = True
            self.destination.home.journal.announce(*found)

    # -------------------------------------------------------------------------------------------------------- one file

    def bring(
        self, entry: Stat, *, recorded: str = "", whole: bool = False, replace: bool = False, passing: bool = False
    ) -> Outcome:
        """See to it that the destination has one of the source's files.

        Args:
            entry: the file.
            recorded: The hash that the record has of its bytes, as ``sha256:...``.
            whole: it was created once and whole; else what is there may be its beginning, and is made longer.
            replace: The destination has an older state of the same.
            passing: its record may change at any time: bytes of which it does not speak are nothing to tell of.
        """
        there = self.destination.entries.get(entry.key)
        if entry.special:
            self.ledger.note("unreadable", entry.key, not_followed(entry.special))
            return Outcome.UNREADABLE
        try:
            outcome = self._bring(entry, there, recorded if recorded.startswith("sha256:") else "", whole, replace)
        except SourceError as error:
            self.ledger.note("unreadable", entry.key, str(error))
            outcome = Outcome.UNREADABLE
        except _MismatchError as error:
            if not passing:
                self.ledger.note("mismatches", entry.key, str(error))
            outcome = Outcome.MISMATCH
        except KeyNotFoundError:
            outcome = Outcome.GONE
        except FATAL:
            raise
        except StoreError as error:
            self.ledger.note("unreadable", entry.key, f"it cannot be copied: {error}")
            outcome = Outcome.UNREADABLE
        streamed = outcome is Outcome.COPIED and entry.size > SMALL and not self.dry_run
        self.ledger.advance(1, 0 if streamed else entry.size)
        return outcome

    def _bring(self, entry: Stat, there: Stat | None, recorded: str, whole: bool, replace: bool) -> Outcome:
        if there is None:
            try:
                self._copy(entry, recorded, exclusive=True)
            except KeyExistsError:
                there = self.destination.store.stat(entry.key)
            else:
                return Outcome.COPIED
        store, key = self.destination.store, entry.key
        if recorded and not self._check and entry.size == there.size and hash_of(store, key) == recorded:
            self.note_same(entry, there.version)
            return Outcome.SAME
        same, ours, theirs, digest = self._compare(key)
        if same and recorded and ours == theirs and digest != recorded:
            raise _MismatchError(f"its bytes are {digest} on both sides, and its record says {recorded}")
        if same and (ours == theirs or (ours < theirs and not whole)):
            self.note_same(entry, there.version)
            return Outcome.SAME
        if (same and not whole) or replace:
            self._copy(entry, recorded, exclusive=False)
            return Outcome.COPIED
        if layout.is_edit(key) and theirs == len(VOID) and store.read(key) == VOID:
            return Outcome.GIVEN_UP
        what = f"the destination's {theirs} bytes differ from the source's {ours}"
        self.ledger.note("conflicts", key, what)
        return Outcome.CONFLICT

    def _copy(self, entry: Stat, recorded: str, *, exclusive: bool) -> None:
        if self.dry_run:
            return self.ledger.count(entry.size)
        store, key = self.destination.store, entry.key
        if entry.size <= SMALL:
            data = self.read(key)
            digest, size = f"sha256:{sha256(data).hexdigest()}", len(data)
            _verify(digest, recorded)
            (store.create if exclusive else store.write)(key, data)
        else:
            digest, size = self._stream(key, recorded, exclusive=exclusive)
        self.wrote(key)
        if self._check and (found := hash_of(store, key)) != digest:
            raise _MismatchError(f"it was written as {digest}, and reads as {found} at the destination")
        self.note_written(entry, large=entry.size > SMALL)
        return self.ledger.count(size)

    def _stream(self, key: str, recorded: str, *, exclusive: bool) -> tuple[str, int]:
        taken, size = sha256(), 0
        with self.open(key) as stream, self.destination.store.open_write(key, exclusive=exclusive) as sink:
            while chunk := _read(stream):
                taken.update(chunk)
                size += len(chunk)
                sink.write(chunk)
                self.ledger.advance(0, len(chunk))
            digest = f"sha256:{taken.hexdigest()}"
            _verify(digest, recorded)
        return digest, size

    def _compare(self, key: str) -> tuple[bool, int, int, str]:
        """Return whether one side's file is the other's or its beginning; both sizes; and the source's digest."""
        digest = sha256()
        same, ours, theirs = True, 0, 0
        with self.open(key) as mine, self.destination.store.open_read(key) as other:
            while True:
                a, b = _read(mine), _chunk(other)
                digest.update(a)
                ours += len(a)
                theirs += len(b)
                common = min(len(a), len(b))
                same = same and a[:common] == b[:common]
                if not a and not b:
                    break
        return same, ours, theirs, f"sha256:{digest.hexdigest()}"

    def replace(self, entry: Stat) -> Outcome:
        """Put one of the source's files over what this sync, or one before it, has put under its key to hold the place."""
        try:
            self._copy(entry, "", exclusive=False)
        except KeyNotFoundError:
            return Outcome.GONE
        except SourceError as error:
            self.ledger.note("unreadable", entry.key, str(error))
            return Outcome.UNREADABLE
        self.ledger.advance(1, 0 if entry.size > SMALL and not self.dry_run else entry.size)
        return Outcome.COPIED

    # ---------------------------------------------------------------------------------------------------------- pieces

    def wrote(self, key: str) -> None:
        """Note that a key was written at the destination."""
        with self._lock:
            self._written.append(key)

    def read(self, key: str) -> bytes:
        """Read one of the source's files."""
        try:
            return self.source.reading(key).read(key)
        except (KeyNotFoundError, *FATAL):
            raise
        except (MolexpError, OSError) as error:
            raise SourceError(key, error) from error

    def open(self, key: str) -> IO[bytes]:
        """Open one of the source's files as a stream."""
        try:
            return self.source.reading(key).open_read(key)
        except (KeyNotFoundError, *FATAL):
            raise
        except (MolexpError, OSError) as error:
            raise SourceError(key, error) from error


def guard(copier: Copier, key: str, act: Callable[[], None]) -> bool:
    """Do something about `key`; whether it could be done. What is wrong with one thing does not stop the others."""
    try:
        act()
    except FATAL:
        raise
    except KeyNotFoundError:
        return False  # it was removed meanwhile
    except (MolexpError, SourceError) as error:
        copier.ledger.note("unreadable", getattr(error, "key", "") or key or ".", str(error))
        return False
    return True


def _read(stream: IO[bytes]) -> bytes:
    try:
        return _chunk(stream)
    except FATAL:
        raise
    except (MolexpError, OSError) as error:
        raise SourceError("", error) from error


def _chunk(stream: IO[bytes]) -> bytes:
    """Read the next bytes: as many as asked for, unless the stream ends; some streams give fewer at a time."""
    data = stream.read(CHUNK)
    while data and len(data) < CHUNK and (more := stream.read(CHUNK - len(data))):
        data += more
    return data


def _verify(digest: str, recorded: str) -> None:
    if recorded and digest != recorded:
        raise _MismatchError(f"its bytes are {digest}, and its record says {recorded}")
