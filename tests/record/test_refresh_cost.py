"""Count what a refresh and a run cost in a workspace of any size: files, requests, system calls. Never seconds."""

from __future__ import annotations

import io
import os
import re
import shutil
import stat
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from textwrap import dedent

import pytest

from tests.internals import at, compactions_begun, plans, tune
from tests.record.compacting import RUN as RUNS

OPERATIONS = (
    "read",
    "read_many",
    "write",
    "create",
    "stat",
    "exists",
    "delete",
    "list",
    "children",
    "append",
    "rename",
)

MANY_PROCESSES = """
    import atexit, os, signal, sys
    import molexp as me

    with me.Workspace("memory://warm").Project("p").Experiment("e").Run().start():
        pass  # so that not every child has to import what it needs

    def one(number, fate):
        exp = me.Workspace(os.environ["LAB"]).Project("metals").Experiment("cu")
        with exp.Run({"n": number}, id=f"{fate}-{number:05}").start() as ctx:
            ctx.set_result("x", number)
            if fate == "killed":
                os.kill(os.getpid(), signal.SIGKILL)
        if fate == "exits":
            atexit._run_exitfuncs()  # as at the end of a process; what a fork skips

    for fate, count in (("exits", int(sys.argv[1])), ("killed", int(sys.argv[2]))):
        for number in range(count):
            if (pid := os.fork()) == 0:
                try:
                    one(number, fate)
                finally:
                    os._exit(0)
            os.waitpid(pid, 0)
"""


@pytest.fixture
def counted(lab, monkeypatch):
    """Count what a block asks of the store, and how many folders it looks at."""

    @contextmanager
    def counting() -> Iterator[Counter[str]]:
        counts: Counter[str] = Counter()
        depth = [0]
        with monkeypatch.context() as patch:
            for name in OPERATIONS:
                original = getattr(type(lab.store), name)

                def call(self, *args, _name=name, _original=original, **kwargs):
                    counts[_name] += not depth[0]
                    depth[0] += 1
                    try:
                        return _original(self, *args, **kwargs)
                    finally:
                        depth[0] -= 1

                patch.setattr(type(lab.store), name, call)
            at(patch, "a folder is looked at for the index", lambda *_: counts.update(["look"]), every=True)
            yield counts

    return counting


def refresh(ws) -> None:
    """Bring the index up to date: the answer has no row, so none is looked at before it is returned."""
    ws.catalog.runs("status == 'cancelled'")
    ws._session.gather()


def settle(ws) -> None:
    """And so far that no folder changed so recently that another change could bear the same time."""
    refresh(ws)
    while any(folder.stamp.endswith("?") for folder in ws._session.index.known().folders.values()):
        refresh(ws)


def costs(lab, exp, ws, counted, tag: str) -> dict[int, Counter[str]]:
    """Count what a refresh costs after k more runs, in a workspace whose index is up to date."""
    found = {}
    for changes in (0, 1, 10):
        exp.runs.create_many([{"tag": tag, "k": changes, "n": number} for number in range(changes)])
        if changes == 0:
            settle(ws)
        with counted() as counts:
            refresh(ws)
        found[changes] = counts
    return found


def grow(exp, count: int) -> None:
    """More finished runs, by the real writer."""
    for number in range(count):
        with exp.Run({"n": number}).start() as ctx:
            ctx.set_result("x", number)


def check_same(small: dict[int, Counter[str]], large: dict[int, Counter[str]]) -> None:
    for changes, counts in small.items():
        assert counts == large[changes], f"after {changes} changes a refresh asks for more where there are more runs"
    nothing = sum(small[0].values())
    assert nothing <= 16, small[0]
    assert sum(small[1].values()) <= nothing + 12, small[1]
    assert sum(small[10].values()) <= nothing + 12 * 10, small[10]


