"""Logs and metrics: what a run writes as it goes, readable while it runs."""

from __future__ import annotations

import gc
import logging
import math
import threading

import numpy as np
import pytest

import molexp as me

RUN = "projects/metals/experiments/cu/runs/one"


def test_lines_are_appended(place, run):
    with run.start() as ctx:
        log = ctx.log("train")
        log.append("first")
        log.append("second\n")
        log.append("third\nfourth")
        assert ctx.log("train") is log

    assert place.store.read(f"{RUN}/logs/train.log") == b"first\nsecond\nthird\nfourth\n"
    assert run.logs["train"].text() == "first\nsecond\nthird\nfourth\n"


def test_it_is_file_like(run):
    with run.start() as ctx:
        print("step", 1, file=ctx.log("train"))
        assert ctx.log("train").write("no newline") == 10
        ctx.log("train").writelines([" a", " b\n"])
        ctx.log("train").flush()
        assert ctx.log("train").writable()

    assert run.logs["train"].text() == "step 1\nno newline a b\n"


@pytest.mark.parametrize(
    ("line", "cure"), [(5, r"not int. Pass str\(value\)"), (b"x", r"not bytes. Pass data.decode\(\)")]
)
@pytest.mark.parametrize("how", ["append", "write"])
def test_what_is_no_text_is_refused_with_the_cure(run, line, cure, how):
    with run.start() as ctx, pytest.raises(TypeError, match=cure):
        getattr(ctx.log("train"), how)(line)
    assert "train" not in run.logs


def test_closing_it_does_not_end_it(run):
    with run.start() as ctx:
        with ctx.log("train") as log:
            log.append("one")
        ctx.log("train").append("two")

    assert run.logs["train"].text() == "one\ntwo\n"


def test_tail_and_text_while_it_runs(place, run):
    with run.start() as ctx:
        for number in range(20):
            ctx.log("train").append(f"line {number}")
        assert ctx.log("train").tail(2) == ["line 18", "line 19"]
        assert len(ctx.log("train").tail()) == 10
        ctx.flush()
        seen = place.load().run("metals/cu/one").logs["train"]
        assert seen.tail(1) == ["line 19"]


@pytest.mark.parametrize("line", ["loss=0.1", "epoch 3 done", "a\tb", "a\nb"])
def test_a_line_for_a_name_asks_what_was_meant(place, run, line):
    with run.start() as ctx:
        before = place.everything()
        with pytest.raises(me.InvalidNameError, match=r"did you mean ctx\.logger\.info"):
            ctx.log(line)
        assert place.everything() == before


def test_a_log_that_nobody_wrote_to_is_no_file(place, run):
    with run.start() as ctx:
        ctx.log("train")
        _ = ctx.metrics

    assert [key for key in place.record() if "/logs/" in key] == []
    assert dict(run.logs) == {}


def test_the_logger_is_a_standard_one(run):
    with run.start() as ctx:
        assert isinstance(ctx.logger, logging.Logger)
        ctx.logger.info("relaxed in %d steps", 12)
        ctx.logger.debug("and %s", {"a": 1})
        try:
            1 / 0  # noqa: B018
        except ZeroDivisionError:
            ctx.logger.exception("it broke")

    text = run.logs["run"].text()
    assert "INFO relaxed in 12 steps\n" in text
    assert "DEBUG and {'a': 1}" in text
    assert "ZeroDivisionError: division by zero" in text


def test_a_logger_that_is_used_after_the_end_says_once_that_nothing_is_recorded(run, capsys):
    with run.start() as ctx:
        ctx.logger.info("in time")
    ctx.logger.info("%s late", "too")
    ctx.logger.warning("later")
    said = capsys.readouterr().err
    assert said.startswith(
        f"molexp: Nothing can be recorded for run {run.path!r} here: attempt 1 has ended as succeeded."
    )
    assert said.endswith("A log record was dropped: too late\n")
    assert said.count("\n") == 1
    assert run.logs["run"].text().count("\n") == 1


def test_a_name_of_another_kind_says_how_to_read_it(run):
    with run.start() as ctx:
        ctx.metrics.log(loss=1)
    with pytest.raises(
        me.NotFoundError, match=r"of kind 'metrics': run.asset\('metrics'\), or `molexp assets get RUN:metrics -`"
    ):
        run.logs["metrics"]


