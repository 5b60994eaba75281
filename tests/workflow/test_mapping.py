"""Fan-out over a list that is known only when it is there, and the reduction after it."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from molexp.errors import TaskFailedError, TaskNotSucceededError
from molexp.workflow import TaskContext, WorkflowBuilder

WAIT = 300


def double(ctx: TaskContext) -> Any:
    return ctx.inputs * 2


async def async_double(ctx: TaskContext) -> Any:
    return ctx.inputs * 2


def mapped(items: Any, task: Any = async_double, **options: Any) -> Any:
    wf = WorkflowBuilder("map", **options).add(lambda ctx: items, name="list").add(task, name="each", map_over="list")
    wf.add(lambda ctx: ctx.inputs, name="reduced", depends_on=["each"])
    return wf.build().execute_sync()


@pytest.mark.parametrize("task", [double, async_double])
def test_a_task_is_executed_for_each_item_and_the_next_gets_the_list(task):
    result = mapped([3, 1, 2], task)
    assert result.outputs["each"] == result.outputs["reduced"] == [6, 2, 4]
    items = result.tasks["each"].items
    assert [(item.name, item.output, item.succeeded) for item in items] == [
        ("each[0]", 6, True),
        ("each[1]", 2, True),
        ("each[2]", 4, True),
    ]


@pytest.mark.parametrize("items", [(1, 2), range(1, 3), {1: "a", 2: "b"}.keys(), iter([1, 2])])
def test_every_iterable_can_be_mapped_over(items):
    assert mapped(items).outputs["reduced"] == [2, 4]


def test_an_iterator_is_used_up_once_for_all(wf):
    wf.add(lambda ctx: (n for n in range(3)), name="numbers")
    for name in ("a", "b", "c"):
        wf.add(double, name=name, map_over="numbers")
    wf.add(lambda ctx: ctx.input("numbers"), name="seen", depends_on=["numbers", "a"])
    outputs = wf.build().execute_sync(check=True).outputs
    assert [outputs[name] for name in ("a", "b", "c", "seen", "numbers")] == [[0, 2, 4]] * 3 + [[0, 1, 2]] * 2


def test_mapping_over_no_items_gives_an_empty_list():
    result = mapped([])
    assert (result.status, result.outputs["each"], result.outputs["reduced"]) == ("succeeded", [], [])
    assert result.tasks["each"].items == ()


@pytest.mark.parametrize(
    ("items", "kind"), [("text", "str"), (b"bytes", "bytes"), ({"a": 1}, "dict"), (3, "int"), (None, "NoneType")]
)
def test_outputs_that_are_not_lists_cannot_be_mapped_over(items, kind):
    result = mapped(items)
    error = result.tasks["each"].error
    assert isinstance(error, TypeError)
    assert f"'each' maps over the output of 'list', which is of type {kind}" in str(error)
    assert result.tasks["reduced"].status == "skipped"


def test_a_generator_that_raises_fails_the_task():
    def numbers() -> Any:
        yield 1
        raise ValueError("no more")

    result = mapped(numbers())
    assert (result.tasks["list"].status, result.tasks["each"].status) == ("succeeded", "failed")
    assert str(result.tasks["each"].error) == "no more"


def test_a_thousand_items():
    assert mapped(range(1000)).outputs["reduced"] == [2 * n for n in range(1000)]


def test_an_item_knows_its_index_and_the_other_inputs(wf):
    wf.add(lambda ctx: ["x", "y"], name="list").add(lambda ctx: 10, name="other")

    def look(ctx: TaskContext) -> Any:
        return ctx.index, ctx.task, ctx.label, ctx.inputs, ctx.input("list"), ctx.input("other")

    wf.add(look, name="each", depends_on=["other"], map_over="list")
    wf.add(lambda ctx: (ctx.index, ctx.inputs), name="once", depends_on=["list"])
    outputs = wf.build().execute_sync(check=True).outputs
    assert outputs["each"] == [
        (0, "each", "each[0]", {"other": 10, "list": "x"}, "x", 10),
        (1, "each", "each[1]", {"other": 10, "list": "y"}, "y", 10),
    ]
    assert outputs["once"] == (None, ["x", "y"])


def test_map_over_takes_a_function_too_and_may_be_a_dependency_as_well(wf):
    @wf.task
    def numbers(ctx: TaskContext) -> list[int]:
        return [1, 2]

    wf.add(lambda ctx: 3, name="other")
    wf.add(lambda ctx: list(ctx.inputs.items()), name="each", depends_on=[numbers, "other"], map_over=numbers)
    assert wf.build().execute_sync(check=True).outputs["each"] == [
        [("numbers", 1), ("other", 3)],
        [("numbers", 2), ("other", 3)],
    ]


def test_a_mapped_task_can_be_mapped_over(wf):
    wf.add(lambda ctx: [1, 2, 3], name="list").add(double, name="twice", map_over="list")
    wf.add(async_double, name="four-times", map_over="twice")
    wf.add(lambda ctx: sum(ctx.inputs), name="sum", depends_on=["four-times"])
    assert wf.build().execute_sync(check=True).outputs["sum"] == 24


def test_items_run_at_the_same_time():
    meeting = threading.Barrier(3)
    result = mapped(range(3), lambda ctx: meeting.wait(WAIT))
    assert sorted(result.outputs["each"]) == [0, 1, 2]


@pytest.mark.parametrize("limit", [1, 3])
def test_max_parallel_counts_the_items_of_all_mapped_tasks_together(limit):
    wf = WorkflowBuilder("limited", max_parallel=limit)
    now = most = 0

    async def work(ctx: TaskContext) -> Any:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0)
        now -= 1
        return ctx.inputs

    wf.add(lambda ctx: list(range(10)), name="list")
    wf.add(work, name="a", map_over="list").add(work, name="b", map_over="list").add(
        work, name="c", depends_on=["list"]
    )
    outputs = wf.build().execute_sync(check=True).outputs
    assert outputs["a"] == outputs["b"] == list(range(10))
    assert most == limit


# ------------------------------------------------------------------------------------------------------------ failures


def picky(ctx: TaskContext) -> Any:
    if ctx.inputs in (3, 5):
        raise ValueError(f"not {ctx.inputs}")
    return ctx.inputs


def test_an_item_that_fails_is_named_with_its_index_and_the_others_finish():
    result = mapped(range(8), picky)
    each = result.tasks["each"]
    assert (each.status, each.reason) == ("failed", "each[3]: ValueError: not 3")
    assert [item.status for item in each.items] == ["failed" if n in (3, 5) else "succeeded" for n in range(8)]
    assert each.items[4].output == 4
    with pytest.raises(TaskFailedError, match=r"'each' .*each\[3\]: ValueError: not 3") as failed:
        result.raise_for_status()
    assert str(failed.value.__cause__) == "not 3"
    with pytest.raises(TaskNotSucceededError, match=r"'reduced' has no output: it is skipped"):
        result.outputs["reduced"]


def test_with_the_policy_cancel_an_item_that_fails_cancels_the_others():
    def gate(ctx: TaskContext) -> Any:
        if ctx.inputs == 2:
            raise ValueError("no")
        while not ctx.cancelled:
            threading.Event().wait(0.001)
        return None

    for task in (gate,):
        each = mapped(range(5), task, on_failure="cancel").tasks["each"]
        assert (each.status, each.reason) == ("failed", "each[2]: ValueError: no")
        assert [item.status for item in each.items] == ["cancelled", "cancelled", "failed", "cancelled", "cancelled"]
        assert {item.reason for item in each.items if item.status == "cancelled"} == {"each[2] failed"}


def test_with_the_policy_cancel_items_that_have_not_started_never_do():
    executed = []

    async def work(ctx: TaskContext) -> None:
        executed.append(ctx.index)
        raise ValueError("no")

    each = mapped(range(100), work, on_failure="cancel", max_parallel=1).tasks["each"]
    assert executed == [0]
    assert [item.status for item in each.items] == ["failed"] + ["cancelled"] * 99


def test_each_item_has_its_own_retries(wf):
    tries: dict[int, int] = {}

    def work(ctx: TaskContext) -> Any:
        tries[ctx.inputs] = ctx.retry
        if ctx.retry < ctx.inputs:
            raise ValueError(ctx.inputs)
        return ctx.inputs

    wf.add(lambda ctx: [0, 1, 2], name="list").add(work, name="each", map_over="list", retries=2, backoff=0)
    result = wf.build().execute_sync(check=True)
    assert tries == {0: 0, 1: 1, 2: 2}
    assert (result.tasks["each"].retries, [item.retries for item in result.tasks["each"].items]) == (3, [0, 1, 2])


def test_each_item_has_its_own_timeout(wf):
    async def work(ctx: TaskContext) -> Any:
        if ctx.index == 1:
            await asyncio.Event().wait()
        return ctx.inputs

    wf.add(lambda ctx: [0, 1, 2], name="list").add(work, name="each", map_over="list", timeout=0.05)
    each = wf.build().execute_sync().tasks["each"]
    assert [item.status for item in each.items] == ["succeeded", "failed", "succeeded"]
    assert each.reason.startswith("each[1]: TaskTimeoutError")


def test_a_mapped_task_that_waits_for_a_failed_one_is_skipped(wf):
    wf.add(lambda ctx: 1 / 0, name="list").add(double, name="each", map_over="list")
    assert wf.build().execute_sync().tasks["each"].status == "skipped"