def test_a_refresh_costs_what_changed_and_not_what_there_is(lab, lab_exp, counted):
    found = []
    ws = lab.load()
    for count in (100, 900):
        grow(lab_exp, count)
        refresh(ws)
        ws.catalog.compact()
        found.append(costs(lab, lab_exp, ws, counted, f"at-{count}"))

    print("a refresh after 0, 1, 10 changes:", [dict(counts) for counts in found[0].values()])
    check_same(*found)


@pytest.mark.long
def test_a_refresh_at_ten_thousand_runs_costs_what_it_does_at_one_thousand(lab, lab_exp, counted):
    found = []
    ws = lab.load()
    for count in (1000, 9000):
        grow(lab_exp, count)
        refresh(ws)
        ws.catalog.compact()
        found.append(costs(lab, lab_exp, ws, counted, f"at-{count}"))

    check_same(*found)


@pytest.mark.parametrize(
    ("exits", "kills"), [(30, 6), pytest.param(1000, 100, marks=pytest.mark.long)], ids=["36", "1100"]
)
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_after_many_processes_of_one_run_each_a_refresh_costs_what_it_did_before(lab, lab_exp, counted, exits, kills):
    before = costs(lab, lab_exp, lab.load(), counted, "before")
    done = subprocess.run(
        [sys.executable, "-c", dedent(MANY_PROCESSES), str(exits), str(kills)],
        env={**os.environ, "LAB": lab.url},
        check=False,
        timeout=600,
    )
    assert done.returncode == 0
    ws = lab.load()
    with counted() as first:
        refresh(ws)
    after = costs(lab, lab_exp, ws, counted, "after")

    assert len(ws.catalog.runs()) == exits + kills + 22
    assert len(ws.catalog.runs(status="interrupted")) == kills
    assert sum(first.values()) <= 30 * (exits + kills), "each change is paid for once"
    for changes, counts in before.items():
        assert sum(after[changes].values()) <= sum(counts.values()) + 4, (changes, counts, after[changes])


@pytest.mark.parametrize(
    ("question", "index"),
    [
        ({"limit": 1}, "by_time"),
        ({"limit": 20, "sort": "-created_at"}, "by_time"),
        ({"limit": 20, "sort": "created_at"}, "by_time"),
        ({"limit": 20, "status": "succeeded"}, "by_time"),
        ({"limit": 20, "experiment": "cu", "project": "metals"}, "by_scope"),
        ({"status": "failed"}, "by_status"),
        ({"status": ["failed", "interrupted"], "limit": 5}, "by_status"),
        ({"status": "failed", "sort": "-created_at"}, "by_status"),
    ],
)
def test_the_newest_and_the_few_are_found_without_a_look_at_the_others(lab, lab_exp, question, index):
    lab_exp.Run({"n": 1}, id="one").start().finish("failed")
    ws = lab.load()
    found = plans(ws, lambda: ws.catalog.runs(**question))

    assert found[0].startswith(("SEARCH e USING INDEX entities_", "SCAN e USING INDEX entities_"))
    assert found[0].split("(")[0].strip().endswith(index), found
    if "limit" in question and index == "by_time":
        assert not any("TEMP B-TREE FOR ORDER BY" in step for step in found), found


@pytest.mark.parametrize(
    ("where", "filters", "plan"),
    [
        (None, {}, "SCAN a USING COVERING INDEX assets_by_time"),
        (None, {"kind": "figure"}, "SCAN a USING COVERING INDEX assets_by_time"),
        (None, {"sort": "-created_at"}, "SCAN a USING COVERING INDEX assets_by_time"),
        (None, {"sort": "-size"}, "SCAN a"),
        ('name like "%.csv"', {}, "SCAN a"),
        (None, {"scope": "metals/cu/one"}, "SEARCH e USING COVERING INDEX sqlite_autoindex_entities_1 (path=?)"),
    ],
)
def test_files_are_found_by_time_unless_few_may_meet_a_condition(lab, lab_exp, where, filters, plan):
    with lab_exp.Run(id="one").start() as ctx:
        ctx.artifact.save("a.json", {"x": 1})
    ws = lab.load()
    assert plans(ws, lambda: ws.catalog.assets(where, limit=50, **filters))[0] == plan


