"""Source text of live code: which function, class or statement of which file it is. `source` makes hashes of it."""

from __future__ import annotations
import __future__

import ast
import copy
import dis
import linecache
import os
import warnings
from collections.abc import Callable, Iterator
from functools import cache, cached_property
from types import CodeType, FunctionType
from typing import Any, TypeAlias

Chain: TypeAlias = tuple[str, ...]  # `np.linalg.norm` is ("np", "linalg", "norm")
Defined: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda

SCALARS = (type(None), bool, int, float, complex, str, bytes)
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_SCOPES = (*_FUNCTIONS, ast.ClassDef, ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
_BLOCKS = ("body", "handlers", "cases", "orelse", "finalbody")
_REWRITTEN = "@pytest_ar"  # pytest names it in modules whose assert statements it has rewritten
_LIMIT = 10_000  # entries of a cache


class UnknownSourceError(Exception):
    """The source of something that counts cannot be found, or is not what runs."""


def text_of(node: ast.AST) -> str:
    """The normalised text of a node."""
    try:
        return ast.unparse(node)
    except ValueError:  # before Python 3.12, quotes nested in f-strings defeat it
        return ast.dump(node)


def bare_copy(node: Defined) -> Defined:
    """The node without decorators and without its own name."""
    bare = copy.copy(node)
    if not isinstance(bare, ast.Lambda):
        bare.decorator_list, bare.name = [], "_"
    return bare


def chains_of(node: ast.AST, roots: frozenset[str] | None = None) -> set[Chain]:
    """The names that a node reads, with the attributes asked of them; only those that begin with one of `roots`."""
    found: set[Chain] = set()
    pending: list[ast.AST] = [node]
    while pending:
        item = pending.pop()
        inner, attributes = item, []
        while isinstance(inner, ast.Attribute):
            attributes.append(inner.attr)
            inner = inner.value
        if not isinstance(inner, ast.Name):
            pending.extend(ast.iter_child_nodes(item))
        elif roots is None or inner.id in roots:
            found.add((inner.id, *reversed(attributes)))
    return found


def global_names(code: CodeType) -> Iterator[str]:
    """The global names that a code object and those nested in it use."""
    for instruction in dis.get_instructions(code):
        if "GLOBAL" in instruction.opname or instruction.opname == "LOAD_NAME":
            yield str(instruction.argval)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from global_names(constant)


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
    def literals(self) -> dict[str, ast.stmt]:
        """The last statement in the body of a class for each name that it assigns."""
        body = self.node.body if isinstance(self.node, ast.ClassDef) else []
        return {name: statement for statement in body for name in targets_of(statement)}

    @cached_property
    def imports(self) -> list[ast.Import | ast.ImportFrom]:
        """The imports inside it, which happen when it runs."""
        return [node for node in ast.walk(self.node) if isinstance(node, ast.Import | ast.ImportFrom)]


class Binding:
    """One statement of a module that binds a name, or changes what it is bound to."""

    def __init__(self, heads: tuple[ast.AST, ...], path: str, alias: tuple[int, str, str] | None = None) -> None:
        self.heads = heads  # what encloses it, from the outside, without bodies; then the statement
        self.path = path  # in which of their blocks
        self.alias = alias  # level, module and name, if it is an import; the name is "" for a module, "*" for all

    @cached_property
    def form(self) -> list[Any]:
        """What counts of it."""
        return [self.path, *map(text_of, self.heads)] if self.alias is None else ["import", *self.alias]

    @cached_property
    def chains(self) -> list[Chain]:
        """The names in it, sorted."""
        return sorted(set().union(*map(chains_of, self.heads)))


def is_scalar(value: object) -> bool:
    """Whether a value is of one of the simple built-in types, no subclass."""
    kind = type(value)
    return any(kind is scalar for scalar in SCALARS)  # `in` may ask a metaclass


def targets_of(statement: ast.AST) -> list[str]:
    """The names that an assignment binds, itself."""
    targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
    return [target.id for target in targets if isinstance(target, ast.Name)]


def differs(statement: ast.AST, value: object) -> bool:
    """Whether a statement binds a name to a literal of a simple type, and `value` is another one of such a type."""
    expression = statement.value if isinstance(statement, ast.Assign | ast.AnnAssign) else None
    if expression is None or not is_scalar(value) or not targets_of(statement):
        return False
    try:
        expected = ast.literal_eval(expression)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return False
    return is_scalar(expected) and (type(expected), repr(expected)) != (type(value), repr(value))


class Source:
    """The text of one file or cell."""

    def __init__(self, name: str, lines: list[str], virtual: bool) -> None:
        self.name = name
        self.lines = lines
        self.virtual = virtual  # no file: a cell of a notebook, an example of a doctest
        self._units: dict[int, dict[tuple[str, int], list[Unit]]] = {}
        self.tree = self._quietly(lambda: ast.parse("".join(lines), name))

    def _quietly(self, parse: Callable[[], Any]) -> Any:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # whoever ran it has seen them
                return parse()
        except (SyntaxError, ValueError, MemoryError, RecursionError) as problem:
            raise UnknownSourceError(self.name) from problem

    @cached_property
    def text(self) -> str:
        """All of it, normalised."""
        return text_of(self.tree)

    def units(self, flags: int = 0) -> dict[tuple[str, int], list[Unit]]:
        """All functions, lambdas and classes by name and first line, compiled with `flags`."""
        if flags not in self._units:
            nodes: dict[tuple[str, int], list[tuple[Defined, ast.ClassDef | None]]] = {}
            for node, owner in _definitions(self.tree, None):
                decorators = [] if isinstance(node, ast.Lambda) else node.decorator_list
                name = "<lambda>" if isinstance(node, ast.Lambda) else node.name
                nodes.setdefault((name, min(item.lineno for item in [node, *decorators])), []).append((node, owner))
            allowed = flags | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT  # cells may
            module = self._quietly(lambda: compile(self.tree, self.name, "exec", flags=allowed, dont_inherit=True))
            units: dict[tuple[str, int], list[Unit]] = {}
            for code in _codes(module):
                key = code.co_name, code.co_firstlineno
                found = _spelled(code, nodes.get(key, []))
                if found is not None:
                    units.setdefault(key, []).append(Unit(*found, code, self))
            self._units[flags] = units
        return self._units[flags]

    def find(self, code: CodeType, *, rewritten: bool) -> Unit | None:
        """The unit that compiles to `code`; None if there is none, or it could be one of several."""
        units = self.units(code.co_flags & __future__.annotations.compiler_flag)
        found = [
            unit for unit in units.get((code.co_name, code.co_firstlineno), ()) if _same(unit.code, code, rewritten)
        ]
        return found[0] if len({unit.text for unit in found}) == 1 else None

    def classes(self, qualname: str) -> list[Unit]:
        """The classes of that qualified name."""
        every = [unit for group in self.units().values() for unit in group]
        return [unit for unit in every if isinstance(unit.node, ast.ClassDef) and unit.code.co_qualname == qualname]

    @cached_property
    def bindings(self) -> dict[str, list[Binding]]:
        """The statements of the module by the names that they bind."""
        found: dict[str, list[Binding]] = {}
        _scan(self.tree.body, (), "", found)
        for node in ast.walk(self.tree):  # functions that bind global names
            for name in _globals_of(node):
                found.setdefault(name, []).append(Binding((bare_copy(node),), "global"))  # type: ignore[arg-type]  # a function, for it has names
        if ast.get_docstring(self.tree, clean=False) is not None:
            found.setdefault("__doc__", []).append(Binding((self.tree.body[0],), ""))
        return found


def _globals_of(node: ast.AST) -> list[str]:
    statements = node.body if isinstance(node, _FUNCTIONS) else []
    inner = [item for statement in statements for item in ast.walk(statement) if isinstance(item, ast.Global)]
    return sorted({name for statement in inner for name in statement.names})


def _definitions(node: ast.AST, owner: ast.ClassDef | None) -> Iterator[tuple[Defined, ast.ClassDef | None]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
            yield child, owner
            yield from _definitions(child, child if isinstance(child, ast.ClassDef) else None)
        else:
            yield from _definitions(child, owner)


def _codes(code: CodeType) -> Iterator[CodeType]:
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield constant
            yield from _codes(constant)


def _spelled(
    code: CodeType, candidates: list[tuple[Defined, ast.ClassDef | None]]
) -> tuple[Defined, ast.ClassDef | None] | None:
    """Which of the definitions of one name on one line it is: of several lambdas, the smallest around all columns."""
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
            for name, alias in _aliases(statement):
                found.setdefault(name, []).append(Binding((*around, statement), path, alias))
            continue
        blocks = []
        head = statement
        if not isinstance(statement, (*_FUNCTIONS, ast.ClassDef)):
            blocks = [(field, getattr(statement, field)) for field in _BLOCKS if getattr(statement, field, None)]
        if blocks:
            head = copy.copy(statement)
            for field, _ in blocks:
                setattr(head, field, [ast.Pass()] if field == "body" else [])
        for name in sorted(_bound(head)):
            found.setdefault(name, []).append(Binding((*around, head), path))
        for field, block in blocks:
            _scan(block, (*around, head), f"{path}/{field}", found)


def _aliases(statement: ast.Import | ast.ImportFrom) -> Iterator[tuple[str, tuple[int, str, str]]]:
    for alias in statement.names:
        if isinstance(statement, ast.ImportFrom):
            yield alias.asname or alias.name, (statement.level, statement.module or "", alias.name)
        elif alias.asname:
            yield alias.asname, (0, alias.name, "")
        else:
            yield alias.name.partition(".")[0], (0, alias.name.partition(".")[0], "")


def _bound(head: ast.AST) -> set[str]:
    """The names that a statement binds, and those whose contents it changes: ``TABLE["a"] = 1``, ``TABLE.update(b=2)``."""
    names: set[str] = set()
    if isinstance(head, (*_FUNCTIONS, ast.ClassDef)):
        return {head.name}
    if isinstance(head, ast.Expr) and isinstance(head.value, ast.Call) and isinstance(head.value.func, ast.Attribute):
        names |= {chain[0] for chain in chains_of(head.value.func)}
    pending: list[ast.AST] = [head]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.Name | ast.Attribute | ast.Subscript) and not isinstance(node.ctx, ast.Load):
            root: ast.AST = node
            while isinstance(root, ast.Attribute | ast.Subscript):
                root = root.value
            names |= {root.id} if isinstance(root, ast.Name) else set()
        for field in ("name", "rest"):  # `except E as name`, captures of patterns
            if isinstance(getattr(node, field, None), str):
                names.add(getattr(node, field))
        if not isinstance(node, _SCOPES):
            pending.extend(ast.iter_child_nodes(node))
    return names


class Sources:
    """The files that this process has looked at, each as it was when its module was first asked about."""

    def __init__(self) -> None:
        self._files: dict[str, Source] = {}
        self._modules: dict[int, tuple[dict[str, Any], object, Source]] = {}
        self._codes: dict[int, tuple[CodeType, Unit]] = {}
        self.digests: dict[Any, Any] = {}  # whoever walks along names keeps what it found here

    def read(self, file: str, namespace: dict[str, Any] | None = None) -> Source:
        """The file as it is now.

        Raises:
            UnknownSourceError: there is none, or it is not Python.
        """
        linecache.checkcache(file)
        lines = linecache.getlines(file, namespace)
        if not lines:
            raise UnknownSourceError(file)
        known = self._files.get(file)
        if known is None or (known.lines is not lines and known.lines != lines):
            known = self._files[file] = Source(file, lines, is_virtual(file))
        return known

    def module(self, namespace: dict[str, Any]) -> Source:
        """The file of a module, as it was when first asked for since the module was loaded.

        Raises:
            UnknownSourceError: it has none.
        """
        known = self._modules.get(id(namespace))
        spec = namespace.get("__spec__")
        if known is not None and known[0] is namespace and known[1] is spec:
            return known[2]
        file = namespace.get("__file__")
        if type(file) is not str:
            raise UnknownSourceError("a module without a file")
        source = self.read(file, namespace)
        keep(self._modules, id(namespace), (namespace, spec, source))
        return source

    def unit(self, function: FunctionType) -> Unit:
        """The function in its source.

        Raises:
            UnknownSourceError: there is no source, or it compiles to something else.
        """
        code, namespace = function.__code__, function.__globals__
        known = self._codes.get(id(code))
        if known is not None and known[0] is code:
            return known[1]
        file, module_file = code.co_filename, namespace.get("__file__")
        if (
            type(module_file) is str
            and not file.startswith("<")
            and os.path.basename(file) == os.path.basename(module_file)
        ):
            file = module_file  # the code of a script may know it by a relative path
        unit, rewritten = None, _REWRITTEN in namespace
        if file == module_file:
            unit = self.module(namespace).find(code, rewritten=rewritten)
        if unit is None:
            source = self.read(file, namespace)
            unit = source.find(code, rewritten=rewritten)
            if unit is not None and file == module_file:
                keep(self._modules, id(namespace), (namespace, namespace.get("__spec__"), source))
        if unit is None:
            raise UnknownSourceError(code.co_qualname)
        keep(self._codes, id(code), (code, unit))
        return unit

    def of_namespace(self, namespace: dict[str, Any], source: Source | None) -> list[Source]:
        """The sources of what stands in a namespace: its module's file; else all cells, for any of them may bind a name."""
        found = [self.module(namespace)] if type(namespace.get("__file__")) is str else []
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


def is_virtual(file: str) -> bool:
    """Whether there are lines for that name, but no file."""
    entry = linecache.cache.get(file)
    return entry is not None and len(entry) == 4 and entry[1] is None and not os.path.exists(file)


def keep(table: dict[Any, Any], key: object, entry: tuple[Any, ...]) -> None:
    """Keep an entry that holds whatever its key knows by id, so that the id stays that of this object."""
    if len(table) >= _LIMIT:
        table.clear()
    table[key] = entry


@cache
def sources() -> Sources:
    """What this process knows."""
    return Sources()
