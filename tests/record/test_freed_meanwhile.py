"""A run is freed while others read it, or end it: it is gone, and stays so."""

from __future__ import annotations

import os
import time

import pytest

import molexp as me
from tests.internals import at
from tests.record.compacting import write
from tests.record.helpers import amid, suspend

RUN = "projects/metals/experiments/cu/runs/one"


def test_a_run_of_which_gc_has_freed_a_part_is_not_shown(place):
    exp = write(place, "one").project("metals").experiment("cu")
    exp.run("one").start(if_succeeded="rerun").finish()
    ws = place.load()
    assert [row.id for row in ws.catalog.runs()] == ["one"]
    exp.run("one").delete()
    for name in ("run.json", "executions/1.end.json", "executions/1.jsonl"):
        place.store.delete(f"{RUN}/{name}")

    assert not ws.catalog.runs()
    assert ws.catalog.verify().findings == ()


def test_the_end_of_a_run_that_was_deleted_meanwhile_does_not_write_its_definition_again(place, monkeypatch):
    """It may be freed at any moment, and would be back."""
    exp = write(place, "one").project("metals").experiment("cu")

    def elsewhere():
        place.load().run("metals/cu/one").delete()
        place.store.delete(f"{RUN}/run.json")  # as gc does first

    context = exp.run("one").start(if_succeeded="rerun")
    amid(monkeypatch, place.store, ["create"], f"{RUN}/executions/2.end.json", elsewhere, after=True)
    context.finish()
    assert not place.store.exists(f"{RUN}/run.json")
    place.load().gc(dry_run=False)
    assert not [*place.store.list(RUN)]


def freed_and_late(place, monkeypatch, freed):
    """Run `one` is deleted and freed just before somebody shows what he has read of it, who took long for that."""

    def elsewhere():
        place.load().run("metals/cu/one").delete()
        if freed == "wholly":
            place.load().gc(dry_run=False)
        else:
            place.store.delete(f"{RUN}/run.json")  # as gc does first
        suspend(monkeypatch, 10)

    amid(monkeypatch, place.store, ["write"], f"{RUN}/run.json", elsewhere)


@pytest.mark.parametrize("freed", ["wholly", "in part"])
def test_an_owner_who_was_stopped_before_he_shows_the_end_does_not_bring_the_run_back(place, monkeypatch, freed):
    exp = write(place, "one").project("metals").experiment("cu")
    context = exp.run("one").start(if_succeeded="rerun")
    freed_and_late(place, monkeypatch, freed)

    context.finish()

    assert not place.store.exists(f"{RUN}/run.json")
    place.load().gc(dry_run=False)
    assert not [*place.store.list(RUN)]


@pytest.mark.parametrize("freed", ["wholly", "in part"])
def test_a_reader_who_was_stopped_before_he_shows_that_an_owner_is_dead_does_not_either(
    lab, script, monkeypatch, freed
):
    script(
        """
        import os, signal, molexp as me
        me.Workspace(os.environ["LAB"]).Project("metals").Experiment("cu").Run({"n": 1}, id="one").start()
        os.kill(os.getpid(), signal.SIGKILL)
        """
    )
    reader = lab.load()
    freed_and_late(lab, monkeypatch, freed)

    reader.catalog.runs()

    assert not lab.store.exists(f"{RUN}/run.json")
    lab.load().gc(dry_run=False)
    assert not [*lab.store.list(RUN)]
    assert not reader.catalog.runs()


@pytest.mark.parametrize("when", ["before it is read", "before the end is written"])
def test_the_end_of_a_dead_owner_is_not_written_into_a_run_that_is_being_freed(lab, script, monkeypatch, when):
    """It repeats the definition, and what freed the run has listed its files already."""
    script(
        """
        import os, signal, molexp as me
        me.Workspace(os.environ["LAB"]).Project("metals").Experiment("cu").Run({"n": 1}, id="one").start()
        os.kill(os.getpid(), signal.SIGKILL)
        """
    )
    run = lab.load().run("metals/cu/one")

    def elsewhere():
        assert run.status is me.RunStatus.INTERRUPTED
        run.delete()
        for name in ("run.json", "executions/1.end.json"):  # as gc begins
            lab.store.delete(f"{RUN}/{name}")

    if when == "before it is read":
        elsewhere()
    else:
        amid(monkeypatch, lab.store, ["create"], f"{RUN}/executions/1.end.json", elsewhere)
    lab.load().catalog.rebuild()

    assert not lab.store.exists(f"{RUN}/executions/1.end.json")


def freed(place):
    for stat in [*place.store.list(RUN)]:
        place.store.delete(stat.key)


