"""The definition of a workflow: its tasks and its policy, its identity and its graph."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property, partial
from types import MappingProxyType
from typing import Any, Literal

from msgspec import Struct
from msgspec.structs import force_setattr

from molexp._code.hashing import code_of
from molexp._storage import schemas
from molexp._values.canonical import canonical_hash
from molexp._values.documents import encode_pretty
from molexp._values.graph import WorkflowGraph
from molexp._workflow.graphs import tasks_of
from molexp._workflow.tasks import TaskSpec

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
