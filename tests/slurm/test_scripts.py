"""Scripts for Slurm, settings, and answers of Slurm that were recorded."""

from __future__ import annotations

import os
import subprocess
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from molexp.contracts import Batch, JobState, Resources
from molexp.errors import QueueError
from molexp.plugins import PluginManager
from molexp_slurm import SlurmQueue
from molexp_slurm._states import identities, job_of, jobs_of_account

BATCH = Batch(token="molexp-1", command=("run", "it's"), size=3, folder="/a b", output="/out", title="a sweep")


def test_it_is_found_by_its_name():
    assert PluginManager(environ={}).queue("slurm") is SlurmQueue


def test_a_script_has_all_of_its_options_and_can_be_read():
    queue = SlurmQueue(account="chem", modules=["gcc/13"], lines="#SBATCH --nice\nexport OMP_NUM_THREADS=1")
    script = queue.script(
        Batch(
            token="molexp-1",
            command=("run", "it's"),
            size=3,
            folder="/a b",
            output="/out",
            title="a sweep",
            at_once=2,
            after=("7", "9"),
            avoid=("n3", "n[5-6]"),
            resources=Resources(cores=4, memory=1 << 30, gpus=2, walltime=3601.0, nodes=2, tasks=8),
        )
    )
    assert script == (
        "#!/bin/bash\n"
        "#SBATCH --job-name=molexp-1\n"
        "#SBATCH --array=0-2%2\n"
        "#SBATCH --account=chem\n"
        "#SBATCH --nodes=2\n"
        "#SBATCH --ntasks=8\n"
        "#SBATCH --cpus-per-task=4\n"
        "#SBATCH --mem=1024M\n"
        "#SBATCH --gpus-per-node=2\n"
        "#SBATCH --time=61\n"
        "#SBATCH --exclude=n3,n[5-6]\n"
        '#SBATCH --chdir="/a b"\n'
        "#SBATCH --output=/out/molexp-1.%a.out\n"
        "#SBATCH --open-mode=append\n"
        "#SBATCH --requeue\n"
        "#SBATCH --signal=B:TERM@90\n"
        "#SBATCH --export=ALL\n"
        '#SBATCH --comment="a sweep"\n'
        "#SBATCH --dependency=afterany:7:9\n"
        "#SBATCH --nice\n"
        "\n"
        'export MOLEXP_JOB_INDEX="$SLURM_ARRAY_TASK_ID"\n'
        'export MOLEXP_JOB_ID="${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID"\n'
        "export MOLEXP_JOB_ENDS=$((${SLURM_JOB_END_TIME:-$(($(date +%s) + 3660))} - 150))\n"
        "command -v module >/dev/null || . /etc/profile\n"
        "module load gcc/13 || exit 1\n"
        "export OMP_NUM_THREADS=1\n"
        "cd -- '/a b' || exit 1\n"
        """exec run 'it'"'"'s'\n"""
    )


@pytest.mark.parametrize(("left", "ends"), [(100, 25), (3600, 3450), (None, None)])
def test_a_job_without_a_limit_of_its_own_has_time_to_begin_however_short_that_of_its_partition(tmp_path, left, ends):
    batch = Batch(token="molexp-1", command=("sh", "-c", "echo ${MOLEXP_JOB_ENDS-none}"), size=1, folder=str(tmp_path))
    now = int(time.time())
    given = {**os.environ, "MOLEXP_JOB_ENDS": "7", **({} if left is None else {"SLURM_JOB_END_TIME": str(now + left)})}
    said = subprocess.run(
        ["bash", "-c", SlurmQueue().script(batch)], env=given, capture_output=True, text=True, check=True
    )
    if ends is None:
        assert said.stdout == "none\n"
    else:
        assert now + ends <= int(said.stdout) <= now + ends + 60


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"partiton": "long"}, r"no option 'partiton'.*Did you mean 'partition'"),
        ({"partition": "a b"}, "no blanks"),
        ({"account": 7}, "must be a text"),
        ({"constraint": "a\n#SBATCH --uid=0"}, "one line"),
        ({"modules": 7}, "list of texts"),
        ({"container": "env 'a"}, "no command"),
        ({"requeue": "no"}, "true or false"),
        ({"interval": 0}, "more than 0"),
        ({"interval": True}, "number of seconds"),
        ({"warning": 1.5}, "whole number"),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused_with_its_name(options, words):
    with pytest.raises((TypeError, ValueError), match=words) as caught:
        SlurmQueue(**options)
    assert next(iter(options)) in str(caught.value)


@pytest.mark.parametrize(
    ("extra", "folder", "words"),
    [
        ({"array": "0-9"}, "/", "'array', which is no option"),
        ({"licenses=vasp --uid": 0}, "/", "no option of sbatch"),
        ({"licenses": "a\nb"}, "/", "more than one line"),
        ({}, "/a\nb", "more than one line"),
    ],
)
def test_a_batch_that_slurm_cannot_have_is_refused(extra, folder, words):
    with pytest.raises(QueueError, match=words):
        SlurmQueue().script(Batch(token="t", command=("true",), folder=folder, resources=Resources(extra=extra)))


# Lines of squeue 22.05: name, array, index, state, restarts, reason, nodes.
RECORDED = """
tok|12|0|RUNNING|0|None|n1
tok|12|1|PENDING|1|BeginTime|
tok|12|2|PENDING|0|JobHeldUser|
tok|12|3|CANCELLED|0|None|
tok|12|4|COMPLETED|0|None|
tok|12|5|COMPLETING|0|None|
tok|12|6|NODE_FAIL|0|NodeDown|n3
tok|12|7|SPECIAL_EXIT|0|launch failed requeued held|
tok|12|8|A_STATE_OF_TOMORROW|0|None|
wrap|13|N/A|RUNNING|0|None|n1
"""


def test_what_squeue_says_is_read():
    jobs = [job_of(line.split("|")) for line in RECORDED.split("\n") if line]
    states = [
        *(JobState.RUNNING, JobState.QUEUED, JobState.HELD, JobState.FAILED, JobState.DONE, JobState.RUNNING),
        *(JobState.FAILED, JobState.HELD, JobState.RUNNING),
    ]
    assert [job.state for job in jobs if job] == states
    assert jobs[-1] is None, "a job of somebody else's"
    assert [(job.id, job.word, job.reason, job.host) for job in jobs if job][6] == (
        "12_6",
        "NODE_FAIL",
        "NodeDown",
        "n3",
    )


def test_what_sacct_says_is_read_ranges_too():
    found = list(jobs_of_account("tok", "12_[3-4,7%2]", "CANCELLED by 1000", "None assigned"))
    assert [(job.id, job.state, job.word) for job in found] == [
        (f"12_{index}", JobState.FAILED, "CANCELLED") for index in (3, 4, 7)
    ]
    assert list(jobs_of_account("tok", "12", "COMPLETED", "n1")) == []


@given(st.lists(st.tuples(st.integers(1, 3), st.integers(0, 40))))
def test_ids_as_few_words_are_the_same_ids(pairs):
    ids = [f"{array}_{index}" for array, index in pairs]
    words = identities(ids)
    again = {job.id for word in words for job in jobs_of_account("t", word, "PENDING", "")}
    assert again == set(ids)
    assert len(words) == len({array for array, _ in pairs})
