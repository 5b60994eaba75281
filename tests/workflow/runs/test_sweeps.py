"""A plain function is run over a space of parameters, and driven by `molexp run`."""

from __future__ import annotations

import asyncio
import functools
import io
import os
import signal
import subprocess
import sys
from collections import Counter

import pytest

import molexp as me
from molexp.scripts import Drive, load_script
from tests import warm
from tests.workflow.runs import swept

CALLS: Counter[int] = Counter()


@pytest.fixture
def exp(tmp_path):
    CALLS.clear()
    return me.Workspace(tmp_path / "lab").Project("metals").Experiment("cu", params={"scale": 10})


def square(ctx: me.Context) -> None:
    """Fail for 3, the first time."""
    a = ctx.params["a"]
    CALLS[a] += 1
    ctx.metrics.log(step=0, a=a)
    ctx.log("notes").append(f"a is {a}")
    if a == 3 and CALLS[a] == 1:
        raise ValueError("three is too much")
    ctx.set_result("square", ctx.params["scale"] * a**2)


def done(rows):
    return [(row.params["a"], str(row.status)) for row in rows]


# -------------------------------------------------------------------------------------------------------------- going through


def test_it_is_called_once_for_every_point(exp, capsys):
    rows = exp.sweep(square, space={"a": [1, 2]})
    assert done(rows) == [(1, "succeeded"), (2, "succeeded")]
    assert [row.results["square"] for row in rows] == [10, 40]
    assert rows[0].id == exp.derived_id({"a": 1}), "as `molexp run` would call it"
    run = exp.run(rows[1].id)
    assert (run.metrics.last["a"], run.log("notes").text()) == (2, "a is 2\n")
    assert capsys.readouterr() == ("", "metals/cu: 2 succeeded\n")


def test_a_failure_stops_no_other_run_and_a_second_call_goes_on(exp, capsys):
    space = [{"a": 3}, {"a": 1}, {"a": 2}]
    assert done(exp.sweep(square, space=space)) == [(3, "failed"), (1, "succeeded"), (2, "succeeded")]
    told = capsys.readouterr().err.splitlines()
    assert "(a=3) failed: " in told[0]
    assert "three is too much" in told[0]
    assert told[-1] == "metals/cu: 1 failed, 2 succeeded"

    assert done(exp.sweep(square, space=space)) == [(3, "succeeded"), (1, "succeeded"), (2, "succeeded")]
    assert capsys.readouterr().err == "metals/cu: 1 succeeded, 2 skipped\n"
    assert CALLS == {1: 1, 2: 1, 3: 2}


def test_it_may_stop_at_the_first_failure(exp, capsys):
    rows = exp.sweep(square, space=[{"a": 1}, {"a": 3}, {"a": 2}], on_error="stop")
    assert done(rows) == [(1, "succeeded"), (3, "failed")]
    assert CALLS[2] == 0
    assert capsys.readouterr().err.endswith("metals/cu: 1 succeeded, 1 failed, 1 not begun\n")
    assert done(exp.sweep(square, space=[{"a": 2}], progress=False)) == [(2, "succeeded")]


SPACES = {
    "a dict of lists": ({"a": [1, 2], "b": [5]}, [(1, 5), (2, 5)]),
    "a list of dicts": ([{"a": 2, "b": 1}], [(2, 1)]),
    "a generator": (({"a": a, "b": 0} for a in (1, 2)), [(1, 0), (2, 0)]),
    "a dict of a range": ({"a": range(1, 3), "b": (7,)}, [(1, 7), (2, 7)]),
    "points that are equal": ([{"a": 1, "b": 1}, {"b": 1.0, "a": 1}], [(1, 1)]),
}


@pytest.mark.parametrize(("space", "points"), SPACES.values(), ids=SPACES.keys())
def test_a_space_may_have_several_forms(exp, space, points):
    rows = exp.sweep(square, space=space, progress=False)
    assert [(row.params["a"], row.params["b"]) for row in rows] == points


def test_a_space_without_a_point_executes_nothing(exp):
    assert list(exp.sweep(square, space=[], progress=False)) == []
    assert list(exp.runs) == []


def test_replicas_have_seeds_of_their_own(exp):
    def draw(ctx):
        ctx.set_result("seed", ctx.seed)

    rows = exp.sweep(draw, space={"a": [1]}, replicas=3, progress=False)
    assert [row.replica for row in rows] == [0, 1, 2]
    assert len({row.results["seed"] for row in rows}) == 3


