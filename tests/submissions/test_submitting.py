"""Runs are submitted, queued, executed and accounted for; each document of a submission is written once."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

import molexp as me
from molexp.submissions import Wishes, prepare, submissions
from molexp_fs import LocalStore
from tests import warm
from tests.cli.helpers import DEADLINE, PROGRAM, environment
from tests.submissions.conftest import Place


def test_one_command_submits_all_runs_as_one_batch_and_three_documents_say_what_became_of_them(place: Place):
    os.mkfifo("gate")
    told = place.submit("-j", "1", FAILS="3")
    assert told.code == 0, told.err
    assert "submitted 4 runs in 4 jobs to engine" in told.err
    assert "at most 0.6667 core-hours" in told.err
    assert "p/last is not submitted: it begins when the runs of p/e have succeeded" in told.err
    assert place.batches() == [4]
    place.until(lambda: place.rows("running"))
    assert place.rows() == {1: "running", 2: "queued", 3: "queued", 4: "queued"}
    again = place.submit()
    assert (again.code, place.batches()) == (0, [4])
    assert "is queued by the submission" in again.err
    assert "nothing to submit" in again.err
    listed = json.loads(place.molexp("-w", "lab", "queue", "--json").out)
    assert [(row["runs"], row["open"], row["states"]) for row in listed] == [(4, True, {"running": 1, "queued": 3})]
    listed_runs = place.molexp("-w", "lab", "runs", "list", "--json")
    asked = [row.get("queued_as_of") for row in json.loads(listed_runs.out)]
    (at,) = {time for time in asked if time}
    assert (len(asked), asked.count(None), at) == (4, 1, listed[0]["asked_at"])
    as_of = f"queued as of {at[:10]} {at[11:19]}Z; `molexp queue` asks again"
    for command in (["runs", "list"], ["info"], ["ls"], ["ls", "p"], ["ls", "p/e"]):
        assert as_of in place.molexp("-w", "lab", *command).err
    assert place.molexp("-w", "lab", "runs", "list", "--status", "running").err == ""
    for command in (["info"], ["ls"]):
        assert json.loads(place.molexp("-w", "lab", *command, "--json").out)["queued_as_of"] == at
    place.molexp("-w", "lab", "export", "--where", "status == 'queued'", "--format", "ro-crate", "-o", "queued.zip")
    with zipfile.ZipFile("queued.zip") as crate:
        graph = json.loads(crate.read("ro-crate-metadata.json"))["@graph"]
    ends = [one["actionStatus"]["@id"] for one in graph if one["@type"] == "CreateAction"]
    assert ends == ["http://schema.org/PotentialActionStatus"] * 3
    run = me.Workspace("lab").run(next(row.path for row in me.Workspace("lab").catalog.runs(status="queued")))
    assert (run.status, run.status.finished, run.to_dict()["status"]) == ("queued", False, "queued")
    gate = os.open("gate", os.O_WRONLY)
    os.unlink("gate")
    os.close(gate)
    place.settled()
    assert place.rows() == {1: "succeeded", 2: "succeeded", 3: "failed", 4: "succeeded"}
    assert place.documents() == ["end.json", "job.json", "json"]
    assert {number: said["word"] for number, said in place.end()["jobs"].items()} == {"2": "FAILED"}
    output = place.folder / "lab/.molexp/output" / listed[0]["id"]
    listed_ends = place.molexp("-w", "lab", "queue", "--all").err
    assert f"{listed[0]['id']}: engine says: 1 FAILED (exit code 1)\n" in listed_ends
    assert f"its jobs printed into {output}\n" in listed_ends
    assert any("ValueError: it fails" in path.read_text() for path in output.iterdir())
    os.rename(output, "printed")
    output.mkdir()
    assert (
        f"its jobs printed nothing into {output}: do their machines see it?"
        in place.molexp("-w", "lab", "queue", "--all").err
    )
    assert place.end()["never_started"] == {}
    (failed,) = me.Workspace("lab").catalog.runs(status="failed")
    claim = failed.document["execution_history"][0]["submission"]
    assert (claim["id"], claim["job"]) == (listed[0]["id"], 2)
    os.rmdir(output)
    os.rename("printed", output)
    (printed,) = output.glob("*_2.out")
    shown = place.molexp("-w", "lab", "show", failed.path).out
    assert re.search(rf"^job +{listed[0]['ids'][0]}_2\nprinted +{printed}$", shown, re.MULTILINE), shown
    logs = place.molexp("-w", "lab", "logs", failed.path)
    assert (logs.out, logs.err) == ("", f"molexp: {failed.path} has no logs; what its job printed is in {printed}.\n")
    assert me.Workspace("lab").fsck().ok
    place.molexp("sync", "lab", "copy")
    assert sorted(os.listdir("copy/submissions")) == sorted(os.listdir("lab/submissions"))


def test_a_run_is_queued_while_its_submission_is_open_which_is_read_once(place: Place, monkeypatch: pytest.MonkeyPatch):
    place.submit(ENGINE="kills before")
    workspace = me.Workspace("lab")
    runs = [workspace.run(row.path) for row in workspace.catalog.runs(experiment="p/e")]
    read: list[str] = []
    original = LocalStore.read

    def counted(store: LocalStore, key: str, *how: int) -> bytes:
        read.append(key)
        return original(store, key, *how)

    monkeypatch.setattr(LocalStore, "read", counted)
    assert {str(run.status) for run in runs} == {"queued"}
    assert len([key for key in read if key.startswith("submissions/")]) == 1
    place.settled()
    assert {str(run.status) for run in runs} == {"pending"}


def test_a_dry_run_prints_the_script_and_leaves_no_trace(place: Place):
    told = place.submit("--dry-run", "--bundle", "3", "--walltime", "x2")
    assert told.code == 0, told.err
    assert "# 2 jobs on" in told.out
    assert "execute --script" in told.out
    assert "would submit 4 runs in 2 jobs to engine, at most 0.6667 core-hours" in told.err
    assert not os.path.exists("lab/submissions")
    assert not os.path.exists("submitted.txt")


def test_what_cannot_be_submitted_is_refused_before_anything_is_created(place: Place):
    for arguments, code, why in (
        (["-p", "odd"], 2, "does not take"),
        (["--queue", "nowhere", "-p", "cluster"], 4, "nowhere"),
        ([], 2, "o queue is named"),
        (["-p", "cluster", "--walltime", "soon"], 2, "is no time"),
        (["-p", "cluster", "--bundle-time", "1h"], 4, "nobody knows how long one takes"),
        (["-p", "parts", "--walltime", "x2"], 2, "walltime"),
        (["-p", "cluster", "--walltime", "xinf"], 2, "inf times as long"),
    ):
        told = place.molexp("submit", "sweep.py", *arguments)
        assert (told.code, why in told.err) == (code, True), told
    refused = place.submit(ENGINE="refuses")
    assert refused.code == 4
    assert "refuses: invalid partition" in refused.err
    assert "no submission is open" in place.molexp("-w", "lab", "queue").err
    assert set(place.rows().values()) == {"pending"}


def test_large_submissions_are_divided_into_batches_and_small_runs_are_bundled(place: Place):
    told = place.molexp("submit", "sweep.py", "-p", "parts", "--first", "3")
    assert told.code == 0, told.err
    assert place.batches() == [2, 1]
    place.settled()
    assert place.rows() == {1: "succeeded", 2: "succeeded", 3: "succeeded"}
    assert place.molexp("submit", "sweep.py", "-p", "parts", "--bundle-time", "24h", "--go-on").code == 0
    place.until(lambda: place.began()[-1:] == ["5"])  # the experiment after it, by the job that looks after the first
    place.settled()
    assert place.batches() == [2, 1, 1, 1]


def test_the_jobs_of_several_batches_together_are_no_more_at_a_time_than_was_asked_for(place: Place):
    os.mkfifo("gate")
    for profile, jobs, at_once, follows in (
        ("parts", "1", [1, 1], True),
        ("parts", "3", [1, 2], False),
        ("wide", "4", [3, 1], False),  # of three jobs and one: both are at work for as long
    ):
        submission = place.molexp("submit", "sweep.py", "-p", profile, "-j", jobs, "-w", f"lab-{jobs}").out.strip()
        first, second = (
            json.loads((place.folder / "queue/batches" / f"molexp-{submission}{part}" / "batch.json").read_text())
            for part in ("", "-2")
        )
        assert [first["at_once"], second["at_once"]] == at_once
        assert (first["after"], second["after"]) == ([], [first["token"]] if follows else [])


def test_the_first_runs_are_the_first_of_those_that_are_left_to_submit(place: Place):
    (place.folder / "unreachable").touch()  # so that submissions stay open
    place.submit("--first", "1", ENGINE="kills before")
    (queued,) = me.Workspace("lab").catalog.runs(status="queued")
    with me.Workspace("lab").run(queued.path).start():
        place.submit("--first", "1", ENGINE="kills before")
        assert place.rows() == {1: "running", 2: "queued"}
        assert "1 run is left for another call" in place.submit("--first", "1", "--dry-run").err
        found = json.loads(place.submit("--first", "5", "--dry-run", "--json").out)
        assert (len(found["runs"]), len(found["left"]), found["more"]) == (2, 2, 0)


def test_a_cancelled_run_is_never_begun_and_one_that_somebody_executed_meanwhile_is_left_alone(place: Place):
    os.mkfifo("gate")
    place.submit("--bundle", "4", "--resume")
    place.until(place.began)
    workspace = me.Workspace("lab")
    paths = {row.parameters["x"]: row.path for row in workspace.catalog.runs(experiment="p/e")}
    told = place.molexp("-w", "lab", "cancel", paths[2])
    assert (told.code, "their jobs have other runs, have begun, or are gone" in told.err) == (0, True)
    assert place.rows()[2] == "cancelled"
    with workspace.run(paths[3]).start():
        pass
    gate = os.open("gate", os.O_WRONLY)
    os.unlink("gate")
    os.close(gate)
    place.settled()
    assert place.began() == ["1", "4"]
    assert place.rows() == {1: "succeeded", 2: "cancelled", 3: "succeeded", 4: "succeeded"}
    (output,) = (place.folder / "lab/.molexp/output").glob("*/*[0-9a-f]_0.out")
    said = output.read_text()
    assert f"{paths[2]} is not begun: it was cancelled" in said
    assert f"{paths[3]} is left as it is: succeeded" in said
    assert place.end()["states"] == {"done": 1}


def test_the_job_of_a_cancelled_run_is_taken_from_its_queue_if_that_can_be_asked(place: Place):
    os.mkfifo("gate")
    workspace = me.Workspace("lab")
    place.submit("-j", "1", "--first", "4")
    place.until(lambda: place.rows("running"))
    paths = {row.parameters["x"]: row.path for row in workspace.catalog.runs(experiment="p/e")}
    (one,) = submissions(workspace)
    taken = place.molexp("-w", "lab", "cancel", paths[2], "--json")
    assert json.loads(taken.out)["withdrawn"] == [
        {"submission": one.id, "queue": "engine", "jobs": [f"{one.ids[0]}_1"], "runs": [paths[2]], "why": ""}
    ]
    (place.folder / "unreachable").touch()
    told = place.molexp("-w", "lab", "cancel", paths[3])
    assert (told.code, "does not answer: no route to host" in told.err) == (0, True)
    assert "1 run of" in told.err
    assert "will not begin: the jobs that engine still has leave them alone" in told.err
    assert place.rows() == {1: "running", 2: "cancelled", 3: "cancelled", 4: "queued"}
    (place.folder / "unreachable").unlink()
    (document,) = [path for path in (place.folder / "lab/submissions").iterdir() if path.name.count(".") == 1]
    document.write_text(document.read_text().replace(f'"engine":"{one.engine}"', '"engine":"elsewhere"'))
    told = place.molexp("-w", "lab", "cancel", paths[4])
    assert "these jobs are with 'elsewhere'" in told.err
    document.write_text(document.read_text().replace('"engine":"elsewhere"', f'"engine":"{one.engine}"'))
    posted = [sys.executable, "-c", POST, "lab", paths[4]]  # now that it can be asked, by the page
    assert warm.run(posted, env=environment(place.env), capture_output=True, text=True).stdout == "200\n"
    gate = os.open("gate", os.O_WRONLY)
    os.unlink("gate")
    os.close(gate)
    place.settled()
    assert place.began() == ["1"]
    assert place.end()["states"] == {"done": 2, "cancelled": 2}
    assert [said["word"] for said in place.end()["jobs"].values()] == ["CANCELLED", "CANCELLED"]


POST = """
import sys
import molexp as me
from molexp_web import application
from starlette.testclient import TestClient

