"""One execution of a workflow: it starts each task when its inputs are there, and collects the outcomes."""

from __future__ import annotations

import asyncio
import contextvars
import time
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping
from functools import partial
from graphlib import TopologicalSorter
from typing import TYPE_CHECKING, Any, TypeVar

from molexp._recording.signals.handlers import Terminated
from molexp._running.endings import message_of
from molexp._values.copies import own_copy
from molexp._workflow.calling import Caller, reason_of, unwrapped
from molexp._workflow.results import CANCELLED, FAILED, SKIPPED, SUCCEEDED, TaskOutcome
from molexp._workflow.tasks import INLINE, TaskSpec
from molexp.errors import NotPicklableError, RunError, TaskError, TaskTimeoutError

if TYPE_CHECKING:
    from molexp._hierarchy.run_context import RunContext
    from molexp._workflow.definition import Definition
    from molexp._workflow.executors import Executors
    from molexp._workflow.records import TaskRecords
    from molexp._workflow.reusing import Signature

T = TypeVar("T")

_LONGEST_BACKOFF = 60.0  # seconds
_QUEUED = 256  # items of a mapped task that wait for a thread: enough to keep all of them busy

Listener = Callable[[str, TaskOutcome | None], None]
"""Called with a task's name when it starts, and again with its outcome."""


