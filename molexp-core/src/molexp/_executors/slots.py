"""A bounded set of threads that serve jobs, started on demand and reused.

The threads are daemons: the interpreter does not wait for them. It need not, because the code that awaits a job keeps
its event loop going; only jobs that nobody awaits any more can be left.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, Generic, Protocol, TypeAlias, TypeVar

from molexp._values.process_id import HERE
from molexp.contracts import Outcome
from molexp.errors import ExecutorError

_W = TypeVar("_W")


class Server(Protocol[_W]):
    """Serves the jobs of one thread."""

    def room(self) -> int:
        """Return the number of jobs that it takes at once, if as many wait."""

    def serve(self, jobs: Jobs[_W], give_back: GiveBack[_W]) -> Ended[_W]:
        """Serve jobs in the thread, and raise nothing; settle those that end, and return the last, which are not settled.

        A job that is not begun can be given back, for another thread.
        """

    def stop(self, job: Job[_W] | None) -> Jobs[_W] | None:
        """Stop serving `job`, or whatever is served, from another thread; None if that is impossible.

        Returns the jobs that were not begun and never will be here, and `job` if it need not be waited for.
        """

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

    __slots__ = ("_inbox", "alone", "done", "dropped", "name", "slot", "work")

    def __init__(self, name: str, work: _W, inbox: Inbox, alone: bool) -> None:
        self.name = name
        self.work = work
        self.alone = alone  # it is not handed over with others
        self.dropped = False  # nobody waits for it any more
        self.slot: _Slot[_W] | None = None
        self._inbox = inbox
        self.done: asyncio.Future[Outcome] = inbox.loop.create_future()

    def settle(self, outcome: Outcome) -> None:
        """Tell the event loop, from any thread."""
        self.slot = None
        self._inbox.put(self, outcome)


Jobs: TypeAlias = list[Job[_W]]
GiveBack: TypeAlias = Callable[[Jobs[_W]], None]
Ended: TypeAlias = list[tuple[Job[_W], Outcome]]


class _Slot(Generic[_W]):
    __slots__ = ("inbox", "jobs", "server", "thread")

    def __init__(self, server: Server[_W]) -> None:
        self.server = server
        self.jobs: Jobs[_W] = []
        self.inbox: SimpleQueue[Jobs[_W] | None] = SimpleQueue()  # jobs to serve next; None: leave
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

    def submit(self, name: str, work: _W, *, alone: bool = False) -> Job[_W]:
        """Serve `work` as soon as there is a thread for it; `alone` does not hand it over with others."""
        loop, inbox = asyncio.get_running_loop(), self._inbox
        if inbox is None or inbox.loop is not loop:
            inbox = self._inbox = Inbox(loop)
        job = Job(name, work, inbox, alone)
        with self._lock:
            if self._closed:
                job.settle(_closed(job))
            else:
                self._backlog.append(job)
                self._hand_out()
        return job

    def abandon(self, job: Job[_W]) -> bool:
        """Abandon a job that nobody waits for any more; tell whether it was running and is being stopped.

        A thread that cannot be stopped counts no longer: another takes its place, and it leaves when it is done.
        """
        with self._lock:
            job.dropped = True
            if job in self._backlog:
                self._backlog.remove(job)
            slot = job.slot
            if slot is None or job not in slot.jobs:  # it has not begun, or it is over
                return False
            freed = slot.server.stop(job)
            if freed is None:
                self._slots.discard(slot)
                self._hand_out()
                return False
            self._give_back(freed)
            return job not in freed

    def close(self) -> list[threading.Thread]:
        """Stop what can be stopped, and return the threads that end now; again and again, until they have."""
        if self.pid != HERE.pid:  # a fork's copy: the threads and what they hold are the parent's
            return []
        with self._lock:
            self._closed = True
            ending = []
            for slot in self._slots:  # those that are busy, idle, or on their way out
                freed = slot.server.stop(None) if slot.jobs else []
                if freed is not None:
                    self._backlog.extend(freed)
                    ending.append(slot.thread)
            while self._backlog:
                job = self._backlog.popleft()
                job.settle(_closed(job))
            for slot in self._idle:
                slot.inbox.put(None)
            self._idle.clear()
            return ending

    def _give_back(self, jobs: Jobs[_W]) -> None:
        """Take back jobs that were not begun: they are the next."""
        with self._lock:
            for job in reversed(jobs):
                job.slot = None
                if self._closed:
                    job.settle(_closed(job))
                elif not job.dropped:
                    self._backlog.appendleft(job)
            self._hand_out()

    def _hand_out(self) -> None:
        """Hand jobs of the backlog to threads that are idle, or can be started."""
        while self._backlog and (self._idle or len(self._slots) < self._limit):
            if not (jobs := self._waiting(1)):
                return
            if self._idle:
                self._hand_over(jobs, self._idle.pop())
            else:
                self._start(jobs)

    def _waiting(self, room: int) -> Jobs[_W]:
        """Return the next jobs of the backlog; skip those whose tasks are cancelled, and will abandon them in their turn.

        Several are handed over only where every thread has its share, and with the last ones each thread has one.
        """
        most = min(room, len(self._backlog) // (2 * self._limit)) if room > 1 else 1
        found: Jobs[_W] = []
        while self._backlog and len(found) < max(most, 1):
            job = self._backlog[0]
            if found and job.alone:
                break
            self._backlog.popleft()
            if not job.done.done():
                found.append(job)
                if job.alone:
                    break
        return found

    def _hand_over(self, jobs: Jobs[_W], slot: _Slot[_W]) -> None:
        slot.jobs = jobs
        for job in jobs:
            job.slot = slot
        slot.inbox.put(jobs)

    def _start(self, jobs: Jobs[_W]) -> None:
        self._started += 1
        slot = _Slot(self._server())
        slot.thread = threading.Thread(
            target=self._run, args=(slot,), name=f"{self._name}-{self._started}", daemon=True
        )
        self._slots.add(slot)
        self._hand_over(jobs, slot)
        try:
            slot.thread.start()
        except RuntimeError as error:  # the system has none left, or the interpreter is going down
            self._slots.discard(slot)
            slot.jobs = []
            for job in jobs:
                job.settle(Outcome(error=error))

    def _run(self, slot: _Slot[_W]) -> None:
        while (jobs := slot.inbox.get()) is not None:
            ended = slot.server.serve(jobs, self._give_back)
            goes_on = self._next(slot)
            self._settle(ended, goes_on)
            del jobs, ended  # an idle thread holds nobody's values
            if not goes_on:
                break
        slot.server.close()
        with self._lock:
            self._slots.discard(slot)

    def _settle(self, ended: Ended[_W], goes_on: bool) -> None:
        for job, outcome in ended:
            stopped = self._closed and not goes_on and isinstance(outcome.error, ExecutorError)  # by `close`
            job.settle(_closed(job) if stopped else outcome)  # the call's own outcome is told as it is

    def _next(self, slot: _Slot[_W]) -> bool:
        """Give the slot, which is done with its jobs, the next ones, or let it rest; False if it has to leave."""
        with self._lock:
            slot.jobs = []
            if self._closed or slot not in self._slots:
                return False
            if waiting := self._waiting(slot.server.room()):
                self._hand_over(waiting, slot)
                return True
            self._idle.append(slot)
            if self._closed:  # by the garbage collector, just now
                slot.inbox.put(None)
            return True


def _closed(job: Job[_W]) -> Outcome:
    return Outcome(error=ExecutorError(f"The call {job.name!r} was stopped: its executor was closed.", call=job.name))