app = application({"lab": me.Workspace(sys.argv[1])}, token="a" * 20, changes=True)
client = TestClient(app, base_url="http://127.0.0.1", headers={"Authorization": "Bearer " + "a" * 20})
body = {"action": "cancel", "runs": [sys.argv[2]]}
print(client.post("/api/v1/workspaces/lab/changes", json=body).status_code)
"""


def test_a_cancelled_submission_ends_its_jobs_and_its_runs_can_be_submitted_again(place: Place):
    os.mkfifo("gate")
    place.submit("-j", "1", "--first", "2")
    place.until(lambda: place.rows("running"))
    told = place.molexp("-w", "lab", "cancel", "--submission", "all")
    assert told.code == 0, told.err
    place.settled()
    assert "ended: 2 cancelled" in place.molexp("-w", "lab", "queue", "--all").out
    assert place.rows() == {1: "interrupted", 2: "pending"}
    assert set(place.end()["never_started"].values()) == {"NEVER STARTED (CANCELLED)"}
    again = place.molexp("resubmit", "sweep.py", "-p", "cluster", "--dry-run")
    assert "would submit 2 runs in 2 jobs" in again.err, "one began, one did not"
    assert again.err.count("was never submitted or attempted") == 2
    (path,) = [row.path for row in me.Workspace("lab").catalog.runs() if row.parameters == {"x": 2}]
    with suppress(ValueError), me.Workspace("lab").run(path).start():
        raise ValueError("it fails")
    assert "submitted 2 runs" in place.submit("-j", "1", "--first", "2").err
    place.until(lambda: place.rows("running"))
    assert place.rows() == {1: "running", 2: "queued"}
    place.molexp("-w", "lab", "cancel", path)
    assert (place.rows()[2], me.Workspace("lab").run(path).status) == ("failed", "failed")  # as before it was queued
    gate = os.open("gate", os.O_WRONLY)
    os.unlink("gate")
    os.close(gate)
    place.settled()
    assert place.rows() == {1: "succeeded", 2: "failed"}


def test_a_submission_whose_workspace_was_moved_can_be_given_up_and_its_runs_submitted_from_there(place: Place):
    os.mkfifo("gate")
    place.submit("-j", "1", "--first", "2")
    place.until(lambda: place.rows("running"))
    os.mkdir("moved")
    os.rename("lab", "moved/lab")
    told = place.molexp("-w", "moved/lab", "queue")
    assert "if it was moved, move it back, or give them up with `molexp cancel --submission 2" in told.err
    assert "if this is a copy, ask where the workspace is" in told.err
    assert place.molexp("-w", "moved/lab", "cancel", "--submission", "all").code == 0
    assert "ended: " in place.molexp("-w", "moved/lab", "queue", "--all").out
    os.unlink("gate")
    rows = me.Workspace("moved/lab").catalog.runs(experiment="p/e")
    place.until(
        lambda: {str(me.Workspace("moved/lab").run(row.path).status) for row in rows} == {"interrupted", "pending"}
    )
    again = place.molexp("resubmit", "sweep.py", "-p", "cluster", "--dry-run", "-w", "moved/lab")
    assert "would submit 2 runs in 2 jobs" in again.err


def test_a_copy_of_a_workspace_that_cannot_be_looked_for_does_not_count_as_moved(place: Place):
    place.molexp("submit", "sweep.py", "-p", "cluster", "-w", "disk/lab", ENGINE="kills before")
    os.rename("disk/lab", "copy")
    os.rmdir("disk")
    os.symlink("disk", "disk")  # as a folder of another user, or a disk that does not answer
    assert "disk/lab, of which this is a copy" in place.molexp("-w", "copy", "queue").err
    assert "of which this is a copy" in place.molexp("-w", "copy", "cancel", "--submission", "all").err
    (document,) = (place.folder / "copy/submissions").iterdir()  # it has no end
    document.write_text(document.read_text().replace("disk/lab", "disk%00/lab"))
    assert "of which this is a copy" in place.molexp("-w", "copy", "queue").err


def test_no_run_is_begun_that_there_is_no_time_for(place: Place):
    (place.folder / "unreachable").touch()
    place.submit("--bundle", "4")
    (row,) = submissions(me.Workspace("lab"))
    job = ["-w", "lab", "execute", "--script", "sweep.py", "--submission", row.id]
    late = place.molexp(*job, MOLEXP_JOB_INDEX="0", MOLEXP_JOB_ENDS="1000")
    assert "runs are left, for which there is not enough time" in late.err or "left as it is" in late.err
    assert place.molexp(*job, MOLEXP_JOB_INDEX="7").code == 3
    assert place.molexp(*job).code == 3


def test_a_profile_may_ask_for_more_time_than_before(place: Place):
    from molexp.scripts import Drive

    drive = Drive("sweep.py", profile="cluster", config="molcfg.yaml")
    prepared = prepare(drive, Wishes(queue="local", longer=2.0, bundle=2))
    assert (prepared.resources.walltime, prepared.jobs, prepared.core_hours) == (1200.0, 2, 2 * 1200 / 3600)


def test_the_rest_of_a_bundle_that_a_signal_ended_is_submitted_again_and_nothing_else(place: Place):
    os.mkfifo("gate")
    place.submit("--bundle", "4")
    gate = place.until(_opened)
    os.unlink("gate")
    (row,) = me.Workspace("lab").catalog.runs(status="running")
    os.kill(row.document["execution_history"][0]["pid"], signal.SIGTERM)
    place.until(lambda: place.rows("interrupted"))
    os.close(gate)
    place.until(lambda: place.batches() == [1, 1])  # by the job that looks after the first
    place.settled()
    assert place.rows() == {1: "interrupted", 2: "succeeded", 3: "succeeded", 4: "succeeded"}
    assert place.began() == ["1", "2", "3", "4"]
    first = json.loads(min((place.folder / "lab/submissions").glob("*.end.json")).read_text())
    assert [said["reason"] for said in first["jobs"].values()] == [f"exit code {128 + signal.SIGTERM}"]
    assert place.batches() == [1, 1]


def _opened() -> int | None:
    """Return the end of the gate for writing, once a task has the other one."""
    try:
        return os.open("gate", os.O_WRONLY | os.O_NONBLOCK)
    except OSError:
        return None


# --------------------------------------------------------------------------------------------------------- an attached call


def test_a_call_that_waits_for_its_queue_leaves_the_runs_that_a_submission_has(place: Place):
    os.mkfifo("gate")
    place.submit("--bundle", "4")  # a job that comes to one after the other
    place.until(lambda: place.rows("running"))
    queued = {row.path for row in me.Workspace("lab").catalog.runs(status="queued")}
    planned = json.loads(place.molexp("run", "sweep.py", "-p", "cluster", "-n", "--json").out)
    assert {one["path"] for one in planned if one["action"] == "leave"} > queued

    done = place.molexp("run", "sweep.py", "-p", "cluster", "--json")
    assert (done.code, os.path.exists("attached.txt")) == (5, False), done.err
    left = json.loads(done.out)["left"]
    assert {path for path, why in left.items() if why.startswith("is queued by the submission ")} == queued
    assert json.loads(done.out)["held"].keys() == {"p/last"}

    with waiting_for(place, queued=3) as ended:
        gate = os.open("gate", os.O_WRONLY)
        os.unlink("gate")
        os.close(gate)
        assert ended() == (0, "5 succeeded\n")
    (last,) = me.Workspace("lab").catalog.runs(experiment="p/last")
    assert (place.folder / "attached.txt").read_text().split() == [last.path], "the others were not submitted again"


def test_a_call_that_waits_for_a_submission_is_told_that_it_has_ended_without_its_runs(place: Place):
    place.submit(ENGINE="kills before")
    with waiting_for(place, queued=4) as ended:
        assert "engine says: 4 unknown to it" in place.molexp("-w", "lab", "queue").err
        code, out = ended()
    assert (code, out.count("not started: the submission that had it has ended without executing it")) == (1, 5), out


@contextmanager
def waiting_for(place: Place, queued: int) -> Iterator[Callable[[], tuple[int, str]]]:
    """Start a call that waits, once it has told of so many queued runs; yield a function that returns its exit code and answer."""
    command: list[str] = [str(PROGRAM), "run", "sweep.py", "-p", "cluster", "--wait"]
    with open("told.txt", "wb") as told:
        waiting = warm.Popen(command, cwd=place.folder, env=environment(place.env), stdout=-1, stderr=told.fileno())

    def ended() -> tuple[int, str]:
        out, _ = waiting.communicate(timeout=DEADLINE)
        return waiting.returncode, out.decode()

    try:
        place.until(lambda: (place.folder / "told.txt").read_text().count("is queued by the submission") == queued)
        yield ended
    finally:
        waiting.kill()
