"""A process reads at once what it has recorded, on every store and however it asks."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

import molexp as me
from molexp.workflow import TaskContext, WorkflowBuilder


@pytest.fixture
def ctx(run: me.Run) -> Iterator[me.RunContext]:
    with run.start() as ctx:
        ctx.set_result("x", 1)
        ctx.artifact.save("a.json", [1, 2])
        ctx.log("notes").append("begun")
        ctx.metrics.log(step=1, loss=0.5)
        yield ctx


def test_the_run_knows_what_its_context_recorded(ctx):
    assert ctx.run.results == {"x": 1}
    assert {"a.json", "notes", "metrics"} <= {asset.name for asset in ctx.run.assets}
    assert ctx.run.asset("a.json").load() == [1, 2]
    assert ctx.run.logs["notes"].text() == "begun\n"
    assert [(row["step"], row["loss"]) for row in ctx.run.asset("metrics").load()] == [(1, 0.5)]


def test_so_do_queries_and_whoever_opens_the_workspace_here_again(ctx, ws, place):
    for workspace in (ws, place.workspace()):
        assert [dict(row.results) for row in workspace.catalog.runs("results.x == 1")] == [{"x": 1}]
        assert "a.json" in [asset.name for asset in workspace.catalog.assets()]
    ctx.set_result("x", 2)
    ctx.log("notes").append("going on")
    assert place.workspace().run(ctx.run.path).results == {"x": 2}
    assert [dict(row.results) for row in ws.catalog.runs()] == [{"x": 2}]
    assert ctx.run.logs["notes"].text() == "begun\ngoing on\n"


def test_a_run_that_was_asked_to_stop_is_read_as_it_is(ctx):
    ctx.run.cancel()
    assert ctx.run.results == {"x": 1}


def test_a_flush_is_of_this_run_alone(ctx, tmp_path):
    """A run of the same path in another workspace, which could not be ended, is left alone."""
    project, experiment, run = ctx.run.path.split("/")
    lab, moved = tmp_path / "another", tmp_path / "moved"
    other = me.Workspace(lab).Project(project).Experiment(experiment).Run(id=run).start()
    lab.rename(moved)
    with pytest.raises(me.WorkspaceMovedError):
        other.finish()
    ctx.run.flush()
    moved.rename(lab)


@pytest.mark.parametrize("executor", ["inline", "process"])
def test_a_task_reads_what_it_recorded(place, run, executor):
    if executor == "process" and place.url.startswith("memory:"):
        pytest.skip("other processes do not see what lies in the memory of this one")
    wf = WorkflowBuilder(name="reading")
    wf.task(executor=executor)(reading)
    result = wf.build().execute_sync(run=run, check=True)
    assert result.outputs["reading"] == {"x": 7}


def reading(ctx: TaskContext) -> dict[str, int]:
    ctx.set_result("x", 7)
    assert ctx.run is not None
    return dict(ctx.run.results)


def test_readers_beside_the_end_leave_nothing_behind_it(exp, ws):
    """All that is read while the attempt ends is sent before the end, or stands in it: nothing comes late."""
    for number in range(20):
        ctx = exp.Run(id=f"n{number}").start()
        ctx.set_result("x", number)
        over = threading.Event()

        def look(run: me.Run = ctx.run, over: threading.Event = over) -> None:
            while not over.is_set():
                assert run.status in ("running", "succeeded")

        thread = threading.Thread(target=look)
        thread.start()
        ctx.finish()
        over.set()
        thread.join()
        assert ctx.run.results == {"x": number}
        assert "late" not in ctx.run.execution_history[0]
    assert ws.fsck().ok
