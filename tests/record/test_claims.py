"""Names on a file system without links: claimed, filled a moment later, and taken over from whoever died in between."""

from __future__ import annotations

import os
import time

import pytest

import molexp as me

WITHOUT_LINKS = """
import errno, os, time
if hasattr(os, "O_TMPFILE"):
    del os.O_TMPFILE  # before the store asks for it

def link(*args, **kwargs):
    raise OSError(errno.EOPNOTSUPP, "no links here")

def replace(path, new, replace=os.replace):
    on_the_way(os.fspath(new))
    replace(path, new)

os.link, os.replace = link, replace
import molexp as me

def on_the_way(new):
    pass

def make():
    ws = me.Workspace(os.environ["LAB"])
    exp = ws.Project("metals").Experiment("cu", params={"a": 1})
    run = exp.Run({"b": 2}, id="one")
    return ws.id, ws.project("metals")._definition["token"], exp.definition["token"], run._defined()["token"]
"""

KEYS = (
    "workspace.json",
    "projects/metals/project.json",
    "projects/metals/experiments/cu/experiment.json",
    "projects/metals/experiments/cu/runs/one/run.json",
    "settings/1.json",
    "projects/metals/experiments/cu/experiment.2.json",
)


def long_ago(path):
    """As if whoever left it had died long ago: nobody is waited for then."""
    os.utime(path, (then := time.time() - 3600, then))


def test_several_processes_make_the_same_things_at_once(lab, script):
    slowly = WITHOUT_LINKS + "def on_the_way(new):\n    time.sleep(0.02)\n\nprint(*make())\n"
    done = script(
        f"""
        import subprocess, sys
        args = [sys.executable, "-c", {slowly!r}]
        several = [subprocess.Popen(args, stdout=subprocess.PIPE, text=True) for _ in range(4)]
        print("".join(one.communicate()[0] for one in several), end="")
        """
    )

    assert done.code == 0, done.err
    told = done.out.splitlines()
    assert len(told) == 4, done.err
    assert len(set(told)) == 1, "all of them have the same"
    assert lab.load().fsck().ok


@pytest.mark.parametrize("key", KEYS)
def test_what_a_killed_process_had_only_claimed_is_taken_over(lab, script, key):
    killed = script(
        f"""
        import signal
        exec({WITHOUT_LINKS!r})

        def on_the_way(new):
            if new.endswith({key!r}):
                os.kill(os.getpid(), signal.SIGKILL)

        make()
        ws = me.Workspace(os.environ["LAB"])
        ws.configure(durability="never")
        ws.Project("metals").Experiment("cu", params={{"a": 3}}, update=True)
        """
    )
    path = lab.folder / key
    assert killed.code < 0
    assert path.read_bytes() == b""
    long_ago(path)

    params = {"a": 3} if key.endswith(".2.json") else {"a": 1}
    ws = lab.workspace()
    exp = ws.Project("metals").Experiment("cu", params=params, update=True)
    ws.configure(durability="never")
    with exp.Run({"b": 2}, id="two").start() as ctx:
        ctx.set_result("x", 1)
    exp.Run(id="one")

    assert ws.run("metals/cu/two").results == {"x": 1}
    assert ws.run("metals/cu/two").parameters == {**params, "b": 2}
    assert ws.settings == {"durability": "never"}
    lab.load().fsck(repair=True)
    assert lab.load().fsck().ok


def test_a_claim_is_waited_for(lab, lab_exp, monkeypatch):
    """Whoever meets a claim has what its owner fills it with."""
    good = lab.store.read("projects/metals/project.json")
    lab.store.write("projects/metals/project.json", b"")
    stat = type(lab_exp._session.store).stat

    def fill(self, key):
        if key == "projects/metals/project.json":
            monkeypatch.undo()
            lab.store.write(key, good)
        return stat(self, key)

    monkeypatch.setattr(type(lab_exp._session.store), "stat", fill)

    assert lab.workspace().Project("metals")._definition == lab_exp.project._definition


def test_a_run_that_is_filled_right_after_it_was_read_is_the_one_that_is_there(lab, lab_run, monkeypatch):
    store, key = type(lab_run._session.store), "projects/metals/experiments/cu/runs/one/run.json"
    good, read = lab.store.read(key), store.read
    lab.store.write(key, b"")

    def read_then_fill(self, asked, *where):
        found = read(self, asked, *where)
        if asked == key:
            monkeypatch.undo()
            lab.store.write(key, good)
        return found

    monkeypatch.setattr(store, "read", read_then_fill)

    assert lab.workspace().project("metals").experiment("cu").Run({"b": 1}, id="one") == lab_run


def test_who_was_taken_for_dead_finds_his_name_taken(lab, script):
    """It was stopped between its claim and the content, for longer than anybody waits."""
    done = script(
        f"""
        exec({WITHOUT_LINKS!r})
        from molexp_fs import _files

        other = me.Workspace(os.environ["LAB"]).materialize()
        claimed = _files._is_at

        def stopped(fd, path):
            if path.endswith("project.json") and os.path.getsize(path) == 0:
                os.utime(path, (1, 1))
                _files._is_at = claimed
                other.Project("metals", id="metals")
            return claimed(fd, path)

        _files._is_at = stopped
        mine = me.Workspace(os.environ["LAB"]).Project("metals", id="metals")
        print(mine._definition == other.project("metals")._definition)
        """
    )

    assert (done.code, done.out) == (0, "True\n"), done.err


