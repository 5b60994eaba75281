"""Fixtures for the conftest of whoever tests against servers: one server of a kind for all processes of a session.

A conftest imports those that its tests use, and names them in ``__all__``, as the one of this folder does.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.servers import keeper
from tests.servers.buckets import Bucket, Server
from tests.servers.proxy import Proxy

# Who starts the workers of pytest-xdist, and ends last: servers live as long.
CONTROLLER = os.getppid() if "PYTEST_XDIST_WORKER" in os.environ else os.getpid()


def _server(kind: str, factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = keeper.shared(kind, _folder(kind, factory), CONTROLLER)
    yield server
    server.client.close()


def _folder(kind: str, factory: pytest.TempPathFactory) -> Path:
    """The folder of the servers of this session, if that one can run."""
    if why := keeper.KINDS[kind].missing():
        pytest.skip(f"NO TEST AGAINST {kind.upper()} HERE: {why}")
    base = factory.getbasetemp()
    common = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base  # xdist: the controller's own, one for all
    return common / "servers"


@pytest.fixture(scope="session")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """moto, one request at a time."""
    yield from _server("moto", tmp_path_factory)


@pytest.fixture(scope="session")
def ceph(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Ceph's gateway: a server as it is in use."""
    yield from _server("ceph", tmp_path_factory)


@pytest.fixture(scope="session")
def s3rver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that ignores the conditions of a write."""
    yield from _server("s3rver", tmp_path_factory)


@pytest.fixture(scope="session", params=["moto", pytest.param("ceph", marks=pytest.mark.s3)])
def s3_server(request: pytest.FixtureRequest) -> Server:
    """Each of the servers with conditional writes."""
    server: Server = request.getfixturevalue(request.param)
    return server


@pytest.fixture(scope="session")
def any_server(request: pytest.FixtureRequest) -> Server:
    """A server, Ceph's where there is one, for tests of what lies above the store."""
    server: Server = request.getfixturevalue("moto" if keeper.KINDS["ceph"].missing() else "ceph")
    return server


@pytest.fixture(scope="session")
def slurm_server(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The configuration of a Slurm that runs."""
    return keeper.kept("slurm", _folder("slurm", tmp_path_factory), CONTROLLER)


@pytest.fixture(scope="session")
def accounting_server(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The configuration of a Slurm that keeps what became of jobs in a database."""
    return keeper.kept("slurm-accounting", _folder("slurm-accounting", tmp_path_factory), CONTROLLER)


@pytest.fixture
def bucket(s3_server: Server) -> Bucket:
    """A prefix of its own for the test."""
    return s3_server.fresh()


@pytest.fixture
def proxied() -> Iterator[Callable[[Bucket], tuple[Bucket, Proxy]]]:
    """Puts a proxy that injects faults in front of a bucket; the bucket's back door does not go through it."""
    proxies: list[Proxy] = []

    def make(bucket: Bucket) -> tuple[Bucket, Proxy]:
        proxies.append(Proxy(bucket.server.url))
        return bucket.through(proxies[-1].url), proxies[-1]

    yield make
    for proxy in proxies:
        proxy.close()
