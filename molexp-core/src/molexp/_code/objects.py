"""Live objects: where their code comes from and what they hold, found without executing any of it."""

from __future__ import annotations

import collections
import functools
import marshal
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from gc import get_referents
from hashlib import sha256
from pathlib import PurePath
from types import (
    BuiltinFunctionType,
    FunctionType,
    GetSetDescriptorType,
    MappingProxyType,
    MemberDescriptorType,
    MethodType,
    ModuleType,
    SimpleNamespace,
)
from typing import Any, TypeAlias

from molexp._code.files import is_virtual
from molexp._code.locations import COMPILED, Namespace, module_file, namespace_named
from molexp._code.syntax import is_scalar
from molexp._values.plain import plain

Form: TypeAlias = Any  # nested lists of text, numbers and None: what is hashed

CACHED = type(functools.lru_cache(int))
MISSING = object()
_TIMES = frozenset({"datetime.datetime", "datetime.date", "datetime.time"})
_ZONES = frozenset({"datetime.timezone", "zoneinfo.ZoneInfo"})
_TEXTS = frozenset({"datetime.timedelta", "decimal.Decimal", "fractions.Fraction", "uuid.UUID"})
# The files of code that attrs and dataclasses write.
_GENERATED = ("<attrs ", "<string>")
_GETTERS = frozenset({"operator.attrgetter", "operator.itemgetter", "operator.methodcaller"})
# Objects of these modules say what goes on in the process, and nothing of what a task does.
PROCESS = frozenset(
    {
        *("_abc", "_asyncio", "_io", "_thread", "_weakrefset", "asyncio", "concurrent", "io", "logging", "molexp"),
        *("multiprocessing", "queue", "socket", "subprocess", "threading", "weakref"),
    }
)
_CONTAINERS = (dict, list, tuple, set, frozenset)
_MANY = 100  # items
_UNSEEN = frozenset({"bytearray", "enumerate", "filter", "generator", "map", "memoryview", "reversed", "zip"})
_HOLDING = (dict, list, tuple, set, frozenset, MappingProxyType, property, staticmethod, classmethod)
_HEAP_TYPE = 1 << 9  # a class made by a `class` statement has this flag

_OF_CLASSES: Mapping[str, Any] = type.__dict__
# A metaclass may answer otherwise, by the user's code.
class_dict: Callable[[Any], Mapping[str, Any]] = _OF_CLASSES["__dict__"].__get__
class_mro: Callable[[Any], tuple[Any, ...]] = _OF_CLASSES["__mro__"].__get__
class_qualname: Callable[[Any], str] = _OF_CLASSES["__qualname__"].__get__
class_module: Callable[[Any], object] = _OF_CLASSES["__module__"].__get__
_get_flags: Callable[[Any], int] = _OF_CLASSES["__flags__"].__get__


def is_a(value: object, *kinds: type) -> bool:
    """Tell whether a value is of a kind, without asking its own ``__class__`` as `isinstance` may."""
    return issubclass(type(value), kinds)


def innermost(obj: Any) -> Any:
    """Return the function below partials, bound methods, caches and wrappers that `functools.wraps` marked."""
    for _ in range(100):
        if is_a(obj, functools.partial):
            obj = partial_parts(obj)[0]
        elif type(obj) is MethodType:
            obj = obj.__func__
        elif (type(obj) is FunctionType or type(obj) is CACHED) and "__wrapped__" in obj.__dict__:
            obj = obj.__dict__["__wrapped__"]
        else:
            break
    return obj


def origin_of(obj: Any) -> str | None:
    """Return the file that a function, a class or an object's class is from; None for a cell and the like, "" for C code."""
    if type(obj) is FunctionType:
        return file_of(obj)
    obj = obj if is_a(obj, type) else type(obj)
    if not _get_flags(obj) & _HEAP_TYPE or type(class_dict(obj).get("__module__")) is not str:
        return ""
    name, namespace = class_module(obj), namespace_of(obj)
    if file := module_file(namespace):
        return file
    return None if name == "__main__" or namespace.get("__spec__") is None else ""  # built into the interpreter


def known_name(kind: Any) -> str:
    """Return the full name of a class that its module has under this name; "" for others, whose names prove nothing."""
    module, qualname = class_module(kind), class_qualname(kind)
    return f"{module}.{qualname}" if namespace_named(module).get(qualname) is kind else ""


def file_of(function: FunctionType) -> str | None:
    """Return the file that a function is from; None for a cell and the like."""
    file, known = function.__code__.co_filename, module_file(function.__globals__)
    if known and (file == known or not os.path.isabs(file)):
        return known
    if is_virtual(file):
        return None
    if file.startswith("<"):
        return module_file(namespace_named(function.__module__)) or None
    return file


