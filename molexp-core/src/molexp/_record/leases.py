"""Tell whether the owner of an attempt without an end is alive, and end the attempt if it is not.

Two ways to know that it is dead, neither of which compares the clocks of two machines: this machine's kernel says so
(`identity.known_dead`), or its lease was seen unchanged for its time-to-live on the observer's own clock.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Protocol

from msgspec import Struct

from molexp._record.attempts import last_sign, read_attempt
from molexp._record.causes import Ending, cause_of
from molexp._record.ends import end_dead
from molexp._record.folding import AttemptFacts
from molexp._record.incomplete import MOMENT
from molexp._record.owners import Owner, known_dead
from molexp._storage import layout
from molexp._storage.layout import claim_key, end_key
from molexp._values.documents import decode_object, is_count
from molexp._values.oom_kills import oom_kills
from molexp._values.status import Cause, RunStatus
from molexp._values.times import awake_clock, boot_clock, utc_now
from molexp.contracts import Store
from molexp.errors import KeyNotFoundError, RecordError, StoreError

_LET_GO = "its process holds its local spool on this machine no more"
_NO_LEASE = "claim"
_FOREVER = 1e9  # seconds; no lease is that long


def seconds_from_environment(variable: str, default: float) -> float:
    """Return a time in seconds that an environment variable sets.

    Raises:
        ValueError: it is set to something that is no positive number.
    """
    text = os.environ.get(variable)
    if not text:
        return default
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not value > 0:
        raise ValueError(f"{variable}={text!r} is no positive number of seconds.")
    return value


class Sightings(Protocol):
    """Remembers, across processes, when leases were first seen as they are."""

    def unchanged_for(self, attempt: str, version: str, now: float, boot: str) -> float:
        """Return seconds since this machine first saw `attempt`'s lease at `version`; 0.0 when it sees it now first."""


class Verdict(Struct, frozen=True):
    """Hold what is known of an owner.

    Attributes:
        dead: the evidence of its death; "" if there is none.
        silent: seconds for which its lease has been seen unchanged.
        cause: the cause of its death, where that is known.
        status: the status that the attempt has, if the owner is dead.
    """

    dead: str
    silent: float
    cause: str | None = None
    status: RunStatus = RunStatus.INTERRUPTED


class Death(Struct, frozen=True):
    """Tell how a process died, as its parent knows: a sentence, the cause, and the process's id."""

    how: str
    cause: str
    pid: int


