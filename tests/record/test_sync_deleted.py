"""A deletion survives `gc`: what was freed on one side does not come back by a sync, however often, and in which direction."""

from __future__ import annotations

import json
import shutil
import time
from contextlib import contextmanager

import pytest

import molexp as me
from tests.record.conftest import place_of
from tests.record.helpers import VOID
from tests.record.syncing import RUNS, check, sync, track

PATH = "metals/cu/one"


@pytest.fixture
def two(source, target):
    """Two workspaces that have the same two runs."""
    exp = source.workspace().Project("metals").Experiment("cu", params={"a": 3.6})
    for name in ("one", "two"):
        track(exp.Run({"n": 1}, id=name), name)
    assert sync(source, target).ok
    return source, target


def ids(place):
    found = [row.id for row in place.load().catalog.runs(sort="id")]
    assert found == [run.id for run in place.load().project("metals").experiment("cu").runs]
    return found


def delete(place, path=PATH, *, gc=True):
    place.load().run(path).delete()
    if gc:
        assert place.load().gc(dry_run=False).ok


def all_ways(one, other):
    """Sync to and fro until nothing is new; no side may complain."""
    for _ in range(2):
        for pair in ((one, other), (other, one)):
            report = sync(*pair)
            assert report.ok, report
    assert sync(one, other).counts["copied"] == sync(other, one).counts["copied"] == 0


@pytest.mark.parametrize("compacted", [False, True], ids=["", "compacted"])
@pytest.mark.parametrize("first", ["back", "forth"])
def test_what_was_deleted_and_freed_stays_deleted_on_both_sides(two, first, compacted):
    one, other = two
    delete(one)
    if compacted:
        for place in two:
            place.load().catalog.compact()
    told = sync(other, one) if first == "back" else sync(one, other)
    assert told.ok
    assert [finding.key for finding in told.deleted] == [f"{RUNS}/one"]
    assert "deleted on 20" in told.deleted[0].what

    all_ways(one, other)
    assert ids(one) == ids(other) == ["two"]
    assert not one.store.exists(f"{RUNS}/one/run.json")
    assert other.load().gc(dry_run=False).ok
    assert not list(other.store.list(f"{RUNS}/one"))
    all_ways(one, other)
    assert ids(one) == ids(other) == ["two"]
    check(one)
    check(other)


def test_a_dry_run_tells_and_writes_nothing(two):
    one, other = two
    delete(one)
    before = one.everything(), other.everything()
    for pair in ((one, other), (other, one)):
        assert [finding.key for finding in sync(*pair, dry_run=True).deleted] == [f"{RUNS}/one"]
    assert (one.everything(), other.everything()) == before


def test_what_compaction_has_fenced_is_no_conflict(two):
    """The numbers of a freed run that a silent writer had announced are given up; it is the same run all the same."""
    one, other = two
    delete(one)
    one.store.create(f"{RUNS}/one/run.json", VOID)
    one.store.create(f"{RUNS}/one/executions/1.jsonl", VOID)

    for _ in range(2):
        for pair in ((other, one), (one, other)):
            report = sync(*pair)
            assert report.ok, report
            assert report.counts["conflicts"] == 0
    assert ids(one) == ids(other) == ["two"]
    assert one.load().fsck().ok


def test_a_deletion_whose_name_was_given_up_at_the_destination_hides_the_run_all_the_same(two):
    """A sync that was killed had announced it, and compaction has fenced it."""
    one, other = two
    delete(one, gc=False)
    (edit,) = one.store.children(f"{RUNS}/one/edits").entries
    one.load().gc(dry_run=False)
    other.store.create(edit.key, VOID)

    all_ways(one, other)
    assert ids(one) == ids(other) == ["two"]


def test_a_third_place_hears_of_it_from_either_side(two, copy):
    one, other = two
    sync(one, copy)
    delete(one)
    sync(one, other)
    assert ids(other) == ["two"]
    report = sync(other, copy)
    assert report.ok
    assert ids(copy) == ["two"]
    assert sync(copy, one).ok
    assert ids(one) == ["two"]


