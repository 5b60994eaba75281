"""Reading very many runs: in several threads where each waits for the disk, and with a word about how far it is."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import chain

from molexp._catalog.index.entries import Entry

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]  # a module where there is one

Fold = Callable[[Sequence[str]], tuple[list[Entry], set[str]]]

_SAMPLE = 50  # runs that tell whether the rest waits for the disk, too
_PIECE = 20  # runs that a thread reads at a time
_THREADS = 16

QUIET = 1.0
"""Seconds for which nothing is said."""


def fold_many(fold: Fold, paths: Sequence[str]) -> tuple[list[Entry], set[str]]:
    """Fold what lies at paths, in order; in several threads if many of the first runs wait for something.

    Files that the system has in memory are read sooner by one thread.
    """
    before = _waits()
    found = [fold(paths[:_SAMPLE])]
    rest = paths[_SAMPLE:]
    if rest and _waits() - before >= _SAMPLE // 2:
        from concurrent.futures import ThreadPoolExecutor

        pieces = [rest[start : start + _PIECE] for start in range(0, len(rest), _PIECE)]
        with ThreadPoolExecutor(_THREADS) as pool:
            found += pool.map(fold, pieces)
    elif rest:
        found.append(fold(rest))
    return [*chain.from_iterable(entries for entries, _ in found)], set().union(*(missing for _, missing in found))


def _waits() -> int:
    """Return how often this thread has waited for something; 0 where nobody counts."""
    return resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw if hasattr(resource, "RUSAGE_THREAD") else 0


@contextmanager
def telling(total: int) -> Iterator[Callable[[int], None]]:
    """Give a function that says on standard error how many runs were read; only on a terminal, and after a while."""
    due = time.monotonic() + QUIET
    said = False

    def tell(done: int) -> None:
        nonlocal said
        with suppress(OSError, ValueError):  # it is closed, or the terminal is gone
            if time.monotonic() >= due and sys.stderr is not None and sys.stderr.isatty():
                sys.stderr.write(f"\rReading runs: {done} of {total}")
                sys.stderr.flush()
                said = True

    try:
        yield tell
    finally:
        if said:
            with suppress(OSError, ValueError):
                sys.stderr.write("\r\033[K")
                sys.stderr.flush()
