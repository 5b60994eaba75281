"""A workflow under a run: an attempt is started, its tasks are recorded as they go, and it ends as they did."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from molexp.errors import (
    AssetExistsError,
    ConflictError,
    MolexpError,
    RunBusyError,
    RunFinishedError,
    TaskEndedError,
    TaskFailedError,
)
from molexp.workflow import TaskContext, WorkflowBuilder
from tests.workflow.clock import LIMIT


def relax():
    """Two tasks: the second takes the first one's output, and records whatever can be recorded."""
    wf = WorkflowBuilder(name="relax")

    @wf.task
    async def build(ctx: TaskContext) -> list[float]:
        return [ctx.params["a"] * scale for scale in (0.5, 1.0, 2.0)]

    @wf.task(depends_on=["build"])
    def energies(ctx: TaskContext):
        ctx.set_result("n_points", len(ctx.inputs))
        ctx.artifact.save("volumes.json", ctx.inputs)
        ctx.log("relax").append(f"{len(ctx.inputs)} volumes")
        return min(ctx.inputs)

    return wf.build()


def single(function, **options):
    """A workflow of one task."""
    wf = WorkflowBuilder("single")
    wf.add(function, name="only", **options)
    return wf.build()


def fsck_is_silent(ws):
    report = ws.fsck()
    assert not list(report.findings), report.findings


# ---------------------------------------------------------------------------------------------------------- how it ends


def test_a_workflow_that_succeeds_ends_its_run_and_is_on_record(ws, run):
    result = relax().execute_sync(run=run)

    assert result.status == run.status == "succeeded"
    assert result.run == run
    assert result.outputs["energies"] == 1.8
    assert run.results["n_points"] == 3
    assert run.asset("volumes.json").load() == [1.8, 3.6, 7.2]
    assert run.logs["relax"].text() == "3 volumes\n"
    fsck_is_silent(ws)


def test_run_json_is_complete_for_people(place, run):
    workflow = relax()
    workflow.execute_sync(run=run)

    document = place.document("projects/metals/experiments/cu/runs/one/run.json")
    assert document["status"] == "succeeded"
    assert document["workflow"]["name"] == "relax"
    assert document["workflow"]["workflow_id"] == workflow.workflow_id
    assert document["workflow"]["tasks"] == ["build", "energies"]
    assert document["results"] == {"n_points": 3}
    (attempt,) = document["execution_history"]
    assert attempt["status"] == "succeeded"
    assert attempt["tasks"] == {"succeeded": 2}
    assert attempt["workflow"] == workflow.workflow_id
    assert run.execution_history[0]["tasks"] == {"succeeded": 2}


def test_a_failed_task_fails_the_run_and_its_record_says_all(ws, place, run):
    def only(ctx):
        raise KeyError("no such basis")

    result = single(only).execute_sync(run=run)

    assert result.status == run.status == "failed"
    assert isinstance(result.tasks["only"].error, KeyError)
    (attempt,) = run.execution_history
    assert attempt["reason"] == "task 'only' failed: KeyError: 'no such basis'"
    error = attempt["error"]
    assert (error["type"], error["message"], error["task"]) == ("KeyError", "'no such basis'", "only")
    trace = run.asset("tasks/only/error-trace")
    assert trace.id == error["trace"]
    assert 'raise KeyError("no such basis")' in trace.load()
    end = place.document("projects/metals/experiments/cu/runs/one/executions/1.end.json")
    assert end["tasks"]["only"]["error"] == error
    fsck_is_silent(ws)


def test_check_raises_from_what_the_task_raised(run):
    def only(ctx):
        raise ValueError("bad")

    with pytest.raises(TaskFailedError, match="only") as caught:
        single(only).execute_sync(run=run, check=True)

    assert isinstance(caught.value.__cause__, ValueError)
    assert run.status == "failed"


def test_every_try_leaves_its_traceback(run):
    tries = []

    def only(ctx):
        tries.append(ctx.retry)
        raise ValueError(f"try {ctx.retry}")

    result = single(only, retries=2, backoff=0).execute_sync(run=run)

    assert tries == [0, 1, 2]
    assert result.tasks["only"].retries == 2
    traces = {asset.name: asset.load() for asset in run.assets if asset.kind == "error_trace"}
    assert sorted(traces) == ["tasks/only/error-trace", "tasks/only/error-trace-1", "tasks/only/error-trace-2"]
    assert "ValueError: try 0" in traces["tasks/only/error-trace"]
    assert "ValueError: try 2" in traces["tasks/only/error-trace-2"]
    assert run.execution_history[0]["error"]["trace"] == run.asset("tasks/only/error-trace-2").id