def namespace_of(owner: Any) -> Namespace:
    return namespace_named(class_module(owner))


def foreign(owner: Any) -> list[str]:
    """Return the form of an installed class or function: its module and qualified name."""
    if is_a(owner, type):
        module, qualname = class_module(owner), class_qualname(owner)
    else:  # not what it says of itself: attrs renames one function again and again
        module, qualname = owner.__globals__.get("__name__"), owner.__code__.co_qualname
    return ["foreign", module if type(module) is str else "", qualname]


def is_generated(name: str, function: FunctionType, own: Callable[[str | None], bool]) -> bool:
    """Tell whether a decorator or base of elsewhere has put a special method into a class; its text says all that counts."""
    if name[:2] != "__" or name[-2:] != "__":
        return False
    code = function.__code__
    if code.co_filename.startswith(_GENERATED) or code.co_qualname.startswith(("recursive_repr.", "_recursive_repr.")):
        return True
    return "__wrapped__" not in function.__dict__ and not own(file_of(function))


def hanging_on(function: FunctionType) -> tuple[Any, ...]:
    """Return the code, defaults and closure contents of a function."""
    contents = []
    for cell in function.__closure__ or ():
        try:
            contents.append(cell.cell_contents)
        except ValueError:  # not bound yet
            contents.append(MISSING)
    return function.__code__, function.__defaults__, function.__kwdefaults__, *contents


def partial_parts(value: Any) -> tuple[Any, Any, Any]:
    found = functools.partial.__dict__
    return found["func"].__get__(value), found["args"].__get__(value), found["keywords"].__get__(value)


def functions_in(member: Any) -> list[FunctionType]:
    """Return the functions in a member of a class."""
    if type(member) is property:
        candidates = [member.fget, member.fset, member.fdel]
    elif type(member) in {staticmethod, classmethod}:
        candidates = [member.__func__]
    else:
        candidates = [member.func if type(member) is functools.cached_property else member]
    return [item for item in candidates if type(item) is FunctionType]


def held(value: Any) -> tuple[Any, ...] | None:
    """Return the contents of partials, getters, other callables and views of mappings; None for others."""
    kind = type(value)
    if kind is MethodType:
        return value.__func__, value.__self__
    if kind is CACHED:
        return (value.__dict__.get("__wrapped__"),)
    if is_a(value, functools.partial):
        return partial_parts(value)
    if kind is collections.deque:
        return (*collections.deque.__iter__(value), value.maxlen)
    if kind is MappingProxyType:
        return tuple(get_referents(value))
    if known_name(kind) in _GETTERS:
        return tuple(value.__reduce__())
    return None


def is_of_the_process(kind: Any) -> bool:
    """Tell whether objects of a class are locks, loggers, open files, handles of a workspace and the like."""
    module = class_module(kind)
    return type(module) is str and module.partition(".")[0] in PROCESS


def inside(value: Any) -> list[Any]:
    """Return the objects that one holds in any way; none for code, modules, leaves and objects of the process."""
    kind = type(value)
    if is_scalar(value) or kind is FunctionType or is_a(value, type, ModuleType) or is_of_the_process(kind):
        return []
    if kind is MethodType and type(value.__func__) is not FunctionType:
        return [value.__self__]
    if kind is not MethodType and (class_module(kind) == "builtins" and not is_a(value, *_HOLDING)):
        return []
    return [item for item in get_referents(value) if item is not kind]


def bulk(value: Any) -> str | None:
    """Return the hash of a large container of plain data, which is not worth a closer look; None for others."""
    if not any(type(value) is kind for kind in _CONTAINERS) or len(value) < _MANY:
        return None
    try:
        return sha256(marshal.dumps(value, 2)).hexdigest()  # a version in which equal values have equal bytes
    except ValueError:
        return None


def leaves(value: Any) -> list[Any]:
    """Return an object and all that it holds, directly or not."""
    found: list[Any] = []
    pending, met = [value], set()
    while pending:
        item = pending.pop()
        whole = bulk(item)
        found.append(item if whole is None else whole)
        if whole is None and id(item) not in met:
            met.add(id(item))
            pending.extend(inside(item))
    return found


def is_opaque(kind: Any) -> bool:
    """Tell whether objects of a class hold what only C code can see."""
    for owner in class_mro(kind):
        if owner is SimpleNamespace:
            continue
        if class_module(owner) == "builtins":
            if class_qualname(owner) in _UNSEEN:
                return True
        elif (file := origin_of(owner)) is not None and (not file or file.endswith(COMPILED)):
            return True
    return False


