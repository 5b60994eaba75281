"""Records of typed fields from plain values, and back: both ways know the same types.

They are those of ``docs/explanation/values.md``, in containers, unions, attrs classes, dataclasses and named tuples.
"""

from __future__ import annotations

import sys
import types
import typing
from collections.abc import Callable, Mapping
from functools import cache
from math import isclose
from typing import TYPE_CHECKING, Any

import attrs

from molexp._values.loaded import loaded_types
from molexp._values.plain import plain, restore

if TYPE_CHECKING:
    from cattrs import Converter

_BUILTIN = {"str": str, "int": int, "float": float, "bool": bool, "None": type(None)}


def record_of(cls: type[Any], values: Mapping[str, Any], where: str) -> tuple[Any, Mapping[str, Any]]:
    """Return a record whose fields have their types, and the plain values that are read back as it.

    Args:
        cls: an attrs class.
        values: plain values, as `plain` makes them.
        where: the owner of the fields, for errors.

    Raises:
        TypeError: a field is missing, or a value is not of its field's type.
    """
    if _are_plain(cls, values):
        return cls(**values), values
    try:
        made = _converter().structure(restore(values), cls)
    except Exception as error:
        raise TypeError(_wrong_field(cls, values, where) or f"{where} cannot have these fields: {error}") from error
    stored = plain({name: getattr(made, name) for name in values}, where=where, nan=True)
    for field in attrs.fields(cls):
        name = field.name
        if name in values and field.converter is None and not _is_same(stored[name], values[name]):
            raise TypeError(
                f"The field {name!r} of {where} is {restore(values[name])!r}, not {_name(field.type)}: it would be read back "
                f"as {stored[name]!r}."
            )
    return made, stored


def record_from(cls: type[Any], stored: Mapping[str, Any]) -> Any:
    """Return the record that stored values are read as; names that it does not have are left out.

    Raises:
        Exception: an error of the class, or of a type of its fields.
    """
    names = attrs.fields_dict(cls)
    values = {name: restore(value) for name, value in stored.items() if name in names}
    return cls(**values) if _are_plain(cls, values) else _converter().structure(values, cls)


def missing_name(cls: type[Any]) -> str:
    """Return a name in the annotations of an attrs class that is not there when they are read; "" if all are."""
    try:
        typing.get_type_hints(cls)
    except NameError as error:
        return str(error.name)
    return ""


def unreadable_field(cls: type[Any]) -> str:
    """Return, for people, the first field of an attrs class whose type JSON does not give back; "" if there is none."""
    hints = typing.get_type_hints(cls)
    for field in attrs.fields(cls):
        if not _is_readable(hints.get(field.name, Any)):
            return f"{field.name!r} of type {_name(field.type)}"
    return ""


@cache
def _plain_types(cls: type[Any]) -> Mapping[str, tuple[type, ...]] | None:
    """Return the types that each field may have if all are built-in ones of JSON, for which nothing has to be imported."""
    found: dict[str, tuple[type, ...]] = {}
    for field in attrs.fields(cls):
        if isinstance(field.type, str):
            members = tuple(_BUILTIN.get(part.strip(), object) for part in field.type.split("|"))
        else:
            members = typing.get_args(field.type) if _is_union(field.type) else (field.type or object,)
        if field.converter is not None or not set(members) <= set(_BUILTIN.values()):
            return None
        found[field.name] = members
    return found


def _are_plain(cls: type[Any], values: Mapping[str, Any]) -> bool:
    known = _plain_types(cls)  # type: ignore[arg-type] # mypy takes a class for what cannot be a key
    if known is None:
        return False
    for name, value in values.items():  # noqa: SIM110 - a generator costs more than the rest
        if type(value) not in known.get(name, ()):
            return False
    return True


