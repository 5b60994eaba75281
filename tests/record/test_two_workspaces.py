"""Two workspaces in one process: names that both have are never taken for each other."""

from __future__ import annotations

import threading

import pytest

import molexp as me
from molexp.workflow import WorkflowBuilder
from tests.record.helpers import DEADLINE, amid


@pytest.fixture
def ours(lab_exp):
    return made(lab_exp, "ours")


@pytest.fixture
def theirs(copy):
    return made(copy.workspace().Project("metals").Experiment("cu"), "theirs")


def made(exp, text):
    """A run, of the same path in both workspaces, with an artifact and a result."""
    run = exp.Run(id="one")
    with run.start() as ctx:
        ctx.artifact.save("a.txt", text)
        ctx.set_result("whose", text)
    return run


def test_each_block_records_in_its_own(lab_exp, copy):
    other = copy.workspace().Project("metals").Experiment("cu").Run(id="both")
    with lab_exp.Run(id="both").start() as one, other.start() as two:
        for ctx, text in ((one, "1"), (two, "2")):
            ctx.log("train").append(text)
            ctx.logger.warning(text)
            ctx.artifact.save("a.txt", text)
        assert (one.asset("a.txt").load(), two.asset("a.txt").load()) == ("1", "2")

    for run, text in ((lab_exp.run("both"), "1"), (other, "2")):
        assert run.log("train").tail() == [text]
        assert [line[-1] for line in run.log("run").tail()] == [text]


@pytest.mark.parametrize("what", [lambda run: run, lambda run: {"all": [run.asset("a.txt")]}], ids=["run", "asset"])
def test_a_result_is_no_reference_into_another_workspace(ours, theirs, what):
    with ours.start() as ctx:
        with pytest.raises(me.SerializationError, match="belongs to another workspace"):
            ctx.set_result("x", what(theirs))
        ctx.set_result("x", what(ours))

    assert sorted(ours.results) == ["whose", "x"]


def test_an_output_that_is_an_asset_of_another_workspace_is_made_again(ours, theirs, lab_exp, copy):
    builder = WorkflowBuilder("look")

    @builder.task
    def look(ctx):
        return me.Workspace.load(ctx.params["url"]).run("metals/cu/one").asset("a.txt")

    flow, run = builder.build(), lab_exp.Run({"url": copy.workspace().url})
    first, again = flow.execute_sync(run=run), flow.execute_sync(run=run, resume=True)

    assert first.outputs["look"].load() == again.outputs["look"].load() == "theirs"
    assert "another workspace" in again.tasks["look"].reason


def test_an_asset_of_another_workspace_is_imported_with_its_address(lab_exp):
    other = me.Workspace("memory://theirs").Project("metals").Experiment("cu")
    asset = made(other, "theirs").asset("a.txt")

    imported = lab_exp.data_assets.import_asset("a", asset)

    assert (imported.read_bytes(), imported.source) == (b"theirs", f"memory://theirs/{asset.key}")
    assert (imported.source_key, imported.source_asset) == ("", "")


def test_a_catalog_answers_about_its_own(ours, theirs, lab):
    catalog = lab.workspace().catalog
    for question in (
        lambda: catalog.assets(producer=theirs),
        lambda: catalog.lineage(theirs),
        lambda: catalog.lineage(theirs.asset("a.txt")),
    ):
        with pytest.raises(ValueError, match="belongs to another workspace"):
            question()
    assert [asset.load() for asset in catalog.assets(producer=ours, kind="artifact")] == ["ours"]
    assert catalog.lineage(ours.asset("a.txt")) == catalog.lineage(ours.asset("a.txt").id)


def test_runs_and_rows_of_two_workspaces_are_compared(ours, theirs, lab, copy):
    ws = lab.workspace()
    for other in (theirs, copy.workspace().catalog.runs()[0]):
        assert [row["results.whose"] for row in ws.compare(ours, other)] == ["ours", "theirs"]


ASKED = {
    "workspace.json": lambda place: len(place.workspace().catalog.runs()),
    "experiments/cu/runs": lambda place: len(place.workspace().project("metals").experiment("cu").runs),
}


@pytest.mark.parametrize("key", ASKED)
def test_storage_that_does_not_answer_keeps_no_other_workspace_waiting(lab, copy, ours, theirs, monkeypatch, key):
    asked, answers, found = threading.Event(), threading.Event(), []

    def wait():
        if threading.current_thread() is first:
            asked.set()
            answers.wait(DEADLINE)

    amid(monkeypatch, lab.store, ["read", "children"], key, wait, every=True)
    first = threading.Thread(target=ASKED[key], args=(lab,))
    second = threading.Thread(target=lambda: found.append(ASKED[key](copy)))
    first.start()
    asked.wait(DEADLINE)
    second.start()
    second.join(DEADLINE / 4)
    answers.set()
    assert found == [1]
    first.join()
