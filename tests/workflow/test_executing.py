"""Executing a workflow in memory: which task when, where, and with what."""

from __future__ import annotations

import asyncio
import contextvars
import json
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given

import molexp as me
from molexp.errors import NotFoundError, PluginMissingError
from molexp.workflow import TaskContext, WorkflowBuilder

WAIT = 300  # seconds; nothing here takes long, but a test must not hang


# ---------------------------------------------------------------------------------------------------------------- when


def test_a_task_starts_when_its_own_upstreams_are_done_not_when_a_level_is(wf):
    done = asyncio.Event()

    @wf.task
    async def quick(ctx: TaskContext) -> None: ...

    @wf.task
    async def slow(ctx: TaskContext) -> None:
        await asyncio.wait_for(done.wait(), WAIT)  # a schedule by levels would never get further

    @wf.task(depends_on=[quick])
    async def after_quick(ctx: TaskContext) -> None:
        done.set()

    wf.add(lambda ctx: "last", name="last", depends_on=[slow, after_quick])
    assert wf.build().execute_sync(check=True).outputs["last"] == "last"


def test_plain_functions_run_in_parallel_and_off_the_event_loop(wf):
    meeting = threading.Barrier(3)
    threads = set()

    def meet(ctx: TaskContext) -> None:
        threads.add(threading.current_thread())
        meeting.wait(WAIT)

    wf.add(meet, name="a").add(meet, name="b")

    @wf.task
    async def on_the_loop(ctx: TaskContext) -> threading.Thread:
        await asyncio.to_thread(meeting.wait, WAIT)  # the loop is free while they wait
        return threading.current_thread()

    result = wf.build().execute_sync(check=True)
    assert result.outputs["on_the_loop"] is threading.current_thread()
    assert len(threads) == 2
    assert threading.current_thread() not in threads


def test_coroutines_run_at_the_same_time_on_one_loop(wf):
    here: list[str] = []
    both = asyncio.Event()

    async def meet(ctx: TaskContext) -> None:
        here.append(ctx.task)
        if len(here) == 2:
            both.set()
        await asyncio.wait_for(both.wait(), WAIT)

    wf.add(meet, name="a").add(meet, name="b")
    assert wf.build().execute_sync().status == "succeeded"


@pytest.mark.parametrize("limit", [1, 3])
@pytest.mark.parametrize("kind", ["plain", "async"])
def test_max_parallel_is_respected(limit, kind):
    wf = WorkflowBuilder("limited", max_parallel=limit)
    lock = threading.Lock()
    now = most = 0

    def enter() -> None:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)

    def leave() -> None:
        nonlocal now
        with lock:
            now -= 1

    def plain(ctx: TaskContext) -> None:
        enter()
        leave()

    async def coroutine(ctx: TaskContext) -> None:
        enter()
        await asyncio.sleep(0)
        leave()

    for number in range(12):
        wf.add(plain if kind == "plain" else coroutine, name=f"t{number}")
    assert len(wf.build().execute_sync(check=True).outputs) == 12
    assert most <= limit
    if kind == "async":
        assert most == limit


def test_long_chains_and_wide_fans_need_no_recursion():
    wf = WorkflowBuilder("long")
    for number in range(5000):

        async def count(ctx: TaskContext) -> int:
            return (ctx.inputs or 0) + 1

        wf.add(count, name=f"t{number}", depends_on=[f"t{number - 1}"] if number else [])

    async def total(ctx: TaskContext) -> int:
        return len(ctx.inputs)

    for number in range(5000):
        wf.add(total, name=f"f{number}", depends_on=["t0", "t1"])
    wf.add(total, name="all", depends_on=[f"f{number}" for number in range(5000)])
    outputs = wf.build().execute_sync(check=True).outputs
    assert (outputs["t4999"], outputs["all"]) == (5000, 5000)


