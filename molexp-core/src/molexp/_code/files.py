"""The source of live code: the function, class or statement of a file that it comes from."""

from __future__ import annotations
import __future__

import ast
import copy
import linecache
import os
import warnings
from collections.abc import Callable, Iterator
from functools import cache, cached_property
from hashlib import file_digest
from types import CodeType, FunctionType
from typing import Any

from molexp._code.locations import Namespace, absolute_name, imports, module_file
from molexp._code.syntax import (
    BLOCKS,
    FUNCTIONS,
    IMPORTING,
    LIMIT,
    MAKING,
    REACHING,
    REWRITTEN,
    UNFOLLOWED,
    Chain,
    Defined,
    UnknownSourceError,
    aliases,
    bare_copy,
    bound,
    chain_of,
    chains_of,
    changed_attribute,
    codes,
    definitions,
    global_names,
    globals_of,
    module_named,
    reads,
    text_of,
    written_by,
)

_CALLED = "()"  # the place of statements that are calls of a name, which bind none


class Unit:
    """A function, lambda or class as a file spells it, and what the file compiles to."""

    def __init__(self, node: Defined, owner: ast.ClassDef | None, code: CodeType, source: Source) -> None:
        self.node = node
        self.owner = owner  # the class in whose body it stands
        self.code = code
        self.source = source

    @cached_property
    def text(self) -> str:
        """All of it."""
        return text_of(self.node)

    @cached_property
    def bare_text(self) -> str:
        """All but its name and decorators."""
        return text_of(bare_copy(self.node))

    @cached_property
    def chains(self) -> list[Chain]:
        """The global names that it uses, sorted."""
        return sorted(chains_of(bare_copy(self.node), frozenset(global_names(self.code))))

    @cached_property
    def written(self) -> set[str]:
        """The names whose contents it changes."""
        return written_by(self.node)

    @cached_property
    def reads(self) -> bool:
        """Tell whether it looks as if it read a file."""
        return reads(self.node)

    @cached_property
    def state(self) -> set[str]:
        """The attributes that the methods of a class set after the object was made."""
        methods = [item for item in getattr(self.node, "body", ()) if isinstance(item, FUNCTIONS)]
        inner = [item for made in methods if made.name not in MAKING for item in ast.walk(made)]
        return {attribute for item in inner if (attribute := changed_attribute(item))}


class Binding:
    """One statement of a module that binds a name, or changes what it is bound to."""

    def __init__(self, heads: tuple[ast.AST, ...], path: str, alias: tuple[int, str, str] | None = None) -> None:
        self.heads = heads  # the statements around it, from the outside, without bodies; then the statement
        self.path = path  # in which of their blocks
        self.alias = alias  # level, module and name, if it is an import; the name is "" for a module, "*" for all

    @cached_property
    def form(self) -> list[Any]:
        """The part of it that counts."""
        return [self.path, *map(text_of, self.heads)] if self.alias is None else ["import", *self.alias]

    @cached_property
    def chains(self) -> list[Chain]:
        """The names in it, sorted."""
        return sorted(set().union(*map(chains_of, self.heads)))

    def changes(self, name: str) -> bool:
        """Tell whether it changes what the name means without binding it."""
        stored = [node for node in ast.walk(self.heads[-1]) if isinstance(node, ast.Name) and node.id == name]
        bound = isinstance(self.heads[-1], (*FUNCTIONS, ast.ClassDef)) and self.path != "global"
        return self.alias is None and not bound and all(isinstance(node.ctx, ast.Load) for node in stored)

    @cached_property
    def reads(self) -> bool:
        """Tell whether it looks as if it read a file."""
        return any(map(reads, self.heads))

    @property
    def line(self) -> int:
        """The line where it begins."""
        return int(getattr(self.heads[-1], "lineno", 0))

    def below(self, name: str) -> bool:
        """Tell whether it is executed only if a name says so: ``TYPE_CHECKING``, or ``__name__`` for the script itself."""
        tests = [head.test for head in self.heads if isinstance(head, ast.If)]
        return any(chain[-1] == name for test in tests for chain in chains_of(test))


