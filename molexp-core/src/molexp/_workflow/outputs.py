"""Outputs of tasks as JSON that gives back exactly what the task returned, or not at all.

Lists, tuples, dicts with text for keys, text, numbers, bools, None, paths and assets go both ways. What would come back
as something else (a numpy array as a list, an enum as its value) is not stored: such a task is executed again.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from molexp._values.canonical import canonical_hash
from molexp._values.plain import restore
from molexp._values.value_path import MAX_DEPTH
from molexp.errors import MolexpError

if TYPE_CHECKING:
    from molexp._hierarchy.run import Run

_PLAIN = (str, int, bool, type(None))

_PATH = type(Path())  # the class of paths here


class NotRestorableError(Exception):
    """An output, or a part of it, that JSON cannot carry."""


def pack(value: Any, run: Run | None) -> Any:
    """Return the stored form of an output.

    Args:
        value: the output.
        run: the run; paths inside its workspace are stored relative to it.

    Raises:
        NotRestorableError: it cannot be stored; says what and where.
    """
    return _pack(value, run, "output", 0)


def unpack(stored: Any, run: Run | None) -> Any:
    """Return the output that `pack` stored.

    Raises:
        NotRestorableError: a file or an asset that it refers to is no longer there.
    """
    return restore(stored, resolve=lambda tag, payload: _unpack_tag(tag, payload, run))


def fingerprint(stored: Any) -> str:
    """Return a hash of an output's stored form, equal for equal outputs."""
    return canonical_hash(stored)


def _pack(value: Any, run: Run | None, where: str, depth: int) -> Any:
    if depth > MAX_DEPTH:
        raise NotRestorableError(f"{where} is nested too deep")
    kind = type(value)
    if kind in _PLAIN:
        if kind is str and not value.isascii():
            _check_text(value, where)
        return value
    if kind is float:
        return value if value - value == 0.0 else {"$float": repr(value)}
    if kind is list or kind is tuple:
        items = [_pack(item, run, f"{where}[{number}]", depth + 1) for number, item in enumerate(value)]
        return items if kind is list else {"$tuple": items}
    if kind is dict:
        return _pack_dict(value, run, where, depth)
    return _pack_reference(value, run, where)


def _pack_dict(value: dict[Any, Any], run: Run | None, where: str, depth: int) -> Any:
    packed = {}
    for key, item in value.items():
        if type(key) is not str:
            raise NotRestorableError(
                f"{where} has the key {key!r}, of type {type(key).__name__}; keys in JSON are text"
            )
        _check_text(key, where)
        packed[key] = _pack(item, run, f"{where}.{key}", depth + 1)
    if any(key.startswith("$") for key in packed):
        return {"$dict": [[key, item] for key, item in packed.items()]}
    return packed


def _pack_reference(value: Any, run: Run | None, where: str) -> Any:
    from molexp.contracts._assets import Asset

    if isinstance(value, Asset):
        return {"$asset": value.id}
    if type(value) is _PATH:
        referred = run._refer(value) if run is not None and value.is_absolute() else None
        return referred if isinstance(referred, dict) else {"$path": str(value)}
    if run is not None and isinstance(referred := run._refer(value), dict) and "$key" in referred:
        return referred  # a path on storage that has no files
    cls = type(value)
    name = cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"
    raise NotRestorableError(f"{where} is of type {name}, which JSON does not give back as it was")


def _check_text(text: str, where: str) -> None:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise NotRestorableError(f"{where} is text that UTF-8 cannot encode") from None


def _unpack_tag(tag: str, payload: Any, run: Run | None) -> Any:
    if tag == "$tuple" and isinstance(payload, list):
        return tuple(unpack(payload, run))
    if tag == "$path" and isinstance(payload, str):
        path = Path(payload)
        if not path.exists():
            raise NotRestorableError(f"the file {payload} is gone")
        return path
    if tag in ("$asset", "$key", "$run") and run is not None:
        return _resolve(tag, payload, run)
    return None


def _resolve(tag: str, payload: Any, run: Run) -> Any:
    from molexp._hierarchy.references import reference_resolver

    try:
        found = reference_resolver(run._session)(tag, payload)
    except MolexpError as error:
        raise NotRestorableError(f"{payload}: {error}") from None
    if (
        found is None
        or isinstance(found, Mapping)
        or not _is_there(found, payload if tag == "$key" else found.key, run)
    ):
        raise NotRestorableError(f"{payload} is gone")
    return found


def _is_there(found: Any, key: str, run: Run) -> bool:
    """Tell whether a path, or the bytes of an asset, are where they were; some of both are folders."""
    if isinstance(found, Path):
        return found.exists()
    store = run._session.store
    return store.exists(key) or next(iter(store.list(key)), None) is not None
