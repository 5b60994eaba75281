"""Building a workflow: what is a task, how tasks are joined, and what is refused, with what to do instead."""

from __future__ import annotations

import builtins
import functools
import itertools
import pickle
import sys
from typing import Any

import attrs
import hypothesis.strategies as st
import pytest
from hypothesis import given

import molexp as me
from molexp.errors import (
    CycleError,
    DuplicateTaskError,
    InvalidNameError,
    UnknownTaskError,
    WorkflowDefinitionError,
    WorkflowError,
)
from molexp.workflow import Task, TaskContext, WorkflowBuilder


def one(ctx: TaskContext) -> int:
    return 1


async def two(ctx: TaskContext) -> int:
    return 2


class Scaled(Task):
    def __init__(self, by: int = 10) -> None:
        self.by = by

    def execute(self, ctx: TaskContext) -> int:
        return self.by * (ctx.inputs or 1)

    def method(self, ctx: TaskContext) -> int:
        return -self.by


class HTTPFetchTask:
    async def execute(self, ctx: TaskContext) -> str:
        return "fetched"


class Callable_:
    def __call__(self, ctx: TaskContext) -> str:
        return "called"


class AsyncCallable:
    async def __call__(self, ctx: TaskContext) -> str:
        return "called"


def outputs(wf: WorkflowBuilder) -> dict[str, Any]:
    return dict(wf.build().execute_sync(check=True).outputs)


# ------------------------------------------------------------------------------------------------------ what is a task


def test_a_decorated_function_comes_back_as_it_was(wf):
    def plain(ctx: TaskContext | None) -> str:
        return f"called with {ctx}"

    assert wf.task(plain) is plain
    assert wf.task(name="again")(plain) is plain
    assert wf.task()(one) is one
    assert plain(None) == "called with None"
    assert outputs(wf) == {
        "plain": "called with <TaskContext of 'plain'>",
        "again": "called with <TaskContext of 'again'>",
        "one": 1,
    }


def test_functions_objects_and_classes_with_execute_are_tasks(wf):
    wf.add(one).add(two, depends_on=[one]).add(Scaled(3), depends_on=["two"])
    wf.task(HTTPFetchTask)

    assert outputs(wf) == {"one": 1, "two": 2, "scaled": 6, "http_fetch_task": "fetched"}


def test_a_class_with_execute_can_be_decorated_and_depended_on(wf):
    @wf.task
    class Geometry:
        def execute(self, ctx: TaskContext) -> str:
            return "geometry"

    @wf.task(depends_on=Geometry)
    def energies(ctx: TaskContext) -> Any:
        return ctx.inputs

    assert isinstance(Geometry, type)
    assert outputs(wf)["energies"] == "geometry"


def test_an_object_names_itself(wf):
    class Named:
        name = "the-name"

        def execute(self, ctx: TaskContext) -> None:
            pass

    wf.add(Named())
    assert list(wf.build().tasks) == ["the-name"]


def test_partials_bound_methods_and_callable_objects_are_tasks(wf):
    def power(base: int, ctx: TaskContext) -> int:
        return int(base**2)

    scaled = Scaled(4)
    wf.add(functools.partial(power, 3)).add(scaled.method)
    wf.add(Callable_(), name="callable").add(AsyncCallable(), name="async")
    wf.add(Scaled(5), name="last", depends_on=[scaled.method])  # another object each time one asks for it

    assert outputs(wf) == {"power": 9, "method": -4, "callable": "called", "async": "called", "last": -20}


def test_wrappers_are_called_as_what_they_are(wf):
    def waits(function: Any) -> Any:
        @functools.wraps(function)
        def wrapper(ctx: TaskContext) -> Any:
            import asyncio

            return asyncio.run(function(ctx))  # only in a thread

        return wrapper

    def promises(function: Any) -> Any:
        @functools.wraps(function)
        async def wrapper(ctx: TaskContext) -> Any:
            return function(ctx)

        return wrapper

    wf.add(waits(two)).add(promises(one))
    assert outputs(wf) == {"two": 2, "one": 1}


