"""Faults that once cost data or blocked a look at it: malformed records, short lives, jobs that look alike."""

from __future__ import annotations

import json
import os
import sys

import pytest

import molexp as me
from tests import warm
from tests.record.helpers import LOOKING, amid, bound_by_modes, edit

RUN = "projects/metals/experiments/cu/runs/one"


# ------------------------------------------------------------------------------------------------------------- deleting


def test_a_run_that_was_deleted_before_its_first_start_is_not_started(place, exp):
    run = exp.Run(id="one")
    place.load().run("metals/cu/one").delete()

    with pytest.raises(me.NotFoundError, match="deleted"):
        run.start()
    assert place.document(f"{RUN}/executions/1.end.json")["status"] == "cancelled"
    with pytest.raises(me.NotFoundError, match="deleted"):
        run.start()


def test_a_start_that_cannot_see_whether_its_run_was_deleted_leaves_nothing_running(place, exp, monkeypatch):
    run = exp.Run(id="one")

    def broken():
        raise me.StoreError("broken")

    with monkeypatch.context() as patch, pytest.raises(me.StoreError, match="broken"):
        amid(patch, place.store, ["list", "children"], RUN, broken, every=True)
        run.start()
    assert place.load().run("metals/cu/one").status == "failed"


def test_gc_leaves_a_deleted_run_alone_while_it_is_executed(place, exp):
    run = exp.Run(id="one")
    with run.start() as ctx:
        edit(place, RUN, "delete")  # by somebody who saw it before it was started
        ctx.artifact.save("a.txt", "text")
        ctx.flush()
        report = place.load().gc(dry_run=False)
        assert not report.ok
        assert "still being executed" in str(report)
        assert place.store.exists(f"{RUN}/artifacts/a.txt")

    assert place.load().gc(dry_run=False).ok
    assert not list(place.store.list(RUN))


def test_a_new_run_with_a_made_up_id_is_started_without_a_look_at_it(place, exp, monkeypatch):
    run = exp.Run()
    with monkeypatch.context() as patch:
        amid(patch, place.store, LOOKING, f"/{run.id}", lambda: pytest.fail("it looked"))
        context = run.start()
    context.finish()


def test_a_run_whose_claim_is_malformed_is_busy_until_it_counts_as_dead(place, run):
    with run.start():
        pass
    claim = json.loads(place.store.read(f"{RUN}/executions/1.jsonl").splitlines()[0])
    place.store.delete(f"{RUN}/executions/1.end.json")
    place.store.write(
        f"{RUN}/executions/1.jsonl", json.dumps({**claim, "owner": "me", "started_at": {}}).encode() + b"\n"
    )

    with pytest.raises(me.RunBusyError):
        place.load().run("metals/cu/one").start()


# ----------------------------------------------------------------------------------------------------------------- fsck


@pytest.mark.parametrize("key", ["../../x", "/etc/passwd", "", 3, None, {"a": 1}, "a\0b"], ids=str)
def test_fsck_names_an_asset_without_a_proper_key(place, run, key):
    with run.start() as ctx:
        ctx.artifact.save("a.txt", "text")
    end = place.document(f"{RUN}/executions/1.end.json")
    end["assets"][0]["key"] = key
    place.store.write(f"{RUN}/executions/1.end.json", json.dumps(end).encode())

    findings = place.load().fsck().findings
    assert str(key) in {finding.key for finding in findings}


@pytest.mark.parametrize(
    "values", [{"assets": 3}, {"folded": {"1.s/w": "x"}}, {"results": []}, {"owner": "me"}], ids=str
)
def test_fsck_survives_a_malformed_end(place, exp, run, values):
    for one in (run, exp.Run(id="two")):
        with one.start() as ctx:
            ctx.artifact.save("a.txt", "text")
    place.change(f"{RUN}/executions/1.end.json", **values)
    place.store.delete(f"{RUN[:-3]}two/artifacts/a.txt")

    report = place.load().fsck()
    assert report.counts["runs"] == 2
    assert any("are gone" in finding.what for finding in report.findings)


LOCKED = [
    f"{RUN}/run.json",
    f"{RUN}/executions",
    f"{RUN}/executions/1.end.json",
    RUN,
    RUN[:-4],
    "data/d/1.json",
    "data/d",
]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs modes that bind")
@pytest.mark.parametrize("where", LOCKED)
def test_fsck_names_what_may_not_be_read(lab, lab_exp, lab_run, tmp_path, where):
    (tmp_path / "x").write_bytes(b"x")
    lab.workspace().data_assets.import_asset("d", tmp_path / "x")
    with lab_run.start() as ctx:
        ctx.artifact.save("a.txt", "text")
    code = (
        "import sys, molexp as me; print(*[f.key for f in me.Workspace.load(sys.argv[1]).fsck().findings], sep='\\n')"
    )
    command = [sys.executable, "-c", bound_by_modes(code), lab.url]
    locked = lab.folder / where
    mode = locked.stat().st_mode
    locked.chmod(0)
    environment = {**os.environ, "MOLEXP_CACHE_DIR": str(tmp_path / "cache")}
    try:
        done = warm.run(command, capture_output=True, text=True, env=environment)
    finally:
        locked.chmod(mode)

    assert done.returncode == 0, done.stderr
    assert any(where.startswith(key) or key.startswith(where) for key in done.stdout.split()), done.stdout
