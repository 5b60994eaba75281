"""The executor keeps the contract, with one thread a worker and with four."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from molexp.contracts import Executor
from molexp.testing import ExecutorTests
from molexp_dask import DaskExecutor
from tests.dask.clusters import cluster


@pytest.fixture(scope="module", params=[(2, 1), (1, 4)], ids=["1 thread", "4 threads"])
def on_cluster(request, tmp_path_factory) -> Iterator[Any]:
    workers, threads = request.param
    with cluster(tmp_path_factory.mktemp("dask"), workers, threads) as found:
        executor = DaskExecutor(address=found.address)
        yield executor, partial(DaskExecutor, address=found.address)
        asyncio.run(executor.close())


class TestDaskExecutor(ExecutorTests):
    @pytest.fixture(autouse=True)
    def where(self, on_cluster: Any) -> None:
        self.make = on_cluster[1]

    @pytest.fixture
    def executor(self, on_cluster: Any) -> Executor:
        executor: Executor = on_cluster[0]
        return executor

    def with_workers(self, executor: Executor, workers: int) -> Executor:
        made: Executor = self.make(workers=workers)
        return made
