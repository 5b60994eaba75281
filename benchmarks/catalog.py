"""Compare the catalog at 100 000 runs with bare SQLite, plain Python, signac and MLflow on the same runs.

The limits are for 100 000 runs; with fewer, what a process costs to start weighs more. Every contender's files are in the
page cache: each runs once before it is timed. ``dataset.py`` says where the runs lie; nothing is written there. Our
workspaces are views of it, folders in which all but the derived files is linked, and our indexes lie in a folder that is
removed at the end.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from itertools import count as numbers
from pathlib import Path

from dataset import (
    SELECT,
    SELECT_METRICS,
    WHERE,
    WHERE_METRICS,
    Dataset,
    cache_folder,
    dataset,
    dataset_with_metrics,
)
from measure import PRINT_PEAK, Line, peak_of, run_fresh, time_fresh
from start_up import cpu_of

# ------------------------------------------------------------------------- what fresh processes run: question, cold

_OURS = f"""
import sys
import molexp
rows = molexp.Workspace(sys.argv[1]).catalog.runs({WHERE!r})
assert len(rows) == int(sys.argv[2]), len(rows)
for row in rows:
    row.id, row.results["loss"]
"""
_OURS_METRICS = _OURS.replace(WHERE, WHERE_METRICS)

_BARE = f"""
import sqlite3, sys
rows = sqlite3.connect(sys.argv[1]).execute({SELECT!r}).fetchall()
assert len(rows) == int(sys.argv[2]), len(rows)
"""
_BARE_METRICS = _BARE.replace(SELECT, SELECT_METRICS)

_SIGNAC = """
import sys
import signac
jobs = list(signac.get_project(sys.argv[1]).find_jobs({"lr": {"$lt": 0.01}, "doc.loss": 3}))
assert len(jobs) == int(sys.argv[2]), len(jobs)
for job in jobs:
    job.id, job.doc["loss"]
"""

_MLFLOW = """
import sys
from mlflow import MlflowClient
client = MlflowClient("sqlite:///" + sys.argv[1])
experiments = [experiment.experiment_id for experiment in client.search_experiments()]
runs = client.search_runs(experiments, "metrics.lr < 0.01 and metrics.loss = 3", max_results=50_000)
assert len(runs) == int(sys.argv[2]), len(runs)
for run in runs:
    run.info.run_id, run.data.metrics["loss"]
"""

_LIST = """
import os, sys
from contextlib import suppress
from molexp_cli._main import run

lab, *options = sys.argv[1:]
peak, whole = "peak" in options, "all" in options
ours = os.dup(1)
reads, writes = os.pipe()
if os.fork() == 0:  # the reader, which goes away after the first line unless memory is of interest
    os.close(writes)
    with open(reads) as lines:
        for number, _ in enumerate(lines):
            if whole and number == 1:
                break
    os._exit(0)
os.close(reads)
os.dup2(writes, 1)
os.close(writes)
run(["-w", lab, "runs", "list", *(option for option in options if option not in ("peak", "all"))])
with suppress(OSError):
    sys.stdout.flush()
os.dup2(ours, 1)
if peak:
    with open("/proc/self/status") as status:
        kilobytes = next(line for line in status if line.startswith("VmHWM")).split()[1]
    os.write(1, str(int(kilobytes) / 1024).encode())
os._exit(0)
"""

# ------------------------------------------------------------------------------------------------- question, warm

_WARM = f"""
import json, sqlite3, statistics, sys, time
import molexp

catalog = molexp.Workspace(sys.argv[1]).catalog
connection = sqlite3.connect(sys.argv[2])

def ours():
    rows = catalog.runs({WHERE!r})
    for row in rows:
        row.id, row.results["loss"]
    return len(rows)

def bare():
    return len(connection.execute({SELECT!r}).fetchall())

spent = {{ours: [], bare: []}}
for _ in range(int(sys.argv[3]) + 1):
    for work, times in spent.items():
        began = time.perf_counter()
        assert work() == int(sys.argv[4])
        times.append((time.perf_counter() - began) * 1e3)
print(json.dumps({{work.__name__: statistics.median(times[1:]) for work, times in spent.items()}}))
"""

# ----------------------------------------------------------------------------------------------------- first open

_OPEN = """
import sys, time
began = time.perf_counter()
import molexp
catalog = molexp.Workspace.load(sys.argv[1], read_only=sys.argv[3:] != ["compact"]).catalog
assert len(catalog.runs()) == int(sys.argv[2])
answered = time.perf_counter()
"""

_ASK_AGAIN = """
catalog.runs()
again = time.perf_counter()
catalog.runs(limit=1)
print(answered - began, again - answered, time.perf_counter() - again)
"""

_KNOWN = """
import sys
import molexp
molexp.Workspace.load(sys.argv[1], read_only=True).catalog.runs(limit=1)
"""
_COMPACT = """
import sys
import molexp
molexp.Workspace(sys.argv[1]).catalog.compact()
"""
_VERIFY = _COMPACT.replace("compact", "verify")

_NEWEST = """
import json, statistics, sys, time
import molexp

