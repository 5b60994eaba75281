"""Sync meets bytes that are not the recorded ones, files that cannot be read, and values that make no sense."""

from __future__ import annotations

import json
import os
from hashlib import sha256

import pytest

import molexp as me
from tests import internals
from tests.record.syncing import RUNS, check, clone, fill, record, sync, track


@pytest.fixture(autouse=True)
def _nobody_fills_what_is_empty(monkeypatch):
    internals.tune(monkeypatch, "seconds that somebody has to fill a name", 0.05)


@pytest.mark.parametrize("key", [f"{RUNS}/two/artifacts/big.bin", f"{RUNS}/one/artifacts/a.json", "data"])
def test_bytes_that_are_not_what_the_record_says_are_not_copied(lab, copy, tmp_path, key):
    fill(lab, tmp_path)
    if key == "data":
        key = next(one for one in lab.record() if one.endswith("/ref.txt"))
    data = bytearray(lab.store.read(key))
    data[len(data) // 2] ^= 1
    lab.store.write(key, bytes(data))

    for _ in range(2):
        report = sync(lab, copy)
        assert [finding.key for finding in report.mismatches] == [key]
        assert not report.ok
        assert not copy.store.exists(key)
        assert copy.load().run("metals/cu/one").results == {"value": 2}, "the rest is there"
    data[len(data) // 2] ^= 1
    lab.store.write(key, bytes(data))
    assert sync(lab, copy).ok
    assert record(copy) == record(lab)


def test_a_folder_that_is_not_what_the_record_says_is_not_published(lab, copy, tmp_path):
    fill(lab, tmp_path)
    key = next(one for one in lab.record() if one.endswith("/tree/b"))
    lab.store.write(key, b"changed")

    report = sync(lab, copy)

    assert [finding.key for finding in report.mismatches] == ["data/tree/1.json"]
    assert "tree" not in copy.load().data_assets


def test_checking_believes_nothing(lab, copy, tmp_path):
    fill(lab, tmp_path)
    sync(lab, copy)
    key = f"{RUNS}/one/artifacts/a.json"
    path = copy.folder / key
    stat = path.stat()
    path.write_bytes(path.read_bytes()[::-1])
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))

    assert sync(lab, copy).ok, "it looks as it did"
    report = sync(lab, copy, check=True)
    assert [finding.key for finding in report.conflicts] == [key]


def test_what_is_written_wrongly_is_found_by_checking(lab, copy, tmp_path, monkeypatch):
    fill(lab, tmp_path)
    create = type(lab.store).create

    def torn(self, key, data):
        create(self, key, data[:-1] if key.endswith("a.json") else data)

    monkeypatch.setattr(type(lab.store), "create", torn)
    report = sync(lab, copy, check=True)
    assert f"{RUNS}/one/artifacts/a.json" in [finding.key for finding in report.mismatches]
    assert "at the destination" in report.mismatches[0].what


def test_one_file_that_cannot_be_read_does_not_keep_the_rest(lab, copy, tmp_path, monkeypatch):
    fill(lab, tmp_path)
    lab.store.write(f"{RUNS}/pending/run.json", b"{")
    read = type(lab.store).read

    def refuse(self, key, *args):
        if key == f"{RUNS}/one/executions/1.end.json" and self.url == lab.store.url:
            raise me.StorePermissionError(key, url=self.url)
        return read(self, key, *args)

    monkeypatch.setattr(type(lab.store), "read", refuse)

    report = sync(lab, copy)

    assert [finding.key for finding in report.unreadable] == [
        f"{RUNS}/one/executions/1.end.json",
        f"{RUNS}/pending/run.json",
    ]
    assert not report.ok
    assert copy.store.read(f"{RUNS}/pending/run.json") == b"{", "kept as it is"
    assert copy.load().run("metals/cu/two").status == "succeeded"
    monkeypatch.undo()
    assert [finding.key for finding in sync(lab, copy).unreadable] == [f"{RUNS}/pending/run.json"]
    assert copy.load().run("metals/cu/one").results == {"value": 2}


END = f"{RUNS}/one/executions/1.end.json"


@pytest.mark.parametrize("junk", [b"[]", b'"text"', b"7", b"null", b"{}", b"no JSON"])
def test_an_end_that_was_damaged_gives_way_to_the_one_that_the_other_side_has(lab, copy, tmp_path, junk):
    fill(lab, tmp_path)
    sync(lab, copy)
    copy.store.write(END, junk)
    track(lab.load().run("metals/cu/two"), 3)

    assert END in [finding.key for finding in copy.load().fsck().findings]
    back = sync(copy, lab)
    assert [finding.key for finding in back.unreadable] == [END]
    assert "sync from there to here" in back.unreadable[0].what
    assert not back.conflicts
    assert sync(lab, copy).ok
    assert record(copy) == record(lab)
    check(copy)


