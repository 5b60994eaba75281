"""Act as the processes of a trial that read, compact, or do damage."""

from __future__ import annotations

import os
import tempfile

from molexp._catalog.compaction.compaction import Compactor
from molexp._catalog.index.index import Index
from molexp._catalog.index.tables import RUNS
from molexp._catalog.query.answers import Asking, Question
from molexp._catalog.refresh.refresh import Refresher
from molexp._hierarchy.session import Session
from molexp._storage import layout
from molexp.errors import UnavailableError
from tests.model.ledger import Ledger, Memory, Row, rows_of
from tests.model.scheduler import Lock, Simulation
from tests.model.storage import HostileStore
from tests.model.world import World


class Place:
    """Describe where one reader's index lies: a host and a file, which outlive processes."""

    _count = 0

    def __init__(self, world: World, host: str, *, shared: bool) -> None:
        Place._count += 1
        self.number = Place._count
        self.host = host
        self._world = world
        self._lock = Lock(world.simulation)
        self._lock.shared = shared
        self._file = ""
        if shared:
            self._file = os.path.join(tempfile.gettempdir(), f"model-{os.getpid()}-{self.number}.sqlite3")
        self._one: Index | None = None
        self._all: list[Index] = []  # none of them is to be closed by whichever actor happens to collect garbage

    def index(self) -> Index:
        """The index, as one more process opens it."""
        if self._one is not None and not self._file:
            return self._one
        self._one = Index(self._file)
        self._one.lock = self._lock  # type: ignore[assignment] # the scheduler has to know who waits
        self._all.append(self._one)
        return self._one

    def close(self) -> None:
        """Remove it."""
        for index in self._all:
            index.close()
        if self._file and os.path.exists(self._file):
            os.unlink(self._file)

    def home(self, pid: int) -> Session:
        """The workspace as a process opens it that uses this index."""
        home = self._world.home(self.host, pid)
        home.index = self.index()
        return home


class Reader:
    """A process that asks, again and again."""

    def __init__(self, world: World, ledger: Ledger, name: str, place: Place, questions: int) -> None:
        self.name = name
        self._simulation: Simulation = world.simulation
        self._ledger = ledger
        self._place = place
        self._questions = questions
        self.actor = self._simulation.actor(name, place.host, self.work)

    def work(self) -> None:
        """Live."""
        home = self._place.home(self.actor.pid)
        refresher = Refresher(home, home.index)
        for _ in range(self._questions):
            self._simulation.before("ask", "")
            told = self._ledger.copy()
            try:
                self._judge(self._answer(home, refresher), told)
            except UnavailableError:
                if not self._simulation.temper.fault:
                    raise

    def _answer(self, home: Session, refresher: Refresher) -> dict[str, Row]:
        while True:
            refresher.refresh()
            asking = Asking(home.store, home.index, RUNS, refresher.generation)
            with home.index.reading():
                if asking.answer(Question()) is not None:
                    return rows_of(home.index)
            self._simulation.note(self.actor, "= asks again")

    def _judge(self, rows: dict[str, Row], told: Memory) -> None:
        self._simulation.note(self.actor, "= answer")
        self._ledger.check(rows, told, self.name)
        if not self._simulation.temper.fault:
            self._ledger.watch(self.actor.pid, rows, self.name)


class Folder:
    """A process that compacts."""

    def __init__(self, world: World, name: str, place: Place, times: int) -> None:
        self._simulation: Simulation = world.simulation
        self._place = place
        self._times = times
        self.name = name
        self.actor = self._simulation.actor(name, place.host, self.work)

    def work(self) -> None:
        """Live."""
        home = self._place.home(self.actor.pid)
        for _ in range(self._times):
            self._simulation.before("compact", "")
            try:
                counts = Compactor(home, home.index).compact()
            except UnavailableError:
                if not self._simulation.temper.fault:
                    raise
            else:
                self._simulation.note(self.actor, "= compacted", str(counts))


class Vandal:
    """Damages snapshots."""

    def __init__(self, world: World, times: int) -> None:
        self._simulation: Simulation = world.simulation
        self._store: HostileStore = world.store
        self._times = times
        self.actor = self._simulation.actor("vandal", "ant", self.work)

    def work(self) -> None:
        """Live."""
        random = self._simulation.random
        done = 0
        while done < self._times:
            for _ in range(random.choice((5, 50))):
                self._simulation.before("lurk", "")
            done += 1
            names = self._store.names(f"{layout.SNAPSHOTS}/")
            if not names:
                continue
            key = random.choice(names)
            data = self._store.peek(key)
            is_manifest = key.endswith(".json")
            if random.random() < 0.5 and not is_manifest:
                self._simulation.note(self.actor, "deletes", key)
                self._store.spoil(key, None)
            else:
                self._simulation.note(self.actor, "corrupts", key)
                self._store.spoil(key, data[: len(data) // 2])
