"""Where the code of a task lies, and what its objects hold, told without executing any of it. `source` makes hashes of it."""

from __future__ import annotations

import functools
import os
import sys
import sysconfig
from collections.abc import Callable, Mapping
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
)
from typing import Any, TypeAlias

import attrs

from molexp._values.plain import plain
from molexp._workflow.source_files import is_scalar, is_virtual

Form: TypeAlias = Any  # nested lists of text, numbers and None: what is hashed
Namespace: TypeAlias = dict[str, Any]

CACHED = type(functools.lru_cache(int))
MISSING = object()
_TIMES = frozenset({"datetime.datetime", "datetime.date", "datetime.time"})
_ZONES = frozenset({"datetime.timezone", "zoneinfo.ZoneInfo"})
_TEXTS = frozenset({"datetime.timedelta", "decimal.Decimal", "fractions.Fraction", "uuid.UUID"})
# What attrs and dataclasses write.
_GENERATED = ("<attrs ", "<string>")
_GETTERS = frozenset({"operator.attrgetter", "operator.itemgetter", "operator.methodcaller"})
INSTALLED = frozenset({"site-packages", "dist-packages"})
_OURS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_STDLIB = os.path.abspath(sysconfig.get_paths()["stdlib"])
_HEAP_TYPE = 1 << 9  # a class made by a `class` statement has this flag

_OF_CLASSES: Mapping[str, Any] = type.__dict__
_OF_MODULES: Any = ModuleType.__dict__
# What a metaclass or a subclass says instead is the user's code.
class_dict: Callable[[Any], Mapping[str, Any]] = _OF_CLASSES["__dict__"].__get__
class_mro: Callable[[Any], tuple[Any, ...]] = _OF_CLASSES["__mro__"].__get__
class_qualname: Callable[[Any], str] = _OF_CLASSES["__qualname__"].__get__
class_module: Callable[[Any], object] = _OF_CLASSES["__module__"].__get__
_get_flags: Callable[[Any], int] = _OF_CLASSES["__flags__"].__get__
module_dict: Callable[[Any], Namespace] = _OF_MODULES["__dict__"].__get__


def is_a(value: object, *kinds: type) -> bool:
    """`isinstance`, which however may ask the value's own ``__class__``."""
    return issubclass(type(value), kinds)


@attrs.frozen
class Place:
    """Where a task's code lies, and so which code is its own.

    Attributes:
        file: its module's file; None in a notebook.
        folder: the file's; that which a notebook was started in.
        package: the dotted name of that folder for imports; "" where it is on the path itself.
    """

    file: str | None
    folder: str
    package: str

    def owns_class(self, owner: Any) -> bool:
        """Whether a class counts by its source."""
        if not _get_flags(owner) & _HEAP_TYPE:
            return False
        name, namespace = class_module(owner), namespace_of(owner)
        file = namespace.get("__file__")
        if type(file) is str:
            return self.owns(file)
        return name == "__main__" or namespace.get("__spec__") is None  # else it is built into the interpreter

    def owns(self, file: str | None) -> bool:
        """Whether what that file defines counts by its source; None is code without a file."""
        if file is None or file == self.file:
            return True
        relative = os.path.abspath(file).removeprefix(self.folder.rstrip(os.sep) + os.sep)
        if os.path.isabs(relative) or os.path.basename(self.folder) in INSTALLED:
            return False
        return INSTALLED.isdisjoint(relative.split(os.sep)) and not os.path.abspath(file).startswith(
            (_STDLIB + os.sep, _OURS + os.sep)
        )

    def locate(self, module: str) -> str | None:
        """The own file that a module of that absolute name is loaded from; found without importing anything."""
        name = module
        if self.package:
            if module != self.package and not module.startswith(self.package + "."):
                return None
            name = module[len(self.package) + 1 :]
        stem = os.path.join(self.folder, *name.split(".")) if name else self.folder
        for file in (os.path.join(stem, "__init__.py"), stem + ".py"):
            if os.path.isfile(file) and self.owns(file):
                return file
        return None


@functools.lru_cache(maxsize=1024)
def _place(file: str | None, package: str, start: str) -> Place:
    folder = start if file is None else os.path.dirname(os.path.abspath(file))
    return Place(file, folder, package)


def innermost(obj: object) -> object:
    """What is called in the end: under partials, bound methods, caches and what `functools.wraps` marked."""
    for _ in range(100):
        if is_a(obj, functools.partial):
            obj = functools.partial.__dict__["func"].__get__(obj)
        elif type(obj) is MethodType:
            obj = obj.__func__
        elif type(obj) is FunctionType and "__wrapped__" in obj.__dict__:
            obj = obj.__dict__["__wrapped__"]
        elif type(obj) is CACHED:
            obj = obj.__dict__.get("__wrapped__")
        else:
            break
    return obj


