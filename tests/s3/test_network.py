"""Workspaces on S3 through a network that loses a third of all requests, or is slow: the record is the same."""

from __future__ import annotations

import re
from typing import Any

import pytest

import molexp as me
from molexp_s3_store import S3Store
from tests.record.helpers import Place
from tests.s3.answering import Reply, answering
from tests.s3.helpers import Behind
from tests.servers.proxy import Proxy

pytestmark = pytest.mark.s3

RUNS = 50
RATE = 0.3
GENERATIONS = 7  # requests of a tracked run that have to wait for each other


def track(experiment: me.Experiment, number: int) -> None:
    """A run of an even number succeeds, of an odd one fails now and then."""
    with experiment.Run({"number": number}, id=f"r{number:02}").start() as ctx:
        ctx.set_result("energy", -1.5 * number)
        ctx.artifact.save("volumes.json", {"number": number})
        ctx.log("relax").append(f"line of {number}")
        if number % 10 == 3:
            raise ValueError(f"number {number}")


def play(place: Place) -> me.Workspace:
    """Work as it is usual."""
    ws = place.workspace()
    experiment = ws.Project("metals").Experiment("cu", params={"a": 3.6})
    for number in range(RUNS):
        try:
            track(experiment, number)
        except ValueError:
            assert number % 10 == 3
    experiment.data_assets.import_asset("reference", __file__)
    for number in range(0, RUNS, 7):
        experiment.run(f"r{number:02}").annotate(tags=["seventh"])
    return ws


def shape(place: Place) -> dict[str, Any]:
    """The record, less what is different each time: times, tokens, numbers of processes."""
    found = [re.sub(r"\d{8}-\d{6}-\d{6}-[0-9a-f]{8}|[0-9a-f]{12,}", "TOKEN", key) for key in place.record()]
    ws = place.load()
    runs = {}
    for run in ws.project("metals").experiment("cu").runs:
        history = [(entry["attempt"], entry["status"]) for entry in run.execution_history]
        assets = sorted((asset.kind, asset.name, asset.size) for asset in run.assets if asset.kind != "error_trace")
        runs[run.id] = (str(run.status), dict(run.results), history, assets, sorted(run.tags), dict(run.parameters))
    rows = {row.path: row.document["status"] for row in ws.catalog.runs()}
    return {
        "keys": sorted(found),
        "runs": runs,
        "rows": rows,
        "data": [*ws.project("metals").experiment("cu").data_assets],
    }


def test_a_third_of_all_requests_fails_and_the_record_is_complete(s3_server, on):
    calm = s3_server.fresh()
    play(Place(calm.url, calm.storage_options))
    behind: Behind = on(s3_server.fresh())
    behind.proxy.fail(RATE, seed=5)
    ws = play(behind.place)
    assert {row.document["status"] for row in ws.catalog.runs()} == {"succeeded", "failed"}, "also as seen from there"
    asked, failed = len(behind.proxy.requests), len(behind.suffered)
    behind.proxy.calm()

    found = shape(Place(behind.bucket.url, behind.bucket.storage_options))
    expected = shape(Place(calm.url, calm.storage_options))
    assert found["keys"] == expected["keys"]
    assert found == expected
    assert len(found["runs"]) == RUNS
    assert failed > 0.2 * asked
    print(f"{failed} of {asked} requests failed")


def generations(proxy: Proxy) -> int:
    """The length of the longest chain of requests of which each began after the answer to the one before it."""
    chain = 0
    free = float("-inf")
    for began, ended in sorted(proxy.intervals, key=lambda interval: interval[1]):
        if began >= free:
            chain, free = chain + 1, ended
    return chain


def test_what_waits_for_each_other(behind, capsys):
    """On a network of 50 ms a short run costs its chain of requests, and next to nothing beside."""
    experiment = behind.place.workspace().Project("metals").Experiment("cu")
    for number in range(2):
        with experiment.Run({"number": number}).start() as ctx:
            ctx.set_result("number", number)
    delay, count = 0.05, 40
    behind.proxy.clear()
    behind.proxy.delay = delay
    for number in range(count):
        with experiment.Run({"number": number}).start() as ctx:
            ctx.set_result("number", number)
    behind.proxy.delay = 0.0
    chain = generations(behind.proxy)
    began = min(interval[0] for interval in behind.proxy.intervals)
    ended = max(interval[1] for interval in behind.proxy.intervals)
    with capsys.disabled():
        print(
            f"\n{count} runs: {len(behind.proxy.requests) / count} requests each, of which {chain / count} wait for each "
            f"other; {(ended - began) / (chain * delay):.2f} times their network time"
        )
    assert chain <= GENERATIONS * count


def test_a_slow_line_is_no_failure(bucket, on, tmp_path):
    """A large transfer takes longer than a server may be silent, both ways."""
    behind: Behind = on(bucket, request_timeout=1.0)
    (tmp_path / "source").write_bytes(bytes(2 << 20))
    behind.proxy.delay = 1.5
    behind.store.put_file(tmp_path / "source", "k")
    assert behind.proxy.counts() == {"PUT": 1}

    headers = {"ETag": '"1"', "Last-Modified": "Thu, 26 Nov 2026 12:00:00 GMT"}
    with answering(Reply(200, bytes(4000), headers, pace=0.5)) as server:
        store = S3Store.open("s3://bucket/lab", {**behind.options, "endpoint_url": server.url, "anon": True})
        for _ in range(20):  # a machine that stands still for a second is a failure, and rare
            server.heard.clear()
            assert store.read("k") == bytes(4000)
            if len(server.heard) == 1:
                break
        assert len(server.heard) == 1
        store.close()
