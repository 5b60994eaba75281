"""Batches in a real Slurm: what the kit of queues does not know of, and what options do."""

from __future__ import annotations

import os
import time
from typing import Any

import pytest

from molexp.contracts import Batch, JobState, Resources
from molexp.errors import QueueError, QueueUnavailableError
from molexp_slurm import SlurmQueue
from tests.slurm.engine import eventually, lines_of, variables

pytestmark = pytest.mark.slurm


@pytest.fixture
def batch(tmp_path):
    """Make batches whose jobs print into the test's folder."""
    output = tmp_path / "output"
    output.mkdir()

    def make(*command: str, **how: Any) -> Batch:
        given = {"folder": str(tmp_path), "output": str(output), "token": f"molexp-{os.urandom(6).hex()}", **how}
        return Batch(command=command, **given)

    return make


def ended(queue, batch, identity):
    """Return the jobs of a batch by their indices, once none is alive."""

    def look():
        jobs = list(queue.look({batch.token: identity}))
        return {job.index: job for job in jobs} if jobs and not any(job.state.alive for job in jobs) else None

    return eventually(look)


def test_lines_and_containers_of_ones_own_reach_the_job_as_they_are(slurm, batch, tmp_path):
    odd = tmp_path / r"back\slash %a #"
    odd.mkdir()
    queue = SlurmQueue(lines=['export OWN="a b"'], container=["env", "INSIDE=a b"])
    words = ["env", "GIVEN=$HOME 'x' \"y\" \\z\nnew line", "sh", "-c", "env -0"]
    made = batch(*words, folder=str(odd), output=str(odd), title="all; 'of' it")
    ended(queue, made, queue.submit(made))
    printed = (odd / f"{made.token}.0.out").read_text()
    for said in ("OWN=a b", "INSIDE=a b", "GIVEN=$HOME 'x' \"y\" \\z\nnew line"):
        assert f"\0{said}\0" in printed, said


def test_what_a_batch_needs_and_a_cluster_wants_is_what_slurm_gives(slurm, batch, tmp_path):
    queue = SlurmQueue(partition="short", constraint="tests", requeue=False, lines=["#SBATCH --nice=7"])
    needs = Resources(cores=2, memory=100_000_000, walltime=90.0, tasks=2, extra={"contiguous": True, "mincpus": 4})
    made = batch("env", resources=needs, at_once=1, size=2)
    submitted = int(time.time())
    identity = queue.submit(made)
    ended(queue, made, identity)

    said = slurm.ask("scontrol", "--oneliner", "show", "job", f"{identity}_1")
    for word in (
        *("Partition=short", "Features=tests", "Requeue=0", "TimeLimit=00:02:00", "CPUs/Task=2", "NumNodes=1"),
        *("MinMemoryNode=96M", "Nice=7", "Contiguous=1", "MinCPUsNode=4", f"JobName={made.token}"),
    ):
        assert word in said.split(), word
    job = variables((tmp_path / "output" / f"{made.token}.1.out").read_text())
    assert (job["SLURM_CPUS_PER_TASK"], job["SLURM_NTASKS"]) == ("2", "2")
    assert submitted <= int(job["MOLEXP_JOB_ENDS"]) - 30 <= time.time()  # it is warned up to a minute before its last
    assert "--signal=B:TERM@30" in queue.script(made)


def test_a_job_inside_of_a_job_has_nothing_of_the_outer_one(slurm, batch, tmp_path, monkeypatch):
    for name in ("SLURM_ARRAY_TASK_ID", "SLURM_MEM_PER_CPU", "SLURM_NTASKS", "SLURM_RESTART_COUNT", "SBATCH_JOB_NAME"):
        monkeypatch.setenv(name, "17")
    monkeypatch.setenv("SBATCH_PARTITION", "short")
    monkeypatch.setenv("MINE", "kept")
    for queue, partition in (SlurmQueue(), "short"), (SlurmQueue(partition="debug"), "debug"):
        made = batch("env")
        ended(queue, made, queue.submit(made))
        job = variables((tmp_path / "output" / f"{made.token}.0.out").read_text())
        assert (job["MOLEXP_JOB_INDEX"], job["MINE"], job["SLURM_JOB_NAME"]) == ("0", "kept", made.token)
        assert "SLURM_RESTART_COUNT" not in job
        assert "SLURM_NTASKS" not in job or job["SLURM_NTASKS"] == "1"
        assert job["SLURM_JOB_PARTITION"] == partition


def test_what_is_held_or_is_to_begin_later_says_so_and_is_cancelled_by_one_call(slurm, batch):
    queue = SlurmQueue()
    held = batch("true", size=2, resources=Resources(extra={"hold": True}))
    waits = batch("true", resources=Resources(extra={"begin": "now+1hour"}))
    ids = {one.token: queue.submit(one) for one in (held, waits)}
    eventually(lambda: "BeginTime" in {job.reason for job in queue.look(ids)})
    jobs = {job.token: job for job in queue.look(ids)}
    assert (jobs[held.token].state, jobs[waits.token].state) == (JobState.HELD, JobState.QUEUED)

    slurm.forget()
    queue.cancel([ids[held.token], jobs[waits.token].id])
    assert len(slurm.calls("scancel")) == 1
    eventually(lambda: not any(job.state.alive for job in queue.look(ids)))