def test_cancelled_through_its_handle(run):
    async def main():
        begun = asyncio.Event()

        async def only(ctx):
            begun.set()
            await asyncio.Event().wait()

        handle = single(only).start(run=run)
        await begun.wait()
        handle.cancel("enough of it")
        return await handle

    result = asyncio.run(main())

    assert result.status == run.status == "cancelled"
    assert run.execution_history[0]["reason"] == "enough of it"
    assert run.execution_history[0]["tasks"] == {"cancelled": 1}


def test_cancelled_as_asyncio_does(run):
    async def main():
        begun = asyncio.Event()

        async def only(ctx):
            begun.set()
            await asyncio.Event().wait()

        going = asyncio.create_task(single(only).execute(run=run))
        await begun.wait()
        going.cancel()
        with pytest.raises(asyncio.CancelledError):
            await going

    asyncio.run(main())

    assert run.status == "cancelled"
    assert run.execution_history[0]["tasks"] == {"cancelled": 1}


def test_a_run_that_is_alive_is_left_alone(run):
    with run.start() as ctx:
        with pytest.raises(RunBusyError, match=str(os.getpid())):
            relax().execute_sync(run=run)
        ctx.set_result("still", "mine")

    assert run.status == "succeeded"
    assert len(run.execution_history) == 1


def test_a_second_execution_is_another_attempt(run):
    workflow = relax()
    workflow.execute_sync(run=run)
    result = workflow.execute_sync(run=run)

    assert result.executed == ("build", "energies")
    assert [entry["status"] for entry in run.execution_history] == ["succeeded", "succeeded"]


def test_it_takes_no_parameters_beside_a_run(run):
    with pytest.raises(TypeError, match="own parameters"):
        relax().execute_sync(run=run, params={"a": 1.0})
    assert run.status == "pending"


# ------------------------------------------------------------------------------------------------- what tasks record


def test_results_and_artifacts_of_a_superseded_try_do_not_count(ws, run):
    def only(ctx):
        if ctx.retry == 0:
            ctx.set_result("rough", 1)
            ctx.set_result("energy", -1.0)
            ctx.artifact.save("rough.json", {})
            ctx.artifact.save("geometry.json", {"try": 0})
            raise ValueError("not converged")
        ctx.set_result("energy", -2.0)
        ctx.artifact.save("geometry.json", {"try": 1})

    single(only, retries=1, backoff=0).execute_sync(run=run)

    assert run.results == {"energy": -2.0}
    assert {asset.name for asset in run.assets if asset.kind == "artifact"} == {"geometry.json"}
    assert run.asset("geometry.json").load() == {"try": 1}
    assert all(finding.what.startswith("no record names it") for finding in ws.fsck().findings)


def test_a_result_of_another_task_with_the_same_name_comes_back(run):
    wf = WorkflowBuilder("two")

    @wf.task
    def first(ctx):
        ctx.set_result("energy", "first")

    @wf.task(depends_on=[first], retries=1, backoff=0)
    def second(ctx):
        if ctx.retry == 0:
            ctx.set_result("energy", "second")
            raise ValueError

    wf.build().execute_sync(run=run)

    assert run.results == {"energy": "first"}


def test_logs_and_metrics_of_all_tries_are_kept_in_one(run):
    def only(ctx):
        ctx.log("relax").append(f"try {ctx.retry}")
        ctx.logger.info("in try %d", ctx.retry)
        ctx.metrics.log(step=ctx.retry, loss=0.5)
        if ctx.retry < 2:
            raise ValueError

    single(only, retries=2, backoff=0).execute_sync(run=run)

    assert run.logs["relax"].text() == "try 0\ntry 1\ntry 2\n"
    assert [line[-8:] for line in run.logs["tasks/only"].tail(3)] == ["in try 0", "in try 1", "in try 2"]
    (metrics,) = [asset for asset in run.assets if asset.kind == "metrics"]
    assert [point["step"] for point in metrics.load()] == [0, 1, 2]
    log = run.asset("relax", kind="log")
    assert log.size == len(log.read_bytes())


def test_the_artifact_name_of_one_task_is_refused_to_another(run):
    wf = WorkflowBuilder("two")

    @wf.task
    def first(ctx):
        ctx.artifact.save("data.json", [1])
        ctx.artifact.save("data.json", [2])

    @wf.task(depends_on=[first])
    def second(ctx):
        ctx.artifact.save("data.json", [3])

    result = wf.build().execute_sync(run=run)

    assert isinstance(result.tasks["second"].error, AssetExistsError)
    assert "first" in str(result.tasks["second"].error)
    assert run.asset("data.json").load() == [2]


