"""The metrics and logs of a run over all its attempts: a summary by name, and a table of every point."""

from __future__ import annotations

import math
import pickle
import shutil

import pytest

import molexp as me
from molexp.workflow import WorkflowBuilder
from tests.internals import tune
from tests.record.test_points import most_memory


def log(run, points, **start):
    """An attempt that logs points."""
    with run.start(**start) as ctx:
        for step, values in points.items():
            ctx.metrics.log(values, step=step)
            ctx.log("train").append(f"step {step}")


def rows(metrics):
    """Return name, step, value and attempt of each point."""
    columns = metrics.to_columns()
    return [*zip(*(columns[name] for name in ("name", "step", "value", "attempt")), strict=True)]


def test_every_point_of_every_attempt_is_in_the_table(run):
    log(run, {0: {"loss": 4.0, "acc": 1}, 1: {"loss": 3.0}, 2: {"loss": 2.0, "acc": 3}})
    log(run, {2: {"loss": 20.0}, 3: {"loss": 30.0}})
    assert rows(run.metrics) == [
        *(("loss", 0, 4.0, 1), ("loss", 1, 3.0, 1), ("loss", 2, 20.0, 2), ("loss", 3, 30.0, 2)),
        *(("acc", 0, 1, 1), ("acc", 2, 3, 1)),
    ]
    assert [(one["name"], one["step"], one["value"]) for one in run.metrics.to_dicts()][:2] == [
        ("loss", 0, 4.0),
        ("loss", 1, 3.0),
    ]
    assert (run.metrics["loss"]["count"], run.metrics["acc"]["count"]) == (4, 2), "the summary is of the same points"


def test_it_has_the_same_points_as_the_asset(run):
    log(run, {step: {"loss": step / 2, **({"acc": step} if step % 3 else {})} for step in range(40)})
    log(run, {step: {"loss": -step / 2} for step in range(25, 50)})
    points = run.asset("metrics").load()
    for name in ("loss", "acc"):
        wanted = [(point["step"], point[name], point["time"]) for point in points if name in point]
        found = [(one["step"], one["value"], one["time"]) for one in run.metrics.to_dicts() if one["name"] == name]
        assert found == wanted


def test_a_fresh_attempt_starts_anew(run):
    log(run, {0: {"loss": 1}, 1: {"loss": 2}})
    log(run, {5: {"loss": 5}}, fresh=True)
    assert rows(run.metrics) == [("loss", 5, 5, 2)]


def test_what_is_logged_now_is_in_it(run):
    with run.start() as ctx:
        ctx.metrics.log(step=0, loss=1.5)
        assert rows(run.metrics) == [("loss", 0, 1.5, 1)]


def test_of_what_is_logged_now_the_beginning_is_read_once(lab, lab_exp, monkeypatch):
    tune(monkeypatch, "bytes of metrics that are read at a time", 1000)
    run = lab_exp.Run(id="one")
    file = lab.folder / "projects/metals/experiments/cu/runs/one/logs/metrics.jsonl"
    with run.start() as ctx:
        for step in range(100):
            ctx.metrics.log(step=step, loss=step / 2)
        assert len(rows(run.metrics)) == 100
        beginning = b"".join(file.read_bytes().splitlines(keepends=True)[:5])
        with open(file, "r+b") as changed:
            changed.write(b" " * len(beginning))
        ctx.metrics.log(step=100, loss=50)
        assert [step for _, step, _, _ in rows(run.metrics)] == [*range(101)]
        assert len(rows(lab.load().run("one").metrics)) < 101, "others read what is there"
        with open(file, "r+b") as changed:
            changed.write(beginning)
    assert [step for _, step, _, _ in rows(run.metrics)] == [*range(101)]


