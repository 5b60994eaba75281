"""Compaction in passing: when a question begins it, in a process of its own, and when not."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

import molexp as me
from tests.cli.helpers import eventually
from tests.internals import compactions_begun, tune
from tests.record.compacting import compact, done, write


def test_nobody_compacts_where_he_may_not_write(lab, script):
    for number in range(20):
        done(write(lab, f"r{number}"))
    before = sorted(path.name for path in lab.folder.rglob("*"))
    reader = lab.load(read_only=True)

    assert len(reader.catalog.runs()) == 20
    reader._session.gather()
    assert sorted(path.name for path in lab.folder.rglob("*")) == before
    with pytest.raises(me.ReadOnlyError):
        reader.catalog.compact()


def test_it_happens_in_passing(lab):
    for number in range(20):
        done(write(lab, f"r{number}"))
    assert len(list((lab.folder / ".molexp/sealed").iterdir())) == 20
    reader = lab.load()

    assert len(reader.catalog.runs()) == 20
    eventually(lambda: list((lab.folder / ".molexp/sealed").iterdir()) == [])
    assert (lab.folder / ".molexp/snapshots/1.json").exists()
    assert len(reader.catalog.runs()) == 20


def test_who_asks_has_no_child_by_it_and_may_name_folders_from_where_he_is(lab, script):
    for number in range(20):
        done(write(lab, f"r{number}"))
    found = script(
        """
        import os
        import molexp as me

        os.chdir(os.path.dirname(os.environ["LAB"]))
        os.environ["MOLEXP_CACHE_DIR"] = "cache-of-mine"
        assert len(me.Workspace.load(os.environ["LAB"]).catalog.runs()) == 20
        try:
            os.wait()
        except ChildProcessError:
            print("no child")
        """
    )
    assert found.out == "no child\n"
    eventually((lab.folder / ".molexp/snapshots/1.json").exists)
    assert (lab.folder.parent / "cache-of-mine").is_dir()
    assert not Path("/cache-of-mine").exists()


def test_it_happens_in_another_process_and_only_once_at_a_time(lab, monkeypatch):
    for number in range(20):
        done(write(lab, f"r{number}"))
    started = compactions_begun(monkeypatch)

    for _ in range(3):
        assert len(lab.load().catalog.runs()) == 20

    (session,) = started
    assert len(list((lab.folder / ".molexp/sealed").iterdir())) == 20, "nobody compacts here"
    assert pickle.loads(session).store.url == lab.load().url


def test_it_is_not_begun_where_little_has_changed(lab, monkeypatch):
    done(write(lab, *(f"r{number}" for number in range(20))))
    started = compactions_begun(monkeypatch)
    assert len(lab.load().catalog.runs()) == 20
    assert not started


def test_it_begins_when_many_rows_are_in_no_snapshot(lab, monkeypatch):
    started = compactions_begun(monkeypatch)
    tune(monkeypatch, "rows that are worth a compaction", 5)
    done(write(lab, *(f"r{number}" for number in range(20))))
    reader = lab.load()
    assert len(reader.catalog.runs()) == 20
    assert len(started) == 1
    compact(reader)

    done(write(lab, "r20"))
    assert len(lab.load().catalog.runs()) == 21
    assert len(started) == 1
    done(write(lab, *(f"later-{number}" for number in range(9))))
    assert len(lab.load().catalog.runs()) == 30
    assert len(started) == 2


def test_a_command_that_ends_at_once_leaves_it_to_another_process(lab, script):
    for number in range(20):
        done(write(lab, f"r{number}"))

    assert script("import os, molexp as me; print(len(me.Workspace(os.environ['LAB']).catalog.runs()))").out == "20\n"
    eventually(lambda: list((lab.folder / ".molexp/sealed").iterdir()) == [])
