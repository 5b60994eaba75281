"""Execute one run by the workflow that a script binds to its experiment, in this process."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal

from msgspec import Struct

from molexp._executors.process import INTERRUPTIBLE
from molexp._hierarchy.run import Run
from molexp._record.attempts import read_attempts
from molexp._record.causes import cause_of_error
from molexp._record.folding import AttemptFacts
from molexp._record.leases import Death
from molexp._record.owners import Owner
from molexp._record.showing import show_ended
from molexp._recording.process import this_process
from molexp._recording.signals.event_loops import run_to_end
from molexp._storage import layout
from molexp._values.status import Cause, RunStatus
from molexp._workflow import bindings
from molexp._workflow.builder import workflow_of
from molexp._workflow.executors import Executors
from molexp._workflow.options import RunOptions
from molexp._workflow.scripts import Script, load_script
from molexp._workflow.under_run import execute_under_run
from molexp.errors import ExecutorError, MolexpError, StoreError, UnboundExperimentError, WorkerDiedError

if TYPE_CHECKING:
    from molexp._workflow.results import WorkflowResult


class RunCall(Struct, frozen=True):
    """A whole run for another process: which script has its workflow, which run it is, and how it is executed.

    Where the script itself has asked for a sweep of a function, that is executed. `instead` is the workspace that the script
    gets in the place of its own, if any. There were `cancels` requests to cancel the run when it was planned: one that was
    cancelled since stays so.
    """

    script: str
    run: Run
    options: RunOptions
    function: Callable[[Any], Any] | None = None
    instead: str = ""
    cancels: int = 0


def execute_run(call: RunCall) -> tuple[str, str]:
    """Execute one run in this process, by the workflow that its script binds; returns its status, and why."""
    run = call.run
    try:
        cancels = run._state().edits.cancels
    except StoreError:  # on another machine, the script alone may have the keys of the storage
        loaded = load_script(call.script, workspace=call.instead or None) if call.function is None else None
        if loaded is None or (own := loaded.workspace(run._session.store.url)) is None:
            raise
        run = own.run(run.path)
        cancels = run._state().edits.cancels
    if len(cancels) > call.cancels:
        return str(RunStatus.CANCELLED), str(cancels[-1].get("reason") or "it was cancelled before it began")
    if call.function is not None:
        bindings.set_workflow(run.experiment, workflow_of(call.function))
    else:
        try:
            bindings.get_workflow(run.experiment)
        except UnboundExperimentError:
            load_script(call.script, workspace=call.instead or None)
    result = _execute_bound(run, call.options)
    return str(result.status), result.reason


setattr(execute_run, INTERRUPTIBLE, True)


def execute_one(
    script: Script | str | os.PathLike[str],
    run: Run,
    *,
    resume: bool = False,
    if_succeeded: Literal["rerun", "error"] = "error",
    capture: bool = False,
) -> WorkflowResult:
    """Execute one run that exists, by the workflow that a script binds to its experiment. For schedulers.

    Args:
        script: the script's path, or what `load_script` made of it, for several runs.
        run: the run.
        resume: execute only the tasks that need it.
        if_succeeded: ``"rerun"`` repeats a run that succeeded.
        capture: record what it prints, as its logs ``stdout`` and ``stderr``.

    Raises:
        ScriptError: the script cannot be imported.
        UnboundExperimentError: it binds nothing to the run's experiment.
        RunBusyError: an attempt at the run is alive.
        RunFinishedError: it succeeded already.
    """
    this_process().stand_alone()
    if not isinstance(script, Script):
        load_script(script)
    return _execute_bound(run, {"resume": resume, "if_succeeded": if_succeeded, "capture": capture})


def _execute_bound(run: Run, options: RunOptions) -> WorkflowResult:
    workflow = bindings.get_workflow(run.experiment)

    async def execute() -> WorkflowResult:
        executors = Executors(run._session.plugins)
        try:
            return await execute_under_run(workflow, run, executors, **options)
        finally:
            await executors.close()

    return run_to_end(execute())


def _vouched(error: BaseException, attempt: AttemptFacts) -> Mapping[str, str]:
    """Return the facts of the scheduler that says that this attempt's job is over; none if it is another job's."""
    by = error.scheduler if isinstance(error, ExecutorError) else {}
    return by if by and by.get("job") == Owner.from_dict(attempt.head.get("owner")).job else {}


def _cause(by: Mapping[str, str]) -> str:
    words = {"TIMEOUT": Cause.WALLTIME, "OUT_OF_MEMORY": Cause.OUT_OF_MEMORY, "PREEMPTED": Cause.PREEMPTED}
    return str(words.get(by.get("word", ""), Cause.OWNER_DIED))


def end_on_record(run: Run, error: BaseException, *, before: int) -> tuple[RunStatus, str]:
    """Return the status of a run whose call ended with an error, and the reason.

    It is the status on record. If the process died, its end is recorded as that of the run. It is pending if no attempt
    began, and running if an attempt is alive, whatever its executor says.

    Args:
        run: the run.
        error: the error of its call.
        before: the number of attempts that there were before the call.
    """
    told = f"{type(error).__name__}: {error}"
    how = None
    if isinstance(error, WorkerDiedError):
        how = Death(f"process {error.pid} {error.how}", cause_of_error(error), error.pid)
    try:
        found = read_attempts(run._session.store, layout.folder(run.path))
        attempts = [one for one in found if not one.void]  # the history, in which `before` were counted, has no others
        if len(attempts) <= before:
            return RunStatus.PENDING, told
        newest = run._session.observer.settle(run.path, attempts[-1], how=how)
        if newest.status is RunStatus.RUNNING and (by := _vouched(error, newest)):
            how_known = f"its job is over, says {by.get('scheduler')}: {by.get('word')}"
            newest = run._session.observer.vouch(run.path, newest.number, how_known, _cause(by), by)
        if newest.ended and not attempts[-1].ended:
            show_ended(run._session.observer, run.path)
    except MolexpError:
        return RunStatus.FAILED, told
    if newest.status is RunStatus.RUNNING:
        return (RunStatus.FAILED if how else RunStatus.RUNNING), told
    return newest.status, str(newest.head.get("reason") or told)