class Execution:
    """Executes the tasks of a workflow, each as soon as those that it depends on have succeeded.

    Attributes:
        records: the records of the tasks; None in memory.
        stopped: the reason why nothing is started any more; "" if it goes on.
    """

    def __init__(
        self,
        workflow: Definition,
        *,
        params: Mapping[str, Any],
        config: Mapping[str, Any],
        executors: Executors,
        context: RunContext | None = None,
        records: TaskRecords | None = None,
        resume: bool = False,
        listener: Listener | None = None,
    ) -> None:
        self._tasks = workflow.tasks
        self._on_failure = workflow.on_failure
        self._limit = workflow.max_parallel
        self._caller = Caller(own_copy(params), own_copy(config), executors, context, records)
        self.records = records
        self._resume = resume
        self._listener = listener
        self._sorter: TopologicalSorter[str] = TopologicalSorter(
            {name: spec.depends_on for name, spec in workflow.tasks.items()}
        )
        self._outcomes: dict[str, TaskOutcome] = {}
        self._slots = asyncio.Semaphore(self._limit) if self._limit is not None else None
        self._live: dict[str, asyncio.Task[None]] = {}
        self._cancelled_items: set[asyncio.Task[None]] = set()  # items that are cancelled without the others
        self.stopped = ""
        self._end: asyncio.Future[None]
        self._loop: asyncio.AbstractEventLoop | None = None

    async def run(self) -> dict[str, TaskOutcome]:
        """Execute the workflow and return the outcome of every task.

        Raises:
            BaseException: it cannot go on, as with a full disk; tasks that fail are outcomes.
        """
        self._loop = asyncio.get_running_loop()
        self._end = self._loop.create_future()
        if self.records is not None:
            self.records.attend(self._loop, self._fail)
        self._variables = contextvars.copy_context()  # tasks see the caller's variables, and not each other's
        owner = asyncio.current_task()
        before = owner.cancelling() if owner is not None else 0
        self._is_cancelled: Callable[[], bool] = lambda: owner is not None and owner.cancelling() > before
        self._sorter.prepare()
        try:
            self._advance()
            await self._end
        except BaseException as error:  # cancelled from outside, or unable to record
            self.stop("the workflow was cancelled" if isinstance(error, asyncio.CancelledError) else message_of(error))
            while live := [task for task in self._live.values() if not task.done()]:
                await asyncio.wait(live)
            raise
        return {name: self._outcomes[name] for name in self._tasks}

    @property
    def outcomes(self) -> dict[str, TaskOutcome]:
        """The outcomes so far; tasks that have none were not executed."""
        missing = self.stopped or "the workflow did not come to it"
        return {name: self._outcomes.get(name) or TaskOutcome(name, CANCELLED, reason=missing) for name in self._tasks}

    def stop(self, why: str) -> None:
        """Cancel what is being executed, and start nothing more."""
        if self.stopped:
            return
        self.stopped = why or "the workflow was cancelled"
        for name, task in list(self._live.items()):
            task.add_done_callback(partial(self._settle_unstarted, name))
            self._cancel(task)
        if self._loop is not None and not self._end.done():
            self._advance()

    # --------------------------------------------------------------------------------------------------------- scheduling

    def _advance(self) -> None:
        """Start the tasks that can start; skip those that wait for a task without an output."""
        try:
            while ready := self._sorter.get_ready():
                for name in ready:
                    spec = self._tasks[name]
                    if outcome := self._unreachable(spec):
                        self._not_executed(outcome)
                    elif self.stopped:
                        self._not_executed(TaskOutcome(name, CANCELLED, reason=self.stopped))
                    else:
                        self._live[name] = self._spawn(self._task(spec))
                        continue
                    self._sorter.done(name)
        except BaseException as error:  # noqa: BLE001 - raised where the workflow is awaited
            self._fail(error)
        if not self._live and not self._end.done():
            self._end.set_result(None)

    def _spawn(self, coroutine: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Make an asyncio task that starts later, however the loop makes its own."""
        return asyncio.Task(coroutine, loop=self._loop, context=self._variables.copy())

    def _fail(self, error: BaseException) -> None:
        """Let `run` raise an error, because nothing can go on."""
        if not self._end.done():
            self._end.set_exception(error)
            self._end.exception()  # nobody has to look at it, where the loop ends at the same time

    def _unreachable(self, spec: TaskSpec) -> TaskOutcome | None:
        """Return the outcome of a task that cannot be executed because one that it depends on has no output; else None."""
        for name in spec.depends_on:
            upstream = self._outcomes[name]
            if upstream.status != SUCCEEDED:
                if upstream.status == CANCELLED:
                    return TaskOutcome(spec.name, CANCELLED, reason=upstream.reason, error=upstream.error)
                cause = upstream.reason if upstream.status == SKIPPED else f"task {name!r} {upstream.status}"
                return TaskOutcome(spec.name, SKIPPED, reason=cause, error=upstream.error)
        return None

    def _not_executed(self, outcome: TaskOutcome) -> None:
        """Record the outcome of a task that was never executed."""
        self._outcomes[outcome.name] = outcome
        self._record(outcome)
        self._tell(outcome)

    async def _task(self, spec: TaskSpec) -> None:
        """Execute one task to its outcome."""
        try:
            try:
                outcome = await (self._mapped(spec) if spec.map_over is not None else self._one(spec, None, None))
            except asyncio.CancelledError:
                if not self.stopped:
                    raise
                outcome = TaskOutcome(spec.name, CANCELLED, reason=self.stopped)
            self._settle(spec.name, outcome)
        except BaseException as error:  # noqa: BLE001 - raised where the workflow is awaited
            self._live.pop(spec.name, None)
            self._fail(error)

    def _settle(self, name: str, outcome: TaskOutcome) -> None:
        """Take the outcome of a task that was started, and start what waited for it."""
        self._outcomes[name] = outcome
        self._tell(outcome)
        del self._live[name]
        self._sorter.done(name)
        if outcome.status == FAILED and self._on_failure == "cancel" and not self.stopped:
            self.stop(f"task {name!r} failed")
        else:
            self._advance()

    def _tell(self, outcome: TaskOutcome) -> None:
        """Tell the listener of an outcome that is on record."""
        if self._listener is not None:
            if self.records is not None:
                self.records.flush()
            self._listener(outcome.name, outcome)

    def _settle_unstarted(self, name: str, task: asyncio.Task[None]) -> None:
        """Settle a task that was cancelled before its first step, and so could not do it itself."""
        if self._live.get(name) is task:
            self._settle(name, TaskOutcome(name, CANCELLED, reason=self.stopped))

    # ------------------------------------------------------------------------------------------------------- single tasks

    async def _mapped(self, spec: TaskSpec) -> TaskOutcome:
        """Execute a task for every item of a list."""
        assert spec.map_over is not None
        if self._listener is not None:
            self._listener(spec.name, None)
        started = time.time()
        try:
            items = self._items(spec.name, spec.map_over)
        except Exception as error:  # noqa: BLE001 - iterating executes a stranger's code
            outcome = TaskOutcome(
                spec.name, FAILED, None, error, reason_of(error), started_at=started, ended_at=time.time()
            )
            self._record(outcome)
            return outcome
        ended: dict[int, TaskOutcome] = {}
        why = await self._each(spec, items, ended) if items else ""
        outcomes = [
            ended.get(index) or TaskOutcome(f"{spec.name}[{index}]", CANCELLED, reason=why)
            for index in range(len(items))
        ]
        return self._gathered(spec, outcomes, started)

    async def _each(self, spec: TaskSpec, items: list[Any], ended: dict[int, TaskOutcome]) -> str:
        """Execute a task for items until all have ended, or the rest is cancelled; returns the reason for that."""
        cancelled = ""  # the reason to cancel the remaining items without the rest of the workflow

        async def work(todo: Iterable[tuple[int, Any]]) -> None:
            nonlocal cancelled
            for index, item in todo:
                outcome = ended[index] = await self._one(spec, index, item)
                if outcome.status == FAILED and self._on_failure == "cancel":
                    cancelled = cancelled or f"{outcome.name} failed"
                    self._cancel_rest(workers)
                if cancelled or self.stopped:
                    break

        workers = [self._spawn(work(part)) for part in self._parts(spec, items)]
        try:
            await asyncio.wait(workers, return_when=asyncio.FIRST_EXCEPTION)
        except asyncio.CancelledError:
            if not self.stopped:
                raise
        finally:
            if self._cancel_rest(workers):
                await asyncio.wait(workers)
            self._cancelled_items.difference_update(workers)
        why = cancelled or self.stopped
        for worker in workers:
            if not (why and worker.cancelled()):
                worker.result()
        return why

    def _parts(self, spec: TaskSpec, items: list[Any]) -> list[Iterable[tuple[int, Any]]]:
        """Return the items of each worker: one, or the next of all where more would only wait for a thread."""
        if spec.is_async or spec.executor != INLINE or spec.retries:
            return [[each] for each in enumerate(items)]
        threads = self._caller.executors[INLINE].workers or 0
        todo = iter(enumerate(items))
        return [todo] * min(len(items), max(_QUEUED, threads))

    def _items(self, name: str, over: str) -> list[Any]:
        """Return the items that a task is mapped over; put them in the place of an iterator, for others may want them too.

        Raises:
            TypeError: the output is no list.
        """
        items = self._outcomes[over].output
        if isinstance(items, str | bytes | Mapping) or not hasattr(items, "__iter__"):
            raise TypeError(
                f"Task {name!r} maps over the output of {over!r}, which is of type {type(items).__name__}, not a list."
            )
        listed = list(items)
        if isinstance(items, Iterator):
            self._outcomes[over].output = listed
        return listed

    def _cancel(self, task: asyncio.Task[Any]) -> None:
        """Cancel a task, unless all are that the event loop has, because it ends: once more would disturb the cleanup."""
        if not (self._is_cancelled() and task.cancelling()):
            task.cancel()

    def _cancel_rest(self, workers: list[asyncio.Task[None]]) -> bool:
        """Cancel the workers that have not ended, but for the current one; tell whether there are any."""
        left = [single for single in workers if not single.done() and single is not asyncio.current_task()]
        for single in left:
            if single not in self._cancelled_items:
                self._cancelled_items.add(single)
                self._cancel(single)
        return bool(left)

    def _gathered(self, spec: TaskSpec, outcomes: list[TaskOutcome], started: float) -> TaskOutcome:
        """Return the outcome of a mapped task: the list of its items' outputs, or the first failure."""
        lacking = [outcome for outcome in outcomes if outcome.status != SUCCEEDED]
        bad = next((outcome for outcome in lacking if outcome.status == FAILED), lacking[0] if lacking else None)
        outcome = TaskOutcome(
            spec.name,
            SUCCEEDED if bad is None else bad.status,
            output=[single.output for single in outcomes] if bad is None else None,
            error=bad.error if bad is not None else None,
            reason=_reason(outcomes, bad),
            reused=bool(outcomes) and all(single.reused for single in outcomes),
            retries=sum(single.retries for single in outcomes),
            started_at=started,
            ended_at=time.time(),
            restorable=all(single.restorable for single in outcomes) if self.records is not None else None,
            items=tuple(outcomes),
        )
        if self.records is not None and not self._halted():
            if bad is None:
                self.records.aggregate(spec.name, len(outcomes))
            self.records.mapped(outcome)
        return outcome

    def _one(self, spec: TaskSpec, index: int | None, item: Any) -> Coroutine[Any, Any, TaskOutcome]:
        """Execute a task, or one item of it, when it is its turn."""
        return self._tried(spec, index, item) if self._slots is None else self._in_turn(spec, index, item, self._slots)

    async def _in_turn(self, spec: TaskSpec, index: int | None, item: Any, slots: asyncio.Semaphore) -> TaskOutcome:
        async with slots:
            return await self._tried(spec, index, item)

    async def _tried(self, spec: TaskSpec, index: int | None, item: Any) -> TaskOutcome:
        """Execute it with its retries, unless an earlier attempt's output holds."""
        label = spec.name if index is None else f"{spec.name}[{index}]"
        records = self.records
        signature: Signature | None = None
        first, why = 0, ""
        if records is not None:
            signature = records.sign(spec, index, item)
            if self._resume:
                outcome, why = records.reuse(label, signature)
                if outcome is not None:
                    return outcome
            first = records.first_retry(label)
        again = why
        if self._listener is not None and index is None:
            self._listener(label, None)
        retry = 0
        while True:
            outcome = await self._try(spec, label, index, item, retry, first + retry, why)
            outcome.retries = retry
            outcome.reason = outcome.reason or again or why
            error = outcome.error
            if outcome.status != FAILED or retry >= spec.retries or self.stopped or not _worth_a_retry(error):
                break
            why = f"retry {retry + 1} after {reason_of(error)}"[:500] if error is not None else ""
            if records is not None and error is not None:
                records.describe(error, label, first + retry)
            await asyncio.sleep(min(_LONGEST_BACKOFF, spec.backoff * 2 ** min(retry, 60)))
            retry += 1
        kept = None
        if outcome.status == SUCCEEDED and records is not None and signature is not None and not records.halted:
            kept = await records.keep(outcome, signature, first + retry)
        self._record(outcome, signature, first + retry, kept)
        return outcome

    async def _try(
        self, spec: TaskSpec, label: str, index: int | None, item: Any, retry: int, number: int, why: str
    ) -> TaskOutcome:
        """Execute one try; `number` counts all tries of the attempt."""
        ctx = self._caller.context(spec, index, item, retry, number, self._outcomes)
        if self.records is not None:
            self.records.started(label, number, why)
        outcome = TaskOutcome(label, SUCCEEDED, started_at=time.time())
        over = "it has ended"
        try:
            outcome.output = await self._caller.call(spec, ctx)
        except (KeyboardInterrupt, Terminated):
            raise
        except asyncio.CancelledError as error:
            if not self.stopped and (self._is_cancelled() or asyncio.current_task() in self._cancelled_items):
                raise
            outcome.status = CANCELLED if self.stopped else FAILED
            outcome.error, outcome.reason = error, self.stopped or "it raised CancelledError"
            over = f"it was cancelled ({self.stopped})" if self.stopped else over
        except BaseException as error:
            if isinstance(error, GeneratorExit) and not _in_a_loop():
                raise  # the loop was closed around us
            if isinstance(error, RunError) and self._halted():
                raise
            outcome.status, outcome.error = FAILED, unwrapped(error)
            outcome.reason = reason_of(outcome.error)
            if isinstance(error, TaskTimeoutError) and error.task == label:
                over = f"it ran longer than {error.timeout:g} s"
        finally:
            outcome.ended_at = time.time()
            ctx._end(over)
        return outcome

    def _halted(self) -> bool:
        return self.records is not None and self.records.halted

    def _record(
        self,
        outcome: TaskOutcome,
        signature: Signature | None = None,
        retry: int | None = None,
        kept: Mapping[str, Any] | None = None,
    ) -> None:
        """Record an outcome, where outcomes are recorded; `retry` counts all tries of the attempt, `kept` tells of its output."""
        if (records := self.records) is not None and not records.halted:
            records.ended(outcome, signature, records.first_retry(outcome.name) if retry is None else retry, kept)


def _reason(items: list[TaskOutcome], bad: TaskOutcome | None) -> str:
    """Return why a mapped task failed, was executed again, or was not."""
    if bad is None:
        bad = next((item for item in items if item.reason and not item.reused), None)
    if bad is None:
        return items[0].reason if items else ""
    return f"{bad.name}: {bad.reason}"


def _worth_a_retry(error: BaseException | None) -> bool:
    """Tell whether another try may end better: not where the run is over, or the task can never be sent where it should."""
    return not isinstance(error, RunError | NotPicklableError | SystemExit) or isinstance(error, TaskError)


def _in_a_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
