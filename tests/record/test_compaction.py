"""Compaction: journals of writers that are done become a snapshot, and nobody's answer changes by it."""

from __future__ import annotations

import gzip
import shutil

import pytest

import molexp as me
from tests.internals import at, tune
from tests.record.compacting import RUN, compact, derived, done, forged, rows, write

# --------------------------------------------------------------------------------------------------------- what it leaves


def test_journals_of_writers_that_are_done_are_folded_and_deleted(place):
    for name in ("one", "two", "three"):
        done(write(place, name))
    if "append" not in place.store.capabilities:
        return  # objects are sealed by compactors alone: see below
    assert len(derived(place, "sealed")) == 3
    reader = place.load()
    before = rows(reader)

    counts = compact(reader)

    assert (counts["folded"], counts["snapshot"]) == (3, 1)
    assert derived(place, "sealed") == derived(place, "journals") == []
    assert rows(reader) == rows(place.load()) == before
    assert reader.catalog.verify().findings == ()


def test_journals_of_silent_writers_are_sealed_folded_and_deleted(place, silent):
    for name in ("one", "two", "three"):
        write(place, name)
    reader = place.load()
    before = rows(reader)
    assert len(derived(place, "journals")) >= 3

    counts = compact(reader, 2)  # they have to be seen twice

    assert counts["folded"] >= 3
    assert derived(place, "sealed") == derived(place, "journals") == []
    assert rows(reader) == rows(place.load()) == before


def test_a_writer_that_is_alive_keeps_its_journal_and_a_new_reader_goes_on_where_the_snapshot_ends(place):
    writer = write(place, "one")
    compact(place.load())
    journals = derived(place, "journals")
    assert journals

    with writer.project("metals").experiment("cu").Run({"n": 2}, id="two").start():
        pass

    assert set(rows(place.load())[0]) == {"metals/cu/one", "metals/cu/two"}
    assert set(journals) <= set(derived(place, "journals"))


def test_a_writer_whose_journal_was_sealed_says_it_again_and_loses_nothing(place, silent):
    writer = write(place, "one")
    exp = writer.project("metals").experiment("cu")
    reader, old = place.load(), place.load()
    assert set(rows(old)[0]) == {"metals/cu/one"}
    compact(reader, 2)
    assert derived(place, "journals") == []

    with exp.Run({"n": 2}, id="two").start() as ctx:
        ctx.set_result("x", 2)
    exp.run("one").annotate(tags=["good"])

    for ws in (reader, old, place.load()):
        assert {path: document["tags"] for path, document in rows(ws)[0].items()} == {
            "metals/cu/one": ["good"],
            "metals/cu/two": [],
        }


def test_a_snapshot_alone_answers_when_every_file_of_the_record_was_read_before(place, monkeypatch):
    """A new reader with a snapshot reads no run: counted."""
    done(write(place, *(f"r{n}" for n in range(20))))
    before = rows(place.load())
    compact(place.load())
    reads: list[str] = []
    original = type(place.store).read

    def read(self, key, *rest):
        reads.append(key)
        return original(self, key, *rest)

    monkeypatch.setattr(type(place.store), "read", read)

    assert rows(place.load()) == before
    quiet = [key for key in reads if "/runs/" in key]
    if "append" in place.store.capabilities:
        assert quiet == []


def test_full_segments_and_those_with_what_came_since_make_one_answer(place, monkeypatch):
    tune(monkeypatch, "rows that make a full segment", 5)
    tune(monkeypatch, "segments beside a full one", 3)
    keeper = place.load() if place.store.exists("workspace.json") else None
    readers = []
    for number in range(30):
        done(write(place, f"r{number:02}", value=number))
        if number % 7 == 0:
            readers.append(place.load())
            rows(readers[-1])
        if number == 12:
            place.load().run("metals/cu/r03").delete()
            place.load().run("metals/cu/r04").annotate(tags=["late"])
        compact(readers[-1 - number % 2] if number % 7 and len(readers) > 1 else readers[-1])
    assert keeper is None

    truth = place.load()
    truth.catalog.rebuild()
    expected = rows(truth)
    assert len(expected[0]) == 29
    for reader in [*readers, place.load()]:
        assert rows(reader) == expected
    assert len(derived(place, "snapshots")) < 15, "what is superfluous is deleted"


