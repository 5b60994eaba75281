"""The catalog is derived: it reads its own writes, notices what was done by hand, and can be deleted at any time."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

import molexp as me


def rows(workspace):
    """All that the catalog says."""
    runs = {row.path: row.document for row in workspace.catalog.runs()}
    return runs, {asset.id: asset for asset in workspace.catalog.assets()}


def track(exp, name, value=1):
    with exp.Run(id=name).start() as ctx:
        ctx.set_result("x", value)
        ctx.artifact.save("a.json", [value])


@pytest.fixture
def cache(tmp_path, monkeypatch):
    folder = tmp_path / "cache"
    with monkeypatch.context() as patch:
        patch.setenv("MOLEXP_CACHE_DIR", str(folder))
        yield folder


def indexes(cache):
    return [path for path in cache.rglob("*") if path.is_file()]


# -------------------------------------------------------------------------------------------------------- its own writes


def test_every_change_is_seen_by_the_next_query_of_everybody(place, ws, tmp_path):
    with me.Workspace("memory://another").Project("p").Experiment("e").Run().start():
        pass  # from its end on this process's provenance is known, and does not come up between two questions
    other = place.workspace()
    steps = []

    def see(what):
        mine, theirs = rows(ws), rows(other)
        assert mine == theirs, what
        steps.append(mine)
        return mine

    exp = ws.Project("metals").Experiment("cu")
    assert see("nothing")[0] == {}
    run = exp.Run({"n": 1}, id="one")
    assert see("created")[0]["metals/cu/one"]["status"] == "pending"
    ctx = run.start()
    assert see("started")[0]["metals/cu/one"]["status"] == "running"
    ctx.set_result("x", 1)
    ctx.flush()
    assert see("recorded")[0]["metals/cu/one"]["results"] == {"x": 1}
    asset = ctx.artifact.save("a.txt", "text")
    ctx.flush()
    assert asset.id in see("saved")[1]
    ctx.finish()
    assert see("finished")[0]["metals/cu/one"]["status"] == "succeeded"
    run.annotate(tags=["a"])
    assert see("tagged")[0]["metals/cu/one"]["tags"] == ["a"]
    (tmp_path / "d.txt").write_text("data")
    data = exp.data_assets.import_asset("d", tmp_path / "d.txt")
    assert data.id in see("imported")[1]
    with run.start() as again:
        again.set_result("y", 2)
    assert see("again")[0]["metals/cu/one"]["results"] == {"x": 1, "y": 2}
    run.archive()
    assert see("archived")[0] == {}
    assert [row.document["archived"] for each in (ws, other) for row in each.catalog.runs(archived=True)] == [
        True,
        True,
    ]
    run.delete()
    assert see("deleted") == ({}, {data.id: data})


def test_rebuild_from_the_files_alone_gives_the_same(place, ws, tmp_path):
    for project in ("metals", "alloys"):
        exp = ws.Project(project).Experiment("cu")
        for number in range(5):
            track(exp, f"r{number}", number)
        exp.run("r3").annotate(tags=["x"])
        exp.run("r4").delete()
        (tmp_path / "d.txt").write_text(project)
        exp.data_assets.import_asset("d", tmp_path / "d.txt")
    before = rows(ws)
    assert len(before[0]) == 8

    report = ws.catalog.rebuild()

    assert rows(ws) == before
    assert report.ok
    assert (report.counts["runs"], report.counts["assets"]) == (8, 10)
    fresh = place.load()
    fresh.catalog.rebuild()
    assert rows(fresh) == before


def test_without_anything_derived_it_answers_the_same(place, ws):
    exp = ws.Project("metals").Experiment("cu")
    for number in range(3):
        track(exp, f"r{number}", number)
    before = rows(ws)
    for key in [stat.key for stat in place.store.list(".molexp")]:
        place.store.delete(key)

    assert rows(place.load()) == before
    assert rows(ws) == before
    track(exp, "after")
    assert set(rows(ws)[0]) == set(rows(place.load())[0]) == {*before[0], "metals/cu/after"}


def test_verify_finds_what_nobody_announced(lab, lab_exp):
    track(lab_exp, "one")
    workspace = lab.load()
    assert workspace.catalog.verify().ok
    assert workspace.catalog.verify().findings == ()
    end = "projects/metals/experiments/cu/runs/one/executions/1.end.json"
    lab.change(end, results={"x": 99})

    report = workspace.catalog.verify()

    assert [finding.key for finding in report.findings] == ["metals/cu/one"]
    assert workspace.catalog.runs()[0].results == {"x": 99}
    assert workspace.catalog.verify().findings == ()


def test_a_query_changes_no_record(place, ws):
    track(ws.Project("metals").Experiment("cu"), "one")
    before = place.everything()
    for workspace in (ws, place.load()):
        workspace.catalog.runs()
        workspace.catalog.assets()
        workspace.catalog.unreadable()
        workspace.catalog.rebuild()
        workspace.catalog.verify()

    assert place.everything() == before


def test_a_query_with_nothing_new_reads_no_run_again(lab, lab_exp, monkeypatch):
    """Counted in reads of the store: what did not change costs nothing."""
    for number in range(20):
        track(lab_exp, f"r{number}")
    workspace = lab.load()
    workspace.catalog.runs()
    store_class = type(lab.store)
    reads: list[str] = []
    original = store_class.read

    def read(self, key, *rest):
        reads.append(key)
        return original(self, key, *rest)

    monkeypatch.setattr(store_class, "read", read)

    workspace.catalog.runs()
    assert not [key for key in reads if "/runs/" in key]
    track(lab_exp, "new")
    reads.clear()
    assert len(workspace.catalog.runs()) == 21
    assert {key.split("/runs/")[1].split("/")[0] for key in reads if "/runs/" in key} == {"new"}


# ------------------------------------------------------------------------------------------------------------- by hand


def test_a_run_removed_by_hand_is_noticed(lab, lab_exp):
    for name in ("one", "two"):
        track(lab_exp, name)
    workspace = lab.load()
    assert len(workspace.catalog.runs()) == 2

    shutil.rmtree(lab.folder / "projects/metals/experiments/cu/runs/one")

    assert [row.id for row in workspace.catalog.runs()] == ["two"]
    assert {asset.scope for asset in workspace.catalog.assets()} == {"metals/cu/two"}
    assert [run.id for run in lab_exp.runs] == ["two"]


@pytest.mark.parametrize("level", ["projects/metals", "projects/metals/experiments/cu"])
def test_a_whole_branch_removed_by_hand_is_noticed(lab, lab_exp, level):
    track(lab_exp, "one")
    track(lab.workspace().Project("alloys").Experiment("cu"), "two")
    workspace = lab.load()
    assert len(workspace.catalog.runs()) == 2

    shutil.rmtree(lab.folder / level)

    assert [row.path for row in workspace.catalog.runs()] == ["alloys/cu/two"]
    assert {asset.scope for asset in workspace.catalog.assets()} == {"alloys/cu/two"}


def test_a_run_restored_from_a_backup_is_noticed(lab, lab_exp, tmp_path):
    for name in ("one", "two"):
        track(lab_exp, name)
    workspace = lab.load()
    shutil.move(lab.folder / "projects/metals/experiments/cu/runs/one", tmp_path / "backup")
    assert [row.id for row in workspace.catalog.runs()] == ["two"]

    shutil.move(tmp_path / "backup", lab.folder / "projects/metals/experiments/cu/runs/one")

    assert sorted(row.id for row in workspace.catalog.runs()) == ["one", "two"]
    assert len(workspace.catalog.assets()) == 2


def test_an_experiment_copied_in_by_hand_is_noticed(lab, lab_exp, tmp_path):
    track(lab_exp, "one")
    workspace = lab.load()
    workspace.catalog.runs()
    elsewhere = me.Workspace(tmp_path / "elsewhere")
    track(elsewhere.Project("alloys").Experiment("brass"), "two")

    shutil.copytree(tmp_path / "elsewhere/projects/alloys", lab.folder / "projects/alloys")

    assert sorted(row.path for row in workspace.catalog.runs()) == ["alloys/brass/two", "metals/cu/one"]


def test_a_copied_workspace_opens_and_answers_right(lab, lab_exp, tmp_path):
    track(lab_exp, "one")
    workspace = lab.load()
    before = rows(workspace)[0]
    shutil.copytree(lab.folder, tmp_path / "copy")
    copy = me.Workspace.load(tmp_path / "copy")

    assert copy.id == workspace.id
    assert rows(copy)[0] == before
    track(copy.project("metals").experiment("cu"), "only-in-the-copy")
    track(lab_exp, "only-in-the-original")
    assert {row.id for row in copy.catalog.runs()} == {"one", "only-in-the-copy"}
    assert {row.id for row in workspace.catalog.runs()} == {"one", "only-in-the-original"}
    assert all(asset.path.is_relative_to(tmp_path / "copy") for asset in copy.catalog.assets())


def test_a_moved_workspace_too(lab, lab_exp, tmp_path):
    track(lab_exp, "one")
    before = rows(lab.load())[0]
    shutil.move(lab.folder, tmp_path / "moved")

    assert rows(me.Workspace.load(tmp_path / "moved"))[0] == before


def test_a_workspace_that_was_removed_and_made_anew_is_another(lab, lab_exp):
    track(lab_exp, "one")
    assert len(lab.load().catalog.runs()) == 1
    shutil.rmtree(lab.folder)

    workspace = lab.workspace().materialize()

    assert len(workspace.catalog.runs()) == 0


# ---------------------------------------------------------------------------------------------------------- its index


def test_the_index_lies_in_the_cache_folder_and_never_in_the_workspace(lab, lab_exp, cache):
    track(lab_exp, "one")
    lab.load().catalog.runs()

    assert len(indexes(cache)) == 1
    assert not [path for path in lab.folder.rglob("*") if "sqlite" in path.name]


@pytest.mark.parametrize("data", [None, b"", b"garbage" * 1000, b"SQLite format 3\0" + b"\xff" * 5000])
def test_an_index_that_was_deleted_or_corrupted_is_made_anew(lab, lab_exp, cache, data):
    track(lab_exp, "one")
    assert len(lab.load().catalog.runs()) == 1
    (index,) = indexes(cache)
    if data is None:
        index.unlink()
    else:
        index.write_bytes(data)

    assert [row.id for row in lab.load().catalog.runs()] == ["one"]
    track(lab_exp, "two")
    assert len(lab.load().catalog.runs()) == 2


def test_an_index_that_is_damaged_in_the_middle(lab, lab_exp, cache):
    for number in range(50):
        track(lab_exp, f"r{number}")
    assert len(lab.load().catalog.runs()) == 50
    (index,) = indexes(cache)
    size = index.stat().st_size
    with index.open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(size - 8192))

    assert len(lab.load().catalog.runs()) == 50


def test_an_index_that_vanishes_under_an_open_workspace(lab, lab_exp, cache):
    track(lab_exp, "one")
    workspace = lab.load()
    workspace.catalog.runs()
    shutil.rmtree(cache)
    track(lab_exp, "two")

    assert len(workspace.catalog.runs()) == 2
    assert len(lab.load().catalog.runs()) == 2


def test_where_no_index_can_be_written_it_is_kept_in_memory(lab, lab_exp, tmp_path, monkeypatch):
    track(lab_exp, "one")
    (tmp_path / "a-file").write_text("")
    with monkeypatch.context() as patch:
        patch.setenv("MOLEXP_CACHE_DIR", str(tmp_path / "a-file" / "cache"))
        workspace = lab.load()
        assert [row.id for row in workspace.catalog.runs()] == ["one"]
        track(lab_exp, "two")
        assert len(workspace.catalog.runs()) == 2


def test_an_index_of_another_version_is_made_anew(lab, lab_exp, cache):
    import sqlite3

    track(lab_exp, "one")
    lab.load().catalog.runs()
    (index,) = indexes(cache)
    connection = sqlite3.connect(index)
    connection.execute("DROP TABLE documents")
    connection.execute("PRAGMA user_version = 999")
    connection.commit()
    connection.close()

    assert [row.id for row in lab.load().catalog.runs()] == ["one"]


def test_two_places_never_share_an_index(lab, lab_exp, cache, tmp_path):
    track(lab_exp, "one")
    lab.load().catalog.runs()
    shutil.copytree(lab.folder, tmp_path / "copy")
    me.Workspace.load(tmp_path / "copy").catalog.runs()

    assert len(indexes(cache)) == 2


def test_what_cannot_be_read_is_listed(place, ws):
    exp = ws.Project("metals").Experiment("cu")
    for name in ("good", "bad"):
        exp.Run(id=name)
    assert dict(ws.catalog.unreadable()) == {}
    place.store.write("projects/metals/experiments/cu/runs/bad/run.json", b"{")

    ((key, reason),) = place.load().catalog.unreadable().items()
    assert key == "projects/metals/experiments/cu/runs/bad/run.json"
    assert "not valid JSON" in reason
    assert [finding.key for finding in place.load().catalog.rebuild().findings] == [key]


def test_a_run_that_died_is_not_shown_as_running(lab, script):
    done = script(
        """
        import os, molexp as me
        me.Workspace(os.environ["LAB"]).Project("p").Experiment("e").Run(id="one").start().set_result("x", 1)
        print([row.status for row in me.Workspace(os.environ["LAB"]).catalog.runs()][0], flush=True)
        os._exit(0)
        """
    )
    assert done.out == "running\n", done.err

    (row,) = lab.load().catalog.runs()
    assert (row.status, row.results) == ("interrupted", {"x": 1})
    assert Path(lab.folder, "projects/p/experiments/e/runs/one/executions/1.end.json").exists()
