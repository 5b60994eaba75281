"""The options of tasks and of executing a workflow: signatures show them, and any other is refused at once."""

from __future__ import annotations

import inspect

import pytest

from molexp.workflow import Workflow, WorkflowBuilder


@pytest.mark.parametrize(
    ("method", "option"),
    [
        (WorkflowBuilder("w").task, "depend_on"),
        (WorkflowBuilder("w").build().execute_sync, "parameters"),
        (WorkflowBuilder("w").build().start, "check"),
    ],
)
def test_unknown_options_are_refused_at_once(method, option):
    with pytest.raises(TypeError, match=rf"{method.__name__}\(\) got an unexpected keyword argument '{option}'"):
        method(**{option: True})


SETTINGS = {"name": None, "depends_on": (), "map_over": None, "retries": 0, "backoff": 0.1, "timeout": None}
STARTING = {"run": None, "params": None, "config": None, "resume": False}
EXECUTING = {**STARTING, "check": False, "if_succeeded": "rerun", "listener": None}


@pytest.mark.parametrize(
    ("method", "options"),
    [
        (WorkflowBuilder.task, {**SETTINGS, "executor": "inline", "resources": None}),
        (WorkflowBuilder.add, {**SETTINGS, "executor": "inline", "resources": None}),
        (Workflow.execute, EXECUTING),
        (Workflow.execute_sync, EXECUTING),
        (Workflow.start, STARTING),
    ],
)
def test_signatures_show_every_option_and_its_default(method, options):
    shown = inspect.signature(method).parameters.values()
    assert {item.name: item.default for item in shown if item.kind is item.KEYWORD_ONLY} == options
    assert all(item.kind is not item.VAR_KEYWORD for item in shown)
