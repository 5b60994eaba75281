"""A run's metrics add up over points, tasks, attempts and owners that died, in the record and in the catalog."""

from __future__ import annotations

import json
import math
import os
import sys
import threading

import pytest

import molexp as me
from tests.internals import tune
from tests.record.helpers import READING, amid

RUN = "projects/metals/experiments/cu/runs/one"


def log(run, name, points, **start):
    """An attempt that logs points of one name, by their steps."""
    with run.start(**start) as ctx:
        for step, value in points.items():
            ctx.metrics.log(step=step, **{name: value})


def paths(rows):
    return [row.id for row in rows]


# -------------------------------------------------------------------------------------------------------------- one attempt


@pytest.mark.parametrize("where", ["settle", "parts_of", "_with", "merge", "merged", "take"])
def test_ctrl_c_while_points_are_summarised_leaves_out_no_point(run, where):
    def interrupted(frame, event, arg):
        if frame.f_code.co_name == where and "metric" in frame.f_code.co_filename:
            sys.settrace(None)
            raise KeyboardInterrupt

    before = sys.gettrace()
    logged = 0
    with run.start() as ctx:
        sys.settrace(interrupted)
        try:
            for step in range(600):
                ctx.metrics.log(loss=step, step=step)
                logged += 1
        except KeyboardInterrupt:
            logged += 1  # it is in the file
        finally:
            sys.settrace(before)
        ctx.metrics.log(loss=-1, step=1000)
    found = run.metrics["loss"]
    assert (found["last"], found["min"], found["max"], found["count"]) == (-1, -1, logged - 1, logged + 1)
    assert run.metrics.curves()[0].count == logged + 1


@pytest.mark.parametrize("what", ["a point", "a line", "an event"])
def test_after_ctrl_c_the_record_is_of_all_that_was_written(run, ws, place, what):
    """A signal that comes while the system writes is handled right after it, before anything is counted."""
    if what == "an event" and "append" not in place.store.capabilities:
        pytest.skip("events are written by a spool here")

    def written(frame, event, arg):
        if event == "return":
            sys.settrace(None)
            raise KeyboardInterrupt
        return written

    def interrupted(frame, event, arg):
        called_by = frame.f_back.f_code.co_filename if frame.f_back else ""
        of_log = called_by.endswith("writer.py") and called_by != frame.f_code.co_filename
        is_it = frame.f_code.co_name == "write" and (of_log or called_by.endswith("streams.py"))
        return written if is_it else None

    before = sys.gettrace()
    with pytest.raises(KeyboardInterrupt), run.start() as ctx:
        ctx.metrics.log(loss=1)
        ctx.log("relax").append("begun")
        sys.settrace(interrupted)
        try:
            if what == "a point":
                ctx.metrics.log(loss=2)
            elif what == "a line":
                ctx.log("relax").append("ended")
            else:
                ctx.set_result("energy", 0.5)
        finally:
            sys.settrace(before)
    assert run.metrics["loss"]["count"] == len(run.metrics.to_dicts()) == (2 if what == "a point" else 1)
    assert ws.fsck(read_data=True).findings == ()


def test_a_point_that_an_interrupted_write_cut_in_half_takes_no_other_with_it(lab, lab_run, monkeypatch):
    writing = os.write

    def half(file, data):
        if b'"loss":2' not in data:
            return writing(file, data)
        writing(file, data[:-3])
        raise KeyboardInterrupt

    with lab_run.start() as ctx:
        ctx.metrics.log(loss=1)
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(os, "write", half)
            ctx.metrics.log(loss=2)
        ctx.metrics.log(loss=3)
    with pytest.warns(UserWarning, match="1 lines of 'metrics' are no points"):
        assert [row["value"] for row in lab_run.metrics.to_dicts()] == [1, 3]
    assert (lab_run.metrics["loss"]["count"], lab_run.metrics["loss"]["max"]) == (2, 3)


