"""The number of calls that run at once, the time at which they begin, and what cancelling leaves."""

from __future__ import annotations

import asyncio
import functools

import pytest

from molexp.contracts import Call, Executor, Outcome
from molexp.testing import _executor_calls as calls
from molexp.testing._executor_base import ExecutorAccess


class LimitTests(ExecutorAccess, abstract=True):
    """Each test makes an executor of its own, with few workers."""

    def test_no_more_calls_run_at_once_than_it_has_workers(self, executor: Executor) -> None:
        async def scene() -> None:
            async with self.with_workers(executor, 2) as few, self.gate() as gate:
                submitted = [asyncio.create_task(few.submit(gate.call(number))) for number in range(5)]
                for expected in (2, 2, 1):
                    await gate.arrivals(expected)
                    more = await gate.one_too_many(self.grace)
                    assert not more, "it has 2 workers, and more calls than that run at once"
                    gate.open()
                assert [outcome.value for outcome in await asyncio.gather(*submitted)] == [0, 1, 2, 3, 4]

        self.play(scene)

    def test_each_of_two_calls_at_once_has_a_process_for_itself(self, executor: Executor) -> None:
        """Compare their processes: a call may change the folder and `sys.path`, and a task records as the only one of its own."""
        if executor.in_process:
            pytest.skip("its calls share this process")

        async def scene() -> None:
            async with self.gate() as gate:
                made = [Call(calls.pass_gate_and_tell, (gate.address, gate.holding)) for _ in range(2)]
                both = [asyncio.create_task(executor.submit(call)) for call in made]
                await gate.arrivals(2)
                gate.open()
                first, second = [outcome.value for outcome in await asyncio.gather(*both)]
                assert first != second, "two calls were made at once in one process"

        self.play(scene)

    def test_a_call_that_waits_for_its_turn_has_not_begun(self, executor: Executor) -> None:
        async def scene() -> None:
            began: list[str] = []
            async with self.with_workers(executor, 1) as one, self.gate() as gate:
                made = [gate.call(name, functools.partial(began.append, name)) for name in ("first", "second")]
                submitted = [asyncio.create_task(one.submit(call)) for call in made]
                await gate.arrivals(1)
                await self._until(lambda: "first" in began, "it never says that the first call began")
                assert began == ["first"], f"{began} began, and the first keeps the only worker"
                gate.open()
                await gate.arrivals(1)
                await self._until(lambda: "second" in began, "it never says that the second call began")
                gate.open()
                await asyncio.gather(*submitted)

        self.play(scene)

    def test_cancelling_stops_a_call_that_runs(self, executor: Executor) -> None:
        if executor.in_process or not self.stops_calls:
            pytest.skip("its calls cannot be stopped")

        async def scene() -> None:
            async with self.gate() as gate:
                task = asyncio.create_task(executor.submit(gate.call("late")))
                await gate.arrivals(1)
                task.cancel()
                await gate.vanished()  # or the call that was cancelled goes on

        self.play(scene)

    def test_a_call_that_is_cancelled_while_it_waits_is_never_made(self, executor: Executor) -> None:
        async def scene() -> None:
            async with self.with_workers(executor, 1) as one, self.gate() as gate:
                running = asyncio.create_task(one.submit(gate.call("through")))
                await gate.arrivals(1)
                waiting = asyncio.create_task(one.submit(gate.call("never")))
                await asyncio.sleep(0)  # it is submitted
                waiting.cancel()
                await asyncio.wait({waiting}, timeout=self.patience / 2)
                gate.open()
                assert await running == Outcome(value="through")
                assert await asyncio.wait_for(one.submit(Call(calls.add, (1,))), self.patience) == Outcome(value=1)
                assert gate.queue == 0, "the call was made after it was cancelled"

        self.play(scene)

    def test_a_call_that_is_cancelled_leaves_its_worker_to_others(self, executor: Executor) -> None:
        async def scene() -> None:
            async with self.with_workers(executor, 2) as few:
                async with self.gate() as gate:
                    for _ in range(2):
                        tasks = [asyncio.create_task(few.submit(gate.call(number))) for number in range(4)]
                        await gate.arrivals(2)
                        for task in tasks:
                            task.cancel()
                        await asyncio.wait(tasks, timeout=self.patience / 2)
                        gate.open()  # for those that cannot be stopped
                async with (
                    self.gate() as gate
                ):  # a third may have begun as the first was cancelled, and report at the other
                    both = [asyncio.create_task(few.submit(gate.call(number))) for number in range(2)]
                    await gate.arrivals(2)  # or a worker is missing
                    gate.open()
                    assert await asyncio.gather(*both) == [Outcome(value=0), Outcome(value=1)]

        self.play(scene)

    def test_a_call_that_fails_leaves_its_worker_to_others(self, executor: Executor) -> None:
        async def scene() -> None:
            async with self.with_workers(executor, 1) as one:
                for call in (Call(calls.unlucky), Call(calls.stubborn), Call(calls.leave, (3,)), Call(calls.add, (1,))):
                    outcome = await asyncio.wait_for(one.submit(call), self.patience)
                assert outcome == Outcome(value=1)

        self.play(scene)
