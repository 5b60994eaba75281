"""What a power loss tore: telling it, putting something in its place, mending it from what repeats it.

What was acknowledged was flushed, so what is torn was being made when the power failed. Nearly always it is *blank*: its
name got to the disk, and nothing of its content did.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterable
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from molexp._record import keys
from molexp._values.documents import decode_object, encode_pretty
from molexp._values.ids import new_token
from molexp._values.times import utc_now
from molexp.errors import CorruptRecordError, KeyExistsError, KeyNotFoundError, MolexpError

if TYPE_CHECKING:
    from molexp._record.home import Home
    from molexp.contracts import Store

_LONG = 60.0  # seconds; without links, a name is blank for an instant until its content is there
_PATIENCE = 5.0  # seconds for whoever puts something in its place
_NUMBERED = re.compile(r"(settings/|.*/experiment\.)([1-9][0-9]*)\.json")
_ID = re.compile(rb'"id": *"([0-9a-f]+)"')


def is_blank(data: bytes) -> bool:
    """Whether a document has no content: no bytes, or only zeros."""
    return not data.strip(b"\0")


def is_torn(data: bytes) -> bool:
    """Whether a document has only its beginning, or less."""
    try:
        decode_object(data.rstrip(b"\0"), "")
    except CorruptRecordError as error:
        return is_blank(data) or "truncated" in error.reason
    return False


def newest(store: Store, candidates: Iterable[str]) -> dict[str, Any] | None:
    """The first of several documents that is whole; what is torn was never acknowledged.

    Raises:
        CorruptRecordError: one that comes before it is damaged otherwise.
    """
    for key in candidates:
        data = store.read(key)
        try:
            return decode_object(data, key)
        except CorruptRecordError:
            if not is_torn(data):
                raise
    return None


def long_blank(store: Store, key: str) -> bool:
    """Whether a document is blank, and has been for so long that nobody is about to fill it."""
    if "append" not in store.capabilities:
        return False  # no file system: what is there is whole
    try:
        return time.time() - store.stat(key).modified >= _LONG and is_blank(store.read(key))
    except KeyNotFoundError:
        return False


def take_blank(store: Store, key: str, data: bytes) -> bool:
    """Put `data` in the place of a document that has been blank for long; returns whether this call did.

    Of all who try, on all hosts, one does: who is the first to say that he will, about this very file. The others wait
    until he has.

    Raises:
        CorruptRecordError: it stays blank; whoever was to fill it died before he did.
    """
    if not long_blank(store, key):
        return False
    name = sha256(f"{key}\n{store.stat(key).version}".encode()).hexdigest()
    try:
        store.create(f"{keys.DERIVED}/mended/{name}", encode_pretty({"key": key, "at": utc_now()}))
    except KeyExistsError:
        deadline = time.monotonic() + _PATIENCE
        while long_blank(store, key):
            if time.monotonic() > deadline:
                raise CorruptRecordError(key, "it is empty") from None
            threading.Event().wait(0.01)
        return False
    if not long_blank(store, key):  # it was filled between our look and our word
        return False
    store.write(key, data)
    return True


def mend(home: Home, key: str) -> str:
    """Mend a document that cannot be read; returns what was done, "" if nothing could be."""
    store = home.store
    try:
        data = store.read(key)
        decode_object(data, key)
    except KeyNotFoundError:
        return ""
    except CorruptRecordError:
        torn = is_torn(data)
    else:
        return ""
    document, done = _repeated(home, key, data, torn=torn)
    if document is not None:
        store.write(key, encode_pretty({"schema": 1, **document, "token": new_token()}))
    elif torn:
        store.delete(key)
        store.prune(key.rpartition("/")[0])
        done = "removed: it was being made when the power failed"
    store.sync([key])
    return done


def _repeated(home: Home, key: str, data: bytes, *, torn: bool) -> tuple[dict[str, Any] | None, str]:
    """A document in the place of one that cannot be read, and where it is from; None if nothing repeats it."""
    if key == keys.WORKSPACE:
        known = _ID.search(data)
        found = {"type": "workspace", "id": known[1].decode() if known else new_token(), "name": home.given_name}
        return {**found, "created_at": utc_now()}, "written again" if known else "written again, with another id"
    if match := _NUMBERED.fullmatch(key):
        return _before(home, match[1], int(match[2])), "written again as the one before it"
    path = keys.owner_of(key)
    common = {"id": path.rpartition("/")[2], "name": path.rpartition("/")[2], "created_at": utc_now()}
    if key == keys.document(path) and path.count("/") <= 1:
        below = home.store.children(keys.members(path)).folders
        if not below and torn:
            return None, ""
        if "/" not in path:
            return {"type": "project", **common}, "written again from its id"
        params = _params(home, path, below)
        if params is not None or torn:
            of = {"project": path.partition("/")[0], "revision": 1, "params": params or {}}
            return {
                "type": "experiment",
                **common,
                **of,
                "space": None,
                "replicas": 1,
                "workflow_source": None,
            }, "written again from its runs"
    return None, ""


def _before(home: Home, stem: str, number: int) -> dict[str, Any] | None:
    """The newest of the numbered documents before one, under that one's number."""
    first = f"{stem.removesuffix('.')}.json" if stem.endswith(".") else ""
    for key in [*(f"{stem}{before}.json" for before in range(number - 1, 0, -1)), first]:
        try:
            found = decode_object(home.store.read(key), key) if key else {"type": "settings", "values": {}}
        except MolexpError:
            continue
        return {**found, **({"revision": number} if "revision" in found else {})}
    return None


def _params(home: Home, path: str, runs: tuple[str, ...]) -> dict[str, Any] | None:
    """The parameters of an experiment, as its runs have them beside their own; None if none can be read."""
    from molexp._record.reading import read_definition

    for name in runs:
        try:
            found = read_definition(home.store, f"{path}/{name}", {})
        except MolexpError:
            continue
        own = found.get("own_parameters") or {}
        return {key: value for key, value in (found.get("parameters") or {}).items() if key not in own}
    return None
