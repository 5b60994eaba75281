"""One try of one task: what it is given, and where it is executed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from molexp._recording import current
from molexp._recording.signals.handlers import Terminated
from molexp._running.endings import message_of
from molexp._values.copies import own_copy
from molexp._workflow.context import TaskContext
from molexp._workflow.keys import task_key
from molexp._workflow.results import TaskOutcome
from molexp._workflow.tasks import INLINE, TaskSpec
from molexp.contracts import Call, Progress, Resources
from molexp.errors import TaskTimeoutError

if TYPE_CHECKING:
    from molexp._hierarchy.run_context import RunContext
    from molexp._recording.task_recorder import TaskRecorder
    from molexp._workflow.executors import Executors
    from molexp._workflow.records import TaskRecords
    from molexp._workflow.remote import Handle


_NO_NEEDS = Resources()


class Caller(Struct, frozen=True, dict=True):
    """Makes the contexts of the tasks of an execution, and calls them.

    Attributes:
        params: the values that tasks see as `ctx.params`.
        config: the values that they see as `ctx.config`.
        executors: the executors that execute them.
        run: the run that they record in; None in memory.
        records: the records of the tasks; None in memory.
    """

    params: Mapping[str, Any]
    config: Mapping[str, Any]
    executors: Executors
    run: RunContext | None
    records: TaskRecords | None

    def context(
        self, spec: TaskSpec, index: int | None, item: Any, retry: int, number: int, outcomes: Mapping[str, TaskOutcome]
    ) -> TaskContext:
        """Return the context of one try of a task; `number` counts all its tries of the attempt."""
        upstream = {name: outcomes[name].output for name in spec.depends_on}
        if index is not None and spec.map_over is not None:
            upstream[spec.map_over] = item
        upstream = own_copy(upstream)  # no other task, and no later try, sees what one task does to its own
        if len(upstream) > 1:
            inputs: Any = dict(upstream)
        else:
            inputs = next(iter(upstream.values()), None)
        assets = run = None
        if self.records is not None and self.run is not None:
            recorder = self.records.recorder(spec.name if index is None else f"{spec.name}[{index}]", number)
            run, assets = self.run.run, self.run._assets.of(recorder)
        return TaskContext(
            spec.name,
            inputs=inputs,
            upstream=upstream,
            index=index,
            retry=retry,
            params=own_copy(self.params),
            config=own_copy(self.config),
            run=run,
            assets=assets,
        )

    @cached_property
    def _handle(self) -> Handle | None:
        from molexp._workflow.remote import Handle

        return Handle(self.run.run) if self.run is not None else None

    def call(self, spec: TaskSpec, ctx: TaskContext) -> Coroutine[Any, Any, Any]:
        """Return a coroutine that returns what the task returns, wherever it is executed.

        Raises:
            TaskTimeoutError: it ran longer than its timeout, from where that interrupted it.
            BaseException: the task raised it.
        """
        call = self._call(spec, ctx) if spec.timeout is None else self._timed(spec, ctx, spec.timeout)
        return call if ctx._recorder is None else _recorded(call, ctx._recorder)

    async def _timed(self, spec: TaskSpec, ctx: TaskContext, seconds: float) -> Any:
        """Call the task within its timeout."""
        clock, loop = asyncio.timeout(None), asyncio.get_running_loop()

        def wind() -> None:
            loop.call_soon_threadsafe(_wind, clock, seconds)

        cause: BaseException | None = None
        try:
            async with clock:
                output = await self._call(spec, ctx, wind)
            if not clock.expired():
                return output
        except (asyncio.CancelledError, KeyboardInterrupt, Terminated):
            raise
        except BaseException as error:
            if not clock.expired():
                raise
            cause = error
        abandoned = spec.executor == INLINE and not spec.is_async
        raise TaskTimeoutError(ctx.label, timeout=seconds, abandoned=abandoned) from cause

    async def _call(self, spec: TaskSpec, ctx: TaskContext, wind: Callable[[], None] | None = None) -> Any:
        """Call the task where its executor says; wind the clock as it begins: until then it may wait for its turn."""
        if spec.executor == INLINE and spec.is_async:
            if wind is not None:
                wind()
            return await spec.call(ctx)
        executor = self.executors[spec.executor]
        resources = spec.resources or _NO_NEEDS
        if not executor.in_process:
            return await self._elsewhere(spec, ctx, resources, wind)
        outcome = await executor.submit(Call(spec.call, (ctx,), resources=resources, name=ctx.label, started=wind))
        if outcome.error is not None:
            raise outcome.error
        return outcome.value

    async def _elsewhere(
        self, spec: TaskSpec, ctx: TaskContext, resources: Resources, started: Callable[[], None] | None
    ) -> Any:
        from molexp._workflow.remote import TaskCall, execute_task

        call = TaskCall.of(spec, ctx, self._handle)
        executor = self.executors[spec.executor]
        key, told = "", None
        if self.run is not None:
            self.run._coordinator.invite()
            key = task_key(self.run.run, call.attempt, ctx.label, call.retry)
            told = self._listener(ctx.label, call.retry) if executor.queues else None
        answered = False
        try:
            made = Call(execute_task, (call,), {}, resources, ctx.label, started, key, told)
            outcome = await executor.submit(made)
            answered = outcome.error is None
        finally:
            if self.run is not None and not answered:  # nobody says who was at it
                self.run._coordinator.take_in()
        if outcome.error is not None:
            raise outcome.error
        if self.run is not None and outcome.value.writer is not None:
            self.run._coordinator.take_in(outcome.value.writer)
        if self.records is not None and outcome.value.code is not None:
            self.records.ran(ctx.label, outcome.value.code)
        return outcome.value.output

    def _listener(self, label: str, retry: int) -> Callable[[Progress], None]:
        """Return the function that records, on this event loop, how far a call is."""
        loop, records = asyncio.get_running_loop(), self.records
        assert records is not None

        def told(progress: Progress) -> None:
            with suppress(RuntimeError):  # the event loop is closed: nobody waits for the call any more
                loop.call_soon_threadsafe(records.told, label, retry, progress)

        return told


async def _recorded(call: Coroutine[Any, Any, Any], recorder: TaskRecorder) -> Any:
    token = current.enter(recorder)
    try:
        return await call
    finally:
        with suppress(ValueError):  # the event loop was closed around us: this is another context
            current.leave(token)


def _wind(clock: asyncio.Timeout, seconds: float) -> None:
    """Start a clock, unless it is needed no longer."""
    try:
        clock.reschedule(asyncio.get_running_loop().time() + seconds)
    except RuntimeError:
        pass


def unwrapped(error: BaseException) -> BaseException:
    """Return what the task raised, where Python does not let it through a coroutine."""
    cause = error.__cause__
    if isinstance(cause, StopIteration) and message_of(error) == "coroutine raised StopIteration":
        return cause
    return error


def reason_of(error: BaseException) -> str:
    """Return what an error is, and says."""
    message = message_of(error)
    return f"{type(error).__name__}: {message}"[:1024] if message else type(error).__name__
