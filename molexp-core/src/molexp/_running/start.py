"""Starting a run: claiming its next attempt, once the one before has ended."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol

from molexp._record.attempts import read_attempts
from molexp._record.causes import Ending
from molexp._record.definitions import WAS_DELETED
from molexp._record.document_types import is_defined
from molexp._record.folding import AttemptFacts
from molexp._record.looking import look_at
from molexp._record.owners import Owner
from molexp._record.reading import read_edits
from molexp._recording.attempt import MOMENT, Attempt, looks
from molexp._recording.writer import claim_events
from molexp._storage import layout, schemas
from molexp._storage.layout import claim_key, end_key
from molexp._values.documents import check_schema, encode_line, encoded, refuse_newer
from molexp._values.numbers import seconds
from molexp._values.status import RunStatus
from molexp._values.times import parse_time
from molexp.errors import KeyExistsError, NotFoundError, RunBusyError, RunFinishedError, WorkspaceMovedError

if TYPE_CHECKING:
    from molexp._recording.ranks import Joined
    from molexp._recording.session import RecordingSession


class Startable(Protocol):
    """A run, as starting it needs it.

    Attributes:
        path: the run's path.
    """

    path: str
    _made_up_at: float  # when its id was made up, in seconds since 1970; 0.0 if that was not done here
    _untried: bool  # this process created it and has not started it: nobody else is likely to have

    @property
    def _session(self) -> RecordingSession:
        """Return the workspace."""

    def _defined(self) -> dict[str, Any]:
        """Return its ``run.json`` as it was created."""


def begin(run: Startable, *, fresh: bool, wait: float, if_succeeded: str) -> Attempt | Joined:
    """Claim the next attempt at a run, or join the one that rank 0 of this launch has claimed; see `Run.start`."""
    if if_succeeded not in ("rerun", "error"):
        raise ValueError(f"if_succeeded must be 'rerun', 'error' or 'skip', not {if_succeeded!r}.")
    wait = wait and seconds(wait, "wait")
    session = run._session
    process = session.process
    rank = process.rank
    if rank is not None and rank.index > 0:
        from molexp._recording.ranks import join

        return join(session, run.path, rank, wait, if_succeeded)
    journal = session.journal
    definition = run._defined()
    untried, run._untried = run._untried, False
    parts = {"owner": process.encoded_owner, "definition": encoded(definition)}
    if not untried:  # this process has not written it
        check_schema(definition, layout.document(run.path), schemas.DEFINITION)
    process.prepare()
    store, provenance = session.store, process.provenance
    deadline = time.monotonic() + wait
    folder = layout.folder(run.path)
    launch = {}
    if rank is not None:
        launch["launch"] = rank.launch(process.count("start", session.store.url, run.path))
    while True:
        number = 1 if untried else _next_attempt(run, deadline, if_succeeded)
        journal.announce(end_key(folder, number))
        claim = {
            **process.claim(number),
            "invocation": process.invocation,
            "lease": session.lease,
            "fresh": fresh,
            "provenance": provenance.standing.get(store.url) or provenance.publish(store, wait=False),
            "definition": definition,
            **process.memory,
            **process.submission,
            **launch,
        }
        try:
            log = claim_events(store, run.path, claim, encode_line({**claim, **parts}))
            unseen = untried and 0.0 <= time.time() - run._made_up_at < MOMENT  # nobody else can know of it yet
            attempt = Attempt(session, run.path, claim, log, parts, unseen=unseen)
        except KeyExistsError:
            untried = False  # somebody else was first
            continue
        except BaseException as problem:
            from molexp._running.giving_up import give_up

            give_up(session, run.path, claim, problem)
            raise
        if untried and not unseen:
            _refuse_deleted(run, attempt)
        return attempt


def _refuse_deleted(run: Startable, attempt: Attempt) -> None:
    """End an attempt that was claimed without a look at the run, if that was deleted since it was created."""
    try:
        there = look_at(run._session.store, run.path)
        deleted = read_edits(there, run.path).deleted
        freed = not deleted and not is_defined(there, run.path)  # in this order: the edit that deletes it goes last
    except BaseException:
        attempt.end(Ending(RunStatus.FAILED, "whether the run was deleted could not be read"))
        raise
    if deleted:
        attempt.end(Ending(RunStatus.CANCELLED, "the run was deleted"))
    elif freed:
        attempt.withdraw()
    if deleted or freed:
        raise NotFoundError("run", run.path, hint=WAS_DELETED)


def _next_attempt(run: Startable, deadline: float, if_succeeded: str) -> int:
    """Return the number of the attempt to claim, once the newest one has ended.

    Raises:
        RunBusyError: it has not, by the deadline.
        RunFinishedError: it succeeded, and that is not to be repeated.
        SchemaError: a newer MolExp wrote it.
    """
    session = run._session
    if read_edits(session.store, run.path).deleted:
        raise NotFoundError("run", run.path, hint=WAS_DELETED)
    for own in session.process.heart.attempts():
        if own.path == run.path and own.store.url == session.store.url:
            with suppress(WorkspaceMovedError):  # another workspace lay here when it was begun
                own.end()
    for _ in looks(deadline):
        attempts = read_attempts(session.store, layout.folder(run.path))
        if not attempts:
            if not is_defined(session.store, run.path):
                raise NotFoundError("run", run.path, hint="It was deleted.")
            return 1
        newest = session.observer.settle(run.path, attempts[-1], insist=True)
        if newest.ended or _is_given_up(run, newest):
            last = next((one for one in (newest, *reversed(attempts[:-1])) if not one.void), newest)
            if last.status is RunStatus.SUCCEEDED and if_succeeded == "error":
                raise RunFinishedError(run.path, status=str(last.status), attempt=last.number)
            folder = layout.folder(run.path)
            refuse_newer(newest.head, (end_key if newest.ended else claim_key)(folder, newest.number), schemas.ATTEMPT)
            return newest.number + 1
    raise busy(run.path, newest)


def _is_given_up(run: Startable, attempt: AttemptFacts) -> bool:
    """Tell whether somebody has cancelled, here, an attempt that goes on elsewhere."""
    return bool(attempt.as_of and read_edits(run._session.store, run.path).cancel_of(attempt.number))


def busy(path: str, attempt: AttemptFacts) -> RunBusyError:
    """Return the error that says who is at work on a run; of a malformed claim, what can be read of it."""
    owner = Owner.from_dict(attempt.head.get("owner"))
    try:
        age = max(0.0, time.time() - parse_time(attempt.head["started_at"]).timestamp())
    except (KeyError, TypeError, ValueError, AttributeError):
        age = 0.0
    return RunBusyError(
        path, attempt=attempt.number, host=owner.host, pid=owner.pid, age=age, as_of=attempt.as_of or None
    )
