"""Sync compares what two workspaces have under one name: it recognises the same, and leaves what differs as it was."""

from __future__ import annotations

import os
from hashlib import sha256

import pytest

import molexp as me
from tests.internals import at
from tests.record.helpers import VOID
from tests.record.syncing import BIG, DIES, EXP, RUNS, check, clone, fill, record, sync, track


def apart(source, target, tmp_path):
    """Two copies of one workspace."""
    fill(source, tmp_path)
    sync(source, target)
    return source.load().project("metals").experiment("cu"), target.load().project("metals").experiment("cu")


def stays(source, target, keys, **options):
    """A sync lists conflicts about these keys, copies nothing of them, and all else that was there stays."""
    before = record(target)
    report = sync(source, target, **options)
    assert [finding.key for finding in report.conflicts] == keys, report
    assert not report.ok
    after = record(target)
    assert {key: after[key] for key in before if not key.endswith("run.json")} == {
        key: data for key, data in before.items() if not key.endswith("run.json")
    }
    again = sync(source, target, **options)
    assert again.conflicts == report.conflicts
    assert again.counts["copied"] == 0
    return after.keys() - before.keys()


def test_two_workspaces_that_grew_apart_are_united(source, target, tmp_path):
    a, b = apart(source, target, tmp_path)
    track(a.Run({"n": 7}, id="left"), "left")
    track(b.Run({"n": 8}, id="right"), "right")
    a.run("one").annotate(tags=["left"])
    b.run("one").annotate(tags=["right"])

    assert sync(source, target).ok
    assert sync(target, source).ok
    assert record(source).keys() == record(target).keys()
    for side in (source, target):
        assert set(side.load().run("metals/cu/one").tags) == {"left", "right"}
        assert {row.id for row in side.load().catalog.runs()} == {"pending", "one", "two", "left", "right"}
        check(side)


def test_an_attempt_that_both_began_is_a_conflict_and_so_are_later_ones(source, target, tmp_path):
    a, b = apart(source, target, tmp_path)
    track(a.run("one"), "ours")
    track(a.run("one"), "ours again")
    track(b.run("one"), "theirs")
    a.run("one").annotate(tags=["noted"])
    source.store.create(f"{RUNS}/one/notes.txt", b"nobody's")

    new = stays(source, target, [f"{RUNS}/one/executions/3.end.json"])

    assert {key.rpartition("/")[0] for key in new} == {f"{RUNS}/one/edits", f"{RUNS}/one"}, "the rest came"
    (finding,) = sync(source, target).conflicts
    assert finding.what.startswith("attempt 3 of metals/cu/one is of process ")
    assert finding.what.count(f"process {os.getpid()} on") == 2
    assert finding.what.count("Z, succeeded") == 2
    assert target.load().run("metals/cu/one").results == {"value": "theirs"}
    assert not target.load().catalog.verify().findings


def test_an_attempt_that_goes_on_at_the_destination_is_not_touched(source, target, tmp_path):
    a, b = apart(source, target, tmp_path)
    track(a.run("one"), "ours")
    with b.run("one").start() as ctx:
        stays(source, target, [f"{RUNS}/one/executions/3.jsonl"])
        ctx.set_result("value", "theirs")
    assert target.load().run("metals/cu/one").results == {"value": "theirs"}


def meanwhile(monkeypatch, target, act):
    """Do something at the destination once, when the first file of an attempt is about to be brought."""

    def is_of_one(attempt, *_):
        return attempt.run == "metals/cu/one"

    at(monkeypatch, "a sync brings a part of an attempt", lambda *_: act(), when=is_of_one)


def test_a_run_that_is_started_while_its_attempt_comes_takes_the_next_number(source, target, tmp_path, monkeypatch):
    a, b = apart(source, target, tmp_path)
    track(a.run("one"), "ours")
    seen = []

    def start():
        seen.append(target.load().run("metals/cu/one").execution_history)
        track(b.run("one"), "theirs")

    meanwhile(monkeypatch, target, start)
    assert sync(source, target).ok

    run = target.load().run("metals/cu/one")
    assert len(seen[0]) == 2, "what has not come to its end is not there"
    assert [entry["attempt"] for entry in run.execution_history] == [1, 2, 3, 4]
    assert run.results == {"value": "theirs"}
    assert source.load().run("metals/cu/one").results == {"value": "ours"}
    check(target)
    assert sync(source, target).counts["copied"] == 0
    assert sync(target, source).ok
    assert source.load().run("metals/cu/one").results == {"value": "theirs"}


