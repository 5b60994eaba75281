"""Tasks of a workflow: a base class, and the checked specification of each."""

from __future__ import annotations

import inspect
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from functools import cached_property
from types import FunctionType
from typing import TYPE_CHECKING, Any, Unpack

from msgspec import Struct
from msgspec.structs import replace

from molexp._code.locations import imports
from molexp._values.ids import check_payload_name
from molexp._values.numbers import real, whole
from molexp.contracts import Resources
from molexp.errors import InvalidNameError

if TYPE_CHECKING:
    from molexp._workflow.context import TaskContext
    from molexp._workflow.options import TaskSettings

INLINE = "inline"
"""The executor in this process: the event loop for coroutine functions, threads for plain ones."""

_FORBIDDEN = "/[]"
_WORD = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


class Task(ABC):
    """A reusable task. Any object with an `execute` method will do; this class is for those who like to inherit.

    Its attributes count when a resume asks whether it changed. Its name in a workflow is its attribute ``name``, else the
    name of its class in snake case.

    Example:
        >>> from molexp.workflow import Task, WorkflowBuilder
        >>> class Scan(Task):
        ...     def execute(self, ctx):
        ...         return [1, 2]
        >>> wf = WorkflowBuilder(name="pair")
        >>> _ = wf.add(Scan(), name="scan")
        >>> wf.build().execute_sync().outputs["scan"]
        [1, 2]
    """

    @abstractmethod
    def execute(self, ctx: TaskContext) -> Any:
        """Do the work; may be a coroutine function. What it returns is the task's output."""


class TaskSpec(Struct, frozen=True, eq=False, kw_only=True, dict=True):
    """One task of a workflow.

    Attributes:
        name: its name, unique in the workflow.
        subject: the function, or the object with `execute`, that was given.
        depends_on: names of the tasks whose outputs it takes, in order.
        map_over: the one of them whose output is a list, for each item of which the task is executed; None: once.
        retries: the number of further tries after a failure.
        backoff: seconds before the first retry; each further one waits twice as long, up to a minute.
        timeout: seconds that one try may take; None: any.
        executor: name of the executor that executes it.
        resources: its needs, for executors that ask.
        place: file and line where it was added, if what it calls has none.
        call: the function that is called with the context, or the object's ``execute``.
        is_async: true if that is a coroutine function.

    Example:
        >>> from molexp.workflow import WorkflowBuilder
        >>> wf = WorkflowBuilder(name="pair")
        >>> @wf.task(retries=2)
        ... def scan(ctx):
        ...     return [1, 2]
        >>> wf.build().tasks["scan"].retries
        2
    """

    name: str
    subject: Any
    depends_on: tuple[str, ...] = ()
    map_over: str | None = None
    retries: int = 0
    backoff: float = 0.1
    timeout: float | None = None
    executor: str = INLINE
    resources: Resources | None = None
    place: tuple[str, int] | None = None

    @cached_property
    def call(self) -> Callable[[Any], Any]:
        """The function that is called with the context, or the object's ``execute``."""
        found: Callable[[Any], Any] = self.subject.execute if _is_object(self.subject) else self.subject
        return found

    @cached_property
    def is_async(self) -> bool:
        """True if that is a coroutine function."""
        return inspect.iscoroutinefunction(self.call) or inspect.iscoroutinefunction(type(self.call).__call__)


