"""Render docs/reference/ from the docstrings and signatures of what is public: `uv run python docs/build_reference.py`.

The pages are committed, and a test renders them anew and compares: they cannot tell what the code does not say.
"""

from __future__ import annotations

import ast
import enum
import importlib
import inspect
import re
import sys
import textwrap
import typing
from collections.abc import Callable, Iterator
from functools import cache, cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

import attrs
from msgspec import Struct

REFERENCE = Path(__file__).resolve().parent / "reference"

# A name that several modules offer is told on the page of the first that has it; the others point there.
MODULES = (
    "molexp.errors",
    "molexp.contracts",
    "molexp.hookspecs",
    "molexp.plugins",
    "molexp.executors",
    "molexp.testing",
    "molexp",
    "molexp.workflow.bindings",
    "molexp.workflow",
    "molexp.completion",
    "molexp.scripts",
    "molexp_dask",
    "molexp.submissions",
    "molexp_fs",
    "molexp_s3_store",
    "molexp_science",
    "molexp_slurm",
)
SETUP = """\
from pathlib import Path

import molexp as me

ws = me.Workspace("lab")
exp = ws.Project("metals").Experiment("cu")
run = exp.Run({"a": 3.5}, id="cu-small")
with run.start() as ctx:
    ctx.set_result("energy", -3.7)
    ctx.artifact.save("volumes.json", [1.0, 2.0])
    ctx.metrics.log(step=0, loss=0.5)
    ctx.log("relax").append("converged")
"""
"""Examples in docstrings may use the names that this defines."""

OURS = ("molexp_dask.", "molexp_fs.", "molexp_s3_store.", "molexp_science.", "molexp_slurm.")
"""The beginnings of the names of our plugins' modules."""

ORDER = (
    "molexp",
    "molexp.workflow",
    "molexp.workflow.bindings",
    "molexp.completion",
    "molexp.scripts",
    "molexp.submissions",
    "molexp.errors",
    "molexp.plugins",
    "molexp.hookspecs",
    "molexp.contracts",
    "molexp.executors",
    "molexp.testing",
    "molexp_dask",
    "molexp_fs",
    "molexp_s3_store",
    "molexp_science",
    "molexp_slurm",
)
SECTIONS = ("Args", "Attributes", "Example", "Examples", "Note", "Raises", "Returns", "Yields")
LABEL = re.compile(r"^([*`\w. ,]+):")


def public(module: ModuleType) -> list[str]:
    """Return the names in `__all__`, or for hookspecs those that the module defines."""
    names: list[str] = getattr(module, "__all__", None) or [
        name for name, value in vars(module).items() if getattr(value, "__module__", None) == module.__name__
    ]
    return sorted(names, key=lambda name: (name.lower(), name))


def pages() -> dict[str, str]:
    """Return the file name and text of every page."""
    homes: dict[int, str] = {}
    texts: dict[str, str] = {}
    for module_name in MODULES:
        module = importlib.import_module(module_name)
        texts[f"{module_name}.md"] = page(module, homes)
    return texts | {"index.md": index()}


def written() -> list[str]:
    """Return the pages that this script wrote, now or earlier. They are named after modules; other pages are written by hand."""
    return ["index.md", *sorted(path.name for path in REFERENCE.glob("molexp*.md"))]


def index() -> str:
    rows = [
        f"- [`{name}`]({name}.md): {first_line(inspect.getdoc(importlib.import_module(name)) or '')}" for name in ORDER
    ]
    head = f"""# Reference

These pages are generated from the docstrings by `docs/build_reference.py`. The tests run every example. Each starts with

```python
{SETUP}```

"""
    return head + "\n".join(rows) + "\n"


def page(module: ModuleType, homes: dict[int, str]) -> str:
    parts = [f"# `{module.__name__}`", markdown(inspect.getdoc(module) or "")]
    elsewhere = []
    told: dict[int, str] = {}
    for name in public(module):
        value = getattr(module, name)
        if documentable(value) and told.setdefault(id(value), name) != name:  # `RunT`: a second name for `Run`
            parts.append(joined(f"## `{name}`", markdown(constant_doc(module, name))))
            continue
        home = homes.setdefault(id(value), module.__name__) if documentable(value) else module.__name__
        if home == module.__name__:
            parts.append(entry(name, value, module))
        else:
            elsewhere.append(f"- [`{name}`]({home}.md#{anchor(name)})")
    if elsewhere:
        parts += ["## Also importable from here", "\n".join(elsewhere)]
    return "\n\n".join(part for part in parts if part) + "\n"


def entry(name: str, value: Any, module: ModuleType) -> str:
    if inspect.isclass(value):
        return class_entry(name, value)
    if callable(value) and documentable(value):
        return joined(f"## `{name}`", code(signature(name, value)), markdown(inspect.getdoc(value) or ""))
    return joined(f"## `{name}`", markdown(constant_doc(module, name)))


