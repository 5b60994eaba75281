"""Three copies of a workspace that are worked on, deleted from, freed, compacted and synced in any order."""

from __future__ import annotations

import random

import pytest

import molexp as me
from tests.record.conftest import place_of
from tests.record.syncing import check, sync

STEPS = 40
EXPERIMENT = ("metals", "cu")


class World:
    """Three places, and what was done to the runs.

    Attributes:
        made: ids of runs that were made.
        deleted: ids of those that were deleted somewhere.
        again: ids of those that were executed once more; twice would be a conflict.
    """

    def __init__(self, folder, rng):
        (folder / "files").mkdir()
        (folder / "others").mkdir()
        self.places = [
            place_of("files", folder / "files"),
            place_of("memory", folder),
            place_of("files", folder / "others"),
        ]
        self.rng = rng
        self.made: set[str] = set()
        self.deleted: set[str] = set()
        self.again: set[str] = set()
        exp = self.places[0].workspace().Project(EXPERIMENT[0]).Experiment(EXPERIMENT[1], params={"a": 1})
        self.make(exp)
        for place in self.places[1:]:
            sync(self.places[0], place)

    def make(self, exp):
        name = f"r{len(self.made)}"
        with exp.Run({"n": len(self.made)}, id=name).start() as ctx:
            ctx.set_result("x", name)
            ctx.artifact.save("a.txt", name)
        self.made.add(name)

    def step(self):
        place = self.rng.choice(self.places)
        ws = place.load()
        exp = ws.project(EXPERIMENT[0]).experiment(EXPERIMENT[1])
        runs = [run.id for run in exp.runs]
        what = self.rng.choice(
            ["make", "delete", "tag", "again", "gc", "gc", "compact", "sync", "sync", "sync", "look"]
        )
        if what == "make":
            self.make(exp)
        elif what == "sync":
            report = sync(place, self.rng.choice([other for other in self.places if other is not place]))
            assert report.ok, report
        elif what == "gc":
            assert ws.gc(dry_run=False).ok
        elif what == "compact":
            ws.catalog.compact()
        elif what == "look":
            assert [row.id for row in ws.catalog.runs(sort="id")] == sorted(runs)
        elif runs:
            self.change(what, exp.run(self.rng.choice(runs)))

    def change(self, what: str, run: me.Run) -> None:
        if what == "delete":
            run.delete()
            self.deleted.add(run.id)
        elif what == "tag":
            run.annotate(tags=[f"t{self.rng.randrange(3)}"])
        elif run.id not in self.again:
            self.again.add(run.id)
            with run.start() as ctx:
                ctx.set_result("y", 1)


@pytest.mark.parametrize("seed", range(12))
def test_what_was_deleted_stays_deleted_and_all_else_stays(tmp_path, seed):
    world = World(tmp_path, random.Random(seed))
    for _ in range(STEPS):
        world.step()
    for _ in range(3):
        for one in world.places:
            for other in world.places:
                if one is not other:
                    assert sync(one, other).ok

    for place in world.places:
        assert {row.id for row in place.load().catalog.runs()} == world.made - world.deleted, f"seed {seed}"
        place.load().gc(dry_run=False)
        check(place)
