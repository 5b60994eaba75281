"""Files outside of a workspace that a sync takes along: those that a record names, if they are as it says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from molexp._storage.hashing import tree_of
from molexp._storage.links import reading_record
from molexp._sync.sides import Side
from molexp.contracts import Stat, Store
from molexp.errors import HashMismatchError


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
