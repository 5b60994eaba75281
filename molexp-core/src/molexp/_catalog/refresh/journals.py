"""Reading what is new in the journals, and whether there is a newer snapshot."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from itertools import product

from msgspec import Struct, field

from molexp._catalog.index.index import Hint, Mark
from molexp._record.journal import hints_of, is_object, number_of, writer_of_journal
from molexp._storage import key_patterns, layout
from molexp._values.documents import encode
from molexp.contracts import Stat, Store
from molexp.errors import CredentialsError, KeyNotFoundError, StoreError, UnavailableError

OUTAGES = (UnavailableError, CredentialsError)
"""Errors that say nothing of the record, only that the storage cannot be asked now."""

FOREIGN = "-"
"""In place of an owner: an object that bears the name of a journal's, and is none."""

_SNAPSHOT = re.compile(key_patterns.SNAPSHOT)


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
        entries += [entry for entry in store.children(layout.SEALED).entries if entry.size]
    found = {}
    for entry in entries:
        name = entry.key.rpartition("/")[2]
        if name.endswith(".jsonl") and not (is_object(name) and entry.key.startswith(layout.SEALED)):
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
    news = News(writers=set(map(writer_of_journal, listed)))
    objects: list[tuple[str, Stat]] = []
    for name, entry in listed.items():
        before = known.get(name)
        if is_object(name):
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
    news.vanished = gone if sealed else set(filter(is_object, gone))
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
    if number_of(name) > 1 and not hints.sound:
        owner = FOREIGN
    news.journals[name] = Mark(version or str(hints.end), owner)
    writer = writer_of_journal(name)
    announced, withdrawn = set(product((writer,), hints.announced)), set(product((writer,), hints.withdrawn))
    news.announced = (news.announced - withdrawn) | announced  # an object may take back what the one before it said
    news.withdrawn = (news.withdrawn - announced) | withdrawn


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
