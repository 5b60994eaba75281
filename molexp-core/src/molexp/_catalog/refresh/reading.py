"""Reading for the index: what is new in the journals and snapshots, and what the files of a run, or a scope's data, say now."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from itertools import product
from typing import Any

from msgspec import Struct, field
from msgspec.structs import replace

from molexp._catalog.index.columns import packed
from molexp._catalog.index.entries import BORN, Entry
from molexp._catalog.index.index import Hint, Mark
from molexp._record.document_types import VOID, decode_document, is_defined
from molexp._record.folding import RunState, absurd
from molexp._record.leases import Observer
from molexp._record.metrics import run_metrics
from molexp._record.reading import read_definition, read_run
from molexp._storage import key_patterns, layout
from molexp._values.documents import decode_lines, encode
from molexp._values.ids import spelled
from molexp._values.numbers import is_number
from molexp.contracts import Stat, Store, check_key
from molexp.errors import (
    CorruptRecordError,
    CredentialsError,
    KeyNotFoundError,
    NotFoundError,
    StoreError,
    UnavailableError,
)

# ------------------------------------------------------------------------------------------------------------ journals

OUTAGES = (UnavailableError, CredentialsError)
"""Errors that say nothing of the record, only that the storage cannot be asked now."""

FOREIGN = "-"
"""In place of an owner: an object that bears the name of a journal's, and is none."""

_SNAPSHOT = re.compile(key_patterns.SNAPSHOT)


class Hints(Struct, frozen=True):
    """Hold what a part of a journal says.

    Attributes:
        announced: keys that may have been created since.
        withdrawn: keys that were announced as a guess, and will not be created after all; what was done is done.
        end: the byte up to which it was read.
        owner: the owner of the journal, where this part says so.
        sound: true if MolExp has written this: a journal begins with whose it is, and an object that comes later in one
            says nothing but hints.
    """

    announced: frozenset[str]
    withdrawn: frozenset[str]
    end: int
    owner: Mapping[str, Any] | None = None
    sound: bool = True


class News(Struct):
    """New announcements of the journals.

    Attributes:
        journals: The mark up to which each was read now.
        announced: keys that may have been created.
        withdrawn: keys that were announced as a guess and will not be created.
        vanished: journals that were known and are gone.
        writers: The writers of the journals that were there.
        shrunk: One is shorter than it was: somebody restored it.
        unreadable: keys of journals that cannot be read, and why.
    """

    journals: dict[str, Mark] = field(default_factory=dict)
    announced: set[Hint] = field(default_factory=set)
    withdrawn: set[Hint] = field(default_factory=set)
    vanished: set[str] = field(default_factory=set)
    writers: set[str] = field(default_factory=set)
    shrunk: bool = False
    unreadable: dict[str, str] = field(default_factory=dict)

    def wait_for(self, hints: Iterable[Hint]) -> None:
        """Take in what objects announce that are folded and deleted: only the manifest of the snapshot says so by now."""
        self.announced |= set(hints) - self.withdrawn


def listed_journals(store: Store, *, sealed: bool = True) -> dict[str, Stat]:
    """Return the journals by their names: first those that are written to, then those that are sealed.

    In this order: one that is sealed meanwhile is in the one listing or the other. A new name without content is nobody's yet.
    """
    entries = [*store.children(layout.JOURNALS).entries]
    if sealed:
        entries += store.children(layout.SEALED).entries
    found = {}
    for entry in entries:
        name = entry.key.rpartition("/")[2]
        is_seal = entry.key.startswith(layout.SEALED) and (layout.is_journal_object(name) or not entry.size)
        if name.endswith(".jsonl") and not is_seal:
            found[name] = entry
    return found


def read_news(store: Store, known: Mapping[str, Mark], *, sealed: bool = True) -> News:
    """Return what was announced since the journals were read up to `known`.

    A journal that disappears while this goes on was folded into a snapshot, which whoever looks afterwards finds.

    Args:
        store: the workspace's.
        known: The marks up to which they were read.
        sealed: Read sealed ones, too; where nothing is renamed, only those are there that came with a copy.
    """
    sealed = sealed or "append" in store.capabilities
    listed = listed_journals(store, sealed=sealed)
    news = News(writers=set(map(layout.writer_of_journal, listed)))
    objects: list[tuple[str, Stat]] = []
    for name, entry in listed.items():
        before = known.get(name)
        if layout.is_journal_object(name):
            if before is None or before.at != entry.version:
                objects.append((name, entry))
            continue
        start = int(before.at) if before is not None and before.at.isdigit() else 0
        if entry.size < start:
            news.shrunk = True
        elif entry.size > start:
            _read(store, name, entry.key, start, news)
    found = store.read_many([entry.key for _, entry in objects]) if objects else ()
    for (name, entry), data in zip(objects, found, strict=True):
        if isinstance(data, KeyNotFoundError):
            _read(store, name, entry.key, 0, news, entry.version)
        else:
            _note(name, entry.key, 0, data, news, entry.version)
    gone = known.keys() - listed.keys()
    news.vanished = gone if sealed else set(filter(layout.is_journal_object, gone))
    return news