class Source:
    """The text of one file or cell."""

    def __init__(self, name: str, lines: list[str], virtual: bool) -> None:
        self.name = name
        self.lines = lines
        self.virtual = virtual  # no file: a cell of a notebook, an example of a doctest
        self._units: dict[int, dict[tuple[str, int], list[Unit]]] = {}
        self._reached: dict[tuple[int, str], tuple[ast.AST, list[str]]] = {}
        self.tree = self._quietly(lambda: ast.parse("".join(lines), name))

    def _quietly(self, parse: Callable[[], Any]) -> Any:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # they were shown when it ran
                return parse()
        except (SyntaxError, ValueError, MemoryError, RecursionError) as problem:
            raise UnknownSourceError(f"{self.name} is not Python") from problem

    @cached_property
    def text(self) -> str:
        """All of it, normalised."""
        return text_of(self.tree)

    @cached_property
    def imported(self) -> dict[str, str]:
        """The full names of the installed modules and objects that it imports anywhere, by the names that it gives them."""
        found = {}
        for node in ast.walk(self.tree):
            for name, (level, module, attribute) in aliases(node):
                if not level:
                    found[name] = f"{module}.{attribute}".rstrip(".")
        return found

    def reached(self, node: ast.AST, package: str) -> list[str]:
        """Return the modules that a node imports when it runs, by their absolute names; "" is the module itself.

        Raises:
            UnknownSourceError: it reaches what it does not name.
        """
        key = id(node), package
        if key not in self._reached:
            self._reached[key] = node, self._reaches(node, package)  # beside the node, so that no other one has its id
        return self._reached[key][1]

    def _reaches(self, node: ast.AST, package: str) -> list[str]:
        found = []
        node = bare_copy(node) if isinstance(node, Defined) else node
        for item in ast.walk(node):
            if isinstance(item, ast.Import):
                found += [alias.name for alias in item.names]
            elif isinstance(item, ast.ImportFrom):
                absolute = absolute_name(item.level, item.module or "", package)
                found += [absolute, *(f"{absolute}.{alias.name}" for alias in item.names)]
            elif isinstance(item, ast.Attribute) and item.attr in REACHING:
                raise UnknownSourceError(f"it uses {item.attr}")
            elif isinstance(item, ast.Call) and (called := chain_of(item.func)) and self.imports_by(called):
                found.append(module_named(item, package))
        for chain in chains_of(node):
            meaning = self.meaning(chain)
            if meaning == "builtins.globals":
                found.append("")
            if any(meaning == name or meaning.startswith(name + ".") for name in UNFOLLOWED):
                raise UnknownSourceError(f"it uses {meaning.removeprefix('builtins.')}")
        return found

    def meaning(self, chain: Chain) -> str:
        """Return the full name of the object that a chain of names means, if it is imported or built in."""
        known = self.imported.get(chain[0]) or ("" if chain[0] in self.bindings else f"builtins.{chain[0]}")
        return ".".join((known, *chain[1:]))

    def imports_by(self, chain: Chain) -> bool:
        """Tell whether a chain of names means a function that imports a module by its name."""
        return self.meaning(chain) in IMPORTING

    def units(self, flags: int = 0) -> dict[tuple[str, int], list[Unit]]:
        """Return all functions, lambdas and classes by name and first line, compiled with `flags`."""
        if flags not in self._units:
            nodes: dict[tuple[str, int], list[tuple[Defined, ast.ClassDef | None]]] = {}
            for node, owner in definitions(self.tree, None):
                line = min(item.lineno for item in [node, *getattr(node, "decorator_list", ())])
                nodes.setdefault((getattr(node, "name", "<lambda>"), line), []).append((node, owner))
            allowed = flags | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT  # cells may
            module = self._quietly(lambda: compile(self.tree, self.name, "exec", flags=allowed, dont_inherit=True))
            units: dict[tuple[str, int], list[Unit]] = {}
            for code in codes(module):
                key = code.co_name, code.co_firstlineno
                if (found := _spelled(code, nodes.get(key, []))) is not None:
                    units.setdefault(key, []).append(Unit(*found, code, self))
            self._units[flags] = units
        return self._units[flags]

    def find(self, code: CodeType, *, rewritten: bool) -> Unit | None:
        """Return the unit that compiles to `code`; None if there is none, or it could be one of several."""
        units = self.units(code.co_flags & __future__.annotations.compiler_flag)
        found = [
            unit for unit in units.get((code.co_name, code.co_firstlineno), ()) if _same(unit.code, code, rewritten)
        ]
        return found[0] if len({unit.text for unit in found}) == 1 else None

    def classes(self, qualname: str) -> list[Unit]:
        """Return the classes of that qualified name."""
        every = [unit for group in self.units().values() for unit in group]
        return [unit for unit in every if isinstance(unit.node, ast.ClassDef) and unit.code.co_qualname == qualname]

    @cached_property
    def bindings(self) -> dict[str, list[Binding]]:
        """The statements of the module by the names that they bind."""
        found: dict[str, list[Binding]] = {}
        _scan(self.tree.body, (), "", found)
        for function in [node for node in ast.walk(self.tree) if isinstance(node, FUNCTIONS)]:
            for name in globals_of(function):
                found.setdefault(name, []).append(Binding((bare_copy(function),), "global"))
        if ast.get_docstring(self.tree, clean=False) is not None:
            found.setdefault("__doc__", []).append(Binding((self.tree.body[0],), ""))
        return found

    @cached_property
    def aliases(self) -> dict[str, list[tuple[int, str, str]]]:
        """The names that are imported outside of functions, and what they are."""
        found = {
            name: [one.alias for one in bindings if one.alias and not one.below("TYPE_CHECKING")]
            for name, bindings in self.bindings.items()
        }
        return {name: aliases for name, aliases in found.items() if aliases}

    @cached_property
    def effects(self) -> list[tuple[str, Binding]]:
        """The statements outside of functions that change what an import has brought, or call it and drop what it returns."""
        found = [(name, binding) for name in self.aliases for binding in self.bindings[name] if binding.changes(name)]
        for binding in self.bindings.get(_CALLED, ()):
            found += [(name, binding) for name in self.aliases if name == binding.heads[-1].value.func.id]  # type: ignore[attr-defined]  # as `_scan` found it
        return sorted(
            [item for item in found if not item[1].below("__name__")], key=lambda item: (item[1].line, item[0])
        )


