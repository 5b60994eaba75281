"""Processes of their own in which kits try something again, and a clock that is a day ahead."""

from __future__ import annotations

import datetime
import importlib.util
import inspect
import json
import os
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from importlib.metadata import distributions
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from molexp.plugins import PluginManager

_PATIENCE = 300  # seconds for a process on a machine that is busy
_DAY = 86_400


def answer_of(worker: str, kit: object, *args: str, cwd: Path | None = None, **environment: str) -> Any:
    """Return what a worker module prints as JSON, in a process that finds the kit's subclass by its file and name."""
    named = [worker, inspect.getfile(type(kit)), type(kit).__qualname__]
    path = os.pathsep.join(os.path.abspath(entry) for entry in sys.path if entry)
    done = subprocess.run(
        [sys.executable, "-m", *named, *args],
        capture_output=True,
        text=True,
        check=False,
        timeout=_PATIENCE,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": path, **environment},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def manager_with(things: str, cls: type[Any]) -> PluginManager:
    """Return a manager of plugins that has one class: as it is installed, else as if a plugin registered it.

    Args:
        things: the end of the hook's name, and the name of the mapping.
        cls: the class.
    """
    from molexp.hookspecs import GROUP, hookimpl
    from molexp.plugins import PluginManager

    def register() -> list[type[Any]]:
        return [cls]

    register.__name__ = f"molexp_register_{things}"
    plugin = SimpleNamespace(**{register.__name__: hookimpl(register)})
    path = [entry for entry in sys.path if entry]
    own = cls.__module__.partition(".")[0].replace("_", "-")
    registering = [one for one in distributions(name=own) if any(entry.group == GROUP for entry in one.entry_points)]
    names = ["molexp-core", *(one.metadata["Name"] for one in registering)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # as of a class that cannot be registered
        for extra in ((), (plugin,)):
            known = PluginManager(path=path, environ={"MOLEXP_PLUGINS": ",".join(names)}, extra=extra)
            if cls in getattr(known, things)().values():
                return known
    return known


def kit_of(file: str, name: str) -> Any:
    """Return an instance of a kit's subclass, from the file of its module."""
    spec = importlib.util.spec_from_file_location("molexp_kit_under_test", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    found: Any = module
    for part in name.split("."):
        found = getattr(found, part)
    return found()


@contextmanager
def a_day_later(cls: type[Any]) -> Iterator[None]:
    """Let the clock be a day ahead, for Python's modules and for the module of a class, as far as they tell the time."""
    later = _later()
    with pytest.MonkeyPatch.context() as patch:
        for module in filter(None, (time, datetime, sys.modules.get(cls.__module__))):
            for name, value in list(vars(module).items()):
                if id(value) in later:
                    patch.setattr(module, name, later[id(value)])
        yield


def _later() -> Mapping[int, Any]:
    """Return what to put in the place of each function or class that tells the time, by its id."""
    real, now, now_ns = datetime.datetime, time.time, time.time_ns
    found: dict[int, Any] = {id(now): lambda: now() + _DAY, id(now_ns): lambda: now_ns() + _DAY * 10**9}
    tells: tuple[Callable[[float], Any], ...] = (time.localtime, time.gmtime, time.ctime)
    found.update((id(tell), partial(_tell_later, tell, now)) for tell in tells)
    local, strftime = time.localtime, time.strftime

    def strftime_later(form: str, at: Any = None) -> str:
        return strftime(form, local(now() + _DAY) if at is None else at)

    found[id(strftime)] = strftime_later

    class Same(type):
        def __instancecheck__(cls, instance: object) -> bool:
            return isinstance(instance, real)

    class Later(real, metaclass=Same):  # type: ignore[valid-type, misc]
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return real.now(tz) + datetime.timedelta(days=1)

        @classmethod
        def utcnow(cls) -> Any:
            return cls.now(datetime.UTC).replace(tzinfo=None)

    return {**found, id(real): Later}


def _tell_later(tell: Callable[[float], Any], now: Callable[[], float], seconds: float | None = None) -> Any:
    return tell(now() + _DAY if seconds is None else seconds)
