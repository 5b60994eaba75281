"""Workflows: tasks joined by dependencies, executed in memory or under a run.

::

    from molexp.workflow import TaskContext, WorkflowBuilder

    wf = WorkflowBuilder(name="relax")

    @wf.task
    async def build(ctx: TaskContext) -> list[float]:
        return [ctx.params["a"] * s for s in (0.98, 1.0, 1.02)]

    @wf.task(depends_on=["build"])
    def energies(ctx: TaskContext) -> float:
        return min(ctx.inputs)

    result = wf.build().execute_sync(params={"a": 3.6})
    result.outputs["energies"]
"""

from __future__ import annotations

from molexp._workflow.builder import WorkflowBuilder
from molexp._workflow.context import TaskContext
from molexp._workflow.results import Outputs, TaskOutcome, WorkflowResult
from molexp._workflow.tasks import Task, TaskSpec
from molexp._workflow.workflow import Workflow, WorkflowHandle
from molexp.contracts import Resources

__all__ = [
    "Outputs",
    "Resources",
    "Task",
    "TaskContext",
    "TaskOutcome",
    "TaskSpec",
    "Workflow",
    "WorkflowBuilder",
    "WorkflowHandle",
    "WorkflowResult",
]
