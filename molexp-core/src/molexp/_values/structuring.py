"""Records of typed fields from plain values, and back: both ways know the same types.

They are those of ``docs/explanation/values.md``, in containers, unions, attrs classes, dataclasses and named tuples. A record is
of an attrs class, a dataclass or a msgspec struct.
"""

from __future__ import annotations

import sys
import types
import typing
from collections.abc import Callable, Mapping
from functools import cache
from math import isclose
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from molexp._values.copies import own_copy
from molexp._values.loaded import loaded_types
from molexp._values.plain import plain, restore

if TYPE_CHECKING:
    from cattrs import Converter

_BUILTIN = {"str": str, "int": int, "float": float, "bool": bool, "None": type(None)}


class FieldOf(Struct, frozen=True):
    """One field of a record class.

    Attributes:
        name: its name.
        type: its annotation, which may be text.
        needed: true if it has no default.
        fills: true if it has a default other than None, which is what it has where a record lacks it.
        converts: true if the class converts what it is given.
    """

    name: str
    type: Any
    needed: bool
    fills: bool
    converts: bool


@cache
def fields_of(cls: Any) -> tuple[FieldOf, ...]:
    """Return the fields of an attrs class, a dataclass or a msgspec struct.

    Raises:
        TypeError: it is none.
    """
    if (found := getattr(cls, "__attrs_attrs__", None)) is not None:
        nothing = sys.modules["attr"].NOTHING  # whoever has such a class has imported it
        return tuple(
            FieldOf(
                one.alias,
                one.type,
                one.default is nothing,
                one.default is not nothing and one.default is not None,
                one.converter is not None,
            )
            for one in found
            if one.init
        )
    if (found := getattr(cls, "__dataclass_fields__", None)) is not None:
        missing = sys.modules["dataclasses"].MISSING
        mine = [one for one in sys.modules["dataclasses"].fields(cls) if one.init]
        return tuple(FieldOf(one.name, one.type, *_needed_and_fills(missing, one), False) for one in mine)
    if hasattr(cls, "__struct_fields__"):
        own = msgspec.structs.fields(cls)
        return tuple(FieldOf(one.name, one.type, *_needed_and_fills(msgspec.NODEFAULT, one), False) for one in own)
    raise TypeError(f"{cls!r} is no attrs class, dataclass or msgspec struct")


def _needed_and_fills(missing: Any, field: Any) -> tuple[bool, bool]:
    made = field.default_factory is not missing
    return not made and field.default is missing, made or (field.default is not missing and field.default is not None)


def is_record(cls: Any) -> bool:
    """Tell whether something is a class that `fields_of` knows."""
    marks = ("__attrs_attrs__", "__dataclass_fields__", "__struct_fields__")
    return isinstance(cls, type) and any(hasattr(cls, mark) for mark in marks)


def values_of(record: Any) -> dict[str, Any]:
    """Return the fields of a record, or the items of a mapping, as a dict of copies."""
    if isinstance(record, Mapping):
        return {name: own_copy(value) for name, value in record.items()}
    return {field.name: own_copy(getattr(record, field.name)) for field in fields_of(record.__class__)}


def record_of(cls: Any, found: Any, given: Mapping[str, Any], where: str) -> tuple[Any, Mapping[str, Any]]:
    """Return a record whose fields have their types, and the plain values that are read back as it.

    Args:
        cls: a record class, which `fields_of` knows.
        found: a record of it; None if there are only given values.
        given: values that take the place of its own.
        where: the owner of the fields, for errors.

    Raises:
        TypeError: a field that there is not, one that is missing, or a value that is not of its field's type.
    """
    fields = fields_of(cls)
    own = {} if found is None else {field.name: getattr(found, field.name) for field in fields}
    if given:
        check_given(cls, given, where)
        own |= given
    values: dict[str, Any] = plain(own, where=where, nan=True)
    if _are_plain(cls, values):
        return (cls(**values) if given or found is None else found), values
    made = _structured(cls, values, where)
    stored = plain({name: getattr(made, name) for name in values}, where=where, nan=True)
    for field in fields:
        name = field.name
        if name in values and not field.converts and not _is_same(stored[name], values[name]):
            raise TypeError(
                f"The field {name!r} of {where} is {restore(values[name])!r}, not {_name(field.type)}: it would be read back "
                f"as {stored[name]!r}."
            )
    return made, stored


def check_given(cls: Any, given: Mapping[str, Any], where: str) -> None:
    """Raise `TypeError` if a value is given for a field that there is not."""
    names = [field.name for field in fields_of(cls)]
    if unknown := [name for name in given if name not in names]:
        raise TypeError(f"There is no field {unknown[0]!r} of {where}; there are: {', '.join(names) or 'none'}.")


def record_from(cls: Any, stored: Mapping[str, Any], where: str) -> Any:
    """Return the record that stored values are read as; names that it does not have are left out.

    Raises:
        TypeError: a field is missing, or a value is not of its field's type.
        Exception: an error of the class.
    """
    values = {field.name: stored[field.name] for field in fields_of(cls) if field.name in stored}
    return cls(**values) if _are_plain(cls, values) else _structured(cls, values, where)


def _structured(cls: Any, values: Mapping[str, Any], where: str) -> Any:
    hints = _hints(cls)
    made = {}
    for field in fields_of(cls):
        name = field.name
        if name in values:
            value = restore(values[name])
            try:
                made[name] = _converter().structure(value, hints[name])
            except Exception as error:
                raise TypeError(f"The field {name!r} of {where} is {value!r}, not {_name(field.type)}.") from error
        elif field.needed:
            raise TypeError(f"The field {name!r} of {where} is missing.")
    try:
        return cls(**made)
    except Exception as error:
        raise TypeError(f"{where} cannot have these fields: {error}") from error


@cache
def _hints(cls: Any) -> dict[str, Any]:
    return typing.get_type_hints(cls, include_extras=True)


def missing_name(cls: Any) -> str:
    """Return a name in the annotations of a record class that is not there when they are read; "" if all are."""
    try:
        _hints(cls)
    except NameError as error:
        return str(error.name)
    return ""


def unreadable_field(cls: Any) -> str:
    """Return, for people, the first field of a record class whose type JSON does not give back; "" if there is none."""
    if _plain_types(cls) is not None:
        return ""
    hints = _hints(cls)
    for field in fields_of(cls):
        if not _is_readable(hints.get(field.name, Any)):
            return f"{field.name!r} of type {_name(field.type)}"
    return ""


@cache
def _plain_types(cls: Any) -> Mapping[str, tuple[type, ...]] | None:
    """Return the types that each field may have if all are built-in ones of JSON, for which nothing has to be imported."""
    found: dict[str, tuple[type, ...]] = {}
    for field in fields_of(cls):
        if isinstance(field.type, str):
            members = tuple(_BUILTIN.get(part.strip(), object) for part in field.type.split("|"))
        else:
            members = typing.get_args(field.type) if _is_union(field.type) else (field.type or object,)
        if field.converts or not set(members) <= set(_BUILTIN.values()):
            return None
        found[field.name] = members
    return found


def _are_plain(cls: Any, values: Mapping[str, Any]) -> bool:
    """Tell whether plain values are what the record has, whole: numbers, texts, and none of those that it needs missing."""
    known = _plain_types(cls)
    if known is None or (
        len(values) < len(known) and any(one.needed and one.name not in values for one in fields_of(cls))
    ):
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
    return cls.__name__ if isinstance(cls, type) else str(cls)
