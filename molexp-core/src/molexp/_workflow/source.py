"""What the code of a task is: one hash of everything that decides what it does, or "unknown", never a guess.

Counted are the normalised source (no comments, no formatting, not the task's own name and decorators; docstrings do
count); default values, closure variables, arguments of partials and attributes of instances; and, transitively, what
the code names: functions and classes by their source, other module-level names by the statements that bind them, never
by their values. That goes for the task's own module and for modules whose files lie in or below its folder; of others
(the standard library, site-packages, MolExp, anything elsewhere) a name counts by module and name only. A local module
that is imported when the task runs, or handed around as a whole, counts with all its text. A decorator's text does not
count, but a wrapper that it left around the function does: it is code that runs.

A live code object is what a file says only if compiling that file gives the same code again. Nothing of the user's is
executed: no property, no ``__getattr__``, no ``__repr__``. Ask when the task's module is complete: a helper that is
not defined yet counts by its statement.
"""

from __future__ import annotations

import ast
import builtins
import functools
import os
from collections.abc import Mapping
from enum import Enum
from hashlib import sha256
from json import dumps
from types import CodeType, FunctionType, MethodType, ModuleType, SimpleNamespace
from typing import Any

from molexp._workflow.source_files import (
    SCALARS,
    Chain,
    Source,
    Unit,
    UnknownSourceError,
    differs,
    keep,
    sources,
)
from molexp._workflow.source_objects import (
    CACHED,
    MISSING,
    Form,
    Namespace,
    Place,
    absolute_name,
    attributes_of,
    class_dict,
    class_mro,
    class_qualname,
    field_names,
    file_of,
    foreign,
    functions_in,
    hanging_on,
    held,
    is_a,
    is_array,
    is_generated,
    known_name,
    leaf_form,
    module_dict,
    namespace_named,
    namespace_of,
    package_of,
    partial_parts,
    place_of,
)

__all__ = ["UNKNOWN", "code_of"]

UNKNOWN = "unknown"
"""The code of what has no source, or whose source is not what runs. It never equals anything."""

_BUILT_IN = (str, bytes, int, float, complex)
_ANNOTATES = ("__annotate__", "__annotate_func__")


def code_of(obj: object) -> str:
    """Return "sha256:..." for the code of a task, or "unknown", which is to be taken for changed.

    Args:
        obj: a function of any sort, a partial, a bound method, a class or an instance with a method ``execute``.
    """
    try:
        return "sha256:" + _digest(_Walk(place_of(obj), None).task(obj))
    except (UnknownSourceError, RecursionError):
        return UNKNOWN


def _digest(form: Form) -> str:
    return sha256(dumps(form, separators=(",", ":")).encode()).hexdigest()


