"""Unreadable data is kept: unknown fields, unknown events, newer schemas; one bad record never blocks the rest."""

from __future__ import annotations

import msgspec
import pytest

import molexp as me
from tests.internals import at
from tests.record.helpers import amid, run_script

RUNS = "projects/metals/experiments/cu/runs"
RUN = f"{RUNS}/one"


def finished(exp, name="one"):
    run = exp.Run({"b": 1}, id=name)
    with run.start() as ctx:
        ctx.set_result("x", 1)
        ctx.artifact.save("a.txt", "text")
    return run


# --------------------------------------------------------------------------------------------------------- newer schemas


def writes_to(workspace, tmp_path):
    """Every way to write through a workspace that has a run."""
    source = tmp_path / "a.bin"
    source.write_bytes(b"a")
    exp = workspace.project("metals").experiment("cu")
    run = exp.run("one")
    return {
        "materialize": workspace.materialize,
        "project": lambda: workspace.Project("gold"),
        "settings": lambda: workspace.configure(durability="never"),
        "experiment": lambda: exp.project.Experiment("ag"),
        "revision": lambda: exp.project.Experiment("cu", params={"z": 1}, update=True),
        "run": lambda: exp.Run(id="new"),
        "derived run": lambda: exp.derived_run({"q": 1}),
        "start": run.start,
        "annotate": lambda: run.annotate(tags=["a"]),
        "archive": run.archive,
        "delete": run.delete,
        "import": lambda: exp.data_assets.import_asset("a", source),
        "gc": lambda: workspace.gc(dry_run=False),
    }


WAYS = [
    "materialize", "project", "settings", "experiment", "revision", "run", "derived run", "start", "annotate", "archive",
    "delete", "import", "gc",
]  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
def test_a_workspace_of_a_newer_version_is_read_and_never_written(place, exp, tmp_path, way):
    finished(exp)
    place.change("workspace.json", schema=99, novelty="kept")
    before = place.everything()
    workspace = place.load()

    assert workspace.run("metals/cu/one").results == {"x": 1}
    assert [row.id for row in workspace.catalog.runs()] == ["one"]
    with pytest.raises(me.SchemaError, match=r"schema 99.*Upgrade molexp-core") as caught:
        writes_to(workspace, tmp_path)[way]()
    assert (caught.value.found, caught.value.known) == (99, 1)
    assert place.everything() == before


@pytest.mark.parametrize("way", ["start", "annotate", "archive", "delete", "cancel"])
def test_a_run_of_a_newer_version_is_read_and_never_written(place, exp, way):
    exp.Run({"b": 1}, id="one")
    if way != "cancel":
        finished(exp)
    place.change(f"{RUN}/run.json", schema=99, novelty="kept")
    before = place.everything()
    found = place.load().run("metals/cu/one")

    assert found.parameters == {"a": 3.6, "b": 1}
    assert len(place.load().catalog.runs()) == 1
    call = {"annotate": lambda: found.annotate(tags=["a"])}.get(way) or getattr(found, way)
    with pytest.raises(me.SchemaError, match="schema 99"):
        call()
    assert place.everything() == before


@pytest.mark.parametrize("newer", ["run.json", "executions/1.end.json"])
def test_a_run_of_a_newer_version_is_not_repaired(place, exp, newer):
    finished(exp)
    place.change(f"{RUN}/run.json", status="running")
    place.change(f"{RUN}/{newer}", schema=99, novelty="kept")
    before = place.record()
    written = place.store.read(f"{RUN}/run.json")

    (finding,) = place.load().fsck(repair=True).findings

    assert (finding.key, finding.done) == (f"{RUN}/run.json", "")
    assert finding.what.startswith(f"it does not show the newest end. '{RUN}/{newer}' has schema 99")
    assert (place.record(), place.store.read(f"{RUN}/run.json")) == (before, written)


def test_a_run_with_an_end_of_a_newer_version_gets_no_other_attempt(place, exp):
    run = finished(exp)
    place.change(f"{RUN}/executions/1.end.json", schema=99)
    before = place.everything()

    with pytest.raises(me.SchemaError, match=r"1\.end\.json' has schema 99"):
        place.load().run(run.path).start()
    assert place.everything() == before


DIES = """
    import os
    import molexp as me

    me.Workspace(os.environ["LAB"]).run("metals/cu/one").start()
    os._exit(1)
"""


NEWER = {"schema": 99, "novelty": "kept", "status": "frozen", "results": {"x": [1, 2]}}


