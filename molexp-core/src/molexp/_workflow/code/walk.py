"""The walk over all that the code of a task names and holds; `hashing` lists what counts."""

from __future__ import annotations

import builtins
import os
from collections.abc import Iterable, Mapping
from hashlib import sha256
from json import dumps
from pathlib import Path
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any

from molexp._workflow.code.effects import effects
from molexp._workflow.code.files import Binding, Source, Unit, sources
from molexp._workflow.code.locations import (
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
from molexp._workflow.code.marks import Marks
from molexp._workflow.code.objects import (
    CONTAINERS,
    MISSING,
    Form,
    attributes_of,
    bulk,
    class_dict,
    class_module,
    class_mro,
    class_qualname,
    contents,
    field_names,
    file_of,
    foreign,
    functions_in,
    hanging_on,
    held,
    innermost,
    is_a,
    is_generated,
    is_of_the_process,
    is_opaque,
    leaf_form,
    namespace_of,
    origin_of,
)
from molexp._workflow.code.syntax import Chain, UnknownSourceError, is_scalar

_BUILT_IN = (str, bytes, int, float, complex)
_ANNOTATES = ("__annotate__", "__annotate_func__")


def digest(form: Form) -> str:
    """Return the hash of a form."""
    return sha256(dumps(form, separators=(",", ":")).encode()).hexdigest()


class Walk(Marks):
    """One walk over all that counts; what was met before counts as a number, so cycles end."""

    def __init__(self, task: Any) -> None:
        super().__init__()
        self.task = task
        self.subject = task.__self__ if type(task) is MethodType else task
        self.file = origin_of(innermost(task))  # it counts although it may be installed
        self.folder = os.path.dirname(os.path.abspath(self.file)) if self.file else ""
        self.naming = False  # following names, and not what the task itself holds
        self.opaque = ""  # the class of an object that was met and cannot be looked into
        self.strict = True  # such objects make it unknown
        self.written: set[tuple[int, str]] = set()  # the names that the code changes itself
        self.later: list[tuple[tuple[int, str], object, bool, bool]] = []  # values of names, for when that is known
        self.units: dict[tuple[int, int], tuple[Unit, Namespace]] = {}  # the last one met of each file, for its effects

    def owns(self, file: str | None) -> bool:
        """Tell whether what a file defines counts by its source; "" is C code."""
        return file is None or file == self.file or (file != "" and is_own(file))

    def all_of(self, value: Any) -> Form:
        """Return the form of a value, of what changes libraries for its code, and of the values of the names in that."""
        forms = [self.value(value)]
        self.naming = True
        while self.units or self.later:
            forms += [effects(self), self.values()]
        return forms

    def function(self, function: FunctionType, *, direct: bool = False) -> Form:
        """Return the form of a function: its source if it is the user's, its names, attributes, defaults and closure."""
        if (again := self.again(id(function), function)) is not None:
            return again
        if self.owns(file_of(function)):
            unit = sources().unit(function)
            head = ["function", unit.bare_text if direct or not self.naming else unit.text]
            with self.marking(id(function)):
                names = self.names(unit, function.__globals__)
        else:
            head, names = foreign(function), None
        return [head, names, *self.hanging(function)]

    def hanging(self, function: FunctionType) -> Form:
        """Return the form of the attributes, the defaults and the closure of a function."""
        return [self.value(item) for item in hanging_on(function)]

    def owner(self, owner: Any) -> Form:
        """Return the form of a class: its source, its bases, and its functions and other attributes."""
        if not self.owns(origin_of(owner)):
            return foreign(owner)
        if (again := self.again(id(owner), owner)) is not None:
            return again
        members, qualname = class_dict(owner), class_qualname(owner)
        functions = [
            (name, item)
            for name in sorted(members)
            for item in functions_in(members[name])
            if name not in _ANNOTATES and not is_generated(name, item, self.owns)
        ]
        # The text of the class has these.
        inside = [item for _, item in functions if item.__code__.co_qualname.startswith(qualname + ".")]
        namespace = inside[0].__globals__ if inside else namespace_of(owner)
        units = sources().classes(qualname, inside, namespace)
        if not units:
            if namespace.get(qualname) is not owner:
                raise UnknownSourceError(f"the class {qualname} has no source")
            return ["made", self.statements(qualname, namespace, None, owner)]  # as by namedtuple(...)
        bases = [*class_mro(owner)[1:-1], *([] if type(owner) is type else [type(owner)])]
        form: list[Form] = [
            ["class", *(unit.text if self.naming else unit.bare_text for unit in units)],
            [self.owner(base) for base in bases],
            [[name, self.hanging(item) if item in inside else self.function(item)] for name, item in functions],
            self._class_values(set().union(*(unit.state for unit in units)), members),
        ]
        with self.marking(id(owner)):
            form += [self.names(unit, namespace) for unit in units]
        return form

    def _class_values(self, state: set[str], members: Mapping[str, Any]) -> Form:
        """Return the form of the attributes of a class that are no functions: its source has them, or others have set them."""
        return [
            [name, self.loosely(members[name], data=name not in state)]
            for name in sorted(members)
            if not name[:1] == name[-1:] == "_" and not functions_in(members[name])
        ]

    def instance(self, value: Any) -> Form:
        """Return the form of an object: its class, and what it holds."""
        if (again := self.again(id(value), value)) is not None:
            return again
        owner = type(value)
        form = ["instance", self.owner(owner), [base.__repr__(value) for base in _BUILT_IN if is_a(value, base)]]
        if is_of_the_process(owner) and value is not self.subject:
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
        before, self.naming = self.naming, True
        package = package_of(namespace)
        self.written.update((id(namespace), name) for name in unit.written)
        self.reading = self.reading or unit.reads
        key = id(unit.source), id(namespace)
        self.units[key] = max((unit, namespace), self.units.get(key, (unit, namespace)), key=lambda item: item[0].line)
        forms = [[*chain, self.name(chain, namespace, unit.source)] for chain in unit.chains]
        forms.append(self.reached(unit.reached(package), unit.source.name, package))
        self.naming = before
        return forms

    def name(self, chain: Chain, namespace: Namespace, source: Source | None) -> Form:
        """Return the form of the object that a global name is bound to."""
        key = id(namespace), chain
        if (again := self.again(key, namespace)) is not None:
            return again
        with self.marking(key):
            return self._bound(chain, namespace, source)

    def _bound(self, chain: Chain, namespace: Namespace, source: Source | None) -> Form:
        found = namespace.get(chain[0], MISSING)
        self.passing = self.passing or (found is Path and chain[1:] in {("cwd",), ("home",)})
        if is_a(found, ModuleType):
            form = self.module(found, chain[1:])
        elif type(found) is FunctionType and self._leads_home(found):
            form = self.function(found, direct=True)
        elif is_a(found, type) and self.owns(origin_of(found)):
            form = self.owner(found)
        else:
            return self.statements(chain[0], namespace, source, found)
        return [form, self.changes(chain[0], namespace, source)]

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
        found = [binding for bindings in sources().bindings(name, namespace, source) for binding in bindings]
        return [self.binding(item, name, namespace, source) for item in found if item.changes(name)]

    def statements(self, name: str, namespace: Namespace, source: Source | None, value: object) -> Form:
        """Return the form of the statements that bind a name of a module; its value follows later."""
        found = sources().bindings(name, namespace, source)
        if not found:
            return self._elsewhere(name, namespace, source, value)
        bindings = found[0]
        if any([item.form for item in others] != [item.form for item in bindings] for others in found[1:]):
            raise UnknownSourceError(f"several cells bind {name}")  # and which one ran last, nobody knows
        forms = [self.binding(binding, name, namespace, source) for binding in bindings]
        reads = self.reading or any(binding.reads for binding in bindings)
        if all(binding.alias is None for binding in bindings):
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
            return [form for item in contents(value) if (form := self._code_in(item)) and form[0] != "again"]
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
        if file.endswith(COMPILED):
            return ["compiled", sources().hash_of(file, namespace_named(module))]
        source = sources().read(file)
        package = module if os.path.basename(file) == "__init__.py" else module.rpartition(".")[0]
        return ["file", source.text, self.reached(source.reached(package), file, package)]

    def compiled(self, function: Any) -> Form:
        """Return the form of the compiled module of the user's that a function is of; None for others."""
        name = function.__module__
        file = module_file(namespace_named(name))
        return self.whole(file, name) if file.endswith(COMPILED) and self.owns(file) else None

    def value(self, value: Any) -> Form:
        """Return the form of a value: its contents if they are plain, the code of functions and classes, else its type."""
        if type(value) is FunctionType:
            return self.function(value)
        if is_a(value, *CONTAINERS):
            return self._container(value)
        form = leaf_form(value, self.folder)
        if form is not None:
            return [form, self.compiled(value)] if type(value) is BuiltinFunctionType else form
        if is_a(value, ModuleType):
            return self.module(value, ())
        if is_a(value, type):
            return self.owner(value)
        inside = held(value)
        if inside is not None:
            return [self.owner(type(value)), *map(self.value, inside)]
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
            values = list(dict.values(value))
            return [*form, *([key, self.value(values[index])] for key, index in keys)]
        base: Any = next(base for base in CONTAINERS if is_a(value, base))
        items = base.__iter__(value)
        if base in (list, tuple):
            return [*form, *map(self.value, items)]
        return [*form, *sorted(dumps(self._apart(member)) for member in items)]

    def _apart(self, value: Any) -> Form:
        """Return the form of a value that is met in no certain order."""
        if is_scalar(value):
            return self.value(value)
        walk = Walk(self.task)
        walk.strict, walk.naming = self.strict, self.naming
        return walk.all_of(value)