@pytest.mark.parametrize("repaired", ["the source", "the destination", "the copy of what is whole"])
def test_an_end_that_was_repaired_takes_the_place_of_junk_and_gives_way_to_the_true_one(lab, copy, tmp_path, repaired):
    fill(lab, tmp_path)
    if repaired == "the copy of what is whole":
        sync(lab, copy)
        copy.store.write(END, b"[]")
    else:
        lab.store.write(END, b"[]")
        sync(lab, copy)
    (lab if repaired == "the source" else copy).load().fsck(repair=True)

    for one, other in [(copy, lab), (lab, copy)] if repaired == "the destination" else [(lab, copy), (copy, lab)]:
        assert sync(one, other).ok
    assert copy.store.read(END) == lab.store.read(END)
    check(copy)


@pytest.mark.parametrize("claims", ["kept", "lost"])
def test_a_damaged_end_of_what_may_be_another_attempt_is_a_conflict(lab, copy, tmp_path, claims):
    fill(lab, tmp_path)
    sync(lab, copy)
    end = END.replace("one/executions/1", "two/executions/2")
    for place, value in [(lab, 3), (copy, 4)]:
        track(place.load().run("metals/cu/two"), value)
        if claims == "lost":
            place.store.delete(end.replace(".end.json", ".jsonl"))
    copy.store.write(end, b"[]")
    (key,) = (one for one in copy.record() if "/two/" in one and one.endswith("a.json"))
    saved = copy.store.read(key)

    assert len(sync(lab, copy).conflicts) == len(sync(copy, lab).conflicts) == 1
    assert copy.store.read(key) == saved


@pytest.mark.parametrize("repaired", [True, False])
def test_a_damaged_end_does_not_give_way_to_that_of_a_copy_whose_owner_was_taken_for_dead(
    lab, copy, tmp_path, repaired
):
    fill(lab, tmp_path)
    with lab.load().run("metals/cu/pending").start() as ctx:
        ctx.set_result("early", 1)
        clone(lab, copy)
        ctx.set_result("late", 2)
    end = END.replace("/one/", "/pending/")
    ended = {
        "type": "end",
        "attempt": 1,
        "status": "interrupted",
        "results": {"early": 1},
        "ended_by": {"host": "other"},
    }
    copy.store.write(end, json.dumps({**json.loads(lab.store.read(end)), **ended}).encode())
    lab.store.write(end, b"[]")
    if repaired:
        lab.load().fsck(repair=True)
    left = lab.store.read(end)

    assert [finding.key for finding in sync(copy, lab).conflicts] == [end]
    assert lab.store.read(end) == left


def test_a_damaged_end_gives_way_also_where_the_number_is_still_held_for_its_claim(lab, copy, tmp_path):
    fill(lab, tmp_path)
    sync(lab, copy)
    claim = END.replace(".end.json", ".jsonl")
    digest = sha256(lab.store.read(claim).splitlines(keepends=True)[0]).hexdigest()
    copy.store.write(claim, f'{{"schema":1,"type":"void","reserved_for":"{digest}"}}\n'.encode())
    copy.store.write(END, b"[]")

    assert sync(lab, copy).ok
    assert record(copy) == record(lab)
    check(copy)


def test_a_run_json_of_a_newer_version_at_the_destination_stays_as_it_is(lab, copy, tmp_path):
    fill(lab, tmp_path)
    sync(lab, copy)
    copy.change(f"{RUNS}/one/run.json", schema=99, novelty="kept")
    document = copy.store.read(f"{RUNS}/one/run.json")
    with lab.load().run("metals/cu/one").start(if_succeeded="rerun") as ctx:
        ctx.set_result("value", 9)

    assert sync(lab, copy).ok
    assert copy.load().run("metals/cu/one").results == {"value": 9}
    assert copy.store.read(f"{RUNS}/one/run.json") == document


# ------------------------------------------------------------------------------------------------------------- refusals


def void(source, run):
    """A number was given up, and the next attempt has the next one."""
    source.store.create(f"{RUNS}/{run}/executions/3.jsonl", b'{"schema":1,"type":"void"}\n')
    track(source.load().run(f"metals/cu/{run}"), 4)


def reserved(source, run):
    """A sync to the source was killed."""
    source.store.create(f"{RUNS}/{run}/executions/3.jsonl", b'{"schema":1,"type":"void","reserved_for":"0"}\n')


def no_end(source, run):
    """The end of an older attempt was lost."""
    source.store.delete(f"{RUNS}/{run}/executions/1.end.json")


