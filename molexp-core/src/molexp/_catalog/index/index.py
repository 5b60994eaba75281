"""The reader's index: what the processes of one user on one host have seen of a workspace, and what that led to."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from itertools import chain
from typing import Any, NamedTuple, TypeVar

from msgspec import Struct, field

from molexp._catalog.index.database import Database, is_busy
from molexp._catalog.index.entries import Entry, Rows
from molexp._storage import layout
from molexp._values.documents import decode
from molexp._values.times import new_token


class MovedError(Exception):
    """The index was begun anew by another process, or thread, of this user."""


T = TypeVar("T")

MANY = 16
"""Journals from which on one looks whether their writers are done."""

ROWS = 1000
"""Rows that no snapshot has, from which on one is made if they are more than one part in `SHARE` of all."""

SHARE = 4

_AT_ONCE = 500
_ONE_BELOW = ("experiment IS NULL AND project IS NOT NULL", "run IS NULL AND experiment IS NOT NULL", "run IS NOT NULL")
"""Conditions on the paths one level below the workspace, a project and an experiment."""

Hint = tuple[str, str]
"""A writer's token, and a key that its journal announces."""


def owners_of(hints: Iterable[Hint]) -> set[str]:
    """Return the runs and scopes that announced keys lie in."""
    return {layout.owner_of(key) for _, key in hints}


class Mark(NamedTuple):
    """The position up to which a journal was read.

    Attributes:
        at: bytes of a file, the version of an object.
        owner: Its owner, as JSON; "" if it does not say.
    """

    at: str
    owner: str = ""


class Folder(Struct, frozen=True):
    """A folder as it was last listed.

    Attributes:
        stamp: Its stamp; "" for one that nobody needs to look at again.
        extra: folders in it that are no members.
        listed: when its names were read, in seconds of the clock of this boot.
    """

    stamp: str
    extra: int = 0
    listed: float = 0.0


class Known(Struct, frozen=True):
    """Everything that the index knows at one moment.

    Attributes:
        complete: Everything was read once.
        generation: see `Index.generation`.
        news: the number of the newest change.
        snapshot: number and version of the newest snapshot of which everything is known; 0 if there was none.
        journals: The mark up to which each journal was read.
        pending: writers, and keys announced by them that were not there yet.
        open: runs whose newest attempt had no end, and whatever else is to be looked at again.
        doubts: owners of what could not be read, its keys, and their stamps.
        folders: folders that were listed, as they were then.
    """

    complete: bool
    generation: str
    news: int
    snapshot: tuple[int, str]
    journals: dict[str, Mark]
    pending: set[Hint]
    open: set[str]
    doubts: list[tuple[str, str, str]]
    folders: dict[str, Folder]


class Findings(Struct):
    """The findings of a refresh; `Index.apply` takes them in.

    Attributes:
        entries: The facts of runs and scopes.
        gone: runs and scopes that are not there.
        journals: The mark up to which each journal was read.
        retired: journals that are folded into a snapshot, by name.
        over: writers of which no journal is left, known here or not: nothing is waited for that only they announced.
        settled: announced keys that were there.
        pending: announced keys that were not.
        withdrawn: keys that were announced as a guess and will not be created.
        read_from: The marks up to which the journals had been read before.
        folders: The stamps of folders.
        origins: provenance documents that were read, by id.
        snapshot: number and version of the snapshot that the index knows all of.
        anew: Everything was read: the findings replace what was known of journals and folders, and every
            row that it meets.
        generation: the index's when the refresh began; None if what was found does not build on what it knew. Once it
            is taken in, the index's from then on.
        since: the newest change that the index knew when the refresh began; None if that is of no interest.
    """

    entries: list[Entry] = field(default_factory=list)
    gone: set[str] = field(default_factory=set)
    journals: dict[str, Mark] = field(default_factory=dict)
    retired: set[str] = field(default_factory=set)
    over: set[str] = field(default_factory=set)
    settled: set[Hint] = field(default_factory=set)
    pending: set[Hint] = field(default_factory=set)
    withdrawn: set[Hint] = field(default_factory=set)
    read_from: Mapping[str, Mark] = field(default_factory=dict)
    folders: dict[str, Folder] = field(default_factory=dict)
    origins: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    snapshot: tuple[int, str] | None = None
    anew: bool = False
    generation: str | None = None
    since: int | None = None

    def __bool__(self) -> bool:
        return (
            any((self.entries, self.gone, self.journals, self.retired, self.withdrawn, self.folders, self.anew))
            or self.snapshot is not None
        )


