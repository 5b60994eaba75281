"""Count what a run costs: files, store operations, threads, imports. Never seconds."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from textwrap import dedent

import pytest

import molexp as me
from tests.record.helpers import install

EARLY = [
    "asyncio",
    "attr",
    "molexp.workflow",
    "pluggy",
    "cattrs",
    "sqlite3",
    "typer",
    "fsspec",
    "numpy",
    "pandas",
    "logging.handlers",
    "subprocess",
    "hashlib",
    "inspect",
    "pathlib",
    "typing_extensions",
]


def test_a_finished_run_takes_at_most_nine_inodes(lab, lab_run):
    with lab_run.start() as ctx:
        ctx.set_result("energy", -1.5)
        ctx.artifact.save("volumes.json", [1, 2, 3])
        ctx.log("relax").append("done")
    found = sorted((lab.folder / "projects/metals/experiments/cu/runs/one").rglob("*"))

    folders = [path for path in found if path.is_dir()]
    files = [path for path in found if path.is_file()]
    assert len(folders) + 1 <= 4, folders
    assert len(files) <= 5, files


def test_a_short_run_leaves_nothing_else_behind(lab, lab_exp):
    with lab_exp.Run(id="zero").start():
        pass
    before = set(lab.everything())
    with lab_exp.Run(id="one").start() as ctx:
        during = set(lab.everything())
        ctx.set_result("energy", -1.5)
    after = set(lab.everything())

    base = "projects/metals/experiments/cu/runs/one"
    assert during - before == {f"{base}/run.json", f"{base}/executions/1.jsonl"}
    assert after - before == {f"{base}/run.json", f"{base}/executions/1.jsonl", f"{base}/executions/1.end.json"}
    assert not [key for key in after if key.startswith(".molexp/live/")]


def test_a_run_starts_no_thread_of_its_own(script):
    done = script(
        """
        import os, threading, molexp as me
        exp = me.Workspace(os.environ["LAB"]).Project("p").Experiment("e")
        with exp.Run().start():
            pass
        before = set(threading.enumerate())
        with exp.Run().start() as ctx:
            ctx.log("train").append("line")
            ctx.metrics.log(loss=1)
            print(set(threading.enumerate()) - before)
        """
    )

    assert (done.code, done.out) == (0, "set()\n"), done.err


def test_a_process_has_at_most_two_threads_for_all_its_runs(script):
    done = script(
        """
        import os, threading, molexp as me
        exp = me.Workspace(os.environ["LAB"]).Project("p").Experiment("e")
        open_runs = [exp.Run().start() for _ in range(20)]
        print(*sorted(thread.name for thread in threading.enumerate() if thread is not threading.main_thread()))
        for ctx in open_runs:
            ctx.finish()
        """
    )

    assert done.code == 0, done.err
    assert set(done.out.split()) <= {"molexp-heart", "molexp-provenance"}
    assert len(done.out.split()) <= 2


@pytest.fixture
def cold(tmp_path):
    """Run Python code in an interpreter that has imported nothing, unlike what `script` forks; give what it prints."""

    def cold(code: str) -> str:
        command, environ = [sys.executable, "-c", dedent(code)], {**os.environ, "LAB": str(tmp_path / "lab")}
        return subprocess.run(command, capture_output=True, text=True, check=True, env=environ).stdout

    return cold


def test_importing_molexp_is_light(cold):
    printed = cold(
        f"""
        import sys
        before = set(sys.modules)
        import molexp
        print(*sorted(set({EARLY!r}) & (sys.modules.keys() - before)))
        import threading
        assert threading.active_count() == 1
        """
    )

    assert printed.split() == []


def test_tracking_a_run_imports_no_more_than_it_needs(cold, tmp_path):
    me.Workspace(tmp_path / "lab").Project("p")  # to make a workspace, the folders above are looked at
    printed = cold(
        """
        import os, sys
        others = {"difflib", "inspect", "pathlib", "pluggy", "random", "shutil", "tempfile", "traceback", "typing_extensions"}
        others -= sys.modules.keys()
        import molexp as me
        with me.Workspace(os.environ["LAB"]).Project("p").Experiment("e").Run().start() as ctx:
            ctx.set_result("x", 1)
            ctx.artifact.save("a.json", [1])
            ctx.log("l").append("line")
        print(*sorted({*others, *"asyncio attr json logging molexp.workflow cattrs sqlite3 typer fsspec".split()} & set(sys.modules)))
        """
    )

    assert printed.split() == []


def test_typing_extensions_is_there_for_everybody_but_the_import_of_msgspec(cold):
    printed = cold(
        """
        import sys, threading
        finders = [*sys.meta_path]
        beside = threading.Thread(target=__import__, args=["typing_extensions"])
        beside.start()
        import molexp
        beside.join()
        assert sys.meta_path == finders

        import msgspec
        from typing_extensions import NotRequired, Required, TypedDict

        class Point(TypedDict, total=False):
            x: Required[int]
            y: NotRequired[int]

        print(msgspec.json.decode('{"x": 1}', type=Point))
        try:
            msgspec.json.decode('{"y": 1}', type=Point)
        except msgspec.ValidationError as error:
            print(error)
        """
    )

    assert printed.splitlines() == ["{'x': 1}", "Object missing required field `x`"]


def test_a_finder_that_is_added_while_msgspec_is_imported_stays(cold):
    printed = cold(
        """
        import sys

        class Added:
            find_spec = staticmethod(lambda *_: None)

        class Adding:  # as another thread may
            @staticmethod
            def find_spec(name, *_):
                if name == "msgspec._core" and added not in sys.meta_path:
                    sys.meta_path.insert(0, added)

        added = Added()
        sys.meta_path.insert(0, Adding)
        finders = sys.meta_path
        expected = [added, *finders]
        import molexp
        print(sys.meta_path == expected, sys.meta_path is finders, "typing_extensions" in sys.modules)
        """
    )

    assert printed.split() == ["True", "True", "False"]


COUNTING = """
    from collections import Counter
    from molexp.hookspecs import hookimpl
    from molexp.plugins import default_manager

    MemoryStore = default_manager().storage_backend("memory")

    COUNTS = Counter()
    OPERATIONS = ("read read_many write create stat exists delete list children open_read open_write append "
                  "open_append rename sync").split()

    def counted(name):
        method = getattr(MemoryStore, name)
        def call(self, *args, **kwargs):
            COUNTS[name] += 1
            return method(self, *args, **kwargs)
        return call

    CountingStore = type("CountingStore", (MemoryStore,), {
        "schemes": ("counting",),
        "open": classmethod(lambda cls, url, options: cls(url.removeprefix("counting://"), **options)),
        **{name: counted(name) for name in OPERATIONS},
    })

    @hookimpl
    def molexp_register_storage_backends():
        return [CountingStore]
