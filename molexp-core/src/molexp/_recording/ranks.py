"""The ranks of one launch share an attempt: rank 0 claims it and ends it, the others join it as writers."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from msgspec.structs import asdict

from molexp._record.attempts import attempt_numbers, read_attempt, read_claim, read_end, superseded
from molexp._record.causes import Ending
from molexp._record.definitions import WAS_DELETED, member_ids
from molexp._record.folding import AttemptFacts, Contents
from molexp._record.launches import Rank, rank_wait
from molexp._record.leases import Observer
from molexp._record.owners import Owner, known_dead
from molexp._record.reading import read_definition, read_edits
from molexp._recording.attempt import looks
from molexp._recording.contributors import Contribution, Everybody
from molexp._storage import layout, schemas
from molexp._storage.layout import claim_key, end_key
from molexp._values.documents import check_schema
from molexp._values.status import RunStatus
from molexp._values.times import utc_now
from molexp.errors import (
    ContextClosedError,
    CorruptRecordError,
    MolexpError,
    NotFoundError,
    RunCancelledError,
    RunError,
    RunFinishedError,
    StoreError,
)

if TYPE_CHECKING:
    from molexp._recording.attempt import Attempt
    from molexp._recording.session import RecordingSession
    from molexp.contracts import Store

COMING = 10.0
"""Seconds after its start up to which rank 0, at its end, waits for ranks that have not joined: most never will."""


class _Watched:
    """Note the time at which the lease of the one attempt that this process watches was first seen as it is."""

    def __init__(self) -> None:
        self._seen: tuple[str, float] = "", 0.0

    def unchanged_for(self, attempt: str, version: str, now: float, boot: str) -> float:
        """Return the seconds since the lease was first seen at `version`."""
        if self._seen[0] != version:
            self._seen = version, now
        return now - self._seen[1]


class Joined(Contribution):
    """The contribution of a rank other than 0 to the attempt of rank 0. It learns when there is no more to do."""

    def __init__(self, session: RecordingSession, rank: Rank, path: str, number: int, claim: Mapping[str, Any]) -> None:
        process = session.process
        super().__init__(session.store, process, path, number, of_rank=rank.index)
        self.suffix: str = rank.suffix
        self.known = Ours(self).records
        self.rank: Rank = rank
        self.definition: dict[str, Any] = claim["definition"]
        self.interval: float = claim["lease"]["beat"]
        self._claim = dict(claim)
        watched = _Watched()
        self._observer = Observer(session.store, process.owner, lambda: watched, may_write=True)
        self._ended: dict[str, Any] | None = None  # the attempt's end
        self._cancel_seen = False
        self._log.flush()  # rank 0 is to see us
        process.heart.add(self)

    def record(self, event: dict[str, Any], *, soon: bool = False) -> None:
        """Record an event, as of this rank."""
        super().record({**event, "rank": self.rank.index}, soon=soon)

    def completed(self, record: Mapping[str, Any]) -> None:
        """Record the final record of a payload that grew, unless the attempt has ended."""
        if self._ended is None:
            super().completed(record)

    def gather(self) -> None:
        """Do nothing: only rank 0 waits for other ranks."""

    # ----------------------------------------------------------------------------------- what the process's heart does

    def beat(self) -> None:
        """See whether the attempt has ended, or its owner has died. Its signs of life are rank 0's to give."""
        if self.closed:
            return
        with suppress(Exception):  # a lost network, a malformed edit: the next beat tries again
            self._look_around()

    def _look_around(self) -> None:
        if not self._look_for_end():
            if self._observer.judge(
                self.path, AttemptFacts(self.number, self._claim, Contents(), RunStatus.RUNNING, False)
            ).dead:
                self._observer.settle(self.path, read_attempt(self.store, self.folder, self.number))
                self._look_for_end()
                return
            cancel = read_edits(self.store, self.path).cancel_of(self.number)
            if self._cancel_seen:  # it is rank 0's to end the attempt: if we were first, its launcher might kill it
                self._stop_if_cancelled(cancel)
            self._cancel_seen = cancel is not None

    def _look_for_end(self) -> bool:
        if self._ended is None and (end := read_end(self.store, self.folder, self.number)) is not None:
            self._ended = end
            self.process.heart.remove(self)
            succeeded = end.get("status") == RunStatus.SUCCEEDED  # it may go on, but not record
            self._stop(self._why(end), interrupt=not succeeded)
        return self._ended is not None

    def _why(self, end: Mapping[str, Any]) -> MolexpError:
        status, reason = str(end.get("status")), str(end.get("reason") or "")
        if end.get("ended_by"):
            return superseded(self.path, self.number, end)
        if status == RunStatus.CANCELLED:
            return RunCancelledError(self.path, reason=reason)
        because = f": {reason}" if reason else ""
        return ContextClosedError(self.path, why=f"rank 0 ended attempt {self.number} as {status}{because}")

    def learn_provenance(self) -> None:
        """Do nothing: rank 0 records the provenance."""

    # ------------------------------------------------------------------------------------------------------------- end

    def end(self, how: Ending | None = None) -> None:
        """Leave the attempt, which goes on. Without `how` there is nothing to do: the end is rank 0's to try again.

        Raises:
            ContextClosedError: rank 0 ended it before, without what this rank recorded last.
        """
        if how is None or self.closed or not self._begin_to_end():
            return
        self.process.heart.remove(self)
        if self._ended is None:
            self._ended = read_end(self.store, self.folder, self.number)
        self._close_handles()
        with self.lock:
            if self._ended is None:
                said = {"type": "rank", "rank": self.rank.index, "at": utc_now()}
                self._log.write({**said, **asdict(how), "status": str(how.status)})
            self._log.close(late=True)
            written = self._log.seal()
            self._state, self.status = "ended", how.status
        self.process.signals.rest()
        if self._ended is not None and self.stopped_by is None and not self._folded(self._ended, written):
            why = f"rank 0 ended attempt {self.number} as {self._ended.get('status')} before rank {self.rank.index} was done"
            raise ContextClosedError(self.path, why=f"{why}: what that recorded last is kept, as late")

    def _folded(self, end: Mapping[str, Any], written: Mapping[str, int]) -> bool:
        folded = end.get("folded") or {}
        counts = {name.rpartition("/")[2]: count for name, count in folded.items()}
        return all(counts.get(name.rpartition("/")[2], 0) >= count for name, count in written.items())


