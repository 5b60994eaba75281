"""Outputs of tasks as JSON that gives back exactly what the task returned, or not at all.

Lists, tuples, dicts with text for keys, text, numbers, also those of numpy, bools, None, paths and assets go both ways. An object that an asset
kind saves stands there as a reference; see `saved_parts`. What would come back as something else (an enum as its value)
is not stored: such a task is executed again.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from molexp._values.canonical import canonical_hash
from molexp._values.loaded import loaded_types, type_name
from molexp._values.plain import restore
from molexp._values.value_path import MAX_DEPTH, Unfit
from molexp.errors import MolexpError

if TYPE_CHECKING:
    from molexp._hierarchy.run import Run

_PLAIN = (str, int, bool, type(None))

_SCALARS = (
    "bool",
    *(f"{sort}{bits}" for sort in ("int", "uint") for bits in (8, 16, 32, 64)),
    "float16",
    "float32",
    "float64",
)
"""The types of numpy whose values Python's own numbers hold exactly."""

_PATH = type(Path())  # the class of paths here


class NotRestorableError(Exception):
    """An output, or a part of it, that JSON cannot carry."""


Take = Callable[[Any, str], dict[str, Any] | None]
"""Called with an object that JSON cannot carry and where it is; returns what stands for it, or None."""


def pack(value: Any, run: Run | None, take: Take | None = None) -> Any:
    """Return the stored form of an output.

    Args:
        value: the output.
        run: the run; paths inside its workspace are stored relative to it.
        take: asked about what JSON cannot carry; its answer stands in a tag ``$saved``.

    Raises:
        NotRestorableError: it cannot be stored; says what and where.
    """
    return _Packer(run, take).pack(value, "output", 0)


def unpack(stored: Any, run: Run | None, give: Callable[[Any], Any] | None = None) -> Any:
    """Return the output that `pack` stored; `give` returns the object that a tag ``$saved`` stands for.

    Raises:
        NotRestorableError: a file or an asset that it refers to is no longer there, or it has what no such output has.
    """

    def resolve(tag: str, payload: Any) -> Any:
        if tag == "$tuple" and isinstance(payload, list):
            return tuple(unpack(payload, run, give))
        if tag == "$scalar" and isinstance(payload, list) and len(payload) == 2:
            return _scalar(payload, run)
        if tag == "$saved" and give is not None:
            return give(payload)
        if (found := _unpack_tag(tag, payload, run)) is None:
            raise NotRestorableError(f"nothing is known here of {tag} with {payload!r:.80}")
        return found

    return restore(stored, resolve=resolve)


def fingerprint(stored: Any, *, parts: bool = False) -> str:
    """Return a hash of an output's stored form, equal for equal outputs; if it has `parts`, these count by their bytes."""
    return canonical_hash(_by_bytes(stored) if parts else stored)


def _by_bytes(stored: Any) -> Any:
    """Return a stored form in which the attempt that saved an object does not show."""
    if type(stored) is list:
        return [_by_bytes(item) for item in stored]
    if type(stored) is not dict:
        return stored
    if type(said := stored.get("$saved")) is dict:
        return {"$saved": {name: value for name, value in said.items() if name != "asset"}}
    return {key: _by_bytes(item) for key, item in stored.items()}


class _Packer(Struct, frozen=True):
    run: Run | None
    take: Take | None

    def pack(self, value: Any, where: str, depth: int) -> Any:
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
            items = [self.pack(item, f"{where}[{number}]", depth + 1) for number, item in enumerate(value)]
            return items if kind is list else {"$tuple": items}
        if kind is dict:
            return self._dict(value, where, depth)
        return self._reference(value, where)

    def _dict(self, value: dict[Any, Any], where: str, depth: int) -> Any:
        packed = {}
        for key, item in value.items():
            if type(key) is not str:
                raise NotRestorableError(
                    f"{where} has the key {key!r}, of type {type(key).__name__}; keys in JSON are text"
                )
            _check_text(key, where)
            packed[key] = self.pack(item, f"{where}.{key}", depth + 1)
        if any(key.startswith("$") for key in packed):
            return {"$dict": [[key, item] for key, item in packed.items()]}
        return packed

    def _reference(self, value: Any, where: str) -> Any:
        if (name := _scalar_name(type(value))) is not None:  # first: there may be many
            return {"$scalar": [name, self.pack(value.item(), where, 0)]}
        from molexp.contracts._assets import Asset

        run = self.run
        if isinstance(value, Asset):
            try:
                return run._refer(value) if run is not None else {"$asset": value.id}
            except Unfit as problem:
                raise NotRestorableError(f"{where} is of type {problem.type_name}: {problem}") from None
        if type(value) is _PATH:
            referred = run._refer(value) if run is not None and value.is_absolute() else None
            return referred if isinstance(referred, dict) else {"$path": str(value)}
        if run is not None and isinstance(referred := run._refer(value), dict) and "$key" in referred:
            return referred  # a path on storage that has no files
        if self.take is not None and (said := self.take(value, where)) is not None:
            return {"$saved": said}
        raise NotRestorableError(f"{where} is of type {type_name(value)}, which JSON does not give back as it was")


def _scalar_name(kind: type[Any]) -> str | None:
    """Return the name of a type of numbers of numpy; None for any other type."""
    return _scalar_names().get(kind) if issubclass(kind, loaded_types("numpy", "generic")) else None


@cache
def _scalar_names() -> Mapping[type[Any], str]:
    """Return the names of the types of numpy, which is imported."""
    dtype = sys.modules["numpy"].dtype
    return {dtype(name).type: name for name in _SCALARS}


def _scalar(payload: Any, run: Run | None) -> Any:
    """Return the number of numpy that a type's name and a value stand for."""
    name, value = payload
    if name not in _SCALARS:
        raise NotRestorableError(f"{name!r} is no type of number that is known here")
    number = unpack(value, run)
    if not isinstance(number, int | float):
        raise NotRestorableError(f"{number!r:.80} is no number of the type {name}")
    try:
        numpy = import_module("numpy")  # a task has returned a number of it
    except ImportError:
        raise NotRestorableError(f"it has a number of the type numpy.{name}, and numpy is not installed") from None
    return numpy.dtype(name).type(number)


def _check_text(text: str, where: str) -> None:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise NotRestorableError(f"{where} is text that UTF-8 cannot encode") from None


def _unpack_tag(tag: str, payload: Any, run: Run | None) -> Any:
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
