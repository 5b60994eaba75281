"""A script, a profile, and the local queue as an engine that can be made to fail at the worst moments."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

import molexp as me
from molexp.plugins import default_manager
from tests.cli.helpers import Done, eventually, program, spawn
from tests.record.helpers import install

PLUGIN = """
    from molexp import hookimpl
    from molexp.contracts import Declared

    @hookimpl
    def molexp_register_queues():
        return [Declared("engine", "engine_code:Engine")]

    @hookimpl
    def molexp_register_executors():
        return [Declared("engine", "attached_code:Attached")]
"""
ATTACHED = """
    from molexp.executors import ProcessExecutor

    class Attached(ProcessExecutor):
        name = "engine"
        queues = True

        def __init__(self, *, workers=None, **options):
            super().__init__(workers=workers)

        async def submit(self, call):
            with open("attached.txt", "a") as file:
                print(call.name, file=file)
            return await super().submit(call)
"""
CODE = """
    import os, signal
    from datetime import UTC, datetime
    from msgspec import structs
    from molexp.contracts import JobState, Queue
    from molexp.errors import QueueError, QueueUnavailableError
    from molexp.plugins import default_manager

    class Engine(Queue):
        name = "engine"

        def __init__(self, *, cores=8, folder="queue", at_most=None):
            self.options = {"cores": cores, "folder": folder}
            self.at_most = at_most

        @property
        def local(self):
            return default_manager().queue("local")(**self.options)

        def engine(self):
            return self.local.engine()

        def largest(self):
            if os.path.isdir("meanwhile"):
                os.rename("meanwhile", "lab/submissions")
            if os.path.exists("another.json"):  # of somebody who submits at the same time, and is a little quicker
                name = datetime.now(UTC).strftime("%Y%m%d-%H%M%S-%f-00000000")
                with open("another.json") as told, open(f"lab/submissions/{name}.json", "w") as file:
                    file.write(told.read().replace("ANOTHER", name))
                os.unlink("another.json")
            return self.at_most

        def script(self, batch):
            return self.local.script(batch)

        def submit(self, batch):
            with open("submitted.txt", "a") as file:
                print(batch.token, batch.size, file=file)
            how = os.environ.get("ENGINE", "")
            if how == "refuses":
                raise QueueError(self.name, "invalid partition")
            if how == "silent":
                raise QueueUnavailableError(self.name, "no route to host")
            if how == "kills before":
                os.kill(os.getpid(), signal.SIGKILL)
            answer = self.local.submit(batch)
            if how == "kills after":
                os.kill(os.getpid(), signal.SIGKILL)
            return answer

        def look(self, batches):
            if os.path.exists("unreachable"):
                raise QueueUnavailableError(self.name, "no route to host")
            jobs = self.local.look(batches)
            if os.path.exists("preempted"):
                jobs = [structs.replace(job, state=JobState.QUEUED, word="PENDING") for job in jobs]
            return jobs

        def cancel(self, ids):
            self.local.cancel(ids)
"""
SCRIPT = """
    import os, time
    import molexp as me
    from molexp.workflow import WorkflowBuilder

    wf = WorkflowBuilder("sweep")

    @wf.task
    def double(ctx):
        with open("began.txt", "a") as file:
            print(ctx.params["x"], file=file)
        if os.path.exists("gate"):
            open("gate").read()
        if ctx.params["x"] == int(os.environ.get("FAILS", "0")):
            raise ValueError("it fails")
        ctx.set_result("y", ctx.params["x"] * 2)

    ws = me.Workspace("lab")
    first = ws.Project("p").Experiment("e", space=me.grid(x=[1, 2, 3, 4]))
    wf.build().bind_to(first)
    last = ws.Project("p").Experiment("last", space=me.grid(x=[5]))
    wf.build().bind_to(last)
    me.entry(ws, order=[first, last])
"""
PROFILES = """
    profiles:
      cluster: {executor: engine, resources: {walltime: 600}}
      parts: {executor: engine, scheduler: {at_most: 2}}
      wide: {executor: engine, scheduler: {at_most: 3}}
      odd: {executor: engine, scheduler: {colour: blue}}
"""


class Place:
    """A folder in which a user submits."""

    def __init__(self, folder: Path, env: dict[str, str]) -> None:
        self.folder = folder
        self.env = env

    def molexp(self, *arguments: str, **env: str) -> Done:
        """Call the program."""
        return program(self.folder, *arguments, env={**self.env, **env})

    def spawn(self, *arguments: str, **env: str) -> Any:
        """Start the program."""
        return spawn(self.folder, *arguments, env={**self.env, **env})

    def submit(self, *arguments: str, **env: str) -> Done:
        """Submit the script."""
        return self.molexp("submit", "sweep.py", "-p", "cluster", *arguments, **env)

    def rows(self, status: str | None = None) -> dict[int, str]:
        """Return the status of each run, by its parameter."""
        found = me.Workspace(self.folder / "lab").catalog.runs(experiment="p/e", status=status)
        return {row.parameters["x"]: str(row.status) for row in found}

    def began(self) -> list[str]:
        """Return the parameters of the tasks that have begun."""
        file = self.folder / "began.txt"
        return sorted(file.read_text().split()) if file.exists() else []

    def batches(self) -> list[int]:
        """Return the sizes of the batches that the engine was given, without those that look after others."""
        lines = (self.folder / "submitted.txt").read_text().splitlines()
        return [int(line.split()[1]) for line in lines if not line.split()[0].endswith("-w")]

    def documents(self) -> list[str]:
        """Return the kinds of documents of submissions."""
        names = sorted(os.listdir(self.folder / "lab" / "submissions"))
        return [name.partition(".")[2] for name in names]

    def end(self) -> dict[str, Any]:
        """Return the end of the only submission that has one."""
        (path,) = (self.folder / "lab" / "submissions").glob("*.end.json")
        return dict(json.loads(path.read_text()))

    def until(self, look: Callable[[], Any]) -> Any:
        """Wait until `look` finds something."""
        return eventually(look)

    def settled(self) -> None:
        """Wait until no submission is open."""
        eventually(lambda: "no submission is open" in self.molexp("-w", "lab", "queue").err)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    folder, site = tmp_path / "here", tmp_path / "site"
    folder.mkdir()
    install(site, "molexp-engine", PLUGIN)
    (site / "engine_code.py").write_text(dedent(CODE))
    (site / "attached_code.py").write_text(dedent(ATTACHED))
    (folder / "sweep.py").write_text(dedent(SCRIPT))
    (folder / "molcfg.yaml").write_text(dedent(PROFILES))
    monkeypatch.chdir(folder)
    yield Place(folder, {"PYTHONPATH": str(site)})
    local: Any = default_manager().queue("local")
    queue = local(folder=str(folder / "queue"))  # no process outlives its test
    if (folder / "queue" / "batches").exists():
        queue.cancel(os.listdir(folder / "queue" / "batches"))
        for jobs in (folder / "queue" / "batches").glob("*/jobs.jsonl"):
            for line in map(json.loads, jobs.read_text().splitlines()):
                with suppress(ProcessLookupError, KeyError):
                    os.killpg(line["owner"]["pid"], signal.SIGKILL)  # it may be blocked in a gate
