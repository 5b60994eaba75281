"""molexp run: a script's experiments, point by point, under ids that are found again."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from textwrap import dedent

import pytest

import molexp as me
from tests.cli.helpers import Terminal, eventually, program, spawn
from tests.crash.launching import srun

SWEEP = """
    import os
    import molexp as me
    from molexp.workflow import TaskContext, WorkflowBuilder

    wf = WorkflowBuilder("sweep")

    @wf.task
    def double(ctx: TaskContext) -> int:
        with open("executed.txt", "a") as file:
            file.write(f"{ctx.params['x']}\\n")
        return ctx.params["x"] * 2

    @wf.task(depends_on=[double])
    async def record(ctx: TaskContext) -> None:
        if ctx.params["x"] == 2 and os.path.exists("broken"):
            raise ValueError("two is bad")
        ctx.set_result("y", ctx.inputs + ctx.config.get("shift", 0))

    ws = me.Workspace("lab")
    exp = ws.Project("p").Experiment("e", space=me.grid(x=[1, 2, 3]), replicas=2)
    wf.build().bind_to(exp)

    total = WorkflowBuilder("total")

    @total.task
    def add(ctx: TaskContext) -> None:
        ctx.set_result("sum", sum(run.results["y"] for run in exp.runs))

    last = ws.Project("p").Experiment("sum")
    total.build().bind_to(last)
    me.entry(ws)

    if __name__ == "__main__":
        raise SystemExit("the guard fired")
