"""A copy is kept up to date: passes over what changed alone, whatever the source and the copy lie on."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections import Counter

import pytest

import molexp as me
from molexp.errors import StoreError
from molexp_fs import LocalStore
from tests.internals import at, time_of_followers, tune
from tests.internals import follower as following
from tests.record.helpers import DEADLINE
from tests.record.syncing import RUNS, check, record, sync, track
from tests.record.test_sync_live import FOUR, begun

QUIET = 5  # requests: the workspace is there; journals, sealed ones, snapshots, leases


@pytest.fixture
def follower(source, target):
    """Keeps `target` up to date with `source`, a pass at a time."""
    source.workspace().Project("metals").Experiment("cu")
    with following(source.load(), target.workspace()) as follower:
        yield follower


@pytest.fixture
def local(lab, lab_exp, copy):
    """The same of files."""
    with following(lab.load(), copy.url) as follower:
        yield follower


@pytest.fixture
def asked(lab, monkeypatch):
    """Return what the source is asked for."""
    calls: Counter[str] = Counter()
    for name in ("read", "open_read", "stat", "exists", "list", "children"):
        original = getattr(LocalStore, name)

        def asking(self, *args, _name=name, _original=original, **kwargs):
            if self.url == lab.store.url:
                calls[_name] += 1
            return _original(self, *args, **kwargs)

        monkeypatch.setattr(LocalStore, name, asking)
    return calls


@FOUR
def test_everything_that_is_announced_comes_with_the_next_pass(source, target, follower):
    exp = source.load().project("metals").experiment("cu")
    track(exp.Run(id="old"), 1)
    follower.step(None)
    assert record(target) == record(source)

    exp.Run(id="new")
    exp.run("old").annotate(tags=["good"])
    source.load().Project("gold").Experiment("au").Run(id="first")
    with begun(source) as ctx:
        follower.step(None)
        copy = target.load()
        assert copy.run("metals/cu/old").tags == {"good"}
        assert {run.path for run in copy.catalog.runs()} == {f"metals/cu/{n}" for n in ("new", "old", "one")} | {
            "gold/au/first"
        }
        run = copy.run("metals/cu/one")
        assert (run.status, run.logs["relax"].text()) == ("running", "first\n")
        before = run.as_of
        ctx.log("relax").append("second")
        ctx.flush()
        follower.step(None)
        assert run.logs["relax"].text() == "first\nsecond\n"
        assert run.as_of > before
        before = run.as_of
        ctx._attempt.beat()
        follower.step(None)
        assert run.as_of > before, "a sign of life is one, though no file has changed"
    exp.run("new").delete()
    follower.step(None)
    assert run.status == "succeeded"
    assert record(target) == record(source)
    check(target)
    assert sync(source, target).counts["copied"] == 0


def test_a_pass_costs_what_changed_however_many_runs_there_are(lab, lab_exp, local, asked):
    costs = []
    for more in (5, 50):
        for _ in range(more):
            track(lab_exp.Run(), 1)
        local.step(None)
        local.step(None)
        asked.clear()
        assert local.step(None).counts.get("copied", 0) == 0
        assert asked.total() == QUIET
        track(lab_exp.Run(), 2)
        asked.clear()
        assert local.step(None).counts["copied"] > 3
        costs.append(asked.total())
    assert costs[1] <= costs[0] + 2, costs
    with begun(lab):
        local.step(None)
        asked.clear()
        local.step(None)
        assert asked.total() == QUIET + 1, "a look at what goes on"


def test_an_owner_that_dies_without_a_word_is_noticed(lab, copy, local, script):
    local.step(None)
    assert (
        script(
            """
            import os, signal, molexp as me
            run = me.Workspace(os.environ["LAB"]).Project("metals").Experiment("cu").Run(id="one")
            ctx = run.start()
            ctx.set_result("value", 1)
            os.kill(os.getpid(), signal.SIGKILL)
            """
        ).code
        < 0
    )
    local.step(None)
    assert copy.load().run("metals/cu/one").status == "interrupted"
    assert record(copy) == record(lab)


def test_what_was_folded_before_it_was_read_is_found_by_a_look_at_everything(lab, lab_exp, copy, local, script):
    local.step(None)
    done = script(
        """
        import os, molexp as me
        exp = me.Workspace(os.environ["LAB"]).Project("metals").Experiment("cu")
        for n in range(3):
            with exp.Run(id=f"r{n}").start():
                pass
        """
    )
    assert done.code == 0, done.err
    assert lab.load().catalog.compact().counts["folded"] >= 1
    local.step(None)
    assert record(copy) == record(lab)


def test_what_nobody_announces_comes_in_a_while(lab, copy, local, monkeypatch):
    local.step(None)
    lab.store.create("README", b"by hand")
    local.step(None)
    assert not copy.store.exists("README")
    tune(monkeypatch, "seconds between looks at everything", 0.0)
    local.step(None)
    assert copy.store.read("README") == b"by hand"


def test_a_source_that_is_away_is_told_once_and_the_passes_go_on(lab, lab_exp, copy):
    passes = me.follow_workspace(lab.url, copy.url, every=0.001)
    assert next(passes).ok
    away = lab.folder.with_name("away")
    lab.folder.rename(away)
    outage = next(passes)
    assert "workspace.json" in outage.outage
    assert not outage.ok
    assert "not possible now" in str(outage)
    with me.Workspace(away).project("metals").experiment("cu").Run(id="one").start():
        pass
    away.rename(lab.folder)
    back = next(passes)
    while not back.counts.get("copied"):
        back = next(passes)
    assert copy.load().run("metals/cu/one").status == "succeeded"
    passes.close()
    assert record(copy) == record(lab)


@FOUR
def test_a_run_that_is_deleted_and_freed_between_two_passes_is_hidden_by_the_next(source, target, follower):
    exp = source.load().project("metals").experiment("cu")
    for name in ("gone", "again", "stays"):
        track(exp.Run(id=name), 1)
    follower.step(None)
    for name in ("gone", "again"):
        exp.run(name).delete()
    source.load().gc(dry_run=False)
    track(exp.Run(id="again"), 2)

    report = follower.step(None)

    assert (report.counts["deleted"], report.conflicts) == (2, ()), report
    assert [run.id for run in target.load().catalog.runs()] == ["stays"]
    assert not follower.step(None).counts.get("copied")
    target.load().gc(dry_run=False)
    follower.step(None)
    assert target.load().run("metals/cu/again").results == {"value": 2}
    assert follower.step(None).counts == {}, "there is nothing to do"


class Clock:
    """The follower's time: it stands still but in a pass, which takes as long as it is told, and where the follower waits."""

    def __init__(self, monkeypatch, takes):
        self.now = 0.0
        self.begun: list[float] = []
        self.takes = takes
        at(monkeypatch, "a follower makes a pass", lambda *_: self.begun.append(self.now), every=True)
        at(monkeypatch, "a follower makes a pass", lambda *_: self.wait(self.takes), after=True, every=True)
        time_of_followers(monkeypatch, self)

    def monotonic(self):
        return self.now

    def Event(self):
        return self

    def wait(self, seconds):
        self.now += seconds