@pytest.mark.parametrize(
    "how", ["takes in what is new of the snapshot", "reads everything anew", "cannot read the newest manifest"]
)
def test_what_was_announced_in_a_journal_that_is_folded_is_waited_for(place, tmp_path, monkeypatch, how):
    """Its writer goes on, and does not say it again."""
    exp = place.workspace().Project("metals").Experiment("cu")
    first = exp.Run({"n": 1}, id="one")
    monkeypatch.setenv("MOLEXP_CACHE_DIR", str(tmp_path / "index of another"))
    reader = place.load()
    assert compact(reader)["snapshot"] == 1
    assert {row.id for row in reader.catalog.runs()} == {"one"}
    monkeypatch.setenv("MOLEXP_CACHE_DIR", str(tmp_path / "index of the compactor"))
    late = exp.Run({"n": 2}, id="late")
    first.annotate(tags=["something else"])
    assert compact(place.load())["snapshot"] == 2

    if how == "cannot read the newest manifest":
        first.annotate(tags=["third"])
        assert compact(place.load())["snapshot"] == 3
        place.store.write(".molexp/snapshots/3.json", b"")
        monkeypatch.setenv("MOLEXP_CACHE_DIR", str(tmp_path / "a new index"))
        reader = place.load()
    if how == "reads everything anew":
        reader.catalog.rebuild()
    assert {row.id: row.status for row in reader.catalog.runs()} == {"one": "pending", "late": "pending"}
    with late.start():
        pass
    assert {row.id: row.status for row in reader.catalog.runs()} == {"one": "pending", "late": "succeeded"}


def test_of_two_compactors_that_build_on_one_snapshot_one_wins_and_the_other_goes_on(place, monkeypatch):
    done(write(place, "one"))
    first, second = place.load(), place.load()
    rows(first), rows(second)
    create = type(place.store).create
    raced: list[str] = []

    def late(self, key, data):
        if key == ".molexp/snapshots/1.json" and not raced:
            raced.append(key)
            compact(second)
        return create(self, key, data)

    monkeypatch.setattr(type(place.store), "create", late)

    compact(first)

    assert raced
    assert rows(first) == rows(second) == rows(place.load())
    named = {name for name in derived(place, "snapshots") if not name.endswith(".json")}
    assert len(named) <= 2, "the loser's segment is gone"


# ----------------------------------------------------------------------------------------------- snapshots that are no good


def spoil(place, kind, how):
    for key in [stat.key for stat in place.store.list(".molexp/snapshots")]:
        if key.endswith(kind):
            if how == "gone":
                place.store.delete(key)
            else:
                place.store.write(key, how)


@pytest.mark.parametrize("how", ["gone", b"", b"{}", b"nonsense" * 1000], ids=["gone", "empty", "object", "nonsense"])
@pytest.mark.parametrize("kind", [".json", ".gz"])
def test_a_snapshot_that_cannot_be_used_costs_a_look_at_everything(place, monkeypatch, kind, how):
    tune(monkeypatch, "rows that make a full segment", 5)
    done(write(place, *(f"r{n}" for n in range(8))))
    old = place.load()
    compact(old)
    done(write(place, "later"))
    compact(old)
    before = rows(old)
    spoil(place, kind, how)

    assert rows(place.load()) == rows(old) == before
    done(write(place, "last"))
    for ws in (old, place.load()):
        compact(ws)
        assert len(rows(ws)[0]) == 10
    assert rows(place.load()) == rows(old)


