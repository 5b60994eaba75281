"""Owners, leases, ranks and their events, as values: what no scheduler is at hand for, and orders that no run makes on demand."""

from __future__ import annotations

import os

import pytest
from msgspec.structs import replace

from molexp._record.folding import AttemptFacts, Contents
from molexp._record.launches import Rank, find_rank
from molexp._record.leases import Observer
from molexp._record.owners import Owner, known_dead, this_owner
from molexp._storage import layout
from molexp._values.status import RunStatus
from tests.crash.launching import ALL, mpiexec, sbatch, srun, torchrun

# --------------------------------------------------------------------------------------------------------------- leases


def time_to_live(ws, lease):
    facts = AttemptFacts(1, {"lease": lease}, Contents(), RunStatus.RUNNING, False)
    observer = Observer(ws._session.store, this_owner(), lambda: pytest.fail("not needed"), False)
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

    assert time_to_live(ws, lease) == ws._session.store.lease_ttl


def test_a_lease_of_a_long_path_is_a_key(ws):
    path = "/".join(["a" * 128] * 3)

    assert len(layout.lease(path, 7).rpartition("/")[2]) <= 200
    assert layout.lease(path, 7) != layout.lease(path, 8)
    assert layout.lease(path, 7) != layout.lease(path[:-1] + "b", 7)
    assert layout.lease("metals/cu/one", 7).endswith("/metals~cu~one~7")
    assert not ws._session.store.exists(layout.lease(path, 7))


# --------------------------------------------------------------------------------------------------------------- owners


ELSEWHERE = Owner("n1", 5, job="1234", cluster="a", array="7")
REQUEUED = replace(ELSEWHERE, host="n9", pid=7, restart=1)


def test_the_predecessor_of_a_requeued_job_is_dead():
    assert "requeued" in known_dead(ELSEWHERE, REQUEUED)


@pytest.mark.parametrize(
    "values", [{"cluster": "b"}, {"cluster": ""}, {"array": "8"}, {"array": ""}, {"job": "9"}], ids=str
)
def test_another_job_of_that_number_is_not(values):
    assert known_dead(ELSEWHERE, replace(REQUEUED, **values)) == ""


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

    assert known_dead(replace(me_, pid=10**30), me_) == ""


# ---------------------------------------------------------------------------------------------------------------- ranks


HERE = Owner(host="vm", pid=1, boot="b", namespace="n")
IN_JOB = replace(HERE, job="4711", cluster="alps")


def rank_of(environ: dict[str, str], me: Owner = HERE) -> Rank | None:
    return find_rank(replace(me, job="4711", cluster="alps") if "SLURM_JOB_ID" in environ else me, environ)


@pytest.mark.parametrize("launcher", ALL)
def test_launchers_say_who_is_who(launcher):
    for index in range(4):
        rank = rank_of(ALL[launcher](index))
        assert rank is not None
        assert (rank.index, rank.size) == (index, 4)


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"RANK": "1", "WORLD_SIZE": "4"},  # who set it is unknown
        sbatch(),
        {**sbatch(), "SLURM_STEP_ID": "4294967291", "SLURM_STEP_NUM_TASKS": "4"},
        {**srun(0), "SLURM_STEP_ID": "4294967290"},  # the shell of salloc
        srun(0, size=1),
        torchrun(0, size=1),
        {**srun(1), "MOLEXP_RANKS": "0"},
        {**srun(1), "SLURM_PROCID": "four"},
        {**srun(1), "SLURM_PROCID": "4"},
    ],
    ids=[
        "nothing",
        "by hand",
        "sbatch",
        "batch step",
        "interactive",
        "srun -n1",
        "torchrun 1",
        "off",
        "text",
        "beyond",
    ],
)
def test_what_is_no_rank(environ):
    assert rank_of(environ) is None


def test_within_a_job_step_the_inner_launcher_counts():
    agents = {**srun(1, size=2), **torchrun(5, size=8)}
    proxies = {**mpiexec(3), "SLURM_STEP_ID": "0", "SLURM_PROCID": "1", "SLURM_STEP_NUM_TASKS": "2"}
    pmi2 = {**srun(2), "PMI_RANK": "2", "PMI_SIZE": "4", "PMI_FD": "9"}

    found = [rank_of(environ) for environ in (agents, proxies, pmi2)]

    assert [(rank.launcher, rank.index, rank.size) for rank in found if rank] == [
        ("torchrun", 5, 8),
        ("pmi", 3, 4),
        ("srun", 2, 4),
    ]


def test_a_launch_is_known_again():
    first, second = rank_of(srun(0)), rank_of(srun(3))
    assert first is not None
    assert second is not None
    assert second.recognises(first.launch(0), 0) == "certain"
    assert second.recognises(first.launch(0), 1) == ""
    assert second.recognises(None, 0) == ""
    assert second.recognises({}, 0) == ""
    again = replace(IN_JOB, restart=1)
    other_step = find_rank(IN_JOB, {**srun(3), "SLURM_STEP_ID": "1"})
    for other in (find_rank(again, srun(3, 1)), other_step, rank_of(torchrun(3))):
        assert other is not None
        assert other.recognises(first.launch(0), 0) == ""


def test_without_a_name_of_its_own_the_launchers_process_counts():
    first = Rank(0, 4, "pmi", "", "vm b n", "77:1000")
    launch = first.launch(0)

    assert replace(first, index=1).recognises(launch, 0) == "certain"
    assert replace(first, index=1, parent="77:2000").recognises(launch, 0) == ""
    assert replace(first, index=1, kernel="vm2 c n", parent="77:2000").recognises(launch, 0) == "likely"
    assert replace(first, index=1, parent="").recognises(launch, 0) == "likely"


def test_the_lowest_ranks_result_counts_in_whatever_order_they_are_read():
    said = [{"type": "result", "name": "x", "value": rank, **({"rank": rank} if rank else {})} for rank in range(3)]
    for order in ([0, 1, 2], [2, 1, 0], [1, 0, 2], [2, 0, 1]):
        contents = Contents()
        for rank in order:
            contents.add(said[rank])
        assert contents.results == {"x": 0}
    contents = Contents()
    for event in (said[0], {**said[2]}, {**said[0], "value": "later"}):
        contents.add(event)
    assert contents.results == {"x": "later"}


# --------------------------------------------------------------------------------------------------------------- events


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_the_first_time_counts_in_whatever_order_writers_are_read(order):
    times = ["2026-01-01T00:00:00Z", "2026-01-01T00:00:01Z"]
    said = [{"type": "used", "at": at, "asset": "x", "task": "fit", "retry": retry} for retry, at in enumerate(times)]
    contents = Contents()
    for number in order:
        contents.add(said[number])

    assert contents.used == [{"asset": "x", "at": times[0], "task": "fit"}]


def test_whoever_left_the_dead_to_a_scheduler_does_not_for_ever_though_others_did_at_once(lab_exp):
    session = lab_exp._session
    first, second = session.deferring(), session.deferring()
    with first:
        second.__enter__()
    second.__exit__(None, None, None)
    assert not session.observer.defers