def test_lambdas_need_a_name(wf):
    with pytest.raises(InvalidNameError, match="name="):
        wf.task(lambda ctx: 1)
    with pytest.raises(InvalidNameError, match="name="):
        wf.add(Callable_())

    wf.task(name="fine")(lambda ctx: 1)
    assert outputs(wf) == {"fine": 1}


def generator(ctx: TaskContext) -> Any:
    yield 1


async def async_generator(ctx: TaskContext) -> Any:
    yield 1


class Generating:
    def execute(self, ctx: TaskContext) -> Any:
        yield 1


class GeneratingCall:
    def __call__(self, ctx: TaskContext) -> Any:
        yield 1


@pytest.mark.parametrize(
    "subject", [generator, async_generator, Generating(), Generating, GeneratingCall(), functools.partial(generator)]
)
def test_generators_are_refused_as_tasks(wf, subject):
    with pytest.raises(TypeError, match=r"'g' is a generator.*list"):
        wf.add(subject, name="g")


@pytest.mark.parametrize(
    ("subject", "says"),
    [
        (3, r"not 3"),
        (None, r"not None"),
        (int | None, r"no|not"),
        (type("Empty", (), {}), r"class Empty is not a task.*execute"),
        (lambda: 1, r"'x' is called with one argument, its context"),
        (lambda ctx, more: 1, r"'x' is called with one argument.*more"),
        (lambda ctx, *, more: 1, r"'x' is called with one argument.*more"),
        (WorkflowBuilder("inner").build(), r"'x' is called with one argument"),
    ],
)
def test_functions_that_do_not_take_one_context_are_refused_as_tasks(wf, subject, says):
    with pytest.raises(TypeError, match=says):
        wf.add(subject, name="x")


def test_arguments_with_defaults_and_stars_are_welcome(wf):
    wf.add(lambda ctx, more=1: more, name="default").add(lambda *args: len(args), name="stars")
    wf.add(lambda ctx, *, more=3: more, name="keyword").add(repr, name="builtin")
    assert outputs(wf) == {"default": 1, "stars": 1, "keyword": 3, "builtin": "<TaskContext of 'builtin'>"}


# --------------------------------------------------------------------------------------------------------------- names


@pytest.mark.parametrize("name", ["", "a/b", "a[0]", "..", "x" * 500, "tab\t", "\ud800"])
def test_names_that_cannot_be_files_or_labels_are_refused(wf, name):
    with pytest.raises(InvalidNameError):
        wf.add(one, name=name)


def test_a_name_is_taken_once(wf):
    wf.task(one)
    with pytest.raises(DuplicateTaskError, match=r"'relax' has a task 'one' already.*name=") as caught:
        wf.task(one)
    assert caught.value.task == "one"
    assert isinstance(caught.value, WorkflowError)
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize("how", ["ps1", "notebook"])
def test_in_an_interactive_session_defining_a_task_again_replaces_it(wf, monkeypatch, how):
    if how == "ps1":
        monkeypatch.setattr(sys, "ps1", ">>> ", raising=False)
    else:
        monkeypatch.setattr(builtins, "__IPYTHON__", True, raising=False)
    wf.add(lambda ctx: "old", name="a")
    wf.add(lambda ctx: ctx.inputs, name="b", depends_on=["a"])
    for number in range(50):  # Python gives new functions the addresses of old ones
        wf.add(lambda ctx, number=number: number, name="a")
        newest = eval("lambda ctx: ctx.inputs")
        wf.add(newest, name="c", depends_on=["a"])
        wf.add(lambda ctx: ctx.inputs, name="d", depends_on=[newest])
        del newest

    assert outputs(wf) == {"a": 49, "b": 49, "c": 49, "d": 49}


