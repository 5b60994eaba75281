"""The status of runs as of now: that of their attempts, unless an open submission names them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from molexp._catalog.index.index import Index
from molexp._catalog.index.tables import RARE
from molexp._values.documents import decode, encode
from molexp._values.status import RunStatus

_QUEUED = (
    "SELECT project || '/' || experiment, status, archived, count(*) FROM entities e "  # noqa: S608 - constants
    f"WHERE shown = 1 AND {RARE} AND {{status}} = '{RunStatus.QUEUED}' GROUP BY 1, 2, 3"
)


def status_of(index: Index) -> str:
    """Return SQL of the status of a run."""
    if not index.queued:
        return "e.status"
    now = "status_now(e.path, e.status, e.attempts, e.cancels)"
    return f"CASE WHEN e.status IN ('succeeded', 'running') THEN e.status ELSE {now} END"


def count_runs(index: Index) -> Iterator[tuple[str, str, int, int]]:
    """Yield experiments, a status of runs in each, whether they are archived, and how many they are."""
    found = Counter[tuple[str, str, int]]()
    sql = "SELECT experiment, status, archived, runs FROM statuses"
    for experiment, status, archived, runs in index.select(sql):
        found[experiment, status, archived] = runs
    if index.queued:  # runs that have succeeded are not, and the others are found by an index
        for experiment, status, archived, runs in index.select(_QUEUED.format(status=status_of(index))):
            found[experiment, status, archived] -= runs
            found[experiment, str(RunStatus.QUEUED), archived] += runs
    yield from ((*key, runs) for key, runs in sorted(found.items()) if runs)


def as_of_now(index: Index, path: str, data: bytes) -> bytes:
    """Return a document, which says so if it is that of a run that is queued."""
    if (one := index.queued.get(path)) is None:
        return data
    document = decode(data, path)
    history = document.get("execution_history")
    if history is None or not one.holds(document["status"], len(history), document.get("cancels") or 0):
        return data
    return encode({**document, "status": str(RunStatus.QUEUED), "submission": one.submission})
