"""A sweep whose tasks say that they are there, and go on when they may."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from textwrap import dedent
from typing import Any

import molexp as me
from tests.cli.helpers import Done, program, spawn
from tests.slurm.engine import eventually

RUN = ("run", "sweep.py", "-p", "cluster")
SUBMIT = ("submit", "sweep.py", "-p", "cluster")

SCRIPT = """
    import os, time
    from pathlib import Path
    import molexp as me
    from molexp.workflow import WorkflowBuilder

    wf = WorkflowBuilder("sweep")

    @wf.task
    def double(ctx):
        x = ctx.params["x"]
        Path(f"began-{x}-{os.environ.get('SLURM_RESTART_COUNT', '0')}").write_text(str(os.getpid()))
        while ctx.config["waits"] and not Path(f"go-{x}").exists():
            if Path(f"die-{x}").exists():
                os.kill(os.getpid(), 9)
            time.sleep(0.05)
        ctx.set_result("y", x * 2)

    ws = me.Workspace("lab")
    wf.build().bind_to(ws.Project("p").Experiment("e", space=me.grid(x=[*range(int(os.environ["RUNS"]))])))
    me.entry(ws)
"""
PROFILES = """
    defaults: {waits: true}
    profiles:
      cluster:
        executor: slurm
        resources: {memory: 100MB}
        scheduler: {interval: 1}
"""


def write_sweep(folder: Path) -> None:
    """Write the script and its profiles."""
    (folder / "sweep.py").write_text(dedent(SCRIPT))
    (folder / "molcfg.yaml").write_text(dedent(PROFILES))


class Sweep:
    """A sweep, in the folder where it is."""

    def __init__(self, folder: Path, runs: int, url: str = "", environment: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        self.url = url or str(folder / "lab")
        self.environment = {"RUNS": str(runs), **(environment or {})}

    def start(self, *arguments: str) -> Any:
        """Start ``molexp`` with these arguments; those of the script come behind the first."""
        return spawn(self.folder, *arguments, env=self.environment, stdout=-1, stderr=-1, start_new_session=True)

    def run(self, *arguments: str) -> Done:
        """Run it to its end."""
        return program(self.folder, *arguments, env=self.environment)

    def began(self, x: int, restart: int = 0) -> bool:
        return os.path.exists(self.folder / f"began-{x}-{restart}")

    def wait_for(self, *numbers: int) -> None:
        eventually(lambda: all(self.began(x) for x in numbers))

    def let(self, *numbers: int) -> None:
        for x in numbers:
            (self.folder / f"go-{x}").touch()

    def found(self) -> Mapping[int, tuple[str, str | None, int]]:
        """Return each run by its number: its status, cause, and number of attempts."""
        runs = me.Workspace.load(self.url).project("p").experiment("e").runs
        return {run.parameters["x"]: (str(run.status), run.cause, len(run.execution_history)) for run in runs}
