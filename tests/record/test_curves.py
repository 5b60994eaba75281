"""Curves of long metrics are drawn from blocks of points that lie beside them, and are those that reading every point gives."""

from __future__ import annotations

import math
import sys
import threading
from bisect import bisect_left
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import molexp as me
from molexp.workflow import WorkflowBuilder
from tests.internals import tune
from tests.record.helpers import Place

LOG = "projects/metals/experiments/cu/runs/one/logs/metrics.jsonl"
BLOCKS = f"{LOG}.blocks"
SHORT = {
    "bytes of metrics from which on they are read by blocks": 0,
    "bytes of a file up to which no blocks are looked for": 0,
    "points that are read one by one all the same": 0,
    "points from which on blocks are written": 0,
    "points from which on blocks are longer": 1024,
    "blocks that are written at a time": 1,
}


@pytest.fixture(autouse=True)
def everything_is_long(monkeypatch):
    for limit, value in SHORT.items():
        tune(monkeypatch, limit, value)


def log(run, points, **start):
    with run.start(**start) as ctx:
        for step, values in points:
            ctx.metrics.log(values, step=step)


def looks(place, *, since=(None,), points=(8, 40, 300)):
    """Return what somebody sees who has not looked before."""
    curves = place.load().run("metals/cu/one").metrics.curves()
    return {
        (curve.name, curve.task, most, step): curve.thinned(most, since=step)
        for curve in curves
        for most in points
        for step in since
    }


def same_without_blocks(place, **asked):
    """Check that blocks are there, and that all that is seen is the same when they are not."""
    keys = [key for key in place.everything() if key.endswith(".blocks")]
    assert keys
    found = looks(place, **asked)
    assert found
    for key in keys:
        place.store.delete(key)
    assert looks(place, **asked) == found
    return found


# ----------------------------------------------------------------------------------------------------------- what is shown

VALUES = st.sampled_from([0, 1, -1, 2.5, 1e300, math.nan, -math.inf, "warm", True, 2**70, None])
STRETCH = st.tuples(
    st.sampled_from([("loss",), ("loss", "acc"), ("acc",), ("acc", "loss")]),
    st.integers(1, 700),  # points
    st.integers(-300, 1500),  # the first step
    st.sampled_from([1, 1, 3, -1]),  # from each to the next
    st.dictionaries(st.integers(0, 699), VALUES, max_size=4),  # odd values, by their places
)


@settings(max_examples=20)
@given(st.lists(st.lists(STRETCH, min_size=1, max_size=4), min_size=1, max_size=3), st.integers(-200, 1200))
def test_a_curve_has_the_ends_and_extremes_of_all_points(tmp_path_factory, attempts, since):
    place = Place(str(tmp_path_factory.mktemp("lab") / "lab"))
    run = place.workspace().Project("metals").Experiment("cu").Run(id="one")
    for stretches in attempts:
        with run.start() as ctx:
            for names, size, first, by, odd in stretches:
                for at in range(size):
                    value = odd.get(at, math.sin(at * 1.7) * at)
                    ctx.metrics.log(dict.fromkeys(names, value), step=first + at * by)
    every: dict[str, list[Any]] = {}
    for one in place.load().run("metals/cu/one").metrics.to_dicts():
        every.setdefault(one["name"], []).append((one["step"], shown(one["value"]), one["time"]))
    found = looks(place, since=(None, since))
    assert {name for name, *_ in found} == every.keys()
    for (name, _, most, after), curve in found.items():
        points = [one for one in every[name] if after is None or one[0] > after]
        assert curve.total == len(points)
        assert len(curve.steps) <= most
        is_drawn_from(points, [*zip(curve.steps, curve.values, curve.times, strict=True)], most)
    if any(size >= 256 for stretches in attempts for _, size, *_ in stretches):
        assert same_without_blocks(place, since=(None, since)) == found


def shown(value):
    return value if type(value) in (int, float) and abs(value) <= 1e307 else None