def test_loggers_of_two_runs_do_not_mix(exp):
    with exp.Run(id="a").start() as first, exp.Run(id="b").start() as second:
        first.logger.info("from a")
        second.logger.info("from b")

    assert "from b" not in exp.run("a").logs["run"].text()
    assert "from a" not in exp.run("b").logs["run"].text()


def test_logs_of_a_run_are_a_mapping_over_all_attempts(run):
    for text in ("first", "second"):
        with run.start() as ctx:
            ctx.log("train").append(text)
            ctx.log(f"only-{text}").append(text)

    assert set(run.logs) == {"train", "only-first", "only-second"}
    assert list(run.logs["train"]) == ["first", "second"]
    assert (list(run.logs["train"].own), run.logs["train"].attempt) == (["second"], 2)
    assert list(run.logs["only-first"]) == ["first"]


def test_a_log_is_an_asset_whose_record_is_final_at_the_end(run, ws):
    with run.start() as ctx:
        ctx.log("train").append("α")

    (asset,) = ws.catalog.assets(kind="log")
    assert isinstance(asset, me.LogAsset)
    assert (asset.name, asset.size) == ("train", 3)
    assert str(asset.content_hash).startswith("sha256:")
    assert asset.load() == "α\n"
    assert asset.key == f"{RUN}/logs/train.log"


def test_what_utf8_cannot_carry_is_written_all_the_same(run):
    with run.start() as ctx:
        ctx.log("train").append("a \udc80 b")

    assert run.logs["train"].text() == "a \\udc80 b\n"


def test_threads_share_a_log_without_mixing_lines(run):
    with run.start() as ctx:

        def work(number):
            for _ in range(200):
                ctx.log("train").append(f"{number}" * 50)

        threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    lines = run.logs["train"].text().splitlines()
    assert len(lines) == 800
    assert {len(set(line)) for line in lines} == {1}


def test_log_names_may_have_folders_and_may_not_escape(place, run):
    with run.start() as ctx:
        ctx.log("tasks/build").append("line")
        with pytest.raises(me.InvalidNameError):
            ctx.log("../escape")

    assert place.store.exists(f"{RUN}/logs/tasks/build.log")


# -------------------------------------------------------------------------------------------------------------- metrics


def test_points_come_back_in_order(place, run):
    with run.start() as ctx:
        for step in range(5):
            ctx.metrics.log(step=step, loss=1 / (step + 1), acc=step)

    (asset,) = [asset for asset in run.assets if asset.kind == "metrics"]
    assert isinstance(asset, me.MetricsAsset)
    points = asset.load()
    assert [(point["step"], point["loss"], point["acc"]) for point in points] == [(n, 1 / (n + 1), n) for n in range(5)]
    assert all(isinstance(point["time"], float) for point in points)
    assert asset.key == f"{RUN}/logs/metrics.jsonl"


def test_the_step_counts_by_itself_from_where_it_was_set(run):
    with run.start() as ctx:
        ctx.metrics.log(loss=1.0)
        ctx.metrics.log(loss=0.5)
        ctx.metrics.log(loss=0.4, step=10)
        ctx.metrics.log(loss=0.3)

    assert [point["step"] for point in run.asset("metrics").load()] == [0, 1, 10, 11]


@pytest.mark.parametrize(
    "value",
    [
        math.nan,
        math.inf,
        -math.inf,
        np.float64(0.5),
        np.int64(3),
        np.float32(np.nan),
        True,
        None,
        "text",
        [1.0, math.nan],
    ],
)
def test_any_small_value_is_a_metric(run, value):
    with run.start() as ctx:
        ctx.metrics.log(value=value)

    (point,) = run.asset("metrics").load()
    assert repr(point["value"]) == repr(value.item() if isinstance(value, np.generic) else value)


def test_names_that_are_no_identifiers(run):
    with run.start() as ctx:
        ctx.metrics.log({"val/loss": 1, "α": 2}, step=3)

    (point,) = run.asset("metrics").load()
    assert (point["val/loss"], point["α"], point["step"]) == (1, 2, 3)


