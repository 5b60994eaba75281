"""People use cp, mv, rm and rsync on a workspace, and every answer comes from one state of the index."""

from __future__ import annotations

import shutil
import signal
import sqlite3
import sys
import threading

import pytest

import molexp as me
from tests.internals import at, tune
from tests.record.compacting import RUN, compact, done, write
from tests.record.helpers import bound_by_modes


def values(ws):
    return {row.path: row.results["x"] for row in ws.catalog.runs()}


def again(ws, name, value):
    with ws.run(f"metals/cu/{name}").start() as ctx:
        ctx.set_result("x", value)


def test_an_experiment_that_was_put_back_as_it_was_is_read_again(lab, tmp_path):
    ws = write(lab, "one", "two")
    reader = lab.load()
    experiment = lab.folder / "projects/metals/experiments/cu"
    shutil.copytree(experiment, tmp_path / "backup")
    again(ws, "one", 99)
    write(lab, "three")
    assert values(reader) == {"metals/cu/one": 99, "metals/cu/two": 1, "metals/cu/three": 1}
    shutil.rmtree(experiment)
    shutil.move(tmp_path / "backup", experiment)  # everything in it is older than what the reader has seen

    for ws in (reader, lab.load()):
        assert values(ws) == {"metals/cu/one": 1, "metals/cu/two": 1}
    assert reader.catalog.verify().findings == ()


def test_two_experiments_that_were_swapped_are_read_again(lab):
    for experiment, value in (("cu", 1), ("ag", 2)):
        with lab.workspace().Project("metals").Experiment(experiment).Run(id="one").start() as ctx:
            ctx.set_result("x", value)
    reader = lab.load()
    assert values(reader) == {"metals/cu/one": 1, "metals/ag/one": 2}
    base = lab.folder / "projects/metals/experiments"
    for old, new in (("cu", "aside"), ("ag", "cu"), ("aside", "ag")):
        (base / old).rename(base / new)

    assert values(reader) == {"metals/cu/one": 2, "metals/ag/one": 1}
    assert {(row.experiment, row.document["experiment"]) for row in reader.catalog.runs()} == {
        ("ag", "ag"),
        ("cu", "cu"),
    }


def test_a_run_into_which_files_were_copied_is_read_again(lab, tmp_path):
    """As rsync does, without a change of the folder that holds the runs."""
    ws = write(lab, "one", "two")
    reader = lab.load()
    copy = tmp_path / "elsewhere"
    shutil.copytree(lab.folder, copy)
    again(me.Workspace(copy), "one", 99)
    assert values(reader) == {"metals/cu/one": 1, "metals/cu/two": 1}
    shutil.copytree(copy / "projects", lab.folder / "projects", dirs_exist_ok=True)

    assert values(reader) == {"metals/cu/one": 99, "metals/cu/two": 1}
    assert len(ws.run("metals/cu/one").execution_history) == 2
    assert [row.id for row in reader.catalog.runs("attempts == 2")] == ["one"]


def test_a_run_that_was_renamed_has_its_own_files(lab):
    ws = write(lab, "one")
    (lab.folder / RUN / "one").rename(lab.folder / RUN / "old")
    with ws.project("metals").experiment("cu").Run({"n": 2}, id="one").start() as ctx:
        ctx.artifact.save("a.json", ["new"])

    assert ws.run("metals/cu/old").asset("a.json").load() == [1]
    assert ws.run("metals/cu/one").asset("a.json").load() == ["new"]
    found = {asset.key.split("/")[5]: asset.load() for asset in lab.load().catalog.assets(kind="artifact")}
    assert found == {"old": [1], "one": ["new"]}


# ------------------------------------------------------------------------------------------------------------- one state


def test_an_answer_is_of_one_state_of_the_index(lab, monkeypatch):
    """Another process begins the index anew between two looks at it: no row gets another one's document."""
    tune(monkeypatch, "rows that make a full segment", 3)
    done(write(lab, *(f"r{n}" for n in range(8))))
    reader, other = lab.load(), lab.load()
    compact(lab.load())
    values(reader)
    meddled: list[int] = []

    def meddle(*_):
        meddled.append(1)
        foreign = sqlite3.connect(other._session.index.location, timeout=0.1)
        with pytest.raises(sqlite3.OperationalError):
            foreign.execute("DELETE FROM documents")
            foreign.commit()
        foreign.close()

    at(monkeypatch, "the documents of an answer are read", meddle)

    assert {row.id: row.document["id"] for row in reader.catalog.runs()} == {f"r{n}": f"r{n}" for n in range(8)}
    assert meddled


# ------------------------------------------------------------------------------------------------------- limits and names