class _Uncounted:
    """Describe a folder as a file system does that counts no links."""

    st_nlink = 1

    def __init__(self, found: os.stat_result) -> None:
        self._found = found

    def __getattr__(self, name: str) -> object:
        return getattr(self._found, name)


@contextmanager
def names_read(monkeypatch) -> Iterator[list[int]]:
    """Count the names that are listed below a block, and every look; links are not counted there."""
    counts, scandir, lstat = [0, 0], os.scandir, os.lstat

    class Scan:
        def __init__(self, path):
            self._found = scandir(path)

        def __iter__(self):
            for entry in self._found:
                counts[0] += 1
                yield entry

        def __next__(self):
            counts[0] += 1
            return next(self._found)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self._found.close()

        def close(self):
            self._found.close()

    def look(path, **options):
        counts[1] += 1
        found = lstat(path, **options)
        return _Uncounted(found) if stat.S_ISDIR(found.st_mode) else found

    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", lambda path=".": Scan(path))
        patch.setattr(os, "lstat", look)
        yield counts


def test_a_refresh_lists_no_folder_of_many_runs_where_links_are_not_counted(lab, lab_exp, monkeypatch):
    """As on ext4 above 65 000 folders."""
    tune(monkeypatch, "runs that are listed where links are not counted", 50)
    ws = lab.load()
    asked = []
    for count in (100, 300):
        lab_exp.runs.create_many([{"at": count, "n": number} for number in range(count)])
        with names_read(monkeypatch):
            settle(ws)
        lab_exp.Run({"late": count}, id=f"late-{count}").start().finish("succeeded")
        with names_read(monkeypatch) as counts:
            refresh(ws)
        asked.append(counts)
        assert ws.catalog.runs(f"params.late == {count}")
    assert asked[0][0] == asked[1][0] < 50, "no folder of all runs was listed"
    assert max(looks for _, looks in asked) < 25, "what one more run costs does not depend on how many there are"

    shutil.copytree(lab.folder / RUNS / "late-100", lab.folder / RUNS / "copied-by-hand")
    with names_read(monkeypatch):
        assert "copied-by-hand" in {row.path.rpartition("/")[2] for row in ws.catalog.runs()}


@pytest.mark.long
def test_a_refresh_looks_as_often_at_one_thousand_runs_as_at_one_hundred_thousand_in_one_folder(
    lab, lab_exp, monkeypatch
):
    """Above 65 000 folders, ext4 does not count links; here it never does."""
    compactions_begun(monkeypatch)  # none leaves a snapshot to be listed
    ws, asked, there = lab.load(), [], 0
    for count in (1001, 65_001, 100_001):
        lab_exp.runs.create_many([{"n": number} for number in range(there, count)])
        there = count
        with names_read(monkeypatch):
            settle(ws)
        lab_exp.Run({"late": count}, id=f"late-{count}").start().finish("succeeded")
        with names_read(monkeypatch) as counts:
            refresh(ws)
        asked.append(counts)
    assert asked[0][0] == asked[1][0] == asked[2][0] < 50, "no folder of all runs was listed"
    assert max(looks for _, looks in asked) < 25, "what one more run costs does not depend on how many there are"


# ----------------------------------------------------------------------------------------------------------- first opens


def test_a_first_open_reads_in_several_threads_where_runs_wait_for_the_disk(lab, lab_exp, monkeypatch):
    lab_exp.runs.create_many([{"n": number} for number in range(150)])
    readers = []

    def wait(*_) -> None:
        time.sleep(0.001)
        readers.append(threading.get_ident())

    at(monkeypatch, "a run is indexed", wait, every=True)

    found = lab.load().catalog.runs()
    assert sorted(row.params["n"] for row in found) == [*range(150)]
    assert len(readers) == 150
    assert len(set(readers)) > 1


