"""Compare this checkout with another one: ``uv run --group bench python benchmarks/versions.py CHECKOUT``.

Each row is one piece of work through public names. Both versions do it in fresh processes, in turn, so that a slow moment
of the machine hits both. The figure is the median over the rounds of the ratio between neighbours. CHECKOUT needs an
environment: run ``uv sync`` there. Prints one line a row and exits 1 if one is over the limit.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import attrs
from measure import Line, folders

LIMIT = 1.03

_TIMED = """
import sys, time, statistics
from pathlib import Path
import molexp as me
folder, count = Path(sys.argv[1]), int(sys.argv[2])
def each(work, warm=20):
    for number in range(warm):
        work(-1 - number)
    spent = []
    for number in range(count):
        began = time.perf_counter()
        work(number)
        spent.append(time.perf_counter() - began)
    print(statistics.median(spent) * 1e6)
def once(work, units=1):
    began = time.perf_counter()
    work()
    print((time.perf_counter() - began) / units * 1e6)
"""

_TRACK = (
    _TIMED
    + """
ws = me.Workspace(folder / "lab", storage_options={"durability": DURABILITY})
exp = ws.Project("metals").Experiment("cu", params={"a": 3.6})
def track(number):
    with exp.Run({"scale": number}).start() as ctx:
        ctx.set_result("energy", -3.72)
        ctx.artifact.save("volumes.json", {"volumes": [11.2, 11.8], "unit": "A^3"})
        log = ctx.log("relax")
        for line in range(10):
            log.append(f"step {line}")
each(track)
"""
)

_POINTS = (
    _TIMED
    + """
exp = me.Workspace(folder / "lab", storage_options={"durability": "never"}).Project("metals").Experiment("cu")
with exp.Run().start() as ctx:
    ctx.metrics.log(step=-1, loss=1.0)
    once(lambda: [ctx.metrics.log(step=step, loss=1 / (step + 1)) for step in range(count)], count)
"""
)

_WORKFLOW = (
    _TIMED
    + """
import molexp.workflow as mw
builder = mw.WorkflowBuilder("bench")
for number in range(count):
    @builder.task(name=f"t{number}", depends_on=[f"t{number - 1}"] if number else [])
    async def task(ctx):
        return len(ctx.upstream)
workflow = builder.build()
run = UNDER
once(lambda: workflow.execute_sync(run=run, check=True), count)
"""
)

_UNDER_A_RUN = 'me.Workspace(folder / "lab").Project("bench").Experiment("bench").Run()'

_MAKE = (
    _TIMED
    + """
exp = me.Workspace(folder / "lab", storage_options={"durability": "never"}).Project("metals").Experiment("cu")
for number in range(count):
    with exp.Run({"lr": number % 97 / 1000}).start() as ctx:
        ctx.set_result("loss", number % 7)
"""
)

_ASK = """
catalog = me.Workspace(folder / "lab").catalog
def ask(number=0):
    for row in catalog.runs("params.lr < 0.01 and results.loss = 3"):
        row.id, row.results["loss"]
