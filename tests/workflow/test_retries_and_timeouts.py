"""Trying again after a failure, and not waiting for ever."""

from __future__ import annotations

import asyncio
import os
import threading
from typing import Any

import pytest

import molexp as me
from molexp.errors import TaskEndedError, TaskTimeoutError
from molexp.workflow import TaskContext, WorkflowBuilder
from tests.workflow.clock import LIMIT

WAIT = 300
SOON = 0.03  # seconds; a timeout that is meant to be over

# ------------------------------------------------------------------------------------------------------------- retries


@pytest.mark.parametrize("kind", ["plain", "async"])
def test_a_task_is_tried_again_until_it_succeeds_and_knows_which_try_it_is(wf, kind):
    tries = []

    def plain(ctx: TaskContext) -> str:
        tries.append(ctx.retry)
        if ctx.retry < 2:
            raise ValueError(f"try {ctx.retry}")
        return "done"

    async def coroutine(ctx: TaskContext) -> str:
        return plain(ctx)

    wf.add(plain if kind == "plain" else coroutine, name="t", retries=5, backoff=0)
    outcome = wf.build().execute_sync(check=True).tasks["t"]
    assert tries == [0, 1, 2]
    assert (outcome.output, outcome.retries, outcome.error) == ("done", 2, None)
    assert outcome.reason == "retry 2 after ValueError: try 1"


def test_after_the_last_retry_the_last_error_counts(wf):
    def work(ctx: TaskContext) -> None:
        raise ValueError(f"try {ctx.retry}")

    wf.add(work, retries=2, backoff=0)
    outcome = wf.build().execute_sync().tasks["work"]
    assert (outcome.status, outcome.reason, outcome.retries) == ("failed", "ValueError: try 2", 2)


def test_a_task_without_retries_is_tried_once(wf):
    tries = []

    def work(ctx: TaskContext) -> None:
        tries.append(1)
        raise ValueError

    wf.add(work)
    assert wf.build().execute_sync().tasks["work"].retries == 0
    assert tries == [1]


def test_many_retries_without_backoff(wf):
    async def work(ctx: TaskContext) -> int:
        if ctx.retry < 1500:
            raise ValueError
        return ctx.retry

    wf.add(work, retries=2000, backoff=0.0)
    assert wf.build().execute_sync(check=True).outputs["work"] == 1500


def test_the_backoff_doubles_up_to_a_minute(wf, monkeypatch):
    waited = []
    sleep = asyncio.sleep

    async def no_sleep(seconds: float) -> None:  # nobody wants to wait for this one
        waited.append(seconds)
        await sleep(0)

    async def work(ctx: TaskContext) -> None:
        raise ValueError

    monkeypatch.setattr(asyncio, "sleep", no_sleep)
    wf.add(work, retries=8, backoff=0.5)
    wf.build().execute_sync()
    assert waited == [0.5, 1, 2, 4, 8, 16, 32, 60]


@pytest.mark.parametrize("error", [SystemExit(1), asyncio.CancelledError(), OSError("disk")])
def test_an_exit_is_final_and_everything_else_is_tried_again(wf, error):
    tries = []

    def work(ctx: TaskContext) -> None:
        tries.append(ctx.retry)
        raise error

    wf.add(work, retries=1, backoff=0)
    assert wf.build().execute_sync().tasks["work"].status == "failed"
    assert tries == ([0] if isinstance(error, SystemExit) else [0, 1])


def test_while_a_task_waits_for_its_retry_it_can_be_cancelled(wf):
    tried = threading.Event()

    def work(ctx: TaskContext) -> None:
        tried.set()
        raise ValueError

    handle = wf.add(work, retries=1, backoff=60).build().start()
    assert tried.wait(WAIT)
    handle.cancel()
    assert handle.result(WAIT).tasks["work"].status == "cancelled"


# ------------------------------------------------------------------------------------------------------------ timeouts


def test_a_coroutine_that_takes_too_long_is_cancelled(wf):
    ended = []

    async def slow(ctx: TaskContext) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(ctx.cancelled)

    wf.add(slow, timeout=SOON).add(lambda ctx: 1, name="after", depends_on=["slow"])
    result = wf.build().execute_sync()
    error = result.tasks["slow"].error
    assert isinstance(error, TaskTimeoutError)
    assert isinstance(error, TimeoutError)
    assert (error.task, error.timeout, error.abandoned) == ("slow", SOON, False)
    assert str(error) == f"Task 'slow' ran longer than {SOON} s."
    assert error.__cause__ is not None  # where it was interrupted
    assert ended == [False]
    assert result.tasks["after"].reason == "task 'slow' failed"


@pytest.mark.parametrize("how", ["returns", "raises"])
def test_a_coroutine_that_does_not_let_itself_be_cancelled_is_still_late(wf, how):
    async def stubborn(ctx: TaskContext) -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            if how == "raises":
                raise ValueError("cleanup") from None
        return "late"

    wf.add(stubborn, timeout=SOON)
    outcome = wf.build().execute_sync().tasks["stubborn"]
    assert (outcome.status, outcome.output) == ("failed", None)
    assert isinstance(outcome.error, TaskTimeoutError)
    assert str(outcome.error.__cause__ or "").startswith("cleanup" if how == "raises" else "")


def test_a_thread_that_takes_too_long_is_abandoned_and_the_result_says_so(wf):
    over, seen = threading.Event(), []

    def slow(ctx: TaskContext) -> None:
        over.wait(WAIT)
        seen.append(ctx.cancelled)

    wf.add(slow, timeout=SOON)
    try:
        outcome = wf.build().execute_sync().tasks["slow"]
        assert not seen
    finally:
        over.set()
    assert isinstance(outcome.error, TaskTimeoutError)
    assert outcome.error.abandoned
    assert "cannot be killed" in outcome.reason
    assert "executor='process'" in outcome.reason
    for thread in threading.enumerate():
        if thread.name.startswith("molexp-inline"):
            thread.join(WAIT)
    assert seen == [True]


