"""All keys of a workspace, sorted by what they are."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING

from msgspec import Struct, field

from molexp._storage import key_patterns, layout
from molexp._storage.listing import all_entries
from molexp._values.ids import is_id
from molexp._values.numbers import NUMBER
from molexp.contracts import Stat
from molexp.errors import StoreError

if TYPE_CHECKING:
    from molexp._maintenance.session import MaintenanceSession

_DOCUMENTS = (
    re.compile(rf"workspace\.json|settings/{NUMBER}\.json|{key_patterns.PROVENANCE}|{key_patterns.SUBMISSION}"),
    re.compile(r"project\.json"),
    re.compile(rf"experiment(\.{NUMBER})?\.json"),
)
_OF_RUNS = re.compile(
    f"{key_patterns.RUN_DEFINITION}|{layout.EXECUTIONS}/"
    f"(?:{key_patterns.ATTEMPT}|{key_patterns.COPY}|{key_patterns.EVENTS})"
)
_EDIT = re.compile(key_patterns.EDIT)
_DATA = re.compile(f"{key_patterns.DATA_RECORD}|{key_patterns.DATA_PAYLOAD}")
_PAYLOAD = re.compile(f"({layout.EXECUTIONS}/{NUMBER}/)?{key_patterns.PAYLOAD}")
_DERIVED = f"{layout.DERIVED}/"


class Seen(Struct):
    """The keys of a workspace, sorted.

    Attributes:
        payloads: of runs, by their paths.
        data: Keys of imported data, by the folder of its name; names without anything imported, too.
        documents: keys of the documents of the workspace, projects and experiments.
        foreign: Keys that are no part of the layout.
        special: Keys that are no regular files, with what they are.
        unreadable: folders that cannot be looked into, and why.
        bytes: The size of payloads, imported data and provenance.
    """

    payloads: defaultdict[str, list[Stat]] = field(default_factory=lambda: defaultdict(list))
    data: defaultdict[str, list[Stat]] = field(default_factory=lambda: defaultdict(list))
    documents: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)
    special: dict[str, str] = field(default_factory=dict)
    unreadable: dict[str, str] = field(default_factory=dict)
    bytes: int = 0

    def take(self, entry: Stat) -> None:
        """Sort one entry by what it is."""
        path, rest = layout.place(entry.key)
        of_run = layout.is_run(path)
        if entry.special:
            self.special[entry.key] = entry.special
        is_edit = (match := _EDIT.fullmatch(rest)) is not None and is_id(match[1])
        if not of_run and (match := _DATA.fullmatch(rest)) and is_id(name := match[1] or match[3]):
            imported = self.data[layout.data_folder(path, name)]
            if match[3] and not entry.special:
                imported.append(entry)
                self.bytes += entry.size
        elif entry.special:
            return
        elif of_run and _PAYLOAD.fullmatch(rest):
            self.payloads[path].append(entry)
            self.bytes += entry.size
        elif not of_run and (is_edit or _DOCUMENTS[layout.depth(path)].fullmatch(rest)):
            self.documents.append(entry.key)
            self.bytes += entry.size if rest.startswith(f"{layout.PROVENANCE}/") else 0
        elif not (is_edit or (of_run and _OF_RUNS.fullmatch(rest)) or rest.startswith(_DERIVED)):
            self.foreign.append(entry.key)


def look(session: MaintenanceSession) -> Seen:
    """Sort every key of the store by what it is."""
    seen = Seen()
    try:
        entries = list(session.store.list())
    except StoreError:  # folder by folder, then
        entries = list(all_entries(session.store, seen.unreadable))
    for entry in entries:
        seen.take(entry)
    return seen
