"""The access of the executor kit to an executor, and a gate at which its calls report."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, ClassVar, Self, TypeAlias

from molexp.contracts import Call, Executor, Outcome
from molexp.testing import _executor_calls as calls
from molexp.testing._conformance import Conformance, required

_Caller: TypeAlias = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Gate:
    """A gate at which calls report and wait to be let through; it lives on the event loop that submits them."""

    def __init__(self, patience: float, host: str = "127.0.0.1") -> None:
        self.patience = patience
        self.holding = 2 * patience  # seconds for which calls wait here: longer than anybody waits for them
        self.host = host
        self.address: tuple[str, int] = ("", 0)
        self._arrived: asyncio.Queue[_Caller] = asyncio.Queue()
        self._inside: list[_Caller] = []
        self._closed = False

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._receive, self.host, 0)
        self.address = self._server.sockets[0].getsockname()[:2]
        return self

    async def __aexit__(self, *_: object) -> None:
        while not self._arrived.empty():
            self._inside.append(self._arrived.get_nowait())
        self._closed = True
        self.open()
        self._server.close()

    async def _receive(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._closed:  # too late: a call of an executor that fails
            writer.close()
        await self._arrived.put((reader, writer))

    def call(self, value: Any, started: Callable[[], None] | None = None) -> Call:
        """Return a call that passes this gate and returns `value`."""
        return Call(calls.pass_gate, (self.address, self.holding, value), started=started)

    def last_call(self) -> Call:
        """Return a call that passes this gate, and then ends its process."""
        return Call(calls.pass_gate_and_die, (self.address, self.holding, 7))

    async def arrivals(self, number: int) -> None:
        """Wait until so many more calls wait here."""
        for _ in range(number):
            self._inside.append(await asyncio.wait_for(self._arrived.get(), self.patience))

    async def one_more(self) -> None:
        """Wait until another call arrives, however long that takes."""
        self._inside.append(await self._arrived.get())

    async def one_too_many(self, grace: float) -> bool:
        """Wait for so many seconds whether yet another call arrives."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self.one_more(), grace)
            return True
        return False

    @property
    def queue(self) -> int:
        """The number of calls that have arrived and were not waited for."""
        return self._arrived.qsize()

    async def vanished(self) -> None:
        """Wait until none of those that wait here is there any more."""
        for reader, _ in self._inside:
            with suppress(ConnectionError):
                await asyncio.wait_for(reader.read(), self.patience / 2)

    def open(self) -> None:
        """Let them through."""
        for _, writer in self._inside:
            writer.close()
        self._inside.clear()


class ExecutorAccess(Conformance, abstract=True):
    """The part of the kit that a subclass defines, and what all tests use."""

    patience: ClassVar[float] = 300.0
    """Seconds to wait for what has to happen; only an executor that fails waits so long."""

    grace: ClassVar[float] = 0.3
    """Seconds in which what must not happen usually would; an executor that is right passes, however slow it is."""

    stops_calls: ClassVar[bool] = True
    """False if a call that runs elsewhere cannot be stopped; those in this process never are."""

    gate_host: ClassVar[str] = "127.0.0.1"
    """The address of this machine at which calls report; redefine it if they are made on other machines."""

    def gate(self) -> Gate:
        """Return a new gate, for ``async with``."""
        return Gate(self.patience, self.gate_host)

    @required
    def executor(self) -> Executor:
        """Define it as a pytest fixture that gives an executor, of at least two workers."""
        raise NotImplementedError

    def with_workers(self, executor: Executor, workers: int) -> Executor:
        """Return another executor of this sort, with so many workers; redefine it where it needs more options."""
        return type(executor)(workers=workers)

    def play(self, *scenes: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run each scene in an event loop of its own."""
        for scene in scenes:
            asyncio.run(scene())

    async def _until(self, so: Callable[[], bool], otherwise: str) -> None:
        """Wait until something is so; what is said of a call elsewhere may come later than the call itself."""
        deadline = asyncio.get_running_loop().time() + self.patience
        while not so():
            assert asyncio.get_running_loop().time() < deadline, otherwise
            await asyncio.sleep(0.001)

    def submit(self, executor: Executor, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Outcome:
        """Submit one call alone."""
        found: list[Outcome] = []

        async def scene() -> None:
            found.append(await executor.submit(Call(function, args, kwargs)))

        self.play(scene)
        assert isinstance(found[0], Outcome)
        return found[0]
