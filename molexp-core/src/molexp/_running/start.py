"""Starting a run: claiming its next attempt, once the one before has ended."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar

import attrs

from molexp._record.attempts import read_attempts
from molexp._record.definitions import WAS_DELETED
from molexp._record.events import claim_events
from molexp._record.fences import is_defined
from molexp._record.folding import AttemptFacts
from molexp._record.owners import Owner
from molexp._record.prefetch import look_at
from molexp._record.reading import read_edits
from molexp._recording.attempt import MOMENT, Attempt
from molexp._recording.states import Ending
from molexp._storage import layout, schemas
from molexp._storage.layout import claim_key, end_key
from molexp._values.documents import check_schema, encode_line
from molexp._values.ids import new_token
from molexp._values.status import RunStatus
from molexp._values.times import parse_time, utc_now
from molexp.errors import KeyExistsError, NotFoundError, RunBusyError, RunFinishedError, WorkspaceMovedError

if TYPE_CHECKING:
    from molexp._recording.ranks import Joined
    from molexp._recording.session import RecordingSession

_FIRST_LOOK = 0.02  # seconds between looks at a run that is waited for, growing to _LAST_LOOK
_LAST_LOOK = 1.0


class Capturing(Protocol):
    """A context that can record standard output and error."""

    def capture(self) -> None:
        """Record them from now on."""


C = TypeVar("C", bound=Capturing)


@attrs.frozen(slots=False)  # as one is made for each start, and that is faster
class Startable:
    """A run, as far as starting it needs it.

    Attributes:
        session: the workspace.
        path: the run's path.
        definition: returns its ``run.json`` as it was created.
        made_up_at: the time at which its id was made up, in seconds since 1970; 0.0 if that was not done here.
    """

    session: RecordingSession
    path: str
    definition: Callable[[], dict[str, Any]]
    made_up_at: float


def start(
    run: Startable,
    make_context: Callable[[Attempt | Joined], C],
    *,
    fresh: bool,
    wait: float,
    if_succeeded: Literal["rerun", "error"],
    capture: bool,
    untried: bool,
) -> C:
    """Claim the next attempt at a run, and return its context; see `Run.start`."""
    if if_succeeded not in ("rerun", "error"):
        raise ValueError(f"if_succeeded must be 'rerun' or 'error', not {if_succeeded!r}.")
    begin = partial(_begin, run, fresh, wait, if_succeeded, untried)
    if not capture:
        return make_context(begin())
    from molexp._running.capture import Capture

    with Capture.ahead():
        attempt = begin()
        context = make_context(attempt)
        try:
            context.capture()
        except BaseException:
            attempt.end(Ending(RunStatus.FAILED, "its streams could not be captured"))
            raise
    return context


def _begin(run: Startable, fresh: bool, wait: float, if_succeeded: str, untried: bool) -> Attempt | Joined:
    rank = run.session.process.rank
    if rank is not None and rank.index > 0:
        from molexp._recording.ranks import join

        return join(run.session, run.path, rank, wait, if_succeeded)
    return _claim(run, fresh, time.monotonic() + wait, if_succeeded, untried)


def _claim(run: Startable, fresh: bool, deadline: float, if_succeeded: str, untried: bool) -> Attempt:
    session = run.session
    journal = session.journal
    definition = run.definition()
    check_schema(definition, layout.document(run.path), schemas.DEFINITION)
    process = session.process
    process.prepare()
    folder = layout.folder(run.path)
    ranks = {}
    if process.rank is not None:
        ranks["launch"] = process.rank.launch(process.count("start", session.store.url, run.path))
    while True:
        number = 1 if untried else _next_attempt(run, deadline, if_succeeded)
        journal.announce(end_key(folder, number))
        token = new_token()
        claim = {
            "schema": schemas.ATTEMPT,
            "type": "claim",
            "attempt": number,
            "token": token,
            "started_at": utc_now(),
            "owner": process.owner_document,
            "invocation": process.invocation,
            "lease": session.lease,
            "fresh": fresh,
            "provenance": process.provenance.publish(session.store, wait=False),
            "definition": definition,
            **process.memory,
            **ranks,
        }
        try:
            head = {"run": run.path, "attempt": number, "owner": process.owner_document}
            log = claim_events(session.store, claim_key(folder, number), encode_line(claim), token, head)
        except KeyExistsError:
            untried = False  # somebody else was first
            continue
        unseen = untried and _is_new(run)
        attempt = Attempt(session.store, process, run.path, number, claim, log, journal, unseen=unseen)
        if untried and not unseen:
            _refuse_deleted(run, attempt)
        return attempt


def _refuse_deleted(run: Startable, attempt: Attempt) -> None:
    """End an attempt that was claimed without a look at the run, if that was deleted since it was created."""
    try:
        there = look_at(run.session.store, run.path)
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


def _is_new(run: Startable) -> bool:
    """Tell whether nobody else can know of a run yet: its id was made up a moment ago."""
    return 0.0 <= time.time() - run.made_up_at < MOMENT


def _next_attempt(run: Startable, deadline: float, if_succeeded: str) -> int:
    """Return the number of the attempt to claim, once the newest one has ended.

    Raises:
        RunBusyError: it has not, by the deadline.
        RunFinishedError: it succeeded, and that is not to be repeated.
    """
    session = run.session
    if read_edits(session.store, run.path).deleted:
        raise NotFoundError("run", run.path, hint=WAS_DELETED)
    for own in session.process.heart.attempts():
        if own.path == run.path and own.store.url == session.store.url:
            with suppress(WorkspaceMovedError):  # another workspace lay here when it was begun
                own.end()
    pause = _FIRST_LOOK
    while True:
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
            return newest.number + 1
        remaining = deadline - time.monotonic()
        if remaining <= 0:
            raise busy(run.path, newest)
        threading.Event().wait(min(pause, remaining))  # nobody can tell us when a file appears on every storage
        pause = min(pause * 2, _LAST_LOOK)


def _is_given_up(run: Startable, attempt: AttemptFacts) -> bool:
    """Tell whether somebody has cancelled, here, an attempt that goes on elsewhere."""
    return bool(attempt.as_of and read_edits(run.session.store, run.path).cancel_of(attempt.number))


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
