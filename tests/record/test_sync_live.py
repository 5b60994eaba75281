"""A run that goes on is synced as it is: logs, metrics, results and files so far, as of when; its end comes with a later sync."""

from __future__ import annotations

import json
from collections import Counter

import pytest

import molexp as me
from molexp.errors import RunBusyError
from molexp_fs import LocalStore
from tests.record.helpers import Place
from tests.record.syncing import BIG, RUNS, check, record, sync, track

FOUR = pytest.mark.parametrize(
    "pair",
    [
        ("files", "files"),
        ("files", "memory without append"),
        ("memory without append", "files"),
        *(pytest.param(pair, marks=pytest.mark.s3) for pair in (("files", "s3"), ("s3", "files"), ("s3", "s3"))),
    ],
    ids=" to ".join,
    indirect=True,
)
WRITES = ("write", "create", "append", "open_write", "delete")
DOC = f"{RUNS}/one/executions/1.copy.json"


def begun(place):
    """A run that goes on, with something of everything on record."""
    context = place.workspace().Project("metals").Experiment("cu").Run(id="one").start()
    context.set_result("value", 1)
    context.artifact.save("a.json", [1])
    context.log("relax").append("first")
    context.metrics.log(loss=1.0)
    context.flush()
    return context


# --------------------------------------------------------------------------------------------------------- what is seen


@FOUR
def test_a_copy_has_what_the_run_has_so_far_and_says_as_of_when(source, target):
    with begun(source) as ctx:
        before = ctx.run.execution_history[0]["started_at"]
        report = sync(source, target)
        assert report.ok, report
        assert "goes on" in str(report.unfinished)
        run = target.load().run("metals/cu/one")
        assert run.status == "running"
        assert run.as_of is not None
        assert run.as_of > before
        assert run.results == {"value": 1}
        assert run.logs["relax"].text() == "first\n"
        assert [point["loss"] for point in run.asset("metrics").load()] == [1.0]
        assert run.asset("a.json").load() == [1]
        (row,) = target.load().catalog.runs('status == "running" and as_of is not null')
        assert (row.as_of, row.results) == (run.as_of, {"value": 1})
        assert json.loads(me.to_json(run.to_dict()))["as_of"] == run.as_of
        check(target)

        ctx.log("relax").append("second")
        ctx.set_result("value", 2)
        ctx.artifact.save("b.json", [2])
        ctx.flush()
        sync(source, target)
        assert run.logs["relax"].text() == "first\nsecond\n"
        assert run.results == {"value": 2}
        assert target.load().catalog.runs()[0].results == {"value": 2}
        assert run.as_of > row.as_of
        check(target)
    assert run.status == "running", "until a sync tells"

    report = sync(source, target)
    assert (report.ok, report.counts["unfinished"]) == (True, 0)
    assert (run.status, run.as_of) == ("succeeded", None)
    assert target.load().catalog.runs()[0].status == "succeeded"
    assert record(target) == record(source)
    assert sync(source, target).counts["copied"] == 0
    check(target)


def test_nothing_is_sent_twice(lab, copy, monkeypatch):
    read: Counter[str] = Counter()
    for name in ("read", "open_read"):
        original = getattr(LocalStore, name)

        def reading(self, key, *args, _original=original, **kwargs):
            found = _original(self, key, *args, **kwargs)
            if self.url == lab.store.url and "/logs/" in key:
                read[key] += len(found) if isinstance(found, bytes) else self.stat(key).size
            return found

        monkeypatch.setattr(LocalStore, name, reading)
    line = "x" * 1023
    size = 0
    with begun(lab) as ctx:
        sync(lab, copy)
        for _ in range(4):
            for _ in range(1500):
                ctx.log("long").append(line)
            size += 1500 << 10
            report = sync(lab, copy)
            assert report.counts["bytes"] < (1500 << 10) + 20_000
        assert sync(lab, copy).counts["bytes"] == 0
    assert copy.store.stat(f"{RUNS}/one/logs/long.log").size == size
    ended = sync(lab, copy)
    assert ended.counts["bytes"] < 5_000, "the end, and nothing that was there"
    assert read[f"{RUNS}/one/logs/long.log"] < size + 10 * 4096
    assert record(copy) == record(lab)


