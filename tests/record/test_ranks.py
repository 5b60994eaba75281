"""Ranks of a launch share one attempt."""

from __future__ import annotations

import pytest

import molexp as me
from tests.crash.launching import srun
from tests.internals import be_rank


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
    found = []

    be_rank(monkeypatch, exp, 0, size=2)
    run = exp.Run({"b": 1})
    with run.start() as first:
        first.artifact.save("cell.json", {"rank": 0})
        first.log("train").append("rank 0")
        be_rank(monkeypatch, exp, 1, size=2)
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
