"""Executors that are wrong in one way each, and the kit run on them; `test_kit_catches_broken_executors.py` starts it.

Not collected by itself: most of what is in here fails, on purpose.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest
from msgspec.structs import replace

from molexp.contracts import Call, Executor, Outcome
from molexp.testing import ExecutorTests
from tests.executors.builtin import InlineExecutor
from tests.executors.builtin import kit as calls


class Broken(ExecutorTests, abstract=True):
    kind: ClassVar[type[Executor]] = InlineExecutor
    patience: ClassVar[float] = 30

    @pytest.fixture
    def executor(self) -> Iterator[Executor]:
        executor = self.kind(workers=4)
        yield executor
        asyncio.run(InlineExecutor.close(executor))  # type: ignore[arg-type]


class TestNothingBroken(Broken):
    pass


class Raising(InlineExecutor):
    async def submit(self, call: Call) -> Outcome:
        outcome = await super().submit(call)
        if isinstance(outcome.error, Exception):
            raise outcome.error
        return outcome


class TestRaising(Broken):
    kind = Raising


class Blocking(InlineExecutor):
    async def submit(self, call: Call) -> Outcome:
        try:
            value = call.function(*call.args, **call.kwargs)
            return Outcome(value=await value if asyncio.iscoroutine(value) else value)
        except (Exception, SystemExit, KeyboardInterrupt) as error:  # noqa: BLE001 - as the contract wants it
            return Outcome(error=error)


class TestBlocking(Broken):
    kind = Blocking
    patience = 0.25


class OneByOne(InlineExecutor):
    async def submit(self, call: Call) -> Outcome:
        while getattr(self, "busy", False):  # noqa: ASYNC110 - any event loop
            await asyncio.sleep(0)
        self.busy = True
        try:
            return await super().submit(call)
        finally:
            self.busy = False


class TestOneByOne(Broken):
    kind = OneByOne
    patience = 0.25


class Swallowing(InlineExecutor):
    async def submit(self, call: Call) -> Outcome:
        try:
            return await super().submit(call)
        except asyncio.CancelledError as error:
            return Outcome(error=error)


class TestSwallowing(Broken):
    kind = Swallowing


class Patient(InlineExecutor):
    async def submit(self, call: Call) -> Outcome:
        inner = asyncio.ensure_future(super().submit(call))
        try:
            return await asyncio.shield(inner)
        except asyncio.CancelledError:
            await inner
            raise


class TestPatient(Broken):
    kind = Patient
    patience = 0.25


class Forgetful(InlineExecutor):
    async def submit(self, call: Call) -> Outcome:
        return await super().submit(replace(call, kwargs={}))


class TestForgetful(Broken):
    kind = Forgetful


class OneLoop(InlineExecutor):
    loop: asyncio.AbstractEventLoop | None = None

    async def submit(self, call: Call) -> Outcome:
        self.loop = self.loop or asyncio.get_running_loop()
        if self.loop is not asyncio.get_running_loop():
            raise RuntimeError("another event loop")
        return await super().submit(call)


class TestOneLoop(Broken):
    kind = OneLoop


class OnceOnly(InlineExecutor):
    closed = False

    async def submit(self, call: Call) -> Outcome:
        if self.closed:
            raise RuntimeError("closed")
        return await super().submit(call)

    async def close(self) -> None:
        self.closed = True
        await super().close()


class TestOnceOnly(Broken):
    kind = OnceOnly


class Careless(InlineExecutor):
    def __init__(self, **options: Any) -> None:
        super().__init__()


class TestCareless(Broken):
    kind = Careless


class Boastful(InlineExecutor):
    in_process = False

    async def submit(self, call: Call) -> Outcome:
        if call.function is calls.die:
            return Outcome(error=RuntimeError("died"))  # or it would take the tests with it
        return await super().submit(call)


class TestBoastful(Broken):
    kind = Boastful


class Silent(InlineExecutor):
    async def submit(self, call: Call) -> Outcome:
        return await super().submit(replace(call, started=None))


class TestSilent(Broken):
    kind = Silent