def test_a_file_that_became_another_one_is_copied_anew(lab, copy):
    with begun(lab) as ctx:
        sync(lab, copy)
        copy.store.write(f"{RUNS}/one/logs/relax.log", b"other\n")
        ctx.log("relax").append("second")
        sync(lab, copy)
        assert copy.load().run("metals/cu/one").logs["relax"].text() == "first\nsecond\n"
        copy.store.write(f"{RUNS}/one/logs/relax.log", b"damaged after that\n")
        copy.store.write(f"{RUNS}/one/artifacts/a.json", b"[3]")
        ctx.log("relax").append("third")
    report = sync(lab, copy)
    assert report.ok, report
    assert record(copy) == record(lab)


def test_an_artifact_that_is_saved_again_is_replaced_in_the_copy(lab, copy, tmp_path):
    (tmp_path / "big").write_bytes(BIG)
    with begun(lab) as ctx:
        ctx.artifact.save("big", tmp_path / "big")
        sync(lab, copy)
        (tmp_path / "big").write_bytes(BIG[::-1])
        ctx.artifact.save("big", tmp_path / "big")
        sync(lab, copy)
        assert copy.load().run("metals/cu/one").asset("big").read_bytes() == BIG[::-1]
        check(copy)
    sync(lab, copy)
    assert record(copy) == record(lab)


# ------------------------------------------------------------------------------------------- what is done with the copy


def test_a_copy_is_not_started_nor_deleted_until_it_is_cancelled_there(lab, copy):
    with pytest.raises(me.RunCancelledError), begun(lab) as ctx:
        sync(lab, copy)
        run = copy.load().run("metals/cu/one")
        for act in (run.start, run.delete):
            with pytest.raises(RunBusyError, match="elsewhere") as caught:
                act()
            assert caught.value.as_of == run.as_of
        run.cancel()
        assert (run.status, run.as_of) == ("cancelled", None)
        track(run, 2)
        assert [one["status"] for one in run.execution_history] == ["cancelled", "succeeded"]
        back = sync(copy, lab)
        assert "goes on at the destination" in str(back.unfinished)
        origin = lab.load().run("metals/cu/one")
        assert origin.status == "running", "its second attempt waits for the end of the first"
        ctx._attempt.beat()
        ctx.set_result("value", 3)
    assert sync(lab, copy).ok
    assert sync(copy, lab).ok
    assert record(copy) == record(lab)
    assert [one["status"] for one in run.execution_history][1:] == ["succeeded"]
    check(copy)


def test_a_request_to_cancel_a_copy_reaches_the_run_itself(lab, copy):
    with pytest.raises(me.RunCancelledError, match="too hot"), begun(lab) as ctx:
        sync(lab, copy)
        copy.load().run("metals/cu/one").cancel("too hot")
        back = sync(copy, lab)
        assert (back.counts["copied"], back.ok) == (1, True)
        assert "goes on" in str(back.unfinished)
        assert sync(lab, copy).ok
        assert sync(copy, lab).counts["copied"] == 0, "it has it"
        ctx._attempt.beat()
        ctx.set_result("value", 3)
    assert sync(lab, copy).ok
    assert copy.load().run("metals/cu/one").status == lab.load().run("metals/cu/one").status == "cancelled"
    assert record(copy) == record(lab)


