"""Syncing what is no run: the workspace's settings and provenance, projects, experiments, and imported data."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

from msgspec import Struct, field

from molexp._record.document_types import VOID, agree_as_bytes, decode_document, is_void
from molexp._record.incomplete import is_torn
from molexp._record.reading import read_documents
from molexp._storage import key_patterns, layout
from molexp._storage.hashing import tree_of
from molexp._storage.links import reading_record
from molexp._storage.progress import NOTHING
from molexp._sync.copying import Copier, Outcome, guard
from molexp._sync.edits import bring_edit
from molexp._sync.sides import Side
from molexp.contracts import Stat, Store
from molexp.errors import CorruptRecordError, HashMismatchError, KeyNotFoundError, StoreError

_NUMBERED = re.compile(key_patterns.NUMBERED)
_FIRST = ("project.json", "experiment.json")
_RECORD = re.compile(key_patterns.DATA_RECORD)
_BROUGHT = re.compile(key_patterns.DATA_PAYLOAD)
_PROVENANCE = re.compile(key_patterns.PROVENANCE)
_EDIT = re.compile(key_patterns.EDIT)


class _Data(Struct):
    """One name of imported data.

    Attributes:
        records: its versions' documents, by number.
        payloads: All other entries of its folder.
    """

    records: dict[int, Stat] = field(default_factory=dict)
    payloads: list[Stat] = field(default_factory=list)


class ScopeSync:
    """Syncs one scope: the workspace, a project or an experiment, without what lies in those below it.

    Args:
        copier: copies files.
        path: the scope's path.
        same_workspace: Both sides are copies of one workspace, which have their settings in common.
    """

    def __init__(self, copier: Copier, path: str, *, same_workspace: bool) -> None:
        self._copier = copier
        self._path = path
        self._same = same_workspace
        self._known = copier.known(layout.below(path, ""), f"{layout.members(path)}/")

    def sync(self, entries: Mapping[str, Stat]) -> None:
        """Bring what the source has; `entries` are by their keys below the scope's folder."""
        copier = self._copier
        chain: list[tuple[int, Stat]] = []
        edits: list[Stat] = []
        others: list[tuple[Stat, str]] = []
        data: defaultdict[str, _Data] = defaultdict(_Data)
        for rest, entry in entries.items():
            if match := _RECORD.fullmatch(rest):
                data[match[1]].records[int(match[2])] = entry
            elif match := _BROUGHT.fullmatch(rest):
                data[match[1]].payloads.append(entry)
            elif self._known(entry) or rest == layout.WORKSPACE:
                continue
            elif (number := self._number(rest)) is not None:
                chain.append((number, entry))
            elif _EDIT.fullmatch(rest):
                edits.append(entry)
            else:
                match = _PROVENANCE.fullmatch(rest)
                others.append((entry, f"sha256:{match[1]}" if match else ""))
        copier.each(lambda other: copier.bring(other[0], recorded=other[1], whole=bool(other[1])), others)
        self._chain([one for one in chain if one[0]])
        copier.announce(entry.key for entry in edits if entry.key not in copier.destination.entries)
        copier.each(partial(bring_edit, copier), edits)
        for name, one in sorted(data.items()):
            if not all(map(self._known, (*one.records.values(), *one.payloads))):
                guard(copier, layout.data_folder(self._path, name), partial(self._data, name, one))

    def _number(self, rest: str) -> int | None:
        """Return the number of a document of which the newest counts; 0 for one that is each workspace's own."""
        if rest in _FIRST:
            return 1
        match = _NUMBERED.fullmatch(rest)
        if match is None:
            return None
        return int(match[2]) if self._same or match[1] != f"{layout.SETTINGS}/" else 0

    def _chain(self, numbered: Iterable[tuple[int, Stat]]) -> None:
        """Bring documents of which the newest counts; after a conflict, bring nothing that builds on the source's."""
        conflict = ""
        for _, entry in sorted(numbered, key=lambda one: one[0]):
            if conflict:
                self._copier.ledger.note("conflicts", entry.key, f"it builds on {conflict!r}, which differs")
            elif self._document(entry) is Outcome.CONFLICT:
                conflict = entry.key

    def _document(self, entry: Stat) -> Outcome:
        """Bring a document that was created once, or find that the destination's says the same."""
        copier, key = self._copier, entry.key
        is_there = key in copier.destination.entries
        try:
            ours = copier.source.store.read(key)
            theirs = copier.destination.store.read(key) if is_there else b""
            if not is_there:
                decode_document(ours, key)
        except KeyNotFoundError:
            return Outcome.GONE
        except (CorruptRecordError, StoreError) as error:  # it is kept as it is, and named
            copier.ledger.note("unreadable", key, str(error))
            if is_there:
                return Outcome.FAILED
        if not is_there or is_torn(theirs):
            return copier.bring(entry, whole=True)
        if ours == VOID or agree_as_bytes(ours, theirs, key):
            copier.note_same(entry)
            copier.ledger.advance(1, entry.size)
            return Outcome.SAME
        copier.ledger.note("conflicts", key, "it says something else at the destination")
        return Outcome.CONFLICT

    # ------------------------------------------------------------------------------------------------------------- data

    def _data(self, name: str, data: _Data) -> None:
        """Bring the versions of one name: the bytes first, then the record that names them."""
        copier = self._copier
        documents, unreadable = self._documents(data)
        if any(
            not is_void(one) and not any(_names(one, entry.key) for entry in data.payloads)
            for one in documents.values()
        ):
            folder = layout.data_folder(self._path, name)
            # the record came while the listing was made: its bytes were there before it
            data.payloads = [
                one for one in copier.source.store.list(folder) if one.key.count("/") > folder.count("/") + 1
            ]
        named: set[str] = set()
        conflict = ""
        for number, record in sorted(documents.items()):
            entry = data.records[number]
            mine = [one for one in data.payloads if _names(record, one.key)]
            named.update(one.key for one in mine)
            if is_void(record):
                copier.note_same(entry)
            elif conflict:
                copier.ledger.note("conflicts", entry.key, f"it comes after {conflict!r}, which differs")
            elif (found := self._followed(entry, record, mine)) is not None and not self._version(entry, record, found):
                conflict = entry.key
        # an unreadable record may name whatever is left
        left = [one for one in data.payloads if one.key not in named and (unreadable or one.special)]
        copier.each(copier.bring, left)
        copier.each(lambda entry: copier.bring(entry, whole=True), unreadable)

    def _documents(self, data: _Data) -> tuple[dict[int, dict[str, Any]], list[Stat]]:
        """Return the records that can be read, by number, and those that cannot."""
        found: dict[int, dict[str, Any]] = {}
        unreadable = []
        numbers = {entry.key: number for number, entry in sorted(data.records.items())}
        for key, record in read_documents(self._copier.source.store, list(numbers), decode_document):
            if isinstance(record, dict):
                found[numbers[key]] = record
            else:
                self._copier.ledger.note("unreadable", key, str(record))
                unreadable.append(data.records[numbers[key]])
        return found, unreadable

    def _followed(self, entry: Stat, record: Mapping[str, Any], payloads: list[Stat]) -> list[Stat] | None:
        """Return the payloads of a version; for a link, its target's. Return None if that is not what was recorded."""
        if len(payloads) != 1 or not payloads[0].special or payloads[0].key != record.get("key"):
            return payloads
        try:
            found = behind(self._copier.source, record)
            return payloads if found is None else found
        except HashMismatchError as error:
            self._copier.ledger.note("mismatches", entry.key, str(error))
        except KeyNotFoundError:
            self._copier.ledger.note("unreadable", payloads[0].key, "it is a link that leads nowhere")
        except StoreError as error:
            self._copier.ledger.note("unreadable", payloads[0].key, str(error))
        return None

    def _version(self, entry: Stat, record: Mapping[str, Any], payloads: list[Stat]) -> bool:
        """Bring one version; return False if the destination has another one under its number."""
        copier = self._copier
        there = entry.key in copier.destination.entries
        if there and not self._known(entry):
            outcome = self._document(entry)
            if outcome is not Outcome.SAME:
                return outcome is not Outcome.CONFLICT
            if copier.destination.store.read(entry.key) != copier.source.store.read(entry.key):
                for one in payloads:  # it has the same bytes already, under a name of its own
                    copier.note_same(one, NOTHING)
                return True
        if not self._has_brought(entry, record, payloads) or there:
            return True
        copier.flush()  # before the record that names it
        copier.announce([entry.key])
        return copier.bring(entry, whole=True) is not Outcome.CONFLICT

    def _has_brought(self, entry: Stat, record: Mapping[str, Any], payloads: list[Stat]) -> bool:
        """Bring what a record names; whether all of it is there then."""
        copier = self._copier
        recorded = str(record.get("content_hash") or "")
        alone = any(one.key == record.get("key") for one in payloads)
        wanted = [one for one in payloads if not self._known(one)]
        outcomes = copier.each(lambda one: copier.bring(one, recorded=recorded if alone else ""), wanted)
        if not all(outcome.good for outcome in outcomes):
            return False
        if recorded.startswith("sha256-tree:") and not copier.dry_run and wanted:
            found = tree_of(copier.destination.store, str(record.get("key")), (one.key for one in payloads))
            if found != recorded:
                copier.ledger.note("mismatches", entry.key, f"the folder's bytes are {found}, and it says {recorded}")
                return False
        return True