def class_entry(name: str, cls: type) -> str:
    bases = ", ".join(f"`{base.__name__}`" for base in cls.__bases__ if is_shown(base))
    parts = [f"## `{name}`", f"Bases: {bases}" if bases else "", constructor(name, cls), markdown(own_doc(cls))]
    parts += list(members(cls))
    return joined(*parts)


def is_shown(base: type) -> bool:
    """Tell whether readers are to know a base: not what all objects have, nor how values are made."""
    return base not in (object, Struct)


def members(cls: type) -> Iterator[str]:
    """Yield the public members of a class, and those that it inherits from private classes."""
    seen: set[str] = set()
    for owner in [cls, *(base for base in cls.__mro__[1:] if inherits_privately(base))]:
        docs = attribute_docs(owner)
        for name, (annotation, doc) in docs.items():
            if name not in seen and not name.startswith("_"):
                seen.add(name)
                if not doc and f"    {name}:" in f"{cls.__doc__}{owner.__doc__}":
                    continue  # told under "Attributes:" already
                yield f"- `{name}{annotation}`" + (f": {one_paragraph(doc)}" if doc else "")
    for owner in [cls, *(base for base in cls.__mro__[1:] if inherits_privately(base))]:
        for name, raw in vars(owner).items():
            function = raw.__func__ if isinstance(raw, classmethod | staticmethod) else raw
            is_member = inspect.isfunction(function) or isinstance(raw, property | cached_property)
            if name in seen or name.startswith("_") or not is_member:
                continue
            seen.add(name)
            yield method_entry(name, raw, function)


def method_entry(name: str, raw: Any, function: Any) -> str:
    if isinstance(raw, property | cached_property):
        getter = raw.func if isinstance(raw, cached_property) else raw.fget
        returns = typing.cast("Callable[..., Any]", getter).__annotations__.get("return", "")
        head = f"{name}: {returns}" if returns else name
    else:
        head = signature(name, function)
        if isinstance(raw, classmethod):
            head = f"@classmethod\n{head}"
    return joined(f"### `{name}`", code(head), markdown(inspect.getdoc(raw) or ""))


def inherits_privately(base: type) -> bool:
    """Tell whether members of this base are documented with its subclasses, because it has no page of its own."""
    if not base.__module__.startswith(("molexp.", *OURS)):
        return False
    return not any(getattr(importlib.import_module(name), base.__name__, None) is base for name in MODULES)


class Text(str):
    """An annotation shown as it is written in the source."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def signature(name: str, function: Callable[..., Any]) -> str:
    try:
        found = signature_of(function)
    except (TypeError, ValueError):
        return name
    parameters = [
        p.replace(annotation=shown(p.annotation), default=shown_default(p.default))
        for p in found.parameters.values()
        if not p.name.startswith("_")  # such as what binds an asset to its workspace: not for users
    ]
    text = str(found.replace(parameters=parameters, return_annotation=shown(found.return_annotation)))
    if len(name) + len(text) <= 100:
        return f"{name}{text}"
    body, _, returns = str(text).rpartition(" -> ") if " -> " in text else (text, "", "")
    lines = ",\n".join(f"    {part}" for part in [str(p) for p in marked(parameters)])
    return f"{name}(\n{lines},\n)" + (f" -> {returns}" if body and returns else "")


def marked(parameters: list[inspect.Parameter]) -> Iterator[str]:
    """Yield the parameters with the `/` and `*` between them."""
    kinds = [p.kind for p in parameters]
    for place, parameter in enumerate(parameters):
        starts = place == 0 or kinds[place - 1] is not parameter.kind
        if parameter.kind is parameter.KEYWORD_ONLY and starts and parameter.VAR_POSITIONAL not in kinds:
            yield "*"
        yield str(parameter)
        ends = place + 1 == len(kinds) or kinds[place + 1] is not parameter.kind
        if parameter.kind is parameter.POSITIONAL_ONLY and ends:
            yield "/"


def shown(annotation: Any) -> Any:
    return Text(annotation) if isinstance(annotation, str) and annotation else annotation


def signature_of(function: Callable[..., Any]) -> inspect.Signature:
    """Return the signature of a function or class, with its annotations as they are written.

    Raises:
        ValueError: it has none.
    """
    found = inspect.signature(function)
    if not (inspect.isclass(function) and issubclass(function, Struct)):
        return found
    owners = [owner for owner in reversed(function.__mro__) if issubclass(owner, Struct)]
    written = {name: text for owner in owners for name, text in vars(owner).get("__annotations__", {}).items()}
    return found.replace(
        parameters=[one.replace(annotation=written[one.name]) for one in found.parameters.values()],
        return_annotation=None,
    )


def shown_default(value: Any) -> Any:
    """Return a default as you would write it. One that is made at each call, or has an address, is left open."""
    if isinstance(value, enum.Enum) and type(value).__name__ == "_Nothing":
        return Text("...")
    if isinstance(value, enum.Enum):
        return Text(str(value))
    return Text("...") if "<" in repr(value) and not isinstance(value, str | type) else value


def constructor(name: str, cls: type) -> str:
    """Return the signature of a class that users create: one with documented arguments, or a plain value."""
    told = "Args:\n" in (cls.__doc__ or "") or (
        (attrs.has(cls) or issubclass(cls, Struct)) and "Attributes:\n" in (cls.__doc__ or "")
    )
    return code(signature(name, cls)) if told and (issubclass(cls, Struct) or "__init__" in vars(cls)) else ""


def own_doc(cls: type) -> str:
    """Return a class's own docstring, not that of a base."""
    return inspect.cleandoc(cls.__doc__) if cls.__doc__ else ""


