"""An owner that is dead for certain is replaced at once, whatever its lease says; one that may live is not."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from typing import Any

import pytest

import molexp as me
from tests.crash import checks

RUN = "projects/metals/experiments/cu/runs/one"

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="asks /proc")


@pytest.fixture
def edit(stage) -> Callable[..., None]:
    """Change what the claim says of its owner."""

    def change(**owner: Any) -> None:
        path = stage.lab / RUN / "executions/1.jsonl"
        first, _, rest = path.read_bytes().partition(b"\n")
        claim = json.loads(first)
        assert owner.keys() <= claim["owner"].keys()
        claim["owner"] |= owner
        path.write_bytes(json.dumps(claim).encode() + b"\n" + rest)

    return change


def begun(stage, **environ: str):
    """An owner that has begun."""
    owner = stage.start("own", **environ)
    assert owner.hear()["attempt"] == 1
    return owner


def seen(stage, **environ: str) -> dict[str, Any]:
    """Return what a process that comes now sees at its first look."""
    report: dict[str, Any] = stage.start("status", **environ).ask()
    assert report["catalog"] == [report["status"]]
    return report


@pytest.mark.parametrize("reap", [True, False], ids=["gone", "zombie"])
def test_a_killed_one_is_noticed_at_once(stage, reap):
    owner = begun(stage)
    assert seen(stage)["status"] == "running"

    owner.kill(reap=reap)

    report = seen(stage)
    assert report["status"] == "interrupted"
    assert ("gone" if reap else "zombie") in report["history"][0]["reason"]
    successor = stage.start("take_over", 0)
    assert successor.hear() == {"attempt": 2}
    assert successor.rest() == [{"left": True}]


@pytest.mark.parametrize("last", ["kill", "leave"])
def test_what_it_recorded_between_a_look_and_its_death_counts(stage, last):
    """Whoever looks reads its events, then it records more and dies, and only then it is found to be dead."""
    owner = begun(stage)
    watcher, heard, release = stage.start_paused("status", "executions/1.jsonl")
    watcher.say()
    assert os.read(heard, 1) == b"."

    assert owner.ask("result energy 3.0")["done"]
    assert owner.ask('artifact a.json "replaced"')["done"]
    if last == "kill":
        owner.kill()
    else:
        owner.say("leave")
        assert owner.rest() == [{"left": True}]
    os.close(release)

    report = watcher.hear()
    os.close(heard)
    assert report["status"] == ("interrupted" if last == "kill" else "succeeded")
    run = me.Workspace.load(stage.lab).run("metals/cu/one")
    assert run.results == {"energy": 3.0}
    assert run.asset("a.json").load() == '"replaced"'
    assert checks.check_record(me.Workspace.load(stage.lab), stage.lab) == {"metals/cu/one": report["status"]}


def test_a_takeover_needs_no_look_before(stage):
    begun(stage).kill()

    assert stage.start("take_over", 0).hear() == {"attempt": 2}


def test_a_pid_that_was_used_again_is_another_process(stage, edit):
    begun(stage)
    edit(birth="1")

    report = seen(stage)

    assert report["status"] == "interrupted"
    assert "used again" in report["history"][0]["reason"]


@pytest.mark.parametrize(
    "elsewhere",
    [{"host": "elsewhere"}, {"boot": "another boot"}, {"namespace": "pid:[1]"}, {"boot": ""}, {"namespace": ""}],
    ids=str,
)
def test_of_another_machine_nothing_is_certain(stage, edit, elsewhere):
    begun(stage).kill()
    edit(**elsewhere)

    assert seen(stage)["status"] == "running"
    assert stage.start("take_over", 0).process.wait(300) != 0


def test_the_predecessor_of_a_requeued_job_is_dead(stage, edit):
    begun(stage, SLURM_JOB_ID="77", SLURM_RESTART_COUNT="1").kill()
    edit(host="elsewhere", boot="another boot")

    assert seen(stage)["status"] == "running"
    assert seen(stage, SLURM_JOB_ID="77", SLURM_RESTART_COUNT="1")["status"] == "running"
    assert seen(stage, SLURM_JOB_ID="77")["status"] == "running"
    assert seen(stage, SLURM_JOB_ID="78", SLURM_RESTART_COUNT="2")["status"] == "running"
    successor = stage.start("take_over", 0, SLURM_JOB_ID="77", SLURM_RESTART_COUNT="2")
    assert successor.hear() == {"attempt": 2}
    successor.rest()
    assert "requeued" in seen(stage)["history"][0]["reason"]


def test_a_torn_claim_is_of_an_unknown_owner_and_runs_out(stage):
    begun(stage).kill()
    path = stage.lab / RUN / "executions/1.jsonl"
    path.write_bytes(path.read_bytes()[:40])

    assert seen(stage)["status"] == "running"
    successor = stage.start("take_over", 300, MOLEXP_LEASE_TTL="0.3")
    assert successor.hear() == {"attempt": 2}
    successor.rest()
    assert [entry["status"] for entry in seen(stage)["history"]] == ["interrupted", "succeeded"]
