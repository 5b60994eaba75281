"""The local queue beyond what the kit of queues asks of every one: its limits, and a runner that is killed."""

from __future__ import annotations

import errno
import json
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import molexp as me
from molexp.contracts import Batch, Job, JobState, Queue, Resources
from molexp.plugins import default_manager
from tests.internals import runners_leave_during_a_look

LOCAL: Any = default_manager().queue("local")


@pytest.fixture
def queue(tmp_path: Path) -> Queue:
    made: Queue = LOCAL(cores=2, folder=str(tmp_path / "queue"))
    return made


def batch(tmp_path: Path, token: str, script: str, **given) -> Batch:
    return Batch(token=token, command=("/bin/sh", "-c", script), folder=str(tmp_path), **given)


def wait(queue: Queue, token: str, until) -> list[Job]:
    """Look until the jobs of a batch are as they are to be."""
    deadline = time.monotonic() + 300
    while True:
        jobs = sorted(queue.look({token: ""}), key=lambda job: job.index)
        if until(jobs) or time.monotonic() > deadline:
            return jobs
        os.sched_yield()


def over(jobs: list[Job]) -> bool:
    return not any(job.state.alive for job in jobs)


def test_jobs_know_their_index_and_say_how_they_ended(queue: Queue, tmp_path: Path):
    script = 'echo $MOLEXP_JOB_INDEX $MOLEXP_JOB_ID $MOLEXP_JOB_ENDS $WORD; exit "$MOLEXP_JOB_INDEX"'
    first = batch(
        tmp_path,
        "a-1",
        script,
        size=2,
        environment={"WORD": "x y"},
        output=str(tmp_path),
        resources=Resources(walltime=600),
    )
    assert "export WORD='x y'" in queue.script(first)
    assert queue.submit(first) == "a-1"
    last = batch(tmp_path, "a-2", "cat a-1_*.out > both", after=["a-1"])
    queue.submit(last)
    wait(queue, "a-2", over)
    jobs = wait(queue, "a-1", over)
    assert [(job.state, job.word) for job in jobs] == [(JobState.DONE, "COMPLETED"), (JobState.FAILED, "FAILED")]
    said = [line.split() for line in (tmp_path / "both").read_text().splitlines()]
    assert [(index, job, *word) for index, job, _, *word in said] == [
        ("0", "a-1_0", "x", "y"),
        ("1", "a-1_1", "x", "y"),
    ]
    assert all(0 < float(ends) - time.time() <= 600 for _, _, ends, *_ in said)
    assert [*queue.look({"other": ""})] == []


def test_names_and_variables_that_are_not_utf_8_reach_the_job(queue: Queue, tmp_path: Path):
    folder = tmp_path / os.fsdecode(b"odd\xff")
    folder.mkdir()
    queue.submit(batch(folder, "a-1", 'printf %s "$ODD" > "$PWD/said"', environment={"ODD": os.fsdecode(b"\xfe")}))
    wait(queue, "a-1", over)
    assert (folder / "said").read_bytes() == b"\xfe"


def test_a_folder_that_cannot_be_made_is_refused_and_no_jobs_are_thought_to_go_on(tmp_path: Path):
    elsewhere: Queue = LOCAL(folder="/proc/nowhere/queue")
    why = r"its folder /proc/nowhere/queue cannot be written.* scheduler.folder sets"
    with pytest.raises(me.QueueError, match=why) as caught:
        elsewhere.submit(batch(tmp_path, "a-1", "true"))
    assert not isinstance(caught.value, me.QueueUnavailableError)


def test_a_full_disk_leaves_no_environment_behind(queue: Queue, tmp_path: Path, monkeypatch):
    rename = Path.rename

    def full(self, target):
        if target.name == "batch.json":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return rename(self, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", full)
        with pytest.raises(me.QueueError, match=r"No space left on device; scheduler\.folder sets"):
            queue.submit(batch(tmp_path, "a-1", "true", environment={"SECRET": "x"}))
    assert os.listdir(tmp_path / "queue" / "batches") == []
    assert [*queue.look({"a-1": ""})] == []


def test_a_job_may_run_no_longer_than_its_walltime(queue: Queue, tmp_path: Path):
    queue.submit(batch(tmp_path, "c", "exec sleep 600", resources=Resources(walltime=0.2)))
    assert [job.word for job in wait(queue, "c", over)] == ["TIMEOUT"]


def test_a_job_whose_runner_leaves_while_somebody_looks_is_not_lost(queue: Queue, tmp_path: Path, monkeypatch):
    os.mkfifo(tmp_path / "gate")
    queue.submit(batch(tmp_path, "l", "touch begun; cat gate"))
    wait(queue, "l", lambda jobs: (tmp_path / "begun").exists())
    runners_leave_during_a_look(monkeypatch)
    with ThreadPoolExecutor(1) as pool:
        looked = pool.submit(lambda: [job.word for job in queue.look({"l": ""})])
        (tmp_path / "gate").write_text("")
        assert looked.result() == ["COMPLETED"]


def test_a_killed_runner_is_replaced_and_what_it_began_goes_on(queue: Queue, tmp_path: Path):
    for index in range(2):
        os.mkfifo(tmp_path / f"gate-{index}")
    queue.submit(batch(tmp_path, "d", "cat gate-$MOLEXP_JOB_INDEX; touch done-$MOLEXP_JOB_INDEX", size=2, at_once=1))
    wait(queue, "d", lambda jobs: jobs[0].state is JobState.RUNNING)
    runner = _runner(tmp_path)
    os.kill(runner, signal.SIGKILL)
    with open(tmp_path / "queue" / "batches" / "d" / "jobs.jsonl", "ab") as file:
        file.write(b'{"job":1,"own')  # it was about to say more
    jobs = wait(queue, "d", lambda _: _runner(tmp_path) != runner)
    assert [job.state for job in jobs] == [JobState.RUNNING, JobState.QUEUED]
    for index in range(2):
        with open(tmp_path / f"gate-{index}", "w"):
            pass
    jobs = wait(queue, "d", over)
    assert [job.word for job in jobs][1] == "COMPLETED"
    assert jobs[0].word == "LOST"  # nobody could collect its exit code
    assert (tmp_path / "done-0").exists()


def test_what_this_machine_has_not_is_refused_with_the_reason(queue: Queue, tmp_path: Path):
    for resources, why in (
        (Resources(cores=3), "3 cores"),
        (Resources(nodes=2), "one machine"),
        (Resources(tasks=2, cores=2), "4 cores"),
    ):
        with pytest.raises(me.QueueError, match=why):
            queue.submit(batch(tmp_path, "e", "true", resources=resources))


def _runner(tmp_path: Path) -> int:
    """Return the process that is the newest runner, as it says itself."""
    newest = max((tmp_path / "queue" / "runners").glob("[0-9]"), key=lambda path: path.name)
    return int(json.loads(newest.read_text())["pid"])
