"""A workspace that an older version wrote, ``tests/fixtures/workspace``: everything that is done with one works."""

from __future__ import annotations

import math
import shutil

import pytest

import molexp as me
from molexp.workflow import WorkflowBuilder
from tests.repository import ROOT

STATUSES = {"good": "succeeded", "bad": "failed", "pending": "pending", "half": "failed", "late": "succeeded"}


@pytest.fixture
def lab(tmp_path):
    """A copy of it, which nobody has opened here before."""
    return shutil.copytree(ROOT / "tests" / "fixtures" / "workspace", tmp_path / "lab")


@pytest.fixture
def exp(lab):
    return me.Workspace(lab).Project("metals").Experiment("cu")


def test_it_lists_from_its_snapshot_and_from_its_files(lab):
    for _ in ("with .molexp", "without"):
        rows = me.Workspace(lab).catalog.runs()
        assert {row.id: str(row.status) for row in rows} == STATUSES
        assert [row.id for row in me.Workspace(lab).catalog.runs("params.scale > 4 and results.energy == 1")] == [
            "late"
        ]
        shutil.rmtree(lab / ".molexp", ignore_errors=True)


def test_all_that_was_recorded_is_read(exp):
    good, bad = exp.run("good"), exp.run("bad")

    assert good.parameters == {"a": 3.6, "scale": 1}
    assert good.results == {"energy": -3.72}
    assert good.asset("volumes.json").load() == {"volumes": [11.2, 11.8]}
    assert good.logs["relax"].text() == "step 0\n"
    assert good.metrics["loss"]["min"] == 1 / 3
    assert [point["loss"] for point in good.asset("metrics").load()] == [1.0, 0.5, 1 / 3]
    assert good.tags == {"paper"}
    assert [note["text"] for note in good.notes] == ["the one in figure 2"]
    assert math.isnan(bad.results["energy"])
    assert bad.cause == "exception"
    assert "no convergence" in bad.execution_history[0]["error"]["message"]
    assert exp.project.workspace.data_assets["potential"].read_bytes() == b"Cu 63.5\n"


def test_its_bytes_are_the_recorded_ones(lab):
    report = me.Workspace(lab).fsck()
    assert not report.findings


def test_a_workflow_is_resumed_at_the_task_that_failed(exp):
    wf = WorkflowBuilder("chain")

    @wf.task
    def one(ctx):
        """Return a number."""
        return 1

    @wf.task(depends_on=["one"])
    def two(ctx):
        """Do not fail again."""
        return ctx.upstream["one"] + 1

    run = exp.run("half")
    found = wf.build().execute_sync(run=run, check=True, resume=True)

    assert [name for name, task in found.tasks.items() if task.reused] == ["one"]
    assert found.outputs == {"one": 1, "two": 2}
    assert run.status == "succeeded"
    assert [attempt["status"] for attempt in run.execution_history] == ["failed", "succeeded"]


def test_its_runs_are_started_again_and_new_ones_made(lab, exp):
    for run in (exp.run("bad"), exp.run("pending"), exp.Run({"scale": 7}, id="new")):
        with run.start() as ctx:
            ctx.set_result("energy", 0)

    ended = {row.id for row in me.Workspace(lab).catalog.runs('status == "succeeded"')}
    assert ended == {"good", "bad", "pending", "late", "new"}


def test_it_is_copied_compacted_and_cleaned(lab, tmp_path):
    copy = me.Workspace(tmp_path / "copy")
    me.sync_workspace(me.Workspace(lab), copy)
    assert {row.id: str(row.status) for row in copy.catalog.runs()} == STATUSES

    ws = me.Workspace(lab)
    ws.catalog.compact()
    ws.gc(dry_run=False)
    assert {row.id: str(row.status) for row in me.Workspace(lab).catalog.runs()} == STATUSES
    assert not (lab / "projects/metals/experiments/cu/runs/gone").exists()
