"""The options of tasks and of executing workflows: each is stated once, and type checkers refuse any other."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal, TypedDict, TypeVar, cast

if TYPE_CHECKING:
    from molexp._hierarchy.run import Run
    from molexp._hierarchy.run_context import RunContext
    from molexp._workflow.results import TaskOutcome
    from molexp.contracts import Resources

F = TypeVar("F", bound=Callable[..., Any])

Depends = Iterable["str | Callable[..., Any]"]


class TaskSettings(TypedDict, total=False):
    """The settings of one task; `TaskSpec` has their defaults."""

    retries: int
    backoff: float
    timeout: float | None
    executor: str
    resources: Resources | None


class TaskOptions(TaskSettings, total=False):
    """The options of `WorkflowBuilder.task` and `add`."""

    name: str | None
    depends_on: Depends
    map_over: str | Callable[..., Any] | None


class StartOptions(TypedDict, total=False):
    """The options of `Workflow.start`."""

    run: Run | RunContext | None
    params: Mapping[str, Any] | None
    config: Mapping[str, Any] | None
    resume: bool


class ExecuteOptions(StartOptions, total=False):
    """The options of `Workflow.execute` and `execute_sync`."""

    check: bool
    if_succeeded: Literal["rerun", "error"]
    listener: Callable[[str, TaskOutcome | None], None] | None


class RunOptions(TypedDict, total=False):
    """The options of executing a workflow under a run."""

    resume: bool
    if_succeeded: Literal["rerun", "error"]
    capture: bool


def with_options(options: type, *methods: Callable[..., Any]) -> Callable[[F], F]:
    """Return a decorator for a method that passes ``**options`` on: it checks and shows them as if it spelled them out.

    Args:
        options: the `TypedDict` of the options.
        methods: the methods that have them in their signatures, with their defaults.
    """
    written = {name: getattr(note, "__forward_arg__", note) for name, note in options.__annotations__.items()}
    spelled: dict[str, inspect.Parameter] = {}
    for item in [item for method in methods for item in inspect.signature(method).parameters.values()]:
        if item.name in written:
            spelled.setdefault(item.name, item.replace(annotation=written[item.name]))

    def decorate(function: F) -> F:
        @functools.wraps(function)
        def checked(*args: Any, **given: Any) -> Any:
            if unknown := given.keys() - written.keys():
                raise TypeError(f"{function.__qualname__}() got an unexpected keyword argument {min(unknown)!r}")
            return function(*args, **given)

        shown = inspect.signature(function)
        own = [item for item in shown.parameters.values() if item.kind is not item.VAR_KEYWORD]
        checked.__dict__["__signature__"] = shown.replace(parameters=[*own, *spelled.values()])
        return cast("F", checked)

    return decorate
