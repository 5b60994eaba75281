"""The definition of a workflow: its tasks and its policy, its identity and its graph."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property, partial
from types import FunctionType, MappingProxyType, MethodType
from typing import Any, Literal

from msgspec import Struct
from msgspec.structs import asdict, fields, force_setattr

from molexp._code.hashing import code_of
from molexp._code.locations import INSTALLED
from molexp._code.objects import file_of, innermost
from molexp._provenance.source_tree import repository_of
from molexp._storage import schemas
from molexp._values.canonical import canonical_hash
from molexp._values.documents import encode_pretty
from molexp._values.graph import GraphTask, WorkflowGraph
from molexp._values.plain import plain
from molexp._workflow.shell import ShellTask
from molexp._workflow.tasks import TaskSpec
from molexp.contracts import Resources
from molexp.errors import SerializationError

_ID_DIGITS = 16


class _Policy(Struct, frozen=True, eq=False, kw_only=True):
    """The attributes of a workflow that are given by keyword."""

    on_failure: Literal["finish", "cancel"] = "finish"
    max_parallel: int | None = None


class Definition(_Policy, frozen=True, eq=False, dict=True, weakref=True):
    """The tasks of a workflow, and all that follows from them without executing any; `Workflow` has the rest."""

    name: str
    tasks: Mapping[str, TaskSpec]

    def __post_init__(self) -> None:
        force_setattr(self, "tasks", MappingProxyType(dict(self.tasks)))

    def __reduce__(self) -> tuple[Any, ...]:
        make = partial(type(self), on_failure=self.on_failure, max_parallel=self.max_parallel)
        return make, (self.name, dict(self.tasks))

    def __repr__(self) -> str:
        return f"<Workflow {self.name!r}: {len(self.tasks)} tasks>"

    @cached_property
    def workflow_id(self) -> str:
        """The identity of the workflow: a hash of its name, its topology and its tasks' code.

        Comments and formatting do not count. A task whose source cannot be found counts by its name alone.
        """
        tasks = {
            name: [list(spec.depends_on), spec.map_over, code_of(spec.subject).hash]
            for name, spec in self.tasks.items()
        }
        return canonical_hash({"name": self.name, "tasks": tasks}).removeprefix("sha256:")[:_ID_DIGITS]

    @cached_property
    def graph(self) -> WorkflowGraph:
        """Its tasks, how they depend on each other, and where each is defined; to look at, and as a run records it."""
        return WorkflowGraph(
            name=self.name,
            workflow_id=self.workflow_id,
            tasks=tasks_of(self.tasks.values()),
            on_failure=self.on_failure,
            max_parallel=self.max_parallel,
        )

    @cached_property
    def _graph_document(self) -> bytes:
        """The document that each run of it names, made once."""
        return encode_pretty({"schema": schemas.WORKFLOW, "type": "workflow", **self.graph.to_dict()})

    def _repr_html_(self) -> str:
        return self.graph._repr_html_()


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
