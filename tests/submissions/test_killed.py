"""Whoever is killed, at whatever moment: one batch, one attempt for each run, and no run is said to go on that does not."""

from __future__ import annotations

import json
import os
import re
import signal
from contextlib import suppress
from pathlib import Path

import pytest

import molexp as me
from tests.submissions.conftest import Place


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_submitter_that_is_killed_around_the_call_of_the_engine_submits_nothing_twice(place: Place, moment: str):
    os.mkfifo("gate")
    place.submit("--only", "params.x < 3", ENGINE=f"kills {moment}")
    assert place.documents() == ["json"]
    assert set(place.rows().values()) <= {"queued", "running"}
    again = place.submit("--only", "params.x < 3")
    assert again.code == 0, again.err
    gate = os.open("gate", os.O_WRONLY)
    os.unlink("gate")
    os.close(gate)
    place.settled()
    assert place.rows() == dict.fromkeys([1, 2], "succeeded")
    assert place.began() == ["1", "2"]
    accepted = [name for name in os.listdir("queue/batches") if not name.endswith("-w")]
    assert len(accepted) == 1
    assert ("submitted 2 runs" in again.err) == (moment == "before")


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
    (shown,) = Path("lab").glob("projects/*/experiments/*/runs/*/run.json")
    assert json.loads(shown.read_text())["status"] == "interrupted"
    os.unlink("gate")
    told = place.molexp("resubmit", "sweep.py", "-p", "cluster")
    assert "submitted 1 run" in told.err, told
    place.settled()
    assert place.rows() == {1: "succeeded"}


def test_a_run_whose_job_waits_again_is_not_submitted_twice_unless_it_was_cancelled_since(place: Place):
    os.mkfifo("gate")
    place.submit("--first", "1")
    place.until(lambda: place.rows("running"))
    (row,) = me.Workspace("lab").catalog.runs(status="running")
    (place.folder / "preempted").touch()
    os.kill(row.document["execution_history"][0]["pid"], signal.SIGTERM)
    place.until(lambda: place.rows("interrupted"))
    for _ in range(2):
        told = place.molexp("resubmit", "sweep.py", "-p", "cluster")
        assert f"{row.path} is queued by the submission" in told.err, told
        assert place.rows("queued") == {1: "queued"}
    assert place.batches() == [1]
    assert place.molexp("-w", "lab", "cancel", row.path).code == 0
    assert place.rows("queued") == {}
    assert "would submit 1 run" in place.molexp("resubmit", "sweep.py", "-p", "cluster", "--dry-run").err


def test_an_engine_that_does_not_answer_ends_nothing(place: Place):
    os.mkfifo("gate")
    place.submit("--first", "1")
    place.until(lambda: place.rows("running"))
    (place.folder / "unreachable").touch()
    told = place.molexp("-w", "lab", "queue")
    assert (told.code, "does not answer: no route to host" in told.err) == (0, True)
    assert set(place.rows().values()) == {"running"}
    assert place.documents() == ["job.json", "json"]
    (row,) = me.Workspace("lab").catalog.runs(status="running")
    told = place.molexp("-w", "lab", "cancel", row.path)
    assert (told.code, "will not begin" in told.err) == (0, False), "it has begun, and is asked to stop"


def test_a_run_is_in_the_oldest_open_submission_that_was_made_after_its_last_attempt(place: Place):
    (place.folder / "unreachable").touch()  # so that they stay open
    place.submit(ENGINE="kills before")
    (path,) = Path("lab/submissions").iterdir()
    document = json.loads(path.read_text())
    for name in ("00000000-older", "99999999-younger"):
        batches = [[f"molexp-{name}", 0, 4]]
        path.with_name(f"{name}.json").write_text(json.dumps({**document, "id": name, "batches": batches}))
    assert _submissions_of_runs() == dict.fromkeys([1, 2, 3, 4], "00000000-older")
    with suppress(ValueError), me.Workspace("lab").run(document["runs"][0][0]).start():
        raise ValueError("it fails")
    assert place.rows()[1] == "failed"
    before = {*os.listdir("lab/submissions")}
    place.submit("--failed", ENGINE="kills before")
    (newest,) = {*os.listdir("lab/submissions")} - before
    assert [run[0] for run in json.loads(Path("lab/submissions", newest).read_text())["runs"]] == [
        document["runs"][0][0]
    ]
    assert _submissions_of_runs() == {1: newest[:-5], **dict.fromkeys([2, 3, 4], "00000000-older")}
    assert "nothing to submit" in place.submit("--failed").err


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


def test_of_two_that_submit_at_the_same_time_the_one_whose_document_comes_later_gives_up(place: Place):
    place.submit(ENGINE="kills before")
    (written,) = Path("lab/submissions").iterdir()
    document = json.loads(written.read_text()) | {"id": "ANOTHER", "batches": [["molexp-ANOTHER", 0, 4]]}
    document["by"] |= {"host": "elsewhere"}  # so that nobody can tell whether it is dead
    Path("another.json").write_text(json.dumps(document))
    os.unlink(written)
    os.unlink("submitted.txt")
    assert "nothing to submit" in place.submit().err
    assert not os.path.exists("submitted.txt")


def test_broken_documents_hide_nothing_else(place: Place):
    place.submit(ENGINE="kills before")
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


def _submissions_of_runs() -> dict[int, str]:
    """Return the submission that each queued run is in, by its parameter."""
    rows = me.Workspace("lab").catalog.runs(status="queued")
    return {row.parameters["x"]: row.document["submission"] for row in rows}


def _pretend_elsewhere(path: str) -> None:
    """Let the claim of a run's first attempt say that its process is of another boot; not a byte moves."""
    project, experiment, run = path.split("/")
    claim = Path(f"lab/projects/{project}/experiments/{experiment}/runs/{run}/executions/1.jsonl")
    boot = re.search(rb'"boot":"([^"]+)"', claim.read_bytes())
    assert boot is not None
    with open(claim, "r+b") as file:
        file.seek(boot.start(1))
        file.write(b"0" * len(boot[1]))
