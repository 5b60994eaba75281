"""An attempt that ended before anybody recorded it: claimed and ended like any other, with the dates and the status of then."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from molexp._record.attempts import read_attempts, read_claim
from molexp._record.causes import Ending
from molexp._record.events import claim_events
from molexp._record.folding import AttemptFacts
from molexp._recording.attempt import Attempt
from molexp._running.start import busy
from molexp._storage import layout, schemas
from molexp._storage.layout import end_key
from molexp._values.documents import check_schema, encode_line, encoded
from molexp._values.times import utc_now
from molexp.errors import ConflictError, KeyExistsError

if TYPE_CHECKING:
    from molexp._running.start import Startable

UNFINISHED = "what was known of it was not recorded to the end"


class PastAttempt(Attempt):
    """The attempt that a process records of a run that it has not executed.

    While it is being recorded, its claim says so, with this process as the owner: if that is killed, the attempt is
    ``interrupted``, and the next call records another one. Its end has the dates of then, and no owner.
    """

    recorded: Mapping[str, Any] = {}
    """Entries that take the place of this process's own in the end; empty until everything else is recorded."""

    def learn_provenance(self) -> None:
        """Do nothing: this process has not executed it."""

    def _own_provenance(self) -> str | None:
        return None

    def _seal(self, how: Ending) -> dict[str, Any]:
        document = super()._seal(how)
        document |= self.recorded
        return document


def begin_past(run: Startable, origin: Mapping[str, Any]) -> PastAttempt | None:
    """Claim an attempt to record what is known of a run; None if that is on record.

    Raises:
        RunBusyError: it is being executed, or recorded by somebody else.
        ConflictError: it was executed, or recorded from another place.
    """
    session, definition, folder = run._session, run._defined(), layout.folder(run.path)
    check_schema(definition, layout.document(run.path), schemas.DEFINITION)
    parts = {"definition": encoded(definition)}
    while True:
        number = _next(run, origin)
        if number is None:
            return None
        session.journal.announce(end_key(folder, number))
        claim = {
            **session.process.claim(number),
            "lease": session.lease,
            "fresh": True,
            "provenance": None,
            "imported_from": dict(origin),
            "definition": definition,
        }
        try:
            log = claim_events(session.store, run.path, claim, encode_line({**claim, **parts}))
        except KeyExistsError:
            continue  # somebody else was first
        return PastAttempt(session, run.path, claim, log, parts)


def _next(run: Startable, origin: Mapping[str, Any]) -> int | None:
    """Return the number of the attempt to claim; None if what is known of the run is on record."""
    session = run._session
    attempts = read_attempts(session.store, layout.folder(run.path))
    if not attempts:
        return 1
    newest = session.observer.settle(run.path, attempts[-1], insist=True)
    if not newest.ended:
        raise busy(run.path, newest)
    for facts in (one for one in (*attempts[:-1], newest) if not one.void):
        if not (said := _origin_of(run, facts)):
            raise _conflict(run, "an attempt that was executed", origin)
        if said.get("folder") != origin.get("folder"):
            raise _conflict(run, f"recorded from {said.get('folder')}", origin)
        if said.get("at"):
            return None
    return newest.number + 1


def _origin_of(run: Startable, facts: AttemptFacts) -> Mapping[str, Any]:
    """Return where an attempt was recorded from; empty if it was executed. An older version ends one without saying so."""
    said = facts.head.get("imported_from")
    said = said or read_claim(run._session.store, layout.folder(run.path), facts.number).get("imported_from")
    return said if isinstance(said, dict) else {}


def _conflict(run: Startable, stored: str, origin: Mapping[str, Any]) -> ConflictError:
    given = f"a record from {origin['folder']}" if origin.get("folder") else "a record of the past"
    hint = "Give it another id, another replica, or a parameter in which the two differ."
    return ConflictError("run", run.path, stored=stored, given=given, hint=hint)


def whole_end(origin: Mapping[str, Any], started_at: str | None, ended_at: str | None) -> dict[str, Any]:
    """Return what the end of a recorded attempt says in place of this process: the dates of then, and the origin."""
    known = {"started_at": started_at, "ended_at": ended_at, "owner": None}
    return {**known, "imported_from": {**origin, "at": utc_now()}}
