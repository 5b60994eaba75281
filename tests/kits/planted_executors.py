"""Executors that are wrong in one way each, and the check of the kit that is about it."""

from __future__ import annotations

import asyncio
import pickle
import subprocess
import sys
import tempfile
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar

import pytest
from msgspec.structs import replace

from molexp.contracts import Call, Executor, Outcome
from molexp.testing import ExecutorTests
from tests.executors.builtin import InlineExecutor, ProcessExecutor

_PROGRAM = """
import asyncio, inspect, os, pickle, sys, traceback
answer = sys.argv[1]
sys.path[:0] = sys.argv[2:]
try:
    function, args, kwargs = pickle.load(sys.stdin.buffer)
    value = function(*args, **kwargs)
    found = {"value": asyncio.run(value) if inspect.iscoroutine(value) else value}
except BaseException as error:
    error.add_note(traceback.format_exc())
    found = {"error": error}
with (open(answer, "wb") if answer else sys.stdout.buffer) as file:
    pickle.dump(found, file)
"""


class PipedExecutor(Executor):
    """Make each call in a process of its own, as people write it; those below differ in one thing.

    The answer comes back in a file. A process is killed if its call is cancelled.
    """

    name = "piped"

    def __init__(self, *, workers: int | None = None) -> None:
        super().__init__(workers=workers)
        self._turns: weakref.WeakKeyDictionary[Any, asyncio.Semaphore] = weakref.WeakKeyDictionary()

    async def submit(self, call: Call) -> Outcome:
        loop = asyncio.get_running_loop()
        async with self._turns.setdefault(loop, asyncio.Semaphore(self.workers or 2)):
            call.begin()
            return await self.outcome(call)

    async def outcome(self, call: Call) -> Outcome:
        with tempfile.NamedTemporaryFile() as answer:
            command = [sys.executable, "-c", _PROGRAM, self.place(answer.name), *self.path()]
            process = self.start(command)
            try:
                body = pickle.dumps((call.function, call.args, dict(call.kwargs)))
                printed, _ = await asyncio.to_thread(process.communicate, body)
            finally:
                self.stop(process)
            try:
                return Outcome(**pickle.loads(self.answer(answer.read(), printed)))
            except Exception:  # noqa: BLE001 - unpickling runs foreign code
                return Outcome(error=RuntimeError(f"the worker ended with {process.returncode}"))

    def start(self, command: list[str]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)

    def place(self, file: str) -> str:
        return file

    def path(self) -> list[str]:
        return sys.path

    def answer(self, file: bytes, printed: bytes) -> bytes:
        return file

    def stop(self, process: subprocess.Popen[bytes]) -> None:
        process.kill()
        process.wait()


class SoundKit(ExecutorTests):
    kind: ClassVar[type[Executor]] = PipedExecutor

    @pytest.fixture
    def executor(self) -> Iterator[Executor]:
        raise NotImplementedError("`fixtures` gives it")


class BrokenKit(SoundKit):
    patience = 1
    grace = 300  # a call too many comes, however slowly


DEFECTS: dict[str, tuple[type[SoundKit], str]] = {}
"""Defects: the kit of the executor that has it, and the check that catches it."""


@contextmanager
def fixtures(kit: type[SoundKit]) -> Iterator[Mapping[str, Any]]:
    executor = kit.kind(workers=2)
    yield {"executor": executor}
    with asyncio.Runner() as runner:
        runner.run(executor.close())


def planted(defect: str, caught_by: str) -> Any:
    def plant(executor: type[Executor]) -> type[Executor]:
        DEFECTS[defect] = type(f"{executor.__name__}Kit", (BrokenKit,), {"kind": executor}), caught_by
        return executor

    return plant


@planted("`workers` ignored by threads", "test_no_more_calls_run_at_once_than_it_has_workers")
class ManyThreads(InlineExecutor):
    def __init__(self, *, workers: int | None = None) -> None:
        super().__init__(workers=workers)
        self.workers = None


@planted("`workers` ignored by processes", "test_no_more_calls_run_at_once_than_it_has_workers")
class ManyProcesses(PipedExecutor):
    def __init__(self, *, workers: int | None = None) -> None:
        super().__init__(workers=workers)
        self.workers = 1000