"""


def write(folder: Path, code: str = SWEEP, name: str = "sweep.py") -> Path:
    (folder / name).write_text(dedent(code), encoding="utf-8")
    return folder / name


def executed(folder: Path) -> list[str]:
    file = folder / "executed.txt"
    return file.read_text().split() if file.exists() else []


@pytest.fixture
def sweep(here: Path) -> Path:
    return write(here)


# ----------------------------------------------------------------------------------------------------------------- sweeps


def test_every_point_and_replica_runs_once_and_is_found_again(here, sweep):
    first = program(here, "run", "sweep.py")
    assert first.code == 0, first.err
    assert first.out == "7 succeeded\n"
    assert executed(here) == ["1", "1", "2", "2", "3", "3"]
    ws = me.Workspace.load(here / "lab")
    runs = ws.project("p").experiment("e").runs
    assert sorted((run.parameters["x"], run.replica, run.results["y"]) for run in runs) == [
        (x, replica, 2 * x) for x in (1, 2, 3) for replica in (0, 1)
    ]
    assert len({run.seed for run in runs}) == 6
    (total,) = ws.project("p").experiment("sum").runs
    assert total.results == {"sum": 24}

    second = program(here, "run", "sweep.py")
    assert (second.code, second.out) == (0, "7 skipped\n")
    assert len(executed(here)) == 6
    assert "it succeeded before" in second.err


def test_the_plan_says_what_would_be_done_and_does_nothing(here, sweep):
    done = program(here, "run", "sweep.py", "--dry-run")
    assert done.code == 0, done.err
    head, *lines = done.lines()
    assert head.split() == ["RUN", "ACTION", "WHY", "PARAMETERS", "REPLICA"]
    assert [line.split()[1:] for line in lines[:2]] == [["start", "new", "x=1", "0"], ["start", "new", "x=1", "1"]]
    assert executed(here) == []
    assert not list((here / "lab").rglob("run.json"))

    planned = program(here, "run", "sweep.py", "--dry-run", "--json").json()
    assert program(here, "run", "sweep.py", "-j", "3").code == 0
    again = program(here, "run", "sweep.py", "-n", "--json").json()
    assert [run["path"] for run in again] == [run["path"] for run in planned]
    assert {(run["action"], run["why"]) for run in again} == {("skip", "succeeded before")}


def test_a_failed_run_holds_back_what_comes_after_and_resumes_at_the_failed_task(here, sweep):
    (here / "broken").touch()
    done = program(here, "run", "sweep.py")
    assert done.code == 1
    head, *trouble = done.lines()
    assert head == "4 succeeded, 2 failed"
    assert "failed: task 'record' failed: ValueError: two is bad" in trouble[0]
    assert trouble[-1].split()[0] == "p/sum"
    assert "not begun: run p/e/" in trouble[-1]
    assert "Traceback" not in done.err
    (here / "broken").unlink()
    (here / "executed.txt").unlink()

    assert "resume" in program(here, "run", "sweep.py", "--resume", "--dry-run").out
    done = program(here, "run", "sweep.py", "--resume")
    assert (done.code, done.out) == (0, "3 succeeded, 4 skipped\n"), done.err
    assert executed(here) == [], "the first task's output was there"


def test_without_resume_a_failed_run_is_executed_anew(here, sweep):
    (here / "broken").touch()
    program(here, "run", "sweep.py")
    (here / "broken").unlink()
    (here / "executed.txt").unlink()

    assert program(here, "run", "sweep.py").code == 0
    assert executed(here) == ["2", "2"]


def test_processes_execute_the_same_runs_under_the_same_ids(here, sweep):
    planned = [run["path"] for run in program(here, "run", "sweep.py", "-n", "--json").json()]
    done = program(here, "run", "sweep.py", "-j", "2", "--executor", "process", "--json")
    assert done.code == 0, done.err
    assert set(done.json()["ended"]) == set(planned)
    assert sorted(executed(here)) == ["1", "1", "2", "2", "3", "3"]
    assert program(here, "run", "sweep.py").out == "7 skipped\n"
    pids = {
        run.execution_history[-1]["pid"] for run in me.Workspace.load(here / "lab").project("p").experiment("e").runs
    }
    assert len(pids) <= 2


def test_a_run_that_somebody_executes_is_left_alone(here, sweep):
    (planned, *_) = program(here, "run", "sweep.py", "-n", "--json").json()
    ws = me.Workspace.load(here / "lab")
    run = ws.project("p").experiment("e").derived_run(planned["parameters"])
    with run.start():
        assert [row["action"] for row in program(here, "run", "sweep.py", "-n", "--json").json()].count("leave") == 1
        done = program(here, "run", "sweep.py")
    assert done.code == 5, "the sum waits for it, which is no failure"
    assert f"{run.path}  is being executed by process {os.getpid()} on" in done.out
    assert "1 left" in done.lines()[0]
    assert f"p/sum  not begun: run {run.path} is being executed" in done.out


def test_runs_that_others_execute_are_no_success(here):
    write(here, SWEEP.replace("total.build().bind_to(last)", ""))
    (planned, *_) = program(here, "run", "sweep.py", "-n", "--json").json()
    run = me.Workspace.load(here / "lab").project("p").experiment("e").derived_run(planned["parameters"])
    with run.start():
        done = program(here, "run", "sweep.py")
    assert (done.code, done.lines()[0]) == (5, "5 succeeded, 1 left"), done.err


def test_with_wait_they_are_awaited_and_the_next_experiment_begins(here, sweep):
    (planned, *_) = program(here, "run", "sweep.py", "-n", "--json").json()
    run = me.Workspace.load(here / "lab").project("p").experiment("e").derived_run(planned["parameters"])
    with run.start() as ctx:
        waiting = spawn(here, "run", "sweep.py", "--wait", stdout=-1, stderr=-1)
        eventually(lambda: len(executed(here)) == 5)
        ctx.set_result("y", 2)
    out, err = waiting.communicate(timeout=300)
    assert (waiting.returncode, out) == (0, b"7 succeeded\n"), err


# --------------------------------------------------------------------------------------------------------------- profiles


def test_overrides_make_other_runs_and_the_same_ones_find_the_same(here, sweep):
    (here / "molcfg.yaml").write_text("defaults: {shift: 0}\nprofiles: {far: {shift: 100}}\n")

    def ids(*options: str) -> list[str]:
        return [run["path"] for run in program(here, "run", "sweep.py", "-n", "--json", *options).json()]

    assert ids() == ids("--override", "shift=0")
    assert ids("--profile", "far") == ids("--override", "shift=100") == ids("--override", "shift=1e2")
    assert not set(ids()) & set(ids("--override", "shift=5"))
    assert program(here, "run", "sweep.py", "-p", "far").code == 0
    run = me.Workspace.load(here / "lab").project("p").experiment("e").runs[0]
    assert run.results["y"] > 100
    assert run.profile == "far"
    assert run.config == {"shift": 100}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--profile", "fra"], "Did you mean 'far'"),
        (["--override", "shft=1"], "Did you mean 'shift'"),
        (["--override", "shift"], "shift"),
        (["--config", "none.yaml"], "none.yaml"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_a_profile_or_override_that_is_not_there_runs_nothing(here, sweep, molexp, options, said):
    (here / "molcfg.yaml").write_text("defaults: {shift: 0}\nprofiles: {far: {shift: 100}}\n")
    done = molexp("run", "sweep.py", *options)
    assert done.code != 0
    assert said in done.err
    assert executed(here) == []


# -------------------------------------------------------------------------------------------------------------- bad scripts


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("1 / 0", "raised ZeroDivisionError"),
        ("import sys; sys.exit(3)", "called sys.exit(3)"),
        ("def f(:", "SyntaxError"),
        ("import nowhere_to_be_found", "nowhere_to_be_found"),
        ("x = 1", "me.entry(ws)"),
        ("import molexp as me; me.entry(me.Workspace('lab'))", "bind_to(experiment)"),
        (
            "import molexp as me; ws = me.Workspace('lab'); e = ws.Project('p').Experiment('e'); me.entry(ws, order=[e])",
            "p/e",
        ),
        ("import molexp as me; me.entry()", "me.entry(ws)"),
        ("import molexp as me; me.entry('lab')", "workspaces"),
    ],
    ids=lambda value: value[:40],
)
def test_a_script_that_cannot_be_driven_is_explained(here, code, said):
    write(here, code, "bad.py")
    done = program(here, "run", "bad.py")
    assert done.code not in (0, 130)
    assert said in done.err
    assert "molexp/_" not in done.err  # none of our own frames
    assert done.out == ""


def test_an_error_in_a_script_has_the_frames_that_are_the_users(here):
    write(here, "import json\n\ndef read():\n    return json.loads('no')\n", "reading.py")
    write(here, "import reading\n\nreading.read()\n", "bad.py")
    done = program(here, "run", "bad.py")
    assert done.code == 4
    assert [line for line in done.err.splitlines() if not set(line) <= {" ", "^", "~"}] == [
        f"molexp: The script '{here}/bad.py' cannot be run: it raised JSONDecodeError while it was imported.",
        "Traceback (most recent call last):",
        f'  File "{here}/bad.py", line 3, in <module>',
        "    reading.read()",
        f'  File "{here}/reading.py", line 4, in read',
        "    return json.loads('no')",
        "json.decoder.JSONDecodeError: Expecting value: line 1 column 1 (char 0)",
    ]


@pytest.mark.parametrize("script", ["broken.py", "importing.py"])
def test_a_script_that_is_no_python_is_shown_at_its_place(here, script):
    write(here, "x = 1\ny = (\n", "broken.py")
    write(here, "import broken\n", "importing.py")
    done = program(here, "run", script)
    assert done.code == 4
    assert done.err.endswith(
        f"  File \"{here}/broken.py\", line 2\n    y = (\n        ^\nSyntaxError: '(' was never closed\n"
    )
    assert "importlib" not in done.err


def test_an_error_of_ours_in_a_script_says_which_line_raised_it(here):
    write(here, "import molexp as me\n\nme.Workspace('lab').Project('')\n", "bad.py")
    done = program(here, "run", "bad.py")
    assert done.code == 2
    assert done.err.endswith(f"It was raised by {here}/bad.py, line 3.\n")


def test_a_script_that_is_not_there_or_is_a_folder(here, molexp):
    assert "no such file" in molexp("run", "none.py").err
    assert "folder" in molexp("run", ".").err


def test_a_script_named_like_an_imported_module(here, sweep, molexp):
    write(here, SWEEP, "json.py")
    done = molexp("run", "json.py")
    assert done.code != 0
    assert "rename the script" in done.err


@pytest.mark.parametrize("option", [[], ["--dry-run"], ["--plan-only"]])
def test_an_executor_that_is_not_there(here, sweep, molexp, option):
    done = molexp("run", "sweep.py", "--executor", "proces", *option)
    assert done.code != 0
    assert "Did you mean 'process'" in done.err
    assert executed(here) == []


def test_a_space_of_something_else_than_dicts(here, molexp):
    write(here, SWEEP.replace("space=me.grid(x=[1, 2, 3])", "space=[1, 2]"), "odd.py")
    done = molexp("run", "odd.py")
    assert done.code != 0
    assert "molexp/_" not in done.err


# ------------------------------------------------------------------------------------------------------------- interruption


SLOW = """
    import threading
    import molexp as me
    from molexp.workflow import WorkflowBuilder

    wf = WorkflowBuilder("slow")

    @wf.task
    def first(ctx):
        return 1

    @wf.task(depends_on=[first])
    async def second(ctx):
        import asyncio
        ctx.set_result("began", True)
        open("began", "w").close()
        await asyncio.Event().wait()

    ws = me.Workspace("lab")
    exp = ws.Project("p").Experiment("slow")
    wf.build().bind_to(exp)
    me.entry(ws)
