"""Projects and experiments are renamed, deleted and restored by edits; ids and definitions stay as they are."""

from __future__ import annotations

import json

import pytest

import molexp as me
from tests.record.helpers import amid


def test_a_name_is_free_and_the_id_stays(place, ws):
    project = ws.Project("Noble gases")
    exp = project.Experiment("Pair potential", params={"a": 1})
    project.rename("Rare gases")
    exp.rename("Pairs")

    again = place.load().project("noble-gases")
    assert (again.name, again.id, again.experiment("pair-potential").name) == ("Rare gases", "noble-gases", "Pairs")
    assert (exp.name, exp.revision, exp.params) == ("Pairs", 1, {"a": 1})
    assert ws.Project("Noble gases") == again, "what is made by the first name is found by it"
    assert ws.projects.ids() == ["noble-gases"]


@pytest.mark.parametrize(("bad", "error"), [("", ValueError), ("  ", ValueError), (3, TypeError), (None, TypeError)])
def test_a_name_that_is_none_is_refused(place, exp, bad, error):
    before = place.everything()
    for one in (exp, exp.project):
        with pytest.raises(error):
            one.rename(bad)
    assert place.everything() == before


@pytest.mark.parametrize("name", [5, None, {"a": 1}, ["x"], ""])
def test_an_edit_of_a_stranger_that_gives_no_text_names_nothing(lab, lab_exp, name):
    lab_exp.rename("Copper")
    lab_exp.rename("Kupfer")
    key = max(key for key in lab.record() if "/edits/" in key)
    file = lab.folder / key
    file.write_text(json.dumps({**json.loads(file.read_text()), "name": name}))
    assert lab_exp.name == ("cu" if name == "" else "Copper")


def test_the_last_of_several_writers_names_it(place, exp):
    for number in range(5):
        place.load().project("metals").experiment("cu").rename(f"name {number}")
    assert exp.name == "name 4"


def test_what_is_deleted_is_restored_with_its_runs(place, exp):
    runs = [exp.Run(id=name) for name in ("one", "two")]
    runs[0].archive()
    exp.project.delete()
    assert (exp.deleted, exp.project.deleted, len(exp.runs)) == (True, True, 0)
    assert place.load().catalog.runs(archived=True) == []

    place.load().project("metals").restore()
    assert (exp.deleted, exp.project.deleted) == (False, False)
    assert [(run.id, run.archived) for run in exp.runs] == [("one", True), ("two", False)]


def test_it_is_listed_until_gc_has_freed_its_runs(place, ws, exp):
    exp.Run(id="one")
    ws.Project("metals").Experiment("ag").Run(id="other")
    exp.delete()
    assert ws.project("metals").experiments.ids() == ["ag", "cu"]
    assert ws.gc(dry_run=False).ok
    assert ws.project("metals").experiments.ids() == ["ag"]
    ws.project("metals").delete()
    ws.gc(dry_run=False)
    assert (place.load().projects.ids(), ws.fsck().ok, ws.catalog.verify().ok) == ([], True, True)


def test_a_run_that_is_made_meanwhile_shows_it_again(place, ws, exp):
    """Whoever deletes an experiment knows nothing of a run that somebody makes at the same time: it is not lost."""
    other = place.load().project("metals").experiment("cu")
    exp.delete()
    with other.Run(id="late").start() as ctx:
        ctx.set_result("energy", -1)
    ws.gc(dry_run=False)

    assert ws.project("metals").experiments.ids() == ["cu"]
    assert [row.id for row in ws.catalog.runs()] == ["late"]


def test_a_run_that_is_executed_stays_and_is_named(exp):
    exp.Run(id="idle")
    with exp.Run(id="busy").start(), pytest.raises(me.RunBusyError):
        exp.delete()
    assert ([run.id for run in exp.runs], exp.deleted) == (["busy"], False)


def test_of_a_project_all_is_deleted_but_what_is_executed(ws):
    project = ws.Project("metals")
    for name in ("ag", "cu", "zn"):
        for run in "ab":
            project.Experiment(name).Run(id=run)
    with project.experiment("cu").run("a").start(), pytest.raises(me.RunBusyError) as told:
        project.delete()

    assert [(exp.id, exp.deleted, [run.id for run in exp.runs]) for exp in project.experiments] == [
        ("ag", True, []),
        ("cu", False, ["a"]),
        ("zn", True, []),
    ]
    assert not project.deleted
    assert told.value.__notes__ == [
        "'metals/cu' is not deleted, as this in it could not be: metals/cu/a. All else in it was deleted.",
        "'metals' is not deleted, as this in it could not be: metals/cu. All else in it was deleted.",
    ]
    project.delete()
    assert (project.deleted, project.experiment("cu").deleted) == (True, True)


def test_a_run_that_cannot_be_read_keeps_its_experiment_in_sight_and_is_named(lab, lab_exp):
    """Nobody can tell whether it is being executed, and it may be repaired."""
    for name in "abc":
        lab_exp.Run(id=name)
    key = "projects/metals/experiments/cu/runs/b/run.json"
    whole = lab.store.read(key)
    lab.store.write(key, whole[:20])
    for _ in range(2):
        with pytest.raises(me.CorruptRecordError) as told:
            lab_exp.delete()
        assert told.value.__notes__ == [
            "'metals/cu' is not deleted, as this in it could not be: metals/cu/b. All else in it was deleted."
        ]
        assert ([run.id for run in lab_exp.runs], lab_exp.deleted) == (["b"], False)
        assert lab.load().project("metals").experiments.ids() == ["cu"]

    lab.store.write(key, whole)
    lab_exp.delete()
    assert (len(lab_exp.runs), lab_exp.deleted) == (0, True)


def test_what_somebody_else_deletes_at_the_same_time_is_deleted(place, exp, monkeypatch):
    for name in "abc":
        exp.Run(id=name)
    other = place.load().project("metals").experiment("cu")
    amid(monkeypatch, place.store, ["create"], "/runs/a/edits/", other.delete)
    exp.delete()
    assert (len(exp.runs), exp.deleted, len(place.load().catalog.runs())) == (0, True, 0)


def test_folders_of_strangers_do_not_keep_a_project_from_being_restored(lab, lab_exp):
    lab_exp.Run(id="one")
    lab_exp.project.delete()
    for name in ("aa-notes", "zz"):
        (lab.folder / "projects/metals/experiments" / name).mkdir()

    lab_exp.project.restore()
    assert (lab_exp.deleted, len(lab_exp.runs)) == (False, 1)


def test_data_is_never_hidden(ws, exp, tmp_path):
    file = tmp_path / "reference.csv"
    file.write_text("a,1")
    exp.data_assets.import_asset("reference", file)
    exp.delete()
    ws.gc(dry_run=False)
    assert ws.project("metals").experiments.ids() == ["cu"]


def test_a_sync_brings_names_and_deletions_in_both_directions(place, ws, exp, copy):
    exp.Run(id="one")
    ws.Project("metals").Experiment("ag").Run(id="other")
    me.sync_workspace(ws, copy.url)
    exp.rename("Copper")
    there = copy.load().project("metals")
    there.rename("Metals and alloys")
    there.experiment("ag").delete()
    me.sync_workspace(ws, copy.url)
    me.sync_workspace(copy.url, ws)

    for side in (place.load(), copy.load()):
        assert side.project("metals").name == "Metals and alloys"
        assert side.project("metals").experiment("cu").name == "Copper"
        assert side.project("metals").experiment("ag").deleted
        assert [row.id for row in side.catalog.runs()] == ["one"]
        assert side.fsck().ok
