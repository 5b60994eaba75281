"""molexp run tells what happens: in a log, on a terminal, and at the end."""

from __future__ import annotations

from contextlib import ExitStack
from textwrap import dedent

import pytest

import molexp as me
from tests.cli.helpers import Terminal, program

MANY = """
    import os
    import molexp as me
    from molexp.workflow import WorkflowBuilder

    wf = WorkflowBuilder("many")

    @wf.task
    def task(ctx):
        if ctx.params["x"] in (7, 8):
            raise ValueError("bad luck")

    ws = me.Workspace("./lab")
    exp = ws.Project("p").Experiment("many", space=me.grid(x=range(30), scale=[0.5]))
    wf.build().bind_to(exp)
    me.entry(ws)
"""


@pytest.fixture
def many(here):
    (here / "many.py").write_text(dedent(MANY))
    return here


def test_of_many_runs_a_log_has_the_failures_and_one_line_that_counts(many):
    done = program(many, "run", "many.py", "-j", "2")
    assert done.code == 1
    lines = done.err.splitlines()
    assert sorted(line.split(" ", 3)[2] for line in lines if "bad luck" in line) == ["(x=7"] * 2 + ["(x=8"] * 2
    assert [line for line in lines if "30 of 30 runs ended" in line] == [
        "molexp: p/many: 30 of 30 runs ended: 2 failed"
    ]
    assert len(lines) == 4 + 1 + 3
    head, *below = done.lines()
    assert head == "28 succeeded, 2 failed"
    assert sorted(line.strip() for line in below[1::2]) == ["x=7 scale=0.5", "x=8 scale=0.5"]
    again = program(many, "run", "many.py")
    assert again.err.count("\n") == 4 + 1 + 3


def test_of_many_runs_that_others_execute_the_first_are_named_and_the_others_counted(many):
    experiment = me.Workspace(many / "lab").Project("p").Experiment("many", params={"scale": 0.5})
    with ExitStack() as others:
        for x in range(9, 30):
            others.enter_context(experiment.derived_run({"x": x}).start())
        done = program(many, "run", "many.py", "--only", "params.x != 7 and params.x != 8")
    assert done.code == 5, done.err
    head, *below = done.lines()
    assert head == "7 succeeded, 21 left"
    assert [" is being executed by process " in line for line in below] == [True] * 10 + [False]
    assert below[-1] == "  and 11 more"
    count, wait, *_ = done.err.splitlines()
    assert count == "molexp: p/many: 7 of 28 runs ended: 21 left to others"
    assert wait.startswith("wait:      molexp run many.py ")
    assert wait.endswith(" --wait")


def test_the_end_names_the_commands_that_show_more_and_try_again(many, monkeypatch):
    monkeypatch.chdir(many)
    commands = dict(line.split(": ", 1) for line in program(many, "run", "many.py", "-j", "2").err.splitlines()[-3:])
    path = commands["show more"].split()[-1]
    assert commands["show more"] == f"molexp -w lab show {path}"
    shown = program(many, *commands["show more"].split()[1:])
    assert "bad luck" in shown.out
    assert commands["try again"] == "molexp run many.py -j 2 --resume"
    assert program(many, *commands["try again"].split()[1:]).out.startswith("2 failed, 28 skipped\n")
    listed = program(many, *commands["results"].split()[1:], "--json").json()
    assert len(listed) == 30


def test_on_a_terminal_only_what_went_wrong_stays_above_the_summary(many):
    terminal = Terminal(many, "run", "many.py", columns=60)
    assert terminal.end() == 1
    stays = [line for line in terminal.text.splitlines() if "x=7" in line and "bad luck" not in line]
    assert stays[-1].endswith("x=7 scale=0.5")
    assert "28 succeeded, 2 failed" in terminal.text
    assert " succeeded in " not in terminal.text