def test_what_is_remembered_is_limited_by_the_memory_that_it_takes(lab, lab_exp, monkeypatch):
    """Texts take up to ten times as many bytes as in the file, and numbers fewer."""
    tune(monkeypatch, "bytes of metrics that are read at a time", 1000)
    tune(monkeypatch, "bytes of memory for points of files that grow", 15_000)
    for name, value in (("numbers", 0.5), ("texts", "warm")):
        run = lab_exp.Run(id=name)
        file = lab.folder / f"projects/metals/experiments/cu/runs/{name}/logs/metrics.jsonl"
        with run.start() as ctx:
            for step in range(100):
                ctx.metrics.log(step=step, value=value)
            assert len(rows(run.metrics)) == 100
            whole = file.read_bytes()
            size = whole.index(b'"step":50')
            blank = b" " * whole.rindex(b"\n", 0, size)
            with open(file, "r+b") as changed:
                changed.write(blank)
            assert (len(rows(run.metrics)) == 100) is (name == "numbers")
            with open(file, "r+b") as changed:
                changed.write(whole[: len(blank)])


def test_of_another_run_under_the_same_id_nothing_is_remembered(lab, monkeypatch):
    tune(monkeypatch, "bytes of metrics that are read at a time", 1000)
    reader = lab.workspace()
    for value, count in ((1.0, 100), (2.0, 200)):
        shutil.rmtree(lab.folder / "projects/metals/experiments/cu/runs/one", ignore_errors=True)
        with lab.workspace().Project("metals").Experiment("cu").Run(id="one").start() as ctx:
            for step in range(count):
                ctx.metrics.log(step=step, loss=value)
            ctx.flush()
            assert rows(reader.run("metals/cu/one").metrics) == [("loss", step, value, 1) for step in range(count)]


def test_of_a_killed_owner_every_whole_line_counts(lab, script):
    script(
        f"""
        import os
        import molexp as me

        run = me.Workspace({lab.url!r}).Project("metals").Experiment("cu").Run(id="one")
        with run.start() as ctx:
            for step in range(700):
                ctx.metrics.log(step=step, loss=700.0 - step)
            ctx.flush()
            os.kill(os.getpid(), 9)
        """
    )
    file = lab.folder / "projects/metals/experiments/cu/runs/one/logs/metrics.jsonl"
    file.write_bytes(file.read_bytes() + b'{"step":700,"time":1.5,"lo')
    run = lab.load().run("metals/cu/one")
    assert run.status == "interrupted"
    log(run, {600: {"loss": -1.0}})
    assert rows(run.metrics) == [*(("loss", step, 700.0 - step, 1) for step in range(600)), ("loss", 600, -1.0, 2)]


def test_tasks_are_kept_apart(exp):
    wf = WorkflowBuilder(name="two")

    @wf.task
    def warm(ctx):
        ctx.metrics.log(step=7, loss=1.0)

    @wf.task(depends_on=[warm])
    def train(ctx):
        ctx.metrics.log(step=0, loss=2.0)

    run = exp.Run(id="one")
    assert wf.build().execute_sync(run=run).status == "succeeded"
    assert [(one["task"], one["step"], one["value"]) for one in run.metrics.to_dicts()] == [
        ("warm", 7, 1.0),
        ("train", 0, 2.0),
    ]


def test_values_are_as_they_were_logged(run):
    log(run, {0: {"a": math.nan, "b": 1 << 70, "c": "text", "d": True, "e": [1], "f": math.inf}, 1: {"a": 0.5}})
    found = {(one["name"], one["step"]): one["value"] for one in run.metrics.to_dicts()}
    assert math.isnan(found.pop(("a", 0)))
    assert found == {
        ("a", 1): 0.5,
        ("b", 0): 1 << 70,
        ("c", 0): "text",
        ("d", 0): True,
        ("e", 0): [1],
        ("f", 0): math.inf,
    }


def test_columns_are_arrays_where_they_can_be(run):
    log(run, {0: {"loss": 0.5, "epoch": 3}, 1: {"loss": 0.25}})
    columns = run.metrics.to_columns()
    assert [columns[name].typecode for name in ("step", "value", "attempt", "time")] == ["q", "d", "q", "d"]
    log(run, {2: {"epoch": (1 << 53) + 1}})
    assert run.metrics.to_columns()["value"] == [0.5, 0.25, 3, (1 << 53) + 1]


