"""The job's side: executing the runs of one job of a submission."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from molexp._record.submissions import SubmittedRun, attempted_by, has_ended, read_submission
from molexp._recording.process import this_process
from molexp._values.status import RunStatus
from molexp._workflow.scripts import Script, load_script
from molexp._workflow.whole_runs import execute_one
from molexp.contracts import JOB_ENDS, JOB_ID, JOB_INDEX
from molexp.errors import KeyNotFoundError, MolexpError, NotFoundError, RunBusyError, RunFinishedError

if TYPE_CHECKING:
    from molexp._hierarchy.workspace import Workspace
    from molexp._record.submissions import SubmissionFacts

DONE, FAILED, LEFT = 0, 1, 5
"""The exit codes of a job: nothing is left to do, a run has failed, or its time was too short for the others."""

_LEAVES = (RunStatus.FAILED, RunStatus.CANCELLED)
"""An attempt of this submission that ended so is not repeated when the engine starts the job again."""


def execute_job(
    workspace: Workspace,
    submission: str,
    *,
    script: Script | str | os.PathLike[str],
    first: int = 0,
    tell: Callable[[str], None] = lambda _: None,
) -> int:
    """Execute the runs of one job of a submission; return the code to exit with.

    Whatever is not to be executed any more is left alone, and that is no failure: runs that succeeded or are going on, that
    were cancelled since, and all of them once it is established that the submission has ended. A run is only begun if there is
    as much time left as the longest run so far has taken. It is for the process that an engine started, whose environment tells
    which job it is; see `molexp.contracts.Queue`.

    Args:
        workspace: the workspace.
        submission: the id of the submission.
        script: the script that binds the workflows, or what `load_script` made of it.
        first: the number of the batch's first job in the submission.
        tell: called with what becomes of each run, in words.

    Returns:
        0, or 1 if a run failed, or 5 if the time was too short for the others.

    Raises:
        NotFoundError: there is no such submission, or it has no such job.
    """
    process, store = this_process(), workspace._session.store
    text = os.environ.get(JOB_INDEX, "")
    if not text.isdecimal():
        raise NotFoundError("job", text, where=submission, hint=f"A queue tells it in the variable {JOB_INDEX}.")
    job = first + int(text)
    try:
        found = read_submission(store, submission)
    except KeyNotFoundError:
        raise NotFoundError("submission", submission, where=workspace.url) from None
    if job >= found.jobs:
        raise NotFoundError("job", str(job), where=submission)
    process.submission = {"submission": {"id": submission, "job": job, "engine_job": os.environ.get(JOB_ID, "")}}
    try:
        with process.signals.minding():  # between two runs, too, a signal is an exit code of 128 and its number
            return _Job(workspace, found, script, tell).execute(found.runs_of(job))
    finally:
        process.submission = {}


class _Job:
    def __init__(
        self,
        workspace: Workspace,
        submission: SubmissionFacts,
        script: Script | str | os.PathLike[str],
        tell: Callable[[str], None],
    ) -> None:
        self._workspace = workspace
        self._submission = submission
        self._script = script
        self._tell = tell
        self._longest = 0.0
        self._ends = _time(os.environ.get(JOB_ENDS, ""))

    def execute(self, runs: tuple[SubmittedRun, ...]) -> int:
        """Execute the runs one after the other."""
        code = DONE
        for number, run in enumerate(runs):
            if has_ended(self._workspace._session.store, self._submission.id):
                self._tell(f"the submission {self._submission.id} has ended: nothing of it is begun any more")
                return code
            if self._ends and time.time() + self._longest > self._ends:
                self._tell(f"{len(runs) - number} runs are left, for which there is not enough time")
                return code or LEFT
            began = time.monotonic()
            ended = self._execute(run)
            code = max(code, ended)
            self._longest = max(self._longest, time.monotonic() - began)
        return code

    def _execute(self, asked: SubmittedRun) -> int:
        try:
            run = self._workspace.run(asked.path)
            state = run._state()
            if len(state.edits.cancels) > asked.cancels:
                self._tell(f"{run.path} is not begun: it was cancelled")
                return DONE
            newest = state.history[-1] if state.history else {}
            if state.status in (RunStatus.SUCCEEDED, RunStatus.RUNNING) or (
                state.status in _LEAVES and attempted_by([newest], self._submission.id)
            ):
                self._tell(f"{run.path} is left as it is: {state.status}")
                return DONE
            resume = bool(self._submission.document.get("resume")) or attempted_by(state.history, self._submission.id)
            script = self._loaded()
            self._tell(f"run {run.path}")
            result = execute_one(script, self._workspace.run(run.path), resume=resume)
        except (RunFinishedError, RunBusyError) as error:  # by its claim
            self._tell(f"{asked.path} is left as it is: {error}")
            return DONE
        except NotFoundError as error:
            if error.what != "run":
                raise
            self._tell(f"{asked.path} is not begun: it was deleted")
            return DONE
        except MolexpError as error:
            self._tell(f"{asked.path} could not be executed: {error}")
            return FAILED
        self._tell(f"{run.path} {result.status}{': ' + result.reason if result.reason else ''}")
        return DONE if result.status is RunStatus.SUCCEEDED else FAILED

    def _loaded(self) -> Script:
        """Import the script, once; from then on the workspace has the options of storage that the script passes."""
        if not isinstance(self._script, Script):
            instead = self._submission.document.get("instead")
            self._script = load_script(self._script, workspace=str(instead) if instead else None)
            self._workspace = self._script.workspace(self._workspace.url) or self._workspace
        return self._script


def _time(text: str) -> float:
    """Return a time in seconds since 1970; 0.0 for none."""
    return float(text) if text.isdecimal() else 0.0