def test_the_step_is_the_callers(run):
    with run.start() as ctx:
        ctx.metrics.log({"step": 3, "loss": 1})
        ctx.metrics.log(loss=2)
        for error, values, more in (
            (ValueError, {"step": 3, "loss": 1}, {"step": 7}),
            (ValueError, {"time": 0.5}, {}),
            (ValueError, {}, {"time": 0.5}),
            (TypeError, {"step": "x"}, {}),
            (TypeError, {"a": 1}, {"a": 2}),
        ):
            with pytest.raises(error):
                ctx.metrics.log(values, **more)

    assert [(point["step"], point["loss"]) for point in run.asset("metrics").load()] == [(3, 1), (4, 2)]


def test_a_value_that_json_cannot_carry_is_named(run):
    with run.start() as ctx:
        ctx.metrics.log(loss=1)
        with pytest.raises(me.SerializationError, match=r"metrics\.model \(object\)"):
            ctx.metrics.log(model=object())

    assert len(run.asset("metrics").load()) == 1


def test_a_torn_last_line_is_left_out(lab, lab_run):
    with lab_run.start() as ctx:
        ctx.metrics.log(loss=1.0)
        ctx.metrics.log(loss=0.5)
        ctx.flush()
        key = f"{RUN}/logs/metrics.jsonl"
        lab.store.write(key, lab.store.read(key)[:-4])  # as it is while a line is being written

        assert [point["loss"] for point in lab_run.asset("metrics").load()] == [1.0]


def test_what_is_opened_while_the_run_closes_its_logs_is_closed_too(run):
    """Another thread begins a log at the last moment."""
    closed = []

    class Log:
        def __init__(self, name, then=None):
            self.name, self.then = name, then

        def close(self):
            closed.append(self.name)
            if (then := self.then) is not None:
                self.then = None
                context._attempt.manage(then)

    with run.start() as context:
        context._attempt.manage(Log("first", Log("late")))

    assert closed == ["first", "late"]


def test_a_log_that_cannot_be_announced_is_closed(run, monkeypatch):
    with run.start() as ctx:
        outbox = ctx._attempt.outbox
        if outbox is None:
            pytest.skip("logs are written at once here")

        def refuse(self, parcel):
            raise me.StorageFullError(parcel.key)

        with monkeypatch.context() as patched:
            patched.setattr(type(outbox), "announce", refuse)
            with pytest.raises(me.StorageFullError):
                ctx.log("relax").append("a line")
        gc.collect()  # an open file would warn, and fail this test
        ctx.log("relax").append("another line")
    assert run.logs["relax"].text() == "another line\n"


def test_a_tail_reads_only_the_end(place, run, monkeypatch):
    lines = [f"line {number} {'ä' * 50}" for number in range(20_000)]
    read_bytes = []
    read = type(place.store).read

    def counted(*args, **kwargs):
        data = read(*args, **kwargs)
        read_bytes.append(len(data))
        return data

    monkeypatch.setattr(type(place.store), "read", counted)
    with run.start() as ctx:
        ctx.log("train").append("\n".join(lines))
        ctx.flush()
        assert ctx.log("train").tail(3) == lines[-3:]
        assert run.logs["train"].tail(3) == lines[-3:]
    log = run.logs["train"]
    assert log.tail(3) == lines[-3:]
    assert log.tail(1000) == lines[-1000:]
    assert sum(read_bytes) < 1 << 20, "the log has two MiB, and is read in part four times"
    assert log.tail(30_000) == lines


def test_a_tail_of_a_log_without_ends_of_lines_is_no_longer_than_64_mib(tmp_path):
    with me.Workspace(tmp_path).Project("p").Experiment("e").Run(id="r").start() as ctx:
        ctx.log("bar").append("x")
        ctx.flush()
        with tmp_path.joinpath("projects/p/experiments/e/runs/r/logs/bar.log").open("r+b") as file:
            file.truncate(200 << 20)  # a sparse file, of which nothing lies on a disk
        start, data = ctx.run.logs["bar"].end(3)
        assert (start, len(data)) == (136 << 20, 64 << 20)


@pytest.mark.parametrize(
    "text", ["", "one", "one\n", "\n", "one\r\ntwo\rthree", "a\n\nb\n", "x" * 40_000 + "\ny", "y\n" + "x" * 90_000]
)
def test_a_tail_is_the_end_of_the_text(run, text):
    with run.start() as ctx:
        ctx.log("train").write("zero\n" + text)
    lines = run.logs["train"].text().splitlines()
    found = {n: run.logs["train"].tail(n) for n in (0, -1, 1, 2, 3, 4, 5, 9)}
    assert found == {n: lines[-n:] if n > 0 else [] for n in found}