def place_of(obj: object) -> Place:
    """The place of a task: of the function under its wrappers and partials, of the class of an instance."""
    obj = innermost(obj)
    if type(obj) is FunctionType:
        namespace: Namespace = obj.__globals__
        file: object = file_of(obj)
    else:
        owner = obj if is_a(obj, type) else type(obj)
        namespace = namespace_of(owner)
        file = namespace.get("__file__")
    start = ""
    if type(file) is not str:
        file, history = None, namespace.get("_dh")  # IPython's visited folders
        start = history[0] if type(history) is list and history and type(history[0]) is str else _current_folder()
    return _place(file, package_of(namespace), start)


def known_name(kind: Any) -> str:
    """The full name of a class that is what its module says it is; "" for others. It can be trusted, unlike the name."""
    module, qualname = class_module(kind), class_qualname(kind)
    return f"{module}.{qualname}" if namespace_named(module).get(qualname) is kind else ""


def _current_folder() -> str:
    try:
        return os.getcwd()
    except OSError:  # it has been removed
        return ""


def package_of(namespace: Namespace) -> str:
    package = namespace.get("__package__")
    if type(package) is str:
        return package
    name = namespace.get("__name__")
    return name.rpartition(".")[0] if type(name) is str else ""


def file_of(function: FunctionType) -> str | None:
    """The file that a function is from; None for a cell and the like."""
    file, module_file = function.__code__.co_filename, function.__globals__.get("__file__")
    if type(module_file) is str and (file == module_file or not os.path.isabs(file)):
        return module_file
    if is_virtual(file):
        return None
    if file.startswith("<"):
        found = namespace_named(function.__module__).get("__file__")
        return found if type(found) is str else None
    return file


def namespace_named(name: object) -> Namespace:
    module = sys.modules.get(name) if type(name) is str else None
    return module_dict(module) if is_a(module, ModuleType) else {}


def namespace_of(owner: Any) -> Namespace:
    return namespace_named(class_module(owner))


def foreign(owner: Any) -> list[str]:
    """A class or function of elsewhere: its module and qualified name."""
    if is_a(owner, type):
        module, qualname = class_module(owner), class_qualname(owner)
    else:  # not what it says of itself: attrs renames one function again and again
        module, qualname = owner.__globals__.get("__name__"), owner.__code__.co_qualname
    return ["foreign", module if type(module) is str else "", qualname]


def is_generated(name: str, function: FunctionType, place: Place) -> bool:
    """Whether a decorator or base of elsewhere has put a special method into a class; its text says all that counts."""
    if name[:2] != "__" or name[-2:] != "__":
        return False
    code = function.__code__
    if code.co_filename.startswith(_GENERATED) or code.co_qualname.startswith(("recursive_repr.", "_recursive_repr.")):
        return True
    return "__wrapped__" not in function.__dict__ and not place.owns(file_of(function))


def hanging_on(function: FunctionType) -> tuple[Any, ...]:
    """The code, defaults and closure contents of a function."""
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
    """The functions in a member of a class."""
    if type(member) is property:
        candidates = [member.fget, member.fset, member.fdel]
    elif type(member) in {staticmethod, classmethod}:
        candidates = [member.__func__]
    else:
        candidates = [member.func if type(member) is functools.cached_property else member]
    return [item for item in candidates if type(item) is FunctionType]


def held(value: Any) -> tuple[Any, ...] | None:
    """What partials, getters and other callables hold, and views of mappings; None for others."""
    kind = type(value)
    if kind is MethodType:
        return value.__func__, value.__self__
    if kind is CACHED:
        return (value.__dict__.get("__wrapped__"),)
    if is_a(value, functools.partial):
        return partial_parts(value)
    if kind is MappingProxyType:
        return tuple(get_referents(value))
    if known_name(kind) in _GETTERS:
        return tuple(value.__reduce__())
    return None


def field_names(owner: Any) -> set[str] | None:
    """The fields of an attrs class or a dataclass; None for others, and for those that inherit from one."""
    members = class_dict(owner)
    declared: Any = members.get("__attrs_attrs__")
    if is_a(declared, tuple):
        return {field.name for field in tuple.__iter__(declared) if type(field) is attrs.Attribute}
    declared = members.get("__dataclass_fields__")
    return set(declared) if type(declared) is dict else None


def attributes_of(value: Any) -> dict[str, Any]:
    """The attributes stored in an object, without those that a cached property has filled in."""
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


def absolute_name(level: int, module: str, package: str) -> str:
    if not level:
        return module
    parts = package.split(".")[: None if level == 1 else 1 - level]
    return ".".join([*(part for part in parts if part), *([module] if module else [])])


def leaf_form(value: Any, folder: str) -> Form:
    """A value that is known without asking it and holds no other: its type and itself; None for others.

    A path of `folder` says where in it, for the folder may move.
    """
    kind = type(value)
    if kind is str or is_a(value, PurePath):
        return _text_form(value, folder)
    if is_scalar(value) or kind is range or value is Ellipsis or value is NotImplemented:
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
    """Whether it is a numpy array, whose elements may change."""
    return known_name(type(value)) == "numpy.ndarray"