@planted("one worker too many", "test_no_more_calls_run_at_once_than_it_has_workers")
class OneMore(InlineExecutor):
    def __init__(self, *, workers: int | None = None) -> None:
        super().__init__(workers=workers)
        self.workers = (workers or 2) + 1


@planted("two calls at once in one process", "test_each_of_two_calls_at_once_has_a_process_for_itself")
class Threads(InlineExecutor):
    """As a worker with threads makes them: here it is this process."""

    in_process = False


@planted("begin told at submission", "test_a_call_that_waits_for_its_turn_has_not_begun")
class Hasty(InlineExecutor):
    async def submit(self, call: Call) -> Outcome:
        call.begin()
        return await super().submit(replace(call, started=None))


@planted("begin told at submission to a process", "test_a_call_that_waits_for_its_turn_has_not_begun")
class HastyProcess(ProcessExecutor):
    async def submit(self, call: Call) -> Outcome:
        call.begin()
        return await super().submit(replace(call, started=None))


@planted("begin told at the end", "test_a_call_that_waits_for_its_turn_has_not_begun")
class Late(InlineExecutor):
    async def submit(self, call: Call) -> Outcome:
        outcome = await super().submit(replace(call, started=None))
        call.begin()
        return outcome


@planted("a cancel that stops nothing", "test_cancelling_stops_a_call_that_runs")
class Unstoppable(ProcessExecutor):
    async def submit(self, call: Call) -> Outcome:
        return await asyncio.shield(super().submit(call))


@planted("a cancel that leaves the process", "test_cancelling_stops_a_call_that_runs")
class Leaving(PipedExecutor):
    def stop(self, process: subprocess.Popen[bytes]) -> None:
        pass


@planted(
    "a call that was cancelled is made when its turn comes",
    "test_a_call_that_is_cancelled_while_it_waits_is_never_made",
)
class Undaunted(InlineExecutor):
    async def submit(self, call: Call) -> Outcome:
        return await asyncio.shield(super().submit(call))


class _Counted(InlineExecutor):
    """Counts its workers itself."""

    async def taken(self) -> asyncio.Semaphore:
        loop = asyncio.get_running_loop()
        turns: asyncio.Semaphore = self.__dict__.setdefault("turns", {}).setdefault(
            loop, asyncio.Semaphore(self.workers or 2)
        )
        await turns.acquire()
        return turns


@planted("a slot leaked by a cancel", "test_a_call_that_is_cancelled_leaves_its_worker_to_others")
class Leaking(_Counted):
    async def submit(self, call: Call) -> Outcome:
        turns = await self.taken()
        outcome = await super().submit(call)
        turns.release()
        return outcome


@planted("a slot leaked by an error", "test_a_call_that_fails_leaves_its_worker_to_others")
class LeakingErrors(_Counted):
    async def submit(self, call: Call) -> Outcome:
        turns = await self.taken()
        outcome = await super().submit(call)
        if outcome.error is None:
            turns.release()
        return outcome


@planted("printing corrupts the answer", "test_what_a_call_prints_is_no_part_of_its_answer")
class Printing(PipedExecutor):
    def place(self, file: str) -> str:
        return ""

    def answer(self, file: bytes, printed: bytes) -> bytes:
        return printed


@planted("a result over 64 KiB is cut", "test_large_values_arrive_whole")
class Cutting(PipedExecutor):
    def answer(self, file: bytes, printed: bytes) -> bytes:
        return file[: 1 << 16]


@planted("numbers of a large result are rounded", "test_large_values_arrive_whole")
class Rounding(InlineExecutor):
    async def submit(self, call: Call) -> Outcome:
        outcome = await super().submit(call)
        if isinstance(outcome.value, dict):
            outcome.value["numbers"] = [round(number, 9) for number in outcome.value["numbers"]]
            return Outcome(value=pickle.loads(pickle.dumps({**outcome.value, "bytes": b""})))
        return outcome


@planted("a dead worker retried in silence", "test_a_call_whose_worker_died_is_not_made_again")
class Retrying(ProcessExecutor):
    async def submit(self, call: Call) -> Outcome:
        outcome = await super().submit(call)
        if type(outcome.error).__name__ == "WorkerDiedError":
            return await super().submit(call)
        return outcome


