"""Stopping a workflow from outside: its caller is cancelled, or somebody presses Ctrl-C."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

import molexp as me
from molexp.workflow import TaskContext, WorkflowBuilder

WAIT = 300


class Endless:
    """Two tasks that do not end, one of them in a thread, and one that would come after them."""

    def __init__(self) -> None:
        self.running = threading.Barrier(3)
        self.ended: list[str] = []
        self.wf = WorkflowBuilder("endless")
        self.wf.add(self.coroutine).add(self.thread).add(self.after, depends_on=["coroutine", "thread"])
        self.threads = 0

    async def coroutine(self, ctx: TaskContext) -> None:
        try:
            await asyncio.to_thread(self.running.wait, WAIT)
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)  # there is time to clean up
            self.ended.append("coroutine")

    def thread(self, ctx: TaskContext) -> None:
        self.running.wait(WAIT)
        pause = threading.Event()
        while not ctx.cancelled:
            pause.wait(0.001)
        self.threads += 1

    def after(self, ctx: TaskContext) -> None:
        self.ended.append("after")


def joined() -> None:
    for thread in threading.enumerate():
        if thread.name.startswith("molexp-inline"):
            thread.join(WAIT)


def test_cancelling_the_caller_cancels_the_tasks_and_waits_for_them():
    endless = Endless()

    async def main() -> None:
        caller = asyncio.create_task(endless.wf.build().execute())
        await asyncio.to_thread(endless.running.wait, WAIT)
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
        assert endless.ended == ["coroutine"]
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())
    joined()
    assert endless.threads == 1


def test_a_timeout_around_a_workflow_is_a_timeout():
    endless = Endless()

    async def main() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(None) as clock:
                execution = asyncio.create_task(asyncio.to_thread(endless.running.wait, WAIT))
                execution.add_done_callback(lambda _: clock.reschedule(asyncio.get_running_loop().time()))
                await endless.wf.build().execute()
        assert endless.ended == ["coroutine"]
        assert (await WorkflowBuilder("next").add(lambda ctx: 1, name="a").build().execute(check=True)).run is None

    asyncio.run(main())


def test_cancelling_the_caller_of_mapped_tasks_leaves_none():
    started = asyncio.Event()
    ended: list[int | None] = []

    async def item(ctx: TaskContext) -> None:
        if ctx.index == 9:
            started.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(ctx.index)

    spec = WorkflowBuilder("m").add(lambda ctx: range(10), name="list").add(item, map_over="list", retries=3).build()

    async def main() -> None:
        caller = asyncio.create_task(spec.execute())
        await started.wait()
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
        assert set(ended) == set(range(10))
        assert len(ended) == 10
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())


def test_a_caller_that_was_cancelled_before_can_still_execute():
    spec = WorkflowBuilder("cleanup").add(lambda ctx: 1, name="a").build()

    async def main() -> Any:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return (await spec.execute(check=True)).outputs["a"]

    async def outer() -> Any:
        task = asyncio.create_task(main())
        await asyncio.sleep(0)
        task.cancel()
        return await task

    assert asyncio.run(outer()) == 1


def test_under_a_run_a_caller_that_is_cancelled_leaves_a_cancelled_run():
    endless = Endless()
    run = me.Workspace("memory://cancelled").Project("p").Experiment("e").Run(id="r")

    async def main() -> None:
        caller = asyncio.create_task(endless.wf.build().execute(run=run))
        await asyncio.to_thread(endless.running.wait, WAIT)
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller

    asyncio.run(main())
    assert run.status == "cancelled"


def test_a_loop_that_ends_in_the_middle_takes_its_workflow_along():
    endless = Endless()

    async def main() -> None:
        _ = endless.wf.build().start()
        await asyncio.to_thread(endless.running.wait, WAIT)

    asyncio.run(main())
    assert endless.ended == ["coroutine"]


# -------------------------------------------------------------------------------------------------------------- Ctrl-C

TASKS = """
    import asyncio, sys, threading, time
    from molexp.workflow import WorkflowBuilder

    wf = WorkflowBuilder("endless")

    ready = threading.Event()  # Ctrl-C finds the caller where it waits

    @wf.task
    async def endless(ctx):
        await asyncio.to_thread(ready.wait)
        print("running", flush=True)
        try:
            await asyncio.Event().wait()
        finally:
            print("ended", flush=True)

    @wf.task(depends_on=[])
    def thread(ctx):
        while not ctx.cancelled:
            threading.Event().wait(0.001)

    spec = wf.build()
"""

PLAIN = """
    try:
        spec.execute_sync()
    except KeyboardInterrupt:
        print("interrupted")
"""

IN_A_LOOP = """
    async def main():
        spec.execute_sync()
        print("not reached")

    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        print("interrupted")
"""

IN_A_NOTEBOOK = """
    loop = asyncio.new_event_loop()

    async def cell():
        try:
            spec.execute_sync()
        except KeyboardInterrupt:
            print("interrupted")

    loop.run_until_complete(cell())  # with Python's own handler, as in Jupyter
    loop.close()
"""

AWAITED = """
    try:
        asyncio.run(spec.execute())
    except KeyboardInterrupt:
        print("interrupted")
"""

HANDLE = """
    handle = spec.start()
    try:
        ready.set()
        handle.result()
    except KeyboardInterrupt:
        handle.cancel("by hand")
        result = handle.result()
        assert result.status == "cancelled", result
        print("interrupted")
"""

WITHIN_A_TASK = """
    outer = WorkflowBuilder("outer")

    @outer.task
    async def calls(ctx):
        spec.execute_sync()

    try:
        outer.build().execute_sync()
    except KeyboardInterrupt:
        print("interrupted")
"""


@pytest.fixture
def python(tmp_path: Path) -> Callable[[str], subprocess.Popen[str]]:
    def start(code: str) -> subprocess.Popen[str]:
        script = tmp_path / "script.py"
        script.write_text(
            dedent(TASKS)
            + ("" if code is HANDLE else "ready.set()\n")
            + dedent(code)
            + "\nprint('over', threading.active_count() < 3)\n"
        )
        return subprocess.Popen(
            [sys.executable, "-W", "error", script],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize(
    "code",
    [PLAIN, IN_A_LOOP, IN_A_NOTEBOOK, AWAITED, HANDLE, WITHIN_A_TASK],
    ids=["plain", "in a loop", "in a notebook", "awaited", "handle", "within a task"],
)
def test_one_ctrl_c_ends_the_tasks_and_is_heard_by_the_caller(python, code):
    with python(code) as process:
        assert process.stdout.readline() == "running\n"
        process.send_signal(signal.SIGINT)
        try:
            out, err = process.communicate(timeout=WAIT)
        finally:
            process.kill()
    assert out.splitlines() == ["ended", "interrupted", "over True"], err
    assert (err, process.returncode) == ("", 0)