def _read(store: Store, name: str, key: str, start: int, news: News, version: str = "") -> None:
    for place in (key, f"{layout.SEALED}/{name}"):  # it may have been sealed since it was listed
        data: bytes | StoreError
        try:
            data = store.read(place, start)
        except KeyNotFoundError:
            continue
        except StoreError as error:
            data = error
        _note(name, place, start, data, news, version)
        return


def _note(name: str, place: str, start: int, data: bytes | StoreError, news: News, version: str) -> None:
    """Take in what lies in a journal, or in a part of one."""
    try:
        if isinstance(data, StoreError):
            raise data
        hints = hints_of(data, place, start)
    except OUTAGES:
        raise
    except StoreError as error:
        news.unreadable[place] = str(error)
        return
    owner = encode(hints.owner).decode() if hints.owner is not None else ""
    if layout.number_of_journal(name) > 1 and not hints.sound:
        owner = FOREIGN
    news.journals[name] = Mark(version or str(hints.end), owner)
    writer = layout.writer_of_journal(name)
    announced, withdrawn = set(product((writer,), hints.announced)), set(product((writer,), hints.withdrawn))
    news.announced = (news.announced - withdrawn) | announced  # an object may take back what the one before it said
    news.withdrawn = (news.withdrawn - announced) | withdrawn


def hints_of(data: bytes, journal: str, start: int) -> Hints:
    """Return what `journal` says from byte `start` on, where `data` lies."""
    lines, length, bad = decode_lines(data, journal)
    announced: set[str] = set()
    withdrawn: set[str] = set()
    owner: Mapping[str, Any] | None = None
    for line in lines:
        wrong = _keys(line, "withdrawn")
        withdrawn |= wrong
        announced -= wrong
        said = _keys(line, "keys")
        announced |= said
        withdrawn -= said
        if line.get("type") == "journal" and isinstance(line.get("owner"), dict):
            owner = line["owner"]
    first = layout.number_of_journal(journal.rpartition("/")[2]) < 2
    sound = owner is not None if first else bool(lines) and not bad and all(map(_is_said, lines))
    return Hints(frozenset(announced), frozenset(withdrawn), start + length, owner, sound)


def _is_said(line: Mapping[str, Any]) -> bool:
    return line.get("type") == "sealed" or isinstance(line.get("keys", line.get("withdrawn")), list)


def _keys(line: Mapping[str, Any], name: str) -> set[str]:
    found = line.get(name)
    return set(filter(_is_key, found)) if isinstance(found, list) else set()


def _is_key(key: Any) -> bool:
    try:
        return isinstance(key, str) and bool(check_key(key))
    except ValueError:
        return False


def newest_snapshot(store: Store) -> tuple[int, str]:
    """Return the number and version of the manifest of the newest snapshot; 0 if there is none."""
    found = (0, "")
    for entry in store.children(layout.SNAPSHOTS).entries:
        if (number := number_of_snapshot(entry.key)) > found[0]:
            found = number, entry.version
    return found


def number_of_snapshot(key: str) -> int:
    """Return the number of a snapshot, by the key of its manifest; 0 for another key."""
    match = _SNAPSHOT.fullmatch(key.rpartition("/")[2])
    return int(match[1]) if match else 0


# --------------------------------------------------------------------------------------------------------------- files


