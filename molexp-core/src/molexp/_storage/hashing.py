"""Hashes of stored bytes, as records have them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from hashlib import sha256
from typing import IO, Any

from molexp.contracts import Store
from molexp.contracts._copying import Written, copy_stream

FILE, FOLDER = "sha256:", "sha256-tree:"  # prefixes of the hash of a file, and of that of a folder


def hashed(
    source: IO[bytes], sink: Written | None = None, *, progress: Callable[[int], Any] | None = None
) -> tuple[int, str]:
    """Copy a stream into another, or only read it, and return the size and the hash of its bytes; see `copy_stream`."""
    digest = sha256()
    size = copy_stream(source, sink, digest=digest, progress=progress)
    return size, f"{FILE}{digest.hexdigest()}"


def hash_of(store: Store, key: str, *, progress: Callable[[int], Any] | None = None) -> str:
    """Return the hash of the bytes at `key`, as a record has it: ``sha256:...``."""
    with store.open_read(key) as stream:
        return hashed(stream, progress=progress)[1]


def is_of_folder(kind: object, directory: object, content_hash: object) -> bool:
    """Tell whether a record is that of a folder of files: imported data says so, and of other kinds the hash does."""
    return bool(directory) if kind == "data" else str(content_hash).startswith(FOLDER)


def folder_hash(files: Iterable[tuple[str, str]]) -> str:
    """Return the hash of a folder, from the relative names of its files and their hashes."""
    whole = sha256()
    for name, found in sorted(files):
        whole.update(f"{name}\0{found.removeprefix(FILE)}\n".encode())
    return f"{FOLDER}{whole.hexdigest()}"


def tree_of(store: Store, base: str, files: Iterable[str]) -> str:
    """Return the hash of the folder `base` as it is now, as an import computes it."""
    return folder_hash((key.removeprefix(f"{base}/"), hash_of(store, key)) for key in files)