def test_one_function_may_be_several_tasks_and_is_then_named(wf):
    wf.add(one, name="first").add(one, name="second")
    with pytest.raises(WorkflowDefinitionError, match=r"one stands for several tasks.*first, second"):
        wf.add(two, depends_on=[one])
    wf.add(two, depends_on=["second"])
    assert wf.build().tasks["two"].depends_on == ("second",)


@attrs.frozen
class Equal:
    name: str

    def execute(self, ctx: TaskContext) -> str:
        return self.name

    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return 1


def test_objects_that_are_equal_are_still_two_tasks(wf):
    a, b = Equal("a"), Equal("b")
    wf.add(a).add(b).add(one, depends_on=[b])
    assert wf.build().tasks["one"].depends_on == ("b",)


# -------------------------------------------------------------------------------------------------------- dependencies


@pytest.mark.parametrize("how", [["a"], ("a",), "a", {"a"}, {"a": 1}, ["a", "a"], iter(["a"])])
def test_dependencies_are_names_of_one_or_many(wf, how):
    wf.add(one, name="a").add(two, depends_on=how)
    assert wf.build().tasks["two"].depends_on == ("a",)


def test_dependencies_are_functions_and_objects_too(wf):
    scaled = Scaled()
    wf.add(one).add(scaled)
    wf.add(two, name="a", depends_on=one).add(two, name="b", depends_on=scaled)
    wf.add(two, name="c", depends_on=[scaled, "a", one])
    assert [spec.depends_on for spec in wf.build().tasks.values() if spec.depends_on] == [
        ("one",),
        ("scaled",),
        ("scaled", "a", "one"),
    ]


@pytest.mark.parametrize("wrong", [3, None, 1.5])
def test_dependencies_that_are_neither_are_refused(wf, wrong):
    with pytest.raises(TypeError, match="'one': depends_on must be names"):
        wf.add(one, depends_on=wrong)
    with pytest.raises(UnknownTaskError):
        wf.add(one, depends_on=[wrong])


def test_a_task_may_be_named_before_it_is_there(wf):
    wf.add(two, depends_on=["one"]).add(one)
    assert list(wf.build().tasks) == ["one", "two"]


def test_unknown_names_are_answered_with_the_nearest(wf):
    wf.add(one, name="energies").add(two, depends_on=["energy"])
    with pytest.raises(UnknownTaskError, match=r"'two' of workflow 'relax' depends on 'energy'.*'energies'") as caught:
        wf.build()
    assert (caught.value.task, caught.value.missing, caught.value.nearest) == ("two", "energy", ("energies",))


def test_depending_on_a_function_that_is_not_a_task_is_refused_at_once(wf):
    with pytest.raises(UnknownTaskError, match=r"'two' of workflow 'relax' depends on 'one'"):
        wf.add(two, depends_on=[one])
    with pytest.raises(UnknownTaskError, match=r"'mine' of workflow"):
        wf.add(two, name="mine", map_over=one)


def test_a_cycle_is_shown_in_order(wf):
    wf.add(one, name="start").add(one, name="a", depends_on=["c", "start"])
    wf.add(one, name="b", depends_on=["a"]).add(one, name="c", depends_on=["b"]).add(one, name="end", depends_on=["c"])
    with pytest.raises(CycleError, match=r"wait for each other") as caught:
        wf.build()
    cycle = caught.value.cycle
    waits_for = {"a": "c", "b": "a", "c": "b"}
    assert len(cycle) == 4
    assert cycle[0] == cycle[-1]
    assert all(waits_for[first] == then for first, then in itertools.pairwise(cycle))
    assert " -> ".join(cycle) in str(caught.value)


def test_a_task_that_waits_for_itself_is_a_cycle(wf):
    wf.add(one, depends_on=["one"])
    with pytest.raises(CycleError, match="one -> one"):
        wf.build()


