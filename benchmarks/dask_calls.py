"""Compare calls on a Dask cluster with the same calls by Dask's own client: both submit all, and wait for all.

A call of ours is made in a process beside the worker, so it can be stopped, and is announced to the scheduler, so it is never made
twice. One bare contender does nothing of that.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Callable, Iterator
from operator import add
from typing import Any

from measure import Line

ROUNDS = 8


def measure(*, quick: bool = False) -> Iterator[Line]:
    """Yield the lines."""
    from distributed import Client, LocalCluster

    number = 200 if quick else 1000
    local: dict[str, Any] = {
        "n_workers": 2,
        "threads_per_worker": 1,
        "dashboard_address": "127.0.0.1:0",
        "memory_limit": 0,
    }
    # They say nothing of their arguments.
    with (
        LocalCluster(**local) as cluster,  # type: ignore[no-untyped-call]
        Client(cluster, set_as_default=False) as client,  # type: ignore[no-untyped-call]
    ):

        def bare() -> None:
            futures = [client.submit(add, one, 1, pure=False) for one in range(number)]
            assert client.gather(futures)[-1] == number

        with asyncio.Runner() as runner:
            yield from _lines(runner, cluster.scheduler_address, bare, number)


def _lines(runner: asyncio.Runner, address: str, bare: Callable[[], None], number: int) -> Iterator[Line]:
    from molexp.contracts import Call
    from molexp_dask import DaskExecutor

    executor = DaskExecutor(address=address)

    def ours(*, told: bool) -> None:
        began: list[int] = []
        started = (lambda: began.append(1)) if told else None

        async def scene() -> None:
            calls = [Call(add, (one, 1), started=started) for one in range(number)]
            outcomes = await asyncio.gather(*map(executor.submit, calls))
            assert outcomes[-1].value == number
            assert not told or len(began) == number

        runner.run(scene())

    contenders: list[Callable[[], None]] = [bare, lambda: ours(told=False), lambda: ours(told=True)]
    rounds: list[list[float]] = []
    for turn in range(ROUNDS + 1):
        times = []
        for contender in contenders:
            began = time.perf_counter()
            contender()
            times.append(time.perf_counter() - began)
        if turn:  # the first starts the processes
            rounds.append(times)
    runner.run(executor.close())
    each = [statistics.median(times) / number * 1e3 for times in zip(*rounds, strict=True)]
    where = f"{number} calls"
    for place, (what, limit) in enumerate((("calls on Dask", 1.5), ("the same, told when each began", 2.0)), 1):
        ratio = statistics.median(times[place] / times[0] for times in rounds)
        yield Line(f"{what} / Client.submit", where, ratio, limit, f"{each[place]:.2f} ms each, {each[0]:.2f} ms bare")
