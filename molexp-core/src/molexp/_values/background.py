"""Threads that work beside ordinary use, never in the way of an answer; the process waits for them before it ends."""

from __future__ import annotations

import atexit
import threading
import weakref
from collections.abc import Callable

from molexp._values.threads import start_unsignalled


class Background:
    """Work in threads of its own."""

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
