"""The walk over all that the code of a task names and holds; `hashing` lists what counts."""

from __future__ import annotations

import builtins
import functools
import os
from collections.abc import Iterable, Mapping
from enum import Enum
from hashlib import sha256
from json import dumps
from pathlib import Path
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

from molexp._code.effects import effects
from molexp._code.files import Binding, Source, Unit, keep, sources
from molexp._code.locations import (
    COMPILED,
    Namespace,
    absolute_name,
    is_own,
    locate,
    module_dict,
    module_file,
    namespace_named,
    package_of,
    passes,
)
from molexp._code.marks import Marks
from molexp._code.objects import (
    CACHED,
    MISSING,
    Form,
    Seen,
    attributes_of,
    bulk,
    class_dict,
    class_module,
    class_mro,
    class_qualname,
    field_names,
    file_of,
    foreign,
    functions_in,
    held,
    is_a,
    is_array,
    is_generated,
    is_of_the_process,
    is_opaque,
    leaf_form,
    leaves,
    namespace_of,
    origin_of,
    partial_parts,
)
from molexp._code.syntax import Chain, UnknownSourceError

_BUILT_IN = (str, bytes, int, float, complex)
_ANNOTATES = ("__annotate__", "__annotate_func__")


def digest(form: Form) -> str:
    """Return the hash of a form."""
    return sha256(dumps(form, separators=(",", ":")).encode()).hexdigest()


