"""The thread that submits calls to Slurm in arrays, and waits for their answers."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from molexp.contracts import Outcome
from molexp.errors import ExecutorError, QueueError, QueueUnavailableError
from molexp_slurm._arrays import Array, Ticket
from molexp_slurm._commands import run, scancel
from molexp_slurm._exchange import exchanges_in
from molexp_slurm._queue import SlurmQueue
from molexp_slurm._rhythm import Rhythm
from molexp_slurm._site import Site
from molexp_slurm._states import identities

STOPPING: Final = 4.0  # seconds from the request to stop to the order
_TOGETHER: Final = 0.3  # seconds without another call, after which those that came are one array: S3 begins slowly
_AT_MOST: Final = 5.0  # seconds that a call waits for others
_GLANCE: Final = (0.05, 1.0)  # seconds between two looks for answers, at first and at most
_GRACE: Final = 5.0  # seconds that an answer may take from the node to here, at most one interval

log = logging.getLogger("molexp_slurm")


class Desk:
    """Everything that one executor has with Slurm; its thread lives while calls wait.

    Args:
        queue: Slurm.
        site: the settings of the cluster.
        folder: the folder for the files of arrays.
        workers: the number of calls at a time; None for no limit.
        clock: tells the time.
    """

    def __init__(
        self,
        queue: SlurmQueue,
        site: Site,
        folder: Path,
        workers: int | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._queue = queue
        self._site = site
        self._folder = folder
        self._workers = workers
        self._clock = clock
        self._changed = threading.Condition()
        self._arrived: list[Ticket] = []
        self._unwanted: list[Ticket] = []
        self._closing = False
        self._thread: threading.Thread | None = None
        # Only the thread uses these:
        self._new: list[Ticket] = []
        self._since = self._last = 0.0
        self._arrays: list[Array] = []
        self._largest: int | None = None
        self._retry = 0.0
        self._rhythm = Rhythm(site.interval, site.interval * 6)
        self._glance = Rhythm(*_GLANCE, growth=1.2)

    # --------------------------------------------------------------------------------------------- from other threads

    def submit(self, ticket: Ticket) -> None:
        """Take a call."""
        with self._changed:
            self._arrived.append(ticket)
            if self._thread is None:
                self._thread = threading.Thread(target=self._serve, name="molexp-slurm", daemon=True)
                self._thread.start()
            self._changed.notify()

    def withdraw(self, ticket: Ticket) -> None:
        """Stop a call, or let it not be made."""
        with self._changed:
            self._unwanted.append(ticket)
            self._changed.notify()

    def close(self) -> None:
        """Stop all calls, and wait for it."""
        with self._changed:
            self._closing = True
            self._changed.notify()
            thread = self._thread
        if thread is not None:
            thread.join()
        self._closing = False

    # -------------------------------------------------------------------------------------------------- in the thread

    def _serve(self) -> None:
        while True:
            with self._changed:
                if not (self._arrived or self._unwanted or self._new or self._arrays):
                    self._thread = None
                    return
                if not (self._arrived or self._unwanted or self._closing):
                    self._changed.wait(self._pause())
                arrived, self._arrived = self._arrived, []
                unwanted, self._unwanted = self._unwanted, []
                closing = self._closing
            try:
                self._turn(arrived, unwanted, closing=closing)
            except Exception as error:  # a fault of ours must not leave anybody waiting
                log.exception("the executor of Slurm failed")
                for ticket in [*self._new, *(one for array in self._arrays for one in array.tickets.values())]:
                    ticket.end(Outcome(error=error))
                self._new, self._arrays = [], []

    def _pause(self) -> float:
        now = self._clock()
        due = [self._glance.due if self._arrays else now + 1.0, self._rhythm.due]
        if self._new:
            due.append(max(self._retry, self._last + _TOGETHER) if self._has_room() else now + 1.0)
        return min(max(min(due) - now, 0.001), 1.0)

    def _turn(self, arrived: list[Ticket], unwanted: list[Ticket], *, closing: bool) -> None:
        now = self._clock()
        if arrived:
            self._since = self._since if self._new else now
            self._last = now
            self._new += arrived
        if closing:
            unwanted = [*self._new, *(ticket for array in self._arrays for _, ticket in array.waiting)]
        self._stop([ticket for ticket in unwanted if not ticket.over and not ticket.stopping])
        self._order_stops(now)
        quiet = now - self._last >= _TOGETHER or now - self._since >= _AT_MOST
        if self._new and quiet and now >= self._retry:
            self._submit_all()
        self._read(now)
        if now >= self._rhythm.due:
            self._look()
        for array in [one for one in self._arrays if not one.waiting]:
            self._arrays.remove(array)
            array.clear()
        self._spread()

    def _read(self, now: float) -> None:
        if now < self._glance.due:
            return
        changed = [array.read() for array in self._arrays]
        for array in self._arrays:
            array.give_up(now - min(_GRACE, self._site.interval))
        self._glance.looked(now, changed=any(changed))

    # ----------------------------------------------------------------------------------------------------- submitting

    def _has_room(self) -> bool:
        return self._room() != 0

    def _room(self) -> int | None:
        """Return how many more calls may run; None for any number."""
        if self._workers is None:
            return None
        return max(self._workers - sum(array.places for array in self._arrays), 0)

    def _submit_all(self) -> None:
        try:
            self._find_again()
            groups: dict[str, list[Ticket]] = {}
            for ticket in self._new:
                groups.setdefault(ticket.group(), []).append(ticket)
            for tickets in groups.values():
                while tickets and self._has_room():
                    few, tickets[:] = tickets[: self._most(len(tickets))], tickets[self._most(len(tickets)) :]
                    self._submit(few)
        except QueueUnavailableError as error:
            self._later(error)
        except QueueError as error:
            for ticket in self._new:
                ticket.end(Outcome(error=error))
            self._new = []

    def _most(self, wanted: int) -> int:
        """Return the largest size of an array; it is asked for once, if there is more than one call."""
        if wanted > 1 and self._largest is None:
            self._largest = self._queue.largest() or wanted
        return max(self._largest or 1, 1)

    def _submit(self, tickets: Sequence[Ticket]) -> None:
        room = self._room()
        at_once = room if room is not None and room < len(tickets) else None
        self._new = [ticket for ticket in self._new if ticket not in set(tickets)]
        try:
            array = Array.of(tickets, self._folder, self._site, at_once)
        except OSError as error:
            for ticket in tickets:
                why = f"The files for jobs cannot be written to {self._folder}: {error}. Set scheduler.folder to a folder that nodes see."
                ticket.end(Outcome(error=ExecutorError(why, call=ticket.name)))
            return
        self._arrays.append(array)
        self._give_to_slurm(array)

    def _give_to_slurm(self, array: Array) -> None:
        assert array.batch is not None
        try:
            array.known_as(self._queue.submit(array.batch))
        except QueueUnavailableError:
            raise
        except QueueError as error:
            for _, ticket in array.waiting:
                ticket.end(Outcome(error=error))
        else:
            self._rhythm.begin(self._clock())
            self._glance.begin(self._clock())

    def _later(self, error: QueueError) -> None:
        """Say that nothing is lost, and try again after a while."""
        log.warning("%s Trying again in %.0f s.", error, self._site.interval)
        self._retry = self._clock() + self._site.interval
        self._rhythm.begin(self._clock())

    def _find_again(self) -> None:
        """Wait for the jobs of calls that a process submitted which was killed since, rather than submit them again."""
        keyed = {ticket.call.key: ticket for ticket in self._new if ticket.call.key}
        ours = {array.exchange.token for array in self._arrays}
        earlier = [one for one in exchanges_in(self._folder) if one.token not in ours] if keyed else []
        matching = {one.token: one for one in earlier if not keyed.keys().isdisjoint(one.keys())}
        if not matching:
            return
        alive = [job for job in self._queue.look(dict.fromkeys(matching, "")) if job.state.alive]
        for token, exchange in matching.items():
            indices = {job.index: job for job in alive if job.token == token}
            tickets = {index: keyed[key] for key, index in exchange.keys().items() if key in keyed and index in indices}
            if not indices:
                exchange.remove()  # it never came to Slurm, or nobody waits for what it said
            if tickets:
                array = Array(exchange, tickets)
                array.known_as(indices[next(iter(tickets))].id.partition("_")[0])
                self._arrays.append(array)
                self._new = [ticket for ticket in self._new if ticket not in set(tickets.values())]
                self._rhythm.begin(self._clock())
                self._glance.begin(self._clock())

    def _spread(self) -> None:
        """Give places that became free to an array that may use more of them."""
        room = self._room()
        if not room or self._new:
            return
        for array in self._arrays:
            if array.id and array.at_once is not None and array.at_once < len(array.waiting):
                array.at_once = min(array.at_once + room, len(array.waiting))
                try:
                    run(["scontrol", "update", f"JobId={array.id}", f"ArrayTaskThrottle={array.at_once}"])
                except QueueError as error:
                    log.warning("%s", error)
                return

    # -------------------------------------------------------------------------------------------- waiting and stopping

    def _look(self) -> None:
        unsure = [array for array in self._arrays if not array.id]
        tokens = {array.exchange.token: array.id for array in self._arrays}
        now = self._clock()
        if not tokens:
            self._rhythm.rest()
            return
        try:
            jobs = list(self._queue.look(tokens))
            for array in unsure:
                mine = [job for job in jobs if job.token == array.exchange.token]
                if mine:
                    array.known_as(mine[0].id.partition("_")[0])
                else:
                    self._give_to_slurm(array)
        except QueueError as error:  # jobs themselves tell how calls end
            log.warning("%s Trying again in %.0f s.", error, self._rhythm.pause)
            self._rhythm.looked(self._clock(), changed=False)
            return
        for array in self._arrays:
            array.read()  # jobs themselves say more
        changed = [
            array.compare([job for job in jobs if job.token == array.exchange.token], now)
            for array in self._arrays
            if array not in unsure
        ]
        self._rhythm.looked(self._clock(), changed=any(changed) or bool(unsure))
        if any(changed):
            self._glance.begin(now)

    def _stop(self, tickets: Sequence[Ticket]) -> None:
        """Take calls back that have not begun, and ask the others to stop: runs end as cancelled then."""
        if not tickets:
            return
        wanted = set(tickets)
        self._new = [ticket for ticket in self._new if ticket not in wanted]
        now = self._clock()
        waiting, running = list[str](), list[str]()
        for array in self._arrays:
            array.read()  # it may have begun, or be over
            for index, ticket in array.waiting:
                if ticket in wanted:
                    array.exchange.take_back(index)
                    (running if ticket.began else waiting).append(ticket.job)
                    ticket.stopping = now if ticket.began else 0.0
        self._cancel(waiting)
        self._cancel(running, "--batch", "--signal=INT")
        for ticket in tickets:
            if not ticket.stopping:
                ticket.stop()

    def _order_stops(self, now: float) -> None:
        """End those that do not stop."""
        late = [
            ticket
            for array in self._arrays
            for _, ticket in array.waiting
            if ticket.stopping and (now - ticket.stopping >= STOPPING or ticket.gone)
        ]
        self._cancel([ticket.job for ticket in late])
        for ticket in late:
            ticket.stop()

    def _cancel(self, jobs: Sequence[str], *options: str) -> None:
        if ids := [job for job in jobs if job]:
            try:
                scancel(identities(ids), *options)
            except QueueError as error:
                log.warning("%s Calls that have not begun are not made.", error)
