"""A workspace for display and for other programs: what is in it, who writes to it, and how it is stored."""

from __future__ import annotations

from collections import Counter
from typing import Any

from molexp._hierarchy.run_rows import RunRow
from molexp._hierarchy.workspace import Workspace
from molexp._values.status import RunStatus
from molexp.errors import CorruptRecordError


def describe_workspace(workspace: Workspace) -> dict[str, Any]:
    """Return what a workspace holds now, without reading its runs.

    It has ``url``, ``id``, ``name``, ``created_at``, ``schema`` (the version of its format), ``read_only``, ``settings``,
    ``storage`` (``capabilities``, ``durability``), the numbers of ``projects``, ``experiments`` and ``runs``, ``statuses`` (the
    number of runs with each), ``archived`` (runs that these leave out), ``size`` (bytes of all assets on record), ``newest``
    (None, or the ``path`` and ``created_at`` of the newest run), ``writers`` (whoever executes runs right now: ``user``, ``host``,
    ``pid``, ``since`` and the paths of the ``runs``), and ``unreadable`` (what could not be read: key to reason).

    Raises:
        NotFoundError: there is no such workspace.

    Example:
        >>> found = me.describe_workspace(ws)
        >>> (found["projects"], found["experiments"], found["runs"], found["statuses"])
        (1, 1, 1, {'succeeded': 1})
    """
    session = workspace._session
    try:
        document, problem = session.workspace.read(), {}
    except CorruptRecordError as error:
        document, problem = {}, {error.key: str(error)}
    totals = workspace.catalog.totals()
    statuses = Counter[str]()
    for one in totals:
        statuses.update(one.statuses)
    newest = workspace.catalog.runs(archived=True, sort="-created_at", limit=1)
    running = workspace.catalog.runs(status=RunStatus.RUNNING, archived=True) if statuses[RunStatus.RUNNING] else ()
    filled = {one.path for one in totals if one.runs or one.archived}
    there = [*workspace.projects]
    experiments = [one for project in there for one in project.experiments if one.path in filled or not one.deleted]
    used = {one.project.id for one in experiments}
    projects = [project for project in there if project.id in used or not project.deleted]
    return {
        "url": workspace.url,
        "id": document.get("id"),
        "name": document.get("name"),
        "created_at": document.get("created_at"),
        "schema": document.get("schema"),
        "read_only": workspace.read_only,
        "settings": _settings(workspace, problem),
        "storage": {"capabilities": sorted(session.store.capabilities), "durability": session.store.durability},
        "projects": len(projects),
        "experiments": len(experiments),
        "runs": sum(statuses.values()),
        "statuses": {status: statuses[status] for status in map(str, RunStatus) if statuses[status]},
        "archived": sum(one.archived for one in totals),
        "size": sum(one.size for one in totals),
        "newest": {"path": newest[0].path, "created_at": newest[0].created_at} if newest else None,
        "writers": _writers([row for row in running if not row.as_of]),
        "unreadable": {**totals.unreadable, **problem},
    }


def _settings(workspace: Workspace, problem: dict[str, str]) -> dict[str, Any]:
    try:
        return dict(workspace.settings)
    except CorruptRecordError as error:
        problem[error.key] = str(error)
        return {}


def _writers(rows: list[RunRow]) -> list[dict[str, Any]]:
    """Return the processes that execute these runs, those that began first at the beginning."""
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    for row in rows:
        attempt = row.execution_history[-1] if row.execution_history else {}
        who = {name: attempt.get(name) for name in ("user", "host", "pid")}
        since = str(attempt.get("started_at") or "")
        one = found.setdefault(tuple(map(str, who.values())), {**who, "since": since, "runs": []})
        one["since"] = min(one["since"], since)
        one["runs"].append(row.path)
    return sorted(found.values(), key=lambda one: str(one["since"]))
