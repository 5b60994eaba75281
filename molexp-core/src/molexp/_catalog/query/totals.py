"""Counting the runs of each experiment, in the index alone: no document is read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct
from msgspec.structs import asdict

from molexp._catalog.index.index import Index
from molexp._catalog.query.standing import status_of
from molexp._values.status import RunStatus

_RUNS = (
    "SELECT project, experiment, {status}, archived, count(*), max(created_at) "
    "FROM entities e WHERE shown = 1{scope} GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3"
)
_SIZES = (  # in two halves, whose sums cannot overflow: a record may name any size below 2**63
    "SELECT coalesce(e.project, ''), coalesce(e.experiment, ''), sum(a.size >> 32), sum(a.size & 4294967295) "
    "FROM assets a JOIN entities e ON e.id = a.owner WHERE 1{scope} GROUP BY e.project, e.experiment"
)


class Totals(Struct, frozen=True):
    """Counts of the runs of one experiment.

    Attributes:
        project: the project's id; "" for what belongs to the workspace itself.
        experiment: the experiment's id; "" for what belongs to the project itself.
        statuses: the number of runs with each status, archived ones left out.
        archived: the number of archived runs.
        newest: the time at which the newest run was created, in UTC, ISO 8601; "" without one.
        size: bytes of all assets on record.

    Example:
        >>> [(one.path, one.runs, dict(one.statuses)) for one in ws.catalog.totals() if one.runs]
        [('metals/cu', 1, {'succeeded': 1})]
    """

    project: str
    experiment: str
    statuses: Mapping[str, int]
    archived: int = 0
    newest: str = ""
    size: int = 0

    @property
    def path(self) -> str:
        """``project/experiment``."""
        return f"{self.project}/{self.experiment}".rstrip("/")

    @property
    def runs(self) -> int:
        """The number of runs, archived ones left out."""
        return sum(self.statuses.values())

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as a dict."""
        return {"path": self.path, "runs": self.runs, **asdict(self)}


def count_totals(index: Index, project: str | None) -> list[Totals]:
    """Return the totals of every experiment of a project, or of all, in the order of their paths."""
    bound = () if project is None else (project,)
    found: dict[tuple[str, str], dict[str, Any]] = {}

    def of(above: str, name: str) -> dict[str, Any]:
        return found.setdefault((above, name), {"statuses": {}})

    for above, name, status, archived, count, newest in index.select(
        _RUNS.format(status=status_of(index), scope="" if project is None else " AND project = ?"), bound
    ):
        one = of(above, name)
        if archived:
            one["archived"] = one.get("archived", 0) + count
        else:
            one["statuses"][status] = one["statuses"].get(status, 0) + count
        one["newest"] = max(one.get("newest", ""), newest or "")
    sizes = index.select(_SIZES.format(scope="" if project is None else " AND e.project = ?"), bound)
    for above, name, high, low in sizes:
        of(above, name)["size"] = ((high or 0) << 32) + (low or 0)
    for one in found.values():
        one["statuses"] = {name: one["statuses"][name] for name in map(str, RunStatus) if name in one["statuses"]}
    return [Totals(*path, **one) for path, one in sorted(found.items())]
