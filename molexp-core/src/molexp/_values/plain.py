"""Plain values: what Python objects become in JSON, and back. ``docs/explanation/values.md`` lists the conversions.

Objects with one key that starts with "$" are tags: ``{"$float": "nan"}``, ``{"$dict": [[key, value], ...]}`` for a
mapping that has such keys itself, and references (``{"$asset": id}``) that the caller makes and resolves.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

from msgspec import Struct

from molexp._values.advice import advice
from molexp._values.canonical import canonical_json, check_text
from molexp._values.copies import own_copy
from molexp._values.documents import FLOATS, is_pair
from molexp._values.loaded import loaded_types
from molexp._values.numbers import LONG_BITS, MAX_DIGITS, is_too_long
from molexp._values.paths import path_text
from molexp._values.value_path import MAX_DEPTH, Unfit, nests_deeper, too_deep

__all__ = ["plain", "plain_parameters", "restore"]

_ARRAY_LIMIT = 1000


def plain(value: Any, *, where: str, nan: bool, refer: Callable[[Any], Any] | None = None) -> Any:
    """Return ``value`` as plain JSON values, all of them new objects.

    Args:
        value: None, booleans, numbers, text; lists, tuples, sets, mappings; datetimes, enums, UUIDs, decimals, paths;
            structs, attrs instances and dataclasses; numpy scalars, tensors without dimensions, and numpy arrays of up to
            1000 elements.
        where: the name of the value in errors, as in ``params``.
        nan: True if NaN and infinity are legal; they become ``{"$float": "nan"}``.
        refer: asked about every object that is not of a plain built-in type, first of all; what it returns stands for
            the object as it is, ``None`` means that it has no opinion.

    Raises:
        SerializationError: for anything else, NaN and infinity unless ``nan``, a value that contains itself or is
            nested more than 200 levels deep; it names the path and type.
    """
    try:
        return _Converter(nan, refer).convert(value, 0)
    except Unfit as problem:
        raise problem.error(where) from None
    except RecursionError:
        raise too_deep(value).error(where) from None


def plain_parameters(value: Any, where: str) -> dict[str, Any]:
    """Return parameters as plain JSON. Paths are what they say, wherever they point.

    Raises:
        SerializationError: a value that JSON cannot carry, NaN included; names its path and type.
        TypeError: it is no mapping.
    """
    found = plain(value, where=where, nan=False, refer=path_text)
    if type(found) is not dict:
        raise TypeError(f"Parameters are a mapping of names to values, not {type(value).__name__}.")
    return found


def restore(value: Any, *, resolve: Callable[[str, Any], Any] | None = None) -> Any:
    """Return the inverse of `plain` as far as JSON tells, all of it new objects.

    Args:
        value: a value in a document.
        resolve: asked about other tags, as ``resolve("$asset", id)``; ``None`` means that it has no opinion. A tag
            that nobody knows is kept as it is: a newer version may have written it.

    Raises:
        SerializationError: the value is nested too deep for the interpreter.
    """
    try:
        return _restore(value, resolve)
    except RecursionError:
        raise too_deep(value).error("value") from None


class _Converter(Struct):
    nan: bool
    refer: Callable[[Any], Any] | None

    def convert(self, value: Any, depth: int) -> Any:
        """Return the plain form of any value; built-in types first, for they are nearly all there is."""
        kind = type(value)
        if kind is str:
            if not value.isascii():
                check_text(value)
            return value
        if kind is float:
            return value if value - value == 0.0 else self._not_finite(value)
        if kind is int:
            if value.bit_length() >= LONG_BITS and is_too_long(value):
                raise Unfit(value, f"it has more than {MAX_DIGITS} decimal digits; record it as text, as from hex()")
            return value
        if value is None or kind is bool:
            return value
        if kind is dict:
            return self._mapping(value, depth)
        if kind is list or kind is tuple:
            return self._sequence(value, depth)
        if kind is set or kind is frozenset:
            return sorted(self._sequence(value, depth), key=canonical_json)
        return self._other(value, depth)

    def _not_finite(self, value: float) -> dict[str, str]:
        text = float.__repr__(value)
        if self.nan:
            return {"$float": text}
        raise Unfit(value, f"{text} cannot be compared or hashed; use None, or a finite number")

    def _mapping(self, value: Any, depth: int) -> dict[str, Any]:
        if depth >= MAX_DEPTH:
            raise too_deep(value)
        result: dict[str, Any] = {}
        tagged = False
        for key, item in value.items():
            try:
                if type(key) is not str:
                    key = self._key(key, value, result)  # noqa: PLW2901 - it stands for the key from here on
                elif not key.isascii():
                    check_text(key)
                if "$" in key and key[0] == "$":
                    tagged = True
                if type(item) is float and item - item == 0.0:
                    result[key] = item
                else:
                    result[key] = self.convert(item, depth + 1)
            except Unfit as problem:
                problem.steps.append(str(key))
                raise
        return self._tagged(value, result, depth) if tagged else result

    def _tagged(self, value: Any, result: dict[str, Any], depth: int) -> dict[str, Any]:
        """Return a mapping that has to be told from a tag. It takes three levels, and what can be written can be read."""
        tagged = {"$dict": [[key, item] for key, item in result.items()]}
        if nests_deeper(tagged, MAX_DEPTH - depth):
            raise too_deep(value)
        return tagged

    def _key(self, key: Any, mapping: Any, result: dict[str, Any]) -> str:
        text = key.value if isinstance(key, Enum) else key
        if not isinstance(text, str):
            raise Unfit(key, f"the keys of a recorded mapping are text, not {type(key).__name__}; use str(key)")
        text = str.__str__(text)
        check_text(text)
        if text in result or (not isinstance(key, str) and text in mapping):
            raise Unfit(key, f"two keys of the mapping would be {text!r}; rename one")
        return text

    def _sequence(self, value: Any, depth: int) -> list[Any]:
        if depth >= MAX_DEPTH:
            raise too_deep(value)
        result: list[Any] = []
        for item in value:
            if type(item) is float and item - item == 0.0:
                result.append(item)
                continue
            try:
                result.append(self.convert(item, depth + 1))
            except Unfit as problem:
                problem.steps.append(len(result))
                raise
        return result

    def _other(self, value: Any, depth: int) -> Any:
        if self.refer is not None:
            replacement = self.refer(value)
            if replacement is not None:
                return replacement
        if isinstance(value, (Enum, str, int, float)):
            return self.convert(_builtin(value), depth)
        if isinstance(value, (datetime, date, time, timedelta)):
            return _time_text(value)
        if isinstance(value, (UUID, Decimal)):
            return str(value)
        if isinstance(value, (list, tuple)):
            return self._sequence(value, depth)
        if isinstance(value, (set, frozenset)):
            return sorted(self._sequence(value, depth), key=canonical_json)
        if isinstance(value, Mapping):
            return self._mapping(value, depth)
        fields = _fields(value)
        if fields is not None:
            return self._mapping(fields, depth)
        return self._foreign(value, depth)

    def _foreign(self, value: Any, depth: int) -> Any:
        """Return the plain form of a value of a type that is known without being imported: paths, numpy, tensors of one number."""
        numpy = sys.modules.get("numpy")
        if numpy is not None and isinstance(value, (numpy.generic, numpy.ndarray)):
            return self._numpy(value, numpy, depth)
        if isinstance(value, (*loaded_types("pathlib", "PurePath"), *loaded_types("upath", "UPath"))):
            return self.convert(str(value), depth)
        if getattr(value, "shape", None) == () and hasattr(value, "item"):  # a tensor of one number, as a loss is one
            number = value.item()
            if isinstance(number, bool | int | float):
                return self.convert(number, depth)
        raise self._formless(value)

    def _formless(self, value: Any, what: str = "JSON has no form for it") -> Unfit:
        return Unfit(value, f"{what}; {advice(value, in_run=self.nan)}")  # NaN is legal in all but parameters

    def _numpy(self, value: Any, numpy: Any, depth: int) -> Any:
        if isinstance(value, numpy.ndarray):
            if value.size > _ARRAY_LIMIT:
                raise self._formless(value, f"the array has {value.size} elements, at most {_ARRAY_LIMIT} are recorded")
            if value.dtype.kind in "biuU" or value.dtype.char in "efd":
                return self.convert(value.tolist(), depth)
            return self.convert(value[()] if value.ndim == 0 else list(value), depth)
        if isinstance(value, numpy.bool_):
            return bool(value)
        if isinstance(value, numpy.integer) and not isinstance(value, numpy.timedelta64):
            return int(value)
        if isinstance(value, numpy.floating):
            return self.convert(float(value), depth)
        if isinstance(value, (numpy.datetime64, numpy.timedelta64)):
            return _numpy_time(value, numpy)
        raise self._formless(value)


def _builtin(value: Enum | str | float) -> Any:
    """Return what an enum's member stands for, or the built-in value of a subclass, as numpy's ``float64`` is one."""
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, str):
        return str.__str__(value)
    return int(value) if isinstance(value, int) else float(value)


def _time_text(value: datetime | date | time | timedelta) -> str | float:
    if isinstance(value, timedelta):
        return value.total_seconds()
    if not isinstance(value, datetime):
        return value.isoformat()
    if value != value:  # pandas' NaT is a datetime that equals nothing  # noqa: PLR0124
        raise Unfit(value, "it is not a time; use None")
    if value.tzinfo is None:
        return value.isoformat()
    try:
        return value.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"
    except OverflowError:
        raise Unfit(value, f"{value.isoformat()} is out of range in UTC") from None


def _numpy_time(value: Any, numpy: Any) -> str | float:
    if numpy.isnat(value):
        raise Unfit(value, "it is not a time; use None")
    if isinstance(value, numpy.datetime64):
        return str(value)
    try:
        return float(value / numpy.timedelta64(1, "s"))
    except TypeError:
        raise Unfit(value, "months and years have no fixed length; use days") from None


def _fields(value: Any) -> dict[str, Any] | None:
    """Return the fields of a struct, an attrs instance or a dataclass; ``None`` for anything else."""
    kind = type(value)
    if hasattr(kind, "__struct_fields__"):
        names = kind.__struct_fields__
    elif hasattr(kind, "__attrs_attrs__"):
        names = [attribute.name for attribute in kind.__attrs_attrs__]
    elif hasattr(kind, "__dataclass_fields__"):
        from dataclasses import fields

        names = [field.name for field in fields(value)]
    else:
        return None
    return {name: getattr(value, name) for name in names if hasattr(value, name)}


def _restore(value: Any, resolve: Callable[[str, Any], Any] | None) -> Any:
    kind = type(value)
    if kind is dict:
        if len(value) == 1:
            ((tag, payload),) = value.items()
            if tag[:1] == "$":
                return _tagged(tag, payload, resolve)
        return {
            key: _restore(item, resolve) if type(item) is dict or type(item) is list else item
            for key, item in value.items()
        }
    if kind is list:
        return [_restore(item, resolve) if type(item) is dict or type(item) is list else item for item in value]
    return value


def _tagged(tag: str, payload: Any, resolve: Callable[[str, Any], Any] | None) -> Any:
    if tag == "$float":
        if type(payload) is str and payload in FLOATS:
            return FLOATS[payload]
    elif tag == "$dict":
        if type(payload) is list and all(map(is_pair, payload)):
            return {key: _restore(item, resolve) for key, item in payload}
    elif resolve is not None:
        found = resolve(tag, payload)
        if found is not None:
            return found
    return {tag: own_copy(payload)}
