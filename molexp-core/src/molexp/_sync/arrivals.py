"""Arrivals: the runs that syncs are bringing to a place at this moment.

A run that is remembered as deleted, and is there all the same, was brought back by somebody, unless a sync is just bringing
it: a sync finds out afterwards what was freed meanwhile, and hides it again. So it writes the paths down first, in a file of
the destination, and deletes the file when all is hidden. Look at the file first, and at the run afterwards.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from molexp._record.owners import Owner
from molexp._record.reading import read_documents
from molexp._storage import layout, schemas
from molexp._sync.sides import Side
from molexp._values.documents import encode_line
from molexp._values.times import new_token, parse_time, utc_now
from molexp.errors import StoreError

_LONGEST = 24 * 3600.0  # seconds; no batch takes that long, so the sync died on a machine that cannot be asked

_going_on: set[str] = set()  # keys of the files of this process


@contextmanager
def arriving(side: Side, paths: Collection[str], *, dry_run: bool) -> Iterator[None]:
    """Say that some runs are being brought to a side; what makes it end early leaves that for the next sync.

    Args:
        side: the destination.
        paths: the paths of the runs.
        dry_run: write nothing.
    """
    if dry_run or not paths:
        yield
        return
    key = f"{layout.ARRIVING}/{new_token()}.json"
    document = {"schema": schemas.ARRIVAL, "at": utc_now(), "owner": side.home.owner.to_dict(), "runs": sorted(paths)}
    _going_on.add(key)
    side.arriving = key
    try:
        side.store.create(key, encode_line(document))
        yield
        side.store.delete(key)
    finally:
        _going_on.discard(key)
        side.arriving = ""


def is_arriving(side: Side, path: str) -> bool:
    """Tell whether another sync is bringing the run at `path` to a side."""
    keys = [entry.key for entry in side.store.children(layout.ARRIVING).entries if entry.key != side.arriving]
    return any(path in _runs(document) for document in _read(side, keys).values())


def left_over(side: Side) -> Iterator[tuple[str, list[str]]]:
    """Yield the keys of the files of dead syncs, of those that were listed, and the paths of the runs."""
    for key, document in _read(side, sorted(side.arrivals - _going_on)).items():
        if _is_dead(side, document):
            yield key, _runs(document)


def _read(side: Side, keys: list[str]) -> Mapping[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for key, document in read_documents(side.store, keys):
        if isinstance(document, StoreError):
            raise document
        found[key] = document if isinstance(document, dict) else {}  # its writer died before it brought anything
    return found


def _runs(document: Mapping[str, Any]) -> list[str]:
    found = document.get("runs")
    return [path for path in found if isinstance(path, str)] if isinstance(found, list) else []


def _is_dead(side: Side, document: Mapping[str, Any]) -> bool:
    owner = Owner.from_dict(document.get("owner"))
    if owner == side.home.owner or side.home.observer.known_dead(owner):
        return True
    try:
        return time.time() - parse_time(document["at"]).timestamp() > _LONGEST
    except (KeyError, TypeError, ValueError, AttributeError):
        return True
