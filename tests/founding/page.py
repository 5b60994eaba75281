"""The page's snippets as they stand there, and how the tests put them to use."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import molexp as me
from molexp.workflow import Workflow
from tests.cli.helpers import program

BINDING = """
import molexp as me
from molexp.workflow import Workflow

ws = me.Workspace("./lab")
project = ws.Project("qm9")
exp = project.Experiment(
    "baseline",
    params={"lr": 1e-3},
    workflow_source="train.py",
)
spec.bind_to(exp)
"""

TRAINING = """
@wf.task(depends_on=["fetch"])
async def train(ctx: TaskContext) -> dict:
    dataset = ctx.find_asset("training-data")
    loss = 0.05
    ctx.set_result("final_loss", loss)
    ctx.artifact.save("metrics.json", {"loss": loss})
    ctx.log("train").append(f"loss={loss}")
    return {"loss": loss, "dataset": dataset.path if dataset else None}
"""

PROMOTING = """
with run.start() as ctx:
    ctx.run.experiment.data_assets.import_asset(
        "feature-cache", "/tmp/features.parquet", action="move"
    )
"""

PROLOGUE = """
from molexp.workflow import TaskContext, WorkflowBuilder

wf = WorkflowBuilder(name="training")


@wf.task
def fetch(ctx):
    return [1.0, 2.0]

"""

SCRIPT = f"{PROLOGUE}{TRAINING}\nspec = wf.build()\n{BINDING}"
"""The page's two snippets as one script; ``molexp run`` needs a last line: ``me.entry(ws)``."""

ENTRY = "\nme.entry(ws)\n"


def tracked(exp: me.Experiment, spec: Workflow, **options: Any) -> me.Run:
    """A run of the page's training, executed."""
    run = exp.Run(**options)
    result = spec.execute_sync(run=run)
    assert result.status == "succeeded", result.reason
    return run


def fresh_process(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def script(here: Path, *, space: str = "", profiles: str = "") -> str:
    text = SCRIPT.replace('workflow_source="train.py",', f'workflow_source="train.py",{space}')
    (here / "train.py").write_text(text + ENTRY, encoding="utf-8")
    if profiles:
        (here / "molcfg.yaml").write_text(profiles, encoding="utf-8")
    return "train.py"


def invoke(here: Path, *arguments: str) -> me.Rows[Any]:
    """``molexp run`` on the page's script, as users call it; returns the runs that there are then."""
    done = program(here, "run", "train.py", *arguments)
    assert done.code == 0, done.err
    return me.Workspace.load(here / "lab").catalog.runs(sort="id")