def test_a_batch_is_one_call_of_sbatch_and_one_of_squeue_finds_it_by_its_token(slurm, batch):
    made = batch("sleep", "600", size=3)
    identity = SlurmQueue().submit(made)
    assert len(slurm.calls("sbatch")) == 1
    slurm.forget()

    jobs = list(SlurmQueue().look({made.token: "", "molexp-nobodys": ""}))
    assert {job.id for job in jobs} == {f"{identity}_{index}" for index in range(3)}
    assert len(slurm.calls("squeue")) == 1
    SlurmQueue().cancel([job.id for job in jobs])


def test_what_slurm_refuses_is_said_in_its_words(slurm, batch):
    with pytest.raises(QueueError, match="invalid partition specified: nowhere"):
        SlurmQueue(partition="nowhere").submit(batch("true"))
    with pytest.raises(QueueError, match=r"gres|gpu"):
        SlurmQueue().submit(batch("true", resources=Resources(gpus=2)))
    with pytest.raises(QueueError, match="job-name"):
        SlurmQueue().script(batch("true", resources=Resources(extra={"job-name": "mine"})))
    assert SlurmQueue().largest() == 1001
    assert SlurmQueue().engine() == "tests", "jobs of another cluster are not looked for here"


def test_an_sbatch_that_names_no_job_has_refused_the_batch_if_slurm_does_not_know_its_token(slurm, batch):
    sbatch, squeue = slurm.commands / "sbatch", slurm.commands / "squeue"
    real = sbatch.rename(slurm.commands / "real")

    def submitted(line: str) -> str:
        sbatch.write_text(f"#!/bin/sh\n{line}\n")
        sbatch.chmod(0o755)
        return SlurmQueue().submit(batch("sleep", "600"))

    with pytest.raises(QueueError, match="says 'Your account has no hours left' in place") as caught:
        submitted("cat >/dev/null; echo Your account has no hours left")
    assert not isinstance(caught.value, QueueUnavailableError)
    identity = submitted(f'{real} "$@" >/dev/null; echo Welcome')
    assert slurm.alive().keys() == {f"{identity}_0"}
    squeue.write_text("#!/bin/sh\necho 'squeue: error: not today' >&2\nexit 1\n")
    with pytest.raises(QueueUnavailableError, match="in place of the id of a job, and not today"):
        submitted("cat >/dev/null; echo Welcome")
    SlurmQueue().cancel([identity])


def test_a_machine_that_is_to_be_avoided_gets_no_job_and_one_that_is_no_more_stops_nobody(slurm, batch):
    queue = SlurmQueue()
    gone, ran = batch("true", avoid=["of-last-year"]), batch("true")
    assert ended(queue, gone, queue.submit(gone))[0].state is JobState.DONE
    host = ended(queue, ran, queue.submit(ran))[0].host
    assert host
    with pytest.raises(QueueError):  # there is no other one
        queue.submit(batch("true", avoid=[host]))


def test_a_requeued_job_is_the_same_job_and_goes_on_in_its_output(slurm, batch, tmp_path):
    queue = SlurmQueue(lines=["#SBATCH --begin=now"])
    made = batch("sh", "-c", 'echo "${SLURM_RESTART_COUNT:-0}"; [ "$SLURM_RESTART_COUNT" = 1 ] || sleep 600')
    identity = queue.submit(made)
    output = tmp_path / "output" / f"{made.token}.0.out"
    eventually(lambda: lines_of(output))
    slurm.requeue(f"{identity}_0")
    assert [job.state for job in queue.look({made.token: ""})] == [JobState.QUEUED]
    slurm.begin_again(f"{identity}_0")
    jobs = ended(queue, made, identity)
    assert jobs[0].state is JobState.DONE
    assert [line for line in lines_of(output) if line.isdecimal()] == ["0", "1"]


def test_a_machine_without_slurm_is_told_so(batch, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(QueueError, match="no command sbatch on this machine: call from a node of the cluster"):
        SlurmQueue().submit(batch("true"))


def test_accounts_know_what_the_controller_has_forgotten(accounting, batch):
    queue = SlurmQueue()
    fails, waits = batch("false", size=2), batch("true", size=3, resources=Resources(extra={"begin": "now+1hour"}))
    ids = {one.token: queue.submit(one) for one in (fails, waits)}
    ended(queue, fails, ids[fails.token])
    queue.cancel([ids[waits.token]])
    eventually(lambda: not accounting.alive())

    def words():
        with accounting.forgetting():
            jobs = {(job.token, job.index): job.word for job in queue.look(ids)}
        assert {jobs.get((waits.token, index), "CANCELLED") for index in range(3)} == {"CANCELLED"}
        return [jobs.get((fails.token, index)) for index in range(2)]

    eventually(lambda: words() == ["FAILED"] * 2)  # the accounts come a few seconds later
