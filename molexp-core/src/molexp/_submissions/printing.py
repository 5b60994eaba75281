"""The file into which the job of a run printed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from molexp._record.submissions import job_of, read_submission
from molexp._submissions.preparing import output_of
from molexp.errors import MolexpError

if TYPE_CHECKING:
    from molexp._hierarchy.run import Run


def job_output(run: Run) -> str:
    """Return the path of what the job of a run's newest attempt printed outside of its runs; "" if there is none here.

    Args:
        run: a run that a job of a submission has executed, or any other.

    Example:
        >>> from molexp.submissions import job_output
        >>> job_output(ws.run("metals/cu/cu-small"))
        ''
    """
    history = run.execution_history
    if not history or (job := job_of(history[-1])) is None:
        return ""
    store = run._session.store
    try:
        one = read_submission(store, job[0], answered=False)
    except MolexpError:
        return ""
    folder = output_of(store, one.id, str(one.document["folder"]))
    for token, batch in one.batches.items():
        if folder and job[1] in batch:  # queues put another character before the index
            return next(map(str, Path(folder).glob(f"{token}?{job[1] - batch.start}.out")), "")
    return ""
