"""A writer records events of one attempt: the coordinator, which owns it, or another process that contributes.

Its events are lines that are appended to a file of its own, or segments where nothing can be appended.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal, Protocol

from molexp._record.folding import Contents
from molexp._recording.process import AT_ONCE
from molexp._storage import layout
from molexp._storage.layout import claim_key, end_key
from molexp._values.documents import encode_line
from molexp._values.process_id import HERE
from molexp._values.status import RunStatus
from molexp.contracts import Appender, Store
from molexp.errors import ContextClosedError, MolexpError, RunCancelledError

if TYPE_CHECKING:
    from molexp._recording.process import Process
    from molexp._storage.spool.outbox import Outbox


State = Literal["recording", "stopped", "ending", "ended", "inert"]
"""State of a writer.

- ``recording``: events are recorded.
- ``stopped``: nothing is recorded, because of the writer's `stopped_by`: it was asked to stop, or somebody else ended it.
- ``ending``: the end is being written, or is pending because it could not be written.
- ``ended``: there is an end. Should it turn out that it could not be written, this goes back to ``ending``.
- ``inert``: this process was forked from the one that the writer belongs to.
"""


class Handle(Protocol):
    """Something of an attempt that has to be closed before its end: a log, the metrics, the capture of streams."""

    def close(self) -> None:
        """Close; what was recorded through it is complete, and its asset record final."""


class Recorder(Protocol):
    """Records for a context: the attempt's writer for the run itself, or a `TaskRecorder` for one try of a task."""

    @property
    def writer(self) -> Writer:
        """Return the attempt's writer."""

    @property
    def task(self) -> str | None:
        """Return the task's name; None for the run itself."""

    def check(self) -> None:
        """Raise unless something can be recorded now."""

    def record(self, event: dict[str, Any]) -> None:
        """Record an event."""

    def manage(self, handle: Handle) -> None:
        """Close `handle` before the end; that of a task raises if its try has ended."""


class EventLog(Protocol):
    """A writer's events, in whichever form the store can hold."""

    outbox: Outbox | None

    def write(self, *events: dict[str, Any]) -> None:
        """Record events. One thread at a time does."""

    def flush(self) -> None:
        """Bring everything that was recorded into the store."""

    def seal(self) -> dict[str, int]:
        """Return what an end says that it folded of this writer, once it is closed. Nothing is written afterwards."""

    def check_place(self) -> None:
        """Raise `WorkspaceMovedError` if what was written is not where it was."""

    def close(self, *, late: bool = False) -> None:
        """Bring everything into the store, also what the end repeats, if that is somebody else's."""


