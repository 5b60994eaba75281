"""Bringing the index up to date: by what writers announced, and by what nobody announced.

The order is what makes it right (`docs/explanation/catalog.md`): journals are listed first; a key is looked for before
the run it belongs to is read; rows, journal offsets and pending hints change in one transaction.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import attrs

from molexp._record import keys
from molexp._record.catalog.index import BORN, Index, RunEntry
from molexp._record.definitions import member_ids
from molexp._record.fold import RunState
from molexp._record.journal import hints_of
from molexp._record.reading import read_run
from molexp._values.documents import decode_object
from molexp.errors import CorruptRecordError, KeyNotFoundError, NotFoundError, StoreError

if TYPE_CHECKING:
    from molexp._record.home import Home


@attrs.define
class _News:
    """What the journals say that was not known: keys by the journal that names them.

    Attributes:
        offsets: how far each journal was read.
        announced: keys that may have been created.
        withdrawn: keys that were announced as a guess and will not be created.
        vanished: whether a journal that was known is gone.
    """

    offsets: dict[str, int] = attrs.field(factory=dict)
    announced: set[tuple[str, str]] = attrs.field(factory=set)
    withdrawn: set[tuple[str, str]] = attrs.field(factory=set)
    vanished: bool = False


class Refresher:
    """Brings one workspace's index up to date."""

    def __init__(self, home: Home, index: Index) -> None:
        self._home = home
        self._index = index

    # ---------------------------------------------------------------------------------------------------------- refresh

    def refresh(self) -> None:
        """Take in everything that changed since the index was last brought up to date, by whomever."""
        known = self._index.journals()
        news = self._read_journals(known)
        if news.vanished or not self._index.complete:
            self.scan()
            return
        waiting = (self._index.pending() | news.announced) - news.withdrawn
        settled = self._settled(waiting)  # before anything is read
        touched = {keys.owner_of(key) for _, key in waiting | news.withdrawn} | self._index.open_runs()
        folders, found, gone = self._look_at_folders()
        touched |= found
        touched -= gone
        if not (touched or gone or folders or news.offsets):
            return
        entries, missing = self._fold(touched)
        self._index.apply(
            entries,
            gone=gone | missing,
            journals=news.offsets,
            settled=settled,
            pending=waiting - settled,
            withdrawn=news.withdrawn,
            read_from=known,
            folders=folders,
        )

    def scan(self) -> dict[str, int]:
        """Read every run and every scope's data; returns totals."""
        news = self._read_journals({})
        settled = self._settled(news.announced)
        folders: dict[str, str] = {}
        known = self._index.run_paths()  # before the walk: what another process adds meanwhile is not gone
        paths = set(self._walk(folders))
        entries, missing = self._fold(paths)
        gone = (known - paths) | missing
        self._index.apply(
            entries,
            gone=gone,
            journals=news.offsets,
            settled=settled,
            pending=news.announced - settled,
            folders=folders,
            anew=True,
        )
        return {
            "runs": sum(1 for entry in entries if entry.document is not None),
            "assets": sum(len(entry.assets) for entry in entries),
            "unreadable": sum(len(entry.problems) for entry in entries),
        }

    def fold(self, paths: Iterable[str]) -> tuple[list[RunEntry], set[str]]:
        """What is true of runs and scopes now, and which of them are not there."""
        return self._fold(paths)

    # --------------------------------------------------------------------------------------------------------- journals

    def _settled(self, waiting: Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
        """Those of the announced keys that are there."""
        here = {key for key in {key for _, key in waiting} if self._is_there(key)}
        return {(journal, key) for journal, key in waiting if key in here}

    def _is_there(self, key: str) -> bool:
        try:
            return self._home.store.exists(key)
        except StoreError:
            return False

    def _read_journals(self, known: Mapping[str, int]) -> _News:
        """What was announced since the journals were read up to `known`."""
        store = self._home.store
        news = _News()
        if "append" not in store.capabilities or not known:
            for entry in store.list(keys.HINTS):
                if entry.key not in known:
                    news.offsets[entry.key] = 1
                    parts = entry.key.removeprefix(keys.HINTS + "/").split("/", 2)
                    if len(parts) == 3:  # else it is foreign
                        news.announced.add((entry.key, parts[2]))
        names = set()
        for entry in store.children(keys.JOURNALS).entries:
            names.add(entry.key)
            start = known.get(entry.key, 0)
            if entry.size > start:
                try:
                    hints = hints_of(store, entry.key, start)
                except KeyNotFoundError:
                    continue
                news.offsets[entry.key] = hints.end
                news.announced.update((entry.key, key) for key in hints.announced)
                news.withdrawn.update((entry.key, key) for key in hints.withdrawn)
        news.vanished = any(name.startswith(keys.JOURNALS) and name not in names for name in known)
        return news

    # ------------------------------------------------------------------------------------------------------------ walking

    def _walk(self, folders: dict[str, str]) -> Iterable[str]:
        """Every scope and every run, by names alone."""
        yield ""
        for project in self._members("", folders):
            yield project
            for experiment in self._members(project, folders):
                yield experiment
                yield from self._members(experiment, folders)

    def _members(self, path: str, folders: dict[str, str]) -> list[str]:
        key = keys.members(path)
        if stamp := self._stamp(key):
            folders[key] = stamp  # before the listing, so that whatever comes during it is noticed next time
        return [f"{path}/{name}" if path else name for name in member_ids(self._home, path)]

    def _stamp(self, key: str) -> str:
        """What a folder looks like, where that can be had for one stat."""
        if "local_path" not in self._home.store.capabilities:
            return ""
        try:
            found = os.stat(self._home.store.locate(key))
        except OSError:
            return "gone"
        return f"{found.st_mtime_ns}-{found.st_ino}"

    def _look_at_folders(self) -> tuple[dict[str, str], set[str], set[str]]:
        """Folders that changed, and which of their runs and scopes came and went: deletions and copies by hand."""
        known = self._index.folders()
        changed = {key: stamp for key, stamp in known.items() if self._stamp(key) != stamp}
        if not changed:
            return {}, set(), set()
        folders: dict[str, str] = {}
        rows = self._index.run_paths()
        here: set[str] = set()
        for key in changed:
            path = keys.owner_of(f"{key}/")
            for member in self._members(path, folders):
                here.add(member)
                if member.count("/") < 2 and keys.members(member) not in known:
                    here.update(self._members(member, folders))
        here |= {
            run
            for member in list(here)
            if member.count("/") == 1 and keys.members(member) not in known
            for run in self._members(member, folders)
        }
        looked_at = {keys.owner_of(f"{key}/") for key in folders}
        gone = {row for row in rows if row.rpartition("/")[0] in looked_at and row not in here}
        gone |= {row for row in rows if self._above_is_gone(row, looked_at, here)}
        return folders, here - rows, gone

    @staticmethod
    def _above_is_gone(row: str, looked_at: set[str], here: set[str]) -> bool:
        project, experiment, _ = row.split("/")
        above = f"{project}/{experiment}"
        return ("" in looked_at and project not in here) or (project in looked_at and above not in here)

    # ------------------------------------------------------------------------------------------------------------ folding

    def _fold(self, paths: Iterable[str]) -> tuple[list[RunEntry], set[str]]:
        entries: list[RunEntry] = []
        missing: set[str] = set()
        for path in sorted(paths):
            entry = self._fold_run(path) if path.count("/") == 2 else self._fold_data(path)
            if entry is None:
                missing.add(path)
            else:
                entries.append(entry)
        return entries, missing

    def _fold_run(self, path: str) -> RunEntry | None:
        try:
            state = read_run(self._home.store, path, self._home.observer)
        except NotFoundError:
            return None
        except CorruptRecordError as error:
            return RunEntry(path, None, False, {}, [], {error.key: str(error)})
        except Exception as error:  # noqa: BLE001 - one record that nobody foresaw must not block the rest
            return RunEntry(path, None, False, {}, [], {keys.document(path): f"{type(error).__name__}: {error}"})
        if state.edits.deleted:
            return None
        last = state.attempts[-1] if state.attempts else None
        is_open = last is not None and (not last.ended or bool(last.problem))  # what cannot be read is looked at again
        cover = {**state.cover, f"{BORN}{state.definition.get('token')}": 0}
        return RunEntry(path, _row(state), is_open, cover, state.assets(), state.problems)

    def _fold_data(self, scope: str) -> RunEntry:
        store = self._home.store
        records: list[dict[str, object]] = []
        problems: dict[str, str] = {}
        base = keys.below(scope, "data")
        for folder in store.children(base).folders:
            for file in store.children(f"{base}/{folder}").entries:
                if not file.key.rpartition("/")[2].removesuffix(".json").isdigit():
                    continue
                try:
                    record = decode_object(store.read(file.key), file.key)
                except (CorruptRecordError, StoreError) as error:
                    problems[file.key] = str(error)
                    continue
                if record.get("type") == "data":
                    records.append(record)
        return RunEntry(scope, None, False, {}, records, problems)


def _row(state: RunState) -> dict[str, object]:
    document = state.to_document()
    document.pop("token", None)
    return document
