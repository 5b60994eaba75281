"""List every public name of the core with its signature: `uv run python -m tests.packaging.public_names`."""

from __future__ import annotations

import ast
import enum
import importlib
import inspect
import re
from collections.abc import Iterator
from functools import cache, cached_property
from types import ModuleType
from typing import Any

from docs import build_reference

MODULES = [name for name in build_reference.MODULES if name.partition(".")[0] == "molexp"]
"""A name that several modules offer is described where it comes first."""

GIVEN = {
    *("Accessor", "Asset", "Catalog", "Context", "DataAssets", "LogHandle", "LogReader", "Logs", "Members", "Metrics"),
    *(
        "Experiment",
        "Project",
        "Run",
        "RunContext",
        "RunMetrics",
        "RunRow",
        "Runs",
        "SkippedRun",
        "Workflow",
        "WorkflowHandle",
    ),
}
"""Users get objects of these classes, and of those below them, and make none: their constructors are internals."""

INTERNALS = {"assets", "finder"}
"""Parameters of the constructor of `TaskContext` that users do not give."""

OPERATORS = "call enter exit aenter aexit getitem setitem delitem iter len contains fspath truediv"
SPECIAL = {f"__{name}__" for name in OPERATORS.split()}
PRIVATE_MODULE = re.compile(r"\bmolexp(?:\.\w+)*\.(?=\w+)")
PLAIN = (bool, bytes, float, int, str, type(None), tuple, frozenset)


def lines() -> list[str]:
    """Return a line for each name, sorted."""
    seen: dict[int, str] = {}
    return sorted(line for name in MODULES for line in of_module(importlib.import_module(name), seen))


def of_module(module: ModuleType, seen: dict[int, str]) -> Iterator[str]:
    names = getattr(module, "__all__", None) or [
        name for name, value in vars(module).items() if getattr(value, "__module__", None) == module.__name__
    ]
    for name in names:
        value, full = getattr(module, name), f"{module.__name__}.{name}"
        first = seen.setdefault(id(value), full) if callable(value) else full
        if first != full:
            yield f"{full} is {first}"
        elif inspect.isclass(value):
            yield from of_class(value, full)
        elif callable(value):
            yield full + signature(value)
        else:
            yield f"{full}: {type(value).__name__}"


def of_class(cls: type, full: str) -> Iterator[str]:
    bases = ", ".join(base.__name__ for base in cls.__bases__ if build_reference.is_shown(base))
    yield f"class {full}({bases})"
    if issubclass(cls, enum.Enum):
        yield from (f"{full}.{member.name} = {member.value!r}" for member in cls)
    elif not inspect.isabstract(cls) and not is_given(cls):
        yield f"{full}.__init__{signature(cls)}"
    fields = set(getattr(cls, "__struct_fields__", ()))
    fields |= {name for owner in cls.__mro__ if is_ours(owner) for name in assigned_in(owner)} - set(dir(cls))
    for name in sorted(fields | set(dir(cls))):
        if name.startswith("_") and name not in SPECIAL:
            continue
        if name in fields:
            yield f"{full}.{name}: attribute"
            continue
        owner = next(owner for owner in cls.__mro__ if name in vars(owner))
        if is_ours(owner) and type(vars(owner)[name]) is not cls:
            yield f"{full}.{name}{of_member(vars(owner)[name])}"


def is_given(cls: type) -> bool:
    """Tell whether users make no such object; they do make contexts of tasks, to call a task in a test."""
    return cls.__name__ != "TaskContext" and not GIVEN.isdisjoint(owner.__name__ for owner in cls.__mro__)


def is_ours(cls: type) -> bool:
    return cls.__module__.partition(".")[0] == "molexp"


def assigned_in(cls: type) -> Iterator[str]:
    """Return what the methods of a class assign to their object, and what its body declares without a value."""
    for node in classes_of(cls.__module__).get(cls.__name__, ()):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.target.id
        for inner in ast.walk(node):
            if isinstance(inner, ast.Attribute) and isinstance(inner.ctx, ast.Store):
                yield from [inner.attr] if isinstance(inner.value, ast.Name) and inner.value.id == "self" else []


@cache
def classes_of(module: str) -> dict[str, list[ast.stmt]]:
    """Return the statements in each class of a module."""
    tree = ast.parse(inspect.getsource(importlib.import_module(module)))
    return {node.name: node.body for node in tree.body if isinstance(node, ast.ClassDef)}


def of_member(value: Any) -> str:
    if isinstance(value, cached_property):
        return f": property{returned(inspect.signature(value.func))}"
    if isinstance(value, property):
        return f": property{returned(inspect.signature(value.fget)) if value.fget else ''}"
    if isinstance(value, staticmethod | classmethod):
        return f"{signature(value.__func__)} [{type(value).__name__}]"
    if callable(value) and not inspect.isclass(value):
        return signature(value)
    if (wrapped := inspect.unwrap(value)) is not value:  # an `__exit__` that a descriptor gives out
        return signature(wrapped)
    return f": {'class' if inspect.isclass(value) else 'attribute'}"


def signature(value: Any) -> str:
    try:
        found = build_reference.signature_of(value)
    except ValueError:  # an exception that takes what any takes
        return "(...)"
    parts: list[str] = []
    parameters = [one for one in found.parameters.values() if one.name not in INTERNALS]
    kinds = [parameter.kind for parameter in parameters]
    for number, parameter in enumerate(parameters):
        if (
            parameter.kind is parameter.KEYWORD_ONLY
            and parameter.VAR_POSITIONAL not in kinds[:number]
            and "*" not in parts
        ):
            parts.append("*")
        parts.append(described(parameter))
        last_of_these = parameter.kind is parameter.POSITIONAL_ONLY and kinds[number + 1 : number + 2] != [
            parameter.kind
        ]
        parts += ["/"] if last_of_these else []
    return f"({', '.join(parts)}){returned(found)}"


def described(parameter: inspect.Parameter) -> str:
    stars = "*" * (parameter.kind is parameter.VAR_POSITIONAL) + "**" * (parameter.kind is parameter.VAR_KEYWORD)
    text = stars + parameter.name
    if parameter.annotation is not parameter.empty:
        text += f": {annotation(parameter.annotation)}"
    if parameter.default is not parameter.empty:
        text += f" = {parameter.default!r}" if isinstance(parameter.default, PLAIN) else " = ..."
    return text


def returned(found: inspect.Signature) -> str:
    return "" if found.return_annotation is found.empty else f" -> {annotation(found.return_annotation)}"


def annotation(value: Any) -> str:
    text: str = value if isinstance(value, str) else inspect.formatannotation(value)
    return PRIVATE_MODULE.sub("", text)


if __name__ == "__main__":
    print(*lines(), sep="\n")
