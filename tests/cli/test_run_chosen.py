"""molexp run: some of the runs that a script asks for, other points than its own, another workspace."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import molexp as me
from molexp.plugins import default_manager
from molexp.scripts import Drive, PlannedRun, Selection, parse_settings
from tests.cli.helpers import program
from tests.cli.test_run import write

SCRIPT = """
    import os
    import molexp as me
    from molexp.workflow import TaskContext, WorkflowBuilder

    wf = WorkflowBuilder("relax")

    @wf.task(executor=os.environ.get("WHERE", "inline"))
    def relax(ctx: TaskContext) -> float:
        if ctx.params["a"] == 2 and os.path.exists("broken"):
            raise ValueError("two is bad")
        ctx.set_result("energy", -ctx.params["a"])
        return -ctx.params["a"]

    ws = me.Workspace("lab")
    params = {"basis": "SVP", "solver": {"tol": 1e-6, "steps": 5}}
    exp = ws.Project("metals").Experiment("cu", params=params, space=me.grid(a=[1, 2, 3]))
    wf.build().bind_to(exp)

    total = WorkflowBuilder("total")

    @total.task
    def add(ctx: TaskContext) -> None:
        ctx.set_result("sum", sum(run.results["energy"] for run in exp.runs if run.results))

    total.build().bind_to(ws.Project("metals").Experiment("sum"))
    me.entry(ws)
