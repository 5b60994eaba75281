"""Taking the jobs of cancelled runs from the engines, where these can be asked from here."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from msgspec import Struct

from molexp._record.submissions import SubmissionFacts, open_submissions
from molexp._submissions.queues import WAITS, Queues, rows_beside
from molexp._values.status import RunStatus
from molexp.errors import MolexpError

if TYPE_CHECKING:
    from molexp._hierarchy.workspace import Workspace


class Withdrawn(Struct, frozen=True):
    """The jobs of one submission whose runs were all cancelled.

    Attributes:
        submission: the id of the submission.
        queue: the name of its queue.
        jobs: the engine's ids of the jobs that it was asked to cancel.
        runs: the runs that no job of it will begin.
        why: the reason that the engine was not asked; "" if it was. Jobs that it still has leave these runs alone.

    Example:
        >>> from molexp.submissions import withdraw
        >>> withdraw(ws, ["metals/cu/cu-small"])
        []
    """

    submission: str
    queue: str
    jobs: tuple[str, ...]
    runs: tuple[str, ...]
    why: str = ""


def withdraw(workspace: Workspace, paths: Iterable[str]) -> list[Withdrawn]:
    """Take jobs from their engines that wait for cancelled runs and for nothing else. The runs are cancelled on record before.

    A job is found by the token of its batch, so it is never somebody else's. One that has begun stays, as does one that has
    other runs to execute: it looks at the record before each run.

    Args:
        workspace: the workspace.
        paths: the paths of runs that were cancelled.

    Returns:
        The open submissions that had some of them.
    """
    named = set(paths)
    concerned = [
        one for one in open_submissions(workspace._session.store) if any(run.path in named for run in one.runs)
    ]
    queues = Queues(workspace._session.plugins)
    found = []
    for one in concerned:
        idle, runs = _idle(workspace, one, named)
        if not runs:
            continue
        jobs: tuple[str, ...] = ()
        why = ""
        if idle:
            try:
                jobs = _cancel(queues, one, idle, workspace.url)
            except MolexpError as error:
                why = str(error)
        found.append(Withdrawn(one.id, str(one.document["queue"]), jobs, runs, why))
    return found


def _idle(workspace: Workspace, one: SubmissionFacts, named: set[str]) -> tuple[set[int], tuple[str, ...]]:
    """Return the jobs of a submission that have nothing to do since runs were cancelled, and which of these are named."""
    there = {row.path: row for row in rows_beside(workspace, one)}
    cancelled = {
        run.path
        for run in one.runs
        if (row := there.get(run.path)) is not None and row.document.get("cancels", 0) > run.cancels
    }
    over = {run.path for run in one.runs if (row := there.get(run.path)) is None or row.status is RunStatus.SUCCEEDED}
    running = {path for path, row in there.items() if row.status is RunStatus.RUNNING}  # those are asked to stop
    runs = tuple(run.path for run in one.runs if run.path in (named & cancelled) - running)
    jobs = {at // one.bundle for at, run in enumerate(one.runs) if run.path in runs}
    return {job for job in jobs if all(run.path in cancelled | over for run in one.runs_of(job))}, runs


def _cancel(queues: Queues, one: SubmissionFacts, idle: set[int], url: str) -> tuple[str, ...]:
    """Cancel jobs that the engine has not begun; returns its ids of them."""
    queue = queues.of(one, url)
    batches = one.batches
    ids = tuple(
        job.id
        for job in queue.look(one.ids)
        if job.state in WAITS and job.index < len(batches[job.token]) and batches[job.token][job.index] in idle
    )
    if ids:
        queue.cancel(ids)
    return ids