class Index(Database):
    """The index of one workspace."""

    # ------------------------------------------------------------------------------------------------------- what is seen

    def known(self) -> Known:
        """Return what the index knows now."""
        with self.reading() as connection:
            execute = connection.execute
            meta = dict(execute("SELECT name, value FROM meta"))
            journals = execute("SELECT name, mark, owner FROM journals")
            folders = execute("SELECT key, stamp, extra, listed FROM folders")
            return Known(
                complete="complete" in meta,
                generation=str(meta.get("generation", "")),
                news=int(meta.get("news", 0)),
                snapshot=(int(meta.get("snapshot", 0)), str(meta.get("version", ""))),
                journals={name: Mark(*mark) for name, *mark in journals},
                pending=set(execute("SELECT journal, key FROM pending")),
                open=set(chain.from_iterable(execute("SELECT path FROM entities WHERE open = 1"))),
                doubts=execute("SELECT owner, key, stamp FROM problems").fetchall(),
                folders={key: Folder(*folder) for key, *folder in folders},
            )

    @property
    def generation(self) -> str:
        """Another one whenever the index was begun anew: what builds on what it knew before is of no use then."""
        return "".join(self.column("SELECT value FROM meta WHERE name = 'generation'"))

    @property
    def news(self) -> int:
        """The number of the newest change."""
        return int("".join(self.column("SELECT value FROM meta WHERE name = 'news'")) or 0)

    def anew(self, fill: Callable[[Index], T]) -> T:
        """Let `fill` fill an empty index, which then takes the place of this one; until then, this one answers."""
        with self.scratch() as folder:
            fresh = Index(os.path.join(folder, "index.sqlite3"))
            try:
                found = fill(fresh)
            finally:
                fresh.close()
            self.becomes(fresh.location)
        return found

    @contextmanager
    def changing(self, generation: str | None) -> Iterator[sqlite3.Connection]:
        """Begin a transaction that builds on what a generation of the index knew.

        Raises:
            MovedError: it is another one by now.
        """
        with self.transaction() as connection:
            if generation not in (None, self.generation):
                raise MovedError
            yield connection

    @staticmethod
    def note_complete(connection: sqlite3.Connection) -> str:
        """Note that the index knows everything from here on, and return the generation that begins."""
        generation = new_token()
        connection.executemany(
            "INSERT OR REPLACE INTO meta VALUES (?, ?)", (("complete", "1"), ("generation", generation))
        )
        return generation

    def hidden(self) -> list[tuple[str, dict[str, int]]]:
        """Return runs that are known and not shown, with their covers."""
        sql = "SELECT path, cover FROM entities JOIN documents USING (id) WHERE shown = 0 AND run IS NOT NULL"
        return [(path, decode(cover, path)) for path, cover in self.select(sql)]

    def owners(self) -> set[str]:
        """Return every run and scope that something is known of."""
        return self.column("SELECT path FROM entities")

    def members(self, scope: str) -> set[str]:
        """Return the paths that are known one level below a scope."""
        return self.within(scope, _ONE_BELOW[layout.depth(scope)])

    def counted(self, experiment: str) -> int:
        """Return how many runs are known of an experiment."""
        return sum(self.column("SELECT runs FROM sizes WHERE experiment = ?", (experiment,)))

    def within(self, scope: str, condition: str = "1") -> set[str]:
        """Return the paths that are known of a scope and of all below it, as far as they meet a condition."""
        names = scope.split("/") if scope else []
        wanted = [f"{level} = ?" for level, _ in zip(("project", "experiment"), names, strict=False)]
        return self.column(f"SELECT path FROM entities WHERE {' AND '.join([*wanted, condition])}", names)  # noqa: S608 - constants

    def problems(self) -> dict[str, str]:
        """Return what could not be read: key to reason."""
        return dict(self.select("SELECT key, reason FROM problems ORDER BY key"))

    def version(self, generation: str, unreadable: Mapping[str, str]) -> str:
        """Return a text that changes whenever an answer may have changed.

        Args:
            generation: the generation in which the index was brought up to date.
            unreadable: journals that cannot be read, and why.
        """
        beside = (self.problems(), sorted(unreadable.items()), sorted(self.queued.items()))
        return sha256(repr((generation, self.news, *beside)).encode()).hexdigest()[:20]

    def left_out(self, scope: str, unreadable: Mapping[str, str], *, assets: bool = False) -> dict[str, str]:
        """Return what could not be read so that something may be missing in a list of what is in a scope: key to reason.

        Runs, or assets, or something of one of them. What only defines a scope is missing in neither.

        Args:
            scope: path of the scope; "" is the workspace.
            unreadable: journals that cannot be read, and why: something may be missing in any list.
            assets: it is a list of assets, and not of runs.
        """
        found = {}
        for owner, key, reason in self.select("SELECT owner, key, reason FROM problems ORDER BY key"):
            of_run = layout.is_run(owner)
            met = (
                of_run or key in (layout.WORKSPACE, layout.members(owner)) or (assets and key != layout.document(owner))
            )
            if met and (
                not owner or not scope or f"{owner}/".startswith(f"{scope}/") or f"{scope}/".startswith(f"{owner}/")
            ):
                found[key] = reason
        return {**found, **unreadable}

    def known_of(self, paths: Iterable[str]) -> set[str]:
        """Return those of some paths that something is known of."""
        return {path for path in paths if self.select("SELECT 1 FROM entities WHERE path = ?", (path,))}

    def compare_stamps(self, versions: Mapping[str, str]) -> set[str]:
        """Return those of some runs whose documents do not look as they did; how one of which that is unknown looks is noted."""
        changed: set[str] = set()
        unknown: list[tuple[str, str]] = []
        paths = [*versions]
        for start in range(0, len(paths), _AT_ONCE):
            some = paths[start : start + _AT_ONCE]
            marks = ", ".join("?" * len(some))
            sql = f"SELECT path, stamp FROM entities WHERE shown = 1 AND path IN ({marks})"  # noqa: S608 - constants
            for path, stamp in self.select(sql, some):
                if not stamp:
                    unknown.append((versions[path], path))
                elif stamp != versions[path]:
                    changed.add(path)
        if unknown:
            with self.transaction() as connection:
                connection.executemany("UPDATE entities SET stamp = ? WHERE path = ?", unknown)
        return changed

    def segments(self) -> set[str]:
        """Return the segments of snapshots that were taken in."""
        return self.column("SELECT key FROM segments")

    def is_worth_compacting(self) -> bool:
        """Tell whether much has changed since the newest snapshot, by a look that costs the same at any size."""
        ((journals, news, published, total),) = self.select(
            "SELECT (SELECT count(*) FROM (SELECT 1 FROM journals LIMIT ?)), "
            "(SELECT value FROM meta WHERE name = 'news'), (SELECT value FROM meta WHERE name = 'published'), "
            "(SELECT max(id) FROM entities)",
            (MANY,),
        )
        return bool(journals >= MANY or int(news or 0) - int(published or 0) >= max(ROWS, (total or 0) // SHARE))

    def lacks_origin(self, provenance: str) -> bool:
        """Tell whether a provenance document has not been taken in yet."""
        return not self.select("SELECT 1 FROM shared WHERE key = ?", (f"provenance:{provenance}",))

    def unchanged_for(self, attempt: str, version: str, now: float, boot: str) -> float:
        """See `Sightings`."""
        try:
            return self.all_unchanged_for({attempt: version}, now, boot)[attempt]
        except sqlite3.DatabaseError as error:
            if is_busy(error):
                raise
            self.discard()
            return self.all_unchanged_for({attempt: version}, now, boot)[attempt]

    def all_unchanged_for(self, versions: Mapping[str, str], now: float, boot: str) -> dict[str, float]:
        """Return the same as `unchanged_for`, of several things at once."""
        if not versions:
            return {}
        with self.transaction() as connection:
            return {what: _seconds_since(connection, what, version, now, boot) for what, version in versions.items()}

    # ------------------------------------------------------------------------------------------------------------- change

    def apply(
        self,
        found: Findings,
        *,
        exists: Callable[[str], bool] | None = None,
        lost: Callable[[str, Iterable[str]], bool] = lambda _path, _names: False,
    ) -> bool:
        """Take in what a refresh found, in one transaction; an entry that knows less than the row it meets is dropped.

        What another process has taken in meanwhile, if everything was read anew, was announced after our look at the
        journals, and is read again.

        Args:
            found: The findings.
            exists: asked again about each path that is gone, now that no other process of this user can take one in.
            lost: see `Rows`.

        Returns:
            Whether something is to be read again: it came back, and may have been read before it was gone.

        Raises:
            MovedError: the index was begun anew since the refresh began.
        """
        with self.changing(found.generation) as connection:
            if found.anew:
                for table in ("journals", "pending", "folders", "segments"):
                    connection.execute(f"DELETE FROM {table}")  # noqa: S608 - one of these
                found.generation = self.note_complete(connection)
            rows = Rows(connection, self.names, found.origins, lost, found.since)
            for path in found.gone:
                if exists is None or not exists(path):
                    rows.remove(path)
            for entry in found.entries:
                rows.take_in(entry, anew=found.anew)
            announced = owners_of(found.settled)
            rows.note_news(announced)
            rows.note_gone(announced & found.gone)  # others may have read it before it was gone
            rows.close()
            self._note_journals(connection, found)
            connection.executemany(
                "INSERT OR REPLACE INTO folders VALUES (?, ?, ?, ?)",
                ((key, one.stamp, one.extra, one.listed) for key, one in found.folders.items()),
            )
            connection.execute("DELETE FROM folders WHERE stamp = ''")
            if found.snapshot is not None:
                self.note_snapshot(connection, *found.snapshot, anew=found.anew)
            if found.anew:  # from the files: nobody knows which rows the snapshot has
                connection.execute("DELETE FROM meta WHERE name = 'published'")
        return rows.doubtful

    @staticmethod
    def note_snapshot(connection: sqlite3.Connection, number: int, version: str, *, anew: bool = False) -> None:
        """Note that all of a snapshot is known; keep a newer one that another process noted, unless all was read `anew`."""
        found = connection.execute("SELECT value FROM meta WHERE name = 'snapshot'").fetchone()
        if anew or found is None or number >= int(found[0]):
            connection.executemany(
                "INSERT OR REPLACE INTO meta VALUES (?, ?)", (("snapshot", str(number)), ("version", version))
            )
            connection.execute("INSERT OR REPLACE INTO meta SELECT 'published', value FROM meta WHERE name = 'news'")

    def _note_journals(self, connection: sqlite3.Connection, found: Findings) -> None:
        if found.withdrawn:
            now = dict(connection.execute("SELECT name, mark FROM journals"))
            for writer in {writer for writer, _ in found.withdrawn}:
                # Only where nobody has read on meanwhile: the key may have been announced again since.
                before = {name: mark.at for name, mark in found.read_from.items()}
                if _of_writer(now, writer) == _of_writer(before, writer):
                    hints = [hint for hint in found.withdrawn if hint[0] == writer]
                    connection.executemany("DELETE FROM pending WHERE journal = ? AND key = ?", hints)
        for name, mark in found.journals.items():
            older = "0" if layout.is_journal_object(name) else "CAST(mark AS INTEGER) > CAST(:mark AS INTEGER)"
            connection.execute(  # by names: Python 3.12.0 to 3.12.3 take ?1 for one
                "INSERT INTO journals VALUES (:name, :mark, :owner) ON CONFLICT (name) DO UPDATE SET "  # noqa: S608 - one of two
                f"owner = CASE WHEN :owner = '' THEN owner ELSE :owner END, mark = CASE WHEN {older} THEN mark ELSE :mark END",
                {"name": name, "mark": mark.at, "owner": mark.owner},
            )
        connection.executemany("INSERT OR IGNORE INTO pending VALUES (?, ?)", found.pending)
        connection.executemany("DELETE FROM pending WHERE journal = ? AND key = ?", found.settled)
        for name in found.retired:
            connection.execute("DELETE FROM journals WHERE name = ?", (name,))
        writers = set(map(layout.writer_of_journal, found.retired)) | found.over
        if writers:  # of a writer who goes on, something is left
            writers -= set(map(layout.writer_of_journal, self.column("SELECT name FROM journals")))
        for writer in writers:
            connection.execute("DELETE FROM pending WHERE journal = ?", (writer,))
            connection.execute("DELETE FROM sightings WHERE attempt = ?", (f"journal {writer}",))


def _seconds_since(connection: sqlite3.Connection, what: str, version: str, now: float, boot: str) -> float:
    """Return the seconds since something was first seen at this version, and note it if that is now."""
    row = connection.execute(
        "SELECT first FROM sightings WHERE attempt = ? AND version = ? AND boot = ? AND first <= ?",
        (what, version, boot, now),
    ).fetchone()
    if row is not None:
        return now - float(row[0])
    connection.execute("INSERT OR REPLACE INTO sightings VALUES (?, ?, ?, ?)", (what, version, boot, now))
    return 0.0


def _of_writer(marks: Mapping[str, str], writer: str) -> dict[str, str]:
    return {name: mark for name, mark in marks.items() if layout.writer_of_journal(name) == writer}


__all__ = ["Entry", "Findings", "Folder", "Hint", "Index", "Mark", "MovedError", "owners_of"]
