"""A writer records events of one attempt: the coordinator, which owns it, or another process that contributes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal, Protocol

from molexp._record.events import EventLog
from molexp._record.folding import Contents
from molexp._recording.process import this_process
from molexp._storage import layout
from molexp._storage.layout import end_key
from molexp._values.process_id import HERE
from molexp._values.status import RunStatus
from molexp.errors import ContextClosedError, MolexpError, RunCancelledError

if TYPE_CHECKING:
    from molexp._storage.spool.outbox import Outbox
    from molexp.contracts import Store


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
        """Close `handle` before the end; raise if nobody would."""


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

    def __init__(self, store: Store, path: str, number: int, contents: Contents, log: EventLog) -> None:
        self.store = store
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
        this_process().keeps(self)

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