@given(st.data())
def test_every_task_is_executed_once_and_after_all_its_upstreams(data):
    size = data.draw(st.integers(1, 12))
    edges = {n: sorted(data.draw(st.sets(st.integers(0, n - 1), max_size=4))) if n else [] for n in range(size)}
    plain = data.draw(st.sets(st.integers(0, size - 1), max_size=2))
    limit = data.draw(st.none() | st.integers(1, 3))
    ended: list[str] = []
    counts: Counter[str] = Counter()

    def work(ctx: TaskContext) -> str:
        counts[ctx.task] += 1
        assert set(ctx.upstream) <= set(ended)
        assert list(ctx.upstream) == list(ctx.upstream.values())
        ended.append(ctx.task)
        return ctx.task

    async def async_work(ctx: TaskContext) -> str:
        await asyncio.sleep(0)
        return work(ctx)

    wf = WorkflowBuilder("random", max_parallel=limit)
    for n, waits_for in edges.items():
        wf.add(work if n in plain else async_work, name=f"t{n}", depends_on=[f"t{m}" for m in waits_for])
    result = wf.build().execute_sync(check=True)
    assert counts == dict.fromkeys(result.tasks, 1)
    assert dict(result.outputs) == {name: name for name in result.tasks}
    assert result.executed == tuple(result.tasks)


# --------------------------------------------------------------------------------------------------- context variables

VARIABLE: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")


def test_context_variables_of_the_caller_reach_every_task_and_stay_in_it(wf):
    async def set_it(ctx: TaskContext) -> str:
        seen = VARIABLE.get()
        VARIABLE.set(ctx.task)
        return seen

    def set_it_too(ctx: TaskContext) -> str:
        seen = VARIABLE.get()
        VARIABLE.set(ctx.task)
        return seen

    def promise(ctx: TaskContext) -> Any:
        return set_it(ctx)

    wf.add(set_it, name="a").add(set_it_too, name="b", depends_on=["a"])
    wf.add(set_it, name="c", depends_on=["b"]).add(set_it_too, name="d", depends_on=["c"])
    wf.add(lambda ctx: [1, 2], name="list").add(set_it, name="items", map_over="list")
    wf.add(promise, name="promised", map_over="many").add(lambda ctx: [*range(600)], name="many")
    token = VARIABLE.set("mine")
    try:
        outputs = wf.build().execute_sync(check=True).outputs
        assert VARIABLE.get() == "mine"
        started = wf.build().start().result(WAIT).outputs
    finally:
        VARIABLE.reset(token)
    expected: dict[str, Any] = {
        "a": "mine",
        "b": "mine",
        "c": "mine",
        "d": "mine",
        "list": [1, 2],
        "items": ["mine", "mine"],
    }
    expected |= {"many": [*range(600)], "promised": ["mine"] * 600}  # more than are taken up at a time
    assert dict(outputs) == dict(started) == expected


# -------------------------------------------------------------------------------------------------------------- inputs


def test_inputs_are_none_one_value_or_a_dict_in_order(wf):
    seen: dict[str, Any] = {}

    def look(ctx: TaskContext) -> str:
        seen[ctx.task] = ctx.inputs
        return ctx.task.upper()

    wf.add(look, name="z").add(look, name="a").add(look, name="one", depends_on=["a"])
    wf.add(look, name="two", depends_on=["z", "a"]).add(look, name="three", depends_on=["a", "one", "z"])
    wf.build().execute_sync(check=True)
    assert seen == {
        "z": None,
        "a": None,
        "one": "A",
        "two": {"z": "Z", "a": "A"},
        "three": {"a": "A", "one": "ONE", "z": "Z"},
    }
    assert list(seen["two"]) == ["z", "a"]
    assert list(seen["three"]) == ["a", "one", "z"]


