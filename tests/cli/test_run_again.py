"""molexp run, when there is something already: reruns, changed code, captured output, and what stands in the answer."""

from __future__ import annotations

import json
import signal
import subprocess

import pytest

import molexp as me
from tests.cli.helpers import eventually, program, spawn
from tests.cli.test_run import SLOW, SWEEP, executed, write

CHANGED = "molexp run --changed executes {} of the skipped runs; they have changed since, or may have"


@pytest.fixture
def sweep(here):
    return write(here)


def actions(here, *options):
    return {(run["action"], run["why"]) for run in program(here, "run", "sweep.py", "-n", "--json", *options).json()}


def test_a_workflow_that_changed_since_is_said_and_can_be_run_again(here, sweep):
    assert program(here, "run", "sweep.py").code == 0
    assert actions(here) == {("skip", "succeeded before")}
    write(here, SWEEP.replace("ctx.inputs + ctx.config", "10 * ctx.inputs + ctx.config") + "    # a comment\n")
    changed = ("skip", "succeeded before, and the workflow has changed since")
    assert actions(here) == {("skip", "succeeded before"), changed}
    done = program(here, "run", "sweep.py")
    assert "succeeded before, and the workflow has changed since" in done.err
    assert done.lines() == ["7 skipped", CHANGED.format(6)]
    assert len(program(here, "run", "sweep.py", "--json").json()["changed"]) == 6
    (here / "executed.txt").unlink()

    assert ("resume", changed[1]) in actions(here, "--rerun", "--resume")
    done = program(here, "run", "sweep.py", "--rerun", "--resume")
    assert done.code == 0, done.err
    assert executed(here) == [], "only the second task has changed"
    runs = me.Workspace.load(here / "lab").project("p").experiment("e").runs
    assert {run.results["y"] for run in runs} == {20, 40, 60}
    assert all(len(run.execution_history) == 2 for run in runs)


ARGUMENTS = """
import argparse
import molexp as me
from molexp.workflow import WorkflowBuilder
parser = argparse.ArgumentParser()
parser.add_argument("--rate", type=float, default=0.5)
GIVEN = parser.parse_args()
wf = WorkflowBuilder(name="w")
@wf.task(executor="process")
def task(ctx):
    return GIVEN.rate
ws = me.Workspace("lab")
wf.build().bind_to(ws.Project("p").Experiment("e", space=[{"seed": 1}]))
me.entry(ws)
"""


def test_a_script_sees_the_same_command_line_in_each_process(here):
    write(here, ARGUMENTS)
    assert program(here, "run", "sweep.py").lines() == ["1 succeeded"]
    assert program(here, "run", "sweep.py", "--changed").lines() == ["1 skipped"]
    assert program(here, "run", "sweep.py", "--rerun", "--executor", "process").lines() == ["1 succeeded"]
    (run,) = me.Workspace.load(here / "lab").project("p").experiment("e").runs
    assert run.tasks["task"]["output"] == 0.5


def test_what_changed_is_executed_again_and_nothing_else(here, sweep):
    program(here, "run", "sweep.py")
    write(here, SWEEP.replace("ctx.inputs + ctx.config", "10 * ctx.inputs + ctx.config"))
    (here / "executed.txt").unlink()

    assert actions(here, "--changed") == {
        ("skip", "succeeded before"),
        ("resume", "succeeded before, and the workflow has changed since"),
    }
    assert program(here, "run", "sweep.py", "--changed").lines() == ["6 succeeded, 1 skipped"]
    assert executed(here) == [], "only the second task has changed"
    assert program(here, "run", "sweep.py", "--changed").lines() == ["7 skipped"]


READER = """
    import os
    import molexp as me
    from molexp.workflow import WorkflowBuilder
    wf = WorkflowBuilder("reader")
    ws = me.Workspace("lab")
    exp = ws.Project("p").Experiment("e")
    @wf.task
    def read(ctx):
        ctx.set_result("text", ctx.asset("table").read_bytes().decode())
        UNFOLLOWED
    wf.build().bind_to(exp)
    me.entry(ws)
"""


