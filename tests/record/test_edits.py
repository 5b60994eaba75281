"""Edits: tags, notes, archive, cancel and delete, by anybody at any time; and what maintenance does about it."""

from __future__ import annotations

import json
import os
import time

import msgspec
import numpy as np
import pytest

import molexp as me
from tests.internals import tune

RUN = "projects/metals/experiments/cu/runs/one"


def test_tags_are_added_and_removed_in_order(place, run):
    run.annotate(tags=["a", "b"])
    run.annotate(tags=["c"], untag=["a"])
    assert run.tags == {"b", "c"}
    run.annotate(tags=["a"])

    assert place.load().run("metals/cu/one").tags == {"a", "b", "c"}


def test_notes_are_kept_in_order_with_who_and_when(run):
    run.annotate(note="looks odd")
    run.annotate(note="it was the basis set", tags=["ok"])

    assert [note["text"] for note in run.notes] == ["looks odd", "it was the basis set"]
    assert run.notes[0]["at"] <= run.notes[1]["at"]
    assert run.notes[0]["by"]["host"]


def test_each_change_is_one_exclusive_creation(place, run):
    before = set(place.record())
    run.annotate(tags=["a", "b"], untag=["c"], note="text")
    (key,) = set(place.record()) - before

    assert key.startswith(f"{RUN}/edits/")


def test_nothing_to_say_writes_nothing(place, run):
    before = place.everything()
    run.annotate()
    run.annotate(tags=[])

    assert place.everything() == before


@pytest.mark.parametrize(
    ("bad", "error", "said"),
    [
        ("urgent", TypeError, "not one text"),
        ([""], ValueError, "A tag is empty"),
        (["  "], ValueError, "A tag is empty"),
        (["ok", "x" * 201], ValueError, f"at most 200 characters, and {'x' * 20!r}... has 201. Write a note"),
    ],
)
def test_bad_tags_are_refused(place, run, bad, error, said):
    before = place.everything()
    with pytest.raises(error, match=said):
        run.annotate(tags=bad)
    with pytest.raises(error, match=said):
        me.track_command(run.experiment, ["true"], tags=bad)
    if not isinstance(bad, str):  # one text is one tag there
        with pytest.raises(error, match=said):
            run.experiment.record_past_run({}, tags=bad)
    assert place.everything() == before


def test_tags_of_assets_are_checked_before_anything_is_saved(run, tmp_path):
    (tmp_path / "data.txt").write_text("data")
    with run.start() as ctx:
        for bad, error in (("urgent", TypeError), ([3], TypeError), ([" "], ValueError), (["x" * 201], ValueError)):
            with pytest.raises(error, match=r"^(A tag|Tags) "):
                ctx.artifact.save("a.json", [1], tags=bad)
            with pytest.raises(error, match=r"^(A tag|Tags) "), ctx.artifact.writing("a.txt", tags=bad):
                raise AssertionError("it was written")
            with pytest.raises(error, match=r"^(A tag|Tags) "):
                run.experiment.data_assets.import_asset("data", tmp_path / "data.txt", tags=bad)
        assert (run.assets, [*run.experiment.data_assets]) == ([], [])
        assert ctx.artifact.save("a.json", [1], tags=[" final ", "final"]).tags == {"final"}
        column = np.array(["best", "final"])  # whose truth value is an error
        assert ctx.artifact.save("b.json", [1], tags=column).tags == {"best", "final"}
        assert ctx.artifact.save("c.json", [1], tags=column[:0]).tags == set()


def test_a_long_note_is_refused_and_what_an_older_version_wrote_is_read_and_can_be_taken_away(place, run, monkeypatch):
    with pytest.raises(ValueError, match="at most 65536 characters, and this one has 65537"):
        run.annotate(note="n" * 65_537)
    run.annotate(tags=["t" * 200], note="n" * 65_536)
    with monkeypatch.context() as lifted:
        tune(lifted, "characters of a tag", 1000)
        tune(lifted, "characters of a note", 100_000)
        run.annotate(tags=["x" * 1000], note="n" * 100_000)
    (row,) = place.load().catalog.runs(tags=["x" * 1000])
    assert [len(note["text"]) for note in place.load().run(row.path).notes] == [65_536, 100_000]
    run.annotate(untag=["x" * 1000])
    assert place.load().run(row.path).tags == {"t" * 200}


def test_a_run_is_annotated_before_during_and_after(place, run):
    run.annotate(tags=["before"])
    with run.start():
        run.annotate(tags=["during"])
    run.annotate(tags=["after"])

    assert run.tags == {"before", "during", "after"}
    assert [sorted(row.tags) for row in place.load().catalog.runs()] == [["after", "before", "during"]]
    assert set(place.document(f"{RUN}/run.json")["tags"]) == {"before", "during"}, "as of the end of the attempt"


