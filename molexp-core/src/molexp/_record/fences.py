"""Void records: what fences a key that somebody announced, and is not known to have given up.

Such a key is created by a compactor, so that its writer, should it wake up, cannot create it any more without a new hint.
A void reads as absent; whoever creates next takes the next revision, attempt or version.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from molexp._storage import layout, schemas
from molexp._values.documents import encode_line
from molexp.contracts import Store
from molexp.errors import KeyExistsError, KeyNotFoundError

VOID = encode_line({"schema": schemas.VOID, "type": "void"})
"""The bytes of every void: whoever finds them can tell by their number already."""


def is_void(document: Mapping[str, Any]) -> bool:
    """Tell whether a document is a void."""
    return document.get("type") == "void"


def fence(store: Store, key: str) -> None:
    """See to it that `key` is there: as a void, unless its writer was faster."""
    try:
        store.create(key, VOID)
    except KeyExistsError:
        pass


def definition_keys(store: Store, path: str) -> list[str]:
    """Return where the definition of the run at `path` is: its key, and before it those that were fenced; all but the last are.

    The last one need not be there, or may be whatever else than a void.
    """
    found = [layout.document(path)]
    while _is_void_at(store, found[-1]):
        found.append(layout.definition_key(path, len(found) + 1))
    return found


def is_defined(store: Store, path: str) -> bool:
    """Tell whether the entity at `path` has a document; costs one look where nothing was fenced."""
    key = layout.document(path)
    try:
        size = store.stat(key).size
    except KeyNotFoundError:
        return False
    return size != len(VOID) or store.exists(definition_keys(store, path)[-1])


def _is_void_at(store: Store, key: str) -> bool:
    try:
        return store.stat(key).size == len(VOID) and store.read(key) == VOID
    except KeyNotFoundError:
        return False