@pytest.mark.parametrize("executor", ["inline", "process"])
def test_a_newer_version_of_an_input_is_said_and_can_be_run_again(here, executor):
    write(here, READER.replace("UNFOLLOWED", ""), "reader.py")
    data = me.Workspace(here / "lab").Project("p").data_assets
    for text in "12":
        (here / "in.txt").write_text(text)
        data.import_asset("table", here / "in.txt")
        done = program(here, "run", "reader.py", "--executor", executor)
    assert done.lines() == ["1 skipped", CHANGED.format(1)]
    assert "of its task 'read', its inputs changed: p:data:table@2" in done.err

    done = program(here, "run", "reader.py", "--changed", "--executor", executor)
    assert done.lines() == ["1 succeeded"], done.err
    (run,) = me.Workspace.load(here / "lab").project("p").experiment("e").runs
    assert run.results["text"] == "2"
    assert program(here, "run", "reader.py", "--changed").lines() == ["1 skipped"]


def test_what_nobody_can_tell_is_said_as_well(here):
    write(here, READER.replace("ctx.asset", "eval('ctx').asset").replace("UNFOLLOWED", ""), "reader.py")
    (here / "in.txt").write_text("1")
    me.Workspace(here / "lab").Project("p").data_assets.import_asset("table", here / "in.txt")
    program(here, "run", "reader.py")
    done = program(here, "run", "reader.py")
    assert done.lines() == ["1 skipped", CHANGED.format(1)]
    assert "nobody can tell whether it changed: it uses eval" in done.err
    assert program(here, "run", "reader.py", "--changed").lines() == ["1 succeeded"]


def test_code_that_a_worker_executed_is_compared_and_not_what_the_program_had_read(here):
    text = """
        import os, pathlib
        import molexp as me
        from molexp.workflow import WorkflowBuilder
        wf = WorkflowBuilder("w")
        @wf.task
        def a(ctx):
            if "EDIT" in os.environ:
                path = pathlib.Path(__file__)
                path.write_text(path.read_text().replace("v = 1", "v = 20"))
        @wf.task(depends_on=[a], executor="process")
        def b(ctx):
            v = 1
            ctx.set_result("v", v)
        ws = me.Workspace("lab")
        wf.build().bind_to(ws.Project("p").Experiment("e"))
        me.entry(ws)
    """
    write(here, text, "s.py")
    assert program(here, "run", "s.py", env={"EDIT": "1"}).code == 0
    (run,) = me.Workspace.load(here / "lab").project("p").experiment("e").runs
    assert run.results["v"] == 20, "of another length, for Python overlooks other edits within the second of an import"
    write(here, text, "s.py")
    done = program(here, "run", "s.py")
    assert done.lines() == ["1 skipped", CHANGED.format(1)]
    assert "of its task 'b', its code changed" in done.err
    assert program(here, "run", "s.py", "--changed").code == 0
    assert run.results["v"] == 1
    assert program(here, "run", "s.py", "--changed").lines() == ["1 skipped"]


def test_rerun_executes_everything_again(here, sweep):
    program(here, "run", "sweep.py")
    (here / "executed.txt").unlink()

    assert program(here, "run", "sweep.py", "--rerun").out == "7 succeeded\n"
    assert len(executed(here)) == 6


CHATTY = """
    import molexp as me
    from molexp.workflow import WorkflowBuilder
    print("imported")
    wf = WorkflowBuilder("chatty")
    @wf.task
    def say(ctx):
        print("said", ctx.params["x"], flush=True)
    ws = me.Workspace("lab")
    wf.build().bind_to(ws.Project("p").Experiment("e", space=me.grid(x=[1, 2])))
    me.entry(ws)
"""


@pytest.mark.parametrize("executor", ["inline", "process"])
def test_what_is_printed_does_not_stand_in_a_json_answer(here, executor):
    write(here, CHATTY, "chatty.py")
    assert [run["action"] for run in program(here, "run", "chatty.py", "-n", "--json").json()] == ["start", "start"]
    done = program(here, "run", "chatty.py", "--json", "--executor", executor)

    assert len(done.json()["ended"]) == 2
    assert "imported" in done.err
    assert "said 1" in done.err


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_what_is_printed_comes_before_the_summary(here, unbuffered):
    write(here, CHATTY.replace(", flush=True", ""), "chatty.py")
    done = program(here, "run", "chatty.py", env={"PYTHONUNBUFFERED": unbuffered})
    assert done.lines() == ["imported", "said 1", "said 2", "2 succeeded"]


@pytest.mark.parametrize("options", [["--executor", "inline"], ["--executor", "process", "-j", "2"]], ids=str)
def test_what_runs_print_can_be_recorded(here, options):
    write(here, CHATTY, "chatty.py")
    assert program(here, "run", "chatty.py", "--capture", *options).code == 0
    runs = me.Workspace.load(here / "lab").project("p").experiment("e").runs
    assert sorted(run.logs["stdout"].text().splitlines()[-1] for run in runs) == ["said 1", "said 2"]