"""


@pytest.fixture
def counting(tmp_path, monkeypatch):
    import molexp as me

    me.Workspace("memory://")  # the manager of this process finds what is installed before the store is, which asks it
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    return install(tmp_path / "site", "counting-store", dedent(COUNTING))


@pytest.mark.parametrize("append", [True, False], ids=["append", "no append"])
def test_the_fiftieth_run_costs_what_the_first_cost(counting, append, request):
    import molexp as me

    workspace = me.Workspace(f"counting://{append}", plugins=counting, storage_options={"append": append})
    counting_store = importlib.import_module("counting_store")

    exp = workspace.Project("metals").Experiment("cu", params={"a": 3.6})
    counts = []
    for number in range(50):
        counting_store.COUNTS.clear()
        with exp.Run({"n": number}).start() as ctx:
            ctx.set_result("energy", -1.5)
            ctx.artifact.save("volumes.json", [1, 2, 3])
            for line in range(10):
                ctx.log("relax").append(f"line {line}")
        counts.append(dict(counting_store.COUNTS))

    request.node.add_report_section("call", "cost", f"store operations of one run: {counts[1]}")
    print("store operations of one run:", counts[1], "in all", sum(counts[1].values()))
    assert counts[1] == counts[49], "from the second run of a process on nothing grows"
    assert sum(counts[1].values()) <= sum(counts[0].values())
    assert sum(counts[1].values()) <= 20


def test_the_runs_of_an_experiment_are_listed_by_one_request_and_one_is_looked_up_by_one(counting, monkeypatch):
    """A request is slow here, as on S3: 10 000 runs, of which 3 have 4 edits."""
    import molexp as me

    workspace = me.Workspace("counting://many", plugins=counting)
    counting_store = importlib.import_module("counting_store")
    monkeypatch.setattr(counting_store.CountingStore, "slow", True)
    exp = workspace.Project("metals").Experiment("cu")
    exp.Run(id="hidden").delete()
    exp.Run(id="Restored").delete()
    workspace.restore("metals/cu/restored")
    exp.Run(id="tagged").annotate(tags=["t"])
    store, runs = counting_store.CountingStore("many"), "projects/metals/experiments/cu/runs"
    definition = store.read(f"{runs}/tagged/run.json")
    for number in range(10_000):
        store.create(f"{runs}/r{number:05}/run.json", definition)
    store.create(f"{runs}/no-run/notes.txt", b"a foreign file")

    def asked(question):
        counting_store.COUNTS.clear()
        return question(), dict(counting_store.COUNTS)

    assert asked(lambda: len(exp.runs)) == (10_002, {"list": 1, "read_many": 1, "read": 4})
    assert asked(lambda: [run.path[10:] for run in exp.runs][-2:])[0] == ["restored", "tagged"]
    for name, there in (("R00007", True), ("r99999", False), ("no-run", False), ("no id", False)):
        found, counts = asked(lambda name=name: name in exp.runs)
        assert (found, sum(counts.values())) == (there, int(name != "no id"))
    assert ("hidden" in exp.runs, exp.run("tagged") in exp.runs, 5 in exp.runs) == (False, True, False)


def test_many_runs_are_changed_without_looking_each_of_them_up(counting):
    """Edits of runs that a query found cost what an edit costs; an experiment and a project are not read again for each."""
    import molexp as me

    workspace = me.Workspace("counting://changed", plugins=counting)
    counting_store = importlib.import_module("counting_store")
    exp = workspace.Project("metals").Experiment("cu")
    for number in range(20):
        with exp.Run(id=f"r{number:02}").start():
            pass
    paths = [row.path for row in workspace.catalog.runs()]
    counts = []
    for path in paths:
        counting_store.COUNTS.clear()
        assert [one.error for one in me.change_runs(workspace, [path], me.Run.archive)] == [None]
        counts.append(dict(counting_store.COUNTS))

    assert counts[1] == counts[19]
    assert sum(counts[1].values()) <= 11, counts[1]
    assert [row.id for row in workspace.catalog.runs()] == []


def test_totals_of_many_runs_read_none_of_them(counting):
    import molexp as me

    workspace = me.Workspace("counting://totals", plugins=counting)
    counting_store = importlib.import_module("counting_store")
    exp = workspace.Project("metals").Experiment("cu")
    exp.runs.create_many([{"n": number} for number in range(200)])
    workspace.catalog.totals()
    counting_store.COUNTS.clear()
    assert workspace.catalog.totals()[0].runs == 200
    assert counting_store.COUNTS["read"] <= 2, counting_store.COUNTS
    assert sum(counting_store.COUNTS.values()) <= 10, counting_store.COUNTS


def test_a_list_of_projects_asks_once_for_each_and_a_name_once(counting):
    import molexp as me

    workspace = me.Workspace("counting://scopes", plugins=counting)
    counting_store = importlib.import_module("counting_store")
    for number in range(20):
        workspace.Project(f"p{number:02}")
    workspace.project("p07").rename("another name")
    counting_store.COUNTS.clear()
    assert len(workspace.projects.ids()) == 20
    assert sum(counting_store.COUNTS.values()) <= 1 + 20 + 3, counting_store.COUNTS
    project = workspace.project("p03")
    counting_store.COUNTS.clear()
    assert project.name == "p03"
    assert dict(counting_store.COUNTS) == {"children": 1}
