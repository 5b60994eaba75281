"""`start()` gives a handle, with and without an event loop; `execute_sync` works wherever it is called."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from molexp.errors import PluginMissingError
from molexp.workflow import TaskContext, Workflow, WorkflowBuilder

WAIT = 300


class Gate:
    """A workflow of one task that says when it runs and waits until it may end, and one after it."""

    def __init__(self) -> None:
        self.running = threading.Event()
        self.open = threading.Event()
        self.spec: Workflow = (
            WorkflowBuilder("gate").add(self.first).add(lambda ctx: ctx.inputs + 1, name="last", depends_on=["first"])
        ).build()

    def first(self, ctx: TaskContext) -> int:
        self.running.set()
        pause = threading.Event()
        while not (self.open.is_set() or ctx.cancelled):
            pause.wait(0.001)
        return 1


@pytest.fixture
def gate() -> Any:
    gate = Gate()
    yield gate
    gate.open.set()


# ------------------------------------------------------------------------------------------------------- without a loop


def test_without_a_loop_it_runs_in_a_thread_and_the_result_is_waited_for(gate):
    handle = gate.spec.start()
    assert gate.running.wait(WAIT)
    assert not handle.done
    assert repr(handle) == "<WorkflowHandle of 'gate', running>"
    with pytest.raises(TimeoutError):
        handle.result(timeout=0.01)

    gate.open.set()
    assert handle.result(WAIT).outputs["last"] == 2
    assert handle.result() is handle.result()
    assert handle.done
    assert repr(handle) == "<WorkflowHandle of 'gate', done>"


def test_a_handle_from_a_thread_can_be_awaited_in_any_loop_again_and_again(gate):
    handle = gate.spec.start()

    async def main() -> Any:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await handle  # who stops waiting does not stop it
        assert not handle.done
        gate.open.set()
        first, second = await asyncio.gather(wait(), wait())
        assert first is second
        return await handle

    async def wait() -> Any:
        return await handle

    result = asyncio.run(main())
    assert asyncio.run(wait()) is result is handle.result()
    assert result.outputs["last"] == 2


@pytest.mark.parametrize("reason", ["enough", ""])
def test_it_is_cancelled_from_any_thread(gate, reason):
    handle = gate.spec.start()
    assert gate.running.wait(WAIT)
    threading.Thread(target=handle.cancel, args=(reason,)).start()
    result = handle.result(WAIT)
    assert (result.status, result.reason) == ("cancelled", reason or "it was cancelled")
    assert {(o.status, o.reason) for o in result.tasks.values()} == {("cancelled", reason or "it was cancelled")}
    handle.cancel("again")
    assert handle.result() is result


def test_cancelled_before_it_starts_it_executes_nothing():
    async def main() -> Any:
        handle = WorkflowBuilder("w").add(lambda ctx: pytest.fail("it ran"), name="a").build().start()
        handle.cancel("never mind")
        return await handle

    result = asyncio.run(main())
    assert (result.status, result.reason, result.executed) == ("cancelled", "never mind", ())


def test_cancelled_after_its_end_nothing_changes():
    handle = WorkflowBuilder("w").add(lambda ctx: 1, name="a").build().start()
    result = handle.result(WAIT)
    handle.cancel()
    assert handle.result() is result
    assert result.status == "succeeded"


def test_cancelling_at_any_moment_ends_it_one_way_or_the_other():
    wf = WorkflowBuilder("w")
    for number in range(50):
        wf.add(lambda ctx: None, name=f"t{number}", depends_on=[f"t{number - 1}"] if number else [])
    spec = wf.build()
    for _ in range(40):
        handle = spec.start()
        handle.cancel()
        result = handle.result(WAIT)
        statuses = [outcome.status for outcome in result.tasks.values()]
        done = statuses.count("succeeded")
        assert statuses == ["succeeded"] * done + ["cancelled"] * (50 - done)


def test_a_workflow_inside_a_task_has_a_handle_of_its_own(gate):
    """Cancelling the outer one is not cancelling what it started on its own."""
    handles: list[Any] = []

    def outer(ctx: TaskContext) -> None:
        handles.append(gate.spec.start())
        gate.running.wait(WAIT)

    assert WorkflowBuilder("outer").add(outer).build().start().result(WAIT).status == "succeeded"
    gate.open.set()
    assert handles[0].result(WAIT).status == "succeeded"


@pytest.mark.parametrize("loop", [True, False])
def test_what_keeps_it_from_executing_is_raised_where_it_is_awaited(loop):
    spec = WorkflowBuilder("w").add(lambda ctx: 1, name="a", executor="nowhere").build()

    async def main() -> None:
        await spec.start()

    with pytest.raises(PluginMissingError, match="nowhere"):
        if loop:
            asyncio.run(main())
        else:
            spec.start().result(WAIT)


# ----------------------------------------------------------------------------------------------------------- in a loop


def test_in_a_loop_it_runs_there_and_is_awaited(gate):
    async def main() -> Any:
        handle = gate.spec.start()
        assert not handle.done
        with pytest.raises(RuntimeError, match="await the handle"):
            handle.result()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await handle
        gate.open.set()
        results = list(await asyncio.gather(wait(handle), wait(handle)))
        assert results == [handle.result()] * 2
        return handle

    async def wait(handle: Any) -> Any:
        return await handle

    handle = asyncio.run(main())
    assert handle.result().outputs["last"] == 2


def test_in_a_loop_it_is_cancelled_from_another_thread(gate):
    async def main() -> Any:
        handle = gate.spec.start()
        await asyncio.to_thread(gate.running.wait, WAIT)
        await asyncio.to_thread(handle.cancel, "from elsewhere")
        return await handle

    assert asyncio.run(main()).reason == "from elsewhere"


def test_another_thread_may_wait_for_the_result(gate):
    gate.open.set()

    async def main() -> Any:
        return await asyncio.to_thread(gate.spec.start().result, WAIT)

    assert asyncio.run(main()).outputs["last"] == 2


def test_a_loop_that_ends_before_it_started_does_not_leave_anybody_waiting():
    spec = WorkflowBuilder("w").add(lambda ctx: 1, name="a").build()

    async def main() -> Any:
        return spec.start()

    handle = asyncio.run(main())
    assert handle.done
    with pytest.raises(asyncio.CancelledError):
        handle.result(WAIT)


# --------------------------------------------------------------------------------------------------------- execute_sync


def test_execute_sync_works_under_a_running_loop_as_in_jupyter():
    async def here(ctx: TaskContext) -> Any:
        return threading.current_thread()

    spec = WorkflowBuilder("w").add(here).add(lambda ctx: ctx.inputs, name="plain", depends_on=["here"]).build()

    async def cell() -> Any:
        return spec.execute_sync(check=True).outputs["plain"]

    assert asyncio.run(cell()) is not threading.current_thread()


def test_under_a_running_loop_errors_are_raised_as_they_are():
    spec = WorkflowBuilder("w").add(lambda ctx: 1, name="a", executor="nowhere").build()

    async def cell() -> None:
        spec.execute_sync()

    with pytest.raises(PluginMissingError):
        asyncio.run(cell())


def test_it_can_be_nested_to_any_depth():
    def nested(depth: int) -> Any:
        async def inner(ctx: TaskContext) -> Any:
            return nested(depth - 1) if depth else "ground"

        return WorkflowBuilder("w").add(inner).build().execute_sync(check=True).outputs["inner"]

    assert nested(8) == "ground"
