"""Statements of a module that change how other code works: ``torch.manual_seed(1)`` counts for all that follows."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import TYPE_CHECKING, Any

from molexp._code.files import Binding, Source, Unit, sources
from molexp._code.locations import (
    Namespace,
    absolute_name,
    locate,
    module_dict,
    module_file,
    namespace_named,
    package_of,
)
from molexp._code.objects import MISSING, PROCESS, Form, is_a, leaf_form, origin_of
from molexp._code.syntax import UnknownSourceError

if TYPE_CHECKING:
    from molexp._code.walk import Walk


def effects(walk: Walk, unit: Unit, namespace: Namespace) -> Form:
    """Return the form of those above a function or class in its file, and in the user's modules that the file imports."""
    source = unit.source
    if source.virtual:  # cells are executed in any order, and again
        return []
    forms = _of(walk, source, namespace, unit.node.lineno)
    for target in _imported(walk, source, namespace):
        try:
            forms += _of(walk, sources().module(target), target, math.inf)
        except UnknownSourceError:  # it counts by what is named of it
            continue
    return forms


def _of(walk: Walk, source: Source, namespace: Namespace, above: float) -> list[Form]:
    package, forms = package_of(namespace), []
    for name, binding in source.effects:
        near = any(_is_near(alias, source.name, package) for alias in source.aliases[name])
        if binding.line < above and (not near or _asks_class(walk, binding, name, namespace)):
            forms.append([binding.form, _values(walk, binding, namespace, source)])
    return forms


def _asks_class(walk: Walk, binding: Binding, name: str, namespace: Namespace) -> bool:
    """Tell whether a statement asks something of a class of the user's, as ``Table.add("a", 1)`` does: its state may not count."""
    for chain in binding.chains:
        value: Any = MISSING
        found: Mapping[str, Any] = namespace
        for part in chain if chain[0] == name else ():
            value = found.get(part, MISSING)
            if not is_a(value, ModuleType):
                break
            found = module_dict(value)
        if is_a(value, type) and walk.owns(origin_of(value)):
            return True
    return False


def _values(walk: Walk, binding: Binding, namespace: Namespace, source: Source) -> Form:
    """Return the numbers and texts that a statement names; not the functions, or a driver would count for its tasks."""
    folder = os.path.dirname(source.name)
    plain = [chain for chain in binding.chains if leaf_form(namespace.get(chain[0]), folder) is not None]
    with walk.marking(binding):
        return [[*chain, walk.name(chain, namespace, source)] for chain in plain]


def _is_near(alias: tuple[int, str, str], file: str, package: str) -> bool:
    """Tell whether an import is of the user's own code, or of what says nothing of what a task does."""
    level, module, _ = alias
    return level > 0 or module.partition(".")[0] in PROCESS or locate(module, file, package) is not None


def _imported(walk: Walk, source: Source, namespace: Namespace) -> Iterator[Namespace]:
    package, met = package_of(namespace), {id(namespace)}
    for level, module, name in sorted({alias for aliases in source.aliases.values() for alias in aliases}):
        absolute = absolute_name(level, module, package)
        for target in (namespace_named(absolute), namespace_named(f"{absolute}.{name}")):
            if walk.owns(module_file(target)) and id(target) not in met:
                met.add(id(target))
                yield target