def test_another_run_that_gets_the_id_is_another_run(two):
    one, other = two
    delete(one)
    track(one.load().project("metals").experiment("cu").Run({"n": 1}, id="one"), "new")

    assert sync(other, one).ok
    assert one.load().run(PATH).results == {"value": "new"}
    told = sync(one, other)
    assert told.ok
    assert [finding.key for finding in told.unfinished] == [f"{RUNS}/one"]
    assert "`molexp gc --yes`" in told.unfinished[0].what
    assert ids(other) == ["two"]
    assert other.load().gc(dry_run=False).ok

    all_ways(one, other)
    assert ids(one) == ids(other) == ["one", "two"]
    for place in two:
        assert place.load().run(PATH).results == {"value": "new"}
        assert len(place.load().run(PATH).execution_history) == 1
        check(place)


def test_what_was_deleted_can_be_restored(two):
    one, other = two
    delete(one)
    told = sync(other, one)
    assert f"`molexp sync --restore {PATH}`" in told.deleted[0].what

    told = sync(other, one, restore=[PATH])
    assert told.ok
    assert [finding.key for finding in told.returned] == [f"{RUNS}/one"]
    assert not told.deleted
    all_ways(one, other)
    assert ids(one) == ids(other) == ["one", "two"]
    assert one.load().run(PATH).results == {"value": "one"}
    delete(one)
    all_ways(one, other)
    assert ids(one) == ids(other) == ["two"], "it can be deleted again"


def test_what_is_to_be_restored_has_to_be_there(two):
    with pytest.raises(me.NotFoundError, match="run"):
        sync(*two, restore=["metals/cu/nothing"])


@pytest.mark.parametrize("where", ["source", "destination"])
def test_what_was_brought_back_by_hand_counts(lab, lab_exp, copy, where):
    track(lab_exp.Run({"n": 1}, id="one"), "one")
    sync(lab, copy)
    kept = copy.folder / "kept"
    shutil.copytree(lab.folder / RUNS / "one", kept)
    delete(lab)
    sync(lab, copy)
    copy.load().gc(dry_run=False)
    assert ids(lab) == ids(copy) == []

    place, other = (lab, copy) if where == "source" else (copy, lab)
    kept.rename(place.folder / RUNS / "one")
    assert ids(place) == ["one"]
    all_ways(lab, copy)
    assert ids(lab) == ids(copy) == ["one"]
    assert other.load().run(PATH).results == {"value": "one"}


def test_a_run_that_was_deleted_and_is_not_yet_freed_is_hidden_as_before(two):
    one, other = two
    delete(one, gc=False)
    sync(one, other)
    assert ids(other) == ["two"]
    for place in two:
        place.load().gc(dry_run=False)
    all_ways(one, other)
    assert ids(one) == ids(other) == ["two"]


@pytest.mark.parametrize("days", [91, 89])
def test_it_is_known_for_90_days(two, days, monkeypatch):
    one, other = two
    delete(one)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + days * 24 * 3600.0)
    report = one.load().gc()
    assert ("how 1 runs were deleted" in str(report)) == (days > 90)
    one.load().gc(dry_run=False)
    sync(other, one)
    assert ids(one) == (["one", "two"] if days > 90 else ["two"])


def test_one_file_remembers_many(lab, lab_exp, copy):
    for n in range(50):
        lab_exp.Run({"n": n}).delete()
    before = set(lab.record())
    lab.load().gc(dry_run=False)
    (new,) = set(lab.record()) - before
    assert new.startswith("projects/metals/experiments/cu/edits/")
    assert lab.store.stat(new).size < 50 * 700
    assert sync(lab, copy).ok
    assert ids(copy) == []


@pytest.mark.parametrize("when", ["before", "after"])
def test_what_is_freed_while_a_sync_brings_news_of_it_leaves_nothing(lab, lab_exp, copy, when, monkeypatch):
    """The run is deleted and freed right before, or after, the sync writes an edit of it."""
    run = lab_exp.Run({"n": 1}, id="one")
    track(run, 1)
    sync(lab, copy)
    track(copy.load().run(PATH), 2)
    copy.load().run(PATH).annotate(tags=["news"])
    store = type(lab.store)
    create = store.create
    slept: list[str] = []

    def sleep(self, key, data):
        freed = key.startswith(f"{RUNS}/one/") and str(self.url).endswith("/lab") and "edits" in key
        if freed and not slept:
            slept.append(key)
            if when == "before":
                delete(lab)
            create(self, key, data)
            if when == "after":
                delete(lab)
            return None
        return create(self, key, data)

    with monkeypatch.context() as patch:
        patch.setattr(store, "create", sleep)
        report = sync(copy, lab)
    assert slept
    assert report is not None
    assert ids(lab) == []
    lab.load().gc(dry_run=False)
    assert not list(lab.store.list(f"{RUNS}/one"))
    all_ways(lab, copy)
    assert ids(lab) == ids(copy) == []


