"""The process that executes a workflow is killed, told to end, interrupted, or asked to stop by another one."""

from __future__ import annotations

import os
import signal
import subprocess
from collections import Counter

import pytest

import molexp as me
from tests.workflow.runs.editing import Script

pytestmark = pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="POSIX")

WAITING = """
import asyncio, atexit, threading

SAW = threading.Event()
if os.environ.get("WAIT") == "poll":
    atexit.register(SAW.wait, 120)  # nobody waits for a thread that is given up

wf = WorkflowBuilder("waiting")

def told(name):
    did(name)
    print(name, flush=True)

@wf.task
def first(ctx):
    told("first")
    ctx.set_result("first", 1)
    ctx.artifact.save("first.json", [1])
    return 1

@wf.task(depends_on=[first], retries=1, backoff=0)
def second(ctx):
    if ctx.retry == 0:
        ctx.set_result("rough", 1)
        ctx.artifact.save("rough.json", [0])
        ctx.log("second").append("rough")
        raise ValueError("too rough")
    ctx.set_result("fine", 2)
    ctx.artifact.save("fine.json", [2])
    ctx.log("second").append("fine")
    told("second")
    if os.environ.get("WAIT") == "poll":
        while not ctx.cancelled:
            threading.Event().wait(0.01)
        did("saw it")
        SAW.set()
    elif os.environ.get("WAIT"):
        threading.Event().wait(3000)
    return 2

@wf.task
async def beside(ctx):
    if os.environ.get("WAIT"):
        ctx.log("beside").append("waiting")
        await asyncio.Event().wait()
    return 3

@wf.task(depends_on=[second, beside])
def last(ctx):
    told("last")
    return sum(ctx.inputs.values())
"""


@pytest.fixture
def waiting(tmp_path):
    return Script(tmp_path, WAITING)


def until_second(script: Script, **more: str) -> subprocess.Popen[str]:
    """Start it, and wait until its second task has recorded all that it does before it waits."""
    process = script.start(WAIT="1", MOLEXP_LEASE_BEAT="0.1", **more)
    assert process.stdout is not None
    assert process.stdout.readline() == "first\n"
    assert process.stdout.readline() == "second\n"
    return process


def ended(process: subprocess.Popen[str]) -> int:
    process.communicate(timeout=300)
    return process.returncode


def the_run(script):
    return me.Workspace.load(script.lab).project("metals").experiment("cu").run("one")


def nothing_is_lost(run):
    assert run.results == {"first": 1, "fine": 2}
    assert run.asset("first.json").load() == [1]
    assert run.asset("fine.json").load() == [2]
    assert run.logs["second"].text() == "rough\nfine\n"
    assert run.logs["beside"].text() == "waiting\n"
    assert not [asset for asset in run.assets if asset.name == "rough.json"]
    assert "too rough" in run.asset("tasks/second/error-trace").load()


def resumes_where_it_was(script, reason):
    again = script.execute()
    assert again["done"] == ["second", "last"]
    assert again["status"] == "succeeded"
    assert again["reasons"]["first"] == "unchanged"
    assert again["reasons"]["second"] == again["reasons"]["beside"] == reason
    assert again["outputs"]["last"] == "5"
    run = the_run(script)
    assert run.status == "succeeded"
    assert max(Counter(script.did()).values()) == 2
    leftovers = [f for f in me.Workspace.load(script.lab).fsck().findings if "no record names it" not in f.what]
    assert not leftovers


def test_after_sigkill_a_resume_loses_nothing(waiting):
    """Whoever looks next, on the same machine, knows that it is dead."""
    process = until_second(waiting)
    process.kill()
    ended(process)

    run = the_run(waiting)
    nothing_is_lost(run)
    resumes_where_it_was(waiting, "it was interrupted before")
    first, second = run.execution_history
    assert (first["status"], second["status"]) == ("interrupted", "succeeded")
    assert first["tasks"] == {"interrupted": 2, "succeeded": 1}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1], ids=lambda number: number.name)
def test_after_a_signal_to_end_a_resume_loses_nothing(waiting, number):
    process = until_second(waiting)
    process.send_signal(number)

    assert ended(process) == 128 + number
    run = the_run(waiting)
    nothing_is_lost(run)
    (attempt,) = run.execution_history
    assert attempt["status"] == "interrupted"
    assert number.name in attempt["reason"]
    again = waiting.execute()
    assert again["done"] == ["second", "last"]


def test_ctrl_c(waiting):
    process = until_second(waiting)
    process.send_signal(signal.SIGINT)

    assert ended(process) in (1, -signal.SIGINT, 130)
    run = the_run(waiting)
    nothing_is_lost(run)
    (attempt,) = run.execution_history
    assert attempt["status"] == "cancelled"
    assert attempt["tasks"] == {"cancelled": 3, "succeeded": 1}
    resumes_where_it_was(waiting, "it was cancelled before")


def test_cancelled_by_another_process(waiting):
    """Its tasks see it at the next beat; what is recorded until then stays."""
    process = waiting.start(WAIT="poll", MOLEXP_LEASE_BEAT="0.05")
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.readline()
    run = the_run(waiting)
    run.cancel("enough of it")

    assert ended(process) == 0
    assert waiting.did() == ["first", "second", "saw it"]
    nothing_is_lost(run)
    (attempt,) = run.execution_history
    assert attempt["status"] == "cancelled"
    assert attempt["reason"] == "enough of it"
    assert attempt["tasks"] == {"cancelled": 2, "succeeded": 1}
    again = waiting.execute()
    assert again["done"] == ["second", "last"]


def test_cancelled_in_an_open_context(tmp_path):
    script = Script(tmp_path, WAITING)
    script.edit(
        "    result = wf.build().execute_sync(run=run, resume=True)\n",
        "    with run.start() as ctx:\n        result = wf.build().execute_sync(run=ctx)\n",
    )
    process = script.start(WAIT="poll", MOLEXP_LEASE_BEAT="0.05")
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.readline()
    run = the_run(script)
    run.cancel("enough of it")

    ended(process)
    (attempt,) = run.execution_history
    assert attempt["status"] == "cancelled"
    assert attempt["reason"] == "enough of it"


def test_killed_again_and_again(waiting):
    """A task is executed at most once more than it was killed."""
    for kills in range(1, 4):
        process = waiting.start(WAIT="1")
        assert process.stdout is not None
        while process.stdout.readline() != "second\n":
            pass
        process.kill()
        ended(process)
        assert waiting.did() == ["first"] + ["second"] * kills

    run = the_run(waiting)
    assert waiting.execute()["done"] == ["second", "last"]
    assert [entry["status"] for entry in run.execution_history] == ["interrupted"] * 3 + ["succeeded"]
    assert run.results == {"first": 1, "fine": 2}


def test_a_run_whose_owner_lives_is_not_resumed(waiting):
    process = until_second(waiting)
    other = waiting.start()
    _, said = other.communicate(timeout=300)

    assert other.returncode == 1
    assert "RunBusyError" in said
    assert str(process.pid) in said
    assert waiting.did() == ["first", "second"]
    process.kill()
    ended(process)
    assert os.path.exists(waiting.lab)
