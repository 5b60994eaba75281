"""Files are removed, broken, mended, locked and replaced while they are indexed; processes fork in between."""

from __future__ import annotations

import gc
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import weakref
from textwrap import dedent

import pytest

import molexp as me
from tests import warm
from tests.internals import at, forget_folders, report_late, report_missing, tune
from tests.record.helpers import READING, amid, bound_by_modes

RUN = "projects/metals/experiments/cu/runs/one"


@pytest.fixture
def data(lab_exp, tmp_path):
    """Two versions of data of an experiment, and one of its project."""
    for version in (1, 2):
        (tmp_path / "x").write_text(str(version))
        lab_exp.data_assets.import_asset("d", tmp_path / "x")
    lab_exp.project.data_assets.import_asset("d", tmp_path / "x")
    return lab_exp


def assets(ws):
    return [(asset.scope, asset.version) for asset in ws.catalog.assets(kind="data")]


# --------------------------------------------------------------------------------------------------------- removed by hand


@pytest.mark.parametrize(
    ("removed", "left"),
    [
        ("projects/metals/experiments/cu/data/d/1.json", [("metals/cu", 2), ("metals", 1)]),
        ("projects/metals/experiments/cu/data/d", [("metals", 1)]),
        ("projects/metals/experiments/cu/data", [("metals", 1)]),
        ("projects/metals/experiments/cu", [("metals", 1)]),
        ("projects/metals/experiments", [("metals", 1)]),
        ("projects/metals/data", [("metals/cu", 1), ("metals/cu", 2)]),
        ("projects/metals", []),
        ("projects", []),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_data_removed_by_hand_is_noticed(lab, data, removed, left):
    ws = lab.load()
    assert assets(ws) == [("metals/cu", 1), ("metals/cu", 2), ("metals", 1)]
    shutil.rmtree(lab.folder / removed, ignore_errors=True)
    (lab.folder / removed).unlink(missing_ok=True)

    assert assets(ws) == left
    assert assets(lab.load()) == left
    assert ws.catalog.verify().ok
    ws.catalog.rebuild()
    assert assets(ws) == left


def test_data_of_a_project_that_was_removed_is_gone_for_rebuild_too(lab, data):
    ws = lab.load()
    assert assets(ws)
    shutil.rmtree(lab.folder / "projects/metals")

    ws.catalog.rebuild()
    assert ws._session.index.owners() <= {""}
    assert not [key for key in ws._session.index.known().folders if "metals" in key]


def test_data_restored_by_hand_is_noticed(lab, data, tmp_path):
    ws = lab.load()
    shutil.move(lab.folder / "projects/metals/data", tmp_path / "aside")
    assert ("metals", 1) not in assets(ws)
    shutil.move(tmp_path / "aside", lab.folder / "projects/metals/data")

    assert ("metals", 1) in assets(ws)


def test_a_limit_counts_what_is_there(lab, data):
    ws = lab.load()
    assert len(assets(ws)) == 3
    shutil.rmtree(lab.folder / "projects/metals/experiments/cu")
    # as if no folder showed it: the stamps are those of now
    forget_folders(ws)

    assert [asset.scope for asset in ws.catalog.assets(limit=1)] == ["metals"]


# ------------------------------------------------------------------------------------------------------- broken and mended


@pytest.mark.parametrize("key", [f"{RUN}/executions/1.end.json", f"{RUN}/run.json"])
@pytest.mark.parametrize("ws", ["watching", "fresh"])
def test_a_run_that_is_mended_in_place_is_looked_at_again(lab, lab_run, key, ws):
    with lab_run.start() as ctx:
        ctx.set_result("x", 1)
    file = lab.folder / key
    sound = file.read_bytes()
    file.write_bytes(b"\x00" * 10_000)
    claim = lab.folder / RUN / "executions/1.jsonl"
    broken_claim, sound_claim = b"\x00" * 10_000, claim.read_bytes()
    if key.endswith("run.json"):
        claim.write_bytes(broken_claim)  # it repeats the definition
    reader = lab.load()
    assert reader.catalog.unreadable()
    file.write_bytes(sound)
    claim.write_bytes(sound_claim)

    reader = reader if ws == "watching" else lab.load()
    assert [row.results["x"] for row in reader.catalog.runs()] == [1]
    assert not reader.catalog.unreadable()


def test_a_broken_end_of_an_older_attempt_is_looked_at_again(lab, lab_run):
    for value in (1, 2):
        with lab_run.start() as ctx:
            ctx.set_result(f"x{value}", value)
    file = lab.folder / RUN / "executions/1.end.json"
    sound = file.read_bytes()
    file.write_bytes(b"{" * 5_000)
    reader = lab.load()
    assert list(reader.catalog.unreadable()) == [f"{RUN}/executions/1.end.json"]
    file.write_bytes(sound)

    (row,) = reader.catalog.runs()
    assert row.results == {"x1": 1, "x2": 2}
    assert not reader.catalog.unreadable()


def test_what_cannot_be_read_is_read_again_only_when_it_has_changed(lab, lab_run, monkeypatch):
    with lab_run.start():
        pass
    (lab.folder / RUN / "executions/1.end.json").write_bytes(b"{")
    reader = lab.load()
    os.utime(lab.folder / RUN / "executions/1.end.json", (1, 1))
    while reader.catalog.unreadable() and any(
        stamp.endswith("?")
        for stamp in [
            *(folder.stamp for folder in reader._session.index.known().folders.values()),
            *(stamp for *_, stamp in reader._session.index.known().doubts),
        ]
    ):
        pass  # changes so recent that another could bear the same time
    amid(monkeypatch, lab.store, READING, "/runs/", lambda: pytest.fail("read again"))

    assert reader.catalog.unreadable()


def test_a_file_that_vanishes_while_it_is_read_does_not_make_its_run_vanish(lab, lab_run, monkeypatch):
    with lab_run.start():
        pass
    reader = lab.load()
    assert len(reader.catalog.runs()) == 1

    def vanished(*_):
        raise me.KeyNotFoundError(f"{RUN}/executions/1.jsonl")

    tune(monkeypatch, "seconds for which a file is young", 0)  # it is not read again for being young
    with monkeypatch.context() as patch:
        at(patch, "a run is indexed", vanished, every=True)
        reader.catalog.rebuild()
        assert list(reader._session.index.problems()) == [f"{RUN}/run.json"]
    assert len(reader.catalog.runs()) == 1


@pytest.mark.parametrize("error", [me.UnavailableError("away"), me.CredentialsError("expired")], ids=repr)
@pytest.mark.parametrize("what", ["run", "data", "exists"])
def test_storage_that_does_not_answer_changes_nothing(lab, data, monkeypatch, error, what):
    reader = lab.load()
    with data.Run(id="one").start():
        pass
    before = assets(reader), [row.path for row in reader.catalog.runs()]
    run = data.Run(id="two")

    def fail(*_, **__):
        raise error

    with monkeypatch.context() as patch:
        if what == "run":
            amid(patch, lab.store, READING, "/runs/", fail, every=True)
        elif what == "data":
            amid(patch, lab.store, READING, "/data/", fail, every=True)
        else:
            patch.setattr(type(reader._session.store), "exists", fail)
        with pytest.raises(type(error)):
            reader.catalog.rebuild()
    assert reader._session.index.owners() >= {"metals/cu/one"}
    assert before[0] == assets(reader)
    assert [row.path for row in reader.catalog.runs()] == [*before[1], run.path]


def test_a_query_that_cannot_be_understood_is_told_whatever_the_storage_says(lab):
    lab.workspace().materialize()
    (lab.folder / "workspace.json").unlink()
    os.mkfifo(lab.folder / "workspace.json")
    with pytest.raises(me.errors.SpecialFileError):
        lab.workspace().catalog.runs("results.energy < 0")

    with pytest.raises(me.errors.QueryError, match="expected a value or a field"):
        lab.workspace().catalog.runs("results.energy < <")


def test_a_workspace_that_was_asked_goes_with_its_last_name(lab, lab_run):
    """Its index is an open file, and programs that ask many switch the garbage collector off."""
    ws = lab.load()
    left = weakref.ref(ws)
    gc.disable()
    try:
        assert [row.id for row in ws.catalog.runs()] == ["one"]
        del ws
        assert left() is None
    finally:
        gc.enable()


def test_foreign_hints_are_ignored(ws, exp, place):
    place.store.write(".molexp/journals/x", b"")
    place.store.write(
        ".molexp/journals/a-000001.jsonl", b'{"keys": ["runs", "projects/CON/experiments/b/runs/c/run.json"]}\n'
    )
    place.store.write(".molexp/journals/b.jsonl", b'{"keys": {}, "withdrawn": 7}\n[]\nnonsense\n{"keys": ["half')
    place.store.write(".molexp/sealed/c.jsonl", b"\xff\xfe\n")
    place.store.write(".molexp/live/x", b"")
    place.store.write(".molexp/snapshots/0.json", b"{}")
    place.store.write(".molexp/snapshots/x.json", b"{}")
    exp.Run(id="one")

    assert [row.id for row in place.load().catalog.runs()] == ["one"]


def test_a_journal_that_is_shorter_than_it_was_starts_a_new_look_at_everything(lab, lab_exp):
    lab_exp.Run(id="one")
    reader = lab.load()
    assert len(reader.catalog.runs()) == 1
    (journal,) = (lab.folder / ".molexp/journals").iterdir()
    lab_exp.Run(id="two")
    saved = journal.read_bytes()
    lab_exp.Run(id="three")
    assert len(reader.catalog.runs()) == 3
    journal.write_bytes(saved)  # a backup, restored
    shutil.rmtree(lab.folder / RUN.replace("one", "three"))

    assert [row.id for row in reader.catalog.runs()] == ["one", "two"]


# ----------------------------------------------------------------------------------------------------------------- locked


LOCKED = [
    "projects",
    "projects/metals",
    "projects/metals/experiments",
    "projects/metals/experiments/cu/runs",
    "projects/metals/experiments/cu/data",
    "projects/metals/experiments/cu/data/d",
    "projects/metals/experiments/cu/data/d/1.json",
    RUN,
    f"{RUN}/executions",
]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs modes that bind")
@pytest.mark.parametrize("where", LOCKED)
def test_folders_that_may_not_be_read_are_named_and_block_nothing(lab, data, tmp_path, where):
    for exp in (data, lab.load().Project("other").Experiment("cu")):
        with exp.Run(id="one").start():
            pass
    code = """
        import json, os, sys, molexp as me
        ws = me.Workspace.load(sys.argv[1])
        def look():
            unreadable = ws.catalog.unreadable()
            print(json.dumps([[row.path for row in ws.catalog.runs()], len(ws.catalog.assets(kind="data")),
                              list(unreadable)]), flush=True)
        look()
        sys.stdin.readline()
        look()
    """
    command = [sys.executable, "-c", bound_by_modes(dedent(code)), lab.url]
    locked = lab.folder / where
    mode = locked.stat().st_mode
    locked.chmod(0)
    environment = {**os.environ, "MOLEXP_CACHE_DIR": str(tmp_path / "cache")}
    with warm.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment) as child:
        assert child.stdout is not None
        first = json.loads(child.stdout.readline())
        locked.chmod(mode)
        second = json.loads(child.communicate("\n", timeout=300)[0])

    assert first[2], "named"
    assert all(where.startswith(key) or key.startswith(where) for key in first[2]), first
    assert ("other/cu/one" in first[0]) == (where != "projects")
    assert second == [["metals/cu/one", "other/cu/one"], 3, []]


# ----------------------------------------------------------------------------------------------------- two readers at once


def test_of_two_runs_of_one_id_the_one_that_is_there_stays(lab, lab_exp):
    """A reader that read the first run, and comes late to say so, does not bring it back."""
    with lab_exp.Run({"n": 1}, id="one").start():
        pass
    reader = lab.load()
    assert len(reader.catalog.runs()) == 1
    ((cover, document),) = reader._session.index.select(
        "SELECT cover, document FROM documents WHERE document IS NOT NULL"
    )
    shutil.rmtree(lab.folder / RUN)
    with lab.load().project("metals").experiment("cu").Run({"n": 2}, id="one").start():
        pass
    assert [row.params["n"] for row in reader.catalog.runs()] == [2]
    report_late(reader, "metals/cu/one", json.loads(document), json.loads(cover))

    assert [row.params["n"] for row in reader.catalog.runs()] == [2]


def test_a_run_that_came_back_is_not_taken_for_gone_by_a_reader_that_comes_late(lab, lab_exp):
    lab_exp.Run(id="one")
    reader = lab.load()
    assert len(reader.catalog.runs()) == 1
    report_missing(reader, "metals/cu/one", exists=lambda _: lab.store.exists(f"{RUN}/run.json"))

    assert len(reader.catalog.runs()) == 1


def test_project_and_experiment_must_both_match(exp, ws):
    exp.Run(id="one")
    ws.Project("other").Experiment("cu").Run(id="two")

    def found(**where):
        return [row.id for row in ws.catalog.runs(**where)]

    assert found(experiment="metals/cu") == found(experiment="metals/cu", project="metals") == ["one"]
    assert found(experiment="metals/cu", project="other") == []
    assert found(experiment="cu", project="other") == ["two"]
    assert found(experiment="metals/cu/one") == found(experiment="/cu") == []


# ------------------------------------------------------------------------------------------------------------------ forks


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_child_that_is_forked_while_threads_use_the_index_can_use_it(lab, lab_exp):
    lab_exp.Run(id="one")
    ws = lab.load()
    done = threading.Event()

    def use():
        while not done.is_set():
            ws._session.index.unchanged_for("a", "b", 0.0, "c")
            assert len(ws.catalog.runs()) == 1

    threads = [threading.Thread(target=use) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(20):
            child = os.fork()
            if child == 0:
                signal.alarm(300)  # a child that hangs
                code = 1
                try:
                    code = 0 if len(ws.catalog.runs()) == 1 else 2
                finally:
                    os._exit(code)
            assert os.waitpid(child, 0)[1] == 0
    finally:
        done.set()
        for thread in threads:
            thread.join()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_child_that_ends_does_not_undo_what_its_parent_is_writing(script):
    done = script(
        """
        import os, sys, molexp as me
        ws = me.Workspace(os.environ["LAB"])
        ws.Project("metals").Experiment("cu").Run(id="one")
        assert len(ws.catalog.runs()) == 1
        with ws._session.index.transaction() as connection:
            connection.execute("PRAGMA cache_size = 1")
            connection.executemany("INSERT INTO meta VALUES (?, ?)", ((str(n), "x" * 1000) for n in range(1000)))
            child = os.fork()
            if child == 0:
                sys.exit()  # as an ordinary process does, everything torn down
            assert os.waitpid(child, 0)[1] == 0
        assert ws._session.index.select("SELECT count(*) FROM meta WHERE value LIKE 'x%'") == [(1000,)]
        assert ws._session.index.select("PRAGMA integrity_check") == [("ok",)]
        print("fine")
        """
    )

    assert done.out == "fine\n", done.err


def test_a_folder_where_the_index_should_be_is_left_alone(lab, lab_run, tmp_path, monkeypatch):
    monkeypatch.setenv("MOLEXP_CACHE_DIR", str(tmp_path / "cache"))
    lab_run.start()
    claim = lab.folder / RUN / "executions/1.jsonl"
    claim.write_bytes(claim.read_bytes().replace(b'"host":"', b'"host":"not-'))  # whose lease has to be watched
    lab.load().catalog.runs()
    (place,) = (tmp_path / "cache").rglob("*.sqlite3")
    place.unlink()
    place.mkdir()
    os.utime(place, (1.5, 1.5))

    assert lab.load().run("metals/cu/one").status == "running"
    assert [str(row.status) for row in lab.load().catalog.runs()] == ["running"]
    assert os.listdir(place) == []