@contextmanager
def interrupted(monkeypatch, place, *acts):
    """Act whenever a sync is about to create the next file of the run at `place`: each act once, in their order."""
    store = type(place.store)
    create, url = store.create, str(place.store.url)
    left = list(acts)
    acting: list[bool] = []

    def interrupt(self, key, data):
        if left and not acting and str(self.url) == url and key.startswith(f"{RUNS}/one/"):
            acting.append(True)
            left.pop(0)()
            acting.clear()
        return create(self, key, data)

    with monkeypatch.context() as patch:
        patch.setattr(store, "create", interrupt)
        yield
    assert not left


@pytest.fixture
def three(lab, lab_exp, copy, tmp_path):
    """Three copies of a workspace; the first one lacks a run that the others have."""
    (tmp_path / "third").mkdir()
    third = place_of("files", tmp_path / "third")
    sync(lab, copy)
    track(copy.load().project("metals").experiment("cu").Run({"n": 1}, id="one"), 1)
    sync(copy, third)
    return lab, copy, third


def settle(*places):
    for _ in range(2):
        for one in places:
            for other in places:
                if one is not other:
                    assert sync(one, other).ok


@pytest.mark.parametrize("told", [False, True], ids=["", "told"])
@pytest.mark.parametrize("way", ["to", "from"])
def test_what_a_sync_is_bringing_was_not_brought_back_by_hand(three, told, way, monkeypatch):
    """The run is freed while one sync brings it; before that one hides it again, another one finds it there."""
    lab, copy, third = three

    def free():
        sync(copy, lab)
        delete(lab)
        if told:
            sync(lab, copy)
            copy.load().gc(dry_run=False)

    other = (copy, lab) if way == "to" else (lab, copy)
    with interrupted(monkeypatch, lab, free, lambda: sync(*other)):
        sync(third, lab)
    settle(*three)
    assert [ids(place) for place in three] == [[], [], []]


@pytest.mark.parametrize("where", ["here", "elsewhere"])
def test_what_a_sync_brought_that_was_killed_is_hidden_by_the_next_one(three, where, monkeypatch):
    """The run is freed while a sync brings it, and that sync dies before it looks again; perhaps on another machine."""
    lab, copy, third = three

    def free():
        sync(copy, lab)
        delete(lab)

    def die():
        raise KeyboardInterrupt

    with interrupted(monkeypatch, lab, free, die), pytest.raises(KeyboardInterrupt):
        sync(third, lab)
    (left,) = lab.store.list(".molexp/arriving")
    if where == "elsewhere":
        owner = {"host": "elsewhere", "pid": 1, "boot": "x", "namespace": "y"}
        lab.store.write(left.key, json.dumps(json.loads(lab.store.read(left.key)) | {"owner": owner}).encode())
        sync(copy, lab)
        assert [entry.key for entry in lab.store.list(".molexp/arriving")] == [left.key], "nobody knows that it is dead"
        now = time.time()
        monkeypatch.setattr(time, "time", lambda: now + 25 * 3600.0)
    report = sync(copy, lab, dry_run=True)
    assert report.ok
    assert lab.store.exists(left.key)
    settle(*three)
    assert [ids(place) for place in three] == [[], [], []]
    assert not list(lab.store.list(".molexp/arriving"))


def test_a_damaged_note_of_what_was_arriving_stops_nobody(two):
    one, other = two
    for name, data in {"cut": b'{"runs": ["metals/cu', "odd": b'{"runs": {"a": 1}}', "no": b"[]"}.items():
        other.store.create(f".molexp/arriving/{name}.json", data)
    delete(one)
    all_ways(one, other)
    assert ids(one) == ids(other) == ["two"]
    assert not list(other.store.list(".molexp/arriving"))
