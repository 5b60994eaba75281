"""Ranks under a real srun: all of a launch are one attempt, and a run of several tasks starts its own."""

from __future__ import annotations

import os
import sys
from textwrap import dedent

import pytest

import molexp as me
from molexp.contracts import Batch, Resources
from molexp_slurm import SlurmQueue
from tests.cli.helpers import program
from tests.slurm.engine import eventually

pytestmark = pytest.mark.slurm

TRACKED = """
    import os
    import molexp as me

    run = me.Workspace("lab").Project("nets").Experiment("s22").Run({"lr": 1e-3}, id="first")
    with run.start() as ctx:
        ctx.set_result(f"samples-{ctx.rank}", 1000 // ctx.world_size)
        ctx.log("train").append(f"rank {ctx.rank} of {ctx.world_size}")
        if ctx.rank == 0:
            ctx.artifact.save("model.json", {"weights": [0.1, 0.2]})
"""
SWEEP = """
    import molexp as me
    from molexp.workflow import WorkflowBuilder

    wf = WorkflowBuilder("ranks")

    @wf.task
    def train(ctx):
        ctx.shell(["srun", "sh", "-c", "echo $SLURM_PROCID of $SLURM_NTASKS >rank-$SLURM_PROCID"])
        ranks = sorted(path.read_text().strip() for path in ctx.workdir.glob("rank-*"))
        ctx.set_result("ranks", ranks)

    ws = me.Workspace("lab")
    wf.build().bind_to(ws.Project("p").Experiment("e", space=me.grid(x=[1, 2])))
    me.entry(ws)
"""


@pytest.mark.parametrize("again", [False, True], ids=["once", "requeued"])
def test_the_ranks_of_a_launch_are_one_attempt(slurm, tmp_path, again):
    (tmp_path / "track.py").write_text(dedent(TRACKED))
    script = 'srun "$0" track.py'
    if again:  # the job waits after its launch until it is requeued
        script += '; [ "$SLURM_RESTART_COUNT" = 1 ] || sleep 600'
    needs = Resources(tasks=3, memory=300 << 20)
    batch = Batch(
        token=f"molexp-{os.urandom(6).hex()}",
        command=("sh", "-c", script, sys.executable),
        folder=str(tmp_path),
        output=str(tmp_path),
        resources=needs,
    )
    queue = SlurmQueue()
    identity = queue.submit(batch)

    def attempts():
        try:
            run = me.Workspace.load(tmp_path / "lab").run("nets/s22/first")
        except me.MolexpError:
            return 0
        return len(run.execution_history) if run.status == "succeeded" else 0

    eventually(lambda: attempts() == 1)
    if again:
        slurm.requeue(f"{identity}_0")
        slurm.begin_again(f"{identity}_0")
        eventually(lambda: attempts() == 2)
    eventually(lambda: f"{identity}_0" not in slurm.alive())

    run = me.Workspace.load(tmp_path / "lab").run("nets/s22/first")
    assert run.results == {f"samples-{rank}": 333 for rank in range(3)}
    assert [attempt["ranks"] for attempt in run.execution_history] == [{"succeeded": 2}] * (2 if again else 1)
    logs = {asset.name for asset in run.assets if asset.kind == "log"}
    assert {"train", "train.rank1", "train.rank2"} <= logs


def test_a_run_of_several_tasks_starts_its_ranks_by_srun(slurm, tmp_path):
    (tmp_path / "sweep.py").write_text(dedent(SWEEP))
    (tmp_path / "molcfg.yaml").write_text(
        "profiles: {cluster: {executor: slurm, resources: {tasks: 3, memory: 300MB}, scheduler: {interval: 1}}}\n"
    )
    done = program(tmp_path, "run", "sweep.py", "-p", "cluster")

    assert (done.code, done.out) == (0, "2 succeeded\n"), done.err
    for run in me.Workspace.load(tmp_path / "lab").project("p").experiment("e").runs:
        assert run.results["ranks"] == ["0 of 3", "1 of 3", "2 of 3"]
        assert len(run.execution_history) == 1
