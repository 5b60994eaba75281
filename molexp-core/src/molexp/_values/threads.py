"""Threads of MolExp's own, which no signal is delivered to; some work beside ordinary use, never in the way of an answer."""

from __future__ import annotations

import atexit
import signal
import threading
import weakref
from collections.abc import Callable

_KEPT = {
    "SIGABRT",
    "SIGBUS",
    "SIGCHLD",
    "SIGFPE",
    "SIGILL",
    "SIGPIPE",
    "SIGSEGV",
    "SIGTRAP",
}  # of the thread, or its child


def start_unsignalled(thread: threading.Thread) -> None:
    """Start a thread that blocks every signal, so that programs which wait for one, as by `signal.sigwait`, get it.

    A signal to a process goes to any thread that does not block it.

    Raises:
        RuntimeError: there are too many threads, or the interpreter is going down.
    """
    if not hasattr(signal, "pthread_sigmask"):
        thread.start()
        return
    before = signal.pthread_sigmask(
        signal.SIG_BLOCK, {one for one in signal.valid_signals() if _name(one) not in _KEPT}
    )
    try:
        thread.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _name(number: int) -> str:
    return number.name if isinstance(number, signal.Signals) else ""


class Background:
    """Work in threads of its own; the process waits for them before it ends."""

    def __init__(self) -> None:
        self._threads: list[threading.Thread] = []

    def start(self, name: str, work: Callable[[], object]) -> None:
        """Begin, if a thread can be started."""
        if not _registered:
            _registered.append(atexit.register(_finish))
        _alive.add(self)
        thread = threading.Thread(target=work, name=name, daemon=True)
        try:
            start_unsignalled(thread)
        except RuntimeError:  # the interpreter is going down, or there are too many threads
            return
        self._threads.append(thread)

    def wait(self) -> None:
        """Return when all that was begun is done."""
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join()
        self._threads = [thread for thread in self._threads if thread.is_alive()]


_alive: weakref.WeakSet[Background] = weakref.WeakSet()
_registered: list[object] = []


def _finish() -> None:
    """Wait before the process ends: what was begun is of use to everybody."""
    try:
        for one in list(_alive):
            one.wait()
    except KeyboardInterrupt:  # whoever does not want to wait need not: others go on with what is left
        return