def test_two_syncs_at_a_time_do_the_same_thing(source, target, tmp_path, monkeypatch):
    a, _ = apart(source, target, tmp_path)
    track(a.run("one"), "ours")
    a.run("one").annotate(tags=["noted"])
    meanwhile(monkeypatch, target, lambda: sync(source, target))

    assert sync(source, target).ok
    assert record(target).keys() == record(source).keys()
    assert target.load().run("metals/cu/one").results == {"value": "ours"}
    check(target)


def test_a_number_that_is_taken_at_the_last_moment_is_a_conflict(source, target, tmp_path, monkeypatch):
    a, b = apart(source, target, tmp_path)
    track(a.run("one"), "ours")
    at(monkeypatch, "a sync begins a run", lambda *_: track(b.run("one"), "theirs"))

    report = sync(source, target)

    assert [finding.key for finding in report.conflicts] == [f"{RUNS}/one/executions/3.jsonl"]
    assert target.load().run("metals/cu/one").results == {"value": "theirs"}
    check(target)


def test_another_run_of_the_same_id_is_a_conflict_as_a_whole(source, target, tmp_path):
    a, b = apart(source, target, tmp_path)
    track(a.Run({"n": 7}, id="same"), "ours")
    a.run("same").annotate(tags=["ours"])
    b.Run({"n": 8}, id="same")

    assert not stays(source, target, [f"{RUNS}/same/run.json"])
    assert "own_parameters, parameters differ" in sync(source, target).conflicts[0].what
    assert target.load().run("metals/cu/same").status == "pending"


def test_a_run_that_both_derived_and_one_executed_is_one_run(source, target, tmp_path):
    a, b = apart(source, target, tmp_path)
    ours, theirs = (exp.derived_run({"n": 9}) for exp in (a, b))
    assert ours.id == theirs.id
    track(ours, "ours")

    report = sync(source, target)

    assert report.ok, report
    assert target.load().run(f"metals/cu/{theirs.id}").results == {"value": "ours"}
    assert target.document(f"{RUNS}/{theirs.id}/run.json")["status"] == "succeeded"
    check(target)
    assert sync(source, target).counts["copied"] == 0


def data_version(exp, tmp_path, text):
    (tmp_path / "data.txt").write_text(text)
    exp.data_assets.import_asset("ref", tmp_path / "data.txt")


def test_data_of_one_version_is_a_conflict_unless_it_is_the_same(source, target, tmp_path):
    a, b = apart(source, target, tmp_path)
    for exp in (a, b):
        data_version(exp, tmp_path, "the same")
    report = sync(source, target)
    assert report.ok
    assert report.counts["copied"] == 0, "the destination has it already"
    data_version(a, tmp_path, "ours")
    data_version(b, tmp_path, "theirs")
    data_version(a, tmp_path, "ours, later")

    assert not stays(source, target, [f"{EXP}/data/ref/4.json", f"{EXP}/data/ref/5.json"])
    check(target)


def test_settings_and_revisions_that_build_on_others_are_conflicts(source, target, tmp_path):
    a, b = apart(source, target, tmp_path)
    source.load().configure(durability="end")
    source.load().configure(durability="always")
    target.load().configure(durability="never", run_id_scheme="molexp-1")
    for exp, value in ((a, 1), (a, 2), (b, 3)):
        exp.project.Experiment("cu", params={"a": value}, update=True)

    stays(
        source,
        target,
        [f"{EXP}/experiment.3.json", f"{EXP}/experiment.4.json", "settings/2.json", "settings/3.json"],
    )
    assert target.load().settings["durability"] == "never"


