"""Servers of pages that we compare with, over the same runs: datasette, trackio and TensorBoard.

They are installed in an environment of their own, whose folder of programs `PEERS` names; each is optional. Trackio and
TensorBoard get the runs by their own writers, executed by the Python of that environment. Datasette shows the table of
SQLite that the other benchmarks have, too.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path

import attrs
from dataset import all_values, dataset_with_metrics, make_part, points_of
from measure import Line
from web_server import Server, bare, compressed, plain, serving

PEERS = "MOLEXP_BENCH_WEB_PEERS"
"""The variable with the folder of programs of an environment in which peers are installed."""

RUNS = 1000

WRITE_TRACKIO = """
import json, sys
import trackio
for line in sys.stdin:
    run = json.loads(line)
    trackio.init(
        project="sweep", name=run["id"], config=run["parameters"], embed=False, auto_log_gpu=False, auto_log_cpu=False
    )
    for step, point in enumerate(run["points"]):
        trackio.log(point, step=step)
    trackio.log(run["results"])
    trackio.finish()
"""

WRITE_TENSORBOARD = """
import json, sys
from tensorboard.summary import Writer
for line in sys.stdin:
    run = json.loads(line)
    writer = Writer(f"{sys.argv[1]}/{run['id']}")
    for step, point in enumerate(run["points"]):
        for name, value in point.items():
            writer.add_scalar(name, value, step)
    for name, value in {**run["parameters"], **run["results"]}.items():
        if not isinstance(value, str):
            writer.add_scalar(f"run/{name}", value, 0)
    writer.close()
