"""Times: UTC, ISO 8601, microseconds."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from functools import lru_cache

__all__ = ["parse_time", "utc_now", "utc_text"]


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
