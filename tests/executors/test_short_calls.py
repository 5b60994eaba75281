"""Short calls are sent to a worker several at once; nobody can tell, but by counting."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from molexp.contracts import Call
from molexp.errors import ExecutorError, WorkerDiedError
from tests.executors import calls
from tests.executors.builtin import Gate, ProcessExecutor, kit

SHORT = 200
"""Calls after which the executor knows that they are short."""


def play(scene, workers=1):
    """Run a scene with an executor; what it returns comes back."""

    async def run():
        async with ProcessExecutor(workers=workers) as executor:
            return await scene(executor)

    return asyncio.run(run())


class Sheet:
    """Calls that write their number on a sheet."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def calls(self, numbers) -> list[Call]:
        return [Call(calls.note, (str(self._path), number)) for number in numbers]

    def noted(self) -> list[int]:
        return [int(line) for line in self._path.read_text().split()]


@pytest.fixture
def sheet(tmp_path):
    return Sheet(tmp_path / "sheet")


async def submit(executor, *batches):
    """Submit calls at once, in order; returns a task for each."""
    return [asyncio.create_task(executor.submit(call)) for batch in batches for call in batch]


def test_a_worker_reads_less_than_once_for_each_message():
    async def scene(executor):
        await asyncio.gather(*await submit(executor, [Call(kit.add, (1, 2))] * SHORT))
        before = (await executor.submit(Call(calls.reads))).value
        await asyncio.gather(*await submit(executor, [Call(kit.add, (1, 2))] * 1000))
        return (await executor.submit(Call(calls.reads))).value - before

    assert play(scene) < 2000  # a call alone takes four


def test_a_worker_that_dies_fails_its_call_alone_and_the_others_are_made_once(sheet):
    deadly = Call(kit.die, (7,), name="deadly")

    async def scene(executor):
        tasks = await submit(
            executor, sheet.calls(range(SHORT)), [deadly], sheet.calls(range(SHORT, 300)), [deadly], sheet.calls([300])
        )
        return [await task for task in tasks]

    outcomes = play(scene)
    failed = [(number, outcome.error) for number, outcome in enumerate(outcomes) if outcome.error is not None]
    assert [(number, type(error), error.call) for number, error in failed] == [
        (SHORT, WorkerDiedError, "deadly"),
        (301, WorkerDiedError, "deadly"),
    ]
    assert sheet.noted() == [*range(301)]


def test_a_call_that_waits_behind_a_long_one_is_cancelled_alone(sheet):
    async def scene(executor):
        async with Gate(300) as gate:
            first = await submit(executor, sheet.calls(range(SHORT)))
            long, *behind = await submit(executor, [gate.call("long")], sheet.calls(range(SHORT, 300)))
            await gate.arrivals(1)
            behind[0].cancel()
            with pytest.raises(asyncio.CancelledError):
                await behind[0]
            assert not long.done()
            gate.open()
            return [(await task).value for task in (*first, long, *behind[1:])]

    assert play(scene) == [None] * SHORT + ["long"] + [None] * 99
    assert sheet.noted() == [*range(SHORT), *range(SHORT + 1, 300)]


def test_cancelling_a_long_call_disturbs_none_behind_it(sheet):
    async def scene(executor):
        async with Gate(300) as gate:
            first = await submit(executor, sheet.calls(range(SHORT)))
            long, *behind = await submit(executor, [gate.call("long")], sheet.calls(range(SHORT, 300)))
            await gate.arrivals(1)
            long.cancel()
            with pytest.raises(asyncio.CancelledError):
                await long
            return [(await task).error for task in (*first, *behind)]

    assert play(scene) == [None] * 300
    assert sheet.noted() == [*range(300)]


def test_a_call_may_wait_for_the_one_behind_it(tmp_path):
    files = [str(tmp_path / name) for name in ("a", "b")]

    async def scene(executor):
        tasks = await submit(
            executor,
            [Call(kit.add, (1, 2))] * SHORT,
            [Call(calls.meet, (ours, other)) for ours, other in (files, files[::-1])],
            [Call(kit.add, (1, 2))] * 50,
        )
        return [(await task).error for task in tasks]

    assert play(scene, workers=2) == [None] * (SHORT + 2 + 50)


def test_close_begins_none_of_the_calls_that_wait_behind_another(sheet):
    async def scene(executor):
        async with Gate(300) as gate:
            first = await submit(executor, sheet.calls(range(SHORT)))
            tasks = await submit(executor, [gate.call("long")], sheet.calls(range(SHORT, 300)))
            await gate.arrivals(1)
            await executor.close()
            return [(await task).error for task in first], [type((await task).error) for task in tasks]

    assert play(scene) == ([None] * SHORT, [ExecutorError] * 101)
    assert sheet.noted() == [*range(SHORT)]


def test_a_call_that_cannot_travel_fails_alone_among_others(sheet):
    async def scene(executor):
        tasks = await submit(executor, sheet.calls(range(SHORT)), [Call(lambda: 1)], sheet.calls(range(SHORT, 300)))
        return [(await task).error is None for task in tasks]

    assert play(scene) == [True] * SHORT + [False] + [True] * 100
    assert sheet.noted() == [*range(300)]


def test_calls_of_all_sizes_return(sheet):
    sizes = [10, 1 << 20, 10, 10, 300_000, 10] * 20

    async def scene(executor):
        tasks = await submit(executor, [Call(kit.add, (1, 2))] * SHORT, [Call(len, (bytes(size),)) for size in sizes])
        return [(await task).value for task in tasks][SHORT:]

    assert play(scene, workers=2) == sizes
