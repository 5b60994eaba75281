"""Recording runs of the past: what is known of them becomes an attempt that ended then."""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from molexp._assets.builtin_kinds import ArtifactKind, format_of
from molexp._hierarchy.run import Run
from molexp._hierarchy.run_context import RunContext
from molexp._hierarchy.run_creation import Deriving, Made, get_or_create
from molexp._profiles import use_profiles
from molexp._provenance.secrets import arguments_without_secrets, without_secrets
from molexp._record.attempts import busy, read_attempts, read_claim
from molexp._record.causes import Ending
from molexp._record.folding import AttemptFacts
from molexp._record.metrics import OWN, check_names
from molexp._recording.attempt import Attempt
from molexp._recording.writer import claim_events
from molexp._running.context import Context
from molexp._storage import layout, schemas
from molexp._storage.hashing import hash_of, hashed
from molexp._storage.layout import end_key
from molexp._values.documents import check_schema, encode_line, encoded
from molexp._values.file_names import name_for
from molexp._values.ids import check_run_id, labels
from molexp._values.numbers import whole
from molexp._values.plain import plain, plain_parameters
from molexp._values.status import RunStatus
from molexp._values.text_files import refuse_special
from molexp._values.times import parse_time, utc_now
from molexp.errors import ConflictError, HashMismatchError, KeyExistsError, MolexpError

if TYPE_CHECKING:
    from molexp._assets.naming import AttemptAssets
    from molexp._hierarchy.experiment import Experiment

_Time = datetime | str | float | None

UNFINISHED = "what was known of it was not recorded to the end"


class Past(Struct, frozen=True):
    """All that is known of a run; see `Experiment.record_past_run`."""

    status: str
    reason: str
    started_at: _Time
    ended_at: _Time
    results: Mapping[str, Any]
    files: Mapping[str, str | os.PathLike[str]]
    metrics: Iterable[Mapping[str, Any]]
    link: bool
    origin: str | os.PathLike[str] | None
    tags: Iterable[str]


def record_past_run(
    experiment: Experiment, parameters: Mapping[str, Any] | None, past: Past, *, id: str | None, replica: int
) -> Run:
    """See `Experiment.record_past_run`."""
    status, started_at, ended_at, points = _checked(past)
    tags = labels([past.tags] if isinstance(past.tags, str) else past.tags)
    origin = _origin(experiment, past.origin)
    with use_profiles(None):  # of its configuration nothing is known
        made = _make(experiment, parameters or {}, id, replica, started_at or ended_at)
    run = experiment._run_of(made)
    attempt = begin_past(run, origin)
    if attempt is None:
        return run
    context = RunContext(run, attempt)
    try:
        if tags:
            run.annotate(tags=tags)
        for name, value in past.results.items():
            context.set_result(name, value)
        _save_files(context._assets, past.files, link=past.link)
        if (growing := context.metrics._growing) is not None:
            for point in points:  # they are plain
                growing.log(point)
    except BaseException as error:
        try:
            attempt.end(Ending(RunStatus.INTERRUPTED, UNFINISHED))
        except MolexpError as worse:
            error.add_note(f"And the run could not be ended: {worse}")
        raise
    attempt.recorded = whole_end(origin, started_at, ended_at)
    attempt.end(Ending(status, past.reason))
    return run


def _make(
    experiment: Experiment, parameters: Mapping[str, Any], id: str | None, replica: int, created_at: str | None
) -> Made:
    deriving = Deriving(experiment)
    deriving._said["created_at"] = created_at
    if id is None:
        return deriving.run(parameters, replica)
    check_run_id(id)
    known = {"own_parameters": plain_parameters(parameters, "parameters"), "replica": replica, "config": {}}
    return get_or_create(experiment, id, {**deriving._said, **known, "id_scheme": None}, known)


def _checked(past: Past) -> tuple[RunStatus, str | None, str | None, list[dict[str, Any]]]:
    """Return its status, when it began and ended, and the points of its metrics; raise before anything is made."""
    ended = [str(status) for status in RunStatus if status.finished]
    if past.status not in ended:
        raise ValueError(f"A run of the past has ended: it is {' or '.join(ended)}, not {past.status!r:.80}.")
    status = RunStatus(past.status)
    if not isinstance(past.results, Mapping):
        raise TypeError(f"Results are a mapping of names to values, not {type(past.results).__name__}.")
    started_at, ended_at = _text(past.started_at, "started_at"), _text(past.ended_at, "ended_at")
    if started_at and ended_at and ended_at < started_at:
        raise ValueError(f"It ended at {ended_at}, before it started at {started_at}.")
    for name, value in past.results.items():
        Context().set_result(name, value)
    if not isinstance(past.files, Mapping):
        raise TypeError(f"Files are a mapping of names to paths, not {type(past.files).__name__}.")
    for place in past.files.values():
        refuse_special(place)
        if not stat.S_ISREG(os.stat(place).st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(place))
    return status, started_at, ended_at, [_point(point, number) for number, point in enumerate(past.metrics)]


