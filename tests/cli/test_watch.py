"""``molexp watch``: the runs that go on, as they do."""

from __future__ import annotations

import json
import os
import signal
import subprocess

import pytest

import molexp as me
from molexp.workflow import WorkflowBuilder
from molexp_cli._watching import Watcher
from tests.cli.helpers import Terminal, spawn
from tests.record.test_refresh_cost import OPERATIONS


@pytest.fixture
def experiment(in_lab):
    return in_lab.Project("metals").Experiment("cu")


class Watching:
    """A program that watches until nothing goes on, line by line."""

    def __init__(self, here, *words):
        self.process = spawn(
            here, "watch", "--interval", "0.02", *words, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    def line(self):
        return self.process.stdout.readline().decode().rstrip("\n")

    def until(self, event):
        while (found := json.loads(self.line()))["event"] != event:
            pass
        return found

    def end(self):
        out, err = self.process.communicate(timeout=300)
        return self.process.returncode, out.decode(), err.decode()


def once(molexp, *words):
    done = molexp("watch", "--once", "--json", *words)
    assert (done.code, done.err) == (0, "")
    return [json.loads(line) for line in done.lines()]


def test_nothing_goes_on(experiment, molexp):
    experiment.runs.create_many({"n": number} for number in range(3))
    with experiment.Run(id="over").start():
        pass
    (summary,) = once(molexp)
    assert (summary["event"], summary["running"], summary["queued"], summary["ended"]) == ("summary", 0, 3, {})
    assert molexp("watch", "--once").out == "Nothing is running, 3 queued\n"
    assert molexp("watch", "--until-done").out == "Nothing is running, 3 queued\n"


def test_what_goes_on_is_described(in_lab, experiment, molexp):
    with experiment.Run({"a": 3.6}, id="one").start() as ctx:
        ctx.metrics.log(step=7, loss=0.5)
        ctx.set_result("partly", 1)
        ctx.flush()
        running, summary = once(molexp)
        line = molexp("watch", "--once").lines()[0]
    assert (running["event"], running["path"], running["status"]) == ("running", "metals/cu/one", "running")
    assert (running["parameters"], running["results"]) == ({"a": 3.6}, {"partly": 1})
    assert (running["step"], running["metrics"], running["tasks"]) == (7, {"loss": 0.5}, None)
    assert 0 <= running["silent"] < 3600
    assert summary["running"] == 1
    assert line.startswith("metals/cu/one (a=3.6)  running for ")
    assert line.endswith(" s  step 7  loss=0.5")


def test_tasks_are_counted(in_lab, experiment, molexp):
    seen = []
    workflow = WorkflowBuilder(name="relax")

    @workflow.task
    def first(ctx):
        return 1

    @workflow.task(depends_on=[first])
    def second(ctx):
        seen.extend(once(molexp))

    @workflow.task(depends_on=[second])
    def third(ctx):
        return 3

    workflow.build().execute_sync(run=experiment.Run(id="one"), check=True)
    assert [one.get("tasks") for one in seen] == [{"done": 1, "total": 3}, None]


def test_you_choose_what_is_watched(in_lab, experiment, molexp):
    other = in_lab.Project("noble").Experiment("ar")
    with (
        experiment.Run({"a": 1}, id="a=1").start(),
        experiment.Run({"a": 2}, id="two").start(),
        other.Run({"b": 1}, id="three").start(),
    ):
        chosen = {
            words: [one["path"].rpartition("/")[2] for one in once(molexp, *words)[:-1]]
            for words in [
                (),
                ("metals/cu",),
                ("params.a > 1",),
                ("params.a>1", "three"),
                ("a=1",),
                ("status=='failed'",),
            ]
        }
    assert list(chosen.values()) == [["a=1", "two", "three"], ["a=1", "two"], ["two"], ["two", "three"], ["a=1"], []]
    wrong = molexp("watch", "nosuch", "--once")
    assert (wrong.code, "There is no run 'nosuch'" in wrong.err) == (3, True)
    assert molexp("watch", "params.a >", "--once").code == 2


def test_each_change_is_an_object(experiment, here):
    with experiment.Run({"a": 3.6}, id="long").start() as ctx:
        watching = Watching(here, "--json", "--until-done")
        assert watching.until("running")["path"] == "metals/cu/long"
        ctx.metrics.log(step=1, loss=0.25)
        ctx.flush()
        changed = watching.until("changed")
        assert (changed["step"], changed["metrics"]) == (1, {"loss": 0.25})
        with pytest.raises(ZeroDivisionError), experiment.Run({"a": 3.7}, id="short").start():
            1 / 0  # noqa: B018
        failed = watching.until("ended")
        assert (failed["path"], failed["status"], failed["cause"]) == ("metals/cu/short", "failed", "exception")
    code, out, err = watching.end()
    *_, ended, summary = [json.loads(line) for line in out.splitlines()]
    assert (code, err) == (1, "")
    assert (ended["event"], ended["path"], ended["status"]) == ("ended", "metals/cu/long", "succeeded")
    assert (summary["running"], summary["ended"]) == (0, {"failed": 1, "succeeded": 1})


def test_a_line_says_what_happens_and_the_last_one_how_it_went(experiment, here):
    with experiment.Run({"a": 3.6}, id="long").start() as ctx:
        watching = Watching(here, "metals/cu", "--until-done")
        assert watching.line().startswith("metals/cu/long (a=3.6)  running")
        ctx.set_result("energy", -3.5)
    code, out, err = watching.end()
    ended, summary = out.splitlines()
    assert ended.startswith("metals/cu/long succeeded in ")
    assert ended.endswith(" s  energy=-3.5")
    assert (code, summary, err) == (0, "Nothing is running; meanwhile 1 succeeded", "")


def test_ctrl_c_ends_it_quietly(experiment, here):
    with experiment.Run({"a": 3.6}, id="long").start():
        terminal = Terminal(here, "watch", "--interval", "0.02", env={"NO_COLOR": "1"})
        terminal.wait_for("1 running. Ctrl-C ends this, and no run.")
        with experiment.Run({"a": 9.9}, id="short").start():
            terminal.wait_for("2 running")
        terminal.wait_for("metals/cu/short succeeded in")
        terminal.press("\x03")
        assert terminal.end() == 0
        assert "Traceback" not in terminal.text
        watching = Watching(here)
        watching.line()
        os.kill(watching.process.pid, signal.SIGINT)
        assert watching.end() == (0, "", "")


def test_a_look_at_what_does_not_change_costs_the_same_in_any_workspace(in_lab, experiment, monkeypatch):
    store = type(in_lab._session.store)
    asked = []
    for name in OPERATIONS:
        original = getattr(store, name)

        def call(self, *args, _name=name, _original=original, **kwargs):
            asked.append(_name)
            return _original(self, *args, **kwargs)

        monkeypatch.setattr(store, name, call)
    watcher = Watcher(me.Workspace("./lab"))
    costs = []
    for count in (3, 60):
        experiment.runs.create_many({"count": count, "n": number} for number in range(count))
        watcher.look()
        while any(folder.stamp.endswith("?") for folder in in_lab._session.index.known().folders.values()):
            watcher.look()
        asked.clear()
        look = watcher.look()
        assert (look.running, look.begun, look.changed, look.ended) == ([], [], [], [])
        costs.append(sorted(asked))
    assert look.queued == 63
    assert costs[0] == costs[1]
    assert len(costs[0]) <= 24, costs[0]
