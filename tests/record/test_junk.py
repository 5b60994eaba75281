"""Nonsense is refused in words that say what can be meant, and nothing is recorded of it."""

from __future__ import annotations

from hashlib import sha256

import pytest

import molexp as me


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"space": "abc"}, "iterable of parameter dicts"),
        ({"space": {"a": [1, 2]}}, "me.grid"),
        ({"space": [1, 2]}, "dicts of parameters, not 1"),
        ({"space": 3}, "iterable"),
        ({"replicas": "3"}, "whole number"),
        ({"replicas": True}, "whole number"),
        ({"replicas": 0}, "at least 1"),
        ({"params": [1]}, "not list"),
    ],
    ids=str,
)
def test_an_experiment_of_something_else(ws, place, given, said):
    project = ws.Project("metals")
    before = place.record()

    with pytest.raises((TypeError, ValueError), match=said):
        project.Experiment("cu", **given)
    assert place.record() == before


@pytest.mark.parametrize(
    "given", [{"tags": [1]}, {"tags": "one"}, {"untag": [None]}, {"note": 5}, {"tags": [b"x"]}], ids=str
)
def test_tags_and_notes_are_text(place, run, given):
    before = place.record()

    with pytest.raises(TypeError):
        run.annotate(**given)
    assert place.record() == before


@pytest.mark.parametrize("step", ["x", 1.5, [1]], ids=str)
def test_steps_are_whole_numbers(run, step):
    with run.start() as ctx:
        with pytest.raises(TypeError, match="whole number"):
            ctx.metrics.log(step=step, loss=1.0)
        ctx.metrics.log(step=7, loss=1.0)
    assert [point["step"] for point in run.asset("metrics").load()] == [7]


def test_a_step_may_be_an_integer_of_another_type(run):
    numpy = pytest.importorskip("numpy")
    with run.start() as ctx:
        ctx.metrics.log(step=numpy.int64(3), loss=numpy.float32(0.5))
        ctx.metrics.log(loss=1)
    assert [point["step"] for point in run.asset("metrics").load()] == [3, 4]


@pytest.mark.parametrize("where", ["file", "file/lab", "file/a/b"])
def test_a_workspace_is_a_folder(tmp_path, where):
    (tmp_path / "file").write_text("x")

    for opened in (me.Workspace, me.Workspace.load):
        with pytest.raises(me.StoreError, match=r"file' is a file, and a workspace is a folder"):
            opened(tmp_path / where)
        with pytest.raises(me.StoreError, match=r"'/dev/null' is a file"):
            opened("/dev/null/lab")


def test_what_a_read_only_workspace_refuses_is_said_without_internals(place, run):
    reader = place.load(read_only=True)
    for write in (
        lambda: reader.run("metals/cu/one").start(),
        lambda: reader.run("metals/cu/one").annotate(tags=["x"]),
        lambda: reader.Project("new"),
        lambda: reader.project("metals").experiment("cu").Run(),
    ):
        with pytest.raises(me.ReadOnlyError) as caught:
            write()
        assert ".molexp" not in str(caught.value)
        assert str(caught.value).startswith(f"Cannot write to {place.store.url}: it was opened with read_only=True")


def test_a_switch_of_the_environment_is_on_or_off(script):
    for value, code in (("maybe", 1), ("1", 0), ("off", 0)):
        done = script(
            "import os, molexp as me; me.Workspace(os.environ['LAB']).materialize()", MOLEXP_STRICT_PLUGINS=value
        )
        assert done.code == code, done.err
    assert "Traceback" not in done.err


# ------------------------------------------------------------------------------------------------------------------ sweeps


def test_a_grid_has_every_combination_and_the_last_axis_varies_fastest():
    assert me.grid(a=[1, 2], b=("x", "y")) == [
        {"a": 1, "b": "x"},
        {"a": 1, "b": "y"},
        {"a": 2, "b": "x"},
        {"a": 2, "b": "y"},
    ]
    assert me.grid() == [{}]
    assert me.grid(n=(n * n for n in range(3))) == [{"n": 0}, {"n": 1}, {"n": 4}]


@pytest.mark.parametrize("axis", ["adam", b"adam", {"a": 1}, 3, None], ids=repr)
def test_an_axis_is_a_list_of_values(axis):
    with pytest.raises(TypeError, match="list of values"):
        me.grid(optimizer=axis)


def test_an_axis_without_values_would_be_a_grid_without_points():
    with pytest.raises(ValueError, match="no points"):
        me.grid(a=[1], b=[])


def test_seeds_follow_from_parameters_and_replica_and_stay_for_ever(exp, place):
    first, second = (exp.derived_run({"b": 1}, replica=replica) for replica in (0, 1))
    text = b'{"parameters":{"a":3.6,"b":1},"replica":0}'
    assert first.seed == int(sha256(text).hexdigest()[:8], 16) == 1974829273
    assert first.seed != second.seed
    assert exp.derived_run({"b": 2}).seed != first.seed
    assert place.load().run(first.path).seed == first.seed
    with second.start() as ctx:
        assert ctx.seed == second.seed
    assert 0 <= second.seed < 2**32


def test_an_id_can_be_derived_without_making_a_run(exp, place):
    before = place.record()
    found = exp.derived_id({"b": 1}, replica=1)
    assert place.record() == before
    assert exp.derived_run({"b": 1}, replica=1).id == found


def test_entry_is_a_no_op_that_checks_what_it_is_given(ws, exp):
    me.entry(ws)
    me.entry(ws, order=[exp])
    for wrong in ([], ["lab"], [exp]):
        with pytest.raises(TypeError, match=r"me\.entry"):
            me.entry(*wrong)
    with pytest.raises(TypeError, match="experiments"):
        me.entry(ws, order=["cu"])  # type: ignore[list-item]


@pytest.mark.parametrize("replica", [1.5, True, "1"], ids=repr)
def test_a_replica_is_a_whole_number(exp, replica):
    with pytest.raises(TypeError, match="whole number"):
        exp.Run(replica=replica)
