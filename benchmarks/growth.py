"""Measure what must not grow: how much a question, a refresh and a run cost at 1 000, 10 000 and 100 000 runs.

All figures are CPU milliseconds of one process that has opened the workspace. ``--million`` adds a dataset of a million runs,
which takes 40 GB on most file systems and an hour to make. Without it, the newest of a million are asked from an index whose
rows are copied until it has as many.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from dataset import EXPERIMENTS, PROJECT, cache_folder, lab_of
from measure import Line, run_fresh

SIZES = (1_000, 10_000, 100_000)
_MILLION = 1_000_000

_ASK = f"""
import json, os, statistics, sys, time
import molexp as me

ws = me.Workspace(sys.argv[1], storage_options={{"durability": "never"}})
exp = ws.project({PROJECT!r}).experiment("e0")
catalog = ws.catalog
spent = {{}}

def measure(name, work, before=lambda: None, rounds=15):
    times = []
    for _ in range(rounds):
        before()
        began = time.process_time()
        work()
        times.append((time.process_time() - began) * 1e3)
    spent[name] = statistics.median(times[1:] or times)

def track():
    with exp.Run({{"late": 1}}).start() as ctx:
        ctx.set_result("loss", 1)

def by_hand():
    folder = os.path.join(sys.argv[1], "projects", {PROJECT!r}, "experiments", "e0", "runs")
    for name in os.listdir(folder):
        os.stat(os.path.join(folder, name, "run.json"))
        os.path.exists(os.path.join(folder, name, "edits"))

measure("first open", lambda: catalog.runs(limit=1), rounds=1)
for _ in range(20):
    exp.Run({{"late": 0}}).start().finish("failed")
catalog.runs(limit=1)
if sys.argv[2] == "all":
    measure("a tracked run", track)
    measure("a refresh after one run", lambda: catalog.runs(status="cancelled"), before=track)
    measure("'id' in exp.runs", lambda: "none" in exp.runs)
    measure("exp.runs", lambda: len(exp.runs), rounds=3)
    measure("exp.runs by hand", by_hand, rounds=3)
    measure("one run by a parameter", lambda: catalog.runs("params.seed == 17"))
measure("no run", lambda: catalog.runs(status="cancelled"))
measure("limit=1", lambda: catalog.runs(limit=1))
measure("the newest 20", lambda: catalog.runs(limit=20, sort="-created_at"))
measure("status='failed'", lambda: catalog.runs(status="failed"))
print(json.dumps(spent))
"""

_FLAT = {  # these may grow by so much from the fewest runs to the most
    "a tracked run": 1.25,
    "a refresh after one run": 1.5,
    "'id' in exp.runs": 1.5,
    "one run by a parameter": 2.0,
    "limit=1": 1.5,
    "the newest 20": 1.5,
    "status='failed'": 1.5,
}
_NEWEST = ("limit=1", "the newest 20", "status='failed'")


def measure(*, quick: bool, million: bool = False) -> Iterator[Line]:
    """Yield the lines of the report; print the table on standard error."""
    sizes = SIZES[:-1] if quick else (*SIZES, _MILLION) if million else SIZES
    table: dict[int, Mapping[str, float]] = {}
    with tempfile.TemporaryDirectory(dir=cache_folder(), prefix="measuring-") as base:
        for count in sizes:
            lab, cache = Path(base, f"lab-{count}"), Path(base, f"cache-{count}")
            shutil.copytree(lab_of(count), lab, copy_function=os.link, ignore=shutil.ignore_patterns(".molexp"))
            table[count] = json.loads(run_fresh(_ASK, lab, "all", MOLEXP_CACHE_DIR=cache))
        _show(table)
        least, most = table[sizes[0]], table[sizes[-1]]
        for name, limit in _FLAT.items():
            detail = ", ".join(f"{row[name]:.2f} ms at {count}" for count, row in table.items())
            yield Line(f"{name}, at {sizes[-1]} / at {sizes[0]} runs", "disk", most[name] / least[name], limit, detail)
        ratio = most["exp.runs"] / most["exp.runs by hand"]
        detail = f"{most['exp.runs']:.0f} ms, {most['exp.runs by hand']:.0f} ms for {sizes[-1] // EXPERIMENTS} runs"
        yield Line("all of exp.runs / a look at each by hand", "disk", ratio, 3.0, detail)
        if sizes[-1] < _MILLION:
            _swell(cache, _MILLION)
            most = json.loads(run_fresh(_ASK, lab, "newest", MOLEXP_CACHE_DIR=cache))
        for name in _NEWEST:
            detail = f"a question without an answer {most['no run']:.2f} ms"
            yield Line(f"{name} of a million runs, warm", "disk", most[name], 5.0, detail, unit=" ms")


def _show(table: Mapping[int, Mapping[str, float]]) -> None:
    """Print how each figure grows."""
    print(f"{'CPU ms':<26}" + "".join(f"{count:>12}" for count in table), file=sys.stderr)
    for name in next(iter(table.values())):
        print(f"{name:<26}" + "".join(f"{row[name]:12.2f}" for row in table.values()), file=sys.stderr)


def _swell(cache: Path, count: int) -> None:
    """Copy rows of an index until it has so many; the copies are neither the newest nor the oldest, and no answer has them."""
    (path,) = cache.glob("*/*.sqlite3")  # those of a compaction that still goes on lie below
    with sqlite3.connect(path) as connection:
        names = [
            name for _, name, *_ in connection.execute("PRAGMA table_info(entities)") if name not in ("id", "path")
        ]
        columns = ", ".join(names)
        (between,) = connection.execute(
            "SELECT created_at FROM entities WHERE shown ORDER BY created_at LIMIT 1 OFFSET 100"
        ).fetchone()
        (there,) = connection.execute("SELECT count(*) FROM entities").fetchone()
        copied = columns.replace("created_at", f"'{between}'")
        for number in range(-(-(count - there) // there)):
            connection.execute(
                f"INSERT INTO entities (path, {columns}) SELECT path || '+{number}', {copied} FROM entities "
                "WHERE shown AND status = 'succeeded' AND path NOT LIKE '%+%'"
            )
    connection.close()
    os.utime(path, (1_000_000_000, 1_000_000_000))  # as MolExp marks an index that it has written to
