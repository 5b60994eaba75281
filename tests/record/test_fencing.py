"""Fencing: what a silent writer announced and never did, it cannot do any more, unless it says so again."""

from __future__ import annotations

import pytest

import molexp as me
from tests.record.compacting import RUN, compact, derived, rows, write
from tests.record.helpers import VOID


def effects(place):
    return {
        "a run": f"{RUN}/ghost/executions/1.end.json",
        "a run of a sweep": f"{RUN}/ghost/run.json",
        "an attempt": f"{RUN}/one/executions/2.end.json",
        "an edit": f"{RUN}/one/edits/20260101-000000-000000-00000000.json",
        "a version": "projects/metals/experiments/cu/data/ref/1.json",
    }


FENCES = {
    "a run": [f"{RUN}/ghost/run.json", f"{RUN}/ghost/executions/1.jsonl"],
    "a run of a sweep": [f"{RUN}/ghost/run.json"],
    "an attempt": [f"{RUN}/one/executions/2.jsonl"],
    "an edit": [f"{RUN}/one/edits/20260101-000000-000000-00000000.json"],
    "a version": ["projects/metals/experiments/cu/data/ref/1.json"],
}


@pytest.mark.parametrize("what", FENCES)
def test_what_a_silent_writer_announced_and_never_did_is_fenced(place, silent, what):
    writer = write(place, "one")
    writer._session.journal.announce(effects(place)[what])
    reader = place.load()
    before = rows(reader)

    compact(reader, 2)

    assert [place.store.read(key) for key in FENCES[what]] == [VOID] * len(FENCES[what])
    assert derived(place, "journals") == derived(place, "sealed") == []
    assert rows(reader) == rows(place.load()) == before
    assert reader._session.index.known().pending == set()
    assert not [finding for finding in reader.fsck().findings if "ghost" not in finding.key]


@pytest.mark.parametrize("what", FENCES)
def test_what_a_dead_writer_announced_and_never_did_is_dropped(lab, script, what):
    write(lab, "one")
    script(
        f"""
        import os, signal, molexp as me
        ws = me.Workspace(os.environ["LAB"])
        ws._session.journal.announce({effects(lab)[what]!r})
        os.kill(os.getpid(), signal.SIGKILL)
        """
    )
    reader = lab.load()
    before = rows(reader)
    assert reader._session.index.known().pending

    compact(reader)

    assert not any(lab.store.exists(key) for key in FENCES[what])
    assert reader._session.index.known().pending == set()
    assert rows(reader) == rows(lab.load()) == before


def test_who_comes_next_takes_the_next_number(place, silent, tmp_path):
    writer = write(place, "one")
    for effect in effects(place).values():
        writer._session.journal.announce(effect)
    compact(place.load(), 2)
    exp = writer.project("metals").experiment("cu")

    with exp.Run({"n": 7}, id="ghost").start() as ctx:  # its first attempt was fenced, too
        ctx.set_result("x", 7)
    with exp.run("one").start() as again:
        again.set_result("x", 2)
    (tmp_path / "ref").write_text("reference")
    data = exp.data_assets.import_asset("ref", tmp_path / "ref")

    assert place.store.exists(f"{RUN}/ghost/run.2.json")
    assert (ctx.attempt, again.attempt, data.version) == (2, 3, 2)
    assert exp.run("ghost").parameters == {"n": 7}
    assert [entry["attempt"] for entry in exp.run("ghost").execution_history] == [2]
    assert [run.id for run in exp.runs] == ["ghost", "one"]
    for ws in (writer, place.load()):
        found = rows(ws)[0]
        assert {path: document["results"] for path, document in found.items()} == {
            "metals/cu/ghost": {"x": 7},
            "metals/cu/one": {"x": 2},
        }
    assert exp.run("one").start(if_succeeded="rerun").attempt == 4


def test_an_edit_that_was_fenced_gets_another_name(place, silent, monkeypatch):
    """A writer that slept between its hint and its edit."""
    writer = write(place, "one")
    run = writer.run("metals/cu/one")
    create = type(place.store).create
    slept: list[str] = []

    def sleep(self, key, data):
        if "/edits/" in key and not slept and data != VOID:
            slept.append(key)
            compact(place.load(), 2)
        return create(self, key, data)

    monkeypatch.setattr(type(place.store), "create", sleep)

    run.annotate(tags=["good"])

    assert slept
    assert place.store.read(slept[0]) == VOID
    assert run.tags == {"good"}
    assert [row.tags for row in place.load().catalog.runs()] == [("good",)]


def test_a_run_that_was_fenced_while_its_creator_slept_is_made_all_the_same(place, silent, monkeypatch):
    writer = write(place, "one")
    exp = writer.project("metals").experiment("cu")
    create = type(place.store).create
    slept: list[str] = []

    def sleep(self, key, data):
        if key.endswith("two/run.json") and not slept and data != VOID:
            slept.append(key)
            compact(place.load(), 2)
        return create(self, key, data)

    monkeypatch.setattr(type(place.store), "create", sleep)

    run = exp.Run({"n": 2}, id="two")
    with run.start() as ctx:
        ctx.set_result("x", 2)

    assert slept
    assert run.status == "succeeded"
    assert exp.Run({"n": 2}, id="two") == run
    with pytest.raises(me.ConflictError):
        exp.Run({"n": 3}, id="two")
    assert {row.id: row.results["x"] for row in place.load().catalog.runs()} == {"one": 1, "two": 2}
