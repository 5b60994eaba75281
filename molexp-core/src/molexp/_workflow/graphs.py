"""The graph of a workflow as it is recorded: where each task is defined, and with which options."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Iterable
from types import FunctionType, MethodType
from typing import Any

from msgspec.structs import asdict, fields

from molexp._code.locations import INSTALLED
from molexp._code.objects import file_of, innermost
from molexp._provenance.source_tree import repository_of
from molexp._values.graph import GraphTask
from molexp._values.plain import plain
from molexp._workflow.shell import ShellTask
from molexp._workflow.tasks import TaskSpec
from molexp.contracts import Resources
from molexp.errors import SerializationError

_OPTIONS = ("retries", "backoff", "timeout", "executor")
_USUAL = {field.name: field.default for field in fields(TaskSpec)}


def tasks_of(specs: Iterable[TaskSpec]) -> tuple[GraphTask, ...]:
    """Return the tasks of a graph."""
    within = functools.cache(_within)  # most tasks are of a few files
    return tuple(_described(spec, within) for spec in specs)


def _described(spec: TaskSpec, within: Callable[[str], str]) -> GraphTask:
    shell = spec.subject if isinstance(spec.subject, ShellTask) else None
    found = innermost(spec.call if shell is None else shell.command)
    function = found if type(found) is FunctionType else None
    file, line = spec.place or (None, None)
    if function is not None:
        file, line = file_of(function), function.__code__.co_firstlineno
    if shell is not None:
        kind = "shell"
    elif type(spec.call) is MethodType and spec.call is not spec.subject:
        kind = "object"
    else:
        kind = "coroutine" if spec.is_async else "function"
    return GraphTask(
        name=spec.name,
        kind=kind,
        depends_on=spec.depends_on,
        map_over=spec.map_over,
        options=_options(spec, shell),
        function=function.__qualname__ if function is not None else None,
        file=within(file) if file is not None else None,
        line=line,
    )


def _options(spec: TaskSpec, shell: ShellTask | None) -> dict[str, Any]:
    """Return the options of a task that differ from the defaults."""
    found = {name: value for name in _OPTIONS if (value := getattr(spec, name)) != _USUAL[name]}
    if not found and shell is None and spec.resources is None:
        return {}
    if shell is not None and shell.limit is not None:
        found["timeout"] = shell.limit
    if spec.resources is not None:
        needs, least = (asdict(one) for one in (spec.resources, Resources()))
        found["resources"] = {name: value for name, value in needs.items() if value != least[name]}
    try:
        plained: dict[str, Any] = plain(found, where="options", nan=True)
    except SerializationError:  # an executor's own option
        return {name: value if isinstance(value, int | float | str) else repr(value) for name, value in found.items()}
    return plained


def _within(file: str) -> str:
    """Return a file's path within site-packages, its repository or its import folder: nothing that belongs to the machine."""
    path = os.path.abspath(file)
    parts = path.split(os.sep)
    for number in range(len(parts) - 1, 0, -1):
        if parts[number] in INSTALLED:
            return "/".join(parts[number + 1 :])
    above = os.path.dirname(path)
    folders = [
        folder for entry in sys.path if path.startswith((folder := os.path.abspath(entry)).rstrip(os.sep) + os.sep)
    ]
    root = repository_of(above) or max(folders, key=len, default=above)
    return os.path.relpath(path, root).replace(os.sep, "/")
