"""Bytes that are on record are read, however a file system spells their names, or their loss is an error."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

import pytest

import molexp as me
from molexp.errors import KeyNotFoundError

LOGS = "projects/metals/experiments/cu/runs/one/logs"


@pytest.fixture
def logged(run):
    with run.start() as ctx:
        ctx.log("first").append("one")
        ctx.log("second").append("two")
        ctx.metrics.log(loss=1.0)
        ctx.artifact.save("a.json", {})
    return run


def test_a_log_that_is_gone_is_an_error_and_hides_no_other(place, logged):
    place.store.delete(f"{LOGS}/first.log")

    with pytest.raises(KeyNotFoundError):
        logged.logs["first"].text()
    with pytest.raises(KeyNotFoundError):
        logged.logs["first"].tail()
    assert logged.logs["second"].text() == "two\n"

    read: list[me.LogLine] = []
    with pytest.raises(KeyNotFoundError) as gone:
        read.extend(me.read_logs(logged))
    assert gone.value.key == f"{LOGS}/first.log"
    assert "`molexp fsck`" in str(gone.value)
    assert [line.text for line in read if line.log == "second"] == ["two"]


def test_so_is_what_is_gone_of_anything_else(place, logged):
    for key in (f"{LOGS}/metrics.jsonl", logged.asset("a.json").key):
        place.store.delete(key)
    for name in ("metrics", "a.json"):
        with pytest.raises(KeyNotFoundError):
            logged.asset(name).load()


def test_a_log_in_the_making_has_no_bytes_yet(run):
    with run.start() as ctx:
        log = ctx.log("quiet")
        assert log.text() == ""
        log.append("one")
        ctx.flush()
        assert run.logs["quiet"].text() == "one\n"


def test_a_sync_tells_of_bytes_that_are_gone(lab, lab_run, copy):
    with lab_run.start() as ctx:
        asset = ctx.artifact.save("a.json", {})
    lab.store.delete(asset.key)

    (told,) = me.sync_workspace(lab.url, copy.url).unreadable
    assert told.key == asset.key
    assert "gone" in told.what


# ------------------------------------------------------------------------------------------------ how names are spelled


def decompose(folder: Path) -> int:
    """Rename what is below `folder` as HFS+ would, and archives that were packed there do."""
    renamed = 0
    for path in sorted(folder.rglob("*"), reverse=True):
        if (name := unicodedata.normalize("NFD", path.name)) != path.name:
            path.rename(path.with_name(name))
            renamed += 1
    return renamed


@pytest.fixture
def decomposed(tmp_path):
    """A workspace on files, all of whose names are spelled in the other way."""
    (tmp_path / "lab").mkdir()
    (tmp_path / "é").touch()
    if (tmp_path / unicodedata.normalize("NFD", "é")).exists():
        pytest.skip("this file system takes both spellings for one name")
    ws = me.Workspace(tmp_path / "lab")
    with ws.Project("p").Experiment("e").Run(id="r").start() as ctx:
        ctx.artifact.save("é/ü.json", {"a": 1})
        ctx.log("Lä").append("x")
    assert decompose(tmp_path / "lab") == 3
    return me.Workspace(tmp_path / "lab")


def test_names_are_found_in_another_spelling(decomposed, tmp_path):
    run = decomposed.run("p/e/r")
    asset = run.asset("é/ü.json")

    assert asset.load() == {"a": 1}
    assert asset.local().read_bytes() == asset.read_bytes()
    assert asset.path.exists()
    assert asset.download(tmp_path / "copy.json").read_bytes() == asset.read_bytes()
    assert run.logs["Lä"].text() == "x\n"
    assert [line.text for line in me.read_logs(run)] == ["x"]
    assert decomposed.fsck(read_data=True).findings == ()


def test_a_copy_has_the_names_on_record(decomposed, tmp_path):
    me.sync_workspace(decomposed.url, tmp_path / "copy")
    copy = me.Workspace(tmp_path / "copy")

    assert copy.run("p/e/r").asset("é/ü.json").load() == {"a": 1}
    assert copy.run("p/e/r").logs["Lä"].text() == "x\n"
    names = {path.name for path in (tmp_path / "copy" / "projects").rglob("*")}
    assert names == {unicodedata.normalize("NFC", name) for name in names}
    assert copy.fsck(read_data=True).findings == ()
    again = me.sync_workspace(decomposed.url, tmp_path / "copy", check=True)
    assert (again.mismatches, again.unreadable, again.conflicts, again.counts["copied"]) == ((), (), (), 0)


@pytest.mark.skipif(not hasattr(os, "symlink"), reason="it makes a link")
def test_no_link_is_followed_for_a_spelling(decomposed, tmp_path):
    asset = decomposed.run("p/e/r").asset("é/ü.json")
    folder = asset.path.parent
    folder.rename(tmp_path / "elsewhere")
    folder.symlink_to(tmp_path / "elsewhere")

    with pytest.raises(KeyNotFoundError):
        me.Workspace(decomposed.url).run("p/e/r").asset("é/ü.json").load()
