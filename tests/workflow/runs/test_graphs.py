"""The graph of a workflow is on record with each run that executed it, and can be drawn."""

from __future__ import annotations

import json
import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from msgspec.structs import replace

import molexp as me
from molexp.contracts import Resources
from molexp.errors import CorruptRecordError
from molexp.workflow import WorkflowBuilder
from tests.workflow.sources import counter, load


class Total:
    def execute(self, ctx):
        return sum(ctx.inputs["relax"])


def relaxing(*, bad: int = 0):
    wf = WorkflowBuilder("relax", on_failure="cancel", max_parallel=3)

    @wf.task
    def build(ctx):
        return [1, 2, 3]

    @wf.task(map_over=build, retries=1, backoff=0, resources=Resources(cores=4, extra={"queue": "short"}))
    async def relax(ctx):
        if ctx.inputs == bad:
            raise ValueError("no minimum")
        return ctx.inputs

    wf.shell("plot", ["true"], depends_on=[build], timeout=60)
    wf.add(Total(), depends_on=[relax, "plot"])
    return wf.build()


def by_name(graph):
    return {task.name: task for task in graph.tasks}


def document_of(place):
    found = [place.document(key) for key in place.record() if key.startswith("provenance/")]
    return next(one for one in found if one["type"] == "workflow")


def test_a_run_knows_the_graph_of_its_workflow(run):
    relaxing().execute_sync(run=run)
    graph = run.workflow_graph
    assert (graph.name, graph.workflow_id) == ("relax", relaxing().workflow_id)
    assert (graph.on_failure, graph.max_parallel) == ("cancel", 3)
    assert set(graph.edges) == {("build", "relax"), ("build", "plot"), ("relax", "total"), ("plot", "total")}
    found = by_name(graph)
    assert [(task.name, task.kind) for task in graph.tasks] == [
        ("build", "function"),
        ("relax", "coroutine"),
        ("plot", "shell"),
        ("total", "object"),
    ]
    assert found["relax"].map_over == "build"
    assert found["relax"].options == {
        "retries": 1,
        "backoff": 0,
        "resources": {"cores": 4, "extra": {"queue": "short"}},
    }
    assert (found["plot"].options, found["build"].options) == ({"timeout": 60}, {})
    assert found["total"].function == "Total.execute"


def test_each_task_says_where_it_is_defined_within_the_repository(run):
    relaxing().execute_sync(run=run)
    lines = Path(__file__).read_text().splitlines()
    for task in run.workflow_graph.tasks:
        assert task.file == "tests/workflow/runs/test_graphs.py"
        shown = "\n".join(lines[task.line - 1 : task.line + 1])
        assert {"total": "def execute", "plot": 'wf.shell("plot"'}.get(task.name, f"def {task.name}(") in shown


@pytest.mark.parametrize("versioned", [True, False])
def test_no_folder_of_the_machine_is_recorded(lab, lab_run, tmp_path, versioned):
    code = "from molexp.workflow import WorkflowBuilder\nwf = WorkflowBuilder('w')\n@wf.task\ndef one(ctx): pass\n"
    folder = tmp_path / f"lab{next(counter)}"
    module = load(folder, code)
    if versioned:
        subprocess.run(["git", "init", "-q", tmp_path], check=True)
    module.wf.build().execute_sync(run=lab_run)
    (task,) = lab_run.workflow_graph.tasks
    assert task.file == (f"{folder.name}/{Path(module.__file__).name}" if versioned else Path(module.__file__).name)
    assert str(tmp_path) not in json.dumps(document_of(lab))


def test_the_graph_says_what_became_of_each_task_in_the_newest_attempt(run):
    assert relaxing(bad=2).execute_sync(run=run).status == "failed"
    found = by_name(run.workflow_graph)
    assert found["build"].status == "succeeded"
    assert found["relax"].status == "failed"
    assert found["relax"].items["failed"] == 1
    assert found["total"].status == "skipped"
    relaxing().execute_sync(run=run, resume=True)
    found = by_name(run.workflow_graph)
    assert (found["build"].status, found["total"].status) == ("reused", "succeeded")
    assert sum(found["relax"].items.values()) == 3
    assert found["total"].seconds >= 0


def test_what_was_not_started_has_no_status(run):
    seen: list[str | None] = []

    def look(ctx):
        run.flush()
        seen.extend(task.status for task in run.workflow_graph.tasks)

    wf = WorkflowBuilder("w")
    wf.add(look, name="one")
    wf.add(lambda ctx: None, name="two", depends_on=["one"])
    done = wf.build().execute_sync(run=run)
    assert (done.reason, seen) == ("", ["running", None])


def test_the_graph_of_an_old_run_stays_as_it_was(exp):
    before, after = exp.Run(id="before"), exp.Run(id="after")
    relaxing().execute_sync(run=before)
    wf = WorkflowBuilder("relax")
    wf.add(lambda ctx: 1, name="build")
    wf.build().execute_sync(run=after)
    assert [task.name for task in before.workflow_graph.tasks] == ["build", "relax", "plot", "total"]
    assert [task.name for task in after.workflow_graph.tasks] == ["build"]


def test_the_runs_of_a_sweep_share_one_document(place, exp):
    for number in range(5):
        relaxing().execute_sync(run=exp.Run(id=f"r{number}"))
    exp.run("r0").flush()
    found = [place.document(key) for key in place.record() if key.startswith("provenance/")]
    assert [one["type"] for one in found].count("workflow") == 1
    assert exp.run("r4").workflow_graph == replace(
        exp.run("r0").workflow_graph, tasks=exp.run("r4").workflow_graph.tasks
    )


