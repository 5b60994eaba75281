"""Which rank a process is, as launchers tell it, and whose launch is whose."""

from __future__ import annotations

import attrs
import pytest

import molexp as me
from molexp._record.folding import Contents
from molexp._record.launches import Rank, find_rank
from molexp._record.owners import Owner
from tests.crash.launching import ALL, mpiexec, sbatch, srun, torchrun

HERE = Owner(host="vm", pid=1, boot="b", namespace="n")
IN_JOB = attrs.evolve(HERE, job="4711", cluster="alps")


def rank_of(environ: dict[str, str], me: Owner = HERE) -> Rank | None:
    return find_rank(attrs.evolve(me, job="4711", cluster="alps") if "SLURM_JOB_ID" in environ else me, environ)


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
    again = attrs.evolve(IN_JOB, restart=1)
    other_step = find_rank(IN_JOB, {**srun(3), "SLURM_STEP_ID": "1"})
    for other in (find_rank(again, srun(3, 1)), other_step, rank_of(torchrun(3))):
        assert other is not None
        assert other.recognises(first.launch(0), 0) == ""


def test_without_a_name_of_its_own_the_launchers_process_counts():
    first = Rank(0, 4, "pmi", "", "vm b n", "77:1000")
    launch = first.launch(0)

    assert attrs.evolve(first, index=1).recognises(launch, 0) == "certain"
    assert attrs.evolve(first, index=1, parent="77:2000").recognises(launch, 0) == ""
    assert attrs.evolve(first, index=1, kernel="vm2 c n", parent="77:2000").recognises(launch, 0) == "likely"
    assert attrs.evolve(first, index=1, parent="").recognises(launch, 0) == "likely"


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


def test_a_process_of_its_own_is_rank_0_of_1(lab_exp):
    with lab_exp.Run().start() as ctx:
        assert (ctx.rank, ctx.world_size) == (0, 1)


def test_ranks_that_ask_for_other_parameters_are_told(script, lab):
    code = """
        import os, molexp as me
        exp = me.Workspace(os.environ["LAB"]).Project("p").Experiment("e")
        try:
            exp.Run({"seed": int(os.environ["SLURM_PROCID"])}).start().finish()
        except me.errors.ConflictError as error:
            print("conflict", error.given)
    """
    assert script(code, **srun(0, size=2), MOLEXP_RANK_WAIT="0.1").code == 0
    assert script(code, **srun(1, size=2)).out == "conflict {'parameters': {'seed': 1}}\n"
    assert len(list(me.Workspace(lab.url).project("p").experiment("e").runs)) == 1


def test_the_provenance_is_rank_0s(script, lab):
    code = """
        import os, threading, molexp as me
        with me.Workspace(os.environ["LAB"]).Project("p").Experiment("e").Run(id="x").start(capture=True) as ctx:
            print("hello from", ctx.rank, flush=True)
    """
    assert script(code, **srun(0, size=2), MOLEXP_RANK_WAIT="0.1").code == 0
    late = script(code, **srun(1, size=2))
    assert "RunError" in late.err
    run = me.Workspace(lab.url).project("p").experiment("e").run("x")
    assert run.logs["stdout"].text() == "hello from 0\n"


@pytest.mark.parametrize("append", [True, False], ids=["append", "no append"])
def test_on_storage_without_append_too(append, monkeypatch):
    """Two ranks, which one process plays in turn."""
    exp = me.Workspace(f"memory://ranks-{append}", storage_options={"append": append}).Project("p").Experiment("e")
    process = exp._home.process
    found = []

    def play(index: int) -> None:
        monkeypatch.setattr(process, "_rank", Rank(index, 2, "srun", "4711/0", exact=True))
        monkeypatch.setattr(process, "_ranked", True)
        monkeypatch.setattr(process, "_counts", {})

    play(0)
    run = exp.Run({"b": 1})
    with run.start() as first:
        first.artifact.save("cell.json", {"rank": 0})
        first.log("train").append("rank 0")
        play(1)
        assert exp.Run({"b": 1}) == run
        with run.start() as second:
            second.artifact.save("cell.json", {"rank": 1})
            second.log("train").append("rank 1")
            second.set_result("x", 1)
            second.flush()
            found.append(second.artifact.load("cell.json"))
        found.append(first.artifact.load("rank1/cell.json"))

    assert found == [{"rank": 1}, {"rank": 1}]
    assert run.status == "succeeded"
    assert run.results == {"x": 1}
    assert {asset.name for asset in run.assets} == {"cell.json", "rank1/cell.json", "train", "train.rank1"}
    assert {name: log.text() for name, log in run.logs.items()} == {"train": "rank 0\n", "train.rank1": "rank 1\n"}
    (attempt,) = run.execution_history
    assert attempt["ranks"] == {"succeeded": 1}
    assert "late" not in attempt
