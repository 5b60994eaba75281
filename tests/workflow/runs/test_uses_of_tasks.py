"""A use of an asset is recorded as the task's, wherever the task is executed."""

from __future__ import annotations

import threading

import msgspec
import pytest

import molexp as me
from molexp.errors import TaskTimeoutError
from tests.workflow.runs import process_tasks as tasks
from tests.workflow.runs.process_tasks import workflow

RUN = "projects/metals/experiments/cu/runs/one"
REFERENCE = "metals/cu:data:reference@1"

everywhere = pytest.mark.parametrize("executor", ["inline", "process"])


@pytest.fixture
def reference(lab_exp, tmp_path):
    (tmp_path / "reference.json").write_text("[1]")
    return lab_exp.data_assets.import_asset("reference", tmp_path / "reference.json")


def by_task(lab, attempt=1):
    """Return what the attempt's end says of each asset: the tasks that used it."""
    found: dict[str, list[str]] = {}
    for said in lab.document(f"{RUN}/executions/{attempt}.end.json").get("used", []):
        assert said["at"]
        found.setdefault(said["asset"], []).append(said.get("task", ""))
    return {asset: sorted(names) for asset, names in found.items()}


@everywhere
def test_a_use_is_recorded_for_the_task_that_made_it(lab, lab_run, reference, executor):
    workflow(
        (tasks.finding, {"executor": executor}),
        (tasks.opening, {"executor": executor}),
        (tasks.opening_async, {"executor": executor}),
        (tasks.receiving, {"executor": executor, "depends_on": ["finding"]}),
        (tasks.numbers, {"executor": executor}),
    ).execute_sync(run=lab_run, check=True)

    assert by_task(lab) == {REFERENCE: ["finding", "opening", "opening_async", "receiving"]}
    assert lab_run.execution_history[0]["used"] == [REFERENCE]
    folder = lab.folder / RUN / "executions"
    files = folder.glob("1/w-*.jsonl") if executor == "process" else [folder / "1.jsonl"]
    lines = [line for file in files for line in file.read_bytes().splitlines() if b'"used"' in line]
    events = [msgspec.json.decode(line) for line in lines]
    assert len(events) == 4, "once for each task"
    assert {event["asset"] for event in events} == {REFERENCE}


@everywhere
def test_a_use_is_recorded_for_the_item_that_made_it(lab, lab_run, reference, executor):
    workflow(
        (tasks.numbers, {"executor": "inline"}), (tasks.opening_item, {"map_over": "numbers", "executor": executor})
    ).execute_sync(run=lab_run, check=True)

    assert by_task(lab) == {REFERENCE: ["opening_item[2]", "opening_item[3]"]}


@pytest.mark.parametrize(("executor", "how"), [("inline", "raise"), ("process", "raise"), ("process", "kill")])
def test_a_use_counts_even_if_its_try_does_not(lab, lab_exp, reference, executor, how):
    run = lab_exp.Run({"how": how}, id="one")
    again = (tasks.opening_once, {"executor": executor, "retries": 1, "backoff": 0})
    workflow(again).execute_sync(run=run, check=True)

    assert by_task(lab) == {REFERENCE: ["opening_once"]}


@everywhere
def test_what_another_task_of_the_attempt_made_is_not_used(lab, lab_run, executor):
    workflow(
        (tasks.stubborn, {"executor": executor, "retries": 2, "backoff": 0}),
        (tasks.find_state, {"executor": executor, "depends_on": ["stubborn"]}),
    ).execute_sync(run=lab_run, check=True)

    assert by_task(lab) == {}


def test_that_a_resume_reads_an_output_is_no_use(lab, lab_run, reference):
    def large(ctx):
        tasks.opening(ctx)
        return "x" * 20_000

    spec = workflow((large, {"executor": "inline"}))
    spec.execute_sync(run=lab_run, check=True)
    again = spec.execute_sync(run=lab_run, resume=True, check=True)

    assert again.executed == ()
    assert len(again.outputs["large"]) == 20_000
    assert by_task(lab, 1) == {REFERENCE: ["large"]}
    assert by_task(lab, 2) == {}


def test_a_thread_that_nobody_waits_for_reads_on(lab, lab_run, reference):
    over, done, read = threading.Event(), threading.Event(), []

    def slow(ctx):
        over.wait()
        read.append(ctx.asset("reference").read_bytes())
        read.append(tasks.opening(ctx))
        done.set()

    with lab_run.start() as ctx:
        result = workflow((slow, {"executor": "inline", "timeout": 0.05})).execute_sync(run=ctx)
        assert isinstance(result.tasks["slow"].error, TaskTimeoutError)
        over.set()
        assert done.wait(300)

    assert read == [b"[1]", b"[1]"]
    assert by_task(lab) == {}


@pytest.mark.parametrize("block", [True, False], ids=["in its block", "without a block"])
def test_in_an_attempt_that_is_open_tasks_and_the_rest_are_told_apart(lab, lab_run, reference, block):
    spec = workflow((tasks.opening, {"executor": "inline"}))
    if block:
        with lab_run.start() as ctx:
            reference.read_bytes()
            spec.execute_sync(run=ctx)
            reference.read_bytes()
    else:
        ctx = lab_run.start()
        spec.execute_sync(run=ctx)
        ctx.asset("reference")
        ctx.finish()

    assert by_task(lab) == {REFERENCE: ["", "opening"]}


def test_tasks_in_memory_use_for_the_run_around_them(lab, lab_run, reference):
    def only(ctx):
        assert ctx.find_asset("reference") is None
        return reference.read_bytes()

    spec = workflow((only, {"executor": "inline"}))
    assert spec.execute_sync(check=True).outputs["only"] == b"[1]"
    with lab_run.start():
        spec.execute_sync(check=True)

    assert by_task(lab) == {REFERENCE: [""]}


def test_without_append_it_is_the_same(tmp_path):
    (tmp_path / "reference.json").write_text("[1]")
    ws = me.Workspace(f"memory://uses-{tmp_path.name}", storage_options={"append": False})
    exp = ws.Project("metals").Experiment("cu")
    exp.data_assets.import_asset("reference", tmp_path / "reference.json")
    run = exp.Run(id="one")
    workflow((tasks.finding, {"executor": "inline"}), (tasks.opening, {"executor": "inline"})).execute_sync(
        run=run, check=True
    )

    end = msgspec.json.decode(ws._session.store.read(f"{RUN}/executions/1.end.json"))
    assert {said["asset"] for said in end["used"]} == {REFERENCE}
    assert sorted(said["task"] for said in end["used"]) == ["finding", "opening"]
