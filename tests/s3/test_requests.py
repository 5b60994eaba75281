"""Count what a workspace on S3 costs at the proxy: requests are money, and each of them is time."""

from __future__ import annotations

import json

import pytest

import molexp as me
from tests.s3.processes import Stage
from tests.servers.buckets import Bucket, Server
from tests.servers.proxy import Proxy

RUN = 12  # a tracked run
NAMED = 12  # one that somebody gave an id, which may be taken
LISTING, PER_500 = 10, 1  # the listing of all runs in a process that knows nothing
REFRESH = 10  # one more run, in a process that knows all the others


def counted(proxy: Proxy) -> str:
    """Count the requests of each kind."""
    return f"{len(proxy.requests)} requests: {dict(sorted(proxy.counts().items()))}"


def each(proxy: Proxy) -> list[str]:
    """The requests, for whoever finds too many."""
    return [f"{request.method} {request.path} {request.query} {request.status}" for request in proxy.requests]


def track(experiment: me.Experiment, number: int, id: str | None = None) -> None:
    with experiment.Run({"number": number}, id=id).start() as ctx:
        ctx.set_result("energy", -1.5 * number)
        ctx.artifact.save("volumes.json", {"number": number})
        for line in range(10):
            ctx.log("relax").append(f"line {line}")


@pytest.fixture
def bucket(any_server: Server) -> Bucket:
    """A prefix of the test's own, on a server that is quick at a thousand runs."""
    return any_server.fresh()


@pytest.mark.parametrize(("ids", "most"), [(None, RUN), ("r{}", NAMED)], ids=["a fresh id", "an id of one's own"])
def test_a_tracked_run_costs_about_a_dozen_requests(ids, most, behind):
    experiment = behind.place.workspace().Project("metals").Experiment("cu")
    track(experiment, 0)
    for number in (1, 2, 3):
        behind.proxy.clear()
        track(experiment, number, ids and ids.format(number))
        print(f"a run with a result, an artifact and ten log lines: {counted(behind.proxy)}")
        assert len(behind.proxy.requests) <= most, each(behind.proxy)
        assert all(request.status in (200, 404) for request in behind.proxy.requests)


def test_the_number_of_log_lines_costs_nothing(behind):
    experiment = behind.place.workspace().Project("metals").Experiment("cu")
    track(experiment, 0)
    behind.proxy.clear()
    with experiment.Run().start() as ctx:
        for line in range(1000):
            ctx.log("relax").append(f"line {line}")
    assert len(behind.proxy.requests) <= RUN, each(behind.proxy)


@pytest.mark.s3
@pytest.mark.parametrize("runs", [20, 250, pytest.param(1000, marks=pytest.mark.long)])
def test_a_refresh_costs_the_same_however_many_runs_there_are_and_a_first_listing_little_more(
    runs, behind, tmp_path, capsys
):
    stage = Stage(behind.place, tmp_path)
    experiment = stage.direct(behind.bucket).workspace().Project("metals").Experiment("cu")
    for number in range(runs):
        track(experiment, number)
    stage.run("look", MOLEXP_CACHE_DIR=str(tmp_path / "reader"))

    for number in (runs, runs + 1):  # the second time without what a first refresh may have to tidy
        track(experiment, number)
        behind.proxy.clear()
        (seen,) = stage.run("look", MOLEXP_CACHE_DIR=str(tmp_path / "reader"))
        assert len(seen["runs"]) == number + 1
        with capsys.disabled():
            print(f"\na refresh after one more of {number} runs: {counted(behind.proxy)}")
        assert len(behind.proxy.requests) <= REFRESH, each(behind.proxy)

    stage.direct(behind.bucket).workspace().catalog.compact()
    behind.proxy.clear()
    (seen,) = stage.run("look", MOLEXP_CACHE_DIR=str(tmp_path / "nobody's"))
    assert len(seen["runs"]) == runs + 2
    assert set(seen["runs"].values()) == {"succeeded"}
    with capsys.disabled():
        print(f"\nthe listing of {runs + 2} runs by a process that knows nothing: {counted(behind.proxy)}")
    assert len(behind.proxy.requests) <= LISTING + PER_500 * runs // 500, each(behind.proxy)


@pytest.mark.parametrize(("keys", "requests"), [(0, 1), (7, 1), pytest.param(2500, 3, marks=pytest.mark.s3)])
def test_a_listing_has_a_thousand_keys_with_a_request(keys, requests, behind):
    behind.store.each(lambda number: behind.store.write(f"many/k{number:05}", b"x"), range(keys))
    for list_them in (
        lambda: [stat.key for stat in behind.store.list("many")],
        lambda: [stat.key for stat in behind.store.children("many").entries],
    ):
        behind.proxy.clear()
        assert list_them() == [f"many/k{number:05}" for number in range(keys)]
        assert behind.proxy.counts() == {"GET": requests}


def test_a_workspace_is_light_until_something_is_done_in_it(behind):
    behind.place.workspace()
    assert behind.proxy.requests == []


def test_a_small_payload_is_one_request_each_way(behind, tmp_path):
    (tmp_path / "source").write_bytes(b"x" * 100_000)
    behind.store.put_file(tmp_path / "source", "k")
    behind.store.get_file("k", tmp_path / "copy")
    with behind.store.open_write("j") as stream:
        stream.write(b"y")
    with behind.store.open_read("j") as stream:
        assert stream.read() == b"y"
    assert json.dumps(behind.proxy.counts(), sort_keys=True) == '{"GET": 2, "PUT": 2}'