def test_a_copy_that_was_cancelled_is_one_in_its_copies_too(lab, copy, tmp_path):
    third = Place(str(tmp_path / "third"))
    with begun(lab):
        sync(lab, copy)
        copy.load().run("metals/cu/one").cancel()
        assert sync(copy, third).ok
        run = third.load().run("metals/cu/one")
        assert (run.logs["relax"].text(), run.results) == ("first\n", {"value": 1})
        check(third)
    assert sync(lab, third).ok
    assert run.status == "succeeded"
    assert sync(lab, copy).ok
    assert sync(copy, third).ok
    assert record(copy) == record(third)


def test_a_copy_that_was_deleted_is_freed(lab, copy):
    with begun(lab):
        sync(lab, copy)
        run = copy.load().run("metals/cu/one")
        run.cancel()
        run.delete()
        assert copy.load().gc(dry_run=False).ok
        assert not copy.store.exists(f"{RUNS}/one/run.json")
        report = sync(lab, copy)
        assert report.counts["deleted"] == 1
        assert copy.load().catalog.runs() == []


def test_nobody_takes_the_owner_of_a_copy_for_dead(lab, copy, script):
    done = script(
        f"""
        import os, signal
        import molexp as me
        run = me.Workspace(os.environ["LAB"]).Project("metals").Experiment("cu").Run(id="one")
        ctx = run.start()
        ctx.set_result("value", 1)
        me.sync_workspace(os.environ["LAB"], {copy.url!r})
        os.kill(os.getpid(), signal.SIGKILL)
        """
    )
    assert done.code < 0, done.err
    run = copy.load().run("metals/cu/one")
    assert run.status == "running", "as of then it was; that it died, the source knows"
    assert copy.load().catalog.runs()[0].as_of == run.as_of
    assert not copy.store.exists(f"{RUNS}/one/executions/1.end.json")
    assert sync(lab, copy).counts["unfinished"] == 0
    assert run.status == "interrupted"
    assert record(copy) == record(lab)


def test_what_became_of_it_meanwhile_comes_with_the_next_sync(lab, copy):
    with begun(lab):
        sync(lab, copy)
    origin = lab.load().run("metals/cu/one")
    with origin.start() as again:
        again.set_result("value", 5)
        sync(lab, copy)
        run = copy.load().run("metals/cu/one")
        assert [one["status"] for one in run.execution_history] == ["succeeded", "running"]
        assert (run.results, run.as_of is not None) == ({"value": 5}, True)
        check(copy)
    origin.delete()
    lab.load().gc(dry_run=False)
    report = sync(lab, copy)
    assert report.counts["deleted"] == 1
    assert copy.load().catalog.runs() == []
    assert copy.load().gc(dry_run=False).ok
    assert not copy.store.exists(f"{RUNS}/one/run.json")


# ------------------------------------------------------------------------------------------------------- several copies


def test_a_copy_of_a_copy_has_the_time_of_the_first(lab, copy, tmp_path):
    third = type(copy)(str(tmp_path / "third"))
    with begun(lab) as ctx:
        sync(lab, copy)
        as_of = copy.load().run("metals/cu/one").as_of
        sync(copy, third)
        run = third.load().run("metals/cu/one")
        assert (run.status, run.as_of, run.results) == ("running", as_of, {"value": 1})
        assert run.logs["relax"].text() == "first\n"
        check(third)
        ctx.set_result("value", 2)
        sync(lab, third)
        newer = run.as_of
        assert newer > as_of
        sync(copy, third)
        assert (run.as_of, run.results) == (newer, {"value": 2}), "what is older takes nothing back"
        back = sync(copy, lab)
        assert (back.ok, back.counts["copied"]) == (True, 0)
    sync(lab, copy)
    sync(copy, third)
    sync(third, lab)
    assert record(third) == record(copy) == record(lab)
    check(third)


# --------------------------------------------------------------------------------------------------------------- damage


class Killed(BaseException):
    """Ends a sync as `kill -9` would."""