def test_output_of_several_runs_in_one_process_cannot_be_told_apart(here, molexp):
    write(here, CHATTY, "chatty.py")
    done = molexp("run", "chatty.py", "--capture", "-j", "2")
    assert done.code == 2
    assert "process" in done.err


def test_a_profile_says_where_runs_are_executed(here, sweep):
    (here / "molcfg.yaml").write_text("profiles: {far: {executor: process}, odd: {executor: proces}}\n")
    near = program(here, "run", "sweep.py", "-n", "--json").json()
    assert program(here, "run", "sweep.py", "-p", "odd").code != 0
    assert executed(here) == []

    process = spawn(here, "run", "sweep.py", "-p", "far", stdout=-1, stderr=-1)
    process.communicate(timeout=300)
    assert process.returncode == 0
    runs = me.Workspace.load(here / "lab").project("p").experiment("e").runs
    assert {run.path for run in runs} == {run["path"] for run in near if "/e/" in run["path"]}
    assert all(run.execution_history[-1]["pid"] != process.pid for run in runs)


def test_an_interruption_counts_what_was_cancelled_and_what_has_not_begun(here):
    write(here, SLOW.replace('Experiment("slow")', 'Experiment("slow", replicas=3)'), "slow.py")
    process = spawn(here, "run", "slow.py", stdout=-1, stderr=-1)
    eventually((here / "began").exists)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=300)

    assert process.returncode == 130
    assert out.decode().splitlines()[0] == "1 cancelled, 2 not begun"


@pytest.mark.parametrize("command", [["run", "sweep.py"], ["exec", "p/e", "--", "true"]], ids=lambda words: words[0])
def test_the_code_on_record_is_the_scripts_and_not_the_programs(here, sweep, monkeypatch, command):
    for name in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{name}_NAME", "somebody")
        monkeypatch.setenv(f"GIT_{name}_EMAIL", "somebody@example.org")
    for words in (["init", "-q"], ["add", "sweep.py"], ["commit", "-q", "-m", "first"]):
        subprocess.run(["git", *words], cwd=here, check=True)
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=here, check=True, capture_output=True, text=True)

    monkeypatch.setenv("MOLEXP_WORKSPACE", str(here / "lab"))
    assert program(here, *command).code == 0
    found = json.loads(program(here, "show", "@latest", "--json").out)
    assert found["origin"]["git"]["commit"] == head.stdout.strip()


def test_show_tells_tasks_and_origin(here, sweep):
    (here / "broken").touch()
    program(here, "run", "sweep.py")
    ws = me.Workspace.load(here / "lab")
    (failed, *_) = ws.catalog.runs(status="failed")
    done = program(here, "-w", "lab", "show", failed.path)

    assert "python" in done.out
    lines = done.out.splitlines()
    rows = [line.split() for line in lines[lines.index("tasks") + 1 :]]
    assert rows[0] == ["TASK", "STATUS", "SECONDS", "RETRIES", "REASON"]
    assert rows[1][:2] == ["double", "succeeded"]
    assert rows[2][:2] == ["record", "failed"]
    assert "ValueError" in " ".join(rows[2])
    found = json.loads(program(here, "-w", "lab", "show", failed.path, "--json").out)
    assert found["tasks"]["double"]["output"] == 4
    assert found["origin"]["python"]
    assert ws.run(failed.path).tasks["record"]["status"] == "failed"


# ---------------------------------------------------------------------------------------------- what stands in the way


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
@pytest.mark.parametrize("executor", ["inline", "process"])
def test_an_interruption_leaves_no_run_that_seems_to_go_on(here, number, executor):
    """Every attempt has an end when the command is over, wherever it was executed; the summary says what the record says."""
    write(here, SLOW, "slow.py")
    process = spawn(here, "run", "slow.py", "--json", "--executor", executor, stdout=-1, stderr=-1)
    eventually((here / "began").exists)
    process.send_signal(number)
    out, err = process.communicate(timeout=300)

    assert process.returncode == {signal.SIGINT: 130}.get(number, 128 + number), err
    assert b"Traceback" not in err, err.decode()
    assert len(list((here / "lab").rglob("*.end.json"))) == 1
    (run,) = me.Workspace.load(here / "lab").project("p").experiment("slow").runs
    assert run.status in ("cancelled", "interrupted")
    assert run.results == {"began": True}
    assert json.loads(out)["ended"] == {run.path: run.status}


