"""Tasks in other processes: the call that travels there, the context that is made from it, and the reply."""

from __future__ import annotations

import asyncio
import inspect
import pickle
import threading
from collections.abc import Mapping
from functools import cached_property
from types import FunctionType
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from molexp._code.hashing import Code, code_of
from molexp._recording import current
from molexp._recording.task_recorder import TaskRecorder
from molexp._storage import layout
from molexp._storage.layout import end_key
from molexp._values.process_id import HERE
from molexp._workflow.context import TaskContext
from molexp.errors import ContextClosedError, ExecutorError

if TYPE_CHECKING:
    from molexp._assets.naming import AttemptAssets
    from molexp._hierarchy.run import Run
    from molexp._recording.contributors import Contribution
    from molexp._workflow.tasks import TaskSpec


_GIVEN = ("task", "inputs", "upstream", "index", "retry")


class Handle(Struct, frozen=True, eq=False, dict=True):
    """The handle of a run, which travels as URL and path: pickled once for all tasks, and opened once in each worker."""

    run: Run

    @cached_property
    def data(self) -> bytes:
        """The pickled run."""
        return pickle.dumps(self.run, pickle.HIGHEST_PROTOCOL)

    def __reduce__(self) -> tuple[Any, ...]:
        return _opened, (self.data,)


class TaskCall(Struct, frozen=True, eq=False):
    """One try of one task as plain data, and the handle of its run.

    Attributes:
        subject: the function or object that is executed; it travels by its name in its module.
        given: the arguments of its `TaskContext`.
        handle: the handle of the run; None in memory.
        attempt: number of the attempt.
        retry: the number of the try in the attempt's record.
    """

    subject: Any
    given: Mapping[str, Any]
    handle: Handle | None
    attempt: int = 0
    retry: int = 0

    @classmethod
    def of(cls, spec: TaskSpec, ctx: TaskContext, handle: Handle | None) -> TaskCall:
        """Return the call that executes elsewhere the try that `ctx` is for."""
        given = {name: getattr(ctx, name) for name in _GIVEN}
        given |= {"params": dict(ctx.params), "config": dict(ctx.config)}
        recorder = ctx._recorder
        if recorder is None:
            return cls(spec.subject, given, handle)
        return cls(spec.subject, given, handle, recorder.writer.number, recorder.retry)


class TaskReturn(Struct, frozen=True, eq=False):
    """The reply to a `TaskCall`.

    Attributes:
        output: the value that the task returned.
        writer: the token of the writer that recorded for it; None if nothing was recorded.
        code: the code that was executed; None in memory.
    """

    output: Any
    writer: str | None
    code: Code | None = None


_busy = threading.Lock()
"""Held while this process executes a task."""


def execute_task(call: TaskCall) -> TaskReturn:
    """Execute one try of a task in this process.

    Raises:
        ContextClosedError: its attempt has ended while the call waited.
        ExecutorError: this process is executing another one: what a task records would be another's.
    """
    if not _busy.acquire(blocking=False):
        task = str(call.given["task"])
        said = f"The process {HERE.pid} is executing another task: an executor makes one call at a time in a process."
        raise ExecutorError(said, call=task)
    try:
        return _execute_alone(call)
    finally:
        _busy.release()


def _execute_alone(call: TaskCall) -> TaskReturn:
    contribution = _contribution(call)
    code = _code_of(call.subject) if contribution is not None else None
    ctx = _context(call, contribution)
    token = current.enter(ctx._recorder)
    try:
        execute = call.subject.execute if hasattr(call.subject, "execute") else call.subject
        output = execute(ctx)
        if inspect.isawaitable(output):
            output = asyncio.run(_await(output))
        if contribution is None or ctx._recorder is None:
            return TaskReturn(output, None)
        return TaskReturn(output, contribution.token if ctx._recorder.recorded else None, code)
    finally:
        current.leave(token)
        ctx._end("it has ended")
        if contribution is not None:
            contribution.flush()


async def _await(awaitable: Any) -> Any:
    return await awaitable


_handles: dict[bytes, Handle] = {}
"""The handle that came last, by its bytes."""

_newest: dict[tuple[str, str, int], Contribution] = {}
"""The contribution of this worker: one attempt at a time."""

_codes: dict[FunctionType, Code] = {}
"""The code of each function that was executed for that attempt, as it was then."""

_attempt_assets: dict[str, AttemptAssets] = {}
"""The assets of each task: the assets of a retry replace, or continue, those of an earlier try in this worker."""


def _opened(data: bytes) -> Handle:
    if (found := _handles.get(data)) is None:
        found = Handle(pickle.loads(data))  # noqa: S301 - from our parent
        _handles.clear()
        _handles[data] = found
    return found


def _code_of(subject: Any) -> Code:
    if type(subject) is not FunctionType:
        return code_of(subject)
    if subject not in _codes:
        _codes[subject] = code_of(subject)
    return _codes[subject]


def _contribution(call: TaskCall) -> Contribution | None:
    """Return this process's contribution to the attempt; open it with the first task."""
    if call.handle is None:
        return None
    from molexp._recording.contributors import Contribution

    run = call.handle.run
    session = run._session
    if session.store.exists(end_key(layout.folder(run.path), call.attempt)):
        raise ContextClosedError(run.path, why=f"attempt {call.attempt} has ended")
    key = session.store.url, run.path, call.attempt
    found = _newest.get(key)
    if found is None or found.closed:
        while _newest:
            _newest.popitem()[1].close()
        _attempt_assets.clear()
        _codes.clear()
        found = _newest[key] = Contribution(session.store, session.process, run.path, call.attempt)
    return found


def _context(call: TaskCall, contribution: Contribution | None) -> TaskContext:
    if call.handle is None or contribution is None:
        return TaskContext(**call.given)
    from molexp._assets.naming import AttemptAssets

    run, task, index = call.handle.run, call.given["task"], call.given["index"]
    label = task if index is None else f"{task}[{index}]"
    recorder = TaskRecorder(contribution, label, call.retry)
    if (assets := _attempt_assets.get(label)) is not None:
        assets = assets.of(recorder)
    else:
        assets = AttemptAssets(recorder.writer, run._session.library, run._scopes, recorder)
    _attempt_assets[label] = assets
    return TaskContext(**call.given, run=run, assets=assets)