def test_a_run_says_what_its_metrics_add_up_to(run, ws):
    log(run, "loss", {0: 3, 10: 0.5, 20: 1.5})

    loss = {"last": 1.5, "step": 20, "min": 0.5, "min_step": 10, "max": 3, "max_step": 0, "count": 3}
    assert run.metrics == {"loss": loss}
    assert type(run.metrics["loss"]["max"]) is int
    assert ws.catalog.runs()[0].metrics == {"loss": loss}
    assert me.describe_run(run)["metrics"] == {"loss": loss}


@pytest.mark.parametrize("ends", [True, False])
def test_what_is_no_number_replaces_numbers_of_earlier_attempts_in_the_summary_too(run, ws, ends):
    log(run, "val", {0: 9, 10: 5, 20: 1})
    log(run, "val", {10: None, 11: "none yet", **({15: 4} if ends else {})})

    numbers = [row["value"] for row in run.metrics.to_dicts() if type(row["value"]) is int]
    assert numbers == ([9, 4] if ends else [9])
    found = run.metrics["val"]
    assert (found["last"], found["min"], found["count"]) == (numbers[-1], numbers[-1], len(numbers))
    assert ws.catalog.runs("metrics.val.min < 4") == []


def test_the_summary_is_in_the_end(place, run):
    log(run, "loss", {1: 2.5})

    (record,) = [one for one in place.document(f"{RUN}/executions/1.end.json")["assets"] if one["kind"] == "metrics"]
    assert record["summary"]["metrics"]["loss"]["last"] == 2.5
    assert record["summary"]["metrics"]["loss"]["steps"] == [1, 1]


def test_many_points_of_several_threads_are_all_counted(run):
    with run.start() as ctx:

        def work(number):
            for step in range(1500):
                ctx.metrics.log(step=step, loss=number + step)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert run.metrics["loss"]["count"] == 6000
    assert (run.metrics["loss"]["min"], run.metrics["loss"]["max"]) == (0, 1502)


def test_nan_may_be_last_and_is_neither_least_nor_greatest(run, exp, ws):
    log(run, "loss", {0: math.nan, 1: 2.0, 2: -math.inf, 3: math.nan})
    log(exp.Run(id="two"), "loss", {0: math.nan})
    log(exp.Run(id="three"), "loss", {0: 7})

    one, two = run.metrics["loss"], exp.run("two").metrics["loss"]
    assert math.isnan(one.pop("last"))
    assert one == {"step": 3, "min": -math.inf, "min_step": 2, "max": 2.0, "max_step": 1, "count": 4}
    assert (math.isnan(two["last"]), two["count"], "min" in two) == (True, 1, False)
    assert paths(ws.catalog.runs("metrics.loss.last is null")) == []
    assert paths(ws.catalog.runs("metrics.loss.min is null")) == ["two"]
    assert paths(ws.catalog.runs(sort="metrics.loss"))[0] == "three"
    assert paths(ws.catalog.runs(sort="-metrics.loss"))[0] == "three"
    assert paths(ws.catalog.runs(sort="-metrics.loss.max")) == ["three", "one", "two"]


def test_what_is_no_number_is_in_the_file_alone(run):
    with run.start() as ctx:
        ctx.metrics.log(loss=1, name="a", done=True, nothing=None, more={"x": 1}, many=[1])

    assert set(run.metrics) == {"loss"}
    assert set(run.asset("metrics").load()[0]) == {"step", "time", "loss", "name", "done", "nothing", "more", "many"}


def test_names_beyond_the_first_thousand_are_counted(run, ws):
    with run.start() as ctx:
        ctx.metrics.log({f"m{number}": number for number in range(1003)})

    assert len(run.metrics) == 1000
    assert me.describe_run(run)["metrics_left_out"] == 3
    assert ws.catalog.runs("metrics.m999 == 999")[0].document["metrics_left_out"] == 3
    assert len(run.asset("metrics").load()[0]) == 1005


