"""Projects and experiments are renamed, deleted and restored by edits; ids and definitions stay as they are."""

from __future__ import annotations

import json

import pytest

import molexp as me


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
