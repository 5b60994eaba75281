"""State of this process: its identity, its heartbeat, its signal handlers, its provenance.

This is the one place that keeps state for the whole process, because the operating system does too. All of it belongs
to a pid: in a forked child, `this_process` makes a new one.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
import threading
import time
import weakref
from collections.abc import Iterable
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

from molexp._record.causes import LEFT, Ending
from molexp._record.owners import Owner, this_owner
from molexp._recording.signals.handlers import Signals, Terminated
from molexp._storage import schemas
from molexp._storage.durability import Flushed, Flushing
from molexp._values.documents import encoded
from molexp._values.oom_kills import memory_events, oom_kills
from molexp._values.process_id import HERE
from molexp._values.status import Cause, RunStatus
from molexp._values.threads import start_unsignalled
from molexp._values.times import new_token, utc_now

if TYPE_CHECKING:
    from molexp._provenance.capture import Provenance
    from molexp._record.launches import Rank
    from molexp.contracts import Store

_SCHEDULER = (
    *("SLURM_JOB_ID", "SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID", "SLURM_JOB_NAME", "SLURM_RESTART_COUNT"),
    *("SLURM_PROCID", "SLURM_CLUSTER_NAME", "PBS_JOBID", "LSB_JOBID", "JOB_ID"),
)
_LAUNCHERS = ("TORCHELASTIC_RUN_ID", "OMPI_COMM_WORLD_RANK", "SLURM_STEP_ID", "PMI_RANK")
"""Variables that no process has which was started alone; which rank it is, if any, `ranks` finds out."""

AT_ONCE = frozenset(("append", "local_path"))
"""With these, what is recorded in a store, by commands too, lies where it is read from the first moment."""

_WITH_ARGUMENTS = 2  # words of a command line, at least


class Living(Protocol):
    """An attempt that this process owns."""

    interval: float
    path: str
    store: Store

    @property
    def token(self) -> str:
        """Return the token of its claim."""

    def flush(self) -> None:
        """Send what was recorded to the store."""

    def beat(self) -> None:
        """Give a sign of life."""

    def end(self, how: Ending | None = None) -> None:
        """End it; without `how`, only if its end could not be written before."""

    def learn_provenance(self) -> None:
        """Record the process's provenance, which has become known."""


class Keeping(Protocol):
    """A writer of an attempt on a store whose keys do not grow, or are no files: it keeps what is recorded until it is sent."""

    path: str
    store: Store

    def send(self) -> None:
        """Send what was recorded to the store, if anything can be recorded."""


class Heart:
    """Beats for all attempts of the process, by one thread that is started with the first.

    Each slow store has another one while attempts there are beaten for: its network may be away, for which no others wait.
    """

    def __init__(self) -> None:
        self._due: dict[Living, float] = {}
        self._lock = threading.RLock()
        self._condition = threading.Condition(self._lock)
        self._next = 0.0
        self._thread: threading.Thread | None = None
        self._beside: dict[str, threading.Thread] = {}  # by the URL of a slow store

    def add(self, attempt: Living) -> None:
        """Beat for `attempt`, first after its interval: its claim was the first beat."""
        due = time.monotonic() + attempt.interval
        with self._lock:
            self._due[attempt] = due
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="molexp-heart", daemon=True)
                self._next = due
                start_unsignalled(self._thread)
            elif due < self._next:
                self._condition.notify()

    def remove(self, attempt: Living) -> None:
        """Beat for it no more. When this returns, no beat of it is under way that began before."""
        with self._lock:
            self._due.pop(attempt, None)

    def attempts(self) -> list[Living]:
        """Return the attempts that are alive."""
        with self._condition:
            return list(self._due)

    def _run(self) -> None:
        while True:
            with self._condition:
                now = time.monotonic()
                ready = [attempt for attempt, due in self._due.items() if due <= now]
                for attempt in ready:
                    self._due[attempt] = now + attempt.interval
                if not ready:
                    self._next = min(self._due.values(), default=now + 3600.0)
                    self._condition.wait(max(0.0, self._next - now))
                    continue
            slow: dict[str, list[Living]] = {}
            for attempt in ready:
                if attempt.store.slow:
                    slow.setdefault(attempt.store.url, []).append(attempt)
            for url, attempts in slow.items():
                self._beat_beside(url, attempts)
            _beat_each(attempt for attempt in ready if not attempt.store.slow)

    def _beat_beside(self, url: str, attempts: list[Living]) -> None:
        """Beat for attempts on a slow store, unless its last beats go on; then the next ones are in time."""
        self._beside = {url: thread for url, thread in self._beside.items() if thread.is_alive()}
        if url in self._beside:
            return
        thread = threading.Thread(target=_beat_each, args=(attempts,), name="molexp-heart", daemon=True)
        try:
            start_unsignalled(thread)
        except RuntimeError:  # there are too many threads
            _beat_each(attempts)
        else:
            self._beside[url] = thread


