"""Analyse the syntax of Python source: the names that code reads, binds and changes, and the modules that it imports."""

from __future__ import annotations

import ast
import copy
import dis
import re
from collections.abc import Iterator
from types import CodeType
from typing import TypeAlias

from molexp._code.locations import absolute_name

Chain: TypeAlias = tuple[str, ...]  # `np.linalg.norm` is ("np", "linalg", "norm")
Defined: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda

_SCALAR_IDS = frozenset(map(id, (type(None), bool, int, float, complex, str, bytes)))
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
SCOPES = (*FUNCTIONS, ast.ClassDef, ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
BLOCKS = ("body", "handlers", "cases", "orelse", "finalbody")
REWRITTEN = "@pytest_ar"  # pytest names it in modules whose assert statements it has rewritten
MAKING = frozenset({"__init__", "__new__", "__post_init__", "__attrs_post_init__", "__set_name__", "__init_subclass__"})
LIMIT = 10_000  # entries of a cache


# With these, code reaches objects that it does not name.
UNFOLLOWED = frozenset(
    {
        *("builtins.eval", "builtins.exec", "sys.modules", "sys._getframe", "inspect.currentframe", "inspect.stack"),
        *("runpy", "pkgutil", "importlib.reload", "importlib.machinery"),
        *("importlib.util.spec_from_file_location", "importlib.util.module_from_spec"),
        *("importlib.metadata.entry_points", "importlib.metadata.EntryPoint", "importlib_metadata.entry_points"),
        *("pkg_resources.iter_entry_points", "pkg_resources.load_entry_point"),
    }
)
IMPORTING = frozenset({"importlib.import_module", "builtins.__import__"})
REACHING = frozenset({"__subclasses__", "__globals__", "f_globals"})
CHANGING = frozenset(
    {
        *("add", "append", "appendleft", "clear", "discard", "extend", "insert", "pop", "popitem", "remove"),
        *("reverse", "setdefault", "sort", "update"),
    }
)
_WRITING = re.compile("[bt]*[wax][bt]*")  # a mode of `open`
READING = ("open", "read", "load", "genfromtxt", "fromfile", "from_file", "from_csv")


class UnknownSourceError(Exception):
    """The source of something that counts cannot be found or followed, or is not what runs: why."""


def text_of(node: ast.AST) -> str:
    """Return the normalised text of a node."""
    try:
        return ast.unparse(node)
    except ValueError:  # before Python 3.12, quotes nested in f-strings defeat it
        return ast.dump(node)


def bare_copy(node: Defined) -> Defined:
    """Return the node without decorators and without its own name."""
    bare = copy.copy(node)
    if not isinstance(bare, ast.Lambda):
        bare.decorator_list, bare.name = [], "_"
    return bare


def chain_of(node: ast.AST) -> Chain:
    """Return the chain of names that an expression is; an empty one for any other expression."""
    attributes = []
    while isinstance(node, ast.Attribute):
        attributes.append(node.attr)
        node = node.value
    return (node.id, *reversed(attributes)) if isinstance(node, ast.Name) else ()


def chains_of(node: ast.AST, roots: frozenset[str] | None = None) -> set[Chain]:
    """Return the names that a node reads, with the attributes asked of them; only those that begin with one of `roots`."""
    found: set[Chain] = set()
    pending: list[ast.AST] = [node]
    while pending:
        item = pending.pop()
        if not (chain := chain_of(item)):
            pending.extend(ast.iter_child_nodes(item))
        elif roots is None or chain[0] in roots:
            found.add(chain)
    return found


def _base(node: ast.AST, *through: type[ast.AST]) -> ast.AST:
    """Return the expression that a node begins with, below accesses of the given kinds: ``a`` of ``a.b[c]``."""
    while isinstance(node, through):
        node = node.func if isinstance(node, ast.Call) else node.value  # type: ignore[attr-defined]  # an access
    return node


def _changed(node: ast.AST) -> ast.AST | None:
    """Return the attribute or item that a node sets or deletes, or the expression whose contents it changes."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in CHANGING:
        return node.func.value
    return node if isinstance(node, ast.Attribute | ast.Subscript) and not isinstance(node.ctx, ast.Load) else None


def written_by(node: ast.AST) -> set[str]:
    """Return the names whose contents a node changes, and those that it declares global."""
    found: set[str] = set()
    for item in ast.walk(node):
        if isinstance(item, ast.Global):
            found.update(item.names)
        elif (changed := _changed(item)) is not None:
            base = _base(changed, ast.Attribute, ast.Subscript)
            found.add(base.id if isinstance(base, ast.Name) else "")
    return found


def reads(node: ast.AST) -> bool:
    """Tell whether a node looks as if it read a file; a class, whether making an object of it does."""
    parts = _making(node) if isinstance(node, ast.ClassDef) else [node]
    return any(_is_reading(item) for part in parts for item in ast.walk(part) if isinstance(item, ast.Call))


def _is_reading(call: ast.Call) -> bool:
    name = str(getattr(call.func, "attr", getattr(call.func, "id", "")))
    given = [*call.args[isinstance(call.func, ast.Name) :], *(keyword.value for keyword in call.keywords)]
    modes = [item.value for item in given if isinstance(item, ast.Constant) and isinstance(item.value, str)]
    return name.startswith(READING) and not (name == "open" and any(_WRITING.fullmatch(mode) for mode in modes))


def _making(node: ast.ClassDef) -> list[ast.stmt]:
    """Return the statements that are executed when a class, or an object of it, is made.

    These are the body, the constructor and the methods that the constructor names.
    """
    methods = {item.name: item for item in node.body if isinstance(item, FUNCTIONS)}
    pending = [name for name in methods if name in MAKING]
    found: dict[str, ast.stmt] = {}
    while pending:
        name = pending.pop()
        if name in methods and name not in found:
            found[name] = methods[name]
            pending += [item.attr for item in ast.walk(methods[name]) if isinstance(item, ast.Attribute)]
    return [*found.values(), *(item for item in node.body if not isinstance(item, FUNCTIONS))]


def global_names(code: CodeType) -> Iterator[str]:
    """Yield the global names that a code object and those nested in it use."""
    for inner in (code, *codes(code)):
        for instruction in dis.get_instructions(inner):
            if "GLOBAL" in instruction.opname or instruction.opname == "LOAD_NAME":
                yield str(instruction.argval)


def is_scalar(value: object) -> bool:
    """Tell whether a value is of one of the simple built-in types, no subclass."""
    return id(type(value)) in _SCALAR_IDS  # to look for the type itself may ask its metaclass


def globals_of(function: ast.AST) -> list[str]:
    """Return the names that a function, or one in it, declares global."""
    return sorted({name for item in ast.walk(function) if isinstance(item, ast.Global) for name in item.names})


def definitions(node: ast.AST, owner: ast.ClassDef | None) -> Iterator[tuple[Defined, ast.ClassDef | None]]:
    """Yield the functions, lambdas and classes in a node, each with the class in whose body it stands."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, Defined):
            yield child, owner
            yield from definitions(child, child if isinstance(child, ast.ClassDef) else None)
        else:
            yield from definitions(child, owner)


def codes(code: CodeType) -> Iterator[CodeType]:
    """Yield the code objects nested in one."""
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield constant
            yield from codes(constant)


def module_named(call: ast.Call, package: str) -> str:
    """Return the module that a call of `importlib.import_module` imports.

    Raises:
        UnknownSourceError: its name is computed.
    """
    given = [*call.args, *(keyword.value for keyword in call.keywords)]
    words = [item.value for item in given if isinstance(item, ast.Constant) and isinstance(item.value, str)]
    if not words or not given or not isinstance(given[0], ast.Constant):
        raise UnknownSourceError("it imports a module whose name is computed")
    name = words[0].lstrip(".")
    return absolute_name(len(words[0]) - len(name), name, words[1] if len(words) > 1 else package)


def changed_attribute(node: ast.AST) -> str:
    """Return the attribute of ``self`` or ``cls`` that a node sets, or whose contents it changes; "" if there is none."""
    changed = _changed(node)
    target = _base(changed, ast.Subscript) if changed is not None else None
    return target.attr if isinstance(target, ast.Attribute) else ""


def aliases(statement: ast.AST) -> Iterator[tuple[str, tuple[int, str, str]]]:
    """Yield the names that an import binds, each with the level, module and name that it imports."""
    for alias in statement.names if isinstance(statement, ast.Import | ast.ImportFrom) else ():
        if isinstance(statement, ast.ImportFrom):
            yield alias.asname or alias.name, (statement.level, statement.module or "", alias.name)
        elif alias.asname:
            yield alias.asname, (0, alias.name, "")
        else:
            yield alias.name.partition(".")[0], (0, alias.name.partition(".")[0], "")


def bound(head: ast.AST) -> set[str]:
    """Return the names that a statement binds or whose contents it changes: ``TABLE["a"] = 1``, ``TABLE.update(b=2)``."""
    names: set[str] = set()
    if isinstance(head, (*FUNCTIONS, ast.ClassDef)):
        return {head.name}
    if isinstance(head, ast.Expr) and isinstance(head.value, ast.Call) and isinstance(head.value.func, ast.Attribute):
        names |= {chain[0] for chain in chains_of(head.value.func)}
    pending: list[ast.AST] = [head]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.Name | ast.Attribute | ast.Subscript) and not isinstance(node.ctx, ast.Load):
            base = _base(node, ast.Attribute, ast.Subscript, ast.Call)
            names |= {base.id} if isinstance(base, ast.Name) else set()
        for field in ("name", "rest"):  # `except E as name`, captures of patterns
            if isinstance(getattr(node, field, None), str):
                names.add(getattr(node, field))
        if not isinstance(node, SCOPES):
            pending.extend(ast.iter_child_nodes(node))
    return names