def test_archiving_marks_it(run):
    assert not run.archived
    run.archive()

    assert run.archived
    assert run.status == "pending"


# ---------------------------------------------------------------------------------------------------------------- cancel


def test_a_run_that_was_never_started_is_cancelled_at_once(place, run):
    run.cancel("not needed")

    assert run.status == "cancelled"
    assert [row.status for row in place.load().catalog.runs()] == ["cancelled"]
    with run.start() as ctx:
        ctx.set_result("x", 1)
    assert run.status == "succeeded", "a request for a run that nobody had started is no request to the next attempt"


@pytest.mark.parametrize(("reason", "error"), [(5, TypeError), ("x" * 65_537, ValueError)])
def test_a_reason_is_text_as_a_note_is(place, run, reason, error):
    before = place.everything()
    with pytest.raises(error, match="A reason "):
        run.cancel(reason)
    assert place.everything() == before


def test_cancelling_a_finished_run_does_nothing(place, run):
    with run.start():
        pass
    before = place.everything()
    run.cancel()

    assert run.status == "succeeded"
    assert place.everything() == before


def test_a_live_attempt_gets_the_request_with_its_next_beat(run, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setenv("MOLEXP_LEASE_BEAT", "0.02")
        with pytest.raises(me.RunCancelledError, match="enough"), run.start() as ctx:
            run.cancel("enough")
            deadline = time.monotonic() + 300
            while not ctx.cancelled:
                assert time.monotonic() < deadline
                time.sleep(0.005)
            ctx.set_result("x", 1)

    assert run.status == "cancelled"
    with run.start():
        pass
    assert run.status == "succeeded", "the request was for that attempt"


# --------------------------------------------------------------------------------------------------------------- delete


def test_a_deleted_run_is_hidden_at_once(place, ws, exp, run):
    with run.start() as ctx:
        asset = ctx.artifact.save("a.txt", "text")
    run.delete()

    assert list(exp.runs) == []
    assert list(ws.catalog.runs()) == list(place.load().catalog.runs()) == []
    assert list(ws.catalog.assets()) == []
    for look in (
        lambda: exp.run("one"),
        lambda: ws.run("metals/cu/one"),
        lambda: run.status,
        run.start,
        run.archive,
    ):
        with pytest.raises(me.NotFoundError):
            look()
    assert place.store.exists(asset.key), "gc frees the bytes, nobody else"
    with pytest.raises(me.ConflictError, match="gc"):
        exp.Run(id="one")


def test_gc_tells_first_and_then_frees(place, ws, exp, run):
    with run.start() as ctx:
        ctx.artifact.save("big.bin", b"x" * 1000)
    with exp.Run(id="two").start():
        pass
    run.delete()
    before = place.everything()

    report = ws.gc()
    assert place.everything() == before
    assert not report.ok
    assert report.counts["bytes"] > 1000
    assert RUN in str(report)

    report = ws.gc(dry_run=False)
    assert report.ok
    assert [key for key in place.record() if key.startswith(f"{RUN}/")] == []
    assert [row.id for row in ws.catalog.runs()] == ["two"]
    assert ws.gc().counts["found"] == 0
    assert exp.Run({"other": 1}, id="one").status == "pending"
    assert [row.id for row in place.load().catalog.runs()] == ["two", "one"]


def test_on_files_not_even_the_folder_stays(lab, lab_run):
    with lab_run.start():
        pass
    lab_run.delete()
    lab.load().gc(dry_run=False)

    assert not (lab.folder / RUN).exists()


def test_a_live_run_cannot_be_deleted(run):
    with run.start(), pytest.raises(me.RunBusyError):
        run.delete()
    assert run.status == "succeeded"


def test_gc_leaves_data_and_finished_work_alone(place, ws, exp, tmp_path):
    (tmp_path / "a.bin").write_bytes(b"a")
    exp.data_assets.import_asset("a", tmp_path / "a.bin")
    with exp.Run(id="one").start() as ctx:
        ctx.artifact.save("a.txt", "text")
    before = place.everything()

    assert ws.gc(dry_run=False).findings == ()
    assert place.everything() == before


def test_gc_frees_imports_that_nobody_published(lab, lab_exp, tmp_path, monkeypatch):
    (tmp_path / "a.bin").write_bytes(b"a")
    asset = lab_exp.data_assets.import_asset("a", tmp_path / "a.bin")
    orphan = lab.folder / "projects/metals/experiments/cu/data/a/0123456789abcdef/a.bin"
    orphan.parent.mkdir()
    orphan.write_bytes(b"unfinished")
    os.utime(orphan, (1, 1))  # as moved and linked files have it; what counts is when it came

    lab.load().gc(dry_run=False)
    assert orphan.exists()

    tomorrow = time.time() + 90_000
    monkeypatch.setattr(time, "time", lambda: tomorrow)
    lab.load().gc(dry_run=False)
    assert (orphan.exists(), asset.path.exists()) == (False, True)


# ----------------------------------------------------------------------------------------------------------------- fsck


def found_by_fsck(place):
    return {finding.key: finding.what for finding in place.load().fsck().findings}


def test_a_sound_workspace_has_no_findings(place, ws, exp, run, tmp_path):
    (tmp_path / "a.bin").write_bytes(b"a")
    ws.data_assets.import_asset("a", tmp_path / "a.bin")
    run.annotate(tags=["a"])
    exp.project.Experiment("cu", params={"b": 1}, update=True)
    ws.configure(durability="never")
    for _ in range(2):
        with run.start(fresh=True) as ctx:
            ctx.artifact.save("a.txt", "text")
            ctx.log("train").append("line")
            ctx.metrics.log(loss=1)
    report = place.load().fsck()

    assert report.findings == ()
    assert report.ok
    assert report.counts["runs"] == 1


def test_foreign_files_are_ignored_and_named(place, ws, run):
    with run.start():
        pass
    foreign = [".DS_Store", f"{RUN}/.nfs0001", f"{RUN}/executions/notes.txt", "readme.md"]
    for key in foreign:
        place.store.write(key, b"mine")

    assert set(found_by_fsck(place)) == set(foreign)
    assert run.status == "succeeded"
    assert len(ws.catalog.runs()) == 1


def test_corrupt_missing_and_changed_are_named(place, exp):
    for name in ("corrupt", "gone", "changed", "good"):
        with exp.Run(id=name).start() as ctx:
            ctx.artifact.save("a.txt", "text")
    folder = "projects/metals/experiments/cu/runs"
    place.store.write(f"{folder}/corrupt/run.json", b"{ torn")
    place.store.delete(f"{folder}/gone/artifacts/a.txt")
    place.store.write(f"{folder}/changed/artifacts/a.txt", b"longer than it was")
    found = found_by_fsck(place)

    assert set(found) == {
        f"{folder}/corrupt/run.json",
        f"{folder}/gone/artifacts/a.txt",
        f"{folder}/changed/artifacts/a.txt",
    }
    assert "not valid JSON" in found[f"{folder}/corrupt/run.json"]
    assert "gone" in found[f"{folder}/gone/artifacts/a.txt"]
    assert "18 bytes" in found[f"{folder}/changed/artifacts/a.txt"]


def test_repair_writes_run_json_again_from_a_claim(place, run):
    with run.start() as ctx:
        ctx.set_result("x", 1)
    before = place.document(f"{RUN}/run.json")
    place.store.write(f"{RUN}/run.json", b"")

    report = place.load().fsck(repair=True)

    assert report.ok
    assert report.findings[0].done
    assert place.document(f"{RUN}/run.json") == before
    assert found_by_fsck(place) == {}


def test_what_came_late_is_named_and_is_no_part_of_the_run(lab, lab_run):
    with lab_run.start() as ctx:
        ctx.set_result("x", 1)
    late = {"type": "result", "at": "2026-01-01T00:00:00Z", "name": "x", "value": 2}
    with (lab.folder / RUN / "executions" / "1.jsonl").open("ab") as file:
        file.write(msgspec.json.encode(late) + b"\n")

    (what,) = found_by_fsck(lab).values()
    assert "bytes came after the attempt's end" in what
    assert lab_run.results == {"x": 1}
    assert lab_run.execution_history[0]["late"] > 0


def test_a_run_json_that_its_writer_did_not_live_to_update_is_mended(exp):
    with exp.Run(id="one").start() as ctx:
        ctx.set_result("energy", 1)
    key = "projects/metals/experiments/cu/runs/one/run.json"
    shown = json.loads(exp._session.store.read(key))
    for name in ("status", "results", "execution_history"):
        del shown[name]
    exp._session.store.write(key, json.dumps(shown).encode())
    ws = exp.project.workspace

    (finding,) = ws.fsck().findings
    assert (finding.key, finding.done) == (key, "")
    assert ws.fsck(repair=True).ok
    assert ws.fsck().findings == ()
    mended = json.loads(exp._session.store.read(key))
    assert (mended["status"], mended["results"]) == ("succeeded", {"energy": 1})


def test_an_edit_of_a_run_that_is_a_moment_old_stands_in_its_document_too(place, exp):
    """Nobody looks for edits of a run that nobody can know of; whoever made it can, through any handle."""
    run = exp.Run()
    with run.start():
        place.load().run(run.path).annotate(tags=["young"], note="at once")
    document = place.document(f"projects/metals/experiments/cu/runs/{run.id}/run.json")

    assert document["tags"] == ["young"]
    assert [note["text"] for note in document["notes"]] == ["at once"]
