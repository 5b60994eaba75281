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
from molexp._past.attempts import UNFINISHED, begin_past, whole_end
from molexp._profiles import use_profiles
from molexp._provenance.secrets import arguments_without_secrets
from molexp._record.causes import Ending
from molexp._record.metric_summaries import OWN
from molexp._running.context import Context
from molexp._storage.hashing import hash_of, hashed
from molexp._values.file_names import name_for
from molexp._values.ids import check_run_id, labels
from molexp._values.numbers import is_count
from molexp._values.plain import plain, plain_parameters
from molexp._values.status import RunStatus
from molexp._values.text_files import refuse_special
from molexp._values.times import parse_time
from molexp.errors import HashMismatchError, MolexpError

if TYPE_CHECKING:
    from molexp._assets.naming import AttemptAssets
    from molexp._hierarchy.experiment import Experiment

_Time = datetime | str | float | None


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
        for point in points:
            context.metrics._keep(point)
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
    status = RunStatus(past.status)
    if not status.finished:
        raise ValueError(f"A run of the past has ended; it is not {past.status!r}.")
    started_at, ended_at = _text(past.started_at, "started_at"), _text(past.ended_at, "ended_at")
    if started_at and ended_at and ended_at < started_at:
        raise ValueError(f"It ended at {ended_at}, before it started at {started_at}.")
    for name, value in past.results.items():
        Context().set_result(name, value)
    for place in past.files.values():
        refuse_special(place)
        if not stat.S_ISREG(os.stat(place).st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(place))
    return status, started_at, ended_at, [_point(point, number) for number, point in enumerate(past.metrics)]


def _origin(experiment: Experiment, place: str | os.PathLike[str] | None) -> dict[str, Any]:
    """Return where the run comes from, and who records it."""
    owner = experiment._session.process.owner
    found: dict[str, Any] = {}
    if place is not None:  # the name may be in no encoding
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
    try:
        if given is None:
            return None
        if isinstance(given, str):
            given = parse_time(given)
        elif not isinstance(given, datetime):
            given = datetime.fromtimestamp(given, UTC)
        moment = given.replace(tzinfo=UTC) if given.tzinfo is None else given.astimezone(UTC)
    except (ValueError, TypeError, OverflowError, OSError):
        raise ValueError(
            f"{name} is {given!r:.80}, and no time: give an aware datetime, ISO 8601, or seconds since 1970."
        ) from None
    return f"{moment.replace(tzinfo=None).isoformat(timespec='microseconds')}Z"


def _point(given: Mapping[str, Any], number: int) -> dict[str, Any]:
    """Return a point of metrics as its file has it; its step is its number, if it has none."""
    step = given.get("step", number)
    if not is_count(step):
        raise ValueError(f"The step of point {number} of the metrics is {step!r:.80}; steps count from 0.")
    time = given.get("time")
    own = {"step": step} if time is None else {"step": step, "time": float(time)}
    named = {name: value for name, value in given.items() if name not in OWN}
    found: dict[str, Any] = plain({**own, **named}, where="metrics", nan=True)
    return found


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
