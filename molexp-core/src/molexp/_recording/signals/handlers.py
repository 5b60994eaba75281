"""Signals that end blocks: those that ask this process to end, each raised as an exception, and those that we send.

A cancel request interrupts the main thread as Ctrl-C does, for code that records nothing for a long time.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from functools import cache, partial
from types import FrameType, MethodType, TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from molexp._values.process_id import HERE
from molexp._values.status import Cause
from molexp.errors import RunCancelledError

if TYPE_CHECKING:
    import asyncio

    from molexp._recording.writer import Writer

F = TypeVar("F", bound=Callable[..., Any])

_WARNINGS = ("SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGXCPU", "SIGBREAK")  # schedulers send these before they kill

_TICK = 1.0  # seconds


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


class Interrupter:
    """Interrupts the block of one attempt, which begins now, if it runs in the main thread; never what comes after it.

    An event loop in that thread is left alone: it has its own way to be cancelled, and the next thing that the attempt
    records raises.
    """

    def __init__(self, signals: Signals) -> None:
        self._signals = signals
        self._lock = threading.Lock()
        self.sent = False
        asyncio = sys.modules.get("asyncio")  # whoever runs a loop has imported it
        loop = None if asyncio is None else asyncio._get_running_loop()
        in_main_thread = threading.get_ident() == threading.main_thread().ident
        self._armed = in_main_thread and loop is None
        self._ticking = loop is not None and in_main_thread
        if loop is not None and self._ticking:
            _tick(loop, weakref.ref(self))

    def fire(self) -> None:
        """Interrupt the block. Called by the heart's thread."""
        with self._lock:
            number = self._choose() if self._armed else None
            if number is not None:
                self._armed, self.sent = False, True
                _send(number)

    def disarm(self) -> BaseException | None:
        """Allow none any more, as the block ends; returns the interruption that arrived at the last instant."""
        late: BaseException | None = None
        self._ticking = False
        while True:
            try:
                with self._lock:
                    self._armed = False
                if self.sent:
                    os.getppid()  # a system call: as it returns, the system delivers what was sent, which is raised here
            except (KeyboardInterrupt, SystemExit) as error:
                late = error
            else:
                return late

    def is_ticking(self) -> bool:
        """Tell whether the block is in an event loop of the main thread, and goes on."""
        return self._ticking

    def _choose(self) -> int | None:
        """Return a signal whose handler raises; None if the program handles Ctrl-C in a way of its own."""
        handler = signal.getsignal(signal.SIGINT)
        if handler is signal.default_int_handler:
            return signal.SIGINT
        ignored = handler == signal.SIG_IGN  # as in a shell script's background jobs
        return signal.SIGTERM if ignored and self._signals.handles(signal.SIGTERM) else None


def _tick(loop: asyncio.AbstractEventLoop, of: weakref.ref[Interrupter]) -> None:
    """Wake an event loop each second while the block goes on.

    A signal that comes right before the loop goes to sleep does not wake it: its handler would wait for what does.
    """
    interrupter = of()
    if interrupter is not None and interrupter.is_ticking():
        loop.call_later(_TICK, _tick, loop, of)


def is_interrupted() -> bool:
    """Tell whether `asyncio.run`, in which this is called, cancels its main task because of Ctrl-C: it raises that only later."""
    handler = signal.getsignal(signal.SIGINT)
    runner = getattr(getattr(handler, "func", None), "__self__", None)
    return bool(getattr(runner, "_interrupt_count", 0))


def _send(number: int) -> None:
    if sys.platform == "win32":
        import _thread

        _thread.interrupt_main(number)
    else:
        signal.pthread_kill(threading.main_thread().ident or 0, number)


class Leavable:
    """A context whose attempt ends also if its ``__exit__``, which is `noticed`, is interrupted before it has ended that.

    A signal that comes during the last statement of a block, if that is C code, is raised as ``__exit__`` is called, before
    its first line. But the `with` statement alone holds what it calls, and lets go of that when it is over, however that
    came about: a weak reference tells.
    """

    _attempt: Writer
    _left_by: BaseException | None = None  # once `__exit__` has been told
    _way_out: weakref.ref[Callable[..., None]] | None = None  # the newest one that was given out
    _watched: weakref.ref[Callable[..., None]] | None = None  # the one that a `with` statement holds

    def _watch(self) -> None:
        """Watch the `with` statement that is calling ``__enter__``, if one is: it has asked for the way out by now."""
        if self._way_out is not None and (way_out := self._way_out()) is not None:
            self._watched = weakref.ref(way_out, self._let_go)

    def _let_go(self, _way_out: weakref.ref[Callable[..., None]]) -> None:
        """End the attempt, unless it has ended or its end is pending: the statement is over."""
        error, self._left_by, self._watched = self._left_by, None, None
        if not self._attempt.closed and self._attempt.state != "ending":
            number = HERE.asked_by
            with contextlib.suppress(RunCancelledError):  # another error is on its way
                self.__exit__(None, error or (Terminated(number) if number else KeyboardInterrupt()), None)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        raise NotImplementedError


@cache
def _with_instructions() -> frozenset[int | None]:
    """Return the codes of the instructions by which a `with` statement asks for ``__exit__``, in this Python."""
    from opcode import opmap

    return frozenset(map(opmap.get, ("BEFORE_WITH", "LOAD_SPECIAL")))


class _Noticed:
    """An ``__exit__`` of which each `with` statement gets an object of its own, and whoever else asks a bound method.

    That would not do for both: Python takes it apart to call it. And others may let go of what they got at any time.
    """

    def __init__(self, function: Callable[..., None]) -> None:
        self.__wrapped__ = function

    def __get__(self, context: Leavable | None, _owner: Any = None) -> Callable[..., None]:
        if context is None:
            return self.__wrapped__
        asking = sys._getframe(1)
        if asking.f_code.co_code[asking.f_lasti] not in _with_instructions():
            return MethodType(self.__wrapped__, context)
        way_out = partial(self.__wrapped__, context)
        context._way_out = weakref.ref(way_out)
        return way_out


if TYPE_CHECKING:

    def noticed(function: F) -> F:
        """Return an ``__exit__`` as type checkers know it."""
else:
    noticed = _Noticed
