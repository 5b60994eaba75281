"""An S3 server to measure on, the contenders' workspaces there, and turns that tell wall time and CPU."""

from __future__ import annotations

import http.client
import json
import os
import statistics
import sys
import tempfile
import time
import urllib.parse
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
from measure import folders
from s3_peers import plugins

import molexp as me
from molexp.contracts import Store
from molexp.plugins import PluginManager

SCHEMES = {"molexp": "s3", "boto3": "boto3", "s3fs": "s3fs"}
"""The contenders, ours first."""

LINES = [f"step {number}: loss={1 / (number + 1):.6f}" for number in range(10)]


@attrs.frozen
class Stage:
    """A server that runs, and a folder for what is local."""

    server: Any
    folder: Path
    plugins: PluginManager

    @property
    def where(self) -> str:
        """The server's program."""
        return str(self.server.kind)

    def urls(self, bucket: Any) -> dict[str, str]:
        """Return the same place for each contender."""
        return {name: f"{scheme}://{bucket.name}/{bucket.prefix}" for name, scheme in SCHEMES.items()}

    def fresh(self, label: str) -> dict[str, tuple[str, dict[str, Any]]]:
        """Return a place for each contender, with its ``storage_options``."""
        buckets = {name: self.server.fresh(f"{label}-{name}") for name in SCHEMES}
        return {name: (self.urls(bucket)[name], bucket.storage_options) for name, bucket in buckets.items()}

    def stores(self, label: str) -> dict[str, Store]:
        """Open a store for each contender."""
        return {
            name: self.plugins.storage_backend(SCHEMES[name]).open(url, options)
            for name, (url, options) in self.fresh(label).items()
        }

    def experiment(self, url: str, options: Mapping[str, Any]) -> me.Experiment:
        """Return an experiment that has had a run, so that its store has learnt all it needs."""
        ws = me.Workspace(url, storage_options=options, plugins=self.plugins)
        experiment = ws.Project("metals").Experiment("cu", params={"a": 3.6})
        track(experiment, -1)
        return experiment

    def arguments(self, url: str, options: Mapping[str, Any]) -> tuple[str, ...]:
        """Return the environment for a fresh process that begins with `OPEN`."""
        return str(Path(__file__).parent), url, json.dumps(options), str(self.folder / "plugins")


OPEN = """
import json, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from s3_peers import plugins
import molexp
ws = molexp.Workspace(
    sys.argv[2], storage_options=json.loads(sys.argv[3]), read_only=READ_ONLY, plugins=plugins(Path(sys.argv[4]))
)
"""


def track(experiment: me.Experiment, number: int) -> None:
    """Track a run with one result, one artifact and ten log lines."""
    with experiment.Run({"scale": number}).start() as ctx:
        ctx.set_result("energy", -3.72)
        ctx.artifact.save("volumes.json", {"volumes": [11.2, 11.8, 12.1], "unit": "angstrom^3"})
        log = ctx.log("relax")
        for line in LINES:
            log.append(line)


@contextmanager
def stage() -> Iterator[Stage]:
    """Start Ceph's gateway, or moto where that is not installed."""
    root = Path(__file__).resolve().parent.parent
    if str(root) not in sys.path:
        sys.path.append(str(root))
    from tests.servers import keeper

    why = keeper.KINDS["ceph"].missing()
    if why:
        print(f"moto instead of Ceph, and most of the time is its own: {why}", file=sys.stderr)
    where = folders().get("tmpfs", folders()["disk"])
    with tempfile.TemporaryDirectory(dir=where, prefix="molexp-bench-", ignore_cleanup_errors=True) as base:
        folder = Path(base)
        local = {"MOLEXP_CACHE_DIR": str(folder / "cache"), "MOLEXP_SPOOL_DIR": str(folder / "spool")}
        before = {name: os.environ.get(name) for name in local}
        os.environ.update(local)
        try:
            server = keeper.shared("moto" if why else "ceph", folder / "servers", os.getpid())
            yield Stage(server, folder, plugins(folder / "plugins"))
        finally:
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value


# ------------------------------------------------------------------------------------------------------------- turns


@attrs.frozen
class Spent:
    """Medians for one unit of work."""

    micros: float
    cpu: float  # microseconds, all threads


def turns(contenders: Mapping[str, Callable[[int], object]], *, count: int, rounds: int) -> dict[str, Spent]:
    """Let contenders take turns, `count` units each, and tell them the round. The first round warms up and does not count."""
    spent: dict[str, list[tuple[float, float]]] = {name: [] for name in contenders}
    for number in range(rounds + 1):
        for name, work in contenders.items():
            cpu, began = time.process_time(), time.perf_counter()
            work(number)
            took = time.perf_counter() - began, time.process_time() - cpu
            if number:
                spent[name].append((took[0] / count * 1e6, took[1] / count * 1e6))
    return {
        name: Spent(statistics.median(one[0] for one in times), statistics.median(one[1] for one in times))
        for name, times in spent.items()
    }


class BarePuts:
    """PUTs over one connection that is kept, of URLs that were signed before: the least that a request takes."""

    def __init__(self, server: Any, label: str) -> None:
        self._bucket = server.fresh(label)
        self._client = server.client
        parts = urllib.parse.urlsplit(server.url)
        assert parts.hostname is not None
        self._connection = http.client.HTTPConnection(parts.hostname, parts.port or 80)
        self._number = 0
        self._signed: list[str] = []

    def sign(self, count: int) -> None:
        """Make URLs for the next `count` objects."""
        for _ in range(count):
            self._number += 1
            at = {"Bucket": self._bucket.name, "Key": f"{self._bucket.prefix}/{self._number:06}"}
            url = urllib.parse.urlsplit(self._client.generate_presigned_url("put_object", Params=at))
            self._signed.append(f"{url.path}?{url.query}")

    def put(self, size: int) -> float:
        """Put one object; the seconds that it took."""
        target = self._signed.pop()
        began = time.perf_counter()
        self._connection.request("PUT", target, body=b"x" * size)
        answer = self._connection.getresponse()
        answer.read()
        took = time.perf_counter() - began
        if answer.status != 200:
            raise SystemExit(f"{answer.status} {answer.reason}: a bare PUT is not what the server wants")
        return took

    def close(self) -> None:
        """End the connection."""
        self._connection.close()


def median_of(puts: BarePuts, sizes: Sequence[int], times: int) -> float:
    """Return the median time of one of these PUTs, in seconds."""
    puts.sign(len(sizes) * times)
    return statistics.median(puts.put(size) for _ in range(times) for size in sizes)