@planted("the death of a worker is a success", "test_a_call_whose_worker_died_is_not_made_again")
class Optimistic(ProcessExecutor):
    async def submit(self, call: Call) -> Outcome:
        outcome = await super().submit(call)
        return Outcome() if type(outcome.error).__name__ == "WorkerDiedError" else outcome


@planted("the parent's `sys.path` is missing", "test_a_call_finds_the_modules_that_its_caller_finds")
class Pathless(PipedExecutor):
    def path(self) -> list[str]:
        return []


@planted("`sys.path` as it was at first", "test_a_call_finds_the_modules_that_its_caller_finds")
class OldPath(PipedExecutor):
    def __init__(self, *, workers: int | None = None) -> None:
        super().__init__(workers=workers)
        self.first = [*sys.path]

    def path(self) -> list[str]:
        return self.first


@planted("the traceback is lost", "test_an_error_is_an_outcome")
class Traceless(InlineExecutor):
    async def submit(self, call: Call) -> Outcome:
        outcome = await super().submit(call)
        if outcome.error is not None:
            outcome.error.__traceback__ = None
        return outcome


@planted("an error is raised", "test_an_error_is_an_outcome")
class Raising(InlineExecutor):
    async def submit(self, call: Call) -> Outcome:
        outcome = await super().submit(call)
        if isinstance(outcome.error, Exception):
            raise outcome.error
        return outcome


@planted("the event loop is blocked", "test_calls_run_at_once_beside_the_event_loop")
class Blocking(InlineExecutor):
    async def submit(self, call: Call) -> Outcome:
        try:
            value = call.function(*call.args, **call.kwargs)
            return Outcome(value=await value if asyncio.iscoroutine(value) else value)
        except (Exception, SystemExit, KeyboardInterrupt) as error:  # noqa: BLE001 - as the contract wants it
            return Outcome(error=error)


@planted("one call at a time", "test_calls_run_at_once_beside_the_event_loop")
class OneByOne(InlineExecutor):
    async def submit(self, call: Call) -> Outcome:
        while getattr(self, "busy", False):  # noqa: ASYNC110 - any event loop
            await asyncio.sleep(0)
        self.busy = True
        try:
            return await super().submit(call)
        finally:
            self.busy = False


@planted("a cancel becomes an outcome", "test_cancelling_returns_while_the_call_goes_on")
class Swallowing(InlineExecutor):
    async def submit(self, call: Call) -> Outcome:
        try:
            return await super().submit(call)
        except asyncio.CancelledError as error:
            return Outcome(error=error)


@planted("a cancel waits for its call", "test_cancelling_returns_while_the_call_goes_on")
class Patient(InlineExecutor):
    async def submit(self, call: Call) -> Outcome:
        inner = asyncio.ensure_future(super().submit(call))
        try:
            return await asyncio.shield(inner)
        except asyncio.CancelledError:
            await inner
            raise


@planted("keyword arguments are lost", "test_a_value_comes_back")
class Forgetful(InlineExecutor):
    async def submit(self, call: Call) -> Outcome:
        return await super().submit(replace(call, kwargs={}))


@planted("bound to the first event loop", "test_one_event_loop_after_another")
class OneLoop(InlineExecutor):
    loop: asyncio.AbstractEventLoop | None = None

    async def submit(self, call: Call) -> Outcome:
        self.loop = self.loop or asyncio.get_running_loop()
        if self.loop is not asyncio.get_running_loop():
            raise RuntimeError("another event loop")
        return await super().submit(call)


@planted("closed for ever", "test_it_works_again_after_close")
class OnceOnly(InlineExecutor):
    closed = False

    async def submit(self, call: Call) -> Outcome:
        if self.closed:
            raise RuntimeError("closed")
        return await super().submit(call)

    async def close(self) -> None:
        self.closed = True
        await super().close()


@planted("unknown options are ignored", "test_an_option_that_it_does_not_know_is_named")
class Careless(InlineExecutor):
    def __init__(self, **options: Any) -> None:
        super().__init__()


@planted("calls are said to be elsewhere", "test_whether_calls_share_this_process_is_true")
class Boastful(InlineExecutor):
    in_process = False


@planted("begin is never told", "test_it_says_once_that_a_call_begins")
class Silent(InlineExecutor):
    async def submit(self, call: Call) -> Outcome:
        return await super().submit(replace(call, started=None))
