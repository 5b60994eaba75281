"""Each task has a record, and the record has a price."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from molexp.errors import NotFoundError
from molexp.workflow import WorkflowBuilder


def records(run):
    """The newest record of each task, as its asset tells it."""
    return run.asset("execution-state", kind="execution_state").load()["tasks"]


def diamond(**options):
    """``top`` before ``left``, which fails, and ``right``, before ``bottom``."""
    wf = WorkflowBuilder("diamond", **options)

    @wf.task
    def top(ctx):
        return {"n": 3}

    @wf.task(depends_on=[top], retries=1, backoff=0)
    def left(ctx):
        raise ValueError("left is broken")

    @wf.task(depends_on=[top])
    def right(ctx):
        return {1, 2}

    @wf.task(depends_on=[left, right])
    def bottom(ctx):
        return ctx.inputs

    return wf.build()


def test_status_times_retries_hashes_and_output(run):
    workflow = diamond()
    result = workflow.execute_sync(run=run)

    state = run.asset("execution-state").load()
    recorded = dict(state["workflow"])
    assert len(recorded.pop("graph")) == 64
    assert recorded == {
        "name": "diamond",
        "workflow_id": workflow.workflow_id,
        "tasks": list(workflow.tasks),
    }
    top, left, right, bottom = (state["tasks"][name] for name in ("top", "left", "right", "bottom"))
    assert (top["status"], top["retries"], top["output"]) == ("succeeded", 0, {"n": 3})
    assert top["started_at"].endswith("Z")
    assert top["at"] >= top["started_at"]
    assert 0 <= top["seconds"] < 3600
    assert len({top["code"], left["code"], right["code"], bottom.get("code")}) == 4
    assert top["inputs"] != left["inputs"] == right["inputs"]
    assert (left["status"], left["retries"], left["reason"]) == ("failed", 1, "ValueError: left is broken")
    assert left["error"]["trace"] == run.asset("tasks/left/error-trace-1").id
    assert right["status"] == "succeeded"
    assert "output is of type set" in right["not_restorable"]
    assert (bottom["status"], bottom["reason"]) == ("skipped", "task 'left' failed")
    assert result.tasks["top"].restorable
    assert result.tasks["right"].restorable is False


def test_the_end_and_the_asset_say_the_same(place, run):
    diamond().execute_sync(run=run)

    end = place.document("projects/metals/experiments/cu/runs/one/executions/1.end.json")
    assert end["tasks"] == records(run)
    assert end["workflow"] == run.asset("execution-state").load()["workflow"]


def test_its_payload_is_the_attempt_s_own_events(lab, lab_run):
    diamond().execute_sync(run=lab_run)

    asset = lab_run.asset("execution-state")
    assert asset.key == "projects/metals/experiments/cu/runs/one/executions/1.jsonl"
    assert asset.size == (lab.folder / asset.key).stat().st_size
    assert not list(lab.workspace().fsck().findings)


def test_an_attempt_that_is_going_on_shows_its_tasks(lab_run):
    seen = []
    wf = WorkflowBuilder("watching")

    @wf.task
    def first(ctx):
        return 1

    @wf.task(depends_on=[first])
    def second(ctx):
        seen.append({name: record["status"] for name, record in records(lab_run).items()})
        seen.append(lab_run.execution_history[0]["tasks"])

    wf.build().execute_sync(run=lab_run, check=True)

    assert seen == [{"first": "succeeded", "second": "running"}, {"running": 1, "succeeded": 1}]


def test_an_outcome_is_in_the_store_when_the_next_task_starts(place, run):
    """Also where nothing can be appended, and events wait for a flush otherwise."""
    seen = []
    wf = WorkflowBuilder("watching")
    wf.add(lambda ctx: 1, name="first")
    wf.add(lambda ctx: seen.append(_in_store(place)), name="second", depends_on=["first"])

    wf.build().execute_sync(run=run, check=True)

    assert seen == [["first"]]


def test_an_outcome_is_in_the_store_when_somebody_is_told(place, run):
    seen = []
    wf = WorkflowBuilder("telling")
    for name in ("first", "second", "third"):
        wf.add(lambda ctx: 1, name=name)

    def listener(name, outcome):
        if outcome is not None:
            seen.append(name in _in_store(place))

    wf.build().execute_sync(run=run, check=True, listener=listener)

    assert seen == [True] * 3


def together(*blocking):
    """``quick`` and then ``blocking``, which calls functions, end in one step of the event loop."""
    wf, gate = WorkflowBuilder("together"), []

    async def at_the_gate():
        gate.append(asyncio.Event())
        await gate[-1].wait()

    @wf.task
    async def quick(ctx):
        await at_the_gate()

    @wf.task
    async def slow(ctx):
        await at_the_gate()
        for function in blocking:
            function()

    @wf.task
    async def opens(ctx):
        for event in gate:
            event.set()

    return wf.build()


def test_an_outcome_is_soon_in_the_store_though_another_task_blocks_the_event_loop(place, run, monkeypatch):
    monkeypatch.setenv("MOLEXP_LEASE_BEAT", "0.02")
    seen: list[str] = []

    def block():
        until = time.monotonic() + 300
        while "quick" not in seen and time.monotonic() < until:
            time.sleep(0.01)
            seen[:] = _in_store(place)

    together(block).execute_sync(run=run, check=True)

    assert "quick" in seen


@pytest.mark.skipif(
    sys.version_info >= (3, 14), reason="asyncio of Python 3.14 never leaves a forked child's event loop"
)
def test_a_forked_process_does_not_write_what_waits(lab, lab_run):
    us = os.getpid()

    def fork():
        if (child := os.fork()) == 0:
            sys.exit()
        os.waitpid(child, 0)

    try:
        together(fork).execute_sync(run=lab_run, check=True)
    finally:
        if os.getpid() != us:
            os._exit(0)

    events = Path(lab.url, "projects/metals/experiments/cu/runs/one/executions/1.jsonl").read_text()
    assert events.count('"status":"succeeded"') == 3


def test_outcomes_that_come_together_are_sent_together(place, run):
    wf = WorkflowBuilder("mapping")
    wf.add(lambda ctx: [*range(100)], name="numbers")

    async def square(ctx):
        return ctx.inputs**2

    wf.add(square, map_over="numbers")

    with _counted(run) as calls:
        wf.build().execute_sync(run=run, check=True)

    assert calls["create"] < 20  # without append, a segment each
    assert calls["append"] <= 100 + 20  # with it, their starts


def _in_store(place):
    """The tasks whose success is in the store, for whoever looks from outside."""
    lines = b"\n".join(place.everything().values()).splitlines()
    events = [json.loads(line) for line in lines if line.startswith(b'{"type":"task"')]
    return [event["task"] for event in events if event["status"] == "succeeded"]


def test_what_was_being_executed_when_the_attempt_ended_no_longer_is(place, run):
    with run.start() as ctx:
        ctx._coordinator.record({"type": "task", "task": "only", "status": "running"})

    end = place.document("projects/metals/experiments/cu/runs/one/executions/1.end.json")
    assert end["tasks"]["only"]["status"] == "interrupted"


@pytest.mark.parametrize("policy", ["finish", "cancel"])
def test_the_rest_of_a_level_finishes_or_is_cancelled(run, policy):
    wf = WorkflowBuilder("level", on_failure=policy)

    @wf.task
    def broken(ctx):
        raise ValueError

    @wf.task
    async def slow(ctx):
        if policy == "cancel":
            await asyncio.Event().wait()
        return 1

    @wf.task(depends_on=[slow])
    def after(ctx):
        return 2

    result = wf.build().execute_sync(run=run)

    expected = "succeeded" if policy == "finish" else "cancelled"
    assert {name: record["status"] for name, record in records(run).items()} == {
        "broken": "failed",
        "slow": expected,
        "after": expected,
    }
    assert result.status == run.status == "failed"


def test_items_of_mapped_tasks_have_records_of_their_own(run):
    wf = WorkflowBuilder("fan")

    @wf.task
    def items(ctx):
        return [1, 2, 0]

    @wf.task(map_over=items)
    def each(ctx):
        return 1 / ctx.inputs

    result = wf.build().execute_sync(run=run)

    found = records(run)
    assert found["each[0]"]["output"] == 1.0
    assert found["each[2]"]["status"] == "failed"
    assert found["each[2]"]["error"]["trace"] == run.asset("tasks/each[2]/error-trace").id
    assert found["each"]["status"] == "failed"
    assert found["each"]["items"] == 3
    assert "each[2]" in result.tasks["each"].reason
    assert run.execution_history[0]["error"]["task"] == "each[2]"


def test_large_outputs_are_checkpoints(run):
    large = {"volumes": list(range(5000))}
    wf = WorkflowBuilder("large")
    wf.add(lambda ctx: large, name="only")
    wf.build().execute_sync(run=run)

    record = records(run)["only"]
    asset = run.asset("outputs/only.json")
    assert record["saved"] == {"$asset": asset.id}
    assert "output" not in record
    assert asset.kind == "checkpoint"
    assert asset.load() == {"output": large}


def test_a_large_output_is_not_the_latest_checkpoint_of_a_user(run):
    wf = WorkflowBuilder("large")
    wf.add(lambda ctx: ctx.checkpoint.save("mine", b"weights"), name="first")
    wf.add(lambda ctx: "a" * 9000, name="second", depends_on=["first"])
    found = []
    wf.add(lambda ctx: found.append(ctx.checkpoint.latest().name), name="third", depends_on=["second"])

    wf.build().execute_sync(run=run, check=True)

    assert found == ["mine"]


def test_two_large_outputs_under_names_that_are_one_on_some_disks(run):
    wf = WorkflowBuilder("large")
    wf.add(lambda ctx: "a" * 9000, name="Only")
    wf.add(lambda ctx: ctx.checkpoint.save("outputs/other.json", {}), name="third")
    wf.add(lambda ctx: "b" * 9000, name="other", depends_on=["third"])

    result = wf.build().execute_sync(run=run, check=True)

    assert result.outputs["other"] == "b" * 9000
    assert not result.tasks["other"].restorable
    assert "third" in records(run)["other"]["not_restorable"]


def test_nothing_is_recorded_in_memory():
    result = diamond().execute_sync()

    assert result.run is None
    assert result.tasks["top"].restorable is None


def test_a_run_without_a_workflow_has_no_state(run):
    with run.start():
        pass
    with pytest.raises(NotFoundError):
        run.asset("execution-state")


# ---------------------------------------------------------------------------------------------------------- what it costs


def test_a_task_adds_two_lines_to_the_journal_and_no_file(lab, lab_run):
    """300 of them: whatever each did would show."""
    wf = WorkflowBuilder("many")
    for number in range(300):
        wf.add(lambda ctx: ctx.task, name=f"task{number}", depends_on=[f"task{number - 1}"] if number % 30 else [])
    workflow = wf.build()
    before = _files(lab.folder)

    with _counted(lab_run) as calls:
        workflow.execute_sync(run=lab_run, check=True)

    appends = calls.pop("append")
    assert appends <= 300 + 20  # the end of one with the start of the next
    assert sum(calls.values()) < 60, calls
    assert len(_files(lab.folder) - before) < 12
    lines = Path(lab.url, "projects/metals/experiments/cu/runs/one/executions/1.jsonl").read_text().splitlines()
    assert Counter(json.loads(line)["type"] for line in lines)["task"] == 600


def test_a_resume_reads_each_attempt_once(lab_run):
    wf = WorkflowBuilder("many")
    for number in range(100):
        wf.add(lambda ctx: ctx.task, name=f"task{number}")
    workflow = wf.build()
    workflow.execute_sync(run=lab_run, check=True)

    with _counted(lab_run) as calls:
        result = workflow.execute_sync(run=lab_run, resume=True)

    assert result.executed == ()
    assert calls["read"] < 15, calls
    assert calls["append"] < 20  # all of them are taken over together


def _files(folder):
    return {str(path) for path in folder.rglob("*") if path.is_file()}


class _counted:
    """Counts the operations of a run's store while they really happen."""

    def __init__(self, run):
        self.store = run._session.store
        self.calls: Counter[str] = Counter()

    def __enter__(self):
        for name in ("read", "write", "create", "stat", "exists", "delete", "list", "children", "append", "sync"):
            setattr(self.store, name, self._counting(name, getattr(self.store, name)))
        self._open_append = self.store.open_append
        self.store.open_append = self._opened
        return self.calls

    def _counting(self, name, function):
        def count(*args, **options):
            self.calls[name] += 1
            return function(*args, **options)

        return count

    def _opened(self, *args, **options):
        self.calls["open_append"] += 1
        appender = self._open_append(*args, **options)
        appender_write = appender.write
        return _Appender(appender, self._counting("append", appender_write))

    def __exit__(self, *_):
        for name in ("read", "write", "create", "stat", "exists", "delete", "list", "children", "append", "sync"):
            delattr(self.store, name)
        del self.store.open_append


class _Appender:
    def __init__(self, inner, write):
        self._inner = inner
        self.write = write

    def __getattr__(self, name):
        return getattr(self._inner, name)


def test_the_count_of_calls_sees_an_append(lab_run):
    with _counted(lab_run) as calls, lab_run.start() as ctx:
        ctx.set_result("x", os.getpid())
    assert calls["append"] >= 1
