"""Trying again: exponential backoff with full jitter, until a limit of time."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from random import Random
from typing import Final

FIRST = 0.05
LONGEST = 5.0
_random: Final = Random()  # of our own: the generator of the module is the program's, which may have seeded it


def tries(limit: float) -> Iterator[bool]:
    """Yield once for each try: True if it is the last one. Pause before each but the first.

    The pause doubles, and its length is drawn evenly between nothing and that, so that many clients do not return at
    once (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).

    Args:
        limit: seconds after which there is one last try.
    """
    end = time.monotonic() + limit
    longest = FIRST
    while True:
        last = time.monotonic() >= end
        yield last
        if last:
            return
        time.sleep(min(_random.uniform(0, longest), max(0.0, end - time.monotonic())))
        longest = min(2 * longest, LONGEST)


def attempts(limit: float) -> int:
    """Return how often botocore should try, whose pauses double from a second on, so that it gives up at about the same time."""
    return 1 + int(math.log2(1 + limit))