@pytest.mark.parametrize(
    ("key", "ours", "theirs", "wins"),
    [
        (f"{RUNS}/one/notes.txt", b"abc", b"abc", "same"),
        (f"{RUNS}/one/notes.txt", b"abcdef", b"abc", "ours"),
        (f"{RUNS}/one/notes.txt", b"abc", b"abcdef", "theirs"),
        (f"{RUNS}/one/notes.txt", b"abc", b"abd", "conflict"),
        (f"{RUNS}/one/notes.txt", BIG + b"x", BIG, "ours"),
        (f"{RUNS}/one/notes.txt", BIG, BIG[:-1] + b"-", "conflict"),
        (f"{RUNS}/one/logs/free.log", b"", b"x", "theirs"),
        (f"{RUNS}/one/executions/2/logs/free.log", b"x\ny\n", b"x\n", "ours"),
        (f"{RUNS}/one/executions/1/w-abc.jsonl", b"{}\n{}\n", b"{}\n", "ours"),
        (f"{RUNS}/one/edits/a.json", b'{"op":"x"}', b'{"op":"y"}', "conflict"),
        (f"{RUNS}/one/edits/a.json", b'{"op":"x"}\n', b'{"op":"x"}', "conflict"),
        (f"{EXP}/edits/a.json", b'{"op":"x"}', b'{"op":"y"}', "conflict"),
        ("README.md", b"x", b"y", "conflict"),
    ],
)
def test_of_two_files_the_longer_one_counts_or_it_is_a_conflict(lab, copy, lab_exp, key, ours, theirs, wins):
    track(lab_exp.Run(id="one"), 1)
    track(lab_exp.run("one"), 2)
    sync(lab, copy)
    lab.store.create(key, ours)
    copy.store.create(key, theirs)

    for _ in range(2):
        report = sync(lab, copy)
        assert [finding.key for finding in report.conflicts] == ([key] if wins == "conflict" else [])
        assert copy.store.read(key) == (ours if wins == "ours" else theirs)
        assert lab.store.read(key) == ours


def test_an_edit_whose_name_was_given_up_at_the_destination_gets_the_next_one(source, target, tmp_path):
    a, _ = apart(source, target, tmp_path)
    before = set(source.store.list(f"{RUNS}/one/edits"))
    a.run("one").annotate(tags=["new"], note="once")
    (new,) = set(source.store.list(f"{RUNS}/one/edits")) - before
    target.store.create(new.key, VOID)

    for _ in range(2):
        for pair in ((source, target), (target, source)):
            assert sync(*pair).ok
    for place in (source, target):
        run = place.load().run("metals/cu/one")
        assert "new" in run.tags
        assert [note["text"] for note in run.notes].count("once") == 1, "it is one edit under two names"
    assert target.store.read(new.key) == VOID
    assert sync(source, target).counts["copied"] == sync(target, source).counts["copied"] == 0


def test_a_number_that_was_given_up_at_the_destination_is_taken_by_what_comes(source, target, tmp_path):
    a, _ = apart(source, target, tmp_path)
    track(a.run("one"), "ours")
    target.store.create(f"{RUNS}/one/executions/3.jsonl", VOID)

    assert sync(source, target).ok
    run = target.load().run("metals/cu/one")
    assert [entry["attempt"] for entry in run.execution_history] == [1, 2, 3]
    assert run.results == {"value": "ours"}
    check(target)
    assert sync(source, target).counts["copied"] == 0


def test_what_is_still_arriving_at_the_source_is_left_for_the_next_sync(source, target, tmp_path):
    """Its end comes before the bytes of its claim, for which a reservation stands."""
    a, _ = apart(source, target, tmp_path)
    track(a.run("one"), "ours")
    key = f"{RUNS}/one/executions/3.jsonl"
    claim = source.store.read(key)
    head = claim[: claim.index(b"\n") + 1]
    reservation = f'{{"schema":1,"type":"void","reserved_for":"{sha256(head).hexdigest()}"}}\n'.encode()
    source.store.write(key, reservation)

    report = sync(source, target)
    assert report.ok
    assert [found.key for found in report.unfinished] == [key]
    assert not target.store.exists(f"{RUNS}/one/executions/3.end.json")
    source.store.write(key, claim)
    assert sync(source, target).ok
    assert target.load().run("metals/cu/one").results == {"value": "ours"}


