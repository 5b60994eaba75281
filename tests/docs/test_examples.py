"""Every public class and function has an example in its docstring, and each example does what it shows.

An example may use what the reference says that each begins with: a workspace `ws`, an experiment `exp`, a finished `run`.
"""

from __future__ import annotations

import doctest
import importlib
import inspect
import re
from functools import cached_property

import pytest

import molexp as me
from docs import build_reference
from molexp.workflow import Workflow, WorkflowBuilder

MODULES = ("molexp", "molexp.workflow", "molexp.contracts")
FOR_PROGRAMS = ("molexp.executors", "molexp.scripts", "molexp.submissions")  # where not every name has an example
WITH_METHODS = (me.Catalog, me.Experiment, me.Project, me.Run, me.RunContext, me.Workspace, Workflow, WorkflowBuilder)


def is_documented(value):
    return inspect.isclass(value) or inspect.isfunction(value)


def public_methods(owner):
    return {
        f"{owner.__name__}.{name}": value
        for name, value in inspect.getmembers(owner, inspect.isroutine)
        if not (name.startswith("_") or isinstance(value, cached_property))
    }


PUBLIC = {
    name: value
    for module in map(importlib.import_module, MODULES)
    for name in module.__all__
    if is_documented(value := getattr(module, name))
}
METHODS = {owner: public_methods(owner) for owner in WITH_METHODS}
EVERYTHING = PUBLIC | {
    f"{module}.{name}": value
    for module in FOR_PROGRAMS
    for name in importlib.import_module(module).__all__
    if is_documented(value := getattr(importlib.import_module(module), name))
}
EVERYTHING |= {name: value for methods in METHODS.values() for name, value in methods.items()}


def has_example(value):
    return ">>> " in (value.__doc__ or "")


def test_every_public_name_has_an_example():
    assert not [name for name, value in PUBLIC.items() if not has_example(value)]


@pytest.mark.parametrize("owner", WITH_METHODS, ids=lambda owner: owner.__name__)
def test_every_method_has_an_example(owner):
    """An example of its own, or one of its class that calls it."""
    examples = "".join(base.__doc__ or "" for base in owner.__mro__ if has_example(base))
    lacking = [
        name
        for name, method in METHODS[owner].items()
        if not (has_example(method) or re.search(rf"\.{name.rpartition('.')[2]}\b", examples))
    ]
    assert not lacking


@pytest.fixture
def scene(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MOLEXP_CONFIG_DIR", str(tmp_path / "config"))
    names: dict[str, object] = {}
    exec(build_reference.SETUP, names)
    return names


@pytest.mark.parametrize("name", [name for name, value in EVERYTHING.items() if has_example(value)])
def test_an_example_does_what_it_shows(scene, name):
    text = inspect.getdoc(EVERYTHING[name]) or ""
    example = doctest.DocTestParser().get_doctest(text, scene | {"__name__": "__main__"}, name, None, None)
    report: list[str] = []
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    runner.run(example, out=report.append)
    assert not runner.failures, "".join(report)
