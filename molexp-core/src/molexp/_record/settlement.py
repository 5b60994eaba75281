"""Settle what the record of an attempt says of bytes that were written without being recorded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from molexp._record.folding import Contents
from molexp._values.documents import count
from molexp.contracts import Store
from molexp.errors import KeyNotFoundError


def settle_replacements(store: Store, contents: Contents) -> None:
    """Let the record of a payload that was replaced, and that nobody came to record, say what the bytes are."""
    for key, change in contents.replacing.items():
        record = contents.assets.get(key)
        if record is None or _hash_of(store, key) != change.get("content_hash"):
            continue
        version = count(record.get("version"), 1) + 1
        name = str(record["id"]).rpartition("@")[0]
        new = {"id": f"{name}@{version}", "version": version, "size": change["size"]}
        contents.assets[key] = {**record, **new, "content_hash": change["content_hash"]}
    contents.replacing.clear()


def settle_grown(store: Store, contents: Contents) -> None:
    """Say how large a payload is whose writer died while it was still being written, and what is in a file of metrics.

    Of one that grew by items, the record keeps saying which of its bytes are whole ones.
    """
    for record in contents.assets.values():
        if record.get("grown") is not None and (size := _size_of(store, record)) != record.get("size"):
            record |= {"size": size, "content_hash": None}
        if record.get("size") is None:
            record["size"] = _size_of(store, record)
        if record.get("kind") == "metrics" and "summary" not in record:
            from molexp._record.metrics import read_summary

            record["summary"] = read_summary(store, record).to_document()


def _size_of(store: Store, record: Mapping[str, Any]) -> int:
    try:
        return store.stat(str(record.get("key"))).size
    except KeyNotFoundError:
        return 0


def _hash_of(store: Store, key: str) -> str:
    from molexp._storage.hashing import hash_of

    try:
        return hash_of(store, key)
    except KeyNotFoundError:
        return ""