def test_the_experiments_own_space_counts_where_none_is_given(exp):
    own = exp.project.Experiment("own", space=me.grid(a=[1, 2]), replicas=2, params={"scale": 1})
    assert [(row.params["a"], row.replica) for row in own.sweep(square, progress=False)] == [
        (1, 0),
        (1, 1),
        (2, 0),
        (2, 1),
    ]
    alone = exp.project.Experiment("alone", params={"scale": 1, "a": 5})
    assert done(alone.sweep(square, progress=False)) == [(5, "succeeded")]


def test_an_async_function_a_partial_and_a_lambda_will_do(exp):
    async def wait(ctx):
        await asyncio.sleep(0)
        ctx.set_result("a", ctx.params["a"])

    def scaled(factor, ctx):
        ctx.set_result("a", factor * ctx.params["a"])

    assert exp.sweep(wait, space={"a": [1]}, progress=False)[0].results == {"a": 1}
    assert done(exp.sweep(lambda ctx: ctx.set_result("a", 1), space={"a": [3]}, progress=False)) == [(3, "succeeded")]
    assert exp.sweep(functools.partial(scaled, 2), space={"a": [2]}, progress=False)[0].results == {"a": 4}


def test_several_runs_go_on_at_a_time(exp):
    there = asyncio.Event()

    async def meet(ctx):
        if ctx.params["a"] == 1:
            await asyncio.wait_for(there.wait(), 300)
        else:
            there.set()

    assert done(exp.sweep(meet, space={"a": [1, 2]}, jobs=2, progress=False)) == [(1, "succeeded"), (2, "succeeded")]


def test_it_works_where_an_event_loop_is_running(exp):
    async def cell():
        return exp.sweep(square, space={"a": [1, 2]}, progress=False)

    assert done(asyncio.run(cell())) == [(1, "succeeded"), (2, "succeeded")]


def test_a_run_of_somebody_else_is_left(exp, capsys):
    with exp.derived_run({"a": 1}).start():
        rows = exp.sweep(square, space={"a": [1, 2]})
    assert done(rows) == [(1, "running"), (2, "succeeded")]
    assert "1 left to others" in capsys.readouterr().err


def test_the_rows_are_a_table(exp):
    frame = exp.sweep(square, space={"a": [1, 2]}, progress=False).to_pandas()
    assert frame["results.square"].tolist() == [10, 40]


# ------------------------------------------------------------------------------------------------------------------ processes


def test_runs_go_on_in_processes(exp):
    rows = exp.sweep(swept.where, space={"a": [1, 2]}, jobs=2, executor="process", progress=False)
    assert done(rows) == [(1, "succeeded"), (2, "succeeded")]
    assert os.getpid() not in {row.results["pid"] for row in rows}
    assert exp.sweep(swept.where, space={"a": [1, 2]}, executor="process", progress=False)[0].results == rows[0].results


def test_a_worker_that_dies_takes_one_run_along(exp):
    rows = exp.sweep(swept.die_at_two, space={"a": [1, 2, 3]}, executor="process", progress=False)
    assert done(rows) == [(1, "succeeded"), (2, "interrupted"), (3, "succeeded")]


def test_a_function_that_no_process_would_find_is_refused_at_once(exp):
    def local(ctx):
        raise AssertionError

    with pytest.raises(me.NotPicklableError, match=r"defined inside another function.*top level"):
        exp.sweep(local, space={"a": [1]}, executor="process")
    assert len(exp.runs) == 0


UNGUARDED = """
import molexp as me

def f(ctx): ...

me.Workspace("lab").Project("p").Experiment("e").sweep(f, space={"a": [1]}, executor="process")
"""


def test_a_script_without_guard_is_told(tmp_path):
    (tmp_path / "unguarded.py").write_text(UNGUARDED, encoding="utf-8")
    ended = warm.run([sys.executable, "unguarded.py"], cwd=tmp_path, capture_output=True, text=True)
    assert ended.returncode == 1
    assert 'if __name__ == "__main__":' in ended.stderr
    assert not (tmp_path / "lab" / "projects" / "p" / "experiments" / "e" / "runs").exists()


# ------------------------------------------------------------------------------------------------------------------- mistakes


MISTAKES = {
    "no function": (TypeError, "must be a function", {"function": 5}),
    "no context": (TypeError, "called with one argument", {"function": lambda: None}),
    "a word": (ValueError, "'continue' or 'stop', not 'ignore'", {"on_error": "ignore"}),
    "an axis of text": (TypeError, r"write \['ab'\]", {"space": {"a": "ab"}}),
    "a space of text": (TypeError, "iterable of parameter dicts", {"space": "ab"}),
    "points of text": (TypeError, "dicts of parameters", {"space": ["ab"]}),
    "NaN": (me.SerializationError, r"a", {"space": {"a": [float("nan")]}}),
    "no jobs": (ValueError, "at least 1", {"jobs": 0}),
    "no replica": (ValueError, "replicas is 0; it must be at least 1", {"replicas": 0}),
    "an executor": (me.PluginMissingError, "'process'", {"executor": "proces", "function": lambda ctx: None}),
}


