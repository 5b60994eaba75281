"""Freeing under difficulties: folders that may not be read, owners that are dead or malformed, runs freed too early."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from ast import literal_eval
from itertools import count
from pathlib import Path

import pytest

import molexp as me
from tests import warm
from tests.record.helpers import LOOKING, READING, VOID, Place, amid, bound_by_modes, edit

RUN = "projects/metals/experiments/cu/runs/one"

modes_bind = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs modes that bind")


# ------------------------------------------------------------------------------------------------------------------- gc


def as_nobody(lab, code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run Python code with ``ws`` in a process whom modes bind, even if it is root's."""
    code = f"import sys, molexp as me; ws = me.Workspace.load(sys.argv[1]); {code}"
    command = [sys.executable, "-c", bound_by_modes(code), lab.url]
    environment = {**os.environ, "MOLEXP_CACHE_DIR": str(folder / "cache")}
    return warm.run(command, capture_output=True, text=True, env=environment)


LOCKED = [
    "projects",
    "projects/metals/experiments",
    f"{RUN}/artifacts",
    f"{RUN}/edits",
    f"{RUN}/executions",
    RUN,
    RUN[:-4],
    f"{RUN[:-3]}two/artifacts",
    "data",
    "data/d",
    "data/d/0123456789abcdef",
    ".molexp",
]


@modes_bind
@pytest.mark.parametrize("where", LOCKED)
def test_gc_names_what_may_not_be_read_and_frees_the_rest(lab, lab_exp, lab_run, tmp_path, where):
    (tmp_path / "x").write_bytes(b"x")
    lab.workspace().data_assets.import_asset("d", tmp_path / "x")
    lab.store.create("data/d/0123456789abcdef/y", b"abandoned")
    for run in (
        lab_run,
        lab_exp.Run(id="two"),
        lab_exp.project.workspace.Project("gold").Experiment("au").Run(id="one"),
    ):
        with run.start() as ctx:
            ctx.artifact.save("a.txt", "text")
        if run.id == "one":
            run.delete()
    locked = lab.folder / where
    mode = locked.stat().st_mode
    locked.chmod(0)
    gold = "projects/gold/experiments/au/runs/one"
    code = (
        "import os; [print(([(f.key, bool(f.done)) for f in ws.gc(dry_run=dry_run).findings],"
        f" os.path.exists({str(lab.folder / gold)!r}))) for dry_run in (True, False)]"
    )
    try:
        done = as_nobody(lab, code, tmp_path)
    finally:
        locked.chmod(mode)

    assert done.returncode == 0, done.stderr
    for dry_run, line in zip((True, False), done.stdout.splitlines(), strict=True):
        named, there = literal_eval(line)
        keys = [key for key, freed in named if not freed]
        assert any(where.startswith(key) or key.startswith(where) for key in keys), done.stdout
        if where != "projects":
            assert (gold, not dry_run) in named
            assert there == dry_run
    if where != f"{RUN[:-3]}two/artifacts" and where.startswith(RUN):
        assert lab.load().fsck() is not None
        assert lab.store.exists(f"{RUN}/run.json"), "all of it or nothing"
    assert lab.load().run("metals/cu/two").asset("a.txt").load() == "text"


@pytest.mark.parametrize(
    "what",
    [
        *(b'{"schema": 1, "op": "resto', b"", b"\0" * 40),
        *(b'{"schema": 2, "type": "edit", "op": "unhide"}', b'{"schema": 1, "type": "edit", "op": ["restore"]}'),
    ],
)
@pytest.mark.parametrize("dry_run", [True, False])
def test_a_deleted_run_of_which_an_edit_is_not_understood_is_named_and_kept(lab, lab_run, what, dry_run):
    with lab_run.start() as ctx:
        ctx.artifact.save("a", "precious")
    lab_run.delete()
    lab_run.restore()
    restored = max((lab.folder / RUN / "edits").iterdir())
    restored.write_bytes(what)

    ws = lab.load()
    assert (restored.name in str(ws.catalog.runs().unreadable)) == (b"unhide" not in what)
    assert [finding.key for finding in ws.gc(dry_run=dry_run).findings] == [f"{RUN}/edits/{restored.name}"]
    assert ws.restore("metals/cu/one").asset("a").load() == "precious"
    assert not ws.gc(dry_run=dry_run).findings


