"""The base of both executors: threads that are started at first use, and anew after a close or a fork."""

from __future__ import annotations

import asyncio
import threading
import weakref
from abc import abstractmethod
from collections.abc import Callable, Iterable
from typing import Any, Generic, TypeVar

from molexp._executors.slots import Server, Slots
from molexp._values.process_id import HERE
from molexp.contracts import Call, Executor, Outcome

_W = TypeVar("_W")

_STOPPING = 60.0  # seconds; a process is gone soon after it was killed, unless the system holds on to it


class Pooled(Executor, Generic[_W]):
    """An executor whose calls are served by threads."""

    def __init__(self, *, workers: int | None = None) -> None:
        super().__init__(workers=workers)
        self._guard = threading.Lock()
        self._slots: Slots[_W] | None = None
        self._finalizer: weakref.finalize[..., Any] | None = None

    @abstractmethod
    def _limit(self) -> int:
        """Return the default number of calls at a time."""

    @abstractmethod
    def _server(self) -> Callable[[], Server[_W]]:
        """Return a factory of servers, which must not refer to this executor: the threads would keep it alive."""

    async def _serve(self, name: str, work: _W, *, alone: bool = False) -> Outcome:
        slots = self._pool()
        job = slots.submit(name, work, alone=alone)
        try:
            return await job.done
        except BaseException as error:  # cancelled, or the event loop ends
            stopping = slots.abandon(job)
            if stopping and isinstance(error, asyncio.CancelledError):
                job.done = job.done.get_loop().create_future()  # in the place of the one that was cancelled
                await asyncio.wait([job.done], timeout=_STOPPING)  # the call does nothing after we return
            raise

    def _pool(self) -> Slots[_W]:
        with self._guard:
            if self._slots is None or self._slots.pid != HERE.pid:  # after a fork, the threads are the parent's
                limit = self.workers or self._limit()
                self._slots = Slots(limit, f"molexp-{self.name}", self._server())
                _OPEN.add(self._slots)
                self._finalizer = weakref.finalize(self, self._slots.close)
                self._finalizer.atexit = False  # see `close_all`
            return self._slots

    async def close(self) -> None:
        """Stop calls that can be stopped, and wait for the threads that end."""
        with self._guard:
            slots, self._slots = self._slots, None
            if self._finalizer is not None:
                self._finalizer.detach()
        if slots is not None and (ending := slots.close()):
            await asyncio.to_thread(join, ending)


_OPEN: weakref.WeakSet[Slots[Any]] = weakref.WeakSet()


def close_all() -> None:
    """Close all executors at the end of this process, so that no child is left behind."""
    join([thread for slots in [*_OPEN] for thread in slots.close()])


def join(threads: Iterable[threading.Thread]) -> None:
    """Wait for all of them."""
    for thread in threads:
        thread.join()


def call_name(call: Call) -> str:
    """Return the name of a call in messages."""
    return call.name or str(getattr(call.function, "__qualname__", "") or type(call.function).__qualname__)


def call_it(call: Call) -> Any:
    """Make the call."""
    return call.function(*call.args, **call.kwargs)
