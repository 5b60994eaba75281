"""Calls in this process: on the event loop, or in threads that nobody can kill."""

from __future__ import annotations

import asyncio
import threading

import pytest

from molexp.contracts import Call, Outcome
from tests.executors import calls
from tests.executors.builtin import Gate, InlineExecutor
from tests.executors.counting import threads


def play(scene, workers=None):
    async def run():
        async with InlineExecutor(workers=workers) as executor:
            return await scene(executor)

    return asyncio.run(run())


def test_coroutines_run_here_and_the_rest_in_threads():
    async def scene(executor):
        coroutine = (await executor.submit(Call(calls.thread))).value
        promised = (await executor.submit(Call(calls.promised_thread))).value
        plain = (await executor.submit(Call(threading.current_thread))).value
        return coroutine, promised, plain

    coroutine, promised, plain = play(scene)
    assert coroutine is promised is threading.current_thread()
    assert plain.name.startswith("molexp-inline-")
    assert plain.daemon
    assert not plain.is_alive()


def test_a_call_sees_the_context_and_changes_only_its_own():
    async def scene(executor):
        token = calls.COLOUR.set("red")
        try:
            return (await executor.submit(Call(calls.colour))).value, calls.COLOUR.get()
        finally:
            calls.COLOUR.reset(token)

    assert play(scene) == ("red", "red")


def test_threads_are_bounded_started_on_demand_and_used_again():
    before = threads()

    async def scene(executor):
        for _ in range(5):
            await executor.submit(Call(threading.current_thread))
        assert len(threads() - before) == 1
        async with Gate(300) as gate:
            two = [asyncio.create_task(executor.submit(gate.call(number))) for number in range(2)]
            await gate.arrivals(2)
            third = asyncio.create_task(executor.submit(Call(threading.current_thread)))
            await asyncio.sleep(0)
            assert len(threads() - before) == 2
            gate.open()
            await asyncio.gather(*two)
            assert (await third).value in threads() - before

    play(scene, workers=2)
    assert not {thread for thread in threads() - before if thread.name.startswith("molexp-inline")}


def test_a_stuck_thread_takes_nobodys_place():
    stuck = threading.Event()
    begun = threading.Event()
    before = threads()

    def hang():
        begun.set()
        stuck.wait()

    async def scene(executor):
        task = asyncio.create_task(executor.submit(Call(hang)))
        waiting = asyncio.create_task(executor.submit(Call(threading.current_thread)))
        await asyncio.to_thread(begun.wait)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (await waiting).error is None
        return (await executor.submit(Call(threading.current_thread))).error

    try:
        assert play(scene, workers=1) is None
        (left,) = [thread for thread in threads() - before if thread.name == "molexp-inline-1"]
    finally:
        stuck.set()
    left.join(300)
    assert not left.is_alive(), "it leaves when its call is done"


def test_cancelling_many_begins_none_of_those_that_wait():
    stuck = threading.Event()
    begun = []

    def hang(number):
        begun.append(number)
        stuck.wait()

    async def scene(executor):
        async with Gate(300) as gate:
            first = asyncio.create_task(executor.submit(gate.call("a")))
            waiting = [asyncio.create_task(executor.submit(Call(hang, (number,)))) for number in range(5)]
            await gate.arrivals(1)
            for task in (first, *waiting):
                task.cancel()
            await asyncio.wait((first, *waiting))
            return (await executor.submit(Call(sum, ([1, 2],)))).value

    try:
        assert play(scene, workers=1) == 3
        assert begun == []
    finally:
        stuck.set()


def test_a_call_that_raises_cancelled_by_itself_has_failed():
    async def cancelled():
        raise asyncio.CancelledError("its own")

    async def scene(executor):
        return await executor.submit(Call(cancelled))

    assert isinstance(play(scene).error, asyncio.CancelledError)


def test_cancelling_a_coroutine_reaches_it():
    seen = []

    async def patient():
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            seen.append("cleaned up")
            raise

    async def scene(executor):
        task = asyncio.create_task(executor.submit(Call(patient)))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    play(scene)
    assert seen == ["cleaned up"]


def test_an_outcome_that_comes_after_its_event_loop_is_dropped():
    stuck = threading.Event()
    before = threads()
    executor = InlineExecutor(workers=1)

    async def give_up():
        task = asyncio.create_task(executor.submit(Call(stuck.wait)))
        await asyncio.sleep(0)
        task.cancel()

    asyncio.run(give_up())
    (left,) = [thread for thread in threads() - before if thread.name == "molexp-inline-1"]
    stuck.set()
    left.join(300)
    assert not left.is_alive()
    assert asyncio.run(executor.submit(Call(sum, ([1, 2],)))) == Outcome(value=3)
    asyncio.run(executor.close())
