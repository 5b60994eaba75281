"""Times, clocks, and ids that are new: UTC, ISO 8601, microseconds."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache, partial
from operator import methodcaller

__all__ = ["awake_clock", "boot_clock", "new_run_id", "new_token", "parse_time", "utc_now", "utc_text"]


@lru_cache(maxsize=1)
def _second(second: int) -> str:
    """Return the text of a second, made once for all times in it."""
    return time.strftime("%Y-%m-%dT%H:%M:%S.", time.gmtime(second))


def utc_now() -> str:
    """Return the current time as ``2026-11-23T08:30:21.482913Z``."""
    micros = time.time_ns() // 1000
    digits = f"{1_000_000 + micros % 1_000_000}"  # a format with a width takes three times as long
    return f"{_second(micros // 1_000_000)}{digits[1:]}Z"


def utc_text(seconds: float) -> str:
    """Return a time in seconds since 1970 as `utc_now` would have it."""
    micros = int(seconds * 1e6)
    return f"{_second(micros // 1_000_000)}{micros % 1_000_000:06d}Z"


def parse_time(text: str) -> datetime:
    """Return an ISO 8601 time as an aware UTC datetime; a time without an offset is taken for UTC.

    Raises:
        ValueError: it is not an ISO 8601 time.
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is UTC:  # as in all that MolExp writes
        return moment
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _clock_of(name: str) -> Callable[[], float]:
    """Return a clock of this machine that nobody sets, where the system has one of this name."""
    number = getattr(time, name, None)
    return time.monotonic if number is None else partial(methodcaller("clock_gettime", number), time)


boot_clock = _clock_of("CLOCK_BOOTTIME")
"""Returns seconds on this machine's clock that nobody sets, suspended time included where the system counts it."""

awake_clock = _clock_of("CLOCK_MONOTONIC")
"""Returns seconds on the same clock without suspended time, in which no process of this machine gives a sign of life."""


def new_run_id() -> str:
    """Return a fresh id as ``20261123-083021-482913-4f2a9c1d``: UTC date, time, microseconds, 8 random hex digits.

    Ids of one process strictly increase, whatever its clock does; random digits keep processes apart, forked ones too.
    """
    second, micros = divmod(_clock.tick(), 1_000_000)
    digits = f"{1_000_000 + micros}"  # as in `utc_now`
    return f"{_second_of_id(second)}{digits[1:]}-{os.urandom(4).hex()}"


def new_token() -> str:
    """Return 16 random characters of ``[a-f0-9]``, unique wherever they meet; the kernel's, so forks differ."""
    return os.urandom(8).hex()


@lru_cache(maxsize=1)
def _second_of_id(second: int) -> str:
    return time.strftime("%Y%m%d-%H%M%S-", time.gmtime(second))


class _Clock:
    """A clock in microseconds that only goes forward."""

    def __init__(self) -> None:
        self._last = 0
        self._lock = threading.Lock()

    def tick(self) -> int:
        """Return the time, later than ever before."""
        with self._lock:
            self._last = max(time.time_ns() // 1000, self._last + 1)
            return self._last

    def forked(self) -> None:
        """Drop a lock that a thread of the parent may have held."""
        self._lock = threading.Lock()


_clock = _Clock()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_clock.forked)