def _names(record: Mapping[str, Any], key: str) -> bool:
    named = record.get("key")
    return isinstance(named, str) and (key == named or key.startswith(f"{named}/"))


def behind(side: Side, record: Mapping[str, Any]) -> list[Stat] | None:
    """Return what lies behind the link that a record of data names; None if the record speaks of no link.

    Raises:
        HashMismatchError: it is not what the record says. Nobody gets it, then: a stranger's record may name any file.
        StoreError: it cannot be read.
    """
    view = reading_record(side.store, record)
    if view is side.store:
        return None
    key, recorded, size = str(record.get("key")), str(record.get("content_hash")), record.get("size")
    folder = recorded.startswith("sha256-tree:")
    files = _files(view, key, folder=folder, size=size if isinstance(size, int) else 0)
    found = sum(one.size for one in files)
    hashed = f"{found} bytes"
    if found == size and folder:
        hashed = tree_of(view, key, (one.key for one in files))
    elif found == size and recorded.startswith("sha256:"):
        hashed = recorded  # it is hashed as it is copied
    if hashed != recorded:
        hint = "It lies outside of the workspace, and is not taken along: import it again."
        raise HashMismatchError(str(record.get("name")), key=key, recorded=recorded, found=hashed, hint=hint)
    side.follow(key, view)
    return files


def _files(view: Store, key: str, *, folder: bool, size: int) -> list[Stat]:
    """Return the file, or those of the folder: as many as make up more than the recorded size, whatever it leads to."""
    found: list[Stat] = []
    total = 0
    for entry in view.list(key) if folder else [view.stat(key)]:
        found.append(entry)
        total += entry.size
        if total > size:
            break
    return found