@pytest.mark.parametrize("program_", ["run", "execute"])
def test_a_signal_in_the_midst_of_a_task_is_told_in_a_sentence(here, program_):
    midst = SLOW.replace("await asyncio.Event().wait()", "import signal; signal.raise_signal(signal.SIGTERM)")
    write(here, midst, "midst.py")
    words = ["run", "midst.py", "--json"]
    if program_ == "execute":
        run = me.Workspace(here / "lab").Project("p").Experiment("slow").Run(id="one")
        words = ["-w", "lab", "execute", run.path, "-s", "midst.py"]
    done = program(here, *words)

    assert done.code == 143
    assert "Traceback" not in done.err
    assert "never retrieved" not in done.err
    (run,) = me.Workspace.load(here / "lab").project("p").experiment("slow").runs
    assert run.status == "interrupted"
    assert program_ == "execute" or json.loads(done.out)["ended"] == {run.path: "interrupted"}


def test_a_run_that_was_deleted_is_left_out(here, sweep):
    program(here, "run", "sweep.py")
    ws = me.Workspace.load(here / "lab")
    run = ws.project("p").experiment("e").runs[0]
    run.delete()

    assert ("skip", "was deleted") in actions(here)
    done = program(here, "run", "sweep.py")
    assert (done.code, done.out) == (0, "7 skipped\n")
    assert "skipped: it was deleted\n" in done.err
    with pytest.raises(me.ConflictError, match=r"was deleted.*gc"):
        ws.project("p").experiment("e").derived_run({"x": run.parameters["x"]}, replica=run.replica)
    ws.gc(dry_run=False)
    assert program(here, "run", "sweep.py").out == "1 succeeded, 6 skipped\n"


def test_an_end_that_cannot_be_read_is_not_computed_again_without_a_word(here, sweep):
    program(here, "run", "sweep.py")
    run = me.Workspace.load(here / "lab").project("p").experiment("e").runs[0]
    (end,) = (here / "lab").rglob(f"{run.id}/executions/1.end.json")
    end.write_text("{")

    done = program(here, "run", "sweep.py")
    assert done.code == 1
    assert "cannot be read" in done.out
    assert len(executed(here)) == 6
    assert program(here, "run", "sweep.py", "--rerun").code == 0


def test_a_run_that_cannot_be_read_at_all_blocks_no_other(here, sweep):
    program(here, "run", "sweep.py", "-n")
    exp = me.Workspace.load(here / "lab").project("p").experiment("e")
    run = exp.derived_run({"x": 1})
    (document,) = (here / "lab").rglob(f"{run.id}/run.json")
    document.write_text("{")

    done = program(here, "run", "sweep.py", "--json")
    assert done.code == 1
    assert list(done.json()["left"]) == [run.path]
    assert len(done.json()["ended"]) == 5


def test_two_workspaces_of_one_script_are_told_apart(here):
    write(
        here,
        """
        import molexp as me
        from molexp.workflow import WorkflowBuilder
        wf = WorkflowBuilder("w")
        wf.task(name="one")(lambda ctx: ctx.set_result("i", ctx.params.get("i")))
        a = me.Workspace("a").Project("p").Experiment("e", space=me.grid(i=[1, 2]))
        b = me.Workspace("b").Project("p").Experiment("e", space=[{"i": 1}, {"i": 1.0}])
        for exp in (a, b):
            wf.build().bind_to(exp)
        me.entry(a.project.workspace, b.project.workspace)
        """,
        "two.py",
    )
    done = program(here, "run", "two.py", "--json")
    assert done.code == 0, done.err
    assert len(done.json()["ended"]) == 3
    assert [len(me.Workspace.load(here / name).project("p").experiment("e").runs) for name in "ab"] == [2, 1]


def test_who_leaves_a_run_to_somebody_else_does_not_know_that_all_is_well(here, sweep):
    planned = program(here, "run", "sweep.py", "-n", "--json").json()[0]
    run = me.Workspace.load(here / "lab").project("p").experiment("e").derived_run(planned["parameters"])
    with run.start():
        (here / "broken").touch()
        done = program(here, "run", "sweep.py", "--json")
        assert done.code == 1, "another run failed"
        assert list(done.json()["left"]) == [run.path]
        assert f"{run.path} (x=1) started" not in done.err
        (here / "broken").unlink()
        assert program(here, "run", "sweep.py", "--json").code == 5


def test_a_script_that_fails_says_where(here):
    write(here, "1 / 0", "helper.py")
    write(here, "import helper", "broken.py")
    assert f'{here / "helper.py"}", line 1' in program(here, "run", "broken.py").err