def test_a_segment_with_foreign_tables_is_not_used(lab, monkeypatch, tmp_path):
    """It may come from anybody who can write to the workspace."""
    done(write(lab, *(f"r{n}" for n in range(8))))
    compact(lab.load())
    with forged(lab) as image:
        image.execute("CREATE TRIGGER evil AFTER INSERT ON journals BEGIN DELETE FROM entities; END")
    monkeypatch.setenv("MOLEXP_CACHE_DIR", str(tmp_path / "another"))

    reader = lab.load()

    assert len(reader.catalog.runs()) == 8
    assert not reader._session.index.select("SELECT 1 FROM sqlite_master WHERE type = 'trigger'")
    monkeypatch.undo()


# ------------------------------------------------------------------------------------------------------- by hand, and copies


def test_a_restored_backup_of_a_compacted_workspace_is_noticed(lab, tmp_path):
    done(write(lab, "one"))
    reader = lab.load()
    compact(reader)
    shutil.copytree(lab.folder, tmp_path / "backup")
    done(write(lab, "two"))
    compact(reader)
    assert len(reader.catalog.runs()) == 2
    shutil.rmtree(lab.folder)
    shutil.copytree(tmp_path / "backup", lab.folder)

    assert [row.id for row in reader.catalog.runs()] == ["one"]
    done(write(lab, "three"))
    compact(reader)
    assert [row.id for row in reader.catalog.runs()] == ["one", "three"]
    assert reader.catalog.verify().findings == ()


def test_a_copy_of_a_compacted_workspace_starts_from_the_snapshot_and_sees_what_it_has_not(lab, tmp_path):
    done(write(lab, "one", "two"))
    compact(lab.load())
    shutil.copytree(lab.folder, tmp_path / "copy")
    shutil.rmtree(tmp_path / "copy" / RUN / "one")
    shutil.copytree(lab.folder / RUN / "two", tmp_path / "copy" / RUN / "three")

    copy = me.Workspace.load(tmp_path / "copy")

    assert sorted(row.id for row in copy.catalog.runs()) == ["three", "two"]
    assert {asset.scope for asset in copy.catalog.assets()} >= {"metals/cu/two"}
    assert sorted(row.id for row in lab.load().catalog.runs()) == ["one", "two"]


def test_a_run_that_was_replaced_by_its_backup_is_read_again(lab, tmp_path):
    """Less than before is true of it: the folder is another one."""
    ws = write(lab, "one", "two")
    reader = lab.load()
    run = ws.run("metals/cu/one")
    shutil.copytree(lab.folder / RUN / "one", tmp_path / "backup")
    with run.start() as ctx:
        ctx.set_result("x", 99)
    run.annotate(tags=["late"])
    assert {row.id: row.results["x"] for row in reader.catalog.runs()} == {"one": 99, "two": 1}
    shutil.rmtree(lab.folder / RUN / "one")
    shutil.copytree(tmp_path / "backup", lab.folder / RUN / "one")

    for _ in range(3):
        assert {row.id: (row.results["x"], row.tags) for row in reader.catalog.runs()} == {
            "one": (1, ()),
            "two": (1, ()),
        }
    assert reader.catalog.verify().findings == ()


def test_what_is_not_of_the_newest_snapshot_is_deleted_and_nothing_else(place):
    done(write(place, "one"))
    reader = place.load()
    compact(reader)
    (segment,) = (key for key in derived(place, "snapshots") if key.endswith(".gz"))
    whole = place.store.read(f".molexp/snapshots/{segment}")
    place.store.write(".molexp/snapshots/1-0123456789abcdef.sqlite3.gz", whole)
    place.store.write(".molexp/snapshots/1-0123456789abcdee.sqlite3.gz", gzip.compress(b"somebody's"))
    place.store.write(".molexp/snapshots/1-0123456789abcdef.sqlite3", gzip.decompress(whole))  # an older version's
    place.store.write(".molexp/snapshots/1-0123456789abcdef.jsonl", b'{"path":"","open":false}\n')
    place.store.write(".molexp/snapshots/1-fedcba9876543210.jsonl", b"somebody's, who calls his files like that")
    place.store.write(".molexp/snapshots/9-0123456789abcdef.jsonl", b"of somebody who has not come to publish it")
    place.store.write(".molexp/snapshots/notes.txt", b"foreign")
    done(write(place, "two"))
    compact(reader)

    left = derived(place, "snapshots")
    assert not [name for name in left if name.startswith("1-0123456789abcdef.")]
    assert {
        "1-0123456789abcdee.sqlite3.gz",
        "1-fedcba9876543210.jsonl",
        "9-0123456789abcdef.jsonl",
        "notes.txt",
    } <= set(left)


