"""Measure the pages of ``molexp ui``: the first one, the table of many runs, a curve of a million points, and what a browser loads."""

from __future__ import annotations

import gzip
import http.client
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

import attrs
from dataset import dataset_with_metrics
from measure import Line

import molexp as me
import molexp_web

PEERS = "MOLEXP_BENCH_WEB_PEERS"
"""The variable with the folder of programs of an environment in which datasette is installed."""

SERVE = "import sys; from molexp_cli._main import run; sys.exit(run(['ui', '--port', '0', '-w', sys.argv[1]]))"
WAIT = "import time; print(flush=True); time.sleep(60)"
QUERIES = (
    "sort=-metrics.loss.min",
    "sort=results.accuracy",
    "sort=params.lr",
    "q=" + quote("params.lr < 0.01 and results.loss == 3"),
    "q=" + quote("status == 'succeeded' and params.optimizer == 'adam'") + "&sort=-created_at",
)
POINTS = 1_000_000


@attrs.frozen
class Server:
    """A process that serves pages."""

    process: subprocess.Popen[str]
    port: int
    token: str = ""

    def get(self, path: str, etag: str = "") -> tuple[int, bytes, str, int]:
        """Return status, bytes as they are sent, ETag, and the bytes of status line and headers."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=300)
        headers = {"Accept-Encoding": "gzip", "Authorization": f"Bearer {self.token}", "If-None-Match": etag}
        connection.request("GET", path, headers={name: value for name, value in headers.items() if value})
        answer = connection.getresponse()
        body = answer.read()
        head = sum(len(name) + len(value) + 4 for name, value in answer.getheaders()) + 20
        connection.close()
        return answer.status, body, answer.getheader("etag") or "", head

    @property
    def cpu(self) -> float:
        """Milliseconds that the process has computed."""
        tasks = Path(f"/proc/{self.process.pid}/task").glob("*/schedstat")
        return sum(int(one.read_text().split()[0]) for one in tasks) / 1e6

    @property
    def peak(self) -> float:
        """Peak resident megabytes."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) / 1024


@contextmanager
def serving(lab: Path) -> Iterator[Server]:
    """Serve the pages of a workspace."""
    process = subprocess.Popen([sys.executable, "-c", SERVE, str(lab)], stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        address = urlsplit(process.stderr.readline().removeprefix("Listening on ").strip())
        assert address.port is not None
        yield Server(process, address.port, parse_qs(address.query)["token"][0])
    finally:
        process.terminate()
        process.communicate()


def bare() -> float:
    """CPU milliseconds of an interpreter that does nothing."""
    process = subprocess.Popen([sys.executable, "-c", WAIT], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.readline()
    spent = Server(process, 0).cpu
    process.kill()
    process.communicate()
    return spent


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
    yield from _datasette(empty)


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
        with serving(lab) as server:
            server.get("/w/workspace/")
            before = server.cpu
            status, body, _, _ = server.get("/api/v1/workspaces/workspace/metrics?run=p/e/long&name=loss")
            assert status == 200, body[:300]
            first = server.cpu - before
            before = server.cpu
            server.get("/api/v1/workspaces/workspace/metrics?run=p/e/long&name=loss&points=1000")
            again = server.cpu - before
    yield Line(
        f"a curve of {points} values in the browser", "", again, 100, f"the first time {first:.0f} ms", unit=" ms"
    )
    yield Line("and its answer in the browser", "", len(body) / 1e3, 50, unit=" KB")


def _files() -> Iterator[Line]:
    static = Path(molexp_web.__file__).parent / "static"
    sizes = {
        one.name: len(gzip.compress(one.read_bytes(), 9)) / 1e3
        for one in static.rglob("*")
        if one.suffix in (".js", ".css")
    }
    structures = sum(size for name, size in sizes.items() if name.startswith("3Dmol"))
    detail = f"{structures:.0f} KB of them only where a structure is shown"
    yield Line("scripts and styles, compressed, in the browser", "", sum(sizes.values()), 200, detail, unit=" KB")


def _datasette(empty: float) -> Iterator[Line]:
    """Measure the first page of datasette over an SQLite table of 1 000 runs: ours must not cost more."""
    program = Path(os.environ.get(PEERS, ""), "datasette")
    if not os.environ.get(PEERS) or not shutil.which(program):
        return
    table = dataset_with_metrics(1000).bare
    command = [str(program), "serve", str(table), "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        port = next(int(line.rpartition(":")[2].split()[0]) for line in process.stderr if "running on http" in line)
        server = Server(process, port)
        status, page, _, _ = server.get("/runs/runs")
        assert status == 200, page[:300]
        theirs = server.cpu - empty
        with serving(dataset_with_metrics(1000).lab) as own:
            own.get("/w/workspace/runs")
            ours = own.cpu - empty
        detail = f"theirs {theirs:.0f} ms and {server.peak:.0f} MB"
        yield Line("the first page in the browser / datasette", "", ours / theirs, 1, detail)
    finally:
        process.terminate()
        process.communicate()
