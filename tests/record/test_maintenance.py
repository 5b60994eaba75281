"""`fsck` names and `gc` clears away foreign files, payloads without a record, and empty folders."""

from __future__ import annotations

import os
import time

import pytest

EXPERIMENT = "projects/metals/experiments/cu"
RUN = f"{EXPERIMENT}/runs/one"
TOKEN = "0123456789abcdef"

FOREIGN = [
    f"{RUN}/executions/1/notes.txt",
    "projects/.DS_Store",
    "projects/file",
    "projects/metals/.DS_Store",
    "projects/metals/project (conflicted copy).json",
    "projects/metals/edits/.DS_Store",
    "projects/metals/edits/x (conflicted copy).json",
    "projects/Bad Name/project.json",
    "projects/Bad Name/experiments/cu/experiment.json",
    f"{EXPERIMENT}/runs/.DS_Store",
    f"{EXPERIMENT}/runs/file",
    f"{EXPERIMENT}/runs/BAD/run.json",
    f"{EXPERIMENT}/experiment.x.json",
    f"{RUN}/run (conflicted copy).json",
    f"{RUN}/data/f/1.json",
    f"{RUN}/executions/.DS_Store",
    f"{RUN}/executions/1.end (conflicted copy).json",
    f"{RUN}/executions/01.jsonl",
    "data/.DS_Store",
    "data/f/.DS_Store",
    "data/f/01.json",
    "data/f/mine/x.bin",
    "provenance/.DS_Store",
    "provenance/0.json",
    "settings/x.json",
    "artifacts/x.txt",
]
UNNAMED = [
    f"{RUN}/artifacts/.nfs1",
    f"{RUN}/artifacts/deep/er/x",
    f"{RUN}/logs/train.log",
    f"{RUN}/checkpoints/x",
    f"{RUN}/executions/2/artifacts/x",
    f"data/f/{TOKEN}/x.bin",
    f"data/g/{TOKEN}/x.bin",
    f"projects/metals/data/f/{TOKEN}/x.bin",
]


def found(place):
    return {finding.key: finding.what for finding in place.load().fsck().findings}


@pytest.fixture
def finished(ws, run, tmp_path):
    (tmp_path / "f.bin").write_bytes(b"f")
    ws.data_assets.import_asset("f", tmp_path / "f.bin")
    with run.start() as ctx:
        ctx.artifact.save("a.txt", "text")
    return run


@pytest.mark.parametrize("key", FOREIGN)
def test_a_foreign_file_is_named(place, finished, key):
    place.store.write(key, b"{}")

    assert found(place) == {key: "a foreign file; it is ignored"}
    assert finished.status == "succeeded"


@pytest.mark.parametrize("key", UNNAMED)
def test_a_payload_that_no_record_names_is_named(place, finished, key):
    place.store.write(key, b"x")

    ((where, what),) = found(place).items()
    assert where == key
    assert what.startswith("no record names it")


def test_what_is_known_is_no_finding(place, ws, exp, tmp_path):
    (tmp_path / "d" / "deep").mkdir(parents=True)
    (tmp_path / "d" / "deep" / "x").write_bytes(b"x")
    for scope in (ws, exp.project, exp):
        scope.data_assets.import_asset("α d", tmp_path / "d")
        (tmp_path / "d" / "y").write_bytes(b"y")
        scope.data_assets.import_asset("α d", tmp_path / "d")
    exp.project.Experiment("cu", params={"b": 2}, update=True)
    ws.configure(durability="never")
    run = exp.Run(id="one")
    for _ in range(2):
        with run.start(fresh=True) as ctx:
            ctx.artifact.save("deep/a.txt", "text")
            ctx.log("train").append("line")
            ctx.metrics.log(loss=1)
    with pytest.raises(ZeroDivisionError), exp.Run(id="two").start():
        raise ZeroDivisionError
    run.annotate(tags=["t"], note="n")
    run.archive()
    place.store.write(".molexp/anything/at all", b"")

    assert found(place) == {}


def test_a_linked_folder_is_known_with_all_that_is_in_it(lab, lab_exp, tmp_path):
    (tmp_path / "d" / "deep").mkdir(parents=True)
    (tmp_path / "d" / "deep" / "x").write_bytes(b"x")
    lab_exp.data_assets.import_asset("d", tmp_path / "d", action="symlink")

    assert found(lab) == {}


