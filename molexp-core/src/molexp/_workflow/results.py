"""The result of a workflow, and the outcome of each task."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Self

from msgspec import Struct

from molexp._hierarchy.run import Run
from molexp._record.causes import cause_of_error
from molexp._values.status import Cause, RunStatus
from molexp.errors import NotFoundError, TaskFailedError, TaskNotSucceededError

SUCCEEDED = "succeeded"
FAILED = "failed"
SKIPPED = "skipped"
CANCELLED = "cancelled"


class TaskOutcome(Struct):
    """The outcome of one task.

    Attributes:
        name: the task.
        status: ``succeeded``, ``failed``, ``skipped`` (a task that it waits for has no output) or ``cancelled``.
        output: the value that it returned.
        error: the exception that it raised; for a skipped task, that of the task that it waited for.
        reason: the reason why it failed, was skipped or was executed again; with ``resume=True`` also why it was not.
        reused: True if the output is an earlier attempt's, and nothing was executed.
        retries: the number of further tries.
        started_at: the time when its last try started, in seconds since 1970; 0.0 if it was not executed.
        ended_at: the time when that ended.
        restorable: True if a resume can take the output as it is; None without a run.
        items: outcomes of the single items, if the task is mapped.

    Example:
        >>> from molexp.workflow import WorkflowBuilder
        >>> wf = WorkflowBuilder(name="pair")
        >>> @wf.task
        ... def scan(ctx):
        ...     return [1, 2]
        >>> outcome = wf.build().execute_sync().tasks["scan"]
        >>> (str(outcome.status), outcome.succeeded)
        ('succeeded', True)
    """

    name: str
    status: str
    output: Any = None
    error: BaseException | None = None
    reason: str = ""
    reused: bool = False
    retries: int = 0
    started_at: float = 0.0
    ended_at: float = 0.0
    restorable: bool | None = None
    items: tuple[TaskOutcome, ...] = ()

    @property
    def duration(self) -> float:
        """Seconds that its last try took."""
        return self.ended_at - self.started_at

    @property
    def cause(self) -> str | None:
        """The cause of its end, as a `Cause`, if it failed or was cancelled."""
        if self.status == CANCELLED:
            return Cause.CANCEL
        if self.status != FAILED:
            return None
        return cause_of_error(self.error) if self.error is not None else Cause.EXCEPTION

    @property
    def succeeded(self) -> bool:
        """Tell whether it has an output."""
        return self.status == SUCCEEDED


class Outputs(Mapping[str, Any]):
    """The outputs of the tasks that succeeded, by name.

    ``outputs[name]`` of one that did not raises `TaskNotSucceededError`, from what it raised; of one that is not there,
    `NotFoundError` with the nearest names.

    Example:
        >>> from molexp.workflow import WorkflowBuilder
        >>> wf = WorkflowBuilder(name="pair")
        >>> @wf.task
        ... def scan(ctx):
        ...     return [1, 2]
        >>> wf.build().execute_sync().outputs["scan"]
        [1, 2]
    """

    def __init__(self, tasks: Mapping[str, TaskOutcome]) -> None:
        self._tasks = tasks

    def __getitem__(self, name: str) -> Any:
        """Return the output of a task.

        Raises:
            NotFoundError: there is no such task; with the nearest names.
            TaskNotSucceededError: it did not succeed; from what it raised.
        """
        outcome = self._tasks.get(name)
        if outcome is None:
            from molexp._values.ids import nearest

            raise NotFoundError("task", name, nearest=nearest(name, self._tasks))
        if not outcome.succeeded:
            raise TaskNotSucceededError(name, status=outcome.status, reason=outcome.reason) from outcome.error
        return outcome.output

    def __iter__(self) -> Iterator[str]:
        return (name for name, outcome in self._tasks.items() if outcome.succeeded)

    def __len__(self) -> int:
        return sum(outcome.succeeded for outcome in self._tasks.values())

    def __contains__(self, name: object) -> bool:
        return name in self._tasks and self._tasks[name].succeeded  # type: ignore[index]

    def __repr__(self) -> str:
        return f"<outputs of {', '.join(self) or 'no task'}>"


class WorkflowResult(Struct, frozen=True):
    """The result of a workflow.

    Attributes:
        workflow: its name.
        status: ``succeeded``, ``failed`` or ``cancelled``.
        tasks: the outcome of each task, in an order in which they can be executed.
        run: the run that it was executed under; None in memory.
        reason: the reason why it did not succeed.
        cause: the same for programs, as a `Cause`.

    Example:
        >>> from molexp.workflow import WorkflowBuilder
        >>> wf = WorkflowBuilder(name="pair")
        >>> @wf.task
        ... def scan(ctx):
        ...     return [1, 2]
        >>> result = wf.build().execute_sync().raise_for_status()
        >>> result.executed
        ('scan',)
    """

    workflow: str
    status: RunStatus
    tasks: Mapping[str, TaskOutcome]
    run: Run | None = None
    reason: str = ""
    cause: str | None = None

    @property
    def outputs(self) -> Outputs:
        """The outputs by task; that of a task that did not succeed raises `TaskNotSucceededError` from its cause."""
        return Outputs(self.tasks)

    @property
    def executed(self) -> tuple[str, ...]:
        """Names of the tasks that were executed, rather than reused, skipped or never reached."""
        return tuple(name for name, outcome in self.tasks.items() if outcome.started_at and not outcome.reused)

    def by_status(self, status: str) -> tuple[str, ...]:
        """Return the names of the tasks with this status: ``succeeded``, ``failed``, ``skipped`` or ``cancelled``."""
        return tuple(name for name, outcome in self.tasks.items() if outcome.status == status)

    def raise_for_status(self) -> Self:
        """Return this result, if the workflow succeeded.

        Raises:
            TaskFailedError: a task failed; from what it raised.
            TaskNotSucceededError: it was cancelled.
        """
        if self.status is RunStatus.SUCCEEDED:
            return self
        failed = self.by_status(FAILED)
        if failed:
            first = min((self.tasks[name] for name in failed), key=lambda outcome: outcome.ended_at)
            raise TaskFailedError(self.workflow, first.name, first.reason, failed=failed) from first.error
        unfinished = next((o for o in self.tasks.values() if not o.succeeded), None)
        name = unfinished.name if unfinished is not None else self.workflow
        raise TaskNotSucceededError(name, status=str(self.status), reason=self.reason)

    def __repr__(self) -> str:
        counts: dict[str, int] = {}
        for outcome in self.tasks.values():
            word = "reused" if outcome.reused else outcome.status
            counts[word] = counts.get(word, 0) + 1
        shown = ", ".join(f"{number} {word}" for word, number in counts.items())
        return f"<WorkflowResult of {self.workflow!r}: {self.status} ({shown or 'no tasks'})>"
