"""Compare the S3 store with the same store over boto3 and s3fs, and with bare requests to the same server.

The server is Ceph's gateway on this machine, which competes with us for its cores: ratios say less than they would over
a network, whose time is the same for all. Only the lines with 50 ms look over one.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial

from measure import Line, run_fresh, time_fresh
from s3_stage import LINES, OPEN, SCHEMES, BarePuts, Spent, Stage, median_of, stage, track, turns

from molexp.contracts import Store

PEERS = [name for name in SCHEMES if name != "molexp"]
SMALL = b"x" * 600  # about the size of a run's document
LARGE = 64 << 20
DELAY = 0.05
GENERATIONS = 7  # hint; is it there; run.json; claim; payloads; end; run.json and the last segment

_ROWS = (
    OPEN.replace("READ_ONLY", "True")  # or a reader might compact what the next one is to find as it was
    + """
import os
rows = ws.catalog.runs()
assert len(rows) == int(sys.argv[5]), len(rows)
os._exit(0)  # the answer is there
"""
)

_COMPACT = OPEN.replace("READ_ONLY", "False") + "ws.catalog.compact()"

_IMPORT = {
    "molexp": "from obstore.store import S3Store",
    "boto3": "import boto3",
    "s3fs": "import s3fs",
}

_READY = """
import json, sys
sys.path.insert(0, sys.argv[1])
import molexp.contracts, molexp.errors, molexp.plugins, concurrent.futures
from molexp_s3_store import S3Store
from s3_peers import BotoStore, S3fsStore
import time
began = time.perf_counter()
store = {"s3": S3Store, "boto3": BotoStore, "s3fs": S3fsStore}[sys.argv[2].partition(":")[0]]
store.open(sys.argv[2], json.loads(sys.argv[3])).write("k", b"x")
print(time.perf_counter() - began)
"""


def measure(*, quick: bool) -> Iterator[Line]:
    """Yield the lines of the report."""
    with stage() as here:
        yield from _start_up(here, rounds=5 if quick else 11)
        yield from _documents(here, count=50 if quick else 100, rounds=5 if quick else 11)
        yield from _lists(here, count=10_000, rounds=2 if quick else 5)
        yield from _payloads(here, rounds=2 if quick else 5)
        yield from _runs(here, count=10 if quick else 25, rounds=5 if quick else 11)
        yield from _catalog(here, runs=200 if quick else 1000, rounds=(2, 3 if quick else 7))
        yield from _network(here, runs=20 if quick else 100)


def _against(
    what: str, where: str, found: Mapping[str, float], limits: Mapping[str, float], detail: str
) -> Iterator[Line]:
    """Yield a line for each peer."""
    for name in PEERS:
        yield Line(f"{what} / {name}", where, found["molexp"] / found[name], limits[name], detail)


def _wall(found: Mapping[str, Spent]) -> dict[str, float]:
    return {name: spent.micros for name, spent in found.items()}


def _cpu(found: Mapping[str, Spent]) -> dict[str, float]:
    return {name: spent.cpu for name, spent in found.items()}


def _told(found: Mapping[str, float], unit: str, by: float = 1.0) -> str:
    return ", ".join(
        f"{name} {value / by:.{2 if value < 10 * by else 0}f} {unit}".rstrip() for name, value in found.items()
    )


# ------------------------------------------------------------------------------------------------------------ clients


def _start_up(here: Stage, *, rounds: int) -> Iterator[Line]:
    found = time_fresh(
        {"nothing": partial(run_fresh, "pass"), **{name: partial(run_fresh, code) for name, code in _IMPORT.items()}},
        rounds=rounds,
    )
    imported = {name: found[name] - found["nothing"] for name in SCHEMES}
    detail = _told({"obstore" if name == "molexp" else name: took for name, took in imported.items()}, "ms")
    yield from _against("import of the client", "", imported, {"boto3": 0.5, "s3fs": 0.2}, detail)

    places = here.fresh("ready")
    spent: dict[str, list[float]] = {name: [] for name in SCHEMES}
    for number in range(rounds + 1):
        for name, place in places.items():
            took = float(run_fresh(_READY, *here.arguments(*place))) * 1e3
            if number:
                spent[name].append(took)
    ready = {name: statistics.median(times) for name, times in spent.items()}
    limits = {"boto3": 0.5, "s3fs": 0.3}
    yield from _against("first request, with imports", here.where, ready, limits, _told(ready, "ms"))


def _documents(here: Stage, *, count: int, rounds: int) -> Iterator[Line]:
    stores = here.stores("documents")
    bare = BarePuts(here.server, "bare")
    bare.sign(count * (rounds + 1))

    def create(store: Store, number: int) -> None:
        for key in range(count):
            store.create(f"{number}/{key}", SMALL)

    def read(store: Store, number: int) -> None:
        for key in range(count):
            store.read(f"{number}/{key}")

    def spread(store: Store, number: int) -> None:
        store.each(lambda key: store.create(f"spread/{number}/{key}", SMALL), range(count))

    def put(_number: int) -> None:
        for _ in range(count):
            bare.put(len(SMALL))

    for what, work, limit in (
        ("small PUT, exclusive", create, 1.0),
        ("small GET", read, 0.8),
        ("small PUTs by 16 threads", spread, 0.9),
    ):
        contenders: dict[str, Callable[[int], object]] = {name: partial(work, store) for name, store in stores.items()}
        found = turns(contenders | ({"http.client": put} if work is create else {}), count=count, rounds=rounds)
        wall, cpu = _wall(found), _cpu(found)
        yield from _against(what, here.where, wall, dict.fromkeys(PEERS, limit), _told(wall, "us"))
        detail = f"CPU s for 1 000: {_told(cpu, '', 1e3)}"
        yield from _against(f"{what}, CPU", here.where, cpu, dict.fromkeys(PEERS, 0.5), detail)
        if work is create:
            ratio = wall["molexp"] / wall["http.client"]
            yield Line(f"{what} / a bare one", here.where, ratio, 1.5, _told(wall, "us"))
    bare.close()


def _lists(here: Stage, *, count: int, rounds: int) -> Iterator[Line]:
    bucket = here.server.fresh("many")
    stores = {
        name: here.plugins.storage_backend(SCHEMES[name]).open(url, bucket.storage_options)
        for name, url in here.urls(bucket).items()
    }
    ours = stores["molexp"]
    ours.each(lambda key: ours.write(f"many/{key:06}", b"x"), range(count))

    def look(store: Store, _number: int) -> None:
        if (found := sum(1 for _ in store.list("many"))) != count:
            raise SystemExit(f"{found} of {count} keys are listed")

    found = turns({name: partial(look, store) for name, store in stores.items()}, count=1, rounds=rounds)
    what = f"LIST of {count:,} keys".replace(",", " ")
    yield from _against(what, here.where, _wall(found), dict.fromkeys(PEERS, 0.9), _told(_wall(found), "ms", 1e3))
    detail = _told(_cpu(found), "CPU ms", 1e3)
    yield from _against(f"{what}, CPU", here.where, _cpu(found), dict.fromkeys(PEERS, 0.5), detail)


def _payloads(here: Stage, *, rounds: int) -> Iterator[Line]:
    source, copy = here.folder / "source", here.folder / "copy"
    source.write_bytes(bytes(LARGE))
    stores = here.stores("payloads")

    def up(store: Store, _number: int) -> None:
        store.put_file(source, "large")

    def down(store: Store, _number: int) -> None:
        copy.unlink(missing_ok=True)
        store.get_file("large", copy)

    for what, work in (("64 MiB up", up), ("64 MiB down", down)):
        found = turns({name: partial(work, store) for name, store in stores.items()}, count=1, rounds=rounds)
        detail = _told(_wall(found), "ms", 1e3) + "; " + _told(_cpu(found), "CPU ms", 1e3)
        yield from _against(what, here.where, _wall(found), dict.fromkeys(PEERS, 1.25), detail)
    if copy.stat().st_size != LARGE:
        raise SystemExit("what came down is not what went up")
    for path in (source, copy):
        path.unlink()
    for store in stores.values():
        store.delete("large")


# --------------------------------------------------------------------------------------------------------------- runs


def _runs(here: Stage, *, count: int, rounds: int) -> Iterator[Line]:
    places = here.fresh("runs")
    experiments = {name: here.experiment(*place) for name, place in places.items()}
    sizes = _sizes(here)
    bare = BarePuts(here.server, "bare")
    once: list[float] = []

    def puts(_number: int) -> None:
        once.append(median_of(bare, sizes, count))

    def runs(name: str, number: int) -> None:
        for one in range(count):
            track(experiments[name], number * count + one)

    found = turns({**{name: partial(runs, name) for name in SCHEMES}, "bare": puts}, count=count, rounds=rounds)
    bare.close()
    wall, cpu = _wall(found), _cpu(found)
    ours = {name: wall[name] for name in SCHEMES}
    detail = f"{_told(ours, 'ms', 1e3)}; {_told({name: cpu[name] for name in SCHEMES}, 'CPU ms', 1e3)}"
    yield from _against("tracked run", here.where, wall, dict.fromkeys(PEERS, 0.9), detail)
    yield from _against("tracked run, CPU", here.where, cpu, dict.fromkeys(PEERS, 0.5), detail)
    put = statistics.median(once[1:]) * 1e6
    detail = f"{len(sizes)} requests of {sum(sizes) / len(sizes):.0f} bytes on average; one PUT {put:.0f} us"
    yield Line("tracked run / its requests as bare PUTs", here.where, wall["molexp"] / put / len(sizes), 2.0, detail)


def _sizes(here: Stage) -> list[int]:
    """Return the requests of a tracked run, each with the bytes that it sends."""
    from tests.servers.proxy import Proxy

    with Proxy(here.server.url) as proxy:
        bucket = here.server.fresh("seen").through(proxy.url)
        experiment = here.experiment(bucket.url, bucket.storage_options)
        proxy.clear()
        track(experiment, 0)
        return [request.size for request in proxy.requests]


def _catalog(here: Stage, *, runs: int, rounds: tuple[int, int]) -> Iterator[Line]:
    bucket = here.server.fresh("catalog")
    options = bucket.storage_options
    experiment = here.experiment(bucket.url, options)
    for number in range(1, runs):
        track(experiment, number)
    folders = (here.folder / f"cache-{number}" for number in range(1_000_000))
    arguments = {name: here.arguments(url, options) for name, url in here.urls(bucket).items()}

    def look(name: str) -> None:
        run_fresh(_ROWS, *arguments[name], runs, MOLEXP_CACHE_DIR=next(folders))

    many = f"{runs:,}".replace(",", " ")
    for what, times in zip((f"listing {many} runs in a fresh process", "the same, compacted"), rounds, strict=True):
        found = time_fresh({name: partial(look, name) for name in SCHEMES}, rounds=times)
        yield from _against(what, here.where, found, dict.fromkeys(PEERS, 0.9), _told(found, "ms"))
        run_fresh(_COMPACT, *arguments["molexp"], MOLEXP_CACHE_DIR=next(folders))


# ------------------------------------------------------------------------------------------------------------ network


def _network(here: Stage, *, runs: int) -> Iterator[Line]:
    """Short runs where every request takes 50 ms more, against the requests of a run that have to wait for each other."""
    from tests.servers.proxy import Proxy

    with Proxy(here.server.url) as proxy:
        bucket = here.server.fresh("far").through(proxy.url)
        experiment = here.experiment(bucket.url, bucket.storage_options)
        track(experiment, 0)
        bare = BarePuts(here.server.seen_at(proxy.url), "bare")
        proxy.delay = DELAY
        before = median_of(bare, [len(SMALL)], 10)
        proxy.clear()
        began = time.perf_counter()
        for number in range(1, runs + 1):
            track(experiment, number)
        took = time.perf_counter() - began
        asked = len(proxy.requests) / runs
        waited = _generations(proxy.intervals) / runs
        once = statistics.mean((before, median_of(bare, [len(SMALL)], 10)))
        bare.close()
    detail = (
        f"{asked:.1f} requests a run, of which {waited:.1f} wait for each other; a run {took / runs * 1e3:.0f} ms, "
    )
    detail += f"one PUT {once * 1e3:.1f} ms, {len(LINES)} log lines"
    what = f"{runs} runs, 50 ms a request / {GENERATIONS} requests each"
    yield Line(what, here.where, took / (runs * GENERATIONS * once), 3.0, detail)


def _generations(intervals: list[tuple[float, float]]) -> int:
    """Return the length of the longest chain of requests in which each began after the answer to the one before."""
    length, free = 0, float("-inf")
    for began, ended in sorted(intervals, key=lambda interval: interval[1]):
        if began >= free:
            length, free = length + 1, ended
    return length