class Ours(Everybody):
    """As everybody's, but a name that this rank used means what it saved, wherever it had to put it."""

    def records(self) -> Iterable[Mapping[str, Any]]:
        """Return the records as they are now."""
        writer = self._writer
        with writer.lock:
            own = dict(writer.contents.assets)
        again = [{**record, "name": _plain_name(record, writer.suffix)} for record in own.values()]
        names = {(record["kind"], record["name"]) for record in again}
        others = (record for record in super().records() if str(record.get("key")) not in own)
        others = (record for record in others if (record.get("kind"), record.get("name")) not in names)
        return [*again, *own.values(), *others]


def _plain_name(record: Mapping[str, Any], suffix: str) -> str:
    return str(record["name"]).removeprefix(f"{suffix}/").removesuffix(f".{suffix}")


def join(session: RecordingSession, path: str, rank: Rank, wait: float, if_succeeded: str) -> Joined:
    """Join the attempt of a run that rank 0 of this launch starts, as soon as it is there.

    Raises:
        RunError: it is not, by the time that ranks wait for each other; or it has ended already.
        RunFinishedError: the run succeeded before, and that is not to be repeated.
        NotFoundError: it was deleted.
    """
    session.ready()
    process = session.process
    ordinal = process.count("start", session.store.url, path)
    deadline = time.monotonic() + rank_wait() + wait
    process.prepare()
    folder = layout.folder(path)
    seen: dict[int, dict[str, Any]] = {}
    for _ in looks(deadline):
        if read_edits(session.store, path).deleted:
            raise NotFoundError("run", path, hint=WAS_DELETED)
        numbers = attempt_numbers(session.store.children(layout.executions(folder)))
        for number in reversed(numbers):
            if not (claim := seen.get(number) or read_claim(session.store, folder, number)):
                continue
            seen[number] = claim
            likeness = rank.recognises(claim.get("launch"), ordinal)
            if not likeness:
                continue
            if _goes_on(session, path, number, claim):
                check_schema(claim, claim_key(folder, number), schemas.ATTEMPT)
                return Joined(session, rank, path, number, claim)
            if likeness == "certain":
                _refuse_ended(session.store, rank, path, number)
        if if_succeeded == "error" and numbers:
            _refuse_success(session.store, path, numbers[-1])
    raise RunError(
        f"Rank {rank.index} of {rank.size} waited {rank_wait() + wait:g} s for rank 0 of its launch ({_called(rank)}) to "
        f"start run {path!r}, and it did not. Every rank must start the same runs in the same order. MOLEXP_RANK_WAIT "
        "sets the time; with MOLEXP_RANKS=0 every process stands for itself.",
        run=path,
    )


