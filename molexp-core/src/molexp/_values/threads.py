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


def start_beside(name: str, work: Callable[[], object]) -> threading.Thread | None:
    """Begin work in a thread, which the process waits for before it ends; None if no thread can be started."""
    if not _registered:
        _registered.append(atexit.register(_finish))
    thread = threading.Thread(target=work, name=name, daemon=True)
    try:
        start_unsignalled(thread)
    except RuntimeError:  # the interpreter is going down, or there are too many threads
        return None
    _alive.add(thread)
    return thread


_alive: weakref.WeakSet[threading.Thread] = weakref.WeakSet()
_registered: list[object] = []


def _finish() -> None:
    """Wait before the process ends: what was begun is of use to everybody."""
    try:
        for one in list(_alive):
            one.join()
    except KeyboardInterrupt:  # whoever does not want to wait need not: others go on with what is left
        return