@pytest.mark.parametrize("takes", [0.0, 3.0, 5.0])
def test_what_is_on_record_is_at_the_copy_ten_seconds_later_at_most(lab, lab_exp, copy, monkeypatch, takes):
    clock = Clock(monkeypatch, takes)
    passes = me.follow_workspace(lab.url, copy.url)
    next(passes)
    context = begun(lab)

    def more():
        context.log("relax").append(f"at {clock.now}")
        context.metrics.log(loss=clock.now)
        context.set_result("value", clock.now)
        context.flush()
        with lab_exp.Run(id=f"at-{clock.now}").start() as other:
            other.set_result("value", clock.now)
        other.run.annotate(tags=["good"])

    for _ in range(4):
        clock.now = clock.begun[-1]  # right after the pass has looked
        recorded = clock.now
        more()
        clock.now += takes
        assert next(passes).counts["copied"]
        assert clock.now - recorded <= 10
        run = copy.load().run("metals/cu/one")
        assert run.logs["relax"].text().endswith(f"at {recorded}\n")
        assert (run.metrics["loss"]["last"], run.results["value"]) == (recorded, recorded)
        other = copy.load().run(f"metals/cu/at-{recorded}")
        assert (other.results, other.tags) == ({"value": recorded}, {"good"})
    context.finish()
    recorded = clock.now
    next(passes)
    assert clock.now - recorded <= 10
    assert record(copy) == record(lab)
    passes.close()


