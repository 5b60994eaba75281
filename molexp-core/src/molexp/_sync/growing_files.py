"""Bringing a file that grows: what the destination has of it is not sent again, as far as its storage allows."""

from __future__ import annotations

from molexp._sync.copying import PIECE, SMALL, Copier
from molexp.contracts import Stat
from molexp.contracts._copying import copy_stream

_MARK = 1 << 12  # bytes before the place where copying goes on: other ones there mean another file
_LARGE = 8 << 20  # bytes of a file that is not sent again as a whole for every line, where files cannot be appended to
_SHARE = 10  # but when it has grown by one part in so many


def grow(copier: Copier, entry: Stat, length: int, into: str) -> None:
    """See to it that the destination has under `into` the first `length` bytes of one of the source's files.

    What it has already is not read again, but its end, which tells whether it is the beginning of the same file.
    """
    store, source = copier.destination.store, copier.source.reading(entry.key)
    there = copier.destination.entries.get(into)
    if copier.is_seen(entry, there):
        return None
    size = 0 if there is None else there.size
    mark = min(_MARK, size, length)
    at = min(size, length)
    new = source.read(entry.key, at - mark, min(length - at + mark, PIECE)) if mark else b""
    if mark and new[:mark] != store.read(into, at - mark, mark):
        at = mark = 0  # another file than before
    elif there is not None and size >= length:
        return copier.note_grown(entry, into, whole=entry.size <= size)
    if copier.dry_run:
        return copier.ledger.count(length - at)
    if "append" in store.capabilities and at and length > SMALL:
        _append(copier, entry, into, new[mark:], at, length)
    elif length <= SMALL:
        before = b"" if not at else source.read(entry.key, 0, at) if store.slow else store.read(into, 0, at)
        store.write(into, before + (new[mark:] if at else source.read(entry.key, 0, length)))
    elif not at or length <= _LARGE or length - at > at // _SHARE:
        _write(copier, entry, into, length)
    else:
        return None
    copier.wrote(into)
    copier.ledger.count(length - at)
    return copier.note_grown(entry, into, whole=entry.size == length)


def _append(copier: Copier, entry: Stat, into: str, new: bytes, at: int, length: int) -> None:
    store, source = copier.destination.store, copier.source.reading(entry.key)
    while new:
        store.append(into, new)
        at += len(new)
        new = source.read(entry.key, at, min(length - at, PIECE)) if at < length else b""
    if store.stat(into).size != length:  # another sync does the same
        _write(copier, entry, into, length)


def _write(copier: Copier, entry: Stat, into: str, length: int) -> None:
    with (
        copier.source.reading(entry.key).open_read(entry.key) as stream,
        copier.destination.store.open_write(into) as sink,
    ):
        copy_stream(stream, sink, length=length)
