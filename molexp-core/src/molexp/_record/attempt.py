"""An attempt as its coordinator holds it: what it records, its signs of life, its one end."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from molexp._record import keys
from molexp._record.attempts import end_document, end_key, read_attempts, settle_replacements
from molexp._record.events import EventLog
from molexp._record.fold import AttemptFacts, Contents, fold_run
from molexp._record.reading import read_edits
from molexp._values.documents import decode_object, encode, encode_line, encode_pretty
from molexp._values.ids import new_token
from molexp._values.status import RunStatus
from molexp._values.times import utc_now
from molexp.errors import (
    ContextClosedError,
    KeyExistsError,
    MolexpError,
    RunCancelledError,
    RunSupersededError,
    StoreError,
)

if TYPE_CHECKING:
    from molexp._record.process import Process
    from molexp.contracts import Store


class Handle(Protocol):
    """Something of an attempt that has to be closed before its end: a log, the metrics, the capture of streams."""

    def close(self) -> None:
        """Close; what was recorded through it is complete, and its asset record final."""


class Attempt:
    """The coordinator's side of one attempt. Belongs to the process that claimed it, and is inert in a forked one."""

    def __init__(
        self, store: Store, process: Process, path: str, number: int, claim: Mapping[str, Any], log: EventLog
    ) -> None:
        self.store = store
        self.process = process
        self.path = path
        self.number = number
        self.folder: str = keys.folder(path)
        self.payloads: str = keys.payloads(self.folder, number)
        self.definition: dict[str, Any] = claim["definition"]
        self.contents: Contents = Contents(provenance=claim["provenance"])
        self.lock: threading.RLock = threading.RLock()
        self._ending = threading.RLock()  # one thread at a time ends it, and holds `lock` only in between
        self.interval: float = claim["lease"]["beat"]
        self.status: RunStatus = RunStatus.RUNNING
        self.on_cancel: Callable[[], None] | None = None
        self._claim = claim
        self._pid = process.pid
        self._log = log
        self._handles: list[Handle] = []
        self._payload_keys: list[str] = []
        self._beats = 0
        self._stop: MolexpError | None = None
        self._unended: tuple[RunStatus, str, Mapping[str, Any] | None] | None = None  # an end that could not be written
        self.closed = False
        self._halted = False  # closed, or asked to stop: nothing is recorded any more
        process.heart.add(self)

    # ------------------------------------------------------------------------------------------------------ recording

    @property
    def inert(self) -> bool:
        """Whether this is a forked child of the process that owns the attempt."""
        return os.getpid() != self._pid

    def check(self) -> None:
        """Raise unless something can be recorded now.

        Raises:
            ContextClosedError: the attempt has ended, or belongs to another process.
            RunSupersededError: somebody else ended it.
            RunCancelledError: it was asked to stop.
        """
        if not self._halted and os.getpid() == self._pid:
            return
        if os.getpid() != self._pid:
            raise ContextClosedError(
                self.path, why=f"its context belongs to process {self._pid}, which forked this one"
            )
        if self._stop is not None:
            raise self._stop
        raise ContextClosedError(self.path, why=f"attempt {self.number} has ended as {self.status}")

    def record(self, event: dict[str, Any]) -> None:
        """Record an event; when this returns it survives ``kill -9`` (or waits for `flush`, without append)."""
        with self.lock:
            self.check()
            self._log.write(event)  # first: what cannot be written is not part of the attempt either
            self.contents.add(event)

    def wrote(self, key: str) -> None:
        """Remember a payload's key, to sync it before the end."""
        self._payload_keys.append(key)

    def manage(self, handle: Handle) -> None:
        """Close `handle` before the end."""
        self._handles.append(handle)

    def flush(self) -> None:
        """What was recorded reaches the store."""
        self.check()
        with self.lock:
            self._log.flush()

    @property
    def cancelled(self) -> bool:
        """Whether it was asked to stop."""
        return isinstance(self._stop, RunCancelledError)

    @property
    def stopped_by(self) -> MolexpError | None:
        """Why nothing is recorded any more: it was asked to stop, or somebody else ended it."""
        return self._stop

    # --------------------------------------------------------------------------------------------------- signs of life

    def beat(self) -> None:
        """Give a sign of life, and see whether the attempt was ended or asked to stop. Called by the heart's thread."""
        if self.closed or os.getpid() != self._pid:
            return
        try:
            self.retry_end()
            with self.lock:  # the end removes the lease: no beat may put it back afterwards
                if self.closed:
                    return
                self._beats += 1
                sign = {"beat": self._beats, "at": utc_now(), "token": self._claim["token"]}
                self.store.write(keys.lease(self.path, self.number), encode(sign))
            self._look_around()
        except MolexpError:
            pass  # a full disk or a broken network must not end the run; the next beat tries again

    def _look_around(self) -> None:
        if self._has_foreign_end():
            self.process.heart.remove(self)
            self.store.delete(keys.lease(self.path, self.number))
            return
        request = read_edits(self.store, self.path).cancel_of(self.number)
        if request is not None:
            first = self._halt(RunCancelledError(self.path, reason=str(request.get("reason") or "")))
            if first and self.on_cancel is not None:
                self.on_cancel()

    def _has_foreign_end(self) -> bool:
        """Whether somebody else ended the attempt; if so, nothing is recorded any more."""
        key = end_key(self.folder, self.number)
        if self.closed or not self.store.exists(key) or self.closed:  # the second look: while we asked
            return False
        self._halt(self._superseded(key))
        return True

    def check_end(self) -> None:
        """Before what was recorded is replaced: raise if the attempt has an end, which says that it is as it was.

        Raises:
            RunSupersededError: somebody else ended it.
        """
        if self._has_foreign_end():
            self.check()

    def _halt(self, why: MolexpError) -> bool:
        """Record nothing from now on; returns whether this is the first reason."""
        first = self._stop is None
        if first:
            self._stop, self._halted = why, True
        return first

    def _superseded(self, key: str) -> RunSupersededError:
        end = decode_object(self.store.read(key), key)
        by = end.get("ended_by") or {}
        who = f"process {by.get('pid')} on {by.get('host')}" if by else "itself"
        return RunSupersededError(self.path, attempt=self.number, status=str(end.get("status")), by=who)

    def learn_provenance(self) -> None:
        """Record the process's provenance, which has become known. Called by the thread that captured it."""
        try:
            with self.lock:
                if self.contents.provenance is None and not self.closed:
                    known = self.process.provenance.publish(self.store, wait=False)
                    self.record({"type": "provenance", "at": utc_now(), "provenance": known})
        except MolexpError:
            pass  # the end tries again, and raises

    # ----------------------------------------------------------------------------------------------------------- end

    def abandon(self, reason: str) -> None:
        """End as interrupted: the process is going away."""
        self.finish(RunStatus.INTERRUPTED, reason=reason)

    def finish(self, status: RunStatus, *, reason: str = "", error: Mapping[str, Any] | None = None) -> None:
        """End the attempt: close everything, create its end, update ``run.json``. Does nothing in a forked child.

        Raises:
            RunSupersededError: somebody else ended it before. What this process recorded is kept, as late.
        """
        if self.inert:
            return
        status, reason, error = self._unended or (status, reason, error)  # how it first ended is how it ends
        with self._ending:
            self._end_once(status, reason, error)

    def _end_once(self, status: RunStatus, reason: str, error: Mapping[str, Any] | None) -> None:
        try:
            ended = self._finish(status, reason, error)
        except RunSupersededError:
            raise
        except BaseException:  # a full disk, a lost network, Ctrl-C: the next beat, or whoever asks, tries again
            self._unended = (status, reason, error)
            self.closed = False
            self.process.heart.add(self)
            raise
        self._unended = None
        if ended is not None:
            self._publish(*ended)

    def retry_end(self) -> None:
        """End it, if its end could not be written before.

        Raises:
            StoreError: it still cannot.
            RunSupersededError: somebody else ended it meanwhile.
        """
        if self._unended is not None:
            self.finish(self._unended[0])

    def _finish(
        self, status: RunStatus, reason: str, error: Mapping[str, Any] | None
    ) -> tuple[dict[str, Any], str, list[str]] | None:
        """Create the end; returns it with its key and the payloads' keys, or None if it stands already."""
        with self.lock:
            if self.closed:
                return None
            self._halted = True  # from now on nothing is recorded: what is closed below stays closed
            self.process.heart.remove(self)
        while self._handles:  # without the lock: another thread may be writing, and need it
            self._handles[-1].close()
            self._handles.pop()
        with self.lock:
            if self.contents.provenance is None:
                self.contents.provenance = self.process.provenance.publish(self.store, wait=True)
            if self.contents.replacing:
                settle_replacements(self.store, self.contents)
            folded = self._log.close()
            self.closed = True
            self.status = status
        payloads = [*dict.fromkeys(self._payload_keys)]
        if self.store.durability == "end":  # bytes before the end that names them; of events it repeats what counts
            self.store.sync(payloads, names=False)
        end = end_document(
            attempt=self.number,
            token=new_token(),
            status=status,
            head=self._claim,
            contents=self.contents,
            folded=folded,
            reason=reason,
            error=error,
        )
        key = end_key(self.folder, self.number)
        try:
            self.store.create(key, encode_line(end))
        except KeyExistsError:
            if self._beats:
                self.store.delete(keys.lease(self.path, self.number))
            raise self._superseded(key) from None
        return end, key, payloads

    def _publish(self, end: dict[str, Any], key: str, payloads: list[str]) -> None:
        """What the end makes derivable, ``run.json`` for people; what was promised of its durability; the lease has served.

        Raises:
            StoreError: the attempt has ended, but a power loss may undo that.
        """
        document = keys.document(self.path)
        try:  # the end is what counts; this is derived from it, and `fsck` mends it
            older = read_attempts(self.store, self.folder)[: self.number - 1] if self.number > 1 else []
            this = AttemptFacts(self.number, end, self.contents, self.status, True)
            state = fold_run(self.definition, [*older, this], read_edits(self.store, self.path), {})
            self.store.write(document, encode_pretty(state.to_document()))
            if self._beats:
                self.store.delete(keys.lease(self.path, self.number))
        except StoreError:
            pass
        if self.store.durability == "end":
            self.store.sync([key, document], names=False)
            self.store.sync([*payloads, key, document], content=False)
