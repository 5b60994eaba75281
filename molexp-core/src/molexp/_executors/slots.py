"""A bounded set of threads that each serve one job at a time, started on demand and reused.

The threads are daemons: the interpreter does not wait for them. It need not, because the code that awaits a job keeps
its event loop going; only jobs that nobody awaits any more can be left.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, Generic, Protocol, TypeVar

from molexp._values.process_id import HERE
from molexp.contracts import Outcome
from molexp.errors import ExecutorError

_W = TypeVar("_W")
_W_contra = TypeVar("_W_contra", contravariant=True)


class Server(Protocol[_W_contra]):
    """Serves the jobs of one thread."""

    def serve(self, work: _W_contra) -> Outcome:
        """Serve `work` in the thread, and raise nothing."""

    def stop(self, work: _W_contra) -> bool:
        """Stop serving `work`, from another thread; False if that is impossible."""

    def close(self) -> None:
        """Release what it holds, in the thread, after the last job."""


class Inbox:
    """The outcomes for one event loop, which is woken once for all that come while it is busy."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._lock = threading.RLock()
        self._outcomes: list[tuple[Job[Any], Outcome]] = []

    def put(self, job: Job[Any], outcome: Outcome) -> None:
        """Bring an outcome to the event loop, from any thread."""
        with self._lock:
            self._outcomes.append((job, outcome))
            if len(self._outcomes) > 1:
                return
        try:
            self.loop.call_soon_threadsafe(self._take)
        except RuntimeError:  # the loop is closed: nobody waits
            self._outcomes.clear()

    def _take(self) -> None:
        with self._lock:
            outcomes, self._outcomes = self._outcomes, []
        for job, outcome in outcomes:
            if not job.done.done():
                job.done.set_result(outcome)


class Job(Generic[_W]):
    """One piece of work, and the event loop that waits for its outcome."""

    __slots__ = ("_inbox", "done", "name", "slot", "work")

    def __init__(self, name: str, work: _W, inbox: Inbox) -> None:
        self.name = name
        self.work = work
        self.slot: _Slot[_W] | None = None
        self._inbox = inbox
        self.done: asyncio.Future[Outcome] = inbox.loop.create_future()

    def settle(self, outcome: Outcome) -> None:
        """Tell the event loop, from any thread."""
        self._inbox.put(self, outcome)


class _Slot(Generic[_W]):
    __slots__ = ("inbox", "job", "server", "thread")

    def __init__(self, server: Server[_W]) -> None:
        self.server = server
        self.job: Job[_W] | None = None
        self.inbox: SimpleQueue[Job[_W] | None] = SimpleQueue()  # one job at a time; None: leave
        self.thread: threading.Thread


class Slots(Generic[_W]):
    """The threads.

    An idle thread is taken from the end of a stack, so that one that was just used is used again. It is on the stack
    before the outcome of its last job is told: the next submission finds it there.

    Args:
        limit: the largest number of jobs at a time.
        name: the name of the threads.
        server: makes the server of a thread.
    """

    def __init__(self, limit: int, name: str, server: Callable[[], Server[_W]]) -> None:
        self.pid = HERE.pid
        self._limit = limit
        self._name = name
        self._server = server
        self._lock = threading.RLock()  # `close` may be called by the garbage collector, in the midst of another method
        self._slots: set[_Slot[_W]] = set()  # those that count
        self._idle: list[_Slot[_W]] = []
        self._backlog: deque[Job[_W]] = deque()
        self._started = 0
        self._inbox: Inbox | None = None  # of the event loop that came last
        self._closed = False

    def submit(self, name: str, work: _W) -> Job[_W]:
        """Serve `work` as soon as there is a thread for it."""
        loop, inbox = asyncio.get_running_loop(), self._inbox
        if inbox is None or inbox.loop is not loop:
            inbox = self._inbox = Inbox(loop)
        job = Job(name, work, inbox)
        with self._lock:
            if self._closed:
                job.settle(_closed(job))
            elif self._idle:
                self._hand_over(job, self._idle.pop())
            elif len(self._slots) < self._limit:
                self._start(job)
            else:
                self._backlog.append(job)
        return job

    def abandon(self, job: Job[_W]) -> bool:
        """Abandon a job that nobody waits for any more; tell whether it was running and is being stopped.

        A thread that cannot be stopped counts no longer: another takes its place, and it leaves when it is done.
        """
        with self._lock:
            if job in self._backlog:
                self._backlog.remove(job)
            slot = job.slot
            if slot is None or slot.job is not job:  # it has not begun, or it is over
                return False
            if slot.server.stop(job.work):
                return True
            self._slots.discard(slot)
            if len(self._slots) < self._limit and (waiting := self._waiting()):
                self._start(waiting)
            return False

    def close(self) -> list[threading.Thread]:
        """Stop what can be stopped, and return the threads that end now; again and again, until they have."""
        if self.pid != HERE.pid:  # a fork's copy: the threads and what they hold are the parent's
            return []
        with self._lock:
            self._closed = True
            while self._backlog:
                job = self._backlog.popleft()
                job.settle(_closed(job))
            # Those that are busy, idle, or on their way out.
            ending = [s.thread for s in self._slots if s.job is None or s.server.stop(s.job.work)]
            for slot in self._idle:
                slot.inbox.put(None)
            self._idle.clear()
            return ending

    def _waiting(self) -> Job[_W] | None:
        """Return the next job of the backlog; skip those whose tasks are cancelled, and will abandon them in their turn."""
        while self._backlog:
            job = self._backlog.popleft()
            if not job.done.done():
                return job
        return None

    def _hand_over(self, job: Job[_W], slot: _Slot[_W]) -> None:
        job.slot, slot.job = slot, job
        slot.inbox.put(job)

    def _start(self, job: Job[_W]) -> None:
        self._started += 1
        slot = _Slot(self._server())
        slot.thread = threading.Thread(
            target=self._run, args=(slot,), name=f"{self._name}-{self._started}", daemon=True
        )
        self._slots.add(slot)
        self._hand_over(job, slot)
        try:
            slot.thread.start()
        except RuntimeError as error:  # the system has none left, or the interpreter is going down
            self._slots.discard(slot)
            slot.job = None
            job.settle(Outcome(error=error))

    def _run(self, slot: _Slot[_W]) -> None:
        while (job := slot.inbox.get()) is not None:
            outcome = slot.server.serve(job.work)
            goes_on = self._next(slot)
            if self._closed and not goes_on and isinstance(outcome.error, ExecutorError):
                outcome = _closed(job)  # stopped by `close`; what the call itself came to is told as it is
            job.settle(outcome)
            del job, outcome  # an idle thread holds nobody's values
            if not goes_on:
                break
        slot.server.close()
        with self._lock:
            self._slots.discard(slot)

    def _next(self, slot: _Slot[_W]) -> bool:
        """Give the slot, which is done with its job, the next one, or let it rest; False if it has to leave."""
        with self._lock:
            slot.job = None
            if self._closed or slot not in self._slots:
                return False
            if waiting := self._waiting():
                self._hand_over(waiting, slot)
                return True
            self._idle.append(slot)
            if self._closed:  # by the garbage collector, just now
                slot.inbox.put(None)
            return True


def _closed(job: Job[_W]) -> Outcome:
    return Outcome(error=ExecutorError(f"The call {job.name!r} was stopped: its executor was closed.", call=job.name))
