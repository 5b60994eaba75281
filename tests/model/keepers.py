"""A process that deletes and frees runs, and brings them back from a copy: as a sync does, or by hand."""

from __future__ import annotations

from random import Random

from molexp._catalog.compaction.fences import is_known
from molexp._hierarchy.experiment import Experiment
from molexp._hierarchy.project import Project
from molexp._maintenance.gc import _Collector
from molexp._storage import layout
from molexp._values.documents import encode_pretty
from molexp._values.times import new_run_id
from molexp.errors import KeyExistsError, NotFoundError, UnavailableError
from tests.model.actors import DOCUMENTED, EXPERIMENTS, PROJECT, workspace_of
from tests.model.ledger import Ledger
from tests.model.scheduler import Simulation
from tests.model.storage import HostileStore
from tests.model.world import World


class Keeper:
    """Keeps a copy of the workspace's runs, which outlives what it frees.

    Folders never look changed here, so what it brings back by hand it tags, too: that is announced.
    """

    def __init__(self, world: World, ledger: Ledger, name: str, host: str, times: int) -> None:
        self._world = world
        self._simulation: Simulation = world.simulation
        self._store: HostileStore = world.store
        self._ledger = ledger
        self._times = times
        self._random = Random(self._simulation.tokens.random())
        self._mirror: dict[str, dict[str, bytes]] = {}
        self.name = name
        ledger.frees = True
        self.actor = self._simulation.actor(name, host, self.work)

    def work(self) -> None:
        """Live."""
        self._session = self._world.home(self.actor.host, self.actor.pid)
        choices = {self.copy: 3, self.delete: 4, self.free: 5, self.sync_back: 4, self.put_back: 3, self.wait: 3}
        for action in self._random.choices([*choices], [*choices.values()], k=self._times):
            self._simulation.before("keep", action.__name__)
            try:
                action()
            except UnavailableError:
                if not self._simulation.temper.fault:
                    raise
        if self._session._journal is not None and self._random.random() < 0.7:
            self._session._journal.retire()

    def wait(self) -> None:
        """Others go on."""
        for _ in range(self._random.choice((5, 30))):
            self._simulation.before("lurk", "")

    def copy(self) -> None:
        """The runs that nobody executes, as they are; what the copy has already stays."""
        for path in sorted(self._ledger.runs):
            folder = layout.folder(path)
            files = {key: self._store.peek(key) for key in self._store.names(f"{folder}/")}
            attempts = [key for key in files if key.endswith(".jsonl") and "/executions/" in key]
            ended = all(key.removesuffix(".jsonl") + ".end.json" in files for key in attempts)
            deleted = any(b'"delete"' in data for key, data in files.items() if "/edits/" in key)
            if layout.document(path) in files and ended and not deleted:
                self._mirror.setdefault(path, files)

    def delete(self) -> None:
        """A run of which there is a copy is no longer shown."""
        if not self._mirror:
            self.copy()
        if not self._mirror:
            return
        path = self._random.choice(sorted(self._mirror))
        told = self._ledger.runs[path]
        told.doomers.add(self.name)
        project = Project(workspace_of(self._session), PROJECT, {"schema": 1, "type": "project", "id": PROJECT})
        for name in EXPERIMENTS:
            document = {"schema": 1, "type": "experiment", "id": name, "revision": 1, "params": {}}
            if path.startswith(f"{PROJECT}/{name}/"):
                try:
                    Experiment(project, name, document).run(path.rpartition("/")[2]).delete()
                except (NotFoundError, *DOCUMENTED):
                    continue
                self._simulation.note(self.actor, "= deleted", path)

    def free(self) -> None:
        """Free what was deleted."""
        _Collector(self._session, dry_run=False).deleted_runs()
        self._simulation.note(self.actor, "= freed")

    def _freed(self) -> str:
        """A run that can be brought back: nothing is left of it."""
        gone = [path for path in sorted(self._mirror) if not self._store.names(f"{layout.folder(path)}/")]
        return self._random.choice(gone) if gone else ""

    def sync_back(self) -> None:
        """Announced, and one by one; its definition last, so that nobody begins an attempt meanwhile."""
        if not (path := self._freed()):
            return
        files = self._mirror[path]
        self._session.journal.announce(*filter(is_known, files))  # no payload, as a sync
        for key in sorted(files, key=lambda key: (key == layout.document(path), key)):
            try:
                self._store.create(key, files[key])
            except KeyExistsError:
                return
        self._simulation.note(self.actor, "= brought back", path)

    def put_back(self) -> None:
        """By hand, all at once; a tag is announced."""
        if not (path := self._freed()):
            return
        edit = new_run_id()
        key = layout.below(path, f"edits/{edit}.json")
        self._session.journal.announce(key)
        if self._store.names(f"{layout.folder(path)}/"):
            return
        tag = {"schema": 1, "type": "edit", "id": edit, "op": "annotate", "add_tags": ["back"]}
        for name, data in {**self._mirror[path], key: encode_pretty(tag)}.items():
            self._store.spoil(name, data)
        self._simulation.note(self.actor, "= put back", path)
