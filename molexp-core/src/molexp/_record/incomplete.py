"""Recognise what a power loss tore, and put something in its place.

What was acknowledged was flushed, so what is torn was being made when the power failed. Nearly always it is *blank*: its
name got to the disk, and nothing of its content did.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from molexp._record.document_types import decode_document
from molexp._storage import layout
from molexp._values.documents import decode_object, encode_pretty
from molexp._values.numbers import is_number
from molexp._values.times import utc_now
from molexp.errors import CorruptRecordError, KeyExistsError

if TYPE_CHECKING:
    from molexp.contracts import Store

_LONG = 60.0  # seconds after which nobody is waited for
MOMENT = 5.0
"""Seconds for whoever has claimed a name where there are no links, and is about to give it its content."""
_TURNS = 3  # processes that may die one after the other while they put something in its place


def is_blank(data: bytes) -> bool:
    """Tell whether a document has no content: no bytes, or only zeros."""
    return not data.strip(b"\0")


def is_claim(store: Store, key: str) -> bool:
    """Tell whether a document is blank where that may be a name which somebody has claimed, and not filled: not on object stores."""
    return "append" in store.capabilities and is_blank(store.read(key))


def is_torn(data: bytes) -> bool:
    """Tell whether a document has only its beginning, or less."""
    try:
        decode_object(data.rstrip(b"\0"), "")
    except CorruptRecordError as error:
        return is_blank(data) or "truncated" in error.reason
    return False


def numbered(store: Store, folder: str) -> dict[int, str]:
    """Return the keys of the documents ``1.json``, ``2.json``, ... in a folder, in the order of their numbers."""
    found = {}
    for entry in store.children(folder).entries:
        name = entry.key.rpartition("/")[2]
        if name.endswith(".json") and is_number(name[:-5]):
            found[int(name[:-5])] = entry.key
    return dict(sorted(found.items()))


def newest(store: Store, candidates: Iterable[str]) -> dict[str, Any] | None:
    """Return the first of several documents that is whole; what is torn was never acknowledged.

    Raises:
        CorruptRecordError: one that comes before it is damaged otherwise.
    """
    for key in candidates:
        data = store.read(key)
        try:
            return decode_document(data, key)
        except CorruptRecordError:
            if not is_torn(data):
                raise
    return None


def settled(store: Store, key: str) -> bytes:
    """Return the bytes of a document; of one that is blank, once somebody has filled it, or it is clear that nobody is about to.

    Raises:
        KeyNotFoundError: it is not there.
    """
    data = store.read(key)
    if is_blank(data) and "append" in store.capabilities:  # else what is there is whole
        deadline = time.monotonic() + MOMENT
        while is_blank(data) and time.monotonic() < deadline and time.time() - store.stat(key).modified < _LONG:
            threading.Event().wait(0.01)
            data = store.read(key)
    return data


def take_blank(store: Store, key: str, data: bytes) -> bool:
    """Put `data` in the place of a document that is blank and stays so; returns whether this call did.

    Of all who try, on all hosts, one does: who is the first to say that he will, about this very file. The others wait
    until he has; if he dies, too, they try again.

    Raises:
        CorruptRecordError: it stays blank, and cannot be taken.
    """
    for turn in range(_TURNS):
        settled(store, key)
        if not is_claim(store, key):
            return False
        from hashlib import sha256

        name = sha256(f"{key}\n{store.stat(key).version}\n{turn}".encode()).hexdigest()
        try:
            store.create(f"{layout.MENDED}/{name}", encode_pretty({"key": key, "at": utc_now()}))
        except KeyExistsError:
            if _is_filled(store, key):
                return False
            continue
        if is_blank(store.read(key)):  # it was not filled between our look and our word
            store.write(key, data)
            return True
        return False
    raise CorruptRecordError(key, "it is empty")


def _is_filled(store: Store, key: str) -> bool:
    """Tell whether a blank document is filled within a moment."""
    deadline = time.monotonic() + MOMENT
    while is_blank(store.read(key)):
        if time.monotonic() > deadline:
            return False
        threading.Event().wait(0.01)
    return True
