"""Worker processes: they die alone, and leave nothing behind."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
import subprocess
import sys

import pytest

from molexp.contracts import Call, Outcome
from molexp.errors import ExecutorError, NotPicklableError, WorkerDiedError
from tests.executors import calls
from tests.executors.builtin import Gate, ProcessExecutor, kit
from tests.executors.counting import children, ending, is_there, pass_over_children, wait_until_dead
from tests.internals import tune
from tests.repository import ROOT
from tests.workflow.clock import clock

__all__ = ["clock"]

PID = Call(kit.process_id)


@pytest.fixture(autouse=True)
def _own_children():
    pass_over_children()


def play(scene, workers=1):
    """Run a scene with an executor; what it returns comes back."""

    async def run():
        async with ProcessExecutor(workers=workers) as executor:
            return await scene(executor)

    return asyncio.run(run())


def outcome_of(call):
    async def scene(executor):
        return await executor.submit(call)

    return play(scene)


# ------------------------------------------------------------------------------------------------------------- deaths


def test_a_killed_worker_fails_its_call_alone():
    async def scene(executor):
        async with Gate(300) as gate:
            first = (await executor.submit(PID)).value
            victim = asyncio.create_task(executor.submit(gate.call("a")))
            await gate.arrivals(1)
            survivor = asyncio.create_task(executor.submit(gate.call("b")))
            await gate.arrivals(1)
            os.kill(first, signal.SIGKILL)
            died = (await victim).error
            replacement = (await executor.submit(PID)).value
            gate.open()
            assert await survivor == Outcome(value="b")
            return first, died, replacement

    first, died, replacement = play(scene, workers=2)
    assert type(died) is WorkerDiedError
    assert (died.pid, died.exit_code, died.signal, died.call) == (first, -9, "SIGKILL", "pass_gate")
    assert "out of memory" in str(died)
    assert replacement != first


@pytest.mark.parametrize(
    ("call", "exit_code", "told"),
    [
        (Call(calls.kill_myself, (signal.SIGTERM,), name="relax"), -signal.SIGTERM, "killed by SIGTERM"),
        (Call(calls.kill_myself, (signal.SIGSEGV,), name="relax"), -signal.SIGSEGV, "native library"),
        (Call(kit.die, (7,), name="relax"), 7, "exit code 7 before the call 'relax' was done"),
        (Call(kit.die, (0,), name="relax"), 0, "exit code 0"),
    ],
    ids=["SIGTERM", "SIGSEGV", "exit 7", "exit 0"],
)
def test_the_error_of_a_dead_worker_says_how_it_died(call, exit_code, told):
    error = outcome_of(call).error
    assert type(error) is WorkerDiedError
    assert error.exit_code == exit_code
    assert told in str(error)
    assert not is_there(error.pid)


def test_an_idle_worker_that_was_killed_fails_nobody():
    async def scene(executor):
        first = (await executor.submit(PID)).value
        os.kill(first, signal.SIGKILL)
        wait_until_dead(first)
        return first, (await executor.submit(PID)).value

    first, second = play(scene)
    assert second not in (None, first)


def test_a_death_is_noticed_though_a_forked_process_lives_on():
    async def scene(executor):
        async with Gate(300) as gate:
            outcome = await executor.submit(Call(calls.fork_and_die, (gate.address,)))
            await gate.arrivals(1)
            return outcome

    error = play(scene).error
    assert isinstance(error, WorkerDiedError)
    assert error.exit_code == 7


# -------------------------------------------------------------------------------------------------------- cancelling


def test_cancelling_kills_the_worker_before_it_returns():
    async def scene(executor):
        first = (await executor.submit(PID)).value
        async with Gate(300) as gate:
            task = asyncio.create_task(executor.submit(gate.call("a")))
            await gate.arrivals(1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert not is_there(first)
            assert children() == set()
        return (await executor.submit(PID)).error

    assert play(scene) is None


def test_cancelling_waits_for_a_worker_that_has_to_be_killed_on_a_machine_that_stands_still(clock, monkeypatch):
    tune(monkeypatch, "seconds that a worker has to end its call", 0.5)

    async def scene(executor):
        first = (await executor.submit(PID)).value
        async with Gate(300) as gate:
            task = asyncio.create_task(executor.submit(Call(calls.pass_by_deaf, (gate.address,))))
            await gate.arrivals(1)
            task.cancel()
            await asyncio.sleep(0)
            clock.skip(30.0)
            with pytest.raises(asyncio.CancelledError):
                await task
            assert not is_there(first)

    play(scene)


def test_a_timeout_kills_too():
    async def scene(executor):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(executor.submit(Call(calls.kill_myself, (signal.SIGCONT,))), 0.05)
        return children()

    assert play(scene) == set()


def test_cancelling_at_once_starts_or_leaves_nothing():
    async def scene(executor):
        for turns in (0, 1, 2):
            task = asyncio.create_task(executor.submit(PID))
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        return (await executor.submit(PID)).error

    assert play(scene) is None
    assert children() == set()


# ----------------------------------------------------------------------------------------------------------- workers


def test_workers_are_started_on_demand_and_used_again():
    async def scene(executor):
        assert children() == set()
        alone = [(await executor.submit(PID)).value for _ in range(5)]
        assert children() == {*alone}
        assert len({*alone}) == 1
        async with Gate(300) as gate:
            two = [asyncio.create_task(executor.submit(gate.call(number))) for number in range(2)]
            await gate.arrivals(2)
            assert len(children()) == 2
            waiting = asyncio.create_task(executor.submit(PID))
            await asyncio.sleep(0)
            assert len(children()) == 2
            gate.open()
            await asyncio.gather(*two, waiting)
        assert len(children()) == 2

    play(scene, workers=2)
    assert children() == set()


def test_the_default_is_as_many_workers_as_processors():
    processors = len(os.sched_getaffinity(0))

    async def scene(executor):
        async with Gate(300) as gate:
            calls = [asyncio.create_task(executor.submit(gate.call(number))) for number in range(processors + 1)]
            await gate.arrivals(processors)
            started = len(children())
            gate.open()
            await gate.arrivals(1)
            gate.open()
            await asyncio.gather(*calls)
        return started

    assert play(scene, workers=None) == processors


def test_nothing_is_left_behind():
    command = [sys.executable, "-W", "error", "-m", "tests.executors.leaving"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)

    assert (done.returncode, done.stderr) == (0, "")
    first, second, third = json.loads(done.stdout)  # at first, the tracker of `multiprocessing` is made
    assert (first["children"], first["threads"]) == ([], ["MainThread"])
    assert first == second == third


def test_close_stops_running_and_waiting_calls_and_their_errors_say_so():
    async def scene(executor):
        async with Gate(300) as gate:
            running = asyncio.create_task(executor.submit(gate.call("a")))
            await gate.arrivals(1)
            waiting = asyncio.create_task(executor.submit(Call(kit.add, (1,), name="next")))
            await asyncio.sleep(0)
            await executor.close()
            assert children() == set()
            return [(await task).error for task in (running, waiting)]

    errors = play(scene)
    assert [type(error) for error in errors] == [ExecutorError, ExecutorError]
    assert str(errors[1]) == "The call 'next' was stopped: its executor was closed."


def test_an_executor_that_is_dropped_lets_its_workers_go():
    executor = ProcessExecutor(workers=1)
    pid = asyncio.run(executor.submit(PID)).value
    with ending(pid):
        del executor
        gc.collect()


def test_output_goes_where_ours_goes(capfd):
    outcome_of(Call(calls.say, ("hello from a worker",)))
    assert capfd.readouterr().out == "hello from a worker\n"


def test_no_process_is_started_for_a_call_that_cannot_travel():
    async def scene(executor):
        return (await executor.submit(Call(lambda: 1))).error, children()

    error, found = play(scene)
    assert isinstance(error, NotPicklableError)
    assert found == set()
