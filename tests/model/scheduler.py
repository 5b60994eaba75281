"""A deterministic world: actors in threads, of which one runs at a time, and may crash or stall at any operation.

A seed decides everything: who goes on, who crashes before or after an operation takes effect, who is stalled while others
take it for dead, how far the clocks move. So a seed replays exactly, given one ``PYTHONHASHSEED``.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from random import Random
from types import TracebackType
from typing import Self

import attrs

LEAP = 400.0
"""Seconds: longer than any lease."""

_LIMIT = 60_000  # operations of a trial; none needs so many
_FOCUS = (
    "create",
    "append",
    "append: write",
    "append: look",
    "rename: unlink",
    "list",
    "list on",
    "delete",
    "read",
    "",
)
_MOMENTS = {
    "w": ("create", "create", "append", "append: write", "append: look", "list"),
    "r": ("list", "list", "read", "stat", "lock"),
    "c": ("list", "read", "create", "delete", "rename", "rename: unlink", "lock", "stat"),
}
_PATIENCE = 300.0  # seconds of real time without any progress, which only a fault of this module can bring about


class Crash(BaseException):
    """Unwinds an actor for good: its process was killed."""


class Violation(AssertionError):
    """The protocol did not keep a promise."""


@attrs.define
class Aim:
    """One stall at a moment that matters; most faults of a protocol need no more.

    Attributes:
        who: first letter of the name of the actor that is stalled.
        what: the operation before which it is.
        nth: the how-manieth of these.
        until: how many compactions come to their ends before it wakes up.
        victim: who it is, once it is.
    """

    who: str
    what: str
    nth: int
    until: int
    victim: Actor | None = None

    @classmethod
    def draw(cls, random: Random, where: str = "") -> Aim:
        """One of many; with `where`, such as ``w:create``, at such an operation of such an actor."""
        who, _, what = where.partition(":")
        who = who or random.choice("wwrcc")
        return cls(
            who, what or random.choice(_MOMENTS[who]), random.choice((1, 2, 3, 5, 8, 13)), random.choice((1, 2, 3, 5))
        )


@attrs.define
class Temper:
    """Say how hostile one trial is.

    Attributes:
        stay: probability that whoever runs goes on.
        crash: probability of a crash at an operation.
        stall: probability that an actor is stalled at an operation.
        leap: probability that time leaps at an operation.
        split: probability that an operation which is not one step on real storage is seen in its middle.
        fault: probability that the storage does not answer an operation that changes something.
        tamper: whether snapshots are damaged.
        focus: the operation at which crashes and stalls are many times as likely.
        ttl: seconds of silence after which somebody counts as dead; an operation takes some hundredths of one.
        light: whether writers do little but announce and create, while others compact.
        aim: one stall, in place of all others.
    """

    stay: float
    crash: float
    stall: float
    leap: float
    split: float
    fault: float
    tamper: bool
    focus: str
    ttl: float
    light: bool
    aim: Aim | None

    @classmethod
    def draw(cls, random: Random, aim: str = "") -> Temper:
        """One of many kinds of trials; with an aim, one that makes the most of it."""
        if aim:
            return cls(
                stay=random.choice((0.7, 0.9, 0.97)),
                crash=0.0,
                stall=0.0,
                leap=0.0,
                split=0.8,
                fault=0.0,
                tamper=random.random() < 0.3,
                focus="",
                ttl=random.choice((1.0, 0.2)),
                light=True,
                aim=Aim.draw(random, aim),
            )
        return cls(
            stay=random.choice((0.3, 0.7, 0.9, 0.97)),
            crash=random.choice((0.0, 0.002, 0.01, 0.03)),
            stall=random.choice((0.0, 0.005, 0.02, 0.05)),
            leap=random.choice((0.0, 0.002, 0.01)),
            split=random.choice((0.1, 0.5)),
            fault=random.choice((0.0, 0.0, 0.0, 0.005)),
            tamper=random.random() < 0.15,
            focus=random.choice(_FOCUS),
            ttl=random.choice((180.0, 4.0, 1.0)),
            light=random.random() < 0.6,
            aim=Aim.draw(random) if random.random() < 0.5 else None,
        )

    def weight(self, what: str) -> float:
        """Return how much more likely something happens to whoever does this."""
        return 10.0 if what == self.focus else 1.0


@attrs.define(eq=False)
class Actor:
    """One process.

    Attributes:
        name: for the trace.
        host: the machine it runs on.
        work: what it does.
        alive: whether its process is there.
        sleeps_until: the step at which it wakes up.
        waits_for: what another actor has locked.
    """

    name: str
    host: str
    work: Callable[[], None]
    pid: int = 0
    alive: bool = True
    done: bool = False
    sleeps_until: int = 0
    waits_for: Lock | None = None
    failure: BaseException | None = None
    baton: threading.Semaphore = attrs.field(factory=lambda: threading.Semaphore(0))

    def can_run(self, step: int) -> bool:
        """Tell whether it may be chosen now."""
        return (
            not self.done and self.sleeps_until <= step and (self.waits_for is None or self.waits_for.is_free_for(self))
        )


class Simulation:
    """The world of one trial."""

    def __init__(self, seed: str, aim: str = "") -> None:
        self.random = Random(seed)
        self.temper = Temper.draw(self.random, aim)
        self.tokens = Random(f"tokens of {seed}")
        self.trace: list[str] = []
        self.actors: list[Actor] = []
        self.running: Actor | None = None
        self.now = 1_700_000_000.0
        self.step = 0
        self.operations = 0
        self.ghosts: list[Callable[[], None]] = []
        self._over = threading.Semaphore(0)
        self._halted = False
        self._pids = 1000

    # ------------------------------------------------------------------------------------------------------- the actors

    def actor(self, name: str, host: str, work: Callable[[], None]) -> Actor:
        """A new process."""
        self._pids += 1
        made = Actor(name, host, work, self._pids)
        self.actors.append(made)
        return made

    def run(self) -> None:
        """Let all actors run to their ends.

        Raises:
            Violation: one of them came across something that must not be.
        """
        todo = [actor for actor in self.actors if not actor.done]
        if not todo:
            return
        threads = [threading.Thread(target=self._live, args=[actor], daemon=True) for actor in todo]
        for thread in threads:
            thread.start()
        self._pass_on(None)
        if not self._over.acquire(timeout=_PATIENCE):
            raise RuntimeError("the simulation is stuck:\n" + "\n".join(self.trace[-50:]))
        self.running = None
        for thread in threads:
            thread.join(_PATIENCE)
        for actor in todo:
            if actor.failure is not None:
                raise actor.failure

    def _live(self, actor: Actor) -> None:
        actor.baton.acquire()
        try:
            if not self._halted:
                actor.work()
        except Crash:
            pass
        except BaseException as error:  # noqa: BLE001 - it is raised by `run`
            actor.failure = error
            self._halted = True
        actor.done = True
        actor.alive = False
        self._pass_on(None)

    def _pass_on(self, current: Actor | None) -> None:
        chosen = self._choose(current)
        if chosen is current and current is not None:
            return
        if chosen is None:
            self._over.release()
            return
        self.running = chosen
        chosen.baton.release()
        if current is not None:
            current.baton.acquire()

    def _choose(self, current: Actor | None) -> Actor | None:
        ready = [actor for actor in self.actors if actor.can_run(self.step)]
        if not ready:
            asleep = [one for one in self.actors if not one.done and one.can_run(sys.maxsize)]
            if not asleep:
                if any(not actor.done for actor in self.actors):
                    raise RuntimeError("all actors wait for each other")
                return None
            ready = [min(asleep, key=lambda one: one.sleeps_until)]
            ready[0].sleeps_until = 0
            self.note(ready[0], "wakes up")
        if current in ready and self.random.random() < self.temper.stay:
            return current
        return self.random.choice(ready)

    # --------------------------------------------------------------------------------------------------- what happens

    def note(self, actor: Actor | None, what: str, key: str = "") -> None:
        """Write a line of the trace. When a compaction is over, others like to wake up."""
        if what == "= compacted":
            aim = self.temper.aim
            if aim is None:
                for other in self.actors:
                    if other.sleeps_until > self.step and not other.done and self.random.random() < 0.25:
                        other.sleeps_until = self.step
            elif aim.victim is not None:
                aim.until -= 1
                if aim.until == 0:
                    aim.victim.sleeps_until = self.step
        self.trace.append(f"{self.step:5} {actor.name if actor else '-':12} {what:14} {key}")

    def before(self, what: str, key: str, *, late: Callable[[], None] | None = None) -> None:
        """An actor is about to do something: whatever can happen to it happens now.

        Args:
            what: the operation.
            key: what it is about.
            late: its effect, which may come about although the actor has crashed.
        """
        self.operations += 1
        actor = self.running
        if actor is None:
            self.trace.append(f"      {what} {key}")
            return
        if not actor.alive or self._halted:
            raise Crash
        self.step += 1
        if self.step > _LIMIT:
            raise Violation("it does not come to an end")
        random, temper = self.random, self.temper
        self.now += random.choice((0.001, 0.01, 0.1))
        if random.random() < temper.leap:
            self.now += random.choice((LEAP / 8, LEAP))
            self.note(actor, "time leaps")
        if self.ghosts and random.random() < 0.05:
            self.ghosts.pop(random.randrange(len(self.ghosts)))()
        draw = random.random() / temper.weight(what)
        if draw < temper.crash / 2:
            self.note(actor, "CRASHES before", f"{what} {key}")
            if late is not None and random.random() < 0.5:
                self.ghosts.append(late)
            self._crash(actor)
        elif temper.aim is not None:
            self._take_aim(temper.aim, actor, what, key)
        elif draw < temper.crash / 2 + temper.stall:
            self._stall(actor, what, key)
        self._pass_on(actor)
        if not actor.alive or self._halted:
            raise Crash
        self.note(actor, what, key)

    def after(self, what: str, key: str) -> None:
        """Let an operation of an actor take effect without the actor learning of it."""
        actor = self.running
        if actor is not None and self.random.random() < self.temper.weight(what) * self.temper.crash / 2:
            self.note(actor, "CRASHES after", f"{what} {key}")
            self._crash(actor)

    def _take_aim(self, aim: Aim, actor: Actor, what: str, key: str) -> None:
        if aim.victim is None and actor.name.startswith(aim.who) and what == aim.what:
            aim.nth -= 1
            if aim.nth == 0:
                aim.victim = actor
                actor.sleeps_until = self.step + _LIMIT
                self.note(actor, "stalls before", f"{what} {key}")

    def _stall(self, actor: Actor, what: str, key: str) -> None:
        steps = self.random.choice((20, 100, _LIMIT, _LIMIT))
        actor.sleeps_until = self.step + steps
        self.note(actor, "stalls before", f"{what} {key}")
        if self.random.random() < 0.5:
            self.now += LEAP

    def chance(self, probability: float) -> bool:
        """Tell whether something happens, to an actor; never outside of one."""
        return self.running is not None and self.random.random() < probability

    def crash(self, what: str, key: str) -> None:
        """The actor that runs is killed."""
        assert self.running is not None
        self.note(self.running, "CRASHES in", f"{what} {key}")
        self._crash(self.running)

    @staticmethod
    def _crash(actor: Actor) -> None:
        actor.alive = False
        raise Crash

    def wait_for(self, lock: Lock) -> None:
        """Let others run until they give back a lock."""
        actor = self.running
        assert actor is not None, "the simulation ended with a lock in somebody's hands"
        while not lock.is_free_for(actor):
            actor.waits_for = lock
            self._pass_on(actor)
        actor.waits_for = None
        if self._halted:
            raise Crash

    def is_dead(self, host: str, pid: int) -> bool:
        """Tell whether the kernel of `host` has no such process any more."""
        return any(actor.pid == pid and actor.host == host and not actor.alive for actor in self.actors)


class Lock:
    """Lock an index in the simulation: a thread that waited for a real lock would never be woken by the scheduler."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self._holder: Actor | None = None
        self._depth = 0
        self.shared = False

    def is_free_for(self, actor: Actor | None) -> bool:
        """Tell whether an actor can have it."""
        return self._depth == 0 or self._holder is actor

    def acquire(self, *_args: object) -> bool:
        """Take it, once others have given it back."""
        simulation = self._simulation
        if self._depth == 0 and self.shared and simulation.running is not None and simulation.running.alive:
            simulation.before("lock", "index")
        if not self.is_free_for(simulation.running):
            simulation.wait_for(self)
        self._holder = simulation.running
        self._depth += 1
        return True

    def release(self) -> None:
        """Give it back."""
        self._depth -= 1

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()
