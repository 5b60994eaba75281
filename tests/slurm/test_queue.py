"""Batches in a real Slurm: the contract of a queue, and what its options do."""

from __future__ import annotations

import os
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


def test_a_batch_is_one_call_of_sbatch_and_each_job_knows_its_index_and_id(slurm, batch, tmp_path):
    queue, made = SlurmQueue(), batch("sh", "-c", 'echo "$MOLEXP_JOB_INDEX $MOLEXP_JOB_ID"', size=9)
    identity = queue.submit(made)

    jobs = ended(queue, made, identity)
    assert {job.state for job in jobs.values()} == {JobState.DONE}
    assert sorted(jobs) == list(range(9))
    assert len(slurm.calls("sbatch")) == 1
    printed = [lines_of(tmp_path / "output" / f"{made.token}.{index}.out") for index in range(9)]
    assert printed == [[f"{index} {identity}_{index}"] for index in range(9)]
    assert {job.id for job in jobs.values()} == {f"{identity}_{index}" for index in range(9)}


def test_odd_names_reach_the_job_as_they_are(slurm, batch, tmp_path):
    odd = tmp_path / """we"ird d#ir $HOME 'q' `x` é"""
    odder = tmp_path / r"back\slash %a #"
    for folder in (odd, odder):
        folder.mkdir()
    queue = SlurmQueue(lines=['export OWN="a b"'], container=["env", "INSIDE=a b"])
    words = ["env", "GIVEN=$HOME 'x' \"y\" \\z\nnew line", "sh", "-c", 'pwd; env -0; echo "$@"', "-", "a b", "$(exit)"]
    made = [
        batch(*words, folder=str(folder), output=str(folder), environment={"OVER": "it's $HOME"}, title="all; 'of' it")
        for folder in (odd, odder)
    ]
    for one in made:
        ended(queue, one, queue.submit(one))

    for one, folder in zip(made, (odd, odder), strict=True):
        printed = (folder / f"{one.token}.0.out").read_text()
        assert printed.startswith(f"{folder}\n")
        assert printed.endswith("\0a b $(exit)\n")
        for said in ("OWN=a b", "INSIDE=a b", "OVER=it's $HOME", "GIVEN=$HOME 'x' \"y\" \\z\nnew line"):
            assert f"\0{said}\0" in printed, said


def test_what_a_batch_needs_and_a_cluster_wants_is_what_slurm_gives(slurm, batch, tmp_path):
    queue = SlurmQueue(partition="short", constraint="tests", requeue=False, lines=["#SBATCH --nice=7"])
    needs = Resources(cores=2, memory=100_000_000, walltime=90.0, tasks=2, extra={"contiguous": True, "mincpus": 4})
    made = batch("env", resources=needs, at_once=1, size=2)
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
    start = int(slurm.ask("date", "+%s"))
    assert start - 60 < int(job["MOLEXP_JOB_ENDS"]) - 120 <= start
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


def test_ends_have_the_words_of_slurm_and_what_was_held_never_began(slurm, batch, tmp_path):
    queue = SlurmQueue()
    fails, held, waits, runs = (
        batch("sh", "-c", "exit 3"),
        batch("true", size=2, resources=Resources(extra={"hold": True})),
        batch("true", resources=Resources(extra={"begin": "now+1hour"})),
        batch("sh", "-c", "trap 'echo told; exit 5' TERM; echo runs; while :; do sleep 0.05; done"),
    )
    ids = {one.token: queue.submit(one) for one in (fails, held, waits, runs)}

    def found():
        return {job.token: job for job in queue.look(ids)}

    eventually(lambda: {runs.token, fails.token} <= {one.token for one in queue.look(ids) if one.word != "PENDING"})
    eventually(lambda: found()[fails.token].word == "FAILED")
    eventually(lambda: found()[runs.token].word == "RUNNING")
    jobs = found()
    assert jobs[held.token].state is JobState.HELD
    assert (jobs[waits.token].state, jobs[waits.token].reason) == (JobState.QUEUED, "BeginTime")
    assert jobs[fails.token].state is JobState.FAILED

    slurm.forget()
    queue.cancel([ids[held.token], jobs[waits.token].id, jobs[runs.token].id, jobs[fails.token].id, "999999"])
    assert len(slurm.calls("scancel")) == 1
    eventually(lambda: not any(job.state.alive for job in queue.look(ids)))
    assert found()[runs.token].state is JobState.FAILED
    assert not any(job.token == held.token and job.state.alive for job in queue.look(ids))
    assert "told" in lines_of(tmp_path / "output" / f"{runs.token}.0.out"), "it was not told before it was killed"


def test_a_batch_is_found_by_its_token_by_whoever_has_no_id_of_it(slurm, batch):
    made = batch("sleep", "60", size=3)
    identity = SlurmQueue().submit(made)
    slurm.forget()

    jobs = list(SlurmQueue().look({made.token: "", "molexp-nobodys": ""}))
    assert {job.id for job in jobs} == {f"{identity}_{index}" for index in range(3)}
    assert len(slurm.calls("squeue")) == 1
    SlurmQueue().cancel([job.id for job in jobs])


def test_batches_begin_after_others_also_if_slurm_has_forgotten_those(slurm, batch, tmp_path):
    queue = SlurmQueue()
    first = batch("sh", "-c", "sleep 0.3; date +%s%N; exit 1")
    ids = {first.token: queue.submit(first)}
    second = batch("date", "+%s%N", after=[ids[first.token], "99999"])
    ids[second.token] = queue.submit(second)

    eventually(lambda: not any(job.state.alive for job in queue.look(ids)))
    earlier, later = (int((tmp_path / "output" / f"{one.token}.0.out").read_text()) for one in (first, second))
    assert earlier < later


def test_what_slurm_refuses_is_said_in_its_words(slurm, batch):
    with pytest.raises(QueueError, match="invalid partition specified: nowhere"):
        SlurmQueue(partition="nowhere").submit(batch("true"))
    with pytest.raises(QueueError, match=r"gres|gpu"):
        SlurmQueue().submit(batch("true", resources=Resources(gpus=2)))
    with pytest.raises(QueueError, match="job-name"):
        SlurmQueue().script(batch("true", resources=Resources(extra={"job-name": "mine"})))
    assert SlurmQueue().largest() == 1001
    assert SlurmQueue().engine() == "tests", "jobs of another cluster are not looked for here"


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
    made = batch("sh", "-c", 'echo "${SLURM_RESTART_COUNT:-0}"; [ "$SLURM_RESTART_COUNT" = 1 ] || sleep 60')
    identity = queue.submit(made)
    output = tmp_path / "output" / f"{made.token}.0.out"
    eventually(lambda: lines_of(output))
    slurm.ask("scontrol", "requeue", f"{identity}_0")
    eventually(lambda: [job.state for job in queue.look({made.token: ""})] == [JobState.QUEUED])
    slurm.ask("scontrol", "update", f"JobId={identity}_0", "StartTime=now")
    jobs = ended(queue, made, identity)
    assert jobs[0].state is JobState.DONE
    assert [line for line in lines_of(output) if line.isdecimal()] == ["0", "1"]


def test_a_controller_that_is_away_is_no_end_of_anything(own, batch):
    queue = SlurmQueue()
    made = batch("sleep", "60")
    identity = queue.submit(made)
    own.leave()
    for ask in (lambda: queue.look({made.token: identity}), lambda: queue.submit(batch("true"))):
        with pytest.raises(QueueUnavailableError, match=r"does not answer: .*controller"):
            ask()
    own.come_back()
    (job,) = queue.look({made.token: identity})
    assert job.state.alive
    queue.cancel([identity])


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
