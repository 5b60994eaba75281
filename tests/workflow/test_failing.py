"""A failure means something for the rest, and the result says so. Retries and timeouts are in the next file."""

from __future__ import annotations

import asyncio
import pickle
import threading
from collections.abc import Mapping
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given

import molexp as me
from molexp.errors import NotFoundError, TaskFailedError, TaskNotSucceededError
from molexp.workflow import TaskContext, WorkflowBuilder, WorkflowResult

WAIT = 300


def fine(ctx: TaskContext) -> str:
    return ctx.task


def boom(ctx: TaskContext) -> None:
    raise ValueError("boom.")


async def async_boom(ctx: TaskContext) -> None:
    raise ValueError("boom.")


def statuses(result: WorkflowResult) -> dict[str, str]:
    return {name: outcome.status for name, outcome in result.tasks.items()}


# ------------------------------------------------------------------------------------------------------------ policies


def chain_beside_a_failure(**options: Any) -> WorkflowBuilder:
    wf = WorkflowBuilder("relax", **options)
    wf.add(boom, name="bad")
    wf.add(fine, name="child", depends_on=["bad"]).add(fine, name="grandchild", depends_on=["child"])
    wf.add(fine, name="good").add(fine, name="after-good", depends_on=["good"])
    return wf.add(fine, name="both", depends_on=["after-good", "grandchild"])


def test_by_default_what_does_not_depend_on_a_failure_is_finished():
    result = chain_beside_a_failure().build().execute_sync()
    assert result.status is me.RunStatus.FAILED
    assert statuses(result) == {
        "bad": "failed",
        "good": "succeeded",
        "child": "skipped",
        "after-good": "succeeded",
        "grandchild": "skipped",
        "both": "skipped",
    }
    assert {result.tasks[name].reason for name in ("child", "grandchild", "both")} == {"task 'bad' failed"}
    assert result.reason == "task 'bad' failed: ValueError: boom."
    assert sorted(result.executed) == ["after-good", "bad", "good"]
    assert result.by_status("skipped") == ("child", "grandchild", "both")
    assert repr(result) == "<WorkflowResult of 'relax': failed (1 failed, 2 succeeded, 3 skipped)>"


def test_with_the_policy_cancel_the_rest_is_cancelled():
    wf = chain_beside_a_failure(on_failure="cancel")
    cleaned = []

    @wf.task
    async def endless(ctx: TaskContext) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cleaned.append(ctx.task)

    @wf.task
    def endless_thread(ctx: TaskContext) -> None:
        stopped = threading.Event()
        while not ctx.cancelled:
            stopped.wait(0.001)
        cleaned.append(ctx.task)

    wf.add(fine, name="last", depends_on=["good", "endless"])
    result = wf.build().execute_sync()
    assert result.status is me.RunStatus.FAILED
    assert result.tasks["child"].status == result.tasks["grandchild"].status == "skipped"
    for name in ("endless", "endless_thread", "last"):
        assert (result.tasks[name].status, result.tasks[name].reason) == ("cancelled", "task 'bad' failed")
    assert "endless" in cleaned


@given(st.data())
def test_exactly_what_depends_on_a_failure_is_skipped(data):
    size = data.draw(st.integers(1, 12))
    edges = {n: sorted(data.draw(st.sets(st.integers(0, n - 1), max_size=3))) if n else [] for n in range(size)}
    failing = data.draw(st.sets(st.integers(0, size - 1), max_size=3))
    executed = []

    async def work(ctx: TaskContext) -> None:
        executed.append(int(ctx.task[1:]))
        await asyncio.sleep(0)
        if int(ctx.task[1:]) in failing:
            raise ValueError(ctx.task)

    wf = WorkflowBuilder("random", max_parallel=data.draw(st.none() | st.integers(1, 3)))
    for n, waits_for in edges.items():
        wf.add(work, name=f"t{n}", depends_on=[f"t{m}" for m in waits_for])
    result = wf.build().execute_sync()

    expected: dict[int, str] = {}
    for n, waits_for in edges.items():
        lost = any(expected[m] != "succeeded" for m in waits_for)
        expected[n] = "skipped" if lost else "failed" if n in failing else "succeeded"
    assert statuses(result) == {f"t{n}": status for n, status in expected.items()}
    assert sorted(executed) == [n for n, status in expected.items() if status != "skipped"]
    assert (result.status == "failed") == ("failed" in expected.values())


# ------------------------------------------------------------------------------------------------------------- outputs


def test_the_output_of_a_task_without_one_raises_from_its_cause():
    outputs = chain_beside_a_failure().build().execute_sync().outputs
    for name, status, reason in [("bad", "failed", "ValueError: boom"), ("both", "skipped", "task 'bad' failed")]:
        with pytest.raises(
            TaskNotSucceededError, match=rf"'{name}' has no output: it is {status} \({reason}\)\.$"
        ) as e:
            outputs[name]
        assert (e.value.task, e.value.status, str(e.value.__cause__)) == (name, status, "boom.")
    assert isinstance(e.value, KeyError)


def test_an_unknown_output_is_answered_with_the_nearest():
    outputs = chain_beside_a_failure().build().execute_sync().outputs
    with pytest.raises(NotFoundError, match=r"no task 'god'.*'good'") as caught:
        outputs["god"]
    assert not isinstance(caught.value, TaskNotSucceededError)


def test_outputs_are_a_mapping_of_what_succeeded():
    outputs = chain_beside_a_failure().build().execute_sync().outputs
    assert isinstance(outputs, Mapping)
    assert dict(outputs) == {"good": "good", "after-good": "after-good"}
    assert (len(outputs), "good" in outputs, "bad" in outputs, "nothing" in outputs) == (2, True, False, False)
    assert outputs.get("bad", "default") == outputs.get("nothing", "default") == "default"
    assert repr(outputs) == "<outputs of good, after-good>"