catalog = molexp.Workspace(sys.argv[1]).catalog
questions = {
    "none": lambda: catalog.runs(status="cancelled"),
    "newest": lambda: catalog.runs(limit=20, sort="-created_at"),
    "one": lambda: catalog.runs(limit=1),
    "failed": lambda: catalog.runs(status="failed", limit=20),
}
spent = {name: [] for name in questions}
for _ in range(21):
    for name, ask in questions.items():
        began = time.perf_counter()
        ask()
        spent[name].append((time.perf_counter() - began) * 1e3)
print(json.dumps({name: statistics.median(times[1:]) for name, times in spent.items()}))
"""

_READ_PLAINLY = """
import json, os, sys
from os.path import join

def folders(path):
    with os.scandir(path) as entries:
        return [entry.path for entry in entries if entry.is_dir()]

def load(path):
    with open(path, "rb") as file:
        return json.loads(file.read())

found = []  # what is read is there afterwards, to be asked
for project in folders(join(sys.argv[1], "projects")):
    for experiment in folders(join(project, "experiments")):
        for run in folders(join(experiment, "runs")):
            executions = join(run, "executions")
            with os.scandir(executions) as entries:
                newest = max(int(entry.name[:-9]) for entry in entries if entry.name.endswith(".end.json"))
            found.append((run, load(join(run, "run.json")), load(join(executions, f"{newest}.end.json"))))
assert len(found) == int(sys.argv[2]), len(found)
"""

_LOAD_PLAINLY = """
import gzip, os, shutil, sqlite3, sys

target = sqlite3.connect(sys.argv[2], isolation_level=None)
target.execute("PRAGMA synchronous = NORMAL")
target.execute("BEGIN")
indexes = []
rows = 0
for folder, _, names in os.walk(sys.argv[1]):
    for name in names:
        if not name.endswith(".gz"):
            continue
        path = f"{sys.argv[2]}-{name}"
        with gzip.open(os.path.join(folder, name)) as packed, open(path, "wb") as file:
            shutil.copyfileobj(packed, file)
        source = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
        for kind, table, sql in source.execute("SELECT type, name, sql FROM sqlite_schema").fetchall():
            if sql is None or table.startswith("sqlite_"):
                continue
            if kind != "table":
                indexes.append((table, sql))
                continue
            if not target.execute("SELECT 1 FROM sqlite_schema WHERE name = ?", (table,)).fetchall():
                target.execute(sql)
            columns = [column[1] for column in source.execute(f"PRAGMA table_info({table})")]
            names_of = ", ".join(columns)
            rows += target.executemany(
                f"INSERT OR REPLACE INTO {table} ({names_of}) VALUES ({', '.join('?' * len(columns))})",
                source.execute(f"SELECT {names_of} FROM {table}"),
            ).rowcount
for _, sql in dict(indexes).items():
    target.execute(sql)
target.execute("COMMIT")
target.close()
assert rows >= int(sys.argv[3]), f"the snapshot has {rows} rows in SQLite files; teach this to read its other files"
"""


def measure(*, quick: bool, runs: int | None = None) -> Iterator[Line]:
    """Yield the lines of the report."""
    data = dataset(runs or (10_000 if quick else 100_000))
    with tempfile.TemporaryDirectory(dir=cache_folder(), prefix="measuring-") as base:
        yield from _first_open(data, Path(base))
        yield from _question(data, Path(base), quick=quick)
        yield from _list(data, Path(base))
        yield from _peers(data, Path(base))
    logged = dataset_with_metrics(data.count)
    with tempfile.TemporaryDirectory(dir=cache_folder(), prefix="measuring-") as base:
        yield from _metrics(logged, Path(base), quick=quick)


def _view(data: Dataset, base: Path, *, derived: bool) -> Path:
    """Copy the dataset's workspace by hard links. Derived files are copied or left out."""
    lab = base / "ours"
    if not lab.exists():
        shutil.copytree(data.lab, lab, copy_function=os.link, ignore=shutil.ignore_patterns(".molexp"))
    shutil.rmtree(lab / ".molexp", ignore_errors=True)
    if derived:
        shutil.copytree(data.lab / ".molexp", lab / ".molexp")
    return lab


