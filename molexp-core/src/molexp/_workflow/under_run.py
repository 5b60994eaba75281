"""Executing a workflow under a run: an attempt that is started, records its tasks, and ends as they did."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal

from molexp._hierarchy.run_context import RunContext, not_for_ranks, params_and_config
from molexp._record.attempts import read_attempts
from molexp._record.causes import Ending
from molexp._recording import current
from molexp._recording.signals.event_loops import woken_by_signals
from molexp._running.context import describe_error
from molexp._values.status import Cause, RunStatus
from molexp._workflow import bindings
from molexp._workflow.earlier import Earlier
from molexp._workflow.execution import Execution, Listener
from molexp._workflow.records import TaskRecords
from molexp._workflow.results import CANCELLED, FAILED, TaskOutcome, WorkflowResult
from molexp.errors import RunCancelledError, StoreError

if TYPE_CHECKING:
    from molexp._hierarchy.run import Run
    from molexp._workflow.definition import Definition
    from molexp._workflow.executors import Executors


def status_of(tasks: Mapping[str, TaskOutcome], stopped: str) -> Ending:
    """Return how a workflow ends whose tasks ended so, and why."""
    for outcome in tasks.values():
        if outcome.status == FAILED:
            return Ending(RunStatus.FAILED, f"task {outcome.name!r} failed: {outcome.reason}", outcome.cause)
    if any(outcome.status == CANCELLED for outcome in tasks.values()):
        return Ending(RunStatus.CANCELLED, stopped or "a task was cancelled", Cause.CANCEL)
    return Ending(RunStatus.SUCCEEDED)


async def execute_under_run(
    workflow: Definition,
    run: Run | RunContext,
    executors: Executors,
    listener: Listener | None = None,
    *,
    resume: bool = False,
    if_succeeded: Literal["rerun", "error"] = "rerun",
    capture: bool = False,
) -> WorkflowResult:
    """Execute a workflow under a run, at which an attempt is started, or in an attempt that is open."""
    if isinstance(run, RunContext):
        execution = _prepare(workflow, run, resume, executors, listener)
        result = await _execute(workflow, run, execution)
        if result.status is RunStatus.SUCCEEDED:
            run._forgive(workflow.name)
        else:
            run._fail(_ending(run, result), part=workflow.name)
        return result
    if (rank := run._session.process.rank) is not None and rank.index > 0:
        raise not_for_ranks(run, rank.index)  # before it joins
    context = run.start(if_succeeded=if_succeeded, capture=capture)
    token = current.enter(context._recorder)
    try:
        execution = _prepare(workflow, context, resume, executors, listener)
        result = await _execute(workflow, context, execution)
        context._end(_ending(context, result))
        return result
    except BaseException as error:
        context._end_by(error)
        raise
    finally:
        current.leave(token)


def _prepare(
    workflow: Definition, context: RunContext, resume: bool, executors: Executors, listener: Listener | None
) -> Execution:
    earlier = Earlier(context.run)
    if resume:
        attempt = context._coordinator
        attempts = read_attempts(attempt.store, attempt.folder)
        earlier = Earlier.of(context.run, attempts, (attempt.number, attempt.contents))
    given = params_and_config(context._coordinator)
    records = TaskRecords(context, workflow, earlier, **given)
    return Execution(
        workflow,
        **given,
        executors=executors,
        context=context,
        records=records,
        resume=resume,
        listener=listener,
    )


async def _execute(workflow: Definition, context: RunContext, execution: Execution) -> WorkflowResult:
    """Execute; a request to cancel the run stops the workflow."""
    attempt = context._coordinator
    loop = asyncio.get_running_loop()
    before = attempt.on_cancel

    def on_cancel() -> None:
        loop.call_soon_threadsafe(execution.stop, _why(attempt.stopped_by))

    attempt.on_cancel = on_cancel
    records = execution.records
    assert records is not None
    try:
        if attempt.stopped_by is not None:  # between the start and here
            raise attempt.stopped_by
        with bindings.stoppable(execution), woken_by_signals():
            tasks = await execution.run()
    except RunCancelledError as error:
        if error.run != context.run.path:
            raise
        execution.stop(_why(error))
        tasks = execution.outcomes
    finally:
        attempt.on_cancel = before
        with suppress(StoreError):  # the next event, or the end, tries again
            attempt.catch_up()
    ending = status_of(tasks, execution.stopped)
    if not records.halted:
        records.conclude()
    return WorkflowResult(workflow.name, ending.status, tasks, context.run, ending.reason, ending.cause)


def _ending(context: RunContext, result: WorkflowResult) -> Ending:
    return Ending(result.status, result.reason, result.cause, _error(context, result))


def _why(error: BaseException | None) -> str:
    if isinstance(error, RunCancelledError):
        return error.reason or "cancel request"
    return str(error) if error is not None else "cancel request"


def _error(context: RunContext, result: WorkflowResult) -> dict[str, Any] | None:
    """Return what the end of an attempt says of the task that failed first."""
    failed = [result.tasks[name] for name in result.by_status(FAILED)]
    if not failed:
        return None
    first = min(failed, key=lambda outcome: outcome.ended_at)
    single = next((item for item in first.items if item.status == FAILED), first)
    record = context._coordinator.contents.tasks.get(single.name, {})
    if isinstance(found := record.get("error"), dict):
        return dict(found)
    return describe_error(first.error, None, first.name) if first.error is not None else None
