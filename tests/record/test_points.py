"""The points of metrics: columns, a sequence of dicts that is made of columns, and frames."""

from __future__ import annotations

import math
import pickle
import tracemalloc
from typing import Any

import pytest

import molexp as me
from tests.internals import tune


def log(run, name, points):
    """Log points of one name, by their steps, in an attempt."""
    with run.start() as ctx:
        for step, value in points.items():
            ctx.metrics.log(step=step, **{name: value})


@pytest.mark.parametrize("name", [1, 1.5, None, ("a",), b"loss", "\ud800", "loss\udcff"], ids=ascii)
def test_a_name_that_is_no_text_is_refused_with_any_value(run, name):
    with run.start() as ctx:
        for value in (0.5, "a"):
            with pytest.raises(me.errors.SerializationError, match="metrics"):
                ctx.metrics.log({name: value})
        ctx.metrics.log({"é": 1.0}, step=1)
    assert list(run.metrics) == ["é"]


# ----------------------------------------------------------------------------------------------------------------- by columns


def test_columns_are_the_points_name_by_name(run):
    with run.start() as ctx:
        ctx.metrics.log(step=0, loss=3)
        ctx.metrics.log(step=5, loss=0.5, note="warm")
        ctx.metrics.log(step=7, loss=math.nan, acc=True)
    metrics = run.asset("metrics")
    columns = metrics.to_columns()
    assert list(columns) == ["step", "time", "loss", "note", "acc"]
    assert (columns["step"].typecode, columns["step"].tolist()) == ("q", [0, 5, 7])
    assert columns["time"].tolist() == [point["time"] for point in metrics.load()]
    assert (columns["loss"].typecode, columns["loss"].tolist()[:2]) == ("d", [3.0, 0.5])
    assert math.isnan(columns["loss"][2])
    assert [value if value == "warm" else math.isnan(value) for value in columns["note"]] == [True, "warm", True]
    assert [math.isnan(value) for value in columns["acc"]] == [True, True, False]


def test_columns_of_several_attempts_are_joined_as_the_points_are(run):
    log(run, "loss", {0: 3, 1: 2, 2: 1})
    log(run, "loss", {1: 20, 3: 30})
    metrics = run.asset("metrics")
    assert metrics.to_columns()["loss"].tolist() == [point["loss"] for point in metrics.load()] == [3, 20, 30]


def most_memory(act):
    """Return what an act returns, and the most bytes that Python took for it."""
    tracemalloc.start()
    try:
        return act(), tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_columns_are_read_in_pieces_and_kept_in_arrays(run, monkeypatch):
    count = 25_000
    tune(monkeypatch, "bytes of metrics that are read at a time", 1 << 17)
    with run.start() as ctx:
        for step in range(count):
            ctx.metrics.log(step=step, loss=1 / (step + 1))
        ctx.metrics.log(step=count, last=1)
    metrics = run.asset("metrics")
    enough = 4 * 8 * count + (5 << 20)  # the points of a piece, beside the arrays; all of them take three times that

    columns, most = most_memory(metrics.to_columns)
    assert columns["loss"][:3].tolist() == [1, 1 / 2, 1 / 3]
    assert {len(column) for column in columns.values()} == {count + 1}
    assert columns["last"][count] == 1
    assert most < enough

    (points, total), most = most_memory(lambda: ((found := metrics.load()), sum(map(len, found))))
    assert (len(points), total) == (count + 1, 3 * (count + 1))
    assert (points[count - 1]["loss"], points[-1]["last"]) == (1 / count, 1)
    assert most < enough


def test_names_of_few_points_take_no_memory_of_the_others(run):
    count = 3000
    with run.start() as ctx:
        for step in range(count):
            ctx.metrics.log({f"of step {step}": step}, step=step)
    points, most = most_memory(run.asset("metrics").load)
    assert [point[f"of step {step}"] for step, point in enumerate(points)] == [*range(count)]
    assert most < 30 << 20, "a value of each name at each step takes 70 MiB"


def test_columns_of_bytes_that_changed_are_refused(place, run):
    log(run, "loss", {0: 3, 1: 2})
    key = run.asset("metrics").key
    place.store.write(key, place.store.read(key).replace(b'"loss":3', b'"loss":4'))
    with pytest.raises(me.HashMismatchError):
        run.asset("metrics").to_columns()


