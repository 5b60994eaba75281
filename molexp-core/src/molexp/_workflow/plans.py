"""The plan of a script's runs, the events while they are executed, and the summary."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import groupby
from typing import TYPE_CHECKING, Any

from msgspec import Struct, field

from molexp._hierarchy.experiment import Experiment
from molexp._hierarchy.run_creation import Deriving
from molexp._values.plain import plain_parameters
from molexp._values.status import RunStatus

if TYPE_CHECKING:
    from molexp._hierarchy.run import Run

SKIP = "skip"
START = "start"
RESUME = "resume"
LEAVE = "leave"


class PlannedRun(Struct, frozen=True, kw_only=True):
    """One run that a script asks for.

    Attributes:
        experiment: its experiment.
        id: its derived id.
        parameters: the point of the experiment's space.
        replica: the replica's index.
        action: ``start`` it, ``resume`` it, ``skip`` it because it succeeded, or ``leave`` it to who executes it.
        why: the reason of the action, for people.
        changed: the changes, certain or possible, since it succeeded; "" if there are none.
        profile: name of the profile.
        overrides: values over the profile's.
        config: the configuration that they resolved to; None if they are resolved when the run is created, as of a plan that you
            make by hand.
        place: the workspace's URL, if the script has several.
        attempts: the number of attempts at it so far.
        cancels: the number of requests to cancel it so far.
        unreadable: True if it is left because its record cannot be read, so that somebody has to look at it.
    """

    experiment: Experiment
    id: str
    parameters: Mapping[str, Any]
    replica: int
    action: str
    why: str
    changed: str = ""
    profile: str | None = None
    overrides: Mapping[str, Any] = field(default_factory=dict)
    config: Mapping[str, Any] | None = None
    place: str = ""
    attempts: int = 0
    cancels: int = 0
    unreadable: bool = False

    @property
    def label(self) -> str:
        """Its path, and the workspace where there are several."""
        return f"{self.path} in {self.place}" if self.place else self.path

    @property
    def path(self) -> str:
        """``project/experiment/run``."""
        return f"{self.experiment.path}/{self.id}"

    def run(self) -> Run:
        """Return the run; create it if need be, with the configuration of the plan, whatever the profile file says by now.

        Raises:
            ConflictError: there is another run of this id, or a deleted one.
            ProfileError: the plan has no configuration, and there is none of its profile and overrides.
        """
        return create_runs([self])[0]


def create_runs(planned: Iterable[PlannedRun]) -> list[Run]:
    """Return planned runs, and create those that are not there yet: those of an experiment together, which is flushed once.

    They have the ids and the configuration of the plan, whatever the profile file says by now. Where a plan has no
    configuration, both follow from its profile and overrides.

    Raises:
        ConflictError: there is another run of one of the ids, or a deleted one.
        ProfileError: a plan has no configuration, and there is none of its profile and overrides.
    """
    found: list[Run] = []
    for experiment, members in groupby(planned, key=lambda one: one.experiment):
        runs = list(members)
        deriving = Deriving(experiment, runs[0].profile, runs[0].overrides, runs[0].config)
        points = [(plain_parameters(dict(one.parameters), "parameters"), one.replica) for one in runs]
        made = deriving.all(points, [one.id for one in runs] if runs[0].config is not None else None)
        found += map(experiment._run_of, made)
    return found


class Event(Struct, frozen=True, kw_only=True):
    """One event while the runs of a script are executed.

    Attributes:
        what: ``experiment`` (it begins), ``queued`` (an executor has the run in its queue, perhaps again), ``started``,
            ``task`` (one started, or has an outcome), ``ended``, or ``held`` (an experiment is not begun).
        path: the run's path, or the experiment's.
        status: the status in which the run or task ended, ``left`` or ``not started``; "" while it is going on.
        reason: the reason, for people.
        task: the task's name.
        seconds: the time that it took; 0.0 if it was not executed.
        tasks: the number of tasks of the run.
        runs: the number of runs of the experiment.
        parameters: the run's point of the space.
    """

    what: str
    path: str
    status: str = ""
    reason: str = ""
    task: str = ""
    seconds: float = 0.0
    tasks: int = 0
    runs: int = 0
    parameters: Mapping[str, Any] = field(default_factory=dict)


Observer = Callable[[Event], None]


class Summary(Struct):
    """The runs of a script, by how they ended.

    Attributes:
        ended: runs that were executed, path to status.
        reasons: the reason of each that did not succeed.
        skipped: runs that had succeeded before.
        changed: those of them whose code or inputs have changed since, or may have.
        left: runs that were left alone, and the reason.
        held: experiments that were not begun, and the reason.
        waiting: runs that were to be executed, and have not begun.
        unstarted: runs that no attempt began at, because their executor could not execute them, and the reason.
        left_out: the number of runs that were not chosen.
        unreadable: runs that were left because their record cannot be read.
        unmet: experiments that were not begun because a run that was not chosen has not succeeded.
    """

    ended: dict[str, str] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    left: dict[str, str] = field(default_factory=dict)
    held: dict[str, str] = field(default_factory=dict)
    waiting: list[str] = field(default_factory=list)
    unstarted: dict[str, str] = field(default_factory=dict)
    left_out: int = 0
    unreadable: list[str] = field(default_factory=list)
    unmet: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Tell whether every run that was executed succeeded, and nothing was held back."""
        return not self.failed and not self.held and not self.waiting

    @property
    def failed(self) -> bool:
        """Tell whether a run did not succeed or cannot be read, or something else than a run left to others holds back the next."""
        ends = {*self.ended.values()} - {RunStatus.SUCCEEDED}
        return bool(ends or self.unstarted or self.left.keys() & {*self.unreadable} or self.unmet)
