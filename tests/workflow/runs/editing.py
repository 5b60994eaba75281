"""Scripts that are executed, edited and executed again, each time by a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from textwrap import dedent
from typing import Any

from tests import warm

DEADLINE = 300

HEAD = """
from __future__ import annotations
import json, os, signal, sys
from pathlib import Path
import molexp as me
from molexp.workflow import WorkflowBuilder

LAB = os.environ["LAB"]
signal.signal(signal.SIGINT, signal.default_int_handler)  # whatever those who started us ignore

def did(name):
    # a side effect that can be counted, whatever the record says
    with open(os.environ["DONE"], "a") as file:
        file.write(name + "\\n")
"""

TAIL = """
def main(parameters):
    run = me.Workspace(LAB).Project("metals").Experiment("cu").Run(parameters, id="one")
    result = wf.build().execute_sync(run=run, resume=True)
    print(json.dumps({
        "status": str(result.status),
        "reasons": {name: outcome.reason for name, outcome in result.tasks.items()},
        "statuses": {name: outcome.status for name, outcome in result.tasks.items()},
        "executed": list(result.executed),
        "outputs": {name: repr(result.outputs[name]) for name in result.outputs},
    }))

if __name__ == "__main__":
    main(json.loads(os.environ.get("PARAMETERS", "null")))
"""


class Script:
    """A script of tasks in a file that is edited in between."""

    def __init__(self, folder: Path, tasks: str) -> None:
        self.folder = folder
        self.path = folder / "relax.py"
        self.lab = folder / "lab"
        self.done = folder / "done.txt"
        self.write(tasks)

    def write(self, tasks: str) -> None:
        self.path.write_text(HEAD + dedent(tasks) + TAIL)

    def edit(self, old: str, new: str) -> None:
        text = self.path.read_text()
        assert text.count(old) == 1, f"{old!r} is there {text.count(old)} times"
        self.path.write_text(text.replace(old, new))

    def environment(self, **more: str) -> dict[str, str]:
        return {**os.environ, "LAB": str(self.lab), "DONE": str(self.done), **more}

    def start(self, **more: str) -> warm.Popen:
        return warm.Popen(
            [sys.executable, str(self.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.folder,
            env=self.environment(**more),
        )

    def execute(self, **more: str) -> Mapping[str, Any]:
        """Execute it to its end; returns what it printed, and under ``done`` what was done this time."""
        before = len(self.did())
        ended = warm.run(
            [sys.executable, str(self.path)],
            capture_output=True,
            text=True,
            check=False,
            cwd=self.folder,
            env=self.environment(**more),
            timeout=DEADLINE,
        )
        assert ended.returncode == 0, ended.stderr
        found: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
        return {**found, "done": self.did()[before:]}

    def did(self) -> list[str]:
        """The side effects so far, in order."""
        return self.done.read_text().splitlines() if self.done.exists() else []
