"""Building a workflow: collecting tasks, and checking that they can be joined."""

from __future__ import annotations

import builtins
import inspect
import sys
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from graphlib import CycleError as _GraphCycle
from graphlib import TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, Unpack, overload

from molexp._values.ids import nearest
from molexp._values.numbers import at_least_one
from molexp._workflow.options import Depends, F, TaskOptions, TaskSettings, with_options
from molexp._workflow.shell import ShellTask
from molexp._workflow.tasks import TaskSpec, spec_of
from molexp._workflow.workflow import Workflow
from molexp.errors import CycleError, DuplicateTaskError, InvalidNameError, UnknownTaskError, WorkflowDefinitionError

if TYPE_CHECKING:
    from molexp._workflow.context import TaskContext
    from molexp.contracts import Resources


class WorkflowBuilder:
    """Collects the tasks of a workflow and joins them.

    Args:
        name: the workflow's name, for people.
        on_failure: after a task failed, ``"finish"`` the tasks that do not depend on it, or ``"cancel"`` all the rest.
        max_parallel: the largest number of tasks, and items of mapped tasks, at a time; None: as many as are ready.

    Raises:
        WorkflowDefinitionError: the name is not text, or is empty.
        ValueError: the policy is another one, or the number of tasks is not above 0.
        TypeError: the number of tasks is no whole number.

    Example:
        >>> from molexp.workflow import WorkflowBuilder
        >>> wf = WorkflowBuilder(name="pair")
        >>> @wf.task
        ... def scan(ctx):
        ...     return [3, 1, 2]
        >>> _ = wf.add(lambda ctx: min(ctx.inputs), name="minimum", depends_on=[scan])
        >>> _ = wf.shell("hello", ["echo", "hello"])
        >>> wf.build().execute_sync().outputs["minimum"]
        1
    """

    def __init__(
        self, name: str, *, on_failure: Literal["finish", "cancel"] = "finish", max_parallel: int | None = None
    ) -> None:
        if not isinstance(name, str) or not name.strip():
            raise WorkflowDefinitionError(f"A workflow's name must be text, not {name!r}.")
        if on_failure not in ("finish", "cancel"):
            raise ValueError(f"on_failure must be 'finish' or 'cancel', not {on_failure!r}.")
        self.name = name
        self.on_failure: Literal["finish", "cancel"] = on_failure
        self.max_parallel = at_least_one(max_parallel, "max_parallel")
        self._tasks: dict[str, TaskSpec] = {}
        self._names: dict[Hashable, list[str]] = {}  # by the identity of what was given

    def __repr__(self) -> str:
        return f"<WorkflowBuilder {self.name!r}: {', '.join(self._tasks) or 'no tasks'}>"

    def _add(
        self,
        subject: Any,
        place: tuple[str, int] | None = None,
        /,
        *,
        name: str | None = None,
        depends_on: Depends = (),
        map_over: str | Callable[..., Any] | None = None,
        **settings: Unpack[TaskSettings],
    ) -> None:
        shown = str(name or getattr(subject, "__name__", type(subject).__name__))
        if isinstance(depends_on, str) or callable(depends_on) or hasattr(depends_on, "execute"):
            depends_on = [depends_on]  # type: ignore[list-item]  # an object that was added
        elif not isinstance(depends_on, Iterable):
            raise TypeError(f"Task {shown!r}: depends_on must be names of tasks, or functions, not {depends_on!r}.")
        depends = [self._name(task, shown) for task in depends_on]
        over = self._name(map_over, shown) if map_over is not None else None
        spec = spec_of(subject, name=name, depends_on=depends, map_over=over, place=place, **settings)
        if spec.name in self._tasks:
            if not _interactive():
                raise DuplicateTaskError(self.name, spec.name)
            for key, names in list(self._names.items()):
                self._names[key] = [name for name in names if name != spec.name]
        self._tasks[spec.name] = spec
        self._names.setdefault(_identity(subject), []).append(spec.name)

    @with_options(TaskOptions, _add, TaskSpec)
    def add(self, task: Any, **options: Unpack[TaskOptions]) -> Self:
        """Add a task object (anything with `execute(ctx)`), a class of such, or a function; returns the builder.

        Args:
            task: the task.
            name: its name; by default the function's, or the object's attribute ``name``, or its class's in snake case.
            depends_on: the tasks whose outputs it takes, by name, or as what they were made from.
            map_over: the one of them whose output is a list: the task is executed for each item, and its output is the
                list of what that returned.
            retries: the number of further tries after a failure.
            backoff: seconds before the first retry; each further one waits twice as long, up to a minute.
            timeout: seconds that one try may take; None: any.
            executor: name of the executor that executes it.
            resources: its needs, for executors that ask.

        Raises:
            DuplicateTaskError: the name is taken.
            InvalidNameError: the name cannot be used.
            TypeError: it is not a task.
            UnknownTaskError: it depends on a function or object that is not a task of this workflow.
            ValueError: an option does not make sense, such as a negative number of retries.
        """
        self._add(task, **options)
        return self

    @overload
    def task(self, fn: F, /) -> F: ...
    @overload
    def task(self, /, **options: Unpack[TaskOptions]) -> Callable[[F], F]: ...
    @with_options(TaskOptions, _add, TaskSpec)
    def task(self, fn: Any = None, /, **options: Unpack[TaskOptions]) -> Any:
        """Make a function a task; return it as it was.

        Args:
            fn: the function, of one `TaskContext`; async or plain. Plain ones are executed off the event loop.
            name: as for `add`, like all that follow.
            depends_on: its upstream tasks.
            map_over: the one whose output is a list.
            retries: the number of further tries.
            backoff: seconds before the first retry.
            timeout: seconds that one try may take.
            executor: name of the executor that executes it.
            resources: its needs there.

        Raises:
            DuplicateTaskError: the name is taken. (In an interactive session, defining a task again replaces it.)
            InvalidNameError: the name cannot be used.
            TypeError: it is not a function, or is one that yields.
            UnknownTaskError: it depends on a function that is not a task of this workflow.
            ValueError: an option does not make sense, such as a negative number of retries.
        """

        def register(function: F) -> F:
            self._add(function, **options)
            return function

        return register if fn is None else register(fn)

    def shell(
        self,
        name: str,
        command: Sequence[str | Path] | str | Callable[[TaskContext], Sequence[str | Path] | str],
        *,
        outputs: Mapping[str, str] | None = None,
        depends_on: Depends = (),
        map_over: str | Callable[..., Any] | None = None,
        retries: int = 0,
        backoff: float = 0.1,
        timeout: float | None = None,
        env: Mapping[str, str] | None = None,
        resources: Resources | None = None,
    ) -> None:
        """Add a task that runs a command in the task's own working directory.

        Its argv, exit code and both streams are recorded. Its output is a dict: ``exit_code``, and under each name of
        `outputs` the artifact (without a run, the path) that its file became.

        Args:
            name: the task's name.
            command: a sequence runs as it is; a text is given to the shell; a function of the task's context returns
                either, for commands that depend on parameters or inputs.
            outputs: names of artifacts, and the files that they are made of, relative to the working directory.
            depends_on: tasks to wait for.
            map_over: as for `add`.
            retries: as for `add`.
            backoff: as for `add`.
            timeout: seconds after which it is killed, with its children.
            env: environment variables over those of this process.
            resources: its needs, for executors that ask.

        Raises:
            DuplicateTaskError: the name is taken.
            InvalidNameError: the name cannot be used.
            TypeError: the command is not a command.
            ValueError: a number of retries or seconds does not make sense.
        """
        task = ShellTask(
            command, outputs=dict(outputs or {}), env=dict(env) if env is not None else None, limit=timeout
        )
        task.check(name)
        caller = sys._getframe(1)
        self._add(
            task,
            (caller.f_code.co_filename, caller.f_lineno),
            name=name,
            depends_on=depends_on,
            map_over=map_over,
            retries=retries,
            backoff=backoff,
            resources=resources,
        )

    def build(self) -> Workflow:
        """Return the workflow, checked and immutable.

        Raises:
            UnknownTaskError: a task depends on one that is not there; with the nearest names.
            CycleError: tasks that wait for each other; shows a cycle.
        """
        for spec in self._tasks.values():
            for name in spec.depends_on:
                if name not in self._tasks:
                    close = nearest(name, self._tasks)
                    raise UnknownTaskError(self.name, spec.name, name, nearest=close)
        try:
            order = list(TopologicalSorter({n: s.depends_on for n, s in self._tasks.items()}).static_order())
        except _GraphCycle as error:
            raise CycleError(self.name, reversed(error.args[1])) from None
        tasks = {name: self._tasks[name] for name in order}
        return Workflow(self.name, tasks, on_failure=self.on_failure, max_parallel=self.max_parallel)

    def _name(self, task: Any, of: str) -> str:
        """Return the name of a task that is given by name, or as the function or object that it was made from."""
        if isinstance(task, str):
            return task
        names = self._names.get(_identity(task), ())
        if len(names) == 1:
            return names[0]
        shown = getattr(task, "__name__", repr(task))
        if not names:
            raise UnknownTaskError(self.name, of, str(shown), nearest=nearest(str(shown), self._tasks))
        raise WorkflowDefinitionError(
            f"{shown} stands for several tasks of workflow {self.name!r}: {', '.join(names)}. Give the name of the one you mean.",
            workflow=self.name,
        )


def workflow_of(function: Callable[[TaskContext], Any]) -> Workflow:
    """Return a workflow of one task, which calls a function.

    Raises:
        TypeError: it is no function of one context.
    """
    try:
        name = spec_of(function).name
    except InvalidNameError:
        name = "function"  # a lambda's
    return WorkflowBuilder(name).add(function, name=name).build()


def _identity(subject: Any) -> Hashable:
    """Return what tells it from others; Python makes a bound method anew each time that one asks for it."""
    return (id(subject.__self__), id(subject.__func__)) if inspect.ismethod(subject) else id(subject)


def _interactive() -> bool:
    """Tell whether somebody types: a REPL, or a notebook."""
    return hasattr(sys, "ps1") or hasattr(builtins, "__IPYTHON__")
