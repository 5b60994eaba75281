"""Bringing the index up to date: by what writers announced, by a newer snapshot, and by what nobody announced.

The order is what makes it right (`docs/explanation/catalog.md`): journals are listed first and the snapshot afterwards; a
key is looked for before the run it belongs to is read; rows, marks of journals and pending hints change in one
transaction.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import closing
from functools import partial
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from molexp._catalog.compaction import snapshots
from molexp._catalog.compaction.snapshots import Manifest
from molexp._catalog.index import tables
from molexp._catalog.index.entries import Entry, Rows
from molexp._catalog.index.index import Findings, Hint, Index, Known, MovedError, owners_of
from molexp._catalog.index.index import Folder as Listed
from molexp._catalog.index.place import VERSION
from molexp._catalog.index.stored import stored_entries
from molexp._catalog.refresh.bulk import fold_many, telling
from molexp._catalog.refresh.reading import OUTAGES, Folder, News, newest_snapshot, read_news
from molexp._catalog.refresh.walk import Expected, Found, Walker, looks_like
from molexp._record.reading import listed_leases
from molexp._storage import layout
from molexp._values.documents import decode_object
from molexp.errors import CorruptRecordError, KeyNotFoundError, StoreError

if TYPE_CHECKING:
    from molexp._recording.session import RecordingSession
    from molexp.contracts import Store

_AT_ONCE = 2000  # runs that are read before they are taken in
_SOME = 400  # rows of an answer that are all looked at before it is given
_AGAIN = 8  # refreshes that may find that others have moved on meanwhile, before everything is read


class Refresher:
    """Brings one workspace's index up to date."""

    def __init__(self, session: RecordingSession, index: Index) -> None:
        self._session = session
        self._store = session.store
        self._index = index
        self._walker = Walker(session.store, index)
        self.verified: set[str] = set()
        """Experiments whose folders of runs are known to have the runs that the index has."""
        self.unreadable: dict[str, str] = {}
        """Journals that cannot be read, and why."""
        self.generation = ""
        """The generation of the index that a refresh brought up to date: another one may know less."""
        self._done = True  # unless the last scan found what is to be read again
        self._alone = False
        """The index was empty before the first rows of the scan, and nobody else has added any since."""

    # ---------------------------------------------------------------------------------------------------------- refresh

    def refresh(self) -> None:
        """Take in everything that changed since the index was last brought up to date, by whomever.

        Raises:
            UnavailableError, CredentialsError: the storage does not answer; nothing was taken in.
        """
        self._index.check()
        anew = False
        for _ in range(_AGAIN):
            try:
                known = self._index.known()
                if known.complete:
                    if self._refresh(known, sealed=anew):
                        return
                elif self._start_from_snapshot():
                    anew = True
                else:
                    self.scan()
                    if self._done:
                        return
            except MovedError:
                continue
        self.scan(surely=True)

    def _refresh(self, known: Known, *, sealed: bool) -> bool:
        """Do one round; return False if it did not come to its end."""
        news = read_news(self._store, known.journals, sealed=sealed)
        self.unreadable = news.unreadable
        findings = Findings(
            journals=news.journals,
            withdrawn=news.withdrawn,
            read_from=known.journals,
            generation=known.generation,
            since=known.news,
        )
        newest = newest_snapshot(self._store)
        seen = known.snapshot
        first = not known.journals and not seen[0] and bool(news.journals or newest[0])
        if first or news.shrunk or newest[0] < seen[0] or (newest[0] == seen[0] and newest[1] != seen[1]):
            # Somebody restored what had been; or before the first that is heard of there were others, which are deleted.
            self.scan()
            return self._done
        if newest != seen or news.vanished:
            try:
                manifest = snapshots.read_manifest(self._store, newest[0]) if newest[0] else Manifest(0)
                complete = manifest.follows(seen[0])
                unread = manifest.unread(seen[0], {**known.journals, **news.journals})
                if (unread or not complete) and self._load(manifest, known.generation):
                    self._adopt(manifest, newest[1])
                    return False
                news.wait_for(hint for hint in manifest.pending if hint[0] in unread or not complete)
            except KeyNotFoundError:
                return False  # there is a newer one
            except OUTAGES:
                raise
            except (CorruptRecordError, StoreError, sqlite3.DatabaseError):
                self.scan()
                return True
            if complete and not all(map(manifest.folds, news.vanished)):
                self.scan()  # somebody deleted journals
                return self._done
            findings.retired = set(news.vanished)
            go_on = news.writers | {writer for writer, _ in manifest.pending}
            findings.over = {writer for writer, _ in known.pending} - go_on
            findings.snapshot = newest if newest != seen else None
        return not self._take_in(known, news, findings)

    def _take_in(self, known: Known, news: News, findings: Findings) -> bool:
        waiting = (known.pending | news.announced) - news.withdrawn
        leases = listed_leases(self._store)
        touched = owners_of(waiting | news.withdrawn) | known.open | ({*map(layout.leased, leases)} - {""})
        there = self._ahead(touched, waiting)
        findings.settled = self._settled(waiting, there)  # by listings that are older than all that is read
        findings.pending = news.announced - findings.settled  # older hints may have been retired
        again = set()
        for owner, key, stamp in known.doubts:
            if not looks_like(stamp, self._walker.stamp(key)):
                touched.add(owner)
                again.add(key)
        missing: set[str] = set()
        if touched:
            findings.entries, missing = self._folder(leases, there).fold(touched)
        found = self._compare(known.folders, findings, waiting - findings.settled, missing, again)
        late = ((found.new - touched) | found.changed | found.scopes) - found.gone
        findings.gone = missing | found.gone
        if late:
            more, gone = self._folder(leases, self._ahead(late)).fold(late, found.problems)
            for entry in more:
                entry.forced = entry.path in found.changed or entry.path in found.scopes
            replaced = {entry.path for entry in more}
            findings.entries = [entry for entry in findings.entries if entry.path not in replaced] + more
            findings.gone |= gone
        findings.folders = found.folders
        self.verified = found.verified
        self.generation = findings.generation or ""  # as it is where there is nothing to take in
        return bool(findings) and self._finish(findings)

    def _compare(
        self,
        folders: Mapping[str, Listed],
        findings: Findings,
        pending: set[Hint],
        missing: set[str],
        again: set[str],
    ) -> Found:
        """Return what nobody announced."""
        if not folders:
            if not self._walker.sees_folders:
                return Found()
            found = self._walker.compare_all()
            hidden = ((path, cover) for path, cover in self._index.hidden() if path in found.members)
            found.new |= {path for path, cover in hidden if self._has_lost(path, filter(layout.is_edit, cover))}
            return found
        paths = set(map(attrgetter("path"), findings.entries))
        known = self._index.known_of(paths | missing)
        return self._walker.changes(
            folders, again, Expected(paths - known, missing & known, owners_of(pending) - paths)
        )

    def _folder(self, leases: Mapping[str, str] | None = None, store: Store | None = None) -> Folder:
        observer = self._session.observer if leases is None else replace(self._session.observer, leases=leases)
        return Folder(store or self._store, observer, self._walker.stamp)

    def _ahead(self, paths: Iterable[str], hints: Iterable[Hint] = ()) -> Store:
        """Return the store; where asking is slow, with the answers at hand that a fold of these paths needs, and `_settled`."""
        if not self._store.slow:
            return self._store
        from molexp._record.prefetch import ReadAhead

        ahead = ReadAhead(self._store)
        ahead.fetch(paths, {key for _, key in hints})
        return ahead

    def _finish(self, findings: Findings) -> bool:
        findings.origins = self._origins(findings.entries)
        again = self._index.apply(findings, exists=self.is_defined, lost=self._has_lost)
        self.generation = findings.generation or ""
        return again

    def _has_lost(self, path: str, names: Iterable[str]) -> bool:
        return self._folder().lacks(path, names)

    def is_defined(self, path: str) -> bool:
        """Tell whether there is a run or scope at a path, as far as can be told."""
        return self._folder().is_there(path)

    def scan(self, *, surely: bool = False, also: Iterable[str] = ()) -> dict[str, int]:
        """Read every run and every scope's data; returns totals.

        Args:
            also: runs and scopes that may be there although they cannot be listed.
            surely: take it in even if another process has come to the end of the same meanwhile.

        Raises:
            UnavailableError, CredentialsError: the storage does not answer; nothing was taken in.
            MovedError: another process has begun the index anew; some of its rows may be newer than what was read here.
        """
        generation = None if surely else self._index.generation
        news = read_news(self._store, {})
        newest = newest_snapshot(self._store)
        news.wait_for(snapshots.waited_for(self._store, newest[0]))
        owners = self._index.owners().union(also)  # before the walk: what another process adds meanwhile is not gone
        found = self._walker.everything()
        leases = listed_leases(self._store)
        there = sorted(found.members | {owner for owner in owners if not found.lacks(owner)})
        gone = {owner for owner in owners if found.lacks(owner)}
        counts = {"runs": 0, "assets": 0, "unreadable": 0}
        kept: list[Entry] = []
        settled: set[Hint] = set()  # of what is not read here, nothing is: it may have come after the walk
        began = since = self._index.news
        self._done, self._alone = True, False
        with self._index.in_bulk(safe=self._index.known().complete), telling(len(there)) as tell:
            for start in range(0, len(there), _AT_ONCE):
                tell(start)
                some = there[start : start + _AT_ONCE]
                these = set(some)
                ahead = self._ahead(some, hints := {one for one in news.announced if layout.owner_of(one[1]) in these})
                settled |= self._settled(hints, ahead)
                entries, missing = fold_many(partial(self._folder(leases, ahead).fold, problems=found.problems), some)
                gone |= missing
                for entry in entries:
                    counts["runs"] += entry.document is not None
                    counts["assets"] += len(entry.assets)
                    counts["unreadable"] += len(entry.problems)
                if not surely:
                    entries, since = self._take_in_some(entries, since, generation)
                kept += entries
        findings = Findings(
            kept,
            gone,
            news.journals,
            settled=settled,
            pending=news.announced - settled,
            folders=found.folders,
            snapshot=newest,
            anew=True,
            generation=generation,
            since=began,  # the entries that are kept were read before others took in anything since
        )
        self._done = not self._finish(findings) and self._done
        self.verified = self._walker.unchanged(found)
        return counts

    def _take_in_some(self, entries: list[Entry], since: int, generation: str | None) -> tuple[list[Entry], int]:
        """Take in what says no less than what is known.

        Returns:
            The rest, which only counts once all was read, and the newest change from then on.
        """
        origins = self._origins(entries)
        with self._index.transaction() as connection:
            alone = self._alone and self._index.generation == generation
            rows = Rows(connection, self._index.names, origins, self._has_lost, since, unmet=alone)
            self._alone = rows.unmet
            rest = [entry for entry in entries if not rows.take_in(entry)]
            self._done = self._done and not rows.doubtful
            return rest, rows.close()

    def still_there(self, paths: set[str]) -> set[str]:
        """Return those of some runs and scopes that are there, where looking is cheap; take the others out of the index."""
        if self._store.slow:
            return paths
        gone, versions = set[str](), dict[str, str]()
        for path in paths:
            if len(paths) > _SOME and path.rpartition("/")[0] in self.verified:
                continue  # its folder was looked at a moment ago
            try:
                versions[path] = self._store.stat(layout.document(path)).version
            except KeyNotFoundError:
                gone.add(path)
            except StoreError:
                continue  # it may be somebody else's to look at; what is known of it is true all the same
        changed = self._index.compare_stamps(versions)
        if not (gone or changed):
            return paths
        return paths - self.look_again(gone | changed) - changed

    def look_again(self, paths: Iterable[str]) -> set[str]:
        """Read some runs and scopes anew, and return those of them that are not there."""
        entries, missing = self._folder().fold(paths)
        for entry in entries:
            entry.forced = True
        self._finish(Findings(entries, set(missing)))
        return missing

    # -------------------------------------------------------------------------------------------------------- snapshots

    def _start_from_snapshot(self) -> bool:
        """Begin where the newest snapshot ends; False if there is none to begin with."""
        try:
            number, version = newest_snapshot(self._store)
            if not number:
                return False
            manifest = snapshots.read_manifest(self._store, number)
            self._load(manifest, "")  # unless another process has brought it up to date meanwhile, which knows more
        except OUTAGES:
            raise
        except (CorruptRecordError, StoreError, sqlite3.DatabaseError):
            return False
        self._adopt(manifest, version)
        return True

    def load(self, manifest: Manifest) -> None:
        """Take in the segments of a snapshot that were not needed so far, so that what they have is known to be in them.

        What it has and the index has not was gone before it was ever seen here; or it is there, and was announced in a journal
        that is not folded yet, and was read here before.
        """
        generation = self._index.generation
        for segment in manifest.segments:
            if segment.key not in self._index.segments():
                self._merge(segment, generation, all_known=True)

    def _load(self, manifest: Manifest, generation: str) -> bool:
        """Take in the segments that were not; returns whether the index has begun anew with the first."""
        if manifest.version != VERSION:
            raise CorruptRecordError(snapshots.manifest_key(manifest.number), "its tables are of another version")
        missing = [segment for segment in manifest.segments if segment.key not in self._index.segments()]
        anew = bool(missing) and missing[0] is manifest.segments[0]
        if anew:
            with self._index.scratch() as folder:
                self._index.becomes(snapshots.fetch(self._store, missing[0], folder))
            missing, generation = [*manifest.segments[1:]], ""
        for segment in missing:
            self._merge(segment, generation)
        return anew

    def _merge(self, segment: snapshots.Segment, generation: str, *, all_known: bool = False) -> None:
        with (
            self._index.scratch() as folder,
            closing(tables.open_image(snapshots.fetch(self._store, segment, folder))) as image,
        ):
            gone = {path for (path,) in image.execute("SELECT path FROM removed")}
            still = set(filter(self.is_defined, gone))
            with self._index.changing(generation) as connection:
                rows = Rows(connection, self._index.names)
                for path in gone - still:
                    rows.remove(path)
                rows.note_news(still)  # even where one is as a segment before this one has it
                rows.close()
            found = image.execute("SELECT id, path, cover, sum, open FROM entities JOIN documents USING (id)")
            while some := found.fetchmany(_AT_ONCE):
                self._merge_some(image, some, generation, all_known=all_known)
        with self._index.changing(generation) as connection:
            connection.execute("INSERT OR REPLACE INTO segments VALUES (?)", (segment.key,))

    def _merge_some(
        self, image: sqlite3.Connection, some: list[tuple[Any, ...]], generation: str, *, all_known: bool
    ) -> None:
        paths = {path for _, path, *_ in some}
        if all_known and (unseen := set(filter(self.is_defined, paths - self._index.known_of(paths)))):
            self.look_again(unseen)
        with self._index.changing(generation) as connection:
            rows = Rows(connection, self._index.names)
            lacking = rows.note_gone(paths) if all_known else set[str]()
            rest = [one[0] for one in some if one[1] not in lacking and not rows.recognise(*one[1:])]
            rows.close()
        marks = ", ".join("?" * len(rest))
        entries = [*stored_entries(image, f"id IN ({marks})", rest)]
        origins = self._origins(entries)
        with self._index.changing(generation) as connection:
            rows = Rows(connection, self._index.names, origins, self._has_lost)
            for entry in entries:
                rows.take_in(entry, from_snapshot=True)
            rows.close()

    def _adopt(self, manifest: Manifest, version: str) -> None:
        """Go on where the author of a snapshot was.

        Raises:
            MovedError: another process has begun anew since its segments were taken in, or has come to the end of that.
        """
        with self._index.changing("") as connection:
            known = {key for (key,) in connection.execute("SELECT key FROM segments")}
            if any(segment.key not in known for segment in manifest.segments):
                raise MovedError
            connection.execute("DELETE FROM journals")
            connection.execute("DELETE FROM pending")
            connection.execute("DELETE FROM folders")
            connection.executemany(
                "INSERT INTO journals VALUES (?, ?, ?)",
                ((name, mark.at, mark.owner) for name, mark in manifest.journals.items()),
            )
            connection.executemany("INSERT OR IGNORE INTO pending VALUES (?, ?)", manifest.pending)
            self._index.note_complete(connection)
            self._index.note_snapshot(connection, manifest.number, version, anew=True)

    # ------------------------------------------------------------------------------------------------------------ pieces

    @staticmethod
    def _settled(waiting: Iterable[Hint], store: Store) -> set[Hint]:
        """Return those of the announced keys that are there."""
        found = set[Hint]()
        for hint in waiting:
            try:
                if store.exists(hint[1]):
                    found.add(hint)
            except OUTAGES:
                raise
            except StoreError:
                continue
        return found

    def _origins(self, entries: Iterable[Entry]) -> dict[str, Mapping[str, Any]]:
        """Provenance documents that rows name and the index lacks."""
        said = [entry.document.get("provenance") for entry in entries if entry.document is not None]
        found: dict[str, Mapping[str, Any]] = {}
        for known in {one for one in said if isinstance(one, str)}:
            if self._index.lacks_origin(known):
                key = layout.provenance(known)
                try:
                    found[known] = decode_object(self._store.read(key), key)
                except OUTAGES:
                    raise
                except (StoreError, CorruptRecordError):
                    continue
        return found