def test_a_run_that_logs_nothing_has_no_word_of_metrics(place, run, ws):
    with run.start() as ctx:
        ctx.log("train").append("x")

    assert run.metrics == {}
    assert "metrics" not in ws.catalog.runs()[0].document
    assert b"summary" not in place.store.read(f"{RUN}/executions/1.end.json")


# ------------------------------------------------------------------------------------------------------------- many attempts


def test_a_later_attempt_takes_over_from_the_step_at_which_it_goes_on(run, ws):
    log(run, "loss", {0: 9, 1: 8, 2: 1, 3: 6})
    log(run, "loss", {2: 5, 3: 4})

    assert [(point["step"], point["loss"]) for point in run.asset("metrics").load()] == [(0, 9), (1, 8), (2, 5), (3, 4)]
    loss = {"last": 4, "step": 3, "min": 4, "min_step": 3, "max": 9, "max_step": 0, "count": 4}
    assert run.metrics["loss"] == loss
    assert ws.catalog.runs()[0].metrics["loss"] == loss
    assert ws.compare(run, run.experiment.Run(id="other")).to_dicts()[0]["metrics.loss.min"] == 4


def test_names_are_taken_over_one_by_one(run):
    with run.start() as ctx:
        for step in range(3):
            ctx.metrics.log(step=step, loss=step, accuracy=step)
    log(run, "loss", {1: 10})

    points = [{name: point.get(name) for name in ("step", "loss", "accuracy")} for point in run.asset("metrics").load()]
    assert points == [
        {"step": 0, "loss": 0, "accuracy": 0},
        {"step": 1, "loss": None, "accuracy": 1},
        {"step": 2, "loss": None, "accuracy": 2},
        {"step": 1, "loss": 10, "accuracy": None},
    ]
    assert (run.metrics["loss"]["count"], run.metrics["accuracy"]["count"]) == (2, 3)


def test_three_attempts_and_one_that_did_not_log(run):
    log(run, "loss", {0: 0, 1: 1, 2: 2, 3: 3})
    log(run, "loss", {2: 20, 3: 30, 4: 40})
    with run.start():
        pass
    log(run, "loss", {4: 400})

    assert [point["loss"] for point in run.asset("metrics").load()] == [0, 1, 20, 30, 400]
    assert (run.metrics["loss"]["count"], run.metrics["loss"]["max"], run.metrics["loss"]["min"]) == (5, 400, 0)


def test_an_attempt_that_starts_fresh_keeps_nothing(run):
    log(run, "loss", {0: 0, 1: 1})
    log(run, "loss", {5: 5}, fresh=True)
    log(run, "loss", {6: 6})

    assert [point["loss"] for point in run.asset("metrics").load()] == [5, 6]
    assert run.metrics["loss"]["count"] == 2


def test_an_attempts_own_metrics_and_logs_stay_reachable(run, ws):
    for number in (1, 2):
        with run.start() as ctx:
            ctx.metrics.log(step=0, loss=number)
            ctx.log("train").write(f"attempt {number}")

    assert run.asset("train").load() == "attempt 1\nattempt 2"
    first, second = ("metals/cu/one#1:metrics:metrics@1", "metals/cu/one#2:metrics:metrics@1")
    assert [[point["loss"] for point in ws.asset(one).load()] for one in (first, second)] == [[1], [2]]
    assert [one.id for one in run.asset("metrics").earlier] == [first]
    assert run.asset("train", version=1).load() == "attempt 2"
    assert [asset.load() for asset in run.assets if asset.kind == "log"] == ["attempt 1", "attempt 2"]
    assert run.logs["train"].text() == "attempt 1\nattempt 2"
    assert (run.logs["train"].own.text(), run.logs["train"].earlier[0].text()) == ("attempt 2", "attempt 1")


def test_who_goes_on_from_a_checkpoint_finds_the_points_of_before(run):
    log(run, "loss", {0: 3, 1: 2})
    with run.start() as ctx:
        ctx.metrics.log(step=1, loss=5)
        ctx.flush()
        assert [point["loss"] for point in ctx.asset("metrics").load()] == [3, 5]


