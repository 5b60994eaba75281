"""Counting the runs of each experiment, by the counters of the index: no run is read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import Struct
from msgspec.structs import asdict

from molexp._catalog.index.index import Index
from molexp._catalog.index.tables import RARE, joined
from molexp._catalog.query.sql import status_of
from molexp._values.status import RunStatus

_NEWEST = "SELECT created_at FROM entities WHERE project = ? AND experiment = ? AND shown = 1 ORDER BY created_at DESC LIMIT 1"
_QUEUED = (
    "SELECT project || '/' || experiment, status, archived, count(*) FROM entities e "  # noqa: S608 - constants
    f"WHERE shown = 1 AND {RARE} AND {{status}} = '{RunStatus.QUEUED}' GROUP BY 1, 2, 3"
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


def count_totals(index: Index, project: str | None) -> list[Totals]:
    """Return the totals of every experiment of a project, or of all, in the order of their paths."""
    found: dict[tuple[str, str], dict[str, Any]] = {}

    def of(path: str) -> dict[str, Any] | None:
        above, _, name = path.partition("/")
        return found.setdefault((above, name), {"statuses": {}}) if project in (None, above or None) else None

    with index.reading():
        for path, status, archived, count in count_runs(index):
            if (one := of(path)) is not None:
                if archived:
                    one["archived"] = one.get("archived", 0) + count
                else:
                    one["statuses"][status] = one["statuses"].get(status, 0) + count
        for key, one in found.items():
            one["newest"] = next((newest or "" for (newest,) in index.select(_NEWEST, key)), "")
        for path, upper, lower in index.select("SELECT experiment, upper, lower FROM sizes WHERE assets > 0"):
            if (one := of(path)) is not None:
                one["size"] = joined(upper, lower)
    for one in found.values():
        one["statuses"] = {name: one["statuses"][name] for name in map(str, RunStatus) if name in one["statuses"]}
    return [Totals(*path, **one) for path, one in sorted(found.items())]
