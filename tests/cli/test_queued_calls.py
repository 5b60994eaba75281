"""Calls that wait in a queue outside of the process that submitted them: who they are, how far they are, and what comes too late."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from textwrap import dedent

import pytest

import molexp as me
from tests.cli.helpers import program
from tests.cli.test_run import write
from tests.record.helpers import install

PLUGIN = """
    from molexp import hookimpl
    from molexp.contracts import Declared

    @hookimpl
    def molexp_register_executors():
        return [Declared("line", "line_code:Line")]
"""
CODE = """
    import asyncio, os
    from molexp.contracts import Progress
    from molexp.executors import ProcessExecutor, pack

    class Line(ProcessExecutor):
        name = "line"
        queues = True
        calls = 0

        def __init__(self, *, workers=None, shown="", cancel=False):
            super().__init__(workers=workers)
            self.shown, self.cancel = shown, cancel

        async def submit(self, call):
            Line.calls += 1
            job = f"4711_{Line.calls}"
            with open("keys", "a") as file:
                print(call.key, file=file)
            call.tell(Progress("queued", job=job))
            if self.cancel:
                import molexp
                molexp.Workspace.load("lab").run(call.name).cancel("no more")
            if "LATE" in os.environ:
                with open("late", "wb") as file:
                    file.write(pack(call))
                raise asyncio.CancelledError
            began = call.begin
            if self.shown:
                began(host="node1", job=job)
                call.tell(Progress("requeued", job=job, restarts=1))
                await asyncio.sleep(0)
                os.system(self.shown)
                began(host="node2", job=job, restarts=1)
            return await super().submit(call)
"""
SCRIPT = """
    import os
    from pathlib import Path

    import molexp as me
    from molexp.workflow import WorkflowBuilder

    wf = WorkflowBuilder("sweep")

    @wf.task(executor=os.environ.get("TASKS", "inline"))
    def double(ctx):
        Path("executed").touch()
        return ctx.params["x"] * 2

    @wf.task(map_over="points", executor=os.environ.get("TASKS", "inline"), depends_on=["points"])
    def odd_näme(ctx):
        return ctx.inputs

    @wf.task
    def points(ctx):
        return [1, 2]

    ws = me.Workspace("lab")
    wf.build().bind_to(ws.Project("p").Experiment("e", space=me.grid(x=[1])))
    me.entry(ws)
"""
PROFILES = """
    profiles:
      line: {executor: line}
      shown: {executor: line, scheduler: {shown: "true"}}
      cancelled: {executor: line, scheduler: {cancel: true}}
"""


@pytest.fixture
def line(here, tmp_path):
    """Return the environment of processes that have the executor."""
    site = tmp_path / "site"
    install(site, "molexp-line", PLUGIN)
    (site / "line_code.py").write_text(dedent(CODE))
    write(here, SCRIPT, "sweep.py")
    (here / "molcfg.yaml").write_text(dedent(PROFILES))
    return {"PYTHONPATH": str(site)}


def the_run(here):
    return next(iter(me.Workspace.load(here / "lab").project("p").experiment("e").runs))


def test_a_run_has_one_key_for_each_attempt_and_its_queue_is_told(here, line):
    done = program(here, "run", "sweep.py", "-p", "shown", env=line)
    assert (done.code, done.out) == (0, "1 succeeded\n"), done.err
    program(here, "run", "sweep.py", "-p", "line", "--rerun", env=line)

    run = the_run(here)
    workspace = json.loads((here / "lab/workspace.json").read_text())["id"]
    keys = (here / "keys").read_text().split()
    assert keys == [f"run-{workspace}:p:e:{run.id}:1", f"run-{workspace}:p:e:{run.id}:2"]
    said = re.findall(rf"^molexp: {run.path}.*\) ((?:queued|started).*)$", done.err, re.MULTILINE)
    assert said == ["queued: job 4711_1", "started (new)", "queued: job 4711_1, restarted once", "started (new)"]


def test_tasks_have_keys_of_their_own_and_where_they_were_is_on_record(here, line, tmp_path):
    code = tmp_path / "site/line_code.py"
    code.write_text(code.read_text().replace('shown=""', f'shown="{sys.executable} look.py"'))
    (here / "look.py").write_text(
        "import molexp as me\n"
        "run = next(iter(me.Workspace.load('lab').project('p').experiment('e').runs))\n"
        "one = run.tasks['double']\n"
        "print({k: one.get(k) for k in ('status', 'job', 'restarts')}, file=open('looked', 'a'))\n"
    )

    done = program(here, "run", "sweep.py", env={**line, "TASKS": "line"})

    assert done.code == 0, done.err
    run = the_run(here)
    assert {"status": "queued", "job": "4711_1", "restarts": 1} in map(eval, (here / "looked").read_text().splitlines())
    shown = json.loads(program(here, "show", run.path, "--json", env={**line, "MOLEXP_WORKSPACE": "lab"}).out)["tasks"]
    assert (shown["double"]["host"], shown["double"]["restarts"]) == ("node2", 1)
    keys = (here / "keys").read_text().split()
    assert len(set(keys)) == 3
    names = sorted(re.sub(r"-[0-9a-f]{16}:", "-W:", key).replace(run.id, "R") for key in keys)
    assert [re.sub("[0-9a-f]{12}$", "HASH", name) for name in names] == [
        "double-W:p:e:R:1:0",
        "odd_n_me-W:p:e:R:1:0:0:HASH",
        "odd_n_me-W:p:e:R:1:0:1:HASH",
    ]


def test_a_run_that_is_cancelled_while_it_waits_stays_cancelled(here, line):
    done = program(here, "run", "sweep.py", "-p", "cancelled", env=line)

    assert done.code == 1
    assert "cancelled: no more" in done.out
    assert (the_run(here).status, the_run(here).execution_history) == ("cancelled", [])
    assert not (here / "executed").exists()
    assert program(here, "run", "sweep.py", "-p", "line", env=line).out == "1 succeeded\n"


def test_a_task_of_an_attempt_that_has_ended_is_not_executed(here, line):
    program(here, "run", "sweep.py", env={**line, "TASKS": "line", "LATE": "yes"})
    assert the_run(here).status == "failed"
    code = "import sys; from molexp.executors import *; print(unpack(run_packed(open('late', 'rb').read())).error)"

    told = subprocess.run(
        [sys.executable, "-c", code], cwd=here, env={**os.environ, **line}, capture_output=True, text=True, check=True
    )

    assert "attempt 1 has ended" in told.stdout
    assert not (here / "executed").exists()