@pytest.fixture
def dying(monkeypatch, copy):
    """Lets the process die at the n-th change of the copy; tells whether it came that far."""
    left = [0]
    for name in WRITES:
        original = getattr(LocalStore, name)

        def changing(self, key, *args, _original=original, **kwargs):
            if self.url == copy.store.url and not key.startswith(".molexp/"):
                left[0] -= 1
                if left[0] == 0:
                    raise Killed
            return _original(self, key, *args, **kwargs)

        monkeypatch.setattr(LocalStore, name, changing)

    def at(number, place):
        left[0] = number
        try:
            me.sync_workspace(place.load(), copy.url)
        except Killed:
            return True
        finally:
            left[0] = 0
        return False

    return at


@pytest.mark.parametrize("what", ["the first", "what is new", "the end"])
def test_a_sync_that_is_killed_leaves_what_was_true_and_the_next_one_goes_on(lab, copy, dying, what):
    copy.workspace()._session.workspace.origin = lab.workspace().materialize()._session.workspace.read()
    kills = 0
    with begun(lab) as ctx:
        if what != "the first":
            sync(lab, copy)
            ctx.log("relax").append("second")
            ctx.set_result("value", 2)
            ctx.artifact.save("a.json", [2])
        if what == "the end":
            ctx.finish("succeeded")
        while dying(kills + 1, lab):
            kills += 1
            if copy.store.exists("workspace.json"):
                found = copy.load().fsck(read_data=True).findings
                assert {finding.what for finding in found} <= {"it does not show the newest end"}, "which is for people"
                assert {row.status for row in copy.load().catalog.runs()} <= {"pending", "running", "succeeded"}
        assert kills >= 3
        check(copy)
        assert copy.load().run("metals/cu/one").results == {"value": 1 if what == "the first" else 2}
    sync(lab, copy)
    assert record(copy) == record(lab)
    check(copy)


@pytest.mark.parametrize("junk", [b"", b"\0" * 50, b"{", b"[]", b'{"schema":1}', b'{"as_of":"soon"}', b'{"as_of":3}'])
def test_a_copy_whose_time_cannot_be_read_is_named_and_mended_by_the_next_sync(lab, copy, junk):
    with begun(lab):
        sync(lab, copy)
        copy.store.write(DOC, junk)
        assert copy.load().run("metals/cu/one").status == "pending"
        assert [finding.key for finding in copy.load().fsck().findings] == [DOC]
        assert DOC in copy.load().catalog.unreadable()
        sync(lab, copy)
        assert copy.load().run("metals/cu/one").status == "running"
        check(copy)


def test_a_dry_run_writes_nothing(lab, copy):
    with begun(lab) as ctx:
        sync(lab, copy)
        before = record(copy)
        ctx.log("relax").append("second")
        assert sync(lab, copy, dry_run=True).counts["copied"] >= 1
        assert record(copy) == before


@pytest.mark.parametrize("junk", [None, b"", b"\0" * 9000, b"{", b"[]\n", b'{"schema":1,"type":"claim"}\n'])
def test_events_of_a_copy_that_cannot_be_read_are_named_and_brought_again(lab, copy, junk):
    key = DOC + "l"
    with begun(lab):
        sync(lab, copy)
        copy.store.delete(key) if junk is None else copy.store.write(key, junk)
        assert copy.load().run("metals/cu/one").status == "pending"
        assert [finding.key for finding in copy.load().fsck().findings] == [DOC]
        sync(lab, copy)
        assert copy.load().run("metals/cu/one").results == {"value": 1}
        check(copy)


def test_damage_to_the_events_of_a_copy_does_not_outlast_it(lab, copy):
    with begun(lab) as ctx:
        for number in range(100):  # more than what is compared before a file is gone on with
            ctx.set_result(f"value {number}", number)
        sync(lab, copy)
        data = copy.store.read(DOC + "l")
        copy.store.write(DOC + "l", data.replace(b'"metals"', b'"metalz"', 1))
    assert sync(lab, copy).ok
    assert record(copy) == record(lab)
