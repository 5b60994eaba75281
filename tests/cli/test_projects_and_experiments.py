"""molexp projects and experiments: list, rename, archive, delete and restore."""

from __future__ import annotations

import pytest

import molexp as me
from tests.cli.helpers import Terminal
from tests.record.helpers import amid


@pytest.fixture
def metals(in_lab):
    project = in_lab.Project("metals")
    for name, count in (("cu", 3), ("ag", 1)):
        project.Experiment(name).runs.create_many([{"n": number} for number in range(count)])
    in_lab.Project("gases").Experiment("ar").Run()
    return project


def listed(molexp, *words):
    return [one["path"] for one in molexp(*words, "--json").json()]


def test_they_are_listed_with_names_and_counts(metals, molexp):
    metals.experiment("cu").rename("Copper")
    lines = molexp("experiments", "list", "metals").lines()
    assert lines[0].split() == ["EXPERIMENT", "NAME", "RUNS", "STATUS", "SIZE", "NEWEST"]
    assert [line.split()[:3] for line in lines[1:]] == [["metals/ag", "ag", "1"], ["metals/cu", "Copper", "3"]]
    assert listed(molexp, "experiments", "list") == ["gases/ar", "metals/ag", "metals/cu"]
    assert [(one["id"], one["runs"], one["experiments"]) for one in molexp("projects", "list", "--json").json()] == [
        ("gases", 1, 1),
        ("metals", 4, 2),
    ]
    assert molexp("experiments", "list", "--output", "csv").lines()[0].startswith("id,path,name,runs,statuses.pending")


def test_names_are_free_and_ids_stay(metals, molexp):
    assert molexp("projects", "rename", "metals", "Metals & alloys").out == "metals\n"
    assert molexp("experiments", "rename", "metals/cu", "Kupfer, PBE").out == "metals/cu\n"
    assert (metals.name, metals.experiment("cu").name) == ("Metals & alloys", "Kupfer, PBE")
    assert "Kupfer, PBE" in molexp("ls", "metals").out
    found = molexp("projects", "rename", "metals", "Metals", "--json").json()
    assert found == {"id": "metals", "name": "Metals", "path": "metals"}
    assert molexp("experiments", "restore", "metals/cu", "--json").json() == {"changed": ["metals/cu"]}
    for words in (("projects", "rename", "metals", " "), ("experiments", "rename", "metals", "x")):
        assert molexp(*words).code == 2
    done = molexp("projects", "rename", "metal", "x")
    assert (done.code, "'metals'" in done.err) == (3, True)


def test_archived_ones_are_hidden_until_they_have_a_run_that_is_not(metals, molexp):
    done = molexp("experiments", "archive", "metals/cu")
    assert (done.code, done.out, done.err) == (0, "metals/cu\n", "molexp: 3 runs archived.\n")
    done = molexp("ls", "metals")
    assert [line.split()[0] for line in done.lines()[1:]] == ["ag"]
    assert "1 archived experiment not shown. Add --archived to list them." in done.err
    assert listed(molexp, "experiments", "list", "metals", "--archived") == ["metals/ag", "metals/cu"]
    assert molexp("projects", "archive", "metals").err == "molexp: 1 run archived.\n"
    assert listed(molexp, "projects", "list") == ["gases"]
    metals.experiment("cu").Run(id="new")
    assert listed(molexp, "experiments", "list", "metals") == ["metals/cu"]
    assert molexp("projects", "unarchive", "metals").err == "molexp: 4 runs unarchived.\n"
    assert len(molexp("runs", "list", "--json").json()) == 6


@pytest.mark.parametrize(("what", "path", "runs"), [("projects", "metals", 4), ("experiments", "metals/cu", 3)])
def test_to_delete_them_says_how_many_runs_and_asks(metals, molexp, here, what, path, runs):
    done = molexp(what, "delete", path)
    assert (done.code, done.out) == (2, "")
    assert f"This deletes the {what[:-1]} {path} with {runs} runs. Add --yes" in done.err
    done = molexp(what, "delete", path, "--dry-run")
    assert (done.code, done.out) == (0, f"{path}\n")
    assert f"The {what[:-1]} {path} with {runs} runs would be deleted; nothing was changed." in done.err
    terminal = Terminal(here, what, "delete", path)
    terminal.wait_for(f"Delete the {what[:-1]} {path} with {runs} runs? [y/N] ")
    terminal.press("n\n")
    assert terminal.end() == 1
    assert len(molexp("runs", "list", "--json").json()) == 5

    done = molexp(what, "delete", path, "--yes")
    assert (done.code, done.out, done.err) == (0, f"{path}\n", f"molexp: {runs} runs deleted.\n")
    assert path not in listed(molexp, what, "list")
    found = molexp("info", "--json").json()
    assert (found["projects"], found["experiments"], found["runs"]) == ((1, 1, 1) if runs == 4 else (2, 2, 2))
    assert {one["id"]: one["experiments"] for one in molexp("projects", "list", "--json").json()} == (
        {"gases": 1} if runs == 4 else {"gases": 1, "metals": 1}
    )
    assert molexp(what, "restore", path).out == f"{path}\n"
    assert path in listed(molexp, what, "list")
    assert len(molexp("runs", "list", "--json").json()) == 5


