"""One record that nobody can have written must not block the rest."""

from __future__ import annotations

import json
import os
import shutil

import pytest

RUN = "projects/metals/experiments/cu/runs/bad"


@pytest.fixture
def bad(exp, place):
    """A finished run beside a good one, by its files."""
    for name in ("good", "bad"):
        with exp.Run(id=name).start() as ctx:
            ctx.artifact.save("a.txt", "text")
    return place


@pytest.mark.parametrize(
    "values",
    [
        {"producer": "me"},
        {"name": {"a": 1}},
        {"size": "big"},
        {"version": "v1"},
        {"created_at": "yesterday"},
        {"created_at": {}},
        {"tags": [{}]},
        {"tags": 3},
        {"kind": None},
        {"kind": {"a": 1}},
    ],
    ids=str,
)
def test_an_asset_record(bad, values):
    end = bad.document(f"{RUN}/executions/1.end.json")
    end["assets"][0].update(values)
    bad.store.write(f"{RUN}/executions/1.end.json", json.dumps(end).encode())
    ws = bad.load()

    assert {row.id for row in ws.catalog.runs()} >= {"good"}
    for where, sort in ((None, None), ("format == 'text'", None), (None, "from_file")):
        found = ws.catalog.assets(where, sort=sort)
        assert any(asset.scope == "metals/cu/good" for asset in found)
    assert ws.run("metals/cu/bad").assets
    assert isinstance(str(ws.fsck()), str)
    assert bad.load().catalog.lineage("metals/cu/bad").of.id == "metals/cu/bad"


@pytest.mark.parametrize("said", [{"a": 1}, ["a"], 3], ids=str)
def test_the_provenance_of_an_end(bad, said):
    key = f"{RUN}/executions/1.end.json"
    bad.store.write(key, json.dumps({**bad.document(key), "provenance": said}).encode())
    ws = bad.load()

    assert {row.id for row in ws.catalog.runs("status == 'succeeded'")} == {"good", "bad"}
    assert ws.run("metals/cu/bad").status == "succeeded"


@pytest.mark.parametrize("owner", ["me", {"pid": 10**30, "host": "h"}, {"pid": -1}, None, []], ids=str)
def test_a_claim_without_an_end(bad, owner):
    key = f"{RUN}/executions/1.jsonl"
    claim = json.loads(bad.store.read(key).splitlines()[0])
    bad.store.delete(f"{RUN}/executions/1.end.json")
    bad.store.write(key, json.dumps({**claim, "owner": owner}).encode() + b"\n")
    ws = bad.load()

    assert {row.id for row in ws.catalog.runs()} == {"good", "bad"}
    assert ws.run("metals/cu/bad").status in ("running", "interrupted")
    assert isinstance(str(ws.fsck()), str)


@pytest.mark.parametrize(
    "values", [{"created_at": {}}, {"project": 3}, {"parameters": []}, {"tags": 1}, {"config": 3}], ids=str
)
def test_a_definition(bad, values):
    bad.change(f"{RUN}/run.json", **values)
    ws = bad.load()

    assert {row.id for row in ws.catalog.runs()} >= {"good"}
    assert ws.catalog.unreadable() is not None


def test_foreign_hints(bad):
    bad.store.write(".molexp/journals/foo-000001.jsonl", b"[]")
    if "append" in bad.store.capabilities:
        bad.store.write(".molexp/journals/x.jsonl", b'{"keys": ["projects/../x", 3, "/abs", ""], "withdrawn": 7}\n')

    assert len(bad.load().catalog.runs()) == 2


def test_ids_as_long_as_they_may_be(place):
    exp = place.workspace().Project("p" * 120).Experiment("e" * 120)
    context = exp.Run(id="r" * 120).start()

    assert place.load().run(context.run.path).status == "running"
    assert [str(row.status) for row in place.load().catalog.runs()] == ["running"]
    context._attempt.beat()
    context.finish()
    assert context.run.status == "succeeded"


def test_a_run_that_was_made_anew_under_its_id_is_another_run(lab_exp, lab):
    reader = lab.load()
    with lab_exp.Run({"a": 1}, id="one").start() as ctx:
        ctx.set_result("energy", 1)
        ctx.artifact.save("a.txt", "text")
    assert [row.results for row in reader.catalog.runs()] == [{"energy": 1}]

    shutil.rmtree(lab.folder / "projects/metals/experiments/cu/runs/one")
    lab_exp.project.workspace.project("metals").experiment("cu").Run({"a": 2}, id="one")

    (row,) = reader.catalog.runs()
    assert (row.parameters["a"], row.results, str(row.status)) == (2, {}, "pending")


def test_a_copied_run_does_not_take_the_originals_assets(lab_exp, lab):
    reader = lab.load()
    with lab_exp.Run(id="one").start() as ctx:
        ctx.artifact.save("a.txt", "text")
    runs = lab.folder / "projects/metals/experiments/cu/runs"
    assert len(reader.catalog.assets()) == 1

    lab_exp.project.Experiment("other").Run(id="x")
    shutil.copytree(runs / "one", lab.folder / "projects/metals/experiments/other/runs/copy")
    assert {row.id for row in reader.catalog.runs(experiment="metals/other")} == {"x", "copy"}
    shutil.rmtree(lab.folder / "projects/metals/experiments/other/runs/copy")
    reader.catalog.runs()
    assert [asset.scope for asset in reader.catalog.assets()] == ["metals/cu/one"]


def test_what_is_foreign_in_executions_does_not_freeze_a_row(lab_exp, lab):
    reader, run = lab.load(), lab_exp.Run(id="one")
    with run.start() as ctx:
        ctx.set_result("energy", 1)
    stray = lab.folder / "projects/metals/experiments/cu/runs/one/executions/.nfs0001"
    stray.write_text("x")
    assert [row.results for row in reader.catalog.runs()] == [{"energy": 1}]
    stray.unlink()
    with run.start() as ctx:
        ctx.set_result("energy", 2)

    assert [row.results for row in reader.catalog.runs()] == [{"energy": 2}]


def test_gc_leaves_an_import_alone_that_is_under_way(lab_exp, lab, tmp_path, monkeypatch):
    """However old the files are that it moves: what counts is when they came."""
    source = tmp_path / "source"
    source.mkdir()
    for number in range(5):
        (source / f"{number}.bin").write_bytes(b"x" * 100)
        os.utime(source / f"{number}.bin", (1, 1))
    store = lab_exp._session.store
    create = type(store).create

    def collect_first(self, key, data):
        if key.endswith("/data/d/1.json"):
            monkeypatch.undo()
            lab.load().gc(dry_run=False)
        create(self, key, data)

    monkeypatch.setattr(type(store), "create", collect_first)
    asset = lab_exp.data_assets.import_asset("d", source, action="move")

    assert sorted(path.name for path in asset.path.iterdir()) == [f"{number}.bin" for number in range(5)]
    assert lab.load().fsck().ok
