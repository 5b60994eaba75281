"""Time limits of a real Slurm, whose least is a minute: runs end before it or by it, and what a bundle leaves is submitted again."""

from __future__ import annotations

import json
from functools import partial
from textwrap import dedent

import pytest

import molexp as me
from tests.cli.helpers import program, spawn
from tests.slurm.engine import eventually
from tests.slurm.sweeps import RUN, SUBMIT

pytestmark = [pytest.mark.slurm, pytest.mark.long]

SCRIPT = """
    import ctypes, time
    import molexp as me
    from molexp.workflow import WorkflowBuilder

    wf = WorkflowBuilder("limits")

    @wf.task
    def wait(ctx):
        while ctx.params["deaf"]:
            ctypes.PyDLL(None).sleep(600)  # as a library that never comes back to Python
        time.sleep(ctx.params["seconds"])

    ws = me.Workspace("lab")
    wf.build().bind_to(ws.Project("p").Experiment("e", space=SPACE))
    me.entry(ws)
"""
PROFILE = "profiles: {{cluster: {{executor: slurm, resources: {{memory: 100MB, walltime: {0}}}, scheduler: {{interval: 1}}}}}}\n"


def sweep(folder, space, walltime):
    folder.mkdir()
    (folder / "sweep.py").write_text(dedent(SCRIPT).replace("SPACE", space))
    (folder / "molcfg.yaml").write_text(PROFILE.format(walltime))
    return folder


def runs(folder):
    return me.Workspace.load(folder / "lab").project("p").experiment("e").runs


def test_a_run_ends_before_the_time_limit_as_it_is_told_or_by_it_and_both_are_on_record(slurm, tmp_path):
    """One run hears the warning, one does not; attached and detached at the same time, for it takes a minute and more."""
    attached, detached = (
        sweep(tmp_path / name, "me.grid(deaf=[False, True], seconds=[600])", "1min")
        for name in ("attached", "detached")
    )
    waiting = spawn(attached, *RUN, stdout=-1, stderr=-1)
    assert program(detached, *SUBMIT).code == 0
    out, err = waiting.communicate(timeout=300)
    eventually(lambda: not slurm.alive())
    program(detached, "-w", "lab", "queue")

    assert waiting.returncode == 1, err.decode()
    assert out.decode().splitlines()[0] == "2 interrupted"
    assert "its job is over, says slurm: TIMEOUT" in out.decode()
    for folder in (attached, detached):
        found = {run.parameters["deaf"]: run for run in runs(folder)}
        assert {(str(run.status), run.cause) for run in found.values()} == {("interrupted", "walltime")}
        assert found[False].execution_history[0]["reason"] == "received SIGTERM"
        assert "TIMEOUT" in found[True].execution_history[0]["reason"]
        assert found[True].execution_history[0]["ended_by"]["word"] == "TIMEOUT"
    assert sorted(slurm.states().values()) == ["COMPLETED", "FAILED", "FAILED", "TIMEOUT", "TIMEOUT"]
    query = ("-w", "lab", "runs", "list", 'status == "interrupted" and cause == "walltime"', "--json")
    assert len(program(detached, *query).json()) == 2


def test_a_bundle_begins_no_run_that_it_has_no_time_for_and_the_rest_is_submitted_again(slurm, tmp_path):
    """Of three minutes, 75 s are left for runs: Slurm warns 45 s before the end, and up to a minute too early."""
    folder = sweep(tmp_path / "bundle", "me.grid(deaf=[False], seconds=[20.0 + x / 10 for x in range(10)])", "3min")
    assert program(folder, *SUBMIT, "--bundle", "10").code == 0

    def ended():
        return [*(folder / "lab/submissions").glob("*.end.json")]

    def over(number):
        return len(ended()) >= number or not slurm.alive()

    for number in range(1, 11):
        eventually(partial(over, number))
    ends = ended()
    assert {(str(run.status), len(run.execution_history)) for run in runs(folder)} == {("succeeded", 1)}
    assert 4 <= len(ends) <= 6, "jobs had time for more or fewer runs than two or three"
    left = [len(json.loads(path.read_text())["never_started"]) for path in sorted(ends)]
    assert left == sorted(left, reverse=True)
    assert left[-1] == 0
    assert "TIMEOUT" not in slurm.states().values()