def test_raise_for_status_returns_the_result_or_raises_from_the_first_failure():
    wf = WorkflowBuilder("relax").add(fine, name="a")
    result = wf.build().execute_sync()
    assert result.raise_for_status() is result

    wf.add(boom, name="bad").add(async_boom, name="worse", depends_on=["a"])
    result = wf.build().execute_sync()
    with pytest.raises(
        TaskFailedError, match=r"^Task '\w+' of workflow 'relax' failed: ValueError: boom\. '\w+' failed, too\.$"
    ) as e:
        result.raise_for_status()
    assert sorted(e.value.failed) == ["bad", "worse"]
    assert e.value.__cause__ is result.tasks[e.value.task].error
    again = pickle.loads(pickle.dumps(e.value))
    assert (str(again), again.failed) == (str(e.value), e.value.failed)


@pytest.mark.parametrize("how", ["execute", "execute_sync"])
def test_check_raises_as_raise_for_status_does(how):
    spec = WorkflowBuilder("relax").add(boom).build()
    with pytest.raises(TaskFailedError, match="'boom' of workflow 'relax' failed: ValueError: boom"):
        if how == "execute":
            asyncio.run(spec.execute(check=True))
        else:
            spec.execute_sync(check=True)


def test_a_traceback_leads_to_the_line_in_the_task():
    for task in (boom, async_boom):
        error = WorkflowBuilder("relax").add(task, name="t").build().execute_sync().tasks["t"].error
        assert error is not None
        trace = error.__traceback__
        while trace is not None and trace.tb_next is not None:
            trace = trace.tb_next
        assert trace is not None
        assert trace.tb_frame.f_code is task.__code__


# -------------------------------------------------------------------------------------------------- whatever is raised


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no comment")


class Root(BaseException):
    pass


RAISED = [
    (ValueError("plain"), "ValueError: plain"),
    (ValueError(), "ValueError"),
    (Mute(), "Mute: <str() of it raised RuntimeError>"),
    (Root("root"), "Root: root"),
    (SystemExit(3), "SystemExit: 3"),
    (GeneratorExit("stop"), "GeneratorExit: stop"),
    (StopIteration("stop"), "StopIteration: stop"),
    (StopAsyncIteration("stop"), "StopAsyncIteration: stop"),
    (asyncio.CancelledError(), "it raised CancelledError"),
    (TimeoutError("mine"), "TimeoutError: mine"),
    (ExceptionGroup("group", [ValueError("a")]), "ExceptionGroup: group (1 sub-exception)"),
    (BaseExceptionGroup("group", [Root("a")]), "BaseExceptionGroup: group (1 sub-exception)"),
    (ValueError("x" * 10_000), "ValueError: " + "x" * (1024 - len("ValueError: "))),
]


@pytest.mark.parametrize("kind", ["plain", "async"])
@pytest.mark.parametrize(("error", "reason"), RAISED, ids=lambda value: type(value).__name__)
def test_an_error_of_any_kind_fails_its_own_task_alone(kind, error, reason):
    def plain(ctx: TaskContext) -> None:
        raise error

    async def coroutine(ctx: TaskContext) -> None:
        raise error

    wf = WorkflowBuilder("relax").add(fine, name="good").add(plain if kind == "plain" else coroutine, name="bad")
    wf.add(fine, name="after", depends_on=["bad"])
    result = wf.build().execute_sync()
    assert statuses(result) == {"good": "succeeded", "bad": "failed", "after": "skipped"}
    assert result.tasks["bad"].error is error
    assert result.tasks["bad"].reason == reason


@pytest.mark.parametrize("kind", ["plain", "async", "mapped"])
def test_a_keyboard_interrupt_ends_everything(kind):
    """Whoever raises it; under a signal, see the file on cancelling."""
    ended = []

    def plain(ctx: TaskContext) -> None:
        raise KeyboardInterrupt

    async def coroutine(ctx: TaskContext) -> None:
        raise KeyboardInterrupt

    async def endless(ctx: TaskContext) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(ctx.task)

    wf = WorkflowBuilder("relax").add(endless)
    wf.add(lambda ctx: [1, 2], name="list")
    wf.add(plain if kind == "plain" else coroutine, name="bad", map_over="list" if kind == "mapped" else None)
    for execute in (wf.build().execute_sync, lambda: wf.build().start().result(WAIT)):
        ended.clear()
        with pytest.raises(KeyboardInterrupt):
            execute()
        assert ended == ["endless"]


def test_a_task_that_cancels_itself_has_failed(wf):
    async def odd(ctx: TaskContext) -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.Event().wait()

    wf.add(odd, retries=1, backoff=0).add(fine, name="good")
    assert statuses(wf.build().execute_sync()) == {"odd": "failed", "good": "succeeded"}


def test_an_error_of_a_listener_is_raised(wf):
    def listener(name: str, outcome: Any) -> None:
        raise ZeroDivisionError(name)

    wf.add(fine, name="a").add(fine, name="b")
    with pytest.raises(ZeroDivisionError):
        wf.build().execute_sync(listener=listener)


# --------------------------------------------------------------------------------------------------- other event loops


def test_event_loops_other_than_asyncios_are_refused_with_advice():
    """As trio drives it: by hand, and with no loop of asyncio's running."""
    workflow = WorkflowBuilder("relax").add(fine).build()
    handle = workflow.start()
    for awaitable in (workflow.execute(), handle):
        with pytest.raises(me.WorkflowError, match=r"trio\.to_thread\.run_sync"):
            awaitable.__await__().send(None)
    assert handle.result(WAIT).status == "succeeded"