class Writer:
    """Records the events of one writer of one attempt. Belongs to one process, and is inert in a forked one."""

    # These are the class's, because CPython is slower with an object that has more than 30 attributes of its own.
    task = None  # see `Recorder`
    status: RunStatus = RunStatus.RUNNING
    suffix: str = ""  # it tells this writer's payloads from others' of the same name
    stopped_by: MolexpError | None = None
    """Error that says why nothing is recorded any more: it was asked to stop, or somebody else ended it."""
    alone: bool = False
    on_cancel: Callable[[], None] | None = None
    known: Callable[[], Iterable[Mapping[str, Any]]]
    """Returns the asset records of the attempt, including those of other writers, as far as this one may use them."""

    def __init__(
        self, store: Store, process: Process, path: str, number: int, contents: Contents, log: EventLog
    ) -> None:
        self.store = store
        self.process = process
        self.path = path
        self.number = number
        self.folder: str = layout.folder(path)
        self.payloads: str = layout.payloads(self.folder, number)
        self.contents = contents
        self.lock: threading.RLock = threading.RLock()
        self._pid = HERE.pid
        self._log = log
        self.outbox: Outbox | None = log.outbox
        """The place where payloads wait until they are in the store; None where they are written at once."""
        self._waiting: list[dict[str, Any]] = []  # events that are written with the next
        self._handles: list[Handle] = []
        self._state: State = "recording"
        if not store.capabilities >= AT_ONCE:
            process.keeps(self)

    @property
    def writer(self) -> Writer:
        """Return itself: it is the recorder of the run."""
        return self

    @property
    def state(self) -> State:
        """The state of the writer."""
        return self._state if HERE.pid == self._pid else "inert"

    @property
    def closed(self) -> bool:
        """Tell whether this process has recorded its last: the writer has ended, or belongs to another process."""
        return self._state == "ended" or HERE.pid != self._pid

    def check(self) -> None:
        """Raise unless something can be recorded now.

        Raises:
            ContextClosedError: the attempt has ended, or belongs to another process.
            RunSupersededError: somebody else ended it.
            RunCancelledError: it was asked to stop.
        """
        if HERE.pid != self._pid:
            raise ContextClosedError(
                self.path, why=f"its context belongs to process {self._pid}, which forked this one"
            )
        if self._state == "recording":
            return
        if self.stopped_by is not None:
            raise self.stopped_by
        raise ContextClosedError(self.path, why=f"attempt {self.number} has ended as {self.status}")

    def record(self, event: dict[str, Any], *, soon: bool = False) -> None:
        """Record an event; when this returns it survives ``kill -9`` (or waits for `flush`, without append).

        One that is recorded `soon` is written with the next, or by `flush`, which the caller promises.
        """
        with self.lock:
            if self._state != "recording" or HERE.pid != self._pid:
                self.check()
            if soon:
                self._waiting.append(event)
            else:  # first: what cannot be written is not part of the attempt either
                self._log.write(*self._waiting, event)
                self._waiting.clear()
            self.contents.add(event)

    def catch_up(self) -> None:
        """Write the events that wait for the next; a forked process leaves them to the one that it is a copy of."""
        with self.lock:
            if self._waiting and HERE.pid == self._pid:
                self._log.write(*self._waiting)
                self._waiting.clear()

    def manage(self, handle: Handle) -> None:
        """Close `handle` before the end."""
        self._handles.append(handle)

    def completed(self, record: Mapping[str, Any]) -> None:
        """Note that the record of a payload that grew is final. The coordinator repeats it in the end."""

    def flush(self) -> None:
        """Send what was recorded to the store."""
        self.check()
        self.catch_up()
        self._log.flush()  # without the lock: what is recorded meanwhile need not wait for the store

    def send(self) -> None:
        """Send what was recorded, also in logs, to the store, unless this is over: somebody is about to read it.

        Raises:
            StoreError: it does not, for now.
        """
        if self.closed:
            return
        for handle in [*self._handles]:
            if (flush := getattr(handle, "flush", None)) is not None:
                flush()
        self.catch_up()
        self._log.flush()

    def refuse_ended(self) -> None:
        """Raise if the attempt has an end, which says that what was recorded is as it was.

        Raises:
            ContextClosedError: it has.
        """
        if self.store.exists(end_key(self.folder, self.number)):
            raise ContextClosedError(self.path, why=f"attempt {self.number} has ended")

    @property
    def cancelled(self) -> bool:
        """Tell whether it was asked to stop."""
        return isinstance(self.stopped_by, RunCancelledError)

    def _stop(self, why: MolexpError, *, interrupt: bool = False) -> None:
        """Record nothing from now on because of `why`, unless that is so already; interrupt the block if that is asked for."""
        with self.lock:
            if self._state != "recording":
                return
            self._state, self.stopped_by = "stopped", why
        if interrupt and self.on_cancel is not None:
            self.on_cancel()

    def _stop_if_cancelled(self, cancel: Mapping[str, Any] | None) -> None:
        if cancel is not None:
            self._stop(RunCancelledError(self.path, reason=str(cancel.get("reason") or "")), interrupt=True)

    def _begin_to_end(self) -> bool:
        """Record nothing from now on; returns whether there is still something to end."""
        with self.lock:
            if self._state == "ended":
                return False
            self._state = "ending"
            return True

    def _close_handles(self) -> None:
        """Close what is open, without the lock: another thread may be writing, and need it."""
        while self._handles:
            handle = self._handles[-1]
            handle.close()
            self._handles.remove(handle)  # another thread may have added one meanwhile


class EventFile:
    """One file of lines, kept open by its only writer. Every event that `write` returned from survives ``kill -9``."""

    outbox: Outbox | None = None

    def __init__(self, store: Store, key: str, claim: bytes) -> None:
        self._store = store
        self._key = key
        self._size = len(claim)
        self._torn = False  # part of a line may be there that could not be written
        self._counted = True
        self._appender: Appender | None = store.open_append(key, exclusive=True, first=claim)

    def write(self, *events: dict[str, Any]) -> None:
        """Record events, with one write."""
        line = b"".join(map(encode_line, events))
        assert self._appender is not None, "the attempt records nothing once it has closed this"
        if self._torn:
            line = b"\n" + line
        try:
            self._appender.write(line)
        except BaseException:  # Ctrl-C, too: the line may be there that was not counted
            self._torn, self._counted = True, False
            raise
        self._torn = False
        self._size += len(line)

    def flush(self) -> None:
        """Do nothing: every event is written as it comes."""

    def check_place(self) -> None:
        """Raise if the file does not lie under its key any more.

        Raises:
            WorkspaceMovedError: it does not; what else the attempt recorded would go astray.
        """
        # isinstance() of a protocol takes a microsecond for each name
        if (check := getattr(self._appender, "check_place", None)) is not None:
            check()

    def close(self, *, late: bool = False) -> None:
        """Close the file: nothing is left to be written."""
        if self._appender is not None:
            self._appender.close()
            self._appender = None

    def seal(self) -> dict[str, int]:
        """Close the file; returns what an end says that it folded of this writer: the file's name and length."""
        self.close()
        if not self._counted:
            self._size, self._counted = self._store.stat(self._key).size, True
        return {self._key.rpartition("/")[2]: self._size}


def claim_events(store: Store, path: str, claim: Mapping[str, Any], line: bytes) -> EventLog:
    """Claim an attempt at the run at `path` by creating its events, with the claim, which `line` spells, as the first.

    Raises:
        KeyExistsError: the attempt was claimed by somebody else.
    """
    folder, number = layout.folder(path), claim["attempt"]
    key = claim_key(folder, number)
    if "append" in store.capabilities:
        return EventFile(store, key, line)
    from molexp._storage.spool.writer import EventSegments

    store.create(key, line)
    head = {"run": path, "attempt": number, "owner": claim["owner"], "claim": claim["token"]}
    return EventSegments(store, layout.segments(folder, number), claim["token"], head)