# ------------------------------------------------------------------------------------------------- older, dying, still going


def forget_summaries(place, number=1):
    """As a version of MolExp wrote it that had none."""
    key = f"{RUN}/executions/{number}.end.json"
    end = place.document(key)
    for record in end["assets"]:
        record.pop("summary", None)
    place.store.write(key, json.dumps(end).encode())


def test_of_an_older_record_the_file_is_read(place, run, monkeypatch):
    log(run, "loss", {0: 3, 1: 1.5})
    summary = dict(run.metrics)
    forget_summaries(place)

    assert place.load().run("metals/cu/one").metrics == summary
    place.load().catalog.rebuild()
    assert place.load().catalog.runs("metrics.loss.min == 1.5")[0].metrics == summary
    tune(monkeypatch, "bytes of metrics that are read", 10)
    assert run.metrics == {}


@pytest.mark.parametrize(
    "summary", [1, [], {"metrics": []}, {"metrics": {"loss": 1}}, {"metrics": {"loss": {"count": -1, "steps": [0, 0]}}}]
)
def test_a_summary_that_cannot_be_says_nothing(place, run, summary):
    log(run, "loss", {0: 3})
    key = f"{RUN}/executions/1.end.json"
    end = place.document(key)
    end["assets"] = [{**one, "summary": summary} if one["kind"] == "metrics" else one for one in end["assets"]]
    place.store.write(key, json.dumps(end).encode())

    fresh = place.load()
    assert fresh.run("metals/cu/one").metrics.get("loss", {}).get("count") in (None, 1)
    assert len(fresh.catalog.runs()) == 1


def test_of_a_killed_owner_the_file_is_read(lab, script):
    script("""
        import os, molexp as me
        ctx = me.Workspace(os.environ["LAB"]).Project("metals").Experiment("cu").Run(id="one").start()
        for step in range(700):
            ctx.metrics.log(step=step, loss=700 - step)
        os.kill(os.getpid(), 9)
    """)

    (row,) = lab.load().catalog.runs('status == "interrupted"')
    assert row.metrics["loss"] == {
        "last": 1,
        "step": 699,
        "min": 1,
        "min_step": 699,
        "max": 700,
        "max_step": 0,
        "count": 700,
    }
    (record,) = [one for one in lab.document(f"{RUN}/executions/1.end.json")["assets"] if one["kind"] == "metrics"]
    assert record["summary"]["metrics"]["loss"]["count"] == 700


def test_a_run_that_goes_on_is_known_as_of_its_last_sign_of_life(place, run):
    with run.start() as ctx:
        ctx.metrics.log(step=4, loss=2)
        ctx.flush()
        assert place.load().catalog.runs()[0].metrics["loss"]["step"] == 4, "before the first, as of now"
        ctx._attempt.beat()
        ctx.metrics.log(step=5, loss=1)

        assert run.metrics["loss"]["step"] == 4
        assert place.load().catalog.runs("metrics.loss == 2")[0].status == "running"
    assert run.metrics["loss"]["step"] == 5


# --------------------------------------------------------------------------------------------------------------- the catalog


@pytest.fixture
def sweep(exp):
    """Runs of which some log a loss."""
    for number in range(5):
        with exp.Run({"n": number}, id=f"r{number}").start() as ctx:
            for step in range(3) if number < 4 else ():
                ctx.metrics.log({"loss": number / 2 + step, "val/acc": number, "a.b": -number}, step=step)
    return exp.project.workspace.catalog


