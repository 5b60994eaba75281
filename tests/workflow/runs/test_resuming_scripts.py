"""A script is executed, edited and executed again: exactly the tasks that must be are, and each says why."""

from __future__ import annotations

import pytest

import molexp as me
from tests.workflow.runs.editing import Script

FIVE_STAGES = """
wf = WorkflowBuilder("diamond", on_failure="finish")

def scaled(values, by=2):
    return [value * by for value in values]

@wf.task
def read(ctx):
    did("read")
    return [1, 2, 3]

@wf.task(depends_on=[read])
def left(ctx):
    did("left")
    raise RuntimeError("left is broken")

@wf.task(depends_on=[read])
def right(ctx):
    did("right")
    return scaled(ctx.inputs)

@wf.task(depends_on=[left, right])
def join(ctx):
    did("join")
    return sum(ctx.inputs["left"]) + sum(ctx.inputs["right"])

@wf.task(depends_on=[join])
def report(ctx):
    did("report")
    ctx.set_result("total", ctx.inputs)
    return f"total {ctx.inputs}"
"""

WHOLE = FIVE_STAGES.replace('    raise RuntimeError("left is broken")', "    return [0]")


@pytest.fixture
def broken(tmp_path):
    return Script(tmp_path, FIVE_STAGES)


@pytest.fixture
def whole(tmp_path):
    script = Script(tmp_path, WHOLE)
    assert script.execute()["done"] == ["read", *script.did()[1:3], "join", "report"]
    return script


def the_run(script):
    return me.Workspace.load(script.lab).project("metals").experiment("cu").run("one")


def whys(run):
    tasks = run.asset("execution-state").load()["tasks"]
    return {name: record.get("why") for name, record in tasks.items()}


def test_a_diamond_with_a_failing_task_and_its_mending(broken):
    first = broken.execute()

    assert first["status"] == "failed"
    assert sorted(first["done"]) == ["left", "read", "right"]
    assert first["statuses"] == {
        "read": "succeeded",
        "left": "failed",
        "right": "succeeded",
        "join": "skipped",
        "report": "skipped",
    }
    run = the_run(broken)
    (attempt,) = run.execution_history
    assert attempt["error"]["task"] == "left"
    assert attempt["error"]["type"] == "RuntimeError"
    trace = run.asset("tasks/left/error-trace")
    assert trace.id == attempt["error"]["trace"]
    assert 'raise RuntimeError("left is broken")' in trace.load()

    broken.edit('raise RuntimeError("left is broken")', "return [0]")
    second = broken.execute()

    assert second["status"] == "succeeded"
    assert second["done"] == ["left", "join", "report"]
    assert second["executed"] == ["left", "join", "report"]
    reasons = {
        "read": "unchanged",
        "right": "unchanged",
        "left": "it failed before",
        "join": "it was skipped before",
        "report": "it was skipped before",
    }
    assert second["reasons"] == reasons
    assert whys(run) == reasons
    assert run.status == "succeeded"
    assert run.results == {"total": 12}
    assert not list(me.Workspace.load(broken.lab).fsck().findings)


def test_nothing_changed(whole):
    again = whole.execute()

    assert again["done"] == again["executed"] == []
    assert set(again["reasons"].values()) == {"unchanged"}
    assert again["outputs"]["report"] == "'total 12'"
    assert the_run(whole).results == {"total": 12}
    assert whole.execute()["done"] == []


def test_a_comment_is_no_change(whole):
    whole.edit('    did("join")\n', '    # all of it\n\n    did("join")  # once\n')

    assert whole.execute()["done"] == []


def test_tasks_whose_inputs_change_are_executed_again(whole):
    whole.edit("return [0]", "return [5]")
    again = whole.execute()

    assert again["done"] == ["left", "join", "report"]
    assert again["reasons"]["left"] == "its code changed"
    assert again["reasons"]["join"] == "its inputs changed"


def test_tasks_whose_inputs_stay_equal_are_reused(whole):
    whole.edit("return [0]", "return [1 - 1]")
    again = whole.execute()

    assert again["done"] == ["left"]
    assert again["reasons"]["join"] == "unchanged"


def test_a_helper_of_the_same_module_is_part_of_the_code(whole):
    whole.edit("by=2", "by=3")
    again = whole.execute()

    assert again["done"] == ["right", "join", "report"]
    assert again["reasons"]["right"] == "its code changed"


def test_items_of_a_mapped_task_resume_one_by_one(tmp_path):
    script = Script(
        tmp_path,
        """
        wf = WorkflowBuilder("fan")

        @wf.task
        def items(ctx):
            return [1, 2, 3, 0]

        @wf.task(map_over=items)
        def each(ctx):
            did(f"each {ctx.inputs}")
            return 6 / ctx.inputs

        @wf.task(depends_on=[each])
        def total(ctx):
            did("total")
            return sum(ctx.inputs)
        """,
    )
    first = script.execute()
    assert sorted(first["done"]) == ["each 0", "each 1", "each 2", "each 3"]
    assert first["statuses"]["each"] == "failed"

    script.edit("[1, 2, 3, 0]", "[1, 2, 3, 6]")
    second = script.execute()

    assert second["done"] == ["each 6", "total"]
    assert second["outputs"]["total"] == "12.0"

    script.edit("[1, 2, 3, 6]", "[1, 2, 3]")
    third = script.execute()

    assert third["done"] == ["total"]
    assert third["outputs"]["each"] == "[6.0, 3.0, 2.0]"


def test_what_cannot_be_restored_is_executed_again_and_what_follows_is_reused(tmp_path):
    script = Script(
        tmp_path,
        """
        wf = WorkflowBuilder("unfit")

        class Structure:
            n = 4

        @wf.task
        def build(ctx):
            did("build")
            return Structure()

        @wf.task(depends_on=[build])
        def count(ctx):
            did("count")
            return ctx.inputs.n
        """,
    )
    script.execute()
    again = script.execute()

    assert again["done"] == ["build"]
    assert "cannot be restored" in again["reasons"]["build"]
    assert "Structure" in again["reasons"]["build"]
    assert again["reasons"]["count"] == "unchanged"
    assert whys(the_run(script))["build"] == again["reasons"]["build"]