def test_an_input_is_found_by_name_however_many_there_are(wf):
    wf.add(lambda ctx: 1, name="energies").add(lambda ctx: 2, name="other")
    wf.add(lambda ctx: ctx.input("energies"), name="of-one", depends_on=["energies"])
    wf.add(lambda ctx: ctx.input("other"), name="of-two", depends_on=["energies", "other"])
    wf.add(lambda ctx: ctx.input("energy"), name="wrong", depends_on=["energies"])
    result = wf.build().execute_sync()
    assert (result.outputs["of-one"], result.outputs["of-two"]) == (1, 2)
    error = result.tasks["wrong"].error
    assert isinstance(error, NotFoundError)
    assert (error.what, error.name, error.nearest) == ("input", "energy", ("energies",))
    assert "task 'wrong'" in str(error)


def test_an_upstream_that_returns_none_is_still_an_input(wf):
    wf.add(lambda ctx: None, name="a").add(lambda ctx: (ctx.inputs, ctx.input("a")), name="b", depends_on=["a"])
    assert wf.build().execute_sync(check=True).outputs["b"] == (None, None)


def test_params_and_config_are_always_mappings_that_json_takes(wf):
    wf.add(lambda ctx: (json.dumps(ctx.params), json.dumps(ctx.config)), name="a")
    spec = wf.build()
    assert spec.execute_sync().outputs["a"] == ("{}", "{}")
    given = {"a": 1}
    assert spec.execute_sync(params=given, config={"b": 2}).outputs["a"] == ('{"a": 1}', '{"b": 2}')


def test_what_a_task_does_to_its_params_the_caller_does_not_see(wf):
    wf.add(lambda ctx: ctx.params.pop("a"), name="a")
    given = {"a": 1}
    wf.build().execute_sync(params=given)
    assert given == {"a": 1}


@pytest.mark.parametrize("wrong", [{"params": [1]}, {"config": "a"}, {"run": "a/b/c"}, {"resume": True}])
def test_arguments_that_make_no_sense_are_refused_before_anything_runs(wf, wrong):
    wf.add(lambda ctx: pytest.fail("it ran"), name="a")
    with pytest.raises(TypeError, match=next(iter(wrong))):
        wf.build().execute_sync(**wrong)


def test_parameters_and_a_run_are_not_given_together(wf):
    run = me.Workspace("memory://both").Project("p").Experiment("e").Run(id="r")
    wf.add(lambda ctx: pytest.fail("it ran"), name="a")
    with pytest.raises(TypeError, match="its own parameters"):
        wf.build().execute_sync(run=run, params={})
    assert run.status == "pending"


def test_an_unknown_executor_is_named_before_anything_runs(wf):
    wf.add(lambda ctx: pytest.fail("it ran"), name="a").add(lambda ctx: 1, name="b", executor="proces")
    with pytest.raises(PluginMissingError, match=r"'proces'.*'process'"):
        wf.build().execute_sync()


# ------------------------------------------------------------------------------------------------------- without a run


def test_without_a_run_the_helpers_are_harmless_and_return_none(wf, tmp_path):
    @wf.task
    def everything(ctx: Any) -> Any:
        said = ctx.log("relax").append("a line")
        ctx.logger.warning("a word")
        with ctx.artifact.writing("md.traj") as path:
            path.write_text("frames")
        return [
            ctx.run,
            ctx.set_result("n", 1),
            ctx.artifact.save("volumes.json", [1]),
            ctx.checkpoint.save("state", {"step": 1}),
            ctx.save("any", {"a": 1}),
            ctx.metrics.log(step=1, loss=0.5),
            ctx.find_asset("reference"),
            said,
            ctx.cancelled or None,
            ctx.index,
            ctx.retry or None,
        ]

    assert set(wf.build().execute_sync(check=True).outputs["everything"]) == {None}


def test_without_a_run_an_asset_that_must_be_there_is_not(wf):
    wf.add(lambda ctx: ctx.asset("reference"), name="a")
    error = wf.build().execute_sync().tasks["a"].error
    assert isinstance(error, NotFoundError)
    assert "no run" in str(error)


