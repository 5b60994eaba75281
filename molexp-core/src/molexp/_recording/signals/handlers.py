"""Handlers of the signals that ask this process to end: each is raised as an exception, so that everything is flushed."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType

from molexp._values.process_id import HERE
from molexp._values.status import Cause

_WARNINGS = ("SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGXCPU", "SIGBREAK")  # schedulers send these before they kill


class Terminated(SystemExit):
    """Raised in the main thread by a signal that asks the process to end while an attempt is going on.

    It unwinds like any exit, so that everything is flushed; the exit code is 128 + the signal's number.
    """

    def __init__(self, signum: int) -> None:
        super().__init__(128 + signum)
        self.signum = signum

    def __str__(self) -> str:
        return f"received {signal.Signals(self.signum).name}"


class Signals:
    """The signals that this process handles: those that nobody else did when it first had to."""

    def __init__(self, owns_attempts: Callable[[], object]) -> None:
        """Handle nothing yet.

        Args:
            owns_attempts: tells whether the process owns an attempt that goes on.
        """
        self._owns_attempts = owns_attempts
        self._pid = HERE.pid
        self.handled: tuple[int, ...] | None = None
        """The numbers of the signals that are handled, once that has been decided."""
        self.ready = False
        """True while they are handled, as far as this thread could see to it."""
        self._minded = 0
        self._told: tuple[int, Cause] = 0, Cause.SIGNAL  # the cause of a signal, once it has been asked for
        self._masks = threading.local()

    def prepare(self) -> None:
        """Handle what nobody handles yet. Does nothing in another thread than the main one, nor for a second time."""
        if self.ready or threading.current_thread() is not threading.main_thread():
            return
        self.ready = True
        if self.handled is not None:  # they were given back
            for known in self.handled:
                if signal.getsignal(known) == signal.SIG_DFL:
                    signal.signal(known, self._terminate)
            return
        elsewhere = _handled_in_c()
        numbers = [number for name in _WARNINGS if (number := getattr(signal, name, None)) is not None]
        free = [number for number in numbers if signal.getsignal(number) == signal.SIG_DFL]
        self.handled = tuple(number for number in free if not elsewhere >> (number - 1) & 1)
        for number in self.handled:
            signal.signal(number, self._terminate)

    @contextlib.contextmanager
    def minding(self) -> Iterator[None]:
        """Raise signals inside the block although the process owns no attempt: those of other processes are at stake."""
        self.prepare()
        self._minded += 1
        try:
            yield
        finally:
            self._minded -= 1
            self.rest()

    @contextlib.contextmanager
    def resting(self) -> Iterator[None]:
        """End an attempt inside the block: `rest` comes after it."""
        try:
            yield
        finally:
            self.rest()

    def rest(self) -> None:
        """Handle nothing until `prepare`, in a worker of `multiprocessing` that owns no attempt any more.

        Pools end their workers by SIGTERM, just as these turn from their last call to the lock of the queue of calls. What
        comes between Python's own look at signals and the wait in C is noted for a handler, and the wait goes on for ever.
        """
        processes = sys.modules.get("multiprocessing.process")
        if processes is None or processes.parent_process() is None or not hasattr(signal, "pthread_sigmask"):
            return
        main = threading.current_thread() is threading.main_thread()
        if main and self.ready and not (self._minded or self._owns_attempts()):
            self.ready = False
            self.hold()  # a signal that comes now is not noted, but ends the process as soon as it is let go
            self.let_go(child=True)

    def handles(self, number: int) -> bool:
        """Tell whether this handles a signal."""
        return getattr(signal.getsignal(number), "__self__", None) is self

    def cause_of(self, number: int) -> Cause:
        """Return the cause of an end by a signal: what the scheduler tells, which is asked once, or just that."""
        if self._told[0] != number:
            from molexp._recording.signals.schedulers import told_by_slurm

            self._told = number, told_by_slurm(number) or Cause.SIGNAL
        return self._told[1]

    def hold(self) -> None:
        """Hold back, in the thread that is about to fork, what is handled: see `let_go`."""
        if self.handled:
            self._masks.before = signal.pthread_sigmask(signal.SIG_BLOCK, self.handled)

    def let_go(self, *, child: bool) -> None:
        """Undo `hold`, after the fork for one; in the child, handle nothing any more.

        A signal that came to the child before would be noted for our handler, and CPython forgets, as it sets a child
        up, what is noted: `terminate()` of a process that has just been started would have no effect.
        """
        for number in (self.handled or ()) if child else ():
            if self.handles(number):
                signal.signal(number, signal.SIG_DFL)
        if (mask := self._masks.__dict__.pop("before", None)) is not None:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    def _terminate(self, number: int, _frame: FrameType | None) -> None:
        if os.getpid() == self._pid and (self._minded or self._owns_attempts()):
            HERE.asked_by, self._told = number, (0, Cause.SIGNAL)
            raise Terminated(number)
        signal.signal(number, signal.SIG_DFL)
        if sys.platform == "win32":
            signal.raise_signal(number)
        else:
            os.kill(os.getpid(), number)


def _handled_in_c() -> int:
    """Return the signals that Python knows no handler of (`faulthandler.register`), one bit each, from proc(5)."""
    try:
        with open("/proc/self/status", encoding="utf-8", errors="replace") as file:
            caught = next((line for line in file if line.startswith("SigCgt:")), "SigCgt: 0")
        return int(caught.split()[1], 16)
    except (OSError, ValueError):
        return 0
