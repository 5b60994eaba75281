"""The types of documents: the shape of each, the fields by which two mean the same, and the void, which stands for none.

A void fences a key that somebody announced, and is not known to have given up. A compactor creates it, so that the key's writer,
should it wake up, cannot create it any more without a new hint. It reads as absent; whoever creates next takes the next
revision, attempt or version.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from molexp._storage import layout, schemas
from molexp._values.canonical import canonical_equal
from molexp._values.documents import decode_object, encode, encode_line, json_type
from molexp._values.status import RunStatus
from molexp.contracts import Store
from molexp.errors import CorruptRecordError, KeyExistsError, KeyNotFoundError, SerializationError

# -------------------------------------------------------------------------------------------------------------- shapes

_TAGS = frozenset(("$float", "$asset", "$key"))  # an object with one of these stands for something else

_FIELDS: Mapping[str, Mapping[str, type]] = {
    "workspace": {"id": str},
    "project": {},
    "experiment": {"params": dict},
    "run": {"parameters": dict, "own_parameters": dict, "config": dict},
    "settings": {"values": dict},
    "edit": {"op": str},
    "data": {"name": str, "key": str},
    "end": {"status": str, "results": dict, "assets": list, "tasks": dict, "definition": dict, "folded": dict},
}
"""By the type that a document says it is of: the fields that are looked into, which may be missing, or null."""

_STATUSES = frozenset(map(str, RunStatus))
_BELONGS: Mapping[type, str] = {str: "a string", dict: "a mapping", list: "an array"}


def type_at(key: str) -> str:
    """Return the type of the document that belongs at a key."""
    path = layout.owner_of(key)
    folder, _, name = key.removeprefix(f"{layout.folder(path)}/").rpartition("/")
    if layout.is_end(name):
        return "end"
    found = {
        layout.SETTINGS: "settings",
        layout.PROVENANCE: "provenance",
        layout.EDITS: "edit",
        layout.DATA: "data",
    }.get(folder.partition("/")[0])
    return found or layout.ENTITIES[layout.depth(path)]


def check_shape(document: dict[str, Any], key: str, kind: str = "") -> dict[str, Any]:
    """Return a document if it is one of its kind.

    Args:
        document: the document.
        key: its key.
        kind: the type of the document that belongs there; "" to find it out.

    Raises:
        CorruptRecordError: it is of another type, or one of its fields is.
    """
    kind, found = kind or type_at(key), document.get("type")
    if kind == "provenance":
        return document  # its name is its hash
    if found != kind:
        raise CorruptRecordError(key, f"its type is {found!r:.40} where {kind!r} belongs")
    for name, wanted in _FIELDS[kind].items():
        value = document.get(name)
        stands_for = kind == "run" and value and type(value) is dict and _TAGS.issuperset(value)
        if value is not None and (type(value) is not wanted or stands_for):
            raise CorruptRecordError(key, f"its {name} is a JSON {json_type(value)} where {_BELONGS[wanted]} belongs")
    if kind == "end" and document.get("status") not in _STATUSES:
        raise CorruptRecordError(key, f"its status is {document.get('status')!r:.40}, which is none")
    return document


def decode_document(data: bytes, key: str) -> dict[str, Any]:
    """Return the document of the record that `data` holds; a void is one, wherever it lies.

    Raises:
        CorruptRecordError: it is not JSON, or not of the kind that belongs at `key`.
    """
    document = decode_object(data, key)
    if key.startswith(f"{layout.SUBMISSIONS}/"):
        from molexp._record.submissions import check_submission

        return check_submission(document, key)
    return document if is_void(document) else check_shape(document, key)


# ------------------------------------------------------------------------------------------------------------ meanings

RESERVED = ("executor", "resources", "scheduler")  # keys of a configuration that do not make another run

# Keys that make two definitions equal, by their type; of other types, all count but the writer and the time.
_COUNTING: Mapping[str, tuple[str, ...]] = {
    "run": ("parameters", "own_parameters", "replica", "config"),
    "experiment": ("params",),
    "data": ("name", "content_hash"),
}
_WHO = ("token", "created_at", "changed_at")


def agree(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> bool:
    """Tell whether two definitions, settings or versions of data mean the same, whoever wrote them."""
    return not differing(ours, theirs)


def agree_as_bytes(ours: bytes, theirs: bytes, key: str) -> bool:
    """Tell the same of documents as they lie in their stores; one that cannot be read agrees with nothing."""
    if ours == theirs:
        return True
    try:
        return agree(decode_object(ours, key), decode_object(theirs, key))
    except CorruptRecordError:
        return False


def differing(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> list[str]:
    """Return the names of the fields that differ."""
    a, b = _counting(ours), _counting(theirs)
    return sorted(name for name in a.keys() | b.keys() if not _equal(a.get(name), b.get(name)))


def changed(definition: Mapping[str, Any], repeated: Any) -> list[str]:
    """Return what `differing` does for a run's definition and an attempt's repetition of it; quick where both are the same."""
    names = _COUNTING["run"]
    if not isinstance(repeated, dict) or encode([*map(definition.get, names)]) == encode([*map(repeated.get, names)]):
        return []
    return differing(definition, repeated)


def _counting(document: Mapping[str, Any]) -> dict[str, Any]:
    names = _COUNTING.get(str(document.get("type")))
    if names is None:
        return {name: value for name, value in document.items() if name not in _WHO}
    found = {name: document.get(name) for name in ("type", *names)}
    if isinstance(config := found.get("config"), dict):
        found["config"] = {name: value for name, value in config.items() if name not in RESERVED}
    return found


def _equal(ours: Any, theirs: Any) -> bool:
    try:
        return canonical_equal(ours, theirs)
    except SerializationError:
        return bool(ours == theirs)


# --------------------------------------------------------------------------------------------------------------- voids

VOID = encode_line({"schema": schemas.VOID, "type": "void"})
"""The bytes of every void: whoever finds them can tell by their number already."""


def is_void(document: Mapping[str, Any]) -> bool:
    """Tell whether a document is a void."""
    return document.get("type") == "void"


def fence(store: Store, key: str) -> None:
    """See to it that `key` is there: as a void, unless its writer was faster."""
    with suppress(KeyExistsError):
        store.create(key, VOID)


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