CONDITIONS = [
    ("metrics.loss < 3", ["r0", "r1"]),
    ("metrics.loss.last < 3", ["r0", "r1"]),
    ("metrics.loss.min >= 1 and metrics.loss.max < 4", ["r2", "r3"]),
    ("params.n > 0 and metrics.loss.min < 1.5", ["r1", "r2"]),
    ('metrics."val/acc" in (1, 3)', ["r1", "r3"]),
    ("metrics.a.b.last == -2", ["r2"]),
    ("metrics.a.b == -2 or metrics.loss.min == 0", ["r0", "r2"]),
    ("metrics.loss is null", ["r4"]),
    ("metrics.loss.count == 3 and metrics.loss.step = 2", ["r0", "r1", "r2", "r3"]),
    ("metrics.loss.min_step == 0 and metrics.loss.max_step == 2", ["r0", "r1", "r2", "r3"]),
    ("metrics.loss.min < metrics.val_acc", []),
    ('metrics.loss.min < metrics."val/acc"', ["r1", "r2", "r3"]),
    ("metrics.loss != 2", ["r1", "r2", "r3"]),
    ("not metrics.loss == 2", ["r1", "r2", "r3", "r4"]),
]


def test_metrics_are_asked_for_as_results_are(sweep):
    assert [(where, paths(sweep.runs(where))) for where, _ in CONDITIONS] == CONDITIONS


ORDERS = [
    ("metrics.loss", ["r0", "r1", "r2", "r3", "r4"]),
    ("-metrics.loss.min", ["r3", "r2", "r1", "r0", "r4"]),
    ("metrics.a.b.last", ["r3", "r2", "r1", "r0", "r4"]),
    ("-metrics.val/acc", ["r3", "r2", "r1", "r0", "r4"]),
]


def test_metrics_are_sorted_by_with_runs_without_them_last(sweep):
    assert [(sort, paths(sweep.runs(sort=sort))) for sort, _ in ORDERS] == ORDERS
    for sort, found in ORDERS:
        assert paths(sweep.runs(sort=sort, limit=2)) == found[:2]
        assert paths(sweep.runs("params.n >= 0", sort=sort, limit=5)) == found


def test_a_name_that_nobody_logged_is_told_with_the_nearest(sweep):
    sweep.runs()
    assert sweep.unknown_fields("metrics.los < 1 and metrics.loss.min < 1") == {"metrics.los": ("metrics.loss",)}


def test_a_frame_has_a_column_for_each(sweep):
    pytest.importorskip("pandas")
    frame = sweep.runs().to_pandas()
    assert list(frame["metrics.loss.min"][:4]) == [0.0, 0.5, 1.0, 1.5]
    assert list(frame["metrics.val/acc.last"][:4]) == [0, 1, 2, 3]


def test_an_integer_that_no_table_holds_is_found_in_the_documents(run, ws):
    log(run, "big", {0: 1 << 80})
    log(run.experiment.Run(id="two"), "big", {0: 1})
    assert paths(ws.catalog.runs(f"metrics.big.max == {1 << 80}")) == ["one"]
    assert paths(ws.catalog.runs(sort="-metrics.big")) == ["one", "two"]
    assert ws.catalog.verify().findings == ()


def test_a_run_that_goes_on_logging_replaces_its_row(run, ws):
    log(run, "loss", {0: 1})
    assert paths(ws.catalog.runs("metrics.loss == 1")) == ["one"]
    log(run, "accuracy", {0: 1})
    log(run, "loss", {0: 2})
    assert paths(ws.catalog.runs("metrics.loss == 1")) == []
    assert paths(ws.catalog.runs("metrics.loss == 2 and metrics.accuracy == 1")) == ["one"]


@pytest.mark.parametrize("rows", [1, 1000])
def test_metrics_are_in_snapshots(place, run, tmp_path, monkeypatch, rows):
    log(run, "loss", {0: 1})
    place.load().catalog.compact()
    log(run.experiment.Run(id="two"), "loss", {0: 2})
    tune(monkeypatch, "rows that make a full segment", rows)
    place.load().catalog.compact()

    monkeypatch.setenv("MOLEXP_CACHE_DIR", str(tmp_path / "somebody else's"))
    amid(monkeypatch, place.store, READING, "/run.json", lambda: pytest.fail("read again"))
    assert paths(place.load().catalog.runs(sort="-metrics.loss.max")) == ["two", "one"]