class Seen:
    """The state of live objects as it was read, to tell later whether it has changed."""

    def __init__(self) -> None:
        self._names: list[tuple[Mapping[str, Any], str, object]] = []
        self._functions: list[tuple[FunctionType, tuple[Any, ...]]] = []
        self._values: list[tuple[object, list[Any]]] = []
        self.lasting = True  # nothing was met whose contents may change unnoticed

    def name(self, scope: Mapping[str, Any], name: str) -> None:
        """Note the object that a name is bound to."""
        self._names.append((scope, name, scope.get(name, MISSING)))

    def function(self, function: FunctionType) -> tuple[Any, ...]:
        """Note and return the code of a function, its defaults and the contents of its closure."""
        found = hanging_on(function)
        self._functions.append((function, found))
        self.value(found[1:])
        return found

    def value(self, value: object) -> None:
        """Note all that a value holds."""
        found = leaves(value)
        if len(found) > 1:
            self._values.append((value, found))

    def unchanged(self) -> bool:
        """Tell whether all of it is as it was."""
        return (
            all(scope.get(name, MISSING) is value for scope, name, value in self._names)
            and all(_same(hanging_on(function), then, None) for function, then in self._functions)
            and all(_same(leaves(value), then, is_scalar) for value, then in self._values)
        )


def _same(now: Sequence[Any], then: Sequence[Any], by_value: Callable[[object], bool] | None) -> bool:
    return len(now) == len(then) and all(
        a is b or (by_value is not None and by_value(a) and type(a) is type(b) and repr(a) == repr(b))
        for a, b in zip(now, then, strict=True)
    )


def field_names(owner: Any) -> set[str] | None:
    """Return the fields of an attrs class or a dataclass; None for others, and for those that inherit from one."""
    members = class_dict(owner)
    declared: Any = members.get("__attrs_attrs__")
    if is_a(declared, tuple):
        from attrs import Attribute  # whoever has such a class has imported it

        return {field.name for field in tuple.__iter__(declared) if type(field) is Attribute}
    declared = members.get("__dataclass_fields__")
    return set(declared) if type(declared) is dict else None


def attributes_of(value: Any) -> dict[str, Any]:
    """Return the attributes stored in an object, without those that a cached property has filled in."""
    found: dict[str, Any] = {}
    computed = set()
    for owner in class_mro(type(value)):
        for name, member in class_dict(owner).items():
            if type(member) is functools.cached_property:
                computed.add(name)
            elif name == "__dict__" and type(member) in {GetSetDescriptorType, MemberDescriptorType}:
                stored = member.__get__(value)
                found.update(stored if type(stored) is dict else {})
            elif type(member) is MemberDescriptorType and name[:2] != "__":
                try:
                    found.setdefault(name, member.__get__(value))
                except AttributeError:  # never set
                    continue
    return {name: item for name, item in found.items() if type(name) is str and name not in computed}


def leaf_form(value: Any, folder: str) -> Form:
    """Return the form of a value that holds no other and can be read without running its code; None for others.

    A path within `folder` counts by its place there, for the folder may move.
    """
    kind = type(value)
    if kind is str or is_a(value, PurePath):
        return _text_form(value, folder)
    if is_scalar(value) or kind is range or kind is slice or value is Ellipsis or value is NotImplemented:
        return [kind.__name__, repr(value)]
    if value is MISSING:
        return ["empty"]
    if kind is BuiltinFunctionType:
        return ["builtin", value.__module__ if type(value.__module__) is str else "", value.__name__]
    name = known_name(kind)
    if name in _TEXTS:
        return [name, str(value)]
    if name in _TIMES:
        zone = getattr(value, "tzinfo", None)
        known = zone is None or known_name(type(zone)) in _ZONES
        return [name, plain(value, where="value", nan=True)] if known else None
    if name == "re.Pattern":
        return [name, leaf_form(value.pattern, folder), value.flags]
    return _numpy_form(value, name) if name.startswith("numpy.") else None


def _text_form(value: Any, folder: str) -> Form:
    kind: Any = type(value)
    if kind is not str and not known_name(kind).startswith("pathlib."):
        return None
    text = str(value)
    here = len(folder) > 1 and (text == folder or text.startswith(folder + os.sep))
    form = ["here", text[len(folder) :]] if here else text
    return form if kind is str else ["path", form]


def _numpy_form(value: Any, name: str) -> Form:
    numpy = sys.modules["numpy"]
    if name == "numpy.ufunc":
        return [name, value.__name__]
    if (name == "numpy.ndarray" or is_a(value, numpy.generic)) and value.dtype.kind in "biufcSUmM":
        return [name, value.dtype.str, list(value.shape), sha256(value.tobytes()).hexdigest()]
    return None


def is_array(value: object) -> bool:
    """Tell whether it is a numpy array, whose elements may change."""
    return known_name(type(value)) == "numpy.ndarray"