def test_the_table_takes_memory_by_columns(run, monkeypatch):
    count = 20_000
    tune(monkeypatch, "bytes of metrics that are read at a time", 1 << 17)
    with run.start() as ctx:
        for step in range(count):
            ctx.metrics.log(step=step, loss=1 / (step + 1))
    columns, most = most_memory(run.metrics.to_columns)
    assert len(columns["value"]) == count
    assert most < 2 * 6 * 8 * count + (5 << 20)


# ----------------------------------------------------------------------------------------------------------------- statistics


def test_last_least_and_greatest(run):
    log(run, {0: {"loss": 3, "acc": math.nan}, 1: {"loss": 1}, 2: {"loss": 2}})
    metrics = run.metrics
    assert (metrics.last["loss"], metrics.min, metrics.max) == (2, {"loss": 1}, {"loss": 3})
    assert math.isnan(metrics.last["acc"])
    assert metrics == {name: dict(metrics[name]) for name in metrics} or math.isnan(metrics["acc"]["last"])


def test_a_run_without_metrics_has_an_empty_table(run):
    log(run, {})
    assert (run.metrics, run.metrics.last, len(run.metrics.to_columns()["value"])) == ({}, {}, 0)


def test_a_mistake_gets_advice(run):
    log(run, {0: {"loss": 3}})
    metrics = run.metrics
    with pytest.raises(me.NotFoundError, match=r"no metric 'los'.*'loss'"):
        metrics["los"]
    with pytest.raises(me.NotFoundError, match=r"no metric 'los'.*'loss'"):
        metrics.last["los"]
    with pytest.raises(TypeError, match=r"write run\.metrics\.last\['loss'\]"):
        metrics.last("loss")
    with pytest.raises(AttributeError, match=r"run\.metrics\['loss'\]"):
        metrics.loss  # noqa: B018
    with pytest.raises(AttributeError, match=r"ctx\.metrics\.log"):
        metrics.log(step=1, loss=2)
    assert metrics.get("los") is None
    assert "loss" in repr(metrics)


def test_its_summary_is_pickled(run):
    log(run, {0: {"loss": 3}})
    assert pickle.loads(pickle.dumps(run.metrics)) == run.metrics
    assert me.to_json(run.metrics).startswith('{"loss"')


# --------------------------------------------------------------------------------------------------------------------- frames


def test_frames_have_a_row_for_each_value(run):
    log(run, {0: {"loss": 0.5, "acc": 1}, 1: {"loss": 0.25}})
    log(run, {1: {"loss": 0.125}})
    pandas, polars = run.metrics.to_pandas(), run.metrics.to_polars()
    for frame in (pandas, polars):
        assert list(frame.columns) == ["name", "step", "value", "attempt", "time", "task"]
        assert [list(frame[name]) for name in ("name", "step", "value", "attempt")] == [
            ["loss", "loss", "acc"],
            [0, 1, 0],
            [0.5, 0.125, 1.0],
            [1, 2, 1],
        ]
    assert str(pandas["step"].dtype) == "int64"


# ----------------------------------------------------------------------------------------------------------------------- logs


def test_a_log_is_found_by_a_call_too(run):
    log(run, {0: {"loss": 1}})
    log(run, {1: {"loss": 1}})
    assert run.log("train").text() == run.logs["train"].text() == "step 0\nstep 1\n"
    with pytest.raises(me.NotFoundError, match=r"no log 'trian'.*'train'"):
        run.log("trian")
    with pytest.raises(AttributeError, match=r"ctx\.log\(NAME\)"):
        run.log("train").append("step 2")
    with pytest.raises(AttributeError, match=r"has no 'tial'\.$"):
        run.log("train").tial()
