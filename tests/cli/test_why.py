"""molexp why: it tells of each task what a resume then does with it, and which runs are near one that is not there."""

from __future__ import annotations

from pathlib import Path

import pytest

SCRIPT = """
import molexp as me
from molexp.workflow import WorkflowBuilder

wf = WorkflowBuilder(name="scan")


def scaled(x):
    return x * FACTOR


@wf.task
def points(ctx):
    return [ctx.params["a"], 2]


@wf.task(map_over=points)
def one(ctx):
    return scaled(ctx.inputs) % 10


@wf.task(depends_on=[one])
def total(ctx):
    if OFFSET < 0:
        raise ValueError("below zero")
    return OFFSET + sum(ctx.inputs)


@wf.task(depends_on=[total])
def report(ctx):
    ctx.set_result("total", ctx.inputs)


@wf.task(depends_on=[points])
def opaque(ctx):
    return object()


@wf.task(depends_on=[opaque])
def after_opaque(ctx):
    return 1


ws = me.Workspace("./lab")
exp = ws.Project("metals").Experiment("cu", space=me.grid(a=[1]))
wf.build().bind_to(exp)
me.entry(ws)
"""


def write(factor: int = 1, offset: int = 0) -> None:
    text = SCRIPT.replace("FACTOR", str(factor)).replace("OFFSET", str(offset))
    Path("scan.py").write_text(text)


@pytest.fixture
def why(molexp):
    """Ask why, and return the fate of each task; then resume, and check that it came so."""

    def why():
        (path,) = [row["path"] for row in molexp("-w", "lab", "runs", "list", "--json").json()]
        found = molexp("why", path, "-w", "lab", "--script", "scan.py", "--json").json()
        before = len(molexp("-w", "lab", "show", path, "--json").json()["execution_history"])
        molexp("run", "scan.py", "--resume", "--rerun")
        shown = molexp("-w", "lab", "show", path, "--json").json()
        assert len(shown["execution_history"]) == before + 1
        tried = {name: one for name, one in shown["tasks"].items() if "items" not in one and one["status"] != "skipped"}
        executed = {name.partition("[")[0] for name, one in tried.items() if not one.get("reused")}
        fates = {one["name"]: one for one in found["tasks"]}
        said = {name for name, one in fates.items() if one["action"] == "execute"}
        perhaps = {name for name, one in fates.items() if one["action"] == "depends"}
        held = {name for name, one in shown["tasks"].items() if one["status"] == "skipped"}
        assert said - held <= executed <= said | perhaps, (fates, shown["tasks"])
        return found, fates

    return why


def test_it_tells_what_a_resume_does(molexp, here, why):
    write()
    assert molexp("run", "scan.py").code == 0
    found, fates = why()
    assert (found["status"], found["action"]) == ("succeeded", "skip")
    assert found["why"].startswith("succeeded before")
    assert [one["action"] for one in fates.values()].count("execute") == 1
    assert fates["opaque"]["why"].startswith("its output cannot be restored")
    assert (fates["after_opaque"]["action"], fates["after_opaque"]["upstream"]) == ("depends", ["opaque"])
    assert (fates["one"]["action"], fates["one"]["file"], fates["one"]["line"] > 1) == ("reuse", "scan.py", True)

    write(offset=-1)
    found, fates = why()  # and total fails
    assert found["changed"] == "the workflow has changed since"
    assert fates["total"]["why"] == "its code changed"
    assert (fates["report"]["action"], fates["report"]["upstream"]) == ("depends", ["total"])

    _, fates = why()
    assert fates["total"]["why"] == "it failed before"
    assert (fates["report"]["action"], fates["report"]["why"]) == ("execute", "it was skipped before")

    write(factor=11, offset=0)  # `one` gives the same again
    _, fates = why()
    assert fates["one"]["why"] == "2 of 2 items, the first is one[0]: its code changed"


def test_an_input_that_changed_is_named(molexp, here):
    write()
    molexp("run", "scan.py")
    (path,) = [row["path"] for row in molexp("-w", "lab", "runs", "list", "--json").json()]
    write(factor=3, offset=-1)
    molexp("run", "scan.py", "--resume", "--rerun")  # `one` is new, and total fails
    write(factor=3)
    done = molexp("-w", "lab", "why", path, "--script", "scan.py", "--task", "report", "--task", "one")
    assert done.code == 0
    assert "molexp run  executes it: failed before" in done.out
    assert [line.split()[:2] for line in done.lines()[-2:]] == [["report", "execute"], ["one", "reuse"]]


def test_without_a_script_the_record_alone_is_told(molexp, here):
    write(offset=-1)
    molexp("run", "scan.py")
    done = molexp("-w", "lab", "why", "@latest")
    assert "only the script tells whether its code has changed" in done.out
    assert "it failed before" in done.out
    assert "hint: Add --script FILE" in done.err
    assert molexp("-w", "lab", "why", "@latest", "-t", "totl").code == 2


@pytest.mark.parametrize("there", [False, True], ids=["missing", "unreadable"])
def test_a_workspace_that_is_named_is_asked_or_none(molexp, here, monkeypatch, there):
    write()
    assert molexp("run", "scan.py").code == 0
    if there:
        (here / "other").mkdir()
        (here / "other/workspace.json").symlink_to("nowhere")
    monkeypatch.setenv("MOLEXP_WORKSPACE", "other")
    done = molexp("why", "@latest", "--script", "scan.py")
    assert (done.code != 0, done.out, f"{here}/other" in done.err) == (True, "", True), (
        "that of the script is another one"
    )


def test_the_nearest_runs_are_named_where_there_is_none(molexp, in_lab):
    exp = in_lab.Project("metals").Experiment("cu", params={"xc": "PBE"})
    for a in (3.5, 3.6, 4.0):
        exp.derived_run({"a": a, "k": 4})
    done = molexp("why", "metals/cu", "--set", "a=3.7", "--set", "k=4")
    assert done.code == 3
    assert [line.split()[2:] for line in done.lines()[1:]] == [
        [f"a={a}", "instead", "of", "3.7"] for a in ("3.6", "3.5", "4")
    ]
    assert "there is no run of metals/cu with xc=PBE a=3.7 k=4 replica=0" in done.err
    found = molexp("why", "metals/cu", "--set", "a=3.5", "--set", "k=5", "--json")
    assert found.json()["nearest"][0]["differs"] == {"k": {"wanted": 5, "is": 4}}
    assert "start" in molexp("why", "metals/cu", "--set", "a=3.5", "--set", "k=4", "--json").out
    assert molexp("why", "metals/no", "--set", "a=1").code == 3
    told = "Invalid value for RUN (with --set): 'metals' is not of the form PROJECT/EXPERIMENT"
    assert told in molexp("why", "metals", "--set", "a=1").err
