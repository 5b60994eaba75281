"""Whoever is killed, at whatever moment: one batch, one attempt for each run, and no run is said to go on that does not."""

from __future__ import annotations

import json
import os
import re
import signal
from pathlib import Path

import pytest

import molexp as me
from tests.submissions.conftest import Place


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_submitter_that_is_killed_around_the_call_of_the_engine_submits_nothing_twice(place: Place, moment: str):
    os.mkfifo("gate")
    place.submit(ENGINE=f"kills {moment}")
    assert place.documents() == ["json"]
    assert set(place.rows().values()) <= {"queued", "running"}
    again = place.submit()
    assert again.code == 0, again.err
    gate = os.open("gate", os.O_WRONLY)
    os.unlink("gate")
    os.close(gate)
    place.settled()
    assert place.rows() == dict.fromkeys([1, 2, 3, 4], "succeeded")
    assert place.began() == ["1", "2", "3", "4"]
    accepted = [name for name in os.listdir("queue/batches") if not name.endswith("-w")]
    assert len(accepted) == 1
    assert ("submitted 4 runs" in again.err) == (moment == "before")


def test_an_attempt_whose_job_the_engine_calls_dead_ends_at_once(place: Place):
    os.mkfifo("gate")
    place.submit("--first", "1", MOLEXP_LEASE_TTL="3600")
    place.until(lambda: place.rows("running"))
    (row,) = me.Workspace("lab").catalog.runs(status="running")
    pid = row.document["execution_history"][0]["pid"]
    _pretend_elsewhere(row.path)  # so that nobody can ask this machine whether the process is there
    os.kill(pid, signal.SIGKILL)
    place.settled()
    (row,) = me.Workspace("lab").catalog.runs(experiment="p/e")
    (attempt,) = row.document["execution_history"]
    assert (row.status, attempt["cause"]) == ("interrupted", "owner_died")
    assert attempt["ended_by"]["scheduler"] == "engine"
    assert "is over, says engine: FAILED (exit code -9)" in attempt["reason"]
    os.unlink("gate")
    told = place.molexp("resubmit", "sweep.py", "-p", "cluster")
    assert "submitted 1 run" in told.err, told
    place.settled()
    assert place.rows() == {1: "succeeded"}


def test_an_engine_that_does_not_answer_ends_nothing(place: Place):
    os.mkfifo("gate")
    place.submit()
    place.until(lambda: len(place.rows("running")) == 4)
    (place.folder / "unreachable").touch()
    told = place.molexp("-w", "lab", "queue")
    assert (told.code, "does not answer: no route to host" in told.err) == (0, True)
    assert set(place.rows().values()) == {"running"}
    assert place.documents() == ["job.json", "json"]


@pytest.mark.long
def test_of_two_submissions_with_the_same_runs_the_older_one_has_them(place: Place):
    os.mkfifo("gate")
    place.submit("-j", "1")
    place.until(lambda: place.rows("running"))
    (path,) = [one for one in (place.folder / "lab/submissions").iterdir() if one.name.count(".") == 1]
    document = json.loads(path.read_text())
    for name in ("00000000-older", "99999999-younger"):
        batches = [[f"molexp-{name}", 0, 4]]
        path.with_name(f"{name}.json").write_text(json.dumps({**document, "id": name, "batches": batches}))
        path.with_name(f"{name}.job.json").write_text(
            json.dumps({"schema": 1, "type": "submitted", "ids": {batches[0][0]: "1"}})
        )
    found = {row.document["submission"] for row in me.Workspace("lab").catalog.runs(status="queued")}
    assert found == {"00000000-older"}
    gate = os.open("gate", os.O_WRONLY)
    os.unlink("gate")
    os.close(gate)
    place.settled()  # the engine knows nothing of those two
    assert set(place.rows().values()) == {"succeeded"}


@pytest.mark.long
def test_a_run_that_failed_is_submitted_once_more_while_the_rest_of_its_submission_waits(place: Place):
    os.mkfifo("gate")
    place.submit("-j", "1", FAILS="1")
    place.until(lambda: place.rows("running"))
    gate = os.open("gate", os.O_WRONLY)
    os.rename("gate", "opened")
    os.mkfifo("gate")
    os.close(gate)
    place.until(lambda: place.rows("failed") and place.rows("running"))
    place.submit("--failed", ENGINE="kills before")
    assert place.rows()[1] == "queued"
    assert "submitted 1 run in" in place.submit("--failed").err
    place.until(lambda: place.rows() == {1: "running", 2: "running", 3: "queued", 4: "queued"})
    assert "nothing to submit" in place.submit("--failed").err


@pytest.mark.long
def test_a_younger_submission_that_the_engine_has_accepted_keeps_its_runs(place: Place):
    place.submit(ENGINE="kills before")
    os.rename("lab/submissions", "meanwhile")  # for the engine to bring back, once the next call has chosen its runs
    (written,) = os.listdir("meanwhile")
    document = json.loads(Path("meanwhile", written).read_text())
    os.unlink(f"meanwhile/{written}")
    theirs = "zz"  # the clock of their machine is ahead
    document |= {"id": theirs, "batches": [[f"molexp-{theirs}", 0, 4]]}
    Path(f"meanwhile/{theirs}.json").write_text(json.dumps(document))
    answer = {"schema": 1, "type": "submitted", "ids": {f"molexp-{theirs}": "1"}}
    Path(f"meanwhile/{theirs}.job.json").write_text(json.dumps(answer))
    os.unlink("submitted.txt")
    assert "nothing to submit" in place.submit().err
    assert not os.path.exists("submitted.txt")


@pytest.mark.long
def test_broken_documents_hide_nothing_else(place: Place):
    place.submit()
    place.settled()
    for name, text in (
        ("a", "{"),
        ("b", '{"schema": 1, "type": "submission", "runs": [[1]]}'),
        ("c", '{"schema": 99}'),
    ):
        (place.folder / f"lab/submissions/{name}.json").write_text(text)
    rows = me.Workspace("lab").catalog.runs(experiment="p/e")
    assert len(rows) == 4
    assert {key for key in rows.unreadable if key.startswith("submissions/")} >= {
        "submissions/a.json",
        "submissions/b.json",
    }
    named = {finding.key for finding in me.Workspace("lab").fsck().findings}
    assert {"submissions/a.json", "submissions/b.json"} <= named
    assert place.molexp("-w", "lab", "queue", "--all").code == 0


def _pretend_elsewhere(path: str) -> None:
    """Let the claim of a run's first attempt say that its process is of another boot; not a byte moves."""
    project, experiment, run = path.split("/")
    claim = Path(f"lab/projects/{project}/experiments/{experiment}/runs/{run}/executions/1.jsonl")
    boot = re.search(rb'"boot":"([^"]+)"', claim.read_bytes())
    assert boot is not None
    with open(claim, "r+b") as file:
        file.seek(boot.start(1))
        file.write(b"0" * len(boot[1]))