def _origin(experiment: Experiment, place: str | os.PathLike[str] | None) -> dict[str, Any]:
    """Return where the run comes from, and who records it."""
    owner = experiment._session.process.owner
    found: dict[str, Any] = {}
    if isinstance(place, str) and "://" in place:
        found["folder"] = without_secrets(place)
    elif place is not None:  # the name may be in no encoding
        found["folder"] = os.fsencode(os.path.abspath(place)).decode("utf-8", "backslashreplace")
    return {
        **found,
        "host": owner.host,
        "pid": owner.pid,
        "user": owner.user,
        "command": arguments_without_secrets(sys.argv),
    }


def _text(given: _Time, name: str) -> str | None:
    """Return a time as the record has it.

    Raises:
        ValueError: it is none.
    """
    if given is None:
        return None
    return f"{_moment(given, name).replace(tzinfo=None).isoformat(timespec='microseconds')}Z"


def _moment(given: Any, name: str) -> datetime:
    """Return a time in UTC.

    Raises:
        ValueError: it is none.
    """
    try:
        if isinstance(given, str):
            given = parse_time(given)
        elif not isinstance(given, datetime):
            given = datetime.fromtimestamp(given, UTC)
        moment: datetime = given.replace(tzinfo=UTC) if given.tzinfo is None else given.astimezone(UTC)
        if moment != moment:  # pandas' NaT is a datetime that equals nothing  # noqa: PLR0124
            raise ValueError
        return moment
    except (ValueError, TypeError, OverflowError, OSError):
        raise ValueError(
            f"{name} is {given!r:.80}, and no time: give an aware datetime, ISO 8601, or seconds since 1970."
        ) from None


def _point(given: Mapping[str, Any], number: int) -> dict[str, Any]:
    """Return a point of metrics as its file has it; its step is its number, if it has none."""
    if not isinstance(given, Mapping):
        raise TypeError(
            f"Metrics are points, each a mapping such as {{'step': 0, 'loss': 0.5}}, not {type(given).__name__}. "
            "Of a frame they are frame.to_dict('records')."
        )
    own: dict[str, Any] = {"step": _step(given.get("step", number), number)}
    if (time := given.get("time")) is not None:
        moment = _moment(time, f"The time of point {number} of the metrics")
        own["time"] = moment.timestamp() if isinstance(time, str | datetime) else float(time)
    named = {name: value for name, value in given.items() if name not in OWN}
    check_names(named)
    found: dict[str, Any] = plain({**own, **named}, where="metrics", nan=True)
    return found


def _step(given: Any, number: int) -> int:
    """Return a step; tables that have other columns with gaps have whole numbers as floats."""
    step = int(given) if isinstance(given, float) and given.is_integer() else whole(given)
    if step is None:
        raise ValueError(f"The step of point {number} of the metrics is {given!r:.80}, and no whole number.")
    return step


def _save_files(assets: AttemptAssets, files: Mapping[str, str | os.PathLike[str]], *, link: bool) -> None:
    """Save files as artifacts, by copies that are compared with the files, or by links."""
    from molexp._assets.accessors import save_in

    kind = assets.library.kind(ArtifactKind.name)
    store, taken = assets.writer.store, set[str]()
    for given, place in files.items():
        path = Path(place)
        slot = assets.reserve(kind, name_for(given, taken), None)
        before = path.stat()
        if link:
            try:
                store.link_from(path, slot.key)
            except BaseException:
                assets.release(slot)
                raise
            with path.open("rb") as file:
                size, content_hash = hashed(file)
            fields = {"format": format_of(path.name), "from_file": True, "external": True}
            assets.publish(slot, size=size, content_hash=content_hash, fields=fields)
            continue
        asset = save_in(assets, slot, path, (), {})
        after = path.stat()
        if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns) or asset.size != after.st_size:
            hint = "It changed while it was copied: wait until nobody writes to it."
            raise HashMismatchError(given, key=slot.key, recorded=str(asset.content_hash), found="other", hint=hint)
        if assets.writer.outbox is None and (found := hash_of(store, slot.key)) != asset.content_hash:
            raise HashMismatchError(given, key=slot.key, recorded=str(asset.content_hash), found=found)


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


def begin_past(run: Run, origin: Mapping[str, Any]) -> PastAttempt | None:
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


def _next(run: Run, origin: Mapping[str, Any]) -> int | None:
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


def _origin_of(run: Run, facts: AttemptFacts) -> Mapping[str, Any]:
    """Return where an attempt was recorded from; empty if it was executed. An older version ends one without saying so."""
    said = facts.head.get("imported_from")
    said = said or read_claim(run._session.store, layout.folder(run.path), facts.number).get("imported_from")
    return said if isinstance(said, dict) else {}


def _conflict(run: Run, stored: str, origin: Mapping[str, Any]) -> ConflictError:
    given = f"a record from {origin['folder']}" if origin.get("folder") else "a record of the past"
    hint = "Give it another id, another replica, or a parameter in which the two differ."
    return ConflictError("run", run.path, stored=stored, given=given, hint=hint)


def whole_end(origin: Mapping[str, Any], started_at: str | None, ended_at: str | None) -> dict[str, Any]:
    """Return what the end of a recorded attempt says in place of this process: the dates of then, and the origin."""
    known = {"started_at": started_at, "ended_at": ended_at, "owner": None}
    return {**known, "imported_from": {**origin, "at": utc_now()}}