"""


@attrs.frozen
class Row:
    """One piece of work.

    Attributes:
        what: name of the row.
        code: code for a fresh interpreter. It gets a folder and a count, and prints microseconds. Without a print, its
            CPU time counts.
        count: number of units.
        where: the kind of file system.
        data: True for the folder with runs to query, with an index of each version.
        rounds: number of repetitions by each version.
    """

    what: str
    code: str
    count: int = 1
    where: str = "disk"
    data: bool = False
    rounds: int = 9


def rows(where: Mapping[str, Path]) -> Iterator[Row]:
    """Yield the rows of the report."""
    yield Row("import molexp (CPU)", "import molexp", rounds=25)
    yield Row(
        "molexp --help (CPU)",
        "import runpy, sys; sys.argv[1:] = ['--help']; runpy.run_module('molexp_cli', run_name='__main__')",
        rounds=15,
    )
    for place in where:
        for durability in ("never", "end"):
            code = _TRACK.replace("DURABILITY", repr(durability))
            yield Row(f"tracked run, durability {durability!r}", code, 400, place, rounds=15)
    yield Row("metric point", _POINTS, 100_000, rounds=5)
    yield Row("task of a chain, in memory", _WORKFLOW.replace("UNDER", "None"), 1000)
    yield Row("task of a chain, under a run", _WORKFLOW.replace("UNDER", _UNDER_A_RUN), 200)
    opening = _TIMED + "once(lambda: len(me.Workspace(folder / 'lab').catalog.runs()))"
    yield Row("first open of 5 000 runs", opening, data=True, rounds=5)
    yield Row("cold query of 5 000 runs", _TIMED + _ASK + "once(ask)", data=True, rounds=15)
    yield Row("warm query of 5 000 runs", _TIMED + _ASK + "each(ask)", 50, data=True)


class Version:
    """One checkout, with its interpreter."""

    def __init__(self, checkout: Path) -> None:
        folder = "Scripts" if os.name == "nt" else "bin"
        self.python = checkout / ".venv" / folder / "python"
        if not self.python.exists():
            raise SystemExit(f"{checkout} has no environment: run `uv sync` there.")

    def cost(self, code: str, folder: Path, count: int, cache: Path) -> float:
        """Return what `code` prints, or its CPU microseconds if it prints no number."""
        kept = {
            name: value for name, value in os.environ.items() if name not in ("PYTHONDONTWRITEBYTECODE", "PYTHONPATH")
        }
        kept |= {"MOLEXP_CACHE_DIR": str(cache)}
        before = os.times()
        command = [str(self.python), "-c", code, str(folder), str(count)]
        printed = subprocess.run(command, check=True, env=kept, stdout=subprocess.PIPE, text=True, cwd=folder).stdout
        after = os.times()
        try:
            return float(printed)
        except ValueError:
            return (after.children_user + after.children_system - before.children_user - before.children_system) * 1e6


def compare(row: Row, versions: Mapping[str, Version], base: Path, data: Path) -> Line:
    """Measure one row."""
    ratios: list[float] = []
    costs: dict[str, list[float]] = {name: [] for name in versions}
    for number in range(row.rounds + 1):
        for name in [*versions][:: 1 if number % 2 else -1]:
            folder = base / f"{name}-{number}"
            folder.mkdir(parents=True)
            # An index of its own for each version, which the first round makes; a first open has none yet.
            cache = folder / "cache" if "first" in row.what else base / f"{name}-cache"
            cost = versions[name].cost(row.code, data if row.data else folder, row.count, cache)
            if number:
                costs[name].append(cost)
        if number:
            ratios.append(costs["ours"][-1] / costs["theirs"][-1])
    detail = ", ".join(f"{name} {statistics.median(found):.1f} us" for name, found in costs.items())
    quarters = statistics.quantiles(ratios, n=4)
    detail += f"; half of {len(ratios)} pairs between {quarters[0]:.2f} and {quarters[2]:.2f}"
    return Line(row.what, row.where, statistics.median(ratios), LIMIT, detail)


def main() -> int:
    """Compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkout", type=Path, help="the other checkout")
    parser.add_argument("--only", default="", help="only rows whose name contains this")
    arguments = parser.parse_args()
    versions = {"theirs": Version(arguments.checkout.absolute()), "ours": Version(Path(__file__).absolute().parents[1])}
    places = folders()
    over = False
    with tempfile.TemporaryDirectory(dir=places["disk"], prefix="molexp-versions-") as data:
        made = False
        for row in rows(places):
            if arguments.only not in row.what:
                continue
            if row.data and not made:
                versions["theirs"].cost(_MAKE, Path(data), 5000, Path(data, "cache"))
                made = True
            with tempfile.TemporaryDirectory(dir=places[row.where], prefix="molexp-versions-") as base:
                line = compare(row, versions, Path(base), Path(data))
            print(line, flush=True)
            over = over or line.ratio > line.limit
    return int(over)


if __name__ == "__main__":
    sys.exit(main())
