"""Runs whose process died: the parent of the process records the cause."""

from __future__ import annotations

from typing import TYPE_CHECKING

from molexp._record.attempts import read_attempts
from molexp._record.causes import cause_of_error
from molexp._record.leases import Death
from molexp._storage import layout
from molexp._values.status import RunStatus
from molexp.errors import MolexpError, WorkerDiedError

if TYPE_CHECKING:
    from molexp._hierarchy.run import Run


def end_of_dead(run: Run, error: WorkerDiedError) -> tuple[RunStatus, str]:
    """Return the end of a run whose process died: the end on record, else the end of the process, which is recorded."""
    how = Death(f"process {error.pid} {error.how}", cause_of_error(error), error.pid)
    try:
        attempts = read_attempts(run._session.store, layout.folder(run.path))
        newest = run._session.observer.settle(run.path, attempts[-1], how=how) if attempts else None
    except MolexpError:
        newest = None
    if newest is None or newest.status is RunStatus.RUNNING:
        return RunStatus.FAILED, f"{type(error).__name__}: {error}"
    return newest.status, str(newest.head.get("reason") or "")