def _beat_each(attempts: Iterable[Living]) -> None:
    for attempt in attempts:
        attempt.beat()


def describe_invocation(cwd: str) -> dict[str, Any]:
    """Return how a process was called that was in this folder when it began."""
    scheduler = {name: os.environ[name] for name in _SCHEDULER if name in os.environ}
    return {"argv": _arguments(), "cwd": cwd, "scheduler": scheduler}


def _arguments() -> list[str]:
    """Return the command line without what looks like a secret; with ``MOLEXP_ARGV=0``, only the program's name."""
    if len(sys.argv) < _WITH_ARGUMENTS or os.environ.get("MOLEXP_ARGV", "1") == "0":
        return sys.argv[:1]
    from molexp._provenance.secrets import arguments_without_secrets

    return arguments_without_secrets(sys.argv)


def _cwd() -> str:
    try:
        return os.getcwd()
    except OSError:  # it was removed
        return ""


class Process:
    """This process."""

    def __init__(self) -> None:
        self.pid: int = os.getpid()
        self.owner: Owner = this_owner()
        self.owner_document: dict[str, Any] = self.owner.to_dict()
        self.encoded_owner: Any = encoded(self.owner_document)
        self._cwd = _cwd()
        self.heart: Heart = Heart()
        self.signals: Signals = Signals(self.heart.attempts)
        self._keeping: weakref.WeakSet[Keeping] = weakref.WeakSet()
        self._lock = threading.Lock()
        self._workspaces: dict[str, str] = {}  # that were opened for writing: URL to id
        self._flushed: dict[str, Flushed] = {}  # by URL
        self.code_folder: str = ""
        """Folder of the code that this process executes, if that is not beside the main script."""
        self.edited: set[str] = set()
        """Paths of what this process has edited."""
        self.given_up: dict[str, Ending] = {}
        """Ends of attempts whose start was interrupted, by the tokens of their claims."""
        self._events = memory_events()
        self._memory: dict[str, Any] = {}
        self._counted = float("-inf")
        self._prepared = False
        self._counts: dict[tuple[str, ...], int] = {}
        self.submission: dict[str, Any] = {}
        """The job of a submission that this process is, as claims say it."""
        self.expects_ranks: bool = True
        """True while other ranks may start the same runs; rank 0 learns that they do not."""

    @cached_property
    def invocation(self) -> Any:
        """The facts that differ between processes with the same code: each attempt records them, the provenance does not.

        They are encoded already.
        """
        return encoded(describe_invocation(self._cwd))

    @cached_property
    def rank(self) -> Rank | None:
        """The rank of this process among those of one launch; None if it was started alone."""
        if not any(name in os.environ for name in _LAUNCHERS):
            return None
        from molexp._record.launches import find_rank

        return find_rank(self.owner)

    def keeps(self, writer: Keeping) -> None:
        """Remember a writer whose records, or those of commands that it starts, do not reach its store at once."""
        with self._lock:
            self._keeping.add(writer)

    def send(self, store: Store, path: str = "") -> None:
        """Send what this process has recorded to the store, where it is about to be read: of the run at `path`, or of all.

        Raises:
            StoreError: it does not, for now.
        """
        if not self._keeping:
            return
        with self._lock:
            writers = [*self._keeping]
        for writer in writers:
            if path in ("", writer.path) and writer.store.url == store.url:
                writer.send()

    def claim(self, number: int) -> dict[str, Any]:
        """Return the first entries of a claim by this process."""
        first = {"schema": schemas.ATTEMPT, "type": "claim", "attempt": number, "token": new_token()}
        return {**first, "started_at": utc_now(), "owner": self.owner_document}

    @property
    def memory(self) -> dict[str, Any]:
        """The place where the kernel counts kills for want of memory, and the count, which is a second old at most."""
        now = time.monotonic()
        if now - self._counted >= 1.0:
            self._counted = now
            if (kills := oom_kills(self._events)) is not None:
                self._memory = {"memory": {"events": self._events, "oom_kills": kills}}
        return self._memory

    @property
    def memory_now(self) -> dict[str, Any]:
        """The count of kills alone, for a sign of life."""
        kills = oom_kills(self._events)
        return {} if kills is None else {"oom_kills": kills}

    def stand_alone(self) -> None:
        """Be no rank, whatever launched this process: it takes runs that nobody else has taken, and shares none."""
        self.rank = None

    def count(self, *what: str) -> int:
        """Return how often this process was told so before."""
        with self._lock:
            self._counts[what] = self._counts.get(what, -1) + 1
            return self._counts[what]

    def prepare(self) -> None:
        """Make ready for an attempt: signals, the end of the process, provenance. Who starts one is not about to end."""
        HERE.asked_by = 0
        if not self.signals.ready:
            self.signals.prepare()
        if self._prepared:
            return
        with self._lock:
            if not self._prepared:
                atexit.register(self._leave)
                if self.rank is None or self.rank.index == 0:
                    self.provenance.capture()
                self._prepared = True

    @cached_property
    def provenance(self) -> Provenance:
        """The provenance of this process."""
        from molexp._provenance.capture import Provenance

        return Provenance(lambda: self.code_folder, self._provenance_known)

    def opened(self, url: str, workspace: str) -> None:
        """Note which workspace lies at `url`. Nothing was published in it yet if it is another one than before."""
        if self._workspaces.get(url) != workspace:
            self._workspaces[url] = workspace
            if (flushed := self._flushed.get(url)) is not None:
                flushed.forget()
            if "provenance" in vars(self):
                self.provenance.forget(url)

    def flushing(self, store: Store) -> Flushing:
        """Return what flushes in the workspace on `store`."""
        flushed = self._flushed.get(store.url)
        if flushed is None:
            flushed = self._flushed.setdefault(store.url, Flushed())
        return Flushing(store, flushed)

    def _provenance_known(self) -> None:
        for attempt in self.heart.attempts():
            attempt.learn_provenance()

    def _leave(self) -> None:
        if os.getpid() == self.pid and (left := self.heart.attempts()):
            how = self._how_it_ends()
            for attempt in left:
                with contextlib.suppress(Exception):
                    attempt.end(how)

    def _how_it_ends(self) -> Ending:
        """Return how attempts end whose blocks are never left, as those of an event loop that a signal broke off."""
        if number := HERE.asked_by:
            return Ending(RunStatus.INTERRUPTED, str(Terminated(number)), self.signals.cause_of(number))
        at_a_prompt = hasattr(sys, "ps1") or sys.flags.interactive  # such a process remembers errors of long ago
        if isinstance(getattr(sys, "last_value", None), KeyboardInterrupt) and not at_a_prompt:
            return Ending(RunStatus.CANCELLED, "KeyboardInterrupt", Cause.CANCEL)
        return Ending(RunStatus.INTERRUPTED, LEFT, Cause.OWNER_DIED)


_this: Process | None = None


def this_process() -> Process:
    """Return the process that calls."""
    global _this  # noqa: PLW0603 - see the module's docstring
    if _this is None or _this.pid != os.getpid():
        _this = Process()
    return _this


def _before_fork() -> None:
    if _this is not None:
        _this.signals.hold()


def _after_fork(*, child: bool) -> None:
    if _this is not None:
        _this.signals.let_go(child=child)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork,
        after_in_parent=lambda: _after_fork(child=False),
        after_in_child=lambda: _after_fork(child=True),
    )
