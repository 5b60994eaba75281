"""The time of event loops, of which a test can skip some: a time limit is over when the test says so, however slow it is."""

from __future__ import annotations

import asyncio
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

LIMIT = 1000.0  # seconds; who has so much time is never late, unless it is skipped


class Clock:
    """The clock of every event loop."""

    def __init__(self) -> None:
        self._ahead = weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, float]()

    def time(self, loop: asyncio.AbstractEventLoop) -> float:
        """The time of an event loop."""
        return time.monotonic() + self._ahead.setdefault(loop, 0.0)

    def skip(self, seconds: float = LIMIT) -> None:
        """It is so much later, once the event loops have done what they were told to before. Called by any thread."""
        for loop in list(self._ahead):
            if loop.is_running():
                loop.call_soon_threadsafe(self._leap, loop, seconds)

    def _leap(self, loop: asyncio.AbstractEventLoop, seconds: float) -> None:
        self._ahead[loop] += seconds

    @contextmanager
    def skipping(self, file: Path) -> Iterator[None]:
        """Skip as soon as another process has written a whole line to a file, and again until the block is over."""
        over = threading.Event()

        def watch() -> None:
            while not over.wait(0.01):  # nobody can tell us
                if file.exists() and file.read_bytes().endswith(b"\n"):
                    self.skip()

        thread = threading.Thread(target=watch)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock of every event loop in this test."""
    made = Clock()

    def time_of(loop: asyncio.AbstractEventLoop) -> float:  # a bound method would not be bound to the loop
        return made.time(loop)

    monkeypatch.setattr(asyncio.BaseEventLoop, "time", time_of)
    return made