def test_a_cycle_in_a_long_chain_is_found():
    wf = WorkflowBuilder("long")
    for number in range(3000):
        wf.add(one, name=f"t{number}", depends_on=[f"t{(number - 1) % 3000}"])
    with pytest.raises(CycleError):
        wf.build()


@given(st.data())
def test_a_graph_is_built_exactly_if_it_has_no_cycle(data):
    size = data.draw(st.integers(1, 8))
    edges = {n: data.draw(st.sets(st.integers(0, size - 1), max_size=3)) for n in range(size)}
    wf = WorkflowBuilder("random")
    for n, waits_for in edges.items():
        wf.add(one, name=f"t{n}", depends_on=[f"t{m}" for m in waits_for])
    try:
        order = [int(name[1:]) for name in wf.build().tasks]
    except CycleError as error:
        cycle = [int(name[1:]) for name in error.cycle]
        assert cycle[0] == cycle[-1]
        assert all(then in edges[first] for first, then in itertools.pairwise(cycle))
    else:
        assert sorted(order) == list(range(size))
        assert all(order.index(m) < order.index(n) for n in edges for m in edges[n])


# ------------------------------------------------------------------------------------------------------------- options


@pytest.mark.parametrize(
    "options",
    [
        {"retries": -1},
        {"retries": 1.5},
        {"timeout": 0},
        {"timeout": -1},
        {"timeout": float("nan")},
        {"timeout": "5"},
        {"backoff": -0.1},
        {"backoff": "1"},
        {"executor": ""},
        {"executor": None},
        {"resources": 5},
        {"resources": {"cores": 4}},
    ],
)
def test_options_that_make_no_sense_name_task_and_option(wf, options):
    (option,) = options
    with pytest.raises(ValueError, match=rf"'one': {option}="):
        wf.add(one, **options)


@pytest.mark.parametrize("options", [{"on_failure": "stop"}, {"max_parallel": 0}, {"max_parallel": 1.5}])
def test_options_of_workflows_are_checked(options):
    with pytest.raises((TypeError, ValueError), match=next(iter(options))):
        WorkflowBuilder("w", **options)


@pytest.mark.parametrize("name", ["", "  ", None, 3])
def test_a_workflow_has_a_name(name):
    with pytest.raises(WorkflowDefinitionError, match="name"):
        WorkflowBuilder(name)


# -------------------------------------------------------------------------------------------------------- the workflow


def test_a_workflow_is_immutable(wf):
    wf.add(one)
    spec = wf.build()
    with pytest.raises(AttributeError):
        spec.name = "other"
    with pytest.raises(AttributeError):
        spec.on_failure = "cancel"
    with pytest.raises(TypeError):
        spec.tasks["more"] = spec.tasks["one"]
    with pytest.raises(AttributeError):
        spec.tasks["one"].name = "other"

    wf.add(two)
    assert list(spec.tasks) == ["one"]
    assert list(wf.build().tasks) == ["one", "two"]


def test_a_workflow_can_be_sent_to_another_process():
    wf = WorkflowBuilder("sent", on_failure="cancel", max_parallel=2)
    wf.add(one, retries=2)
    spec = wf.build()
    there = pickle.loads(pickle.dumps(spec))
    assert (there.name, there.on_failure, there.max_parallel) == ("sent", "cancel", 2)
    assert (there.workflow_id, there.graph) == (spec.workflow_id, spec.graph)


def test_a_workflow_without_tasks_succeeds_with_nothing(wf):
    result = wf.build().execute_sync(check=True)
    assert (result.status, dict(result.outputs), result.tasks) == (me.RunStatus.SUCCEEDED, {}, {})


def test_builders_and_workflows_have_a_readable_repr(wf):
    assert repr(wf) == "<WorkflowBuilder 'relax': no tasks>"
    wf.add(one)
    assert repr(wf) == "<WorkflowBuilder 'relax': one>"
    assert repr(wf.build()) == "<Workflow 'relax': 1 tasks>"