"""


@pytest.fixture
def script(here: Path) -> Path:
    return write(here, SCRIPT, "relax.py")


@pytest.fixture
def broken(here: Path, script: Path) -> Path:
    """The script, after it was driven once, and the second of its three runs has failed."""
    (here / "broken").touch()
    assert program(here, "run", "relax.py").code == 1
    (here / "broken").unlink()
    return script


def statuses(folder: Path, workspace: str = "lab") -> dict[int, str]:
    """The status of each run of the experiment, by its parameter."""
    runs = me.Workspace.load(folder / workspace).project("metals").experiment("cu").runs
    return {run.parameters["a"]: str(run.status) for run in runs}


def chosen(script: Path, **selection: object) -> list[object]:
    """The parameter of each run that is planned, and the action."""
    drive = Drive(script, selection=Selection(**selection))  # type: ignore[arg-type]
    return [(one.parameters.get("a"), one.action) for one in drive.plan()]


# ------------------------------------------------------------------------------------------------------- some of the runs


def test_runs_that_failed_are_executed_and_no_others(here, broken):
    done = program(here, "run", "relax.py", "--failed")
    assert (done.code, done.out) == (0, "1 succeeded\n"), done.err
    assert "3 runs not chosen (2 succeeded, 1 pending)" in done.err
    assert statuses(here) == {1: "succeeded", 2: "succeeded", 3: "succeeded"}
    again = program(here, "run", "relax.py", "--failed")
    assert (again.code, again.out) == (0, "nothing to run\n")
    assert "No run is chosen of 4 (3 succeeded, 1 pending)." in again.err


def test_what_is_chosen_meets_all_of_what_is_given(broken):
    skipped, start = [(1, "skip"), (3, "skip")], (2, "start")
    assert chosen(broken) == [skipped[0], start, skipped[1], (None, "start")]
    assert chosen(broken, where="params.a >= 2") == [start, skipped[1]]
    assert chosen(broken, where="params.a >= 2 and status == 'failed'") == [start]
    assert chosen(broken, where="results.energy < -2") == [(3, "skip")]
    assert chosen(broken, where="status == 'pending'") == [(None, "start")]
    assert chosen(broken, where="params.basis == 'SVP' and cause == 'exception'") == [start]
    assert chosen(broken, where="provenance.python is not null", failed=True) == [start]
    assert chosen(broken, where="params.a >= 2", failed=True, experiments=("sum",)) == []
    assert chosen(broken, experiments=("metals/sum",)) == [(None, "start")]
    assert chosen(broken, limit=1) == [skipped[0], start, skipped[1]]
    assert chosen(broken, limit=0, where="params.a == 2") == []
    with pytest.raises(ValueError, match="limit"):
        chosen(broken, limit=-1)


def test_a_limit_goes_on_where_the_last_call_has_stopped(here, script):
    for known in ({1}, {1, 2}, {1, 2, 3}):
        done = program(here, "run", "relax.py", "--limit", "1")
        assert done.code == 0, done.err
        assert {a for a, status in statuses(here).items() if status == "succeeded"} == known


def test_an_experiment_waits_for_runs_before_it_that_were_not_chosen_unless_it_is_chosen_itself(here, broken):
    done = program(here, "run", "relax.py", "--only", 'status == "pending"', "--json")
    assert done.code == 1
    (held,) = done.json()["held"].items()
    assert held[0] == "metals/sum"
    assert "which was not chosen, has not succeeded" in held[1]
    assert (done.json()["left_out"], done.json()["ended"]) == (3, {})
    assert program(here, "run", "relax.py", "-e", "sum").out == "1 succeeded\n"


def test_after_a_failure_no_further_run_begins_if_you_say_so(here, script):
    (here / "broken").touch()
    assert "1 succeeded, 1 failed, 1 not begun" in program(here, "run", "relax.py", "--fail-fast", "-e", "cu").out
    assert statuses(here) == {1: "succeeded", 2: "failed"}
    assert "1 succeeded, 1 failed, 1 skipped" in program(here, "run", "relax.py", "--keep-going", "-e", "cu").out


NOTHING = [
    (["--only", "params.a == 9"], 3, "None has params.a == 9; did you mean 3 or 2 or 1?"),
    (["--only", "params.basis == 'SV'"], 3, "None has params.basis == \"SV\"; did you mean 'SVP'?"),
    (["--only", "params.basi == 'SVP'"], 3, "the parameter 'params.basi'. Did you mean 'params.basis'?"),
    (["--only", "params.a = "], 2, "params.a ="),
    (["-e", "co"], 3, "There is no experiment 'co' in the script"),
    (["--set", "b=3"], 3, "There is no parameter 'b' in the script"),
    (["--set", "solver.tl=3"], 3, "Did you mean 'solver.tol'"),
    (["--set", "a"], 2, "write NAME=VALUE or NAME=VALUE,VALUE"),
    (["--set", "a=1", "--set", "a=2"], 2, "'a' is set twice"),
    (["--set", "a=1,,2"], 2, "an empty value"),
    (["--limit", "-1"], 2, "--limit"),
    (["--plan-only", "-n"], 2, "give one of them"),
]


def test_what_chooses_nothing_or_makes_no_sense_says_what_is_near(broken, here, molexp):
    for options, code, words in NOTHING:
        done = molexp("run", "relax.py", *options)
        assert (done.code, words in done.err) == (code, True), (options, done)
    assert statuses(here) == {1: "succeeded", 2: "failed", 3: "succeeded"}


# ------------------------------------------------------------------------------------------------------ a sweep on the spot


def test_parameters_that_are_set_make_the_points(here, script):
    settings = parse_settings(["a=5,6", "solver.tol=1e-9", 'basis=TZVP,"a, b"', "+k=[1, 2]"])
    drive = Drive(script, settings=settings)
    points = [dict(one.parameters) for one in drive.plan()]
    tight = {"solver": {"tol": 1e-9, "steps": 5}, "k": [1, 2]}
    assert points == [
        {"a": 5, "basis": "TZVP", **tight},
        {"a": 5, "basis": "a, b", **tight},
        {"a": 6, "basis": "TZVP", **tight},
        {"a": 6, "basis": "a, b", **tight},
        {"k": [1, 2]},  # the other experiment has none of the other names
    ]


def test_the_id_of_a_planned_run_is_derived_once_whether_the_run_is_there_or_not(here, script, monkeypatch):
    scheme, derived = default_manager().run_id_scheme("molexp-1"), list[str]()
    derive = scheme.derive

    def counted(self, identity):
        derived.append(found := derive(self, identity))
        return found

    monkeypatch.setattr(scheme, "derive", counted)
    planned = Drive(script).create()
    assert len(derived) == len(planned)
    assert [one.id for one in Drive(script).create()] == [one.id for one in planned]
    assert len(derived) == 2 * len(planned)


def test_a_value_that_a_point_has_anyway_finds_its_run(here, script):
    own = {one.id for one in Drive(script).plan()}
    assert {one.id for one in Drive(script, settings={"basis": ["SVP"]}).plan()} == own
    assert [one.parameters["a"] for one in Drive(script, settings={"a": [1, 3, 1.0]}).plan() if one.parameters] == [
        1,
        3,
    ]


# ------------------------------------------------------------------------------------------ planned here, executed elsewhere


def test_planned_runs_are_created_for_a_scheduler_in_the_workspace_that_is_named(here, script, tmp_path):
    planned = program(here, "run", "relax.py", "-w", "scra tch", "--set", "a=7,8", "-e", "cu", "--plan-only", "--json")
    assert planned.code == 0, planned.err
    assert f"the workspace is {here}/scra tch, in the place of the script's {here}/lab" in planned.err
    first, _ = (one["path"] for one in planned.json())
    assert f"execute {first} --script relax.py" in planned.err
    assert statuses(here, "scra tch") == {7: "pending", 8: "pending"}
    job = tmp_path / "job"
    job.mkdir()
    url = me.Workspace.load(here / "scra tch").url
    done = program(job, "-w", url, "execute", first, "--script", str(script), env={"WHERE": "process"})
    assert done.code == 0, done.err
    assert statuses(here, "scra tch") == {7: "succeeded", 8: "pending"}
    rest = program(here, "run", "relax.py", "-w", "scra tch", "--set", "a=7,8", "-e", "cu", "--executor", "process")
    assert rest.out == "1 succeeded, 1 skipped\n", rest.err
    assert not [*job.iterdir()]
    assert not (here / "lab").exists()


def test_one_workspace_does_not_replace_two(here, molexp):
    write(
        here,
        SCRIPT.replace('ws = me.Workspace("lab")', 'me.Workspace("other")\n    ws = me.Workspace("lab")'),
        "two.py",
    )
    done = molexp("run", "two.py", "-w", "scra tch")
    assert (done.code, [*here.glob("[!_]*")]) == (4, [here / "two.py"])
    assert f"it writes to two workspaces, '{here}/other' and '{here}/lab'" in done.err


def test_a_planned_run_is_created_as_it_was_planned_and_one_that_you_make_by_hand_as_its_profile_says(here, script):
    (here / "molcfg.yaml").write_text("defaults: {steps: 1}\nprofiles: {far: {steps: 2}}\n")
    (here / "other.yaml").write_text("defaults: {steps: 1}\nprofiles: {far: {steps: 3}}\n")
    planned = Drive(script, config=here / "other.yaml", profile="far").plan()[0]
    run = planned.run()
    assert (run.path, run.config) == (planned.path, {"steps": 3})

    asked: dict[str, Any] = {"experiment": planned.experiment, "parameters": {"a": 1}, "replica": 0, "profile": "far"}
    mine = planned.experiment.derived_run({"a": 1}, profile="far")
    by_hand = PlannedRun(id=mine.id, action="start", why="new", **asked)
    assert (by_hand.config, by_hand.run()) == (None, mine)
    assert by_hand.run().config == {"steps": 2}
