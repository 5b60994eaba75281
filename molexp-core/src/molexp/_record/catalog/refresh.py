"""Bringing the index up to date: by what writers announced, and by what nobody announced.

The order is what makes it right (`docs/explanation/catalog.md`): journals are listed first; a key is looked for before
the run it belongs to is read; rows, journal offsets and pending hints change in one transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import attrs

from molexp._record import keys
from molexp._record.catalog.index import BORN, Index, RunEntry
from molexp._record.catalog.walking import OUTAGES, Found, Walker, looks_like
from molexp._record.fold import RunState
from molexp._record.journal import hint_of, hints_of
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
        vanished: whether a journal that was known is gone, or shorter than it was.
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
        self._walker = Walker(home)

    # ---------------------------------------------------------------------------------------------------------- refresh

    def refresh(self) -> None:
        """Take in everything that changed since the index was last brought up to date, by whomever.

        Raises:
            UnavailableError, CredentialsError: the storage does not answer; nothing was taken in.
        """
        known = self._index.journals()
        news = self._read_journals(known)
        if news.vanished or not self._index.complete:
            self.scan()
            return
        waiting = (self._index.pending() | news.announced) - news.withdrawn
        settled = self._settled(waiting)  # before anything is read
        touched = {keys.owner_of(key) for _, key in waiting | news.withdrawn} | self._index.open_runs()
        again = set()
        for owner, key, stamp in self._index.doubts():
            if not looks_like(stamp, self._walker.stamp(key)):
                touched.add(owner)
                again.add(key)
        found = self._walker.changes(self._index.folders(), again)
        gone = set[str]()
        if found.listed:
            owners = self._index.owners()
            gone = {owner for owner in owners if found.lacks(owner)}
            touched |= {path for path in found.members if path.count("/") == 2 and path not in owners}
        touched = (touched | found.scopes) - gone
        if not (touched or gone or found.stamps or news.offsets):
            return
        entries, missing = self._fold(touched, found)
        self._index.apply(
            entries,
            gone=gone | missing,
            exists=self._exists,
            journals=news.offsets,
            settled=settled,
            pending=waiting - settled,
            withdrawn=news.withdrawn,
            read_from=known,
            folders=found.stamps,
        )

    def scan(self) -> dict[str, int]:
        """Read every run and every scope's data; returns totals.

        Raises:
            UnavailableError, CredentialsError: the storage does not answer; nothing was taken in.
        """
        news = self._read_journals({})
        settled = self._settled(news.announced)
        owners = self._index.owners()  # before the walk: what another process adds meanwhile is not gone
        found = self._walker.everything()
        entries, missing = self._fold(found.members | {owner for owner in owners if not found.lacks(owner)}, found)
        self._index.apply(
            entries,
            gone={owner for owner in owners if found.lacks(owner)} | missing,
            exists=self._exists,
            journals=news.offsets,
            settled=settled,
            pending=news.announced - settled,
            folders=found.stamps,
            anew=True,
        )
        return {
            "runs": sum(1 for entry in entries if entry.document is not None),
            "assets": sum(len(entry.assets) for entry in entries),
            "unreadable": sum(len(entry.problems) for entry in entries),
        }

    def look_again(self, paths: Iterable[str]) -> set[str]:
        """Read some runs and scopes anew, and return those of them that are not there."""
        entries, missing = self._fold(paths, Found())
        self._index.apply(entries, gone=missing, exists=self._exists)
        return missing

    # --------------------------------------------------------------------------------------------------------- journals

    def _settled(self, waiting: Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
        """Those of the announced keys that are there."""
        here = {key for key in {key for _, key in waiting} if self._is_there(key)}
        return {(journal, key) for journal, key in waiting if key in here}

    def _is_there(self, key: str) -> bool:
        try:
            return self._home.store.exists(key)
        except OUTAGES:
            raise
        except StoreError:
            return False

    def _exists(self, path: str) -> bool:
        return self._is_there(keys.document(path))

    def _read_journals(self, known: Mapping[str, int]) -> _News:
        """What was announced since the journals were read up to `known`."""
        store = self._home.store
        news = _News()
        if "append" not in store.capabilities or not known:
            for entry in store.list(keys.HINTS):
                if entry.key not in known:
                    news.offsets[entry.key] = 1
                    if effect := hint_of(entry.key):  # else it is foreign
                        news.announced.add((entry.key, effect))
        sizes = {}
        for entry in store.children(keys.JOURNALS).entries:
            sizes[entry.key] = entry.size
            start = known.get(entry.key, 0)
            if entry.size > start:
                try:
                    hints = hints_of(store, entry.key, start)
                except KeyNotFoundError:
                    continue
                news.offsets[entry.key] = hints.end
                news.announced.update((entry.key, key) for key in hints.announced)
                news.withdrawn.update((entry.key, key) for key in hints.withdrawn)
        news.vanished = any(
            name.startswith(keys.JOURNALS) and sizes.get(name, -1) < offset for name, offset in known.items()
        )
        return news

    # ------------------------------------------------------------------------------------------------------------ folding

    def _fold(self, paths: Iterable[str], found: Found) -> tuple[list[RunEntry], set[str]]:
        """What is true of runs and scopes now, and which of them are not there."""
        entries: list[RunEntry] = []
        missing: set[str] = set()
        for path in sorted(paths):
            is_run = path.count("/") == 2
            entry = self._fold_run(path) if is_run else self._fold_data(path, found.problems.get(path, {}))
            if entry is None:
                missing.add(path)
            else:
                entry.stamps.update((key, self._walker.stamp(key)) for key in entry.problems)
                entries.append(entry)
        return entries, missing

    def _fold_run(self, path: str) -> RunEntry | None:
        document = keys.document(path)
        try:
            state = read_run(self._home.store, path, self._home.observer)
        except OUTAGES:
            raise
        except NotFoundError as error:
            if not self._is_there(document):
                return None
            return RunEntry.unreadable(path, document, error)  # a file of it vanished while it was read
        except (CorruptRecordError, StoreError) as error:
            return RunEntry.unreadable(path, error.key or document, error)
        except Exception as error:  # noqa: BLE001 - one record that nobody foresaw must not block the rest
            return RunEntry.unreadable(path, document, f"{type(error).__name__}: {error}")
        last = state.attempts[-1] if state.attempts else None
        cover = {**state.cover, f"{BORN}{state.definition.get('token')}": 0}
        if state.edits.deleted:
            return RunEntry(path, None, False, cover)
        return RunEntry(path, _row(state), last is not None and not last.ended, cover, state.assets(), state.problems)

    def _fold_data(self, scope: str, problems: Mapping[str, str]) -> RunEntry | None:
        store = self._home.store
        entry = RunEntry(scope, None, False, problems=dict(problems))
        base = keys.below(scope, "data")
        try:
            folders = store.children(base).folders
        except OUTAGES:
            raise
        except StoreError as error:
            entry.problems[base] = str(error)
            return entry
        for folder in folders:
            self._fold_versions(f"{base}/{folder}", entry)
        return entry if entry.assets or entry.problems or self._exists(scope) else None

    def _fold_versions(self, folder: str, entry: RunEntry) -> None:
        store = self._home.store
        try:
            files = store.children(folder).entries
        except OUTAGES:
            raise
        except StoreError as error:
            entry.problems[folder] = str(error)
            return
        for file in files:
            if not file.key.rpartition("/")[2].removesuffix(".json").isdigit():
                continue
            try:
                record = decode_object(store.read(file.key), file.key)
            except OUTAGES:
                raise
            except (CorruptRecordError, StoreError) as error:
                entry.problems[file.key] = str(error)
                continue
            if record.get("type") == "data":
                entry.assets.append(record)


def _row(state: RunState) -> dict[str, object]:
    document = state.to_document()
    document.pop("token", None)
    return document