def spec_of(
    subject: Any,
    *,
    name: str | None = None,
    depends_on: Iterable[str] = (),
    map_over: str | None = None,
    place: tuple[str, int] | None = None,
    **settings: Unpack[TaskSettings],
) -> TaskSpec:
    """Return the specification of a task, checked.

    Raises:
        TypeError: the subject is neither a function nor an object with `execute`.
        InvalidNameError: its name cannot be used.
        ValueError: a number of retries, a timeout, a backoff, an executor or resources that make no sense.
    """
    imports().look()
    if inspect.isclass(subject):
        if not hasattr(subject, "execute"):
            raise TypeError(f"The class {subject.__qualname__} is not a task: it has no method execute(ctx).")
        subject = subject()
    if not _is_object(subject) and not callable(subject):
        raise TypeError(f"A task must be a function of one context, or an object with execute(ctx), not {subject!r}.")
    name = check_task_name(_name_of(subject) if name is None else name)
    _check_call(name, subject.execute if _is_object(subject) else subject)
    depends = tuple(dict.fromkeys([*depends_on, *([map_over] if map_over is not None else [])]))
    spec = TaskSpec(name=name, subject=subject, depends_on=depends, map_over=map_over, place=place, **settings)
    return _checked(spec)


def _checked(spec: TaskSpec) -> TaskSpec:
    """Return a task with its numbers as Python's own; raise unless its settings make sense.

    Raises:
        ValueError: one does not.
    """
    retries, backoff = whole(spec.retries), real(spec.backoff)
    if retries is None or retries < 0:
        raise ValueError(f"Task {spec.name!r}: retries={spec.retries!r} is not a whole number of 0 or more.")
    timeout = checked_timeout(spec.name, spec.timeout)
    if backoff is None or not backoff >= 0:
        raise ValueError(f"Task {spec.name!r}: backoff={spec.backoff!r} is not a number of seconds of 0 or more.")
    if not isinstance(spec.executor, str) or not spec.executor:
        raise ValueError(f"Task {spec.name!r}: executor={spec.executor!r} is not the name of an executor.")
    if spec.resources is not None and not isinstance(spec.resources, Resources):
        raise ValueError(
            f"Task {spec.name!r}: resources={spec.resources!r} is not of the class Resources. Write Resources(cores=4)."
        )
    return replace(spec, retries=retries, timeout=timeout, backoff=backoff)


def checked_timeout(name: str, timeout: float | None) -> float | None:
    """Return the seconds that a task may take, checked; None if it may take any.

    Raises:
        ValueError: they make no sense.
    """
    if timeout is None:
        return None
    seconds = real(timeout)
    if seconds is None or not seconds > 0:
        raise ValueError(f"Task {name!r}: timeout={timeout!r} is not a number of seconds above 0.")
    return seconds


def _check_call(name: str, call: Callable[..., Any]) -> None:
    """Raise unless it can be called with a context and returns something.

    Raises:
        TypeError: it cannot, or is a generator.
    """
    for function in (call, type(call).__call__):
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise TypeError(
                f"Task {name!r} is a generator: a task returns its output. Return a list instead of yielding."
            )
    if type(call) is FunctionType and call.__code__.co_argcount == 1 and not call.__code__.co_kwonlyargcount:
        return  # nearly all of them, and a signature takes its time
    try:
        signature = inspect.signature(call)
    except (TypeError, ValueError):  # of C, and silent about it
        return
    try:
        signature.bind(None)
    except TypeError as error:
        raise TypeError(f"Task {name!r} is called with one argument, its context: {error}.") from None


def check_task_name(given: Any) -> str:
    """Return the name, if a task can have it.

    Raises:
        InvalidNameError: it cannot.
    """
    name = check_payload_name(given, "task name")
    if any(mark in name for mark in _FORBIDDEN):
        raise InvalidNameError("task name", name, "'/', '[' and ']' are not allowed")
    return name


def _is_object(subject: Any) -> bool:
    return not inspect.isfunction(subject) and not inspect.ismethod(subject) and hasattr(subject, "execute")


def _name_of(subject: Any) -> Any:
    if _is_object(subject):
        given = getattr(subject, "name", None)
        return given if isinstance(given, str) and given else _WORD.sub("_", type(subject).__name__).lower()
    name = getattr(inspect.unwrap(getattr(subject, "func", subject)), "__name__", None)
    if name is None or name == "<lambda>":
        raise InvalidNameError("task name", str(name), "this callable has none; give it one with name=...")
    return name