@pytest.mark.parametrize(("limit", "error"), [(1.5, TypeError), ("3", TypeError), (True, TypeError), (-1, ValueError)])
def test_a_limit_is_a_whole_number(lab, limit, error):
    ws = write(lab, "one")
    values(ws)
    with pytest.raises(error):
        ws.catalog.runs(limit=limit)
    assert [row.id for row in ws.catalog.runs(limit=2**70)] == ["one"]
    assert ws._session.index.location


def test_a_query_is_text(lab):
    with pytest.raises(TypeError, match="A query is text, not int"):
        write(lab, "one").catalog.runs(5)


def test_a_column_may_be_quoted_as_in_a_query(lab):
    exp = lab.workspace().Project("metals").Experiment("cu")
    for number in (1, 3, 2):
        exp.Run({"learning rate": number}, id=f"r{number}")
    found = lab.load().catalog.runs(sort='-params."learning rate"')

    assert [row.id for row in found] == ["r3", "r2", "r1"]


def test_an_index_that_somebody_keeps_locked_is_an_error_that_says_so(lab, monkeypatch):
    ws = write(lab, "one")
    tune(monkeypatch, "seconds that a locked index is waited for", 0.05)
    values(ws)
    keeper = sqlite3.connect(ws._session.index.location, isolation_level=None)
    keeper.execute("BEGIN EXCLUSIVE")
    again(lab.workspace(), "one", 2)

    with pytest.raises(me.MolexpError, match="kept locked by another process"):
        values(ws)
    keeper.execute("ROLLBACK")
    keeper.close()
    assert values(ws) == {"metals/cu/one": 2}


def test_signals_are_heard_while_an_index_is_waited_for_that_somebody_keeps_locked(lab):
    ws = write(lab, "one")
    values(ws)
    keeper = sqlite3.connect(ws._session.index.location, isolation_level=None)
    keeper.execute("BEGIN IMMEDIATE")
    again(lab.workspace(), "one", 2)

    before = signal.signal(signal.SIGUSR1, lambda *_: keeper.execute("ROLLBACK"))
    heard = threading.Timer(0.05, signal.raise_signal, [signal.SIGUSR1])
    heard.start()
    try:
        assert values(ws) == {"metals/cu/one": 2}
    finally:
        heard.join()
        signal.signal(signal.SIGUSR1, before)
        keeper.close()


# --------------------------------------------------------------------------------------------------------------- run.json


def test_what_a_person_adds_to_run_json_while_a_program_holds_the_run_is_kept(lab):
    run = lab.workspace().Project("metals").Experiment("cu").Run({"a": 1}, id="one")
    lab.change(f"{RUN}/one/run.json", before="kept")
    with run.start():
        lab.change(f"{RUN}/one/run.json", meanwhile="kept")
    lab.change(f"{RUN}/one/run.json", afterwards="kept")
    with run.start() as ctx:
        ctx.set_result("x", 1)

    shown = lab.document(f"{RUN}/one/run.json")
    assert [shown.get(name) for name in ("before", "meanwhile", "afterwards")] == ["kept"] * 3
    assert (shown["status"], shown["results"], len(shown["execution_history"])) == ("succeeded", {"x": 1}, 2)


@pytest.mark.parametrize("content", ["", '{"schema": 1, "type": "ru', "[]"])
def test_a_torn_run_json_is_written_again_from_what_the_program_knows(lab, content):
    run = lab.workspace().Project("metals").Experiment("cu").Run({"a": 1}, id="one")
    with run.start():
        (lab.folder / RUN / "one/run.json").write_text(content, "utf-8")

    assert lab.document(f"{RUN}/one/run.json")["parameters"] == {"a": 1}
    assert lab.load().fsck().ok


# ------------------------------------------------------------------------------------------------------------ permissions


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs modes that bind")
@pytest.mark.parametrize("what", ["journal", "sealed", "snapshot", "run"])
def test_what_a_colleague_keeps_for_himself_blocks_nobody(lab, tmp_path, what):
    import subprocess

    alive = write(lab, "one")
    if what != "journal":
        done(alive)
    if what in ("snapshot", "run"):
        compact(lab.load())
    locked = {
        "journal": ".molexp/journals/*.jsonl",
        "sealed": ".molexp/sealed/*.jsonl",
        "snapshot": ".molexp/snapshots/1.json",
        "run": f"{RUN}/one",
    }[what]
    for path in lab.folder.glob(locked):
        path.chmod(0)
    code = (
        "import sys, molexp as me; ws = me.Workspace.load(sys.argv[1], read_only=True);"
        "print([row.id for row in ws.catalog.runs()], len(ws.catalog.unreadable()))"
    )
    command = [sys.executable, "-c", bound_by_modes(code), lab.url]
    done_ = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        env={"MOLEXP_CACHE_DIR": str(tmp_path / "cache")},
        timeout=300,
    )
    for path in lab.folder.glob(locked):
        path.chmod(0o755)

    assert done_.stderr == ""
    assert "['one']" in done_.stdout