@cache
def _converter() -> Converter:
    from datetime import time, timedelta
    from decimal import Decimal
    from pathlib import PurePath
    from uuid import UUID

    from cattrs.preconf.json import make_converter

    converter = make_converter()
    hooks: dict[type[Any], Callable[[Any, Any], Any]] = {
        Decimal: lambda value, cls: cls(value),
        UUID: lambda value, cls: cls(value),
        PurePath: lambda value, cls: cls(value),
        timedelta: lambda value, _: timedelta(seconds=value),
        time: lambda value, _: time.fromisoformat(value),
        type(None): _none,
    }
    for cls, hook in hooks.items():
        converter.register_structure_hook(cls, hook)
    converter.register_structure_hook_func(lambda cls: cls is object, lambda value, _: value)
    converter.register_structure_hook_func(_is_numpy, _numpy)
    converter.register_structure_hook_func(_is_union, lambda value, union: _member(converter, value, union))
    return converter


def _none(value: Any, _: Any) -> None:
    if value is not None:
        raise ValueError(f"{value!r} is not None")


def _member(converter: Converter, value: Any, union: Any) -> Any:
    """Return a value as the first member of a union that gives it back, classes before built-in types."""
    members = typing.get_args(union)
    if value is None and type(None) in members:
        return None
    left = [member for member in members if member is not type(None)]
    if len(left) == 1:
        return converter.structure(value, left[0])
    left.sort(key=lambda member: (member in _BUILTIN.values(), type(value) is not member))
    for member in left:
        try:
            made = converter.structure(value, member)
            if _is_same(plain(made, where="", nan=True), plain(value, where="", nan=True)):
                return made
        except Exception:  # noqa: BLE001, S112 - whatever it says, another member may take it
            continue
    raise ValueError(f"{value!r} is none of {union}")


def _is_union(cls: Any) -> bool:
    return typing.get_origin(cls) in (typing.Union, types.UnionType)


def _is_numpy(cls: Any) -> bool:
    cls = typing.get_origin(cls) or cls
    return isinstance(cls, type) and cls.__module__ == "numpy" and issubclass(cls, loaded_types("numpy", *_NUMPY))


_NUMPY = ("generic", "ndarray")


def _numpy(value: Any, cls: Any) -> Any:
    numpy = sys.modules["numpy"]  # whoever has such a type has imported it
    kind = typing.get_origin(cls) or cls
    if kind is numpy.ndarray:
        dtypes = typing.get_args(typing.get_args(cls)[1]) if typing.get_origin(cls) else ()
        return numpy.asarray(value, dtypes[0] if dtypes and isinstance(dtypes[0], type) else None)
    if kind is numpy.timedelta64:
        return numpy.timedelta64(round(value * 1e9), "ns")
    return kind(value)


def _is_readable(cls: Any) -> bool:
    """Tell whether there is a way to read a value of this type; what it is made of is asked, too."""
    from cattrs.errors import StructureHandlerNotFoundError

    try:
        _converter().get_structure_hook(cls)
    except StructureHandlerNotFoundError:
        return False
    except Exception:  # noqa: BLE001 - a stranger's class may be anything; values tell, when they are saved
        return True
    return all(_is_readable(arg) for arg in typing.get_args(cls) if isinstance(arg, type))


def _is_same(one: Any, other: Any) -> bool:
    if type(one) is float and type(other) is float:
        return isclose(one, other, rel_tol=1e-15)  # seconds of a time span
    return bool(one == other)


def _name(cls: Any) -> str:
    return getattr(cls, "__name__", None) or str(cls)


def _wrong_field(cls: type[Any], values: Mapping[str, Any], where: str) -> str:
    """Return which field is missing, or has a value that is not of its type; "" if it is something else."""
    hints = typing.get_type_hints(cls)
    for field in attrs.fields(cls):
        name = field.name
        if name not in values and field.default is attrs.NOTHING:
            return f"The field {name!r} of {where} is missing."
        try:
            _converter().structure(restore(values.get(name)), hints[name] if name in values else Any)
        except Exception:  # noqa: BLE001 - whatever it says, it is this one
            return f"The field {name!r} of {where} is {restore(values[name])!r}, not {_name(field.type)}."
    return ""