@pytest.mark.parametrize("how", ["before", "while the end is written", "before a beat"])
def test_what_was_freed_while_its_owner_was_stopped_is_not_ended(place, monkeypatch, how):
    """Others took the owner for dead, ended the run, deleted and freed it; then the laptop wakes up."""
    exp = write(place, "one").project("metals").experiment("cu")
    context = exp.run("one").start(if_succeeded="rerun")
    suspend(monkeypatch, 8 * 3600)
    if how == "while the end is written":
        amid(monkeypatch, exp._session.store, ["create"], f"{RUN}/executions/2.end.json", lambda: freed(place))
    else:
        freed(place)
    if how == "before a beat":
        context._attempt.beat()

    with pytest.raises((me.NotFoundError, me.WorkspaceMovedError)):  # a file that is open knows by itself
        context.finish()

    assert not [*place.store.list(RUN)]
    assert not place.load().catalog.runs()


def test_an_owner_who_was_stopped_and_whose_run_is_there_goes_on(place, monkeypatch):
    exp = write(place, "one").project("metals").experiment("cu")
    context = exp.run("one").start(if_succeeded="rerun")
    suspend(monkeypatch, 8 * 3600)
    context._attempt.beat()
    context.set_result("x", 2)
    suspend(monkeypatch, 8 * 3600)

    context.finish()

    assert exp.run("one").results == {"x": 2}


def test_a_key_that_is_missing_while_the_attempt_ends_is_no_freed_run(place, monkeypatch):
    """As any error of the storage: whoever asks next ends it."""
    exp = write(place, "one").project("metals").experiment("cu")
    context = exp.run("one").start(if_succeeded="rerun")

    def missing():
        raise me.KeyNotFoundError("data/x")

    amid(monkeypatch, place.store, ["create"], f"{RUN}/executions/2.end.json", missing)
    with pytest.raises(me.KeyNotFoundError):
        context.finish()

    context._attempt.beat()
    assert place.load().run("metals/cu/one").execution_history[-1]["status"] == "succeeded"


def test_what_could_not_be_read_and_was_mended_before_it_was_looked_at_is_no_problem(lab, lab_run, monkeypatch):
    with lab_run.start():
        pass
    file = lab.folder / RUN / "executions" / "1.end.json"
    whole = file.read_bytes()
    file.write_bytes(b"{")
    ws = lab.load()

    look = os.lstat

    def mended(path, **options):
        if str(path) == str(file) and file.read_bytes() != whole:
            file.write_bytes(whole)
            time.sleep(0.1)  # what changed this very moment is looked at again in any case
        return look(path, **options)

    monkeypatch.setattr(os, "lstat", mended)
    assert [str(row.status) for row in ws.catalog.runs()] == ["succeeded"]
    assert not ws.catalog.runs().unreadable
    assert not ws.catalog.unreadable()


def torn(place, what):
    """Run `one` ended, of which one document is torn since; `fsck --repair` writes that again from the others."""
    write(place, "one").project("metals").experiment("cu").run("one").start(if_succeeded="rerun").finish()
    name = {"definition": "run.json", "claim": "executions/2.jsonl", "end": "executions/2.end.json"}[what]
    data = place.store.read(f"{RUN}/{name}")
    place.store.write(f"{RUN}/{name}", data[: data.index(b",")] if what != "claim" else b"\n")
    return f"{RUN}/{name}"


@pytest.mark.parametrize("what", ["definition", "claim", "end"])
@pytest.mark.parametrize(
    ("when", "freed"),
    [
        ("before it is written", "wholly"),
        ("before it is written", "in part"),
        ("before it is written", "and made again"),
        ("while it is written", "wholly"),
        ("while it is written", "in part"),
    ],
)
def test_what_is_repaired_is_not_written_into_a_run_that_is_freed_meanwhile(place, monkeypatch, what, freed, when):
    """It would bring the run back, or put what it said into another one of this id."""
    key = torn(place, what)
    fsck = place.load()
    made = []

    def elsewhere():
        place.load().run("metals/cu/one").delete()
        if freed == "in part":
            for name in ("run.json", "executions/2.jsonl", "executions/2.end.json"):  # as gc begins
                place.store.delete(f"{RUN}/{name}")
        else:
            place.load().gc(dry_run=False)
        if freed == "and made again":
            write(place, "one").project("metals").experiment("cu").run("one").start(if_succeeded="rerun").finish()
            made.append({one.key: place.store.read(one.key) for one in place.store.list(RUN)})

    if when == "while it is written":
        store, write_now = fsck._session.store, fsck._session.store.write

        def writing(to, data):
            if to == key:
                monkeypatch.setattr(store, "write", write_now)
                elsewhere()
            write_now(to, data)

        monkeypatch.setattr(store, "write", writing)
    else:
        at(monkeypatch, "fsck reads a run", lambda *_: elsewhere(), after=True)

    report = fsck.fsck(repair=True)

    assert not [finding for finding in report.findings if finding.done]
    if made:
        assert {one.key: place.store.read(one.key) for one in place.store.list(RUN)} == made[0]
    else:
        place.load().gc(dry_run=False)
        assert not [*place.store.list(RUN)]
        assert not place.load().catalog.runs()