"""


@pytest.mark.parametrize(
    ("number", "code", "status"),
    [(signal.SIGINT, 130, "cancelled"), (signal.SIGTERM, 143, "interrupted")],
    ids=["Ctrl-C", "SIGTERM"],
)
def test_an_interruption_ends_the_run_with_everything_flushed(here, number, code, status):
    write(here, SLOW, "slow.py")
    process = spawn(here, "run", "slow.py", stdout=-1, stderr=-1)
    eventually((here / "began").exists)
    process.send_signal(number)
    _, err = process.communicate(timeout=300)

    assert process.returncode == code, err
    assert b"Traceback" not in err, err.decode()
    (run,) = me.Workspace.load(here / "lab").project("p").experiment("slow").runs
    assert run.status == status
    assert run.results == {"began": True}
    assert run.execution_history[-1]["tasks"]["succeeded"] == 1


def test_a_killed_drive_leaves_runs_that_the_next_one_resumes(here):
    write(here, SLOW, "slow.py")
    process = spawn(here, "run", "slow.py", stdout=-1, stderr=-1)
    eventually((here / "began").exists)
    process.kill()
    process.communicate()
    write(here, SLOW.replace("await asyncio.Event().wait()", "return 2"), "slow.py")

    done = program(here, "run", "slow.py", "--resume")
    assert (done.code, done.out) == (0, "1 succeeded\n"), done.err
    (run,) = me.Workspace.load(here / "lab").project("p").experiment("slow").runs
    assert [entry["status"] for entry in run.execution_history] == ["interrupted", "succeeded"]


# ----------------------------------------------------------------------------------------------------------------- manners


def test_a_terminal_shows_what_goes_on(here, sweep):
    terminal = Terminal(here, "run", "sweep.py")
    assert terminal.end() == 0
    assert "7 succeeded" in terminal.text
    assert " succeeded in " not in terminal.text


def test_several_that_a_launcher_starts_share_the_sweep(here, sweep):
    """`srun -n 2 molexp run sweep.py`: each takes the runs that nobody has taken."""
    ranks = [
        spawn(
            here,
            "run",
            "sweep.py",
            env=srun(rank, size=2),
            stdout=-1,
            stderr=-1,
        )
        for rank in (0, 1)
    ]
    for process in ranks:
        out, err = process.communicate(timeout=300)
        assert b"failed" not in out, err.decode()

    assert sorted(executed(here)) == ["1", "1", "2", "2", "3", "3"]
    assert program(here, "run", "sweep.py").code == 0
    runs = me.Workspace.load(here / "lab").project("p").experiment("e").runs
    assert [len(run.execution_history) for run in runs] == [1] * 6
