"""A cancel request interrupts the main thread as Ctrl-C does, for code that records nothing for a long time."""

from __future__ import annotations

import signal
import sys
import threading
import weakref
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio

    from molexp._recording.signals.handlers import Signals

_TICK = 1.0  # seconds


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
                    signal.getsignal(signal.SIGINT)  # any call: what was sent is raised by now, and here
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