def test_a_run_without_a_workflow_has_none(run):
    with run.start():
        pass
    assert run.workflow_graph is None
    assert me.describe_run(run)["workflow_graph"] is None


def test_a_run_of_an_older_version_has_none(lab, lab_run):
    relaxing().execute_sync(run=lab_run)
    end = lab.folder / f"projects/metals/experiments/cu/runs/{lab_run.id}/executions/1.end.json"
    document = json.loads(end.read_text())
    del document["workflow"]["graph"]
    end.write_text(json.dumps(document))
    assert lab_run.workflow_graph is None


def test_a_copy_has_it_too(lab, lab_run, copy):
    relaxing().execute_sync(run=lab_run)
    assert me.sync_workspace(lab.url, copy.url).ok
    assert copy.load().run(lab_run.path).workflow_graph == lab_run.workflow_graph
    report = copy.load().gc(dry_run=False)
    assert (report.ok, report.findings) == (True, ())
    assert copy.load().run(lab_run.path).workflow_graph is not None


def test_damage_is_named_and_blocks_nothing_else(lab, lab_run):
    relaxing().execute_sync(run=lab_run)
    ws = lab_run.experiment.project.workspace
    (file,) = (file for file in lab.folder.glob("provenance/*") if '"type": "workflow"' in file.read_text())
    whole = file.read_text()
    file.write_text(whole.replace('"finish"', '"cancel"').replace('"cancel"', '"finish"'))
    (finding,) = ws.fsck(read_data=True).findings
    assert finding.key == f"provenance/{file.name}"
    file.write_text(whole[:-9])
    assert [finding.key for finding in ws.fsck().findings] == [finding.key]
    with pytest.raises(CorruptRecordError):
        lab_run.workflow_graph  # noqa: B018 - a property that reads
    found = me.describe_run(lab_run)
    assert found["status"] == "succeeded"
    assert file.name in found["workflow_graph"]["problem"]
    relaxing().execute_sync(run=lab_run.experiment.Run(id="two"))
    file.unlink()
    assert lab_run.workflow_graph is None
    (finding,) = ws.fsck().findings
    assert finding == me.Finding(finding.key, f"it is not there, and {lab_run.path} names it: restore it from a copy")


def test_a_workflow_has_its_graph_without_a_run():
    workflow = relaxing()
    assert {task.status for task in workflow.graph.tasks} == {None}
    assert me.WorkflowGraph.from_dict(json.loads(me.to_json(workflow.graph.to_dict()))) == workflow.graph
    with pytest.raises(AttributeError, match="immutable"):
        workflow.graph.name = "other"


# ------------------------------------------------------------------------------------------------------------- drawings


def drawn(**depends):
    wf = WorkflowBuilder("w")
    for name, before in depends.items():
        wf.add(lambda ctx: None, name=name, depends_on=before.split())
    return wf.build().graph


def test_a_drawing_has_a_line_for_each_task_below_one_that_it_depends_on():
    graph = drawn(load="", stats="load", train="load", check="train", report="check stats", other="")
    assert str(graph).splitlines() == [
        "○ w",
        "├─● other",
        "● load",
        "├─● stats",
        "● train",
        "● check",
        "● report",
    ]


def test_neither_deep_nor_wide_graphs_make_a_wide_drawing():
    deep = drawn(t0="", **{f"t{n}": f"t{n - 1}" for n in range(1, 2000)})
    comb = drawn(t0="", **{f"t{n}": f"t{n - 1 if n % 2 else n - 2 + n % 2}" for n in range(1, 400)})
    wide = drawn(t0="", **{f"t{n}": "t0" for n in range(1, 400)}, end=" ".join(f"t{n}" for n in range(1, 400)))
    tree = drawn(t0="", **{f"t{n}": f"t{(n - 1) // 2}" for n in range(1, 1023)})
    for graph, width in ((deep, 2), (comb, 5), (wide, 5), (tree, 3 * 10)):
        rows = [*graph.rows()]
        assert sorted(task.name for _, task in rows) == sorted(task.name for task in graph.tasks)
        assert max(len(before) for before, _ in rows) <= width


def test_a_picture_names_all_tasks_and_is_well_formed():
    tasks = [{"name": "<script>", "file": "a&b.py", "line": 3}, {"name": "two", "depends_on": ["<script>"]}]
    html = me.WorkflowGraph.from_dict({"name": "a < b & c", "tasks": tasks})._repr_html_()
    texts = [text.text for text in ET.fromstring(html).iter("{http://www.w3.org/2000/svg}text")]
    assert {"<script>", "two"} <= {*texts}


def test_a_strangers_document_says_what_it_can():
    tasks = [
        {"name": "a", "depends_on": ["b", "a", 7], "line": -1, "options": [], "items": {"x": "y"}},
        {"name": "b", "depends_on": "a", "file": 3},
        {"name": "c", "depends_on": ["a", "b", "a"], "map_over": "z"},
        {"name": "a"},
        {"name": None},
        "d",
    ]
    graph = me.WorkflowGraph.from_dict({"name": 1, "tasks": tasks, "max_parallel": "x"})
    assert graph.edges == (("a", "c"), ("b", "c"))
    assert len(str(graph).splitlines()) == 4
    assert ET.fromstring(graph._repr_html_()) is not None
    assert me.WorkflowGraph.from_dict({"tasks": 5}).tasks == ()
