"""Signals that reach a process while its event loop sleeps."""

from __future__ import annotations

import asyncio
import signal
import socket
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

T = TypeVar("T")


@contextmanager
def woken_by_signals() -> Iterator[None]:
    """Let signals wake the running event loop within the block, so that their handlers are executed at once.

    The main thread executes a handler between two instructions. If the signal comes right before the loop goes to
    sleep, or wakes another thread, the handler would wait until something else wakes the loop.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    ours, theirs = socket.socketpair()
    try:
        ours.setblocking(False)
        theirs.setblocking(False)
        try:
            loop.add_reader(ours, _drain, ours)
        except NotImplementedError:  # a loop that has its own way
            yield
            return
        before = signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
        try:
            if before != -1:  # somebody else's, who wakes the loop too
                signal.set_wakeup_fd(before)
            yield
        finally:
            if before == -1:
                signal.set_wakeup_fd(-1)
            loop.remove_reader(ours)
    finally:
        ours.close()
        theirs.close()


def _drain(end: socket.socket) -> None:
    with suppress(BlockingIOError):
        end.recv(4096)


def run_to_end(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine as `asyncio.run` does; an exit that a signal raises within a task is raised here, and not logged."""
    left: list[BaseException] = []

    async def main() -> T | None:
        try:
            return await coroutine
        except (KeyboardInterrupt, SystemExit) as error:
            left.append(error)
            return None

    found = asyncio.run(main())
    if left:
        raise left[0]
    return found  # type: ignore[return-value]
