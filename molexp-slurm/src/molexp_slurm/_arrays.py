"""Calls on their way, and the arrays of jobs that make them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from molexp.contracts import Batch, Call, Job, JobState, Outcome, Progress
from molexp.errors import ExecutorError
from molexp.executors import unpack
from molexp_slurm._exchange import Began, Exchange
from molexp_slurm._site import Site
from molexp_slurm.errors import JobEndedError


@dataclass(eq=False)
class Ticket:
    """A call that somebody waits for.

    Attributes:
        call: the call.
        data: the same as bytes.
        folder: the folder that it was submitted in.
        answered: called with its outcome, once, from another thread.
    """

    call: Call
    data: bytes
    folder: str
    answered: Callable[[Outcome], None]
    job: str = ""
    number: str = ""
    began: bool = False
    restarts: int = 0
    over: bool = False
    stopping: float = 0.0  # the time at which it was asked to stop
    gone: float = 0.0  # the time at which its job was found to have ended

    @property
    def name(self) -> str:
        """Its name in messages."""
        return self.call.name or getattr(self.call.function, "__qualname__", "") or "?"

    def group(self) -> str:
        """Return a text that is the same for calls that one array can make."""
        needs = json.dumps(msgspec.to_builtins(self.call.resources), sort_keys=True, default=repr)
        return f"{self.folder}\0{needs}"

    def queue(self, job: str) -> None:
        """Say that it waits in Slurm's queue."""
        self.job = job
        self.call.tell(Progress("queued", job=job))

    def begin(self, news: Began) -> None:
        """Say that it begins, unless that is known."""
        self.number = news.number or self.number
        if not self.began:
            self.began, self.restarts = True, news.restarts
            self.call.begin(news.host, self.job, news.restarts)

    def requeue(self) -> None:
        """Say that it waits again."""
        if self.began:
            self.began = False
            self.restarts += 1
            self.call.tell(Progress("requeued", job=self.job, restarts=self.restarts))

    def end(self, outcome: Outcome) -> None:
        """Give the outcome to whoever waits."""
        if not self.over:
            self.over = True
            self.answered(outcome)

    def stop(self) -> None:
        """End it because nobody wants it any more."""
        self.end(Outcome(error=ExecutorError(f"The call {self.name!r} was stopped.", call=self.name)))


@dataclass(eq=False)
class Array:
    """One array of jobs, and the calls that wait for it; without an id while nobody knows whether Slurm has it."""

    exchange: Exchange
    tickets: dict[int, Ticket]
    batch: Batch | None = None  # None if another process has submitted it
    id: str = ""
    at_once: int | None = None
    states: dict[int, JobState] = field(default_factory=dict)

    @classmethod
    def of(cls, tickets: Sequence[Ticket], folder: Path, site: Site, at_once: int | None) -> Array:
        """Return a new array for calls of one group, with its files."""
        exchange = Exchange(folder / f"molexp-{os.urandom(8).hex()}")
        exchange.make([(ticket.call, ticket.data) for ticket in tickets])
        first, more = tickets[0], len(tickets) - 1
        batch = Batch(
            token=exchange.token,
            command=exchange.command(site),
            size=len(tickets),
            folder=first.folder,
            resources=first.call.resources,
            at_once=at_once,
            output=exchange.output,
            title=f"{first.name} and {more} more" if more else first.name,
        )
        return cls(exchange, dict(enumerate(tickets)), batch, at_once=at_once)

    def known_as(self, identity: str) -> None:
        """Take the id that Slurm gave it."""
        self.id = identity
        for index, ticket in self.tickets.items():
            ticket.queue(f"{identity}_{index}")

    @property
    def waiting(self) -> list[tuple[int, Ticket]]:
        """The calls that are not over."""
        return [(index, ticket) for index, ticket in self.tickets.items() if not ticket.over]

    @property
    def places(self) -> int:
        """The number of calls that may be running."""
        left = len(self.waiting)
        return left if self.at_once is None else min(left, self.at_once)

    def read(self) -> bool:
        """Take what the jobs have said; returns True if there was something."""
        found = False
        for index, news in self.exchange.news():
            found = True
            ticket = self.tickets.get(index)
            if ticket is None:
                continue
            if isinstance(news, Began):
                ticket.begin(news)
                continue
            ticket.begin(Began("", ticket.job, ticket.restarts))
            outcome = unpack(news)
            if ticket.stopping and isinstance(outcome.error, KeyboardInterrupt):  # we have asked it to
                ticket.stop()
            else:
                ticket.end(outcome)
        return found

    def compare(self, jobs: Iterable[Job], now: float) -> bool:
        """Take what Slurm says of the jobs; returns True if it is something else than before."""
        known = {job.index: job for job in jobs}
        for index, ticket in self.waiting:
            job = known.get(index)
            if job is None or not job.state.alive:
                ticket.gone = ticket.gone or now
                self.words[index] = job.word if job is not None else ""
                continue
            ticket.gone = 0.0
            if job.state is JobState.RUNNING:
                ticket.begin(Began("", ticket.job, ticket.restarts))
            else:
                ticket.requeue()
        states = {index: job.state for index, job in known.items()}
        changed, self.states = states != self.states, states
        return changed

    words: dict[int, str] = field(default_factory=dict)

    def give_up(self, before: float) -> None:
        """End calls whose jobs had ended by then: an answer would have come."""
        for index, ticket in self.waiting:
            if ticket.gone and ticket.gone <= before:
                printed = self.exchange.printed(index)
                word = self.words.get(index, "")
                facts = {"job": ticket.job, "word": word, "printed": printed, "number": ticket.number}
                ticket.end(Outcome(error=JobEndedError(ticket.name, **facts)))

    def clear(self) -> None:
        """Remove the files, unless other calls of somebody else's array need them."""
        if self.batch is not None or len(self.tickets) >= len(self.exchange.keys()):
            self.exchange.remove()
