"""Act as the processes of a trial: the real operations, in random order."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from random import Random

from molexp._hierarchy.experiment import Experiment
from molexp._hierarchy.project import Project
from molexp._hierarchy.run import Run
from molexp._hierarchy.run_context import RunContext
from molexp._hierarchy.session import Session
from molexp._hierarchy.workspace import Workspace
from molexp._record.causes import Ending
from molexp._storage import layout
from molexp._values.status import RunStatus
from molexp.errors import (
    ConflictError,
    ContextClosedError,
    NotFoundError,
    RunBusyError,
    RunCancelledError,
    RunFinishedError,
    RunSupersededError,
    UnavailableError,
)
from tests.model.ledger import Ledger
from tests.model.scheduler import Simulation, Violation
from tests.model.world import World

DOCUMENTED = (RunBusyError, RunFinishedError, RunSupersededError, RunCancelledError, ContextClosedError)
"""An operation of a writer may raise these without anything being wrong."""

PROJECT, EXPERIMENTS = "p", ("e", "f")
NAMED = ("a", "b")


def sources() -> list[Path]:
    """Files to import, of different content."""
    folder = Path(tempfile.gettempdir(), f"molexp-model-{os.getpid()}")
    folder.mkdir(exist_ok=True)
    files = [folder / name for name in ("one", "two", "three")]
    for file in files:
        if not file.exists():
            file.write_text(file.name)
    return files


def workspace_of(home: Session) -> Workspace:
    """The workspace of a process."""
    workspace = Workspace.__new__(Workspace)
    workspace._session = home
    return workspace


class Writer:
    """A process that creates, starts, records, ends, edits and imports."""

    def __init__(self, world: World, ledger: Ledger, name: str, host: str, operations: int) -> None:
        self.name = name
        self._world = world
        self._simulation: Simulation = world.simulation
        self._ledger = ledger
        self._operations = operations
        self.actor = self._simulation.actor(name, host, self.work)
        self._random = Random(self._simulation.random.random())
        self._mine: list[Run] = []
        self._open: list[RunContext] = []
        self._count = 0

    def work(self) -> None:
        """Live."""
        home = self._world.home(self.actor.host, self.actor.pid)
        self._session = home
        workspace = workspace_of(home)
        self._scopes = workspace
        document = {"schema": 1, "type": "project", "id": PROJECT}
        project = Project(workspace, PROJECT, document)
        self._experiments = [
            Experiment(project, name, {"schema": 1, "type": "experiment", "id": name, "revision": 1, "params": {}})
            for name in EXPERIMENTS
        ]
        choices: list[tuple[int, Callable[[], None]]] = [
            (6, self.create),
            (4, self.create_named),
            (1, self.create_many),
            (9, self.start),
            (7, self.record),
            (6, self.end),
            (2, self.beat),
            (4, self.annotate),
            (1, self.archive),
            (2, self.delete),
            (4, self.bring_in),
            (1, self.retire),
            (1, self.look),
        ]
        if self._simulation.temper.light:
            few = {
                self.create_named: 4,
                self.annotate: 8,
                self.bring_in: 6,
                self.retire: 1,
                self.delete: 1,
                self.create: 2,
            }
            choices = [(weight, action) for action, weight in few.items()]
        weights, actions = zip(*choices, strict=True)
        for action in self._random.choices(actions, weights, k=self._operations):
            self._try(action)
        self._leave()

    def _leave(self) -> None:
        """As a process ends that is not killed."""
        for attempt in self._session.process.heart.attempts():
            self._try(partial(attempt.end, Ending(RunStatus.INTERRUPTED, "its process ended", "owner_died")))
        if self._session._journal is not None and self._random.random() < 0.7:
            self._session._journal.retire()

    def _try(self, action: Callable[[], None]) -> None:
        try:
            action()
        except DOCUMENTED as error:
            self._simulation.note(self.actor, f"  {type(error).__name__}")
        except NotFoundError as error:  # it was freed while its owner was stopped
            self._must_be_doomed(layout.owner_of(error.name) if error.name.startswith("projects/") else error.name)
        except UnavailableError:
            if not self._simulation.temper.fault:
                raise

    def _own(self) -> tuple[str, int]:
        self._count += 1
        return self.name, self._count

    # -------------------------------------------------------------------------------------------------------------- runs

    def _experiment(self) -> Experiment:
        return self._random.choice(self._experiments)

    def _created(self, run: Run) -> None:
        self._ledger.runs[run.path].created = True
        self._mine.append(run)
        self._simulation.note(self.actor, "= run", run.path)

    def create(self) -> None:
        """A run with an id that is made up."""
        self._created(self._experiment().Run({"x": self._random.randrange(3)}))

    def create_named(self) -> None:
        """A run that others make, too."""
        name = self._random.choice(NAMED)
        experiment = self._experiment()
        try:
            self._created(experiment.Run({"x": 1}, id=name))
        except ConflictError:
            if not self._ledger.runs[f"{experiment.path}/{name}"].doomed:
                raise

    def create_many(self) -> None:
        """A sweep."""
        experiment = self._experiment()
        try:
            found = list(experiment.runs.create_many([{"x": 0}, {"x": 1}]))
        except ConflictError as error:
            if not self._ledger.runs[error.name].doomed:
                raise
            return
        for run in found:
            self._created(run)

    def _some_run(self) -> Run | None:
        """A run of this process, or one that somebody has made."""
        if self._mine and self._random.random() < 0.6:
            return self._random.choice(self._mine)
        known = sorted(path for path, told in self._ledger.runs.items() if told.created)
        if not known:
            return None
        path = self._random.choice(known)
        experiment = next(one for one in self._experiments if path.startswith(f"{one.path}/"))
        try:
            return experiment.run(path.rpartition("/")[2])
        except NotFoundError:
            self._must_be_doomed(path)
            return None

    def _must_be_doomed(self, path: str) -> None:
        if not self._ledger.runs[path].doomed:
            raise Violation(f"{self.name}: {path} is not found")

    # ---------------------------------------------------------------------------------------------------------- attempts

    def start(self) -> None:
        """An attempt, perhaps at what others attempt."""
        fresh_one = bool(self._mine) and self._random.random() < 0.6
        run = self._mine[-1] if fresh_one else self._some_run()
        if run is None:
            return
        told = self._ledger.runs[run.path]
        fresh = self._random.random() < 0.1
        told.ever_fresh = told.ever_fresh or fresh
        try:
            context = run.start(fresh=fresh, if_succeeded=self._random.choice(("rerun", "error")))
        except NotFoundError:
            self._must_be_doomed(run.path)
            return
        self._ledger.claimed(run.path, context.attempt, self.name)
        self._simulation.note(self.actor, "= attempt", f"{run.path} {context.attempt}")
        self._open.append(context)

    def record(self) -> None:
        """A result, an artifact or a use."""
        if not self._open:
            return self.start()
        context = self._random.choice(self._open)
        _, count = self._own()
        draw = self._random.random()
        if draw < 0.6:
            name = f"r{context.attempt}-{self.name}-{count}"
            context.set_result(name, count)
            self._ledger.runs[context.run.path].results[name] = context.attempt, count
        elif draw < 0.8:
            context.artifact.save(f"{self.name}-{count}.json", {"count": count})
        else:
            context.find_asset(self._random.choice(("d", "g")))
        if self._random.random() < 0.3:
            context.flush()
        return None

    def end(self) -> None:
        """The end of an attempt."""
        if not self._open:
            return
        context = self._open.pop(self._random.randrange(len(self._open)))
        status = self._random.choice(("succeeded", "succeeded", "failed"))
        context.finish(status)
        if context._attempt.closed and str(context._attempt.status) == status:
            self._ledger.runs[context.run.path].ended[context.attempt] = status
            self._simulation.note(self.actor, "= ended", f"{context.run.path} {context.attempt} {status}")

    def beat(self) -> None:
        """A sign of life."""
        for attempt in self._session.process.heart.attempts():
            attempt.beat()

    # ------------------------------------------------------------------------------------------------------------- edits

    def annotate(self) -> None:
        """A tag that nobody else gives."""
        if (run := self._some_run()) is None:
            return None
        tag = "tag-{}-{}".format(*self._own())
        try:
            run.annotate(tags=[tag])
        except NotFoundError:
            return self._must_be_doomed(run.path)
        self._ledger.runs[run.path].tags.add(tag)
        self._simulation.note(self.actor, "= tag", f"{run.path} {tag}")
        return None

    def archive(self) -> None:
        """Into the archive."""
        if (run := self._some_run()) is None:
            return None
        try:
            run.archive()
        except NotFoundError:
            return self._must_be_doomed(run.path)
        self._ledger.runs[run.path].archived = True
        return None

    def delete(self) -> None:
        """A run is no longer shown."""
        if (run := self._some_run()) is None:
            return
        told = self._ledger.runs[run.path]
        told.doomers.add(self.name)
        try:
            run.delete()
        except NotFoundError:
            if told.doomers == {self.name} and not told.deleted:
                raise
        else:
            told.deleted = True
            self._simulation.note(self.actor, "= deleted", run.path)

    # -------------------------------------------------------------------------------------------------------------- data

    def bring_in(self) -> None:
        """A version of data."""
        scope = self._random.choice((self._scopes, self._experiments[0]))
        name = self._random.choice(("d", "g"))
        asset = scope.data_assets.import_asset(name, self._random.choice(sources()))
        self._ledger.imported(asset.scope, name, asset.version, str(asset.content_hash))
        self._simulation.note(self.actor, "= version", f"{name} {asset.version}")

    def retire(self) -> None:
        """The journal is finished, the process is not."""
        if self._session._journal is not None:
            self._session._journal.retire()

    def look(self) -> None:
        """Whoever looks at a run may find that its owner is dead."""
        if (run := self._some_run()) is None:
            return
        try:
            _ = run.status
        except NotFoundError:
            self._must_be_doomed(run.path)