def test_a_run_json_of_a_newer_version_stays_as_it_is_when_the_attempt_ends(place, exp):
    run = exp.Run({"b": 1}, id="one")
    with run.start() as ctx:
        ctx.set_result("x", 1)
        place.change(f"{RUN}/run.json", **NEWER)
        document = place.store.read(f"{RUN}/run.json")

    assert (run.status, run.results) == ("succeeded", {"x": 1})
    assert place.store.read(f"{RUN}/run.json") == document


def test_a_run_json_of_a_newer_version_stays_as_it_is_when_the_owner_is_found_dead(lab, tmp_path):
    lab.workspace().Project("metals").Experiment("cu").Run(id="one")
    run_script(tmp_path, lab, DIES, {})
    lab.change(f"{RUN}/run.json", **NEWER)
    document = lab.store.read(f"{RUN}/run.json")

    assert lab.load().run("metals/cu/one").status == "interrupted"
    assert lab.store.exists(f"{RUN}/executions/1.end.json")
    assert lab.store.read(f"{RUN}/run.json") == document


def test_settings_of_a_newer_version_count_and_are_not_replaced(place, ws):
    ws.configure(durability="never")
    place.change("settings/1.json", schema=99, novelty="kept")
    before = place.everything()

    assert place.load().settings == {"durability": "never"}
    with pytest.raises(me.SchemaError, match=r"settings/1\.json' has schema 99"):
        place.load().configure(durability="end")
    assert place.everything() == before


def test_data_of_a_newer_version_get_no_other_version(place, exp, tmp_path):
    source = tmp_path / "a.bin"
    source.write_bytes(b"a")
    exp.data_assets.import_asset("a", source)
    place.change("projects/metals/experiments/cu/data/a/1.json", schema=99, novelty="kept")
    before = place.everything()

    (known,) = exp.data_assets.versions("a")
    assert isinstance(known, me.UnknownAsset)
    assert exp.data_assets["a"] == known
    for content in (b"a", b"b"):
        source.write_bytes(content)
        with pytest.raises(me.SchemaError, match=r"data/a/1\.json' has schema 99"):
            exp.data_assets.import_asset("a", source, action="move")
    assert place.everything() == before
    assert source.read_bytes() == b"b"


def test_an_experiment_of_a_newer_version_gets_no_revision(place, exp):
    place.change("projects/metals/experiments/cu/experiment.json", schema=99)
    before = place.everything()

    assert place.load().project("metals").experiment("cu").params == {"a": 3.6}
    with pytest.raises(me.SchemaError):
        place.load().Project("metals").Experiment("cu", params={"a": 1}, update=True)
    assert place.everything() == before


def test_an_end_of_a_newer_version_is_read_as_far_as_it_goes(place, exp):
    run = finished(exp)
    place.change(f"{RUN}/executions/1.end.json", schema=99, novelty=[1])

    assert (run.status, run.results) == ("succeeded", {"x": 1})


def test_a_run_does_not_fail_over_provenance_that_can_neither_be_read_nor_written(lab, copy, lab_run):
    with lab_run.start():
        pass
    (known,) = lab.folder.glob("provenance/*")
    exp = copy.workspace().Project("metals").Experiment("cu")
    (copy.folder / "provenance").mkdir()
    (copy.folder / "provenance" / known.name).symlink_to("nowhere")

    with pytest.warns(UserWarning, match="not on record as long as"), exp.Run(id="one").start() as ctx:
        ctx.set_result("x", 1)
    with exp.Run(id="two").start():
        pass

    assert (exp.run("one").status, exp.run("one").results, exp.run("two").status) == (
        "succeeded",
        {"x": 1},
        "succeeded",
    )
    assert [finding.key for finding in copy.load().fsck().findings] == [f"provenance/{known.name}"]


# --------------------------------------------------------------------------------------------------------- what is unknown


def test_unknown_fields_survive_a_round_trip(place, exp):
    run = exp.Run(id="one")
    place.change(f"{RUN}/run.json", novelty={"deep": [1, 2]}, colour="red")
    with place.load().run("metals/cu/one").start():
        pass

    document = place.document(f"{RUN}/run.json")
    assert (document["novelty"], document["colour"]) == ({"deep": [1, 2]}, "red")
    assert document["status"] == "succeeded"
    (row,) = place.load().catalog.runs()
    assert row.document["novelty"] == {"deep": [1, 2]}
    assert run.to_dict()["colour"] == "red"


