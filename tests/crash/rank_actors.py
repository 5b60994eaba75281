"""Act as the ranks of one launch. Every rank does the same, as under torchrun, srun and mpirun."""

from __future__ import annotations

import os
import time

import molexp as me
from molexp.workflow import WorkflowBuilder
from tests.crash.talking import tell, wait


def rank_runs(folder: str) -> None:
    """Three runs: one with an id, one without, one with a derived one."""
    exp = me.Workspace(folder).Project("metals").Experiment("cu", params={"a": 3.6})
    for make in (lambda: exp.Run(id="one"), lambda: exp.Run({"b": 1}), lambda: exp.derived_run({"c": 2})):
        run = make()
        with run.start() as ctx:
            ctx.set_result(f"of-{ctx.rank}", ctx.world_size)
            ctx.set_result("rank", ctx.rank)
            ctx.artifact.save("cell.json", {"rank": ctx.rank})
            assert ctx.artifact.load("cell.json") == {"rank": ctx.rank}
            ctx.log("train").append(f"rank {ctx.rank}")
            ctx.metrics.log(loss=ctx.rank)
        tell(run=run.id, rank=ctx.rank, attempt=ctx.attempt)


def rank_shared(folder: str) -> None:
    """One run, in whose block the ranks do what they are told."""
    run = me.Workspace(folder).Project("metals").Experiment("cu").Run(id="one")
    left = ""
    try:
        with run.start() as ctx:
            ctx.set_result(f"of-{ctx.rank}", ctx.attempt)
            tell(attempt=ctx.attempt, rank=ctx.rank)
            while (order := wait()) not in ("", "leave"):
                if order == "fail":
                    raise ValueError("diverged")
                if order == "sleep":
                    tell(sleeping=True)
                    time.sleep(600)
                if order == "workflow":
                    flow = WorkflowBuilder(name="w")
                    flow.task(name="t")(lambda ctx: 1)
                    flow.build().execute_sync(run=ctx)
                ctx.set_result("last", order)
    except Exception as error:  # noqa: BLE001 - it is told
        left = f"{type(error).__name__}: {error}"
    tell(left=left)


def rank_alone(folder: str) -> None:
    """Runs that rank 0 alone starts."""
    exp = me.Workspace(folder).Project("metals").Experiment("cu")
    for number in range(int(os.environ["COUNT"])):
        began = time.monotonic()
        with exp.Run(id=f"run-{number}").start():
            pass
        tell(seconds=time.monotonic() - began)
        os.environ["MOLEXP_RANK_WAIT"] = os.environ["THEN_WAIT"]
