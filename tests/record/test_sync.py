"""A workspace is copied to another place, again and again, from every storage to every other, while runs go on."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from itertools import product
from pathlib import Path

import pytest

import molexp as me
from tests.record.syncing import BIG, DIES, EXP, RUNS, check, clone, fill, record, sync, track

PLACES = ("files", "memory", "memory without append")
ALL = pytest.mark.parametrize("pair", [*product(PLACES, PLACES)], ids=" to ".join, indirect=True)

READS = ("read", "read_many", "open_read", "stat", "exists", "children", "list")
WRITES = ("write", "create", "open_write", "append", "rename", "delete")


def counted(monkeypatch, names, cls):
    """Count what is asked of all stores of a class from now on, by key."""
    calls: Counter[str] = Counter()
    for name in names:
        original = getattr(cls, name)

        def call(self, *args, _name=name, _original=original, **kwargs):
            calls[f"{_name} {args[0] if args and isinstance(args[0], str) else ''}".strip()] += 1
            return _original(self, *args, **kwargs)

        monkeypatch.setattr(cls, name, call)
    return calls


# ------------------------------------------------------------------------------------------------------------- copies


@ALL
def test_a_copy_has_all_that_the_workspace_has_and_is_one(source, target, tmp_path):
    ws = fill(source, tmp_path)

    report = sync(source, target)

    assert report.ok, report
    assert report.counts["runs"] == 4
    assert record(target) == record(source), "byte for byte, definitions and what people read too"
    assert report.counts["copied"] == len(record(source)) - 1, "all but workspace.json was copied"
    assert target.load().id == ws.id
    check(target)
    run = target.load().run("metals/cu/one")
    assert run.results == {"value": 2}
    assert [entry["status"] for entry in run.execution_history] == ["succeeded", "succeeded"]
    assert target.load().run("metals/cu/two").asset("big.bin").read_bytes() == BIG
    assert run.logs["relax"].text() == "value 1\nvalue 2\n"

    again = sync(source, target)
    assert again.ok
    assert again.counts["copied"] == 0
    assert record(target) == record(source)


def test_nothing_derived_is_copied(source, target, tmp_path):
    fill(source, tmp_path).catalog.compact()
    with source.load().run("metals/cu/pending").start() as ctx:
        ctx.set_result("value", 1)
        sync(source, target)
        derived = {key for key in target.everything() if key.startswith(".molexp/")}
    assert all(key.startswith((".molexp/journals/", ".molexp/sealed/")) for key in derived), derived


def test_an_index_at_the_destination_learns_of_it_by_few_announcements(source, target, tmp_path):
    fill(source, tmp_path)
    sync(source, target)
    reader = target.load()
    assert len(reader.catalog.runs()) == 3
    exp = source.load().project("metals").experiment("cu")
    for number in range(20):
        track(exp.Run({"n": number}), number)
    exp.run("one").annotate(tags=["late"])
    exp.run("two").delete()
    before = set(target.everything())

    report = sync(source, target)

    assert report.ok
    lines = [
        line
        for key, data in target.everything().items()
        if key.startswith((".molexp/journals/", ".molexp/sealed/")) and key not in before
        for line in data.splitlines()
        if b'"keys"' in line
    ]
    assert len(lines) <= 3, "20 runs, an edit and a deletion"
    found = {row.path: row for row in reader.catalog.runs()}
    assert len(found) == 22
    assert [*found["metals/cu/one"].tags] == ["late"]
    assert "metals/cu/two" not in found
    assert not reader.catalog.verify().findings
    check(target)


def test_a_sync_without_news_reads_nothing_but_listings(lab, copy, lab_exp, monkeypatch):
    for number in range(60):
        track(lab_exp.Run({"n": number}), number)
    lab_exp.runs.create_many([{"n": number} for number in range(1000)])
    sync(lab, copy)
    calls = counted(monkeypatch, (*READS, *WRITES), type(lab.store))

    report = me.sync_workspace(lab.url, copy.url)

    assert report.ok
    assert report.counts["runs"] == 1060
    assert report.counts["copied"] == 0
    assert calls == {"list": 2, "read workspace.json": 2}


def test_what_was_forgotten_is_compared_and_found_to_be_the_same(lab, copy, tmp_path, monkeypatch):
    fill(lab, tmp_path)
    sync(lab, copy)
    before = record(copy)
    for number, data in enumerate((None, b"no database", b"")):
        for path in Path(os.environ["MOLEXP_CACHE_DIR"]).rglob("sync-*.sqlite3"):
            path.unlink() if data is None else path.write_bytes(data)
        calls = counted(monkeypatch, WRITES, type(lab.store)) if not number else {}
        report = sync(lab, copy)
        assert report.ok
        assert report.counts["copied"] == 0
        assert not [call for call in calls if ".molexp/" not in call]
    assert record(copy) == before


@pytest.fixture
def slow(lab, monkeypatch):
    """Requests take long, so there are several at once."""
    monkeypatch.setattr(type(lab.store), "slow", True)


@pytest.mark.usefixtures("slow")
def test_where_requests_take_long_there_are_several_at_once(lab, copy, tmp_path, monkeypatch):
    fill(lab, tmp_path)
    exp = lab.load().project("metals").experiment("cu")
    for number in range(30):
        track(exp.Run({"n": number}), number)
    assert sync(lab, copy).ok
    assert record(copy) == record(lab)
    check(copy)
    calls = counted(monkeypatch, (*READS, *WRITES), type(lab.store))
    assert sync(lab, copy).counts["copied"] == 0
    assert set(calls) == {"list", "read workspace.json"}


@pytest.mark.usefixtures("slow")
def test_an_error_ends_a_sync_of_many_threads_and_the_next_one_goes_on(lab, copy, tmp_path, monkeypatch):
    fill(lab, tmp_path)
    create = type(lab.store).create

    def full(self, key, data):
        if "/artifacts/" in key and self.url == copy.store.url:
            raise me.StorageFullError(key, url=self.url)
        create(self, key, data)

    monkeypatch.setattr(type(lab.store), "create", full)
    with pytest.raises(me.StorageFullError):
        sync(lab, copy)
    assert not copy.load().catalog.verify().findings
    assert {row.status for row in copy.load().catalog.runs()} == {"pending"}
    monkeypatch.undo()
    assert sync(lab, copy).ok
    assert record(copy) == record(lab)
    check(copy)


def test_a_dry_run_says_what_would_be_copied_and_writes_nothing(source, target, tmp_path):
    fill(source, tmp_path)
    before = source.everything()

    told = sync(source, target, dry_run=True)

    assert told.dry_run
    assert str(told).startswith("sync (nothing was written): runs 4, copied ")
    assert target.everything() == {}
    assert source.everything() == before
    done = sync(source, target)
    assert told.counts["copied"] == done.counts["copied"]
    assert sync(source, target, dry_run=True).counts["copied"] == 0


def test_progress_comes_to_all_that_there_is_to_do(source, target, tmp_path):
    fill(source, tmp_path)
    heard: list[me.SyncProgress] = []

    sync(source, target, progress=heard.append)

    assert [one.bytes for one in heard] == sorted(one.bytes for one in heard)
    assert [one.files for one in heard] == sorted(one.files for one in heard)
    assert (heard[-1].files, heard[-1].bytes) == (heard[-1].total_files, heard[-1].total_bytes)
    assert heard[-1].total_files == len(record(source))
    assert heard[-1].total_bytes == sum(map(len, record(source).values()))


def test_what_nobody_knows_is_copied_too(source, target, tmp_path):
    fill(source, tmp_path)
    strange = {
        "README.md": b"notes",
        "projects/Not An Id/x": b"1",
        f"{EXP}/figures/a.svg": b"<svg/>",
        f"{RUNS}/one/notes.txt": b"mine",
        f"{RUNS}/one/artifacts/by-hand.txt": b"no record names it",
        f"{RUNS}/no-run/left.txt": b"a folder without a run",
        "settings/first.json": b"{}",
    }
    for key, data in strange.items():
        source.store.create(key, data)
    source.change(f"{RUNS}/pending/run.json", of_the_future={"x": [1]})

    assert sync(source, target).ok
    assert record(target) == record(source)


@ALL
def test_a_workspace_comes_back_from_where_it_was_copied_to(source, target, tmp_path):
    fill(source, tmp_path)
    sync(source, target)
    track(target.load().run("metals/cu/one"), 3)
    track(target.load().project("metals").experiment("cu").Run(id="new"), 4)

    report = sync(target, source)

    assert report.ok
    assert record(source) == record(target)
    assert source.load().run("metals/cu/one").results == {"value": 3}
    check(source)


def test_a_deletion_travels_and_the_run_is_hidden_all_the_time(source, target, tmp_path):
    fill(source, tmp_path)
    sync(source, target)
    source.load().run("metals/cu/one").delete()
    sync(source, target)
    assert {row.id for row in target.load().catalog.runs()} == {"pending", "two"}
    source.load().gc(dry_run=False)
    sync(source, target)
    assert target.store.exists(f"{RUNS}/one/run.json"), "freed bytes are nobody else's business"


# ---------------------------------------------------------------------------------------------------- runs that go on


def test_an_attempt_that_goes_on_is_brought_as_it_is_and_its_end_by_the_next_sync(source, target, tmp_path):
    fill(source, tmp_path)
    run = source.load().run("metals/cu/one")
    new = source.load().project("metals").experiment("cu").Run(id="new")
    with run.start() as ctx, new.start() as first:
        ctx.set_result("value", 3)
        ctx.artifact.save("b.json", [1])
        first.artifact.save("b.json", [1])
        report = sync(source, target)
        assert report.ok
        assert report.counts["unfinished"] == 2
        assert f"process {os.getpid()} on " in report.unfinished[0].what
        assert "goes on" in str(report)
        one, two = (target.load().run(f"metals/cu/{name}") for name in ("one", "new"))
        assert one.status == two.status == "running"
        assert one.as_of is not None
        assert not target.store.exists(one.path), "nobody is told of a claim without an end"
        if "append" in source.store.capabilities:  # elsewhere others see what was flushed
            assert (one.results, two.asset("b.json").load()) == ({"value": 3}, [1])
        check(target)

    report = sync(source, target)
    assert report.counts["unfinished"] == 0
    assert record(target) == record(source)
    check(target)


def test_an_attempt_whose_owner_is_dead_is_ended_first(lab, copy, script):
    assert script(DIES).code < 0

    told = sync(lab, copy, dry_run=True)
    assert told.counts["unfinished"] == 1
    assert not lab.store.exists(f"{RUNS}/dead/executions/1.end.json")
    report = me.sync_workspace(lab.load(read_only=True), copy.url)
    assert report.ok
    assert "its end cannot be written at the source" in report.unfinished[0].what
    assert copy.load().run("metals/cu/dead").status == "pending"

    assert sync(lab, copy).counts["unfinished"] == 0
    assert copy.load().run("metals/cu/dead").status == "interrupted"
    assert record(copy) == record(lab)
    check(copy)


def test_a_copy_that_was_made_by_hand_while_a_run_went_on_is_brought_up_to_date(lab, copy, lab_exp):
    with lab_exp.Run(id="one").start() as ctx:
        ctx.set_result("a", 1)
        ctx.artifact.save("a.json", [1])
        ctx.log("relax").append("first")
        clone(lab, copy)
        shutil.rmtree(copy.folder / ".molexp")
        ctx.set_result("a", 2)
        ctx.artifact.save("a.json", [2])
        ctx.log("relax").append("second")

    report = sync(lab, copy)

    assert report.ok, report
    assert record(copy) == record(lab)
    check(copy)


def test_what_came_late_is_brought_and_nothing_is_made_shorter(lab, copy, lab_exp):
    track(lab_exp.Run(id="one"), 1)
    sync(lab, copy)
    check(copy)
    reader = copy.load()
    reader.catalog.runs()
    key = f"{RUNS}/one/executions/1.jsonl"
    lab.store.append(key, b'{"type":"result","name":"late","value":1}\n')
    whole = lab.store.read(key)

    assert sync(lab, copy).counts["copied"] == 1
    assert copy.store.read(key) == whole
    assert "late" in reader.catalog.runs()[0].execution_history[0]
    copy.store.append(key, b'{"type":"result","name":"later","value":1}\n')
    longer = copy.store.read(key)
    assert sync(lab, copy).ok
    assert copy.store.read(key) == longer


def test_what_only_became_complete_while_it_was_listed_is_brought_with_its_end(lab, copy, lab_exp, monkeypatch):
    """The listing passes the folder of artifacts, then the run writes one and ends, then the listing sees its end."""
    track(lab_exp.Run(id="one"), 1)
    listed = type(lab.store).list

    def blind(self, prefix=""):
        for entry in listed(self, prefix):
            if self.url != lab.store.url or "/artifacts/" not in entry.key:
                yield entry

    with monkeypatch.context() as patch:
        patch.setattr(type(lab.store), "list", blind)
        assert sync(lab, copy).ok
    assert record(copy) == record(lab)
