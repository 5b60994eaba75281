"""Give the code under test a simulated operating system: clocks, randomness, deaths.

The seams are module globals, which are put in place for one trial in a process of its own.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

from molexp._catalog.compaction import compaction, snapshots
from molexp._catalog.refresh import walk
from molexp._hierarchy import run_context
from molexp._hierarchy.session import Session
from molexp._record import attempts, ends, journal, leases, reading
from molexp._record.owners import Owner
from molexp._recording import attempt, process
from molexp._recording.process import Living, Process
from molexp._values import times
from molexp.plugins import default_manager
from tests.model.scheduler import Simulation
from tests.model.storage import HostileStore

HOSTS = {"ant": 0.0, "bee": -7200.0, "cow": 86_400.0}
"""Machines, and how wrong their clocks are."""


class World:
    """One workspace on one storage, and the processes that open it.

    Args:
        simulation: decides what happens.
        variant: of the storage, see `HostileStore`.
        name: of the storage, which nobody else uses.
    """

    def __init__(self, simulation: Simulation, variant: str, name: str) -> None:
        self.simulation = simulation
        self.variant = variant
        self.store = HostileStore(name, variant, simulation)
        self.plugins = default_manager()
        self.small = simulation.random.random() < 0.7  # whether few rows, journals and snapshots are many

    def home(self, host: str, pid: int) -> Session:
        """The workspace as one process has opened it."""
        home = Session(
            HostileStore(self.store.url.removeprefix("memory://"), self.variant, self.simulation),
            self.plugins,
            None,
            False,
        )
        home._process = _process_of(host, pid)
        home._pid = home._process.pid
        return home

    @contextmanager
    def installed(self) -> Iterator[None]:
        """While this lasts, the code under test lives in this world."""
        simulation = self.simulation
        clock = SimpleNamespace(
            time=self._time,
            time_ns=lambda: int(self._time() * 1e9),
            monotonic=self._time,
            strftime=time.strftime,
            gmtime=time.gmtime,
        )
        randomness = SimpleNamespace(urandom=simulation.tokens.randbytes, getpid=os.getpid)
        never = SimpleNamespace(register=lambda *_args: None)
        changes: list[tuple[Any, str, Any]] = [
            (times, "os", randomness),
            (times, "time", clock),
            (times, "_clock", times._Clock()),
            (run_context, "time", clock),
            (attempt, "time", clock),
            (attempts, "time", clock),
            (attempt, "boot_clock", self._time),
            (ends, "boot_clock", self._time),
            (reading, "boot_clock", self._time),
            (walk, "time", clock),
            (journal, "atexit", never),
            (process, "this_owner", lambda: _OWNER),
            (process, "describe_invocation", lambda _cwd: {}),
            (leases, "boot_clock", self._time),
            (leases, "awake_clock", self._time),
            (compaction, "boot_clock", self._time),
            (leases, "known_dead", self._known_dead),
        ]
        if self.small:
            changes += [
                (compaction, "ROWS", 3),
                (compaction, "_PARTS", 2),
                (snapshots, "KEPT", 1),
                (snapshots, "_REMEMBERED", 3),
            ]
        before = [(module, name, getattr(module, name)) for module, name, _ in changes]
        try:
            for module, name, value in changes:
                setattr(module, name, value)
            yield
        finally:
            for module, name, value in before:
                setattr(module, name, value)

    def _time(self) -> float:
        running = self.simulation.running
        return self.simulation.now + (HOSTS[running.host] if running is not None else 0.0)

    def _known_dead(self, owner: Owner, me: Owner) -> str:
        same = (owner.host, owner.boot) == (me.host, me.boot)
        dead = same and self.simulation.is_dead(owner.host, owner.pid)
        return f"process {owner.pid} on {owner.host} is gone" if dead else ""


class _Heart:
    """Keeps the attempts of a process, which gives signs of life when it is told to."""

    def __init__(self) -> None:
        self._alive: list[Living] = []

    def add(self, attempt: Living) -> None:
        if attempt not in self._alive:
            self._alive.append(attempt)

    def remove(self, attempt: Living) -> None:
        if attempt in self._alive:
            self._alive.remove(attempt)

    def attempts(self) -> list[Living]:
        return list(self._alive)


_OWNER = Owner(host="", pid=0)


class _Process(Process):
    """A process that has no threads, handles no signals and comes from nowhere."""

    def __init__(self, owner: Owner) -> None:
        super().__init__()
        self.owner = owner
        self.owner_document = owner.to_dict()
        self.heart = _Heart()  # type: ignore[assignment] # it beats when it is told to
        self.stand_alone()

    def prepare(self) -> None:
        """Nothing to prepare."""


def _process_of(host: str, pid: int) -> Process:
    return _Process(Owner(host=host, pid=pid, boot=f"boot of {host}", namespace="pid:[1]", birth="1", user="me"))


Work = Callable[[], None]
