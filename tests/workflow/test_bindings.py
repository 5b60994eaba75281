"""A workflow is bound to one experiment."""

from __future__ import annotations

from typing import cast

import pytest

import molexp as me
from molexp.errors import NotFoundError, UnboundExperimentError, WorkflowError
from molexp.workflow import Workflow, WorkflowBuilder
from molexp.workflow.bindings import get_workflow, set_workflow, unset_workflow


def spec(name: str) -> Workflow:
    return WorkflowBuilder(name).add(lambda ctx: 1, name="a").build()


@pytest.fixture
def exp(tmp_path):
    return me.Workspace(tmp_path / "lab").Project("metals").Experiment("cu", params={"a": 3.6})


def test_a_bound_workflow_is_found_again(exp):
    relax = spec("relax")
    relax.bind_to(exp)
    assert Workflow.for_experiment(exp) is relax
    assert get_workflow(exp) is relax


def test_every_handle_of_an_experiment_has_its_workflow(exp, tmp_path, monkeypatch):
    relax = spec("relax")
    relax.bind_to(exp)
    monkeypatch.chdir(tmp_path)
    for url in ("lab", "./lab/", str(tmp_path / "x" / ".." / "lab")):
        again = me.Workspace(url).Project("metals").Experiment("cu")
        assert Workflow.for_experiment(again) is relax


def test_experiments_of_equal_names_never_share_one(exp, tmp_path):
    others = [
        me.Workspace(tmp_path / "other").Project("metals").Experiment("cu"),
        me.Workspace("memory://other").Project("metals").Experiment("cu"),
        me.Workspace(tmp_path / "lab").Project("alloys").Experiment("cu"),
        me.Workspace(tmp_path / "lab").Project("metals").Experiment("cu-2"),
    ]
    spec("relax").bind_to(exp)
    for other in others:
        with pytest.raises(UnboundExperimentError):
            Workflow.for_experiment(other)
    specs = [spec("relax") for _ in others]
    for other, its in zip(others, specs, strict=True):
        its.bind_to(other)
    assert [Workflow.for_experiment(other) for other in others] == specs
    assert Workflow.for_experiment(exp) not in specs


def test_binding_again_replaces(exp):
    first, second = spec("first"), spec("second")
    first.bind_to(exp)
    second.bind_to(exp)
    assert Workflow.for_experiment(exp) is second
    first.unbind_from(exp)  # somebody else's binding stays
    assert Workflow.for_experiment(exp) is second
    second.unbind_from(exp)
    second.unbind_from(exp)
    with pytest.raises(UnboundExperimentError):
        Workflow.for_experiment(exp)


def test_the_functions_of_the_module_set_and_remove_bindings(exp):
    relax = spec("relax")
    set_workflow(exp, relax)
    assert Workflow.for_experiment(exp) is relax
    unset_workflow(exp)
    with pytest.raises(UnboundExperimentError):
        get_workflow(exp)


def test_one_workflow_is_bound_to_many_experiments(exp):
    relax, other = spec("relax"), exp.project.Experiment("al")
    relax.bind_to(exp)
    relax.bind_to(other)
    relax.unbind_from(exp)
    assert Workflow.for_experiment(other) is relax


def test_an_experiment_without_one_says_what_to_do(exp):
    with pytest.raises(UnboundExperimentError, match=r"no workflow bound to the experiment 'metals/cu'.*bind_to") as e:
        Workflow.for_experiment(exp)
    assert isinstance(e.value, WorkflowError)
    assert isinstance(e.value, NotFoundError)


def test_only_workflows_are_bound(exp):
    with pytest.raises(TypeError, match=r"build\(\)"):
        set_workflow(exp, cast("Workflow", WorkflowBuilder("relax")))


def test_a_workflow_belongs_to_an_experiment_and_nothing_else(exp):
    workflow = WorkflowBuilder("relax").build()
    for other in ("metals/cu", exp.project, exp.project.workspace, exp.Run()):
        for call in (workflow.bind_to, workflow.unbind_from, Workflow.for_experiment):
            with pytest.raises(TypeError) as caught:
                call(cast("me.Experiment", other))
            assert str(caught.value).endswith(f"as project.Experiment(...) makes it, not to {other!r}.")
