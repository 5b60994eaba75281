"""What lies in a workspace, sorted by what it is."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING

import attrs

from molexp._maintenance.gc import DEPTH_OF_RUNS, TOKEN, all_entries
from molexp._storage import layout
from molexp._values.ids import is_id
from molexp._values.numbers import NUMBER
from molexp.contracts import Stat
from molexp.errors import StoreError

if TYPE_CHECKING:
    from molexp._hierarchy.session import Home

_DOCUMENTS = (
    re.compile(rf"workspace\.json|settings/{NUMBER}\.json|provenance/[0-9a-f]{{64}}\.json"),
    re.compile(r"project\.json"),
    re.compile(rf"experiment(\.{NUMBER})?\.json"),
)
_OF_RUNS = re.compile(
    rf"run(\.{NUMBER})?\.json|executions/{NUMBER}((\.copy)?\.jsonl|\.(end|copy)\.json|(/w-|\.s/)[^/]+\.jsonl)"
)
_EDIT = re.compile(r"edits/([^/]+)\.json")
_DATA = re.compile(rf"data/([^/]+)/(?:{NUMBER}\.json|({TOKEN.pattern}/.+))")
_PAYLOAD = re.compile(rf"(executions/{NUMBER}/)?(artifacts|logs|checkpoints)/.+")
_DERIVED = f"{layout.DERIVED}/"


@attrs.define
class Seen:
    """What lies in a workspace.

    Attributes:
        payloads: of runs, by their paths.
        data: what was imported, by the folder of its name; names without anything imported, too.
        documents: keys of the documents of the workspace, projects and experiments.
        foreign: what is no part of the layout.
        special: what each of those is that are no regular files.
        unreadable: folders that cannot be looked into, and why.
        bytes: what payloads, imported data and provenance take.
    """

    payloads: defaultdict[str, list[Stat]] = attrs.field(factory=lambda: defaultdict(list))
    data: defaultdict[str, list[Stat]] = attrs.field(factory=lambda: defaultdict(list))
    documents: list[str] = attrs.field(factory=list)
    foreign: list[str] = attrs.field(factory=list)
    special: dict[str, str] = attrs.field(factory=dict)
    unreadable: dict[str, str] = attrs.field(factory=dict)
    bytes: int = 0

    def take(self, entry: Stat) -> None:
        """Sort one entry by what it is."""
        path, rest = _split(entry.key)
        depth = path.count("/") + 1 if path else 0
        if entry.special:
            self.special[entry.key] = entry.special
        is_edit = (match := _EDIT.fullmatch(rest)) is not None and is_id(match[1])
        if depth < DEPTH_OF_RUNS and (match := _DATA.fullmatch(rest)) and is_id(match[1]):
            imported = self.data[layout.below(path, f"data/{match[1]}")]
            if match[2] and not entry.special:
                imported.append(entry)
                self.bytes += entry.size
        elif entry.special:
            return
        elif depth == DEPTH_OF_RUNS and _PAYLOAD.fullmatch(rest):
            self.payloads[path].append(entry)
            self.bytes += entry.size
        elif depth < DEPTH_OF_RUNS and (is_edit or _DOCUMENTS[depth].fullmatch(rest)):
            self.documents.append(entry.key)
            self.bytes += entry.size if rest.startswith(f"{layout.PROVENANCE}/") else 0
        elif not (is_edit or (depth == DEPTH_OF_RUNS and _OF_RUNS.fullmatch(rest)) or rest.startswith(_DERIVED)):
            self.foreign.append(entry.key)


def look(home: Home) -> Seen:
    """Every key of the store, sorted by what it is."""
    seen = Seen()
    try:
        entries = list(home.store.list())
    except StoreError:  # folder by folder, then
        entries = list(all_entries(home.store, seen.unreadable))
    for entry in entries:
        seen.take(entry)
    return seen


def _split(key: str) -> tuple[str, str]:
    """The path of the entity whose file `key` is, and the key below its folder; what is no id names no entity."""
    path = layout.owner_of(key)
    while path and not all(is_id(part) for part in path.split("/")):
        path = path.rpartition("/")[0]
    return path, key.removeprefix(f"{layout.folder(path)}/") if path else key
