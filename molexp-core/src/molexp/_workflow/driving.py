"""Driving a script: every point and replica of its experiments, under derived ids, skipping what is done."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from molexp._record.process import this_process
from molexp._record.profiles import find_profiles, use_profiles
from molexp._values.status import RunStatus
from molexp._workflow import bindings
from molexp._workflow.executors import Executors
from molexp._workflow.scripts import Script, load_script
from molexp._workflow.tasks import INLINE
from molexp._workflow.under_run import execute_under_run
from molexp.contracts import Call, Resources
from molexp.errors import (
    NotFoundError,
    RunBusyError,
    RunFinishedError,
    ScriptError,
    UnboundExperimentError,
)

if TYPE_CHECKING:
    from molexp._record.experiment import Experiment
    from molexp._record.run import Run
    from molexp._workflow.results import TaskOutcome, WorkflowResult
    from molexp._workflow.workflow import Workflow

SKIP = "skip"
START = "start"
RESUME = "resume"
LEAVE = "leave"


@attrs.frozen(kw_only=True)
class PlannedRun:
    """One run that a script asks for.

    Attributes:
        experiment: its experiment.
        id: its derived id.
        parameters: the point of the experiment's space.
        replica: the replica's index.
        action: ``start`` it, ``resume`` it, ``skip`` it because it succeeded, or ``leave`` it to who executes it.
        why: what the action follows from, for people.
        profile: name of the profile.
        overrides: values over the profile's.
    """

    experiment: Experiment
    id: str
    parameters: Mapping[str, Any]
    replica: int
    action: str
    why: str
    profile: str | None = None
    overrides: Mapping[str, Any] = attrs.field(factory=dict)

    @property
    def path(self) -> str:
        """``project/experiment/run``."""
        return f"{self.experiment.path}/{self.id}"

    def run(self) -> Run:
        """The run, created if need be.

        Raises:
            ProfileError: the profile file has changed since, and does not have what was asked for.
        """
        return self.experiment.derived_run(
            self.parameters, replica=self.replica, profile=self.profile, overrides=self.overrides
        )


@attrs.frozen(kw_only=True)
class Event:
    """Something that happened while a script is driven.

    Attributes:
        what: ``started``, ``task`` (one started, or has an outcome), ``ended``, or ``held`` (an experiment is not
            begun).
        path: the run's path, or the experiment's.
        status: how the run or task ended; "" while it is going on.
        reason: why, for people.
        task: the task's name.
        seconds: how long it took; 0.0 if it was not executed.
        tasks: how many tasks the run has.
    """

    what: str
    path: str
    status: str = ""
    reason: str = ""
    task: str = ""
    seconds: float = 0.0
    tasks: int = 0


Observer = Callable[[Event], None]


@attrs.define
class Summary:
    """What came of driving a script: paths of runs by what became of them.

    Attributes:
        ended: runs that were executed, path to status.
        reasons: why those did not succeed that did not.
        skipped: runs that had succeeded before.
        left: runs that somebody else executes, and who.
        held: experiments that were not begun, and why.
    """

    ended: dict[str, str] = attrs.field(factory=dict)
    reasons: dict[str, str] = attrs.field(factory=dict)
    skipped: list[str] = attrs.field(factory=list)
    left: dict[str, str] = attrs.field(factory=dict)
    held: dict[str, str] = attrs.field(factory=dict)

    @property
    def ok(self) -> bool:
        """Whether every run that was executed succeeded, and nothing was held back."""
        return not self.held and all(status == RunStatus.SUCCEEDED for status in self.ended.values())


class Drive:
    """Drives one script.

    Args:
        script: the script's path, or what `load_script` made of it.
        config: a profile file; by default the one beside the script, else in the current directory.
        profile: name of the profile.
        overrides: values over the profile's, by dotted name; ``+name`` adds one that is not there.
        resume: of a run that did not succeed, execute only the tasks that need it, instead of all.

    Attributes:
        script: the script.
        summary: what came of `execute` so far.

    Raises:
        ScriptError: the script cannot be imported, or does not say what is to be run.
        ProfileError: the profile file is wrong, or `config` is not there.
        UnboundExperimentError: an experiment that the script names in ``order`` has no workflow.
    """

    def __init__(
        self,
        script: Script | str | os.PathLike[str],
        *,
        config: str | os.PathLike[str] | None = None,
        profile: str | None = None,
        overrides: Mapping[str, Any] | None = None,
        resume: bool = False,
    ) -> None:
        this_process().stand_alone()  # several of them, as srun starts them, share a sweep run by run
        file = script.path if isinstance(script, Script) else Path(script)
        self._profiles = find_profiles(script=file, config=Path(config) if config is not None else None)
        with use_profiles(self._profiles):
            self.script: Script = script if isinstance(script, Script) else load_script(script)
        self._profile = profile
        self._overrides = dict(overrides or {})
        self._resume = resume
        self._spaces: dict[str, list[Any]] = {}  # an iterator gives its points only once
        self.summary: Summary = Summary()

    def plan(self) -> list[PlannedRun]:
        """Every run in order, and what is to be done with it. Nothing is created or started.

        Raises:
            ProfileError: there is no such profile, or an override names what is not there; with the nearest names.
            SerializationError: a point that JSON cannot carry.
        """
        with use_profiles(self._profiles):
            return [planned for experiment, _ in self.script.experiments for planned in self._plan(experiment)]

    def _plan(self, experiment: Experiment) -> Iterator[PlannedRun]:
        for point in self._space(experiment):
            if not isinstance(point, Mapping):
                raise ScriptError(
                    str(self.script.path),
                    f"the space of {experiment.path} has {point!r}, which is no dict of parameters",
                )
            for replica in range(experiment.replicas):
                given = {"replica": replica, "profile": self._profile, "overrides": self._overrides}
                run_id = experiment.derived_id(point, **given)  # type: ignore[arg-type]
                action, why = self._decide(experiment, run_id)
                yield PlannedRun(
                    experiment=experiment,
                    id=run_id,
                    parameters=dict(point),
                    action=action,
                    why=why,
                    **given,  # type: ignore[arg-type]
                )

    def _space(self, experiment: Experiment) -> list[Any]:
        if experiment.path not in self._spaces:
            space = experiment.space
            self._spaces[experiment.path] = [{}] if space is None else list(space)
        return self._spaces[experiment.path]

    def _decide(self, experiment: Experiment, run_id: str) -> tuple[str, str]:
        try:
            run = experiment.run(run_id)
            status = run.status
        except NotFoundError:
            return START, "new"
        if status is RunStatus.SUCCEEDED:
            return SKIP, "succeeded"
        if status is RunStatus.RUNNING:
            newest = run.execution_history[-1]
            return LEAVE, f"is being executed by process {newest.get('pid')} on {newest.get('host')}"
        if status is RunStatus.PENDING:
            return START, "was not started yet"
        return (RESUME if self._resume else START), f"{status} before"

    # ----------------------------------------------------------------------------------------------------------- executing

    def execute(self, *, jobs: int = 1, executor: str = INLINE, observer: Observer | None = None) -> Summary:
        """Execute what the plan says, an experiment only when the ones before it have succeeded; waits for all of it.

        Args:
            jobs: how many runs at a time.
            executor: name of the executor that executes whole runs.
            observer: told what happens, as it happens.

        Raises:
            PluginMissingError: there is no such executor; with the nearest names.
            ProfileError: as `plan`.
            ValueError: less than one job.
        """
        return asyncio.run(self._execute(jobs, executor, observer or (lambda _: None)))

    async def _execute(self, jobs: int, executor: str, observer: Observer) -> Summary:
        if jobs < 1:
            raise ValueError(f"There is at least one job at a time; {jobs} are not.")
        summary = self.summary = Summary()
        executors = Executors(workers=jobs)
        executors.check([executor])
        failed = ""
        try:
            with use_profiles(self._profiles):
                for experiment, workflow in self.script.experiments:
                    if failed:
                        summary.held[experiment.path] = failed
                        observer(Event(what="held", path=experiment.path, reason=failed))
                        continue
                    failed = await self._experiment(experiment, workflow, jobs, executor, executors, observer, summary)
        finally:
            await executors.close()
        return summary

    async def _experiment(
        self,
        experiment: Experiment,
        workflow: Workflow,
        jobs: int,
        executor: str,
        executors: Executors,
        observer: Observer,
        summary: Summary,
    ) -> str:
        """Execute the runs of one experiment; returns why those after it cannot begin, or ""."""
        limit = asyncio.Semaphore(jobs)

        async def one(planned: PlannedRun) -> None:
            async with limit:
                await _Driven(self.script, planned, workflow, executor, executors, observer, summary).execute()

        planned = list(self._plan(experiment))
        async with asyncio.TaskGroup() as group:
            for run in planned:
                group.create_task(one(run))
        for path in [run.path for run in planned]:
            if summary.ended.get(path, RunStatus.SUCCEEDED) != RunStatus.SUCCEEDED:
                return f"run {path} {summary.ended[path]}"
            if path in summary.left:
                return f"run {path} {summary.left[path]}"
        return ""


@attrs.frozen
class _Driven:
    """One planned run that is driven."""

    script: Script
    planned: PlannedRun
    workflow: Workflow
    executor: str
    executors: Executors
    observer: Observer
    summary: Summary

    async def execute(self) -> None:
        planned, summary = self.planned, self.summary
        if planned.action == SKIP:
            self._skip()
            return
        if planned.action == LEAVE:
            self._leave(planned.why)
            return
        self.observer(Event(what="started", path=planned.path, reason=planned.why, tasks=len(self.workflow.tasks)))
        started = asyncio.get_running_loop().time()
        try:
            status, reason = await self._run(planned.action == RESUME)
        except RunFinishedError:  # by somebody else, since it was planned
            self._skip()
            return
        except RunBusyError as error:
            self._leave(f"is being executed by process {error.pid} on {error.host}")
            return
        except Exception as error:  # noqa: BLE001 - whatever breaks one run, the others go on
            status, reason = RunStatus.FAILED, f"{type(error).__name__}: {error}"
        summary.ended[planned.path] = str(status)
        if reason:
            summary.reasons[planned.path] = reason
        seconds = asyncio.get_running_loop().time() - started
        self.observer(Event(what="ended", path=planned.path, status=str(status), reason=reason, seconds=seconds))

    async def _run(self, resume: bool) -> tuple[RunStatus, str]:
        run = self.planned.run()
        executor = self.executors[self.executor]
        if self.executor == INLINE:
            result = await execute_under_run(
                self.workflow, run, resume, self.executors, self._tell, if_succeeded="error"
            )
            return result.status, result.reason
        call = RunCall(str(self.script.path), run, resume)
        resources = Resources()
        outcome = await executor.submit(Call(execute_run, (call,), resources=resources, name=run.path))
        if isinstance(outcome.error, RunFinishedError | RunBusyError):
            raise outcome.error
        if outcome.error is not None:
            return RunStatus.FAILED, f"{type(outcome.error).__name__}: {outcome.error}"
        return RunStatus(outcome.value[0]), outcome.value[1]

    def _tell(self, task: str, outcome: TaskOutcome | None) -> None:
        if outcome is None:
            self.observer(Event(what="task", path=self.planned.path, task=task))
            return
        status = "reused" if outcome.reused else outcome.status
        event = Event(
            what="task",
            path=self.planned.path,
            task=task,
            status=status,
            reason=outcome.reason if not outcome.reused else "",
            seconds=outcome.duration,
        )
        self.observer(event)

    def _skip(self) -> None:
        self.summary.skipped.append(self.planned.path)
        self.observer(Event(what="ended", path=self.planned.path, status="skipped", reason="it succeeded before"))

    def _leave(self, who: str) -> None:
        self.summary.left[self.planned.path] = who
        self.observer(Event(what="ended", path=self.planned.path, status="left", reason=who))


@attrs.frozen
class RunCall:
    """A whole run for another process: which script has its workflow, and which run it is."""

    script: str
    run: Run
    resume: bool


def execute_run(call: RunCall) -> tuple[str, str]:
    """Execute one run in this process, by the workflow that its script binds; returns its status, and why."""
    try:
        bindings.get_workflow(call.run.experiment)
    except UnboundExperimentError:
        load_script(call.script)
    result = _execute_bound(call.run, call.resume)
    return str(result.status), result.reason


def execute_one(script: str | os.PathLike[str], run: Run, *, resume: bool = False) -> WorkflowResult:
    """Execute one run that exists, by the workflow that a script binds to its experiment. For schedulers.

    Raises:
        ScriptError: the script cannot be imported.
        UnboundExperimentError: it binds nothing to the run's experiment.
        RunBusyError: an attempt at the run is alive.
        RunFinishedError: it succeeded already.
    """
    this_process().stand_alone()
    load_script(script)
    return _execute_bound(run, resume)


def _execute_bound(run: Run, resume: bool) -> WorkflowResult:
    workflow = bindings.get_workflow(run.experiment)

    async def execute() -> WorkflowResult:
        executors = Executors(run.home.plugins)
        try:
            return await execute_under_run(workflow, run, resume, executors, None, if_succeeded="error")
        finally:
            await executors.close()

    return asyncio.run(execute())


def counts(summary: Summary) -> dict[str, int]:
    """How many runs came to which end."""
    found: dict[str, int] = {}
    words: Sequence[str] = [*summary.ended.values(), *["skipped"] * len(summary.skipped), *["left"] * len(summary.left)]
    for word in words:
        found[word] = found.get(word, 0) + 1
    return found
