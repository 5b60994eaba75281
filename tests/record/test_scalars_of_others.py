"""Texts and numbers of numpy, of enums and of other classes are taken wherever Python's own are, and recorded as those are."""

from __future__ import annotations

import datetime
import enum
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import molexp as me
from molexp.contracts import Resources
from molexp.workflow import WorkflowBuilder


class Text(str):
    """A text whose class says something else to people."""

    __slots__ = ()

    def __str__(self) -> str:
        return "something else"

    def __format__(self, spec: str) -> str:
        return "something else"


class Names(str, enum.Enum):  # noqa: UP042 - not StrEnum, which says what it is
    A = "a"


whole: Any = np.int64  # checkers of types want Python's own
real: Any = np.float32

TEXTS = pytest.mark.parametrize("text", [np.str_("a"), Text("a"), Names.A], ids=["numpy", "class", "enum"])


@TEXTS
def test_a_text_of_another_class_is_a_name(tmp_path, text):
    ws = me.Workspace(tmp_path / "lab", name=text)
    exp = ws.Project(text).Experiment(text, params={text: text})
    (tmp_path / "data.txt").write_text("data")
    assert exp.data_assets.import_asset(text, tmp_path / "data.txt").id == "a/a:data:a@1"
    run = exp.Run({"b": text}, id=text)
    with run.start() as ctx:
        saved = ctx.artifact.save(text, {"k": [text]}, tags=[text])
        ctx.metrics.log(step=0, **{text: 1.0})
        ctx.log(text).append(text)
        ctx.set_result(text, text)
    assert saved is not None
    assert type(saved.name) is str
    assert (run.path, saved.id, saved.key.rpartition("/")[2]) == ("a/a/a", "a/a/a#1:artifact:a@1", "a")
    assert ({*saved.tags}, {**run.results}, {**run.metrics.last}) == ({"a"}, {"a": "a"}, {"a": 1.0})
    run.annotate(tags=[text], note=text)
    [row] = me.Workspace(tmp_path / "lab").catalog.runs(project=text, experiment=text, params={text: text}, tags=[text])
    assert (row.path, row.tags, row.parameters) == ("a/a/a", ("a",), {"a": "a", "b": "a"})


@TEXTS
def test_a_task_has_its_name_and_numbers_of_other_classes(tmp_path, text):
    wf = WorkflowBuilder(name=text, max_parallel=whole(2))
    needs = Resources(cores=whole(4), memory=whole(1 << 20), walltime=real(30))
    wf.add(lambda ctx: 3, name=text, retries=whole(2), timeout=whole(30), backoff=real(0.5), resources=needs)
    wf.add(lambda ctx: ctx.set_result("out", ctx.inputs), name="b", depends_on=[text])
    built = wf.build()
    first = built.tasks["a"]
    assert [*map(type, (first.name, first.retries, first.timeout, first.backoff))] == [str, int, float, float]
    assert [*map(type, (needs.cores, needs.memory, needs.walltime))] == [int, int, float]
    exp = me.Workspace(tmp_path / "lab").Project("p").Experiment("e", space=[{}], replicas=whole(2))
    built.bind_to(exp)
    assert type(exp.replicas) is int
    made = exp.runs.create_many(replicas=whole(1))
    assert exp.Run({}, replica=whole(1)).replica == 1
    built.execute_sync(run=made[0])
    assert made[0].results == {"out": 3}


@pytest.mark.parametrize(
    ("value", "other"),
    [
        (np.int64(3), 3.0),
        (np.float32(0.1), np.float32(0.1)),
        (np.bool_(True), True),
        (datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC), datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC)),
        (Path("a/b"), "a/b"),
        ((1, 2), np.array([1, 2])),
        ({"c": Names.A}, {"c": "a"}),
    ],
    ids=repr,
)
def test_a_run_is_found_by_its_parameter_as_it_was_given(tmp_path, value: Any, other: Any):
    ws = me.Workspace(tmp_path / "lab")
    run = ws.Project("p").Experiment("e").Run({"a": value})
    assert [[row.path for row in ws.catalog.runs(params={"a": one})] for one in (value, other)] == [[run.path]] * 2
    assert len(ws.catalog.runs(params={"a": value}, limit=whole(0))) == 0


def test_a_parameter_whose_name_looks_like_a_tag_is_asked_for_by_itself(tmp_path):
    ws = me.Workspace(tmp_path / "lab")
    made = ws.Project("p").Experiment("e").runs.create_many([{"$x": 1}, {"$x": 1, "b": 2}, {"$x": 2}])
    assert {row.path for row in ws.catalog.runs(params={"$x": 1})} == {run.path for run in made[:2]}


@pytest.mark.parametrize("wrong", ["a", [1], {1: 2}], ids=repr)
def test_a_question_about_what_are_no_parameters_is_refused(tmp_path, wrong: Any):
    with pytest.raises(TypeError, match="params are a mapping of names to values, not"):
        me.Workspace(tmp_path / "lab").catalog.runs(params=wrong)


@pytest.mark.parametrize("wrong", [True, 1.5, np.float64(2), "2", None], ids=repr)
def test_what_is_no_whole_number_is_refused(tmp_path, wrong: Any):
    ws = me.Workspace(tmp_path / "lab")
    exp = ws.Project("p").Experiment("e")
    with pytest.raises(ValueError, match="is not a whole number of 0 or more"):
        WorkflowBuilder(name="w").add(lambda ctx: 3, name="a", retries=wrong)
    if wrong is None:
        return
    with pytest.raises(TypeError, match="A replica's index is a whole number, not"):
        exp.Run({}, replica=wrong)
    with pytest.raises(TypeError, match=r"replicas is .*; it must be a whole number"):
        exp.runs.create_many(replicas=wrong)
    with pytest.raises(TypeError, match="A limit is a whole number, not"):
        ws.catalog.runs(limit=wrong)