def _first_open(data: Dataset, base: Path, which: str = "") -> Iterator[Line]:
    fresh = (base / f"fresh-{number}" for number in numbers())

    def unseen() -> Path:  # whoever opens it may leave a snapshot there
        return _view(data, base, derived=False)

    def open_fresh(lab: Path, more: str = "", *how: str) -> str:
        return run_fresh(_OPEN + more, lab, data.count, *how, MOLEXP_CACHE_DIR=next(fresh))

    found = time_fresh(
        {
            "ours": lambda: open_fresh(unseen()),
            "theirs": partial(run_fresh, _READ_PLAINLY, data.lab, data.count),
        },
        rounds=3,
    )
    what = f"first open of {_many(data)} runs{which}"
    detail = f"molexp {found['ours']:.0f} ms, plain Python {found['theirs']:.0f} ms; "
    detail += _details(open_fresh(unseen(), PRINT_PEAK + _ASK_AGAIN))
    yield Line(f"{what} / reading and parsing", "disk", found["ours"] / found["theirs"], 1.3, detail)

    last, cache = unseen(), next(fresh)
    snapshots = last / ".molexp" / "snapshots"
    began = time.perf_counter()
    open_fresh(last, "", "compact")
    ended = (time.perf_counter() - began) * 1e3
    while not (snapshots / "1.json").exists():  # by another process
        time.sleep(0.1)
    detail = f"{ended:.0f} ms, without a compaction {found['ours']:.0f} ms"
    yield Line(f"{what}, and its exit / without compaction", "disk", ended / found["ours"], 1.2, detail)

    last, cache = unseen(), next(fresh)
    run_fresh(_KNOWN, last, MOLEXP_CACHE_DIR=cache)
    idle = peak_of(_KNOWN, last, MOLEXP_CACHE_DIR=cache)
    for work, name, limit in ((_COMPACT, "compaction", 100.0), (_VERIFY, "verification", 250.0)):
        peak = peak_of(work, last, MOLEXP_CACHE_DIR=cache) - idle
        yield Line(f"{name} of {_many(data)} runs, memory over idle", "disk", peak, limit, f"idle {idle:.0f} MB", " MB")
    index = sum(path.stat().st_size for path in cache.rglob("*.sqlite3"))
    packed = sum(path.stat().st_size for path in snapshots.rglob("*.gz"))
    detail = f"{packed / 2**20:.0f} MB, {index / 2**20:.0f} MB"
    yield Line(f"{what}, snapshot / index", "disk", packed / index, 0.25, detail)
    asked = json.loads(run_fresh(_NEWEST, last, MOLEXP_CACHE_DIR=cache))
    for name, limit in (("one", 3.0), ("newest", 5.0), ("failed", 5.0)):
        detail = f"{asked[name]:.2f} ms, a question without an answer {asked['none']:.2f} ms"
        yield Line(f"{name} of {_many(data)} runs / none", "disk", asked[name] / asked["none"], limit, detail)
    found = time_fresh(
        {
            "ours": lambda: open_fresh(last),
            "theirs": lambda: run_fresh(_LOAD_PLAINLY, snapshots, next(fresh), data.count),
        },
        rounds=3,
    )
    size = sum(path.stat().st_size for path in snapshots.rglob("*") if path.is_file())
    detail = f"molexp {found['ours']:.0f} ms, plain SQLite {found['theirs']:.0f} ms; "
    detail += f"{_details(open_fresh(last, PRINT_PEAK + _ASK_AGAIN))}; snapshot {size / 2**20:.1f} MB"
    yield Line(f"{what}, snapshot / loading its bytes", "disk", found["ours"] / found["theirs"], 2.0, detail)


def _details(printed: str) -> str:
    peak, answered, again, one = map(float, printed.split())
    return (
        f"answered after {answered * 1e3:.0f} ms, again {again * 1e3:.0f} ms, with one run {one * 1e3:.0f} ms; "
        f"peak {peak / 1024:.0f} MB"
    )


