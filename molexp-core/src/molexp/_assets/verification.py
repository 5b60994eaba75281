"""Bytes that are not the recorded ones are noticed where they are read anyway."""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Mapping
from hashlib import sha256
from typing import IO, TYPE_CHECKING, Any

from molexp._assets.assets import said
from molexp._assets.beginnings import OverStream
from molexp._storage.hashing import FILE, FOLDER, hash_of, is_of_folder
from molexp._storage.layout import is_run, owner_of
from molexp.errors import HashMismatchError, MolexpError

if TYPE_CHECKING:
    from molexp.contracts import Store
    from molexp.contracts._assets import Asset

GONE = "Its bytes are on record: restore them from a copy of the workspace; `molexp fsck` names all that are gone."

GROWING = ("log", "metrics")
"""Kinds of which each attempt has its part, found as one. A writer that was taken for dead may have added to their bytes."""


def check_bytes(asset: Asset, store: Store, data: bytes) -> bytes:
    """Return all bytes of an asset, if they are the recorded ones.

    Raises:
        HashMismatchError: they are not.
    """
    check_size(asset, store, len(data))
    return checked(asset, store, io.BytesIO(data)).read()


def check_size(asset: Asset, store: Store, size: int) -> None:
    """Raise if the number of bytes is not the recorded one.

    Raises:
        HashMismatchError: it is not the recorded one.
    """
    if asset.size and (size < asset.size or (size > asset.size and _is_whole(asset))):
        complain(asset, store, f"{size} bytes", recorded=f"{asset.size} bytes")


def checked(asset: Asset, store: Store, stream: IO[bytes]) -> IO[bytes]:
    """Return a stream that raises `HashMismatchError` if it was read from its beginning to its end, and is not what was recorded."""
    try:
        size = os.fstat(stream.fileno()).st_size
    except (AttributeError, OSError, ValueError):  # no file of this machine
        size = asset.size
    try:
        check_size(asset, store, size)
    except HashMismatchError:
        stream.close()
        raise
    return io.BufferedReader(_CheckedStream(stream, asset, store), 1 << 17) if is_hashed(asset) else stream


def is_folder(asset: Asset) -> bool:
    """Tell whether an asset is a folder of files."""
    return is_of_folder(asset.kind, said(asset, "directory"), asset.content_hash)


def is_hashed(asset: Asset) -> bool:
    """Tell whether the record has a hash that the bytes can be compared with."""
    return str(asset.content_hash).startswith(FOLDER if is_folder(asset) else FILE)


def complain(asset: Asset, store: Store, found: str, *, recorded: str = "") -> None:
    """Return the error for an asset whose bytes are not the recorded ones.

    Of what lies outside of the workspace, where it may change, this only warns. Of a name that was saved again since the
    asset was found, the bytes are those that are on record now, which is as it should be.

    Raises:
        HashMismatchError: neither is so.
    """
    if said(asset, "external") is True:
        warnings.warn(
            f"The bytes of {asset.name!r} lie outside of the workspace, in what {asset.key!r} stands for, and have changed "
            f"since they were imported as {asset.id!r}: import them again for a new version.",
            stacklevel=4,
        )
    elif not _is_saved_again(asset, store):
        raise HashMismatchError(asset.name, key=asset.key, recorded=recorded or str(asset.content_hash), found=found)


def _is_saved_again(asset: Asset, store: Store) -> bool:
    """Tell whether the bytes are those of a later version under the same key, which is on record or about to be."""
    from molexp._record.reading import read_run

    path = owner_of(asset.key)
    if not is_run(path):
        return False
    try:
        state = read_run(store, path, None)
        found = hash_of(store, asset.key)
    except (MolexpError, OSError):
        return False
    changes = [attempt.contents.replacing.get(asset.key) for attempt in state.attempts]
    known: list[Mapping[str, Any]] = [record for record in state.assets() if record.get("key") == asset.key]
    known += [change for change in changes if change is not None]
    return any(record.get("content_hash") == found for record in known)


def _is_whole(asset: Asset) -> bool:
    """Tell whether nothing can have been added to its bytes."""
    return is_hashed(asset) and not is_grown(asset)


def is_grown(asset: Asset) -> bool:
    """Tell whether it grew, or grows, in an attempt, so that each attempt has its part of it."""
    return asset.kind in GROWING or asset.grown is not None


class _CheckedStream(OverStream):
    """Checks what is read from the beginning to the end; what is read in another order is not checked."""

    def __init__(self, stream: IO[bytes], asset: Asset, store: Store) -> None:
        super().__init__(stream)
        self._asset = asset
        self._store = store
        self._digest = sha256()
        self._count = 0
        self._in_order = True

    def readinto(self, buffer: Any) -> int:
        data = self._stream.read(len(buffer))
        buffer[: len(data)] = data
        self._took(data)
        return len(data)

    def readall(self) -> bytes:
        data: bytes = self._stream.read()
        self._took(data)
        if data:
            self._took(b"")
        return data

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        if (offset, whence) != (0, os.SEEK_CUR):
            before = self._stream.tell()
            if self._stream.seek(offset, whence) != before:
                self._in_order = False
        return self.tell()

    def fileno(self) -> int:
        found = int(self._stream.fileno())
        self._in_order = False  # whoever asks reads by himself
        return found

    def _took(self, data: bytes) -> None:
        """Compare the bytes once all are there, and their number when there are no more."""
        if not self._in_order:
            return
        before, size = self._count, self._asset.size
        self._count += len(data)
        if not data:
            self._in_order = False
            check_size(self._asset, self._store, self._count)
        elif before < size:
            self._digest.update(memoryview(data)[: size - before])
            if self._count >= size and (found := f"{FILE}{self._digest.hexdigest()}") != self._asset.content_hash:
                complain(self._asset, self._store, found)
        elif _is_whole(self._asset):
            complain(self._asset, self._store, f"more than {size} bytes", recorded=f"{size} bytes")