def test_an_attempt_that_was_only_claimed_is_over_after_a_moment(lab, lab_exp, monkeypatch):
    run = lab_exp.Run(id="one")
    lab.store.write("projects/metals/experiments/cu/runs/one/executions/1.jsonl", b"")
    with pytest.raises(me.RunBusyError, match="unknown owner"):
        run.start()

    clock = time.clock_gettime
    monkeypatch.setattr(time, "clock_gettime", lambda which: clock(which) + 10)

    with run.start() as ctx:
        assert ctx.attempt == 2
    assert [one["status"] for one in run.execution_history] == ["interrupted", "succeeded"]
    assert [bool(one.done) for one in lab.load().fsck(repair=True).findings] == [True]
    assert lab.load().fsck().ok
    assert "late" not in run.execution_history[0]


def killed_as_it_names(script, what, doing):
    """Let a process be killed where it has claimed a name that has this in it, and has not filled it."""
    killed = script(
        f"""
        import signal
        exec({WITHOUT_LINKS!r})

        def on_the_way(new):
            if {what!r} in new:
                os.kill(os.getpid(), signal.SIGKILL)

        ws = me.Workspace(os.environ["LAB"])
        {doing}
        """
    )
    assert killed.code < 0, killed.err


def test_a_journal_whose_writer_was_killed_as_it_sealed_it_is_read_and_compacted(lab, lab_exp, script):
    with lab_exp.Run(id="one").start():
        pass
    reader = lab.load()
    assert [row.tags for row in reader.catalog.runs()] == [()]
    killed_as_it_names(script, "/sealed/", "ws.run('metals/cu/one').annotate(tags=['checked'])")
    assert [path.stat().st_size for path in lab.folder.glob(".molexp/sealed/*")] == [0]

    assert [row.tags for row in reader.catalog.runs()] == [("checked",)]
    reader.catalog.compact()
    assert not [*lab.folder.glob(".molexp/sealed/*")]
    assert [row.tags for row in lab.load().catalog.runs()] == [("checked",)]
    assert lab.load().fsck().ok


def test_a_journal_is_not_lost_whose_writer_goes_on_as_its_new_name_is_taken_for_nobodys(
    lab, lab_exp, script, monkeypatch
):
    lab_exp.Run(id="one")
    killed_as_it_names(script, "/sealed/", "ws.run('metals/cu/one').annotate(tags=['checked'])")
    (sealed,) = lab.folder.glob(".molexp/sealed/*")
    store = type(lab_exp._session.store)
    rename = store.rename

    def meanwhile(self, key, new):
        if new.startswith(".molexp/mended/"):
            (lab.folder / ".molexp/journals" / sealed.name).replace(sealed)
        rename(self, key, new)

    monkeypatch.setattr(store, "rename", meanwhile)
    lab.load().catalog.compact()

    assert not sealed.exists()
    assert [row.tags for row in lab.load().catalog.runs()] == [("checked",)]


def test_provenance_that_a_killed_process_had_only_claimed_is_written_by_the_next(lab, script):
    doing = "with ws.Project('metals').Experiment('cu').Run(id='one').start(): pass"
    killed_as_it_names(script, "/provenance/", doing)
    (path,) = lab.folder.glob("provenance/[0-9a-f]*")
    assert path.read_bytes() == b""
    killed_as_it_names(script, "no name", f"{doing}\n        os.kill(os.getpid(), signal.SIGKILL)")

    assert lab.load().run("metals/cu/one").provenance["python"]
    assert lab.load().fsck().ok


@pytest.mark.parametrize("name", ["journals/0123456789abcdef.jsonl", "snapshots/1-0123456789abcdef.sqlite3.gz"])
def test_names_of_derived_files_that_were_never_filled_are_freed_after_a_day(lab, lab_exp, monkeypatch, name):
    path = lab.folder / ".molexp" / name
    path.parent.mkdir(exist_ok=True)
    path.touch()
    assert [one.what.partition(":")[0] for one in lab.load().fsck().findings] == ["it has no content"]
    assert lab.load().gc(dry_run=False).findings == ()

    clock = time.time
    monkeypatch.setattr(time, "time", lambda: clock() + 25 * 3600)
    assert [one.what for one in lab.load().gc(dry_run=False).findings] == ["a name without content"]
    assert not path.exists()
    assert lab.load().fsck().ok


def test_what_is_said_by_who_fills_a_name_is_freed_after_a_day(lab, monkeypatch):
    lab.workspace().materialize()
    lab.store.write("projects/metals/project.json", b"")
    long_ago(lab.folder / "projects/metals/project.json")
    lab.workspace().Project("metals")
    (said,) = lab.folder.glob(".molexp/mended/*")
    assert lab.load().gc(dry_run=False).findings == ()

    clock, size = time.time, said.stat().st_size
    monkeypatch.setattr(time, "time", lambda: clock() + 25 * 3600)
    assert lab.load().gc().counts == {"found": 1, "bytes": size, "unreadable": 0}
    assert [one.done for one in lab.load().gc(dry_run=False).findings] == ["freed"]
    assert not said.exists()
    assert lab.load().project("metals").id == "metals"