def everything_goes(place):
    for key in place.everything():
        place.store.delete(key)


@FOUR
def test_what_is_removed_under_a_follower_is_not_made_anew_and_comes_whole_when_it_is_back(source, target, follower):
    exp = source.load().project("metals").experiment("cu")
    track(exp.Run(id="one"), 1)
    follower.step(None)
    everything_goes(target)
    track(exp.Run(id="two"), 2)
    with pytest.raises(StoreError, match="removed"):
        follower.step(None)
    assert not [*target.store.list()]
    sync(source, target)
    target.store.delete(f"{RUNS}/one/run.json")  # as of a backup that is older

    follower.step(None)

    assert record(target) == record(source)


@FOUR
def test_another_workspace_in_the_place_of_the_source_is_not_mixed_with_the_copy(source, target, follower):
    track(source.load().project("metals").experiment("cu").Run(id="one"), 1)
    follower.step(None)
    before = record(target)
    everything_goes(source)
    track(source.workspace(name="other").Project("metals").Experiment("cu").Run(id="two"), 2)

    with pytest.raises(me.ConflictError, match="Begin again"):
        follower.step(None)

    assert record(target) == before


@FOUR
def test_another_workspace_in_the_place_of_the_copy_is_left_as_it_is(source, target, follower):
    exp = source.load().project("metals").experiment("cu")
    follower.step(None)
    everything_goes(target)
    track(target.workspace(name="other").Project("metals").Experiment("cu").Run(id="two"), 2)
    before = record(target)
    track(exp.Run(id="one"), 1)

    with pytest.raises(me.ConflictError, match="Begin again"):
        follower.step(None)

    assert record(target) == before


def test_a_conflict_is_told_once(lab, lab_exp, copy):
    track(lab_exp.Run(id="one"), 1)
    sync(lab, copy)
    for place in (lab, copy):
        track(place.load().run("metals/cu/one"), place.url)
    passes = me.follow_workspace(lab.url, copy.url, every=0.001)
    assert len(next(passes).conflicts) == 1
    lab_exp.run("one").annotate(tags=["x"])
    news = next(passes)
    assert news.counts["copied"] >= 1
    passes.close()


@pytest.mark.parametrize("every", [0, -1, float("nan")])
def test_a_time_that_makes_no_sense_is_refused(lab, lab_exp, copy, every):
    with pytest.raises(ValueError, match="positive"):
        next(me.follow_workspace(lab.url, copy.url, every=every))
    assert not copy.folder.exists()


@pytest.mark.skipif(sys.platform == "win32", reason="a console is needed to send Ctrl-C there")
def test_ctrl_c_ends_the_command(lab, lab_exp, copy):
    track(lab_exp.Run(id="one"), 1)
    command = [sys.executable, "-m", "molexp_cli", "sync", lab.url, copy.url, "--follow", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert '"copied":' in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        try:
            _, err = process.communicate(timeout=DEADLINE)
        finally:
            process.kill()
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert record(copy) == record(lab)