def test_a_frame_is_made_of_the_columns(run):
    pandas = pytest.importorskip("pandas")
    log(run, "loss", {0: 3, 5: 0.5})
    frame = run.asset("metrics").to_pandas()
    assert isinstance(frame, pandas.DataFrame)
    assert [*zip(frame["step"], frame["loss"], strict=True)] == [(0, 3.0), (5, 0.5)]
    assert str(frame.dtypes["step"]) == "int64"


# ----------------------------------------------------------------------------------------------------------------- by points

VALUES: list[dict[str, Any]] = [
    {"loss": 3},
    {"loss": 0.5},
    {"loss": True},
    {"loss": 1 << 80},
    {"loss": -math.inf, "note": "warm"},
    {"loss": None, "note": [1, {"x": 2}]},
    {},
    {"acc": 2},
    {"acc": 2.0},
]


@pytest.fixture(params=[1 << 20, 100], ids=["in one piece", "in pieces"])
def points(request, run, monkeypatch):
    """The points of `VALUES`, whose steps are their places."""
    tune(monkeypatch, "bytes of metrics that are read at a time", request.param)
    with run.start() as ctx:
        for step, values in enumerate(VALUES):
            ctx.metrics.log(values, step=step)
    return run.asset("metrics").load()


def without_times(points):
    return [{name: value for name, value in point.items() if name != "time"} for point in points]


def test_points_are_a_sequence_of_what_was_logged_exactly(points):
    logged = [{"step": step, **values} for step, values in enumerate(VALUES)]
    assert without_times(points) == logged == without_times([points[place] for place in range(len(VALUES))])
    kinds = [[type(value) for value in point.values()] for point in logged]
    assert [[type(value) for value in point.values()] for point in without_times(points)] == kinds
    assert (len(points), points[-1], points[2:4]) == (len(VALUES), points[8], [points[2], points[3]])
    assert (points[::-3], [*reversed(points)]) == ([points[8], points[5], points[2]], [*points][::-1])
    with pytest.raises(IndexError):
        points[len(VALUES)]


def test_points_equal_a_list_of_the_same_dicts(points, run):
    whole = [*points]
    assert [points == one for one in (whole, points, run.asset("metrics").load())] == [True] * 3
    assert [points == one for one in (whole[1:], [*whole[1:], whole[0]], [0] * len(whole), tuple(whole))] == [False] * 4
    assert whole == points
    assert (repr(points) == repr(whole), points.index(whole[3]), whole[4] in points) == (True, 3, True)


def test_a_point_is_its_own_copy(points):
    points[0]["loss"] = 7
    assert points[0]["loss"] == 3


def test_points_survive_pickling(points):
    assert pickle.loads(pickle.dumps(points)) == points


def test_many_points_are_shown_in_part(run):
    log(run, "loss", dict.fromkeys(range(12), 0.5))
    points = run.asset("metrics").load()
    assert repr(points) == f"{str(points[:10])[:-1]}, and 2 more]"


@pytest.mark.parametrize("size", [1 << 20, 100])
def test_attempts_are_joined_wherever_their_files_are_cut(run, size, monkeypatch):
    tune(monkeypatch, "bytes of metrics that are read at a time", size)
    log(run, "loss", {step: step for step in range(6)})
    log(run, "acc", {step: 10 + step for step in range(2, 6)})
    log(run, "loss", {step: 20 + step for step in (4, 3, 6)})
    kept = [{"step": step, "loss": step} for step in range(3)]
    kept += [{"step": step, "acc": 10 + step} for step in range(2, 6)]
    kept += [{"step": step, "loss": 20 + step} for step in (4, 3, 6)]
    assert without_times(run.asset("metrics").load()) == kept


def test_whoever_reads_joined_points_uses_the_metrics_of_each_attempt(run, exp):
    log(run, "loss", {0: 1})
    log(run, "loss", {1: 2})
    other = exp.Run(id="other")
    with other.start():
        run.asset("metrics").load()
    used = [f"metals/cu/one#{attempt}:metrics:metrics@1" for attempt in (1, 2)]
    assert other.execution_history[0]["used"] == used
