"""Compaction: journals of writers that are done become a snapshot, so that readers need not read them one by one.

Seal, read, fold, publish, delete, in this order; `docs/explanation/catalog.md` says why. Whatever a compactor leaves
undone when it dies, the next one finds and goes on with.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import closing
from itertools import islice
from operator import itemgetter
from typing import TYPE_CHECKING

from msgspec import Struct

from molexp._catalog.compaction import snapshots
from molexp._catalog.compaction.cleanup import clean
from molexp._catalog.compaction.fences import fence_hints, is_known
from molexp._catalog.compaction.snapshots import Manifest, Segment
from molexp._catalog.index import tables
from molexp._catalog.index.database import DamagedError
from molexp._catalog.index.entries import Rows
from molexp._catalog.index.index import MANY, ROWS, SHARE, Hint, Index, Mark, MovedError
from molexp._catalog.index.place import VERSION
from molexp._catalog.index.stored import stored_entries
from molexp._catalog.refresh.reading import FOREIGN, listed_journals, newest_snapshot
from molexp._catalog.refresh.refresh import Refresher
from molexp._record.journal import seal
from molexp._record.owners import Owner
from molexp._storage import layout
from molexp._values.documents import decode
from molexp._values.times import boot_clock, new_token
from molexp.contracts import Stat
from molexp.errors import CorruptRecordError, KeyExistsError, KeyNotFoundError

if TYPE_CHECKING:
    from molexp._recording.session import RecordingSession

_PARTS = 8  # segments beside the one of all rows, from which on they are merged
_AT_ONCE = 1000  # rows that are held in memory
_FEW = 2000  # rows that are read from the index itself
_TRIES = 3


class Cut(Struct, frozen=True):
    """The state of the index at one moment.

    Attributes:
        rows: The number of those that the newest snapshot has not.
        news: the number of the newest change.
        journals: The mark up to which each journal was read.
        pending: announced keys that are not there.
    """

    rows: int
    news: int
    journals: Mapping[str, Mark]
    pending: set[Hint]


class Compactor:
    """Compacts one workspace's journals by way of a reader's index."""

    def __init__(self, session: RecordingSession, index: Index) -> None:
        self._session = session
        self._store = session.store
        self._index = index
        self._refresher = Refresher(session, index)
        self._generation = ""
        self._folded: set[str] = set()  # journals that were read, and are in a snapshot now

    def is_due(self) -> bool:
        """Tell whether there is enough to do."""
        ((journals, fresh, total),) = self._index.select(
            "SELECT (SELECT count(*) FROM journals), (SELECT count(*) FROM entities WHERE news > 0), "
            "(SELECT max(id) FROM entities)"
        )
        if fresh >= max(ROWS, (total or 0) // SHARE):
            return True
        if journals < MANY:
            return False
        parts = _by_writer(listed_journals(self._store))
        done = self._done(parts)
        return (
            sum(len(parts[writer]) for writer in done) + len(_left_behind(parts, done, self._index.known().journals))
            >= MANY
        )

    def compact(self) -> dict[str, int]:
        """Do it; returns totals.

        Raises:
            StoreError: it cannot be written there. Nothing is lost: what was sealed is read and compacted by others.
        """
        counts = {"sealed": 0, "folded": 0, "fenced": 0, "rows": 0, "snapshot": 0}
        probe = f"{layout.DERIVED}/probe/{new_token()}"  # before anything that takes long is made in vain
        self._store.create(probe, probe.encode())
        self._store.delete(probe)
        for _ in range(_TRIES):
            try:
                if self._compact(counts):
                    break
            except MovedError:
                continue
        clean(self._store, counts["snapshot"], self._folded)
        return counts

    def _compact(self, counts: dict[str, int]) -> bool:
        self._refresher.refresh()
        self._generation = self._index.generation
        base = self._base()
        sealed, left = self._seal(counts)
        dropped: set[Hint] = set()
        if sealed:
            dropped = self._settle(sealed, counts)
        return self._publish(base, sealed, left, dropped, counts)

    # ------------------------------------------------------------------------------------------------------------ sealing

    def _done(self, parts: Mapping[str, list[Stat]]) -> set[str]:
        """Return writers who are done: by their own word, because they are dead, or by all that one can see."""
        known = self._index.known().journals
        done: set[str] = set()
        silent: dict[str, str] = {}
        for writer, entries in parts.items():
            owner = _owner(known, writer)
            if owner is None and not _are_late(known, entries):
                continue  # it is no journal, or cannot be read: nobody may delete it
            if any(entry.key.startswith(f"{layout.SEALED}/") for entry in entries) or (
                owner is not None and self._session.observer.known_dead(owner)
            ):
                done.add(writer)
            elif owner != self._session.owner:
                silent[f"journal {writer}"] = _newest(entries).version
        seconds = self._index.all_unchanged_for(silent, boot_clock(), self._session.owner.boot)
        return done | {what.partition(" ")[2] for what, time in seconds.items() if time >= self._store.lease_ttl}

    def _seal(self, counts: dict[str, int]) -> tuple[dict[str, Stat], dict[str, Stat]]:
        """Seal the journals of those who are done.

        Returns:
            All journals that are sealed, as they are listed now; and what the others have left behind.
        """
        parts = _by_writer(listed_journals(self._store))
        over = self._done(parts)
        left = _left_behind(parts, over, self._index.known().journals)
        done = {writer for writer in over if self._seal_one(parts[writer])}
        counts["sealed"] += len(done)
        open_still = {entry.key.rpartition("/")[2] for entry in self._store.children(layout.JOURNALS).entries}
        grows = "append" in self._store.capabilities
        sealed = {
            name: entry
            for name, entry in listed_journals(self._store).items()
            if layout.writer_of_journal(name) in done
            and (layout.is_journal_object(name) or not grows or name not in open_still)
        }
        return sealed, left

    def _seal_one(self, entries: list[Stat]) -> bool:
        last = _newest(entries)
        if last.key.startswith(f"{layout.SEALED}/"):  # whoever renamed it may have died before it lost its old name
            return seal(self._store, f"{layout.JOURNALS}/{last.key.rpartition('/')[2]}")
        if layout.is_journal_object(last.key.rpartition("/")[2]):
            try:
                if b'"type":"sealed"' in self._store.read(last.key):
                    return True
            except KeyNotFoundError:
                return False  # another compactor is ahead
        return seal(self._store, last.key, last=_number(last.key))

    def _settle(self, sealed: Mapping[str, Stat], counts: dict[str, int]) -> set[Hint]:
        """Read sealed journals to their ends; returns hints of theirs that need not be waited for."""
        self._refresher.refresh()
        writers, known = set(map(layout.writer_of_journal, sealed)), self._index.known()
        waiting = {hint for hint in known.pending if hint[0] in writers}
        if not waiting:
            return set()
        dead = set()
        if not self._store.late_effects:
            owners = {writer: _owner(known.journals, writer) for writer in writers}
            dead = {one for one, owner in owners.items() if owner and self._session.observer.known_dead(owner)}
        fenced = {hint for hint in waiting if hint[0] not in dead and is_known(hint[1])}
        dropped = fence_hints(self._store, fenced)
        counts["fenced"] += len(fenced)
        self._refresher.refresh()  # once more, now that the dead are known to be dead, and the others are fenced
        dropped |= {hint for hint in waiting if hint[0] in dead}
        self._note_gone({layout.owner_of(key) for _, key in dropped})
        return dropped

    def _note_gone(self, paths: set[str]) -> None:
        """See to it that the snapshot says of runs which are not there: others may have read one before it was freed."""
        gone = {path for path in paths if not self._refresher.is_defined(path)}
        if not gone:
            return
        with self._index.changing(self._generation) as connection:
            rows = Rows(connection, self._index.names)
            rows.note_gone(gone)
            rows.close()

    # --------------------------------------------------------------------------------------------------------- publishing

    def _base(self) -> Manifest:
        """Return the newest snapshot, and load all of it into the index; a new beginning if it cannot be used."""
        number, _ = self._index.known().snapshot
        if not number:
            return Manifest(0)
        try:
            manifest = snapshots.read_manifest(self._store, number)
        except (CorruptRecordError, KeyNotFoundError):
            return Manifest(number)  # nobody can know any more which journals it folded
        try:
            if manifest.version == VERSION:
                self._refresher.load(manifest)
                return manifest
        except (CorruptRecordError, KeyNotFoundError, sqlite3.DatabaseError):
            pass
        return Manifest(number, folded=manifest.folded)

    def _publish(
        self,
        base: Manifest,
        sealed: Mapping[str, Stat],
        left: Mapping[str, Stat],
        dropped: set[Hint],
        counts: dict[str, int],
    ) -> bool:
        """Publish what is known; False if somebody else was faster."""
        cut = self._cut(self._index)
        waited = {journal for journal, key in cut.pending if (journal, key) not in dropped}
        folded = {
            name: cut.journals[name].at
            for name, entry in sealed.items()
            if name in cut.journals
            and cut.journals[name].owner != FOREIGN
            and self._is_whole(cut.journals[name], entry, name)
            and layout.writer_of_journal(name) not in waited
        }
        writers = set(map(layout.writer_of_journal, folded))
        folded |= {
            name: entry.version
            for name, entry in left.items()
            if (mark := cut.journals.get(name)) is not None and mark.at == entry.version and mark.owner != FOREIGN
        }
        known = self._index.segments()
        unnamed = any(segment.key not in known for segment in base.segments)
        if not base.segments:
            unnamed = bool(self._index.select("SELECT 1 FROM entities LIMIT 1"))
        if not (folded or cut.rows or unnamed):
            counts["snapshot"] = base.number
            return True
        number = base.number + 1
        written: list[Segment] = []
        try:
            segments, cut = self._segments(base, cut, number, written, anew=unnamed)
            # Journals that the snapshot before has folded may have been read in part, while they were being deleted.
            journals = {name: mark for name, mark in cut.journals.items() if not base.has_folded(name, mark)}
            journals = {name: mark for name, mark in journals.items() if name not in folded}
            go_on = set(map(layout.writer_of_journal, journals)) - writers
            pending = frozenset(hint for hint in cut.pending if hint[0] in go_on)
            manifest = Manifest(number, segments, journals, pending, {**base.folded, number: folded})
            self._store.create(snapshots.manifest_key(number), manifest.to_document(new_token()))
        except KeyExistsError:
            for segment in written:
                self._store.delete(segment.key)
            return False
        newest, version = newest_snapshot(self._store)
        if newest != number:
            return False  # somebody has gone on already; or we were so slow that the number had become free again
        self._note(manifest, cut, writers, version)
        self._folded |= folded.keys()
        counts.update(folded=counts["folded"] + len(folded), rows=cut.rows, snapshot=number)
        return True

    def _is_whole(self, mark: Mark, entry: Stat, name: str) -> bool:
        """Tell whether a sealed journal was read to its end, as far as it has whole lines."""
        if layout.is_journal_object(name):
            return mark.at == entry.version
        if not mark.at.isdigit():
            return False
        try:
            return int(mark.at) >= entry.size or b"\n" not in self._store.read(entry.key, int(mark.at))
        except KeyNotFoundError:
            return False  # another compactor is ahead

    def _segments(
        self, base: Manifest, cut: Cut, number: int, written: list[Segment], *, anew: bool
    ) -> tuple[tuple[Segment, ...], Cut]:
        parts = [*base.segments[1:]]
        since = cut.rows + sum(segment.rows for segment in parts)
        if anew or not base.segments or since > max(ROWS, base.segments[0].rows // SHARE):
            segment, cut = self._write_whole(number)
            written.append(segment)
            return (segment,), cut
        if not cut.rows:
            return base.segments, cut
        merged = parts if len(parts) >= _PARTS else []
        try:
            segment, cut = self._write_part(number, merged, cut.rows)
        except (CorruptRecordError, KeyNotFoundError):
            if not merged:
                raise
            return self._segments(base, cut, number, written, anew=True)  # they were damaged; or another is ahead
        written.append(segment)
        return (base.segments[0], *(() if merged else parts), segment), cut

    def _cut(self, index: Index) -> Cut:
        """Return what an index knows at one moment.

        Raises:
            MovedError: the index was begun anew, perhaps by somebody who knew less than the snapshot that this builds on.
        """
        with index.reading():
            known = index.known()
            if known.generation != self._generation:
                raise MovedError
            ((rows,),) = index.select(
                "SELECT (SELECT count(*) FROM entities WHERE news > 0) + (SELECT count(*) FROM removed)"
            )
            return Cut(rows, known.news, known.journals, known.pending)

    def _write_whole(self, number: int) -> tuple[Segment, Cut]:
        """Write the whole index as a segment; returns it with what it knows, which may be more by now."""
        with self._index.scratch() as folder:
            image = Index(os.path.join(folder, "image.sqlite3"), safe=False)
            self._index.image_to(image.location)
            cut = self._cut(image)
            with image.transaction() as connection:
                connection.execute("DELETE FROM removed")
            return self._write(image, number), cut

    def _write_part(self, number: int, merged: Iterable[Segment], rows: int) -> tuple[Segment, Cut]:
        """Write what came since as a segment, with what is in some others; returns it with what it builds on."""
        source = self._index
        with self._index.scratch() as folder:
            part = Index(os.path.join(folder, "image.sqlite3"), safe=False)
            for segment in merged:
                with closing(tables.open_image(snapshots.fetch(self._store, segment, folder))) as image:
                    _add(image, part)
            if rows > _FEW:  # nobody could change the index while so many are read from it
                source = Index(os.path.join(folder, "whole.sqlite3"))
                self._index.image_to(source.location)
            with source.reading() as connection:
                cut = self._cut(source)
                _add(connection, part, "news > 0")
            return self._write(part, number), cut

    def _write(self, image: Index, number: int) -> Segment:
        """Store an index as a segment, without what is true of one reader alone."""
        key = snapshots.segment_key(number, new_token())
        with closing(image):
            if damage := image.damage():
                raise DamagedError(damage)
            with image.transaction() as connection:
                ((rows,),) = connection.execute(
                    "SELECT (SELECT count(*) FROM entities) + (SELECT count(*) FROM removed)"
                )
                for table in tables.PRIVATE:
                    connection.execute(f"DELETE FROM {table}")  # noqa: S608 - one of these
                connection.execute("UPDATE entities SET news = 0, stamp = '' WHERE news > 0 OR stamp <> ''")
                connection.execute("UPDATE problems SET stamp = ''")
                connection.execute("INSERT INTO segments VALUES (?)", (key,))  # whoever begins with it has it at once
            image.select("VACUUM")
        return snapshots.write_segment(self._store, key, rows, image.location)

    def _note(self, manifest: Manifest, cut: Cut, writers: set[str], version: str) -> None:
        """Note that the index knows this snapshot, which was made of it."""
        with self._index.changing(self._generation) as connection:
            connection.execute("UPDATE entities SET news = 0 WHERE news > 0 AND news <= ?", (cut.news,))
            connection.execute("DELETE FROM removed WHERE news <= ?", (cut.news,))
            connection.executemany(
                "INSERT OR REPLACE INTO segments VALUES (?)", ((segment.key,) for segment in manifest.segments)
            )
            self._index.note_snapshot(connection, manifest.number, version)
            for writer in writers:
                connection.execute("DELETE FROM pending WHERE journal = ?", (writer,))


def _add(found: sqlite3.Connection, part: Index, where: str = "1") -> None:
    """Add what an index has, and what it says is gone, to a part that has what came before."""
    entries = stored_entries(found, where)
    gone = [path for (path,) in found.execute("SELECT path FROM removed")]
    with part.transaction() as connection:
        rows = Rows(connection, part.names)
        for path in gone:
            rows.remove(path)
        rows.note_gone({*gone})
        while some := [*islice(entries, _AT_ONCE)]:
            for entry in some:
                rows.take_in(entry, anew=True)
            rows.close()
        rows.close()
        connection.execute("DELETE FROM removed WHERE path IN (SELECT path FROM entities)")


def _by_writer(listed: Mapping[str, Stat]) -> dict[str, list[Stat]]:
    parts: dict[str, list[Stat]] = {}
    for name, entry in listed.items():
        parts.setdefault(layout.writer_of_journal(name), []).append(entry)
    return parts


def _left_behind(parts: Mapping[str, list[Stat]], done: set[str], known: Mapping[str, Mark]) -> dict[str, Stat]:
    """Numbered objects that their writers, who may go on, look at no more: all between the first and the newest.

    The newest is what a writer looks for, once it has created the next; the first says who it is. What they announce and
    is not there yet is waited for as before, by way of the manifest.
    """
    left: dict[str, Stat] = {}
    for writer, entries in parts.items():
        if writer not in done and _owner(known, writer) is not None:
            numbered = sorted(
                ((_number(entry.key), entry) for entry in entries if _number(entry.key)), key=itemgetter(0)
            )
            left |= {entry.key.rpartition("/")[2]: entry for number, entry in numbered[:-1] if number > 1}
    return left


def _owner(known: Mapping[str, Mark], writer: str) -> Owner | None:
    mark = known.get(f"{writer}.jsonl") or known.get(f"{writer}-000001.jsonl")
    return Owner.from_dict(decode(mark.owner.encode(), "journal")) if mark is not None and mark.owner else None


def _are_late(known: Mapping[str, Mark], entries: list[Stat]) -> bool:
    """Tell whether these are objects that came to be when those before them, which say whose they are, had been deleted."""
    marks = [known.get(entry.key.rpartition("/")[2]) for entry in entries]
    return all(mark is not None and mark.owner != FOREIGN for mark in marks) and all(
        _number(one.key) > 1 for one in entries
    )


def _newest(entries: Iterable[Stat]) -> Stat:
    return max(entries, key=lambda entry: _number(entry.key))


def _number(key: str) -> int:
    return layout.number_of_journal(key.rpartition("/")[2])
