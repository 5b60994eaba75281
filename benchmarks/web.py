"""Measure the pages of ``molexp ui``: the first one, the table of many runs, a curve of a million points, and what a browser loads."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import web_peers
from dataset import dataset_with_metrics
from measure import Line
from web_server import bare, compressed, serving

import molexp as me

QUERIES = (
    "sort=-metrics.loss.min",
    "sort=results.accuracy",
    "sort=params.lr",
    "q=" + quote("params.lr < 0.01 and results.loss == 3"),
    "q=" + quote("status == 'succeeded' and params.optimizer == 'adam'") + "&sort=-created_at",
)
POINTS = 1_000_000


def measure(*, quick: bool) -> Iterator[Line]:
    """Yield the lines of the report."""
    empty = statistics.median(bare() for _ in range(5))
    for count in (1000, 10_000 if quick else 100_000):
        lab = dataset_with_metrics(count).lab
        with serving(lab) as warming:  # compiles modules, and brings the index up to date
            warming.get("/w/workspace/runs")
        spent, peaks = [], []
        for _ in range(2 if quick else 5):
            with serving(lab) as server:
                status, page, _, _ = server.get("/w/workspace/runs")
                assert status == 200, page[:300]
                spent.append(server.cpu - empty)
                peaks.append(server.peak)
        detail = f"{len(page)} bytes, beside {empty:.0f} ms of a bare interpreter"
        yield Line(
            f"the first page of {count} runs in the browser", "", statistics.median(spent), 350, detail, unit=" ms"
        )
        yield Line(f"and its memory, {count} runs in the browser", "", statistics.median(peaks), 60, unit=" MB")
    yield from _table(lab, count)
    yield from _curve(quick)
    yield from _files()
    yield from web_peers.measure(quick=quick)


def _table(lab: Path, count: int) -> Iterator[Line]:
    with serving(lab) as server:
        server.get("/w/workspace/runs")
        worst, largest = {}, 0
        for query in QUERIES:
            times = []
            for limit in ("", "&columns=params.lr", "&columns=results.loss,params.lr"):  # no two answers are the same
                before = server.cpu
                status, page, etag, _ = server.get(f"/w/workspace/runs?{query}{limit}")
                assert status == 200, page[:300]
                times.append(server.cpu - before)
                largest = max(largest, len(page))
            worst[query] = statistics.median(times)
        slowest = max(worst, key=lambda query: worst[query])
        yield Line(f"a sort or filter of {count} runs in the browser", "", worst[slowest], 50, slowest, unit=" ms")
        yield Line("and the largest answer in the browser", "", largest / 1e3, 40, unit=" KB")
        status, body, _, head = server.get(f"/w/workspace/runs?{query}{limit}", etag)
        detail = f"status {status}"
        yield Line("a refresh with nothing new in the browser", "", (len(body) + head) / 1e3, 1, detail, unit=" KB")


def _curve(quick: bool) -> Iterator[Line]:
    points = POINTS // 10 if quick else POINTS
    with tempfile.TemporaryDirectory() as folder:
        lab = Path(folder, "workspace")
        with me.Workspace(lab).Project("p").Experiment("e").Run(id="long").start() as ctx:
            for step in range(points):
                ctx.metrics.log(step=step, loss=(step * 7919 % 1000) / (step + 1))
            ctx.metrics.flush()
            goes_on, body, _ = _first_and_second_look(lab)
        ended, body, again = _first_and_second_look(lab)
    detail = f"the second time {again:.0f} ms"
    yield Line(f"the first curve of {points} values in the browser", "", ended, 100, detail, unit=" ms")
    yield Line("and of a run that goes on in the browser", "", goes_on, 100, unit=" ms")
    yield Line("and its answer in the browser", "", len(body) / 1e3, 50, unit=" KB")


def _first_and_second_look(lab: Path) -> tuple[float, bytes, float]:
    """Return what the first and the second look at a curve cost a server that has just begun, and the first answer."""
    spent = []
    with serving(lab) as server:
        server.get("/w/workspace/")
        for more in ("", "&points=1000"):
            before = server.cpu
            status, body, _, _ = server.get(f"/api/v1/workspaces/workspace/metrics?run=p/e/long&name=loss{more}")
            assert status == 200, body[:300]
            spent.append(server.cpu - before)
    return spent[0], body, spent[1]


def _files() -> Iterator[Line]:
    sizes = compressed()
    structures = sum(size for name, size in sizes.items() if Path(name).name.startswith("3Dmol"))
    detail = f"{structures:.0f} KB of them only where a structure is shown"
    yield Line("scripts and styles, compressed, in the browser", "", sum(sizes.values()), 200, detail, unit=" KB")
