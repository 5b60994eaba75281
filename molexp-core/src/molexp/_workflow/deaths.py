"""Runs whose call ended with an error: the record says what became of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from molexp._record.attempts import read_attempts
from molexp._record.causes import cause_of_error
from molexp._record.folding import AttemptFacts
from molexp._record.leases import Death
from molexp._record.owners import Owner
from molexp._storage import layout
from molexp._values.status import Cause, RunStatus
from molexp.errors import ExecutorError, MolexpError, WorkerDiedError

if TYPE_CHECKING:
    from molexp._hierarchy.run import Run


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
    except MolexpError:
        return RunStatus.FAILED, told
    if newest.status is RunStatus.RUNNING:
        return (RunStatus.FAILED if how else RunStatus.RUNNING), told
    return newest.status, str(newest.head.get("reason") or told)