class Observer(Struct):
    """Judges the owners of attempts for one process in one workspace."""

    store: Store
    me: Owner
    sightings: Callable[[], Sightings]
    may_write: bool
    leases: Mapping[str, str] | None = None
    """Versions of leases by their keys, as they were listed a moment ago; None to look at each where it is needed."""
    defers: bool = False
    """True to take nobody for dead, because a scheduler is asked next, who can tell why."""
    given_up: Mapping[str, Ending] = {}
    """Ends of attempts of this process whose start was interrupted, by the tokens of their claims."""

    def known_dead(self, owner: Owner) -> str:
        """Return how it is known that a process is dead; "" if it is not."""
        return known_dead(owner, self.me)

    def unchanged_for(self, what: str, version: str, *, by: Owner | None = None) -> float:
        """Return seconds since something was first seen at this version, by whichever process of this user and host.

        While this machine is suspended, a process on it, by which it is to change, cannot change it.
        """
        is_here = by is not None and bool(by.boot) and by.boot == self.me.boot
        return self.sightings().unchanged_for(what, version, awake_clock() if is_here else boot_clock(), self.me.boot)

    def judge(self, path: str, facts: AttemptFacts) -> Verdict:
        """Judge the owner of a run's newest attempt, which has no end."""
        owner = Owner.from_dict(facts.head.get("owner"))
        if self.given_up and (how := self.given_up.get(str(facts.head.get("token")))):
            return Verdict(how.reason, 0.0, how.cause, how.status)
        if self.defers or (owner.pid == self.me.pid and owner == self.me):
            return Verdict("", 0.0)
        if evidence := self.known_dead(owner):
            return Verdict(evidence, 0.0)
        if self._has_let_go(path, facts.number):
            return Verdict(_LET_GO, 0.0)
        key = layout.lease(path, facts.number)
        lease = self._lease(key)
        silent = self.unchanged_for(key, lease, by=owner)
        ttl = self._time_to_live(facts)
        if lease == _NO_LEASE and facts.head.get("folded") == {layout.claim_name(facts.number): 0}:
            ttl = min(ttl, MOMENT)  # the claim never came to be whole: who was to write it died, or will find the end
        if silent >= ttl:
            return Verdict(f"its lease had not changed for {silent:.0f} s", silent)
        return Verdict("", silent)

    def _has_let_go(self, path: str, attempt: int) -> bool:
        if "append" in self.store.capabilities:
            return False
        from molexp._record.spool_draining import is_let_go

        return is_let_go(self.store.url, path, attempt)

    def _lease(self, key: str) -> str:
        if self.leases is not None:
            return self.leases.get(key, _NO_LEASE)
        try:
            return self.store.stat(key).version
        except KeyNotFoundError:
            return _NO_LEASE  # the claim is the first beat

    def settle(
        self, path: str, facts: AttemptFacts, *, insist: bool = False, how: Death | None = None, write: bool = True
    ) -> AttemptFacts:
        """Return what is true of a run's newest attempt: if its owner is dead it is ended, if that can be written.

        Args:
            path: the run's path.
            facts: the attempt.
            insist: raise what makes it impossible to end it.
            how: the evidence of the death of a process, which may be its owner.
            write: true if its end is to be written, where this process may.
        """
        if facts.ended or facts.as_of:  # of one that goes on elsewhere, nothing can be said here
            return facts
        verdict = self.judge(path, facts)
        if not verdict.dead:
            return facts
        if how is not None and how.pid == Owner.from_dict(facts.head.get("owner")).pid:
            verdict = Verdict(how.how, 0.0, how.cause)
        return self._bury(path, facts, verdict, insist=insist, write=write)

    def vouch(self, path: str, number: int, how: str, cause: str, by: Mapping[str, Any]) -> AttemptFacts:
        """End an attempt of which a scheduler says that its job is over, unless it has ended; returns what is true of it.

        Args:
            path: the run's path.
            number: the attempt.
            how: the evidence, for people.
            cause: the cause, as far as the scheduler tells.
            by: facts about the scheduler, for ``ended_by``.
        """
        facts = read_attempt(self.store, layout.folder(path), number)
        if facts.ended or facts.as_of:
            return facts
        return self._bury(path, facts, Verdict(how, 0.0, cause), insist=False, write=True, by=by)

    def _bury(
        self,
        path: str,
        facts: AttemptFacts,
        verdict: Verdict,
        *,
        insist: bool,
        write: bool,
        by: Mapping[str, Any] | None = None,
    ) -> AttemptFacts:
        said: dict[str, Any] = {"status": str(verdict.status)}
        if by:
            said["ended_by"] = {"host": self.me.host, "pid": self.me.pid, "user": self.me.user, **by}
        let_go = verdict.dead == _LET_GO
        write = write and self.may_write
        complete = self._drain(path, facts.number, insist=insist, let_go=let_go) if write else True
        # Read again: between the reading and its death it may have recorded more, or ended.
        facts = read_attempt(self.store, layout.folder(path), facts.number)
        if facts.ended:
            return facts
        lease = self._last_beat(path, facts.number)
        beat = str(lease.get("at") or "")
        cause = verdict.cause or self._memory(facts, lease, verdict.dead)
        if write and complete:
            try:
                ended = end_dead(
                    self.store, layout.folder(path), facts, verdict.dead, self.me, beat=beat, cause=cause, said=said
                )
                self._take_back_if_freed(path, facts.number)
            except (StoreError, RecordError):
                if insist:
                    raise
                # it may be somebody else's to write, or a newer version's; what is shown is true all the same
            else:
                self._drop_lease(path, facts.number)
                return ended
        facts.status = verdict.status
        facts.head |= {
            "reason": verdict.dead,
            "cause": cause_of({"status": facts.status, "cause": cause, "reason": verdict.dead, "ended_by": True}),
            "ended_at": last_sign(self.store, facts, beat),
            "found_at": utc_now(),
        }
        return facts

    def _take_back_if_freed(self, path: str, number: int) -> None:
        """Delete an end that was written while the run was deleted, or freed: it would bring the run back."""
        from molexp._record.reading import read_edits  # it reads with an observer

        folder = layout.folder(path)
        if read_edits(self.store, path).deleted or not self.store.exists(claim_key(folder, number)):
            self.store.delete(end_key(folder, number))
            self.store.prune(folder)

    def _last_beat(self, path: str, attempt: int) -> dict[str, Any]:
        """Return what the owner said with its last sign of life; nothing if it gave none but the claim."""
        key = layout.lease(path, attempt)
        try:
            return decode_object(self.store.read(key), key)
        except (StoreError, RecordError):
            return {}

    @staticmethod
    def _memory(facts: AttemptFacts, lease: Mapping[str, Any], dead: str) -> str | None:
        """Return the cause if the kernel, asked on this machine, has killed for want of memory since the last sign of life."""
        memory = facts.head.get("memory")
        if not dead.startswith("process ") or not isinstance(memory, dict):
            return None
        before, now = lease.get("oom_kills", memory.get("oom_kills")), oom_kills(memory.get("events"))
        return Cause.OUT_OF_MEMORY if now is not None and is_count(before) and now > before else None

    def _drain(self, path: str, attempt: int, *, insist: bool, let_go: bool) -> bool:
        """Bring what its writers left on this machine into the store; whether there is nothing left."""
        if "append" in self.store.capabilities:
            return True
        from molexp._record.spool_draining import drain

        try:
            return not drain(self.store, self.me, run=path, attempt=attempt, let_go=let_go).held
        except StoreError:
            if insist:
                raise
            return False  # the one who ends it must have it: the next who looks does

    def _drop_lease(self, path: str, attempt: int) -> None:
        with suppress(StoreError):  # it means nothing any more
            self.store.delete(layout.lease(path, attempt))

    def _time_to_live(self, facts: AttemptFacts) -> float:
        """Return seconds of silence that count as death: this process's, else the claim's, but never less than two beats.

        A claim whose own time-to-live is shorter than its beat is taken at its word.
        """
        lease = facts.head.get("lease")
        claimed, beat = _seconds(lease, "ttl"), _seconds(lease, "beat")
        ttl = seconds_from_environment("MOLEXP_LEASE_TTL", claimed or self.store.lease_ttl)
        if beat <= claimed and ttl < 2 * beat:
            return 3 * beat
        return ttl


def _seconds(lease: object, name: str) -> float:
    """Return what a claim says of its lease; 0.0 if that is missing or no positive time."""
    value = lease.get(name) if isinstance(lease, dict) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return 0.0
    return float(value) if 0 < value < _FOREVER else 0.0
