"""molexp show --graph: the tasks of a run's workflow, and what became of them."""

from __future__ import annotations

import json

import pytest

from molexp.workflow import WorkflowBuilder
from tests.cli.helpers import Terminal


@pytest.fixture
def executed(in_lab):
    wf = WorkflowBuilder("relax")
    wf.add(lambda ctx: [1, 2], name="build")
    wf.add(lambda ctx: 1 / 0, name="stats", depends_on=["build"], retries=1, backoff=0)
    wf.add(lambda ctx: ctx.inputs, name="relax", map_over="build")
    wf.add(lambda ctx: 0, name="report", depends_on=["relax", "stats"])
    run = in_lab.Project("metals").Experiment("cu").Run(id="copper")
    wf.build().execute_sync(run=run)
    return run


def test_it_draws_a_line_for_each_task(executed, molexp):
    done = molexp("show", "copper", "--graph")
    assert (done.code, done.err) == (0, "")
    title, head, *lines = done.lines()
    assert title == f"relax  {executed.workflow_graph.workflow_id}  of metals/cu/copper"
    assert head.split() == ["TASK", "STATUS", "SECONDS", "AFTER", "OPTIONS", "DEFINED"]
    assert [line[: head.index("STATUS")].rstrip() for line in lines] == ["● build", "├─● relax", "● stats", "● report"]
    build, relax, stats, report = lines
    assert "succeeded" in build
    assert "failed" in stats
    assert "retries=1 backoff=0" in stats
    assert "succeeded (2 succeeded)" in relax
    assert "each of build" in relax
    assert "skipped" in report
    assert "relax, stats" in report
    assert all("test_show_graph.py:" in line for line in lines)


def test_json_has_it_alone_and_with_the_rest(executed, molexp):
    graph = molexp("show", "copper", "--graph", "--json").json()
    assert graph == json.loads(json.dumps(executed.workflow_graph.to_dict()))
    assert graph["edges"][0] == ["build", "stats"]
    assert molexp("show", "copper", "--json").json()["workflow_graph"] == graph


def test_a_run_without_one_is_told_so(finished, molexp):
    done = molexp("show", "copper", "--graph")
    assert (done.code, done.out) == (3, "")
    assert done.err == (
        "molexp: metals/cu/copper has no graph on record: no attempt executed a workflow, or an older MolExp executed it.\n"
    )
    assert molexp("show", "copper", "--graph", "--json").out == "null\n"


def test_a_terminal_without_such_letters_gets_others(executed, here):
    env = {"PYTHONIOENCODING": "ascii", "NO_COLOR": "1"}
    terminal = Terminal(here, "-w", str(here / "lab"), "show", "copper", "--graph", env=env)
    assert terminal.end() == 0
    assert "* build" in terminal.text
    assert "|-* relax" in terminal.text
