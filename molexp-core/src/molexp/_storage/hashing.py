"""Hashes of stored bytes, as records have them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from hashlib import sha256
from typing import Any

from molexp.contracts import Store

CHUNK = 1 << 20  # bytes read at once


def hash_of(store: Store, key: str, *, progress: Callable[[int], Any] | None = None) -> str:
    """Return the hash of the bytes at `key`, as a record has it: ``sha256:...``."""
    digest = sha256()
    with store.open_read(key) as stream:
        while chunk := stream.read(CHUNK):
            digest.update(chunk)
            if progress is not None:
                progress(len(chunk))
    return f"sha256:{digest.hexdigest()}"


def tree_of(store: Store, base: str, files: Iterable[str], hash_file: Callable[[str], str] | None = None) -> str:
    """Return the hash of the folder `base` as it is now, as an import computes it.

    Args:
        store: the store.
        base: the folder.
        files: the keys in it.
        hash_file: returns the hash of the bytes at a key; by default they are read.
    """
    whole = sha256()
    for relative, key in sorted((key.removeprefix(f"{base}/"), key) for key in files):
        found = hash_file(key) if hash_file is not None else hash_of(store, key)
        whole.update(f"{relative}\0{found.removeprefix('sha256:')}\n".encode())
    return f"sha256-tree:{whole.hexdigest()}"