def test_a_run_whose_definition_was_given_up_is_defined_after_that(source, target, tmp_path):
    a, _ = apart(source, target, tmp_path)
    track(a.Run(id="new"), 1)
    target.store.create(f"{RUNS}/new/run.json", VOID)

    assert sync(source, target).ok
    assert target.load().run("metals/cu/new").results == {"value": 1}
    assert sync(source, target).counts["copied"] == 0


@pytest.mark.usefixtures("silent")
@pytest.mark.parametrize("phase", ["begins", "ends"])
def test_what_was_announced_and_then_given_up_as_nobodys_is_brought_all_the_same(
    source, target, tmp_path, monkeypatch, phase
):
    """A sync dies between its word and its deed, on a machine that cannot be asked, and somebody compacts."""
    a, _ = apart(source, target, tmp_path)
    track(a.Run({"n": 7}, id="new"), 1)
    track(a.run("one"), 3)
    with monkeypatch.context() as patch:

        def die(*_):
            raise KeyboardInterrupt

        at(patch, f"a sync {phase} a run", die, every=True)
        with pytest.raises(KeyboardInterrupt):
            sync(source, target)
    reader = target.load()
    for _ in range(2):
        reader.catalog.compact()
    if phase == "begins":
        assert target.document(f"{RUNS}/new/run.json")["type"] == "void"

    report = sync(source, target)

    assert report.ok, report
    assert target.load().run("metals/cu/new").results == {"value": 1}
    assert target.load().run("metals/cu/one").results == {"value": 3}
    assert not reader.catalog.verify().findings
    assert sync(source, target).counts["copied"] == 0


def test_a_request_to_cancel_does_not_reach_another_attempt_of_its_number(source, target, tmp_path):
    a, b = apart(source, target, tmp_path)
    with a.run("one").start():
        a.run("one").cancel("ours")
        with b.run("one").start() as theirs:
            sync(source, target)
            assert not theirs.cancelled
    with b.run("two").start():
        pass
    assert sync(source, target).counts["conflicts"] == 1
    assert target.load().run("metals/cu/one").execution_history[-1]["status"] == "succeeded"


def test_an_end_that_somebody_else_wrote_in_a_copy_does_not_end_what_goes_on(lab, copy, script):
    """The source is a copy, made while the run went on; there somebody took its owner for dead."""
    script(DIES)  # its owner is as dead as can be, but the destination has its lease
    clone(lab, copy)
    lab.load().run("metals/cu/dead").status  # noqa: B018 - whoever looks ends it
    assert lab.store.exists(f"{RUNS}/dead/executions/1.end.json")
    copy.store.create(".molexp/live/metals~cu~dead~1", b"{}")

    stays(lab, copy, [f"{RUNS}/dead/executions/1.jsonl"])
    copy.store.delete(".molexp/live/metals~cu~dead~1")
    assert sync(lab, copy).ok
    assert record(copy) == record(lab)


# --------------------------------------------------------------------------------------------------- other workspaces


def test_another_workspace_is_merged_only_if_that_is_asked_for(source, target, tmp_path):
    fill(source, tmp_path)
    theirs = target.workspace(name="theirs").materialize()
    theirs.configure(run_id_scheme="molexp-1")
    track(theirs.Project("metals").Experiment("cu", params={"a": 3.6}).Run(id="theirs"), 1)

    with pytest.raises(me.ConflictError, match="ask for a merge"):
        sync(source, target)
    report = sync(source, target, merge=True)

    assert report.ok, report
    assert target.load().id == theirs.id != source.load().id
    assert dict(target.load().settings) == {"run_id_scheme": "molexp-1"}
    assert {row.id for row in target.load().catalog.runs()} == {"pending", "one", "two", "theirs"}
    check(target)
    assert sync(source, target, merge=True).counts["copied"] == 0


def test_experiments_that_are_defined_otherwise_are_listed_and_their_runs_come_all_the_same(source, target, tmp_path):
    fill(source, tmp_path)
    target.workspace().materialize().Project("metals").Experiment("cu", params={"a": 9})

    report = sync(source, target, merge=True)

    assert [finding.key for finding in report.conflicts] == [f"{EXP}/experiment.2.json", f"{EXP}/experiment.json"]
    assert target.load().project("metals").experiment("cu").params == {"a": 9}
    assert target.load().run("metals/cu/one").parameters == source.load().run("metals/cu/one").parameters
