"""molexp execute: runs that exist, in the job of a scheduler."""

from __future__ import annotations

import hashlib
import json

import pytest

import molexp as me
from tests.cli.helpers import program
from tests.cli.test_run import executed, write


@pytest.fixture
def sweep(here):
    return write(here)


def test_execute_runs_one_run_that_exists(here, sweep):
    planned = program(here, "run", "sweep.py", "-n", "--json").json()[0]
    ws = me.Workspace.load(here / "lab")
    run = ws.project("p").experiment("e").derived_run(planned["parameters"])

    done = program(here, "-w", "lab", "execute", run.path, "--script", "sweep.py")
    assert done.code == 0, done.err
    assert run.status == "succeeded"
    again = program(here, "execute", "-w", "lab", run.path, "-s", "sweep.py")
    assert again.code == 4
    assert "--rerun" in again.err
    assert program(here, "execute", "-w", "lab", run.path, "-s", "sweep.py", "--rerun").code == 0
    assert len(run.execution_history) == 2
    unsaid = program(here, "execute", "-w", "lab", run.path)
    assert unsaid.code == 2
    assert "--script" in unsaid.err


def test_execute_takes_several_runs_and_with_skip_done_leaves_what_is_done(here, sweep):
    planned = [one for one in program(here, "run", "sweep.py", "-n", "--json").json() if one["parameters"]]
    experiment = me.Workspace.load(here / "lab").project("p").experiment("e")
    done, busy, cancelled, *fresh = [
        experiment.derived_run(one["parameters"], replica=one["replica"]) for one in planned
    ]
    paths = [run.path for run in (done, busy, cancelled, *fresh)]
    assert program(here, "-w", "lab", "execute", done.path, "-s", "sweep.py").code == 0
    cancelled.cancel("not wanted")
    with busy.start():
        first = program(here, "-w", "lab", "execute", *paths, "-s", "sweep.py", "--skip-done")
        assert (first.code, len(executed(here))) == (0, 1 + len(fresh)), first.err
        assert [run.status for run in (done, busy, cancelled)] == ["succeeded", "running", "cancelled"]
        assert {run.status for run in fresh} == {"succeeded"}
        refused = program(here, "-w", "lab", "execute", done.path, busy.path, cancelled.path, "-s", "sweep.py")
    assert (refused.code, cancelled.status) == (4, "succeeded"), "a cancelled run that you name is executed"
    assert len(executed(here)) == 2 + len(fresh)
    assert program(here, "-w", "lab", "execute", done.path, "-s", "sweep.py", "--skip-done", "--rerun").code == 2


@pytest.mark.parametrize("where", ["here", "absolute", "above"])
def test_a_script_that_only_the_record_names_is_not_executed(here, sweep, where):
    planned = program(here, "run", "sweep.py", "-n", "--json").json()[0]
    experiment = me.Workspace.load(here / "lab").project("p").experiment("e")
    run = experiment.derived_run(planned["parameters"])
    hostile = {"here": here / "x.py", "absolute": here.parent / "x.py", "above": here.parent / "x.py"}[where]
    hostile.write_text("open('ran', 'w')")
    named = {"here": "x.py", "absolute": str(hostile), "above": "../x.py"}[where]
    document = here / "lab/projects/p/experiments/e/experiment.json"
    source = {"file": named, "sha256": hashlib.sha256(hostile.read_bytes()).hexdigest()}
    document.write_text(json.dumps({**json.loads(document.read_text()), "workflow_source": source}))

    done = program(here, "-w", "lab", "execute", run.path)
    assert done.code == 2
    assert f"execute {run.path} --script {named}" in done.err
    assert not (here / "ran").exists()
