"""Buckets behind a proxy that counts requests and loses them, and the store that looks through it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.s3.helpers import Behind
from tests.servers.buckets import Bucket, Server
from tests.servers.fixtures import any_server, ceph, moto, proxied, s3_server, s3rver
from tests.servers.proxy import Proxy

__all__ = ["any_server", "bare", "behind", "bucket", "ceph", "moto", "on", "proxied", "s3_server", "s3rver"]


@pytest.fixture
def bucket(moto: Server) -> Bucket:
    """A prefix of the test's own, on moto."""
    return moto.fresh()


@pytest.fixture
def on(proxied: Callable[[Bucket], tuple[Bucket, Proxy]]) -> Iterator[Callable[..., Behind]]:
    """Puts a proxy in front of a bucket, and opens a store that goes through it."""
    made: list[Behind] = []

    def make(bucket: Bucket, **options: object) -> Behind:
        seen, proxy = proxied(bucket)
        made.append(Behind(seen, proxy, options))
        return made[-1]

    yield make
    for each in made:
        each.store.close()


@pytest.fixture
def behind(bucket: Bucket, on: Callable[..., Behind]) -> Behind:
    """A store on moto that goes through a proxy."""
    return on(bucket)


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Nothing of AWS in the environment, and a home without files of AWS; the folder that is the home."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    home = tmp_path / "home"
    (home / ".aws").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    return home


LONG = (
    "test_eight_processes_lose_nothing[moto]",
    "test_a_third_of_all_requests_fails_and_the_record_is_complete[moto]",
    "test_one_of_many_who_start_a_run_executes_it[moto]",
    "test_what_is_there_is_a_workspace_and_the_next_sync_goes_on[unheard]",
    "test_what_was_acknowledged_outlives_kills_at_random_instants[moto]",
)
"""Tests that take long, and that another one says as well: on Ceph, whose races are exact, or where requests took effect."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.name.startswith(LONG):
            item.add_marker(pytest.mark.long)