@pytest.mark.parametrize(("error", "words", "given"), MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_is_told_before_anything_is_run(exp, error, words, given):
    arguments = {"function": square, "space": {"a": [1]}, **given}
    with pytest.raises(error, match=words):
        exp.sweep(arguments.pop("function"), **arguments, progress=False)
    assert len(exp.runs) == 0


# ------------------------------------------------------------------------------------------------------------------- progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_terminal_shows_one_line_that_is_drawn_anew(exp, monkeypatch):
    def bad(ctx):
        raise ValueError("\x1b]0;title\x07 red")

    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    exp.sweep(square, space={"a": [1, 2]})
    drawn = terminal.getvalue().split("\r\x1b[2K")
    assert "metals/cu: 1 of 2 runs" in "".join(drawn)
    assert [part for part in drawn if "\n" in part] == ["metals/cu: 2 succeeded\n"]

    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    exp.sweep(bad, space={"a": [7]})
    assert "\x07" not in terminal.getvalue()
    assert "?]0;title? red" in terminal.getvalue()


def test_many_failures_are_few_lines(exp, capsys):
    def bad(ctx):
        raise ValueError("no")

    exp.sweep(bad, space={"a": range(20)})
    assert len(capsys.readouterr().err.splitlines()) == 7


def test_a_reader_that_is_gone_stops_nothing(exp, monkeypatch):
    monkeypatch.setattr(sys, "stderr", stream := io.StringIO())
    stream.close()
    assert done(exp.sweep(square, space={"a": [1]})) == [(1, "succeeded")]


STOPPED = """
import pathlib, threading
import molexp as me

def f(ctx):
    if ctx.params["a"] == 1 and not pathlib.Path("again").exists():
        print("waiting", flush=True)
        while not ctx.cancelled:
            threading.Event().wait(0.01)

if __name__ == "__main__":
    exp = me.Workspace("lab").Project("p").Experiment("e")
    print([str(row.status) for row in exp.sweep(f, space={"a": [0, 1, 2]})])
"""


def test_ctrl_c_ends_what_runs_and_the_next_call_goes_on(tmp_path):
    (tmp_path / "sweep.py").write_text(STOPPED, encoding="utf-8")
    command, pipe = [sys.executable, "sweep.py"], subprocess.PIPE
    with warm.Popen(command, cwd=tmp_path, stdout=pipe, stderr=pipe, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "waiting\n"
        child.send_signal(signal.SIGINT)
        said = child.communicate(timeout=warm.DEADLINE)[1]
    assert child.returncode != 0
    assert "KeyboardInterrupt" in said
    assert "p/e: 1 succeeded, 1 cancelled, 1 not begun" in said
    rows = me.Workspace(tmp_path / "lab").catalog.runs()
    assert sorted((row.params["a"], str(row.status)) for row in rows) == [(0, "succeeded"), (1, "cancelled")]
    (tmp_path / "again").touch()
    again = warm.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert again.stdout.strip() == str(["succeeded"] * 3)
    assert "2 succeeded, 1 skipped" in again.stderr


# -------------------------------------------------------------------------------------------------------------------- binding


SCRIPT = """
import molexp as me

def square(ctx):
    ctx.set_result("square", ctx.params["a"] ** 2)

ws = me.Workspace("lab")
exp = ws.Project("p").Experiment("e", space=me.grid(a=[1, 2]))
exp.bind(square)
me.entry(ws)
"""


def test_molexp_run_drives_a_bound_function(tmp_path, monkeypatch):
    (tmp_path / "bound.py").write_text(SCRIPT, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    drive = Drive("bound.py")
    assert drive.execute().ok
    CALLS.clear()
    exp = me.Workspace("lab").project("p").experiment("e")
    assert [row.results["square"] for row in exp.project.workspace.catalog.runs(sort="params.a")] == [1, 4]
    assert load_script("bound.py").experiments[0][1].tasks.keys() == {"square"}
    assert [one.action for one in Drive("bound.py").plan()] == ["skip", "skip"]
    assert len(exp.sweep(square, progress=False)) == 2
    assert not CALLS, "what molexp run has done is skipped"


def test_bind_is_a_decorator(exp):
    @exp.bind
    def square(ctx):
        return 4

    assert square(None) == 4
    with pytest.raises(TypeError, match="must be a function"):
        exp.bind("square")
