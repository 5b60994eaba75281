"""One trial: a world, its processes in one or two generations, and what must be true of it in the end."""

from __future__ import annotations

from molexp._catalog.compaction.compaction import Compactor
from molexp._catalog.refresh.refresh import Refresher
from molexp._storage import layout
from tests.model.actors import EXPERIMENTS, PROJECT, Writer, workspace_of
from tests.model.keepers import Keeper
from tests.model.ledger import Ledger, Row, rows_of
from tests.model.readers import Folder, Place, Reader, Vandal
from tests.model.scheduler import LEAP, Simulation, Violation
from tests.model.world import HOSTS, World

VARIANTS = ("file", "local", "segment")
_FEW = 12
"""Operations of a refresh that finds nothing new, besides one for each thing that could not be read or is left alive."""


class Trial:
    """A trial that a seed decides.

    Args:
        variant: one of `VARIANTS`.
        seed: the seed.
        aim: where somebody is stalled, such as ``w:create``; "" for all kinds of trials.
        keepers: whether runs are deleted, freed, and brought back.
    """

    def __init__(self, variant: str, seed: int, aim: str = "", *, keepers: bool = False) -> None:
        self.simulation = Simulation(f"{variant} {seed}", aim)
        self._world = World(self.simulation, variant, f"model-{variant}-{seed}")
        self._ledger = Ledger()
        self._keepers = keepers
        self._places: list[Place] = []
        self._more: list[Place] = []

    @property
    def trace(self) -> list[str]:
        """Return what happened."""
        return self.simulation.trace

    def run(self) -> None:
        """Run it.

        Raises:
            Violation: a promise was not kept.
        """
        with self._world.installed():
            try:
                self._prepare()
                generations = self.simulation.random.choice((1, 1, 2))
                for generation in range(generations):
                    self._populate(generation)
                    self.simulation.run()
                    self._land()
                    if generation + 1 < generations and self.simulation.random.random() < 0.5:
                        self._forget()
                self._check()
            finally:
                self.simulation.running = None
                for place in (*self._places, *self._more):
                    place.close()

    # ------------------------------------------------------------------------------------------------------- beginning

    def _prepare(self) -> None:
        home = self._world.home("ant", 1)
        project = workspace_of(home).Project(PROJECT)
        for name in EXPERIMENTS:
            project.Experiment(name)
        random = self.simulation.random
        hosts = list(HOSTS)
        self._places = [Place(self._world, random.choice(hosts), shared=number == 0) for number in range(3)]

    def _populate(self, generation: int) -> None:
        random, world, ledger = self.simulation.random, self._world, self._ledger
        hosts = list(HOSTS)[: random.choice((1, 2, 3))]
        for number in range(random.choice((1, 2, 2, 3))):
            Writer(world, ledger, f"w{generation}{number}", random.choice(hosts), random.choice((3, 6, 10)))
        for number in range(random.choice((1, 2, 3))):
            place = self._places[random.choice((0, 0, 1))]
            Reader(world, ledger, f"r{generation}{number}", place, random.choice((2, 4)))
        light = self.simulation.temper.light
        for number in range(2 if light else random.choice((0, 1, 2, 2))):
            times = random.choice((2, 4, 6) if light else (1, 2, 4))
            Folder(world, f"c{generation}{number}", random.choice(self._places), times)
        if self._keepers:
            Keeper(world, ledger, f"k{generation}", random.choice(hosts), random.choice((8, 16)))
        if self.simulation.temper.tamper:
            Vandal(world, random.choice((1, 2)))

    def _land(self) -> None:
        while self.simulation.ghosts:
            self.simulation.ghosts.pop(0)()

    def _forget(self) -> None:
        if any(place.index().known().complete and not self._would_notice(place) for place in self._places):
            return
        self.simulation.note(None, "forgets", layout.DERIVED)
        for key in self._world.store.names(f"{layout.DERIVED}/"):
            self._world.store.spoil(key, None)

    @staticmethod
    def _would_notice(place: Place) -> bool:
        """Tell whether an index knows of a journal: numbers of snapshots alone may be reached again."""
        return bool(place.index().known().journals)

    # ---------------------------------------------------------------------------------------------------------- the end

    def _check(self) -> None:
        everyone = {f"reader of place {place.number}": place for place in self._places}
        for place in everyone.values():
            for _ in range(2):  # to see who is silent, and for how long
                self._refresh(place)
                self.simulation.now += LEAP
        truth = self._truth()
        self._ledger.check(truth, self._ledger.copy(), "the files")
        self._compare(truth, everyone)
        late = self._place("ant")
        self._refresh(late)
        self._compare(truth, {"a late reader": late})
        self._wind_up(late)
        truth = self._truth()
        everyone["a late reader"] = late
        everyone["a last reader"] = self._place("bee")
        for place in everyone.values():
            self._refresh(place)
        self._compare(truth, everyone)
        for who, place in everyone.items():
            if pending := place.index().known().pending:
                raise Violation(f"{who} waits for {sorted(pending)}")
            self._cost(who, place, truth)

    def _place(self, host: str) -> Place:
        place = Place(self._world, host, shared=False)
        self._more.append(place)
        return place

    def _refresh(self, place: Place) -> None:
        home = place.home(2)
        Refresher(home, home.index).refresh()

    def _truth(self) -> dict[str, Row]:
        """Return what the files say, read by somebody who has never seen a journal or a snapshot."""
        place = self._place("ant")
        home = place.home(3)
        Refresher(home, home.index).scan()
        return rows_of(home.index, whole=True)

    def _compare(self, truth: dict[str, Row], places: dict[str, Place]) -> None:
        for who, place in places.items():
            found = rows_of(place.index(), whole=True)
            for path in sorted(truth.keys() | found.keys()):
                there, here = truth.get(path), found.get(path)
                if there != here:
                    raise Violation(f"{who} differs at {path!r}: {_difference(there, here)}")

    def _wind_up(self, place: Place) -> None:
        """All are dead: what they left in journals is folded."""
        for _ in range(3):
            home = place.home(4)
            Compactor(home, home.index).compact()
            self.simulation.now += LEAP
        left = [*self._world.store.names(f"{layout.JOURNALS}/"), *self._world.store.names(f"{layout.SEALED}/")]
        if left:
            raise Violation(f"journals are left: {left}; pending: {sorted(place.index().known().pending)}")

    def _cost(self, who: str, place: Place, truth: dict[str, Row]) -> None:
        costs = []
        for _ in range(2):
            before = self.simulation.operations
            self._refresh(place)
            costs.append(self.simulation.operations - before)
        if len(set(costs)) > 1:
            raise Violation(f"{who} does not come to rest: {costs} operations")
        problems = sum(len(row.problems) for row in truth.values())
        leases = len(self._world.store.names(f"{layout.LIVE}/"))
        if costs[0] > _FEW + 12 * problems + 12 * leases:
            raise Violation(f"{who} needs {costs[0]} operations to find that there is nothing new")


def _difference(there: Row | None, here: Row | None) -> str:
    if there is None or here is None:
        return f"the files say {there}, the index {here}"
    lines = [
        f"\n  {name}:\n    files {getattr(there, name)}\n    index {getattr(here, name)}"
        for name in Row.__slots__
        if name != "__weakref__" and getattr(there, name) != getattr(here, name)
    ]
    return "".join(lines)