def test_a_first_open_looks_at_no_run_again_before_it_answers(lab, lab_exp, counted):
    grow(lab_exp, 5)
    few = lab.load()
    settle(few)  # no folder changed so recently that another change could bear the same time
    with counted() as at_five:
        few.catalog.rebuild()
    lab_exp.runs.create_many([{"n": number} for number in range(500)])
    settle(few)
    ws = lab.load()
    ws._session.index.discard()
    with counted() as counts:
        assert len(ws.catalog.runs()) == 505
    assert counts["stat"] <= 505 + at_five["stat"], "run.json was looked at once"


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="needs terminals")
@pytest.mark.parametrize(("seconds", "is_told"), [(0.0, True), (3600.0, False)])
def test_a_long_first_open_says_on_a_terminal_how_far_it_is(lab, lab_exp, monkeypatch, seconds, is_told):
    grow(lab_exp, 3)
    tune(monkeypatch, "seconds that a first open is silent", seconds)
    ours, its = os.openpty()
    with open(its, "w", encoding="utf-8") as terminal, monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", terminal)
        assert len(lab.load().catalog.runs()) == 3
        terminal.write(".")
        terminal.flush()
        data = b""
        while not data.endswith(b"."):
            data += os.read(ours, 1000)
        said = data.decode()
    os.close(ours)
    assert ("Reading runs: 0 of " in said) is is_told
    assert said.rstrip(".").endswith("\r\033[K") is is_told, "the line is taken away"


def test_a_long_first_open_needs_no_standard_error(lab, lab_exp, monkeypatch):
    grow(lab_exp, 3)
    tune(monkeypatch, "seconds that a first open is silent", 0.0)
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr(sys, "stderr", closed)
    assert len(lab.load().catalog.runs()) == 3


# ----------------------------------------------------------------------------------------------------------- system calls

TRACK = """
    import os, sys
    import molexp as me

    exp = me.Workspace(os.environ["LAB"]).Project("metals").Experiment("cu", params={"a": 3.6})
    for number in range(3):
        if number == 2:
            os.path.exists("/the/run/begins")
        with exp.Run({"n": number}).start() as ctx:
            ctx.set_result("energy", -1.5)
            ctx.artifact.save("volumes.json", [1, 2, 3])
            for line in range(10):
                ctx.log("relax").append(f"line {line}")
    os.path.exists("/the/run/has/ended")
"""


def calls_of_a_run(lab, tmp_path) -> Counter[str]:
    """The system calls of the third run of a process, by name."""
    trace = tmp_path / "trace"
    command = ["strace", "-o", str(trace), sys.executable, "-c", dedent(TRACK)]
    subprocess.run(command, env={**os.environ, "LAB": lab.url}, check=True, timeout=300)
    within = trace.read_text().partition("/the/run/begins")[2].partition("/the/run/has/ended")[0]
    names = re.findall(r"^(\w+)\(", within, re.MULTILINE)
    ignored = ("brk", "mmap", "munmap", "mprotect", "madvise", "futex", "getpid", "rt_sigaction", "rt_sigprocmask")
    return Counter(name for name in names[:-1] if name not in ignored)


@pytest.mark.parametrize(
    "runs", [pytest.param(4000, marks=pytest.mark.soak), pytest.param(100_000, marks=pytest.mark.long)]
)
@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_run_after_many_makes_the_system_calls_that_the_first_makes(lab, lab_exp, tmp_path, runs):
    first = calls_of_a_run(lab, tmp_path)
    writers = []
    for _ in range(2):
        if (pid := os.fork()) == 0:
            code = 1
            try:
                grow(lab.workspace().Project("metals").Experiment("cu"), runs // 2)
                code = 0
            finally:
                os._exit(code)
        writers.append(pid)
    assert [os.waitpid(pid, 0)[1] for pid in writers] == [0, 0]
    last = calls_of_a_run(lab, tmp_path)

    print("system calls of a run:", dict(first), "in all", sum(first.values()))
    assert sum(first.values()) > 30
    assert last == first
