"""Calls in this process: coroutine functions on the running event loop, everything else in threads."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import inspect
import os
import types
from collections.abc import Awaitable, Callable, Generator
from types import FunctionType
from typing import Any, ClassVar

from molexp._executors.pooled import Pooled, call_it, call_name
from molexp._executors.slots import Ended, GiveBack, Jobs, Server
from molexp.contracts import Call, Outcome


class InlineExecutor(Pooled[Callable[[], Outcome]]):
    """Runs coroutine functions on the running event loop, and everything else in a bounded pool of threads.

    A call sees the context variables of the code that submits it; those that a call in a thread sets, it alone sees.

    A thread cannot be killed. Cancelling a call in one returns at once: the thread goes on, its outcome is dropped,
    and it no longer counts among `workers`, so that a stuck call takes nobody's place. The interpreter does not wait
    for such threads when it exits. `resources` are ignored.

    Args:
        workers: the largest number of threads; `None` means four more than there are processors, up to 32.
            Coroutine functions are not counted.
    """

    name: ClassVar[str] = "inline"
    in_process: ClassVar[bool] = True

    async def submit(self, call: Call) -> Outcome:
        """Run `call` and return how it ended; see `molexp.contracts.Executor`."""
        if _is_coroutine_function(call.function):
            call.begin()
            return await _awaited(lambda: call_it(call))
        context = contextvars.copy_context()
        outcome = await self._serve(call_name(call), lambda: context.run(_called, call))
        if outcome.error is None and inspect.isawaitable(outcome.value):
            awaitable = outcome.value
            return await _awaited(lambda: _within(context, awaitable))
        return outcome

    def _limit(self) -> int:
        return min(32, (os.cpu_count() or 1) + 4)

    def _server(self) -> Callable[[], Server[Callable[[], Outcome]]]:
        return _Here


class _Here:
    """Serves in the thread itself."""

    def room(self) -> int:
        return 1

    def serve(
        self, jobs: Jobs[Callable[[], Outcome]], give_back: GiveBack[Callable[[], Outcome]]
    ) -> Ended[Callable[[], Outcome]]:
        return [(job, job.work()) for job in jobs]

    def stop(self, job: object) -> None:
        return None

    def close(self) -> None:
        pass


def _called(call: Call) -> Outcome:
    try:
        call.begin()
        return Outcome(value=call_it(call))
    except BaseException as error:  # noqa: BLE001 - the thread is ours, and whatever the call raises is its outcome
        return Outcome(error=error)


async def _awaited(begin: Callable[[], Awaitable[Any]]) -> Outcome:
    task = asyncio.current_task()
    before = task.cancelling() if task else 0
    try:
        return Outcome(value=await begin())
    except asyncio.CancelledError as error:
        if task is None or task.cancelling() > before:
            raise  # it is meant for whoever awaits us, and not something that the call itself raised
        return Outcome(error=error)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - Ctrl-C on the event loop is not the call's
        return Outcome(error=error)


@types.coroutine
def _within(context: contextvars.Context, awaitable: Awaitable[Any]) -> Generator[Any, Any, Any]:
    """Await something whose changes of context variables nobody else sees."""
    steps = _result_of(awaitable)
    step = functools.partial(steps.send, None)
    while True:
        try:
            waited_for = context.run(step)
        except StopIteration as end:
            return end.value
        try:
            yield waited_for
            step = functools.partial(steps.send, None)
        except BaseException as error:  # noqa: BLE001 - it is for what waits
            step = functools.partial(steps.throw, error)


async def _result_of(awaitable: Awaitable[Any]) -> Any:
    return await awaitable


def _is_coroutine_function(function: Callable[..., Any]) -> bool:
    if type(function) is not FunctionType and inspect.iscoroutinefunction(type(function).__call__):
        return True
    return inspect.iscoroutinefunction(function)