def is_drawn_from(points, drawn, most):
    """Check that points are among all, in their order, with the ends, and near each one as low and one as high."""
    rest = iter(enumerate(points))
    kept = [next(at for at, point in rest if point == one) for one in drawn]
    if not points:
        return
    assert (kept[0], kept[-1]) == (0, len(points) - 1)
    if len(points) <= most:
        return
    gaps = [value is None for _, value, _ in points]
    assert any(gaps) == any(value is None for _, value, _ in drawn)
    stretches = (most - most // 4 * any(gaps)) // 2 - 1
    near = len(points) // stretches + 2049  # a stretch, and the longest block
    for at, (_, value, _) in enumerate(points):
        if value is not None:
            some = kept[bisect_left(kept, at - near) : bisect_left(kept, at + near + 1)]
            beside = [points[one][1] for one in some if points[one][1] is not None]
            assert min(beside) <= value <= max(beside)


def test_of_a_run_that_was_resumed_only_the_block_that_was_cut_is_read_again(lab, lab_run, monkeypatch):
    for first, last in ((0, 6000), (5000, 9000)):
        log(lab_run, ((step, {"loss": step * 7919 % 1000}) for step in range(first, last)))
    read: list[int] = []
    reading = type(lab.store).read
    opening = type(lab.store).open_read

    def counted(store, key, start=0, length=None):
        data = reading(store, key, start, length)
        read.append(len(data) if key.endswith(".jsonl") and "/logs/" in key else 0)
        return data

    def opened(store, key):
        read.append(store.stat(key).size if "/logs/" in key else 0)
        return opening(store, key)

    monkeypatch.setattr(type(lab.store), "read", counted)
    monkeypatch.setattr(type(lab.store), "open_read", opened)
    found = looks(lab, points=(100,))
    assert 0 < sum(read) < 150_000, "a block of 2048 points, and last lines, of half a megabyte"
    monkeypatch.undo()
    everything = lab.load().run("metals/cu/one").metrics.to_columns()
    assert {one.total for one in found.values()} == {len(everything["step"])} == {9000}


def test_many_metrics_that_are_logged_in_turn_have_curves_of_their_own(lab, lab_run):
    log(
        lab_run, ((step, {f"n{step % 12}": step, f"m{step % 5}": math.nan if step == 7 else 1}) for step in range(1200))
    )
    found = same_without_blocks(lab, points=(40,))
    for at in range(12):
        curve = found[f"n{at}", "", 40, None]
        assert (curve.total, curve.values[0], curve.values[-1], curve.steps) == (100, at, 1188 + at, curve.values)
    assert {name for name, *_ in found} == lab_run.metrics.keys()
    assert [at for at in range(5) if None in found[f"m{at}", "", 40, None].values] == [2]
    assert lab_run.metrics["n3"]["max"] == 1191


def test_of_few_new_points_every_one_is_shown(run, place, monkeypatch):
    tune(monkeypatch, "points that are read one by one all the same", 2000)
    log(run, ((step, {"loss": step * 7919 % 1000}) for step in range(6000)))
    (found,) = same_without_blocks(place, since=(5950,), points=(100,)).values()
    assert (found.total, found.steps) == (49, [*range(5951, 6000)])
    assert found.values == [step * 7919 % 1000 for step in found.steps]


def test_a_run_of_few_points_has_no_blocks_and_every_point_is_shown(run, place, monkeypatch):
    monkeypatch.undo()
    log(run, ((step, {"loss": step, "acc": math.nan if step == 5 else 1}) for step in range(2000)))
    assert BLOCKS not in place.everything()
    loss, acc = run.metrics.curves()
    assert [one.name for one in run.metrics.curves(["acc"])] == ["acc"]
    assert loss.thinned(2000).steps == loss.thinned(2000).values == [*range(2000)]
    assert acc.thinned(2000).values[4:7] == [1, None, 1]
    assert (5 in acc.thinned(40).steps, loss.thinned(1000, since=1997).steps) == (True, [1998, 1999])
    with pytest.raises(ValueError, match="8 points or more"):
        loss.thinned(7)


# ------------------------------------------------------------------------------------------------------------ who writes it


def test_a_run_that_goes_on_shows_what_was_logged_until_now(run, place):
    with run.start() as ctx:
        for step in range(5000):
            ctx.metrics.log(step=step, loss=step * 7919 % 1000)
        ctx.flush()
        ctx.metrics.flush()
        (found,) = looks(place, points=(100,)).values()
        assert (found.total, found.steps[-1], max(found.values)) == (5000, 4999, 999)
        if "append" in place.store.capabilities:
            assert BLOCKS in place.everything()
        reader = place.load()
        for step in range(5000, 5030):
            assert reader.run("metals/cu/one").metrics.curves()[0].count == step
            ctx.metrics.log(step=step, loss=-step)
            ctx.metrics.flush()
    same_without_blocks(place)


def log_with_handlers(ctx, interrupted):
    """Log 2000 points; within these, a handler of a signal logs, too: before the line is in the file, or right after that."""

    def logging(frame, event, arg):
        if frame.f_code.co_name == "write" and "streams" in frame.f_code.co_filename:
            if event == moment:
                sys.settrace(None)
                ctx.metrics.log(step=0, loss=-7)
            return logging
        return None

    before = sys.gettrace()
    try:
        for step in range(2000):
            if step in interrupted:
                moment = "return" if step % 3 else "call"
                sys.settrace(logging)
            ctx.metrics.log(step=step, loss=step)
    finally:
        sys.settrace(before)


def test_threads_and_handlers_of_signals_log_at_the_same_time(run, place):
    """A handler logs while its thread does: blocks end there, because the order of points in the file is not known."""

    def work(number):
        for step in range(1500):
            ctx.metrics.log(step=step, loss=step * number)

    with run.start() as ctx:
        threads = [threading.Thread(target=work, args=(number,)) for number in range(1, 4)]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
        log_with_handlers(
            ctx, range(1001, 1600)
        )  # from an odd step on, so that a block would end with what a handler logs
    found = same_without_blocks(place)
    assert {one.total for one in found.values()} == {7099}
    assert all(min(one.values) == -7 for one in found.values())


def test_where_a_handler_logs_before_the_first_block_is_full_there_are_none(run, place):
    with run.start() as ctx:
        log_with_handlers(ctx, range(1, 300))
    assert not [key for key in place.everything() if key.endswith(".blocks")]
    assert {one.total for one in looks(place).values()} == {2299}


def test_a_task_that_is_tried_again_goes_on_in_the_same_file(place):
    tries: list[int] = []
    wf = WorkflowBuilder(name="train")

    @wf.task(retries=1)
    def train(ctx):
        tries.append(len(tries))
        for step in range(1300):
            ctx.metrics.log(step=step, loss=step - 10_000 * len(tries))
        if len(tries) == 1:
            raise OSError("lost")

    run = place.workspace().Project("metals").Experiment("cu").Run(id="one")
    wf.build().execute_sync(run=run, check=True)
    found = same_without_blocks(place)
    assert {(name, task, one.total) for (name, task, *_), one in found.items()} == {("loss", "train", 2600)}
    assert {(max(one.values), min(one.values)) for one in found.values()} == {(-8701, -20_000)}


def test_blocks_of_a_killed_owner_are_believed_as_far_as_they_go(lab, script):
    script(
        f"""
        import os
        import molexp as me

        run = me.Workspace({lab.url!r}).Project("metals").Experiment("cu").Run(id="one")
        with run.start() as ctx:
            for step in range(40_000):
                ctx.metrics.log(step=step, loss=step * 7919 % 1000)
            os.kill(os.getpid(), 9)
        """
    )
    with open(lab.folder / LOG, "ab") as file:
        file.write(b'{"step":40000,"time":1.5,"lo')
    with open(lab.folder / BLOCKS, "ab") as file:
        file.write(lab.store.read(BLOCKS)[:100])
    assert lab.load().run("metals/cu/one").status == "interrupted"
    found = same_without_blocks(lab)
    assert {(one.total, one.steps[-1], max(one.values)) for one in found.values()} == {(40_000, 39_999, 999)}
    with open(lab.folder / LOG, "ab") as file:  # somebody repairs it by hand
        file.write(b'\n\0\0\nnull\n{"step":40000,"time":1.5,"loss":-1}\n')
    with pytest.warns(UserWarning, match="2 lines of 'metrics' are no points"):
        found = looks(lab)
    assert {(one.total, one.steps[-1], min(one.values)) for one in found.values()} == {(40_001, 40_000, -1)}


# ------------------------------------------------------------------------------------------------------- what is not believed


def test_blocks_are_read_instead_of_all_points(lab, lab_run):
    log(lab_run, ((step, {"loss": step}) for step in range(6000)))
    found = looks(lab)
    data = (lab.folder / LOG).read_bytes()
    keep = 1100 * (len(data) // 6000)
    (lab.folder / LOG).write_bytes(b" " * (len(data) - keep) + data[-keep:])
    assert looks(lab) == found


@pytest.mark.parametrize(
    "change",
    [
        lambda log, blocks: (log[: len(log) // 2], blocks),
        lambda log, blocks: (log[: log.index(b"\n", len(log) // 3) + 1], blocks),
        lambda log, blocks: (log + log.replace(b'"loss":', b'"loss":9'), blocks),
        lambda log, blocks: (log.replace(b'"loss":1', b'"loss":7'), blocks),
        lambda log, blocks: (log[log.index(b"\n") + 1 :] + log, blocks),
        lambda log, blocks: (log, blocks[: len(blocks) // 2]),
        lambda log, blocks: (log, blocks[len(blocks) // 2 :]),
        lambda log, blocks: (log, b"\0" * len(blocks)),
        lambda log, blocks: (log, b"[[[[" * 100_000 + b"\n" + blocks),
        lambda log, blocks: (log, blocks.replace(b"[256,", b"[255,")),
        lambda log, blocks: (log, blocks.replace(b"null", b"7")),
        lambda log, blocks: (log, blocks.replace(b'{"loss":[256', b'{"loss":[-1')),
        lambda log, blocks: (log, blocks + blocks),
        lambda log, blocks: (log, b""),
    ],
)
def test_blocks_that_are_not_those_of_the_file_are_not_believed(lab, lab_run, change):
    """As long as the run goes on, or if its owner was killed, its record has no hash that would tell."""
    with lab_run.start() as ctx:
        for step in range(3000):
            ctx.metrics.log(step=step, loss=step * 7919 % 1000)
        before = lab.store.read(LOG)
        log, blocks = change(before, lab.store.read(BLOCKS))
        (lab.folder / LOG).write_bytes(log)
        (lab.folder / BLOCKS).write_bytes(blocks)
        found = looks(lab)
        (lab.folder / BLOCKS).unlink()
        assert looks(lab) == found
        (lab.folder / BLOCKS).mkdir()
        assert looks(lab) == found
        (lab.folder / LOG).write_bytes(before)


def test_blocks_are_copied_and_freed_with_their_run_and_are_no_part_of_the_record(lab, lab_run, tmp_path):
    copy = Place(str(tmp_path / "copy"))
    with lab_run.start() as ctx:
        for step in range(3000):
            ctx.metrics.log(step=step, loss=step)
        assert me.sync_workspace(lab.load(), copy.url).ok
        assert {one.total for one in looks(copy).values()} == {3000}
        for step in range(3000, 6000):
            ctx.metrics.log(step=step, loss=step)
    log(lab_run, ((step, {"loss": -step}) for step in range(5500, 8000)))
    ws = lab.load()
    assert {asset.name for asset in ws.run("metals/cu/one").assets} == {"metrics"}
    assert ws.fsck(read_data=True).ok
    assert me.sync_workspace(ws, copy.url).ok
    assert copy.load().fsck(read_data=True).ok
    found = same_without_blocks(lab)
    assert looks(copy) == same_without_blocks(copy) == found
    ws.run("metals/cu/one").delete()
    ws.gc(dry_run=False)
    assert not [key for key in lab.everything() if "runs/one" in key]