def test_a_dry_run_of_gc_writes_nothing(lab, script, tmp_path):
    done = script(
        """
        import os, molexp as me
        run = me.Workspace(os.environ["LAB"]).Project("metals").Experiment("cu").Run(id="one")
        with run.start() as ctx:
            ctx.artifact.save("a.txt", "text")
            os._exit(1)
        """
    )
    assert done.code == 1, done.err
    edit(lab, RUN, "delete")
    (lab.folder / ".tmp-0123456789abcdef").write_bytes(b"unfinished")
    os.utime(lab.folder / ".tmp-0123456789abcdef", (1, 1))
    before = snapshot(lab.folder)

    report = lab.load().gc()
    assert snapshot(lab.folder) == before
    assert {finding.key for finding in report.findings} == {RUN, ".tmp-0123456789abcdef"}
    assert "deleted run" in str(report)
    assert "still being executed" not in str(report)

    assert lab.load().gc(dry_run=False).ok
    assert not (lab.folder / RUN).exists()
    assert lab.load().gc().findings == ()


def snapshot(folder: Path) -> dict[str, tuple[int, int]]:
    """Every file and folder, with what changes when somebody writes there."""
    found = [folder, *folder.rglob("*")]
    return {str(path): (path.stat().st_mtime_ns, path.stat().st_size) for path in found}


def test_a_dry_run_of_gc_leaves_a_live_run_alone(place, run):
    with run.start():
        edit(place, RUN, "delete")
        assert "still being executed" in str(place.load().gc())
    assert "still being executed" not in str(place.load().gc())


# ------------------------------------------------------------------------------------------------------------- deleting


@pytest.mark.parametrize("owner", ["me", None, 3, [], {"pid": "x", "host": 3}, {"pid": None}], ids=str)
def test_a_run_whose_owner_is_malformed_cannot_be_deleted_while_it_may_be_alive(place, run, owner):
    with run.start():
        pass
    claim = place.store.read(f"{RUN}/executions/1.jsonl").splitlines()[0]
    place.store.delete(f"{RUN}/executions/1.end.json")
    place.change(f"{RUN}/run.json", execution_history=[])  # as before the end: it shows none
    place.store.write(f"{RUN}/executions/1.jsonl", claim + b"\n")
    place.change(f"{RUN}/executions/1.jsonl", owner=owner)
    place.store.write(f"{RUN}/executions/1.jsonl", place.store.read(f"{RUN}/executions/1.jsonl") + b"\n")

    with pytest.raises(me.RunBusyError):
        place.load().run("metals/cu/one").delete()


@pytest.mark.parametrize("look_up", [False, True], ids=["created", "looked up"])
def test_a_run_that_was_deleted_and_freed_before_its_first_start_is_not_resurrected(place, exp, look_up):
    run = exp.Run(id="one")
    if look_up:
        run = place.load().run("metals/cu/one")
    before = run._session.process.heart.attempts()
    place.load().run("metals/cu/one").delete()
    assert place.load().gc(dry_run=False).ok

    for _ in range(2):
        with pytest.raises(me.NotFoundError, match="deleted"):
            run.start()
        assert not list(place.store.list(RUN))
    assert run._session.process.heart.attempts() == before
    assert place.load().fsck().findings == ()
    assert list(place.load().catalog.runs()) == []
    with exp.Run({"other": 1}, id="one").start():
        pass
    assert place.load().run("metals/cu/one").status == "succeeded"


def test_a_run_that_was_executed_deleted_and_freed_is_not_resurrected_either(lab, lab_run):
    with lab_run.start():
        pass
    lab_run.delete()
    lab.load().gc(dry_run=False)

    with pytest.raises(me.NotFoundError, match="deleted"):
        lab_run.start()
    assert not (lab.folder / RUN).exists()


def test_a_start_that_cannot_see_whether_its_run_is_there_leaves_nothing_running(place, exp, monkeypatch):
    run = exp.Run(id="one")

    def broken():
        raise me.StoreError("broken")

    with monkeypatch.context() as patch, pytest.raises(me.StoreError, match="broken"):
        amid(patch, place.store, ["stat", "exists"], f"{RUN}/run.json", broken, every=True)
        amid(patch, place.store, ["list"], RUN, broken, every=True)  # where one request tells all of it
        run.start()
    assert place.load().run("metals/cu/one").status == "failed"