def test_unknown_events_stay_in_their_file_and_disturb_nothing(lab, lab_exp):
    run = lab_exp.Run(id="one")
    event = b'{"type":"teleport","to":"elsewhere","at":"2026-01-01T00:00:00Z"}\n'
    with run.start() as ctx:
        ctx.set_result("x", 1)
        with (lab.folder / RUN / "executions" / "1.jsonl").open("ab") as file:
            file.write(event)
        ctx.set_result("y", 2)
        assert run.results == {"x": 1, "y": 2}

    assert run.results == {"x": 1, "y": 2}
    assert event in lab.store.read(f"{RUN}/executions/1.jsonl")


def test_unknown_edits_disturb_nothing(place, run):
    run.annotate(tags=["a"])
    key = f"{RUN}/edits/20200101-000000-000000-00000000.json"
    place.store.write(key, b'{"schema":7,"type":"edit","op":"promote","level":3}')

    assert run.tags == {"a"}
    assert place.store.exists(key)
    assert [row.tags for row in place.load().catalog.runs()] == [("a",)]


def test_unknown_tags_in_results_are_kept_as_they_are(place, exp):
    run = finished(exp)
    end = place.document(f"{RUN}/executions/1.end.json")
    end["results"]["new"] = {"$quantity": ["1.5", "eV"]}
    place.store.write(f"{RUN}/executions/1.end.json", msgspec.json.encode(end))

    assert run.results["new"] == {"$quantity": ["1.5", "eV"]}
    with run.start():
        pass
    assert place.document(f"{RUN}/run.json")["results"]["new"] == {"$quantity": ["1.5", "eV"]}


def test_unknown_keys_in_a_runs_folder_stay(place, exp):
    run = finished(exp)
    place.store.write(f"{RUN}/plots/a.png", b"png")
    with run.start():
        pass

    assert place.store.read(f"{RUN}/plots/a.png") == b"png"


# ------------------------------------------------------------------------------------------------------------ what is bad

BAD = {
    "torn": b'{"schema": 1, "id"',
    "empty": b"",
    "no object": b"[1]",
    "binary": b"\xff\xfe\0",
    "deep": b"[" * 100_000,
}


@pytest.mark.parametrize("data", BAD.values(), ids=BAD)
def test_a_corrupt_run_json_beside_good_ones(place, exp, data):
    exp.Run(id="bad")
    finished(exp, "good")
    place.store.write(f"{RUNS}/bad/run.json", data)
    workspace = place.load()

    assert [row.id for row in workspace.catalog.runs()] == ["good"]
    assert list(workspace.catalog.unreadable()) == [f"{RUNS}/bad/run.json"]
    assert workspace.run("metals/cu/good").results == {"x": 1}
    assert {run.id for run in workspace.project("metals").experiment("cu").runs} == {"bad", "good"}
    with pytest.raises(me.CorruptRecordError, match=r"bad/run\.json"):
        _ = workspace.project("metals").experiment("cu").run("bad").parameters
    if not data and "append" in place.store.capabilities:
        return  # a claim, that somebody may come to fill
    with pytest.raises(me.CorruptRecordError):
        exp.Run({"b": 2}, id="bad")
    assert place.store.read(f"{RUNS}/bad/run.json") == data, "nobody repairs what nobody asked to"


def test_it_is_no_longer_unreadable_once_it_is_restored(place, exp):
    exp.Run(id="bad")
    good = place.store.read(f"{RUNS}/bad/run.json")
    place.store.write(f"{RUNS}/bad/run.json", b"{")
    workspace = place.load()
    assert workspace.catalog.unreadable()

    place.store.write(f"{RUNS}/bad/run.json", good)
    workspace.catalog.rebuild()

    assert dict(workspace.catalog.unreadable()) == {}
    assert [row.id for row in workspace.catalog.runs()] == ["bad"]


@pytest.mark.parametrize("damage", ["corrupt", "missing"])
def test_a_started_run_reads_on_from_its_claim(place, exp, damage):
    run = finished(exp)
    if damage == "corrupt":
        place.store.write(f"{RUN}/run.json", b"{")
    else:
        place.store.delete(f"{RUN}/run.json")
    found = place.load().project("metals").experiment("cu").run("one")

    assert found.parameters == run.parameters
    assert (found.status, found.results) == ("succeeded", {"x": 1})
    assert [row.id for row in place.load().catalog.runs()] == ["one"]
    assert list(place.load().catalog.unreadable()) == [f"{RUN}/run.json"]