def documentable(value: Any) -> bool:
    return inspect.isclass(value) or inspect.isroutine(value)


def constant_doc(module: ModuleType, name: str) -> str:
    """Return the string below an assignment, here or in the module that the name comes from."""
    if name == "__version__":
        return "The version of this distribution."
    ours = [
        module,
        *(m for n, m in sorted(sys.modules.items()) if n.startswith(("molexp.", *OURS))),
    ]
    for candidate in ours:
        if getattr(candidate, name, None) is getattr(module, name):
            doc = assignments(ast_of(candidate).body).get(name, ("", ""))[1]
            if doc:
                return doc
    return ""


def attribute_docs(cls: type) -> dict[str, tuple[str, str]]:
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(cls)))
    except (OSError, TypeError):
        return {}
    return assignments(typing.cast("ast.ClassDef", tree.body[0]).body)


def assignments(body: list[ast.stmt]) -> dict[str, tuple[str, str]]:
    """Return the names assigned in a body, each with its annotation (": T") and the string below it."""
    found: dict[str, tuple[str, str]] = {}
    for place, node in enumerate(body):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            name, annotation = node.target.id, f": {ast.unparse(node.annotation)}"
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name, annotation = node.targets[0].id, ""
        else:
            continue
        below = body[place + 1] if place + 1 < len(body) else None
        value = below.value if isinstance(below, ast.Expr) else None
        doc = value.value if isinstance(value, ast.Constant) and isinstance(value.value, str) else ""
        found[name] = (annotation, inspect.cleandoc(doc))
    return found


@cache
def ast_of(module: ModuleType) -> ast.Module:
    return ast.parse(inspect.getsource(module))


def markdown(doc: str) -> str:
    """Convert a Google-style docstring to Markdown: sections become lists, literal blocks become fences."""
    blocks: list[str] = []
    for block in re.split(r"\n\s*\n", inspect.cleandoc(doc)):
        head, _, rest = block.partition("\n")
        if head.rstrip(":") in SECTIONS and head.endswith(":") and rest:
            blocks.append(section(head, textwrap.dedent(rest)))
        elif block.startswith("    "):
            literal = textwrap.dedent(block)
            if blocks and blocks[-1].startswith("```text"):
                blocks[-1] = blocks[-1].removesuffix("\n```") + f"\n\n{literal}\n```"
            else:
                blocks.append(f"```text\n{literal}\n```")
        else:
            blocks.append(prose(block))
    return "\n\n".join(block for block in blocks if block)


def section(head: str, body: str) -> str:
    """Render `Raises:` and the like: one bullet for each entry, whose further lines are indented."""
    if head.startswith("Example"):
        return f"**{head.rstrip(':')}**\n\n```pycon\n{body}\n```"
    entries = re.split(r"\n(?=\S)", body) if head not in {"Returns:", "Yields:", "Note:"} else [body]
    bullets = [f"- {LABEL.sub(label, one_paragraph(entry))}" for entry in entries]
    return f"**{head.rstrip(':')}**\n\n" + "\n".join(bullets)


def label(found: re.Match[str]) -> str:
    return f"`{found[1].strip('`')}`:"


def prose(block: str) -> str:
    block = "" if block.strip() == "::" else re.sub(r"::$", ":", block)
    return re.sub(r":(?:class|func|meth|mod):`~?([^`]+)`", r"`\1`", block.replace("``", "`"))


def one_paragraph(text: str) -> str:
    return prose(" ".join(text.split()))


def first_line(doc: str) -> str:
    return prose(doc.partition("\n\n")[0].replace("\n", " ")).removesuffix(":")


def anchor(name: str) -> str:
    return name.lower()


def code(text: str) -> str:
    return f"```text\n{text}\n```"


def joined(*parts: str) -> str:
    """Join paragraphs, and keep the bullets of attributes in one list."""
    text = ""
    for part in filter(None, parts):
        gap = "\n" if part.startswith("- ") and text.rpartition("\n")[2].startswith("- ") else "\n\n"
        text += (gap if text else "") + part
    return text


def main() -> None:
    REFERENCE.mkdir(exist_ok=True)
    texts = pages()
    for stale in set(written()) - texts.keys():
        (REFERENCE / stale).unlink()
    for name, text in texts.items():
        (REFERENCE / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
