"""A workflow in an attempt that somebody else has opened, and goes on with afterwards."""

from __future__ import annotations

import asyncio

import pytest

from molexp.workflow import WorkflowBuilder
from tests.workflow.runs import process_tasks


def workflow(name="relax", *, task="only", function=lambda ctx: ctx.set_result(ctx.task, True)):
    wf = WorkflowBuilder(name)
    wf.add(function, name=task)
    return wf.build()


def fail(ctx):
    raise ValueError("not converged")


def test_the_attempt_goes_on_afterwards(run):
    async def main():
        with run.start() as ctx:
            result = await workflow().execute(run=ctx)
            assert run.status == "running"
            ctx.set_result("after", result.status)

    asyncio.run(main())

    assert run.status == "succeeded"
    assert run.results == {"only": True, "after": "succeeded"}
    (attempt,) = run.execution_history
    assert attempt["tasks"] == {"succeeded": 1}


def test_open_attempts_take_workflows_with_and_without_asyncio(run):
    with run.start() as ctx:
        workflow().execute_sync(run=ctx)

    async def main():
        async with run.start() as ctx:
            await workflow().execute(run=ctx)

    asyncio.run(main())

    assert [entry["status"] for entry in run.execution_history] == ["succeeded", "succeeded"]


def test_what_was_saved_before_is_found_by_tasks_and_the_other_way_round(run):
    def only(ctx):
        ctx.artifact.save("out.json", ctx.asset("in.json").load())

    with run.start() as ctx:
        ctx.artifact.save("in.json", [1, 2])
        workflow(function=only).execute_sync(run=ctx, check=True)
        assert ctx.asset("out.json").load() == [1, 2]


def test_a_workflow_that_fails_in_an_open_attempt_fails_the_run(run):
    with run.start() as ctx:
        result = workflow(function=fail).execute_sync(run=ctx)
        ctx.set_result("after", 1)

    assert result.status == run.status == "failed"
    (attempt,) = run.execution_history
    assert attempt["reason"] == "task 'only' failed: ValueError: not converged"
    assert attempt["error"]["trace"] == run.asset("tasks/only/error-trace").id
    assert run.results == {"after": 1}


def test_an_end_that_the_user_sets_counts_more_than_a_failed_workflow(run):
    with run.start() as ctx:
        workflow(function=fail).execute_sync(run=ctx)
        ctx.finish("succeeded", reason="good enough")

    assert run.status == "succeeded"
    assert run.execution_history[0]["reason"] == "good enough"


def test_a_workflow_that_succeeds_on_the_second_call_does_not_fail_the_run(run):
    tries = []

    def only(ctx):
        tries.append(ctx.retry)
        if len(tries) == 1:
            raise ValueError("not converged")
        ctx.set_result("energy", -1.0)

    with run.start() as ctx:
        assert workflow(function=only).execute_sync(run=ctx).status == "failed"
        result = workflow(function=only).execute_sync(run=ctx, resume=True)

    assert result.status == run.status == "succeeded"
    assert result.tasks["only"].reason == "it failed before"
    assert run.results == {"energy": -1.0}
    assert run.execution_history[0]["tasks"] == {"succeeded": 1}


def test_an_error_of_the_block_itself_is_what_counts(run):
    with pytest.raises(ZeroDivisionError), run.start() as ctx:
        workflow(function=fail).execute_sync(run=ctx)
        1 / 0  # noqa: B018

    assert run.execution_history[0]["error"]["type"] == "ZeroDivisionError"


def test_a_cancelled_workflow_cancels_the_run(run):
    async def main():
        begun = asyncio.Event()

        async def only(ctx):
            begun.set()
            await asyncio.Event().wait()

        with run.start() as ctx:
            handle = workflow(function=only).start(run=ctx)
            await begun.wait()
            handle.cancel("enough of it")
            return await handle

    assert asyncio.run(main()).status == "cancelled"

    assert run.status == "cancelled"
    assert run.execution_history[0]["reason"] == "enough of it"


def test_two_workflows_in_one_attempt(run):
    with run.start() as ctx:
        first = workflow("first", task="build").execute_sync(run=ctx)
        second = workflow("second", task="analyse").execute_sync(run=ctx)

    assert first.status == second.status == run.status == "succeeded"
    assert run.results == {"build": True, "analyse": True}
    assert run.execution_history[0]["tasks"] == {"succeeded": 2}
    assert run.asset("execution-state").load()["tasks"].keys() == {"build", "analyse"}


def test_two_whose_tasks_have_one_name_both_count(run):
    def first(ctx):
        ctx.set_result("first", 1)
        ctx.artifact.save("first.json", [1])
        return "x" * 10_000

    def second(ctx):
        ctx.set_result("second", 2)
        ctx.artifact.save("second.json", [2])
        return "y" * 10_000

    with run.start() as ctx:
        workflow("first", function=first).execute_sync(run=ctx, check=True)
        workflow("second", function=second).execute_sync(run=ctx, check=True)

    assert run.results == {"first": 1, "second": 2}
    assert run.asset("first.json").load() == [1]
    assert run.asset("second.json").load() == [2]
    again = workflow("second", function=second).execute_sync(run=run, resume=True)
    assert again.tasks["only"].reused
    assert again.outputs["only"] == "y" * 10_000


def test_the_first_of_two_failures_is_the_reason(run):
    with run.start() as ctx:
        workflow("first", task="build", function=fail).execute_sync(run=ctx)
        workflow("second", task="analyse").execute_sync(run=ctx)

    assert run.status == "failed"
    assert run.execution_history[0]["reason"] == "task 'build' failed: ValueError: not converged"
    assert run.execution_history[0]["tasks"] == {"failed": 1, "succeeded": 1}


def test_a_fresh_attempt_starts_without_earlier_results_and_task_records(run):
    done = []

    def only(ctx):
        done.append(1)
        ctx.set_result("energy", len(done))
        return 1

    def other(ctx):
        return 2

    workflow(function=only).execute_sync(run=run)
    with run.start(fresh=True) as ctx:
        workflow("other", task="other", function=other).execute_sync(run=ctx)
        assert run.results == {}
        result = workflow(function=only).execute_sync(run=ctx, resume=True)

    assert result.tasks["only"].reason == "it has not been executed before"
    assert run.results == {"energy": 2}
    assert len(done) == 2


@pytest.mark.parametrize("executor", ["inline", "process"])
def test_what_a_task_does_to_its_parameters_no_other_task_sees(run, executor):
    wf = WorkflowBuilder("decay")
    wf.task(name="first", executor=executor)(process_tasks.halve)
    wf.task(name="second", executor=executor, depends_on=["first"])(process_tasks.halve)
    given = {"opt": {"lr": 0.8}}
    for one in run.experiment.runs.create_many([{**given, "seed": 1}, {**given, "seed": 2}]):
        result = wf.build().execute_sync(run=one, check=True)

        assert dict(result.outputs) == {"first": 0.8, "second": 0.8}
        assert one.parameters["opt"] == {"lr": 0.8}
    assert dict(wf.build().execute_sync(params=given, check=True).outputs) == {"first": 0.8, "second": 0.8}
    assert given == {"opt": {"lr": 0.8}}
