"""The traceback of what ended a run is saved, whatever the error is made of."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import molexp as me
from molexp.workflow import TaskContext, WorkflowBuilder


class UnsayableError(Exception):
    def __str__(self) -> str:
        raise ValueError("not today")


class Word(str):
    __slots__ = ()


class OddError(Exception):
    def __str__(self) -> str:
        return Word("odd")


def endless() -> Exception:
    one, two = ValueError("one"), KeyError("two")
    one.__cause__, two.__cause__ = two, one
    return one


def noted() -> Exception:
    error = ValueError("with notes")
    error.add_note("a note of \udcff")
    error.__notes__.append(3)  # type: ignore[arg-type]  # what a stranger may do
    return error


def deep() -> Exception:
    group: Exception = ValueError("innermost")
    for _ in range(3000):
        group = ExceptionGroup("around", [group])
    return group


def chained() -> Exception:
    error: Exception = ValueError("first")
    for _ in range(3000):
        after = ValueError("after")
        after.__cause__ = error
        error = after
    return error


ERRORS: dict[str, tuple[Callable[[], BaseException], str]] = {
    "a file name that is not UTF-8": (lambda: ValueError("cannot parse \udcff"), r"cannot parse \udcff"),
    "text without an end": (lambda: ValueError("x" * (1 << 22) + "the end"), "the end"),
    "no text": (UnsayableError, "UnsayableError"),
    "text of another class": (OddError, "odd"),
    "notes": (noted, r"a note of \udcff"),
    "a cycle of causes": (endless, "two"),
    "a group": (lambda: ExceptionGroup("several", [ValueError("\udcff"), KeyError("k")]), r"ValueError: \udcff"),
    "groups in groups": (deep, "around"),
    "many causes": (chained, "after"),
}


@pytest.mark.parametrize("what", ERRORS)
def test_the_traceback_is_saved_whatever_the_error_is_made_of(place, run, what):
    make, expected = ERRORS[what]
    error = make()
    with pytest.raises(type(error)), run.start():
        raise error

    seen = place.load().run(run.path)
    assert seen.status == "failed"
    trace = seen.asset("error-trace")
    assert "test_error_traces.py" in trace.load()
    assert expected in trace.load()
    assert trace.size < 1 << 21
    assert seen.execution_history[0]["error"]["trace"] == trace.id
    assert [row.status for row in place.load().catalog.runs()] == ["failed"]


def test_the_traceback_of_a_task_is_saved_as_well(place, run):
    workflow = WorkflowBuilder(name="w")

    @workflow.task
    def parse(ctx: TaskContext) -> None:
        raise ValueError("cannot parse \udcff")

    workflow.build().execute_sync(run=run)

    trace = place.load().run(run.path).asset("tasks/parse/error-trace")
    assert r"cannot parse \udcff" in trace.load()
    assert isinstance(trace, me.ErrorTraceAsset)
    assert trace.message == r"cannot parse \udcff"
