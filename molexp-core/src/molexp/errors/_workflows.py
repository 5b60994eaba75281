"""Errors of workflows and their tasks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from molexp.errors._base import MolexpError, NotFoundError, nearest_names


class WorkflowError(MolexpError):
    """Something about a workflow.

    Attributes:
        workflow: its name.

    Example:
        >>> from molexp.workflow import Workflow
        >>> try:
        ...     Workflow.for_experiment(exp)
        ... except me.WorkflowError as error:
        ...     print(type(error).__name__)
        UnboundExperimentError
    """

    def __init__(self, message: str, *, workflow: str = "") -> None:
        self.workflow = workflow
        super().__init__(message)


class WorkflowDefinitionError(WorkflowError, ValueError):
    """Tasks that cannot be joined to a workflow.

    Example:
        >>> from molexp.workflow import WorkflowBuilder
        >>> wf = WorkflowBuilder(name="pair")
        >>> _ = wf.add(lambda ctx: 1, name="a", depends_on=["b"])
        >>> try:
        ...     wf.build()
        ... except me.WorkflowDefinitionError as error:
        ...     print(type(error).__name__)
        UnknownTaskError
    """


class CycleError(WorkflowDefinitionError):
    """Tasks that wait for each other.

    Attributes:
        cycle: their names; the last is the first again.

    Example:
        >>> from molexp.workflow import WorkflowBuilder
        >>> wf = WorkflowBuilder(name="pair")
        >>> _ = wf.add(lambda ctx: 1, name="a", depends_on=["b"])
        >>> _ = wf.add(lambda ctx: 1, name="b", depends_on=["a"])
        >>> wf.build()
        Traceback (most recent call last):
            ...
        molexp.errors.CycleError: ...
    """

    def __init__(self, workflow: str, cycle: Iterable[str]) -> None:
        self.cycle: tuple[str, ...] = tuple(cycle)
        super().__init__(
            f"The tasks of workflow {workflow!r} wait for each other: {' -> '.join(self.cycle)}. "
            "Take one of these dependencies away.",
            workflow=workflow,
        )


class DuplicateTaskError(WorkflowDefinitionError):
    """Two tasks of one name.

    Attributes:
        task: the name.

    Example:
        >>> from molexp.workflow import WorkflowBuilder
        >>> wf = WorkflowBuilder(name="pair")
        >>> _ = wf.add(lambda ctx: 1, name="a")
        >>> _ = wf.add(lambda ctx: 2, name="a")
        Traceback (most recent call last):
            ...
        molexp.errors.DuplicateTaskError: ...
    """

    def __init__(self, workflow: str, task: str) -> None:
        self.task = task
        super().__init__(
            f"The workflow {workflow!r} has a task {task!r} already; give this one another with name=...",
            workflow=workflow,
        )


class UnknownTaskError(WorkflowDefinitionError):
    """A task depends on one that is not there.

    Attributes:
        task: the task.
        missing: the tasks that it depends on.
        nearest: names that exist and look similar, best first.

    Example:
        >>> from molexp.workflow import WorkflowBuilder
        >>> wf = WorkflowBuilder(name="pair")
        >>> _ = wf.add(lambda ctx: 1, name="a", depends_on=["b"])
        >>> wf.build()
        Traceback (most recent call last):
            ...
        molexp.errors.UnknownTaskError: ...
    """

    def __init__(self, workflow: str, task: str, missing: str, *, nearest: Sequence[str] = ()) -> None:
        self.task = task
        self.missing = missing
        self.nearest: tuple[str, ...] = tuple(nearest)
        super().__init__(
            f"Task {task!r} of workflow {workflow!r} depends on {missing!r}, which is not one of its tasks."
            f"{nearest_names(self.nearest)}",
            workflow=workflow,
        )


class UnboundExperimentError(WorkflowError, NotFoundError):
    """No workflow is bound to an experiment in this process.

    Attributes:
        experiment: its path.

    Example:
        >>> from molexp.workflow import Workflow
        >>> Workflow.for_experiment(exp)
        Traceback (most recent call last):
            ...
        molexp.errors.UnboundExperimentError: ...
    """

    def __init__(self, experiment: str) -> None:
        NotFoundError.__init__(
            self,
            "workflow bound to the experiment",
            experiment,
            hint="Bind one with workflow.bind_to(experiment); bindings hold for the process that makes them.",
        )
        self.workflow = ""
        self.experiment = experiment


class TaskError(MolexpError):
    """Something about a task.

    Attributes:
        task: its name, with its index if it is mapped.

    Example:
        >>> from molexp.workflow import WorkflowBuilder
        >>> wf = WorkflowBuilder(name="pair")
        >>> _ = wf.add(lambda ctx: 1 / 0, name="divide")
        >>> try:
        ...     wf.build().execute_sync(check=True)
        ... except me.TaskError as error:
        ...     print(error.task)
        divide
    """

    def __init__(self, message: str, *, task: str) -> None:
        self.task = task
        super().__init__(message)


class TaskFailedError(TaskError):
    """A task of a workflow failed; `__cause__` is what it raised.

    Attributes:
        workflow: the workflow's name.
        failed: every task that failed.

    Example:
        >>> from molexp.workflow import WorkflowBuilder
        >>> wf = WorkflowBuilder(name="pair")
        >>> _ = wf.add(lambda ctx: 1 / 0, name="divide")
        >>> wf.build().execute_sync(check=True)
        Traceback (most recent call last):
            ...
        molexp.errors.TaskFailedError: ...
    """

    def __init__(self, workflow: str, task: str, reason: str, *, failed: Iterable[str] = ()) -> None:
        self.workflow = workflow
        self.failed: tuple[str, ...] = tuple(failed)
        others = [name for name in self.failed if name != task]
        more = f" {', '.join(map(repr, others))} failed, too." if others else ""
        super().__init__(f"Task {task!r} of workflow {workflow!r} failed: {reason.rstrip('.')}.{more}", task=task)


class TaskNotSucceededError(TaskError, KeyError):
    """The output of a task that has none; `__cause__` is what it, or the one it waited for, raised.

    Attributes:
        status: its status in the end.

    Example:
        >>> from molexp.workflow import WorkflowBuilder
        >>> wf = WorkflowBuilder(name="pair")
        >>> _ = wf.add(lambda ctx: 1 / 0, name="divide")
        >>> wf.build().execute_sync().outputs["divide"]
        Traceback (most recent call last):
            ...
        molexp.errors.TaskNotSucceededError: ...
    """

    def __init__(self, task: str, *, status: str, reason: str = "") -> None:
        self.status = status
        super().__init__(
            f"Task {task!r} has no output: it is {status}{' (' + reason.rstrip('.') + ')' if reason else ''}.",
            task=task,
        )


class TaskTimeoutError(TaskError, TimeoutError):
    """A task ran longer than its timeout.

    Attributes:
        timeout: seconds.
        abandoned: True if it may be running still, in a thread that nobody can kill; what it records is refused.

    Example:
        >>> from molexp.workflow import WorkflowBuilder
        >>> wf = WorkflowBuilder(name="pair")
        >>> _ = wf.add(lambda ctx: 1, name="scan", timeout=60.0)
        >>> outcome = wf.build().execute_sync().tasks["scan"]
        >>> isinstance(outcome.error, me.TaskTimeoutError)  # it took less than a minute
        False
    """

    def __init__(self, task: str, *, timeout: float, abandoned: bool = False) -> None:
        self.timeout = timeout
        self.abandoned = abandoned
        still = (
            " Its thread cannot be killed and may be running still; ctx.cancelled tells it to stop, and "
            "executor='process' would have killed it."
        )
        super().__init__(f"Task {task!r} ran longer than {timeout:g} s.{still if abandoned else ''}", task=task)


class TaskEndedError(TaskError):
    """A task used its context after its end: it timed out, or was cancelled, or left a thread behind. Nothing was recorded.

    Attributes:
        why: the way in which it ended.

    Example:
        >>> from molexp.workflow import WorkflowBuilder
        >>> try:
        ...     result = WorkflowBuilder(name="pair").build().execute_sync()
        ... except me.TaskEndedError as error:  # a task recorded something after its timeout
        ...     print(error.task)
    """

    def __init__(self, task: str, *, why: str) -> None:
        self.why = why
        super().__init__(f"Nothing can be recorded for task {task!r} any more: {why}.", task=task)


class ScriptError(MolexpError):
    """A script that cannot be driven.

    Attributes:
        script: its path.
        reason: the problem, and the remedy.
        trace: the traceback of its error, in the user's files alone; "" if it raised none.

    Example:
        >>> from molexp.scripts import Drive
        >>> _ = Path("broken.py").write_text("1 / 0")
        >>> Drive("broken.py")
        Traceback (most recent call last):
            ...
        molexp.errors.ScriptError: ...
    """

    def __init__(self, script: str, reason: str, *, trace: str = "") -> None:
        self.script = script
        self.reason = reason
        self.trace = trace
        shown = f"\n{trace.rstrip()}" if trace else ""
        super().__init__(f"The script {script!r} cannot be run: {reason.rstrip('.')}.{shown}")