def _refuse_success(store: Store, path: str, newest: int) -> None:
    end = read_end(store, layout.folder(path), newest) or {}
    if end.get("status") == RunStatus.SUCCEEDED:
        raise RunFinishedError(path, status=str(RunStatus.SUCCEEDED), attempt=newest)


def _refuse_ended(store: Store, rank: Rank, path: str, number: int) -> None:
    end = read_end(store, layout.folder(path), number) or {}
    reason = f" ({end['reason']})" if end.get("reason") else ""
    raise RunError(
        f"Rank 0 ended attempt {number} at run {path!r} as {end.get('status')}{reason} before rank {rank.index} had "
        "joined it. Let the ranks wait for each other before rank 0 leaves its block.",
        run=path,
    )


def _goes_on(session: RecordingSession, path: str, number: int, claim: Mapping[str, Any]) -> bool:
    folder = layout.folder(path)
    if session.store.exists(end_key(folder, number)):
        return False
    if not known_dead(Owner.from_dict(claim.get("owner")), session.process.owner):
        return True
    session.observer.settle(path, read_attempt(session.store, folder, number))
    return False


def _called(rank: Rank) -> str:
    return f"{rank.launcher} {rank.id}" if rank.id else rank.launcher


def find_made(session: RecordingSession, experiment: str, rank: Rank) -> tuple[str, dict[str, Any]]:
    """Return the id of the next run that rank 0 makes without an id; for rank 0 itself "", and what to record of the launch.

    Raises:
        RunError: there is none by the time that ranks wait for each other.
    """
    ordinal = session.process.count("run", session.store.url, experiment)
    if rank.index == 0:
        return "", {"launch": rank.launch(ordinal)}
    session.ready()
    ruled_out: set[str] = set()
    for _ in looks(time.monotonic() + rank_wait()):
        for name in sorted(set(member_ids(session.store, experiment)) - ruled_out, reverse=True):
            path = f"{experiment}/{name}"
            try:
                definition = read_definition(session.store, path, {})
            except (CorruptRecordError, NotFoundError):
                continue  # it may be in the making
            likeness = rank.recognises(definition.get("launch"), ordinal)
            if likeness == "certain" or (likeness and read_end(session.store, layout.folder(path), 1) is None):
                return name, {}
            ruled_out.add(name)
    raise RunError(
        f"Rank {rank.index} of {rank.size} waited {rank_wait():g} s for rank 0 of its launch ({_called(rank)}) to make its "
        f"run number {ordinal + 1} without an id in {experiment!r}, and it did not. Every rank must make the same "
        "runs in the same order, or give them ids. MOLEXP_RANK_WAIT sets the time; with MOLEXP_RANKS=0 every process "
        "stands for itself.",
        run=experiment,
    )


def gather(attempt: Attempt, rank: Rank) -> None:
    """Wait for the ranks that joined an attempt to leave, before rank 0 ends it as succeeded.

    For those that have not joined by then it waits up to `COMING` after its start, once in vain: many programs start
    their runs in rank 0 alone.

    Raises:
        MolexpError: it was asked to stop meanwhile, or somebody else ended it.
    """
    process = attempt.process
    dead: set[str] = set()
    for _ in looks(time.monotonic() + rank_wait()):
        attempt.check()
        with suppress(StoreError):  # whoever ends the attempt tries again
            attempt.take_in()
        ranks = attempt.contents.ranks
        still = {name: said for name, said in ranks.items() if said.get("status") == RunStatus.RUNNING}
        dead.update(n for n in still.keys() - dead if known_dead(Owner.from_dict(still[n].get("owner")), process.owner))
        if still.keys() - dead:
            continue
        if len(ranks) >= rank.size - 1 or not (ranks or process.expects_ranks):
            return
        if time.monotonic() - attempt.began >= min(COMING, rank_wait()):
            process.expects_ranks = bool(ranks)
            return
