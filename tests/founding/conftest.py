"""Provide what the page takes for granted: a folder, a workflow, and the names of its first snippet."""

from __future__ import annotations

import pytest

from molexp.workflow import TaskContext, WorkflowBuilder
from tests.founding.page import BINDING, TRAINING


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """The page opens ``./lab``."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def spec():
    wf = WorkflowBuilder(name="training")

    @wf.task
    def fetch(ctx):
        return [1.0, 2.0]

    exec(TRAINING, {"wf": wf, "TaskContext": TaskContext})
    return wf.build()


@pytest.fixture
def page(spec):
    """Define what the snippet on binding defines."""
    names = {"spec": spec}
    exec(BINDING, names)
    yield names
    spec.unbind_from(names["exp"])


@pytest.fixture
def exp(page):
    return page["exp"]
