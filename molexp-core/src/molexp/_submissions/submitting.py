"""Submitting: the record first, then the engine, then its answer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct, structs, to_builtins

from molexp._record.submissions import ANSWER, note, open_submissions, queued_runs
from molexp._storage import layout, schemas
from molexp._submissions.preparing import Preparation, Wishes, batches_of, folder_here, prepare, watching, workspace_of
from molexp._submissions.queues import Queues
from molexp._submissions.reconciling import reconcile, settle
from molexp._values.documents import encode_line
from molexp._values.times import new_run_id, new_token, utc_now
from molexp._workflow.plans import create_runs
from molexp.errors import QueueError, QueueUnavailableError

if TYPE_CHECKING:
    from molexp._hierarchy.workspace import Workspace
    from molexp._workflow.driving import Drive
    from molexp.contracts import Batch, Queue, Store


class Submitted(Struct, frozen=True):
    """The outcome of submitting.

    Attributes:
        id: the id of the submission; "" if there was nothing to submit.
        prepared: the runs that were submitted, and those that were not.
        ids: the engine's ids of its batches.
        watcher: the engine's id of the job that looks after it; "" if it has none.

    Example:
        >>> from molexp.scripts import Drive
        >>> from molexp.submissions import Wishes, submit
        >>> submit(Drive("train.py"), Wishes(queue="local")).ids  # doctest: +SKIP
    """

    id: str
    prepared: Preparation
    ids: tuple[str, ...] = ()
    watcher: str = ""


def submit(drive: Drive, wishes: Wishes, *, again: Sequence[str] = ()) -> Submitted:
    """Submit what a script asks for and nobody has in hand: not what succeeded, is going on, or is in an open submission.

    It may be killed at any instant, and called again: no run is in two batches then.

    Args:
        drive: the script, and the choice among its runs.
        wishes: the wishes for the jobs.
        again: the arguments of ``molexp`` with which the watching job submits what is left; those of ``molexp submit``.

    Raises:
        QueueError: the engine refuses the batch.
        QueueUnavailableError: it does not answer. It may have accepted the batch: the next call finds out.
        ProfileError, PluginMissingError, ScriptError, ValueError: as `prepare` does.
    """
    workspace = workspace_of(drive)
    session = workspace._session
    reconcile(workspace)
    while True:
        prepared = prepare(drive, wishes)
        if not prepared.runs:
            return Submitted("", prepared)
        queue = Queues(session.plugins).get(prepared.queue, prepared.options)
        largest, engine = queue.largest(), queue.engine()
        create_runs(prepared.runs)
        session.ready()
        submission = new_run_id()  # now that all is there: of two, the one with the smaller id is to be seen first
        batches = batches_of(workspace, drive, prepared, submission, largest, wishes)
        document = _document(workspace, drive, prepared, submission, engine, batches)
        session.store.create(layout.submission_key(submission), encode_line(document))
        session.flushing.made(layout.submission_key(submission), relies_on=[layout.WORKSPACE])
        if _is_late(session.store, submission, document["runs"]):
            settle(workspace, submission, "another submission, made at the same time, has some of its runs")
            continue
        return _call(workspace, drive, prepared, submission, queue, batches, _then(submission, prepared, wishes, again))


def _then(submission: str, prepared: Preparation, wishes: Wishes, again: Sequence[str]) -> list[str]:
    """Return the arguments of ``molexp`` that submit what a submission leaves; none if that is nothing that we are to submit."""
    if not again or not (wishes.go_on or prepared.bundle > 1):
        return []
    return [*again, "--after", submission, *([] if wishes.go_on else ["--rest"])]


def _is_late(store: Store, submission: str, rows: list[list[Any]]) -> bool:
    """Tell whether another submission has some of the runs: one with a smaller id, or one that an engine has accepted."""
    others = open_submissions(store, but=submission)
    accepted = {one.id for one in others if one.answer is not None}
    queued = queued_runs(others)
    found = [(queued[path], attempts, cancels) for path, attempts, cancels in rows if path in queued]
    return any(
        one.is_of(attempts, cancels) and (one.submission < submission or one.submission in accepted)
        for one, attempts, cancels in found
    )


def _document(
    workspace: Workspace, drive: Drive, prepared: Preparation, submission: str, engine: str, batches: list[Batch]
) -> dict[str, Any]:
    first, tokens = 0, []
    for batch in batches:
        tokens.append([batch.token, first, batch.size])
        first += batch.size
    return {
        "schema": schemas.SUBMISSION,
        "type": "submission",
        "id": submission,
        "token": new_token(),
        "at": utc_now(),
        "by": workspace._session.process.owner_document,
        "queue": prepared.queue,
        "options": to_builtins(prepared.options),
        "engine": engine,
        "url": workspace.url,
        "script": str(drive.script.path),
        "instead": drive.script.instead,
        "folder": folder_here(),
        "profile": drive._profile,
        "overrides": to_builtins(drive._overrides),
        "experiment": prepared.runs[0].experiment.path,
        "resources": to_builtins(prepared.resources),
        "bundle": prepared.bundle,
        "at_once": prepared.at_once,
        "resume": drive._planning._asked.resume,
        "batches": tokens,
        "runs": [[planned.path, planned.attempts, planned.cancels] for planned in prepared.runs],
    }


def _call(
    workspace: Workspace,
    drive: Drive,
    prepared: Preparation,
    submission: str,
    queue: Queue,
    batches: list[Batch],
    again: list[str],
) -> Submitted:
    """Call the engine, and note its answer."""
    if batches[0].output:
        try:
            Path(batches[0].output).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            settle(workspace, submission, f"there is no folder for what its jobs print: {error}")
            raise QueueError(queue.name, f"the folder for what jobs print cannot be made: {error}") from error
    ids: dict[str, str] = {}
    refused: QueueError | None = None
    try:
        for batch in batches:
            before = [*ids.values()][-1:] if (prepared.at_once or len(batches)) < len(batches) else []
            ids[batch.token] = queue.submit(structs.replace(batch, after=tuple(before)))
    except QueueUnavailableError:
        raise  # it may have the batch: whoever asks next looks for the token
    except QueueError as error:
        if not ids:
            settle(workspace, submission, str(error))
            raise
        refused = error  # the batches before it are accepted: the others are submitted with the next call
    watcher = ""
    if refused is None:
        try:
            watcher = queue.submit(watching(workspace, drive, submission, [*ids.values()], again))
        except QueueError:
            watcher = ""  # `molexp queue` does the same
    note(workspace._session.store, submission, ANSWER, ids=ids, watcher=watcher)
    if refused is not None:
        raise refused
    return Submitted(submission, prepared, tuple(ids.values()), watcher)