"""


@attrs.frozen
class Peer:
    """One that we compare with.

    Attributes:
        name: the name of its program, and of its distribution.
        arguments: those that make it serve a place, at any free port.
        first_page: asks for what its first page needs before it shows runs, and returns how many runs it heard of.
        front_end: patterns of the files that a browser may load, in its package.
        write: the program that writes runs, or "" if it shows the table of SQLite.
    """

    name: str
    arguments: Callable[[Path], list[str]]
    first_page: Callable[[Server], int]
    front_end: tuple[str, ...]
    write: str = ""


def _datasette_page(server: Server) -> int:
    status, page, _, _ = server.get("/runs/runs")
    assert status == 200, page[:300]
    return RUNS if f"{RUNS:,} rows".encode() in plain(page) else 0


def _trackio_page(server: Server) -> int:
    """Ask for the page, and for the runs that it lists and selects; their curves, which it asks for next, do not count."""
    server.get("/")
    (project,) = server.ask("/api/get_all_projects", {})["data"]
    server.ask("/api/get_run_configs", {"project": project})
    return len(server.ask("/api/get_runs_for_project", {"project": project})["data"])


def _tensorboard_page(server: Server) -> int:
    """Ask for the page, and for the names of runs until all are loaded, then for their tags; curves do not count."""
    server.get("/")
    found, deadline = 0, time.monotonic() + 300
    while found < RUNS and time.monotonic() < deadline:
        found = len(json.loads(plain(server.get("/data/runs")[1])))
        time.sleep(0.2)  # the page itself asks every thirty seconds
    server.get("/data/plugin/timeseries/tags")
    return found


KNOWN = (
    Peer("datasette", lambda place: ["serve", str(place), "--port", "0"], _datasette_page, ("static/**/*",)),
    Peer("trackio", lambda _: ["show", "--project", "sweep"], _trackio_page, ("frontend/dist/**/*",), WRITE_TRACKIO),
    Peer(
        "tensorboard",
        lambda place: ["--logdir", str(place), "--port", "0"],
        _tensorboard_page,
        ("webfiles.zip", "plugins/projector/tf_projector_plugin/*"),
        WRITE_TENSORBOARD,
    ),
)


def measure(*, quick: bool) -> Iterator[Line]:
    """Yield our first page of 1 000 runs against the best of the peers: computing, memory, and what a browser may load."""
    programs = Path(os.environ.get(PEERS, "/nowhere"))
    there = [one for one in KNOWN if shutil.which(programs / one.name)]
    for one in KNOWN:
        if one not in there:
            print(f"{one.name} is not compared with: {PEERS} names no folder with its program", file=sys.stderr)
    if not there:
        return
    data = dataset_with_metrics(RUNS)
    places = {one.name: _written(one, programs, data.lab.parent.parent) if one.write else data.bare for one in there}
    empty = statistics.median(bare() for _ in range(5))
    spent: dict[str, list[float]] = {}
    peaks: dict[str, list[float]] = {}
    for number in range(2 if quick else 4):
        with serving(data.lab) as own:
            own.get("/w/workspace/runs")
            _note(number, "molexp", own, empty, spent, peaks)
        for one in there:
            with _shown(one, programs, places[one.name]) as server:
                found = one.first_page(server)
                assert found == RUNS, f"{one.name} told of {found} runs"
                _note(number, one.name, server, empty, spent, peaks)
    yield _against("the first page of 1000 runs in the browser", spent, " ms")
    yield _against("and its memory", peaks, " MB")
    yield _against("and the front end that is shipped", _front_ends(there, programs), " KB", beside=("datasette",))


def _note(
    number: int, name: str, server: Server, empty: float, spent: dict[str, list[float]], peaks: dict[str, list[float]]
) -> None:
    if number:  # the first round warms up
        spent.setdefault(name, []).append(server.cpu - empty)
        peaks.setdefault(name, []).append(server.peak)


def _against(what: str, found: dict[str, list[float]], unit: str, beside: tuple[str, ...] = ()) -> Line:
    """Return a line about the best of the peers, but those `beside`: their front end draws neither curves nor atoms."""
    figures = {name: statistics.median(some) for name, some in found.items()}
    ours = figures.pop("molexp")
    best = min([name for name in figures if name not in beside] or figures, key=lambda name: figures[name])
    detail = ", ".join(f"{name} {figure:.0f}{unit}" for name, figure in figures.items())
    detail += "".join(f" ({name} draws no curves)" for name in beside if name in figures)
    return Line(f"{what} / the best of peers", "", ours / figures[best], 1, f"ours {ours:.0f}{unit}, {detail}")


def _written(peer: Peer, programs: Path, base: Path) -> Path:
    """Return the place with the runs, written by the peer's own writer if they are not there."""
    version = _told(programs, f"from importlib.metadata import version; print(version({peer.name!r}))")
    name = f"{peer.name}-{version}"

    def write(folder: Path) -> None:
        runs = (
            json.dumps(
                {
                    "id": f"run-{number}",
                    "parameters": values.parameters,
                    "results": values.results,
                    "points": [*points_of(number)],
                }
            )
            for number, values in enumerate(all_values(RUNS))
        )
        subprocess.run(
            [programs / "python", "-c", peer.write, folder],
            input="\n".join(runs),
            env=_environment(folder),
            stdout=subprocess.DEVNULL,
            text=True,
            check=True,
        )

    make_part(base / name, RUNS, write)
    return base / name


def _environment(place: Path) -> dict[str, str]:
    """Return an environment in which nothing calls home, and no browser is opened."""
    return {**os.environ, "TRACKIO_DIR": str(place), "HF_HUB_OFFLINE": "1", "BROWSER": "true", "PYTHONUNBUFFERED": "1"}


@contextmanager
def _shown(peer: Peer, programs: Path, place: Path) -> Iterator[Server]:
    command = [str(programs / peer.name), *peer.arguments(place)]
    process = subprocess.Popen(
        command, env=_environment(place), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        assert process.stdout is not None
        addresses = (re.search(r"http://(?:127\.0\.0\.1|localhost):(\d+)", line) for line in process.stdout)
        port = next(int(found[1]) for found in addresses if found is not None)
        yield Server(process, port)
    finally:
        process.terminate()
        process.communicate()


def _front_ends(there: list[Peer], programs: Path) -> dict[str, list[float]]:
    found = {"molexp": [sum(compressed().values())]}
    for one in there:
        package = Path(_told(programs, f"import importlib.util as u; print(u.find_spec({one.name!r}).origin)")).parent
        files = chain.from_iterable(package.glob(pattern) for pattern in one.front_end)
        found[one.name] = [sum(compressed(files).values())]
    return found


def _told(programs: Path, code: str) -> str:
    return subprocess.run(
        [programs / "python", "-c", code], check=True, stdout=subprocess.PIPE, text=True
    ).stdout.strip()
