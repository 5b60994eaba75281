"""Faults that once cost data or blocked a look at it: malformed records, short lives, jobs that look alike."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import attrs
import pytest

import molexp as me
from molexp._record.edits import write_edit
from molexp._record.folding import AttemptFacts, Contents
from molexp._record.leases import Observer
from molexp._record.owners import Owner, known_dead, this_owner
from molexp._storage import layout
from molexp._values.status import RunStatus
from tests.record.helpers import bound_by_modes

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

    def broken(*_):
        raise me.StoreError("broken")

    with monkeypatch.context() as patch, pytest.raises(me.StoreError, match="broken"):
        patch.setattr("molexp._running.start.read_edits", broken)
        run.start()
    assert place.load().run("metals/cu/one").status == "failed"


def test_gc_leaves_a_deleted_run_alone_while_it_is_executed(place, exp):
    run = exp.Run(id="one")
    with run.start() as ctx:
        write_edit(run._home, run.path, "delete")  # by somebody who saw it before it was started
        ctx.artifact.save("a.txt", "text")
        ctx.flush()
        report = place.load().gc(dry_run=False)
        assert not report.ok
        assert "still being executed" in str(report)
        assert place.store.exists(f"{RUN}/artifacts/a.txt")

    assert place.load().gc(dry_run=False).ok
    assert not list(place.store.list(RUN))


def test_a_new_run_with_a_made_up_id_is_started_without_a_look_at_its_edits(exp, monkeypatch):
    run = exp.Run()
    monkeypatch.setattr("molexp._running.start.read_edits", lambda *_: pytest.fail("it looked"))

    with run.start():
        pass


# --------------------------------------------------------------------------------------------------------------- leases


def time_to_live(ws, lease):
    facts = AttemptFacts(1, {"lease": lease}, Contents(), RunStatus.RUNNING, False)
    observer = Observer(ws._home.store, this_owner(), lambda: pytest.fail("not needed"), False)
    return observer._time_to_live(facts)


@pytest.mark.parametrize(
    ("environment", "lease", "ttl"),
    [
        ("", {"beat": 30, "ttl": 180}, 180),
        ("1.5", {"beat": 30, "ttl": 180}, 90),
        ("60", {"beat": 30, "ttl": 180}, 60),
        ("600", {"beat": 30, "ttl": 180}, 600),
        ("0.5", {"beat": 3600, "ttl": 0.5}, 0.5),
        ("1.5", {"ttl": 180}, 1.5),
        ("1.5", "me", 1.5),
        ("", {"beat": 1, "ttl": 1}, 3),
    ],
    ids=str,
)
def test_an_observer_is_never_so_impatient_that_a_beat_comes_too_late(ws, monkeypatch, environment, lease, ttl):
    monkeypatch.setenv("MOLEXP_LEASE_TTL", environment)

    assert time_to_live(ws, lease) == ttl


@pytest.mark.parametrize("lease", [None, [], {"ttl": "x"}, {"ttl": float("nan")}, {"ttl": -1}, {"ttl": True}], ids=str)
def test_a_malformed_lease_is_the_storages(ws, monkeypatch, lease):
    monkeypatch.delenv("MOLEXP_LEASE_TTL", raising=False)

    assert time_to_live(ws, lease) == ws._home.store.lease_ttl


def test_a_lease_of_a_long_path_is_a_key(ws):
    path = "/".join(["a" * 128] * 3)

    assert len(layout.lease(path, 7).rpartition("/")[2]) <= 200
    assert layout.lease(path, 7) != layout.lease(path, 8)
    assert layout.lease(path, 7) != layout.lease(path[:-1] + "b", 7)
    assert layout.lease("metals/cu/one", 7).endswith("/metals~cu~one~7")
    assert not ws._home.store.exists(layout.lease(path, 7))


# --------------------------------------------------------------------------------------------------------------- owners


ELSEWHERE = Owner("n1", 5, job="1234", cluster="a", array="7")
REQUEUED = attrs.evolve(ELSEWHERE, host="n9", pid=7, restart=1)


def test_the_predecessor_of_a_requeued_job_is_dead():
    assert "requeued" in known_dead(ELSEWHERE, REQUEUED)


@pytest.mark.parametrize(
    "values", [{"cluster": "b"}, {"cluster": ""}, {"array": "8"}, {"array": ""}, {"job": "9"}], ids=str
)
def test_another_job_of_that_number_is_not(values):
    assert known_dead(ELSEWHERE, attrs.evolve(REQUEUED, **values)) == ""


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"SLURM_JOB_ID": "1", "SLURM_CLUSTER_NAME": "c", "SLURM_ARRAY_TASK_ID": "2"}, ("1", "c", "2")),
        ({"LSB_JOBID": "1", "LSB_JOBINDEX": "2"}, ("1", "", "2")),
        ({"PBS_JOBID": "1[2].server"}, ("1[2].server", "", "")),
    ],
    ids=["slurm", "lsf", "pbs"],
)
def test_a_process_knows_its_job(monkeypatch, environment, expected):
    for name in list(os.environ):
        if name.startswith(("SLURM_", "LSB_", "PBS_")):
            monkeypatch.delenv(name)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    owner = this_owner()

    assert (owner.job, owner.cluster, owner.array) == expected
    assert Owner.from_dict(owner.to_dict()) == owner


@pytest.mark.parametrize("claimed", ["me", None, [], 3, {"pid": 10**30}, {"pid": -1}, {"pid": "x", "host": 1}], ids=str)
def test_a_malformed_owner_is_unknown(claimed):
    owner = Owner.from_dict(claimed)

    assert owner == Owner("", 0)
    assert known_dead(owner, this_owner()) == ""


def test_a_pid_that_no_kernel_has_is_not_known_to_be_dead():
    me_ = this_owner()

    assert known_dead(attrs.evolve(me_, pid=10**30), me_) == ""


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
    command = bound_by_modes([sys.executable, "-c", code, lab.url])
    locked = lab.folder / where
    mode = locked.stat().st_mode
    locked.chmod(0)
    environment = {**os.environ, "MOLEXP_CACHE_DIR": str(tmp_path / "cache")}
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    finally:
        locked.chmod(mode)

    assert done.returncode == 0, done.stderr
    assert any(where.startswith(key) or key.startswith(where) for key in done.stdout.split()), done.stdout