class Walk(Marks):
    """One walk over all that counts; what was met before counts as a number, so cycles end."""

    def __init__(self, file: str | None, root: CodeType | None) -> None:
        super().__init__()
        self.file = file  # the task's own, which counts although it may be installed
        self.root = root  # the code whose names are followed; None for the task itself, which asks such walks
        self.seen = Seen()
        self.opaque = ""  # the class of an object that was met and cannot be looked into
        self.strict = True  # such objects make it unknown
        self.written: set[tuple[int, str]] = set()  # the names that the code changes itself
        self.later: list[tuple[tuple[int, str], object, bool, bool]] = []  # values of names, for when that is known

    def owns(self, file: str | None) -> bool:
        """Tell whether what a file defines counts by its source; "" is C code."""
        return file is None or file == self.file or (file != "" and is_own(file))

    def all_of(self, obj: Any) -> Form:
        """Return the form of a task, and of the values of the names that it was found to use."""
        return [self.task(obj), self.values()]

    def task(self, obj: Any) -> Form:
        """Return the form of a task of any kind."""
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
        if origin_of(obj) == "":
            raise UnknownSourceError("it is C code")
        return self.owner(obj) if is_a(obj, type) else self.instance(obj, task=True)

    def function(self, function: FunctionType, *, direct: bool = False) -> Form:
        """Return the form of a function: its source if it is the user's, its names, attributes, defaults and closure."""
        if (again := self.again(id(function), function)) is not None:
            return again
        if self.owns(file_of(function)):
            unit = sources().unit(function)
            bare = direct or self.root is None or unit.code is self.root
            head = ["function", unit.bare_text if bare else unit.text]
            with self.marking(id(function)):
                names = self.names(unit, function.__globals__)
        else:
            head, names = foreign(function), None
        own = function.__dict__
        self.seen.value(own)
        return [head, names, [[name, self.value(own[name])] for name in sorted(own)], self.hanging(function)]

    def hanging(self, function: FunctionType) -> Form:
        """Return the form of the defaults and the closure of a function."""
        _, defaults, keywords, *contents = self.seen.function(function)
        if keywords is not None:
            keywords = [[name, self.value(keywords[name])] for name in sorted(keywords)]
        return [self.value(defaults), keywords, [self.value(content) for content in contents]]

    def owner(self, owner: Any) -> Form:
        """Return the form of a class: its source, its bases, and the defaults and closures of its functions."""
        if not self.owns(origin_of(owner)):
            return foreign(owner)
        if (again := self.again(id(owner), owner)) is not None:
            return again
        members, namespace, qualname = class_dict(owner), namespace_of(owner), class_qualname(owner)
        functions = [
            (name, item) for name in sorted(members) if name not in _ANNOTATES for item in functions_in(members[name])
        ]
        unit, inside = self._class_unit(qualname, functions, namespace)
        if unit is None:
            if namespace.get(qualname) is not owner:
                raise UnknownSourceError(f"the class {qualname} has no source")
            return ["made", self.statements(qualname, namespace, None, owner)]  # as by namedtuple(...)
        bare = self.root is None or unit.code is self.root
        form: list[Form] = ["class", unit.bare_text if bare else unit.text]
        bases = [*class_mro(owner)[1:-1], *([] if type(owner) is type else [type(owner)])]
        form.append([self.owner(base) for base in bases])
        for name, function in functions:
            self.seen.name(members, name)
            if id(function) in inside:
                form.append([name, self.hanging(function)])
                namespace = function.__globals__
            elif not is_generated(name, function, self.owns):
                form.append([name, self.value(function)])
        form.append(self._class_values(unit, members))
        with self.marking(id(owner)):
            form.append(self.names(unit, namespace))
        return form

    def _class_unit(
        self, qualname: str, functions: list[tuple[str, FunctionType]], namespace: Namespace
    ) -> tuple[Unit | None, set[int]]:
        """Return the class in its source, None if no statement defines it; and the ids of the functions that stand in it."""
        named: dict[int, Unit] = {}
        for name, function in functions:
            if function.__code__.co_qualname.startswith(qualname + ".") and not is_generated(name, function, self.owns):
                named[id(function)] = sources().unit(function)
        if named:
            first = next(iter(named.values()))
            units = [unit for unit in first.source.classes(qualname) if unit.node is first.owner]
        else:
            units = [unit for source in sources().of_namespace(namespace, None) for unit in source.classes(qualname)]
        if len({unit.text for unit in units}) > 1:
            raise UnknownSourceError(f"the class {qualname} is defined more than once")
        unit = units[0] if units else None
        return unit, {key for key, item in named.items() if unit is not None and item.owner is unit.node}

    def _class_values(self, unit: Unit, members: Mapping[str, Any]) -> Form:
        """Return the form of the attributes of a class that are no functions: its source has them, or others have set them."""
        forms = []
        for name in sorted(members):
            value = members[name]
            if name[:1] == name[-1:] == "_" or functions_in(value):
                continue
            self.seen.name(members, name)
            self.seen.value(value)
            forms.append([name, self.loosely(value, data=name not in unit.state)])
        return forms

    def instance(self, value: Any, *, task: bool = False) -> Form:
        """Return the form of an object: its class, and what it holds."""
        if (again := self.again(id(value), value)) is not None:
            return again
        owner = type(value)
        form = ["instance", self.owner(owner), [base.__repr__(value) for base in _BUILT_IN if is_a(value, base)]]
        if is_of_the_process(owner) and not task:
            return form
        found, names = attributes_of(value), field_names(owner)
        if is_opaque(owner):
            self.opaque = f"{class_module(owner)}.{class_qualname(owner)}"
            if self.strict:
                raise UnknownSourceError(f"it holds an object of type {self.opaque}, whose contents nobody sees")
        form.append([[name, self.value(found[name])] for name in sorted(found) if names is None or name in names])
        return form

    def names(self, unit: Unit, namespace: Namespace) -> Form:
        """Return the form of all that a function or class names."""
        if self.root is None:
            return _names_digest(unit, namespace, self.file)
        self.written.update((id(namespace), name) for name in unit.written)
        self.reading = self.reading or unit.reads
        reached = unit.source.reached(unit.node, package_of(namespace))
        chains = [chain for chain in unit.chains if not unit.source.imports_by(chain)]
        forms = [[*chain, self.name(chain, namespace, unit.source)] for chain in chains]
        return [*forms, self.reached(reached, unit.source.name, package_of(namespace)), effects(self, unit, namespace)]

    def name(self, chain: Chain, namespace: Namespace, source: Source | None) -> Form:
        """Return the form of the object that a global name is bound to."""
        key = id(namespace), chain
        if (again := self.again(key, namespace)) is not None:
            return again
        with self.marking(key):
            return self._bound(chain, namespace, source)

    def _bound(self, chain: Chain, namespace: Namespace, source: Source | None) -> Form:
        found = namespace.get(chain[0], MISSING)
        self.seen.name(namespace, chain[0])
        self.passing = self.passing or (found is Path and chain[1:] in {("cwd",), ("home",)})
        if is_a(found, ModuleType):
            return [self.module(found, chain[1:]), self.changes(chain[0], namespace, source)]
        if type(found) is FunctionType and self._leads_home(found):
            return [self.function(found, direct=True), self.changes(chain[0], namespace, source)]
        if is_a(found, type) and self.owns(origin_of(found)):
            return [self.owner(found), self.changes(chain[0], namespace, source)]
        return self.statements(chain[0], namespace, source, found)

    def _leads_home(self, function: Any) -> bool:
        for _ in range(100):
            if type(function) is not FunctionType or self.owns(file_of(function)):
                break
            function = function.__dict__.get("__wrapped__")
        return type(function) is FunctionType

    def module(self, module: ModuleType, rest: Chain) -> Form:
        """Return the form of a module, and of the names asked of it."""
        namespace = module_dict(module)
        file, name = module_file(namespace), namespace.get("__name__")
        known = name if type(name) is str else ""
        if self.owns(file):
            return self._of_own_module(namespace, file, known, rest)
        if rest and not file and namespace.get("__path__") is not None and rest[0] in namespace:
            return self.name(rest, namespace, None)  # a folder without __init__.py
        return ["module", known, self.installed(namespace, known, rest)]

    def _of_own_module(self, namespace: Namespace, file: str, module: str, rest: Chain) -> Form:
        """Return the form of a name asked of a module of the user's; of all the module if no such name stands there."""
        named = rest and rest[0] in namespace and not file.endswith(COMPILED)
        return self.name(rest, namespace, None) if named else self.whole(file, module)

    def changes(self, name: str, namespace: Namespace, source: Source | None) -> Form:
        """Return the form of the statements that change an object without binding its name, such as ``Model.limit = 3``."""
        if not module_file(namespace) and source is None:
            return None
        found = [item.bindings.get(name, []) for item in sources().of_namespace(namespace, source)]
        changing = [binding for bindings in found for binding in bindings if binding.changes(name)]
        return [self.binding(binding, name, namespace, source) for binding in changing]

    def statements(self, name: str, namespace: Namespace, source: Source | None, value: object) -> Form:
        """Return the form of the statements that bind a name of a module; its value follows later."""
        if not module_file(namespace) and source is None:
            return ["name", name]
        per_source = [
            item.bindings[name] for item in sources().of_namespace(namespace, source) if name in item.bindings
        ]
        if len({dumps([binding.form for binding in bindings]) for bindings in per_source}) > 1:
            raise UnknownSourceError(f"several cells bind {name}")  # and which one ran last, nobody knows
        if not per_source:
            return self._elsewhere(name, namespace, source, value)
        forms = [self.binding(binding, name, namespace, source) for binding in per_source[0]]
        reads = self.reading or any(binding.reads for binding in per_source[0])
        if all(binding.alias is None for binding in per_source[0]):
            self.later.append(((id(namespace), name), value, self.passing and not reads, reads))
        return forms

    def binding(self, binding: Binding, name: str, namespace: Namespace, source: Source | None) -> Form:
        """Return the form of one statement that binds a name, and of the names in it."""
        if binding.alias is not None:
            return self.imported(*binding.alias, namespace)
        chains = [chain for chain in binding.chains if chain[0] != name]
        self.passing = self.passing or ("__file__",) in chains
        return [binding.form, [self.name(chain, namespace, source) for chain in chains]]

    def values(self) -> Form:
        """Return the form of the values of names that were met; if the code changes one itself, only of the code in it."""
        forms = []
        while self.later:
            key, value, passing, reads = self.later.pop(0)
            self.seen.value(value)
            self.opaque = ""
            forms.append([key[1], self.loosely(value, data=not passing and key not in self.written)])
            if reads and self.opaque:
                raise UnknownSourceError(f"{key[1]} is read from somewhere, into an object of type {self.opaque}")
        return forms

    def loosely(self, value: Any, *, data: bool) -> Form:
        """Return the form of a value that statements tell already: of all of it, or only of the code in it."""
        before, self.strict = self.strict, False
        try:
            if data:
                return self.value(value)
            return [form for item in leaves(value) if (form := self._code_in(item)) and form[0] != "again"]
        finally:
            self.strict = before

    def _code_in(self, item: Any) -> Form:
        if type(item) is FunctionType and self.owns(file_of(item)):
            return self.function(item)
        if is_a(item, ModuleType) and self.owns(module_file(module_dict(item))):
            return self.module(item, ())
        return self.owner(item if is_a(item, type) else type(item)) if self.owns(origin_of(item)) else None

    def _elsewhere(self, name: str, namespace: Namespace, source: Source | None, value: object) -> Form:
        """Return the form of a name that no statement binds: built in, of the module itself, or from a star import."""
        if value is MISSING or (name[:2] == name[-2:] == "__"):
            return None if value is MISSING and name in vars(builtins) else ["name", name]
        for item in sources().of_namespace(namespace, source):
            for binding in reversed(item.bindings.get("*", [])):
                level, module, _ = binding.alias or (0, "", "")
                if name in namespace_named(absolute_name(level, module, package_of(namespace))):
                    return self.imported(level, module, name, namespace)
        raise UnknownSourceError(f"no statement binds {name}")

    def imported(self, level: int, module: str, name: str, namespace: Namespace) -> Form:
        """Return the form of an imported object: its definition in a module of the user's, else its name."""
        absolute = absolute_name(level, module, package_of(namespace))
        target = namespace_named(absolute)
        if self.owns(file := module_file(target)):
            return self._of_own_module(target, file, absolute, (name,))
        own = None if target else locate(absolute, module_file(namespace), package_of(namespace))
        if own is not None:
            return self.whole(own, absolute)
        return ["import", absolute, name, self.installed(target, absolute, (name,))]

    def installed(self, namespace: Namespace, module: str, rest: Chain) -> Form:
        """Return the form of a name asked of an installed module, which the user's code may have changed."""
        self.passing = self.passing or passes(".".join((module, *rest)))
        value: Any = None
        for number, name in enumerate(rest):
            value = namespace.get(name)
            if not is_a(value, ModuleType):
                break
            namespace = module_dict(value)
            if self.owns(module_file(namespace)):
                return self.module(value, rest[number + 1 :])
        if not is_a(value, ModuleType, FunctionType, type):
            self.later.append(((0, rest[-1] if rest else ""), value, True, False))
        return None

    def reached(self, modules: Iterable[str], file: str, package: str) -> Form:
        """Return the form of the modules that code imports when it runs, whether it has done so already or not."""
        forms = []
        for module in modules:
            self.passing = self.passing or passes(module)
            own = file if not module else locate(module, file, package)
            if own and self.owns(own):
                forms.append(self.whole(own, module or package))
        return forms

    def whole(self, file: str, module: str) -> Form:
        """Return the form of all of a module's text, and of the modules that it imports; of a compiled one its bytes."""
        if (again := self.again(("file", os.path.abspath(file)), file)) is not None:
            return again
        self.seen.lasting = False
        if file.endswith(COMPILED):
            return ["compiled", sources().hash_of(file, namespace_named(module))]
        source = sources().read(file)
        package = module if os.path.basename(file) == "__init__.py" else module.rpartition(".")[0]
        return ["file", source.text, self.reached(source.reached(source.tree, package), file, package)]

    def compiled(self, function: Any) -> Form:
        """Return the form of the compiled module of the user's that a function is of; None for others."""
        name = function.__module__
        file = module_file(namespace_named(name))
        return self.whole(file, name) if file.endswith(COMPILED) and self.owns(file) else None

    def value(self, value: Any) -> Form:
        """Return the form of a value: its contents if they are plain, the code of functions and classes, else its type."""
        form = leaf_form(value, os.path.dirname(os.path.abspath(self.file)) if self.file else "")
        if form is not None:
            self.seen.lasting = self.seen.lasting and not is_array(value)
            return [form, self.compiled(value)] if type(value) is BuiltinFunctionType else form
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
            found = attributes_of(value)
            return ["member", self.owner(kind), self.value(found.get("_name_")), self.value(found.get("_value_"))]
        inside = held(value)
        if inside is not None:
            return [self.owner(kind), *map(self.value, inside)]
        return self.instance(value)

    def _container(self, value: Any) -> Form:
        if type(value) is tuple:
            return ["tuple", *(self.value(item) for item in value)]
        if (again := self.again(("contents", id(value)), value)) is not None:
            return again
        whole = bulk(value)
        if whole is not None:
            return ["bulk", whole]
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
        """Return the form of a value that is met in no certain order."""
        walk = Walk(self.file, None)
        walk.strict = self.strict
        return [walk.value(value), walk.values()]


def _names_digest(unit: Unit, namespace: Namespace, file: str | None) -> str:
    """Return the digest of all that a function or class names; compute it again when a name means something else."""
    key = id(unit), id(namespace), file
    known = sources().digests.get(key)
    if known is not None and known[3].unchanged():
        return str(known[2])
    walk = Walk(file, unit.code)
    found = digest([walk.names(unit, namespace), walk.values()])
    if walk.seen.lasting:
        keep(sources().digests, key, (unit, namespace, found, walk.seen))
    return found