def test_a_name_that_was_not_used_after_all_is_free_and_others_stay_taken(run):
    wf = WorkflowBuilder("three")

    @wf.task
    def first(ctx):
        with pytest.raises(MolexpError):
            ctx.artifact.save("data.json", object())
        ctx.artifact.save("other.json", [1])

    @wf.task(depends_on=[first])
    def second(ctx):
        ctx.artifact.save("data.json", [2])
        with pytest.raises(AssetExistsError):
            ctx.artifact.save("other.json", [2])

    wf.build().execute_sync(run=run, check=True)

    assert run.asset("data.json").load() == [2]
    assert run.asset("other.json").load() == [1]


def test_a_thread_that_outlives_its_time_records_nothing_more(run, clock):
    """Nobody can kill it: what it tries to record is refused."""
    import threading

    ended, done, refused = threading.Event(), threading.Event(), []

    def only(ctx):
        ctx.set_result("before", 1)
        ctx.log("relax").append("in time")
        clock.skip()
        ended.wait(300)
        attempts = [
            lambda: ctx.set_result("after", 1),
            lambda: ctx.artifact.save("after.json", []),
            lambda: ctx.log("relax").append("too late"),
            lambda: ctx.log("other").append("too late"),
            lambda: ctx.metrics.log(loss=1.0),
            lambda: ctx.workdir,
        ]
        try:
            for attempt in attempts:
                try:
                    attempt()
                except TaskEndedError as error:
                    refused.append(str(error))
            refused.append(ctx.cancelled)
        finally:
            done.set()

    async def main():
        with run.start() as ctx:
            result = await single(only, timeout=LIMIT).execute(run=ctx)
            ended.set()
            await asyncio.to_thread(done.wait, 300)
            return result

    result = asyncio.run(main())

    assert f"{LIMIT:g} s" in result.reason
    assert refused == [*[refused[0]] * 6, True]
    assert f"{LIMIT:g} s" in refused[0]
    assert run.results == {"before": 1}
    assert run.logs["relax"].text() == "in time\n"
    assert run.status == "failed"
    assert {asset.kind for asset in run.assets} <= {"log", "error_trace", "execution_state"}


def test_working_directories_go_with_success_and_stay_with_failure(lab_exp):
    seen = []

    def only(ctx):
        (ctx.workdir / "scratch.dat").write_text("x")
        seen.append(ctx.workdir)
        if ctx.params["fail"]:
            raise ValueError

    good, bad = lab_exp.Run({"fail": False}), lab_exp.Run({"fail": True})
    single(only).execute_sync(run=good)
    single(only).execute_sync(run=bad)

    assert not seen[0].exists()
    assert seen[1].exists()
    assert bad.execution_history[0]["workdir"] == str(seen[1])


def test_a_run_of_two_tasks_leaves_at_most_nine_files(lab, lab_run):
    relax().execute_sync(run=lab_run)

    folder = Path(lab.url, "projects/metals/experiments/cu/runs/one")
    assert len([folder, *folder.rglob("*")]) <= 9


def test_commands_of_tasks_are_recorded(run):
    wf = WorkflowBuilder("commands")
    wf.shell("hello", ["sh", "-c", "echo hello; echo trouble >&2; echo 1 > out.dat"], outputs={"out.dat": "out.dat"})

    result = wf.build().execute_sync(run=run, check=True)

    assert result.outputs["hello"]["exit_code"] == 0
    assert run.asset("out.dat").read_bytes() == b"1\n"
    (command,) = run.execution_history[0]["commands"]
    assert command["exit_code"] == 0
    assert run.logs["tasks/hello/shell"].text() == "hello\n"


def test_a_name_in_vain_changes_nothing(exp, run):
    """Options that `execute` refuses before it starts leave the run pending."""
    wf = WorkflowBuilder("elsewhere")
    wf.add(lambda ctx: None, name="only", executor="proces")

    with pytest.raises(MolexpError, match="process"):
        wf.build().execute_sync(run=run)

    assert run.status == "pending"
    with pytest.raises(ConflictError):
        exp.Run({"b": 2}, id="one")


def test_a_run_that_succeeded_is_refused_where_that_is_wanted(exp):
    wf = WorkflowBuilder("once")
    wf.task(name="one")(lambda ctx: 1)
    run = exp.Run(id="once")
    wf.build().execute_sync(run=run, if_succeeded="error")

    with pytest.raises(RunFinishedError):
        wf.build().execute_sync(run=run, if_succeeded="error")
    assert len(run.execution_history) == 1
