"""Execute the runs that a script asks for: every point and replica of its experiments, but for those that succeeded."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from molexp._hierarchy.run import Run
from molexp._profiles import find_profiles, profiles_here, resolve_profile, resources_of, scheduler_of, use_profiles
from molexp._recording.process import this_process
from molexp._recording.signals.event_loops import run_to_end
from molexp._values.numbers import at_least_one
from molexp._values.status import RunStatus
from molexp._workflow.executors import Executors
from molexp._workflow.keys import run_key
from molexp._workflow.options import RunOptions
from molexp._workflow.planning import Asked, Planning
from molexp._workflow.plans import LEAVE, RESUME, SKIP, Event, Observer, PlannedRun, Summary, create_runs
from molexp._workflow.scripts import Script, load_script
from molexp._workflow.selection import LeftOut, Selection
from molexp._workflow.tasks import INLINE
from molexp._workflow.under_run import execute_under_run
from molexp._workflow.whole_runs import RunCall, end_on_record, execute_run
from molexp._workflow.workflow import waited_for
from molexp.contracts import Call, Progress, Resources
from molexp.errors import CredentialsError, MolexpError, PluginMissingError, RunBusyError, RunFinishedError

if TYPE_CHECKING:
    from molexp._workflow.results import TaskOutcome
    from molexp._workflow.workflow import Workflow

_SHORTEST_PAUSE, _LONGEST_PAUSE = 1.0, 30.0  # seconds between two looks at a run that somebody else has


class Drive:
    """Executes the runs that one script asks for.

    Args:
        script: the script's path, or what `load_script` made of it.
        config: a profile file; by default the one beside the script, else in the current directory.
        profile: name of the profile.
        overrides: values over the profile's, by dotted name; ``+name`` adds one that is not there.
        resume: of a run that is executed again, execute only the tasks that need it, instead of all.
        rerun: execute the runs that succeeded, too, instead of skipping them.
        changed: of the runs that succeeded, execute those whose code or inputs have changed since, or may have, and of
            their tasks those that need it.
        capture: record what runs print, as their logs ``stdout`` and ``stderr``; one run at a time in each process.
        stop_on_failure: begin no further run once one has not succeeded.
        selection: a choice among the runs; all of them by default.
        settings: values of parameters over those of the points, by dotted name: every combination is a point. ``+name``
            adds one that no experiment has. `parse_settings` reads them from text.
        workspace: a URL or path: the script's workspace is this one instead.

    Attributes:
        script: the script.
        planned: the runs that `execute` has come to so far, in order.
        summary: the results of `execute` so far.

    Raises:
        ScriptError: the script cannot be imported, or does not say what is to be run.
        ProfileError: the profile file is wrong, or `config` is not there.
        UnboundExperimentError: an experiment that the script names in ``order`` has no workflow.
        NotFoundError: it has no such experiment or parameter; with the nearest names.
        QueryError, ValueError: the selection makes no sense.
    """

    def __init__(
        self,
        script: Script | str | os.PathLike[str],
        *,
        config: str | os.PathLike[str] | None = None,
        profile: str | None = None,
        overrides: Mapping[str, Any] | None = None,
        resume: bool = False,
        rerun: bool = False,
        changed: bool = False,
        capture: bool = False,
        stop_on_failure: bool = False,
        selection: Selection | None = None,
        settings: Mapping[str, Sequence[Any]] | None = None,
        workspace: str | None = None,
    ) -> None:
        this_process().stand_alone()  # several of them, as srun starts them, share a sweep run by run
        if isinstance(script, Script) and script.function is not None:
            self._profiles = profiles_here()  # as for its other runs: the script is being executed
        else:
            file = script.path if isinstance(script, Script) else Path(script)
            self._profiles = find_profiles(script=file, config=Path(config) if config is not None else None)
        with use_profiles(self._profiles):
            self.script: Script = script if isinstance(script, Script) else load_script(script, workspace=workspace)
        self._profile = profile
        self._overrides = dict(overrides or {})
        self._rerun = rerun
        self._capture = capture
        self._stop_on_failure = stop_on_failure
        self._cancelled: list[_PlannedExecution] = []
        self._refused = False  # the storage does not accept the credentials any more
        asked = Asked(
            profile=profile,
            overrides=self._overrides,
            resume=resume,
            rerun=rerun,
            changed=changed,
            selection=selection or Selection(),
            settings=settings or {},
        )
        self._planning = Planning(self.script, asked)
        self.planned: list[PlannedRun] = []
        self.summary: Summary = Summary()

    @property
    def _stopping(self) -> bool:
        """Tell whether no further run is to be begun."""
        ended = self.summary.ended.values()
        is_bad = bool(self.summary.unstarted) or any(one != RunStatus.SUCCEEDED for one in ended)
        return self._refused or (self._stop_on_failure and is_bad)

    def plan(self, *, executor: str | None = None) -> list[PlannedRun]:
        """Return every run in order, and what is to be done with it; create and start nothing.

        Args:
            executor: name of the executor, as for `execute`: one with a queue leaves the runs that an open submission has.

        Raises:
            PluginMissingError: there is no such executor; with the nearest names.
            ProfileError: there is no such profile, or an override names what is not there; with the nearest names.
            SerializationError: a point that JSON cannot carry.
        """
        with use_profiles(self._profiles):
            return self._planning.whole(leave_queued=self._queues(executor))

    def _queues(self, executor: str | None) -> bool:
        """Tell whether an executor has a queue; a queue to which runs are submitted need not be an executor, too."""
        name = self._name_of(executor, resolve_profile(self._profile, self._overrides))
        try:
            return Executors().queues(name)
        except PluginMissingError:
            if executor is not None:
                raise
            return False

    @staticmethod
    def _name_of(executor: str | None, config: Mapping[str, Any]) -> str:
        return str(executor or config.get("executor") or INLINE)

    def left_out(self) -> LeftOut:
        """Return what the selection has left out of the newest plan, and why."""
        return self._planning.chooser.explain()

    def create(self, *, executor: str | None = None) -> list[PlannedRun]:
        """Create the runs that are planned to be executed, and return them: for programs that execute them elsewhere.

        Args:
            executor: as for `plan`.

        Raises:
            PluginMissingError, ProfileError, SerializationError: as `plan`.
            ConflictError: two points would be one run, as another scheme of ids may have it.
        """
        found = [one for one in self.plan(executor=executor) if one.action not in (SKIP, LEAVE)]
        create_runs(found)
        return found

    # ----------------------------------------------------------------------------------------------------------- executing

    def execute(
        self,
        *,
        jobs: int | None = None,
        executor: str | None = None,
        observer: Observer | None = None,
        wait: bool = False,
    ) -> Summary:
        """Execute the plan and wait for all of it; an experiment begins when those before it have succeeded.

        Once the storage refuses its credentials, no further run begins.

        Args:
            jobs: the number of runs at a time; by default one, and for an executor with a queue as many as that allows.
            wait: wait for runs that others execute, too, until the record says that they have ended; and where the executor
                has a queue, for those that an open submission has.
            executor: name of the executor that executes whole runs; by default the configuration's ``executor``, else
                ``inline``.
            observer: called with each event, as it happens.

        Raises:
            PluginMissingError: there is no such executor; with the nearest names.
            ProfileError: as `plan`, the profile's ``resources`` make no sense, or the executor does not take its ``scheduler``.
            TypeError, ValueError: jobs is no whole number or below 1, or there are several in one process with their output.
        """
        jobs = at_least_one(jobs, "jobs")
        with use_profiles(self._profiles), this_process().signals.minding():
            config = resolve_profile(self._profile, self._overrides)
            name = self._name_of(executor, config)
            if self._capture and (jobs or 1) > 1 and name == INLINE:
                raise ValueError(
                    "The output of several runs at a time can only be told apart in processes of their own: "
                    "use the executor 'process', or one job."
                )
            # The settings of the profile are for its own executor, not for another one that you choose.
            options = {name: scheduler_of(config)} if name != INLINE and name == config.get("executor", name) else {}
            executors = Executors(workers=jobs, otherwise=1, options=options)
            executors.check([name])
            mode = _Mode(jobs or 1, name, executors, resources_of(config), observer or (lambda _: None), wait)
            return waited_for(self._execute(mode), run_to_end)

    async def _execute(self, mode: _Mode) -> Summary:
        summary = self.summary = Summary()
        self._cancelled.clear()
        self._refused = False
        self.planned.clear()
        planning, failed = self._planning, ""
        queues = mode.executors.queues(mode.executor)
        try:
            await mode.executors.check_resources(mode.executor, mode.resources)
            planning.restart()
            for experiment, workflow in planning.experiments:
                skips = failed and not planning.chooser.chooses
                planned = [] if skips else list(planning.plan(experiment, workflow, leave_queued=queues))
                if planning.chooser.chooses and not planned:
                    continue
                label = planning.label(experiment)
                if not failed and any(one.action not in (SKIP, LEAVE) for one in planned):
                    failed = planning.unmet(experiment)
                    summary.unmet += [label] if failed else []
                if failed:
                    summary.held[label] = failed
                    mode.observer(Event(what="held", path=label, reason=failed))
                    continue
                self.planned += planned
                executions = [_PlannedExecution(self, workflow, mode, run) for run in planned]
                at_once = mode.jobs
                if queues:
                    at_once = len(planned)  # it says itself how many of them run
                    _create(executions)  # all are there before the first is executed
                mode.observer(Event(what="experiment", path=label, runs=len(planned)))
                failed = await self._experiment(executions, at_once, wait=mode.wait)
        finally:
            await mode.executors.close()
            summary.left_out = planning.chooser.left_out.total()
            for execution in self._cancelled:  # their processes have ended by now
                summary.ended[execution.planned.label] = execution.status()
        return summary

    async def _experiment(self, executions: list[_PlannedExecution], at_once: int, *, wait: bool) -> str:
        """Execute the runs of one experiment; returns why those after it cannot begin, or ""."""
        limit = asyncio.Semaphore(max(at_once, 1))
        summary = self.summary
        planned = [execution.planned for execution in executions]
        summary.waiting += [run.label for run in planned if run.action not in (SKIP, LEAVE)]

        async def one(execution: _PlannedExecution) -> None:
            async with limit:
                await execution.execute()

        async with asyncio.TaskGroup() as group:
            for execution in executions:
                group.create_task(one(execution))
        for execution in executions if wait else ():
            await execution.wait_for_others()
        for path in [run.label for run in planned]:
            if summary.ended.get(path, RunStatus.SUCCEEDED) != RunStatus.SUCCEEDED:
                return f"run {path} {summary.ended[path]}"
            if path in summary.left:
                return f"run {path} {summary.left[path]}"
            if path in summary.unstarted:
                return f"run {path} was not started: {summary.unstarted[path]}"
        return ""


class _Mode(Struct, frozen=True):
    """The executor of the runs, and its settings."""

    jobs: int
    executor: str
    executors: Executors
    resources: Resources
    observer: Observer
    wait: bool


def _create(executions: Sequence[_PlannedExecution]) -> None:
    """Create the runs that are to be executed; what keeps one from that is told when its turn comes."""
    ours = [execution for execution in executions if execution.planned.action not in (SKIP, LEAVE)]
    with suppress(MolexpError, OSError):
        for execution, run in zip(ours, create_runs([one.planned for one in ours]), strict=True):
            execution.run = run


class _PlannedExecution(Struct):
    """One planned run that is being executed."""

    drive: Drive
    workflow: Workflow
    mode: _Mode
    planned: PlannedRun
    begun: bool = False
    run: Run | None = None

    def tell(self, what: str, **facts: Any) -> None:
        """Tell the observer of something."""
        self.mode.observer(Event(what=what, path=self.planned.label, parameters=self.planned.parameters, **facts))

    async def execute(self) -> None:
        """Execute the run, or leave it, as planned."""
        planned, summary = self.planned, self.drive.summary
        if planned.action == SKIP:
            summary.changed += [planned.label] if planned.changed else []
            self._skip(f"it {planned.why}")
            return
        if planned.action == LEAVE:
            self.drive.summary.unreadable += [planned.label] if planned.unreadable else []
            self._leave(planned.why)
            return
        if self.drive._stopping:
            return
        summary.waiting.remove(planned.label)
        started = asyncio.get_running_loop().time()
        try:
            status, reason = await self._run()
        except RunFinishedError:
            self._skip("it has succeeded since, elsewhere")
            return
        except RunBusyError as error:
            self._leave(f"is being executed by process {error.pid} on {error.host}")
            return
        except Exception as error:  # noqa: BLE001 - an error of one run, of any kind, does not stop the others
            status, reason = RunStatus.FAILED, f"{type(error).__name__}: {error}"
            self.drive._refused |= isinstance(error, CredentialsError)
        except BaseException:  # it is cancelled, or a signal came while a task's own code was executed
            summary.ended[planned.label] = self.status()
            self.drive._cancelled.append(self)
            raise
        if status is RunStatus.RUNNING:
            self._leave(f"is on record as running; its executor says: {reason}")
            return
        if status is not RunStatus.PENDING:
            self._begin()
        self._end(status, reason, seconds=asyncio.get_running_loop().time() - started)

    def _begin(self) -> None:
        """Say that the run has begun, once: when its first task does, for until then somebody else may have it."""
        if not self.begun:
            self.begun = True
            self.tell("started", reason=self.planned.why, tasks=len(self.workflow.tasks))

    def status(self) -> str:
        """Return the status of the run on record, once it was stopped."""
        try:
            found = Run(self.planned.experiment, self.planned.id).status
            ending = self.begun and found is RunStatus.RUNNING  # its process was told to end it
            return "ending" if ending else str(found)
        except MolexpError:  # it was never created, or nothing can be read: it is not going on, at any rate
            return str(RunStatus.CANCELLED)

    async def _run(self) -> tuple[RunStatus, str]:
        planned = self.planned
        run = self.run or planned.run()
        options: RunOptions = {
            "resume": planned.action == RESUME,
            "if_succeeded": "rerun" if self.drive._rerun or planned.changed else "error",
            "capture": self.drive._capture,
        }
        if self.mode.executor == INLINE:
            result = await execute_under_run(self.workflow, run, self.mode.executors, self._tell_task, **options)
            return result.status, result.reason
        loop = asyncio.get_running_loop()

        def soon(then: Callable[..., None], *args: Any) -> None:
            with suppress(RuntimeError):  # the event loop is closed: nobody waits for the call any more
                loop.call_soon_threadsafe(then, *args)

        script = self.drive.script
        how = RunCall(str(script.path), run, options, script.function, script.instead, planned.cancels)
        key = run_key(run, planned.attempts + 1)
        began, told = partial(soon, self._begin), partial(soon, self._tell_progress)
        call = Call(execute_run, (how,), {}, self.mode.resources, run.path, began, key, told)
        outcome = await self.mode.executors[self.mode.executor].submit(call)
        if isinstance(outcome.error, RunFinishedError | RunBusyError):
            raise outcome.error
        if outcome.error is not None:
            self.drive._refused |= isinstance(outcome.error, CredentialsError)
            return end_on_record(run, outcome.error, before=planned.attempts)
        return RunStatus(outcome.value[0]), outcome.value[1]

    def _tell_progress(self, progress: Progress) -> None:
        if progress.step != "began":
            self.begun = False
            job = progress.job and f"job {progress.job}"
            again = (
                f"restarted {'once' if progress.restarts == 1 else f'{progress.restarts} times'}"
                if progress.restarts
                else ""
            )
            self.tell("queued", reason=", ".join(filter(None, (job, progress.host, again))))

    def _tell_task(self, task: str, outcome: TaskOutcome | None) -> None:
        self._begin()
        if outcome is None:
            self.tell("task", task=task)
            return
        status, reason = ("reused", "") if outcome.reused else (str(outcome.status), outcome.reason)
        self.tell("task", task=task, status=status, reason=reason, seconds=outcome.duration)

    async def wait_for_others(self) -> None:
        """Wait until who has the run has ended it, if it was left for that; its end counts as one of ours."""
        pause, label = _SHORTEST_PAUSE, self.planned.label
        while label in self.drive.summary.left:
            try:
                run = Run(self.planned.experiment, self.planned.id)
                status, history = run.status, run.execution_history
            except MolexpError:
                return  # it was left because it cannot be read
            if status not in (RunStatus.RUNNING, RunStatus.QUEUED):
                why = (
                    history[-1].get("reason")
                    if history
                    else "the submission that had it has ended without executing it"
                )
                del self.drive.summary.left[label]
                self._end(status, str(why or ""))
                return
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    def _end(self, status: RunStatus, reason: str, **facts: Any) -> None:
        summary, label = self.drive.summary, self.planned.label
        if status is RunStatus.PENDING:
            summary.unstarted[label] = reason
            self.tell("ended", status="not started", reason=reason)
            return
        summary.ended[label] = str(status)
        if reason:
            summary.reasons[label] = reason
        self.tell("ended", status=str(status), reason=reason, **facts)

    def _skip(self, why: str) -> None:
        self.drive.summary.skipped.append(self.planned.label)
        self.tell("ended", status="skipped", reason=why)

    def _leave(self, who: str) -> None:
        self.drive.summary.left[self.planned.label] = who
        self.tell("ended", status="left", reason=who)
