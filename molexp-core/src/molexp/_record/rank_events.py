"""Fold the events of ranks other than 0."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from molexp._values.documents import count, is_count
from molexp._values.status import RunStatus

if TYPE_CHECKING:
    from molexp._record.folding import Contents

FIRST = "rank0"
"""The suffix that tells rank 0's payloads from other ranks'."""


def heard(contents: Contents, event: Mapping[str, Any]) -> bool:
    """Fold in what an event says of its rank; returns whether it says something of the attempt, too.

    Of a result that several ranks record, the lowest rank's counts, in whatever order they are read.
    """
    kind, rank = event.get("type"), event.get("rank")
    if kind == "result":
        name, index = str(event.get("name")), count(rank)
        if name in contents.results and contents.rank_of.get(name, 0) < index:
            return False
        contents.rank_of[name] = index
        return True
    if not is_count(rank):
        return True
    if kind == "writer":
        contents.ranks[str(rank)] = {"rank": rank, "status": str(RunStatus.RUNNING), "owner": event.get("owner")}
    elif kind == "rank":
        known = contents.ranks.setdefault(str(rank), {"rank": rank})
        known.update({name: event.get(name) for name in ("status", "reason", "cause", "error") if event.get(name)})
    return kind not in ("writer", "rank", "workdir")


def rank_history(ranks: Iterable[Mapping[str, Any]], *, ended: bool) -> dict[str, Any]:
    """Return what an entry of ``execution_history`` says of them: how many came to which status, and what went wrong."""
    told = sorted(ranks, key=lambda said: count(said.get("rank")))
    lost = "lost" if ended else str(RunStatus.RUNNING)  # it never left: it was killed, or is at work still
    statuses = [str(said.get("status")).replace(str(RunStatus.RUNNING), lost) for said in told]
    errors = [
        {name: said[name] for name in ("rank", "reason", "cause", "error") if said.get(name)}
        for said in told
        if said.get("error")
    ]
    return {"ranks": dict(sorted(Counter(statuses).items())), "rank_errors": errors}