def test_a_claim_that_is_taken_back_leaves_nothing(place, exp):
    run = exp.Run(id="one")
    with run.start() as ctx:
        ctx._attempt.record({"type": "provenance", "at": "", "provenance": "x"})
        ctx._attempt.flush()
        place.store.delete(f"{RUN}/run.json")
        ctx._attempt.withdraw()
        assert not list(place.store.list(RUN))


# ----------------------------------------------------------------------------------------------- a folder without a run


def test_an_edit_that_came_while_its_run_was_freed_is_named_and_freed_after_a_day(place, exp, monkeypatch):
    run = exp.Run(id="one")
    run.delete()
    place.load().gc(dry_run=False)
    edit(place, RUN, "annotate", tags=["late"])

    assert place.load().gc(dry_run=False).findings == ()
    (finding,) = place.load().fsck().findings
    assert finding.key == RUN
    assert "`molexp gc --yes` frees them after a day" in finding.what
    tomorrow = time.time() + 90_000
    monkeypatch.setattr(time, "time", lambda: tomorrow)
    (found,) = place.load().gc(dry_run=False).findings
    assert found.what == "an edit of a run that is gone"
    assert not list(place.store.list(RUN))
    assert place.load().fsck().ok


def test_numbers_that_were_given_up_are_no_finding_and_no_run(place, exp):
    for name in ("run.json", "executions/1.jsonl"):
        place.store.create(f"{RUN}/{name}", VOID)

    assert place.load().fsck().ok
    assert place.load().gc(dry_run=False).findings == ()
    assert list(exp.runs) == []
    with pytest.raises(me.NotFoundError):
        exp.run("one")
    assert place.store.exists(f"{RUN}/run.json"), "who announced it may still come"


def test_payloads_of_a_run_whose_definition_is_lost_are_named_and_kept(place, exp, monkeypatch):
    with exp.Run(id="one").start() as ctx:
        ctx.artifact.save("a.txt", "mine")
    for key in ("run.json", "executions/1.jsonl", "executions/1.end.json"):  # each of which repeats it
        place.store.delete(f"{RUN}/{key}")
    tomorrow = time.time() + 90_000
    monkeypatch.setattr(time, "time", lambda: tomorrow)

    (finding,) = place.load().fsck().findings
    assert "restore it from a copy" in finding.what
    place.load().gc(dry_run=False)
    assert place.store.read(f"{RUN}/artifacts/a.txt") == b"mine"


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("status", ["pending", "succeeded"])
def test_a_run_that_is_freed_while_it_is_read_is_gone(tmp_path, monkeypatch, status, when):
    """At whichever operation of the storage that happens."""
    for number in count():
        lab = Place(str(tmp_path / f"lab-{number}"))
        run = lab.workspace().Project("metals").Experiment("cu").Run(id="one")
        if status == "succeeded":
            run.start().finish()
        run.delete()
        ws, left, freed = lab.load(), [number], list[bool]()

        def act(lab=lab, left=left, freed=freed):
            left[0] -= 1
            if left[0] == -1:
                lab.load().gc(dry_run=False)
                freed.append(True)

        with monkeypatch.context() as patch:
            amid(patch, lab.store, LOOKING, "/runs", act, after=when == "after", every=True)
            report = ws.catalog.rebuild()
        if not freed:
            break
        assert (report.findings, report.counts["runs"]) == ((), 0), number
        assert not (lab.folder / RUN).exists()
    assert number > 3


def test_a_run_that_is_removed_by_hand_while_it_is_read_is_gone_and_no_fault(lab, lab_run, monkeypatch):
    with lab_run.start():
        pass
    ws, folder = lab.load(), lab.folder / RUN
    (folder / "run.json").unlink()
    amid(monkeypatch, lab.store, READING, f"{RUN}/executions/1", lambda: shutil.rmtree(folder), after=True)
    report = ws.catalog.rebuild()
    assert (report.findings, report.counts["runs"]) == ((), 0)
    assert not folder.exists()