def no_claim(source, run):
    source.store.delete(f"{RUNS}/{run}/executions/1.jsonl")


def torn_claim(source, run):
    source.store.write(f"{RUNS}/{run}/executions/1.jsonl", b"")


def corrupt_end(source, run):
    source.store.write(f"{RUNS}/{run}/executions/1.end.json", b"{")


def no_definition(source, run):
    """The claims repeat it."""
    source.store.delete(f"{RUNS}/{run}/run.json")


HARMS = (void, reserved, no_end, no_claim, torn_claim, corrupt_end, no_definition)


def test_a_damaged_record_is_brought_as_it_is(source, target, tmp_path):
    fill(source, tmp_path)
    runs = [harm.__name__ for harm in HARMS]
    for harm in HARMS:
        run = source.load().project("metals").experiment("cu").Run(id=harm.__name__)
        for attempt in (1, 2):
            track(run, attempt)
        harm(source, run.id)
    before = {run: source.load().run(f"metals/cu/{run}").to_dict() for run in runs}

    report = sync(source, target)

    assert report.ok, report
    voids = {key for key, data in record(source).items() if b'"type":"void"' in data[:40]}
    assert record(source).keys() - voids <= record(target).keys()
    assert {run: target.load().run(f"metals/cu/{run}").to_dict() for run in runs} == before
    reader = target.load()
    assert {one.key for one in reader.catalog.verify().findings} == set(reader.catalog.unreadable()), (
        "all but the damage"
    )
    assert sync(source, target).counts["copied"] == 0
    assert sync(source, target, check=True).counts["copied"] == 0
    assert sync(target, source).ok


def test_what_makes_no_sense_is_refused_before_anything_is_written(lab, copy, tmp_path):
    with pytest.raises(me.NotFoundError):
        me.sync_workspace(lab.url, copy.url)
    fill(lab, tmp_path)
    before = lab.everything()
    with pytest.raises(ValueError, match="with itself"):
        me.sync_workspace(lab.url, f"{lab.url}/")
    for inner in ("backup", "projects/metals"):
        with pytest.raises(ValueError, match="lies in"):
            me.sync_workspace(lab.url, f"{lab.url}/{inner}")
    with pytest.raises(ValueError, match="lies in"):
        me.sync_workspace(lab.url, lab.folder.parent)
    with pytest.raises(me.ReadOnlyError):
        me.sync_workspace(lab.url, copy.workspace(read_only=True))
    lab.change("workspace.json", schema=99)
    with pytest.raises(me.SchemaError):
        me.sync_workspace(lab.url, copy.url)
    assert lab.everything().keys() == before.keys()
    assert copy.everything() == {}


@pytest.mark.parametrize(
    "key", ["settings/1.json", "projects/metals/project.json", "projects/metals/experiments/cu/experiment.json"]
)
def test_a_document_that_cannot_be_read_is_named_and_keeps_nothing(source, target, tmp_path, key):
    source.workspace().configure(durability="never")
    track(source.workspace().Project("metals").Experiment("cu").Run(id="one"), 1)
    source.store.write(key, b"[1]")

    report = me.sync_workspace(source.workspace(), target.workspace())

    assert [finding.key for finding in report.unreadable] == [key]
    assert target.store.read(key) == b"[1]", "kept as it is"
    assert target.load().run("metals/cu/one").results == {"value": 1}
    assert [row.path for row in target.load().catalog.runs()] == ["metals/cu/one"]


def test_a_copy_keeps_the_end_of_an_attempt_that_its_source_has_lost(lab, copy, tmp_path):
    fill(lab, tmp_path)
    assert sync(lab, copy).ok
    key = f"{RUNS}/one/executions/1.end.json"
    end = lab.store.read(key)
    lab.store.delete(key)

    assert sync(lab, copy).ok
    assert copy.store.read(key) == end
    assert sync(copy, lab).ok
    assert lab.store.read(key) == end


@pytest.mark.parametrize("torn", [b"", bytes(40)], ids=["empty", "zeros"])
@pytest.mark.parametrize("claim", ["whole", "torn"])
def test_an_end_that_lost_its_bytes_at_the_destination_comes_again(lab, copy, tmp_path, torn, claim):
    fill(lab, tmp_path)
    assert sync(lab, copy).ok
    before = record(copy)
    copy.store.write(f"{RUNS}/one/executions/1.end.json", torn)
    if claim == "torn":
        copy.store.write(f"{RUNS}/one/executions/1.jsonl", torn)

    report = sync(lab, copy)
    assert report.ok, report
    assert record(copy) == before
    check(copy)