def _spelled(
    code: CodeType, candidates: list[tuple[Defined, ast.ClassDef | None]]
) -> tuple[Defined, ast.ClassDef | None] | None:
    """Return which of the definitions of one name on one line it is: of several lambdas, the smallest around all columns."""
    if len({text_of(node) for node, _ in candidates}) <= 1:
        return candidates[0] if candidates else None
    spans: list[tuple[tuple[int, int], tuple[int, int]]] = []
    for line, end_line, column, end_column in code.co_positions():
        if line is not None and end_line is not None and column is not None and end_column:
            spans.append(((line, column), (end_line, end_column)))
    around = []
    for node, owner in candidates:
        body = node.body if isinstance(node, ast.Lambda) else node
        if spans and isinstance(body, ast.expr) and body.end_lineno is not None and body.end_col_offset is not None:
            begin, close = (body.lineno, body.col_offset), (body.end_lineno, body.end_col_offset)
            if begin <= min(start for start, _ in spans) and max(end for _, end in spans) <= close:
                around.append((begin, close, node, owner))
    around.sort(key=lambda item: item[:2])
    return around[-1][2:] if around else None  # those around one place are nested: the last begins innermost


def _same(fresh: CodeType, live: CodeType, rewritten: bool) -> bool:
    if rewritten and fresh.co_qualname == live.co_qualname:
        return set(fresh.co_names) <= set(live.co_names)
    return fresh == live and fresh.co_qualname == live.co_qualname and fresh.co_linetable == live.co_linetable


def _scan(body: list[Any], around: tuple[ast.AST, ...], path: str, found: dict[str, list[Binding]]) -> None:
    for statement in body:
        if isinstance(statement, ast.Import | ast.ImportFrom):
            for name, alias in aliases(statement):
                found.setdefault(name, []).append(Binding((*around, statement), path, alias))
            continue
        whole = isinstance(statement, (*FUNCTIONS, ast.ClassDef))
        blocks = [] if whole else [field for field in BLOCKS if getattr(statement, field, None)]
        head = copy.copy(statement) if blocks else statement
        for field in blocks:
            setattr(head, field, [ast.Pass()] if field == "body" else [])
        called = head.value.func if isinstance(head, ast.Expr) and isinstance(head.value, ast.Call) else None
        for name in sorted(bound(head) | ({_CALLED} if isinstance(called, ast.Name) else set())):
            found.setdefault(name, []).append(Binding((*around, head), path))
        for field in blocks:
            _scan(getattr(statement, field), (*around, head), f"{path}/{field}", found)