def test_an_index_can_be_changed_while_many_rows_are_put_into_a_snapshot(lab, monkeypatch):
    tune(monkeypatch, "rows that are read from an index itself", 0)
    tune(monkeypatch, "seconds that a locked index is waited for", 0.1)
    tune(monkeypatch, "pages that are copied at once", 1)
    done(write(lab, "one"))
    reader = lab.load()
    compact(reader)
    done(write(lab, "two"))
    seen: list[set[str]] = []

    def ask(*_):
        done(write(lab, "three"))
        seen.append({row.id for row in lab.load().catalog.runs()})

    at(monkeypatch, "rows are put into a snapshot", ask)
    assert compact(reader)["snapshot"] == 2
    assert seen == [{"one", "two", "three"}]
    assert {row.id for row in lab.load().catalog.runs()} == {"one", "two", "three"}
    assert reader.catalog.verify().findings == ()


def test_a_sweep_is_announced_in_one_line(place):
    exp = place.workspace().Project("metals").Experiment("cu")
    reader = place.load()
    space = me.grid(a=range(20), b=range(10))

    runs = exp.runs.create_many(space, replicas=2)

    assert len({run.id for run in runs}) == 400
    assert len(rows(reader)[0]) == 400
    hints = [place.store.read(stat.key) for stat in place.store.list(".molexp/journals")]
    assert sum(data.count(b'"keys"') for data in hints) == 1
    assert exp.runs.create_many(space, replicas=2) == runs
    with runs[7].start() as ctx:
        ctx.set_result("x", 1)
    assert [row.id for row in reader.catalog.runs("results.x == 1")] == [runs[7].id]


def test_a_journal_whose_sealing_was_interrupted_is_sealed_by_the_next_compactor(lab):
    """On files, renaming is linking and unlinking: whoever dies in between leaves both names."""
    ws = write(lab, "one")
    (journal,) = (lab.folder / ".molexp/journals").iterdir()
    (lab.folder / ".molexp/sealed").mkdir()
    (lab.folder / ".molexp/sealed" / journal.name).hardlink_to(journal)
    reader = lab.load()
    before = rows(reader)

    compact(reader)
    assert not journal.exists()
    ws.run("metals/cu/one").annotate(tags=["later"])  # its writer lives, and says it in another journal
    compact(reader)

    assert derived(lab, "sealed") == []
    assert [row.tags for row in reader.catalog.runs()] == [("later",)]
    assert rows(reader)[1] == before[1] == rows(lab.load())[1]


def test_scratch_folders_of_killed_compactors_do_not_stay(lab, tmp_path, monkeypatch):
    import os

    tune(monkeypatch, "rows that make a full segment", 2)
    with monkeypatch.context() as patch:
        patch.setenv("MOLEXP_CACHE_DIR", str(tmp_path / "cache"))
        reader = lab.load() if (lab.folder / "workspace.json").exists() else write(lab, "zero")
        reader.catalog.runs()
        (host,) = (tmp_path / "cache").iterdir()
        (host / "molexp-image-old").mkdir()
        (host / "molexp-image-new").mkdir()
        os.utime(host / "molexp-image-old", (1, 1))
        done(write(lab, "one", "two", "three"))

        compact(reader)

        assert sorted(path.name for path in host.glob("molexp-image-*")) == ["molexp-image-new"]
