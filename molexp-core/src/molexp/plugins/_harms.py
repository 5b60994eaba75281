"""Find what importing a plugin changed that all code of a process depends on."""

from __future__ import annotations

import builtins
import gc
import io
import locale
import os
import random
import signal
import socket
import sys
import threading
import time
import warnings
from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import Any

from msgspec import Struct

from molexp.plugins._info import PluginWarning

_VARIABLES = ("HOME", "PATH", "PYTHONPATH", "TMPDIR", "TZ")


class State(Struct, frozen=True):
    """The state of this process that is everybody's."""

    facts: Mapping[str, Any]
    path: tuple[str, ...]
    filters: tuple[Any, ...]
    recursion: int
    modules: Mapping[str, ModuleType]
    names: Mapping[str, Mapping[str, Any]]
    threads: tuple[threading.Thread, ...]

    @classmethod
    def now(cls) -> State:
        """Return the state of this process at this moment."""
        ours = [module for name, module in [*sys.modules.items()] if name.partition(".")[0] == "molexp"]
        return cls(
            facts=_facts(),
            path=tuple(sys.path),
            filters=tuple(warnings.filters),
            recursion=sys.getrecursionlimit(),
            modules={name: module for name, module in [*sys.modules.items()] if _is_shared(name)},
            names={label: values for module in (builtins, io, os, time, *ours) for label, values in _names(module)},
            threads=tuple(threading.enumerate()),
        )

    def harms(self) -> Iterator[str]:
        """Yield, for people, what has been changed since."""
        recursion = sys.getrecursionlimit()
        sys.setrecursionlimit(max(recursion, self.recursion))  # for what follows here
        now = State.now()
        for what, value in self.facts.items():
            if now.facts.get(what) != value:
                yield f"it changes {what}"
        if now.path[: len(self.path)] != self.path:
            yield "it puts something before what is in sys.path, or removes that"
        if recursion < self.recursion:
            yield "it lowers the recursion limit"
        yield from _changed_filters(self.filters, now.filters)
        for name, module in self.modules.items():
            if sys.modules.get(name) is not module:
                yield f"it replaces the module {name}"
        for label, values in self.names.items():
            there = now.names.get(label, {})
            yield from (f"it replaces {label}.{name}" for name, value in values.items() if there.get(name) is not value)
        if any(not one.daemon for one in now.threads if one not in self.threads):
            yield "it leaves a thread running, which keeps every program from ending"


def _is_shared(name: str) -> bool:
    top = name.partition(".")[0]
    return top == "molexp" or (top in sys.stdlib_module_names and name != "__main__")


def _facts() -> dict[str, Any]:
    return {
        "the current folder": _folder(),
        "the file mode mask": _umask(),
        "signal handlers": {number: signal.getsignal(number) for number in signal.valid_signals()},
        "the signals that are blocked": signal.pthread_sigmask(signal.SIG_BLOCK, ()),
        "an alarm": bool(signal.getitimer(signal.ITIMER_REAL)[0]),
        "the locale": locale.setlocale(locale.LC_ALL),
        "standard input or output": [
            (id(stream), _file(n)) for n, stream in enumerate((sys.stdin, sys.stdout, sys.stderr))
        ],
        "sys.excepthook": sys.excepthook,
        "the trace function": (sys.gettrace(), sys.getprofile()),
        "the state of random": random.getstate(),
        "garbage collection": gc.isenabled(),
        "the timeout of sockets": socket.getdefaulttimeout(),
        "environment variables": {
            name: value for name, value in os.environ.items() if name in _VARIABLES or name.startswith("MOLEXP_")
        },
        "child processes": _children(),
    }


def _folder() -> str:
    try:
        return os.getcwd()
    except OSError:
        return ""


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _file(number: int) -> tuple[int, int]:
    try:
        status = os.fstat(number)
    except OSError:
        return (0, 0)
    return (status.st_dev, status.st_ino)


def _children() -> bytes:
    try:
        descriptor = os.open(f"/proc/self/task/{os.getpid()}/children", os.O_RDONLY)
    except OSError:
        return b""
    try:
        return os.read(descriptor, 1000)
    finally:
        os.close(descriptor)


def _changed_filters(before: tuple[Any, ...], now: tuple[Any, ...]) -> Iterator[str]:
    if any(one not in now for one in before):
        yield "it removes warning filters"
    for one in now:
        _, message, category, module, _ = one
        if one not in before and message is None and module is None and issubclass(PluginWarning, category):
            yield "it adds a warning filter for everybody's warnings"


def _names(module: ModuleType) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the functions and classes of a module, and those of its own classes."""
    found = {name: value for name, value in [*vars(module).items()] if callable(value)}
    yield module.__name__, found
    if module.__name__.partition(".")[0] == "molexp":
        for name, value in found.items():
            if isinstance(value, type) and value.__module__ == module.__name__:
                own = {key: one for key, one in [*vars(value).items()] if callable(one) or isinstance(one, property)}
                yield f"{module.__name__}.{name}", own