class Sources:
    """The files that this process has looked at, each as it was when its module was first asked about."""

    def __init__(self) -> None:
        self._files: dict[str, Source] = {}
        self._modules: dict[int, tuple[dict[str, Any], object, Source]] = {}
        self.codes: dict[int, tuple[CodeType, Unit]] = {}
        self.digests: dict[Any, Any] = {}  # the digests of walks along names, by where they began

    def read(self, file: str, namespace: Namespace | None = None) -> Source:
        """Return the file as it is now.

        Raises:
            UnknownSourceError: there is none, or it is not Python.
        """
        linecache.checkcache(file)
        lines = linecache.getlines(file, namespace)
        if not lines and file not in linecache.cache:  # an empty file has no lines, either
            raise UnknownSourceError(f"{file} cannot be read")
        known = self._files.get(file)
        if known is None or (known.lines is not lines and known.lines != lines):
            known = self._files[file] = Source(file, lines, is_virtual(file))
        return known

    def hash_of(self, file: str, namespace: Namespace) -> str:
        """Return the hash of a compiled module.

        Raises:
            UnknownSourceError: there is none, or another one than was imported.
        """
        _check_unchanged(namespace, file)
        try:
            with open(file, "rb") as content:
                return file_digest(content, "sha256").hexdigest()
        except OSError as error:
            raise UnknownSourceError(f"{file} cannot be read") from error

    def module(self, namespace: Namespace) -> Source:
        """Return the file of a module, as it was when first asked for since the module was loaded.

        Raises:
            UnknownSourceError: it has none.
        """
        known = self._modules.get(id(namespace))
        spec = namespace.get("__spec__")
        if known is not None and known[0] is namespace and known[1] is spec:
            return known[2]
        file = module_file(namespace)
        if not file:
            raise UnknownSourceError(f"the module {namespace.get('__name__')} has no file")
        source = self.read(file, namespace)
        _check_unchanged(namespace, file)
        keep(self._modules, id(namespace), (namespace, spec, source))
        return source

    def unit(self, function: FunctionType) -> Unit:
        """Return the function in its source.

        Raises:
            UnknownSourceError: there is no source, or it compiles to something else.
        """
        code, namespace = function.__code__, function.__globals__
        known = self.codes.get(id(code))
        if known is not None and known[0] is code:
            return known[1]
        file, imported = code.co_filename, module_file(namespace)
        if not file.startswith("<") and os.path.basename(file) == os.path.basename(imported):
            file = imported  # the code of a script may know it by a relative path
        unit, rewritten = None, REWRITTEN in namespace
        if file == imported:
            unit = self.module(namespace).find(code, rewritten=rewritten)
        if unit is None:
            source = self.read(file, namespace)
            unit = source.find(code, rewritten=rewritten)
            if unit is not None and file == imported:
                keep(self._modules, id(namespace), (namespace, namespace.get("__spec__"), source))
        if unit is None:
            raise UnknownSourceError(f"{code.co_qualname} has no source, or is not what its source says")
        keep(self.codes, id(code), (code, unit))
        return unit

    def of_namespace(self, namespace: Namespace, source: Source | None) -> list[Source]:
        """Return the sources that define a namespace: its module's file; else all cells, for any of them may bind a name."""
        found = [self.module(namespace)] if module_file(namespace) else []
        if source is not None and source not in found:
            found.append(source)
        if not found or (source is not None and source.virtual):
            found += [cell for cell in self._cells() if cell not in found]
        return found

    def _cells(self) -> Iterator[Source]:
        for file in list(linecache.cache):
            if is_virtual(file) and not file.startswith("<attrs "):
                try:
                    yield self.read(file)
                except UnknownSourceError:
                    continue  # a cell with an error in it ran nothing


def _check_unchanged(namespace: Namespace, file: str) -> None:
    if imports().changed(namespace):
        raise UnknownSourceError(f"{os.path.basename(file)} was changed after it was imported")


def is_virtual(file: str) -> bool:
    """Tell whether there are lines for that name, but no file."""
    entry = linecache.cache.get(file)
    return entry is not None and len(entry) == 4 and entry[1] is None and not os.path.exists(file)


def keep(table: dict[Any, Any], key: object, entry: tuple[Any, ...]) -> None:
    """Keep an entry that holds the objects whose ids are in its key, so that nothing else gets these ids."""
    if len(table) >= LIMIT:
        table.clear()
    table[key] = entry


@cache
def sources() -> Sources:
    """Return what this process knows."""
    return Sources()
