"""Values of scientific libraries in JSON, exactly: arrays with their types, numpy's scalars, tuples, complex numbers.

What JSON has is written as it is, NaN and infinity as Python's `json` does. The rest is an object with one key that starts with
"$", its tag.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from typing import Any

from molexp.errors import SerializationError

_NUMBERS = "biufc"
_AS_IT_IS = (bool, int, float, str, type(None))
_KEPT = "it is kept by nothing that can be read back. Leave it out, or save it on its own"


def encode(value: Any, where: str) -> Any:
    """Return a value as JSON has it.

    Args:
        value: None, booleans, numbers, text, lists, tuples, dicts, numpy's arrays and scalars, space groups of ASE.
        where: the name of the value in errors, as in ``atoms.info['a']``.

    Raises:
        SerializationError: there is something else in it, which the error names.
    """
    kind = type(value)
    if kind in _AS_IT_IS:
        return value
    if kind is list:
        return [encode(item, f"{where}[{number}]") for number, item in enumerate(value)]
    if kind is dict:
        return _dict(value, where)
    if kind is tuple:
        return {"$tuple": [encode(item, f"{where}[{number}]") for number, item in enumerate(value)]}
    if kind is complex:
        return {"$complex": [value.real, value.imag]}
    if "numpy" in sys.modules and (found := _numpy(value, where)) is not None:
        return found
    if f"{kind.__module__}.{kind.__qualname__}" == "ase.spacegroup.spacegroup.Spacegroup":
        return {"$spacegroup": [value.no, value.setting]}
    raise refused(value, where)


def refused(value: Any, where: str, why: str = _KEPT) -> SerializationError:
    """Return the error for something that cannot be kept as it is."""
    kind = type(value)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    return SerializationError(where, name, why)


def decode(value: Any) -> Any:
    """Return what `encode` wrote.

    Raises:
        ValueError: a tag that it does not write.
    """
    if type(value) is list:
        return [decode(item) for item in value]
    if type(value) is not dict:
        return value
    if len(value) == 1:
        ((key, item),) = value.items()
        if key.startswith("$"):
            if key not in _TAGS:
                raise ValueError(f"{key!r} is no tag that this version of molexp-science writes")
            return _TAGS[key](item)
    return {key: decode(item) for key, item in value.items()}


def to_text(value: Any) -> str:
    """Return JSON in one line, in ASCII."""
    return json.dumps(value, separators=(",", ":"))


def _dict(value: dict[Any, Any], where: str) -> Any:
    items = [(key, encode(item, f"{where}[{key!r}]")) for key, item in value.items()]
    if all(type(key) is str for key, _ in items) and not (len(items) == 1 and items[0][0].startswith("$")):
        return dict(items)
    return {"$dict": [[encode(key, f"a key of {where}"), item] for key, item in items]}


def _numpy(value: Any, where: str) -> Any:
    numpy: Any = sys.modules["numpy"]
    if isinstance(value, numpy.generic):
        if value.dtype.kind not in f"{_NUMBERS}U" or _is_long(value.dtype):
            raise refused(value, where)
        return {"$scalar": [value.dtype.str, *_flat(value)]}
    if type(value) is numpy.ndarray:
        return {"$array": [_type_of(value, where), list(value.shape), _items(value, where)]}
    return None


def _type_of(array: Any, where: str) -> str:
    if array.dtype.kind not in f"{_NUMBERS}UO" or _is_long(array.dtype):
        raise refused(array, where, f"arrays of {array.dtype} are not kept. Convert it, or save it on its own")
    return str(array.dtype.str)


def _is_long(dtype: Any) -> bool:
    """Tell whether a number has more digits than a double, which Python's floats would lose."""
    return bool(dtype.itemsize > {"f": 8, "c": 16}.get(dtype.kind, dtype.itemsize))


def _items(array: Any, where: str) -> list[Any]:
    if array.dtype.kind == "O":
        return [encode(item, where) for item in array.ravel().tolist()]
    return _flat(array)


def _flat(array: Any) -> list[Any]:
    flat = array.ravel()
    if flat.dtype.kind == "c":
        flat = flat.view(flat.real.dtype)
    found: list[Any] = flat.tolist()
    return found


def array_of(note: Sequence[Any], items: list[Any]) -> Any:
    """Return an array of numbers, of text or of objects; the note is its type and its shape."""
    import numpy

    kind = numpy.dtype(note[0])
    if kind.kind == "O":
        made = numpy.empty(len(items), kind)
        for number, item in enumerate(items):
            made[number] = decode(item)
    elif kind.kind == "c":
        made = numpy.array(items, numpy.empty(0, kind).real.dtype).view(kind)
    else:
        made = numpy.array(items, kind)
    return made.reshape(note[1])


def _scalar(item: list[Any]) -> Any:
    return array_of((item[0], ()), item[1:])[()]


def _spacegroup(item: list[Any]) -> Any:
    from ase.spacegroup import Spacegroup

    return Spacegroup(item[0], item[1])


_TAGS: dict[str, Callable[[Any], Any]] = {
    "$array": lambda item: array_of(item[:2], item[2]),
    "$complex": lambda item: complex(*item),
    "$dict": lambda item: {decode(key): decode(one) for key, one in item},
    "$scalar": _scalar,
    "$spacegroup": _spacegroup,
    "$tuple": lambda item: tuple(decode(one) for one in item),
}
