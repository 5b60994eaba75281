"""Tell whether a document has the shape of its kind, as far as readers rely on it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from molexp._record.fences import is_void
from molexp._storage import layout
from molexp._values.documents import decode_object, json_type
from molexp._values.status import RunStatus
from molexp.errors import CorruptRecordError

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