def test_one_with_a_run_that_is_executed_stays_and_others_go(metals, molexp):
    with metals.experiment("cu").Run(id="busy").start():
        done = molexp("experiments", "delete", "metals/cu", "metals/ag", "--yes")
        assert (done.code, done.out) == (4, "metals/ag\n")
        assert "Run 'metals/cu/busy' is being executed" in done.err
        assert "1 of 5 runs deleted." in done.err
        found = molexp("experiments", "delete", "metals/cu", "--yes", "--json").json()
        assert (found["failed"][0]["code"], found["changed"], found["run_paths"]) == ("run_busy", [], [])
        assert len(listed(molexp, "runs", "list", "-e", "metals/cu")) == 4, "none of its runs is deleted"
    assert listed(molexp, "experiments", "list", "metals") == ["metals/cu"]
    runs = listed(molexp, "runs", "list", "-e", "metals/cu")
    assert molexp("experiments", "delete", "metals/cu", "--yes", "--json").json() == {
        "dry_run": False,
        "changed": ["metals/cu"],
        "runs": 4,
        "run_paths": runs,
        "failed": [],
    }


def test_data_and_experiments_without_runs_are_not_deleted_without_a_question(in_lab, molexp, here):
    (here / "table.csv").write_text("a,1")
    project = in_lab.Project("data")
    experiment = project.Experiment("e")
    done = molexp("projects", "delete", "data")
    assert (done.code, "This deletes the project data with 1 experiment. Add --yes" in done.err) == (2, True)
    project.data_assets.import_asset("table", here / "table.csv")
    experiment.data_assets.import_asset("table", here / "table.csv")
    done = molexp("projects", "delete", "data")
    assert (done.code, "the project data with 1 experiment and 2 data assets." in done.err) == (2, True)
    done = molexp("experiments", "delete", "data/e")
    assert (done.code, "the experiment data/e with 1 data asset." in done.err) == (2, True)
    assert listed(molexp, "projects", "list") == ["data"]
    assert molexp("projects", "delete", "data", "--yes").out == "data\n"


def test_an_error_that_nobody_expects_is_not_hidden(metals, molexp, monkeypatch):
    def broken(run):
        raise RuntimeError("a bug")

    monkeypatch.setattr(me.Run, "delete", broken)
    with pytest.raises(RuntimeError, match="a bug"):
        molexp("projects", "delete", "metals", "--yes")


def test_a_run_that_cannot_be_read_hinders_no_other(metals, molexp, here):
    broken = next(iter(metals.experiment("ag").runs))
    (next(here.glob("**/experiments/ag")) / "runs" / broken.id / "run.json").write_text('{"broken')

    done = molexp("experiments", "delete", "metals/ag", "metals/cu", "--yes")

    assert (done.code, done.out) == (4, "metals/cu\n"), done.err
    assert f"'metals/ag' is not deleted, as this in it could not be: {broken.path}." in done.err
    assert "3 runs deleted." in done.err


def test_what_somebody_else_deletes_at_the_same_time_is_deleted(metals, molexp, monkeypatch):
    amid(monkeypatch, metals._session.store, ["create"], "/cu/runs/", metals.experiment("cu").delete)

    done = molexp("experiments", "delete", "metals/cu", "--yes")

    assert (done.code, done.out, done.err) == (0, "metals/cu\n", "molexp: 3 runs deleted.\n")


def test_an_empty_one_is_deleted_without_a_question(in_lab, molexp):
    in_lab.Project("empty")
    assert molexp("projects", "delete", "empty").out == "empty\n"
    assert molexp("projects", "list").err == "molexp: There are no projects yet.\n"