def _question(data: Dataset, base: Path, *, quick: bool) -> Iterator[Line]:
    lab, cache = _view(data, base, derived=True), base / "cache"
    ours = partial(run_fresh, _OURS, lab, data.matching, MOLEXP_CACHE_DIR=cache)
    ours()  # makes the index
    found = time_fresh(
        {
            "molexp": ours,
            "bare": partial(run_fresh, _BARE, data.bare, data.matching),
            "import": partial(run_fresh, "import molexp"),
            "nothing": partial(run_fresh, "pass"),
        },
        rounds=9 if quick else 21,
    )
    imported = found["import"] - found["nothing"]
    detail = f"molexp {found['molexp']:.0f} ms, interpreter + bare query {found['bare']:.1f} ms, "
    detail += f"import molexp {imported:.0f} ms; {data.matching} matches"
    what = f"cold query of {_many(data)} runs"
    allowed = 5 * found["bare"] + imported
    yield Line(f"{what} / (5 x bare + import)", "disk", found["molexp"] / allowed, 1.0, detail)
    asked = cpu_of(_OURS, str(lab), str(data.matching), rounds=5, MOLEXP_CACHE_DIR=str(cache)) - cpu_of(
        "pass", rounds=5
    )
    detail = f"CPU time; {data.matching} matches"
    yield Line(f"{what}, over a bare interpreter", "disk", asked, 150.0, detail, unit=" ms")
    warm = json.loads(run_fresh(_WARM, lab, data.bare, 11 if quick else 31, data.matching, MOLEXP_CACHE_DIR=cache))
    detail = f"molexp {warm['ours']:.2f} ms, bare {warm['bare']:.2f} ms"
    yield Line("warm query / bare query", "disk", warm["ours"] / warm["bare"], 20.0, detail)
    peak = peak_of(_OURS, lab, data.matching, MOLEXP_CACHE_DIR=cache)
    detail = f"import molexp {peak_of('import molexp'):.0f} MB"
    yield Line(f"{what}, peak memory", "disk", peak, 200.0, detail, unit=" MB")


def _list(data: Dataset, base: Path) -> Iterator[Line]:
    """Measure the command that lists all runs: its first line, and its memory."""
    command = partial(run_fresh, _LIST, _view(data, base, derived=True), MOLEXP_CACHE_DIR=base / "cache")
    command("-n", 1)  # makes the index
    found = time_fresh({"first": partial(command, "all"), "few": partial(command, "-n", 20)}, rounds=9)
    detail = f"first line {found['first']:.0f} ms, -n 20 {found['few']:.0f} ms"
    what = f"runs list of {_many(data)} runs"
    yield Line(f"{what}, first line / -n 20", "disk", found["first"] / found["few"], 1.3, detail)
    few = float(command("-n", 20, "peak"))
    for option in ("", "--json"):
        peak = float(command(*filter(None, [option]), "peak"))
        detail = f"{peak:.0f} MB, -n 20 {few:.0f} MB"
        yield Line(f"{what} {option}, memory / -n 20".replace(" ,", ","), "disk", peak / few, 2.0, detail)


def _metrics(data: Dataset, base: Path, *, quick: bool) -> Iterator[Line]:
    """Measure the question about metrics, and the cost of metrics for the index."""
    yield from _first_open(data, base, " with metrics")
    lab, cache = _view(data, base, derived=True), base / "cache"
    ours = partial(run_fresh, _OURS_METRICS, lab, data.matching, MOLEXP_CACHE_DIR=cache)
    ours()  # makes the index
    found = time_fresh(
        {
            "molexp": ours,
            "bare": partial(run_fresh, _BARE_METRICS, data.bare, data.matching),
            "import": partial(run_fresh, "import molexp"),
            "nothing": partial(run_fresh, "pass"),
        },
        rounds=9 if quick else 21,
    )
    imported = found["import"] - found["nothing"]
    size = sum(path.stat().st_size for path in cache.rglob("*.sqlite3"))
    detail = f"molexp {found['molexp']:.0f} ms, interpreter + bare query {found['bare']:.1f} ms, import molexp "
    detail += f"{imported:.0f} ms; {data.matching} matches; index {size / 2**20:.0f} MB, 20 names a run"
    what = f"cold query of metrics of {_many(data)} runs / (5 x bare + import)"
    yield Line(what, "disk", found["molexp"] / (5 * found["bare"] + imported), 1.0, detail)


def _peers(data: Dataset, base: Path) -> Iterator[Line]:
    ours = partial(run_fresh, _OURS, base / "ours", data.matching, MOLEXP_CACHE_DIR=base / "cache")
    for name, code, where, times in (
        ("signac", _SIGNAC, data.signac and data.signac / "plain", 20),
        (
            "signac, cached",
            _SIGNAC,
            data.signac and data.signac / "cached",
            10,
        ),  # after `update_cache()`, which few call
        ("MLflow", _MLFLOW, data.mlflow, 5),
    ):
        if where is None:
            print(f"{name} is not installed: left out", file=sys.stderr)
            continue
        found = time_fresh({"ours": ours, "theirs": partial(run_fresh, code, where, data.matching)}, rounds=3)
        faster = found["theirs"] / found["ours"]
        detail = f"molexp {found['ours']:.0f} ms, {name} {found['theirs']:.0f} ms: {faster:.1f} x as long"
        yield Line(f"cold query of {_many(data)} runs, {times} x ours / {name}", "disk", times / faster, 1.0, detail)


def _many(data: Dataset) -> str:
    return f"{data.count:,}".replace(",", " ")