@pytest.mark.parametrize("data", BAD.values(), ids=BAD)
def test_an_end_that_cannot_be_read(place, exp, data):
    run = finished(exp)
    place.store.write(f"{RUN}/executions/1.end.json", data)

    assert run.status == "interrupted"
    assert run.results == {"x": 1}, "its events say what it recorded"
    assert "1.end.json" in run.execution_history[0]["problem"]
    with run.start() as ctx:
        assert ctx.attempt == 2


@pytest.mark.parametrize("data", [b"", b"not json\n", b'{"type":"claim"', b"\xff\n"])
def test_a_claim_that_cannot_be_read_belongs_to_an_unknown_owner(place, exp, data):
    run = exp.Run(id="one")
    place.store.write(f"{RUN}/executions/1.jsonl", data)

    assert run.status == "running"
    with pytest.raises(me.RunBusyError, match="unknown owner"):
        run.start()


def test_a_bad_line_hides_no_other(lab, lab_exp):
    run = lab_exp.Run(id="one")
    ctx = run.start()
    ctx.set_result("x", 1)
    with (lab.folder / RUN / "executions" / "1.jsonl").open("ab") as file:
        file.write(b"garbage\n")
    ctx.set_result("y", 2)

    assert lab.load().run("metals/cu/one").results == {"x": 1, "y": 2}
    ctx.finish()


@pytest.mark.parametrize("data", BAD.values(), ids=BAD)
def test_a_bad_edit_hides_no_other(place, run, data):
    run.annotate(tags=["a"])
    place.store.write(f"{RUN}/edits/20200101-000000-000000-00000000.json", data)

    assert run.tags == {"a"}
    assert [row.tags for row in place.load().catalog.runs()] == [("a",)]
    assert len(place.load().catalog.unreadable()) == 1


def test_a_bad_data_record_hides_no_other_version(place, exp, tmp_path):
    for text in ("one", "two"):
        (tmp_path / "a.bin").write_text(text)
        exp.data_assets.import_asset("a", tmp_path / "a.bin")
    key = "projects/metals/experiments/cu/data/a/2.json"
    place.store.write(key, b"{")

    assert exp.data_assets["a"].version == 1
    assert list(place.load().catalog.unreadable()) == [key]
    (tmp_path / "a.bin").write_text("three")
    assert exp.data_assets.import_asset("a", tmp_path / "a.bin").version == 3


def test_a_bad_experiment_blocks_no_other(place, ws):
    project = ws.Project("metals")
    finished(project.Experiment("cu"))
    finished(project.Experiment("ag"))
    place.store.write("projects/metals/experiments/ag/experiment.json", b"{")

    assert place.load().project("metals").experiment("cu").run("one").results == {"x": 1}
    assert {row.path for row in place.load().catalog.runs()} >= {"metals/cu/one"}
    with pytest.raises(me.CorruptRecordError, match=r"ag/experiment\.json"):
        project.Experiment("ag")


# ---------------------------------------------------------------------------------------------------------- what is late


@pytest.mark.parametrize("name", ["1.jsonl", "1/w-stranger.jsonl", "1.s/stranger-000000.jsonl"])
def test_what_comes_after_the_end_is_late(place, exp, name):
    run = finished(exp)
    if name == "1.jsonl" and "append" not in place.store.capabilities:
        pytest.skip("there it is the claim alone, which nobody can append to")
    key = f"{RUN}/executions/{name}"
    old = place.store.read(key) if place.store.exists(key) else b""
    place.store.write(key, old + b'{"type":"result","name":"x","value":2}\n')

    assert run.results == {"x": 1}
    assert run.execution_history[0]["late"] > 0
    assert key in {finding.key for finding in place.load().fsck().findings}
    assert place.load().catalog.runs()[0].results == {"x": 1}


def test_an_answer_says_what_is_left_out_while_another_thread_brings_the_index_up_to_date(lab, lab_exp, monkeypatch):
    """The other thread has come as far as to the snapshots when the answer of this one is there, and has read no more."""
    finished(lab_exp)
    (lab.folder / "submissions").mkdir()
    (lab.folder / "submissions/a.json").write_text("{")
    catalog = lab.load().catalog

    def other():
        amid(monkeypatch, lab.store, ["children"], "snapshots", stop)
        with pytest.raises(KeyboardInterrupt):
            catalog.runs()

    def stop():
        raise KeyboardInterrupt

    at(monkeypatch, "a question is answered", lambda *_: other(), after=True)
    assert {*catalog.runs().unreadable} == {"submissions/a.json"}