def test_who_is_at_work_may_have_payloads_without_a_record(place, run):
    with run.start() as ctx:
        ctx.artifact.save("a.txt", "text")
        place.store.write(f"{RUN}/artifacts/b.txt", b"its record comes next")
        assert found(place) == {}
    assert set(found(place)) == {f"{RUN}/artifacts/b.txt"}


def test_a_data_record_that_cannot_be_read_is_named_and_its_payloads_are_left_alone(place, ws, finished):
    place.store.write("data/f/1.json", b"{ torn")

    assert set(found(place)) == {"data/f/1.json"}
    assert ws.gc().findings == ()


# ------------------------------------------------------------------------------------------------------------------- gc


def test_equal_content_leaves_no_folder(lab, lab_exp, tmp_path):
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "x").write_bytes(b"x")
    data = lab_exp.data_assets
    first = data.import_asset("d", tmp_path / "d")
    actions = ("copy", "hardlink", "symlink")
    assert {data.import_asset("d", tmp_path / "d", action=action).id for action in actions} == {first.id}

    folder = lab.folder / EXPERIMENT / "data" / "d"
    assert len([path for path in folder.iterdir() if path.is_dir()]) == 1
    assert (tmp_path / "d" / "x").exists()


def test_gc_removes_empty_folders_and_says_so(lab, lab_exp, lab_run, tmp_path):
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "x").write_bytes(b"x")
    lab_exp.data_assets.import_asset("d", tmp_path / "d")
    empty = {f"{EXPERIMENT}/data/d/{TOKEN}", f"{EXPERIMENT}/runs/two"}
    for key in empty:
        (lab.folder / key / "inner").mkdir(parents=True)
    ws = lab.load()

    report = ws.gc()
    assert {finding.key for finding in report.findings} == empty
    assert not report.ok
    assert all((lab.folder / key).is_dir() for key in empty)

    report = ws.gc(dry_run=False)
    assert {finding.key for finding in report.findings} == empty
    assert report.ok
    assert not any((lab.folder / key).exists() for key in empty)
    assert ws.gc().findings == ()
    assert lab_run.status == "pending"


def test_gc_leaves_a_folder_in_which_somebody_writes(lab, lab_exp):
    lab_exp.Run(id="one")
    folder = lab.folder / EXPERIMENT / "runs" / "two"
    folder.mkdir()
    (folder / ".tmp-abc").write_bytes(b"")

    assert lab.load().gc(dry_run=False).findings == ()
    assert folder.is_dir()


def test_gc_does_not_follow_links_out_of_the_workspace(lab, lab_exp, tmp_path, monkeypatch):
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "x").write_bytes(b"x")
    lab_exp.data_assets.import_asset("a", tmp_path / "d")
    link = lab.folder / EXPERIMENT / "data" / "a" / TOKEN / "d"
    link.parent.mkdir()
    link.symlink_to(tmp_path / "d")
    tomorrow = time.time() + 90_000
    monkeypatch.setattr(time, "time", lambda: tomorrow)

    (finding,) = lab.load().gc(dry_run=False).findings

    assert finding.key == f"{EXPERIMENT}/data/a/{TOKEN}/d"
    assert not link.parent.exists()
    assert (tmp_path / "d" / "x").read_bytes() == b"x"


def test_gc_does_not_follow_links_out_of_a_deleted_run(lab, lab_run, tmp_path):
    with lab_run.start() as ctx:
        ctx.artifact.save("a.txt", "text")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "x").write_bytes(b"x")
    (lab.folder / RUN / "artifacts" / "mine").symlink_to(tmp_path / "mine")
    lab_run.delete()

    assert lab.load().gc(dry_run=False).ok
    assert not (lab.folder / RUN).exists()
    assert (tmp_path / "mine" / "x").read_bytes() == b"x"


def test_gc_leaves_what_somebody_put_beside_data(lab, lab_exp, finished_data):
    mine = lab.folder / EXPERIMENT / "data" / "d" / "mine" / "x"
    mine.parent.mkdir()
    mine.write_bytes(b"x")
    os.utime(mine, (1, 1))

    assert lab.load().gc(dry_run=False).findings == ()
    assert mine.exists()


@pytest.fixture
def finished_data(lab_exp, tmp_path):
    (tmp_path / "x").write_bytes(b"x")
    return lab_exp.data_assets.import_asset("d", tmp_path / "x")


def test_a_report_shows_itself_as_text(ws):
    report = ws.fsck()

    assert repr(report) == str(report) == "fsck: runs 0, findings 0"
