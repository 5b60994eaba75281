"""molexp cancel, archive, unarchive, delete and restore."""

from __future__ import annotations

import shlex

import pytest

import molexp as me


@pytest.fixture
def exp(here):
    exp = me.Workspace("lab").Project("p").Experiment("e")
    for name in ("one", "two"):
        with exp.Run(id=name).start() as ctx:
            ctx.set_result("x", 1)
    return exp


@pytest.fixture
def molexp(molexp):
    def call(*arguments):
        return molexp("-w", "lab", *arguments)

    return call


def listed(done):
    return [line.split()[0] for line in done.lines()[1:]]


def test_what_is_archived_is_left_out_of_lists_and_that_is_said(exp, molexp):
    done = molexp("archive", "one")
    assert (done.code, done.out) == (0, "p/e/one\n")
    done = molexp("runs", "list")
    assert listed(done) == ["p/e/two"]
    assert "1 archived run not shown. Add --archived to list them." in done.err
    done = molexp("runs", "list", "--archived")
    assert (listed(done), done.err) == (["p/e/one", "p/e/two"], "")
    assert molexp("unarchive", "p/e/one").out == "p/e/one\n"
    assert listed(molexp("runs", "list")) == ["p/e/one", "p/e/two"]


def test_what_is_deleted_can_be_restored_until_gc_frees_it(exp, molexp):
    assert molexp("delete", "one", "two").out == "p/e/one\np/e/two\n"
    done = molexp("show", "p/e/one")
    assert (done.code, "molexp restore" in done.err) == (3, True)
    assert molexp("restore", "p/e/one").out == "p/e/one\n"
    assert listed(molexp("runs", "list")) == ["p/e/one"]
    assert molexp("gc", "--yes").code == 0
    assert molexp("show", "p/e/one").code == 0
    done = molexp("restore", "p/e/two")
    assert (done.code, done.out) == (3, "")
    assert "has freed it" in done.err


def test_what_was_changed_is_told_in_json(exp, molexp):
    unchanged = {"changed": [], "dry_run": False, "failed": [], "unchanged": ["p/e/one"]}
    assert molexp("cancel", "one", "--json").json() == unchanged, "it has ended"
    for command in ("archive", "unarchive", "delete"):
        assert molexp(command, "one", "--json").json() == {"changed": ["p/e/one"], "dry_run": False, "failed": []}


def test_nothing_is_changed_if_one_is_not_there(exp, molexp):
    assert molexp("delete", "one", "three").code == 3
    assert listed(molexp("runs", "list")) == ["p/e/one", "p/e/two"]


def test_a_run_that_is_named_twice_is_changed_once(exp, molexp):
    for command in ("archive", "unarchive", "delete"):
        done = molexp(command, "one", "p/e/ONE", "two", "one")
        assert (done.code, done.out, done.err) == (0, "p/e/one\np/e/two\n", ""), command
    done = molexp("restore", "/p/e/one/", "p/e/ONE", "p/e/one")
    assert (done.code, done.out, done.err) == (0, "p/e/one\n", "")


def test_a_run_that_cannot_be_changed_hinders_no_other(exp, molexp):
    with exp.Run(id="busy").start():
        done = molexp("delete", "one", "busy", "two")
        assert (done.code, done.out) == (4, "p/e/one\np/e/two\n")
        assert done.err.count("Run 'p/e/busy' is being executed") == 1
    done = molexp("restore", "p/e/one", "p/e/three", "p/e/two")
    assert (done.code, done.out) == (3, "p/e/one\np/e/two\n")
    assert "There is no run 'p/e/three'" in done.err
    assert listed(molexp("runs", "list")) == ["p/e/one", "p/e/two", "p/e/busy"]


def test_a_run_is_cancelled_as_the_errors_advise(exp, molexp):
    exp.Run(id="waits")
    with pytest.raises(me.RunCancelledError, match="too hot"), exp.Run(id="busy").start() as ctx:
        assert "hint: Wait until it ends, or stop it: molexp cancel p/e/busy\n" in molexp("delete", "busy").err
        me.sync_workspace("lab", "copy")
        done = molexp("cancel", "busy", "waits", "one", "--reason", "too hot")
        assert (done.code, done.out) == (0, "p/e/busy\np/e/waits\n")
        assert done.err == "molexp: p/e/one has ended (succeeded), and stays as it is.\n"
        ctx._attempt.beat()
        ctx.set_result("x", 1)
    assert [exp.run(name).status for name in ("busy", "waits", "one")] == ["cancelled", "cancelled", "succeeded"]
    assert "give this attempt up here: molexp cancel p/e/busy" in molexp("-w", "copy", "delete", "busy").err
    assert molexp("-w", "copy", "cancel", "busy").code == 0
    assert me.Workspace("copy").run("busy").status == "cancelled"
    assert molexp("-w", "copy", "delete", "busy").code == 0


def test_the_example_of_cancelling_by_a_query_chooses_runs_that_wait(exp, molexp):
    exp.Run(id="waits")
    (example,) = [line for line in molexp("runs", "cancel", "--help").lines() if "status ==" in line]
    assert molexp(*shlex.split(example)[1:]).out == "p/e/waits\n"
    assert exp.run("waits").status == "cancelled"


def test_what_hinders_all_of_them_is_said_once(exp, molexp, here):
    file = here / "lab" / "workspace.json"
    file.write_text(file.read_text().replace('"schema": 1', '"schema": 99'))
    done = molexp("archive", "one", "two")
    assert (done.code, done.out) == (4, "")
    assert done.err.count("molexp:") == 1


def test_numbers_in_compare_are_as_in_lists(exp, molexp):
    for name, value in (("a", 0.1 * 0.4), ("b", 0.03999999999999999), ("c", 0.0625)):
        with exp.Run({"lr": value}, id=name).start():
            pass
    lines = dict(line.split(maxsplit=1) for line in molexp("compare", "a", "c").lines())
    assert lines["params.lr"].split() == ["0.04", "0.0625"]
    lines = dict(line.split(maxsplit=1) for line in molexp("compare", "b", "a").lines())
    assert lines["params.lr"].split() == ["0.03999999999999999", "0.04000000000000001"], "else they would look the same"


def test_a_sort_key_that_is_no_column_is_an_error(exp, molexp):
    for name, hint in (("foo.bar", "There is no column"), ("status.x", "Did you mean 'status'")):
        done = molexp("runs", "list", "--sort", name)
        assert (done.code, done.out) == (2, "")
        assert hint in done.err


def test_metrics_are_listed_and_shown(exp, molexp):
    with exp.run("one").start() as ctx:
        for step in range(2):
            ctx.metrics.log(dict.fromkeys("abcdef", step / 3), step=step)
    assert "a=0.333333 b=0.333333 c=0.333333 d=0.333333 +2" in molexp("runs", "list").out
    assert ["a", "0.333333", "1", "0", "0", "0.333333", "1", "2"] in [
        line.split() for line in molexp("show", "one").lines()
    ]
    assert listed(molexp("runs", "list", "metrics.f.max > 0", "--sort", "metrics.a")) == ["p/e/one"]
