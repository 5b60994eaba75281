"""The process in which a plugin is tried: import it, call its hooks, and say what it did to this process."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections import Counter
from importlib import import_module
from typing import Any

from msgspec.structs import asdict

from molexp._values.parents import die_with_parent
from molexp.plugins._harms import State
from molexp.plugins._info import PluginInfo, Trial
from molexp.plugins._plugin import Plugin
from molexp.plugins._requirements import CORE
from molexp.plugins._sorts import ASSET_KINDS, SORTS

_MANY = 20  # modules for which a package is named


def main(request: dict[str, Any]) -> None:
    """Try the plugin of a request, and report line by line: the last line says what was done when the process ended."""
    die_with_parent(request["parent"])
    descriptor: int = request["report"]
    os.set_inheritable(descriptor, False)

    def tell(**values: object) -> None:
        os.write(descriptor, json.dumps(values).encode() + b"\n")

    plugin, core = (
        Plugin(PluginInfo(name, distribution, "", "available", "", value), on_trial=True)
        for name, distribution, value in (request["plugin"], ("core", CORE, "molexp._builtin_plugin"))
    )
    for module in ("molexp._hierarchy.run_context", "molexp._workflow.context"):
        import_module(module)  # plugins must not change them, and checking a kind needs them
    for sort in SORTS:
        core.ask(sort)
    before, modules, began = State.now(), set(sys.modules), time.perf_counter()
    tell(doing=f"importing {plugin.found.value!r}")
    interrupted, registering = "", modules
    try:
        registering = _load(plugin, tell)
    except KeyboardInterrupt:
        interrupted = "it raised KeyboardInterrupt, which ends programs"
    seconds = time.perf_counter() - began
    tell(doing="looking for what it changed")
    harms, own = [interrupted, *before.harms()], plugin.found.value.partition(":")[0].strip().partition(".")[0]
    trial = Trial(
        refused="; ".join(filter(None, harms)),
        faults=tuple(fault.cause for fault in plugin.faults),
        provides=_provides(plugin),
        seconds=seconds,
        modules=len(set(sys.modules) - modules),
        packages=_large(set(sys.modules) - modules),
        registering=tuple(
            name for name in _large(registering - modules) if name not in (*sys.stdlib_module_names, own)
        ),
    )
    for stream in (sys.stdout, sys.stderr):
        if stream is not None and not stream.closed:
            stream.flush()
    tell(trial=asdict(trial), printed=_size_of_output())
    if _threads():
        os._exit(0)  # they would keep this process, and were named
    tell(doing="leaving a program that has imported it")


def _load(plugin: Plugin, tell: Any) -> set[str]:
    """Do all that can be done with a plugin, and return the modules that were there once it had registered."""
    for sort in SORTS:
        tell(doing=f"importing {plugin.found.value!r} and calling {sort.hook}")
        plugin.registered(sort)
    registering = {*sys.modules}
    for sort in SORTS:
        tell(doing=f"importing what {sort.hook} returned")
        plugin.ask(sort)
    tell(doing="making its asset kinds")
    plugin.make_things()
    return registering


def _provides(plugin: Plugin) -> dict[str, dict[str, tuple[str, ...]]]:
    found: dict[str, dict[str, tuple[str, ...]]] = {}
    for sort in SORTS:
        for name, cls in plugin.contributions.get(sort.hook, ()):
            types: Any = plugin.declared_types.get(name) or getattr(cls, "types", ())
            found.setdefault(sort.hook, {})[name] = tuple(types) if sort is ASSET_KINDS else ()
    return found


def _large(modules: set[str]) -> tuple[str, ...]:
    """Return the packages that many of these modules are from, the largest first."""
    counted = Counter(name.partition(".")[0] for name in modules)
    return tuple(name for name, count in counted.most_common() if count >= _MANY)


def _threads() -> bool:
    return any(not one.daemon for one in threading.enumerate() if one is not threading.main_thread())


def _size_of_output() -> int:
    try:
        return os.fstat(1).st_size
    except OSError:
        return 0
