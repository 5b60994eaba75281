"""An asset that a task found in the workspace is an input: a resume looks whether it would find the same."""

from __future__ import annotations

import pytest

from molexp.workflow import WorkflowBuilder
from tests.workflow.runs import process_tasks as tasks


@pytest.fixture
def bring(tmp_path):
    """A function: import a text as the next version of `table` in some scope."""

    def bring(scope, text, name="table"):
        (tmp_path / "in.txt").write_text(text)
        return scope.data_assets.import_asset(name, tmp_path / "in.txt")

    return bring


def workflow(read):
    wf = WorkflowBuilder("w")
    wf.add(read, name="read")
    return wf.build()


def found(ctx):
    return ctx.asset("table").read_bytes().decode()


def opened(ctx):
    return ctx.run.experiment.project.data_assets["table"].read_bytes().decode()


def from_another_run(ctx):
    return ctx.run.experiment.run("other").asset("table").load()


@pytest.mark.parametrize("read", [found, opened])
def test_a_newer_version_is_a_changed_input(exp, run, bring, read):
    bring(exp.project, "1")
    spec = workflow(read)
    assert spec.execute_sync(run=run).outputs["read"] == "1"
    assert spec.execute_sync(run=run, resume=True).tasks["read"].reused

    newest = bring(exp.project, "2")
    task = spec.execute_sync(run=run, resume=True).tasks["read"]
    assert task.output == "2"
    assert task.reason.startswith("its inputs changed: ")
    assert newest.id in task.reason
    assert spec.execute_sync(run=run, resume=True).tasks["read"].reused
    assert spec.execute_sync(run=run, resume=True).tasks["read"].reused, "what is reused is remembered"


def test_equal_content_is_no_newer_version(exp, run, bring):
    bring(exp, "1")
    spec = workflow(found)
    spec.execute_sync(run=run)
    bring(exp, "1")
    assert spec.execute_sync(run=run, resume=True).tasks["read"].reused


@pytest.mark.parametrize("read", [
    lambda ctx: ctx.asset("table", version=1).read_bytes().decode(),
    lambda ctx: ctx.run.experiment.data_assets.get("table", version=1).read_bytes().decode(),
    lambda ctx: ctx.run.experiment.data_assets.versions("table")[0].read_bytes().decode(),
], ids=["asset", "get", "versions"])  # fmt: skip
def test_a_newer_version_does_not_change_a_task_that_asked_for_a_version(exp, run, bring, read):
    bring(exp, "1")
    spec = workflow(read)
    spec.execute_sync(run=run)
    bring(exp, "2")
    assert spec.execute_sync(run=run, resume=True).tasks["read"].reused


def test_a_newer_version_changes_a_task_that_asked_for_the_newest_as_well(exp, run, bring):
    bring(exp, "1")
    spec = workflow(lambda ctx: (ctx.asset("table", version=1).id, found(ctx)))
    spec.execute_sync(run=run)
    bring(exp, "2")
    assert spec.execute_sync(run=run, resume=True).outputs["read"][1] == "2"


def test_a_nearer_scope_takes_the_place_of_one_that_was_found_by_its_name(exp, run, bring):
    bring(exp.project, "1")
    by_name, directly = workflow(found), workflow(opened)
    by_name.execute_sync(run=run)
    other = exp.Run(id="directly")
    directly.execute_sync(run=other)
    bring(exp, "nearer")
    assert by_name.execute_sync(run=run, resume=True).outputs["read"] == "nearer"
    assert directly.execute_sync(run=other, resume=True).tasks["read"].reused


def test_what_was_not_there_and_is_now_is_a_changed_input(exp, run, bring):
    spec = workflow(lambda ctx: ctx.find_asset("table") is not None)
    assert spec.execute_sync(run=run).outputs["read"] is False
    assert spec.execute_sync(run=run, resume=True).tasks["read"].reused
    bring(exp, "1", name="another")
    assert spec.execute_sync(run=run, resume=True).tasks["read"].reused
    bring(exp.project, "1")
    task = spec.execute_sync(run=run, resume=True).tasks["read"]
    assert task.output is True
    assert "and there was no 'table'" in task.reason


def test_what_another_run_made_anew_is_a_changed_input(exp, run):
    for value in (1, 2):
        with exp.Run(id="other").start() as ctx:
            ctx.artifact.save("table", [value])
        result = workflow(from_another_run).execute_sync(run=run, resume=True)
        assert result.outputs["read"] == [value]
    assert workflow(from_another_run).execute_sync(run=run, resume=True).tasks["read"].reused


def test_what_the_run_made_itself_is_no_input_of_its_own(run):
    def checkpointed(ctx):
        found = ctx.checkpoint.latest()
        return ctx.checkpoint.save("state.json", [1 if found is None else 2]) is not None

    spec = workflow(checkpointed)
    spec.execute_sync(run=run)
    spec.execute_sync(run=run)
    assert spec.execute_sync(run=run, resume=True).tasks["read"].reused


def test_only_the_item_that_used_it_is_executed_again(exp, run, bring):
    bring(exp, "1")
    wf = WorkflowBuilder("w")
    wf.add(lambda ctx: [0, 1], name="numbers")
    wf.add(lambda ctx: found(ctx) if ctx.inputs else "none", name="read", map_over="numbers")
    spec = wf.build()
    spec.execute_sync(run=run)
    bring(exp, "2")
    result = spec.execute_sync(run=run, resume=True)
    assert result.outputs["read"] == ["none", "2"]
    assert [item.reused for item in result.tasks["read"].items] == [True, False]


def test_what_a_worker_used_is_an_input_as_well(lab_exp, lab_run, bring):
    wf = WorkflowBuilder("w")
    wf.add(tasks.finding, name="read", executor="process")
    spec = wf.build()
    bring(lab_exp, "[1]", name="reference")
    spec.execute_sync(run=lab_run, check=True)
    assert spec.execute_sync(run=lab_run, resume=True).tasks["read"].reused
    bring(lab_exp, "[2]", name="reference")
    assert "reference@2" in spec.execute_sync(run=lab_run, resume=True).tasks["read"].reason


def test_what_one_attempt_of_a_task_used_does_not_count_after_the_next(exp, run, bring):
    bring(exp, "1")
    spec = workflow(lambda ctx: found(ctx) if ctx.params.get("b") and not ctx.run.results else ctx.set_result("x", 1))
    spec.execute_sync(run=run)
    with run.start() as ctx:
        ctx.set_result("x", 1)
    spec.execute_sync(run=run)
    bring(exp, "2")
    assert spec.execute_sync(run=run, resume=True).tasks["read"].reused
