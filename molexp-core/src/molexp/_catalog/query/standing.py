"""The status of runs as of now: that of their attempts, unless an open submission names them."""

from __future__ import annotations

from molexp._catalog.index.index import Index
from molexp._values.documents import decode, encode
from molexp._values.status import RunStatus


def status_of(index: Index) -> str:
    """Return SQL of the status of a run."""
    if not index.queued:
        return "e.status"
    now = "status_now(e.path, e.status, e.attempts, e.cancels)"
    return f"CASE WHEN e.status IN ('succeeded', 'running') THEN e.status ELSE {now} END"


def as_of_now(index: Index, path: str, data: bytes) -> bytes:
    """Return a document, which says so if it is that of a run that is queued."""
    if (one := index.queued.get(path)) is None:
        return data
    document = decode(data, path)
    history = document.get("execution_history")
    if history is None or not one.holds(document["status"], len(history), document.get("cancels") or 0):
        return data
    return encode({**document, "status": str(RunStatus.QUEUED), "submission": one.submission})
