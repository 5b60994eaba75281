"""What a power loss tore: telling it, putting something in its place, mending it from what repeats it.

What was acknowledged was flushed, so what is torn was being made when the power failed. Nearly always it is *blank*: its
name got to the disk, and nothing of its content did.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from molexp._record import keys
from molexp._record.shapes import decode_document
from molexp._values.documents import decode, decode_object, encode_pretty
from molexp._values.ids import new_token
from molexp._values.numbers import count
from molexp._values.times import utc_now
from molexp.errors import CorruptRecordError, KeyExistsError, KeyNotFoundError, MolexpError

if TYPE_CHECKING:
    from molexp._record.home import Home
    from molexp.contracts import Store

_LONG = 60.0  # seconds after which nobody is waited for
MOMENT = 5.0
"""Seconds for whoever has claimed a name where there are no links, and is about to give it its content."""
_TURNS = 3  # who may die one after the other while they put something in its place
_NUMBERED = re.compile(r"(settings/|.*/experiment\.)([1-9][0-9]*)\.json")
_LINE = re.compile(rb'^  "(name|created_at)": (".*"),$', re.MULTILINE)
_FROM_RUNS = "written again from its runs"
_ID = re.compile(rb'"id": *"([0-9a-f]+)"')


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


def newest(store: Store, candidates: Iterable[str]) -> dict[str, Any] | None:
    """The first of several documents that is whole; what is torn was never acknowledged.

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
    """The bytes of a document; of one that is blank, once somebody has filled it, or it is clear that nobody is about to.

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
        name = sha256(f"{key}\n{store.stat(key).version}\n{turn}".encode()).hexdigest()
        try:
            store.create(f"{keys.DERIVED}/mended/{name}", encode_pretty({"key": key, "at": utc_now()}))
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


def mend(home: Home, key: str) -> str:
    """Mend a document that cannot be read, or is gone; returns what was done, "" if nothing could be."""
    store = home.store
    try:
        decode_document(data := store.read(key), key)
    except KeyNotFoundError:
        data = None
    except CorruptRecordError:
        pass
    else:
        return ""
    torn = data is None or is_torn(data)
    document, done = _repeated(home, key, data, torn=torn)
    if document is not None:
        store.write(key, encode_pretty({"schema": 1, **document, **_salvaged(data or b""), "token": new_token()}))
    elif torn and data is not None:
        store.delete(key)
        store.prune(key.rpartition("/")[0])
        done = "removed: it was being made when the power failed"
    store.sync([key])
    return done


def _repeated(home: Home, key: str, data: bytes | None, *, torn: bool) -> tuple[dict[str, Any] | None, str]:
    """A document in the place of one that cannot be read, and where it is from; None if nothing repeats it."""
    if key == keys.WORKSPACE:
        known = _ID.search(data or b"")
        found = {"type": "workspace", "id": known[1].decode() if known else new_token(), "name": home.given_name}
        return {**found, "created_at": utc_now()}, "written again" if known else "written again, with another id"
    path = keys.owner_of(key)
    name = path.rpartition("/")[2]
    common = {"id": name, "name": name, "created_at": utc_now()}
    if match := _NUMBERED.fullmatch(key):
        number = int(match[2])
        if key.startswith(f"{keys.SETTINGS}/") or (params := _params(home, path, number)) is None:
            return _before(home, match[1], number), "written again as the one before it"
        first = _read_first(home, path) or {"type": "experiment", **common}
        return {**first, "revision": number, "params": params, "created_at": utc_now()}, _FROM_RUNS
    if "/data/" in f"/{key}":
        return _of_payload(home, key), "written again from its bytes"
    if key != keys.document(path) or path.count("/") > 1:
        return None, ""
    if not home.store.children(keys.members(path)).folders and torn:
        return None, ""
    if "/" not in path:
        return {"type": "project", **common}, "written again from its id"
    params = _params(home, path, 1)
    of = {"project": path.partition("/")[0], "revision": 1, "space": None, "replicas": 1, "workflow_source": None}
    if params is not None or (torn and data is not None):
        return {"type": "experiment", **common, **of, "params": params or {}}, _FROM_RUNS
    return None, ""


def _salvaged(data: bytes) -> dict[str, Any]:
    """Return what a torn document still says of its name, and of when it was made."""
    found = {}
    for name, value in _LINE.findall(data):
        with suppress(CorruptRecordError):
            found[name.decode()] = decode(value, "")
    return {name: value for name, value in found.items() if isinstance(value, str)}


def _read_first(home: Home, path: str) -> dict[str, Any] | None:
    """The first revision of an experiment's definition, without what says who wrote it; None if it cannot be read."""
    try:
        return decode_document(home.store.read(key := keys.document(path)), key)
    except MolexpError:
        return None


def _before(home: Home, stem: str, number: int) -> dict[str, Any] | None:
    """The newest of the numbered documents before one, under that one's number."""
    first = f"{stem.removesuffix('.')}.json" if stem.endswith(".") else ""
    for key in [*(f"{stem}{before}.json" for before in range(number - 1, 0, -1)), first]:
        try:
            found = (
                decode_document(home.store.read(key), key) if key else {"schema": 1, "type": "settings", "values": {}}
            )
        except MolexpError:
            continue
        return {**found, **({"revision": number} if "revision" in found else {})}
    return None


def _params(home: Home, path: str, revision: int) -> dict[str, Any] | None:
    """The parameters of an experiment, as runs of a revision have them beside their own; None if none can be read."""
    from molexp._record.reading import read_definition

    for name in home.store.children(keys.members(path)).folders:
        try:
            found = read_definition(home.store, f"{path}/{name}", {})
        except MolexpError:
            continue
        if count(found.get("experiment_revision"), 1) == revision:
            own = found.get("own_parameters") or {}
            return {key: value for key, value in (found.get("parameters") or {}).items() if key not in own}
    return None


def _of_payload(home: Home, key: str) -> dict[str, Any] | None:
    """The record of a version of data, from its bytes; None unless they are the only ones that no record names."""
    from molexp._record.assets import asset_id
    from molexp._record.maintenance import named_data
    from molexp._record.payloads import hash_of
    from molexp._record.syncing.copying import tree_of

    folder, _, name = key.rpartition("/")
    named = named_data(home.store, folder, {})
    entries = [one for one in home.store.list(folder) if one.key.count("/") > folder.count("/") + 1]
    there = {"/".join(one.key.split("/")[: folder.count("/") + 3]): one for one in entries}
    left = [base for base in there if not any(base == other or base.startswith(f"{other}/") for other in named)]
    if len(left) != 1 or there[left[0]].special:
        return None
    mine = [one for one in entries if one.key == left[0] or one.key.startswith(f"{left[0]}/")]
    is_folder = mine[0].key != left[0]
    scope, data_name, version = keys.owner_of(key), folder.rpartition("/")[2], int(name.removesuffix(".json"))
    return {
        "type": "data",
        "id": asset_id(scope, None, "data", data_name, version),
        "name": data_name,
        "kind": "data",
        "version": version,
        "scope": scope,
        "producer": None,
        "created_at": utc_now(),
        "key": left[0],
        "size": sum(one.size for one in mine),
        "content_hash": tree_of(home.store, left[0], (one.key for one in mine))
        if is_folder
        else hash_of(home.store, left[0]),
        "tags": [],
        "distribution": "molexp-core",
        "fields": {"directory": is_folder, "files": len(mine), "external": False},
    }