class Folder(Struct, frozen=True):
    """Folds what lies at paths.

    Attributes:
        store: the workspace's.
        observer: judges the owners of attempts without an end.
        look: returns what a key looks like, as `Walker.stamp` does; "" where that is not to be had.
    """

    store: Store
    observer: Observer
    look: Callable[[str], str]

    def fold(
        self, paths: Iterable[str], problems: Mapping[str, Mapping[str, str]] | None = None
    ) -> tuple[list[Entry], set[str]]:
        """Return what is true of runs and scopes now, and which of them are not there.

        Args:
            paths: of runs and scopes.
            problems: of scopes, that are known already.
        """
        entries: list[Entry] = []
        missing: set[str] = set()
        for path in sorted(paths):
            read = self._run if layout.is_run(path) else partial(self._data, problems=(problems or {}).get(path, {}))
            entry = read(path)
            if entry is not None and entry.problems:
                stamps = {key: stamp for key in entry.problems if (stamp := self.look(key))}
                # They have to be older than what is read: that may be mended meanwhile.
                if stamps and (entry := read(path)) is not None:
                    entry.stamps = stamps
            if entry is None:
                missing.add(path)
            else:
                entries.append(entry)
        return entries, missing

    def is_there(self, path: str) -> bool:
        """Tell whether there is a run or scope at a path, as far as can be told."""
        try:
            return is_defined(self.store, path)
        except OUTAGES:
            raise
        except StoreError:
            return False

    def lacks(self, path: str, names: Iterable[str]) -> bool:
        """Tell whether some of the files that a cover names is not there.

        So the run is being freed, or was brought back, or another copy of it was put in its place: that cover says nothing
        any more.
        """
        return any(not self._still(path, name) for name in names)

    def _still(self, path: str, name: str) -> bool:
        """Tell whether what a cover names is there: a file, or the run that bears this token."""
        try:
            if not name.startswith(BORN):
                # Whoever waited for what is gone may have fenced it.
                return self.store.stat(_key_of(path, name)).size != len(VOID)
            return f"{BORN}{read_definition(self.store, path, {}).get('token')}" == name
        except OUTAGES:
            raise
        except NotFoundError:
            return False
        except (CorruptRecordError, StoreError):
            return name.startswith(BORN)

    def _run(self, path: str) -> Entry | None:
        document, stamp = layout.document(path), ""
        try:
            if not self.store.slow:  # looking is cheap
                with suppress(StoreError):
                    stamp = self.store.stat(document).version
            state = read_run(self.store, path, self.observer)
        except OUTAGES:
            raise
        except NotFoundError as error:
            if not self.is_there(path):
                return None
            # A file of it vanished while it was read: it is read again.
            return replace(Entry.unreadable(path, document, error), open=True)
        except (CorruptRecordError, StoreError) as error:
            return Entry.unreadable(path, error.key or document, error)
        except Exception as error:  # noqa: BLE001 - one record that nobody foresaw must not block the rest
            return Entry.unreadable(path, document, f"{type(error).__name__}: {error}")
        cover = {**state.cover, f"{BORN}{state.definition.get('token')}": 0}
        if state.edits.deleted:  # unless an edit that cannot be read has restored it
            unclear = {key: why for key, why in state.problems.items() if layout.is_edit(key)}
            return Entry(path, None, False, cover, problems=unclear, stamp=stamp)
        is_open = bool(state.attempts) and not state.attempts[-1].ended
        entry = Entry(path, full_row(self.store, state, path), is_open, cover, problems=state.problems, stamp=stamp)
        _add_recorded(entry, state)
        return entry

    def _data(self, scope: str, problems: Mapping[str, str]) -> Entry | None:
        entry = Entry(scope, None, False, problems=dict(problems))
        document, base = layout.document(scope), layout.below(scope, layout.DATA)
        with _noting(entry, document), suppress(KeyNotFoundError):
            decode_document(self.store.read(document), document)
        with _noting(entry, base):
            for folder in self.store.children(base).folders:
                self._versions(f"{base}/{folder}", entry)
        return entry if entry.assets or entry.problems or self.is_there(scope) else None

    def _versions(self, folder: str, entry: Entry) -> None:
        with _noting(entry, folder):
            for file in self.store.children(folder).entries:
                name = file.key.rpartition("/")[2]
                if name.endswith(".json") and is_number(name[:-5]) and file.size != len(VOID):
                    entry.cover[file.key] = 0
                    with _noting(entry, file.key):
                        self._version(file.key, entry)

    def _version(self, key: str, entry: Entry) -> None:
        record = decode_document(self.store.read(key), key)
        if record.get("type") == "data":
            entry.assets.append(record)
            if reason := absurd(record):
                entry.problems[key] = reason


@contextmanager
def _noting(entry: Entry, key: str) -> Iterator[None]:
    """Note what cannot be read in an entry, unless that says nothing of the record."""
    try:
        yield
    except OUTAGES:
        raise
    except (CorruptRecordError, StoreError) as error:
        entry.problems[key] = str(error)


def _key_of(path: str, name: str) -> str:
    """Return the key of a file that the cover of a run or scope names."""
    if not layout.is_run(path):
        return name
    return layout.below(path, name if layout.is_edit(name) else f"{layout.EXECUTIONS}/{name}")


def full_row(store: Store, state: RunState, path: str) -> dict[str, Any]:
    """Return a run's row: ``run.json`` as it would be, its metrics, and how many requests to cancel it there are."""
    row = state.to_document()
    if state.edits.cancels:
        row["cancels"] = len(state.edits.cancels)
    row.pop("token", None)
    row["project"], row["experiment"], folder = path.split("/")  # wherever it was moved to
    row["id"] = spelled(row.get("id"), folder)
    if found := run_metrics(store, path, state, packed):
        row |= found
    return row


def _add_recorded(entry: Entry, state: RunState) -> None:
    """Add to the entry of a run the records of its assets, and what it used."""
    for attempt in state.attempts:
        for record in attempt.contents.assets.values():
            if "summary" in record:  # of its metrics, which its own row has
                record = {**record}  # noqa: PLW2901
                del record["summary"]
            entry.assets.append(record)
        for one in attempt.contents.used:
            entry.uses.append((str(one.get("asset")), attempt.number, str(one.get("task") or "")))
