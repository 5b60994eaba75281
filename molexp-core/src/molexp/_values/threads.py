"""Threads of MolExp's own, which no signal is delivered to."""

from __future__ import annotations

import signal
import threading

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
