"""Symbolic links are followed where a record of imported data names one, and nowhere else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from molexp.contracts import Store


def reading(store: Store, kind: str, key: str, fields: object) -> Store:
    """Return the store to read an asset's bytes from: `store`, which follows no link, unless the record speaks of one.

    Data that was imported by a symbolic link is external, or lies elsewhere in the workspace.

    Args:
        store: the workspace's.
        kind: the asset's kind.
        key: the key of its bytes.
        fields: the fields of its kind.
    """
    if kind != "data" or not isinstance(fields, Mapping):
        return store
    if fields.get("external") is True:
        return store.through(key)
    return store.through(key, outside=False) if fields.get("source_key") else store


def reading_record(store: Store, record: Mapping[str, Any]) -> Store:
    """Return the same for the asset of a record."""
    return reading(store, str(record.get("kind")), str(record.get("key")), record.get("fields"))


def not_followed(special: str) -> str:
    """Return what is said of a link, a pipe or a device in a workspace."""
    return f"it is a {special}; nothing is read through it, and a link is not followed unless a record of data names it"