def test_without_a_run_there_is_a_workdir_of_each_task(wf):
    def where(ctx: TaskContext) -> Path:
        assert ctx.shell("echo here > file; exit 3", check=False) == 3
        return ctx.workdir

    wf.add(where, name="a").add(where, name="b")
    outputs = wf.build().execute_sync(check=True).outputs
    assert outputs["a"] != outputs["b"]
    assert {path.joinpath("file").read_text() for path in outputs.values()} == {"here\n"}
    assert Path.cwd() not in outputs.values()


def test_a_task_can_be_called_by_its_tests_with_a_context(wf):
    @wf.task(depends_on=["a"])
    def total(ctx: TaskContext) -> int:
        return int(sum(ctx.inputs) + ctx.params["b"])

    assert total(TaskContext("total", inputs=[1, 2], params={"b": 3})) == 6


# ------------------------------------------------------------------------------------------------- one and many at once


def test_one_workflow_is_executed_many_times_at_once(wf):
    async def upstream(ctx: TaskContext) -> int:
        await asyncio.sleep(0)
        return int(ctx.params["n"])

    wf.add(upstream).add(lambda ctx: ctx.inputs * 10, name="plain", depends_on=[upstream])
    spec = wf.build()

    async def main() -> list[Any]:
        results = await asyncio.gather(*(spec.execute(params={"n": n}) for n in range(20)))
        return [result.outputs["plain"] for result in results]

    assert asyncio.run(main()) == [10 * n for n in range(20)]


def test_one_workflow_is_executed_by_several_threads(wf):
    meeting = threading.Barrier(4)

    def meet(ctx: TaskContext) -> int:
        meeting.wait(WAIT)
        return int(ctx.params["n"])

    spec = wf.add(meet).build()
    found: dict[int, Any] = {}
    threads = [
        threading.Thread(target=lambda n=n: found.update({n: spec.execute_sync(params={"n": n}).outputs["meet"]}))
        for n in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {n: n for n in range(4)}


@pytest.mark.parametrize("kind", ["plain", "async"])
def test_a_task_may_execute_another_workflow(wf, kind):
    inner = WorkflowBuilder("inner").add(lambda ctx: ctx.params["a"] + 1, name="inner").build()

    def plain(ctx: TaskContext) -> Any:
        return inner.execute_sync(params=ctx.params, check=True).outputs["inner"]

    async def coroutine(ctx: TaskContext) -> Any:
        sync = inner.execute_sync(params=ctx.params, check=True).outputs["inner"]
        awaited = (await inner.execute(params=ctx.params, check=True)).outputs["inner"]
        assert sync == awaited
        return sync

    wf.add(plain if kind == "plain" else coroutine, name="outer")
    assert wf.build().execute_sync(params={"a": 1}, check=True).outputs["outer"] == 2


def test_a_loop_that_starts_tasks_eagerly_changes_nothing(wf):
    async def work(ctx: TaskContext) -> int:
        return (ctx.inputs or 0) + 1

    for number in range(2000):
        wf.add(work, name=f"t{number}", depends_on=[f"t{number - 1}"] if number else [])
    spec = wf.build()

    async def main() -> Any:
        if hasattr(asyncio, "eager_task_factory"):
            asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
        return (await spec.start()).outputs["t1999"]

    assert asyncio.run(main()) == 2000


def test_a_listener_hears_of_every_start_and_end(wf):
    heard: list[tuple[str, str]] = []
    wf.add(lambda ctx: 1, name="a").add(lambda ctx: 1 / 0, name="b", depends_on=["a"])
    wf.add(lambda ctx: 1, name="c", depends_on=["b"])
    wf.build().execute_sync(
        listener=lambda name, outcome: heard.append((name, outcome.status if outcome else "starts"))
    )
    assert heard == [("a", "starts"), ("a", "succeeded"), ("b", "starts"), ("b", "failed"), ("c", "skipped")]
