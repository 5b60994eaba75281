"""Tasks in other processes, in memory."""

from __future__ import annotations

import os
from typing import Any

import pytest

from molexp.errors import NotPicklableError, TaskTimeoutError, WorkerDiedError
from molexp.workflow import WorkflowBuilder
from tests.workflow import tasks_elsewhere as tasks


def execute(task: Any, **options: Any) -> Any:
    wf = WorkflowBuilder("w").add(lambda ctx: [1, 2], name="list").add(lambda ctx: "x", name="other")
    wf.add(task, **{"name": "t", "executor": "process", "backoff": 0, **options})
    return wf.build().execute_sync(params={"a": 1}, config={"b": 2})


@pytest.mark.parametrize("task", [tasks.where, tasks.async_where, tasks.Where(), tasks.Where])
def test_functions_coroutines_and_objects_are_executed_elsewhere(task):
    pid = execute(task).outputs["t"]
    assert isinstance(pid, int)
    assert pid != os.getpid()


def test_a_context_there_is_as_it_is_here():
    expected = ("t", None, 0, {"list": [1, 2], "other": "x"}, {"list": [1, 2], "other": "x"}, {"a": 1}, {"b": 2})
    assert execute(tasks.everything, depends_on=["list", "other"]).outputs["t"] == (*expected, None, None)
    mapped = execute(tasks.everything, depends_on=["other"], map_over="list").outputs["t"]
    assert [item[:4] for item in mapped] == [("t", n, 0, {"other": "x", "list": n + 1}) for n in range(2)]


def test_what_it_raises_is_its_failure():
    outcome = execute(tasks.fails).tasks["t"]
    assert type(outcome.error) is ValueError
    assert outcome.reason == "ValueError: boom in t"


def test_a_worker_that_dies_fails_its_task_and_the_retry_works():
    outcome = execute(tasks.fails_once).tasks["t"]
    assert isinstance(outcome.error, WorkerDiedError)
    assert execute(tasks.fails_once, retries=1).outputs["t"] == 1


def test_on_timeout_the_worker_is_killed():
    error = execute(tasks.endless, timeout=0.2).tasks["t"].error
    assert isinstance(error, TaskTimeoutError)
    assert not error.abandoned


@pytest.mark.parametrize("what", ["lambda", "local", "result"])
def test_what_cannot_travel_is_named_with_its_task_and_what_to_do(what):
    def local(ctx: Any) -> int:
        return 1

    task = {"lambda": lambda ctx: 1, "local": local, "result": tasks.unpicklable}[what]
    outcome = execute(task, name="bad-task", retries=3).tasks["bad-task"]
    assert isinstance(outcome.error, NotPicklableError)
    assert outcome.retries == 0  # it would not get better
    assert "'bad-task'" in outcome.reason
    assert ("Return plain data" if what == "result" else "top level of a module") in outcome.reason