class _Walk:
    """One walk over all that counts; what was met before counts as a number, so cycles end."""

    def __init__(self, place: Place, root: CodeType | None) -> None:
        self.place = place
        self.root = root  # the code whose names are followed; None for the task itself, which asks such walks
        self.met: dict[object, tuple[int, object]] = {}
        self.names_read: list[tuple[Mapping[str, Any], str, object]] = []
        self.functions_read: list[tuple[FunctionType, tuple[Any, ...]]] = []
        self.lasting = True  # nothing was met whose contents may change unnoticed

    def _again(self, key: object, keep: object) -> Form:
        if key in self.met:
            return ["again", self.met[key][0]]
        self.met[key] = (len(self.met), keep)
        return None

    def task(self, obj: Any) -> Form:
        """A task, whatever it is."""
        if type(obj) is FunctionType:
            return self.function(obj)
        if type(obj) is MethodType and type(obj.__func__) is FunctionType:
            receiver = obj.__self__
            owner = self.task(receiver) if is_a(receiver, type) else self.instance(receiver, task=True)
            return ["method", self.function(obj.__func__), owner]
        if is_a(obj, functools.partial):
            func, args, keywords = partial_parts(obj)
            return ["partial", self.task(func), self.value(args), self.value(keywords)]
        if type(obj) is CACHED:
            return ["cached", self.task(obj.__dict__.get("__wrapped__"))]
        if not self.place.owns_class(obj if is_a(obj, type) else type(obj)):
            raise UnknownSourceError("C code")
        return self.owner(obj) if is_a(obj, type) else self.instance(obj, task=True)

    # functions and classes

    def function(self, function: FunctionType, *, direct: bool = False) -> Form:
        """A function: its source if it is the task's own code, what hangs on it, what it names, and what it wraps."""
        again = self._again(id(function), function)
        if again is not None:
            return again
        wrapped = function.__dict__.get("__wrapped__")
        if self.place.owns(file_of(function)):
            unit = sources().unit(function)
            bare = direct or self.root is None or unit.code is self.root
            head = ["function", unit.bare_text if bare else unit.text]
            names = self.names(unit, function.__globals__)
        else:
            head, names = foreign(function), None
        return [head, names, None if wrapped is None else self.value(wrapped), self.hanging(function)]

    def hanging(self, function: FunctionType) -> Form:
        """Defaults and closure of a function."""
        watched = hanging_on(function)
        self.functions_read.append((function, watched))
        _, defaults, keywords, *contents = watched
        if keywords is not None:
            keywords = [[name, self.value(keywords[name])] for name in sorted(keywords)]
        return [self.value(defaults), keywords, [self.value(content) for content in contents]]

    def owner(self, owner: Any) -> Form:
        """A class: its source and its bases' if they are the task's own code, and what hangs on its functions."""
        if not self.place.owns_class(owner):
            return foreign(owner)
        again = self._again(id(owner), owner)
        if again is not None:
            return again
        members, namespace, qualname = class_dict(owner), namespace_of(owner), class_qualname(owner)
        functions = [
            (name, item) for name in sorted(members) if name not in _ANNOTATES for item in functions_in(members[name])
        ]
        unit, inside = self._class_unit(qualname, functions, namespace)
        if unit is None:
            if namespace.get(qualname) is not owner:
                raise UnknownSourceError(qualname)
            return ["made", self.statements(qualname, namespace, None, owner)]  # as by namedtuple(...)
        bare = self.root is None or unit.code is self.root
        form: list[Form] = ["class", unit.bare_text if bare else unit.text]
        bases = [*class_mro(owner)[1:-1], *([] if type(owner) is type else [type(owner)])]
        form.append([self.owner(base) for base in bases])
        for name, function in functions:
            self.names_read.append((members, name, members[name]))
            if id(function) in inside:
                form.append([name, self.hanging(function)])
            elif not is_generated(name, function, self.place):
                form.append([name, self.value(function)])
            if id(function) in inside:
                namespace = function.__globals__
        form.append(self._class_values(owner, unit, members))
        form.append(self.names(unit, namespace))
        return form

    def _class_unit(
        self, qualname: str, functions: list[tuple[str, FunctionType]], namespace: Namespace
    ) -> tuple[Unit | None, set[int]]:
        """The class in its source, None if no statement defines it; and which of its functions stand in it."""
        named: dict[int, Unit] = {}
        for name, function in functions:
            if function.__code__.co_qualname.startswith(qualname + ".") and not is_generated(
                name, function, self.place
            ):
                named[id(function)] = sources().unit(function)
        if named:
            first = next(iter(named.values()))
            units = [unit for unit in first.source.classes(qualname) if unit.node is first.owner]
        else:
            units = [unit for source in sources().of_namespace(namespace, None) for unit in source.classes(qualname)]
        if len({unit.text for unit in units}) > 1:
            raise UnknownSourceError(qualname)
        unit = units[0] if units else None
        return unit, {key for key, item in named.items() if unit is not None and item.owner is unit.node}

    def _class_values(self, owner: Any, unit: Unit, members: Mapping[str, Any]) -> Form:
        """What the source does not say: values of a class that a function made; values set afterwards are unknown."""
        made = "<locals>" in class_qualname(owner)
        forms = []
        for name in sorted(members):
            value = members[name]
            if made and name[:2] != "__" and is_a(value, *SCALARS, list, tuple, dict, set, frozenset, FunctionType):
                forms.append([name, self.value(value)])
            elif name in unit.literals:
                self.names_read.append((members, name, value))
                if not made and differs(unit.literals[name], value):
                    raise UnknownSourceError(name)
        return forms

    def instance(self, value: Any, *, task: bool = False) -> Form:
        """An object: its class; its attributes too if the class is the task's own code, or says what its fields are."""
        again = self._again(id(value), value)
        if again is not None:
            return again
        self.lasting = False
        owner = type(value)
        form = ["instance", self.owner(owner), [base.__repr__(value) for base in _BUILT_IN if is_a(value, base)]]
        names = field_names(owner)
        holds = owner is SimpleNamespace or known_name(owner) == "argparse.Namespace"
        if task or holds or names is not None or self.place.owns_class(owner):
            found = attributes_of(value)
            form.append([[name, self.value(found[name])] for name in sorted(found) if names is None or name in names])
        return form

    # names

    def names(self, unit: Unit, namespace: Namespace) -> Form:
        """All that a function or class names."""
        if self.root is None:
            return _names_digest(unit, namespace, self.place)
        forms = [[*chain, self.name(chain, namespace, unit.source)] for chain in unit.chains]
        return forms + [self.lazy(node, package_of(namespace)) for node in unit.imports]

    def name(self, chain: Chain, namespace: Namespace, source: Source | None) -> Form:
        """What a global name is bound to."""
        again = self._again((id(namespace), chain), namespace)
        if again is not None:
            return again
        found = namespace.get(chain[0], MISSING)
        self.names_read.append((namespace, chain[0], found))
        if is_a(found, ModuleType):
            return self.module(found, chain[1:])
        if type(found) is FunctionType and self._leads_home(found):
            return self.function(found, direct=True)
        if is_a(found, type) and self.place.owns_class(found):
            return self.owner(found)
        return self.statements(chain[0], namespace, source, found)

    def _leads_home(self, function: Any) -> bool:
        for _ in range(100):
            if type(function) is not FunctionType or self.place.owns(file_of(function)):
                break
            function = function.__dict__.get("__wrapped__")
        return type(function) is FunctionType

    def module(self, module: ModuleType, rest: Chain) -> Form:
        """A module, and what is asked of it."""
        namespace = module_dict(module)
        file, name = namespace.get("__file__"), namespace.get("__name__")
        if type(file) is str and not self.place.owns(file):
            return ["module", name if type(name) is str else ""]
        if rest and rest[0] in namespace:
            return self.name(rest, namespace, None)
        return ["module", name if type(name) is str else ""] if type(file) is not str else self.whole(file)

    def statements(self, name: str, namespace: Namespace, source: Source | None, value: object) -> Form:
        """The statements that bind a name of a module."""
        if type(namespace.get("__file__")) is not str and source is None:
            return ["name", name]
        per_source = [
            item.bindings[name] for item in sources().of_namespace(namespace, source) if name in item.bindings
        ]
        if len({dumps([binding.form for binding in bindings]) for bindings in per_source}) > 1:
            raise UnknownSourceError(name)  # several cells bind it, and which one ran last, nobody knows
        if not per_source:
            return self._elsewhere(name, namespace, source, value)
        bindings, forms = per_source[0], []
        if len(bindings) == 1 and not bindings[0].path and differs(bindings[0].heads[-1], value):
            raise UnknownSourceError(name)  # somebody has set it to something else
        for binding in bindings:
            if binding.alias is not None:
                forms.append(self.imported(*binding.alias, namespace))
                continue
            chains = [chain for chain in binding.chains if chain[0] != name]
            forms.append([binding.form, [self.name(chain, namespace, source) for chain in chains]])
        return forms

    def _elsewhere(self, name: str, namespace: Namespace, source: Source | None, value: object) -> Form:
        """A name that no statement binds: a built-in one, one of the module itself, or one of a star import."""
        if value is MISSING or (name[:2] == name[-2:] == "__"):
            return None if value is MISSING and name in vars(builtins) else ["name", name]
        for item in sources().of_namespace(namespace, source):
            for binding in reversed(item.bindings.get("*", [])):
                level, module, _ = binding.alias or (0, "", "")
                if name in namespace_named(absolute_name(level, module, package_of(namespace))):
                    return self.imported(level, module, name, namespace)
        raise UnknownSourceError(name)

    def imported(self, level: int, module: str, name: str, namespace: Namespace) -> Form:
        """What an import binds: the definition in a module of the task's own code, else its name."""
        absolute = absolute_name(level, module, package_of(namespace))
        target = namespace_named(absolute)
        file = target.get("__file__")
        if type(file) is str and name in target and self.place.owns(file):
            return self.name((name,), target, None)
        return ["import", absolute, name]

    def lazy(self, node: ast.Import | ast.ImportFrom, package: str) -> Form:
        """An import that happens when the code runs: whether it has happened already must not matter."""
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        else:
            absolute = absolute_name(node.level, node.module or "", package)
            modules = [absolute, *(f"{absolute}.{alias.name}" for alias in node.names)]
        return [self.whole(file) for file in map(self.place.locate, modules) if file is not None]

    def whole(self, file: str) -> Form:
        """All of a module's text, and of the modules that it imports."""
        again = self._again(("file", os.path.abspath(file)), file)
        if again is not None:
            return again
        self.lasting = False
        source = sources().read(file)
        folder = os.path.relpath(os.path.dirname(os.path.abspath(file)), self.place.folder)
        parts = [self.place.package, *(part for part in folder.split(os.sep) if part != ".")]
        package = ".".join(part for part in parts if part)
        imports = [node for node in ast.walk(source.tree) if isinstance(node, ast.Import | ast.ImportFrom)]
        return ["file", source.text, [self.lazy(node, package) for node in imports]]

    # values

    def value(self, value: Any) -> Form:
        """A value: its contents as far as they have a plain form, the code of functions and classes, else its type."""
        form = leaf_form(value, self.place.folder)
        if form is not None:
            self.lasting = self.lasting and not is_array(value)
            return form
        kind = type(value)
        if kind is FunctionType:
            return self.function(value)
        if is_a(value, ModuleType):
            return self.module(value, ())
        if is_a(value, type):
            return self.owner(value)
        if is_a(value, list, tuple, dict, set, frozenset):
            return self._container(value)
        if is_a(value, Enum):
            return ["member", self.owner(kind), self.value(attributes_of(value).get("_name_"))]
        inside = held(value)
        if inside is not None:
            self.lasting = False
            return [self.owner(kind), *map(self.value, inside)]
        return self.instance(value)

    def _container(self, value: Any) -> Form:
        if type(value) is tuple:
            return ["tuple", *(self.value(item) for item in value)]
        again = self._again(("contents", id(value)), value)
        if again is not None:
            return again
        self.lasting = False
        form = [self.owner(type(value))]
        if is_a(value, dict):
            keys = sorted((dumps(self._apart(key)), index) for index, key in enumerate(dict.keys(value)))
            items = list(dict.values(value))
            return [*form, *([key, self.value(items[index])] for key, index in keys)]
        if is_a(value, list):
            return [*form, *map(self.value, list.__iter__(value))]
        if is_a(value, tuple):
            return [*form, *map(self.value, tuple.__iter__(value))]
        members = set.__iter__(value) if is_a(value, set) else frozenset.__iter__(value)
        return [*form, *sorted(dumps(self._apart(member)) for member in members)]

    def _apart(self, value: Any) -> Form:
        """The form of a value that is met in no certain order."""
        return _Walk(self.place, None).value(value)


def _names_digest(unit: Unit, namespace: Namespace, place: Place) -> str:
    """The digest of all that a function or class names; computed again when one of the names means something else."""
    key = id(unit), id(namespace), place
    known = sources().digests.get(key)
    if known is not None and _unchanged(known[3]):
        return str(known[2])
    walk = _Walk(place, unit.code)
    digest = _digest(walk.names(unit, namespace))
    if walk.lasting:
        keep(sources().digests, key, (unit, namespace, digest, walk))
    return digest


def _unchanged(walk: _Walk) -> bool:
    """Whether all that a walk has read is still the same."""
    for scope, name, value in walk.names_read:
        if scope.get(name, MISSING) is not value:
            return False
    for function, watched in walk.functions_read:
        now = hanging_on(function)
        if len(now) != len(watched) or any(a is not b for a, b in zip(now, watched, strict=True)):
            return False
    return True
