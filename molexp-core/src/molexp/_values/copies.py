"""Copies of values: what somebody does to his own changes nobody else's."""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from msgspec import Struct
from msgspec.structs import force_setattr

__all__ = ["own_copy"]

_ATOMS = frozenset({str, int, float, bool, type(None), bytes, complex})


def own_copy(value: Any) -> Any:
    """Return a copy of `value`: containers, arrays, records and frames are copied, however deep they lie.

    Containers are the built-in ones and their subclasses; records are named tuples, dataclasses, structs and attrs
    instances. An object of another class is copied if its class says how (``__deepcopy__``, as arrays and frames do); else it is shared,
    and so is what cannot be copied.
    """
    if type(value) in _ATOMS:
        return value
    try:
        return _own(value, {})
    except RecursionError:
        return value


def _own(value: Any, memo: dict[int, Any]) -> Any:
    """Return the same; `memo` has the copies of values that contain themselves or occur twice, by id."""
    made: Any
    kind = type(value)
    if kind in _ATOMS:
        return value
    if (known := memo.get(id(value))) is not None:
        return known
    if kind is dict:
        memo[id(value)] = made = {}
        for key, item in value.items():
            made[key] = item if type(item) in _ATOMS else _own(item, memo)
    elif kind is list:
        memo[id(value)] = made = []
        made += [item if type(item) in _ATOMS else _own(item, memo) for item in value]
    elif kind is tuple:
        made = tuple([item if type(item) in _ATOMS else _own(item, memo) for item in value])
    else:
        try:
            made = _other(value, kind, memo)
        except RecursionError:
            raise
        except Exception:  # noqa: BLE001 - it is a stranger's code, and says that there is no copy
            made = value
    return made


def _other(value: Any, kind: type[Any], memo: dict[int, Any]) -> Any:
    if hasattr(kind, "__deepcopy__"):
        return copy.deepcopy(value)
    if isinstance(value, set | bytearray):
        return copy.copy(value)
    if isinstance(value, tuple):
        items = [_own(item, memo) for item in value]
        return kind._make(items) if hasattr(kind, "_make") else value
    if isinstance(value, dict):
        memo[id(value)] = made = copy.copy(value)
        for key, item in value.items():
            made[key] = _own(item, memo)
        return made
    if isinstance(value, list) or kind is deque:
        memo[id(value)] = made = copy.copy(value)
        for index, item in enumerate(value):
            made[index] = _own(item, memo)
        return made
    if isinstance(value, Struct):
        made = _record(value, kind.__struct_fields__, memo, force_setattr)
        if hasattr(value, "__dict__"):  # a struct that is copied leaves out what else it carries
            made.__dict__.update(value.__dict__)
        return made
    names = getattr(kind, "__dataclass_fields__", None) or [one.name for one in getattr(kind, "__attrs_attrs__", ())]
    return _record(value, names, memo, object.__setattr__) if names else value


def _record(value: Any, names: Iterable[str], memo: dict[int, Any], put: Callable[[Any, str, Any], None]) -> Any:
    memo[id(value)] = made = copy.copy(value)
    for name in names:
        if hasattr(value, name):
            put(made, name, _own(getattr(value, name), memo))
    return made
