"""Tell whether two documents of one name say the same: some fields count, others only say who wrote them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from molexp._values.canonical import canonical_equal
from molexp._values.documents import decode_object, encode
from molexp.errors import CorruptRecordError, SerializationError

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
