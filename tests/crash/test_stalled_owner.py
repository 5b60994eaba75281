"""An owner that was stopped, replaced and goes on changes nothing of its successor's; one that beats is never replaced."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import pytest

import molexp as me
from tests.cli.helpers import eventually
from tests.crash import checks

linux = pytest.mark.skipif(not hasattr(os, "waitid"), reason="needs waitid")
RUN = "projects/metals/experiments/cu/runs/one"


def stop(actor) -> None:
    """SIGSTOP, and wait until it has stopped."""
    actor.signal(signal.SIGSTOP)
    os.waitid(os.P_PID, actor.pid, os.WSTOPPED | os.WNOWAIT)


def content(lab: Path, *skip: str) -> dict[str, bytes]:
    """Every file of the run, but those of attempt 1 that only late events touch."""
    root = lab / RUN
    files = {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}
    return {name: data for name, data in files.items() if not name.startswith(skip or ("\0",))}


@pytest.fixture
def run(stage):
    return lambda: me.Workspace.load(stage.lab).run("metals/cu/one")


@pytest.fixture(autouse=True)
def _no_sightings(stage, monkeypatch):
    """Put what this process sees into an index of its own."""
    monkeypatch.setenv("MOLEXP_CACHE_DIR", str(stage.folder / "of the test"))


@linux
@pytest.mark.parametrize("beat", ["0.1", "3600"], ids=["notices at a beat", "notices at its end"])
def test_one_that_goes_on_after_a_takeover_changes_nothing_of_it(stage, run, beat):
    owner = stage.start("own", MOLEXP_LEASE_BEAT=beat, MOLEXP_LEASE_TTL="0.5")
    assert owner.hear()["attempt"] == 1
    stop(owner)
    successor = stage.start("take_over", 300, MOLEXP_LEASE_BEAT="0.1", MOLEXP_LEASE_TTL="0.5")
    assert successor.hear() == {"attempt": 2}
    assert successor.rest() == [{"left": True}]
    own_files = ("executions/1.jsonl", "artifacts/late.txt", "logs/")  # what is attempt 1's own, and may be late
    before, results = content(stage.lab, *own_files), dict(run().results)
    assert "executions/1.end.json" in before
    truth = checks.answers(me.Workspace.load(stage.lab))

    owner.signal(signal.SIGCONT)
    did = [owner.ask(line) for line in ("result energy 3.0", "artifact late.txt late", "log late")]
    did.append(owner.ask("artifact a.json late"))
    owner.say("leave")
    (end,) = owner.rest()

    assert end["error"] == "RunSupersededError", end
    assert all(report.get("refused", "RunSupersededError") == "RunSupersededError" for report in did), did
    assert content(stage.lab, *own_files) == before
    assert run().results == results == {"energy": 2.0}
    assert run().status == "succeeded"
    assert run().asset("a.json").load() == {"attempt": 2}
    assert run().logs["relax"].own.text() == "attempt 2\n"
    assert json.loads((stage.lab / RUN / "run.json").read_bytes())["status"] == "succeeded"
    history = run().execution_history
    assert [entry["status"] for entry in history] == ["interrupted", "succeeded"]
    assert "had not changed for" in history[0]["reason"]
    after = checks.answers(me.Workspace.load(stage.lab))
    assert after["assets"] == truth["assets"]
    if beat == "3600":  # nothing told it before its end
        assert [report.get("done") for report in did] == [True, True, True, None], did  # the end vouches for a.json
        assert history[0]["late"] > 0
        findings = [
            finding for finding in me.Workspace.load(stage.lab).fsck().findings if " bytes came after " in finding.what
        ]
        assert [finding.key for finding in findings] == [f"{RUN}/executions/1.jsonl"]
    assert not list((stage.lab / ".molexp/live").glob("*")), "a lease was left behind"


@linux
def test_a_stopped_owner_is_ended_by_whoever_looks(stage, run):
    owner = stage.start("own", MOLEXP_LEASE_BEAT="0.1", MOLEXP_LEASE_TTL="0.5")
    owner.hear()
    stop(owner)
    watcher = stage.start("status", MOLEXP_LEASE_TTL="0.5")

    deadline = time.monotonic() + 300
    while (report := watcher.ask())["status"] == "running":
        assert time.monotonic() < deadline

    assert report["status"] == "interrupted"
    assert report["catalog"] == ["interrupted"]
    assert report["history"][0]["ended_by"]["pid"] == report["pid"]
    shown = json.loads((stage.lab / RUN / "run.json").read_bytes())
    assert shown["status"] == "interrupted"
    assert shown["results"] == {"energy": 1.0}
    owner.signal(signal.SIGCONT)
    owner.say("leave")
    assert owner.rest()[-1]["error"] == "RunSupersededError"


@linux
def test_a_short_process_goes_on_with_what_the_last_one_saw(stage):
    owner = stage.start("own", MOLEXP_LEASE_BEAT="3600", MOLEXP_LEASE_TTL="1")
    owner.hear()
    stop(owner)
    first = stage.start("status", MOLEXP_LEASE_TTL="600")  # however slow it is, it sees it as running
    assert first.ask()["status"] == "running"
    first.rest()
    other = stage.start("status", "read only", MOLEXP_LEASE_TTL="1", MOLEXP_CACHE_DIR=str(stage.folder / "other"))
    deadline = time.monotonic() + 300
    while other.ask()["status"] == "running":
        assert time.monotonic() < deadline
    assert not (stage.lab / RUN / "executions/1.end.json").exists(), "whoever may not write has written"

    second = stage.start("status", MOLEXP_LEASE_TTL="1")

    assert second.ask()["status"] == "interrupted"


def test_an_owner_that_beats_is_never_taken_for_dead(stage, run, monkeypatch):
    """By the clock of this process, two thirds of a time-to-live pass between any two of its looks, and the owner beats."""
    ahead, clock = [0.0], time.clock_gettime
    monkeypatch.setattr(time, "clock_gettime", lambda which: clock(which) + ahead[0])
    owner = stage.start("own", MOLEXP_LEASE_BEAT="0.1", MOLEXP_LEASE_TTL="1800")
    owner.hear()
    lease = stage.lab / ".molexp/live/metals~cu~one~1"
    ws, last = me.Workspace.load(stage.lab), -1

    def beats_on() -> bool:
        return lease.exists() and int(json.loads(lease.read_bytes())["beat"]) > last

    for _ in range(6):  # four times the time-to-live
        eventually(beats_on)
        last = json.loads(lease.read_bytes())["beat"]
        ahead[0] += 1200.0
        assert run().status == "running", run().execution_history
        assert [str(row.status) for row in ws.catalog.runs()] == ["running"]
    assert stage.start("take_over", 0.2).process.wait(300) != 0, "a live run was taken over"

    owner.say("leave")
    assert owner.rest() == [{"left": True}]
    assert run().status == "succeeded"
    assert not lease.exists()
