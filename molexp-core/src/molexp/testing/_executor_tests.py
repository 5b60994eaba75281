"""The conformance kit of executors."""

from __future__ import annotations

import asyncio
import functools
import os
import threading
import traceback
from collections.abc import Callable
from typing import Any

import pytest

from molexp.contracts import Call, Executor, Outcome
from molexp.testing import _executor_calls as calls
from molexp.testing._executor_base import ExecutorAccess
from molexp.testing._executor_limits import LimitTests
from molexp.testing._executor_travel import TravelTests


class ExecutorTests(LimitTests, TravelTests, ExecutorAccess, abstract=True):
    """Tests of what every `molexp.contracts.Executor` must do; a subclass defines the fixture ``executor``.

    The fixture gives an executor that can run two calls at once, and closes it afterwards; all tests may share one. Calls
    report at a socket of the machine that runs the tests. Some tests make another executor of this sort, with one or two
    workers; see `with_workers`. Set ``stops_calls = False`` if a call that runs elsewhere cannot be stopped.

    Nothing is decided by time, except that a call which does not come, or come back, within `patience` seconds never will, and
    that a call too many shows itself within `grace` seconds.
    """

    # ------------------------------------------------------------------------------------------------- what it says

    def test_it_says_what_it_is(self, executor: Executor) -> None:
        kind = type(executor)
        assert isinstance(kind.name, str)
        assert isinstance(kind.in_process, bool)

    def test_whether_calls_share_this_process_is_true(self, executor: Executor) -> None:
        where = self.submit(executor, calls.process_id).value
        assert (where == os.getpid()) is executor.in_process

    def test_it_can_be_made_without_options_and_closed_unused(self, executor: Executor) -> None:
        async def scene() -> None:
            async with type(executor)() as unused:
                assert isinstance(unused, type(executor))

        self.play(scene)

    def test_an_option_that_it_does_not_know_is_named(self, executor: Executor) -> None:
        options: dict[str, Any] = {"no_such_option": 1}
        with pytest.raises(TypeError, match="no_such_option"):
            type(executor)(**options)

    @pytest.mark.parametrize("workers", [0, -1, 1.5, True, "two"])
    def test_an_option_that_makes_no_sense_is_refused(self, executor: Executor, workers: Any) -> None:
        with pytest.raises((TypeError, ValueError), match="workers"):
            type(executor)(workers=workers)

    # ------------------------------------------------------------------------------------------------------ outcomes

    @pytest.mark.parametrize(
        "function",
        [calls.add, calls.add_later, calls.promise, calls.Callable()],
        ids=["plain", "async", "promise", "object"],
    )
    def test_a_value_comes_back(self, executor: Executor, function: Callable[..., Any]) -> None:
        assert self.submit(executor, function, 1, 2, 3, scale=10) == Outcome(value=140)

    @pytest.mark.parametrize("function", [calls.unlucky, calls.unlucky_later])
    def test_an_error_is_an_outcome(self, executor: Executor, function: Callable[..., Any]) -> None:
        outcome = self.submit(executor, function)
        assert outcome.value is None
        assert isinstance(outcome.error, calls.Unlucky)
        assert outcome.error.step == 7
        assert f"in {function.__name__}\n" in "".join(traceback.format_exception(outcome.error)), (
            "it does not tell where"
        )

    def test_an_error_that_does_not_travel_is_told_all_the_same(self, executor: Executor) -> None:
        error = self.submit(executor, calls.stubborn).error
        assert error is not None
        text = "".join(traceback.format_exception(error))
        assert "Stubborn" in text
        assert "stubborn at step 8" in text
        assert "in stubborn" in text

    @pytest.mark.parametrize(
        ("function", "args", "error"),
        [(calls.leave, (3,), SystemExit), (calls.interrupt, (), KeyboardInterrupt)],
        ids=["exit", "interrupt"],
    )
    def test_a_call_that_wants_to_exit_ends_alone(
        self, executor: Executor, function: Callable[..., Any], args: tuple[Any, ...], error: type[BaseException]
    ) -> None:
        async def scene() -> None:
            outcome = await executor.submit(Call(function, args))
            assert isinstance(outcome.error, error)
            assert await executor.submit(Call(calls.add, (1,))) == Outcome(value=1)

        self.play(scene)

    def test_what_does_not_travel_is_an_outcome_too(self, executor: Executor) -> None:
        async def scene() -> None:
            for call in (Call(calls.give, (lambda: 1,)), Call(lambda: 2), Call(calls.unpicklable)):
                outcome = await executor.submit(call)
                assert (outcome.error is None) is (outcome.value is not None)
                if outcome.error is not None:
                    assert str(outcome.error), "the error says nothing"
            assert await executor.submit(Call(calls.add, (1,))) == Outcome(value=1)

        self.play(scene)

    def test_a_worker_that_dies_fails_only_its_own_call(self, executor: Executor) -> None:
        if executor.in_process:
            pytest.skip("its calls share this process")

        async def scene() -> None:
            async with self.gate() as gate:
                other = asyncio.create_task(executor.submit(gate.call("through")))
                await gate.arrivals(1)
                died = await executor.submit(Call(calls.die, (7,)))
                assert died.error is not None
                assert str(died.error)
                assert await executor.submit(Call(calls.add, (1,))) == Outcome(value=1)
                gate.open()
                assert await other == Outcome(value="through")

        self.play(scene)

    # --------------------------------------------------------------------------------------------------- concurrency

    def test_calls_run_at_once_beside_the_event_loop(self, executor: Executor) -> None:
        async def scene() -> None:
            async with self.gate() as gate:
                both = [asyncio.create_task(executor.submit(gate.call(number))) for number in range(2)]
                await gate.arrivals(2)  # on this event loop, while both calls go on
                gate.open()
                assert await asyncio.gather(*both) == [Outcome(value=0), Outcome(value=1)]

        self.play(scene)

    def test_it_says_once_that_a_call_begins(self, executor: Executor) -> None:
        async def scene() -> None:
            began: list[int] = []
            made = [Call(calls.add, (number,), started=functools.partial(began.append, number)) for number in range(10)]
            await asyncio.wait_for(asyncio.gather(*map(executor.submit, made)), self.patience)
            await self._until(lambda: len(began) >= len(made), f"it has said of {began} alone that they began")
            assert sorted(began) == list(range(10))

        self.play(scene)

    def test_more_calls_than_workers_get_an_outcome_each(self, executor: Executor) -> None:
        async def scene() -> None:
            submitted = [executor.submit(Call(calls.add, (number,))) for number in range(24)]
            outcomes = await asyncio.wait_for(asyncio.gather(*submitted), self.patience)
            assert [outcome.value for outcome in outcomes] == list(range(24))

        self.play(scene)

    def test_cancelling_returns_while_the_call_goes_on(self, executor: Executor) -> None:
        async def scene() -> None:
            async with self.gate() as gate:
                task = asyncio.create_task(executor.submit(gate.call("late")))
                await gate.arrivals(1)
                task.cancel()
                done, _ = await asyncio.wait({task}, timeout=self.patience / 2)
                assert done, "the cancelled task waits for its call"
                assert task.cancelled()
                assert await executor.submit(Call(calls.add, (1,))) == Outcome(value=1)

        self.play(scene)

    def test_cancelling_a_call_that_waits_for_its_turn(self, executor: Executor) -> None:
        async def scene() -> None:
            async with self.gate() as gate:
                running = [asyncio.create_task(executor.submit(gate.call(number))) for number in range(2)]
                await gate.arrivals(2)
                waiting = [asyncio.create_task(executor.submit(gate.call(number))) for number in range(12)]
                await asyncio.sleep(0)  # they are submitted
                for task in waiting:
                    task.cancel()
                done, _ = await asyncio.wait(waiting, timeout=self.patience / 2)
                assert len(done) == len(waiting), "cancelled tasks wait for their turn"
                assert all(task.cancelled() for task in waiting)
                gate.open()
                assert await asyncio.gather(*running) == [Outcome(value=0), Outcome(value=1)]

        self.play(scene)

    # -------------------------------------------------------------------------------------------------- life and loops

    def test_one_event_loop_after_another(self, executor: Executor) -> None:
        async def scene() -> None:
            assert await executor.submit(Call(calls.add, (1,))) == Outcome(value=1)

        async def again() -> None:
            await scene()

        self.play(scene, again)

    def test_an_event_loop_in_another_thread(self, executor: Executor) -> None:
        found: list[Outcome] = []
        thread = threading.Thread(target=lambda: found.append(self.submit(executor, calls.add, 1)))
        thread.start()
        thread.join()
        assert found == [Outcome(value=1)]

    def test_it_works_again_after_close(self, executor: Executor) -> None:
        async def scene() -> None:
            for _ in range(2):
                assert await executor.submit(Call(calls.add, (1,))) == Outcome(value=1)
                await executor.close()
                await executor.close()

        self.play(scene)

    def test_close_leaves_no_call_without_an_outcome(self, executor: Executor) -> None:
        async def scene() -> None:
            async with self.gate() as gate:
                task = asyncio.create_task(executor.submit(gate.call("through")))
                await gate.arrivals(1)
                await asyncio.wait_for(executor.close(), self.patience)
                gate.open()
                outcome = await asyncio.wait_for(task, self.patience)
                assert outcome == Outcome(value="through") or isinstance(outcome.error, Exception)

        self.play(scene)
