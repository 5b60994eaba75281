"""Tasks in other processes: the call that travels there, the context that is made from it, and the reply."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import attrs

from molexp._recording import current
from molexp._recording.task_recorder import TaskRecorder
from molexp._workflow.code.hashing import Code, code_of
from molexp._workflow.context import TaskContext

if TYPE_CHECKING:
    from molexp._assets.naming import AttemptAssets
    from molexp._hierarchy.run import Run
    from molexp._recording.contributors import Contribution
    from molexp._workflow.tasks import TaskSpec


@attrs.frozen
class TaskCall:
    """One try of one task as plain data, and the handle of its run, which travels as URL and path.

    Attributes:
        subject: the function or object that is executed; it travels by its name in its module.
        task: the task's name.
        index: index of the item, if it is mapped.
        retry: the number of the try.
        inputs: see `TaskContext`.
        upstream: outputs of the tasks that it depends on.
        params: see `TaskContext`.
        config: see `TaskContext`.
        run: the run; None in memory.
        attempt: number of the attempt.
        recorded_retry: the number of the try in the attempt's record.
    """

    subject: Any
    task: str
    index: int | None
    retry: int
    inputs: Any
    upstream: Mapping[str, Any]
    params: Mapping[str, Any]
    config: Mapping[str, Any]
    run: Run | None = None
    attempt: int = 0
    recorded_retry: int = 0

    @classmethod
    def of(cls, spec: TaskSpec, ctx: TaskContext) -> TaskCall:
        """Return the call that executes elsewhere the try that `ctx` is for."""
        recorder = ctx._recorder
        return cls(
            spec.subject,
            ctx.task,
            ctx.index,
            ctx.retry,
            ctx.inputs,
            ctx.upstream,
            dict(ctx.params),
            dict(ctx.config),
            ctx.run,
            recorder.writer.number if recorder is not None else 0,
            recorder.retry if recorder is not None else 0,
        )


@attrs.frozen
class TaskReturn:
    """The reply to a `TaskCall`.

    Attributes:
        output: the value that the task returned.
        writer: the token of the writer that recorded for it; None in memory.
        code: the code that was executed; None in memory.
    """

    output: Any
    writer: str | None
    code: Code | None = None


def execute_task(call: TaskCall) -> TaskReturn:
    """Execute one try of a task in this process."""
    contribution = _contribution(call)
    code = code_of(call.subject) if contribution is not None else None
    ctx = _context(call, contribution)
    token = current.enter(ctx._recorder)
    try:
        execute = call.subject.execute if hasattr(call.subject, "execute") else call.subject
        output = execute(ctx)
        if inspect.isawaitable(output):
            output = asyncio.run(_await(output))
        return TaskReturn(output, contribution.token if contribution is not None else None, code)
    finally:
        current.leave(token)
        ctx._end("it has ended")
        if contribution is not None:
            contribution.flush()


async def _await(awaitable: Any) -> Any:
    return await awaitable


_newest: dict[tuple[str, str, int], Contribution] = {}
"""The contribution of this worker: one attempt at a time."""

_attempt_assets: dict[str, AttemptAssets] = {}
"""The assets of each task: the assets of a retry replace, or continue, those of an earlier try in this worker."""


def _contribution(call: TaskCall) -> Contribution | None:
    """Return this process's contribution to the attempt; open it with the first task."""
    if call.run is None:
        return None
    from molexp._recording.contributors import Contribution

    session = call.run._session
    key = session.store.url, call.run.path, call.attempt
    found = _newest.get(key)
    if found is None or found.closed:
        while _newest:
            _newest.popitem()[1].close()
        _attempt_assets.clear()
        found = _newest[key] = Contribution(session.store, session.process, call.run.path, call.attempt)
    return found


def _context(call: TaskCall, contribution: Contribution | None) -> TaskContext:
    given: dict[str, Any] = {
        "inputs": call.inputs,
        "upstream": call.upstream,
        "index": call.index,
        "retry": call.retry,
        "params": call.params,
        "config": call.config,
    }
    if call.run is None or contribution is None:
        return TaskContext(call.task, **given)
    from molexp._assets.lookup import Finder
    from molexp._assets.naming import AttemptAssets

    run = call.run
    label = call.task if call.index is None else f"{call.task}[{call.index}]"
    recorder = TaskRecorder(contribution, label, call.recorded_retry)
    library = run._session.library
    assets = (
        _attempt_assets[label].of(recorder)
        if label in _attempt_assets
        else _attempt_assets.setdefault(label, AttemptAssets(recorder, library))
    )
    finder = Finder(library, run.path, contribution.folder, run._scopes, contribution.everybody, call.attempt)
    return TaskContext(call.task, run=run, assets=assets, finder=finder, **given)