def test_what_an_abandoned_thread_records_is_refused(wf, clock):
    over, ended = threading.Event(), threading.Event()
    raised: list[BaseException] = []

    def slow(ctx: TaskContext) -> None:
        ctx.set_result("before", 1)
        clock.skip()
        over.wait(WAIT)
        for write in (
            lambda: ctx.set_result("after", 1),
            lambda: ctx.artifact.save("a.json", [1]),
            lambda: ctx.log("late").append("line"),
            lambda: ctx.metrics.log(step=1, loss=1),
        ):
            try:
                write()
            except TaskEndedError as error:
                raised.append(error)
        ended.set()

    run = me.Workspace("memory://abandoned").Project("p").Experiment("e").Run(id="r")
    wf.add(slow, timeout=LIMIT)
    try:
        result = wf.build().execute_sync(run=run)
    finally:
        over.set()
    assert ended.wait(WAIT)
    assert result.status == run.status == "failed"
    assert [type(error) for error in raised] == [TaskEndedError] * 4
    assert str(raised[0]) == f"Nothing can be recorded for task 'slow' any more: it ran longer than {LIMIT:g} s."
    assert dict(run.results) == {"before": 1}


def test_a_file_that_an_abandoned_thread_opens_as_its_time_ends_is_closed(wf, clock, tmp_path, monkeypatch):
    from molexp_fs import LocalStore

    over, refused = threading.Event(), threading.Event()
    opened: list[Any] = []
    open_append = LocalStore.open_append

    def open_slowly(store: LocalStore, key: str, **options: Any) -> Any:
        appender = open_append(store, key, **options)
        if key.endswith("late.log"):
            clock.skip()
            over.wait(WAIT)
            opened.append(appender)
        return appender

    def slow(ctx: TaskContext) -> None:
        try:
            ctx.log("late").append("line")
        except TaskEndedError:
            refused.set()

    monkeypatch.setattr(LocalStore, "open_append", open_slowly)
    run = me.Workspace(tmp_path).Project("p").Experiment("e").Run(id="r")
    wf.add(slow, timeout=LIMIT)
    try:
        assert wf.build().execute_sync(run=run).status == "failed"
    finally:
        over.set()
    assert refused.wait(WAIT)
    with pytest.raises(ValueError, match="closed"):
        opened[0].write(b"more")


@pytest.mark.parametrize("kind", ["plain", "async"])
def test_a_timeout_error_of_the_tasks_own_is_a_plain_failure(wf, kind):
    def plain(ctx: TaskContext) -> None:
        raise TimeoutError("the server's")

    async def coroutine(ctx: TaskContext) -> None:
        async with asyncio.timeout(0):
            await asyncio.Event().wait()

    wf.add(plain if kind == "plain" else coroutine, name="t", timeout=WAIT)
    error = wf.build().execute_sync().tasks["t"].error
    assert type(error) is TimeoutError


def test_waiting_for_a_thread_is_no_time_of_the_tasks(wf, clock):
    """The threads are taken for longer than the task may take that waits for one."""
    threads = min(32, (os.cpu_count() or 1) + 4)  # as documented
    meeting = threading.Barrier(threads + 1)
    over = threading.Event()

    def holds(ctx: TaskContext) -> None:
        meeting.wait(WAIT)
        over.wait(WAIT)

    @wf.task
    async def first(ctx: TaskContext) -> list[int]:
        return list(range(threads))

    wf.add(holds, map_over=first)

    @wf.task(depends_on=first)
    async def all_are_taken(ctx: TaskContext) -> None:
        await asyncio.to_thread(meeting.wait, WAIT)

    wf.add(lambda ctx: over.is_set(), name="quick", depends_on=all_are_taken, timeout=LIMIT)

    @wf.task(depends_on=all_are_taken)
    async def time_passes(ctx: TaskContext) -> None:
        for skipped in (0.0, 2 * LIMIT, 0.0):
            clock.skip(skipped)
            for _ in range(10):  # everything that can go on does
                await asyncio.sleep(0)
        over.set()

    result = wf.build().execute_sync(check=True)
    assert result.outputs["quick"] is True


def test_every_try_has_the_whole_timeout(wf):
    async def work(ctx: TaskContext) -> int:
        if ctx.retry < 2:
            await asyncio.Event().wait()
        return ctx.retry

    wf.add(work, timeout=SOON, retries=2, backoff=0)
    assert wf.build().execute_sync(check=True).outputs["work"] == 2


def test_a_task_within_its_time_is_left_alone(wf):
    def plain(ctx: TaskContext) -> int:
        return 1

    async def coroutine(ctx: TaskContext) -> int:
        await asyncio.sleep(0)
        return 2

    wf.add(plain, timeout=WAIT).add(coroutine, timeout=float("inf"))
    assert dict(wf.build().execute_sync(check=True).outputs) == {"plain": 1, "coroutine": 2}


def test_a_timeout_of_a_workflow_inside_is_not_the_tasks_own():
    async def slow(ctx: TaskContext) -> None:
        await asyncio.Event().wait()

    inner = WorkflowBuilder("inner").add(slow, timeout=SOON).build()

    async def outer(ctx: TaskContext) -> Any:
        raise (await inner.execute()).tasks["slow"].error or AssertionError

    outcome = WorkflowBuilder("outer").add(outer, timeout=WAIT).build().execute_sync().tasks["outer"]
    assert isinstance(outcome.error, TaskTimeoutError)
    assert outcome.error.task == "slow"
