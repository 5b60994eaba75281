"""The report of a sync, and its progress."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from itertools import islice

from msgspec import Struct, field
from msgspec.structs import replace

from molexp._record.reports import Finding
from molexp.contracts import Stat

_SELDOM = ("deleted", "returned")
_TITLES = {"conflicts": "conflict", "mismatches": "mismatch"} | {
    name: name for name in ("unreadable", "unfinished", *_SELDOM)
}
"""The lists of a report, with what stands before each of their lines."""


class SyncProgress(Struct, frozen=True):
    """The progress of a sync. Files that are known to be the same from before do not count.

    Attributes:
        files: The number of files that are done: copied, found to be the same, or left alone.
        bytes: Their bytes, and those copied so far of files that are not done.
        total_files: The number of files to look at.
        total_bytes: Their bytes.

    Example:
        >>> seen = []
        >>> report = me.sync_workspace(ws, "copy", progress=seen.append)
        >>> seen[-1].files == seen[-1].total_files
        True
    """

    files: int
    bytes: int
    total_files: int
    total_bytes: int


class SyncReport(Struct, frozen=True):
    """The report of a sync.

    Attributes:
        source: the URL of the workspace that was read.
        destination: the URL of the workspace that was written to.
        dry_run: Nothing was written; the report says what would have been copied.
        counts: totals: ``runs`` that the source has, files ``copied``, ``bytes`` of those, and how many there are of what
            is listed below.
        conflicts: Keys that both have and that are not the same. The destination's was left as it is.
        mismatches: files whose bytes are not those that the record names. They were not copied.
        unreadable: Keys that could not be read, or not be written under their names.
        unfinished: attempts whose end is left for a later sync: they go on, and were brought as they are, or nobody could
            end them; and runs that wait until another one that had their id is freed.
        deleted: runs that were deleted and freed on one side, and are not brought to it, or are hidden on the other.
        returned: runs that were deleted and freed, and are there again by hand: they are brought, and no longer count as
            deleted.
        outage: The reason that a pass of `follow_workspace` was not possible; "" otherwise.

    Example:
        >>> report = me.sync_workspace(ws, "copy")
        >>> (report.ok, report.conflicts)
        (True, ())
    """

    source: str
    destination: str
    dry_run: bool = False
    counts: Mapping[str, int] = field(default_factory=dict)
    conflicts: tuple[Finding, ...] = ()
    mismatches: tuple[Finding, ...] = ()
    unreadable: tuple[Finding, ...] = ()
    unfinished: tuple[Finding, ...] = ()
    deleted: tuple[Finding, ...] = ()
    returned: tuple[Finding, ...] = ()
    outage: str = ""

    @property
    def ok(self) -> bool:
        """Tell whether the destination has all that has come to an end, as the source has it."""
        return not (self.conflicts or self.mismatches or self.unreadable or self.outage)

    def __str__(self) -> str:
        if self.outage:
            return f"sync: not possible now: {self.outage}"
        name = "sync (nothing was written)" if self.dry_run else "sync"
        counts = [f"{what} {count}" for what, count in self.counts.items() if count or what not in _SELDOM]
        lines = [f"{name}: {', '.join(counts)}"]
        for name, title in _TITLES.items():
            lines += [f"  {title}: {one.key}: {one.what}" for one in getattr(self, name)]
        return "\n".join(lines)

    def __repr__(self) -> str:
        return str(self)


class Ledger:
    """Keeps what several threads find and do; tells of the progress, one call at a time."""

    def __init__(self, tell: Callable[[SyncProgress], None] | None) -> None:
        self.copied = self.bytes = 0
        self.found: dict[str, dict[str, Finding]] = {name: {} for name in _TITLES}
        self._lock = threading.Lock()
        self._tell = tell
        self._progress = SyncProgress(0, 0, 0, 0)
        self._parts: Iterator[tuple[int, int]] = iter(())
        self._passed = (0, 0)

    def note(self, sort: str, key: str, what: str) -> None:
        """List something under one of the report's names; the first word about a key is the one that counts."""
        with self._lock:
            self.found[sort].setdefault(key, Finding(key, what))

    def retract(self, folder: str) -> None:
        """Take back what was found in a folder: it has no meaning any more."""
        with self._lock:
            for sort in ("conflicts", "unreadable"):
                self.found[sort] = {k: one for k, one in self.found[sort].items() if not k.startswith(f"{folder}/")}

    def count(self, size: int) -> None:
        """Count a file that was copied, or would have been."""
        with self._lock:
            self.copied += 1
            self.bytes += size

    def expect(self, parts: Iterable[Collection[Stat]]) -> None:
        """Set the totals, by the files of the scopes and runs that are brought, in their order."""
        sizes = [(len(entries), sum(entry.size for entry in entries)) for entries in parts]
        self._parts = iter(sizes)
        self._progress = SyncProgress(0, 0, sum(files for files, _ in sizes), sum(size for _, size in sizes))

    def advance(self, files: int, size: int) -> None:
        """Count more files and bytes as done."""
        with self._lock:
            self._reach(self._progress.files + files, self._progress.bytes + size)

    def passed(self, number: int) -> None:
        """Count all files of so many more scopes or runs as done: some were left alone without a word."""
        files, size = map(sum, zip(self._passed, *islice(self._parts, number), strict=True))
        self._passed = files, size
        with self._lock:
            self._reach(max(files, self._progress.files), max(size, self._progress.bytes))

    def _reach(self, files: int, size: int) -> None:
        now = self._progress
        new = replace(now, files=min(files, now.total_files), bytes=min(size, now.total_bytes))
        if new != now and self._tell is not None:
            self._tell(new)
        self._progress = new
