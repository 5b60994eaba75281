"""Deleting what the newest snapshot has made superfluous: nothing but what its content shows to be MolExp's.

A name proves little: whoever made the workspace may have put anything there. What is something else is foreign; it stays
where it is, and `fsck` names it.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Iterator, Mapping

from molexp._catalog.compaction import snapshots
from molexp._catalog.compaction.snapshots import Manifest
from molexp._catalog.index import tables
from molexp._catalog.refresh.reading import OUTAGES, hints_of, listed_journals, number_of_snapshot
from molexp._storage import key_patterns, layout
from molexp._values.documents import decode_lines, decode_object
from molexp.contracts import Stat, Store
from molexp.errors import CorruptRecordError, KeyNotFoundError, StoreError

_HEAD = 1 << 16  # bytes that show what something is
_JOURNAL = re.compile(key_patterns.JOURNAL)


def clean(store: Store, newest: int, checked: Iterable[str]) -> None:
    """Delete the journals that were folded, and segments and manifests that nobody needs, whoever left them.

    Args:
        store: the workspace's.
        newest: the number of the manifest that is known to be the newest; if there is a newer one, others clean up.
        checked: names of journals that were read a moment ago, and are journals.
    """
    listing = store.children(layout.SNAPSHOTS)
    number = max((number_of_snapshot(entry.key) for entry in listing.entries), default=0)
    if not number or number != newest:
        return
    try:
        manifest = snapshots.read_manifest(store, number)
    except (KeyNotFoundError, CorruptRecordError):
        return
    folded = _folded(store, manifest)
    unknown = [entry for entry in folded if _name(entry.key) not in {*checked}]
    foreign = set(_foreign(store, [entry.key for entry in unknown]))
    gone = [entry for entry in folded if entry.key not in foreign]
    seals: dict[str, Stat] = {}  # of numbered objects, the last
    for entry in gone:
        writer = layout.writer_of_journal(_name(entry.key))
        seals[writer] = max(entry, seals.get(writer, entry), key=lambda one: layout.number_of_journal(_name(one.key)))
    last = sorted(entry.key for entry in seals.values())
    store.each(store.delete, sorted({entry.key for entry in gone}.difference(last)))
    store.each(store.delete, last)
    superfluous = snapshots.superfluous(listing, manifest)
    others = set(_foreign(store, superfluous))
    store.each(store.delete, [key for key in superfluous if key not in others])


def _folded(store: Store, manifest: Manifest) -> list[Stat]:
    """Return journals that are still there, and were folded as they are."""
    marks: Mapping[str, str] = {name: mark for names in manifest.folded.values() for name, mark in names.items()}
    grows = "append" in store.capabilities
    found = []
    for name, entry in listed_journals(store).items():
        if name not in marks or (layout.is_journal_object(name) and entry.version != marks[name]):
            continue
        if layout.is_journal_object(name) or not grows or entry.key.startswith(f"{layout.SEALED}/"):
            found.append(entry)
    return found


_FOLDERS = layout.JOURNALS, layout.SEALED, layout.SNAPSHOTS


def unfilled(store: Store) -> Iterator[Stat]:
    """Yield names of journals and snapshots without content, of which a killed process got no further; all but the last manifest.

    The next manifest takes the number after that one.
    """
    for folder in _FOLDERS if "append" in store.capabilities else ():
        try:
            entries = store.children(folder).entries
        except OUTAGES:
            raise
        except StoreError:
            continue  # whoever walks through everything names it
        last = max((number_of_snapshot(entry.key) for entry in entries), default=0)
        for entry in entries:
            if not entry.size and (number_of_snapshot(entry.key) or -1) < last and _is_named(_name(entry.key)):
                yield entry


def _is_named(name: str) -> bool:
    return bool(_JOURNAL.fullmatch(name) or number_of_snapshot(name) or snapshots.is_segment(name))


def foreign_keys(store: Store) -> Iterator[str]:
    """Yield what lies among journals and snapshots and is neither, nor part of one."""
    for folder in _FOLDERS:
        try:
            found = [entry.key for entry in store.children(folder).entries]
        except OUTAGES:
            raise
        except StoreError:
            continue  # whoever walks through everything names it
        yield from _foreign(store, found)


def _foreign(store: Store, wanted: Iterable[str]) -> Iterator[str]:
    for key in wanted:
        try:
            if not _is_ours(store, key):
                yield key
        except KeyNotFoundError:
            continue
        except OUTAGES:
            raise
        except (CorruptRecordError, StoreError):
            yield key


def _is_ours(store: Store, key: str) -> bool:
    name = _name(key)
    if not key.startswith(f"{layout.SNAPSHOTS}/"):
        return bool(_JOURNAL.fullmatch(name)) and hints_of(store.read(key), key, 0).sound
    if number := number_of_snapshot(key):
        document = decode_object(store.read(key), key)
        return document.get("type") == "snapshot" and document.get("number") == number
    if not snapshots.is_segment(name):
        return False
    head = store.read(key, 0, _HEAD)
    if name.endswith(".gz"):
        try:
            return tables.is_ours_by(zlib.decompressobj(wbits=31).decompress(head, _HEAD))
        except zlib.error:
            return False
    if name.endswith(".sqlite3"):  # those of older versions: this, and lines
        return tables.is_ours_by(head)
    first = decode_lines(head[: head.find(b"\n") + 1] or store.read(key), key)[0]
    return bool(first) and {"path"} < first[0].keys()


def _name(key: str) -> str:
    return key.rpartition("/")[2]
