"""Find the user's own code: whose a file is, the file of a module, and whether it has changed since the import."""

from __future__ import annotations

import functools
import os
import sys
import sysconfig
from collections.abc import Callable
from importlib.machinery import EXTENSION_SUFFIXES, PathFinder
from types import ModuleType
from typing import Any, TypeAlias

from molexp._values.paths import OWN_FOLDER

Namespace: TypeAlias = dict[str, Any]

_PASSING = frozenset(
    {
        *("datetime", "getpass", "locale", "multiprocessing", "os", "platform", "psutil", "random", "resource"),
        *("secrets", "signal", "socket", "subprocess", "sys", "tempfile", "threading", "time", "uuid"),
    }
)
"""Modules that say something else at each call, or on each machine."""


def passes(name: str) -> bool:
    """Tell whether what is called by that full name says something else at each call, or in each folder."""
    if name == "sys.argv" or name.startswith("sys.argv."):  # somebody typed it
        return False
    return name.partition(".")[0] in _PASSING or name.startswith(
        ("numpy.random", "pathlib.Path.cwd", "pathlib.Path.home")
    )


_OF_MODULES: Any = ModuleType.__dict__
module_dict: Callable[[Any], Namespace] = _OF_MODULES[
    "__dict__"
].__get__  # a subclass may have another, which is the user's code

COMPILED = tuple(EXTENSION_SUFFIXES)
INSTALLED = frozenset({"site-packages", "dist-packages", "__pypackages__"})
_OURS = OWN_FOLDER + os.sep
_STDLIB = tuple({os.path.abspath(sysconfig.get_path(name)) + os.sep for name in ("stdlib", "platstdlib")})
_HEADER = 16  # bytes of a .pyc before its code


@functools.lru_cache(maxsize=4096)
def is_own(file: str) -> bool:
    """Tell whether a file is the user's, and neither installed nor the standard library's nor MolExp's."""
    path = os.path.abspath(file)
    return not path.startswith((_OURS, *_STDLIB)) and INSTALLED.isdisjoint(path.split(os.sep))


def is_molexp(file: str) -> bool:
    """Tell whether a file is MolExp's, in whatever way that is installed."""
    return os.path.abspath(file).startswith(_OURS)


def namespace_named(name: object) -> Namespace:
    """Return the namespace of a module that is loaded; an empty one otherwise."""
    module = sys.modules.get(name) if type(name) is str else None
    return module_dict(module) if issubclass(type(module), ModuleType) else {}


def module_file(namespace: Namespace) -> str:
    """Return the file of the module with a namespace; "" if it has none."""
    file = namespace.get("__file__")
    return file if type(file) is str else ""


def package_of(namespace: Namespace) -> str:
    """Return the package that relative imports in a namespace start from."""
    package = namespace.get("__package__")
    if type(package) is str:
        return package
    name = namespace.get("__name__")
    return name.rpartition(".")[0] if type(name) is str else ""


def absolute_name(level: int, module: str, package: str) -> str:
    """Return the absolute name of a module that an import in `package` names."""
    if not level:
        return module
    parts = package.split(".")[: None if level == 1 else 1 - level]
    return ".".join([*(part for part in parts if part), *([module] if module else [])])


def locate(module: str, beside: str, package: str) -> str | None:
    """Return the user's own file that a module is, or would be, loaded from; import nothing.

    Args:
        module: its absolute name.
        beside: the file of the code that asks.
        package: the package of that.
    """
    top = os.path.dirname(os.path.abspath(beside))
    for _ in package.split(".") if package else ():
        top = os.path.dirname(top)
    file = module_file(namespace_named(module)) or _search(module, (top, *sys.path))
    return file if file is not None and file.endswith((".py", *COMPILED)) and is_own(file) else None


def _search(module: str, path: tuple[str, ...]) -> str | None:
    places: list[str] | None = [place for place in path if isinstance(place, str)]
    name, spec = "", None
    for part in module.split("."):
        name = f"{name}.{part}" if name else part
        try:
            spec = PathFinder.find_spec(name, places) if places is not None else None
        except (ImportError, OSError, ValueError):
            return None
        if spec is None:
            return None
        places = spec.submodule_search_locations
    return spec.origin if spec is not None and spec.has_location else None


class Imports:
    """The state of the files of the user's modules when they were first seen to be imported."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[Namespace, object, tuple[int, ...] | None]] = {}  # no stamp: it is not the user's
        self._looked: tuple[int, object] = 0, None  # the number of modules at the last look, and the last of them

    def look(self) -> None:
        """Remember the files of what has been imported by now."""
        now = len(sys.modules), sys.modules[next(reversed(sys.modules))]
        if now[0] == self._looked[0] and now[1] is self._looked[1]:
            return
        self._looked = now
        for module in [*sys.modules.values()]:
            if issubclass(type(module), ModuleType):
                self._note(module_dict(module))

    def _note(self, namespace: Namespace) -> None:
        spec, known = namespace.get("__spec__"), self._known.get(id(namespace))
        if known and known[0] is namespace and known[1] is spec:
            return
        if file := module_file(namespace):
            self._known[id(namespace)] = namespace, spec, _stamp(file) if is_own(file) else None

    def changed(self, namespace: Namespace) -> bool:
        """Tell whether the file of a module is another one than was imported."""
        self._note(namespace)
        known = self._known.get(id(namespace))
        file = module_file(namespace)
        if known is None or known[2] is None or not file:
            return False
        stamp = _stamp(file)
        return stamp != known[2] or _compiled_from_another(namespace, stamp)


def _stamp(file: str) -> tuple[int, ...]:
    try:
        found = os.stat(file)
    except OSError:
        return ()
    return found.st_mtime_ns, found.st_size, found.st_ino


def _compiled_from_another(namespace: Namespace, stamp: tuple[int, ...]) -> bool:
    """Tell whether the module's bytecode, which its import left behind, says that the file was another one."""
    cached = getattr(namespace.get("__spec__"), "cached", None)
    if sys.dont_write_bytecode or type(cached) is not str or not stamp:
        return False
    try:
        with open(cached, "rb") as file:
            header = file.read(_HEADER)
            written = os.fstat(file.fileno()).st_mtime_ns
    except OSError:
        return False
    if len(header) < _HEADER or header[4:8] != bytes(4):  # it goes by the hash of its source
        return False
    seconds, size = int.from_bytes(header[8:12], "little"), int.from_bytes(header[12:], "little")
    if (seconds, size) != ((stamp[0] // 10**9) & 0xFFFFFFFF, stamp[1] & 0xFFFFFFFF):
        return True
    return written < stamp[0] < written + 10**9  # within the same second, which Python itself overlooks


@functools.cache
def imports() -> Imports:
    """Return what this process knows."""
    return Imports()
