"""A kind takes its time to save the output of a task: other tasks go on meanwhile, and what has ended well stays so."""

from __future__ import annotations

import asyncio
import threading

import pytest

from molexp.workflow import WorkflowBuilder
from tests.workflow.runs.grids import Grid, GridKind, Work

DEADLINE = 300.0  # seconds


@pytest.fixture
def here(lab):
    return Work(lab)


@pytest.fixture
def saving(monkeypatch):
    """Two events: the kind has begun to save, and it may go on."""
    begun, may_go_on = threading.Event(), threading.Event()
    save = GridKind.save

    def wait_and_save(kind, obj, sink):
        begun.set()
        assert may_go_on.wait(DEADLINE)
        return save(kind, obj, sink)

    monkeypatch.setattr(GridKind, "save", wait_and_save)
    return begun, may_go_on


def test_tasks_with_a_time_limit_go_on_while_an_output_is_saved(here, saving):
    begun, may_go_on = saving
    wf = WorkflowBuilder("grids")
    wf.add(lambda ctx: Grid(b"numbers"), name="only")

    @wf.task(timeout=DEADLINE)
    async def meanwhile(ctx):
        await asyncio.to_thread(begun.wait, DEADLINE)
        may_go_on.set()
        return "on the event loop"

    result = wf.build().execute_sync(run=here.run)

    assert result.outputs["meanwhile"] == "on the event loop"
    assert result.tasks["only"].restorable
    assert here.run.asset("output:only").load() == Grid(b"numbers")


def test_a_task_that_is_cancelled_while_its_output_is_saved_has_ended_well(here, saving):
    begun, may_go_on = saving
    wf = WorkflowBuilder("grids", on_failure="cancel")
    wf.add(lambda ctx: Grid(b"numbers"), name="only")

    @wf.task
    async def fails(ctx):
        await asyncio.to_thread(begun.wait, DEADLINE)
        raise ValueError("bad luck")

    @wf.task
    async def sees_it(ctx):
        try:
            await asyncio.Event().wait()
        finally:
            may_go_on.set()

    result = wf.build().execute_sync(run=here.run)

    assert {name: str(one.status) for name, one in result.tasks.items()} == {
        "only": "succeeded",
        "fails": "failed",
        "sees_it": "cancelled",
    }
    assert here.run.asset("execution-state").load()["tasks"]["only"]["status"] == "succeeded"
    assert here.run.asset("output:only").load() == Grid(b"numbers")
