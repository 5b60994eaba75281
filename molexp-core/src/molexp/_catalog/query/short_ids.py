"""Short names of runs, which `Workspace.run` takes for them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable
from itertools import islice

from molexp._catalog.index.index import Index

_DIGITS = 8
_GENERATED = re.compile(r"\d{8}-\d{6}-\d{6}-[0-9a-f]{8}")
_DERIVED = re.compile(r"[0-9a-f]{16,}")
_AT_ONCE = 500  # ids that one statement compares


def short_ids(index: Index, paths: Iterable[str]) -> dict[str, str]:
    """Return for each path the shortest name by which the run is found: its id or a part of it, else the whole path.

    Of an id that was generated it is the end, of one that was derived the beginning. An id that somebody gave stays whole.
    """
    found = {}
    names = {path: path.rpartition("/")[2] for path in paths}
    for start in range(0, len(names), _AT_ONCE):
        some = dict(islice(names.items(), start, start + _AT_ONCE))
        meant = _meant(index, some.values())
        for path, run in some.items():
            found[path] = next(name for name in (_part(run), run, path) if meant[name] <= 1)
    return found


def _meant(index: Index, runs: Collection[str]) -> Counter[str]:
    """Return how many runs each short name, or whole id, may mean."""
    parts = {run: _part(run) for run in runs}
    ends = {part for run, part in parts.items() if part != run and run.endswith(part)}
    begins = {part for run, part in parts.items() if part != run}
    wholes = {run for run, part in parts.items() if part == run}
    meant: Counter[str] = Counter()
    wanted = [("substr(run, 1, 8)", begins), ("substr(run, -8)", ends), ("run", wholes)]
    if asked := [(sql, names) for sql, names in wanted if names]:
        where = " OR ".join(f"{sql} IN ({', '.join('?' * len(names))})" for sql, names in asked)
        bound = [name for _, names in asked for name in names]
        for (run,) in index.select(f"SELECT run FROM entities WHERE run > '' AND ({where})", bound):  # noqa: S608 - constants
            meant.update({run, run[:_DIGITS], run[-_DIGITS:]})
    return meant


def _part(run: str) -> str:
    return run[-_DIGITS:] if _GENERATED.fullmatch(run) else run[:_DIGITS] if _DERIVED.fullmatch(run) else run
