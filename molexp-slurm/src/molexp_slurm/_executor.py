"""Slurm as an executor: this process waits for its jobs."""

from __future__ import annotations

import asyncio
import os
import threading
from contextlib import suppress
from pathlib import Path
from typing import ClassVar, Unpack

from molexp.contracts import Call, Executor, Outcome
from molexp.errors import ExecutorError, MolexpError
from molexp.executors import pack
from molexp_slurm._arrays import Ticket
from molexp_slurm._desk import STOPPING, Desk
from molexp_slurm._queue import SlurmQueue
from molexp_slurm._site import Site, SiteOptions

_FOLDER = ".molexp-slurm"


class SlurmExecutor(Executor):
    """Makes calls in jobs of Slurm, and waits for their answers.

    Calls that come together and need the same are one job array, of `workers` jobs at a time. Calls, the news that they begin, and
    answers are files in a folder that the nodes see (``scheduler.folder``), for as long as they are needed. Slurm is asked once per
    interval for all jobs, and only for those that say nothing: those that were cancelled, killed or requeued. Jobs go on if this
    process is killed. Whoever submits the same calls again, waits for these jobs.

    Cancelling a call takes it back if it has not begun, and else sends it SIGINT, and cancels its job after four seconds.

    Args:
        workers: the largest number of jobs that run at a time; `None` leaves it to Slurm.
        options: those of the cluster, see `SiteOptions`.

    Raises:
        TypeError: there is no such option, or its value has the wrong type.
        ValueError: a value makes no sense.

    Example:
        >>> from molexp_slurm import SlurmExecutor
        >>> executor = SlurmExecutor(workers=100, partition="long")
        >>> executor.queues
        True
    """

    name: ClassVar[str] = "slurm"
    queues: ClassVar[bool] = True

    def __init__(self, *, workers: int | None = None, **options: Unpack[SiteOptions]) -> None:
        super().__init__(workers=workers)
        self._site = Site.of(options)
        self._queue = SlurmQueue(**options)
        self._guard = threading.Lock()
        self._desk: tuple[int, Desk] | None = None

    async def submit(self, call: Call) -> Outcome:
        """Make `call` in a job, and return how it ended; see `molexp.contracts.Executor`."""
        try:
            folder = os.getcwd()
            data = pack(call)
        except MolexpError as error:
            return Outcome(error=error)
        except OSError as error:
            return Outcome(error=ExecutorError(f"There is no current folder: {error}.", call=call.name))
        loop = asyncio.get_running_loop()
        done: asyncio.Future[Outcome] = loop.create_future()

        def settle(outcome: Outcome) -> None:
            if not done.done():
                done.set_result(outcome)

        def answered(outcome: Outcome) -> None:
            with suppress(RuntimeError):  # the event loop is closed: nobody waits any more
                loop.call_soon_threadsafe(settle, outcome)

        ticket = Ticket(call, data, folder, answered)
        desk = self._open_desk(folder)
        desk.submit(ticket)
        try:
            return await asyncio.shield(done)
        except asyncio.CancelledError:
            desk.withdraw(ticket)
            await asyncio.wait([done], timeout=STOPPING + 1)  # the call does nothing after we return
            raise

    def _open_desk(self, folder: str) -> Desk:
        with self._guard:
            if self._desk is None or self._desk[0] != os.getpid():  # after a fork, the thread is the parent's
                place = Path(folder, self._site.folder or _FOLDER)
                self._desk = os.getpid(), Desk(self._queue, self._site, place, self.workers)
            return self._desk[1]

    async def close(self) -> None:
        """Stop all calls, and cancel their jobs."""
        with self._guard:
            desk, self._desk = self._desk, None
        if desk is not None and desk[0] == os.getpid():
            await asyncio.to_thread(desk[1].close)
