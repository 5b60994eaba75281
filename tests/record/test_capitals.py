"""Ids of runs as other tools write them: capitals are kept, and make no second run."""

from __future__ import annotations

import threading

import pytest

import molexp as me


@pytest.fixture
def run(exp):
    with exp.Run({"b": 1}, id="S22-A").start() as ctx:
        ctx.set_result("x", 1)
        ctx.artifact.save("a.json", {"x": 1})
        ctx.log("train").append("one")
    return exp.run("S22-A")


@pytest.mark.parametrize("id", ["S22-A", "lr=0.1,seed=3", "Run+1", "2X8f3k1a", "123_4", "A", "a.B"])
def test_an_id_is_kept_as_it_is_given(exp, ws, id):
    run = exp.Run(id=id)
    assert (run.id, exp.run(id).id, ws.run(f"metals/cu/{id}").id) == (id, id, id)
    assert run.to_dict()["id"] == id
    (row,) = ws.catalog.runs(f'id == "{id}"')
    assert (row.id, row.path) == (id, f"metals/cu/{id.lower()}")
    assert [one.id for one in exp.runs] == [id]
    assert ws.fsck().ok


@pytest.mark.parametrize("id", ["A B", "Ä", "\u212a", "A/b", "-A", "=a", "A.", "NUL.txt", "A" * 129, "", "a:b", "a@b"])
def test_what_some_system_cannot_hold_is_refused(exp, id):
    with pytest.raises(me.InvalidNameError, match="A-Z"):
        exp.Run(id=id)


def test_everything_works_as_with_any_other_id(run, ws, exp, place):
    assert run.path == "metals/cu/s22-a"
    assert exp.Run({"b": 1}, id="S22-A") == run
    assert run.asset("a.json").load() == {"x": 1}
    assert ws.asset("metals/cu/S22-A#1:artifact:a.json@1").load() == {"x": 1}
    assert [ws.run(name).id for name in ("S22-A", "S22", "s22", "metals/cu/s22-a", "metals/cu/@latest")] == [
        "S22-A"
    ] * 5
    assert ws.catalog.runs()[0].document["id"] == "S22-A"
    assert me.describe_run(run)["id"] == "S22-A"
    assert str(ws.catalog.lineage("S22-A:a.json"))
    with exp.run("S22-A").start() as ctx:
        assert (ctx.attempt, ctx.run.id) == (2, "S22-A")
    run.annotate(tags=["good"])
    run.delete()
    assert ws.restore("metals/cu/S22-A").id == "S22-A"
    assert "S22-A" in exp.runs
    assert run in exp.runs
    assert ws.catalog.verify().findings == ()
    ws.catalog.rebuild()
    assert ws.catalog.runs('id == "S22-A" and tags is not null')[0].id == "S22-A"


def test_an_id_that_differs_in_case_only_is_refused_and_names_the_other(run, exp, ws):
    for other in ("s22-a", "S22-a"):
        with pytest.raises(me.ConflictError, match=r"S22-A") as error:
            exp.Run({"b": 1}, id=other)
        assert other in str(error.value)
    exp.Run(id="plain")
    with pytest.raises(me.ConflictError, match="plain"):
        exp.Run(id="Plain")
    assert len(ws.catalog.runs()) == 2


def test_of_two_that_make_it_at_once_one_is_refused(place, exp):
    for number in range(20):
        barrier, done = threading.Barrier(2), dict[str, object]()

        def make(id, barrier=barrier, done=done):
            mine = place.workspace().Project("metals").Experiment("cu")
            barrier.wait()
            try:
                done[id] = mine.Run(id=id).id
            except me.ConflictError as error:
                done[id] = error

        ids = (f"R{number}-a", f"r{number}-A")
        threads = [threading.Thread(target=make, args=(one,)) for one in ids]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        won = [one for one in ids if done[one] == one]
        assert len(won) == 1, done
        assert exp.run(ids[0]).id == won[0]
        (refused,) = [one for one in done.values() if isinstance(one, me.ConflictError)]
        assert won[0] in str(refused)


def test_a_sync_brings_it_as_it_is_and_names_what_is_in_its_way(run, ws, copy):
    assert me.sync_workspace(ws, copy.url).ok
    assert copy.load().run("S22-A").id == "S22-A"
    assert copy.load().catalog.runs('id == "S22-A"')[0].results == {"x": 1}


def test_another_run_of_that_name_at_the_other_side_is_a_conflict(run, ws, copy):
    copy.workspace(name="other").Project("metals").Experiment("cu", params={"a": 3.6}).Run(id="s22-a")
    report = me.sync_workspace(ws, copy.url, merge=True)
    assert not report.ok
    assert copy.load().run("S22-A").id == "s22-a"
